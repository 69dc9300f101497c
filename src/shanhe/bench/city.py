"""A real city server as a child process: started with `shanhe up` on a free port, driven through the command line.

The bench and the end-to-end tests share it, so that both see exactly what an operator would run.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shanhe.bench.errors import BenchError
from shanhe.bench.model import Endpoint
from shanhe.bench.processes import Child, Interpreter, Program, descendants, free_port

START_WITHIN_S = 120.0
CLI_TIMEOUT_S = 60
POLL_S = 0.2


@dataclass
class City:
    """A running city: where it listens, its data folder and the environment its commands need."""

    data: Path
    port: int
    child: Child
    environment: Mapping[str, str] = field(default_factory=dict)
    program: Program = field(default_factory=Interpreter)

    @property
    def url(self) -> str:
        """Address of the console and the API."""
        return f"http://127.0.0.1:{self.port}"

    def chat(self, key: str) -> Endpoint:
        """Chat completions with a Bearer key."""
        return Endpoint(f"{self.url}/v1/chat/completions", {"Authorization": f"Bearer {key}"})

    def demo(self) -> dict[str, str]:
        """What `up` wrote for a first call: address, key, admin name and password."""
        lines = (self.data / "demo.env").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    def command(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Any:
        """Run `shanhe ARGUMENTS --json` beside the server and return what it printed.

        Raises BenchError with the command's own words when it fails."""
        given = {**self.environment, **(environment or {})}
        done = self.program.run([*arguments, "--json"], self.data, given, CLI_TIMEOUT_S)
        if done.returncode:
            raise BenchError(f"`shanhe {' '.join(arguments)}` failed: {(done.stderr or done.stdout).strip()[-800:]}")
        return json.loads(done.stdout)

    def worker_pids(self) -> list[int]:
        """Process ids of the gateway workers: descendants of `up` whose title, or command line, says so."""
        lines = descendants(self.child.process.pid)
        return [pid for pid, line in lines if line.startswith("shanhe worker ") or " -m shanhe.worker " in line]

    def ready(self) -> bool:
        """Whether the city says that it can serve, and the demo city's keys are written."""
        if self.environment.get("SHANHE_DEMO") != "false" and not (self.data / "demo.env").exists():
            return False
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2) as answer:
                return int(answer.status) == 200
        except (urllib.error.URLError, OSError):
            return False

    def wait_until_ready(self) -> None:
        """Poll /readyz.

        Raises BenchError with the end of the log if the city ended or never became ready."""
        until = time.monotonic() + START_WITHIN_S
        while time.monotonic() < until:
            if self.child.process.poll() is not None:
                raise BenchError(f"The city ended with status {self.child.process.returncode}:\n{self.child.tail(30)}")
            if self.ready():
                return
            time.sleep(POLL_S)
        raise BenchError(f"The city was not ready within {START_WITHIN_S:.0f} s:\n{self.child.tail(30)}")


def launch(data: Path, *, workers: int = 1, with_model: bool = False, port: int | None = None,
           environment: Mapping[str, str] | None = None, program: Program | None = None) -> City:  # fmt: skip
    """Start `shanhe up` and return at once; `wait_until_ready` waits. The data folder is kept between launches."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    chosen = port or free_port()
    settings = {
        "DATA": str(data),
        "PORT": str(chosen),
        "SHANHE_WORKERS": str(workers),
        "SHANHE_WITH_MODEL": "true" if with_model else "false",
        "SHANHE_LOG_LEVEL": "warning",
        **(environment or {}),
    }
    program = program or Interpreter()
    return City(data, chosen, program.start("city", ["up"], data, settings), settings, program)


@contextmanager
def running_city(data: Path, **options: Any) -> Iterator[City]:
    """A city for the length of a block; ended in order afterwards."""
    city = launch(data, **options)
    try:
        city.wait_until_ready()
        yield city
    finally:
        city.child.stop()
