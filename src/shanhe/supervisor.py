"""`shanhe up`: starts a city's processes in order, keeps them running, and stops them in the opposite order.

PostgreSQL first and last; then the model, the gateway workers on one shared listening socket, and the jobs process.
Roles split the same work over machines: `gateway` and `console` (the same processes, named for what a proxy sends
them) and `jobs` expect DATABASE_URL to name the city's server, and DATA/keys to hold the city's keys.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import asyncpg
import msgspec
import structlog

from shanhe.backup.begun import none_of_another, none_unfinished
from shanhe.backup.belonging import belong
from shanhe.children import Child, Work, start, stop
from shanhe.founding import Outcome
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict, Invalid, ShanheError, Unavailable
from shanhe.kernel.jobs import Jobs
from shanhe.kernel.migrations import Migration, Progress, migrate
from shanhe.kernel.outage import room
from shanhe.kernel.postgres import EmbeddedPostgres
from shanhe.kernel.process import BACKLOG, Held, bind
from shanhe.nursery.api import Nursery
from shanhe.settings import Settings
from shanhe.sharing import share

if TYPE_CHECKING:
    from shanhe.compute.api import LlamaSupervisor, PullState

LOCK_FILE = "city.lock"
URL_FILE = Path("run", "url")
WATCH_S = 0.25
AGAIN_MAX_S = 4.0
MIGRATIONS_SHOWN_FROM = 10
MIGRATIONS_A_STEP = 20
READY_LIMIT_S = 60.0
READY_POLL_S = 0.1
PROBE_LIMIT_S = 5.0
ENGINE_LIMIT_S = 15.0
OK = 200
CONNECTIONS_SPARE = 40
"""For commands, and whoever looks at the database."""
PRIVATE_FOLDERS = ("run", "models", "logs")

log = structlog.get_logger(__name__)


class Role(StrEnum):
    ALL = "all"
    GATEWAY = "gateway"
    JOBS = "jobs"
    CONSOLE = "console"


class Reporter(Protocol):
    """Whoever watches the start: the command line shows it, tests listen."""

    def step(self, zh: str, en: str) -> None: ...

    def progress(self, what: str, done: int, total: int) -> None: ...

    def warn(self, error: ShanheError) -> None: ...

    def ready(self, settings: Settings, outcome: Outcome) -> None: ...


class Supervisor:
    """Runs one city on one machine until it is told to stop."""

    def __init__(self, settings: Settings, role: Role, reporter: Reporter, nursery: Nursery | None = None) -> None:
        self._settings = replace(settings, data=settings.data.absolute())
        self._role = role
        self._report = reporter
        self._nursery = nursery
        self._stop = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Start, serve, stop; `ShanheError` when the start fails, after everything started was stopped again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        try:
            await self._held()
        finally:
            if self._nursery is not None:
                self._nursery.close()

    async def _held(self) -> None:
        none_unfinished(self._settings.data)
        none_of_another(self._settings.data)
        prepare_folder(self._settings.data)
        with Held(self._settings.data / LOCK_FILE):
            started = asyncio.create_task(self._serve())
            asked = asyncio.create_task(self._stop.wait())
            try:
                await asyncio.wait((started, asked), return_when=asyncio.FIRST_COMPLETED)
            finally:
                started.cancel()
                asked.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await started

    async def _serve(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            listener = stack.enter_context(self._address())
            settings = await stack.enter_async_context(self._database())
            self._report.step("升级数据库结构", "Migrating the database")
            await migrate_city(settings, self._migrated)
            await belong(settings)
            stack.push_async_callback(_cancelled, asyncio.create_task(_shared(settings)))
            if listener is not None:
                _listen(listener, settings)
            children = self._children(settings, listener)
            for child in children:
                stack.push_async_callback(child.stop)
            coming = asyncio.create_task(_start_all(children))
            stack.push_async_callback(_cancelled, coming)
            outcome = await self._prepare(settings, stack) if self._role is Role.ALL else Outcome()
            await coming
            if self._starting is not None:
                await self._starting
            if listener is not None:
                await self._until_ready(settings)
            self._report.ready(settings, outcome)
            await asyncio.Event().wait()

    async def _prepare(self, settings: Settings, stack: contextlib.AsyncExitStack) -> Outcome:
        """What the first start makes and later ones find again; the workers come up meanwhile."""
        if settings.with_model:
            await self._model(settings, stack)
        self._report.step("准备城市", "Preparing the city")
        said = await self._said(Work("founding", "shanhe.founding", settings.child_environment()))
        if not said:
            raise _not_founded()
        outcome = msgspec.json.decode(said, type=Outcome)
        if outcome.refusal is not None:
            raise outcome.refusal.error()
        return outcome

    async def _said(self, work: Work) -> bytes:
        """The line that a process leaves on the pipe it is given; empty when it ended without."""
        listening, telling = os.pipe()
        reader = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(listening, "rb")
        )
        try:
            try:
                process = await start(replace(work, fds=(telling,)), self._nursery)
            finally:
                os.close(telling)
            try:
                said = await reader.readline()
                await process.wait()
            finally:
                await stop(process, work.name)
            return said
        finally:
            pipe.close()

    async def _model(self, settings: Settings, stack: contextlib.AsyncExitStack) -> None:
        """Fetch and start the default model; a city without it still serves everything else, and says so."""
        from shanhe.compute.api import LlamaSupervisor

        engines = LlamaSupervisor(
            settings.data,
            threads=settings.model_threads,
            sources=settings.sources,
            progress=self._downloaded,
            environment=settings.child_environment(),
        )
        stack.push_async_callback(engines.stop)
        watching = await Database.open(settings.database_url, size=1)
        stack.push_async_callback(watching.close)
        engines.watch(watching)
        try:
            await engines.fetch(settings.model)
        except ShanheError as error:
            self._report.warn(error)
            return
        self._report.step("启动模型", "Starting the model")
        self._starting = asyncio.create_task(self._start_model(engines, settings.model))
        stack.push_async_callback(_cancelled, self._starting)

    async def _start_model(self, engines: LlamaSupervisor, model: str) -> None:
        try:
            await engines.start(model)
        except ShanheError as error:
            self._report.warn(error)

    def _migrated(self, done: int, total: int) -> None:
        if total >= MIGRATIONS_SHOWN_FROM and done % MIGRATIONS_A_STEP == 0:
            self._report.step(f"升级数据库结构 {done} / {total}", f"Migrating the database, {done} of {total}")

    def _downloaded(self, state: PullState) -> None:
        self._report.progress(state.model, state.done_bytes, state.total_bytes)

    @contextlib.asynccontextmanager
    async def _database(self) -> AsyncIterator[Settings]:
        """The settings with the address of the database: ours, started and watched over, or somebody else's."""
        if self._settings.database_url:
            yield self._settings
            return
        if self._role is not Role.ALL:
            raise Invalid(
                "database_needed",
                f"The role {self._role} shares the database of a city that runs elsewhere.",
                message_zh=f"角色 {self._role} 需要连接已有城市的数据库。",
                hint="Set DATABASE_URL to that city's PostgreSQL server.",
                hint_zh="请把 DATABASE_URL 设为该城市的 PostgreSQL 地址。",
            )
        self._report.step("启动 PostgreSQL", "Starting PostgreSQL")
        postgres = embedded_postgres(self._settings)
        # On this thread, which lives as long as the city: the server ends with the thread that started it.
        dsn = postgres.start()
        keeper = asyncio.create_task(self._keep(postgres))
        try:
            yield self._settings.on_own_server(dsn)
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            await asyncio.to_thread(postgres.stop)

    async def _keep(self, postgres: EmbeddedPostgres) -> None:
        """Start it again whenever it ends, for as long as the city lives: on a full disk it cannot, until it can."""
        wait_s = WATCH_S
        while True:
            await asyncio.sleep(wait_s)
            if postgres.is_running:
                postgres.keep_log_short()
                wait_s = WATCH_S
                continue
            log.warning("PostgreSQL ended; starting it again")
            try:
                postgres.start()
            except (ShanheError, OSError) as error:
                wait_s = min(AGAIN_MAX_S, wait_s * 2)
                log.error("PostgreSQL did not start", error=str(error), again_in_s=wait_s, disk=room(postgres.data_dir))

    @contextlib.contextmanager
    def _address(self) -> Iterator[socket.socket | None]:
        """The address, taken before anything else is started, so that a taken port is known at once."""
        if self._role is Role.JOBS:
            yield None
            return
        settings = self._settings
        try:
            listener = bind(settings.host, settings.port)
        except OSError as error:
            raise _port_taken(settings, error) from error
        told = settings.data / URL_FILE
        try:
            with contextlib.suppress(OSError):  # commands beside a city on a full disk go by their own settings
                told.write_text(settings.url, encoding="utf-8")
            yield listener
        finally:
            told.unlink(missing_ok=True)
            listener.close()

    def _children(self, settings: Settings, listener: socket.socket | None) -> list[Child]:
        found: list[Child] = []
        # Who starts takes up what the process of its name left: two machines on one database must not have one name.
        here = f"@{socket.gethostname()}" if self._settings.database_url else ""
        if self._role in (Role.ALL, Role.JOBS):
            work = Work("jobs", "shanhe.background", settings.child_environment(worker=f"jobs{here}"))
            found.append(Child(work, self._nursery))
        if listener is not None:
            for index in range(settings.workers):
                name = f"w{index}"
                environment = settings.child_environment(worker=f"{name}{here}")
                work = Work(name, "shanhe.worker", environment, (name,), (listener.fileno(),))
                found.append(Child(work, self._nursery))
        return found

    async def _until_ready(self, settings: Settings) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_LIMIT_S
        while await _ask(settings, "/healthz") != OK:
            if loop.time() > deadline:
                raise Unavailable(
                    "not_ready",
                    f"The city did not answer within {READY_LIMIT_S:.0f} s.",
                    message_zh=f"{READY_LIMIT_S:.0f} 秒内没有响应。",
                    hint="Read the log lines above; `shanhe doctor` checks the machine.",
                    hint_zh="请查看上面的日志；`shanhe doctor` 可检查本机环境。",
                )
            await asyncio.sleep(READY_POLL_S)
        # An engine that does not come is no reason to wait for ever: the banner follows, /readyz says what is missing.
        deadline = loop.time() + (ENGINE_LIMIT_S if self._starting is not None else 0)
        while loop.time() < deadline:
            if await _ask(settings, "/readyz") == OK:
                return
            await asyncio.sleep(READY_POLL_S)


