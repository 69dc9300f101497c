"""A witness that follows a log through its public files, and what it catches."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.log.conftest import ORIGIN, Town
from tests.log.test_sealing import published, rewind

from shanhe.log.errors import LogRewound, ProofRefused, UnknownWitness
from shanhe.log.files import Folder
from shanhe.log.note import COSIGNATURE, ED25519, Checkpoint, Note, Signer, VerifierKey
from shanhe.log.proof import verify
from shanhe.log.tiles import Edge
from shanhe.log.witness import Alarm, Witness, open_signer

CITY = Signer(ORIGIN, ED25519, bytes(range(32)))
NOW_S = 1_800_000_000


class Fake:
    """A log in a folder whose owner can do what an honest one would not."""

    def __init__(self, folder: Path) -> None:
        self.files = Folder(folder)
        self.edge = Edge()

    def grow(self, *entries: str) -> Fake:
        for entry in entries:
            self.edge.extend([entry.encode()])
        self.files.write_all(self.edge.take())
        text = Checkpoint(ORIGIN, self.edge.size, self.edge.root).text
        self.files.write("checkpoint", str(Note(text, (CITY.sign(text),))).encode())
        return self

    def rewritten(self, *entries: str) -> Fake:
        """The same place with another history."""
        shutil.rmtree(self.files.path)
        self.edge = Edge()
        return self.grow(*entries)


def witness(folder: Path, log: Fake, *peers: Fake) -> Witness:
    signer = open_signer(folder, "witness.example/w1", lambda: bytes(range(2, 34)))
    return Witness(folder, signer, [CITY.verifier], log.files.read, [peer.files.read for peer in peers])


def alarm(of: Witness, kind: str) -> dict[str, Any]:
    """The evidence of the alarm that a step raises; the memory stays as it was."""
    before = of.folder.read("state.json")
    with pytest.raises(Alarm) as caught:
        of.step(NOW_S)
    assert caught.value.kind == kind
    assert of.folder.read("state.json") == before
    raw = of.folder.read(f"alarm-{kind}-{NOW_S}.json")
    assert raw is not None
    found: dict[str, Any] = json.loads(raw)
    return found


class TestWitness:
    def test_follows_and_cosigns(self, tmp_path: Path) -> None:
        log = Fake(tmp_path / "log").grow(*"abc")
        watch = witness(tmp_path / "w", log)
        assert watch.step(NOW_S).size == 3
        log.grow(*[str(n) for n in range(600)])
        step = watch.step(NOW_S + 5)
        assert (step.old_size, step.size) == (3, 603)
        key = VerifierKey("witness.example/w1", COSIGNATURE, open_signer(tmp_path / "w", "", bytes).verifier.public)
        assert Note.parse(step.cosigned).signed_by([key, CITY.verifier]) == (CITY.verifier, key)
        assert (tmp_path / "w" / "key.json").stat().st_mode & 0o077 == 0

    def test_catches_a_planted_fork(self, tmp_path: Path) -> None:
        log = Fake(tmp_path / "log").grow(*"abcd")
        watch = witness(tmp_path / "w", log)
        watch.step(NOW_S)
        log.rewritten(*"abXd", "e")
        evidence = alarm(watch, "fork")
        heads = [Checkpoint.parse(Note.parse(evidence[name]).text) for name in ("remembered", "shown")]
        assert [head.size for head in heads] == [4, 5]
        for name in ("remembered", "shown"):
            assert Note.parse(evidence[name]).signed_by([CITY.verifier])

    def test_catches_another_root_of_the_same_size(self, tmp_path: Path) -> None:
        log = Fake(tmp_path / "log").grow(*"abcd")
        watch = witness(tmp_path / "w", log)
        watch.step(NOW_S)
        log.rewritten(*"abcX")
        alarm(watch, "fork")

    def test_catches_a_rollback(self, tmp_path: Path) -> None:
        log = Fake(tmp_path / "log").grow(*"abcd")
        watch = witness(tmp_path / "w", log)
        watch.step(NOW_S)
        log.rewritten(*"abc")
        alarm(watch, "rollback")

    @pytest.mark.parametrize("shown", ["abcX", "abX", "abXdef"])
    def test_catches_a_split_view(self, tmp_path: Path, shown: str) -> None:
        log, other = Fake(tmp_path / "log").grow(*"abcd"), Fake(tmp_path / "other").grow(*shown)
        alarm(witness(tmp_path / "w", log, other), "split-view")

    def test_is_content_with_views_of_one_history(self, tmp_path: Path) -> None:
        log, other = Fake(tmp_path / "log").grow(*"abcd"), Fake(tmp_path / "other").grow(*"ab")
        assert witness(tmp_path / "w", log, other).step(NOW_S).size == 4
        assert witness(tmp_path / "v", other, log).step(NOW_S).size == 2

    def test_catches_an_entry_that_is_not_what_was_hashed(self, tmp_path: Path) -> None:
        log = Fake(tmp_path / "log").grow(*"abcd")
        log.files.write("tile/entries/000.p/4", b"\x00\x01a\x00\x01b\x00\x01X\x00\x01d")
        alarm(witness(tmp_path / "w", log), "entries")

    def test_refuses_an_unknown_key_and_another_log(self, tmp_path: Path) -> None:
        log = Fake(tmp_path / "log").grow("a")
        signer = open_signer(tmp_path / "w", "w", lambda: bytes(32))
        for key in (Signer(ORIGIN, ED25519, bytes(32)), Signer("other/log", ED25519, bytes(range(32)))):
            with pytest.raises(ProofRefused):
                Witness(tmp_path / "w", signer, [key.verifier], log.files.read).step(NOW_S)


class TestCosignature:
    async def test_is_added_to_the_checkpoint_and_to_proofs(self, town: Town, tmp_path: Path) -> None:
        log = town.log()
        receipts: list[Any] = await town.post(3)
        await log.seal()
        signer = open_signer(tmp_path / "w", "witness.example/w1", lambda: bytes(range(2, 34)))
        watch = Witness(tmp_path / "w", signer, log.verifiers(), log.folder.read)
        cosigned = watch.step(NOW_S).cosigned
        with pytest.raises(UnknownWitness):
            await log.cosign(cosigned)
        await log.add_witness(str(signer.verifier), by="tests")
        assert await log.cosign(cosigned) == 1
        assert await log.cosign(cosigned) == 1
        raw = log.folder.read("checkpoint")
        assert raw is not None
        assert Note.parse(raw.decode()).signed_by([signer.verifier]) == (signer.verifier,)
        await town.post(2)
        await log.seal()
        found = verify(str(await log.prove(receipts[0])).encode(), await log.trusted(), quorum=1)
        assert found.witnessed_at_s == NOW_S

    async def test_of_whom_is_taken_is_on_record_each_time_it_changes(self, town: Town, tmp_path: Path) -> None:
        log = town.log()
        key = str(open_signer(tmp_path / "w", "witness.example/w1", lambda: bytes(range(2, 34))).verifier)
        for _ in range(2):
            await log.add_witness(key, by="person:clerk")
        assert (await log.remove_witness(key, by="person:other"), await log.remove_witness(key, by="x")) == (
            True,
            False,
        )
        found = await town.db.fetch("SELECT kind, public, private FROM log.intake ORDER BY id")
        told = [(b'"listed":true' in one["public"], one["private"]) for one in found if one["kind"] == "log.witness"]
        assert [listed for listed, _ in told] == [True, False]
        assert b"person:clerk" in told[0][1]
        assert b"person:other" in told[1][1]

    async def test_of_a_size_the_log_forgot_stops_it_from_signing(self, town: Town, tmp_path: Path) -> None:
        log = town.log()
        await town.post(5)
        await log.seal()
        signer = open_signer(tmp_path / "w", "witness.example/w1", lambda: bytes(range(2, 34)))
        await log.add_witness(str(signer.verifier), by="tests")
        cosigned = Witness(tmp_path / "w", signer, log.verifiers(), log.folder.read).step(NOW_S).cosigned
        # Everything is restored from an old backup: database, tiles, and the memory beside the keys.
        await rewind(town, 2)
        shutil.rmtree(town.data / "log")
        (town.data / "keys" / "log" / "signed").unlink()
        restored = town.log("restored")
        with pytest.raises(LogRewound):
            await restored.cosign(cosigned)
        town.clock.advance(minutes=1)
        with pytest.raises(LogRewound):
            await restored.seal()
        assert (await restored.status()).state == "refused"


class TestRecovery:
    async def test_goes_on_from_the_tiles_and_says_so(self, town: Town, tmp_path: Path) -> None:
        log = town.log()
        receipts: list[Any] = await town.post(5)
        await log.seal()
        watch = Witness(
            tmp_path / "w", open_signer(tmp_path / "w", "w", lambda: bytes(32)), log.verifiers(), log.folder.read
        )
        watch.step(NOW_S)
        before = published(log)
        await rewind(town, 2)
        town.clock.advance(minutes=1)
        again = town.log("again")
        with pytest.raises(LogRewound):
            await again.seal()
        done = await again.recover(None)
        assert done.adopted == before[0] - 2
        after = published(again)
        assert after[2][: before[0]] == before[2]
        notice = json.loads(after[2][before[0]])
        assert (notice["kind"], notice["first"], notice["end"]) == ("recovered", 2, before[0])
        watch.step(NOW_S + 5)
        for receipt in receipts:
            assert verify(str(await again.prove(receipt)).encode(), again.verifiers()).private is not None
        await town.post(1)
        assert await again.seal() > 0

    async def test_takes_lost_entries_from_a_mirror(self, town: Town, tmp_path: Path) -> None:
        log = town.log()
        await town.post(300)
        await log.seal()
        before = published(log)
        shutil.copytree(town.data / "log", tmp_path / "mirror")
        shutil.rmtree(town.data / "log")
        await rewind(town, 40)
        town.clock.advance(minutes=1)
        again = town.log("again")
        with pytest.raises(LogRewound, match="mirror"):
            await again.recover(None)
        await again.recover(str(tmp_path / "mirror"))
        assert published(again)[2][: before[0]] == before[2]

    async def test_after_a_move_to_another_server_seals_only_what_is_missing(self, town: Town) -> None:
        log = town.log()
        await town.post(5)
        await log.seal()
        size = published(log)[0]
        late: list[Any] = await town.post(1)
        async with town.db.transaction() as connection:  # a logical restore: numbers of the old server stay in the rows
            await connection.execute("ALTER TABLE ledger.posting DISABLE TRIGGER append_only")
            await connection.execute("UPDATE ledger.posting SET born = born + 1000000")
            await connection.execute("ALTER TABLE ledger.posting ENABLE TRIGGER append_only")
            await connection.execute("UPDATE log.head SET feed_born = feed_born + 1000000, feed_id = $1", UUID(int=0))
        await log.recover(None)
        assert published(log)[0] == size + 2
        assert await log.sealed(late[0])
        new: list[Any] = await town.post(1)
        await log.seal()
        assert await log.sealed(new[0])
