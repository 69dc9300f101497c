"""Many at once: an organisation orders, cancels and deletes, two gateway and two jobs processes work, and some die.

Whatever came first: a line is charged once and delivered if it was charged, every batch comes to its end, and of a file
that was deleted no bytes are left.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shanhe.batches.errors import BatchEnded
from shanhe.batches.runner import LAPSED_AFTER, Runner
from shanhe.batches.service import Batches
from shanhe.gateway.api import Answered, Errand
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import NotFound
from stage import crowds

from .test_runner import House, refused

ROUNDS_QUICK, ROUNDS_PROVED, AT_ONCE = 12, 30, 7
SEEDS_QUICK, SEEDS_PROVED = 2, 100
DIES = 0.01
UNFINISHED = (
    "SELECT id FROM batches.batch WHERE ended_at IS NULL",
    "SELECT batch_id FROM batches.line WHERE state IN ('waiting', 'running', 'answered')",
)
STUCK = """
  SELECT b.id FROM batches.batch b JOIN batches.line l ON l.batch_id = b.id
   WHERE b.state <> 'in_progress' AND l.state = 'waiting'"""
"""Nobody takes a line of a batch that was cancelled."""
LEFT = "SELECT worker FROM batches.line WHERE worker IS NOT NULL AND taken_at < $1 LIMIT 1"
RESURRECTED = """
  SELECT b.id FROM batches.batch b JOIN batches.line l ON l.batch_id = b.id
   WHERE b.ended_at IS NOT NULL AND l.state IN ('waiting', 'running', 'answered')"""


class Crowd(crowds.Crowd):
    def __init__(self, db: Database, clock: FixedClock, seed: int, folder: Path) -> None:
        super().__init__(db, seed)
        self.clock = clock
        self.house = House(self.db, self.clock, folder)
        self.house.run = self.run  # type: ignore[method-assign]
        self.folder, self.number = folder, 0
        self.others = [Batches(self.db, self.clock, folder=folder, parameter=self.house.number) for _ in range(2)]
        self.draws = [
            (self.order, 8), (self.work, 14), (self.restart, 3), (self.cancel, 6), (self.tick, 12), (self.delete, 4),
            (self.keep, 3), (self.expire, 1), (self.forget, 1),
        ]  # fmt: skip

    async def live(self, rounds: int) -> None:
        for _ in range(rounds):
            self.clock.advance(seconds=self.rng.choice((0, 1, 70, 900, 4_000)))
            await self.round(AT_ONCE, dies=DIES)
            assert await self.db.fetch(RESURRECTED) == []
        await self.come_to_rest()

    @property
    def batches(self) -> Batches:
        return self.rng.choice(self.others)

    async def run(self, path: str, body: bytes, errand: Errand) -> Answered:
        """A gateway that is away, refuses, is slow, or answers: kept first, then charged."""
        draw = self.rng.random()
        if draw < 0.1:
            return refused(503, "no_engine")
        if draw < 0.15:
            return refused(400, "invalid_value")
        await self.db.pause()
        await errand.keep(b'{"about": "it"}')
        await self.db.pause()
        if draw < 0.2:
            return refused(409, "lease_reclaimed")
        assert errand.receipt_id not in self.house.charged
        self.house.charged[errand.receipt_id] = "charged"
        await self.db.pause()
        return Answered(200, b"{}")

    async def some(self, table: str) -> Any:
        rows = await self.db.fetch(f"SELECT * FROM batches.{table} ORDER BY id DESC LIMIT 4")
        return self.rng.choice(rows) if rows else None

    async def order(self) -> None:
        self.number += 1
        key = f"key-{self.number - self.rng.choice((0, 0, 1))}"
        await self.house.order(*(f"{self.number}-{at}" for at in range(self.rng.randint(1, 4))), request_key=key)

    async def work(self) -> None:
        """A process works on what is due; where it dies, the lines it had are left as they are."""
        await self._drain(self.house.runner(f"w{self.rng.randrange(1_000_000)}"))

    async def _drain(self, runner: Runner) -> None:
        for _ in range(3):
            if not await runner.fill():
                return
            await asyncio.gather(*runner._crew._running, return_exceptions=True)

    async def restart(self) -> None:
        """A process takes up what one of its name left."""
        row = await self.db.fetchrow(LEFT, self.clock.now())
        runner = self.house.runner(row["worker"] if row is not None else "w0")
        await runner.recover(None)

    async def cancel(self) -> None:
        row = await self.some("batch")
        if row is not None:
            await self.batches.cancel(row["id"], self.house.org)

    async def tick(self) -> None:
        await self.batches.tick()

    async def delete(self) -> None:
        row = await self.some("file")
        if row is not None:
            await self.batches.delete_file(row["id"], self.house.org)

    async def keep(self) -> None:
        self.number += 1
        key = f"file-{self.number - self.rng.choice((0, 1, 2))}"
        await self.batches.keep(self.house.org, "a.txt", "user_data", b"bytes", by="tests", request_key=key)

    async def expire(self) -> None:
        self.clock.advance(hours=self.rng.choice((3, 24)))

    async def forget(self) -> None:
        await self.batches.forget_all(self.house.org)

    # -- at the end ---------------------------------------------------------------------------------------------------

    async def come_to_rest(self) -> None:
        for _ in range(2):
            await self.batches.tick()
            assert await self.db.fetch(STUCK) == []
            self.clock.advance(seconds=LAPSED_AFTER.total_seconds())
            await self.house.runner("last").recover(None)
        for _ in range(8):
            await self._drain(self.house.runner("last"))
            self.clock.advance(hours=4)
            await self.batches.tick()
        for query in UNFINISHED:
            assert await self.db.fetch(query) == [], query
        await self.every_charge_was_delivered()
        await self.nothing_is_left_of_what_was_deleted()

    async def every_charge_was_delivered(self) -> None:
        done = await self.db.fetch("SELECT receipt_id, batch_id FROM batches.line WHERE state = 'done'")
        assert {row["receipt_id"] for row in done} == set(self.house.charged)
        for batch in {row["batch_id"] for row in done}:
            found = await self.batches.batch(batch, self.house.org)
            assert found.output_file is not None
            try:
                text = await self.batches.content(found.output_file, self.house.org)
            except NotFound:  # it was deleted
                continue
            for row in done:
                if row["batch_id"] == batch:
                    assert str(row["receipt_id"]).encode() in text

    async def nothing_is_left_of_what_was_deleted(self) -> None:
        blobs = {UUID(path.name) for path in self.folder.rglob("*") if path.is_file()}
        files = {row["id"]: row for row in await self.db.fetch("SELECT id, deleted_at FROM batches.file")}
        assert {one for one, row in files.items() if row["deleted_at"] is None} == blobs & files.keys()
        receipts = await self.db.fetch("SELECT receipt_id FROM batches.line WHERE receipt_id IS NOT NULL")
        assert not blobs & {row["receipt_id"] for row in receipts}


class TestCrowd:
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK))
    async def test_charges_and_delivers_every_line_once(
        self, database: Database, clock: FixedClock, tmp_path: Path, seed: int
    ) -> None:
        await Crowd(database, clock, seed, tmp_path / "files").live(ROUNDS_QUICK)

    @pytest.mark.prove
    @pytest.mark.parametrize("seed", range(SEEDS_QUICK, SEEDS_PROVED))
    async def test_charges_and_delivers_every_line_once_whoever_is_first(
        self, database: Database, clock: FixedClock, tmp_path: Path, seed: int
    ) -> None:
        await Crowd(database, clock, seed, tmp_path / "files").live(ROUNDS_PROVED)


class TestCancel:
    async def test_of_a_batch_whose_line_is_put_back_in_that_moment_ends_it(
        self, database: Database, clock: FixedClock, tmp_path: Path
    ) -> None:
        """The line waits in a batch that nobody takes lines of."""
        house = House(database, clock, tmp_path)
        batch = await house.order("one")
        await house.batches.cancel(batch.id, house.org)
        await database.execute("UPDATE batches.line SET state = 'waiting'")
        ended, _, bad = await house.results(batch)
        assert (ended.state, bad[0]["error"]["code"]) == ("cancelled", "batch_cancelled")
        with pytest.raises(BatchEnded):
            await house.batches.cancel(batch.id, house.org)
