"""Escrow drawn in parts and delivery against payment, each as one call for a whole batch.

These run on the caller's connection, inside the caller's transaction: an order and its escrow, a trade and its posting
are durable together or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from shanhe.kernel.clock import Clock
from shanhe.kernel.literals import call, integers, texts, uuids
from shanhe.ledger.model import TermsOf

PURPOSE: Final = "order"
FOREVER: Final = datetime.fromisoformat("9000-01-01T00:00:00+00:00")
"""The order's end frees its escrow, not a date of the hold."""
PAY_LEG, FEE_LEG = 1, 2
CLOSED: Final = "SH001"
"""What the database says of a hold that has ended."""
OVERDRAWN: Final = "hold_amount_check"
"""The constraint that refuses to take more out of a hold than it has."""
BATCH_MAX: Final = 5_000

ESCROW: Final = (
    call("(e).* FROM ledger.escrow", "timestamptz text[] text timestamptz uuid[] uuid[] bigint[]") + " e"
)  # fmt: skip
LACKING: Final = """
SELECT q.id FROM unnest($1::uuid[], $2::bigint[]) q(id, need)
WHERE NOT EXISTS (
  SELECT FROM ledger.hold h WHERE h.id = q.id AND (h.state = 'open') IS NOT FALSE AND h.amount >= q.need)
"""
TRIM: Final = call("ledger.trim_holds", "uuid[] bigint[]")
LOCK: Final = "SELECT FROM ledger.account WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE"
DELIVER: Final = call(
    "ledger.deliver",
    "timestamptz date text timestamptz uuid uuid[] uuid[] uuid[] bytea[] uuid[] uuid[] bigint[] uuid[] uuid[] "
    "bigint[] bigint[]",
)


class EscrowRequest(msgspec.Struct, frozen=True):
    """What to set aside: tradeable lots of a lot-bearing account, money of another."""

    id: UUID
    account: UUID
    amount: int


class EscrowVerdict(msgspec.Struct, frozen=True):
    """`held`, `known` (set aside before), `conflict` (the id names another hold) or `short`.

    `leased`: what workers borrow of the account and were just asked to give back. `expiry`: of the first lot.
    """

    verdict: str
    available: int
    leased: int
    expiry: datetime | None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One trade: `quantity` from the hold `source` to `receiver`, `price` from the hold `payment` to `payee`.

    `fee` of the price goes on to the fund. The price is what the receiver's lots cost (C3).
    """

    id: UUID
    source: UUID
    receiver: UUID
    quantity: int
    payment: UUID
    payee: UUID
    price: int
    fee: int
    evidence: bytes


class HoldLacks(Exception):
    """A hold has ended, or has less in it than is to be delivered."""


class Escrow:
    """The ledger's part of an exchange. Every method needs a connection inside a transaction."""

    def __init__(self, clock: Clock, terms: TermsOf) -> None:
        self._clock = clock
        self._terms = terms

    async def hold(
        self, conn: Any, requests: Sequence[EscrowRequest], *, purpose: str = PURPOSE
    ) -> list[EscrowVerdict]:
        """Set aside in order; a verdict for each. Subsidy, locked, earmarked and expired lots never count."""
        if not requests:
            return []
        rows = await conn.fetch(
            ESCROW, self._clock.now(), texts(self._terms(self._clock.today()).order), purpose, FOREVER,
            uuids([request.id for request in requests]),
            uuids([request.account for request in requests]), integers([request.amount for request in requests]),
        )  # fmt: skip
        verdicts: list[Any] = [None] * len(requests)
        for row in rows:
            found = EscrowVerdict(row["verdict"], row["available"] or 0, row["leased"] or 0, row["expiry"])
            verdicts[row["ord"] - 1] = found
        return verdicts

    async def lock(self, conn: Any, accounts: Collection[UUID]) -> None:
        """Have the accounts that several of these calls in one transaction need, all in the order in which everybody
        takes them: one after the other, each may wait for somebody who waits for the one before."""
        await conn.execute(LOCK, list(accounts))

    async def merge(self, conn: Any, into: UUID, extra: UUID) -> bool:
        """Add one hold's content to another of the same account; False, and nothing done, when either has ended."""
        try:
            async with conn.transaction():  # a savepoint
                await conn.execute("SELECT ledger.merge_holds($1, $2)", into, extra)
        except asyncpg.PostgresError as error:
            if error.sqlstate != CLOSED:
                raise
            return False
        return True

    async def trim(self, conn: Any, keep: Mapping[UUID, int]) -> int:
        """Cut open holds down to what each is to keep; 0 ends it. How many were cut."""
        if not keep:
            return 0
        return int(await conn.fetchval(TRIM, uuids(keep), integers(keep.values())))

    async def lacking(self, conn: Any, needs: Mapping[UUID, int]) -> set[UUID]:
        """Of holds, those that are not open or have less in them than this."""
        rows = await conn.fetch(LACKING, list(needs), list(needs.values()))
        return {row["id"] for row in rows}

    async def deliver(
        self, conn: Any, deliveries: Sequence[Delivery], *, kind: str, fund: UUID, unlock_at: datetime | None
    ) -> None:
        """Book trades, one balanced posting each; an id that is booked already makes the whole call fail, and so does a
        hold that lacks what it is to pay (`HoldLacks`)."""
        if not deliveries:
            return
        if len(deliveries) > BATCH_MAX:
            raise ValueError(f"at most {BATCH_MAX} deliveries a call")
        ids = [one.id for one in deliveries]
        try:
            await conn.execute(
                DELIVER, self._clock.now(), self._clock.today(), kind, unlock_at, fund, uuids(ids),
                uuids([UUID(int=one.int ^ PAY_LEG) for one in ids]),
                uuids([UUID(int=one.int ^ FEE_LEG) for one in ids]), [one.evidence for one in deliveries],
                uuids([one.source for one in deliveries]), uuids([one.receiver for one in deliveries]),
                integers([one.quantity for one in deliveries]),
                uuids([one.payment for one in deliveries]), uuids([one.payee for one in deliveries]),
                integers([one.price for one in deliveries]), integers([one.fee for one in deliveries]),
            )  # fmt: skip
        except asyncpg.PostgresError as error:
            if error.sqlstate != CLOSED and getattr(error, "constraint_name", None) != OVERDRAWN:
                raise
            raise HoldLacks from error
