"""Postings in the order of their transactions, for readers that must not miss one (the transparency log).

A posting's place is (`born`, `id`). `horizon` is the oldest transaction that still runs: everything born before it is
there for good, so a reader that stops there never passes by a transaction that commits late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from struct import Struct
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.db import Database
from shanhe.ledger.model import CITY_OWNER, PLACE, woven

PAGE_MAX: Final = 10_000
PAIRS_MAX: Final = 200_000
PREAMBLES_MAX: Final = 10_000
REST_ROWS: Final = 500
"""Read before others in this process get their turn: a page of thousands would keep them waiting."""
COLUMNS: Final = "at, day, kind, actor, memo, reverses, evidence, lots, lot_deltas, preamble, further"
ID_BYTES: Final = 16
PAIRS: Final = Struct(f"{2 * ID_BYTES}s")
Pair = tuple[bytes]
"""The ids of the accounts that gave and got, one after the other."""


class Between(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Two accounts that something moved between: what they are never changes, so there is one for many transfers."""

    debit: UUID
    credit: UUID
    asset: str
    giver: str
    taker: str
    city: bool
    """Whether both are the city's own."""


Leg = tuple[UUID, int, Between]
"""A transfer: its id, the amount, and between which accounts."""


class FeedPosting(msgspec.Struct, frozen=True, gc=False):
    """A posting as the feed gives it; `lots` are those it burned or minted, `deltas` by how much."""

    id: UUID
    born: int
    at: datetime
    day: date
    kind: str
    actor: str
    memo: str
    reverses: UUID | None
    evidence: bytes | None
    lots: Sequence[UUID] | None
    deltas: Sequence[int] | None
    legs: Sequence[Leg]


class Feed:
    """Reads the ledger's feed. Keeps what accounts are: that never changes."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pairs: dict[Pair, Between] = {}
        self._preambles: dict[UUID, list[bytes]] = {}

    async def horizon(self) -> int:
        """Everything born before this transaction has committed or never will."""
        return int(await self._db.fetchval("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"))

    async def page(self, born: int, last: UUID, until: int, limit: int) -> Sequence[FeedPosting]:
        """The next postings after (born, last) that were born before `until`; empty when there are none."""
        limit = min(limit, PAGE_MAX)
        if born == 0:
            rows = await self._db.fetch(
                f"SELECT id, 0::bigint, {COLUMNS} FROM ledger.posting WHERE born IS NULL AND id > $1 "
                "ORDER BY id LIMIT $2", last, limit,
            )  # fmt: skip
            if rows:
                return await self._postings(rows)
        rows = await self._db.fetch(
            f"SELECT id, born, {COLUMNS} FROM ledger.posting WHERE (born, id) > ($1, $2) AND born < $3 "
            "ORDER BY born, id LIMIT $4", born, last, until, limit,
        )  # fmt: skip
        return await self._postings(rows)

    async def one(self, posting: UUID) -> FeedPosting | None:
        found = await self._postings(await self._db.fetch(
            f"SELECT id, coalesce(born, 0), {COLUMNS} FROM ledger.posting WHERE id = $1", posting
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
        """With their transfers, looked up as two sets: an index reads neighbours together, and no plan joins them.

        Each set comes as one row of arrays, which takes less of both sides than as many rows.
        """
        if not rows:
            return []
        wanted: list[UUID] = [row[0] for row in rows]
        further = await self._further(rows)
        transfers, own, pairs, amounts = await self._db.fetchrow(
            "SELECT array_agg(id), array_agg(posting = id), "
            "string_agg(uuid_send(debit) || uuid_send(credit), ''::bytea), array_agg(amount) "
            "FROM ledger.transfer WHERE id = ANY($1)", sorted([*wanted, *(transfer for _, transfer in further)]),
        )  # fmt: skip
        legs: dict[UUID, list[Leg]] = {}
        others: dict[UUID, Leg] = {}
        if transfers is not None:
            between = await self._between(pairs)
            for transfer, is_own, pair, amount in zip(transfers, own, PAIRS.iter_unpack(pairs), amounts, strict=True):
                if is_own:
                    legs[transfer] = [(transfer, amount, between[pair])]
                else:
                    others[transfer] = (transfer, amount, between[pair])
        for posting, transfer in further:
            legs.setdefault(posting, []).append(others[transfer])
        preambles = await self._common({row["preamble"] for row in rows} - {None})
        found: list[FeedPosting] = []
        for start in range(0, len(rows), REST_ROWS):
            for row in rows[start : start + REST_ROWS]:
                posting, born, at, day, kind, actor, memo, reverses, evidence, lots, deltas, preamble, _ = row
                found.append(FeedPosting(
                    posting, born, at, day, kind, actor, memo, reverses,
                    evidence if preamble is None else woven(preambles[preamble], evidence),
                    lots, deltas, legs.get(posting, ()),
                ))  # fmt: skip
            await asyncio.sleep(0)
        return found

    async def _further(self, rows: Sequence[Any]) -> list[tuple[UUID, UUID]]:
        """Each posting with each transfer that has not its id, in order: numbered, or listed."""
        numbered = [
            (row[0], UUID(int=row[0].int ^ number)) for row in rows for number in range(1, (row["further"] or 0) + 1)
        ]
        listed = [row[0] for row in rows if row["further"] is None]
        if not listed:
            return numbered
        postings, transfers = await self._db.fetchrow(
            "SELECT array_agg(posting ORDER BY posting, ordinal), array_agg(transfer ORDER BY posting, ordinal) "
            "FROM ledger.posting_transfer WHERE posting = ANY($1)", listed,
        )  # fmt: skip
        return numbered + list(zip(postings or (), transfers or (), strict=True))

    async def _common(self, asked: set[UUID]) -> Mapping[UUID, list[bytes]]:
        """Preambles, cut at their places, and others."""
        if len(self._preambles) > PREAMBLES_MAX:
            self._preambles = {}  # whoever still reads from the one before keeps it
        known = self._preambles
        if missing := asked - known.keys():
            rows = await self._db.fetch("SELECT id, text FROM ledger.preamble WHERE id = ANY($1)", list(missing))
            known.update((row["id"], row["text"].split(PLACE)) for row in rows)
        return known

    async def _between(self, pairs: bytes) -> Mapping[Pair, Between]:
        """What the accounts of pairs are, and of others."""
        if len(self._pairs) > PAIRS_MAX:
            self._pairs = {}  # whoever still reads from the one before keeps it
        known = self._pairs
        missing = {one for one in PAIRS.iter_unpack(pairs) if one not in known}
        if not missing:
            return known
        sides = {one: (UUID(bytes=one[0][:ID_BYTES]), UUID(bytes=one[0][ID_BYTES:])) for one in missing}
        rows = await self._db.fetch(
            "SELECT id, asset, kind, owner FROM ledger.account WHERE id = ANY($1)",
            list({one for pair in sides.values() for one in pair}),
        )
        accounts = {row["id"]: (row["asset"], row["kind"], row["owner"] == CITY_OWNER) for row in rows}
        for one, (debit, credit) in sides.items():
            (asset, giver, own), (_, taker, theirs) = accounts[debit], accounts[credit]
            known[one] = Between(debit, credit, asset, giver, taker, own and theirs)
        return known
