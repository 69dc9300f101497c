"""What a full disk does to the city around the ledger: PostgreSQL is tried again for good, probes and pages say so."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shanhe import supervisor
from shanhe.kernel.errors import Unavailable
from shanhe.settings import Settings
from shanhe.supervisor import Role, Supervisor
from shanhe.web import readiness


class Fallen:
    """A server that ended and cannot start again before its disk has room."""

    def __init__(self, folder: Path, refusals: list[Exception]) -> None:
        self.data_dir, self.is_running, self._refusals = folder, False, refusals
        self.up = asyncio.Event()

    def start(self) -> None:
        if self._refusals:
            raise self._refusals.pop(0)
        self.is_running = True
        self.up.set()


class TestFullDisk:
    async def test_does_not_end_the_keeper_of_postgres(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(supervisor, "WATCH_S", 0.001)
        monkeypatch.setattr(supervisor, "AGAIN_MAX_S", 0.002)
        refusals: list[Exception] = [OSError(errno.ENOSPC, "No space left"), Unavailable("postgres_failed", "x")]
        server: Any = Fallen(tmp_path, refusals)
        reporter: Any = None
        keeper = asyncio.create_task(Supervisor(Settings(data=tmp_path), Role.ALL, reporter)._keep(server))
        async with asyncio.timeout(5):
            await server.up.wait()
        assert refusals == []
        keeper.cancel()

    @pytest.mark.parametrize(("refused", "free", "disk"), [(True, "up", "full"), (False, "low", "low")])
    async def test_shows_in_the_probe(
        self, refused: bool, free: str, disk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def answered(*_: Any) -> Any:
            return "up"

        monkeypatch.setattr("shanhe.web.room", lambda folder: free)
        services: Any = SimpleNamespace(
            db=SimpleNamespace(fetchval=answered), log=SimpleNamespace(state=answered),
            ledger=SimpleNamespace(refused_for_room=lambda: refused),
            settings=Settings(data=tmp_path, with_model=False),
        )  # fmt: skip
        assert await readiness(services) == {"database": "up", "disk": disk, "engine": "off", "log": "up"}
