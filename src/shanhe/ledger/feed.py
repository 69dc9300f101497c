"""Postings in the order of their transactions, for readers that must not miss one (the transparency log).

A posting's place is (`born`, `id`). `horizon` is the oldest transaction that still runs: everything born before it is
there for good, so a reader that stops there never passes by a transaction that commits late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.db import Database
from shanhe.ledger.model import CITY_OWNER

PAGE_MAX: Final = 10_000
WINDOW_TRANSACTIONS: Final = 20_000
"""How far one page looks ahead: far behind, a page must not sort all that is left."""
ACCOUNTS_MAX: Final = 200_000
REST_ROWS: Final = 100
"""Read before others in this process get their turn: a page of thousands would keep them waiting."""
LAST: Final = UUID(int=2**128 - 1)


class FeedLeg(msgspec.Struct, frozen=True):
    """A transfer with what its accounts are; `city` when both belong to the city."""

    id: UUID
    debit: UUID
    credit: UUID
    amount: int
    asset: str
    from_kind: str
    to_kind: str
    city: bool


class FeedPosting(msgspec.Struct, frozen=True):
    """A posting as the feed gives it."""

    born: int
    id: UUID
    at: datetime
    day: date
    kind: str
    actor: str
    memo: str
    reverses: UUID | None
    evidence: bytes | None
    legs: tuple[FeedLeg, ...]
    lots: tuple[tuple[UUID, int], ...]


class Feed:
    """Reads the ledger's feed. Keeps what accounts are: that never changes."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._accounts: dict[UUID, tuple[str, str, bool]] = {}

    async def horizon(self) -> int:
        """Everything born before this transaction has committed or never will."""
        return int(await self._db.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"))

    async def page(self, born: int, last: UUID, until: int, limit: int) -> Sequence[FeedPosting]:
        """The next postings after (born, last) that were born before `until`; empty when there are none."""
        limit = min(limit, PAGE_MAX)
        while True:
            window = min(until, born + WINDOW_TRANSACTIONS)
            rows = await self._db.fetch("SELECT * FROM ledger.feed($1, $2, $3, $4)", born, last, window, limit)
            if rows or window >= until:
                return await self._postings(rows)
            following = await self._db.fetchval(
                "SELECT min(born) FROM ledger.posting WHERE born >= $1 AND born < $2", window, until
            )
            if following is None:
                return ()
            born, last = following - 1, LAST

    async def one(self, posting: UUID) -> FeedPosting | None:
        found = await self._postings(await self._db.fetch("SELECT * FROM ledger.feed_one($1)", posting))
        return found[0] if found else None

    async def posting_ids(self, owner: UUID, after: UUID, limit: int) -> Sequence[UUID]:
        """Postings that touch an owner's accounts, in order of id."""
        rows = await self._db.fetch(
            "SELECT DISTINCT t.posting FROM ledger.transfer t JOIN ledger.account a ON a.id IN (t.debit, t.credit) "
            "WHERE a.owner = $1 AND t.posting > $2 ORDER BY 1 LIMIT $3",
            owner, after, min(limit, PAGE_MAX),
        )  # fmt: skip
        return [row["posting"] for row in rows]

    async def _postings(self, rows: Sequence[Any]) -> list[FeedPosting]:
        await self._learn({one for row in rows for one in (*(row["debits"] or ()), *(row["credits"] or ()))})
        found: list[FeedPosting] = []
        for start in range(0, len(rows), REST_ROWS):
            found += [self._posting(row) for row in rows[start : start + REST_ROWS]]
            await asyncio.sleep(0)
        return found

    async def _learn(self, identifiers: Iterable[UUID]) -> None:
        missing = [one for one in identifiers if one not in self._accounts]
        if not missing:
            return
        if len(self._accounts) > ACCOUNTS_MAX:
            self._accounts.clear()
            missing = list(identifiers)
        rows = await self._db.fetch("SELECT id, asset, kind, owner FROM ledger.account WHERE id = ANY($1)", missing)
        for row in rows:
            self._accounts[row["id"]] = (row["asset"], row["kind"], row["owner"] == CITY_OWNER)

    def _posting(self, row: Any) -> FeedPosting:
        legs = []
        columns = (row["transfers"] or (), row["debits"] or (), row["credits"] or (), row["amounts"] or ())
        for identifier, debit, credit, amount in zip(*columns, strict=True):
            asset, giver, own = self._accounts[debit]
            _, taker, theirs = self._accounts[credit]
            legs.append(FeedLeg(identifier, debit, credit, amount, asset, giver, taker, own and theirs))
        return FeedPosting(
            row["born"], row["id"], row["at"], row["day"], row["kind"], row["actor"], row["memo"], row["reverses"],
            row["evidence"], tuple(legs), tuple(zip(row["lots"] or (), row["lot_deltas"] or (), strict=True)),
        )  # fmt: skip
