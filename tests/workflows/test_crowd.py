"""Many at once: people start, cancel, decide and delete, two processes work, and some of them end on their way.

In which order it is taken, nobody says: every run comes to its end, and what was charged is what its steps say, and
what a run paid what its own steps and its parts did.
"""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from stage import crowds

from .house import PRICE, House, ask, flow, says

ROUNDS, AT_ONCE = 12, 6
SEEDS_QUICK, SEEDS_PROVED = 2, 60
FLOWS = {
    "two": flow(ask("a", "one", "b"), ask("b", "two {{a}}", "out_end"), says("end", "{{b}}")),
    "approved": flow(
        ask("a", "draft", "ok"),
        {"kind": "approval", "id": "ok", "who": "owner", "shows": "send?", "hours": 2, "save": "word", "next": "b"},
        ask("b", "send", "out_end"), says("end", "{{b}}"),
    ),
    "outer": flow(
        {"kind": "workflow", "id": "part", "workflow": "approved", "given": {}, "save": "part", "next": "a"},
        ask("a", "after", "out_end"), says("end", "{{a}}"),
    ),
}  # fmt: skip
UNFINISHED = (
    "SELECT id FROM workflows.run WHERE ended_at IS NULL",
    "SELECT id FROM workflows.approval WHERE verdict = ''",
    "SELECT r.id FROM workflows.run r JOIN workflows.workflow w ON w.id = r.workflow "
    "WHERE r.made_at > w.deleted_at",
    "SELECT r.id FROM workflows.run r LEFT JOIN workflows.step s ON s.run = r.id AND s.kind <> 'workflow' "
    "GROUP BY r.id, r.paid_micro HAVING r.paid_micro <> coalesce(sum(s.paid_micro), 0) "
    "+ (SELECT coalesce(sum(p.paid_micro), 0) FROM workflows.run p WHERE p.parent = r.id)",
)  # fmt: skip
PAID = "SELECT coalesce(sum(paid_micro), 0)::bigint FROM workflows.step WHERE kind <> 'workflow'"


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, clock: FixedClock, seed: int) -> None:
        super().__init__(db, seed)
        self.clock = clock
        self.house = House(self.db, clock)
        self.flows = self.house.workflows
        self.runs: list[UUID] = []
        self.number = 0
        self.draws = [
            (self.start, 10), (self.work, 12), (self.cancel, 5), (self.decide, 8), (self.tick, 3), (self.delete, 1),
            (self.schedule, 2), (self.hook, 2), (self.hand_over, 3),
        ]  # fmt: skip

    async def live(self, rounds: int) -> None:
        for slug, content in FLOWS.items():
            await self.house.published(content, slug)
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 1, 60, 4_000)))
            await self.round(AT_ONCE)
        await self.come_to_rest()

    async def start(self) -> None:
        self.number += 1
        slug, ref = self.rng.choice(list(FLOWS)), f"{self.number - self.rng.choice((0, 0, 1))}"
        self.runs.append((await self.flows.start(self.house.org, slug, {}, ref=ref)).id)

    async def work(self) -> None:
        """A process works until nothing is due."""
        runner = self.house.runner(uuid4().hex)
        try:
            await runner.drain()
        finally:
            await runner.stop()

    async def cancel(self) -> None:
        if self.runs:
            await self.flows.cancel(self.rng.choice(self.runs[-5:]), self.house.org)

    async def decide(self) -> None:
        person = uuid4()
        for one in await self.flows.inbox(self.house.org, person, ["owner"]):
            await self.flows.decide(
                one.id, org_id=self.house.org, person=person, roles=["owner"], approve=self.rng.random() < 0.7
            )

    async def tick(self) -> None:
        await self.flows.tick()

    async def delete(self) -> None:
        slug = self.rng.choice(list(FLOWS))
        await self.flows.delete(self.house.org, slug, by="person:a", anyway=True)
        await self.house.published(FLOWS[slug], slug)

    async def schedule(self) -> None:
        await self.flows.set_schedule(
            self.house.org, self.rng.choice(list(FLOWS)), {"every_minutes": 60}, {}, by="person:a"
        )

    async def hook(self) -> None:
        await self.flows.add_hook(self.house.org, self.rng.choice(list(FLOWS)), by="person:a")

    async def hand_over(self) -> None:
        for one in (await self.flows.triggers(self.house.org))[:1]:
            await self.flows.hand_over(self.house.org, one.kind, one.id, by="person:b")

    async def come_to_rest(self) -> None:
        for one in await self.flows.triggers(self.house.org):
            await self.flows.end_trigger(self.house.org, one.kind, one.id)
        for _ in range(6):
            await self.work()
            self.clock.advance(hours=200)
            await self.flows.tick()
        for query in UNFINISHED:
            assert await self.db.fetch(query) == [], query
        assert await self.db.fetchval(PAID) == len(self.house.charged) * PRICE


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_brings_every_run_to_its_end(self, database: Database, clock: FixedClock, seed: int) -> None:
        await Crowd(database, clock, seed).live(ROUNDS)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_brings_every_run_to_its_end_whoever_is_first(
        self, database: Database, clock: FixedClock, seed: int
    ) -> None:
        await Crowd(database, clock, seed).live(ROUNDS)