async def _start_all(children: Sequence[Child]) -> None:
    for child in children:
        await child.start()


async def _ask(settings: Settings, path: str) -> int:
    """The status of one request over a plain socket (an HTTP library would cost the start half a second); 0 = none."""
    host = "127.0.0.1" if settings.host == "0.0.0.0" else "::1" if settings.host == "::" else settings.host
    try:
        async with asyncio.timeout(PROBE_LIMIT_S):
            reader, writer = await asyncio.open_connection(host, settings.port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nhost: city\r\nconnection: close\r\n\r\n".encode())
                words = (await reader.readline()).split()
                return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return 0


async def migrate_city(settings: Settings, progress: Progress | None = None) -> Sequence[Migration]:
    """Bring the database that the settings name up to date; what was applied."""
    db = await Database.open(settings.database_url, size=1)
    try:
        applied = await migrate(db, progress=progress)
        await Jobs(db).install(upgrade=False)
        return applied
    finally:
        await db.close()


def prepare_folder(data: Path) -> None:
    """Make the data folder and its rooms, private to their owner."""
    for folder in (data, *(data / name for name in PRIVATE_FOLDERS)):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)


def embedded_postgres(settings: Settings) -> EmbeddedPostgres:
    """The launcher of this city's own server."""
    connections = {"max_connections": str(CONNECTIONS_SPARE + settings.connections)}
    relaxed = {} if settings.fsync else {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    return EmbeddedPostgres(settings.data / "postgres", settings=connections | relaxed)


def _listen(listener: socket.socket, settings: Settings) -> None:
    try:
        listener.listen(BACKLOG)
    except OSError as error:  # another city took the address between our bind and now
        raise _port_taken(settings, error) from error


def _not_founded() -> Unavailable:
    return Unavailable(
        "not_founded",
        "The process that prepares the city ended before it was done.",
        message_zh="准备城市的进程提前结束。",
        hint="Read the log lines above; what was made stays, and the next start goes on from there.",
        hint_zh="请查看上面的日志；已完成的部分会保留，再次启动将继续。",
    )


def _port_taken(settings: Settings, error: OSError) -> Conflict:
    return Conflict(
        "port_taken",
        f"Port {settings.port} on {settings.host} cannot be opened: {error.strerror}.",
        message_zh=f"无法打开 {settings.host} 的端口 {settings.port}：{error.strerror}。",
        hint="Stop what listens there, or choose another one: make run PORT=8601",
        hint_zh="请停止占用该端口的程序，或换一个端口：make run PORT=8601",
    )


async def _shared(settings: Settings) -> None:
    """Uploads that lie on this machine from before others came are moved to where all read them, while it serves."""
    try:
        moved = await share(settings)
    except (ShanheError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log.warning("files stay on this machine until the next start; others cannot read them", error=str(error))
    else:
        if moved:
            log.info("files moved to where every machine reads them", files=moved)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
