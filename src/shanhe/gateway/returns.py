"""What is sent to the ledger before its answer leaves, and how it is given back when no answer does.

A whole answer and a fee that is booked ahead are noted on a slate before the ledger is asked, and wiped as the paid
answer is about to leave. In between this process gives back what comes to nothing, and after its death whoever starts
next does. One way for all: reversed once where it is in the books, looked for as long as it may still get there. A
note costs no system call (see `slate`), so ordinary calls pay nothing for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import structlog

from shanhe.gateway.slate import Slate, left_behind
from shanhe.kernel.db import FAILURES
from shanhe.kernel.errors import ShanheError
from shanhe.ledger.api import AlreadyReversed, UnknownPosting

if TYPE_CHECKING:
    from shanhe.ledger.api import Ledger

RETRY_FIRST_S, RETRY_MOST_S = 0.05, 2.0
UNKNOWN_TRIES: Final = 40
"""How often a call is looked for that isn't in the books: for over a minute, far longer than a batch can be under way
in the database after who sent it has died."""
STOP_WITHIN_S: Final = 5.0
ACTOR: Final = "gateway"
ENDED: Final = "This process has ended."
REASON: Final = "The call came to nothing · 调用未成，费用退回"
log = structlog.get_logger(__name__)


class Returns:
    """The notes of one process, and its reversals. Without a folder that can be written nothing outlives it."""

    def __init__(self, ledger: Ledger, folder: Path | None) -> None:
        self._ledger = ledger
        self._folder = folder
        self._slate: Slate | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._recovery: asyncio.Task[int] | None = None

    # -- a process's life ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to note, and reverse what dead processes left."""
        if self._folder is None:
            return
        try:
            self._slate = Slate.make(self._folder)
        except OSError as error:
            log.warning("what is under way can't be noted, nothing is booked ahead",
                        folder=str(self._folder), error=str(error))  # fmt: skip
            return
        self._recovery = asyncio.create_task(self.recover())

    async def stop(self) -> None:
        """Reverse what will have no answer, as far as there is time; what is left is for whoever starts next."""
        waiting: set[asyncio.Task[Any]] = {*self._tasks}
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
        """Reverse what dead processes of this machine booked and did not answer; how many were reversed."""
        count = 0
        if self._folder is None:
            return count
        with contextlib.suppress(OSError), left_behind(self._folder) as dead:
            count = sum(await asyncio.gather(*(self._recovered(slate) for slate in dead)))
        if count:
            log.warning("calls that a dead process left were given back", count=count)
        return count

    async def _recovered(self, slate: Slate) -> int:
        left = slate.open()
        found = await asyncio.gather(*(self._reversed(number) for _, number in left))
        for slot, _ in left:
            slate.wipe(slot)
        return sum(found)

    # -- a call -------------------------------------------------------------------------------------------------------

    @property
    def lasts(self) -> bool:
        """Whether what is noted now outlives this process."""
        return self._slate is not None

    def note(self, receipt: UUID) -> int | None:
        """Before the ledger is asked. The slot to wipe; None where nothing can be noted."""
        return None if self._slate is None else self._slate.note(receipt)

    def wipe(self, slot: int | None) -> bool:
        """Before the answer leaves: a process that dies from here on has been paid for it. False where it is too late
        for that: the process ends, and whoever starts next gives it back."""
        if slot is None:
            return True
        if self._slate is None:
            return False
        self._slate.wipe(slot)
        return True

    def take_back(self, slot: int | None, reservation: Any) -> None:
        """No answer leaves: give back what was booked, or turns out to be, behind the back of whoever was told so."""
        task = asyncio.create_task(self._taken_back(slot, reservation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _taken_back(self, slot: int | None, reservation: Any) -> None:
        await self.undo(reservation, for_good=slot is not None)
        self.wipe(slot)

    async def forgo(self, reservation: Any) -> None:
        """Nothing was captured: what it set aside is free again."""
        await self._ledger.forgo(reservation)

    async def undo(self, reservation: Any, *, for_good: bool = True) -> None:
        """Reverse what was captured, or may have been. `for_good`: for as long as it takes."""
        await self._reversed(reservation.receipt_id, for_good=for_good)
        await self._ledger.forgo(reservation)

    async def _reversed(self, receipt: UUID, *, for_good: bool = True) -> bool:
        """False where it isn't in the books, or is reversed."""
        unknown, told = 0, False
        for tried, wait_s in enumerate(waits(RETRY_FIRST_S, RETRY_MOST_S), 1):
            try:
                await self._ledger.reverse(receipt, actor=ACTOR, reason=REASON)
                return True
            except AlreadyReversed:
                return False
            except UnknownPosting:
                unknown += 1
            except (ShanheError, *FAILURES) as error:
                if not told:
                    log.warning("a call is not given back yet", receipt=str(receipt), error=str(error)[:200])
                told = True
            if unknown >= UNKNOWN_TRIES:
                return False
            if tried >= UNKNOWN_TRIES and not for_good:
                log.error("whether a call was given back isn't known", receipt=str(receipt))
                return False
            await asyncio.sleep(wait_s)
        raise AssertionError("unreachable: the waits don't end")


def waits(wait_s: float, most_s: float) -> Iterator[float]:
    """Seconds to wait between tries, without an end."""
    while True:  # for as long as the process lives: what waits is bounded by the slots of a slate, and stays on it
        yield wait_s
        wait_s = min(most_s, wait_s * 2)
