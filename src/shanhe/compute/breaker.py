"""A circuit breaker as a pure state machine; time is handed in as monotonic seconds.

closed → open when, within the window, enough requests ended and enough of them failed, or several failed in a row.
open → half open after a wait that doubles with each relapse. half open lets a bounded number of probes through: enough
successes close it, one failure opens it again. The pattern is Nygard's (Release It!, 2nd ed., ch. 5).
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Final

WINDOW_S: Final = 30.0
WINDOW_MAX: Final = 100
"""Outcomes remembered at most."""
VOLUME_MIN: Final = 10
"""Fewer outcomes than this say nothing about a rate."""
FAILURE_RATE_BPS: Final = 5_000
IN_A_ROW_MAX: Final = 5
OPEN_S: Final = 2.0
OPEN_MAX_S: Final = 60.0
PROBES_MAX: Final = 2
"""Requests in flight at the same time while half open."""
SUCCESSES_TO_CLOSE: Final = 2
PROBE_LOST_S: Final = 120.0
"""A probe that never reports is forgotten after this long."""


class Circuit(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """State of one engine's circuit. Every request that `begin` lets through must `record` once."""

    __slots__ = ("_in_a_row", "_opened_at", "_outcomes", "_probes", "_relapses", "_successes", "circuit")

    def __init__(self) -> None:
        self.circuit = Circuit.CLOSED
        self._outcomes: deque[tuple[float, bool]] = deque(maxlen=WINDOW_MAX)
        self._in_a_row = 0
        self._opened_at = 0.0
        self._relapses = 0
        self._probes: deque[float] = deque(maxlen=PROBES_MAX)
        self._successes = 0

    @property
    def open_s(self) -> float:
        """How long an opened circuit stays open."""
        return float(min(OPEN_MAX_S, OPEN_S * 2 ** min(self._relapses, 10)))

    def allows(self, now: float) -> bool:
        """Whether a request would be let through; changes nothing."""
        if self.circuit is Circuit.CLOSED:
            return True
        if self.circuit is Circuit.OPEN:
            return now - self._opened_at >= self.open_s
        return self._free_probe(now)

    def wait_s(self, now: float) -> float:
        """Seconds until a request may be let through."""
        if self.circuit is Circuit.OPEN:
            return max(0.0, self.open_s - (now - self._opened_at))
        return 0.0 if self.allows(now) else 1.0

    def begin(self, now: float) -> bool:
        """Let a request through, or not. An open circuit whose wait is over becomes half open here."""
        if self.circuit is Circuit.CLOSED:
            return True
        if self.circuit is Circuit.OPEN:
            if now - self._opened_at < self.open_s:
                return False
            self.circuit = Circuit.HALF_OPEN
            self._probes.clear()
            self._successes = 0
        if not self._free_probe(now):
            return False
        while self._probes and now - self._probes[0] >= PROBE_LOST_S:
            self._probes.popleft()
        self._probes.append(now)
        return True

    def record(self, ok: bool, now: float) -> None:
        """The outcome of a request that was let through."""
        self._outcomes.append((now, ok))
        self._in_a_row = 0 if ok else self._in_a_row + 1
        if self.circuit is Circuit.HALF_OPEN:
            self._record_probe(ok, now)
        elif self.circuit is Circuit.CLOSED and not ok and self._tripped(now):
            self._open(now)

    def abandon(self) -> None:
        """A request that was let through ended without saying anything about the engine."""
        if self._probes:
            self._probes.popleft()

    def failure_rate_bps(self, now: float) -> int:
        """Share of failures among the window's outcomes, basis points."""
        recent = [ok for at, ok in self._outcomes if now - at <= WINDOW_S]
        return 0 if not recent else recent.count(False) * 10_000 // len(recent)

    def _free_probe(self, now: float) -> bool:
        if len(self._probes) < PROBES_MAX:
            return True
        return now - self._probes[0] >= PROBE_LOST_S

    def _record_probe(self, ok: bool, now: float) -> None:
        if self._probes:
            self._probes.popleft()
        if not ok:
            self._relapses += 1
            self._open(now)
            return
        self._successes += 1
        if self._successes >= SUCCESSES_TO_CLOSE:
            self.circuit = Circuit.CLOSED
            self._relapses = 0
            self._outcomes.clear()
            self._probes.clear()

    def _tripped(self, now: float) -> bool:
        if self._in_a_row >= IN_A_ROW_MAX:
            return True
        recent = sum(1 for at, _ in self._outcomes if now - at <= WINDOW_S)
        return recent >= VOLUME_MIN and self.failure_rate_bps(now) >= FAILURE_RATE_BPS

    def _open(self, now: float) -> None:
        self.circuit = Circuit.OPEN
        self._opened_at = now
        self._in_a_row = 0
        self._probes.clear()
        self._successes = 0
