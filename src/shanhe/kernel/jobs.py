"""Work that happens later or again and again, on a PostgreSQL queue (pgqueuer).

Two kinds: `every` repeats on a cron expression (six fields: the sixth is seconds) on exactly one process of the city,
`on` handles what `enqueue` asked for, once, with bounded retries. The library owns its tables, in the schema `queue`.
Modules say what they want done; the composition root registers it, and one process runs it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from shanhe.kernel.clock import Clock, SystemClock
from shanhe.kernel.db import FAILURES, PRIMARY, Database
from shanhe.kernel.outage import outage

if TYPE_CHECKING:
    from pgqueuer import PgQueuer
    from pgqueuer.queries import Queries

SCHEMA = "queue"
ATTEMPTS_MAX = 8
CONCURRENT_MAX = 16
BATCH = 8
RESTART_WAIT_S = 2.0
RESULT_CHARS = 200
TASK = "task"
"""The label of what repeats: Prometheus keeps `job` for itself, and would rename ours."""
CLOCK_LOOK_S = 5.0
CLOCK_BACK_S = 3.0
"""A clock that is behind what it was by more than this was set back."""

log = structlog.get_logger(__name__)

Repeat = Callable[[], Awaitable[object]]
Handle = Callable[[Mapping[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Periodic:
    name: str
    cron: str
    run: Repeat


class Jobs:
    """The queue of one city; every process may enqueue, the jobs process also runs."""

    def __init__(self, db: Database, registry: CollectorRegistry | None = None) -> None:
        """`registry`: where it is counted how what repeats went, by job."""
        self._db = db
        registry = registry or CollectorRegistry()
        self._runs = Counter(
            "shanhe_job_runs", "Runs of what repeats, by task and outcome: done or failed.", (TASK, "outcome"),
            registry=registry,
        )  # fmt: skip
        self._done_at = Gauge(
            "shanhe_job_done_timestamp_seconds",
            "When a repeated job last came to its end; before it first does, when its process began.",
            (TASK,),
            registry=registry,
        )
        self._periodic: list[Periodic] = []
        self._handlers: dict[str, Handle] = {}

    def every(self, name: str, cron: str, run: Repeat) -> None:
        """Repeat `run` on `cron` (`"*/5 * * * *"`, or with seconds `"* * * * * */10"`), never twice at a time."""
        self._periodic.append(Periodic(name, cron, run))

    def on(self, name: str, handle: Handle) -> None:
        """Handle jobs called `name`; the handler gets the payload and must be idempotent."""
        if name in self._handlers:
            raise ValueError(f"job {name} has a handler already")
        self._handlers[name] = handle

    async def install(self, *, upgrade: bool = True) -> None:
        """Create or (unless told not to) upgrade the queue's tables; safe to call from several processes."""
        if not upgrade and await self._db.fetchval(f"SELECT to_regclass('{SCHEMA}.pgqueuer')") is not None:
            return
        connection = await asyncpg.connect(self._db.dsn, target_session_attrs=PRIMARY)
        try:
            await connection.execute("SELECT pg_advisory_lock(hashtext($1))", SCHEMA)
            queries = _queries(connection)
            if await queries.schema_is_installed():
                await queries.upgrade()
            else:
                await queries.install()
        finally:
            await connection.close()  # which also gives the lock back

    async def enqueue(
        self,
        name: str,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        connection: Any = None,
    ) -> bool:
        """Ask for a job; False when one with the same `key` waits already. With `connection`: in its transaction."""
        queries = _queries(connection if connection is not None else self._db.pool)
        ids = await queries.enqueue(
            name,
            msgspec.json.encode(payload),
            dedupe_key=key,
            on_conflict="skip",
        )
        return ids[0] is not None

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then let running jobs finish; a lost database is waited for."""
        await self.install()
        self._tell_before_they_run()
        while not stop.is_set():
            try:
                await self._run_once(stop)
            except FAILURES as error:
                log.warning("jobs lost the database; trying again", error=str(error))
                await asyncio.sleep(RESTART_WAIT_S)

    def _tell_before_they_run(self) -> None:
        """Prometheus sees an increase between two values only, and no age of what was never there: the first failure
        of a night's task, or a task that hangs in its first run, would ring nowhere."""
        for item in self._periodic:
            self._runs.labels(item.name, "done")
            self._runs.labels(item.name, "failed")
            self._done_at.labels(item.name).set_to_current_time()

    async def _run_once(self, stop: asyncio.Event) -> None:
        from pgqueuer import PgQueuer
        from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver

        driver = AsyncpgPoolDriver(self._db.pool)
        queuer = PgQueuer(driver, queries=_queries(self._db.pool, driver))
        self._register(queuer)

        async def relay() -> None:
            await stop.wait()
            queuer.shutdown.set()

        async def anew() -> None:
            await set_back(SystemClock())
            log.warning("the clock was set back: schedules begin anew")
            queuer.shutdown.set()

        watcher, clock = asyncio.create_task(relay()), asyncio.create_task(anew())
        try:
            await queuer.run(
                dequeue_timeout=timedelta(seconds=10), batch_size=BATCH, max_concurrent_tasks=CONCURRENT_MAX
            )
        finally:
            watcher.cancel()
            clock.cancel()

    def _register(self, queuer: PgQueuer) -> None:
        from croniter import croniter
        from pgqueuer.core.executors import DatabaseRetryEntrypointExecutor, ScheduleExecutor
        from pgqueuer.domain.models import Job, Schedule, utc_now

        class Scheduled(ScheduleExecutor):
            """Reads its expression once and keeps its next time: asked whenever any schedule is due, it would read it
            anew each time, which is half of what an idle city's jobs cost."""

            known = datetime.min.replace(tzinfo=UTC)
            times: croniter | None = None

            def get_next(self) -> datetime:
                now = utc_now()
                if self.known <= now:
                    self.times = self.times or croniter(self.parameters.expression)
                    self.known = datetime.fromtimestamp(self.times.get_next(float, start_time=now), UTC)
                return self.known

        def retrying(parameters: Any) -> Any:
            return DatabaseRetryEntrypointExecutor(parameters, max_attempts=ATTEMPTS_MAX)

        for name, handle in self._handlers.items():

            async def entry(job: Job, handle: Handle = handle) -> None:
                await handle(msgspec.json.decode(job.payload or b"{}"))

            queuer.entrypoint(name, executor_factory=retrying, accepts_context=False)(entry)
        for item in self._periodic:

            async def tick(_: Schedule, item: Periodic = item) -> None:
                await self.run_periodic(item)

            queuer.schedule(item.name, item.cron, executor_factory=Scheduled, clean_old=True, accepts_context=False)(
                tick
            )

    async def run_periodic(self, item: Periodic) -> None:
        """Run one repetition now; a failure is logged and left to the next one."""
        try:
            result = await item.run()
        except Exception as error:
            self._runs.labels(item.name, "failed").inc()
            known = outage(error)
            if known is not None:  # every job says the same every few seconds: a line is enough
                log.error("periodic job waits", job=item.name, why=known.code, error=f"{type(error).__name__}: {error}")
                return
            log.exception("periodic job failed", job=item.name)
        else:
            self._runs.labels(item.name, "done").inc()
            self._done_at.labels(item.name).set_to_current_time()
            if any(result.values()) if isinstance(result, dict) else result:
                log.info("periodic job", job=item.name, result=str(result)[:RESULT_CHARS])


