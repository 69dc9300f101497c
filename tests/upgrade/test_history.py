"""Cities that older programs out of this repository's own history have run go on under today's."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from shanhe.bench.processes import free_port
from shanhe.cli.common import city
from shanhe.kernel.postgres import EmbeddedPostgres
from shanhe.log.api import verify
from stage.fixtures import start_upstream

ROOT = Path(__file__).parents[2]
QUARTERS = (1, 2, 3)
TRIES = 8
"""How many commits later may be taken where one of them does not start."""
CALLS = 10
PAGES = 120
START_LIMIT_S = 180.0
SETTLED_S = 5.0
READY = "Ctrl-C"

DRAFTED = (
    "credits/migrations/0060_credits.sql", "ledger/migrations/0011_holds.sql", "ledger/migrations/0012_postings.sql",
    "nomads/migrations/0873_scans_to_forget.sql", "payments/migrations/0550_came_back.sql",
    "payments/migrations/0811_passed.sql", "programmes/migrations/0875_awards_to_move.sql",
    "rulebook/migrations/0600_texts.sql", "workflows/migrations/0850_budget.sql",
)  # fmt: skip
"""Migrations whose text changed between their first commit and the day that somebody could have it."""

pytestmark = pytest.mark.prove


def git(*words: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True).stdout


def commits(quarter: int) -> list[str]:
    """Some that follow each other, so far through the history."""
    try:
        every = git("rev-list", "--first-parent", "--reverse", "HEAD").decode().split()
    except (OSError, subprocess.CalledProcessError):
        every = []
    if len(every) < 100:
        pytest.skip("the history is not here")
    first = len(every) * quarter // 4
    final = texts("HEAD")
    return list(islice((one for one in every[first:] if texts(one) <= final), TRIES))


def texts(commit: str) -> set[bytes]:
    """The drafted migrations that a commit has, each with the hash of its text."""
    paths = [f"src/shanhe/{name}" for name in DRAFTED]
    return set(git("ls-tree", commit, "--", *paths).splitlines())


def unpack(commit: str, folder: Path) -> None:
    folder.mkdir()
    subprocess.run(["tar", "-x", "-C", str(folder)], input=git("archive", commit, "src"), check=True)


class Old:
    """One commit's program and the folder of its city."""

    def __init__(self, folder: Path, source: Path) -> None:
        self.data = folder / "data"
        self._source = source
        self._log = folder / "up.log"
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "shanhe", *words], env=self._environment(), cwd=self._source, capture_output=True,
            text=True, check=False, timeout=START_LIMIT_S,
        )  # fmt: skip

    @contextlib.contextmanager
    def up(self) -> Iterator[bool]:
        """Whether it has started; stopped in order afterwards."""
        with self._log.open("w") as said:
            running = subprocess.Popen(
                [sys.executable, "-m", "shanhe", "up", "--no-model", "--port", str(self._port)], stdout=said,
                stderr=said, env=self._environment(), cwd=self._source,
            )  # fmt: skip
        try:
            end = time.monotonic() + START_LIMIT_S
            while READY not in self._log.read_text() and running.poll() is None and time.monotonic() < end:
                time.sleep(0.2)
            yield running.poll() is None
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGTERM)
            running.wait(START_LIMIT_S)

    def lives(self, upstream: str) -> bool:
        """Whether it started; then it has found an engine and served calls."""
        with self.up() as started:
            if started:
                added = self.run("engines", "add", "up", "--url", upstream, "--model", "good=good", "--local")
                assert added.returncode == 0, added.stderr
                time.sleep(SETTLED_S)
                call(self.url, self.demo()["SHANHE_API_KEY"])
                time.sleep(SETTLED_S)
        return started

    def demo(self) -> dict[str, str]:
        lines = (self.data / "demo.env").read_text(encoding="utf-8").splitlines()
        return {name: value.strip("'\"") for name, _, value in (line.partition("=") for line in lines)}

    def _environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SHANHE_", "DATABASE_"))}
        return clean | {"PYTHONPATH": str(self._source / "src"), "DATA": str(self.data), "SHANHE_FSYNC": "false"}


def call(url: str, key: str) -> None:
    with httpx.Client(headers={"authorization": f"Bearer {key}"}) as client:
        for number in range(CALLS):
            body = {"model": "good", "messages": [{"role": "user", "content": "hello"}], "stream": number % 2 == 0}
            client.post(f"{url}/v1/chat/completions", json=body).raise_for_status()


async def books(data: Path) -> dict[str, Any]:
    """Balances by account and every posting, as they lie in the database."""
    postgres = EmbeddedPostgres(data / "postgres")
    connection = await asyncpg.connect(postgres.start())
    try:
        accounts = await connection.fetch("SELECT id::text, balance FROM ledger.account")
        postings = await connection.fetch("SELECT id FROM ledger.posting")
        return {"balances": dict(map(tuple, accounts)), "postings": [row[0] for row in postings]}
    finally:
        await connection.close()
        postgres.stop()


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[str]:
    child, port = start_upstream(tmp_path)
    yield f"http://127.0.0.1:{port}/v1"
    child.stop()


@pytest.fixture(params=QUARTERS)
async def lived(request: pytest.FixtureRequest, tmp_path: Path, upstream: str) -> tuple[Old, dict[str, Any]]:
    """A city that an older program has founded and served calls in, and its books as that program read them."""
    for commit in commits(request.param):
        source = tmp_path / commit
        unpack(commit, source)
        old = Old(tmp_path, source)
        if old.lives(upstream):
            return old, await books(old.data)
    pytest.skip("no program of that time starts here")


def crawl(url: str, demo: dict[str, str]) -> dict[str, int]:
    """The status of what an operator's pages lead to."""
    found: dict[str, int] = {}
    with httpx.Client(base_url=url, follow_redirects=True, timeout=60) as client:
        token = re.search(r'name="csrf" value="([^"]+)"', client.get("/sign-in").text)
        assert token is not None
        fields = {"csrf": token[1], "login": demo["SHANHE_ADMIN_USER"], "password": demo["SHANHE_ADMIN_PASSWORD"]}
        client.post("/sign-in", data=fields, headers={"origin": url}).raise_for_status()
        waiting = ["/"]
        while waiting and len(found) < PAGES:
            path = waiting.pop(0)
            if path in found:
                continue
            answer = client.get(path)
            found[path] = answer.status_code
            waiting += [one for one in re.findall(r'href="(/[^"#?]*)"', answer.text) if not one.startswith("/static")]
    return found


class TestHistory:
    async def test_is_taken_over_with_every_balance(self, lived: tuple[Old, dict[str, Any]]) -> None:
        old, seen = lived
        assert len(seen["postings"]) > CALLS
        async with city(old.data) as services:  # migrated on the way
            accounts = await services.db.fetch("SELECT id::text, balance FROM ledger.account")
            now = dict(map(tuple, accounts))
            assert {one: now.get(one) for one in seen["balances"]} == seen["balances"]
            report = await services.ledger.verify()
            assert report.clean, report.findings
            await services.log.seal()
            keys = services.log.verifiers()
            for posting in seen["postings"]:
                verify(str(await services.log.prove(posting)).encode(), keys)
            await services.log.close()
        today = Old(old.data.parent, ROOT)
        with today.up() as started:
            assert started
            call(today.url, today.demo()["SHANHE_API_KEY"])
            assert {path: status for path, status in crawl(today.url, today.demo()).items() if status >= 400} == {}
