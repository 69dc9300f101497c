"""A month's ranking (P7), fixed once when the month is over, and the rewards for it.

The store says who stood where; rewards are awards of the programme engine, as prizes of contests are. What no unrelated
payer used takes no part: use among one's own counts in no ranking (R0), ratings need a paid call. A reward looks at
money: payers that spent of what they bought themselves, relatives among them as one, as many as P7_rank_reward says,
and it is at most a part of what they spent. Puppets fed with grants count for nothing, and with money they cost more
than they bring.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.kernel.asking import Related
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.store import rank_store as store
from shanhe.store.model import Kind, Listing
from shanhe.store.window import RANK_RULE

if TYPE_CHECKING:
    from shanhe.rulebook.api import Rulebook
    from shanhe.store.service import Store

RULE: Final = "P7_rank_reward"
PLACES: Final = 10
"""Places that are kept of each kind and month; P7_rank_reward says which of them are rewarded."""
MISSED_MAX: Final = 12
"""Months that are fixed later, where no worker ran for so long."""
TERMS: Final = ("rewards", "score_min", "payers_min", "own_micro_min", "own_share")
PAYERS_MAX: Final = 20
"""Payers of a place that are looked at, those that paid most: as many again as any reward asks for."""
Reward = Callable[[UUID, str], Awaitable[UUID | None]]
"""(organisation, `2026-10/agent`): apply for the reward of a month and kind; the application, None while it can't."""


@dataclass(frozen=True, slots=True)
class Rank:
    """Where a listing stood at a month's end."""

    month: date
    kind: str
    slug: str
    place: int
    listing: UUID
    owner: UUID
    score: int
    payers: int
    """Unrelated parties that paid for it of their own in the days that count."""
    own_micro: int
    """What these paid out of credits that they had bought themselves, µ."""
    application: UUID | None

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.slug}"

    @property
    def round(self) -> str:
        """What an application names: its month and kind."""
        return f"{self.month:%Y-%m}/{self.kind}"


class Ranks:
    """Fixes and rewards months. `reward` asks the programme engine."""

    def __init__(
        self, db: Database, clock: Clock, shop: Store, rulebook: Rulebook, *, related: Related, reward: Reward
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._shop = shop
        self._rulebook = rulebook
        self._related = related
        self._reward = reward

    async def tick(self) -> int:
        """What repeats: fix months that are over, once, and hand in what is not rewarded; how many were handed in."""
        for month in await self._over():
            await store.fix(self._db, month, await self._places(_last_day(month)), self._clock.now())
        return sum([await self._pay(one) for one in await store.unpaid(self._db)])

    async def _over(self) -> list[date]:
        """The months that are over and not fixed, oldest first: the last, and those before it that nobody was there to
        fix since the one that was fixed last."""
        found, newest = [_month_before(self._clock.today())], await store.months(self._db)
        while newest and found[0] > newest[0] and len(found) <= MISSED_MAX:
            found.insert(0, _month_before(found[0]))
        return found[1:] if newest else found

    async def _places(self, on: date) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for kind in Kind:
            used = [card for card in await self._shop.cards(kind, on=on) if card.usage_bps][:PLACES]
            for place, one in enumerate(used, 1):
                payers, own_micro = await self._backing(one.listing, on)
                found.append((kind, place, one.listing.id, one.listing.owner, one.score, payers, own_micro))
        return found

    async def _backing(self, listing: Listing, on: date) -> tuple[int, int]:
        """(parties, µ): how many pay for it of their own, and how much; whoever paid most is looked at first. Its owner
        and its owner's relatives are none of them, though a stranger share its income."""
        least = int(self._rulebook.parameter(RULE, "own_micro_min", on))
        counted = [
            (org, own) for org, own in await self._shop.backing(listing.name, PAYERS_MAX, on)
            if own >= least and not await self._related(org, listing.owner)
        ]  # fmt: skip
        parties = list[list[UUID]]()
        for org, _ in counted:
            party, others = [org], list[list[UUID]]()
            for known in parties:
                if await self._any_related(org, known):
                    party += known
                else:
                    others.append(known)
            parties = [*others, party]
        return len(parties), sum(own for _, own in counted)

    async def _any_related(self, org: UUID, party: Sequence[UUID]) -> bool:
        for one in party:
            if await self._related(org, one):
                return True
        return False

    def due_micro(self, one: Rank) -> int:
        """What the rule gives for a place, if its owner stands no higher with something else."""
        facts = {"place": one.place, "score": one.score, "payers": one.payers, "own_micro": one.own_micro}
        return int(self._rulebook.evaluate(RULE, facts, on=_last_day(one.month)).outputs["reward_micro"])

    def terms(self) -> dict[str, Any]:
        """What a reward of the month that runs depends on: values of P7_rank_reward, and the days of use that count."""
        on = _last_day(self._clock.today().replace(day=1))
        found = {name: self._rulebook.parameter(RULE, name, on) for name in TERMS}
        return found | {"usage_days": int(self._rulebook.parameter(RANK_RULE, "usage_days", on))}

    async def _pay(self, month: date) -> int:
        handed_in, done = 0, True
        for one in await self.of(month):
            if one.application is not None or not self.due_micro(one) or await self._better(one):
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

    async def stood(self, owner: UUID, round_: str) -> tuple[int, int, int, int] | None:
        """(place, score, payers, what these paid of their own) of what an organisation is rewarded for in a month and
        kind, else of its best; None where it took no part."""
        month, _, kind = round_.partition("/")
        try:
            first = date.fromisoformat(f"{month}-01")
        except ValueError:
            return None
        own = [one for one in await self.of(first) if (one.kind, one.owner) == (kind, owner)]
        counts = next((one for one in own if self.due_micro(one)), own[0] if own else None)
        return None if counts is None else (counts.place, counts.score, counts.payers, counts.own_micro)


def _month_before(day: date) -> date:
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def _last_day(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)
