"""Routing over nodes in one run: least expected first token against taking turns and fewest connections.

Three node agents join a real city over their tunnels, each with a rate-limited synthetic engine behind it (`--real`
adds a fourth with a llama.cpp model); the recorded workload is replayed through the gateway once for each way to
route. Cost is what the rulebook's reference cost of each node's chip says of the tokens it served, read from the
receipts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

import httpx

from shanhe.bench.city import City, running_city
from shanhe.bench.errors import BenchError
from shanhe.bench.processes import Child, free_port, running, spawn
from shanhe.kernel.clock import CITY_TZ
from shanhe.rulebook.api import Rulebook

POLICIES: Final = ("round_robin", "least_connections", "expected")
MODEL: Final = "bench-chat"
NODES: Final = (
    # name, chip class, prefill and decode tokens/s, slots
    ("gpu", "datacentre_gpu", 20_000, 400, 8),
    ("card", "consumer_gpu", 6_000, 150, 4),
    ("cpu", "cpu", 1_500, 40, 2),
)
JOIN_LIMIT_S: Final = 180.0
POLL_S: Final = 1.0
SETTLE_S: Final = 5.0
"""Until every process has measured them and read their speeds."""
CALL_LIMIT_S: Final = 120.0
WORD: Final = "词元"
TOKEN_BYTES: Final = 4
MILLION: Final = 1_000_000


def main(seconds: float = 20.0, real: str = "") -> dict[str, Any]:
    """Run all ways to route; figures by policy, and whether the last beats the others."""
    trace = [call for call in recorded() if call["at_ms"] <= seconds * 1000]
    port, agents = free_port(), list[Child]()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="shanhe-pool-") as name, engines(Path(name)) as urls, running(agents):
        folder, key = Path(name), ""
        for policy in POLICIES:  # the same city each time, started anew; its nodes come back by themselves
            with running_city(folder / "city", port=port, environment={"SHANHE_ROUTING": policy}) as city:
                key = key or _peopled(city, folder, urls, agents, real)
                _joined(city.url, key, agents)
                found[policy] = asyncio.run(_replayed(city.url, key, trace))
    best = found["expected"]
    return {
        "calls": len(trace),
        "policies": found,
        "beats_in_p95": all(best["p95_ttft_ms"] < found[name]["p95_ttft_ms"] for name in POLICIES[:2]),
        "beats_in_cost": all(best["cost_micro"] < found[name]["cost_micro"] for name in POLICIES[:2]),
    }


def recorded() -> list[dict[str, Any]]:
    """The workload: when each call came, how long its prompt and its answer were."""
    found: list[dict[str, Any]] = json.loads(
        resources.files("shanhe.bench").joinpath("pool_trace.json").read_text(encoding="utf-8")
    )
    return found


@contextlib.contextmanager
def engines(folder: Path) -> Iterator[dict[str, str]]:
    """One rate-limited engine for each node; their addresses."""
    children: list[Child] = []
    urls = {}
    with running(children):
        for name, _, prefill, decode, slots in NODES:
            port = free_port()
            command = [sys.executable, "-m", "shanhe.pool.synthetic", "--port", str(port)]
            command += ["--prefill-tps", str(prefill), "--decode-tps", str(decode), "--slots", str(slots)]
            children.append(spawn(f"engine-{name}", command, folder))
            urls[name] = f"http://127.0.0.1:{port}/v1"
        yield urls


def _peopled(city: City, folder: Path, urls: dict[str, str], agents: list[Child], real: str) -> str:
    """An organisation with credits and a key, and its machines."""
    org = city.command("orgs", "create", "bench")["id"]
    city.command("credits", "top-up", org, "100000")
    scope = ("--permission", "engines", "--permission", "receipts")
    key = str(city.command("keys", "create", "--org", org, "--name", "bench", *scope)["token"])
    for name, chip, _, _, slots in NODES:
        options = ["--model", f"{MODEL}={urls[name]}", "--slots", str(slots), "--chip-class", chip]
        agents.append(_agent(city.url, key, folder, org, name, options))
    if real:
        agents.append(_agent(city.url, key, folder, org, "real", ["--local", real, "--slots", "2"]))
    return key


def _agent(url: str, key: str, folder: Path, org: str, name: str, options: list[str]) -> Child:
    body = {"name": name, "owner": org, "new_models": True}
    answer = httpx.post(f"{url}/api/pool/tokens", json=body, headers=bearer(key), timeout=CALL_LIMIT_S)
    if answer.status_code != 201:
        raise BenchError(f"No token for a node: {answer.text[:300]}")
    command = [sys.executable, "-m", "shanhe", "node", "join", url, "--token", answer.json()["token"], *options]
    return spawn(f"agent-{name}", [*command, "--state", str(folder / f"node-{name}"), "--json"], folder)


def bearer(key: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"authorization": f"Bearer {key}"}


def _joined(url: str, key: str, agents: list[Child]) -> None:
    """Until every agent's node serves."""
    until = time.monotonic() + JOIN_LIMIT_S
    while time.monotonic() < until:
        nodes = httpx.get(f"{url}/api/pool/nodes", headers=bearer(key), timeout=CALL_LIMIT_S).json()
        if sum(node["state"] == "active" and node["connected"] for node in nodes) == len(agents):
            time.sleep(SETTLE_S)
            return
        for agent in agents:
            if agent.process.poll() is not None:
                raise BenchError(f"{agent.name} ended:\n{agent.tail()}")
        time.sleep(POLL_S)
    raise BenchError(f"The nodes did not join within {JOIN_LIMIT_S:.0f} s:\n{agents[0].tail()}")


