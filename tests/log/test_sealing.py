"""Sealing against a real database: order, crashes, fencing, restored databases."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pymerkle import InmemoryTree
from tests.log.conftest import ORIGIN, Town

from shanhe.kernel.ids import new_id
from shanhe.log.errors import FeedRewound, LogRewound, NotLeader, NotSealedYet, UnknownEntry
from shanhe.log.files import Folder
from shanhe.log.leaf import Draft, canonical, commitment, private_of
from shanhe.log.note import b64, open_checkpoint
from shanhe.log.proof import verify
from shanhe.log.service import Log
from shanhe.log.store import Store
from shanhe.log.tiles import TileReader


def published(log: Log) -> tuple[int, bytes, list[bytes]]:
    """Size, root and entries as a stranger reads them from the files alone; checks the root with the oracle."""
    raw = log.folder.read("checkpoint")
    assert raw is not None
    head, _ = open_checkpoint(raw.decode(), log.verifiers())
    reader = TileReader(log.folder.read, head.size)
    entries = [one for number in range((head.size + 255) // 256) for one in reader.entries(number)]
    oracle = InmemoryTree(algorithm="sha256")
    oracle.append_entries(entries)
    assert head.origin == ORIGIN
    assert not head.size or oracle.get_root() == head.root
    return head.size, head.root, entries


class TestSealing:
    async def test_covers_every_posting_and_record_once(self, town: Town) -> None:
        log = town.log()
        receipts = await town.post(20)
        async with town.db.transaction() as connection:
            decision = await log.record(connection, "decision", {"rule": "P1"}, {"person": "x"})
            await log.record(connection, "decision", {"rule": "P1"}, {"person": "x"}, id=decision)
        assert await log.seal() > 0
        assert await log.seal() == 0
        size, _, entries = published(log)
        kinds = [json.loads(entry)["kind"] for entry in entries]
        assert (kinds.count("posting"), kinds.count("decision"), kinds.count("totals")) == (21, 1, 1)
        assert size == 23
        for subject in [*receipts, decision]:
            proof = await log.prove(subject)  # type: ignore[arg-type]
            assert verify(str(proof).encode(), log.verifiers()).index == proof.index

    async def test_publishes_amounts_in_totals_only(self, town: Town) -> None:
        log = town.log()
        await town.post(16)
        await log.seal()
        _, _, entries = published(log)
        call = next(e for e in map(json.loads, entries) if e.get("type") == "call")
        assert set(call) == {"v", "kind", "type", "day", "assets", "commit"}
        totals = next(e for e in map(json.loads, entries) if e["kind"] == "totals")
        assert [totals["count"], totals["first"], totals["end"]] == [17, 0, 17]
        assert ["call", "credit", "wallet", "revenue", 16, 160] in totals["sums"]

    async def test_waits_with_totals_until_postings_hide_each_other_or_a_day_ends(self, town: Town) -> None:
        log = town.log()
        await town.post(3)
        await log.seal()
        assert b'"totals"' not in b"".join(published(log)[2])
        town.clock.advance(days=1)
        assert await log.seal() == 1
        assert b'"totals"' in published(log)[2][-1]

    async def test_never_passes_by_a_transaction_that_commits_late(self, town: Town) -> None:
        log = town.log()
        slow = await asyncpg.connect(town.db.dsn)
        try:
            transaction = slow.transaction()
            await transaction.start()
            late = await log.record(slow, "decision", {"rule": "P1"})
            (fast,) = await town.post(1)
            await log.seal()
            with pytest.raises(NotSealedYet):
                await log.prove(fast)  # type: ignore[arg-type]
            await transaction.commit()
        finally:
            await slow.close()
        await log.seal()
        for subject in (late, fast):
            assert await log.sealed(subject)  # type: ignore[arg-type]

    async def test_says_what_is_unknown(self, town: Town) -> None:
        with pytest.raises(UnknownEntry):
            await town.log().prove(new_id())


class TestLeader:
    async def test_that_is_stale_is_refused_by_the_database(self, town: Town) -> None:
        first, second = town.log("a"), town.log("b")
        await town.post(1)
        await first.seal()
        assert await second.seal() == 0
        town.clock.advance(minutes=1)
        await town.post(1)
        assert await second.seal() > 0
        head = await first.store.head()
        with pytest.raises(NotLeader):
            await first.store.append(head.epoch - 1, head.size, [], [], [], 0, UUID(int=0), {})
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await town.db.execute("DELETE FROM log.entry")

    async def test_that_lets_go_is_followed_at_once(self, town: Town) -> None:
        first, second = town.log("a"), town.log("b")
        await first.seal()
        await first.sealer.release()
        await town.post(1)
        assert await second.seal() > 0


class TestCrash:
    @pytest.mark.parametrize("point", ["tiles", "signed", "checkpoint", "row"])
    async def test_loses_nothing_and_never_forks(self, town: Town, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
        log = town.log()
        await town.post(30)
        await log.seal()
        before = published(log)
        await town.post(300)
        self.break_at(point, log, monkeypatch)
        with pytest.raises(OSError, match="power cut"):
            await log.seal()
        monkeypatch.undo()
        town.clock.advance(minutes=1)
        again = town.log()
        size, _, entries = published(again)
        assert entries[: before[0]] == before[2]
        await again.seal()
        after = published(again)
        assert after[0] > 330
        assert after[2][:size] == entries
        assert len({json.loads(one)["commit"] for one in after[2] if b"commit" in one}) == 332
        assert await again.store.checkpoint(after[0]) is not None

    def break_at(self, point: str, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        real, row = Folder.write_all, log.store.signed

        def write_all(self: Folder, files: Any) -> None:
            listed = list(files)
            name = listed[0][0] if len(listed) == 1 else "tiles"
            if name == point and name != "checkpoint":
                real(self, listed[: len(listed) // 2])
                raise OSError("power cut")
            if name == point:
                raise OSError("power cut")
            real(self, listed)

        async def signed(*_: Any) -> None:
            raise OSError("power cut")

        monkeypatch.setattr(Folder, "write_all", write_all)
        monkeypatch.setattr(log.store, "signed", signed if point == "row" else row)

    async def test_that_took_the_tiles_makes_them_again_from_the_database(self, town: Town) -> None:
        log = town.log()
        await town.post(300)
        await log.seal()
        before = published(log)
        shutil.rmtree(town.data / "log")
        await town.post(1)
        town.clock.advance(minutes=1)
        again = town.log()
        await again.seal()
        assert published(again)[2][: before[0]] == before[2]


async def rewind(town: Town, size: int) -> None:
    """Make the database what it was when it had `size` entries, as a restored backup would be."""
    async with town.db.transaction() as connection:
        await connection.execute("ALTER TABLE log.entry DISABLE TRIGGER append_only")
        await connection.execute("DELETE FROM log.entry WHERE idx >= $1", size)
        await connection.execute("DELETE FROM log.opening WHERE idx >= $1", size)
        await connection.execute("DELETE FROM log.checkpoint WHERE size > $1", size)
        await connection.execute(
            "UPDATE log.head SET size = $1, feed_born = 0, feed_id = $2, pending = '{}'", size, UUID(int=0)
        )
        await connection.execute("ALTER TABLE log.entry ENABLE TRIGGER append_only")


class TestRestoredDatabase:
    async def test_is_never_signed_below_what_was(self, town: Town) -> None:
        log = town.log()
        await town.post(5)
        await log.seal()
        before = published(log)
        await rewind(town, 2)
        await town.post(1)
        for view in (log, town.log()):
            town.clock.advance(minutes=1)
            with pytest.raises(LogRewound, match="Nothing is signed") as caught:
                await view.seal()
            assert "shanhe log recover" in caught.value.hint
        assert published(log) == before

    async def test_that_grew_differently_is_refused(self, town: Town) -> None:
        log = town.log()
        await town.post(5)
        await log.seal()
        before = published(log)
        await rewind(town, 2)
        async with town.db.transaction() as connection:
            await connection.execute(
                "INSERT INTO log.entry SELECT n, gen_random_uuid(), 'posting', 'x' FROM generate_series(2, 9) n"
            )
            await connection.execute("UPDATE log.head SET size = 10")
        town.clock.advance(minutes=1)
        with pytest.raises(LogRewound):
            await town.log().seal()
        assert published(log) == before

    async def test_on_a_server_that_counts_from_the_start_is_refused(self, town: Town) -> None:
        await town.post(1)
        log = town.log()
        await log.seal()
        await town.db.execute("UPDATE log.head SET feed_born = $1", 2**50)
        with pytest.raises(FeedRewound):
            await log.seal()


class TestForgetting:
    async def test_keeps_every_root_and_other_proof_valid(self, town: Town) -> None:
        log = town.log()
        receipts: list[Any] = await town.post(4)
        await log.seal()
        kept = str(await log.prove(receipts[0])).encode()
        assert await log.shred([receipts[0]], by="tests") == 1
        assert await town.db.fetchval("SELECT count(*) FROM log.opening WHERE octet_length(salt) = 16") == 4
        await town.post(1)
        await log.seal()
        published(log)
        with pytest.raises(Exception, match="erased"):
            await log.prove(receipts[0])
        for receipt in receipts[1:]:
            assert verify(str(await log.prove(receipt)).encode(), log.verifiers()).private is not None
        assert verify(kept, log.verifiers()).private is not None

    async def test_is_on_record_with_who_asked_for_it_and_for_what(self, town: Town) -> None:
        log = town.log()
        receipts: list[Any] = await town.post(2)
        await log.seal()
        assert await log.shred([receipts[0]], by="person:clerk") == 1
        assert await log.shred([receipts[0]], by="person:other") == 0
        waiting = await town.db.fetch("SELECT kind, public, private FROM log.intake")
        assert [one["kind"] for one in waiting] == ["log.shred"]
        assert b'"entries":1' in waiting[0]["public"]
        assert b"person:clerk" in waiting[0]["private"]
        assert str(receipts[0]).encode() in waiting[0]["private"]


def test_the_folder_is_private_where_keys_are(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "keys" / "log", mode=0o600)
    folder.write("ring.json", b"{}")
    assert (tmp_path / "keys" / "log" / "ring.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys" / "log").stat().st_mode & 0o777 == 0o700


async def test_two_sealers_at_once_make_one_log(town: Town) -> None:
    await town.post(50)
    views = [town.log(str(n)) for n in range(3)]
    await asyncio.gather(*(view.seal() for view in views), return_exceptions=True)
    town.clock.advance(minutes=1)
    await views[1].seal()
    size, _, _ = published(views[1])
    assert size == 52


async def test_one_sealer_asked_twice_at_once_makes_one_log(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both went on with the same tree, which was then signed with entries twice; nothing could be signed after that."""
    log = town.log()

    def slow(name: str) -> None:
        answer = getattr(Store, name)

        async def slowly(*given: Any) -> Any:
            await asyncio.sleep(0.05)
            return await answer(*given)

        patch.setattr(Store, name, slowly)

    with monkeypatch.context() as patch:  # it ended between the indices and the signature
        patch.setattr(log.sealer, "_publish", _killed)
        async with town.db.transaction() as conn:
            await log.record(conn, "decision", {"rule": "P1"}, {"person": "x"})
        with pytest.raises(ConnectionError):
            await log.seal()
    with monkeypatch.context() as patch:
        slow("head")
        slow("leaves")
        assert await asyncio.gather(log.seal(), log.seal()) == [0, 0]
    status = await log.status()
    assert status.signed == (await log.sealer.store.head()).size > 0
    assert await log.seal() == 0


