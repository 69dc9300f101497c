"""The launcher of the embedded PostgreSQL, against the real binaries."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import pytest

from shanhe.doctor import _database
from shanhe.kernel import postgres
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import Unavailable
from shanhe.kernel.outage import outage
from shanhe.kernel.postgres import SOCKET_PATH_MAX_BYTES, EmbeddedPostgres
from shanhe.ledger.commit import ConnectionLost, Line
from shanhe.settings import Settings

STARTER = """
import sys, time
from pathlib import Path
from shanhe.kernel.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), die_with_parent=sys.argv[2] == "die")
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


async def ask(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def until_gone(pid: int) -> bool:
    for _ in range(3_000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        await asyncio.sleep(0.02)
    return False


async def until_ended(server: EmbeddedPostgres) -> None:
    """A killed process takes its time to end where others want the CPU as well."""
    async with asyncio.timeout(60):
        while server.is_running:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose cluster was made and stopped: making one takes longer than most tests of it."""
    folder = tmp_path_factory.mktemp("made") / "pg"
    first = EmbeddedPostgres(folder)
    first.start()
    first.stop()
    return folder


@pytest.fixture
def server(made: Path, tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    shutil.copytree(made, tmp_path / "pg")
    opened = EmbeddedPostgres(tmp_path / "pg")
    yield opened
    opened.stop()


def start_elsewhere(server: EmbeddedPostgres, mode: str) -> int:
    """Start the server from another process, kill that with -9, return the server's pid."""
    parent = subprocess.Popen([sys.executable, "-c", STARTER, server.data_dir, mode], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    return pid


class TestEmbeddedPostgres:
    async def test_is_made_private_in_utf8_with_the_builtin_locale_and_no_tcp(self, tmp_path: Path) -> None:
        server = EmbeddedPostgres(tmp_path / "pg")
        try:
            dsn = server.start()
            assert await ask(dsn, "SELECT current_database()") == "shanhe"
            assert await ask(dsn, "SELECT datlocprovider::text FROM pg_database WHERE datname = 'shanhe'") == "b"
            assert await ask(dsn, "SELECT '山河' ~ '^\\w+$'") is True
            assert await ask(dsn, "SHOW listen_addresses") == ""
            assert await ask(dsn, "SHOW fsync") == "on"
            await self.is_private(server, dsn)
        finally:
            server.stop()

    @pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
    async def test_starts_for_root_without_namespaces_behind_a_closed_door(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As in a container whose city lies in root's home: whom root becomes has no way there of its own."""
        home = tmp_path / "home"
        home.mkdir(mode=0o700)
        binaries = postgres.find_binaries()
        package = binaries.parents[1]
        shutil.copytree(binaries.parent, home / package.name / binaries.parent.name, symlinks=True)
        shutil.copytree(package.with_name(f"{package.name}.libs"), home / f"{package.name}.libs")
        monkeypatch.setattr(postgres, "_user_namespaces_work", lambda: False)
        server = EmbeddedPostgres(home / "pg", bin_dir=home / package.name / binaries.parent.name / "bin")
        try:
            dsn = server.start()
            assert await ask(dsn, "SELECT 1") == 1
            assert (home / "pg" / "cluster").stat().st_uid != 0
            await self.is_private(server, dsn)
        finally:
            server.stop()

    @pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
    async def test_made_with_namespaces_starts_without_them(
        self, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(postgres, "_user_namespaces_work", lambda: False)
        assert await ask(server.start(), "SELECT 1") == 1

    async def is_private(self, server: EmbeddedPostgres, dsn: str) -> None:
        for folder in (server.data_dir, server.cluster, server.socket_dir):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((server.data_dir / "password").stat().st_mode) == 0o600
        user, _, rest = dsn.partition("@")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await ask(f"{user.rpartition(':')[0]}:wrong@{rest}", "SELECT 1")

    async def test_second_start_finds_the_data(self, server: EmbeddedPostgres) -> None:
        connection = await asyncpg.connect(server.start())
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await connection.close()
        server.stop()
        assert not server.is_running
        again = EmbeddedPostgres(server.data_dir)
        try:
            assert await ask(again.start(), "SELECT answer FROM kept") == 42
        finally:
            again.stop()

    async def test_knows_no_secret_of_ours(self, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHANHE_VAULT_KEY", "not-for-a-database")
        server.start()
        connection = await asyncpg.connect(server.dsn)
        try:
            await connection.execute("CREATE TEMP TABLE said (line text); COPY said FROM PROGRAM 'env'")
            said = await connection.fetchval("SELECT string_agg(line, ' ') FROM said")
        finally:
            await connection.close()
        assert "PATH=" in said
        assert "not-for-a-database" not in said

    async def test_recovers_after_kill_9(self, server: EmbeddedPostgres) -> None:
        server.start()
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until_ended(server)
        assert await ask(server.start(), "SELECT 1") == 1

    async def test_overcomes_a_pid_file_of_a_process_that_ended_unheard(self, server: EmbeddedPostgres) -> None:
        """Between its end and the moment when its parent asks for it, it is there to whoever looks for its pid."""
        server.start()
        server.stop()
        with subprocess.Popen(["true"]) as ended:
            await asyncio.to_thread(os.waitid, os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
            lines = [str(ended.pid), str(server.cluster), "1", "5432", "/tmp", "", "1 2", "ready"]
            (server.cluster / "postmaster.pid").write_text("\n".join(lines))
            assert await ask(server.start(), "SELECT 1") == 1

    async def test_overcomes_a_pid_file_whose_pid_is_another_process(self, server: EmbeddedPostgres) -> None:
        server.start()
        server.stop()
        lines = [str(os.getpid()), str(server.cluster), "1", "5432", "/tmp", "", "1 2", "ready"]
        (server.cluster / "postmaster.pid").write_text("\n".join(lines))
        assert not server.is_running
        assert await ask(server.start(), "SELECT 1") == 1

    async def test_adopts_the_server_of_a_killed_parent(self, server: EmbeddedPostgres) -> None:
        pid = start_elsewhere(server, "stay")
        assert await ask(server.start(), "SELECT 1") == 1
        assert server.pid == pid
        server.stop()
        assert await until_gone(pid)

    async def test_dies_with_its_parent(self, server: EmbeddedPostgres) -> None:
        pid = start_elsewhere(server, "die")
        assert await until_gone(pid)
        assert await ask(server.start(), "SELECT 1") == 1

    def test_deep_folder_gets_a_short_socket_where_temporary_files_lie_deep_too(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("deep" * 25)))
        server = EmbeddedPostgres(tmp_path / ("deep" * 25) / "postgres", bin_dir=tmp_path)
        assert server.socket_dir.parent == Path("/tmp")

    async def test_deep_folder_gets_a_short_socket(self, made: Path, tmp_path: Path) -> None:
        deep = tmp_path / ("deep" * 30) / "pg"
        shutil.copytree(made, deep)
        server = EmbeddedPostgres(deep)
        try:
            dsn = server.start()
            assert len(os.fsencode(server.socket_dir)) < SOCKET_PATH_MAX_BYTES
            assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700
            assert await ask(dsn, "SELECT 1") == 1
        finally:
            server.stop()
        assert not server.socket_dir.exists()

    async def test_says_what_the_log_says_when_it_cannot_start(self, tmp_path: Path) -> None:
        server = EmbeddedPostgres(tmp_path / "pg", settings={"shared_buffers": "nonsense"})
        with pytest.raises(Unavailable, match="shared_buffers"):
            server.start()


class TestStandby:
    """A failover: under the address stands, for a while, a server that answers and takes nothing."""

    @pytest.fixture
    def standby(self, server: EmbeddedPostgres) -> EmbeddedPostgres:
        server.start()
        server.stop()
        (server.cluster / "standby.signal").touch()
        server.start()
        return server

    async def test_is_not_taken_for_the_database_and_the_primary_is_found_once_it_is_there(
        self, standby: EmbeddedPostgres
    ) -> None:
        with pytest.raises(FAILURES) as refused:
            await Database.open(standby.dsn)
        known = outage(refused.value)
        assert known is not None
        assert known.code == "database_away"
        line = Line(standby.dsn)
        with pytest.raises(ConnectionLost):
            await line.fetch("SELECT 1")
        await ask(standby.dsn, "SELECT pg_promote()")
        assert [row[0] for row in await line.fetch("SELECT 1")] == [1]
        await line.close()
        db = await Database.open(standby.dsn)
        await db.execute("CREATE TABLE taken ()")
        await db.close()

    async def test_beside_the_primary_worries_no_doctor(
        self, standby: EmbeddedPostgres, made: Path, tmp_path: Path
    ) -> None:
        """Whoever names both is told of the one that the city asks."""

        async def found(url: str) -> dict[str, bool]:
            settings = Settings(data=tmp_path, database_url=url)
            return {one.check: one.ok for one in await _database(settings, running=True)}

        shutil.copytree(made, tmp_path / "other")
        primary = EmbeddedPostgres(tmp_path / "other")
        try:
            primary.start()
            host = quote(str(standby.socket_dir))
            both = standby.dsn.replace(f"host={host}", f"host={host},{quote(str(primary.socket_dir))}")
            assert (await found(both))["writing"]
            assert not (await found(standby.dsn))["writing"]
        finally:
            primary.stop()

    async def test_that_keeps_a_connection_loses_the_ledgers(self, server: EmbeddedPostgres) -> None:
        """One that its keeper has locked, because its disk is full, takes no statement and says so."""
        line = Line(server.start())
        await line.fetch("SET default_transaction_read_only = on")
        with pytest.raises(ConnectionLost):
            await line.fetch("CREATE TABLE taken ()")
        await line.fetch("CREATE TABLE taken ()")
        await line.close()
