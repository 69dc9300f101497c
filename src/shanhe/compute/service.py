"""Compute: the registry of engines, the routing table that follows it, prices, health."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from os.path import exists
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import structlog

from shanhe.compute import counting, fetch, pricing, store
from shanhe.compute.aliases import Aliases
from shanhe.compute.cards import card, cards
from shanhe.compute.client import EngineClient
from shanhe.compute.discovery import Discovery, discover
from shanhe.compute.errors import BadEngine, EngineBusy, EngineExists, EngineFailed, UnknownEngine, UnknownModel
from shanhe.compute.learning import SYSTEM, Learning
from shanhe.compute.making import LOCAL_CHIP, MadeDesk
from shanhe.compute.model import (
    BOUND,
    GENERAL,
    Engine,
    EngineChange,
    EngineKind,
    EngineStatus,
    ModelCard,
    ModelInfo,
    NewEngine,
    NodeEngine,
    Prices,
    Speed,
    TestReport,
)
from shanhe.compute.nodes import NodeDesk, drop_node
from shanhe.compute.price_desk import PriceDesk
from shanhe.compute.pulls import Pulls
from shanhe.compute.references import References
from shanhe.compute.registration import changed, checked, completed, difference, local_engine
from shanhe.compute.routing import EXPECTED, NOBODY, NOTHING, RoutingTable, checked_policy
from shanhe.compute.status import info_of, is_due, public_status, status_of
from shanhe.compute.target import EngineState, Target, auth_header
from shanhe.compute.targets import KeyOf, Targets
from shanhe.compute.trouble import key_unset
from shanhe.kernel.asking import Announce
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import Invalid

PROBE_DOWN_S: Final = 2.0
"""Engines that are down are looked at more often."""
RELOAD_S: Final = 30.0
"""The registry is read again at least this often, should a notice have been lost."""
WAKE_LIMIT_S: Final = 90.0
"""Longest wait for a lazy engine, whose model may have to be fetched first."""
START_LIMIT_S: Final = 20.0
"""Longest wait for an engine that should be running already: it is loading, or starting again after a crash."""
WAKE_POLL_S: Final = 0.1

log = structlog.get_logger(__name__)


class Compute:
    """Models and engines as one process sees them.

    `data`: the city's data folder, where local engines have their sockets. `price_rule`: the pricing rule. `cost_rule`:
    the reference cost of a chip, for contributed nodes and local engines; without it cards and registrations tell.
    `upstream_key`: reads an engine's key from the environment. `announce`: writes price notices (the outbox's `emit`).
    `workers`: processes that share the engines' slots. `routing`: one of `routing.POLICIES`.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        data: Path,
        price_rule: pricing.PriceRule,
        upstream_key: KeyOf,
        announce: Announce | None = None,
        cost_rule: pricing.PriceRule | None = None,
        workers: int = 1,
        cache: Path | None = None,
        sources: Sequence[str] = fetch.DEFAULT_SOURCES,
        routing: str = EXPECTED,
    ) -> None:
        self._db = db
        self._clock = clock
        self._desk = PriceDesk(clock, price_rule, cost_rule, announce)
        self._key = upstream_key
        self._targets = Targets(data, upstream_key, workers, wake=self._wake)
        self._routing = checked_policy(routing)
        self.made = MadeDesk(db, clock, data, self._desk, insert=self._insert, reload=self.reload, engine=self.engine)
        self.aliases = Aliases(db, clock, reload=self.reload, known=lambda: self._table.by_id)
        self.pulls = Pulls(db, clock, data / "models", cache or fetch.default_cache(), sources)
        self.learning = Learning(db, clock, self._targets, self.discover, reload=self.reload, engine=self.engine)
        self._client = EngineClient()
        self.references = References(lambda: self._table, self._client)
        self._table = RoutingTable((), {})
        self.counts = counting.EngineCounts(db, clock, self._client.counters, self._serving)
        self._book = pricing.PriceBook(())
        self._engines: tuple[Engine, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []
        self._stale, self._reading = asyncio.Event(), asyncio.Lock()
        self.price_revision = 0
        """Grows whenever published prices were read anew and differ."""

    # -- life ---------------------------------------------------------------------------------------------------------

    async def start(self, *, probe: bool = True) -> None:
        """Read the registry, follow its changes, and (unless told not to) watch the engines' health."""
        await self.reload()
        self._db.wake(store.CHANNEL, self._stale)
        self._tasks.append(asyncio.create_task(self._follow(), name="compute follow"))
        if probe:
            self._tasks.append(asyncio.create_task(self._watch_health(), name="compute health"))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.pulls.stop()
        await self._client.close()

    async def reload(self) -> None:
        """Read engines, models and prices and put them in force in this process."""
        async with self._reading:  # an older reading must not replace a newer one
            await self._read()

    async def _read(self) -> None:
        engines = await store.engines(self._db)
        described = {row["id"]: row for row in await store.models(self._db)}
        prices = await store.prices(self._db)
        if [one.version for one in prices] != self._book.versions():
            self.price_revision += 1
        self._book = pricing.PriceBook(prices)
        self._engines = tuple(engines)
        self._table = self._build(engines, described, await store.aliases(self._db))

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELOAD_S):
                    await self._stale.wait()
            self._stale.clear()
            try:
                await self.reload()
            except FAILURES as error:
                log.warning("engines could not be read; what is known stays in force", error=type(error).__name__)
                await asyncio.sleep(1.0)
                self._stale.set()

    def _build(
        self, engines: Sequence[Engine], described: Mapping[str, Mapping[str, Any]], aliases: Mapping[str, str]
    ) -> RoutingTable:
        targets = self._targets.of(engines)
        models = [info_of(described[model], found) for model, found in sorted(targets.items())]
        return RoutingTable(models, targets, self._routing, aliases)

    # -- hot path -----------------------------------------------------------------------------------------------------

    def models(self) -> tuple[ModelInfo, ...]:
        """Models that an enabled engine serves, by id."""
        return self._table.models

    def model(self, model: str) -> ModelInfo | None:
        """A model by its public id or a further name, None when no enabled engine serves it."""
        return self._table.by_id.get(model)

    def route(
        self,
        model: str,
        *,
        data_class: str = GENERAL,
        exclude: frozenset[UUID] = NOBODY,
        sticky: str = "",
        needs: frozenset[str] = NOTHING,
        prompt_tokens: int = 0,
    ) -> Target | None:
        """The engine for a call, without waiting; see `RoutingTable.choose` for order and errors."""
        return self._table.choose(
            model, data_class=data_class, exclude=exclude, sticky=sticky, needs=needs, prompt_tokens=prompt_tokens
        )

    def spare(self, model: str, kept_bps: int) -> int:
        """See `RoutingTable.spare`."""
        return self._table.spare(model, kept_bps)

    def prices(self, model: str, on: date) -> Prices:
        """List prices in force on a date; NoPrice without any."""
        return self._book.in_force(model, on)

    def price_history(self, model: str) -> list[Prices]:
        """All published versions, the newest validity first, announced ones included."""
        return self._book.history(model)

    async def tokenize(self, target: Target | str, text: str) -> int:
        """Tokens of a text by the model's tokenizer; NoTokenizer or EngineFailed."""
        return await self._client.tokenize(self._resolve(target), text)

    async def count_chat(
        self, target: Target | str, messages: Sequence[Mapping[str, Any]], tools: Sequence[Any] = ()
    ) -> int:
        """Tokens of a conversation and its tools in the model's own template; NoTokenizer or EngineFailed."""
        return await self._client.count_chat(self._resolve(target), messages, tools)

    def _resolve(self, target: Target | str) -> Target:
        if isinstance(target, Target):
            return target
        found = self.route(target)
        if found is None:
            raise UnknownModel(target)
        return found

    async def _wake(self, target: Target) -> None:
        """Ask the supervisor for a local engine that does not run and wait until it serves; EngineBusy if too long."""
        await self._db.execute("SELECT pg_notify($1, $2)", store.WANTED_CHANNEL, target.upstream_model)
        deadline = time.monotonic() + (WAKE_LIMIT_S if target.lazy else START_LIMIT_S)
        while time.monotonic() < deadline:
            if target.serves:
                return
            await asyncio.sleep(WAKE_POLL_S)
        target.state.breaker.record(False, target.state.now())
        raise EngineBusy(target.engine_name, retry_after_s=15, reason="it is being fetched or started, or can't be")

    # -- engines ------------------------------------------------------------------------------------------------------

    def engines(self) -> tuple[Engine, ...]:
        """All registered engines by name, disabled ones included."""
        return self._engines

    def engine(self, name: str) -> Engine:
        """A registered engine; UnknownEngine without one."""
        for engine in self._engines:
            if engine.name == name:
                return engine
        raise UnknownEngine(name)

    async def discover(self, url: str, key_env: str = "") -> Discovery:
        """What a server is and serves, before it is registered; BadEngine, EngineFailed."""
        key = self._key(key_env) if key_env else ""
        if key is None:
            raise key_unset(url, key_env)
        return await discover(url, key, key_env)

    async def looked_at(self, new: NewEngine) -> tuple[NewEngine, EngineFailed | None]:
        """A registration, completed by what the server says of itself; or as it is, and why the server says nothing.

        EngineFailed, NoModelsListed where the models were to be the server's word.
        """
        try:
            found = await self.discover(new.url, new.key_env)
        except EngineFailed as error:
            if not new.models:
                raise
            return completed(new, None), error
        return completed(new, found), None

    async def add_engine(self, new: NewEngine, *, actor: str) -> Engine:
        """Register an OpenAI-compatible upstream or a contributed node; BadEngine, EngineExists.

        Models that are new to the city get their first price at once, by the pricing rule.
        """
        now = self._clock.now()
        engine = checked(new, self._desk.cost_of(new), now)
        if new.key_env:
            self._key(new.key_env)  # refuses names that may not hold a key; the value may come later
        async with self._db.transaction() as conn:
            for served in engine.models:
                known = await store.add_model(
                    conn,
                    served.model,
                    kind=served.kind,
                    title_zh=served.model,
                    title_en=served.model,
                    licence="",
                    made_by=new.name,
                    price_class=served.price_class,
                    now=now,
                )
                if known is not None:
                    raise BadEngine(
                        "models", f"{served.model} is a {known} model here.", f"{served.model} 是 {known} 模型。"
                    )
            await self._insert(conn, engine, actor, now)
        await self.reload()
        return self.engine(engine.name)

    async def put_node(self, node: NodeEngine, *, actor: str) -> Engine:
        """Register a node as an engine, or follow what it offers now; enabled while it offers anything."""
        async with self._db.transaction() as conn:
            await NodeDesk(self._desk, self._clock).put(conn, node, actor)
        await self.reload()
        return self.engine(node.name)

    async def drop_node(self, name: str) -> None:
        """Take a node's engine out of service, if there is one; calls in flight are finished."""
        await drop_node(self._db, name)
        await self.reload()

    def learn_speed(self, engine: str, model: str, speed: Speed) -> None:
        """See `RoutingTable.learn_speed`."""
        self._table.learn_speed(engine, model, speed)

    async def ensure_local(self, model: str, *, contributor: UUID | None = None) -> Engine:
        """Register the local engine of a model card, once; the engine follows its card afterwards."""
        known = card(model)
        cost = self._desk.reference_cost(LOCAL_CHIP, known.price_class) or known.cost
        engine = local_engine(known, cost, contributor, self._clock.now())
        async with self._db.transaction() as conn:
            await store.add_model(
                conn, known.id, kind=known.kind, title_zh=known.title_zh, title_en=known.title_en,
                licence=known.licence, made_by=known.made_by, price_class=known.price_class, now=engine.created_at,
            )  # fmt: skip
            try:
                async with conn.transaction():
                    await self._insert(conn, engine, SYSTEM, engine.created_at)
            except EngineExists:
                row_id = await conn.fetchval("SELECT id FROM compute.engine WHERE name = $1", engine.name)
                await store.set_limits(conn, row_id, known.slots, known.context_tokens)
                await store.changed(conn)
        await self.reload()
        return self.engine(engine.name)

    async def model_file(self, model: str) -> Path:
        """The file of a model that comes with this software, fetched if need be; UnknownModel, DownloadFailed."""
        return await self.pulls.pull(model)

    async def _insert(self, conn: Any, engine: Engine, actor: str, now: datetime) -> None:
        if not await store.insert_engine(conn, engine, actor):
            raise EngineExists(engine.name)
        await store.add_event(conn, engine.name, "added", engine.url, actor, now)
        for served in engine.models:
            if not any(one.model == served.model for one in await store.prices(conn)):
                await self._desk.publish(conn, served.model, self._clock.today(), actor)
        await store.changed(conn)

    async def set_enabled(self, name: str, enabled: bool, *, actor: str, reason: str = "") -> Engine:
        """Take an engine out of service or put it back; calls in flight are finished."""
        async with self._db.transaction() as conn:
            if not await store.set_enabled(conn, name, enabled):
                raise UnknownEngine(name)
            event = "enabled" if enabled else "disabled"
            await store.add_event(conn, name, event, reason, actor, self._clock.now())
            await store.changed(conn)
        await self.reload()
        return self.engine(name)

    async def change_engine(self, name: str, change: EngineChange, *, actor: str) -> Engine:
        """Change the terms of a registered upstream; calls in flight end on the old ones. BadEngine, UnknownEngine.

        Prices stay: another cost reaches them when one is published.
        """
        async with self._db.transaction() as conn:
            before = await store.engine_locked(conn, name)
            if before is None:
                raise UnknownEngine(name)
            after = changed(before, change)
            if told := difference(before, after):
                await store.change_engine(conn, after)
                await store.add_event(conn, name, "changed", told, actor, self._clock.now())
                await store.changed(conn)
        await self.reload()
        return self.engine(name)

    async def remove_engine(self, name: str, *, actor: str) -> None:
        """Forget an engine. Receipts and published prices stay."""
        async with self._db.transaction() as conn:
            if not await store.delete_engine(conn, name):
                raise UnknownEngine(name)
            await store.add_event(conn, name, "removed", "", actor, self._clock.now())
            await store.changed(conn)
        await self.reload()

    async def test_engine(self, name: str, model: str | None = None, *, actor: str = SYSTEM) -> list[TestReport]:
        """One tiny real call for each of an engine's models (or one of them); also for disabled engines.

        What an engine's server says of itself and its registration does not is learned first, see `Learning.ask`.
        """
        await self.learning.ask(self.engine(name), actor)
        engine = self.engine(name)
        served = [one for one in engine.models if model in (None, one.model)]
        if not served:
            raise UnknownModel(model or "")
        state = EngineState(engine.name, 1, 0)
        key = auth_header(engine, state, self._key)
        if state.key_missing:
            said = (state.key_missing.en,), (state.key_missing.zh,)
            return [TestReport(engine.name, one.model, False, 0, 0.0, "", None, *said) for one in served]
        reports = []
        for one in served:
            target = self._targets.make(engine, one, state, key)
            if engine.kind is EngineKind.LLAMA and not target.serves:
                await self._wake(target)
            report = await self._client.test(target)
            if BOUND not in target.features and any(BOUND in problem for problem in report.problems):
                # It says by which field it wants to be bounded.
                await self.learning.keep(engine, BOUND, {BOUND}, BOUND, actor)
                engine = self.engine(name)
                report = await self._client.test(self._targets.make(engine, one, state, key))
            reports.append(report)
        return reports

    # -- health -------------------------------------------------------------------------------------------------------

    async def check_health(self, *, only_due: bool = False) -> None:
        """Probe enabled engines (at the same time) and note the verdicts."""
        first = {target.engine_id: target for target in self._targets}
        due = [target for target in first.values() if not only_due or is_due(target.state, time.monotonic())]
        await asyncio.gather(*(self._probe(target) for target in due))

    async def _probe(self, target: Target) -> None:
        state = target.state
        if state.key_missing:
            return
        if not target.serves:  # a sleeping model wakes with its next request, a node without tunnel does not
            state.down = target.kind == EngineKind.NODE
            return
        was_down = state.down
        trouble = await self._client.probe(target)
        state.probed(trouble)
        if state.down != was_down:
            log.info("engine changed", engine=state.name, up=not state.down, reason=trouble.en if trouble else "")

    def _serving(self) -> list[Target]:
        """Whose own counters are read; a child that several models share can't tell them apart."""
        return [target for target in self._targets if not target.lora]

    async def _watch_health(self) -> None:
        while True:
            await self.check_health(only_due=True)
            await self.learning.keep_up()
            await asyncio.sleep(PROBE_DOWN_S)

    def statuses(self) -> list[EngineStatus]:
        """Health of every registered engine in this process, by name."""
        now = self._clock.now()
        found = []
        for engine in self._engines:
            uds_path = self._targets.address(engine).uds_path
            found.append(
                status_of(engine, self._targets.state(engine), runs=uds_path is None or exists(uds_path), now=now)
            )
        return found

    def public_status(self) -> dict[str, Any]:
        """What the public status page shows: each model's standing, no engine names."""
        return public_status(self.models(), self.statuses(), self._clock.now())

    async def events(self, limit: int = 50) -> list[dict[str, Any]]:
        """What operators did to engines, the newest first."""
        return await store.events(self._db, min(limit, 500))

    # -- prices -------------------------------------------------------------------------------------------------------

    async def publish_price(self, model: str, valid_from: date, *, actor: str) -> Prices:
        """Publish a model's price from a date on (today or later), by the pricing rule and its engines' costs.

        The version in force is returned unchanged when the rule gives the same amounts. Keys affected learn of a change
        through an event written in the same transaction.
        """
        if valid_from < self._clock.today():
            raise Invalid(
                "price_in_the_past",
                f"A price can't take effect on {valid_from}, which has passed.",
                message_zh=f"价格不能追溯到 {valid_from} 生效。",
                hint="Choose today or a later date.",
                hint_zh="请选择今天或以后的日期。",
            )
        async with self._db.transaction() as conn:
            await store.lock_prices(conn, model)
            version = await self._desk.publish(conn, model, valid_from, actor)
            await store.changed(conn)
        await self.reload()
        return next(one for one in self._book.history(model) if one.version == version)

    def preview_price(self, model: str, on: date) -> pricing.Computed:
        """What the rule would say on a date, without publishing it."""
        return self._desk.preview(self._engines, model, on)

    async def price_traces(self, version: UUID) -> dict[str, Any]:
        """Why a price is what it is: the rule's trace by bucket."""
        return await store.price_traces(self._db, version)

    # -- model files --------------------------------------------------------------------------------------------------

    def cards(self) -> tuple[ModelCard, ...]:
        """Models that this software can fetch and serve itself."""
        return cards()
