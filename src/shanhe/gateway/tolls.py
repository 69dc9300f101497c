"""Paid things that are no model: one call of a tool, at a fee. Reserved before it, booked before its answer leaves."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final
from uuid import UUID

from shanhe.gateway.admission import database_away
from shanhe.gateway.call import Call
from shanhe.gateway.faces.base import Parsed
from shanhe.gateway.faces.openai import Chat
from shanhe.gateway.model import Admission, with_commission
from shanhe.gateway.tariff import Prices

if TYPE_CHECKING:
    from shanhe.gateway.admission import Admitter
    from shanhe.gateway.ahead import Ahead, Booking
    from shanhe.gateway.charges import ChargeBook
    from shanhe.gateway.commission import Commission
    from shanhe.gateway.settlement import Settler
    from shanhe.identity.api import Caller

NO_PRICES: Final = Prices(0, 0, 0, 0, 0, "fee")
FACE: Final = Chat()
ADMISSIONS_MAX: Final = 1_000


class Toll:
    """A fee that is reserved. `book` or `give_back`; later ones do nothing.

    `receipt_id` None and nothing paid where there is no fee for this payer.
    """

    __slots__ = ("_tolls", "booking", "call", "paid_micro", "receipt_id")

    def __init__(self, tolls: Tolls, call: Call | None) -> None:
        self._tolls = tolls
        self.call = call
        self.booking: Booking | None = None
        """Where it is booked already, while its call runs."""
        self.receipt_id: UUID | None = None
        self.paid_micro = 0

    @property
    def runs(self) -> bool:
        """Neither ended nor booked."""
        return self.call is not None and self.booking is None and self.call.reservation is not None

    def under_way(self) -> None:
        """What it is for has been asked for: if that takes a moment, the fee is booked meanwhile."""
        if self.runs and self.call is not None:
            self._tolls.ahead.watch(self, self.call.parsed.model)

    async def book(self) -> None:
        """What was paid for has been had; durable on return."""
        call, self.call = self.call, None
        if call is None:
            return
        try:
            if self.booking is not None:
                await self._tolls.ahead.pay(self.booking)
            else:
                await self._tolls.settler.settle_fee(call)
        except BaseException:
            if call.reservation is not None:
                await self._tolls.release(call)
            await self._tolls.booked(call, None)
            raise
        await self._tolls.booked(call, call.paid_micro)
        self.receipt_id, self.paid_micro = call.receipt_id, call.paid_micro
        self._tolls.ahead.ended(call.parsed.model, paid=True)

    async def give_back(self) -> None:
        """It came to nothing."""
        call, self.call = self.call, None
        if call is None:
            return
        self._tolls.ahead.ended(call.parsed.model, paid=False)
        if self.booking is not None:
            await self._tolls.ahead.undo(self.booking)
        elif call.reservation is not None:
            await self._tolls.release(call)
        await self._tolls.booked(call, 0)


class Tolls:
    """Reserves and books fees. One per process."""

    def __init__(self, admitter: Admitter, charges: ChargeBook, settler: Settler, ahead: Ahead) -> None:
        self._admitter = admitter
        self._charges = charges
        self.settler = settler
        self.ahead = ahead
        self._admissions: dict[tuple[Commission, str], Admission] = {}

    async def hold(self, caller: Caller, resource: str, label: str) -> Toll:
        """Reserve a fee before what it is for; from memory where there is a lease and the terms are known.

        `label` is what receipts and usage call it. CallError 402 when the fee is not there.
        """
        commission = self._charges.fee_known(caller.org_id, resource)
        if commission is None:
            with database_away():
                commission = await self._charges.fee(caller.org_id, resource)
        if commission.fee_micro == 0:
            return Toll(self, None)
        call = Call(FACE)
        call.caller, call.parsed = caller, Parsed(label, {})
        call.admission = self._admission(label, commission)
        await self._admitter.reserve(call)
        call.admitted_at = perf_counter()
        return Toll(self, call)

    def _admission(self, label: str, commission: Commission) -> Admission:
        """What is held for a fee; the same for every call at the same terms."""
        made = self._admissions.get((commission, label))
        if made is None:
            made = with_commission(Admission(label, 0, 0, None, 0, NO_PRICES), commission)
            if len(self._admissions) >= ADMISSIONS_MAX:
                self._admissions.clear()
            self._admissions[commission, label] = made
        return made

    async def release(self, call: Call) -> None:
        await self._admitter.release(call.reservation)
        await self._admitter.booked(call, 0)

    async def booked(self, call: Call, paid_micro: int | None) -> None:
        """See `Admitter.booked`."""
        await self._admitter.booked(call, paid_micro)
