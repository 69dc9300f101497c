"""Many at once: postings and records come, several processes seal, lose their lease and die in between.

Whatever came first: every posting and record has one place in one log, and whatever was signed is the beginning of
whatever is signed later.
"""

from __future__ import annotations

from uuid import UUID

import pytest

from shanhe.kernel.db import Database
from shanhe.log.errors import NotLeader
from shanhe.log.merkle import leaf_hash, root
from shanhe.log.service import Log
from shanhe.log.tiles import Edge, TileReader
from stage import crowds

from .conftest import Town

ROUNDS_QUICK, ROUNDS_PROVED, AT_ONCE = 10, 30, 6
SEEDS_QUICK, SEEDS_PROVED = 2, 100
DIES = 0.02
SEALERS = 3


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, town: Town, seed: int) -> None:
        super().__init__(db, seed)
        self.town, self.plain = town, town.db
        town.db = self.db
        self.logs = [town.log(f"jobs{n}") for n in range(SEALERS)]
        self.receipts: list[UUID] = []
        self.records: list[UUID] = []
        self.draws = [(self.post, 8), (self.record, 10), (self.seal, 16), (self.restart, 3), (self.release, 2)]

    async def live(self, rounds: int) -> None:
        self.wallet = await self.town.books.wallet(10_000_000)
        for _ in range(rounds):
            self.town.clock.advance(seconds=self.rng.choice((0, 0, 5, 30)))
            await self.round(AT_ONCE, dies=DIES)
        self.town.clock.advance(minutes=1)
        last = self.town.log("last")
        while await last.seal():
            pass
        await self.compare(last)

    async def post(self) -> None:
        self.receipts.append(await self.town.books.call(self.wallet, 10))

    async def record(self) -> None:
        async with self.db.transaction() as conn:
            made = await self.rng.choice(self.logs).record(conn, "decision", {"rule": "P1"}, {"person": "x"})
        self.records.append(made)

    async def seal(self) -> None:
        try:
            await self.rng.choice(self.logs).seal()
        except NotLeader:  # another one took over in that moment
            self.refused.append("seal: not_the_sealer")

    async def restart(self) -> None:
        """A process that died starts again, and knows nothing of what it had."""
        number = self.rng.randrange(SEALERS)
        self.logs[number] = self.town.log(f"jobs{number}")

    async def release(self) -> None:
        await self.rng.choice(self.logs).sealer.release()

    async def compare(self, last: Log) -> None:
        store, head = last.sealer.store, await last.sealer.store.head()
        leaves = await store.leaves(0, head.size)
        assert len(leaves) == head.size
        for subject in (*self.receipts, *self.records):
            proof = await last.prove(subject)
            assert proof.index < head.size
        assert await self.plain.fetchval("SELECT count(*) FROM log.intake") == 0
        edge, hashes = Edge(), {}
        for row in await self.plain.fetch("SELECT size, root FROM log.checkpoint ORDER BY size"):
            edge.extend(leaves[edge.size : row["size"]])
            assert edge.root == row["root"]
            hashes[row["size"]] = edge.root
        assert head.size in hashes
        reader = TileReader(last.sealer.folder.read, head.size)
        assert all(root(reader.node, size) == found for size, found in hashes.items() if size)
        places = [(await last.prove(one)).index for one in (*self.receipts, *self.records)]
        assert len(set(places)) == len(places)
        assert len({leaf_hash(one) for one in leaves}) == head.size


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_makes_one_log(self, database: Database, town: Town, seed: int) -> None:
        await Crowd(database, town, seed).live(ROUNDS_QUICK)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_makes_one_log_whoever_is_first(self, database: Database, town: Town, seed: int) -> None:
        await Crowd(database, town, seed).live(ROUNDS_PROVED)
