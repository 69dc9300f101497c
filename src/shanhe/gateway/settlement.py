"""From measured use to one durable posting; the receipt is that posting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from shanhe.gateway.admission import actuals
from shanhe.gateway.meter import Metered
from shanhe.gateway.model import Evidence, Timings
from shanhe.gateway.tariff import Charged, charge
from shanhe.ledger.api import Charge, Ledger, Leg

if TYPE_CHECKING:
    from shanhe.gateway.dispatch import Exchange
    from shanhe.gateway.pipeline import Call
    from shanhe.gateway.terms import TermsBook
    from shanhe.gateway.usage import UsageBook

EVIDENCE_VERSION: Final = 1
_encode = msgspec.json.Encoder().encode


class Outcome(msgspec.Struct, frozen=True):
    """How a call ended: completed, disconnected (client) or broken (engine)."""

    metered: Metered
    status: str
    finish_reason: str | None
    timings: Timings


class Settler:
    """Prices what was used, splits it and captures it."""

    def __init__(self, ledger: Ledger, terms: TermsBook, usage: UsageBook) -> None:
        self._ledger = ledger
        self._terms = terms
        self._usage = usage

    async def settle(self, call: Call, exchange: Exchange, outcome: Outcome) -> None:
        """Capture; returns when the posting is durable."""
        terms = self._terms.of(exchange.target) or await self._terms.load(exchange.target)
        buckets = outcome.metered.buckets
        admission = call.admission
        charged = charge(admission.prices, buckets, terms.parties, self._terms.platform, call.receipt_id)
        evidence = _evidence(call, exchange, outcome, charged, terms.rules)
        legs = tuple(Leg(share.account, share.amount_micro) for share in charged.shares)
        used = actuals(call.reservation.limits, buckets.total, charged.total_micro)
        settled = Charge(charged.total_micro, legs, _encode(evidence), used)
        reservation, call.reservation = call.reservation, None
        await self._ledger.settle(reservation, settled)
        self._usage.count(call, outcome, charged.total_micro)


def _evidence(call: Call, exchange: Exchange, outcome: Outcome, charged: Charged, rules: dict[str, str]) -> Evidence:
    prices, metered, target = call.admission.prices, outcome.metered, exchange.target
    return Evidence(
        v=EVIDENCE_VERSION,
        face=call.face.name,
        model=call.parsed.model,
        org_id=call.caller.org_id,
        key_id=call.caller.key_id,
        key_name=call.caller.key_name,
        engine=target.engine_name,
        engine_kind=target.kind,
        upstream_model=target.upstream_model,
        stream=call.parsed.stream,
        status=outcome.status,
        finish_reason=outcome.finish_reason,
        buckets=metered.buckets,
        usage_source=metered.source,
        usage_clamped=metered.clamped,
        prices=prices,
        held_micro=call.admission.held_micro,
        total_micro=charged.total_micro,
        uncovered_micro=charged.uncovered_micro,
        shares=charged.shares,
        rules=rules,
        timings=outcome.timings,
        attempts=exchange.attempt,
    )
