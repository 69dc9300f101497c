"""Many at once: makers enter and leave contests, clerks choose jurors, jurors give points, several decide and pay, some
die.

Whatever came first: a contest is decided once, by a stranger to its jury, its places are what its jurors said, and a
prize is applied for once.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from uuid import UUID, uuid4, uuid5

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.store.api import Contests, Kind, NewContest, NewListing, Terms
from stage import crowds

from .test_crowd import RULEBOOK
from .test_crowd import Crowd as Shop

ROUNDS_QUICK, ROUNDS_PROVED, AT_ONCE = 10, 24, 6
SEEDS_QUICK, SEEDS_PROVED = 2, 100
DIES = 0.004
PAYS_MAX = 100
JURORS_MIN, CLERKS, POOL_FEN = 3, ("clerk:a", "clerk:b"), 1_000_000
ENTRIES = "SELECT * FROM store.entry ORDER BY contest, n"
SCORES = """
  SELECT s.entry, s.score_bps FROM store.entry_score s JOIN store.entry e ON e.id = s.entry
    JOIN store.contest_juror j ON j.contest = e.contest AND j.person = s.juror AND j.dismissed_at IS NULL"""
OWN_JURY = """
  SELECT c.id FROM store.contest c WHERE c.decided_by = c.created_by OR EXISTS (SELECT FROM store.contest_juror j
    WHERE j.contest = c.id AND c.decided_by IN (j.named_by, j.dismissed_by))"""


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, clock: FixedClock, seed: int) -> None:
        super().__init__(db, seed)
        self.clock, self.shop = clock, Shop(db, clock, seed)
        self.desks = [self.desk() for _ in range(2)]
        self.makers = [uuid4() for _ in range(4)]
        self.people = [uuid4() for _ in range(5)]
        self.awarded: dict[UUID, set[UUID]] = defaultdict(set)
        self.ids = [uuid4() for _ in range(3)]
        self.draws = [
            (self.enter, 10), (self.leave, 2), (self.name, 8), (self.dismiss, 2), (self.score, 30), (self.decide, 6),
            (self.pay, 6), (self.call, 1), (self.again, 2),
        ]  # fmt: skip

    def desk(self) -> Contests:
        async def named(org: UUID) -> str:
            return f"firm {org}"

        async def akin(person: UUID, org: UUID) -> bool:
            return person == self.people[0] and org == self.makers[0]

        async def award(org: UUID, contest: UUID) -> UUID | None:
            await self.db.pause()
            if self.rng.random() < 0.3:  # its budget holds less
                return None
            self.awarded[contest].add(org)
            return uuid5(org, str(contest))

        return Contests(self.db, self.clock, self.shop.stores[0], RULEBOOK, named=named, akin=akin, award=award)

    async def live(self, rounds: int) -> None:
        store = self.shop.stores[0]
        for n, maker in enumerate(self.makers):
            new = NewListing(new_id(), Kind.PROMPT, f"work-{n}", "信函", "Letters", "写信")
            name = (await store.open(new, owner=maker, actor="tests")).name
            await store.draft(name, {"text": "it"}, Terms(2_000), owner=maker, actor="tests")
            version = await store.submit(name, owner=maker)
            await store.review(name, version.n, approve=True, note="so", reviewer="reviewer", reviewer_org=None)
        self.contests = [await self._called(uuid4()) for _ in range(2)]
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 0, 3_600, 40_000, 60_000)))
            await self.round(AT_ONCE, dies=DIES)
        await self.come_to_rest()
        await self.shop.ledger.stop()

    async def _called(self, number: UUID) -> UUID:
        today = self.clock.today()
        new = NewContest(
            number, "大赛", "Contest", "做一个。", "Make one.", POOL_FEN, today, today + timedelta(days=1),
            today + timedelta(days=4),
        )  # fmt: skip
        return (await self.desks[0].call(new, actor=CLERKS[0])).id

    @property
    def some(self) -> Contests:
        return self.rng.choice(self.desks)

    def contest(self) -> UUID:
        return self.rng.choice(self.contests[-2:])

    async def call(self) -> None:
        self.contests.append(await self._called(uuid4()))

    async def enter(self) -> None:
        n, number = self.rng.randrange(len(self.makers)), self.rng.choice((None, None, self.rng.choice(self.ids)))
        await self.some.enter(
            self.contest(), owner=self.makers[n], listing=f"prompt/work-{n}", work="先归类，再作答。", actor="tests",
            entry_id=number,
        )  # fmt: skip

    async def leave(self) -> None:
        await self.some.withdraw(self.contest(), owner=self.rng.choice(self.makers))

    async def name(self) -> None:
        await self.some.name_juror(self.contest(), self.rng.choice(self.people), actor=self.rng.choice(CLERKS))

    async def dismiss(self) -> None:
        await self.some.dismiss_juror(self.contest(), self.rng.choice(self.people), actor=self.rng.choice(CLERKS))

    async def score(self) -> None:
        desk, contest, person = self.some, self.contest(), self.rng.choice(self.people)
        for one in (await desk.to_judge(contest, person))[:2]:
            points = self.rng.randrange(10_001)
            await desk.score(contest, one.n, person=person, score_bps=points, note="清楚")

    async def decide(self) -> None:
        by = self.rng.choice((*CLERKS, "another", "a third"))
        await self.some.decide(self.contest(), actor=by)

    async def pay(self) -> None:
        await self.some.pay_due()

    async def again(self) -> None:
        await self.some.entry(self.contest(), self.rng.choice(self.makers))

    # -- at the end ---------------------------------------------------------------------------------------------------

    async def come_to_rest(self) -> None:
        self.clock.advance(days=6)
        for contest in await self.desks[0].contests():  # whoever called one may have died before they knew of it
            await self.desks[0].decide(contest.id, actor="the last")
        for _ in range(PAYS_MAX):
            if not await self.desks[0].pay_due():
                break
        assert await self.db.fetch("SELECT id FROM store.contest WHERE paid_at IS NULL") == []
        assert await self.db.fetch(OWN_JURY) == []
        said: dict[UUID, list[int]] = defaultdict(list)
        for row in await self.db.fetch(SCORES):
            said[row["entry"]].append(row["score_bps"])
        numbers: dict[UUID, list[int]] = defaultdict(list)
        for row in await self.db.fetch(ENTRIES):
            numbers[row["contest"]].append(row["n"])
            points, contest = said[row["id"]], await self.desks[0].contest(row["contest"])
            ranked = row["withdrawn_at"] is None and len(points) >= JURORS_MIN
            assert (row["place"] is not None) == ranked
            if ranked:
                assert row["mean_bps"] == sum(points) // len(points)
            wins = ranked and self.desks[0].prize_fen(contest, row["place"]) > 0
            assert row["application"] == (uuid5(row["org_id"], str(contest.id)) if wins else None)
            assert (row["org_id"] in self.awarded[contest.id]) == wins
        assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_decides_and_pays_once(self, database: Database, clock: FixedClock, seed: int) -> None:
        await Crowd(database, clock, seed).live(ROUNDS_QUICK)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_decides_and_pays_once_whoever_is_first(
        self, database: Database, clock: FixedClock, seed: int
    ) -> None:
        await Crowd(database, clock, seed).live(ROUNDS_PROVED)
