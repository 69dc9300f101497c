"""The sandbox provider: a pay page, stored mandates and signed notifications like a real institution's, no real money.

It keeps its own books (`payments.sandbox_*`) and speaks to the rest only through the provider protocol and its
notifications, which `deliver_due` sends at least once, with retries, and on request twice or in the wrong order.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.payments import signing
from shanhe.payments.errors import NotificationMalformed, OrderState, UnknownPayment
from shanhe.payments.model import (
    ORDER_LIFE_S,
    AmountLimits,
    Created,
    Event,
    Mandate,
    Notification,
    Order,
    ProviderPayment,
    Refund,
    RefundState,
    Reply,
    State,
    Verdict,
)

NAME = "sandbox"
MANDATE_RETURN_PATH = "/settings"
LIMITS = AmountLimits(least_fen=1, most_fen=10_000_000_000)
RETRY_WAITS_S = (2, 15, 30, 180, 600, 1_800, 3_600, 21_600)
"""Waits between attempts to deliver a notification; after the last one the order is found by query."""
BATCH_ROWS = 50

Receive = Callable[[Mapping[str, str], bytes], Awaitable[object]]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    event: Event
    subject_id: UUID
    provider_ref: str
    amount_fen: int | None
    occurred_at: str


@dataclass(frozen=True)
class PayPage:
    """What the hosted page shows."""

    ref: str
    amount_fen: int
    subject: str
    return_path: str
    state: str
    expires_at: datetime | None


@dataclass(frozen=True)
class Faults:
    """How badly the institution behaves: notifications sent `copies` times, newest first when `reorder`."""

    copies: int = 1
    reorder: bool = False
    delay_s: int = 0


class Sandbox:
    """One sandbox institution over the city's own database. `secret` (16 bytes or more) derives its signing key."""

    name, limits, order_life_s = NAME, LIMITS, ORDER_LIFE_S

    def __init__(self, db: Database, clock: Clock, secret: bytes, *, faults: Faults | None = None) -> None:
        self._db = db
        self._clock = clock
        self._key = signing.derive_key(secret, "payments/sandbox/ed25519")
        self._faults = faults or Faults()
        public = self._key.public_key()
        self._keys = {signing.serial(public): public}

    # -- the provider protocol ----------------------------------------------------------------------------------------

    async def create(self, order: Order) -> Created:
        ref = await self._db.writes.fetchval(
            """INSERT INTO payments.sandbox_payment (ref, order_id, amount_fen, subject, return_path, state, expires_at)
               VALUES ($1, $2, $3, $4, $5, 'pending', $6)
               ON CONFLICT (order_id) DO UPDATE SET order_id = EXCLUDED.order_id RETURNING ref""",
            secrets.token_hex(16),
            order.id,
            order.amount_fen,
            order.subject,
            order.return_path,
            order.expires_at,
        )
        return Created(ref, f"/pay/sandbox/{ref}")

    async def query(self, order: Order) -> ProviderPayment:
        row = await self._db.fetchrow("SELECT * FROM payments.sandbox_payment WHERE order_id = $1", order.id)
        if row is None:
            raise UnknownPayment
        return ProviderPayment(row["ref"], State(row["state"]), row["amount_fen"], row["paid_at"])

    async def close(self, order: Order) -> ProviderPayment:
        await self._db.execute(
            """UPDATE payments.sandbox_payment SET state = 'expired'
               WHERE order_id = $1 AND state IN ('pending', 'failed')""",
            order.id,
        )
        return await self.query(order)

    async def refund(self, order: Order, refund: Refund) -> str:
        async with self._db.transaction() as conn:
            fresh = await conn.fetchval(
                """INSERT INTO payments.sandbox_refund
                   SELECT $1, ref, $3, $4 FROM payments.sandbox_payment WHERE order_id = $2 AND state = 'paid'
                   ON CONFLICT DO NOTHING RETURNING ref""",
                refund.id,
                order.id,
                refund.amount_fen,
                self._clock.now(),
            )
            if fresh is not None:
                await self._announce(conn, [(Event.REFUND_SUCCEEDED, refund.id, fresh, refund.amount_fen)])
        return f"refund-{refund.id.hex}"

    async def refund_state(self, order: Order, refund: Refund) -> RefundState:
        row = await self._db.fetchrow("SELECT ref FROM payments.sandbox_refund WHERE refund_id = $1", refund.id)
        if row is None:
            raise UnknownPayment("refund")
        return RefundState.SUCCEEDED

    async def authorise(self, mandate: Mandate) -> Created:
        ref = await self._db.writes.fetchval(
            """INSERT INTO payments.sandbox_mandate (ref, mandate_id, limit_fen, state, return_path)
               VALUES ($1, $2, $3, 'pending', $4)
               ON CONFLICT (mandate_id) DO UPDATE SET mandate_id = EXCLUDED.mandate_id RETURNING ref""",
            secrets.token_hex(16),
            mandate.id,
            mandate.limit_fen,
            MANDATE_RETURN_PATH,
        )
        return Created(ref, f"/pay/sandbox/mandates/{ref}")

    async def charge(self, order: Order, mandate: Mandate) -> Created:
        """Charge at once when the mandate stands, else the payment fails; either way the notification tells."""
        created = await self.create(order)
        active = await self._db.fetchval(
            "SELECT true FROM payments.sandbox_mandate WHERE mandate_id = $1 AND state = 'active' AND limit_fen >= $2",
            mandate.id,
            order.amount_fen,
        )
        await self._decide(created.provider_ref, pay=bool(active))
        return created

    async def revoke(self, mandate: Mandate) -> None:
        await self._db.execute(
            "UPDATE payments.sandbox_mandate SET state = 'revoked' WHERE mandate_id = $1", mandate.id
        )

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notification:
        nonce = signing.verify(self._keys, headers, body, now)
        try:
            read = msgspec.json.decode(body, type=_Body)
            occurred_at = signing.from_iso(read.occurred_at)
        except (msgspec.DecodeError, ValueError) as error:
            raise NotificationMalformed(str(error)) from error
        return Notification(
            NAME, read.id, nonce, read.event, read.subject_id, read.provider_ref, read.amount_fen, occurred_at
        )

    def reply(self, verdict: Verdict | None, error: ShanheError | None) -> Reply:
        if error is not None:
            return Reply(error.status, "application/json", msgspec.json.encode(error.to_dict()))
        told = {"changed": verdict.changed, "state": verdict.state} if verdict else {}
        return Reply(200, "application/json", msgspec.json.encode({"code": "SUCCESS", **told}))

    # -- the hosted page ----------------------------------------------------------------------------------------------

    async def page(self, ref: str) -> PayPage:
        """The payment behind a page; UnknownPayment when there is none."""
        row = await self._db.fetchrow("SELECT * FROM payments.sandbox_payment WHERE ref = $1", ref)
        if row is None:
            raise UnknownPayment
        state = row["state"]
        if state in ("pending", "failed") and row["expires_at"] <= self._clock.now():
            state = "expired"
        return PayPage(ref, row["amount_fen"], row["subject"], row["return_path"], state, row["expires_at"])

    async def mandate_page(self, ref: str) -> PayPage:
        row = await self._db.fetchrow("SELECT * FROM payments.sandbox_mandate WHERE ref = $1", ref)
        if row is None:
            raise UnknownPayment("mandate")
        return PayPage(ref, row["limit_fen"], "", row["return_path"], row["state"], None)

    async def pay(self, ref: str) -> PayPage:
        """The payer pays. Paying twice is one payment; OrderState when it is closed."""
        return await self._decide(ref, pay=True)

    async def fail(self, ref: str) -> PayPage:
        """The payer's bank refuses; the payer may try again until the payment expires."""
        return await self._decide(ref, pay=False)

    async def sign_mandate(self, ref: str) -> PayPage:
        """The payer signs a mandate."""
        async with self._db.transaction() as conn:
            row = await conn.fetchrow(
                """UPDATE payments.sandbox_mandate SET state = 'active'
                   WHERE ref = $1 AND state = 'pending' RETURNING mandate_id""",
                ref,
            )
            if row is not None:
                await self._announce(conn, [(Event.MANDATE_SIGNED, row["mandate_id"], ref, None)])
        return await self.mandate_page(ref)

    async def _decide(self, ref: str, *, pay: bool) -> PayPage:
        now = self._clock.now()
        async with self._db.transaction() as conn:
            row = await conn.fetchrow("SELECT * FROM payments.sandbox_payment WHERE ref = $1 FOR UPDATE", ref)
            if row is None:
                raise UnknownPayment
            closed = row["state"] == "expired" or (row["state"] != "paid" and row["expires_at"] <= now)
            if closed:
                raise OrderState("expired", "paid")
            if row["state"] != "paid":
                state, event = ("paid", Event.PAYMENT_SUCCEEDED) if pay else ("failed", Event.PAYMENT_FAILED)
                await conn.execute(
                    "UPDATE payments.sandbox_payment SET state = $2, paid_at = $3 WHERE ref = $1",
                    ref,
                    state,
                    now if pay else None,
                )
                about = (row["order_id"], ref, row["amount_fen"])
                await self._announce(conn, [(Event.PAYMENT_PENDING, *about), (event, *about)])
        return await self.page(ref)

    # -- notifications ------------------------------------------------------------------------------------------------

    async def _announce(self, conn: Any, events: list[tuple[Event, UUID, str, int | None]]) -> None:
        """Queue notifications in the transaction of what they tell."""
        now = self._clock.now()
        if self._faults.reorder:
            events = events[::-1]
        for event, subject_id, ref, amount_fen in events:
            body = _Body(str(new_id()), event, subject_id, ref, amount_fen, now.isoformat())
            for _ in range(self._faults.copies):
                await conn.execute(
                    "INSERT INTO payments.sandbox_notice (body, due_at) VALUES ($1, $2)",
                    msgspec.to_builtins(body),
                    now + timedelta(seconds=self._faults.delay_s),
                )

    async def deliver_due(self, receive: Receive, *, limit: int = BATCH_ROWS) -> int:
        """Send what is due through `receive(headers, body)`; how many were taken.

        At least once: a notification is claimed by moving its next attempt forward before it is sent, so that a crash
        in between only delays it. A refusal (ShanheError) or a lost connection counts as an attempt.
        """
        now = self._clock.now()
        taken = 0
        rows = await self._db.writes.fetch(
            """UPDATE payments.sandbox_notice SET attempts = attempts + 1,
                      due_at = $1 + make_interval(secs => ($3::int[])[attempts + 1])
               WHERE id IN (SELECT id FROM payments.sandbox_notice
                            WHERE delivered_at IS NULL AND due_at <= $1 AND attempts < $4
                            ORDER BY due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED)
               RETURNING id, body""",
            now,
            limit,
            list(RETRY_WAITS_S),
            len(RETRY_WAITS_S),
        )
        for row in sorted(rows, key=lambda row: int(row["id"])):
            body = msgspec.json.encode(row["body"])
            headers = signing.sign(self._key, body, nonce=secrets.token_hex(16), now=now)
            try:
                await receive(headers, body)
            except (ShanheError, OSError, TimeoutError):
                continue
            await self._db.execute(
                "UPDATE payments.sandbox_notice SET delivered_at = $2 WHERE id = $1", row["id"], self._clock.now()
            )
            taken += 1
        return taken
