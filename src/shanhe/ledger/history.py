"""Lots over time, read from postings: what each lot held at an instant, what moved it, and what will lapse when.

Reads only, but for `recall`, which asks workers to give back what they lease. Never on a call's path.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.db import Database
from shanhe.ledger.holding import RECALL_WAITS_S
from shanhe.ledger.model import CITY_OWNER, Lot, Provenance
from shanhe.ledger.store import lot_of

LOTS_MAX: Final = 20_000
DAYS_MAX: Final = 800
OWNERS_MAX: Final = 5_000
NOWHERE: Final = UUID(int=0)
EXPIRY_KIND: Final = "expiry"


class LotPeriod(msgspec.Struct, frozen=True):
    """One lot in [since, until): opening + Σ moves = closing, in µ; `moves` by kind of posting, signed."""

    lot: Lot
    opening: int
    closing: int
    moves: Mapping[str, int]


class Lapse(msgspec.Struct, frozen=True):
    """What lapses on one day of the city: `held` of it is set aside and lapses only when it is released."""

    on: date
    owner: UUID
    account: UUID
    provenance: Provenance
    lots: int
    amount: int
    held: int


class Paid(msgspec.Struct, frozen=True):
    """What one posting moved from an account to an owner, or (negative) back from one; minor units of the asset."""

    account: UUID
    posting: UUID
    owner: UUID
    amount: int
    at: datetime
    origin: UUID
    """The posting, or the one that it reverses."""


class LotHistory:
    """Questions about lots that no call asks."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def find(self, identifiers: Sequence[UUID]) -> dict[UUID, Lot]:
        """Lots as they stand, spent ones too."""
        rows = await self._db.fetch("SELECT * FROM ledger.lot WHERE id = ANY($1)", list(identifiers))
        return {row["id"]: lot_of(row) for row in rows}

    async def standing(self, account: UUID, limit: int) -> list[Lot]:
        """An account's lots that hold something, oldest first; at most `limit`."""
        rows = await self._db.fetch(
            "SELECT * FROM ledger.lot WHERE account = $1 AND open ORDER BY issued_at, id LIMIT $2", account, limit
        )
        return [lot_of(row) for row in rows]

    async def accounts(self, owner: UUID) -> list[UUID]:
        """The owner's accounts whose balance is made of credit lots."""
        rows = await self._db.fetch(
            "SELECT id FROM ledger.account WHERE owner = $1 AND asset = 'credit' AND lots ORDER BY id", owner
        )
        return [row["id"] for row in rows]

    async def period(self, accounts: Sequence[UUID], since: datetime, until: datetime) -> list[LotPeriod]:
        """Every lot that held or moved anything in [since, until), oldest first.

        Closing = what remains now minus what later postings did; so a lot's figures rest on its postings alone, and
        agree with the balance of either instant.
        """
        async with self._db.snapshot() as connection:
            moves = await connection.fetch(_MOVES, list(accounts), since, until)
            lots = await connection.fetch(_LOTS, list(accounts), since, until, LOTS_MAX)
        inside: dict[UUID, dict[str, int]] = {}
        after: dict[UUID, int] = {}
        for row in moves:
            if row["inside"]:
                inside.setdefault(row["lot"], {})[row["kind"]] = row["inside"]
            after[row["lot"]] = after.get(row["lot"], 0) + row["after"]
        found = []
        for row in lots:
            lot = lot_of(row)
            closing = lot.remaining - after.get(lot.id, 0)
            opening = closing - sum(inside.get(lot.id, {}).values())
            if opening or closing or lot.id in inside:
                found.append(LotPeriod(lot, opening, closing, inside.get(lot.id, {})))
        return found

    async def balances(self, accounts: Sequence[UUID], at: datetime) -> int:
        """What the accounts held together just before `at`, folded from their transfers."""
        return int(await self._db.fetchval(_FOLD, list(accounts), at))

    async def lapsed(self, lot: UUID, account: UUID) -> int:
        """What of a lot has gone to breakage so far."""
        return int(await self._db.fetchval(_LAPSED, lot, account))

    async def lapses(
        self, since: datetime, until: datetime, owner: UUID | None = None, *, before: Lapse | None = None
    ) -> list[Lapse]:  # fmt: skip
        """What will lapse in [since, until) unless it is spent, by day, owner, account and provenance; a page, `before`
        is the last of the one before."""
        last = (None, None, None, None) if before is None else (
            before.on, before.owner, before.account, before.provenance.value
        )  # fmt: skip
        rows = await self._db.fetch(_LAPSES, since, until, owner, OWNERS_MAX, *last)
        return [
            Lapse(row["day"], row["owner"], row["account"], Provenance(row["provenance"]), row["lots"], row["amount"],
                  row["held"])
            for row in rows
        ]  # fmt: skip

    async def earmarks(self, account: UUID) -> list[dict[str, Any]]:
        """The different earmarks of an account's open lots."""
        rows = await self._db.fetch(
            "SELECT DISTINCT earmark FROM ledger.lot WHERE account = $1 AND open AND earmark IS NOT NULL LIMIT 200",
            account,
        )
        return [row["earmark"] for row in rows]

    async def paid(
        self, accounts: Sequence[UUID], since: datetime, until: datetime, *, after: Paid | None, limit: int
    ) -> list[Paid]:
        """What moved between these accounts and owners other than the city in [since, until), by posting, in the order
        of postings; `after` continues behind one. What came back (a clawback, a reversal) is negative."""
        place = (NOWHERE, NOWHERE, NOWHERE) if after is None else (after.posting, after.account, after.owner)
        rows = await self._db.fetch(_PAID, list(accounts), since, until, CITY_OWNER, *place, limit)
        return [Paid(**dict(row)) for row in rows]

    async def debited(self, owners: Mapping[UUID, UUID]) -> dict[UUID, int]:
        """What each of these postings took from its owner (posting → owner), in minor units, at most OWNERS_MAX."""
        pairs = list(owners.items())[:OWNERS_MAX]
        rows = await self._db.fetch(
            """SELECT asked.posting, sum(moved.amount)::bigint AS amount
                 FROM unnest($1::uuid[], $2::uuid[]) AS asked (posting, owner)
                CROSS JOIN LATERAL ledger.transfers_of(asked.posting) AS moved
                 JOIN ledger.account AS payer ON payer.id = moved.debit AND payer.owner = asked.owner
                GROUP BY asked.posting""",
            [posting for posting, _ in pairs],
            [owner for _, owner in pairs],
        )
        return {row["posting"]: row["amount"] for row in rows}

    async def reversal(self, posting: UUID) -> UUID | None:
        """The posting that reverses this one, if any does."""
        found: UUID | None = await self._db.fetchval("SELECT id FROM ledger.posting WHERE reverses = $1", posting)
        return found

    async def recall(self, account: UUID) -> bool:
        """Ask workers for what they lease of the account; False when some calls still run on it after the wait."""
        for wait_s in (0.0, *RECALL_WAITS_S):
            await asyncio.sleep(wait_s)
            leased = await self._db.fetchval("SELECT EXISTS (SELECT FROM ledger.lease WHERE account = $1)", account)
            if not leased:
                return True
            await self._db.execute("SELECT pg_notify('ledger_recall', $1::text)", str(account))
        return False


