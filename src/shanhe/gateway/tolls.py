"""Paid things that are no model: one call of a tool, at a fee. Reserved before it runs, booked after it answered."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from time import perf_counter
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

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


class Toll(msgspec.Struct):
    """What came of it: `receipt_id` None and nothing paid where there is no fee for this payer."""

    receipt_id: UUID | None = None
    paid_micro: int = 0


class Tolls:
    """Reserves and books fees. One per process."""

    def __init__(self, admitter: Admitter, charges: ChargeBook, settler: Settler) -> None:
        self._admitter = admitter
        self._charges = charges
        self._settler = settler

    @contextlib.asynccontextmanager
    async def open(
        self, caller: Caller, resource: str, label: str, most_micro: int | None = None
    ) -> AsyncIterator[Toll]:
        """Hold the fee while the block runs, book it when it ends well, and give it back when it raises.

        `label` is what receipts and usage call it. CallError 402 when the fee is not there or above `most_micro`.
        """
        with database_away():
            commission = await self._charges.fee(caller.org_id, resource)
        toll = Toll()
        if commission.fee_micro == 0:
            yield toll
            return
        call = Call(FACE)
        call.caller, call.most_micro, call.parsed = caller, most_micro, Parsed(label, {})
        call.admission = with_commission(Admission(label, 0, 0, None, 0, NO_PRICES), commission)
        await self._admitter.reserve(call)
        call.admitted_at = perf_counter()
        try:
            yield toll
            taken_ms = int((perf_counter() - call.started_at) * 1e6) / 1000
            admitted_ms = int((call.admitted_at - call.started_at) * 1e6) / 1000
            outcome = Outcome(Metered(Buckets(), "fee"), "completed", None, Timings(admitted_ms, taken_ms, taken_ms))
            await self._settler.settle_fee(call, outcome)
            toll.receipt_id, toll.paid_micro = call.receipt_id, call.paid_micro
        finally:
            if call.reservation is not None:
                await self._admitter.release(call.reservation)
