"""Money back: refunds of paid orders, each asked for once, its outcome told to whoever ordered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.payments import refund_store, store
from shanhe.payments.errors import (
    AmountMismatch,
    AmountOutOfBounds,
    OrderConflict,
    OrderState,
    ProviderRefused,
    UnknownPayment,
)
from shanhe.payments.model import Event, Notification, Order, Provider, Refund, RefundState, State, Verdict

POLL_AGE_S = 60
"""What has no outcome is asked about at the provider after this long (a notification may be lost)."""
BATCH_ROWS = 100
REFUND_EVENTS = frozenset({Event.REFUND_SUCCEEDED, Event.REFUND_FAILED})
REPAIRED_LATER = (ShanheError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)

RefundHandler = Callable[[Order, Refund], Awaitable[None]]

log = structlog.get_logger(__name__)


class Refunds:
    """Refunds of one city. `handlers` by the purpose of the refunded order."""

    def __init__(self, db: Database, clock: Clock, provider: Callable[[str], Provider]) -> None:
        self._db = db
        self._clock = clock
        self._provider = provider
        self.handlers: dict[str, RefundHandler] = {}

    async def ask(
        self, order_id: UUID, amount_fen: int, client_ref: str, reason: str, actor: str, refund_id: UUID | None
    ) -> Refund:
        async with self._db.transaction() as conn:
            order = await _locked(conn, order_id)
            refund = await refund_store.refund_by_ref(conn, order_id, client_ref)
            if refund is None:
                if order.state is not State.PAID:
                    raise OrderState(order.state, "refunded")
                left_fen = order.amount_fen - await refund_store.promised_fen(conn, order_id)
                if not 0 < amount_fen <= left_fen:
                    raise AmountOutOfBounds(amount_fen, 1, left_fen)
                refund = await refund_store.insert_refund(
                    conn, order, client_ref, amount_fen, reason, actor, refund_id or new_id(), self._clock.now()
                )
            elif refund.amount_fen != amount_fen or refund_id not in (None, refund.id):
                raise OrderConflict(client_ref)
        return await self._send(order, refund)

    async def get(self, refund_id: UUID) -> Refund:
        refund = await refund_store.refund(self._db, refund_id)
        if refund is None:
            raise UnknownPayment("refund")
        return refund

    async def of(self, order_id: UUID) -> list[Refund]:
        return await refund_store.refunds_of(self._db, order_id)

    async def succeeded(self, since: datetime, until: datetime, limit: int) -> list[Refund]:
        return await refund_store.succeeded_between(self._db, since, until, limit)

    async def outstanding(self, purpose: str, after: UUID | None, limit: int) -> list[Refund]:
        return await refund_store.unsettled(self._db, purpose, after, limit)

    async def acknowledge(self, refund: Refund, reference: UUID | None) -> None:
        await refund_store.settle(self._db, refund.id, reference, self._clock.now())

    async def _send(self, order: Order, refund: Refund) -> Refund:
        if refund.state is not RefundState.REQUESTED or refund.provider_ref is not None:
            return refund
        return await self._ask(order, refund)

    async def _ask(self, order: Order, refund: Refund) -> Refund:
        try:
            reference = await self._provider(order.provider).refund(order, refund)
        except ProviderRefused:
            await self._refused(order, refund)
            raise
        await refund_store.set_refund_ref(self._db, refund.id, reference)
        return replace(refund, provider_ref=reference)

    async def _refused(self, order: Order, refund: Refund) -> None:
        """The institution said no. Where it knows nothing of the refund it has failed, and is asked for under another
        number if at all: asked for again by itself, it might be paid after it was paid another way."""
        try:
            await self._provider(order.provider).refund_state(order, refund)
        except UnknownPayment:
            await self.end(refund.id, RefundState.FAILED)

    # -- outcomes -----------------------------------------------------------------------------------------------------

    async def apply(self, conn: Any, notification: Notification) -> tuple[Verdict, Order | None]:
        """Apply a verified notification in the caller's transaction."""
        refund = await refund_store.refund(conn, notification.subject_id)
        if refund is None:
            raise UnknownPayment("refund")
        order = await _locked(conn, refund.order_id)
        if order.provider != notification.provider:
            raise UnknownPayment("refund")
        if notification.amount_told and notification.amount_fen != refund.amount_fen:
            raise AmountMismatch(refund.amount_fen, notification.amount_fen)
        to = RefundState.SUCCEEDED if notification.event is Event.REFUND_SUCCEEDED else RefundState.FAILED
        changed, told = await self._end(conn, order, refund.id, to)
        state = to if changed else (await self._again(conn, refund.id)).state
        return Verdict(refund.id, notification.event, changed=changed, state=state), told

    async def end(self, refund_id: UUID, to: RefundState) -> tuple[bool, Order | None]:
        """End a refund on what was found otherwise (a query, a bank statement); False when it had ended before."""
        refund = await self.get(refund_id)
        async with self._db.transaction() as conn:
            order = await _locked(conn, refund.order_id)
            changed, told = await self._end(conn, order, refund_id, to)
        if changed:
            await self.tell(refund_id)
        return changed, told

    async def _end(self, conn: Any, order: Order, refund_id: UUID, to: RefundState) -> tuple[bool, Order | None]:
        """The order is locked; returns whether this ended the refund, and the order when money went back."""
        refund = await self._again(conn, refund_id)
        if refund.state is not RefundState.REQUESTED:
            return False, order
        now = self._clock.now()
        await refund_store.decide_refund(conn, refund.id, to, now)
        if to is RefundState.FAILED:
            return True, None
        order = await refund_store.add_refunded(conn, order.id, refund.amount_fen)
        if order.refunded_fen == order.amount_fen:
            order = await store.move(conn, order, State.REFUNDED, cause=f"refund {refund.id}", now=now)
        return True, order

    async def _again(self, conn: Any, refund_id: UUID) -> Refund:
        refund = await refund_store.refund(conn, refund_id, lock=True)
        if refund is None:
            raise UnknownPayment("refund")
        return refund

    async def tell(self, refund_id: UUID) -> None:
        """Call whoever ordered; what they fail to do is offered again by `outstanding`."""
        refund = await self.get(refund_id)
        order = await store.order(self._db, refund.order_id)
        handler = self.handlers.get(order.purpose) if order is not None else None
        if order is None or handler is None:
            return
        try:
            await handler(order, refund)
        except REPAIRED_LATER as error:
            log.warning("refund was not settled yet", refund=str(refund.id), state=refund.state, error=str(error))

    # -- repair -------------------------------------------------------------------------------------------------------

    async def sweep(self, now: datetime) -> list[Order]:
        """Send what the provider has not taken, ask about what has no outcome; orders that money left."""
        moved = []
        before = now - timedelta(seconds=POLL_AGE_S)
        for refund in await refund_store.open_refunds(self._db, checked_before=before, limit=BATCH_ROWS):
            await refund_store.touch(self._db, refund.id, now)
            try:
                order = await self._resolve(refund)
            except ShanheError as error:  # one refund's trouble does not keep the others waiting
                log.warning("provider did not decide a refund", refund=str(refund.id), error=error.code)
                continue
            if order is not None:
                moved.append(order)
        return moved

    async def _resolve(self, refund: Refund) -> Order | None:
        order = await store.order(self._db, refund.order_id)
        if order is None:
            raise UnknownPayment("order")
        if refund.provider_ref is None:
            await self._send(order, refund)
            return None
        try:
            state = await self._provider(order.provider).refund_state(order, refund)
        except UnknownPayment:  # the provider lost it: ask again under the same id
            await self._ask(order, refund)
            return None
        if state is RefundState.REQUESTED:
            return None
        changed, told = await self.end(refund.id, state)
        return told if changed else None


async def _locked(conn: Any, order_id: UUID) -> Order:
    order = await store.order(conn, order_id, lock=True)
    if order is None:
        raise UnknownPayment("order")
    return order
