"""A city goes into a backup and comes out of it as it was, or not at all."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from tests.conftest import BINARIES
from typer.testing import CliRunner

from shanhe.backup import making as backing
from shanhe.backup.begun import Begun, begin, none_of_another, none_unfinished
from shanhe.backup.belonging import adopt, belong
from shanhe.backup.making import DUMP, MANIFEST, Manifest, back_up, check
from shanhe.cli import app
from shanhe.kernel.errors import Conflict, Invalid, ShanheError
from shanhe.kernel.vault import PersonErased, Vault
from shanhe.restore import restoring
from shanhe.restore.loading import for_server
from shanhe.restore.restoring import restore
from shanhe.settings import Settings

SOON_S = 60.0
"""Far longer than it takes: what never ends fails here."""


def silent(*_: Any) -> None:
    """Nobody watches."""


class Killed(BaseException):
    """The process ends here."""


def _killed(*_: Any) -> None:
    raise Killed


@pytest.fixture(autouse=True)
def carried(monkeypatch: pytest.MonkeyPatch) -> None:
    programs(monkeypatch)


def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backing, "program", lambda name: str(BINARIES / name))
    monkeypatch.setattr("shanhe.restore.loading.program", lambda name: str(BINARIES / name))


@pytest.fixture
async def settings(dsn: str, tmp_path: Path) -> Settings:
    """A city with a person, an account and a file or two."""
    found = Settings(data=tmp_path / "city", database_url=dsn, with_model=False, demo=False)
    for name, text in (("files/ab/one", "kept"), ("log/checkpoint", "signed"), ("logs/engine.log", "noise"),
                       ("run/x", "noise"), ("cache/model", "fetched"), ("files/ab/.two.draft", "half"),
                       ("models/made/m.json", "{}"), ("studio/ab/model.gguf", "weights"),
                       ("studio/ab/answers.jsonl", "what somebody asked")):  # fmt: skip
        path = found.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return found


def _noted(backup: Path, manifest: Manifest) -> None:
    (backup / MANIFEST).write_bytes(msgspec.json.encode(manifest))


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _tables(dsn: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetch(
            "SELECT schema_name FROM information_schema.schemata"
            " WHERE schema_name !~ '^pg_' AND schema_name NOT IN ('public', 'information_schema')"
        )
        return [row[0] for row in found]
    finally:
        await connection.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def furnished(settings: Settings) -> tuple[UUID, bytes]:
    """A person in the database whose name only the keys open."""
    person, vault = uuid4(), Vault(settings.data / "keys")
    vault.create(person)
    sealed = vault.encrypt(person, "name", "张伟")
    await belong(settings)
    return person, sealed


@pytest.fixture
def no_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is not about the database: no dump is made of it."""

    async def nothing(command: list[str], *_: Any) -> None:
        next(Path(word.partition("=")[2]) for word in command if word.startswith("--file=")).write_bytes(b"dump")

    monkeypatch.setattr(backing, "run_program", nothing)


