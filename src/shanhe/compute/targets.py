"""What of the registry can be called in this process, with each engine's standing, which outlives a reading of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

from shanhe.compute.address import UNIX, Address, parse_url, socket_path, unix_address
from shanhe.compute.model import Engine, EngineKind, EngineModel
from shanhe.compute.target import EngineState, Target, auth_header

KeyOf = Callable[[str], str | None]
"""The value of an environment variable that may hold an engine's key; Invalid for names that may not."""


class Targets:
    """`data`: where local engines have their sockets. `workers`: processes that share the engines' slots. `wake`: has a
    local engine that sleeps started."""

    def __init__(self, data: Path, key: KeyOf, workers: int, *, wake: Callable[[Target], Awaitable[None]]) -> None:
        self._data = data
        self._key = key
        self._workers = workers
        self._wake = wake
        self._states: dict[UUID, EngineState] = {}
        self._made: dict[tuple[UUID, str], tuple[Engine, bytes | None, Target]] = {}

    def __iter__(self) -> Iterator[Target]:
        return iter([target for _, _, target in self._made.values()])

    def of(self, engines: Sequence[Engine]) -> dict[str, tuple[Target, ...]]:
        """Those of all enabled engines by model; what did not change is the same target as before."""
        found: dict[str, list[Target]] = {}
        made: dict[tuple[UUID, str], tuple[Engine, bytes | None, Target]] = {}
        for engine in engines:
            if not engine.enabled:
                continue
            state = self.state(engine)
            key = auth_header(engine, state, self._key)
            for served in engine.models:
                known = self._made.get((engine.id, served.model))
                same = known is not None and known[0] == engine and known[1] == key
                target = known[2] if same and known is not None else self.make(engine, served, state, key)
                made[(engine.id, served.model)] = (engine, key, target)
                found.setdefault(served.model, []).append(target)
        self._made = made
        alive = {engine.id for engine in engines}
        self._states = {key: value for key, value in self._states.items() if key in alive}
        return {model: tuple(targets) for model, targets in found.items()}

    def state(self, engine: Engine) -> EngineState:
        """An engine's standing in this process, with this process's share of its slots and queue."""
        slots = max(1, -(-engine.slots // self._workers))
        queue = -(-engine.queue // self._workers)
        state = self._states.get(engine.id)
        if state is None:
            state = self._states[engine.id] = EngineState(engine.name, slots, queue)
        state.slots, state.queue = slots, queue
        return state

    def make(self, engine: Engine, served: EngineModel, state: EngineState, key: bytes | None) -> Target:
        """A target of its own, which nothing is routed to."""
        wake = self._wake if engine.kind is EngineKind.LLAMA else None
        return Target(engine, served, self.address(engine), state, key, wake)

    def address(self, engine: Engine) -> Address:
        """Where an engine listens."""
        if engine.kind is EngineKind.NODE:
            return unix_address(Path(engine.url.removeprefix(UNIX)))
        if engine.kind is EngineKind.LLAMA:
            return unix_address(socket_path(self._data, engine.url.removeprefix(UNIX)))
        return parse_url(engine.url)
