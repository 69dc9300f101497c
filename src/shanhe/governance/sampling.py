"""Samples of experiments (P13): treated and untreated cases drawn by lot, with what was measured before and during.

The lot is a hash of proposal, day and case, so that anybody draws the same cases again and nobody can choose them. What
the experiment did is the difference of the two changes; how far chance alone goes is told by shuffling the labels.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from shanhe.governance import sample_store
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.rulebook.api import Rulebook

LAB: Final = "P13_policy_lab"
SHUFFLES: Final = 1_000
WHOLE_BPS: Final = 10_000

Outcome = Callable[[date, date], Awaitable[Mapping[UUID, int]]]
"""What is measured of every case between two days, both included."""
Treated = Callable[[UUID, date], Awaitable[frozenset[UUID]]]
"""Who took part in an experiment, as of a day."""


@dataclass(frozen=True, slots=True)
class Case:
    """`org_id` for those who may see it; `before` and `during` are equally long times."""

    org_id: UUID
    treated: bool
    before: int
    during: int

    @property
    def change(self) -> int:
        return self.during - self.before


@dataclass(frozen=True, slots=True)
class Sample:
    """What was drawn, and what it says. Means and effect are rounded to whole units, None with nobody on a side;
    `chance_bps`: how often shuffled labels give an effect as large."""

    proposal: UUID
    outcome: str
    first: date
    last: date
    seed: str
    treated: int
    untreated: int
    drawn_at: datetime
    cases: tuple[Case, ...]
    treated_change: int | None
    untreated_change: int | None
    effect: int | None
    chance_bps: int | None


class Sampling:
    def __init__(
        self, db: Database, clock: Clock, rulebook: Rulebook, outcomes: Mapping[str, Outcome], treated: Treated | None
    ) -> None:
        self._db = db
        self._clock = clock
        self._rulebook = rulebook
        self.outcomes = outcomes
        self._treated = treated

    async def draw(self, proposal: UUID, outcome: str, first: date, ends: date) -> bool:
        """Draw an experiment's sample once it is over; False when that was done, or there is nothing to measure by."""
        if self._treated is None or outcome not in self.outcomes:
            return False
        if await sample_store.get(self._db, proposal) is not None:
            return False
        last, span = ends - timedelta(days=1), ends - first
        during = await self.outcomes[outcome](first, last)
        before = await self.outcomes[outcome](first - span, first - timedelta(days=1))
        inside = await self._treated(proposal, last)
        everybody, seed = inside | set(during) | set(before), f"{proposal}:{ends}"
        groups = [sorted(everybody & inside), sorted(everybody - inside)]
        each = int(self._rulebook.parameter(LAB, "sample_each", first))
        rows = [
            (org, group is groups[0], before.get(org, 0), during.get(org, 0))
            for group in groups
            for org in drawn(seed, group, each)
        ]
        async with self._db.transaction() as conn:
            sizes = (len(groups[0]), len(groups[1]))
            return await sample_store.insert(conn, proposal, outcome, first, last, seed, sizes, self._clock.now(), rows)

    async def get(self, proposal: UUID) -> Sample | None:
        """An experiment's sample; None before it was drawn."""
        found = await sample_store.get(self._db, proposal)
        if found is None:
            return None
        row, cases = found
        drawn_cases = tuple(Case(**dict(case)) for case in cases)
        effect = effect_of(drawn_cases)
        return Sample(
            row["proposal"], row["outcome"], row["first_day"], row["last_day"], row["seed"], row["treated"],
            row["untreated"], row["drawn_at"], drawn_cases,
            _mean([one.change for one in drawn_cases if one.treated]),
            _mean([one.change for one in drawn_cases if not one.treated]),
            effect, None if effect is None else chance(row["seed"], drawn_cases, effect),
        )  # fmt: skip


def drawn(seed: str, group: Sequence[UUID], most: int) -> list[UUID]:
    """By lot: the smallest hashes of seed and case."""
    return sorted(group, key=lambda org: hashlib.sha256(f"{seed}:{org}".encode()).digest())[:most]


def effect_of(cases: Sequence[Case]) -> int | None:
    """Difference in differences: by how much the treated changed more than the untreated did."""
    treated = _mean([one.change for one in cases if one.treated])
    untreated = _mean([one.change for one in cases if not one.treated])
    return None if treated is None or untreated is None else treated - untreated


def chance(seed: str, cases: Sequence[Case], effect: int) -> int:
    """How often, in basis points, labels dealt anew give an effect as large, of either sign (a permutation test)."""
    deal, changes, count = random.Random(seed), [one.change for one in cases], sum(one.treated for one in cases)
    as_large = 0
    for _ in range(SHUFFLES):
        deal.shuffle(changes)
        found = (_mean(changes[:count]) or 0) - (_mean(changes[count:]) or 0)
        as_large += abs(found) >= abs(effect)
    return as_large * WHOLE_BPS // SHUFFLES


def _mean(values: Sequence[int]) -> int | None:
    return round(sum(values) / len(values)) if values else None
