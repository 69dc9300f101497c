"""The provider of bank transfers: an order has a reference for its remark, and a statement says that it was paid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.payments import bank_store
from shanhe.payments.bank_model import BankAccount, new_reference
from shanhe.payments.errors import NotificationForged, UnknownPayment
from shanhe.payments.model import (
    AmountLimits,
    Created,
    Notification,
    Order,
    ProviderPayment,
    Refund,
    RefundState,
    Reply,
    State,
    Verdict,
)
from shanhe.payments.present import PayerPresent

NAME: Final = "bank_transfer"
LIMITS: Final = AmountLimits(least_fen=1, most_fen=100_000_000_000)
WAITING: Final = (State.CREATED, State.PENDING, State.FAILED)
"""States in which an order still takes money."""
DAY_S: Final = 86_400


class BankTransfer(PayerPresent):
    """The provider side (see `model.Provider`): its institution is whoever uploads the bank's statements."""

    name, limits = NAME, LIMITS

    def __init__(self, db: Database, clock: Clock, account: BankAccount, days: Callable[[], int]) -> None:
        self._db = db
        self._clock = clock
        self._account = account
        self._days = days

    @property
    def order_life_s(self) -> int:
        return self._days() * DAY_S

    async def create(self, order: Order) -> Created:
        now = self._clock.now()
        reference = await bank_store.reference_of(self._db, order.id, new_reference("H"), order.amount_fen, now)
        account = self._account
        details = {"holder": account.holder, "account": account.account, "bank": account.bank, "reference": reference}
        return Created(reference, f"/pay/{NAME}/{order.id.hex}", details)

    async def query(self, order: Order) -> ProviderPayment:
        reference = await bank_store.reference_of(
            self._db, order.id, new_reference("H"), order.amount_fen, self._clock.now()
        )
        line = await bank_store.completing(self._db, order.id)
        if line is None:
            return ProviderPayment(reference, State.PENDING, order.amount_fen, None)
        return ProviderPayment(reference, State.PAID, order.amount_fen, line.at)

    async def close(self, order: Order) -> ProviderPayment:
        told = await self.query(order)
        if told.state is State.PAID:
            return told
        return ProviderPayment(told.provider_ref, State.EXPIRED, order.amount_fen, None)

    async def refund(self, order: Order, refund: Refund) -> str:
        """Put the refund on the list of what is to be sent; the statement that shows it ends it."""
        made = await bank_store.insert_outgoing(
            self._db.writes, new_reference("R"), "refund", refund.id, refund.amount_fen, self._clock.now()
        )
        return made.reference

    async def refund_state(self, order: Order, refund: Refund) -> RefundState:
        found = await bank_store.outgoing(self._db, subject_id=refund.id)
        if found is None:
            raise UnknownPayment("refund")
        return RefundState.REQUESTED if found.done_at is None else RefundState.SUCCEEDED

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notification:
        raise NotificationForged("a bank sends none")

    def reply(self, verdict: Verdict | None, error: ShanheError | None) -> Reply:
        return Reply(error.status if error else 200, "application/json", b"{}")
