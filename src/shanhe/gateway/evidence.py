"""Evidence as stored: what all calls of one key, engine and price list share is written once, the rest each time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.gateway.commission import Through
from shanhe.gateway.meter import Buckets
from shanhe.gateway.model import Evidence, Terms, Timings
from shanhe.gateway.tags import tags_in
from shanhe.gateway.tariff import Charged, Prices, Share
from shanhe.ledger.api import Preamble, preamble_of

if TYPE_CHECKING:
    from shanhe.gateway.call import Call
    from shanhe.gateway.dispatch import Exchange
    from shanhe.gateway.settlement import Outcome
    from shanhe.gateway.tags import TagBook

EVIDENCE_VERSION: Final = 1
PREPARED_MAX: Final = 512
TOOL_FACE: Final = "tool"
_encode = msgspec.json.Encoder().encode


class Setting(msgspec.Struct, frozen=True):
    """The part of `model.Evidence` that is the same for many calls."""

    v: int
    face: str
    model: str
    org_id: UUID
    key_id: UUID
    key_name: str
    engine: str
    engine_kind: str
    upstream_model: str
    stream: bool
    prices: Prices
    rules: dict[str, str]


class Course(msgspec.Struct, frozen=True, omit_defaults=True):
    """The part of `model.Evidence` that each call has of its own."""

    status: str
    finish_reason: str | None
    buckets: Buckets
    usage_source: str
    usage_clamped: bool
    held_micro: int
    total_micro: int
    uncovered_micro: int
    shares: tuple[Share, ...]
    timings: Timings
    attempts: int
    through: Through | None = None
    tags: tuple[UUID, ...] = ()


class EvidenceWriter:
    """Writes the evidence of calls. Together the two parts are one object, read as `model.Evidence`."""

    def __init__(self, tags: TagBook) -> None:
        self._tags = tags
        self._prepared: dict[tuple[Any, ...], tuple[tuple[Any, ...], Preamble]] = {}

    def write(
        self, call: Call, exchange: Exchange, outcome: Outcome, charged: Charged, terms: Terms,
        through: Through | None = None,
    ) -> tuple[Preamble, bytes]:  # fmt: skip
        metered = outcome.metered
        course = Course(
            outcome.status,
            outcome.finish_reason,
            metered.buckets,
            metered.source,
            metered.clamped,
            call.admission.held_micro,
            charged.total_micro,
            charged.uncovered_micro,
            charged.shares,
            outcome.timings,
            exchange.attempt,
            through,
            self._tags.ids(call.caller.org_id, tags) if (tags := tags_in(call)) else (),
        )
        return self._setting(call, exchange, terms), _encode(course)[1:]

    def _setting(self, call: Call, exchange: Exchange, terms: Terms) -> Preamble:
        caller, target, prices, parsed = call.caller, exchange.target, call.admission.prices, call.parsed
        key = (id(caller), id(target), id(prices), id(terms), call.face.name, parsed.model, parsed.stream)
        commission = call.admission.commission
        known = self._prepared.get(key)
        if known is not None and commission is None:
            return known[1]
        setting = Setting(
            v=EVIDENCE_VERSION,
            face=call.face.name,
            model=parsed.model,
            org_id=caller.org_id,
            key_id=caller.key_id,
            key_name=caller.key_name,
            engine=target.engine_name,
            engine_kind=target.kind,
            upstream_model=target.upstream_model,
            stream=parsed.stream,
            prices=prices,
            rules=terms.rules if commission is None else terms.rules | commission.rules,
        )
        written = preamble_of(_encode(setting)[:-1] + b",")
        if commission is not None:
            return written
        if len(self._prepared) >= PREPARED_MAX:
            self._prepared.clear()
        self._prepared[key] = (caller, target, prices, terms), written  # kept alive, so that their ids stay theirs
        return written


def fee_evidence(
    call: Call, outcome: Outcome, charged: Charged, through: Through, rules: dict[str, str], tags: tuple[UUID, ...]
) -> bytes:  # fmt: skip
    """The evidence of a fee: no engine, no tokens; what was paid for is its `model`."""
    caller, parsed = call.caller, call.parsed
    return _encode(
        Evidence(
            v=EVIDENCE_VERSION, face=TOOL_FACE, model=parsed.model, org_id=caller.org_id, key_id=caller.key_id,
            key_name=caller.key_name, engine=TOOL_FACE, engine_kind=TOOL_FACE, upstream_model="", stream=False,
            status=outcome.status, finish_reason=None, buckets=outcome.metered.buckets,
            usage_source=outcome.metered.source, usage_clamped=False, prices=call.admission.prices,
            held_micro=call.admission.held_micro, total_micro=charged.total_micro, uncovered_micro=0,
            shares=charged.shares, rules=rules, timings=outcome.timings, attempts=1, through=through,
            tags=tags,
        )
    )  # fmt: skip
