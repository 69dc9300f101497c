"""Downloads of model files that this process runs or watches."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from shanhe.compute import fetch
from shanhe.compute.cards import card
from shanhe.compute.errors import ExtraMissing
from shanhe.compute.model import PullState
from shanhe.kernel import acts
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError

log = structlog.get_logger(__name__)


class Pulls:
    """Files are looked for in the city's own folder, then in the cache that a user's cities share."""

    def __init__(self, db: Database, clock: Clock, own: Path, cache: Path, sources: Sequence[str]) -> None:
        self._db = db
        self._clock = clock
        self._own = own
        self._cache = cache
        self._sources = tuple(sources)
        self._running: dict[str, asyncio.Task[Path]] = {}

    @property
    def _into(self) -> Path:
        return fetch.writable(self._cache, self._own)

    def state(self, model: str) -> PullState:
        """How far a model's file is, whichever process fetches it; UnknownModel without a card."""
        known = card(model)
        if not known.file:
            return PullState(model, "done" if known.runnable else "absent")
        if fetch.find(known, (self._own,)) is not None:
            return PullState(model, "done", done_bytes=known.size_bytes, total_bytes=known.size_bytes)
        return fetch.progress_of(known, self._into) or PullState(model, "absent", total_bytes=known.size_bytes)

    async def pull(self, model: str) -> Path:
        """The file's path, fetched if need be; DownloadFailed or NoSpace."""
        known = card(model)
        if not known.file:
            if not known.runnable:
                raise ExtraMissing(model)
            return Path()
        found = await asyncio.to_thread(fetch.find, known, (self._own, self._cache))
        if found is not None:
            return found
        return await asyncio.to_thread(fetch.pull, known, self._into, sources=self._sources)

    async def start(self, model: str, *, actor: str) -> PullState:
        """Fetch in the background, once at a time; the state as it is now."""
        state = self.state(model)
        running = self._running.get(model)
        if running is None or running.done():
            task = self._running[model] = asyncio.create_task(self.pull(model), name=f"pull {model}")
            task.add_done_callback(_note_failure)
        await acts.note(self._db, actor, "model.pull", f"model:{model}", None, self._clock.now())
        return replace(state, state="waiting") if state.state in ("absent", "failed") else state

    async def stop(self) -> None:
        """Stop waiting for downloads; what has arrived stays and is resumed next time."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)


def _note_failure(task: asyncio.Task[Path]) -> None:
    if not task.cancelled() and isinstance(error := task.exception(), ShanheError):
        log.warning("a model could not be fetched", reason=error.message)
