"""Decides what happens to an order: every change of state goes through here, none across a network call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

import structlog

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import AMOUNT_MAX
from shanhe.kernel.paging import every
from shanhe.kernel.texts import check_line
from shanhe.payments import store
from shanhe.payments.errors import (
    AmountMismatch,
    AmountOutOfBounds,
    NotificationLate,
    NotificationMalformed,
    NotificationReplayed,
    OrderConflict,
    OrderState,
    UnknownPayment,
    UnknownProvider,
)
from shanhe.payments.model import (
    NEXT,
    Event,
    Mandate,
    MandateState,
    Notification,
    Order,
    OrderRequest,
    Provider,
    Refund,
    RefundState,
    Reply,
    State,
    Stray,
    Verdict,
)
from shanhe.payments.refunds import POLL_AGE_S, REFUND_EVENTS, REPAIRED_LATER, RefundHandler, Refunds

BATCH_ROWS = 100
BATCHES_MAX = 10
BODY_LIMIT_BYTES = 65_536
TEXT_LIMIT_CHARS = 200
REFERENCE_LIMIT_CHARS = 128
PAGE_ROWS = 100
DAY_ROWS = 100_000

Handler = Callable[[Order], Awaitable[None]]
Due = TypeVar("Due", Order, Refund)

log = structlog.get_logger(__name__)


class Payments:
    """Orders and their money. `providers` maps a method's name to its provider."""

    def __init__(self, db: Database, clock: Clock, providers: Mapping[str, Provider]) -> None:
        self._db = db
        self._clock = clock
        self._providers = dict(providers)
        self._handlers: dict[str, Handler] = {}
        self._refunds = Refunds(db, clock, self._provider)

    def subscribe(self, purpose: str, handler: Handler) -> None:
        """Have `handler(order)` called when an order of `purpose` is paid, refunded or expired.

        The handler must be idempotent and ends with `acknowledge`; what it fails to do is offered again by
        `outstanding`, so a crash between money and posting is repaired.
        """
        self._handlers[purpose] = handler

    def methods(self) -> list[str]:
        return sorted(self._providers)

    # -- ordering -----------------------------------------------------------------------------------------------------

    async def create(self, request: OrderRequest) -> Order:
        """Create the order and register it at the provider; the same request again gives the same order.

        Raises AmountOutOfBounds, OrderConflict, UnknownProvider, UnknownPayment (a mandate that is not active) and
        ProviderUnavailable, after which the same request continues where it stopped.
        """
        provider = self._provider(request.provider)
        _check(request, provider)
        mandate = await self._usable_mandate(request)
        now = self._clock.now()
        async with self._db.transaction() as conn:
            order = await store.insert_order(
                conn,
                request.id or new_id(),
                request,
                now=now,
                expires_at=now + timedelta(seconds=provider.order_life_s),
            )
        _same(request, order)
        if order.state not in (State.CREATED, State.PENDING) or order.redirect_url is not None:
            return order
        created = await (provider.create(order) if mandate is None else provider.charge(order, mandate))
        async with self._db.transaction() as conn:
            held = await self._locked(conn, order.id)
            if held.state is not State.CREATED:  # its notification was faster
                return await store.set_redirect(conn, held.id, created)
            return await store.move(
                conn,
                held,
                State.PENDING,
                cause="registered at the provider",
                now=self._clock.now(),
                provider_ref=created.provider_ref,
                created=created,
            )

    async def order(self, order_id: UUID, *, org_id: UUID | None = None) -> Order:
        """The order; UnknownPayment when absent or of another organisation."""
        found = await store.order(self._db, order_id)
        if found is None or (org_id is not None and found.org_id != org_id):
            raise UnknownPayment("order")
        return found

    async def orders(self, org_id: UUID, *, before: UUID | None = None, limit: int = PAGE_ROWS) -> list[Order]:
        """An organisation's orders, newest first, a page at a time."""
        return await store.orders_of(self._db, org_id, before=before, limit=min(max(limit, 1), PAGE_ROWS))

    async def paid_between(self, since: datetime, until: datetime) -> list[Order]:
        """Orders that were paid in [since, until), refunded ones too; at most DAY_ROWS."""
        return await store.paid_between(self._db, since, until, DAY_ROWS)

    async def refunded_between(self, since: datetime, until: datetime) -> list[Refund]:
        """Refunds that succeeded in [since, until); at most DAY_ROWS."""
        return await self._refunds.succeeded(since, until, DAY_ROWS)

    async def history(self, order_id: UUID) -> list[dict[str, Any]]:
        """Every change of state with its cause and time."""
        return await store.events(self._db, order_id)

    async def cancel(self, order_id: UUID, *, org_id: UUID | None = None) -> Order:
        """Close an unpaid order at the provider, then here. A payment that was faster wins."""
        order = await self.order(order_id, org_id=org_id)
        if order.state is State.EXPIRED:
            return order
        if State.EXPIRED not in NEXT[order.state]:
            raise OrderState(order.state, "cancelled")
        return await self._close(order, cause="cancelled")

    async def confirm(self, order_id: UUID, *, provider: str, paid_at: datetime, cause: str) -> Order:
        """Adopt a payment over the order's amount that a statement has shown; a closed order stays closed."""
        order = await self.order(order_id)
        if order.provider != provider:
            raise UnknownPayment("order")
        return await self._adopt(order, State.PAID, None, order.amount_fen, paid_at, cause)

    # -- what providers tell ------------------------------------------------------------------------------------------

    async def notify(self, provider_name: str, headers: Mapping[str, str], body: bytes) -> Verdict:
        """Verify and apply one asynchronous notification.

        A duplicate, or one overtaken by a later state, is accepted and changes nothing. Raises NotificationForged,
        NotificationLate, NotificationReplayed, NotificationMalformed, UnknownPayment or AmountMismatch, having changed
        nothing: the nonce is spent in the transaction that applies the effect.
        """
        provider = self._provider(provider_name)
        if len(body) > BODY_LIMIT_BYTES:
            raise NotificationMalformed("the body is too large")
        notification = provider.verify(headers, body, self._clock.now())
        try:
            verdict, order = await self._accept(notification)
        except (AmountMismatch, NotificationLate, UnknownPayment) as refusal:
            await self._keep_stray(notification, refusal)
            raise
        if verdict.changed and notification.event in REFUND_EVENTS:
            await self._refunds.tell(notification.subject_id)
        if order is not None and verdict.changed:
            await self._tell(order)
        return verdict

    def reply(self, provider_name: str, verdict: Verdict | None, error: ShanheError | None) -> Reply:
        """The answer to a notification as its institution expects it."""
        return self._provider(provider_name).reply(verdict, error)

    async def _accept(self, notification: Notification) -> tuple[Verdict, Order | None]:
        async with self._db.transaction() as conn:
            if not await store.spend_nonce(conn, notification, self._clock.now()):
                raise NotificationReplayed
            verdict, order = await self._apply(conn, notification)
            if verdict.changed:
                await store.mark_changed(conn, notification)
        return verdict, order

    async def _keep_stray(self, notification: Notification, refusal: ShanheError) -> None:
        """Money that a verified message tells of and that nothing here can be booked to stays visible."""
        if notification.event is not Event.PAYMENT_SUCCEEDED or not 0 < (notification.amount_fen or 0) <= AMOUNT_MAX:
            return
        why = {"amount_mismatch": "other_amount", "notification_late": "late"}.get(refusal.code, "unknown_order")
        await store.insert_stray(self._db, new_id(), notification, why, self._clock.now())

    async def strays(self, *, since: datetime, until: datetime, limit: int = PAGE_ROWS) -> list[Stray]:
        """Payments that were told of and could not be booked, seen in [since, until)."""
        return await store.strays(self._db, since, until, limit)

    async def _apply(self, conn: Any, notification: Notification) -> tuple[Verdict, Order | None]:
        if notification.event in (Event.MANDATE_SIGNED, Event.MANDATE_REVOKED):
            return await self._apply_mandate(conn, notification), None
        if notification.event in REFUND_EVENTS:
            return await self._refunds.apply(conn, notification)
        order = await store.order(conn, notification.subject_id, lock=True)
        if order is None or order.provider != notification.provider:
            raise UnknownPayment("order")
        if order.provider_ref not in (None, notification.provider_ref):
            raise UnknownPayment("order")
        if notification.amount_fen != order.amount_fen:
            raise AmountMismatch(order.amount_fen, notification.amount_fen)
        to = {
            Event.PAYMENT_PENDING: State.PENDING,
            Event.PAYMENT_SUCCEEDED: State.PAID,
            Event.PAYMENT_FAILED: State.FAILED,
        }[notification.event]
        if to is State.PAID and order.state is State.EXPIRED:
            raise NotificationLate("its order was closed before; the money goes back to the payer")
        if to not in NEXT[order.state]:
            return Verdict(order.id, notification.event, changed=False, state=order.state), order
        moved = await store.move(
            conn,
            order,
            to,
            cause=f"notification {notification.event_id}",
            now=self._clock.now(),
            provider_ref=notification.provider_ref,
            paid_at=notification.occurred_at if to is State.PAID else None,
        )
        return Verdict(order.id, notification.event, changed=True, state=moved.state), moved

    async def _apply_mandate(self, conn: Any, notification: Notification) -> Verdict:
        mandate = await store.mandate(conn, notification.subject_id, lock=True)
        if mandate is None or mandate.provider != notification.provider:
            raise UnknownPayment("mandate")
        if mandate.provider_ref not in (None, notification.provider_ref):
            raise UnknownPayment("mandate")
        to = MandateState.ACTIVE if notification.event is Event.MANDATE_SIGNED else MandateState.REVOKED
        changed = mandate.state not in (to, MandateState.REVOKED)
        if changed:
            await store.set_mandate_state(conn, mandate.id, to, self._clock.now())
        return Verdict(mandate.id, notification.event, changed=changed, state=to if changed else mandate.state)

    # -- money back ---------------------------------------------------------------------------------------------------

    def subscribe_refunds(self, purpose: str, handler: RefundHandler) -> None:
        """Have `handler(order, refund)` called when a refund of an order of `purpose` succeeded or failed.

        Like `subscribe`: idempotent, ends with `acknowledge_refund`, offered again by `outstanding_refunds`.
        """
        self._refunds.handlers[purpose] = handler

    async def refund(
        self,
        order_id: UUID,
        amount_fen: int,
        *,
        client_ref: str,
        reason: str,
        actor: str,
        refund_id: UUID | None = None,
    ) -> Refund:
        """Send `amount_fen` of a paid order back to its payer; the outcome comes as a notification.

        Idempotent by (order, client_ref); `refund_id` names a new one. Succeeded refunds and those that still may
        succeed never exceed what was paid. Raises OrderState, AmountOutOfBounds (more than is left), OrderConflict,
        and ProviderUnavailable, after which the refund stands and is sent again by `sweep`.
        """
        check_line("client_ref", client_ref, REFERENCE_LIMIT_CHARS)
        return await self._refunds.ask(order_id, amount_fen, client_ref, reason[:TEXT_LIMIT_CHARS], actor, refund_id)

    async def refund_of(self, refund_id: UUID) -> Refund:
        """UnknownPayment when there is none."""
        return await self._refunds.get(refund_id)

    async def end_refund(self, refund_id: UUID, to: RefundState) -> bool:
        """End a refund that a statement or an operator has shown to be over; False when it had ended otherwise."""
        changed, order = await self._refunds.end(refund_id, to)
        if changed and order is not None:
            await self._tell(order)
        return (await self.refund_of(refund_id)).state is to

    async def refunds(self, order_id: UUID) -> list[Refund]:
        """Every refund of an order, oldest first."""
        return await self._refunds.of(order_id)

    async def outstanding_refunds(self, purpose: str) -> AsyncIterator[tuple[Order, Refund]]:
        """Refunds that ended and were not acknowledged, oldest first, a bounded number."""
        async for refund in _in_turn(partial(self._refunds.outstanding, purpose)):
            yield await self.order(refund.order_id), refund

    async def acknowledge_refund(self, refund: Refund, reference: UUID | None = None) -> None:
        """Say that everything due for the refund's outcome is done; `reference` is the posting, if one was made."""
        await self._refunds.acknowledge(refund, reference)

    # -- stored mandates ----------------------------------------------------------------------------------------------

    async def authorise(self, org_id: UUID, *, client_ref: str, provider: str, limit_fen: int) -> Mandate:
        """Ask for permission to charge up to `limit_fen` at a time; the payer signs at `redirect_url`."""
        chosen = self._provider(provider)
        check_line("client_ref", client_ref, REFERENCE_LIMIT_CHARS)
        _check_amount(limit_fen, chosen)
        mandate = await store.insert_mandate(
            self._db.writes, new_id(), org_id, client_ref, provider, limit_fen, self._clock.now()
        )
        if (mandate.provider, mandate.limit_fen) != (provider, limit_fen):
            raise OrderConflict(client_ref)
        if mandate.provider_ref is not None:
            return mandate
        created = await chosen.authorise(mandate)
        return await store.set_mandate_created(self._db, mandate.id, created.provider_ref, created.redirect_url)

    async def mandate(self, mandate_id: UUID, *, org_id: UUID | None = None) -> Mandate:
        found = await store.mandate(self._db, mandate_id)
        if found is None or (org_id is not None and found.org_id != org_id):
            raise UnknownPayment("mandate")
        return found

    async def unsigned(self, prefix: str, until: datetime, since: datetime) -> AsyncIterator[Mandate]:
        """Mandates that wait for a signature, of those who name them so, asked for between two instants."""
        async for mandate in every(partial(store.unsigned, self._db, prefix, until, since)):
            yield mandate

    async def revoke(self, mandate_id: UUID, *, org_id: UUID | None = None) -> Mandate:
        """Withdraw the permission: here first, so that nothing is charged even if the provider is away."""
        mandate = await self.mandate(mandate_id, org_id=org_id)
        await store.set_mandate_state(self._db, mandate_id, MandateState.REVOKED, self._clock.now())
        await self._provider(mandate.provider).revoke(mandate)
        return await self.mandate(mandate_id)

    async def _usable_mandate(self, request: OrderRequest) -> Mandate | None:
        if request.mandate_id is None:
            return None
        mandate = await self.mandate(request.mandate_id, org_id=request.org_id)
        if mandate.state is not MandateState.ACTIVE or mandate.provider != request.provider:
            raise UnknownPayment("active mandate")
        if request.amount_fen > mandate.limit_fen:
            raise AmountOutOfBounds(request.amount_fen, 1, mandate.limit_fen)
        return mandate

    # -- for whoever ordered ------------------------------------------------------------------------------------------

    async def outstanding(self, purpose: str) -> AsyncIterator[Order]:
        """Paid, refunded or expired orders that were not acknowledged, oldest first, a bounded number."""
        async for order in _in_turn(partial(store.unsettled, self._db, purpose)):
            yield order

    async def acknowledge(self, order: Order, reference: UUID | None = None) -> None:
        """Say that everything due for the order in this state is done; `reference` is the posting, if one was made."""
        await store.settle(self._db, order.id, order.state, reference, self._clock.now())

    # -- repair, called by the jobs worker ----------------------------------------------------------------------------

    async def sweep(self) -> int:
        """Ask providers about orders without an outcome, close the expired ones, resend refunds; how many moved."""
        now = self._clock.now()
        moved = 0
        stale = await store.open_orders(self._db, checked_before=now - timedelta(seconds=POLL_AGE_S), limit=BATCH_ROWS)
        for order in stale:
            await store.touch(self._db, order.id, now)
            try:
                moved += (await self._resolve(order)).state is not order.state
            except ShanheError as error:  # one order's trouble does not keep the others waiting
                log.warning("order was not resolved", provider=order.provider, order=str(order.id), error=error.code)
        for order in await self._refunds.sweep(now):
            moved += 1
            await self._tell(order)
        return moved

    async def _resolve(self, order: Order) -> Order:
        if order.expires_at <= self._clock.now():
            return await self._close(order, cause="not paid in time")
        try:
            told = await self._provider(order.provider).query(order)
        except UnknownPayment:
            return order  # never registered: a crash before the provider was reached; the order runs out
        return await self._adopt(order, told.state, told.provider_ref, told.amount_fen, told.paid_at, "query")

    async def _close(self, order: Order, *, cause: str) -> Order:
        try:
            told = await self._provider(order.provider).close(order)
        except UnknownPayment:
            return await self._adopt(order, State.EXPIRED, None, order.amount_fen, None, cause)
        return await self._adopt(order, told.state, told.provider_ref, told.amount_fen, told.paid_at, cause)

    async def _adopt(
        self, order: Order, to: State, provider_ref: str | None, amount_fen: int, paid_at: Any, cause: str
    ) -> Order:
        if amount_fen != order.amount_fen:
            raise AmountMismatch(order.amount_fen, amount_fen)
        async with self._db.transaction() as conn:
            held = await self._locked(conn, order.id)
            if to not in NEXT[held.state]:
                return held
            moved = await store.move(
                conn, held, to, cause=cause, now=self._clock.now(), provider_ref=provider_ref, paid_at=paid_at
            )
        await self._tell(moved)
        return moved

    # -- small helpers ------------------------------------------------------------------------------------------------

    async def _tell(self, order: Order) -> None:
        handler = self._handlers.get(order.purpose)
        if handler is None or order.state not in (State.PAID, State.REFUNDED, State.EXPIRED):
            return
        try:
            await handler(order)
        except REPAIRED_LATER as error:  # the money's state is kept; `outstanding` offers the order again
            log.warning("order was not settled yet", order=str(order.id), state=order.state, error=str(error))

    async def _locked(self, conn: Any, order_id: UUID) -> Order:
        order = await store.order(conn, order_id, lock=True)
        if order is None:
            raise UnknownPayment("order")
        return order

    def _provider(self, name: str) -> Provider:
        provider = self._providers.get(name)
        if provider is None:
            raise UnknownProvider(name)
        return provider


