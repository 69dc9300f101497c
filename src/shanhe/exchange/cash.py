"""The money side: an organisation's accounts of a market, deposits, withdrawals, and play money for the sandbox."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import structlog

from shanhe.approvals.api import Approvals, Deed, Request, RequestConflict, numbers
from shanhe.exchange import cash_store as store
from shanhe.exchange.errors import (
    ItemClosed,
    NotEnoughCash,
    OrderConflict,
    PlayOnly,
    RealOnly,
    SecondPersonNeeded,
    UnknownItem,
)
from shanhe.exchange.model import Market
from shanhe.exchange.policy import Day
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import format_fen
from shanhe.kernel.sealing import Seals
from shanhe.kernel.texts import check_line
from shanhe.ledger.api import (
    Account,
    Asset,
    Charge,
    EscrowRequest,
    HoldClosed,
    HoldState,
    Ledger,
    Leg,
    NewLot,
    Posting,
    Provenance,
    Transfer,
)
from shanhe.payments.api import Order as PaymentOrder
from shanhe.payments.api import OrderRequest, Payments, State

PURPOSE: Final = "exchange_deposit"
PURPOSE_OUT: Final = "withdrawal"
"""Of what is set aside until it is paid out."""
SPACE: Final = UUID("5f0c5d4e-8a57-5a35-9d8e-3c1a7f2b9e10")
RECEIPT: Final = "exchange.receipt"
RECEIPT_OPEN_FOR: Final = timedelta(days=30)
CASH_MAX_FEN: Final = 10**12
PLACE: Final = "exchange.withdrawal"
CREDIT_KIND: Final = {Market.REAL: "wallet", Market.PLAY: "play_wallet"}
CASH_KIND: Final = {Market.REAL: "exchange_cash", Market.PLAY: "play_cash"}
PLAY: Final = "play_issuance"

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Purse:
    """What an organisation has in a market."""

    market: Market
    credits_micro: int
    tradeable_micro: int
    cash_fen: int
    cash_available_fen: int


@dataclass(frozen=True)
class Deposit:
    id: UUID
    org_id: UUID
    client_ref: str
    amount_fen: int
    method: str
    state: str
    actor: str
    created_at: datetime
    redirect_url: str | None = None


@dataclass(frozen=True)
class Withdrawal:
    id: UUID
    org_id: UUID
    amount_fen: int
    payee: str
    state: str
    reference: str
    actor: str
    created_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class Cash:
    """Accounts and the money that comes in and goes out; every move is a posting."""

    def __init__(
        self, db: Database, clock: Clock, ledger: Ledger, payments: Payments, approvals: Approvals,
        seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._approvals = approvals
        self._seals = seals or Seals()
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._payments = payments
        payments.subscribe(PURPOSE, self._paid)
        approvals.deeds[RECEIPT] = Deed(self._received)

    async def accounts(self, org_id: UUID, market: Market) -> tuple[Account, Account]:
        """Credits and cash of an organisation in a market."""
        credit = await self._ledger.ensure_account(org_id, Asset.CREDIT, CREDIT_KIND[market], lots=True)
        cash = await self._ledger.ensure_account(org_id, Asset.CNY, CASH_KIND[market], lots=False)
        return credit, cash

    async def purse(self, org_id: UUID, market: Market) -> Purse:
        credit, cash = await self.accounts(org_id, market)
        credits, money = await self._ledger.balance(credit.id), await self._ledger.balance(cash.id)
        tradeable = await store.tradeable(self._db, credit.id, self._clock.now())
        return Purse(market, credits.available, max(0, tradeable), money.balance, money.available)

    # -- play ---------------------------------------------------------------------------------------------------------

    async def grant_play(self, org_id: UUID, market: Market, day: Day, *, actor: str) -> Purse:
        """Play credits and play cash, once an organisation."""
        if market is not Market.PLAY:
            raise PlayOnly()
        credit, cash = await self.accounts(org_id, market)
        credits_from = await self._ledger.system_account(PLAY, Asset.CREDIT)
        cash_from = await self._ledger.system_account(PLAY, Asset.CNY)
        number = uuid5(SPACE, f"play {org_id}")
        lot = NewLot(account=credit.id, provenance=Provenance.PURCHASED, amount=day.play_credits_micro)
        transfers = (
            Transfer(UUID(int=number.int ^ 1), credits_from.id, credit.id, day.play_credits_micro),
            Transfer(UUID(int=number.int ^ 2), cash_from.id, cash.id, day.play_cash_fen),
        )
        await self._ledger.post(
            Posting(
                id=number, kind="play_money", transfers=transfers, lots=(lot,), actor=actor, memo="play money 模拟资金"
            )
        )
        return await self.purse(org_id, market)

    # -- deposits -----------------------------------------------------------------------------------------------------

    async def deposit(
        self, org_id: UUID, market: Market, amount_fen: int, *, client_ref: str, method: str, actor: str,
        return_path: str = "/exchange/trade",
    ) -> Deposit:  # fmt: skip
        """Order a payment into the exchange account; send the payer to `redirect_url`. Idempotent by `client_ref`."""
        if market is not Market.REAL:
            raise RealOnly()
        _check_amount(amount_fen)
        made = await store.insert_deposit(
            self._db, new_id(), org_id, client_ref, amount_fen, method, actor, self._clock.now()
        )
        if (made["amount_fen"], made["method"]) != (amount_fen, method):
            raise OrderConflict()
        order = await self._payments.create(
            OrderRequest(
                org_id, f"exchange:{client_ref}", PURPOSE, method, amount_fen, "交易资金 Exchange cash", return_path,
                id=made["id"],
            )
        )  # fmt: skip
        return Deposit(**{**dict(made), "redirect_url": order.redirect_url})

    async def ask_receipt(self, org_id: UUID, amount_fen: int, *, reference: str, by: str) -> Request:
        """Ask a second person to book cash that came by bank transfer. One request a transfer stands at a time; raises
        RequestConflict for another amount."""
        _check_amount(amount_fen)
        check_line("reference", reference)
        payload = {"org_id": str(org_id), "amount_fen": amount_fen, "reason": reference}
        asked = await self._approvals.standing(
            numbers(SPACE, f"receipt {org_id} {reference}"), RECEIPT, str(org_id),
            payload, by=by, about=org_id, expires_at=self._clock.now() + RECEIPT_OPEN_FOR,
        )  # fmt: skip
        if asked.payload["amount_fen"] != amount_fen:
            raise RequestConflict
        return asked

    async def _received(self, decided: Request) -> None:
        asked = decided.payload
        await self.receive(
            UUID(str(asked["org_id"])), int(asked["amount_fen"]), reference=str(asked["reason"]), actor=decided.signed
        )

    async def receive(self, org_id: UUID, amount_fen: int, *, reference: str, actor: str) -> UUID:
        """Book cash that came by bank transfer; the same reference again books nothing twice. The posting's id."""
        _check_amount(amount_fen)
        check_line("reference", reference)
        number = uuid5(SPACE, f"receive {org_id} {reference}")
        await self._book_in(number, org_id, amount_fen, "bank_transfer", actor, reference)
        return number

    async def _paid(self, order: PaymentOrder) -> None:
        """Payments tells: a deposit was paid or never will be."""
        if order.state is State.PAID:
            await self._book_in(order.id, order.org_id, order.amount_fen, order.provider, "payments", order.client_ref)
            await store.set_deposit(self._db, order.id, "posted")
            await self._payments.acknowledge(order, order.id)
            return
        await store.set_deposit(self._db, order.id, "closed")
        await self._payments.acknowledge(order)

    async def reconcile(self) -> int:
        """Book deposits that were paid while nobody was there to hear it; how many."""
        done = 0
        async for order in self._payments.outstanding(PURPOSE):
            try:
                await self._paid(order)
            except ShanheError as error:  # one deposit's trouble does not keep the others waiting
                log.warning("deposit is still not booked", order=str(order.id), error=error.code)
            else:
                done += 1
        return done

    async def _book_in(self, number: UUID, org_id: UUID, amount_fen: int, clearing: str, actor: str, memo: str) -> None:
        _, cash = await self.accounts(org_id, Market.REAL)
        source = await self._ledger.system_account("cash", Asset.CNY, clearing)
        transfer = Transfer(number, source.id, cash.id, amount_fen)
        await self._ledger.post(
            Posting(id=number, kind="exchange_deposit", transfers=(transfer,), actor=actor, memo=memo)
        )

    # -- withdrawals --------------------------------------------------------------------------------------------------

    async def withdraw(
        self, org_id: UUID, amount_fen: int, *, withdrawal_id: UUID, payee: str, actor: str
    ) -> Withdrawal:
        """Ask for cash back. It is set aside until an operator has paid it or refuses. Idempotent by id."""
        _check_amount(amount_fen)
        check_line("payee", payee)
        _, cash = await self.accounts(org_id, Market.REAL)
        sealed = await self._seals.seal(org_id, f"{PLACE}.payee", payee)
        request = EscrowRequest(withdrawal_id, cash.id, amount_fen)
        async with self._db.transaction() as conn:  # what is set aside and what it is for: both, or neither
            known = await store.withdrawal(conn, withdrawal_id)
            if known is None:
                (verdict,) = await self._ledger.escrow.hold(conn, [request], purpose=PURPOSE_OUT)
                if verdict.verdict == "short":
                    raise NotEnoughCash(verdict.available, amount_fen, play=False)
                if verdict.verdict == "held":
                    await store.insert_withdrawal(
                        conn, withdrawal_id, org_id, amount_fen, sealed, actor, self._clock.now()
                    )
                known = await store.withdrawal(conn, withdrawal_id)  # or asked for by another process just now
        if known is None:
            raise OrderConflict()
        made = await self._withdrawal(known)
        if (made.org_id, made.amount_fen, made.payee) != (org_id, amount_fen, payee):
            raise OrderConflict()
        return made

    async def decide_withdrawal(self, withdrawal_id: UUID, *, paid: bool, reference: str, actor: str) -> Withdrawal:
        """An operator has paid it (the bank's reference) or refuses it (why). Never who asked for it."""
        await self.check_withdrawal(withdrawal_id, reference=reference, actor=actor)
        return await self.end_withdrawal(withdrawal_id, paid=paid, reference=reference, actor=actor)

    async def check_withdrawal(self, withdrawal_id: UUID, *, reference: str, actor: str) -> Withdrawal:
        """A withdrawal that somebody may say something of: UnknownItem, SecondPersonNeeded of who asked for it."""
        check_line("reference", reference)
        found = await store.withdrawal(self._db, withdrawal_id)
        if found is None:
            raise UnknownItem("withdrawal", "提现")
        if await self._approvals.same_person(found["actor"], actor):
            raise SecondPersonNeeded()
        return await self._withdrawal(found)

    async def end_withdrawal(self, withdrawal_id: UUID, *, paid: bool, reference: str, actor: str) -> Withdrawal:
        """Book what was decided, once; ItemClosed where something else was."""
        found = await store.withdrawal(self._db, withdrawal_id)
        if found is None:
            raise UnknownItem("withdrawal", "提现")
        state = "paid" if paid else "refused"
        if found["state"] == "open":
            booked = await self._end_hold(withdrawal_id, paid=paid, actor=actor)
            if booked != state:  # somebody else's decision is booked and not written down yet: it stands
                raise ItemClosed(booked)
            said = await self._seals.seal(found["org_id"], f"{PLACE}.reference", reference)
            found = await store.decide_withdrawal(self._db, withdrawal_id, state, said, actor, self._clock.now())
        if found["state"] != state:
            raise ItemClosed(found["state"])
        return await self._withdrawal(found)

    async def _end_hold(self, withdrawal_id: UUID, *, paid: bool, actor: str) -> str:
        """Book what leaves, or free it, unless that was done before; what is booked then: `paid` or `refused`."""
        with suppress(HoldClosed):
            if paid:
                hold = await self._ledger.find_hold(withdrawal_id)
                clearing = await self._ledger.system_account("cash", Asset.CNY, "bank_transfer")
                charge = Charge(hold.amount, (Leg(clearing.id, hold.amount),))
                await self._ledger.capture(withdrawal_id, charge, kind="exchange_withdrawal", actor=actor)
            else:
                await self._ledger.void(withdrawal_id)
        hold = await self._ledger.find_hold(withdrawal_id)
        return "paid" if hold.state is HoldState.CAPTURED else "refused"

    async def withdrawals(self, org_id: UUID | None, *, open_only: bool = False, limit: int = 100) -> list[Withdrawal]:
        return [await self._withdrawal(row) for row in await store.withdrawals(self._db, org_id, open_only, limit)]

    async def _withdrawal(self, row: Any) -> Withdrawal:
        return Withdrawal(**await self._seals.opened(row["org_id"], PLACE, row, "payee", "reference"))


def plain(item: Any) -> dict[str, Any]:
    return asdict(item)


def _check_amount(amount_fen: int) -> None:
    if not isinstance(amount_fen, int) or not 0 < amount_fen <= CASH_MAX_FEN:
        raise Invalid(
            "bad_amount",
            f"An amount is above zero and at most CNY {format_fen(CASH_MAX_FEN)}.",
            message_zh=f"金额须大于 0，且不超过 {format_fen(CASH_MAX_FEN)} 元。",
        )
