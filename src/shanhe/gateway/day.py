"""A day's calls as the ledger has them, for whoever compares them with other counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from shanhe.gateway.model import Evidence
from shanhe.gateway.store import UsageKey
from shanhe.ledger.api import PostingView

ODD_MAX: Final = 200
_evidence = msgspec.json.Decoder(Evidence)


class Sums(msgspec.Struct):
    """Calls, tokens of every bucket together, and amount in µ."""

    calls: int = 0
    tokens: int = 0
    amount_micro: int = 0


class EngineTokens(msgspec.Struct):
    """Tokens charged for an engine's work: prompt tokens that were not cached, and what it made."""

    prompt: int = 0
    completion: int = 0


class LedgerDay(msgspec.Struct):
    """`odd`: (posting, what the receipt says, what the transfers move) of calls where these differ, a bounded list."""

    day: date
    keys: dict[UsageKey, Sums]
    engines: dict[str, EngineTokens]
    odd: list[tuple[UUID, int, int]]


async def read_day(day: date, postings: AsyncIterator[PostingView]) -> LedgerDay:
    """Sum a day's call postings."""
    found = LedgerDay(day, {}, {}, [])
    async for posting in postings:
        if posting.evidence is None:
            continue
        seen = _evidence.decode(posting.evidence)
        sums = found.keys.setdefault(UsageKey(day, seen.org_id, seen.key_id, seen.model), Sums())
        sums.calls += 1
        sums.tokens += seen.buckets.total
        sums.amount_micro += seen.total_micro
        engine = found.engines.setdefault(seen.engine, EngineTokens())
        engine.prompt += seen.buckets.prompt - seen.buckets.cached_input
        engine.completion += seen.buckets.completion
        moved = sum(transfer.amount for transfer in posting.transfers)
        if moved != seen.total_micro and len(found.odd) < ODD_MAX:
            found.odd.append((posting.id, seen.total_micro, moved))
    return found
