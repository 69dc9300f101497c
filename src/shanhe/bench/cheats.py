"""Nodes that cheat, one after another in a real city: how many calls it takes to catch each, and what it is paid.

Beside them an honest node whose rounding differs now and then. Customers' calls are a mix of short and hard questions,
greedy and not; the city has an engine of its own that it trusts, dearer than any node, so that calls go to nodes.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np

from shanhe.bench.city import City, running_city
from shanhe.bench.errors import BenchError
from shanhe.bench.pool_calls import client_of
from shanhe.bench.pool_nodes import MODEL, REQUEST_LIMIT_S, Fleet, ending, engine, peopled
from shanhe.bench.processes import Child
from shanhe.kernel.clock import CITY_TZ
from shanhe.pool.api import AuditTerms, Check, terms_of
from shanhe.rulebook.api import Rulebook

KINDS: Final = ("inflate", "smaller", "replay", "refuse", "")
"""How the nodes cheat; the last one does not."""
CALLS_MAX: Final = 200
AT_ONCE: Final = 4
OUTPUT_TOKENS: Final = 24
DRIFT_BPS: Final = 300
"""Share of the honest node's answers that part from the trusted engine's."""
SETTLE_S: Final = 3.0
"""Until checks that wait are made and income of calls in flight is withheld."""
DEAR: Final = {"input": 400_000, "output": 900_000}
HONEST_NODES: Final = 10_000
"""Simulated lives behind the false-alarm rate, each of one epoch of checks, at the very edge of what is tolerated."""
BPS: Final = 10_000
SEED: Final = 20_261_126
AUDIT_RULE: Final = "P10_node_audit"
HARD: Final = "请逐步推算并说明每一步的依据，最后把结论翻译成英文：" + "水库在汛期要兼顾上下游的安全与发电。" * 5


def main() -> dict[str, Any]:
    """Every kind in turn; figures by node, and whether the books agree in the end."""
    agents = dict[str, Child]()
    with tempfile.TemporaryDirectory(prefix="shanhe-cheats-") as name, ending(agents):
        folder = Path(name)
        with engine(folder, "trusted", "--slots", "64") as trusted, running_city(folder / "city") as city:
            fleet = peopled(city, folder, agents)
            _trust(fleet, trusted)
            nodes = [_tried(city, fleet, kind) for kind in KINDS]
            clean = bool(city.command("ledger", "verify")["clean"])
    caught = [one for one in nodes if one["cheat"]]
    return {
        "nodes": nodes,
        "all_caught": all(one["state"] == "quarantined" and one["calls"] <= CALLS_MAX for one in caught),
        "paid_for_cheating_micro": sum(one["kept_micro"] for one in caught),
        "honest_blamed": sum(one["state"] == "quarantined" for one in nodes if not one["cheat"]),
        "ledger_clean": clean,
        "false_alarms": false_alarms(),
    }


def false_alarms(nodes: int = HONEST_NODES) -> dict[str, Any]:
    """Of so many honest nodes that fail as often as is tolerated, how many are blamed within an epoch, by check."""
    book, today = Rulebook.load(), datetime.now(CITY_TZ).date()
    terms = terms_of(lambda name: book.parameter(AUDIT_RULE, name, today))
    coins = np.random.default_rng(SEED)
    blamed = {check.value: _blamed(terms, check, nodes, coins) for check in Check}
    return {"nodes": nodes, "checks_each": terms.epoch_checks, "allowed_ppm": terms.alarm_ppm, "blamed": blamed}


def _blamed(terms: AuditTerms, check: Check, nodes: int, coins: np.random.Generator) -> int:
    """The test of `Suspicion`, for many nodes at once."""
    honest, cheat = (bps / BPS for bps in (terms.tolerances[check].honest_bps, terms.tolerances[check].cheat_bps))
    score, blamed = np.zeros(nodes), np.zeros(nodes, dtype=bool)
    for _ in range(terms.epoch_checks):
        failed = coins.random(nodes) < honest
        score = (score + 1 / terms.epoch_checks) * np.where(failed, cheat / honest, (1 - cheat) / (1 - honest))
        blamed |= score >= terms.threshold
    return int(blamed.sum())


def _trust(fleet: Fleet, url: str) -> None:
    body = {
        "name": "trusted", "url": url, "models": {MODEL: MODEL}, "cost": DEAR, "local": True, "price_class": "small",
        "features": ["tools", "tokenize"],
    }  # fmt: skip
    answer = httpx.post(
        f"{fleet.url}/api/compute/engines", json=body, headers=fleet.headers, timeout=REQUEST_LIMIT_S, trust_env=False
    )
    if answer.status_code >= 300:
        raise BenchError(f"The trusted engine was refused: {answer.text[:300]}")


def _tried(city: City, fleet: Fleet, kind: str) -> dict[str, Any]:
    """One node's life: joined, called until it is caught or the calls are used up, then gone."""
    name = f"node-{kind or 'honest'}"
    owner = str(city.command("orgs", "create", f"owner of {name}")["id"])
    options = ("--cheat", kind) if kind else ("--drift-bps", str(DRIFT_BPS))
    with engine(fleet.folder, name, *options) as url:
        fleet.join(name, ["--model", f"{MODEL}={url}", "--slots", "8", "--chip-class", "consumer_gpu"], owner)
        fleet.joined([name])
        made = asyncio.run(_called(fleet, name))
        time.sleep(SETTLE_S)
        page = fleet.get(f"/api/pool/nodes/{name}")
        earned = sum(day["amount_micro"] for day in fleet.get(f"/api/pool/nodes/{name}/earnings")["days"])
        accounts = city.command("ledger", "accounts", "--owner", owner, "--kind", "income")
        fleet.agents[name].stop()
    caught = [event for event in page["events"] if event["event"] == "quarantined"]
    return {
        "cheat": kind,
        "state": page["state"],
        "cause": page["cause"],
        "calls": caught[0]["detail"]["calls"] if caught else made,
        "checks": {check: [one["checks"], one["failures"]] for check, one in page["checks"].items()},
        "earned_micro": earned,
        "kept_micro": sum(account["balance"] for account in accounts),
    }


async def _called(fleet: Fleet, name: str) -> int:
    """Call until the node is quarantined or has had its calls; how many were made."""
    made = 0
    async with client_of(fleet) as client:
        while made < CALLS_MAX:
            answers = await asyncio.gather(*(
                client.post("/v1/chat/completions", json={
                    "model": MODEL, "max_tokens": OUTPUT_TOKENS, "temperature": 0 if at % 4 < 2 else 0.7,
                    "messages": [{"role": "user", "content": f"{HARD if at % 2 else '问题'} {name} {at}"}],
                })
                for at in range(made, made + AT_ONCE)
            ))  # fmt: skip
            failed = [answer.text[:300] for answer in answers if answer.status_code != 200]
            if failed:
                raise BenchError(f"A call failed: {failed[0]}")
            made += AT_ONCE
            if (await client.get(f"/api/pool/nodes/{name}")).json()["state"] == "quarantined":
                break
    return made
