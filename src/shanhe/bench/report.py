"""The bench report for readers: one table, what each contender includes, and how it was measured."""

from __future__ import annotations

import json
from pathlib import Path

from shanhe.bench import sections
from shanhe.bench.contenders import INCLUDES_ZH
from shanhe.bench.load import BODY
from shanhe.bench.model import CONNECTIONS_THROUGHPUT, Report
from shanhe.compute.synthetic import INSTANT_BYTES

TARGETS: tuple[tuple[str, int, float], ...] = (
    ("litellm", 16, 40.0),
    ("portkey", 16, 3.0),
    ("nginx", 16, 0.25),
    ("nginx", 64, 0.30),
)
ADDED_P50_TARGET_US = 1_500
RSS_TARGET_KIB = 200 * 1024
DRIFT_TARGET = 0.03


def write(report: Report, docs_dir: Path) -> tuple[Path, Path]:
    """Write `bench.md` in both languages and `bench.json`; returns the English page and the figures."""
    for zh, page in sections.pages(docs_dir):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(markdown(report, zh=zh) + sections.kept(page), encoding="utf-8")
    page, data = docs_dir / "bench.md", docs_dir / "bench.json"
    data.write_text(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return page, data


def markdown(report: Report, *, zh: bool = False) -> str:
    """The page as Markdown, in English or in Chinese."""
    parts = ["# 网关基准测试" if zh else "# Gateway bench", "", _head(report, zh=zh), ""]
    parts += [*_table(report, zh=zh), "", *_targets(report, zh=zh), ""]
    parts += ["## 各自每次调用做了什么" if zh else "## What each one does per call", ""]
    here, included = ("本仓库", INCLUDES_ZH) if zh else ("this repository", {})
    parts += [
        f"- **{name}** ({report.versions.get(name, here)}): {included.get(name, report.includes[name])}"
        for name in report.contenders()
    ]
    parts += ["", "## 如何测量" if zh else "## How it was measured", "", *_method(report, zh=zh), ""]
    return "\n".join(parts)


def _head(report: Report, *, zh: bool) -> str:
    machine = report.machine
    if zh:
        return (
            f"一次实测，{report.started_at}，{machine['cpus']} 个逻辑 CPU（{machine['model']}），{machine['system']}。"
            "绝对数字只属于这台机器；可比的是比值。"
        )
    return (
        f"One run, {report.started_at}, {machine['cpus']} logical CPUs ({machine['model']}), {machine['system']}. "
        "Absolute figures belong to that machine; the ratios are what to compare."
    )


def _table(report: Report, *, zh: bool) -> list[str]:
    rows = [
        "| | 请求/秒，16 连接 | 请求/秒，64 连接 | p50 / p99 毫秒，16 连接 | 增加的 p50 毫秒，1 连接 | 失败的调用 |"
        if zh
        else "| | req/s, 16 conn. | req/s, 64 conn. | p50 / p99 ms, 16 conn. | added p50 ms, 1 conn. | failed calls |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in report.contenders():
        added = report.added_p50_us(name)
        cells = [
            name,
            *(f"{report.rps(name, connections):,.0f}" for connections in CONNECTIONS_THROUGHPUT),
            f"{report.p50_us(name, 16) / 1000:.2f} / {report.p99_us(name, 16) / 1000:.2f}",
            "–" if added is None or name == "direct" else f"{added / 1000:.2f}",
            str(report.errors(name)),
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return rows


def _targets(report: Report, *, zh: bool) -> list[str]:
    rows = ["| 目标 | 要求 | 实测 | 达到 |" if zh else "| goal | target | measured | held |", "|---|---:|---:|---|"]

    def goal(zh_name: str, name: str, target: str, found: str, held: bool) -> None:
        word = ("是" if held else "否") if zh else ("yes" if held else "no")
        rows.append(f"| {zh_name if zh else name} | {target} | {found} | {word} |")

    for other, connections, target in TARGETS:
        found = report.ratio("shanhe", other, connections)
        if found is not None:
            goal(f"吞吐量 ÷ {other}，{connections} 连接", f"throughput ÷ {other}, {connections} connections",
                 f"≥ {target:g}", f"{found:.2f}", found >= target)  # fmt: skip
    added = report.added_p50_us("shanhe")
    if added is not None:
        goal("增加的时延中位数，1 连接", "added median latency, 1 connection", f"≤ {ADDED_P50_TARGET_US / 1000:g} ms",
             f"{added / 1000:.2f} ms", added <= ADDED_P50_TARGET_US)  # fmt: skip
    memory = report.memory
    if memory is not None:
        goal("网关进程的常驻内存", "resident memory of the gateway process", f"≤ {RSS_TARGET_KIB // 1024} MB",
             f"{memory.peak_kib / 1024:.0f} MB", memory.peak_kib <= RSS_TARGET_KIB)  # fmt: skip
        goal(f"经 {memory.calls:,} 次调用的增长", f"its growth over {memory.calls:,} calls", f"< {DRIFT_TARGET:.0%}",
             f"{memory.drift:+.2%}", memory.drift < DRIFT_TARGET)  # fmt: skip
    return rows if len(rows) > 2 else []


def _method(report: Report, *, zh: bool) -> list[str]:
    options = report.options
    by_nginx = options["upstream"] == "nginx"
    if zh:
        upstream = "nginx，一个进程，`return 200`" if by_nginx else "一个 uvloop 上的 Python 进程"
        return [
            f"`make bench` 可复现全部。上游（{upstream}）对每次调用立即返回同一个 {INSTANT_BYTES} 字节"
            "的对话回答；各方都转发到这一个服务。"
            "wrk（一个线程）向各方发送同样的正文：",
            "",
            "```json",
            BODY,
            "```",
            "",
            f"每一方、每种连接数各测 {options['rounds']} 轮，每轮 {options['seconds']} 秒，预热之后交错进行、轮换先后；"
            "表中为各轮的中位数。所有进程与 wrk 共用这台机器的 CPU。增加的时延，是该方的中位数减去上游自己的中位数。",
            "",
            "内存是单个网关进程的常驻内存，不含模型；预热 20,000 次调用之后，在各段负载之间取样。",
            "",
            "安装 LiteLLM 时放宽了它对 certifi 与迁移文件的版本限定（镜像可能滞后）；两者都不参与调用。",
        ]
    upstream = "nginx, one worker, `return 200`" if by_nginx else "one Python process on uvloop"
    return [
        f"`make bench` repeats all of it. The upstream ({upstream}) answers every call at once with the same "
        f"{INSTANT_BYTES}-byte chat completion; every contender forwards to that one server. wrk (one thread) sends "
        "each the same body:",
        "",
        "```json",
        BODY,
        "```",
        "",
        f"{options['rounds']} rounds of {options['seconds']} s for each contender and number of connections, "
        "interleaved and in rotated order, after a warm-up; the table shows medians over the rounds. All processes "
        "share the machine's CPUs with wrk. Added latency is the contender's median minus the upstream's own.",
        "",
        "Memory is the resident set of the one gateway process, without a model, sampled between slices of load after "
        "20,000 calls of warm-up.",
        "",
        "LiteLLM's pins of certifi and of its migration files are relaxed when it is installed (a mirror may lag "
        "behind them); neither takes part in a call.",
    ]
