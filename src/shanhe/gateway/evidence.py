"""Evidence as stored: a text that calls of one key, engine and price list share, and what each puts in its places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.gateway.commission import Through
from shanhe.gateway.meter import Buckets
from shanhe.gateway.model import Evidence, Terms, Timings
from shanhe.gateway.tags import tags_in
from shanhe.gateway.tariff import Charged, Share
from shanhe.ledger.api import PLACE, Preamble, preamble_of

if TYPE_CHECKING:
    from shanhe.gateway.call import Call
    from shanhe.gateway.dispatch import Exchange
    from shanhe.gateway.settlement import Outcome
    from shanhe.gateway.tags import TagBook

EVIDENCE_VERSION: Final = 1
PREPARED_MAX: Final = 1024
TOOL_FACE: Final = "tool"
PRICED: Final = PLACE.join([b"%b"] + [b"%d"] * 9)
"""Why the answer ended, six buckets, what was held, the total, and what that does not cover."""
TOOK: Final = PLACE.join([b"%a"] * 3 + [b"%d"])
"""Three timings and the attempts."""
HERE: Final[Any] = msgspec.Raw(PLACE)
_encode = msgspec.json.Encoder().encode


class EvidenceWriter:
    """Writes the evidence of calls: the second part woven into the first is read as `model.Evidence`."""

    def __init__(self, tags: TagBook) -> None:
        self._tags = tags
        self._prepared: dict[tuple[Any, ...], tuple[tuple[Any, ...], Preamble]] = {}

    def write(
        self, call: Call, exchange: Exchange, outcome: Outcome, charged: Charged, terms: Terms,
        through: Through | None = None,
    ) -> tuple[Preamble, bytes]:  # fmt: skip
        timings, shares = outcome.timings, charged.shares
        tags = self._tags.ids(call.caller.org_id, found) if (found := tags_in(call)) else ()
        own = [
            PRICED % (
                _encode(outcome.finish_reason), *outcome.metered.buckets.as_tuple(), call.admission.held_micro,
                charged.total_micro, charged.uncovered_micro,
            )
        ]  # fmt: skip
        if through is None:
            own += [b"%d" % share.amount_micro for share in shares]
        else:  # of whom each call may have others
            own.append(_encode(shares))
        own.append(TOOK % (timings.admitted_ms, timings.first_token_ms, timings.engine_done_ms, exchange.attempt))
        if through is not None:
            own.append(_encode(through))
        if tags:
            own.append(_encode(tags))
        return self._preamble(call, exchange, outcome, shares, terms, through, tags), PLACE.join(own)

    def _preamble(
        self, call: Call, exchange: Exchange, outcome: Outcome, shares: tuple[Share, ...], terms: Terms,
        through: Through | None, tags: tuple[UUID, ...],
    ) -> Preamble:  # fmt: skip
        caller, target, prices, parsed, metered = (
            call.caller, exchange.target, call.admission.prices, call.parsed, outcome.metered
        )  # fmt: skip
        commission = call.admission.commission
        key = (
            id(caller), id(target), id(prices), id(terms), call.face.name, parsed.model, parsed.stream,
            outcome.status, metered.source, metered.clamped, through is None, not tags,
            *([id(share.account) for share in shares] if through is None else ()),
            *(() if commission is None else commission.rules.items()),
        )  # fmt: skip
        known = self._prepared.get(key)
        if known is not None:
            return known[1]
        written = preamble_of(_encode(
            Evidence(
                v=EVIDENCE_VERSION, face=call.face.name, model=parsed.model, org_id=caller.org_id, key_id=caller.key_id,
                key_name=caller.key_name, engine=target.engine_name, engine_kind=target.kind,
                upstream_model=target.upstream_model, stream=parsed.stream, status=outcome.status, finish_reason=HERE,
                buckets=Buckets(HERE, HERE, HERE, HERE, HERE, HERE), usage_source=metered.source,
                usage_clamped=metered.clamped, prices=prices, held_micro=HERE, total_micro=HERE, uncovered_micro=HERE,
                shares=HERE if through is not None else tuple([Share(one.role, one.account, HERE) for one in shares]),
                rules=terms.rules if commission is None else terms.rules | commission.rules,
                timings=Timings(HERE, HERE, HERE), attempts=HERE, through=None if through is None else HERE,
                tags=HERE if tags else (),
            )
        ))  # fmt: skip
        if len(self._prepared) >= PREPARED_MAX:
            self._prepared.clear()
        self._prepared[key] = (caller, target, prices, terms, shares), written  # kept alive: their ids stay theirs
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
