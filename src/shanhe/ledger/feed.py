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
PAIRS_MAX: Final = 200_000
REST_ROWS: Final = 100
"""Read before others in this process get their turn: a page of thousands would keep them waiting."""
COLUMNS: Final = "id, id::text AS name, at, day, kind, actor, memo, reverses, evidence, lots::text[], lot_deltas"


Leg = tuple[str, str, str, int, str, str, str]
"""A transfer: its id, the accounts that gave and got, the amount, the asset, the kinds of the two accounts.
Ids as text: there are many, and they are only written down."""


class FeedPosting(msgspec.Struct, frozen=True, gc=False):
    """A posting as the feed gives it; `city` when it moved nothing that isn't the city's own."""

    born: int
    id: UUID
    at: datetime
    day: date
    kind: str
    actor: str
    memo: str
    reverses: UUID | None
    evidence: bytes | None
    legs: tuple[Leg, ...]
    city: bool
    lots: tuple[tuple[str, int], ...]


class Feed:
    """Reads the ledger's feed. Keeps what accounts are: that never changes."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pairs: dict[tuple[str, str], tuple[str, str, str, bool]] = {}

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
        further: dict[str, list[str]] = {}
        wanted = identifiers.copy()
        for posting, text, transfer in await self._db.fetch(
            "SELECT p.posting::text, p.transfer::text, p.transfer FROM ledger.posting_transfer p "
            "WHERE p.posting = ANY($1) ORDER BY p.posting, p.ordinal", identifiers,
        ):  # fmt: skip
            further.setdefault(posting, []).append(text)
            wanted.append(transfer)
        transfers = {row[0]: row for row in await self._db.fetch(
            "SELECT id::text, posting::text, debit::text, credit::text, amount FROM ledger.transfer WHERE id = ANY($1)",
            wanted,
        )}  # fmt: skip
        await self._learn({(row[2], row[3]) for row in transfers.values()})
        found: list[FeedPosting] = []
        for start in range(0, len(rows), REST_ROWS):
            found += [self._posting(row, transfers, further) for row in rows[start : start + REST_ROWS]]
            await asyncio.sleep(0)
        return found

    async def _learn(self, pairs: Iterable[tuple[str, str]]) -> None:
        """What two accounts are, for each pair that something moved between."""
        missing = [one for one in pairs if one not in self._pairs]
        if not missing:
            return
        if len(self._pairs) > PAIRS_MAX:
            self._pairs.clear()
            missing = list(pairs)
        rows = await self._db.fetch(
            "SELECT id::text, asset, kind, owner FROM ledger.account WHERE id = ANY($1::text[]::uuid[])",
            list({one for pair in missing for one in pair}),
        )
        accounts = {row["id"]: (row["asset"], row["kind"], row["owner"] == CITY_OWNER) for row in rows}
        for debit, credit in missing:
            (asset, giver, own), (_, taker, theirs) = accounts[debit], accounts[credit]
            self._pairs[debit, credit] = (asset, giver, taker, own and theirs)

    def _posting(self, row: Any, transfers: Mapping[str, Any], further: Mapping[str, Sequence[str]]) -> FeedPosting:
        born, posting, name, at, day, kind, actor, memo, reverses, evidence, lots, deltas = row
        moved = [transfers[one] for one in further.get(name, ())]
        own = transfers.get(name)
        if own is not None and own[1] == name:
            moved.insert(0, own)
        legs: list[Leg] = []
        city = True
        for transfer, _, debit, credit, amount in moved:
            asset, giver, taker, theirs = self._pairs[debit, credit]
            legs.append((transfer, debit, credit, amount, asset, giver, taker))
            city = city and theirs
        return FeedPosting(
            born, posting, at, day, kind, actor, memo, reverses, evidence, tuple(legs), city,
            tuple(zip(lots or (), deltas or (), strict=True)),
        )  # fmt: skip
