"""A disk that fills up under load: callers are told, nothing is charged for what they did not get, and it goes on.

Needs the right to mount a small file system in memory; skipped elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shanhe.gateway.settlement import RETRIES_MAX, RETRY_WAIT_S
from shanhe.kernel.errors import Unavailable
from shanhe.kernel.money import parse_credits
from shanhe.kernel.postgres import EmbeddedPostgres
from stage.fixtures import Stage, Tenant, chat, open_stage

SIZE = "450m"
CALLERS = 6
FULL_S = 12.0
BACK_WITHIN_S = 90.0
PIECE_BYTES = 1024 * 1024
SEGMENTS = 40
CREDITS = "100"
ASKED_AGAIN_S = RETRIES_MAX * RETRY_WAIT_S + 4
"""Until what was unknown has been asked for again, and given back."""


@pytest.fixture
def small() -> Iterator[Path]:
    """A file system of its own, and temporary folders in it; its path is short, for the sockets below it."""
    folder = Path(tempfile.mkdtemp(prefix="small"))
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        folder.rmdir()
        pytest.skip("may not mount a file system here")
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield folder
    finally:
        tempfile.tempdir = before
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("ab") as file:
        while True:
            file.write(b"x" * PIECE_BYTES)
            file.flush()
    return filler


def exhaust_log(stage: Stage) -> None:
    """Make PostgreSQL ask for one segment of its write-ahead log after the other, until there is no room for one."""
    server = EmbeddedPostgres(stage.city.data / "postgres")
    for _ in range(SEGMENTS):
        try:
            server._psql("SELECT pg_switch_wal()")
            server._psql("SELECT pg_logical_emit_message(false, 'x', repeat('y', 100000))")
        except Unavailable:
            return
    raise AssertionError("the server still finds room")


class Callers:
    """They call until told to stop, and count what they are told."""

    def __init__(self, stage: Stage, tenant: Tenant) -> None:
        self.stage, self.tenant = stage, tenant
        self.finished: list[str] = []
        self.told: Counter[str] = Counter()
        self.stopping = False
        self.thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> Callers:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping = True
        self.thread.join()

    async def _all(self) -> None:
        headers = {"authorization": f"Bearer {self.tenant.token}"}
        async with httpx.AsyncClient(base_url=self.stage.url, headers=headers, timeout=60, trust_env=False) as client:
            await asyncio.gather(*(self._one(client) for _ in range(CALLERS)))

    async def _one(self, client: httpx.AsyncClient) -> None:
        while not self.stopping:
            try:
                answer = await client.post("/v1/chat/completions", json=chat("good"))
            except httpx.HTTPError as error:
                self.told[type(error).__name__] += 1
            else:
                if answer.status_code == 200:
                    self.finished.append(answer.headers["x-shanhe-receipt"])
                else:
                    self.told[answer.json()["error"]["code"]] += 1
            await asyncio.sleep(0.1)


def disk_of(stage: Stage) -> tuple[int, str]:
    answer = httpx.get(f"{stage.url}/readyz", timeout=30, trust_env=False)
    return answer.status_code, answer.json()["checks"]["disk"]


@pytest.mark.prove
class TestFullDisk:
    @pytest.mark.parametrize("log_too", [False, True], ids=["tables", "write-ahead log"])
    def test_is_told_costs_nobody_anything_and_passes(self, log_too: bool, small: Path) -> None:
        with open_stage() as stage:
            tenant = stage.tenant("甲公司", credits=CREDITS)
            with Callers(stage, tenant) as load:
                time.sleep(3)
                filler = fill(small)
                if log_too:
                    exhaust_log(stage)
                time.sleep(FULL_S)
                assert disk_of(stage) == (503, "full")
                page = httpx.get(f"{stage.url}/status", timeout=60, trust_env=False)
                assert page.status_code == 200
                assert "shanhe doctor" in page.text
                assert set(load.told) <= {"disk_full", "ledger_unavailable", "identity_unavailable"}, load.told
                assert log_too or load.told["disk_full"], load.told
                before, until = len(load.finished), time.monotonic() + BACK_WITHIN_S
                filler.unlink()
                while len(load.finished) < before + 20:
                    assert time.monotonic() < until, stage.city.child.tail(30)
                    time.sleep(0.2)
            time.sleep(ASKED_AGAIN_S)
            with stage.client(tenant) as client:
                costs = [client.get(f"/api/receipts/{one}").raise_for_status().json() for one in load.finished]
            spent = parse_credits(CREDITS) - stage.balance_micro(tenant)
            assert spent == sum(one["amount_micro"] for one in costs)
            assert stage.verify()["clean"] is True
            assert stage.city.command("log", "status")["state"] == "up"
            left = [path for path in (stage.city.data / "log").rglob(".*") if path.name != ".lock"]
            assert left == []
        assert shutil.disk_usage(small).used < shutil.disk_usage(small).total
