"""Whose turn it is at a full engine: start-time fair queueing (Goyal, Vin, Cheng 1996), one flow an organisation. Pure.

Each waiter gets a start tag, the later of the queue's virtual time and the end of its organisation's last one, which
lies COST ÷ weight further on; the smallest tag is served and becomes the virtual time. So organisations that wait share
the slots by their weights, however many calls each has sent, and nobody's first call waits behind more than the turns
that began before it: a high weight shortens a wait, a low one never makes it endless.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

COST: Final = 27_720
"""Divides by every weight up to 12."""
WEIGHT_MAX: Final = 12

Waiter = TypeVar("Waiter")


class Turns(Generic[Waiter]):
    """Waiters in the order in which they are served. A weight is 1 to WEIGHT_MAX; what lies outside is moved inside."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Waiter]] = []
        self._ends: dict[Hashable, int] = {}
        self._gone: set[int] = set()
        self._seq_of: dict[int, int] = {}
        self._now = 0
        self._seq = 0

    def __len__(self) -> int:
        return len(self._seq_of)

    def add(self, waiter: Waiter, flow: Hashable = None, weight: int = 1) -> None:
        """Queue a waiter of a flow."""
        start = max(self._now, self._ends.get(flow, 0))
        self._ends[flow] = start + COST // min(max(weight, 1), WEIGHT_MAX)
        self._seq += 1
        self._seq_of[id(waiter)] = self._seq
        heapq.heappush(self._heap, (start, self._seq, waiter))

    def pop(self) -> Waiter | None:
        """The next in turn; None when nobody waits."""
        while self._heap:
            start, seq, waiter = heapq.heappop(self._heap)
            if seq in self._gone:
                self._gone.discard(seq)
                continue
            del self._seq_of[id(waiter)]
            self._now = start
            if not self._seq_of:
                self._forget()
            return waiter
        return None

    def drop(self, waiter: Waiter) -> bool:
        """Take a waiter out that does not wait any longer; False when it is not in the queue."""
        seq = self._seq_of.pop(id(waiter), None)
        if seq is None:
            return False
        self._gone.add(seq)
        if not self._seq_of:
            self._forget()
        return True

    def _forget(self) -> None:
        """Nobody waits: who had how many turns is of no account any more."""
        self._heap.clear()
        self._ends.clear()
        self._gone.clear()
        self._now = 0
