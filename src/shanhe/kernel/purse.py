"""What a piece of work may cost, for all that spend of it at the same moment. Micro-credits.

Whoever makes a call sets aside what it may cost at most, and gives back what it did not. So all of them together never
spend more than there is, and nothing lies idle with one of them that another could use.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class OverBudget(Exception):
    """More than is left. Nothing was set aside."""

    def __init__(self, wanted_micro: int, left_micro: int) -> None:
        super().__init__(f"{wanted_micro} of {left_micro}")
        self.left_micro = left_micro


class Purse(Protocol):
    """Where calls set aside what they may cost."""

    async def hold(self, micro: int) -> None:
        """Set so much aside; waits while what is missing may come back from others. OverBudget."""
        ...

    async def settle(self, held_micro: int, paid_micro: int | None) -> None:
        """A call that had set so much aside is over, and cost so much of it; None: what it cost isn't known, so nothing
        of it can be spent again."""
        ...


class Budget:
    """A purse in memory; what is set aside of it is set aside of an `outer` one, too."""

    def __init__(self, most_micro: int, outer: Purse | None = None) -> None:
        self._left = most_micro
        self._held = 0
        self._outer = outer
        self._changed = asyncio.Event()

    async def hold(self, micro: int) -> None:
        while micro > self._left:
            if micro > self._left + self._held:
                raise OverBudget(micro, self._left)
            await self._changed.wait()
        self._left -= micro
        self._held += micro
        if self._outer is None:
            return
        try:
            await self._outer.hold(micro)
        except BaseException:
            self._booked(micro, 0)
            raise

    async def settle(self, held_micro: int, paid_micro: int | None) -> None:
        self._booked(held_micro, held_micro if paid_micro is None else paid_micro)
        if self._outer is not None:
            await self._outer.settle(held_micro, paid_micro)

    def _booked(self, held_micro: int, paid_micro: int) -> None:
        self._held -= held_micro
        self._left += held_micro - paid_micro
        self._changed.set()
        self._changed = asyncio.Event()
