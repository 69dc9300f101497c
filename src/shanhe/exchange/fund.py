"""The ecosystem fund: fees come in with every trade, payments go out with two people's word, everybody sees both."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from shanhe.approvals.api import Approvals, Deed, Request, RequestState
from shanhe.exchange import fund_store as store
from shanhe.exchange.cash import Cash
from shanhe.exchange.errors import UnknownItem
from shanhe.exchange.model import Market
from shanhe.exchange.stability import FUND
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.texts import check_line
from shanhe.ledger.api import CITY_OWNER, Asset, InsufficientCredit, Ledger, Posting, Transfer

FUND_PAYMENT: Final = "exchange.fund_payment"
ENDOWMENT: Final = "exchange.endowment"
STABILITY: Final = "稳定基金 Stability fund"
PAGE: Final = "/city/exchange"
"""Where operators look after the exchange."""
DECIDE_WITHIN: Final = timedelta(days=7)
PAGE_ROWS: Final = 100
KIND: Final = {Market.REAL: "ecosystem", Market.PLAY: "play_fund"}


@dataclass(frozen=True)
class FundPayment:
    id: UUID
    org_id: UUID
    amount_fen: int
    reason: str
    asked_by: str
    asked_at: datetime
    state: str
    decided_at: datetime | None


@dataclass(frozen=True)
class FundView:
    """What the fund has, took in (less what reversals gave back), paid out and moved to the stability fund, in fen; the
    newest payments."""

    market: Market
    balance_fen: int
    fees_fen: int
    trades: int
    paid_fen: int
    stability_fen: int
    payments: Sequence[FundPayment]


class Fund:
    def __init__(self, db: Database, clock: Clock, ledger: Ledger, approvals: Approvals, cash: Cash) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._approvals = approvals
        self._cash = cash
        approvals.deeds |= {FUND_PAYMENT: Deed(self._pay, PAGE), ENDOWMENT: Deed(self._endow, PAGE)}

    async def account(self, market: Market) -> UUID:
        """Where the fees of a market go; never below zero."""
        return (await self._ledger.ensure_account(CITY_OWNER, Asset.CNY, KIND[market], lots=False)).id

    async def view(self, market: Market) -> FundView:
        account = await self.account(market)
        balance, totals = await self._ledger.balance(account), await store.totals(self._db, market, account)
        payments = await store.payments(self._db, PAGE_ROWS) if market is Market.REAL else []
        return FundView(
            market, balance.balance, totals["fees"], totals["trades"], totals["paid"] if market is Market.REAL else 0,
            totals["endowed"], [FundPayment(**dict(row)) for row in payments],
        )  # fmt: skip

    async def request(
        self, org_id: UUID, amount_fen: int, reason: str, *, by: str, request_id: UUID | None = None
    ) -> FundPayment:
        """Ask to pay an organisation out of the fund; a second person decides within a week. Idempotent by id."""
        if not isinstance(amount_fen, int) or amount_fen <= 0:
            raise Invalid("bad_amount", "An amount is above zero.", message_zh="金额须大于 0。")
        check_line("reason", reason)
        identifier, now = request_id or new_id(), self._clock.now()
        payload = {"org_id": str(org_id), "amount_fen": amount_fen, "reason": reason}
        async with self._db.transaction() as conn:
            await self._approvals.request(
                FUND_PAYMENT, reason, payload, by=by, expires_at=now + DECIDE_WITHIN, request_id=identifier, conn=conn
            )
            row = await store.insert(conn, identifier, org_id, amount_fen, reason, by, now)
        return FundPayment(**dict(row))

    async def approve(self, request_id: UUID, *, by: str) -> FundPayment:
        """The second person's word; the payment is booked, now or when the fund has it. `SamePerson` when it is the
        first's."""
        await self._get(request_id)
        with suppress(InsufficientCredit):  # the request says it, and waits
            await self._approvals.agree(request_id, by=by)
        return await self._get(request_id)

    async def reject(self, request_id: UUID, *, by: str, reason: str) -> FundPayment:
        await self._get(request_id)
        await self._approvals.reject(request_id, by=by, reason=reason)
        await self.run()
        return await self._get(request_id)

    async def run(self) -> int:
        """Book what was agreed to and close what was not, wherever it was decided; how many. Sum up the fees."""
        done = 0
        for market in Market:
            async with self._db.transaction() as conn:
                await store.sum_up(conn, market)
        for row in await store.open_payments(self._db, PAGE_ROWS):
            request = await self._approvals.get(row["id"])
            if request.state is RequestState.OPEN:
                continue
            if request.agreed:
                try:
                    await self._pay(request)
                except InsufficientCredit:
                    continue
                await self._approvals.done(request.id)
            else:
                await store.close(self._db, row["id"], "ended", self._clock.now())
            done += 1
        return done

    async def _pay(self, request: Request) -> None:
        """Book it, once; InsufficientCredit while the fund has too little."""
        row = await store.payment(self._db, request.id)
        _, cash = await self._cash.accounts(row["org_id"], Market.REAL)
        transfer = Transfer(row["id"], await self.account(Market.REAL), cash.id, row["amount_fen"])
        await self._ledger.post(
            Posting(id=row["id"], kind="fund_payment", transfers=(transfer,), actor=request.signed, memo=row["reason"])
        )
        await store.close(self._db, row["id"], "paid", self._clock.now())

    # -- the stability fund -------------------------------------------------------------------------------------------

    async def ask_endowment(self, market: Market, amount_fen: int, *, by: str, request_id: UUID) -> Request:
        """Ask to move cash to the stability fund; a second person decides within a week. Idempotent by id."""
        payload = {"market": str(market), "amount_fen": amount_fen}
        return await self._approvals.request(
            ENDOWMENT, STABILITY, payload, by=by, expires_at=self._clock.now() + DECIDE_WITHIN, request_id=request_id
        )

    async def _endow(self, decided: Request) -> None:
        asked = decided.payload
        await self.endow(Market(asked["market"]), int(asked["amount_fen"]), posting_id=decided.id, actor=decided.signed)

    async def endow(self, market: Market, amount_fen: int, *, posting_id: UUID, actor: str) -> None:
        """Move cash to the stability fund. Idempotent by `posting_id`."""
        _, cash = await self._cash.accounts(FUND, market)
        transfer = Transfer(posting_id, await self.account(market), cash.id, amount_fen)
        await self._ledger.post(Posting(id=posting_id, kind=store.ENDOWMENT, transfers=(transfer,), actor=actor))

    async def _get(self, request_id: UUID) -> FundPayment:
        row = await store.payment(self._db, request_id)
        if row is None:
            raise UnknownItem("fund_payment", "基金支出")
        return FundPayment(**dict(row))
