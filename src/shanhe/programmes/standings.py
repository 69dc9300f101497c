"""The enterprise value index (T13): every finished quarter all active companies are ranked in four dimensions.

What is counted comes from where it is booked; ranks are the rule's facts, so that each index has its trace. The index
becomes a fact of the company, which other rules read.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from shanhe.facts.api import NewFact, Standing, Use
from shanhe.kernel.clock import add_months
from shanhe.programmes import index_store
from shanhe.programmes.ground import Ground
from shanhe.rulebook.api import Decision

RULE, BENEFITS = "T13_value_index", "T13_benefits"
FACT: Final = "value_index"
DIMENSIONS: Final = ("usage", "innovation", "jobs", "data")
QUARTER_MONTHS, YEAR_MONTHS = 3, 12
QUARTERS_SHOWN: Final = 12
PURPOSE: Final = "programmes"
PRESENT_KEPT_S: Final = 300.0
"""A quarter moves slowly: how late its present state may be."""
KEPT_MAX: Final = 5_000


@dataclass(frozen=True, slots=True)
class Counted:
    """What one company did in four quarters: credits used (µ), uses by strangers and IP, insured staff, data points."""

    usage: int
    innovation: int
    jobs: int
    data: int


@dataclass(frozen=True, slots=True)
class Index:
    """A company's index with what it was made of; `counts` are the rule's facts. 10,000 = 100 points."""

    quarter_end: date
    counted: Counted
    index_bps: int
    version: str
    counts: Mapping[str, int]
    trace: Mapping[str, Any]


Count = Callable[[date, date], Awaitable[Mapping[UUID, Counted]]]
"""What every active company did between two days, both included."""


class Standings:
    def __init__(self, ground: Ground, count: Count) -> None:
        self._ground = ground
        self._count = count
        self._counting = asyncio.Lock()
        self._kept: tuple[date, float, Mapping[UUID, Index]] | None = None
        self._weights: OrderedDict[tuple[UUID, date], int] = OrderedDict()

    async def tick(self) -> int:
        """Count the last finished quarter if nobody has; how many companies were ranked now."""
        last = quarter_end(self._ground.today())
        if await index_store.counted(self._ground.db, last):
            return 0
        return await self.close(last)

    async def close(self, last: date) -> int:
        """Rank the four quarters that end on a day and publish every company's index. Once, all or nothing."""
        ground = self._ground
        found = self._ranked(await self._count(first_of(last), last), last)
        before = await index_store.members_before(ground.db, last)
        since = last + timedelta(days=1)
        async with ground.db.transaction() as conn:
            if not await index_store.open_round(conn, last, len(found), ground.now()):
                return 0
            await index_store.insert(conn, [_row(org, index) for org, index in found.items()])
            for org, value in {**dict.fromkeys(before), **{o: i.index_bps for o, i in found.items()}}.items():
                fact = NewFact(uuid5(org, f"{FACT}:{last}"), org, FACT, value, since, standing=Standing.MEASURED,
                               source=RULE, evidence=f"quarter {last}")  # fmt: skip
                await ground.facts.publish(fact, actor="system", conn=conn)
        return len(found)

    def _ranked(self, counted: Mapping[UUID, Counted], last: date) -> dict[UUID, Index]:
        ranks = {name: sorted(getattr(one, name) for one in counted.values()) for name in DIMENSIONS}
        found = {}
        for org, one in counted.items():
            facts = {"companies": len(counted)}
            for name in DIMENSIONS:
                low, high = bisect_left(ranks[name], getattr(one, name)), bisect_right(ranks[name], getattr(one, name))
                facts |= {f"{name}_below": low, f"{name}_equal": high - low - 1}
            said = self._ground.rulebook.evaluate(RULE, facts, on=last)
            found[org] = Index(last, one, int(said.outputs["index"]), said.version, facts, said.trace)
        return found

    async def of(self, org_id: UUID) -> list[Index]:
        """A company's index by quarter, newest first."""
        return [_index(row) for row in await index_store.of(self._ground.db, org_id, QUARTERS_SHOWN)]

    async def so_far(self, org_id: UUID) -> Index | None:
        """What the index would be if the quarter ended today; None for who is no active company."""
        return (await self._present()).get(org_id)

    async def _present(self) -> Mapping[UUID, Index]:
        """What everybody's would be, counted once for whoever looks within some minutes."""
        async with self._counting:
            today, now = self._ground.today(), time.monotonic()
            if self._kept is None or self._kept[0] != today or self._kept[1] < now:
                found = self._ranked(await self._count(first_of(today), today), today)
                self._kept = today, now + PRESENT_KEPT_S, found
            return self._kept[2]

    async def queue_weight(self, org_id: UUID) -> int:
        """What today's index makes a company's calls weigh; kept for the day, for it is asked at every call."""
        key = org_id, self._ground.today()
        if key not in self._weights:
            self._weights[key] = int((await self.benefits(org_id)).outputs["queue_weight"])
            while len(self._weights) > KEPT_MAX:
                self._weights.popitem(last=False)
        return self._weights[key]

    async def benefits(self, org_id: UUID) -> Decision:
        """What today's index opens: weight in the queue, an adviser's hours; the subsidy is a programme's."""
        today = self._ground.today()
        async with self._ground.facts.reading(Use(PURPOSE, "system")) as reader:
            value = await reader.value(org_id, FACT, on=today, sound=True)
        facts = {"index_bps": value if type(value) is int else 0}
        return self._ground.rulebook.evaluate(BENEFITS, facts, on=today)


def quarter_end(today: date) -> date:
    """The last day of the last quarter that is over."""
    return date(today.year, QUARTER_MONTHS * ((today.month - 1) // QUARTER_MONTHS) + 1, 1) - timedelta(days=1)


def first_of(last: date) -> date:
    """The first day of the four quarters that end on a day."""
    return add_months(last + timedelta(days=1), -YEAR_MONTHS)


def _row(org: UUID, index: Index) -> tuple[Any, ...]:
    one = index.counted
    return (index.quarter_end, org, one.usage, one.innovation, one.jobs, one.data, index.index_bps, index.version,
            dict(index.counts), dict(index.trace))  # fmt: skip


def _index(row: Any) -> Index:
    counted = Counted(*(row[name] for name in DIMENSIONS))
    return Index(row["quarter_end"], counted, row["index_bps"], row["version"], row["counts"], row["trace"])
