"""What the pool's benches found, as Markdown for people and for bench.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from shanhe.bench import sections
from shanhe.kernel.clock import CITY_TZ


def routing(found: Mapping[str, Any]) -> list[str]:
    """Ways to route, and the kill."""
    lines = [
        "| routing | p50 ms to first token | p95 ms | µ a million tokens | served |",
        "|---|---:|---:|---:|---|",
    ]
    for name, one in found["policies"].items():
        served = ", ".join(f"{engine.removeprefix('node-')} {calls}" for engine, calls in one["served"].items())
        lines.append(
            f"| {name} | {one['p50_ttft_ms']:,.1f} | {one['p95_ttft_ms']:,.1f} | {one['cost_micro_per_mtok']:,} "
            f"| {served} |"
        )
    killed = found["killed"]
    return [
        *lines, "",
        f"Beats both in p95: {_yes(found['beats_in_p95'])}; in cost: {_yes(found['beats_in_cost'])}.", "",
        f"`kill -9` of the busiest node with {killed['calls']} streams under way: "
        f"{killed['failed_before_first_token']} failed before the first token, {killed['broken_inside']} broke off "
        f"inside and were charged for what was delivered, {killed['whole']} came whole; {killed['receipts']} receipts, "
        f"{killed['wrong_charges']} wrong charges, `ledger verify` {_clean(killed)}.",
    ]  # fmt: skip


def cheating(found: Mapping[str, Any]) -> list[str]:
    """What each node did, and what became of it."""
    lines = [
        "| node | state | calls until then | checks failed | earned, then withheld, µ | kept, µ |",
        "|---|---|---:|---|---:|---:|",
    ]
    for one in found["nodes"]:
        failed = ", ".join(f"{kind} {fails} of {checks}" for kind, (checks, fails) in sorted(one["checks"].items()))
        lines.append(
            f"| {one['cheat'] or 'honest'} | {one['state']} | {one['calls']} | {failed} "
            f"| {one['earned_micro']:,} | {one['kept_micro']:,} |"
        )
    alarms = found["false_alarms"]
    blamed = ", ".join(f"{kind} {number}" for kind, number in alarms["blamed"].items())
    return [
        *lines, "",
        f"False alarms: of {alarms['nodes']:,} honest nodes that fail exactly as often as is tolerated, in "
        f"{alarms['checks_each']:,} checks each, blamed by kind of check: {blamed} "
        f"(allowed {alarms['allowed_ppm']:,} in a million). `ledger verify`: {_clean(found)}.",
    ]  # fmt: skip


def write_routing(found: Mapping[str, Any], docs: Path) -> Path:
    """Put the section into bench.md."""
    real = f", and a fourth with {found['real_model']} on llama.cpp" if found["real_model"] else ""
    head = (
        f"`shanhe bench pool`, {datetime.now(CITY_TZ):%Y-%m-%d}. Three node agents with rate-limited engines (20,000, "
        f"6,000 and 1,500 tokens/s of prompt){real}, joined to a running city over their tunnels; the same "
        f"{found['calls']} recorded calls through the gateway for each way to route. Cost is the rulebook's reference "
        "cost of the chips."
    )
    return sections.put(docs, "pool", ["## Routing over nodes", "", head, "", *routing(found)])


def write_cheats(found: Mapping[str, Any], docs: Path) -> Path:
    """Put the section into bench.md."""
    head = (
        f"`shanhe bench cheats`, {datetime.now(CITY_TZ):%Y-%m-%d}. One node after another joins a running city that "
        "has a trusted engine; customers call until the node is quarantined, at most 200 times. The honest node rounds "
        "differently in 3 of 100 answers."
    )
    return sections.put(docs, "cheats", ["## Nodes that cheat", "", head, "", *cheating(found)])


def _yes(held: bool) -> str:
    return "yes" if held else "NO"


def _clean(found: Mapping[str, Any]) -> str:
    return "clean" if found["ledger_clean"] else "NOT CLEAN"
