"""Quote, purchase, settlement of paid orders, operator top-up, wallet."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog

from shanhe.credits import booking, dip, messages, policy, rule_store, store
from shanhe.credits.errors import (
    PurchaseClosed,
    PurchaseConflict,
    QuoteChanged,
    UnknownPurchase,
    UnknownQuote,
    ValueOutOfBounds,
)
from shanhe.credits.model import Payer, PayerOf, Priced, Purchase, PurchaseState, Quote, Source, Wallet
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals
from shanhe.kernel.texts import check_line
from shanhe.ledger.api import Ledger
from shanhe.payments.api import ORDER_LIFE_S, Order, OrderRequest, Payments, State, UnknownPayment
from shanhe.rulebook.api import Rulebook

PURPOSE = "credits"
QUOTE_LIFE_S = 900
REPAIR_AGE_S = 60
VALUE_LIMIT_FEN = 10_000_000_000
"""Largest list value of one purchase; keeps every product of the decision inside 64 bits."""
TOP_UP_LIMIT_MICRO = 10**15
PAGE_ROWS = 100
BATCH_ROWS = 100
REASON_FIELD = "purchase.reason"
MANUAL_METHODS = frozenset({"bank_transfer", "cash_desk"})

log = structlog.get_logger(__name__)


class Purchases:
    """Everything between wanting credits and having them. Subscribes to paid orders at `payments`."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        ledger: Ledger,
        rulebook: Rulebook,
        payments: Payments,
        notifier: Notifier,
        payer: PayerOf,
        seals: Seals | None = None,
    ) -> None:
        self._seals = seals or Seals()
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._rulebook = rulebook
        self._payments = payments
        self._notifier = notifier
        self._payer = payer
        payments.subscribe(PURPOSE, self.settle)

    # -- wanting ------------------------------------------------------------------------------------------------------

    async def quote(self, org_id: UUID, value_fen: int) -> Quote:
        """What credits of list value `value_fen` cost this organisation now, with the decision's trace.

        A quote promises nothing: the purchase decides again, with the beneficiary's other purchases in a line.
        """
        _check_value(value_fen)
        payer = await self._payer(org_id)
        today = self._clock.today()
        used_fen = await store.used_fen(self._db, (payer.beneficiary, *payer.sharing), today.year)
        priced, left_fen = policy.price(self._rulebook, payer, value_fen, used_fen=used_fen, on=today)
        now = self._clock.now()
        quote = Quote(
            new_id(),
            org_id,
            payer.beneficiary,
            today.year,
            priced,
            left_fen,
            now,
            now + timedelta(seconds=QUOTE_LIFE_S),
        )
        await store.insert_quote(self._db, quote)
        return quote

    async def purchase(
        self,
        org_id: UUID,
        *,
        client_ref: str,
        value_fen: int | None = None,
        quote_id: UUID | None = None,
        method: str = "sandbox",
        actor: str,
        return_path: str | None = None,
    ) -> Purchase:
        """Order credits; `redirect_url` is where the payer pays, `return_path` (default: its own page) where they
        come back to. Idempotent by (organisation, client_ref).

        Give `quote_id` to buy at that price or get QuoteChanged, or `value_fen` to buy at today's. The discount is
        decided and reserved under the beneficiary's lock; an order that is not paid gives it back.
        """
        check_line("client_ref", client_ref, 128)
        quoted = await self._quoted(org_id, quote_id)
        value_fen = quoted.value_fen if quoted else value_fen
        if value_fen is None:
            raise Invalid("no_value", "Give quote_id or value_fen.", message_zh="请提供 quote_id 或 value_fen。")
        _check_value(value_fen)
        purchase = await store.purchase_by_ref(self._db, org_id, client_ref)
        if purchase is None:
            if method not in self._payments.methods():
                raise Invalid("unknown_method", "There is no such payment method.", message_zh="没有该支付方式。")
            payer = await self._payer(org_id)
            purchase = await self._reserve(payer, value_fen, client_ref, method, actor, quoted)
        if (purchase.priced.value_fen, purchase.method, purchase.source) != (value_fen, method, Source.PAYER):
            raise PurchaseConflict(client_ref)
        return await self.place(purchase, return_path=return_path)

    async def _quoted(self, org_id: UUID, quote_id: UUID | None) -> Priced | None:
        if quote_id is None:
            return None
        quote = await store.quote(self._db, quote_id, org_id)
        if quote is None or quote.expires_at <= self._clock.now():
            raise UnknownQuote
        return quote.priced

    async def _reserve(
        self, payer: Payer, value_fen: int, client_ref: str, method: str, actor: str, quoted: Priced | None
    ) -> Purchase:
        async with self._db.transaction() as conn:
            purchase = await self.reserve(
                conn, payer, value_fen, client_ref=client_ref, method=method, actor=actor, source=Source.PAYER
            )
            if quoted is not None and quoted.paid_fen != purchase.priced.paid_fen:
                raise QuoteChanged(quoted.paid_fen, purchase.priced.paid_fen)
        return purchase

    async def reserve(
        self, conn: Any, payer: Payer, value_fen: int, *, client_ref: str, method: str, actor: str, source: Source
    ) -> Purchase:
        """Decide under the beneficiary's lock and promise the benefit; returns the stored purchase.

        The year is the city's calendar year in which the promise is made, whenever the payment arrives.
        """
        today = self._clock.today()
        used_fen = await store.lock_benefit(conn, (payer.beneficiary, *payer.sharing), today.year)
        priced, _ = policy.price(self._rulebook, payer, value_fen, used_fen=used_fen, on=today)
        purchase_id = new_id()
        purchase = Purchase(
            id=purchase_id,
            org_id=payer.org_id,
            client_ref=client_ref,
            source=source,
            method=method,
            actor=actor,
            reason="",
            beneficiary=payer.beneficiary,
            year=today.year,
            priced=priced,
            state=PurchaseState.OPEN,
            order_id=purchase_id,
            posting_id=new_id(),
            created_at=self._clock.now(),
            decided_at=None,
        )
        if await store.insert_purchase(conn, purchase):
            await store.move_benefit(conn, purchase, reserved_fen=priced.benefit_fen, given_fen=0)
            return purchase
        found = await store.purchase_by_ref(conn, payer.org_id, client_ref)
        if found is None:
            raise PurchaseConflict(client_ref)
        return found

    async def order_at_list(
        self, org_id: UUID, value_fen: int, *, client_ref: str, method: str, actor: str, return_path: str | None = None
    ) -> Purchase:
        """Order credits for `value_fen` at list price, without a discount (P2). Idempotent by (organisation, ref)."""
        _check_value(value_fen)
        if method not in self._payments.methods():
            raise Invalid("unknown_method", "There is no such payment method.", message_zh="没有该支付方式。")
        today = self._clock.today()
        quantity = policy.quantity_micro(self._rulebook, value_fen, on=today)
        purchase_id = new_id()
        wanted = Purchase(
            id=purchase_id,
            org_id=org_id,
            client_ref=client_ref,
            source=Source.PAYER,
            method=method,
            actor=actor,
            reason="",
            beneficiary=org_id,
            year=today.year,
            priced=policy.at_list(self._rulebook, quantity, on=today),
            state=PurchaseState.OPEN,
            order_id=purchase_id,
            posting_id=new_id(),
            created_at=self._clock.now(),
            decided_at=None,
        )
        async with self._db.transaction() as conn:
            await store.insert_purchase(conn, wanted)
        purchase = await store.purchase_by_ref(self._db, org_id, client_ref)
        if purchase is None or purchase.priced.value_fen != wanted.priced.value_fen:
            raise PurchaseConflict(client_ref)
        return await self.place(purchase, return_path=return_path)

    async def place(
        self, purchase: Purchase, *, return_path: str | None = None, mandate_id: UUID | None = None
    ) -> Purchase:
        """Create the purchase's payment order, or find the one it has. PurchaseClosed once it has run out."""
        if purchase.state is not PurchaseState.OPEN or purchase.order_id is None:
            return await self._with_order(purchase)
        try:
            order = await self._payments.order(purchase.order_id)
        except UnknownPayment:
            if purchase.created_at + timedelta(seconds=ORDER_LIFE_S) <= self._clock.now():
                raise PurchaseClosed from None
            order = None
        if order is None or (order.state in (State.CREATED, State.PENDING) and order.redirect_url is None):
            order = await self._payments.create(
                OrderRequest(
                    org_id=purchase.org_id,
                    client_ref=f"credits-{purchase.id}",
                    purpose=PURPOSE,
                    provider=purchase.method,
                    amount_fen=purchase.priced.paid_fen,
                    subject="积分充值",
                    return_path=return_path or f"/topup/{purchase.id}",
                    mandate_id=mandate_id,
                    id=purchase.order_id,
                )
            )
        return replace(purchase, redirect_url=order.redirect_url, order_state=order.state)

    async def cancel(self, org_id: UUID, purchase_id: UUID) -> Purchase:
        """Give up an unpaid purchase; its discount is free again. A payment that was faster wins."""
        purchase = await self.get(org_id, purchase_id)
        if purchase.state is PurchaseState.OPEN and purchase.order_id is not None:
            await self._payments.cancel(purchase.order_id)
        return await self.get(org_id, purchase_id)

    # -- having -------------------------------------------------------------------------------------------------------

    async def settle(self, order: Order) -> None:
        """Do what a paid or expired order asks for, once: post and give the benefit, or give the promise back.

        Every step is idempotent and the order is acknowledged last, so whatever a crash leaves is repeated by
        `reconcile`. A refunded order, or money for a purchase that was closed, stays outstanding for an operator.
        """
        purchase = await store.purchase(self._db, order.id)
        if purchase is None:
            raise UnknownPurchase
        if order.state is State.EXPIRED:
            await self.close(purchase)
            await self._payments.acknowledge(order)
            return
        if order.state is not State.PAID or order.paid_at is None or purchase.state is PurchaseState.CLOSED:
            log.error("an order needs an operator", order=str(order.id), state=order.state, purchase=purchase.state)
            return
        if purchase.state is PurchaseState.OPEN:
            terms = policy.terms(self._rulebook, order.paid_at)
            await booking.post(self._ledger, purchase, terms, paid_at=order.paid_at, cash=order.provider)
            await self._posted(purchase)
        await self._payments.acknowledge(order, purchase.posting_id)

    async def _posted(self, purchase: Purchase) -> None:
        now = self._clock.now()
        async with self._db.transaction() as conn:
            if purchase.source is Source.AUTO:  # the rule's row is always locked first
                await rule_store.auto(conn, purchase.org_id, lock=True)
            held = await store.purchase(conn, purchase.id, lock=True)
            if held is None or held.state is not PurchaseState.OPEN:
                return
            benefit_fen = held.priced.benefit_fen
            await store.decide_purchase(conn, held.id, PurchaseState.POSTED, now)
            await store.move_benefit(conn, held, reserved_fen=-benefit_fen, given_fen=benefit_fen)
            if held.source is Source.AUTO:
                await dip.over(conn, held)
            await self._notifier.notify(messages.topped_up(held), conn)

    async def close(self, purchase: Purchase) -> None:
        """End an unpaid purchase and give its promised benefit back."""
        now = self._clock.now()
        async with self._db.transaction() as conn:
            if purchase.source is Source.AUTO:
                await rule_store.auto(conn, purchase.org_id, lock=True)
            held = await store.purchase(conn, purchase.id, lock=True)
            if held is None or held.state is not PurchaseState.OPEN:
                return
            await store.decide_purchase(conn, held.id, PurchaseState.CLOSED, now)
            await store.move_benefit(conn, held, reserved_fen=-held.priced.benefit_fen, given_fen=0)
            if held.source is Source.AUTO:
                await dip.failed(conn, held, now, self._notifier)

    # -- repair -------------------------------------------------------------------------------------------------------

    async def reconcile(self) -> int:
        """Settle what was paid or closed but not acknowledged, and end purchases that never became an order."""
        settled = 0
        async for order in self._payments.outstanding(PURPOSE):
            try:
                await self.settle(order)
                settled += 1
            except ShanheError as error:  # one order's trouble does not keep the others waiting
                log.warning("order is still not settled", order=str(order.id), error=error.code)
        return settled + await self._end_stale()

    async def _end_stale(self) -> int:
        now = self._clock.now()
        ended = 0
        stale = await store.stale_purchases(
            self._db, auto=False, checked_before=now - timedelta(seconds=REPAIR_AGE_S), limit=BATCH_ROWS
        )
        for purchase in stale:
            await store.touch_purchase(self._db, purchase.id, now)
            if purchase.created_at + timedelta(seconds=2 * ORDER_LIFE_S) > now:
                continue
            ended += await self.end(purchase)
        await store.drop_quotes(self._db, now - timedelta(days=1), BATCH_ROWS)
        return ended

    async def end(self, purchase: Purchase) -> bool:
        """End a purchase that a crash left open and nobody came back to; not one with an order, which its payment or
        its time will end."""
        if purchase.order_id is None:  # an operator's: it stands if it was posted, else it never was
            if await booking.is_posted(self._ledger, purchase):
                await self._posted(purchase)
            else:
                await self.close(purchase)
            return True
        try:
            await self._payments.order(purchase.order_id)
        except UnknownPayment:
            await self.close(purchase)
            return True
        return False

    # -- an operator's top-up -----------------------------------------------------------------------------------------

    async def top_up(
        self,
        org_id: UUID,
        amount_micro: int,
        reason: str,
        actor: str,
        *,
        method: str = "bank_transfer",
        client_ref: str | None = None,
    ) -> Purchase:
        """Book credits paid outside (bank transfer or cash desk) at list price, as a purchased lot.

        No discount: the payer gets that by buying. The cash side is `amount × list price`, half-even to the fen.
        Idempotent by (organisation, client_ref) when a reference is given.
        """
        reference = client_ref or f"operator-{new_id()}"
        self.check_top_up(amount_micro, reason, method, reference)
        purchase = await store.purchase_by_ref(self._db, org_id, reference)
        if purchase is None:
            purchase = await self._manual(org_id, amount_micro, reason, actor, method, reference)
        known = (await self._opened(purchase)).reason
        same = (purchase.source, purchase.method, purchase.priced.quantity_micro, known)
        if same != (Source.OPERATOR, method, amount_micro, reason):
            raise PurchaseConflict(reference)
        if purchase.state is PurchaseState.CLOSED:
            raise PurchaseClosed
        if purchase.state is PurchaseState.OPEN:
            terms = policy.terms(self._rulebook, purchase.created_at)
            await booking.post(self._ledger, purchase, terms, paid_at=purchase.created_at, cash=method)
            await self._posted(purchase)
        return await self.get(org_id, purchase.id)

    def check_top_up(self, amount_micro: int, reason: str, method: str, client_ref: str) -> None:
        """Whether a top-up would be booked as it is asked for; ValueOutOfBounds or Invalid."""
        if not 0 < amount_micro <= TOP_UP_LIMIT_MICRO:
            raise ValueOutOfBounds(1, TOP_UP_LIMIT_MICRO, "µ")
        if method not in MANUAL_METHODS:
            raise Invalid(
                "unknown_method",
                "An operator books bank_transfer or cash_desk.",
                message_zh="运营充值方式只能是 bank_transfer（银行转账）或 cash_desk（现金柜台）。",
            )
        check_line("reason", reason)
        check_line("client_ref", client_ref, 128)

    async def _manual(
        self, org_id: UUID, amount_micro: int, reason: str, actor: str, method: str, reference: str
    ) -> Purchase:
        now = self._clock.now()
        today = self._clock.today()
        purchase = Purchase(
            id=new_id(),
            org_id=org_id,
            client_ref=reference,
            source=Source.OPERATOR,
            method=method,
            actor=actor,
            reason=await self._seals.seal(org_id, REASON_FIELD, reason),
            beneficiary=org_id,
            year=today.year,
            priced=policy.at_list(self._rulebook, amount_micro, on=today),
            state=PurchaseState.OPEN,
            order_id=None,
            posting_id=new_id(),
            created_at=now,
            decided_at=None,
        )
        async with self._db.transaction() as conn:
            await store.insert_purchase(conn, purchase)
        found = await store.purchase_by_ref(self._db, org_id, reference)
        if found is None:
            raise UnknownPurchase
        return found

    async def payer(self, org_id: UUID) -> Payer:
        """The organisation's facts for the purchase rule."""
        return await self._payer(org_id)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def get(self, org_id: UUID, purchase_id: UUID) -> Purchase:
        """UnknownPurchase when absent or of another organisation."""
        purchase = await store.purchase(self._db, purchase_id)
        if purchase is None or purchase.org_id != org_id:
            raise UnknownPurchase
        return await self._with_order(await self._opened(purchase))

    async def _opened(self, purchase: Purchase) -> Purchase:
        return replace(purchase, reason=await self._seals.open(purchase.org_id, REASON_FIELD, purchase.reason))

    async def wallet(self, org_id: UUID, *, before: UUID | None = None) -> Wallet:
        """Balance and lots, a page at a time; `before`: the last one seen."""
        return await booking.wallet(self._ledger, org_id, before)

    async def purchases(self, org_id: UUID, *, before: UUID | None = None, limit: int = PAGE_ROWS) -> list[Purchase]:
        """Newest first, a page at a time."""
        found = await store.purchases_of(self._db, org_id, before=before, limit=min(max(limit, 1), PAGE_ROWS))
        return [await self._opened(purchase) for purchase in found]

    async def _with_order(self, purchase: Purchase) -> Purchase:
        if purchase.order_id is None:
            return purchase
        try:
            order = await self._payments.order(purchase.order_id)
        except UnknownPayment:
            return purchase
        return replace(purchase, redirect_url=order.redirect_url, order_state=order.state)


def _check_value(value_fen: int) -> None:
    if not 0 < value_fen <= VALUE_LIMIT_FEN:
        raise ValueOutOfBounds(1, VALUE_LIMIT_FEN, "fen")
