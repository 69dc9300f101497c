"""What is left of a run's budget, shared among the steps that are under way. Micro-credits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeVar

from shanhe.gateway.api import CallError
from shanhe.workflows.errors import StepFailed

T = TypeVar("T")
TOO_LITTLE: Final = "run_budget_exceeded"
"""A call that was refused because it may cost more than it was given; nothing was charged."""


class Purse:
    """Each step that may cost is given its part of what is left, equal among those that are due, and holds it until it
    is booked: so all together never cost more. A call that is refused because its part doesn't do is made again once
    others are booked, with all that is left then."""

    def __init__(self, left: int, due: Callable[[], Collection[int]]) -> None:
        """`due`: numbers of the steps that are due."""
        self._left = left
        self._due = due
        self._held: dict[int, int] = {}
        self._resting = set[int]()
        self._changed = asyncio.Event()

    async def spend(self, n: int, call: Callable[[int], Awaitable[T]]) -> T:
        """Make the n-th step's call with what it may cost."""
        everything = False
        while True:
            most = await self.take(n, everything=everything)
            try:
                return await call(most)
            except CallError as error:
                if error.code != TOO_LITTLE or (not self._others(n) and self._free(n) <= most):
                    raise
                everything = True
                self._let_go(n)

    async def take(self, n: int, *, everything: bool = False) -> int:
        """A step's part of what is left, or all of it once nothing else is under way; StepFailed when nothing is
        left."""
        while True:
            free = self._free(n)
            most = free if everything else self._share(n, free)
            if (most > 0 and not everything) or not self._others(n):
                break
            await self._changed.wait()
        if free <= 0:
            raise StepFailed("run_budget", "The run's budget is used up", "运行预算已用完")
        self._held[n] = most or free
        return self._held[n]

    def hold(self, n: int, micro: int, *, resting: bool = False) -> None:
        """Keep so much for a step. `resting`: it isn't waited for here, as another run goes on for days."""
        self._held[n] = micro
        if resting:
            self._resting.add(n)
        self._tell()

    def settle(self, n: int, paid_micro: int) -> None:
        """A step is booked, at what it cost."""
        self._left -= paid_micro
        self._resting.discard(n)
        self._let_go(n)

    def _let_go(self, n: int) -> None:
        self._held.pop(n, None)
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _free(self, n: int) -> int:
        return self._left - sum(held for other, held in self._held.items() if other != n)

    def _share(self, n: int, free: int) -> int:
        """Of what is free, as much as each that is due and holds nothing."""
        return free // max(1, sum(1 for other in self._due() if other == n or other not in self._held))

    def _others(self, n: int) -> bool:
        """Whether something else is under way that will be booked soon."""
        return any(other != n and other not in self._resting for other in self._held)
