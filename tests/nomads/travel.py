"""A whole city in this process on a clock that the test sets, served to a browser."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import uvicorn

from shanhe.bench.processes import free_port
from shanhe.kernel.clock import FixedClock
from shanhe.settings import Settings

if TYPE_CHECKING:
    from shanhe.app import Services

T = TypeVar("T")
UP_WITHIN_S = 120.0


@dataclass
class Journey:
    """`do` runs something in the city's own services; `clock` moves it through the year."""

    url: str
    clock: FixedClock
    loop: asyncio.AbstractEventLoop
    services: Services

    def do(self, work: Callable[[Services], Awaitable[T]]) -> T:
        async def run() -> T:
            return await work(self.services)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(timeout=60)


@contextlib.contextmanager
def travelling(dsn: str, folder: Path, start: datetime) -> Iterator[Journey]:
    """The city, from its first day on."""
    from shanhe.app import open_services
    from shanhe.web import create_app

    port, clock, ready, stop = free_port(), FixedClock(start), threading.Event(), asyncio.Event()
    settings = Settings(database_url=dsn, data=folder, port=port, with_model=False, demo=True)
    held: dict[str, Any] = {}

    async def live() -> None:
        async with open_services(settings, "gateway", clock) as services:
            config = uvicorn.Config(
                create_app(services), host="127.0.0.1", port=port, log_level="warning", lifespan="off"
            )
            server = uvicorn.Server(config)
            server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
            held.update(loop=asyncio.get_running_loop(), services=services)
            serving = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            ready.set()
            await stop.wait()
            server.should_exit = True
            await serving

    def run() -> None:
        try:
            asyncio.run(live())
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert ready.wait(UP_WITHIN_S)
        assert "services" in held
        yield Journey(f"http://127.0.0.1:{port}", clock, held["loop"], held["services"])
    finally:
        if "loop" in held:
            held["loop"].call_soon_threadsafe(stop.set)
        thread.join(timeout=20)
