"""Paid things that are no model: one call of a tool, at a fee. Reserved before it runs, booked after it answered."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Final
from uuid import UUID

from shanhe.gateway.admission import database_away
from shanhe.gateway.faces.base import Parsed
from shanhe.gateway.faces.openai import Chat
from shanhe.gateway.meter import Buckets, Metered
from shanhe.gateway.model import Admission, Timings, with_commission
from shanhe.gateway.pipeline import Call
from shanhe.gateway.settlement import Outcome
from shanhe.gateway.tariff import Prices

if TYPE_CHECKING:
    from shanhe.gateway.admission import Admitter
    from shanhe.gateway.charges import ChargeBook
    from shanhe.gateway.settlement import Settler
    from shanhe.identity.api import Caller

NO_PRICES: Final = Prices(0, 0, 0, 0, 0, "fee")
FACE: Final = Chat()


class Toll:
    """A fee that is reserved. `book` or `give_back`; later ones do nothing.

    `receipt_id` None and nothing paid where there is no fee for this payer.
    """

    __slots__ = ("_call", "_tolls", "paid_micro", "receipt_id")

    def __init__(self, tolls: Tolls, call: Call | None) -> None:
        self._tolls = tolls
        self._call = call
        self.receipt_id: UUID | None = None
        self.paid_micro = 0

    async def book(self) -> None:
        """What was paid for has been had; durable on return."""
        call, self._call = self._call, None
        if call is None:
            return
        try:
            await self._tolls.settle(call)
        finally:
            if call.reservation is not None:
                await self._tolls.release(call)
        self.receipt_id, self.paid_micro = call.receipt_id, call.paid_micro

    async def give_back(self) -> None:
        """It came to nothing."""
        call, self._call = self._call, None
        if call is not None and call.reservation is not None:
            await self._tolls.release(call)


class Tolls:
    """Reserves and books fees. One per process."""

    def __init__(self, admitter: Admitter, charges: ChargeBook, settler: Settler) -> None:
        self._admitter = admitter
        self._charges = charges
        self._settler = settler

    async def hold(self, caller: Caller, resource: str, label: str, most_micro: int | None = None) -> Toll:
        """Reserve a fee before what it is for; from memory where there is a lease and the terms are known.

        `label` is what receipts and usage call it. CallError 402 when the fee is not there or above `most_micro`.
        """
        commission = self._charges.fee_known(caller.org_id, resource)
        if commission is None:
            with database_away():
                commission = await self._charges.fee(caller.org_id, resource)
        if commission.fee_micro == 0:
            return Toll(self, None)
        call = Call(FACE)
        call.caller, call.most_micro, call.parsed = caller, most_micro, Parsed(label, {})
        call.admission = with_commission(Admission(label, 0, 0, None, 0, NO_PRICES), commission)
        await self._admitter.reserve(call)
        call.admitted_at = perf_counter()
        return Toll(self, call)

    async def settle(self, call: Call) -> None:
        taken_ms = int((perf_counter() - call.started_at) * 1e6) / 1000
        admitted_ms = int((call.admitted_at - call.started_at) * 1e6) / 1000
        outcome = Outcome(Metered(Buckets(), "fee"), "completed", None, Timings(admitted_ms, taken_ms, taken_ms))
        await self._settler.settle_fee(call, outcome)

    async def release(self, call: Call) -> None:
        await self._admitter.release(call.reservation)
