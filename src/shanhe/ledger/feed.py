"""Postings in the order of their transactions, for readers that must not miss one (the transparency log).

A posting's place is (`born`, `id`). `horizon` is the oldest transaction that still runs: everything born before it is
there for good, so a reader that stops there never passes by a transaction that commits late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.db import Database
from shanhe.ledger.model import CITY_OWNER

PAGE_MAX: Final = 10_000
ACCOUNTS_MAX: Final = 200_000
REST_ROWS: Final = 100
"""Read before others in this process get their turn: a page of thousands would keep them waiting."""
COLUMNS: Final = "id, at, day, kind, actor, memo, reverses, evidence, lots, lot_deltas"


class FeedLeg(msgspec.Struct, frozen=True, gc=False):
    """A transfer with what its accounts are; `city` when both belong to the city."""

    id: UUID
    debit: UUID
    credit: UUID
    amount: int
    asset: str
    from_kind: str
    to_kind: str
    city: bool


class FeedPosting(msgspec.Struct, frozen=True, gc=False):
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
        if born == 0:
            rows = await self._db.fetch(
                f"SELECT 0::bigint AS born, {COLUMNS} FROM ledger.posting WHERE born IS NULL AND id > $1 "
                "ORDER BY id LIMIT $2", last, limit,
            )  # fmt: skip
            if rows:
                return await self._postings(rows)
        rows = await self._db.fetch(
            f"SELECT born, {COLUMNS} FROM ledger.posting WHERE (born, id) > ($1, $2) AND born < $3 "
            "ORDER BY born, id LIMIT $4", born, last, until, limit,
        )  # fmt: skip
        return await self._postings(rows)

    async def one(self, posting: UUID) -> FeedPosting | None:
        found = await self._postings(await self._db.fetch(
            f"SELECT coalesce(born, 0) AS born, {COLUMNS} FROM ledger.posting WHERE id = $1", posting
        ))  # fmt: skip
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
        """With their transfers, looked up as two sets: an index reads neighbours together, and no plan joins them."""
        if not rows:
            return []
        identifiers = [row["id"] for row in rows]
        further: dict[UUID, list[UUID]] = {}
        for row in await self._db.fetch(
            "SELECT posting, transfer FROM ledger.posting_transfer WHERE posting = ANY($1) ORDER BY posting, ordinal",
            identifiers,
        ):
            further.setdefault(row["posting"], []).append(row["transfer"])
        wanted = [*identifiers, *(one for some in further.values() for one in some)]
        transfers = {row["id"]: row for row in await self._db.fetch(
            "SELECT id, posting, debit, credit, amount FROM ledger.transfer WHERE id = ANY($1)", wanted
        )}  # fmt: skip
        await self._learn({row[place] for row in transfers.values() for place in ("debit", "credit")})
        found: list[FeedPosting] = []
        for start in range(0, len(rows), REST_ROWS):
            found += [
                self._posting(row, transfers, further.get(row["id"], ())) for row in rows[start : start + REST_ROWS]
            ]
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

    def _posting(self, row: Any, transfers: Mapping[UUID, Any], further: Sequence[UUID]) -> FeedPosting:
        born, posting, at, day, kind, actor, memo, reverses, evidence, lots, deltas = row
        own = transfers.get(posting)
        legs = [self._leg(own)] if own is not None and own["posting"] == posting else []
        legs += [self._leg(transfers[one]) for one in further]
        return FeedPosting(
            born, posting, at, day, kind, actor, memo, reverses, evidence, tuple(legs),
            tuple(zip(lots or (), deltas or (), strict=True)),
        )  # fmt: skip

    def _leg(self, row: Any) -> FeedLeg:
        identifier, _, debit, credit, amount = row
        asset, giver, own = self._accounts[debit]
        _, taker, theirs = self._accounts[credit]
        return FeedLeg(identifier, debit, credit, amount, asset, giver, taker, own and theirs)
