"""Fees that are booked while what they pay for still runs, so that its answer needn't wait for the disk.

The fee of a call is known before it. Once the request is out, and the tool has not answered for a moment, the fee is
booked beside its work; an answer to be paid for then finds it in the ledger. A call that comes to nothing after all
has it reversed, each exactly once, and so does one whose process dies: see `returns` and docs/adr/0066.

Calls are gathered and booked together at a beat. One that ends before it is booked as if nothing were here, and so is
every call of a tool that failed lately: statements are not for pairs of entries that say nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final
from uuid import UUID

import structlog

from shanhe.gateway.returns import ENDED
from shanhe.kernel.errors import ShanheError
from shanhe.ledger.api import LedgerUnavailable

if TYPE_CHECKING:
    from shanhe.gateway.returns import Returns
    from shanhe.gateway.settlement import Fee, Settler
    from shanhe.gateway.tolls import Toll

BOOK_AFTER_S: Final = 0.004
"""A call that ends sooner is booked at its end."""
BEAT_S: Final = 0.006
"""How long calls that are to be booked are gathered: nobody waits for them, and a batch costs much the same whatever
its size."""
STEADY_CALLS: Final = 8
"""A tool's calls are booked ahead once so many in a row were paid, until one is not."""
TOOLS_MAX: Final = 10_000
REVERSED_WITHIN_S: Final = 1.0
"""How long a failing answer waits for its reversal; after that it is reversed behind its back."""
STOP_WITHIN_S: Final = 5.0
log = structlog.get_logger(__name__)


class Booking:
    """A fee that is being booked, or is, while its call runs."""

    __slots__ = ("error", "fee", "landed", "paying", "reversal", "slot", "waiter")

    def __init__(self, slot: int, fee: Fee) -> None:
        self.slot = slot
        self.fee = fee
        self.paying = False
        self.reversal: asyncio.Task[None] | None = None
        self.landed = False
        self.error: Exception | None = None
        self.waiter: asyncio.Future[None] | None = None

    def land(self, error: Exception | None) -> None:
        """The ledger's word."""
        self.landed, self.error = True, error
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def done(self) -> None:
        """Wait for the ledger's word, whatever it is; one at a time."""
        if not self.landed:
            self.waiter = asyncio.get_running_loop().create_future()
            await self.waiter


class Ahead:
    """Books ahead for one process: only while what it has under way is noted."""

    def __init__(self, settler: Settler, returns: Returns) -> None:
        self._settler = settler
        self._returns = returns
        self._watched: deque[tuple[float, Toll]] = deque()
        self._beat: asyncio.TimerHandle | None = None
        self._paid: dict[str, int] = {}
        """Calls of a tool that were paid in a row, up to `STEADY_CALLS`."""
        self._open: dict[UUID, Booking] = {}
        self._ending = False
        self._last_paid: asyncio.Event | None = None

    async def stop(self) -> None:
        """Reverse what will have no answer, and let end what is being paid, as far as there is time."""
        self._ending = True
        if self._beat is not None:
            self._beat.cancel()
        self._watched.clear()
        reversals = {self._take_back(booking) for booking in self._open.values() if not booking.paying}
        if any(booking.paying for booking in self._open.values()):
            self._last_paid = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._last_paid.wait(), STOP_WITHIN_S)
        if reversals:
            await asyncio.wait(reversals, timeout=STOP_WITHIN_S)
        for task in reversals:
            task.cancel()
        await asyncio.gather(*reversals, return_exceptions=True)

    # -- a call -------------------------------------------------------------------------------------------------------

    def watch(self, toll: Toll, tool: str) -> None:
        """The call is under way: book its fee if it takes a moment."""
        if not self._returns.lasts or self._ending or self._paid.get(tool, 0) < STEADY_CALLS:
            return
        loop = asyncio.get_running_loop()
        self._watched.append((loop.time() + BOOK_AFTER_S, toll))
        if self._beat is None:
            self._beat = loop.call_later(BEAT_S, self._on_beat)

    def ended(self, tool: str, *, paid: bool) -> None:
        """How a call of a tool ended."""
        if not paid:
            self._paid.pop(tool, None)
            return
        known = self._paid.get(tool, 0)
        if known < STEADY_CALLS:
            if len(self._paid) >= TOOLS_MAX:
                self._paid.clear()
            self._paid[tool] = known + 1

    def is_open(self, receipt: UUID) -> bool:
        """Whether a fee is booked of a call that still runs here."""
        return receipt in self._open

    def _on_beat(self) -> None:
        loop, watched = asyncio.get_running_loop(), self._watched
        now = loop.time()
        while watched and watched[0][0] <= now:
            toll = watched.popleft()[1]
            if toll.runs:
                self._book(toll)
        self._beat = loop.call_later(BEAT_S, self._on_beat) if watched else None

    def _book(self, toll: Toll) -> None:
        call = toll.call
        assert call is not None
        slot = self._returns.note(call.receipt_id)
        if slot is None:
            return
        fee = None
        try:
            booking = toll.booking = Booking(slot, self._settler.fee_of(call))
            if self._settler.fee_soon(booking.fee, booking.land):
                fee = booking.fee
        except ShanheError as error:  # whoever settles it at its end says so
            log.info("a fee was not booked ahead", receipt=str(call.receipt_id), error=error.code)
        if fee is None:
            toll.booking = None
            self._returns.wipe(slot)
            return
        self._open[call.receipt_id] = booking
        call.reservation = None

    async def pay(self, booking: Booking) -> None:
        """It was had: returns when the fee is in the ledger, which it mostly is. Raises as `Ledger.settle`; then it
        is not paid, or will be given back."""
        if booking.reversal is not None:
            raise LedgerUnavailable("This process ends.")
        booking.paying = True
        try:
            await booking.done()
            if isinstance(booking.error, LedgerUnavailable):
                await self._settler.fee_again(booking.fee)
            elif booking.error is not None:
                raise booking.error
        except BaseException:
            self._take_back(booking)
            raise
        if not self._end(booking):
            raise LedgerUnavailable(ENDED)
        self._settler.count_fee(booking.fee)

    async def undo(self, booking: Booking) -> None:
        """It came to nothing: the fee is given back, whatever happens to who asks."""
        await asyncio.wait({self._take_back(booking)}, timeout=REVERSED_WITHIN_S)

    def _take_back(self, booking: Booking) -> asyncio.Task[None]:
        if booking.reversal is None:
            booking.reversal = asyncio.create_task(self._undone(booking))
        return booking.reversal

    async def _undone(self, booking: Booking) -> None:
        await booking.done()
        if booking.error is None or isinstance(booking.error, LedgerUnavailable):
            await self._returns.undo(booking.fee.reservation)
        else:
            await self._returns.forgo(booking.fee.reservation)
        self._end(booking)

    def _end(self, booking: Booking) -> bool:
        """See `Returns.wipe`."""
        wiped = self._returns.wipe(booking.slot)
        if wiped:
            del self._open[booking.fee.receipt_id]
        if self._last_paid is not None and not any(one.paying for one in self._open.values()):
            self._last_paid.set()
        return wiped