_POSTINGS: Final = """
  SELECT posting FROM ledger.transfer WHERE debit = ANY($1) AND at >= $2
  UNION SELECT posting FROM ledger.transfer WHERE credit = ANY($1) AND at >= $2
"""
_PAID: Final = """
SELECT m.account, m.posting, m.owner, sum(m.amount)::bigint AS amount, p.at, coalesce(p.reverses, p.id) AS origin
FROM (SELECT t.debit AS account, t.posting, a.owner, t.amount FROM ledger.transfer t
        JOIN ledger.account a ON a.id = t.credit
       WHERE t.debit = ANY($1) AND t.at >= $2 AND t.at < $3 AND a.owner <> $4
      UNION ALL
      SELECT t.credit, t.posting, a.owner, -t.amount FROM ledger.transfer t
        JOIN ledger.account a ON a.id = t.debit
       WHERE t.credit = ANY($1) AND t.at >= $2 AND t.at < $3 AND a.owner <> $4) m
JOIN ledger.posting p ON p.id = m.posting
WHERE (m.posting, m.account, m.owner) > ($5, $6, $7)
GROUP BY m.account, m.posting, m.owner, p.at, coalesce(p.reverses, p.id)
ORDER BY m.posting, m.account, m.owner LIMIT $8"""

_MOVES: Final = f"""
SELECT u.lot, p.kind, coalesce(sum(u.delta) FILTER (WHERE p.at < $3), 0)::bigint AS inside,
       coalesce(sum(u.delta) FILTER (WHERE p.at >= $3), 0)::bigint AS after
FROM ({_POSTINGS}) t JOIN ledger.posting p ON p.id = t.posting
CROSS JOIN LATERAL unnest(p.lots, p.lot_deltas) AS u(lot, delta)
JOIN ledger.lot l ON l.id = u.lot AND l.account = ANY($1)
GROUP BY u.lot, p.kind
"""
_LOTS: Final = f"""
SELECT l.* FROM ledger.lot l WHERE l.account = ANY($1) AND l.issued_at < $3 AND (l.open OR l.id IN (
  SELECT u.lot FROM ({_POSTINGS}) t JOIN ledger.posting p ON p.id = t.posting CROSS JOIN LATERAL unnest(p.lots) u(lot)))
ORDER BY l.issued_at, l.id LIMIT $4
"""
_FOLD: Final = """
SELECT coalesce(sum(f.amount), 0)::bigint FROM (
  SELECT -amount AS amount FROM ledger.transfer WHERE debit = ANY($1) AND at < $2
  UNION ALL SELECT amount FROM ledger.transfer WHERE credit = ANY($1) AND at < $2) f
"""
_LAPSED: Final = f"""
SELECT coalesce(-sum(u.delta), 0)::bigint FROM ledger.transfer t JOIN ledger.posting p ON p.id = t.posting
CROSS JOIN LATERAL unnest(p.lots, p.lot_deltas) AS u(lot, delta)
WHERE t.debit = $2 AND p.kind = '{EXPIRY_KIND}' AND u.lot = $1
"""
_LAPSES: Final = """
SELECT (l.expires_at AT TIME ZONE 'Asia/Shanghai')::date AS day, a.owner, l.account, l.provenance,
       count(*)::int AS lots, sum(l.remaining)::bigint AS amount, sum(l.held)::bigint AS held
FROM ledger.lot l JOIN ledger.account a ON a.id = l.account
WHERE l.open AND l.expires_at >= $1 AND l.expires_at < $2 AND ($3::uuid IS NULL OR a.owner = $3)
  AND ($5::date IS NULL OR ((l.expires_at AT TIME ZONE 'Asia/Shanghai')::date, a.owner, l.account, l.provenance) >
                           ($5, $6::uuid, $7::uuid, $8::text))
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4 LIMIT $4
"""
