"""Local engines: llama.cpp children started, watched, started again and stopped in order.

They belong to the supervisor process of a city (`shanhe up`); gateway workers only know the socket's path, which
follows from the data folder and the model's id.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import httpx
import structlog

from shanhe.compute.address import private_folder, run_folder, socket_path
from shanhe.compute.cards import card, cards
from shanhe.compute.errors import ChildFailed
from shanhe.compute.fetch import DEFAULT_SOURCES, Progress, default_cache, find, pull, writable
from shanhe.compute.made import read_made
from shanhe.compute.model import SCENES, ModelCard
from shanhe.compute.openmp import with_openmp
from shanhe.compute.saying import keep
from shanhe.compute.store import UNWANTED, WANTED_CHANNEL
from shanhe.kernel.calling import over_socket
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.logs import keep_short
from shanhe.kernel.process import end

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 30.0
STEADY_AFTER_S: Final = 60.0
"""A child that ran this long is no longer in trouble: the next restart waits the shortest time again."""
READY_LIMIT_S: Final = 120.0
READY_POLL_S: Final = 0.1
PROBE_S: Final = 5.0
PROBE_TIMEOUT_S: Final = 10.0
SILENT_PROBES_MAX: Final = 3
"""A child that misses this many health probes in a row is ended and started again."""
STOP_LIMIT_S: Final = 10.0
LAST_WORDS_S: Final = 2.0
LEAVE_AFTER_S: Final = 60.0
LOG_MAX_BYTES: Final = 5 * 1024 * 1024
LOG_TAIL_BYTES: Final = 2_000

log = structlog.get_logger(__name__)


class ModelRunner:
    """One supervised child that serves one model on its socket."""

    def __init__(
        self,
        card: ModelCard,
        model_file: Path,
        data: Path,
        *,
        threads: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.card = card
        self.socket = socket_path(data, card.id)
        self.log_file = data / "logs" / f"engine-{card.id}.log"
        self.restarts = 0
        self._file = model_file
        self._data = data
        self._threads = threads
        self._environment = dict(os.environ) if environment is None else _harmless(environment)
        self._process: asyncio.subprocess.Process | None = None
        self._said: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._started_at = 0.0

    @property
    def pid(self) -> int | None:
        """Process id while the child lives."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start the child and return when it serves; ChildFailed (with the log's name) when it does not."""
        private_folder(self.socket.parent)
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        await self._spawn()
        try:
            await self._until_ready()
        except BaseException:
            await self._end()
            raise
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.card.id}")

    async def stop(self) -> None:
        """SIGTERM, SIGKILL after a bounded wait; removes the socket."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        await self._end()

    async def healthy(self, timeout_s: float = PROBE_TIMEOUT_S) -> bool:
        """Whether the child answers its health probe."""
        if not self.socket.exists():
            return False
        transport = over_socket(self.socket)
        try:
            async with httpx.AsyncClient(transport=transport, timeout=timeout_s, trust_env=False) as client:
                return (await client.get("http://engine/health")).status_code == 200
        except httpx.HTTPError:
            return False

    def status(self) -> dict[str, object]:
        """For people: model, pid, restarts, seconds up, socket, log."""
        up_s = round(time.monotonic() - self._started_at) if self.pid else 0
        return {
            "model": self.card.id,
            "pid": self.pid,
            "restarts": self.restarts,
            "up_s": up_s,
            "socket": str(self.socket),
            "log": str(self.log_file),
        }

    def _command(self) -> list[str]:
        card = self.card
        if card.kind in SCENES:
            return self._scene_command()
        command = [sys.executable, "-m", "shanhe.compute.llama_child", "--model", str(self._file)]
        command += ["--socket", str(self.socket), "--alias", card.id, "--context-tokens", str(card.context_tokens)]
        command += ["--slots", str(card.slots), "--threads", str(self._threads), "--parent", str(os.getpid())]
        for name in card.adapters:
            command += ["--adapter", str(self._data / "models" / name)]
        if card.kind == "embedding":
            command += ["--embedding", "--pooling", card.pooling]
        return command

    def _scene_command(self) -> list[str]:
        card = self.card
        command = [sys.executable, "-m", "shanhe.compute.scene_child", "--kind", card.kind.value, "--alias", card.id]
        command += ["--socket", str(self.socket), "--slots", str(card.slots), "--threads", str(self._threads)]
        if card.file:
            layout = ",".join(f"{name}={size}" for name, size in card.layout.items())
            command += ["--model", str(self._file), "--layout", layout]
        return [*command, "--parent", str(os.getpid())]

    async def _spawn(self) -> None:
        self.socket.unlink(missing_ok=True)
        keep_short(self.log_file, LOG_MAX_BYTES)
        process = await asyncio.create_subprocess_exec(
            *self._command(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=with_openmp(self._environment, self._data / "lib"),
            start_new_session=True,  # Ctrl-C reaches the supervisor only, which stops children in order
        )
        self._process = process
        assert process.stdout is not None
        self._said = asyncio.create_task(keep(process.stdout, self.log_file))
        self._started_at = time.monotonic()

    async def _until_ready(self) -> None:
        process = self._process
        assert process is not None
        deadline = time.monotonic() + READY_LIMIT_S
        while not await self.healthy(timeout_s=2.0):
            if process.returncode is not None:
                await self._heard()  # to its end, which says why
                raise ChildFailed(
                    self.card.id, f"it ended with {process.returncode}: {self._tail()}", str(self.log_file)
                )
            if time.monotonic() > deadline:
                raise ChildFailed(self.card.id, f"it was not ready within {READY_LIMIT_S:.0f} s", str(self.log_file))
            await asyncio.sleep(READY_POLL_S)
        log.info(
            "engine ready", model=self.card.id, pid=self.pid, seconds=round(time.monotonic() - self._started_at, 1)
        )

    async def _keep(self) -> None:
        """Watch the child for as long as the city runs."""
        wait_s = BACKOFF_FIRST_S
        while True:
            code = await self._watch()
            steady = time.monotonic() - self._started_at > STEADY_AFTER_S
            wait_s = BACKOFF_FIRST_S if steady else wait_s
            self.restarts += 1
            self.socket.unlink(missing_ok=True)
            log.warning(
                "engine ended; starting it again", model=self.card.id, code=code, wait_s=wait_s, log=str(self.log_file)
            )
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, BACKOFF_MAX_S)
            await self._spawn()
            try:
                await self._until_ready()
            except ChildFailed as error:
                log.warning("engine did not start", model=self.card.id, reason=error.message)
                await self._end()

    async def _watch(self) -> int | None:
        """Return when the child is gone; a child that stays silent is ended."""
        process = self._process
        assert process is not None
        silent = 0
        while process.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_S):
                    await process.wait()
                    break
            keep_short(self.log_file, LOG_MAX_BYTES)
            silent = 0 if await self.healthy() else silent + 1
            if silent >= SILENT_PROBES_MAX:
                log.warning("engine is silent; ending it", model=self.card.id, pid=process.pid)
                await self._end()
        return process.returncode

    async def _end(self) -> None:
        if self._process is not None:
            await end(self._process, STOP_LIMIT_S)
            await self._heard()
        self.socket.unlink(missing_ok=True)

    async def _heard(self) -> None:
        """Until its last words are kept; whatever it started may hold on to its end of the pipe."""
        if self._said is not None:
            await asyncio.wait((self._said,), timeout=LAST_WORDS_S)

    def _tail(self) -> str:
        try:
            said = self.log_file.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        except OSError:
            return "no log"
        return said.splitlines()[-1][:200] if said else "it said nothing"


class LlamaSupervisor:
    """All local engines of a city. Lives in the supervisor process only.

    `environment`: the children get what they need of it, and nothing secret; None lets them inherit everything.
    """

    def __init__(
        self,
        data: Path,
        *,
        cache: Path | None = None,
        threads: int = 0,
        sources: Sequence[str] = DEFAULT_SOURCES,
        progress: Progress | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._data = data
        self._environment = environment
        self._cache = cache or default_cache()
        self._threads = threads
        self._sources = tuple(sources)
        self._progress = progress
        self._runners: dict[str, ModelRunner] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._starting: set[asyncio.Task[None]] = set()
        self._leaving: dict[str, asyncio.Task[None]] = {}

    def card(self, model: str) -> ModelCard:
        """The card of a model that was made here or comes with this software; UnknownModel."""
        return read_made(self._data, model) or card(model)

    def file_of(self, model: str) -> Path | None:
        """The verified file of a model, in the city's own folder or in the shared cache; None when not fetched."""
        return find(self.card(model), (self._data / "models", self._cache))

    async def fetch(self, model: str) -> Path:
        """The model's file, downloaded if need be (none where a package holds it); DownloadFailed or NoSpace."""
        if not self.card(model).file:
            return Path()
        found = await asyncio.to_thread(self.file_of, model)
        if found is not None:
            return found
        into = writable(self._cache, self._data / "models")
        return await asyncio.to_thread(pull, card(model), into, sources=self._sources, progress=self._progress)

    async def start(self, model: str) -> ModelRunner:
        """Fetch and start a model unless it runs; returns when it serves."""
        async with self._locks.setdefault(model, asyncio.Lock()):
            runner = self._runners.get(model)
            if runner is None:
                path = await self.fetch(model)
                runner = ModelRunner(
                    self.card(model), path, self._data, threads=self._threads, environment=self._environment
                )
                await runner.start()
                self._runners[model] = runner
            return runner

    async def stop(self, model: str | None = None) -> None:
        """Stop one model, or all of them (the last started first)."""
        if model is None:
            tasks = (*self._starting, *self._leaving.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for name in [model] if model is not None else list(reversed(self._runners)):
            async with self._locks.setdefault(name, asyncio.Lock()):  # who starts it again waits: both have one socket
                runner = self._runners.pop(name, None)
                if runner is not None:
                    await runner.stop()

    def watch(self, db: Database) -> None:
        """Start sleeping models when a worker has a request for them."""
        db.listen(WANTED_CHANNEL, self._wanted)

    def statuses(self) -> list[dict[str, object]]:
        """For people: one entry a running model."""
        return [runner.status() for runner in self._runners.values()]

    def folder(self) -> Path:
        """Where the sockets lie."""
        return run_folder(self._data)

    def _wanted(self, model: str) -> None:
        if model.startswith(UNWANTED):
            model = model.removeprefix(UNWANTED)
            if model in self._runners and model not in self._leaving:
                self._leaving[model] = asyncio.create_task(self._leave(model))
            return
        leaving = self._leaving.pop(model, None)
        if leaving is not None:
            leaving.cancel()
        known = any(one.id == model for one in cards()) or read_made(self._data, model) is not None
        if model in self._runners or not known:
            return
        task = asyncio.create_task(self._start_quietly(model))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _leave(self, model: str) -> None:
        """End a model that nobody routes to any more, once the calls that it has are answered."""
        await asyncio.sleep(LEAVE_AFTER_S)
        del self._leaving[model]
        await self.stop(model)

    async def _start_quietly(self, model: str) -> None:
        try:
            await self.start(model)
        except ShanheError as error:
            log.warning("a wanted engine did not start", model=model, reason=error.message)


def _harmless(environment: Mapping[str, str]) -> dict[str, str]:
    """A child needs no secrets: only what finds Python and its libraries."""
    wanted = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "TMPDIR")
    return {name: environment[name] for name in wanted if name in environment}
