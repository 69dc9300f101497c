"""What the pool's benches found, as Markdown for people and for bench.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from shanhe.bench import sections
from shanhe.kernel.clock import CITY_TZ


def routing(found: Mapping[str, Any], *, zh: bool = False) -> list[str]:
    """Ways to route, and the kill."""
    lines = [
        "| 路由方式 | 首词元 p50 毫秒 | p95 毫秒 | 每百万词元 µ | 各节点处理的调用 |"
        if zh
        else "| routing | p50 ms to first token | p95 ms | µ a million tokens | served |",
        "|---|---:|---:|---:|---|",
    ]
    for name, one in found["policies"].items():
        served = ", ".join(f"{engine.removeprefix('node-')} {calls}" for engine, calls in one["served"].items())
        lines.append(
            f"| {name} | {one['p50_ttft_ms']:,.1f} | {one['p95_ttft_ms']:,.1f} | {one['cost_micro_per_mtok']:,} "
            f"| {served} |"
        )
    killed, p95, cost = found["killed"], found["beats_in_p95"], found["beats_in_cost"]
    if zh:
        return [
            *lines, "",
            f"p95 优于另外两种：{_yes(p95, zh=zh)}；成本优于另外两种：{_yes(cost, zh=zh)}。", "",
            f"对最忙的节点 `kill -9`，当时有 {killed['calls']} 个流：{killed['failed_before_first_token']} 个在首个"
            f"词元之前失败，{killed['broken_inside']} 个中途断开并按已送达部分收费，{killed['whole']} 个完整送达；"
            f"{killed['receipts']} 张凭据，{killed['wrong_charges']} 笔错账，`ledger verify` {_clean(killed, zh=zh)}。",
        ]  # fmt: skip
    return [
        *lines, "",
        f"Beats both in p95: {_yes(p95)}; in cost: {_yes(cost)}.", "",
        f"`kill -9` of the busiest node with {killed['calls']} streams under way: "
        f"{killed['failed_before_first_token']} failed before the first token, {killed['broken_inside']} broke off "
        f"inside and were charged for what was delivered, {killed['whole']} came whole; {killed['receipts']} receipts, "
        f"{killed['wrong_charges']} wrong charges, `ledger verify` {_clean(killed)}.",
    ]  # fmt: skip


def cheating(found: Mapping[str, Any], *, zh: bool = False) -> list[str]:
    """What each node did, and what became of it."""
    lines = [
        "| 节点 | 状态 | 至此的调用 | 未通过的核验 | 所得后被暂扣，µ | 保留，µ |"
        if zh
        else "| node | state | calls until then | checks failed | earned, then withheld, µ | kept, µ |",
        "|---|---|---:|---|---:|---:|",
    ]
    for one in found["nodes"]:
        failed = ", ".join(
            f"{kind} {fails} / {checks}" if zh else f"{kind} {fails} of {checks}"
            for kind, (checks, fails) in sorted(one["checks"].items())
        )
        lines.append(
            f"| {one['cheat'] or 'honest'} | {one['state']} | {one['calls']} | {failed} "
            f"| {one['earned_micro']:,} | {one['kept_micro']:,} |"
        )
    alarms = found["false_alarms"]
    blamed = ", ".join(f"{kind} {number}" for kind, number in alarms["blamed"].items())
    if zh:
        return [
            *lines, "",
            f"误判：{alarms['nodes']:,} 个诚实节点，出错恰为所容许的频率，每类各核验 {alarms['checks_each']:,} 次，"
            f"被误判的节点数按核验种类：{blamed}（容许百万分之 {alarms['allowed_ppm']:,}）。"
            f"`ledger verify`：{_clean(found, zh=zh)}。",
        ]  # fmt: skip
    return [
        *lines, "",
        f"False alarms: of {alarms['nodes']:,} honest nodes that fail exactly as often as is tolerated, in "
        f"{alarms['checks_each']:,} checks each, blamed by kind of check: {blamed} "
        f"(allowed {alarms['allowed_ppm']:,} in a million). `ledger verify`: {_clean(found)}.",
    ]  # fmt: skip


def write_routing(found: Mapping[str, Any], docs: Path) -> None:
    """Put the section into bench.md, in both languages."""
    day = f"{datetime.now(CITY_TZ):%Y-%m-%d}"
    real = f", and a fourth with {found['real_model']} on llama.cpp" if found["real_model"] else ""
    real_zh = f"，另有第四个以 llama.cpp 运行 {found['real_model']}" if found["real_model"] else ""
    head = (
        f"`shanhe bench pool`, {day}. Three node agents with rate-limited engines (20,000, "
        f"6,000 and 1,500 tokens/s of prompt){real}, joined to a running city over their tunnels; the same "
        f"{found['calls']} recorded calls through the gateway for each way to route. Cost is the rulebook's reference "
        "cost of the chips."
    )
    head_zh = (
        f"`shanhe bench pool`，{day}。三个节点代理，引擎限速（提示词每秒 20,000、6,000 与 1,500 词元）{real_zh}，"
        f"经隧道接入一座运行中的城市；每种路由方式都让同样的 {found['calls']} 次录制的调用经过网关。"
        "成本为规则手册中各芯片的参考成本。"
    )
    for zh, page in sections.pages(docs):
        title = "## 节点间的路由" if zh else "## Routing over nodes"
        sections.put(page, "pool", [title, "", head_zh if zh else head, "", *routing(found, zh=zh)])


def write_cheats(found: Mapping[str, Any], docs: Path) -> None:
    """Put the section into bench.md, in both languages."""
    day = f"{datetime.now(CITY_TZ):%Y-%m-%d}"
    head = (
        f"`shanhe bench cheats`, {day}. One node after another joins a running city that "
        "has a trusted engine; customers call until the node is quarantined, at most 200 times. The honest node rounds "
        "differently in 3 of 100 answers."
    )
    head_zh = (
        f"`shanhe bench cheats`，{day}。节点逐个接入一座已有可信引擎、运行中的城市；客户持续调用，"
        "直到节点被隔离，最多 200 次。诚实节点在 100 个回答中有 3 个舍入不同。"
    )
    for zh, page in sections.pages(docs):
        title = "## 作弊的节点" if zh else "## Nodes that cheat"
        sections.put(page, "cheats", [title, "", head_zh if zh else head, "", *cheating(found, zh=zh)])


def _yes(held: bool, *, zh: bool = False) -> str:
    return ("是" if held else "否") if zh else ("yes" if held else "NO")


def _clean(found: Mapping[str, Any], *, zh: bool = False) -> str:
    clean = found["ledger_clean"]
    return ("无异常" if clean else "有异常") if zh else ("clean" if clean else "NOT CLEAN")
