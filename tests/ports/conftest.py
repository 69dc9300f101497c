"""What every port is tried on: this machine, and a Ray cluster on it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from shanhe.bench.processes import free_port

START_LIMIT_S = 240.0
RAY_TOKEN = "a-token-for-tests-" + "0" * 32


@pytest.fixture(scope="session")
def ray_dashboard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Ray cluster of this machine alone; the address of its dashboard."""
    pytest.importorskip("ray", reason="needs the extra `ray`")
    folder, port = tmp_path_factory.mktemp("ray"), free_port()
    command = [sys.executable, str(Path(__file__).parent / "cluster.py"), str(port)]
    url = f"http://127.0.0.1:{port}"
    with (folder / "ray.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": RAY_TOKEN},
        )  # fmt: skip
    try:
        until = time.monotonic() + START_LIMIT_S
        while not answers(url):
            assert process.poll() is None, (folder / "ray.log").read_text()
            assert time.monotonic() < until, "Ray did not start"
            time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    try:
        headers = {"authorization": f"Bearer {RAY_TOKEN}"}
        return httpx.get(f"{url}/api/jobs/", timeout=5, trust_env=False, headers=headers).status_code == 200
    except httpx.HTTPError:
        return False
