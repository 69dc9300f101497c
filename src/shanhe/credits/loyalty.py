"""Loyalty (C10): how many quarters in a row an organisation has used credits, and what that is worth.

A quarter counts when the credits captured in it reach the rule's minimum. The running quarter counts as soon as it does
and breaks nothing before, so nobody loses a step on the first of January.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from shanhe.credits import windows
from shanhe.credits.model import SpentBy
from shanhe.kernel.clock import Clock
from shanhe.kernel.money import MICRO
from shanhe.rulebook.api import Rulebook

RULE = "C10"
QUARTERS_MAX = 40
KEPT = 5_000


@dataclass(frozen=True)
class Standing:
    """An organisation's loyalty on a day: `fee_bps` of trades, `queue_weight` in queues, both by rule C10."""

    org_id: UUID
    on: date
    quarters: int
    fee_bps: int
    reduction_bps: int
    queue_weight: int
    rule_version: str


class Loyalty:
    """Standings, computed from what was captured and kept for a day."""

    def __init__(self, clock: Clock, *, rulebook: Rulebook, spent: SpentBy) -> None:
        self._clock = clock
        self._rulebook = rulebook
        self._spent = spent
        self._kept: OrderedDict[tuple[UUID, date], int] = OrderedDict()

    async def standing(self, org_id: UUID, on: date | None = None, *, fee_bps: int | None = None) -> Standing:
        """The organisation's standing on a day (default: today); `fee_bps` is the fee it lowers, else the rule's."""
        on = on or self._clock.today()
        quarters = await self.quarters(org_id, on)
        facts: dict[str, int] = {"quarters": quarters} | ({"fee": fee_bps} if fee_bps is not None else {})
        decision = self._rulebook.evaluate(RULE, facts, on=on)
        out = decision.outputs
        return Standing(
            org_id, on, quarters, out["fee_bps"], out["reduction_bps"], out["queue_weight"], decision.version
        )

    async def quarters(self, org_id: UUID, on: date) -> int:
        """Consecutive active quarters up to the one of `on`."""
        known = self._kept.get((org_id, on))
        if known is not None:
            return known
        least_micro = int(self._rulebook.parameter(RULE, "active_credits", on)) * MICRO
        first = quarter_of(on)
        running = await self._captured(org_id, first) >= least_micro
        count, first = int(running), before(first)
        while count < QUARTERS_MAX and await self._captured(org_id, first) >= least_micro:
            count, first = count + 1, before(first)
        if running or on != self._clock.today():  # an active quarter stays active, any other may still become so
            self._kept[org_id, on] = count
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return count

    async def _captured(self, org_id: UUID, first: date) -> int:
        return await self._spent(org_id, None, windows.midnight(first), windows.midnight(after(first)))


def quarter_of(on: date) -> date:
    """The first day of the quarter that a day lies in."""
    return date(on.year, 3 * ((on.month - 1) // 3) + 1, 1)


def after(first: date) -> date:
    """The first day of the next quarter."""
    return date(first.year + first.month // 10, (first.month + 2) % 12 + 1, 1)


def before(first: date) -> date:
    """The first day of the quarter before."""
    return date(first.year - (first.month == 1), (first.month - 4) % 12 + 1, 1)