async def _killed(*_: object) -> None:
    raise ConnectionError


class TestUpgrade:
    async def test_seals_what_was_booked_before_there_was_a_log(self, town: Town) -> None:
        old: list[Any] = await town.post(30)
        async with town.db.transaction() as connection:
            await connection.execute("ALTER TABLE ledger.posting DISABLE TRIGGER append_only")
            await connection.execute("UPDATE ledger.posting SET born = NULL")
            await connection.execute("ALTER TABLE ledger.posting ENABLE TRIGGER append_only")
        log = town.log()
        new: list[Any] = await town.post(5)
        await log.seal()
        assert published(log)[0] == 38
        for receipt in (*old, *new):
            assert await log.sealed(receipt)

    async def test_proves_what_the_first_version_sealed(self, town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
        def first(posting: Any, salt: bytes) -> Draft:
            public = {"v": 1, "kind": "posting", "day": posting.day, "type": posting.kind}
            public["commit"] = b64(commitment(salt, private_of(posting, 1)))
            return Draft(posting.id, "posting", canonical(public), salt)

        log = town.log()
        (old,) = await town.post(1)
        monkeypatch.setattr(log.sealer._drafter, "draft", first)
        await log.seal()
        monkeypatch.undo()
        (new,) = await town.post(1)
        await log.seal()
        for receipt, version in ((old, 1), (new, 2)):
            proved = verify(str(await log.prove(receipt)).encode(), log.verifiers())  # type: ignore[arg-type]
            assert proved.private is not None
            assert (proved.private["id"], proved.private["v"]) == (str(receipt), version)