async def set_back(clock: Clock, look_s: float = CLOCK_LOOK_S) -> None:
    """Return once the clock has jumped back. What repeats is noted with its next time: after a jump of an hour nothing
    would repeat for an hour. A clock that is slewed, or jumps ahead, hinders nobody."""
    ahead_s = clock.now().timestamp() - time.monotonic()
    while True:
        await asyncio.sleep(look_s)
        now_s = clock.now().timestamp() - time.monotonic()
        if now_s < ahead_s - CLOCK_BACK_S:
            return
        ahead_s = now_s


def _queries(target: Any, driver: Any = None) -> Queries:
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver, AsyncpgPoolDriver
    from pgqueuer.adapters.persistence import qb
    from pgqueuer.domain.settings import DBSettings
    from pgqueuer.domain.types import Channel
    from pgqueuer.queries import Queries

    settings = DBSettings(db_schema=SCHEMA, channel=Channel("shanhe_queue"))
    if driver is None:
        driver = AsyncpgPoolDriver(target) if isinstance(target, asyncpg.Pool) else AsyncpgDriver(target)
    return Queries(
        driver,
        qbe=qb.QueryBuilderEnvironment(settings=settings),
        qbq=qb.QueryQueueBuilder(settings=settings),
        qbs=qb.QuerySchedulerBuilder(settings=settings),
    )
