"""What a registration does not say of an engine: its server is asked, or calls find out, and it is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

import structlog

from shanhe.compute import store
from shanhe.compute.discovery import Discovery
from shanhe.compute.errors import UnknownEngine
from shanhe.compute.model import THINKING, Engine, Kind
from shanhe.compute.targets import Targets
from shanhe.compute.thinking import SERVERS, known_of
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import ShanheError

SYSTEM: Final = "system"

log = structlog.get_logger(__name__)


class Learning:
    """`discover`: asks the server at an address, with a key's name, what it is. `engine`: a registered one by name."""

    def __init__(
        self, db: Database, clock: Clock, targets: Targets, discover: Callable[[str, str], Awaitable[Discovery]], *,
        reload: Callable[[], Awaitable[None]], engine: Callable[[str], Engine],
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._targets = targets
        self._discover = discover
        self._reload = reload
        self._engine = engine

    async def ask(self, engine: Engine, actor: str) -> None:
        """Find out by which field an engine is told how much to think, where its registration does not say so.

        Its server is asked what it is, and what that is known for is kept. A server that can't be asked or is no known
        one stays as it is; the next start of the city asks again.
        """
        host = self._targets.address(engine).host
        if not any(one.kind is Kind.CHAT for one in engine.models) or known_of(engine, host):
            return
        self._targets.state(engine).asked = True
        try:
            found = await self._discover(engine.url, engine.key_env)
        except ShanheError:
            return
        if (word := SERVERS.get(found.flavour)) is not None:
            await self.keep(engine, word, THINKING, f"{found.flavour}: {word}", actor)

    async def keep(self, engine: Engine, feature: str, unless: Collection[str], cause: str, actor: str) -> None:
        """Note that an engine has a feature, unless it is known to have one of some."""
        async with self._db.transaction() as conn:
            if await store.learn(conn, engine.id, feature, unless):
                await store.add_event(conn, engine.name, "learned", cause, actor, self._clock.now())
                await store.changed(conn)
        await self._reload()

    async def keep_up(self) -> None:
        """Keep what calls found out, and ask every engine once, when it first answers, what its registration omits."""
        states = {target.engine_name: target.state for target in self._targets}
        for name, state in states.items():
            try:
                for feature in sorted(state.found):
                    await self.keep(self._engine(name), feature, {feature}, feature, SYSTEM)
                    state.found.discard(feature)
            except (UnknownEngine, *FAILURES) as error:
                log.warning("what was found out is not kept", engine=name, error=type(error).__name__)
            if not state.asked and state.checked_at is not None and not state.down:
                state.asked = True
                try:
                    await self.ask(self._engine(name), SYSTEM)
                except (UnknownEngine, *FAILURES) as error:
                    log.warning("nothing was learned of an engine", engine=name, error=type(error).__name__)
