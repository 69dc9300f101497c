"""The machines of the pool's benches: rate-limited synthetic engines with agents that join a real city."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx

from shanhe.bench.city import City
from shanhe.bench.errors import BenchError
from shanhe.bench.processes import Child, free_port, running, spawn
from shanhe.kernel.clock import CITY_TZ
from shanhe.rulebook.api import Rulebook

MODEL: Final = "bench-chat"
NODES: Final = (
    # name, chip class, prefill and decode tokens/s, slots
    ("gpu", "datacentre_gpu", 20_000, 400, 8),
    ("card", "consumer_gpu", 6_000, 150, 4),
    ("cpu", "cpu", 1_500, 40, 2),
)
REAL: Final = "real"
JOIN_LIMIT_S: Final = 180.0
POLL_S: Final = 1.0
SETTLE_S: Final = 5.0
"""Until every process has measured them and read their speeds."""
REQUEST_LIMIT_S: Final = 120.0
STARTING_CREDITS: Final = "100000"


@dataclass
class Fleet:
    """A city's payer and the agents that joined it."""

    url: str
    folder: Path
    org: str
    key: str
    agents: dict[str, Child]

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries the key."""
        return {"authorization": f"Bearer {self.key}"}

    def get(self, path: str) -> Any:
        """What a path of the city answers."""
        answer = httpx.get(f"{self.url}{path}", headers=self.headers, timeout=REQUEST_LIMIT_S, trust_env=False)
        if answer.status_code != 200:
            raise BenchError(f"{path}: {answer.status_code} {answer.text[:300]}")
        return answer.json()

    def join(self, name: str, options: Sequence[str], owner: str = "") -> None:
        """Start the agent of one machine; `joined` waits for it."""
        body = {"name": name, "owner": owner or self.org, "new_models": True}
        answer = httpx.post(
            f"{self.url}/api/pool/tokens", json=body, headers=self.headers, timeout=REQUEST_LIMIT_S, trust_env=False
        )
        if answer.status_code != 201:
            raise BenchError(f"No token for a node: {answer.text[:300]}")
        command = [sys.executable, "-m", "shanhe", "node", "join", self.url, "--token", answer.json()["token"]]
        state = ["--state", str(self.folder / f"node-{name}"), "--json"]
        self.agents[name] = spawn(f"agent-{name}", [*command, *options, *state], self.folder)

    def joined(self, names: Sequence[str] = ()) -> None:
        """Until the nodes serve (all of them, where none are named); BenchError when one does not."""
        wanted = set(names or self.agents)
        until = time.monotonic() + JOIN_LIMIT_S
        while time.monotonic() < until:
            nodes = self.get("/api/pool/nodes")
            if wanted <= {node["name"] for node in nodes if node["state"] == "active" and node["connected"]}:
                time.sleep(SETTLE_S)
                return
            for name in wanted:
                if self.agents[name].process.poll() is not None:
                    raise BenchError(f"{name} ended:\n{self.agents[name].tail()}")
            time.sleep(POLL_S)
        raise BenchError(f"The nodes did not join within {JOIN_LIMIT_S:.0f} s.")


def peopled(city: City, folder: Path, agents: dict[str, Child]) -> Fleet:
    """An organisation with credits and a key that may do what an operator may."""
    org = str(city.command("orgs", "create", "bench")["id"])
    city.command("credits", "top-up", org, STARTING_CREDITS)
    allowed = [word for name in ("engines", "receipts", "ledger") for word in ("--permission", name)]
    key = str(city.command("keys", "create", "--org", org, "--name", "bench", *allowed)["token"])
    return Fleet(city.url, folder, org, key, agents)


@contextlib.contextmanager
def ending(agents: dict[str, Child]) -> Iterator[None]:
    """Whatever agents there are when the block ends are stopped."""
    try:
        yield
    finally:
        for agent in agents.values():
            agent.stop()


@contextlib.contextmanager
def engine(folder: Path, name: str, *options: str) -> Iterator[str]:
    """One synthetic engine; its address."""
    port = free_port()
    command = [sys.executable, "-m", "shanhe.pool.synthetic", "--port", str(port), *options]
    with running([spawn(f"engine-{name}", command, folder)]):
        yield f"http://127.0.0.1:{port}/v1"


@contextlib.contextmanager
def engines(folder: Path) -> Iterator[dict[str, str]]:
    """One rate-limited engine for each node; their addresses."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                engine(folder, name, "--prefill-tps", str(prefill), "--decode-tps", str(decode), "--slots", str(slots))
            )
            for name, _, prefill, decode, slots in NODES
        }


def reference_rates() -> dict[str, dict[str, int]]:
    """µ per million tokens by engine and bucket, as the rulebook has it today."""
    book, today = Rulebook.load(), datetime.now(CITY_TZ).date()
    found = {}
    for name, chip in [*((name, chip) for name, chip, *_ in NODES), (REAL, "cpu")]:
        facts = {"chip_class": chip, "model_class": "small"}
        found[f"node-{name}"] = {
            bucket: int(book.evaluate("P11_reference_cost", {**facts, "bucket": bucket}, on=today).outputs["cost"])
            for bucket in ("input", "output")
        }
    return found