async def _replayed(url: str, key: str, trace: list[dict[str, Any]]) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    async with httpx.AsyncClient(base_url=url, headers=bearer(key), timeout=CALL_LIMIT_S, limits=limits) as client:
        began = time.perf_counter()
        done = await asyncio.gather(*(_call(client, began, call) for call in trace))
        receipts = [(await client.get(f"/api/receipts/{receipt}")).json() for _, receipt in done]
    waits = sorted(wait_ms for wait_ms, _ in done)
    served: dict[str, int] = {}
    for receipt in receipts:
        served[receipt["evidence"]["engine"]] = served.get(receipt["evidence"]["engine"], 0) + 1
    tokens = sum(sum(receipt["evidence"]["buckets"].values()) for receipt in receipts)
    rates = reference_rates()
    cost = sum(_cost(receipt["evidence"], rates) for receipt in receipts)
    return {
        "p50_ttft_ms": round(statistics.median(waits), 1),
        "p95_ttft_ms": round(waits[min(len(waits) - 1, int(len(waits) * 0.95))], 1),
        "cost_micro": cost,
        "cost_micro_per_mtok": cost * MILLION // tokens,
        "served": dict(sorted(served.items())),
    }


async def _call(client: httpx.AsyncClient, began: float, call: dict[str, Any]) -> tuple[float, str]:
    """One call at its time: ms to the first bytes of the answer, and its receipt."""
    await asyncio.sleep(max(0.0, call["at_ms"] / 1000 - (time.perf_counter() - began)))
    text = f"{call['at_ms']} " + WORD[0] * (call["prompt_tokens"] * TOKEN_BYTES // len(WORD[0].encode()))
    body = {
        "model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": call["output_tokens"],
        "stream": True,
    }  # fmt: skip
    sent = time.perf_counter()
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        if answer.status_code != 200:
            raise BenchError(f"A call failed: {answer.status_code} {(await answer.aread()).decode()[:300]}")
        first_ms = 0.0
        async for _ in answer.aiter_bytes():
            first_ms = first_ms or (time.perf_counter() - sent) * 1000
        return first_ms, answer.headers["x-shanhe-receipt"]


def _cost(evidence: dict[str, Any], rates: dict[str, dict[str, int]]) -> int:
    """Reference cost of a call on the chip that served it, µ."""
    own = rates[evidence["engine"]]
    return int(sum(evidence["buckets"][bucket] * rate for bucket, rate in own.items()) // MILLION)


def reference_rates() -> dict[str, dict[str, int]]:
    """µ per million tokens by engine and bucket, as the rulebook has it today."""
    book, today = Rulebook.load(), datetime.now(CITY_TZ).date()
    found = {}
    for name, chip in [*((name, chip) for name, chip, *_ in NODES), ("real", "cpu")]:
        facts = {"chip_class": chip, "model_class": "small"}
        found[f"node-{name}"] = {
            bucket: int(book.evaluate("P11_reference_cost", {**facts, "bucket": bucket}, on=today).outputs["cost"])
            for bucket in ("input", "output")
        }
    return found
