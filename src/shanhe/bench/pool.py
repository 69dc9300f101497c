"""Routing over nodes in one run: least expected first token against taking turns and fewest connections.

Three node agents join a real city over their tunnels, each with a rate-limited synthetic engine behind it, and a fourth
with a real llama.cpp model where its file is at hand; the recorded workload is replayed through the gateway once for
each way to route. Cost is what the rulebook's reference cost of each node's chip says of the tokens it served, read
from the receipts. In the end the busiest node is killed under load.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any, Final

from shanhe.bench.city import running_city
from shanhe.bench.pool_calls import replayed
from shanhe.bench.pool_kill import killed_under_load
from shanhe.bench.pool_nodes import MODEL, NODES, REAL, Fleet, ending, engines, peopled, reference_rates
from shanhe.bench.processes import Child, free_port
from shanhe.compute.api import card, default_cache

POLICIES: Final = ("round_robin", "least_connections", "expected")
REAL_MODEL: Final = "qwen2.5-coder-0.5b-instruct"
REAL_EVERY_MS: Final = 5_000
"""How often the mix has a call to the real model."""
REAL_PROMPT_TOKENS: Final = 8
REAL_OUTPUT_TOKENS: Final = 4


def main(seconds: float = 25.0, real: str = "") -> dict[str, Any]:
    """Run all ways to route, then the kill; figures by policy, and whether the last beats the others.

    `real`: a model of ours for a fourth node; `none` leaves it out, empty takes the default where its file is at hand.
    """
    model = real_model(real)
    trace = mixed(seconds, model)
    port, agents = free_port(), dict[str, Child]()
    policies: dict[str, Any] = {}
    rates = reference_rates()
    with tempfile.TemporaryDirectory(prefix="shanhe-pool-") as name, engines(Path(name)) as urls, ending(agents):
        folder, fleet = Path(name), None
        for policy in POLICIES:  # the same city each time, started anew; its nodes come back by themselves
            with running_city(folder / "city", port=port, environment={"SHANHE_ROUTING": policy}) as city:
                if fleet is None:
                    fleet = peopled(city, folder, agents)
                    _start(fleet, urls, model)
                fleet.joined()
                policies[policy] = asyncio.run(replayed(fleet, trace, model, rates))
                if policy == POLICIES[-1]:
                    killed = killed_under_load(city, fleet)
    best = policies["expected"]
    return {
        "calls": len(trace),
        "real_model": model,
        "policies": policies,
        "beats_in_p95": all(best["p95_ttft_ms"] < policies[name]["p95_ttft_ms"] for name in POLICIES[:2]),
        "beats_in_cost": all(best["cost_micro"] < policies[name]["cost_micro"] for name in POLICIES[:2]),
        "killed": killed,
    }


def recorded() -> list[dict[str, Any]]:
    """The workload: when each call came, how long its prompt and its answer were."""
    found: list[dict[str, Any]] = json.loads(
        resources.files("shanhe.bench").joinpath("pool_trace.json").read_text(encoding="utf-8")
    )
    return found


def mixed(seconds: float, real: str) -> list[dict[str, Any]]:
    """The first seconds of the workload, and among it short calls to the real model where there is one."""
    trace = [call for call in recorded() if call["at_ms"] <= seconds * 1000]
    asked = {"prompt_tokens": REAL_PROMPT_TOKENS, "output_tokens": REAL_OUTPUT_TOKENS, "real": True}
    if real:
        trace += [{"at_ms": at_ms, **asked} for at_ms in range(0, int(seconds * 1000), REAL_EVERY_MS)]
    return sorted(trace, key=lambda call: int(call["at_ms"]))


def real_model(word: str) -> str:
    """The model of the real node; empty where there is none."""
    if word:
        return "" if word == "none" else word
    return REAL_MODEL if (default_cache() / card(REAL_MODEL).file).exists() else ""


def _start(fleet: Fleet, urls: dict[str, str], real: str) -> None:
    for name, chip, _, _, slots in NODES:
        fleet.join(name, ["--model", f"{MODEL}={urls[name]}", "--slots", str(slots), "--chip-class", chip])
    if real:
        fleet.join(REAL, ["--local", real, "--slots", "2", "--threads", "1"])