def _check(request: OrderRequest, provider: Provider) -> None:
    check_line("client_ref", request.client_ref, REFERENCE_LIMIT_CHARS)
    check_line("subject", request.subject)
    _check_amount(request.amount_fen, provider)
    path = request.return_path
    if not path.startswith("/") or path.startswith(("//", "/\\")) or not path.isprintable() or "\\" in path:
        raise Invalid(
            "return_path",
            "The return path must be a path on this site, like /topup.",
            message_zh="返回地址必须是本站路径，例如 /topup。",
        )


def _check_amount(amount_fen: int, provider: Provider) -> None:
    limits = provider.limits
    if not limits.least_fen <= amount_fen <= limits.most_fen:
        raise AmountOutOfBounds(amount_fen, limits.least_fen, limits.most_fen)


def _same(request: OrderRequest, order: Order) -> None:
    wanted = (request.purpose, request.provider, request.amount_fen, request.mandate_id)
    if wanted != (order.purpose, order.provider, order.amount_fen, order.mandate_id) or request.id not in (
        None,
        order.id,
    ):
        raise OrderConflict(request.client_ref)


async def _in_turn(page: Callable[[UUID | None, int], Awaitable[list[Due]]]) -> AsyncIterator[Due]:
    """What waits, page after page: what stays where it is keeps nothing behind it waiting."""
    after: UUID | None = None
    for _ in range(BATCHES_MAX):
        found = await page(after, BATCH_ROWS)
        for one in found:
            yield one
        if len(found) < BATCH_ROWS:
            return
        after = found[-1].id
