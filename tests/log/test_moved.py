"""A database that was restored or moved signs nothing before somebody has said what others have seen."""

from __future__ import annotations

import shutil

import pytest

from shanhe.log.errors import LogMoved, WitnessAsked

from .conftest import Town

ELSEWHERE = "UPDATE log.head SET place = '7000000000000000001/5'"
"""What a dump of a server elsewhere says when it is loaded here."""


class TestMoved:
    async def test_is_not_signed_on_before_it_is_recovered(self, town: Town) -> None:
        log = town.log()
        await town.post(3)
        signed = await log.seal()
        assert signed
        await town.db.execute(ELSEWHERE)
        await town.post(2)
        with pytest.raises(LogMoved):
            await log.seal()
        await log.close()
        other = town.log("w0")
        assert await other.state() == "refused"
        assert (await other.status()).problem.startswith("The database was restored or moved")
        with pytest.raises(LogMoved):  # nor shown: to whoever has seen more it would be a rollback
            await other.presentable()
        assert (await other.recover(None)).signed == signed
        assert (await other.status()).signed == signed + 3
        assert await other.state() == "up"
        await other.presentable()
        await other.close()

    async def test_takes_what_a_mirror_has_seen_before_it_signs(self, town: Town) -> None:
        """Database, files and keys come from one old backup: nothing here tells that the log had grown since."""
        log = town.log()
        await town.post(2)
        await log.seal()
        old = town.data / "backup"
        for room in ("log", "keys"):
            shutil.copytree(town.data / room, old / room)
        size = (await log.status()).signed
        await town.post(3)
        grown = await log.seal()
        await log.close()
        mirror = town.data / "mirror"
        (town.data / "log").rename(mirror)
        await _rewind(town, size)
        for room in ("log", "keys"):
            shutil.rmtree(town.data / room, ignore_errors=True)
            (old / room).rename(town.data / room)
        restored = town.log("restored")
        with pytest.raises(LogMoved):
            await restored.seal()
        done = await restored.recover(str(mirror))
        assert (done.adopted, done.signed) == (grown, size + grown)
        assert (await restored.status()).signed > size + grown
        await restored.close()

    async def test_came_out_of_a_backup_from_before_places_were_noted(self, town: Town) -> None:
        log = town.log()
        await town.post(2)
        await log.seal()
        await town.db.execute("UPDATE log.head SET place = NULL")
        await town.db.execute("INSERT INTO kernel.restored VALUES (true, '0a1b', $1)", town.clock.now())
        await town.post(1)
        with pytest.raises(LogMoved):
            await log.seal()
        await log.close()
        other = town.log("w0")
        with pytest.raises(LogMoved):
            await other.presentable()
        await other.recover(None)
        assert await other.state() == "up"
        assert await town.db.fetchval("SELECT count(*) FROM kernel.restored") == 0
        await other.close()

    async def test_asks_for_what_witnesses_hold(self, town: Town) -> None:
        log = town.log()
        await town.post(1)
        await log.seal()
        await log.close()
        vkey = "witness.example/w1+7a1b2c3d+BAq9JZ6dVqJ5l0cJvK3m5WUjG4mZk9m5qKxQ0w7yq3zO"
        await town.db.execute("INSERT INTO log.witness VALUES ($1, 'tests', $2)", vkey, town.clock.now())
        await town.db.execute(ELSEWHERE)
        again = town.log("again")
        with pytest.raises(WitnessAsked):
            await again.recover(None)
        await again.recover(None, alone=True)
        assert await again.state() == "up"
        await again.close()


class TestSecondMachine:
    async def test_shows_and_proves_what_the_first_one_signed(self, town: Town) -> None:
        """One database, two folders: through a load balancer a witness sees one log."""
        first = town.log()
        (posting, *_) = await town.post(3)
        await first.seal()
        there = Town(town.db, town.clock, town.data / "second", town.books)
        shutil.copytree(town.data / "keys", there.data / "keys")
        second = there.log("w1")
        proof = await second.prove(posting)  # type: ignore[arg-type]
        assert proof.checkpoint == (await first.prove(posting)).checkpoint  # type: ignore[arg-type]
        await town.post(300)
        await first.seal()
        await second.presentable()
        assert second.resource("checkpoint") == first.resource("checkpoint")
        assert second.resource("tile/0/000") == first.resource("tile/0/000") is not None
        await first.close()
        await town.post(1)
        assert await second.seal()
        await first.presentable()
        assert first.resource("checkpoint") == second.resource("checkpoint")
        await second.close()


class TestClock:
    async def test_set_back_does_not_keep_the_next_sealer_waiting(self, town: Town) -> None:
        """The first one died with a lease that now seems to end in an hour."""
        first = town.log()
        await town.post(1)
        await first.seal()
        town.clock.advance(hours=-1)
        second = town.log("w1")
        await town.post(1)
        assert await second.seal()
        assert await second.state() == "up"
        town.clock.advance(seconds=5)
        third = town.log("w2")
        assert await third.seal() == 0  # an honest lease is respected
        await second.close()


async def _rewind(town: Town, size: int) -> None:
    """The log's tables as they were at `size`, on another server."""
    async with town.db.transaction() as connection:
        await connection.execute("DELETE FROM log.opening WHERE idx >= $1", size)
        for table, index in (("entry", "idx"), ("sheet", "first")):
            await connection.execute(f"ALTER TABLE log.{table} DISABLE TRIGGER append_only")
            await connection.execute(f"DELETE FROM log.{table} WHERE {index} >= $1", size)
            await connection.execute(f"ALTER TABLE log.{table} ENABLE TRIGGER append_only")
        await connection.execute("DELETE FROM log.checkpoint WHERE size > $1", size)
        await connection.execute("UPDATE log.head SET size = $1, until = NULL", size)
        await connection.execute(ELSEWHERE)
