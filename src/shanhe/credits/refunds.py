"""Money back for a purchase (R3): the decision, the credits that go, the cash that returns.

open → posted (→ its red-letter invoices) → sent → paying → paid, or failed (the provider refused: the money stays the
customer's in the books until it is sent another way), or void (credits moved before they could be taken: nothing
happened). The credits go first, in one posting on the purchase's own lots; the provider is asked after it. How it was
paid is fixed (paying) before that is booked. A crash anywhere leaves a row that `run` continues.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import msgspec
import structlog

from shanhe.credits import messages, refund_store, store
from shanhe.credits.errors import (
    CreditsMoved,
    LotsHeld,
    NothingToRefund,
    RefundClosed,
    RefundConflict,
    UnknownPurchase,
    UnknownRefund,
)
from shanhe.credits.invoice_errors import RedLetterFirst
from shanhe.credits.model import Purchase, PurchaseState, Refund, RefundState
from shanhe.credits.purchases import PURPOSE
from shanhe.credits.red_letters import RedLetters
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid, ShanheError, Unavailable
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import (
    Asset,
    InsufficientCredit,
    Ledger,
    Lot,
    LotDelta,
    LotHistory,
    Posting,
    Provenance,
    Transfer,
)
from shanhe.payments.api import Order, Payments
from shanhe.payments.api import Refund as Sending
from shanhe.payments.api import RefundState as Sent
from shanhe.rulebook.api import Decision, Rulebook

RULE = "R3"
KIND, KIND_PAYOUT = "refund", "refund_payout"
TAKEN, DUE, PAID_OUT = 1, 2, 1
TRIES = 3
REPAIR_AGE_S = 5
BATCH_ROWS = 100
PAGE_ROWS = 100
TEXT_LIMIT_CHARS = 200
REASON_FIELD = "refund.reason"
PAYMENTS = "payments"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RefundOffer:
    """What a refund asked for now would give and take."""

    purchase: Purchase
    lots: dict[UUID, int]
    decision: Decision

    @property
    def refund_fen(self) -> int:
        return int(self.decision.outputs["refund_fen"])


class Refunds:
    """Refunds of purchases, whoever asks: the payer, an operator, a dissolution."""

    def __init__(
        self, db: Database, clock: Clock, *, ledger: Ledger, rulebook: Rulebook, payments: Payments, notifier: Notifier,
        seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._seals = seals or Seals()
        self.red_letters = RedLetters(db, clock, notifier)
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._history = LotHistory(db)
        self._rulebook = rulebook
        self._payments = payments
        self._notifier = notifier

    # -- deciding -----------------------------------------------------------------------------------------------------

    async def offer(self, org_id: UUID, purchase_id: UUID) -> RefundOffer:
        """What R3 gives for the purchase now; nothing changes. LotsHeld while running calls or orders hold a part."""
        purchase = await store.purchase(self._db, purchase_id)
        if purchase is None or purchase.org_id != org_id or purchase.state is not PurchaseState.POSTED:
            raise UnknownPurchase
        view = await self._ledger.posting(purchase.posting_id)
        minted = [delta.lot for delta in view.lots if delta.amount > 0]
        lots = list((await self._history.find(minted)).values())
        if held := sum(lot.held for lot in lots):
            raise LotsHeld(held)
        expired = sum([await self._history.lapsed(lot.id, lot.account) for lot in lots if lot.expires_at])
        facts = {
            "paid_fen": purchase.priced.paid_fen,
            "benefit_fen": purchase.priced.benefit_fen,
            "purchased_micro": purchase.priced.purchased_micro,
            "subsidy_micro": purchase.priced.subsidy_micro,
            "purchased_left_micro": _left(lots, Provenance.PURCHASED),
            "subsidy_left_micro": _left(lots, Provenance.SUBSIDY),
            "expired_micro": expired,
            "list_price_fen": purchase.priced.list_price_fen,
        }
        decision = self._rulebook.evaluate(RULE, facts, on=self._clock.today())
        return RefundOffer(purchase, {lot.id: lot.remaining for lot in lots if lot.remaining}, decision)

    async def refund(self, org_id: UUID, purchase_id: UUID, *, client_ref: str, reason: str, actor: str) -> Refund:
        """Take back what is left of a purchase and return its money. Idempotent by (organisation, client_ref).

        Raises NothingToRefund, LotsHeld, CreditsMoved, RefundConflict; a provider that is away is asked again later.
        """
        if not 0 < len(client_ref) <= 128 or not 0 < len(reason) <= TEXT_LIMIT_CHARS:
            raise Invalid("bad_text", "Give a reference and a reason.", message_zh="请填写编号与原因。")
        refund = await refund_store.by_ref(self._db, org_id, client_ref)
        if refund is None:
            refund = await self._decide(org_id, purchase_id, client_ref, reason, actor)
        if refund.purchase_id != purchase_id:
            raise RefundConflict(client_ref)
        return await self._opened(await self._advance(refund))

    async def _decide(self, org_id: UUID, purchase_id: UUID, client_ref: str, reason: str, actor: str) -> Refund:
        for attempt in range(TRIES):
            try:
                offer = await self.offer(org_id, purchase_id)
                break
            except LotsHeld:
                if attempt == TRIES - 1:
                    raise
                wallet = await self._ledger.ensure_account(org_id, Asset.CREDIT, "wallet")
                await self._history.recall(wallet.id)
        if offer.refund_fen <= 0:
            raise NothingToRefund(refunded=await refund_store.of_purchase(self._db, purchase_id) is not None)
        out = offer.decision.outputs
        refund = Refund(
            id=new_id(),
            purchase_id=purchase_id,
            org_id=org_id,
            client_ref=client_ref,
            state=RefundState.OPEN,
            refund_fen=offer.refund_fen,
            consumed_micro=out["consumed_micro"],
            taken_micro=out["taken_micro"],
            cancelled_micro=out["cancelled_micro"],
            restored_fen=out["restored_fen"],
            lots=offer.lots,
            rule_version=offer.decision.version,
            trace=offer.decision.trace,
            posting_id=new_id(),
            payout_posting_id=new_id(),
            attempt=1,
            payout_ref="",
            payout_method="",
            reason=await self._seals.seal(org_id, REASON_FIELD, reason),
            actor=actor,
            created_at=self._clock.now(),
            decided_at=None,
        )
        async with self._db.transaction() as conn:
            if await refund_store.insert(conn, refund):
                return refund
        found = await refund_store.by_ref(self._db, org_id, client_ref)
        if found is None:
            raise RefundConflict(client_ref)
        return found

    # -- doing --------------------------------------------------------------------------------------------------------

    async def _advance(self, refund: Refund) -> Refund:
        """As far as it goes now; each step is idempotent."""
        if refund.state is RefundState.OPEN:
            refund = await self._take(refund)
        if refund.state is RefundState.POSTED:
            refund = await self._send(refund)
        if refund.state is RefundState.SENT:
            refund = await self._follow(refund)
        if refund.state is RefundState.PAYING:
            refund = await self._book(refund)
        return refund

    async def _take(self, refund: Refund) -> Refund:
        """The posting: what is left of the lots goes back to issuance, the cash becomes due to the customer."""
        purchase = await self._purchase(refund)
        wallet = await self._ledger.ensure_account(refund.org_id, Asset.CREDIT, "wallet")
        issuance = await self._ledger.system_account("issuance", Asset.CREDIT)
        customer = await self._ledger.ensure_account(refund.org_id, Asset.CNY, "wallet")
        revenue = await self._ledger.system_account("revenue", Asset.CNY, "credits sold")
        transfers = [Transfer(_leg(refund.posting_id, DUE), revenue.id, customer.id, refund.refund_fen)]
        if taken := sum(refund.lots.values()):
            transfers.append(Transfer(_leg(refund.posting_id, TAKEN), wallet.id, issuance.id, taken))
        posting = Posting(
            id=refund.posting_id,
            kind=KIND,
            transfers=tuple(transfers),
            deltas=tuple(LotDelta(lot, -amount) for lot, amount in refund.lots.items()),
            evidence=msgspec.json.encode(
                {"version": 1, "refund_id": refund.id, "purchase_id": purchase.id, "rule": RULE,
                 "rule_version": refund.rule_version, "trace": refund.trace},
                order="sorted",
            ),
            actor=refund.actor,
            memo=f"Refund of purchase {purchase.id}",
        )  # fmt: skip
        for attempt in range(TRIES):
            try:
                await self._ledger.post(posting)
                break
            except InsufficientCredit:
                if attempt < TRIES - 1:
                    await self._history.recall(wallet.id)
                    continue
                await self._void(refund)
                raise CreditsMoved from None
        async with self._db.transaction() as conn:
            held = await refund_store.get(conn, refund.id, lock=True)
            if held is None or held.state not in (RefundState.OPEN, RefundState.VOID):
                return held or refund  # void: by a try that found them held a moment before they were taken
            await refund_store.move(conn, refund.id, RefundState.POSTED)
            await self.red_letters.owe(conn, held)
            await refund_store.give_back_benefit(conn, purchase.beneficiary, purchase.year, refund.restored_fen)
            await self._notifier.notify(messages.refund_posted(refund), conn)
        return await self.get(refund.org_id, refund.id)

    async def _void(self, refund: Refund) -> None:
        """Unless somebody else has just taken the credits for it."""
        async with self._db.transaction() as conn:
            held = await refund_store.get(conn, refund.id, lock=True)
            if held is not None and held.state is RefundState.OPEN:
                await refund_store.move(conn, refund.id, RefundState.VOID, now=self._clock.now())

    async def _send(self, refund: Refund) -> Refund:
        """Ask the provider, after the invoices were put right; money that came by hand goes back by hand."""
        purchase = await self._purchase(refund)
        if purchase.order_id is None or await self.red_letters.keeps(refund.id):
            return refund
        try:
            await self._payments.refund(
                purchase.order_id,
                refund.refund_fen,
                client_ref=_reference(refund),
                reason=f"refund {refund.id}",
                actor=refund.actor,
            )
        except Unavailable as error:
            log.warning("a refund waits for its provider", refund=str(refund.id), error=error.code)
            return refund
        except ShanheError as error:  # the order can't be refunded this way; the money stays due to the customer
            log.error("a refund was refused", refund=str(refund.id), error=error.code)
            told = await self._told(purchase, refund)
            if told is not None and told.state is not Sent.FAILED:
                return refund  # what the provider may still pay must not be paid another way
            return await self._failed(refund)
        async with self._db.transaction() as conn:
            held = await refund_store.get(conn, refund.id, lock=True)
            if held is not None and held.state is RefundState.POSTED and held.attempt == refund.attempt:
                await refund_store.move(conn, refund.id, RefundState.SENT)  # else it ended or was tried again meanwhile
        return await self.get(refund.org_id, refund.id)

    async def _follow(self, refund: Refund) -> Refund:
        """Book what the provider said of it."""
        purchase = await self._purchase(refund)
        if purchase.order_id is None:
            return refund
        told = await self._told(purchase, refund)
        if told is None or told.state is Sent.REQUESTED:
            return refund
        if told.state is Sent.FAILED:
            return await self._failed(refund)
        return await self._paying(refund, purchase.method, told.provider_ref or "", by=PAYMENTS)

    async def _told(self, purchase: Purchase, refund: Refund) -> Sending | None:
        """What payments knows of it."""
        assert purchase.order_id is not None
        sent = await self._payments.refunds(purchase.order_id)
        return next((one for one in sent if one.client_ref == _reference(refund)), None)

    async def _failed(self, refund: Refund) -> Refund:
        async with self._db.transaction() as conn:
            held = await refund_store.get(conn, refund.id, lock=True)
            if held is None or held.state not in (RefundState.POSTED, RefundState.SENT):
                return held or refund
            if held.attempt != refund.attempt:
                return held
            await refund_store.move(conn, refund.id, RefundState.FAILED)
            await self._notifier.notify(messages.refund_failed(refund), conn)
        return await self.get(refund.org_id, refund.id)

    async def _paying(self, refund: Refund, method: str, reference: str, *, by: str) -> Refund:
        """Fix how it is paid while it still stands as `refund` says: whoever would pay it another way is refused."""
        async with self._db.transaction() as conn:
            held = await refund_store.get(conn, refund.id, lock=True)
            if held is None or held.state not in (refund.state, RefundState.PAYING, RefundState.PAID):
                raise RefundClosed(refund.state if held is None else held.state)
            if held.state is refund.state:
                await refund_store.move(conn, refund.id, RefundState.PAYING, payout=(method, reference), paid_by=by)
            elif (held.payout_method, held.payout_ref) != (method, reference):
                raise RefundClosed(held.state)
        return await self.any(refund.id)

    async def _book(self, refund: Refund) -> Refund:
        """Book that it was paid, once."""
        customer = await self._ledger.ensure_account(refund.org_id, Asset.CNY, "wallet")
        clearing = await self._ledger.system_account("cash", Asset.CNY, refund.payout_method)
        leg = Transfer(_leg(refund.payout_posting_id, PAID_OUT), customer.id, clearing.id, refund.refund_fen)
        await self._ledger.post(
            Posting(id=refund.payout_posting_id, kind=KIND_PAYOUT, transfers=(leg,),
                    actor=refund.paid_by or refund.actor, memo=f"Refund {refund.id} paid out: {refund.payout_ref}")
        )  # fmt: skip
        async with self._db.transaction() as conn:
            held = await refund_store.get(conn, refund.id, lock=True)
            if held is not None and held.state is RefundState.PAYING:
                await refund_store.move(conn, refund.id, RefundState.PAID, now=self._clock.now())
                await self._notifier.notify(messages.refund_paid(refund), conn)
        return await self.any(refund.id)

    async def settle(self, order: Order, told: Sending) -> None:
        """What payments tells when a refund ended; idempotent, acknowledged last."""
        refund = await refund_store.of_purchase(self._db, order.id)
        if refund is not None and told.client_ref == _reference(refund):
            refund = await self._advance(refund)
        if told.state is Sent.FAILED:  # whoever tries once more asks under another reference
            await self._payments.acknowledge_refund(told)
        elif refund is None or told.client_ref != _reference(refund) or refund.state is not RefundState.PAID:
            log.error("a refund needs an operator", order=str(order.id), refund=str(told.id))
        else:
            await self._payments.acknowledge_refund(told, refund.payout_posting_id)

    # -- by operators -------------------------------------------------------------------------------------------------

    async def retry(self, refund_id: UUID, *, by: str) -> Refund:
        """Ask the provider once more after it failed."""
        refund = await self.any(refund_id)
        if refund.state is not RefundState.FAILED:
            raise RefundClosed(refund.state)
        async with self._db.transaction() as conn:
            held = await refund_store.get(conn, refund_id, lock=True)
            if held is not None and held.state is RefundState.FAILED:
                await refund_store.move(conn, refund_id, RefundState.POSTED, attempt=held.attempt + 1, retried_by=by)
        return await self._advance(await self.any(refund_id))

    async def pay_by_hand(self, refund_id: UUID, reference: str, *, by: str, method: str = "bank_transfer") -> Refund:
        """Say that the money went back by bank transfer or at the cash desk; `reference` is the bank's."""
        refund = await self.check_by_hand(refund_id, reference, method)
        if refund.state in (RefundState.PAYING, RefundState.PAID):
            return await self._advance(refund)
        return await self._advance(await self._paying(refund, method, reference, by=by))

    async def check_by_hand(self, refund_id: UUID, reference: str, method: str) -> Refund:
        """The refund, where that may be said of it, or was with this reference. Raises RefundClosed, RedLetterFirst."""
        refund = await self.any(refund_id)
        if not 0 < len(reference) <= TEXT_LIMIT_CHARS or method not in ("bank_transfer", "cash_desk"):
            raise Invalid(
                "bad_payout", "Give the transfer's reference; the method is bank_transfer or cash_desk.",
                message_zh="请填写转账编号；方式为 bank_transfer 或 cash_desk。",
            )  # fmt: skip
        if refund.state in (RefundState.PAYING, RefundState.PAID) and refund.payout_ref == reference:
            return refund
        by_hand = (await self._purchase(refund)).order_id is None and refund.state is RefundState.POSTED
        if not by_hand and refund.state is not RefundState.FAILED:
            raise RefundClosed(refund.state)
        if await self.red_letters.keeps(refund_id):
            raise RedLetterFirst
        return refund

    # -- reading and repair -------------------------------------------------------------------------------------------

    async def get(self, org_id: UUID, refund_id: UUID) -> Refund:
        """UnknownRefund when absent or of another organisation."""
        refund = await self.any(refund_id)
        if refund.org_id != org_id:
            raise UnknownRefund
        return refund

    async def any(self, refund_id: UUID) -> Refund:
        """Whoever's it is; for operators."""
        refund = await refund_store.get(self._db, refund_id)
        if refund is None:
            raise UnknownRefund
        return await self._opened(refund)

    async def _opened(self, refund: Refund) -> Refund:
        return replace(refund, reason=await self._seals.open(refund.org_id, REASON_FIELD, refund.reason))

    async def of_purchase(self, purchase_id: UUID) -> Refund | None:
        """The refund that counts for a purchase, if there is one."""
        return await refund_store.of_purchase(self._db, purchase_id)

    async def list(
        self, org_id: UUID | None, *, waiting: bool = False, before: UUID | None = None, limit: int = PAGE_ROWS
    ) -> list[Refund]:
        """Newest first, of one organisation or of all; `waiting`: only those that did not get through, oldest first.

        `before`: the last one seen, in the order of the list."""
        limit = min(max(limit, 1), PAGE_ROWS)
        found = await refund_store.of_org(self._db, org_id, waiting=waiting, before=before, limit=limit)
        return [await self._opened(refund) for refund in found]

    async def run(self) -> int:
        """Continue what a crash or an absent provider left; how many moved."""
        now = self._clock.now()
        moved = 0
        for refund in await refund_store.due(self._db, now - timedelta(seconds=REPAIR_AGE_S), BATCH_ROWS):
            await refund_store.touch(self._db, refund.id, now)
            try:
                moved += (await self._advance(refund)).state is not refund.state
            except ShanheError as error:  # one refund's trouble does not keep the others waiting
                log.warning("a refund does not move", refund=str(refund.id), error=error.code)
        async for order, told in self._payments.outstanding_refunds(PURPOSE):
            try:
                await self.settle(order, told)
            except ShanheError as error:
                log.warning("a refund is not settled yet", refund=str(told.id), error=error.code)
        return moved

    async def _purchase(self, refund: Refund) -> Purchase:
        purchase = await store.purchase(self._db, refund.purchase_id)
        if purchase is None:
            raise UnknownPurchase
        return purchase


def _left(lots: list[Lot], provenance: Provenance) -> int:
    return sum(lot.remaining for lot in lots if lot.provenance is provenance)


def _reference(refund: Refund) -> str:
    return f"credits-{refund.id}-{refund.attempt}"


def _leg(posting_id: UUID, leg: int) -> UUID:
    return UUID(int=posting_id.int ^ leg)
