"""Credits that will lapse (C11): who is told when, and what the city will book as breakage on which day.

The schedule is the lots themselves: every open lot with an expiry is a line of breakage booked ahead, and the ledger's
sweep posts it on its day. What is held then lapses only when it is released. Nobody's credits lapse without warnings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from uuid import UUID

from shanhe.credits import messages, windows
from shanhe.credits.policy import EXPIRY
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.kernel.paging import every
from shanhe.ledger.api import CITY_OWNER, Lapse, LotHistory
from shanhe.rulebook.api import Rulebook

DAYS_MAX = 800


@dataclass(frozen=True)
class LapseDay:
    """What lapses on one day unless it is spent; `held_micro` of it waits for its hold to end."""

    on: date
    amount_micro: int
    held_micro: int
    owners: int
    lots: int
    by_provenance: dict[str, int]


class Lapses:
    """The calendar of expiry and its notices."""

    def __init__(self, db: Database, clock: Clock, *, rulebook: Rulebook, notifier: Notifier) -> None:
        self._history = LotHistory(db)
        self._clock = clock
        self._rulebook = rulebook
        self._notifier = notifier

    async def of(self, org_id: UUID, *, days: int = 366) -> Sequence[LapseDay]:
        """What an organisation will lose when."""
        return self._by_day(await self._coming(days, org_id))

    async def calendar(self, *, days: int = 90) -> Sequence[LapseDay]:
        """The city's breakage to come, day by day; overdue lots that are still held stand on their own day."""
        now = self._clock.now()
        overdue = [one async for one in self._all(windows.midnight(date(2020, 1, 1)), now, None)]
        return self._by_day([*overdue, *await self._coming(days, None)])

    async def _coming(self, days: int, org_id: UUID | None) -> list[Lapse]:
        now = self._clock.now()
        until = windows.midnight(self._clock.today() + timedelta(days=min(max(days, 1), DAYS_MAX) + 1))
        return [one async for one in self._all(now, until, org_id)]

    def _all(self, since: datetime, until: datetime, org_id: UUID | None) -> AsyncIterator[Lapse]:
        """Of everybody, however many: whose lapses are left out is not warned."""
        return every(partial(self._history.lapses, since, until, org_id), lambda one: one)

    def _by_day(self, lapses: Sequence[Lapse]) -> list[LapseDay]:
        found: dict[date, list[Lapse]] = {}
        for lapse in lapses:
            found.setdefault(lapse.on, []).append(lapse)
        return [_day(on, found[on]) for on in sorted(found)]

    async def run(self) -> int:
        """Tell each owner once per day of expiry at each warning (rule C11); how many notices were new.

        A warning that was missed, because the city was down or the lot is younger, is made up by the next one due.
        """
        today = self._clock.today()
        warnings = sorted(int(days) for days in self._rulebook.parameter(EXPIRY, "notice_days", today))
        groups: dict[tuple[UUID, date], int] = {}
        for lapse in await self._coming(warnings[-1], None):
            if lapse.owner != CITY_OWNER:
                key = (lapse.owner, lapse.on)
                groups[key] = groups.get(key, 0) + lapse.amount
        told = 0
        for (owner, on), amount in groups.items():
            left = (on - today).days
            due = next((days for days in warnings if left <= days), None)
            if due is not None:
                told += await self._notifier.notify(messages.will_lapse(owner, on, amount, left, due))
        return told


def _day(on: date, lapses: list[Lapse]) -> LapseDay:
    by: dict[str, int] = {}
    for lapse in lapses:
        by[str(lapse.provenance)] = by.get(str(lapse.provenance), 0) + lapse.amount
    return LapseDay(
        on=on,
        amount_micro=sum(lapse.amount for lapse in lapses),
        held_micro=sum(lapse.held for lapse in lapses),
        owners=len({lapse.owner for lapse in lapses}),
        lots=sum(lapse.lots for lapse in lapses),
        by_provenance=by,
    )
