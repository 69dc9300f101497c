"""Fees that are booked while what they pay for still runs, so that its answer needn't wait for the disk.

The fee of a call is known before it. Once the request is out, and the tool has not answered for a moment, the fee is
booked beside its work; an answer to be paid for then finds it in the ledger. A call that comes to nothing after all
has it reversed, each exactly once. What is booked ahead and not ended is noted on a slate that outlives the process:
whoever starts next reverses what a dead one left. See docs/adr/0066.

Calls are gathered and booked together at a beat. One that ends before it is booked as if nothing were here, and so is
every call of a tool that failed lately: statements are not for pairs of entries that say nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg
import structlog

from shanhe.gateway.slate import Slate, left_behind
from shanhe.kernel.errors import ShanheError
from shanhe.ledger.api import AlreadyReversed, LedgerUnavailable, UnknownPosting

if TYPE_CHECKING:
    from shanhe.gateway.settlement import Fee, Settler
    from shanhe.gateway.tolls import Toll
    from shanhe.ledger.api import Ledger

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
RETRY_FIRST_S, RETRY_MOST_S = 0.05, 2.0
UNKNOWN_TRIES: Final = 40
"""How often a fee is looked for that isn't in the books: for over a minute, far longer than a batch can be under way
in the database after who sent it has died."""
STOP_WITHIN_S: Final = 5.0
ACTOR: Final = "gateway"
REASON: Final = "The call came to nothing · 调用未成，费用退回"
AWAY: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
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
    """Books ahead for one process: only while it has a slate."""

    def __init__(self, ledger: Ledger, settler: Settler, folder: Path | None) -> None:
        self._ledger = ledger
        self._settler = settler
        self._folder = folder
        self._slate: Slate | None = None
        self._watched: deque[tuple[float, Toll]] = deque()
        self._beat: asyncio.TimerHandle | None = None
        self._paid: dict[str, int] = {}
        """Calls of a tool that were paid in a row, up to `STEADY_CALLS`."""
        self._open: dict[UUID, Booking] = {}
        self._ending = False
        self._last_paid: asyncio.Event | None = None
        self._recovery: asyncio.Task[int] | None = None

    # -- a process's life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to book ahead, and reverse what dead processes left. Where nothing can be noted nothing is ahead."""
        if self._folder is None:
            return
        try:
            self._slate = Slate.make(self._folder)
        except OSError as error:
            log.warning("fees are not booked ahead: nothing can be noted", folder=str(self._folder), error=str(error))
            return
        self._recovery = asyncio.create_task(self.recover())

    async def stop(self) -> None:
        """Reverse what will have no answer, as far as there is time; what is left is for whoever starts next."""
        self._ending = True
        if self._beat is not None:
            self._beat.cancel()
        self._watched.clear()
        waiting: set[asyncio.Task[Any]] = {
            self._take_back(booking) for booking in self._open.values() if not booking.paying
        }
        if any(booking.paying for booking in self._open.values()):
            self._last_paid = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._last_paid.wait(), STOP_WITHIN_S)
        if waiting:
            await asyncio.wait(waiting, timeout=STOP_WITHIN_S)
        if self._recovery is not None:
            waiting.add(self._recovery)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        slate, self._slate = self._slate, None
        if slate is not None:
            slate.close()

    async def recover(self) -> int:
        """Reverse what dead processes of this machine booked ahead and did not end; how many were reversed."""
        count = 0
        if self._folder is None:
            return count
        with contextlib.suppress(OSError):
            for slate in left_behind(self._folder):
                left = slate.open()
                count += sum(await asyncio.gather(*(self._reversed(number) for _, number in left)))
                for slot, _ in left:
                    slate.wipe(slot)
        if count:
            log.warning("fees of calls that a dead process left were given back", count=count)
        return count

    # -- a call -------------------------------------------------------------------------------------------------------

    def watch(self, toll: Toll, tool: str) -> None:
        """The call is under way: book its fee if it takes a moment."""
        if self._slate is None or self._ending or self._paid.get(tool, 0) < STEADY_CALLS:
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
            if self._slate is not None and toll.runs:
                self._book(toll, self._slate)
        self._beat = loop.call_later(BEAT_S, self._on_beat) if watched else None

    def _book(self, toll: Toll, slate: Slate) -> None:
        call = toll.call
        assert call is not None
        slot = slate.note(call.receipt_id)
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
            slate.wipe(slot)
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
        if self._slate is None:  # it can't be wiped any more: whoever starts next gives it back
            raise LedgerUnavailable("This process has ended.")
        self._end(booking)
        self._settler.count_fee(booking.fee)

    async def undo(self, booking: Booking) -> None:
        """It came to nothing: the fee is given back, whatever happens to who asks."""
        await asyncio.wait({self._take_back(booking)}, timeout=REVERSED_WITHIN_S)

    def _take_back(self, booking: Booking) -> asyncio.Task[None]:
        if booking.reversal is None:
            booking.reversal = asyncio.create_task(self._undone(booking))
        return booking.reversal

    async def _undone(self, booking: Booking) -> None:
        fee = booking.fee
        await booking.done()
        if booking.error is None:
            self._ledger.uncount(fee.reservation.limits, fee.charge.limit_actuals)
        if booking.error is None or isinstance(booking.error, LedgerUnavailable):
            await self._reversed(fee.receipt_id)
            if booking.error is not None:
                await self._ledger.release(fee.reservation)
        self._end(booking)

    def _end(self, booking: Booking) -> None:
        """Before the answer leaves: a process that dies from here on has been paid for it."""
        del self._open[booking.fee.receipt_id]
        if self._slate is not None:
            self._slate.wipe(booking.slot)
        if self._last_paid is not None and not any(one.paying for one in self._open.values()):
            self._last_paid.set()

    async def _reversed(self, receipt: UUID) -> bool:
        """Reverse a fee, for as long as it takes; False where it isn't in the books, or is reversed."""
        unknown, told = 0, False
        for wait_s in _waits():
            try:
                await self._ledger.reverse(receipt, actor=ACTOR, reason=REASON)
                return True
            except AlreadyReversed:
                return False
            except UnknownPosting:
                unknown += 1
                if unknown >= UNKNOWN_TRIES:
                    return False
            except (ShanheError, *AWAY) as error:
                if not told:
                    log.warning("a fee is not given back yet", receipt=str(receipt), error=str(error)[:200])
                told = True
            await asyncio.sleep(wait_s)
        raise AssertionError("unreachable: the waits don't end")


def _waits() -> Iterator[float]:
    wait_s = RETRY_FIRST_S
    while True:  # as long as the process lives: what waits is bounded by the slots of a slate, and stays on it
        yield wait_s
        wait_s = min(RETRY_MOST_S, wait_s * 2)
