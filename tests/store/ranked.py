"""Months that a test has to itself, whatever was fixed before it and whichever day it runs on."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from shanhe.kernel.clock import add_months
from shanhe.store import rank_store

if TYPE_CHECKING:
    from stage.market import Market

AHEAD = 2
"""Months from now on which the rule is as it is from December 2026 on."""


class After:
    """The city's clock on the first day after a month."""

    def __init__(self, clock: Any, month: date) -> None:
        self._day = add_months(month, 1)
        self._ahead = self._day - clock.today()
        self._clock = clock

    def now(self) -> Any:
        return self._clock.now() + self._ahead

    def today(self) -> date:
        return self._day


class UsedNow:
    """The store's window, whose use until now counts for the month that the test is in."""

    def __init__(self, shop: Any) -> None:
        self._shop = shop

    async def cards(self, kind: str, *, on: date) -> Any:
        return await self._shop.cards(kind)

    async def backing(self, name: str, most: int, last: date) -> Any:
        return await self._shop.backing(name, most, self._shop._clock.today())


async def month_of_its_own(market: Market) -> date:
    """A month that nothing is fixed of, after all those that are; nobody has a place in the one before it."""
    services = market.services
    newest = (await services.ranks.months() or [services.clock.today()])[0]
    month = add_months(max(newest, services.clock.today()).replace(day=1), AHEAD)
    await rank_store.fix(services.db, add_months(month, -1), [], services.clock.now())
    return month
