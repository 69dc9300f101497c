"""A month's ranking (P7), fixed once when the month is over, and the rewards for it.

The store says who stood where; rewards are awards of the programme engine, as prizes of contests are. What no unrelated
payer used takes no part: use among one's own counts in no ranking (R0), ratings need a paid call, and a reward takes as
many payers as P7_rank_reward says: one friend who pays is no ranking.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.store import rank_store as store
from shanhe.store.model import Kind

if TYPE_CHECKING:
    from shanhe.rulebook.api import Rulebook
    from shanhe.store.service import Store

RULE: Final = "P7_rank_reward"
PLACES: Final = 10
"""Places that are kept of each kind and month; P7_rank_reward says which of them are rewarded."""
Reward = Callable[[UUID, str], Awaitable[UUID | None]]
"""(organisation, `2026-10/agent`): apply for the reward of a month and kind; the application, None while it can't."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Where a listing stood at a month's end."""

    month: date
    kind: str
    place: int
    listing: UUID
    owner: UUID
    score: int
    payers: int
    """Unrelated organisations that paid for it in the days that count."""
    application: UUID | None

    @property
    def round(self) -> str:
        """What an application names: its month and kind."""
        return f"{self.month:%Y-%m}/{self.kind}"


class Ranks:
    """Fixes and rewards months. `reward` asks the programme engine."""

    def __init__(self, db: Database, clock: Clock, shop: Store, rulebook: Rulebook, *, reward: Reward) -> None:
        self._db = db
        self._clock = clock
        self._shop = shop
        self._rulebook = rulebook
        self._reward = reward

    async def tick(self) -> int:
        """What repeats: fix the month that is over, once, and hand in what is not rewarded; how many were handed in."""
        month = _month_before(self._clock.today())
        if not await store.is_fixed(self._db, month):
            await store.fix(self._db, month, await self._places(), self._clock.now())
        return sum([await self._pay(one) for one in await store.unpaid(self._db)])

    async def _places(self) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for kind in Kind:
            used = [card for card in await self._shop.cards(kind) if card.usage_bps][:PLACES]
            found += [
                (kind, place, one.listing.id, one.listing.owner, one.score, one.payers)
                for place, one in enumerate(used, 1)
            ]
        return found

    async def _pay(self, month: date) -> int:
        handed_in, done = 0, True
        for one in await self.of(month):
            if one.application is not None or not self._due(one) or await self._better(one):
                continue
            application = await self._reward(one.owner, one.round)
            if application is None:
                done = False
                continue
            handed_in += 1
            await store.set_application(self._db, one.month, one.kind, one.place, application)
        if done:
            await store.set_paid(self._db, month, self._clock.now())
        return handed_in

    def _due(self, one: Rank) -> int:
        facts = {"place": one.place, "score": one.score, "payers": one.payers}
        found = self._rulebook.evaluate(RULE, facts, on=_last_day(one.month))
        return int(found.outputs["reward_micro"])

    async def _better(self, one: Rank) -> bool:
        """Whether its owner stands higher with something else: one reward a month and kind."""
        best = await self.stood(one.owner, one.round)
        return best is not None and best[0] < one.place

    async def of(self, month: date) -> list[Rank]:
        """A month's places, by kind."""
        return [Rank(**dict(row)) for row in await store.of(self._db, month)]

    async def months(self) -> list[date]:
        """Months that were fixed, newest first, a bounded page."""
        return await store.months(self._db)

    async def stood(self, owner: UUID, round_: str) -> tuple[int, int, int] | None:
        """(best place, its score, its payers) of an organisation in a month and kind; None where it took no part."""
        month, _, kind = round_.partition("/")
        try:
            first = date.fromisoformat(f"{month}-01")
        except ValueError:
            return None
        return await store.best(self._db, first, kind, owner)


def _month_before(day: date) -> date:
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def _last_day(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