class TestBackup:
    async def test_comes_back_whole_with_its_keys_and_never_over_another(
        self, settings: Settings, empty_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        person, sealed = await furnished(settings)
        to, keys = tmp_path / "backup", tmp_path / "elsewhere"
        manifest, is_sealed = await back_up(settings, to, keys, silent)
        assert not is_sealed
        assert [one.path for one in manifest.files] == [
            "database.dump", "files/log/checkpoint", "files/files/ab/one", "files/models/made/m.json",
            "files/studio/ab/model.gguf",  # what was learnt, and not from what
        ]  # fmt: skip
        assert names(to) == ["database.dump", "files", "manifest.json"]
        assert names(tmp_path) == ["backup", "city", "elsewhere"]
        with pytest.raises(Conflict, match="never replaces"):
            await back_up(settings, to, None, silent)
        there = Settings(data=tmp_path / "there", database_url=empty_dsn)
        there.data.mkdir()
        (there.data / "lost+found").mkdir()
        disk = there.data.stat().st_ino
        with pytest.raises(Invalid, match="Line 2"):
            await restore(there, to, keys, silent, erased=f"{uuid4()}\nsomebody\n")
        await _execute(empty_dsn, "CREATE SCHEMA ledger")  # psql ends long before pg_restore has said everything
        async with asyncio.timeout(SOON_S):
            with pytest.raises(ShanheError, match='schema "ledger" already exists'):
                await restore(there, to, keys, silent)
        assert names(there.data) == ["lost+found"]
        await _execute(empty_dsn, "DROP SCHEMA ledger")
        monkeypatch.setattr(restoring, "finish", _killed)
        with pytest.raises(Killed):
            await restore(there, to, keys, silent)
        monkeypatch.undo()
        programs(monkeypatch)
        with pytest.raises(Conflict, match="not finished"):
            none_unfinished(there.data)
        restored = await restore(there, to, keys, silent, erased=f"{uuid4()}\n")  # the database is filled by then
        assert restored == manifest
        none_unfinished(there.data)
        assert names(there.data) == ["city.lock", "files", "keys", "log", "lost+found", "models", "studio"]
        assert there.data.stat().st_ino == disk  # a mount point can't be replaced
        assert (there.data / "files/ab/one").read_text() == "kept"
        assert (there.data / "log/checkpoint").stat().st_mode & 0o777 == 0o644
        assert (there.data / "keys/master.key").stat().st_mode & 0o777 == 0o600
        assert Vault(there.data / "keys").decrypt(person, "name", sealed) == "张伟"
        await belong(there)
        for again in (there, Settings(data=tmp_path / "third", database_url=empty_dsn)):
            with pytest.raises(Conflict):
                await restore(again, to, keys, silent)
        assert not (tmp_path / "third").exists()

    def test_brings_no_room_where_files_lie_that_a_city_may_begin_with(self, tmp_path: Path) -> None:
        """They would be taken away with what a failed restore leaves."""
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "model").write_text("fetched")
        restoring._empty(tmp_path, None, ["files"])
        with pytest.raises(Conflict, match="cache"):
            restoring._empty(tmp_path, None, ["cache", "files"])

    @pytest.mark.prove
    async def test_leaves_the_database_empty_when_its_books_are_others(
        self, settings: Settings, empty_dsn: str, tmp_path: Path
    ) -> None:
        to = tmp_path / "backup"
        made, _ = await back_up(settings, to, None, silent)
        _noted(to, msgspec.structs.replace(made, books=msgspec.structs.replace(made.books, balances_sha256="0" * 64)))
        there = Settings(data=tmp_path / "there", database_url=empty_dsn)
        with pytest.raises(Invalid, match="the backup said"):
            await restore(there, to, None, silent)
        (to / DUMP).write_bytes((to / DUMP).read_bytes()[:-100_000])
        cut = backing._digest(to / DUMP, DUMP)
        _noted(to, msgspec.structs.replace(made, files=[cut, *made.files[1:]]))
        with pytest.raises(ShanheError, match="could not be loaded"):
            await restore(there, to, None, silent)
        assert not there.data.exists()
        assert await _tables(empty_dsn) == []

    @pytest.mark.usefixtures("no_dump")
    async def test_begun_by_a_killed_one_is_started_over(self, settings: Settings, tmp_path: Path) -> None:
        """What the first one had moved is taken away; what somebody else has put there since is not."""
        await furnished(settings)
        to = tmp_path / "backup"
        made, _ = await back_up(settings, to, None, silent)
        there = Settings(data=tmp_path / "there", database_url="postgresql://nobody@127.0.0.1:9/none")
        (there.data / "files").mkdir(parents=True)
        (there.data / "files/half").write_text("ha")
        with pytest.raises(Conflict, match="not empty"):
            await restore(there, to, None, silent)
        begin(there.data, Begun(made.id, ["files", "log"]))
        (there.data / "letters").write_text("mine")
        with pytest.raises(Conflict, match="letters"):
            await restore(there, to, None, silent)
        (there.data / "letters").unlink()
        restoring._take_away(there)
        assert names(there.data) == [".restoring"]

    def test_says_which_folder_it_may_not_write_to(self) -> None:
        with pytest.raises(ShanheError) as refused, backing.room_or_disk_full():
            raise OSError(30, "Read-only file system", "/data/city.lock")
        assert (refused.value.code, "/data/city.lock" in refused.value.message) == ("folder_refused", True)

    def test_asks_a_server_for_nothing_that_it_does_not_know_or_allow(self) -> None:
        script = b"SET lock_timeout = 0;\nSET transaction_timeout = 0;\n-- x\n"
        script += b"COMMENT ON EXTENSION vector IS 'a;';\nSELECT 1;\n"
        assert for_server(script, 16) == b"SET lock_timeout = 0;\n-- x\nSELECT 1;\n"
        assert for_server(script, 18) == b"SET lock_timeout = 0;\nSET transaction_timeout = 0;\n-- x\nSELECT 1;\n"

    @pytest.mark.usefixtures("no_dump")
    async def test_is_refused_when_a_byte_of_it_changed(self, settings: Settings, tmp_path: Path) -> None:
        await furnished(settings)
        to, keys = tmp_path / "backup", tmp_path / "elsewhere"
        await back_up(settings, to, keys, silent)
        file = to / "files/files/ab/one"
        file.write_text("keptt")
        with pytest.raises(Invalid, match="files/ab/one"):
            check(to, silent)
        file.write_text("kept")
        made = msgspec.json.decode((to / MANIFEST).read_bytes(), type=Manifest)
        newer = msgspec.structs.replace(made, migrations=[*made.migrations, 9999])
        _noted(to, newer)
        with pytest.raises(Conflict, match="newer version"):
            await restore(Settings(data=tmp_path / "there"), to, keys, silent)
        (to / MANIFEST).write_text("{")
        with pytest.raises(Invalid, match=MANIFEST):
            check(to, silent)

    @pytest.mark.parametrize("place", ["backup/keys", "backup"])
    async def test_never_lies_beside_its_keys(self, place: str, settings: Settings, tmp_path: Path) -> None:
        with pytest.raises(Invalid, match="beside"):
            await back_up(settings, tmp_path / "backup", tmp_path / place, silent)
        with pytest.raises(Invalid, match="own folder"):
            await back_up(settings, settings.data / "backup", None, silent)

    @pytest.mark.usefixtures("no_dump")
    async def test_leaves_nothing_when_it_fails(
        self, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await furnished(settings)

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(backing, "_write", full)
        with pytest.raises(ShanheError, match="disk is full"):
            await back_up(settings, tmp_path / "backup", tmp_path / "elsewhere", silent)
        assert names(tmp_path) == ["city"]

    def test_goes_on_when_a_running_city_takes_a_folder_away(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        city, there = tmp_path / "city", Path.is_dir
        for name in ("log/tile/0/000.p/7", "log/tile/0/000"):
            (city / name).parent.mkdir(parents=True, exist_ok=True)
            (city / name).write_text(name)

        def full(path: Path) -> bool:
            found = there(path)
            if path.name == "000.p":  # between a look and the next, its tile became full
                shutil.rmtree(path)
            return found

        monkeypatch.setattr(Path, "is_dir", full)
        assert list(backing._walk(city, city, frozenset())) == [city / "log/tile/0/000"]
        with pytest.raises(FileNotFoundError):
            list(backing._walk(tmp_path / "nowhere", tmp_path / "nowhere", frozenset()))

    def test_has_the_tile_that_took_the_place_of_its_parts(self, tmp_path: Path) -> None:
        city, copy = tmp_path / "city", tmp_path / "copy"
        tiles = city / "log/tile/0"
        for path in (city / "log/checkpoint", tiles / "000.p/7"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("7")

        def fill(*_: Any) -> None:  # while the checkpoint is copied
            (tiles / "000").write_text("256")
            shutil.rmtree(tiles / "000.p", ignore_errors=True)

        files = backing._copy(city, copy, frozenset(), fill)
        assert [one.path for one in files] == ["files/log/checkpoint", "files/log/tile/0/000"]
        assert (copy / "log/tile/0/000").read_text() == "256"


class TestKeysFolder:
    async def test_are_not_made_by_root_for_a_city_that_runs_as_somebody_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The city could not read them: whom root had made there, nobody could open."""
        monkeypatch.setattr("shanhe.backup.begun.ROOT", os.geteuid())
        none_of_another(tmp_path)  # its own
        none_of_another(tmp_path / "not yet")
        monkeypatch.setattr("shanhe.backup.begun.os.geteuid", lambda: -1)
        monkeypatch.setattr("shanhe.backup.begun.ROOT", -1)
        with pytest.raises(Conflict, match="belongs to") as refused:
            none_of_another(tmp_path)
        assert refused.value.code == "data_of_another"

    async def test_of_another_city_is_noticed_at_the_start(self, settings: Settings, tmp_path: Path) -> None:
        person, sealed = await furnished(settings)
        await belong(settings)
        wrong = Settings(data=tmp_path / "second", database_url=settings.database_url)
        with pytest.raises(Conflict) as refused:
            await belong(wrong)
        assert refused.value.code == "keys_foreign"
        assert await adopt(wrong) == 0
        await belong(wrong)
        with pytest.raises(PersonErased):
            Vault(wrong.data / "keys").decrypt(person, "name", sealed)


class TestVaultCommand:
    def test_rotates_and_tells(self, tmp_path: Path) -> None:
        person, vault = uuid4(), Vault(tmp_path / "keys")
        vault.create(person)
        sealed = vault.encrypt(person, "name", "张伟")
        before = (tmp_path / "keys/master.key").read_bytes()

        def run(*words: str) -> Any:
            result = CliRunner().invoke(app, ["vault", *words, "--data", str(tmp_path), "--json"])
            assert result.exit_code == 0, result.output
            return json.loads(result.stdout)

        assert run("rotate") == {"wrapped": 1}
        assert (tmp_path / "keys/master.key").read_bytes() != before
        assert run("status") == {"people": 1, "secrets": 0, "masters": 1, "sealed": False, "interrupted": False}
        assert vault.decrypt(person, "name", sealed) == "张伟"
