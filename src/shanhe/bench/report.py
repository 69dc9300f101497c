"""The bench report for readers: one table, what each contender includes, and how it was measured."""

from __future__ import annotations

import json
from pathlib import Path

from shanhe.bench import sections
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
    """Write `bench.md` and `bench.json`; returns both paths."""
    docs_dir.mkdir(parents=True, exist_ok=True)
    page, data = docs_dir / "bench.md", docs_dir / "bench.json"
    page.write_text(markdown(report) + sections.kept(page), encoding="utf-8")
    data.write_text(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return page, data


def markdown(report: Report) -> str:
    """The page as Markdown."""
    parts = ["# Gateway bench", "", _head(report), "", *_table(report), "", *_targets(report), ""]
    parts += ["## What each one does per call", ""]
    parts += [
        f"- **{name}** ({report.versions.get(name, 'this repository')}): {report.includes[name]}"
        for name in report.contenders()
    ]
    parts += ["", "## How it was measured", "", *_method(report), ""]
    return "\n".join(parts)


def _head(report: Report) -> str:
    machine = report.machine
    return (
        f"One run, {report.started_at}, {machine['cpus']} logical CPUs ({machine['model']}), {machine['system']}. "
        "Absolute figures belong to that machine; the ratios are what to compare."
    )


def _table(report: Report) -> list[str]:
    rows = [
        "| | req/s, 16 conn. | req/s, 64 conn. | p50 / p99 ms, 16 conn. | added p50 ms, 1 conn. | failed calls |",
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


def _targets(report: Report) -> list[str]:
    rows = ["| goal | target | measured | held |", "|---|---:|---:|---|"]
    for other, connections, target in TARGETS:
        found = report.ratio("shanhe", other, connections)
        if found is not None:
            rows.append(_goal(f"throughput ÷ {other}, {connections} connections", f"≥ {target:g}", f"{found:.2f}",
                              found >= target))  # fmt: skip
    added = report.added_p50_us("shanhe")
    if added is not None:
        rows.append(_goal("added median latency, 1 connection", f"≤ {ADDED_P50_TARGET_US / 1000:g} ms",
                          f"{added / 1000:.2f} ms", added <= ADDED_P50_TARGET_US))  # fmt: skip
    memory = report.memory
    if memory is not None:
        rows.append(_goal("resident memory of the gateway process", f"≤ {RSS_TARGET_KIB // 1024} MB",
                          f"{memory.peak_kib / 1024:.0f} MB", memory.peak_kib <= RSS_TARGET_KIB))  # fmt: skip
        rows.append(_goal(f"its growth over {memory.calls:,} calls", f"< {DRIFT_TARGET:.0%}", f"{memory.drift:+.2%}",
                          memory.drift < DRIFT_TARGET))  # fmt: skip
    return rows if len(rows) > 2 else []


def _goal(name: str, target: str, found: str, held: bool) -> str:
    return f"| {name} | {target} | {found} | {'yes' if held else 'no'} |"


def _method(report: Report) -> list[str]:
    options = report.options
    upstream = "nginx, one worker, `return 200`" if options["upstream"] == "nginx" else "one Python process on uvloop"
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
