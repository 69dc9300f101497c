"""Many at once: two sides of many matches, the city and two jobs workers act on the same posts, and some die."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest

from shanhe.board.api import Kind, Post
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger
from stage import crowds

from .conftest import CREDIT, NEED, NOON, SOLUTION, TERMS, Town

ROUNDS_QUICK, ROUNDS_PROVED, AT_ONCE = 12, 25, 6
SEEDS_QUICK, SEEDS_PROVED = 2, 60
DIES = 0.004
REWARD = 500 * CREDIT
BROKEN = (
    "SELECT m.id FROM board.match m JOIN board.post p ON p.id IN (m.need, m.solution) "
    "WHERE m.state IN ('interest', 'offer') AND p.state <> 'open'",
    "SELECT m.id FROM board.match m JOIN board.post p ON p.id = m.need "
    "WHERE m.state = 'agreed' AND p.state <> 'matched'",
    "SELECT need FROM board.match WHERE state = 'agreed' GROUP BY 1 HAVING count(*) > 1",
    "SELECT need, solution FROM board.match WHERE state IN ('interest', 'offer') GROUP BY 1, 2 HAVING count(*) > 1",
    "SELECT id FROM board.match WHERE state = 'agreed' AND application IS NULL AND barred IS NULL",
)


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, seed: int, folder: Path) -> None:
        super().__init__(db, seed)
        self.clock = FixedClock(NOON)
        self.ledger = Ledger(db, self.clock, worker="one", workers=1)
        self.town = Town(self.db, self.clock, Vault(folder), self.ledger)
        self.posts, self.meetings = self.town.board.posts, self.town.board.meetings
        self.needs: list[Post] = []
        self.solutions: list[Post] = []
        self.matches: list[tuple[UUID, UUID, UUID]] = []
        self.draws = [
            (self.interest, 10), (self.offer, 16), (self.accept, 16), (self.leave, 3), (self.withdraw, 1),
            (self.publish, 6), (self.remove, 1), (self.tick, 6), (self.forget, 1),
        ]  # fmt: skip

    async def live(self, rounds: int) -> None:
        await self.town.fund()
        self.firms = [await self.town.company() for _ in range(2)]
        self.labs = [await self.town.researcher() for _ in range(2)]
        for n in range(4):
            self.needs.append(await self.town.posted(self.firms[n % 2], NEED))
            self.solutions.append(await self.town.posted(self.labs[n % 2], SOLUTION))
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 1, 900, 90_000)))
            await self.round(AT_ONCE, dies=DIES)
        for _ in range(3):
            await self.town.later(hours=7)
            await self.town.programmes.tick()
        for query in BROKEN:
            assert await self.db.fetch(query) == [], query
        paid = sum([await self.town.balance(org) for org in (*self.firms, *self.labs)])
        granted = await self.db.fetchval("SELECT count(application) FROM board.match WHERE state = 'agreed'")
        assert paid <= 2 * granted * REWARD
        assert (await self.ledger.verify()).findings == ()
        await self.ledger.stop()

    def match(self) -> tuple[UUID, UUID]:
        """One, and one of its sides."""
        one = self.rng.choice(self.matches[-5:] or [(uuid4(), self.firms[0], self.labs[0])])
        return one[0], self.rng.choice(one[1:])

    def post(self) -> Post:
        return self.rng.choice(self.needs + self.solutions)

    async def interest(self) -> None:
        need, solution = self.rng.choice(self.needs[-4:]), self.rng.choice(self.solutions[-4:])
        who = self.rng.choice((need.org_id, solution.org_id))
        made = await self.meetings.interest(uuid4(), who, need.id, solution.id, "愿意谈一谈", actor="test")
        self.matches.append((made.match.id, need.org_id, solution.org_id))

    async def offer(self) -> None:
        one, who = self.match()
        after = (await self.meetings.get(one, who)).match.round
        await self.meetings.offer(one, who, TERMS, 8_000_000, after=after, actor="test")

    async def accept(self) -> None:
        one, who = self.match()
        await self.meetings.accept(one, who, round_=(await self.meetings.get(one, who)).match.round, actor="test")

    async def leave(self) -> None:
        one, who = self.match()
        await self.meetings.leave(one, who, actor="test")

    async def withdraw(self) -> None:
        post = self.post()
        await self.posts.withdraw(post.id, post.org_id)

    async def publish(self) -> None:
        kind = self.rng.choice((Kind.NEED, Kind.SOLUTION))
        if kind is Kind.NEED:
            self.needs.append(await self.town.posted(self.rng.choice(self.firms), NEED))
        else:
            self.solutions.append(await self.town.posted(self.rng.choice(self.labs), SOLUTION))

    async def remove(self) -> None:
        await self.posts.remove(self.post().id, "这不是真实的需求", actor="test")

    async def tick(self) -> None:
        await self.town.board.tick()

    async def forget(self) -> None:
        await self.posts.forget(self.rng.choice(self.firms))


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_agrees_on_a_need_once(self, database: Database, tmp_path: Path, seed: int) -> None:
        await Crowd(database, seed, tmp_path / "keys").live(ROUNDS_QUICK)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_agrees_on_a_need_once_whoever_is_first(self, database: Database, tmp_path: Path, seed: int) -> None:
        await Crowd(database, seed, tmp_path / "keys").live(ROUNDS_PROVED)
