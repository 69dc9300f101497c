"""Run the gateway bench: `python -m shanhe.bench.gateway [--rounds N] [--seconds S] [--only NAME …]`."""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from shanhe.bench import contenders as who
from shanhe.bench import report as reports
from shanhe.bench.city import City, launch
from shanhe.bench.errors import BenchError
from shanhe.bench.load import require_wrk, run_wrk, write_script
from shanhe.bench.model import (
    CONNECTIONS_LATENCY,
    CONNECTIONS_THROUGHPUT,
    Endpoint,
    Measurement,
    Memory,
    Options,
    Report,
)
from shanhe.bench.processes import Child, resident_kib, running, wait_until_answers

ANSWER_WITHIN_S = 90.0
SOAK_WARMUP_CALLS = 20_000
SOAK_SLICE_S = 5
SOAK_SLICES_MAX = 120
TOP_UP_CREDITS = "1000000"
VERSIONS = {"portkey": who.PORTKEY_VERSION, "litellm": who.LITELLM_VERSION, "nginx": "Debian package"}


def run(options: Options, say: Callable[[str], None]) -> Report:
    """Start everything, measure in interleaved rounds, soak, stop everything.

    Raises BenchError if a tool is missing or a contender does not answer."""
    require_wrk()
    options.cache_dir.mkdir(parents=True, exist_ok=True)
    started_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shanhe-bench-")))
        children = stack.enter_context(running([]))
        endpoints, city = _start(options, folder, children, say)
        scripts = {name: write_script(folder, name, endpoint) for name, endpoint in endpoints.items()}
        found = _measure(options, endpoints, scripts, say)
        memory = _soak(options, city, endpoints, scripts, say) if city is not None else None
    shown = {**asdict(options), "cache_dir": None, "docs_dir": None}
    return Report(started_at, _machine(), shown, who.INCLUDES, VERSIONS, tuple(found), memory)


def _start(
    options: Options, folder: Path, children: list[Child], say: Callable[[str], None]
) -> tuple[dict[str, Endpoint], City | None]:
    child, upstream = who.start_upstream(folder, options.upstream)
    children.append(child)
    wait_until_answers(child, "upstream", upstream, ANSWER_WITHIN_S)
    starters: dict[str, Callable[[], tuple[Child, Endpoint]]] = {
        "nginx": lambda: who.start_nginx(folder, upstream),
        "portkey": lambda: who.start_portkey(folder, options.cache_dir, upstream),
        "litellm": lambda: who.start_litellm(folder, options.cache_dir, upstream),
    }
    endpoints: dict[str, Endpoint] = {}
    city: City | None = None
    for name in options.contenders:
        say(f"starting {name}")
        if name == "direct":
            endpoints[name] = upstream
        elif name == "shanhe":
            city = launch(folder / "city", environment={"BENCH_KEY": "unused", "SHANHE_DEMO": "false"})
            children.append(city.child)
            city.wait_until_ready()
            endpoints[name] = _furnish(city, upstream)
            wait_until_answers(city.child, name, endpoints[name], ANSWER_WITHIN_S)
        else:
            child, endpoint = starters[name]()
            children.append(child)
            wait_until_answers(child, name, endpoint, ANSWER_WITHIN_S)
            endpoints[name] = endpoint
    return endpoints, city


def _furnish(city: City, upstream: Endpoint) -> Endpoint:
    """One engine, one organisation with credits, one key with a daily budget: an ordinary paying caller."""
    base = upstream.url.removesuffix("/chat/completions")
    city.command("engines", "add", "bench", "--url", base, "--key-env", "BENCH_KEY", "--model", "bench=bench")
    org = str(city.command("orgs", "create", "Bench")["id"])
    city.command("credits", "top-up", org, TOP_UP_CREDITS)
    made = city.command("keys", "create", "--org", org, "--budget-day", TOP_UP_CREDITS)
    return city.chat(str(made["token"]))


def _measure(
    options: Options, endpoints: dict[str, Endpoint], scripts: dict[str, Path], say: Callable[[str], None]
) -> list[Measurement]:
    names = list(endpoints)
    for name in names:
        run_wrk(scripts[name], name, endpoints[name], 16, options.warmup_seconds)
    found: list[Measurement] = []
    for number in range(options.rounds):
        order = names[number % len(names) :] + names[: number % len(names)]
        for connections in (CONNECTIONS_LATENCY, *CONNECTIONS_THROUGHPUT):
            for name in order:
                seen = run_wrk(scripts[name], name, endpoints[name], connections, options.seconds)
                found.append(seen)
                say(
                    f"round {number + 1}/{options.rounds}  {connections:>2} conn.  {name:<8} {seen.rps:>9,.0f} req/s  "
                    f"p50 {seen.p50_us / 1000:.2f} ms  errors {seen.errors}"
                )
    return sorted(found, key=lambda seen: names.index(seen.contender))


def _soak(
    options: Options, city: City, endpoints: dict[str, Endpoint], scripts: dict[str, Path], say: Callable[[str], None]
) -> Memory:
    pid = city.worker_pids()[0]
    calls, measured, samples = 0, 0, list[tuple[int, int]]()
    for _ in range(SOAK_SLICES_MAX):
        calls += run_wrk(scripts["shanhe"], "shanhe", endpoints["shanhe"], 16, SOAK_SLICE_S).requests
        if calls < SOAK_WARMUP_CALLS:
            continue
        samples.append((calls, resident_kib(pid)))
        measured = calls - samples[0][0]
        say(f"soak  {measured:,} calls  {samples[-1][1] / 1024:.1f} MB")
        if measured >= options.soak_calls:
            break
    return Memory(measured, samples[0][1], samples[-1][1], max(kib for _, kib in samples), tuple(samples))


def _machine() -> dict[str, str]:
    model, cpus = "unknown CPU", 0
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model, cpus = line.split(":", 1)[1].strip(), cpus + 1
    return {"model": model, "cpus": str(cpus), "system": f"{platform.system()} {platform.release()}",
            "python": platform.python_version()}  # fmt: skip


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Options from a command line."""
    parser = argparse.ArgumentParser(prog="shanhe bench gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=Options.rounds)
    parser.add_argument("--seconds", type=int, default=Options.seconds, help="of one measurement")
    parser.add_argument("--soak-calls", type=int, default=Options.soak_calls)
    parser.add_argument("--upstream", choices=("python", "nginx"), default=Options.upstream)
    parser.add_argument("--only", nargs="+", choices=Options.contenders, help="measure only these")
    parser.add_argument("--cache", type=Path, default=Path(".cache/bench"), help="where contenders are installed")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="folder of bench.md and bench.json")
    parser.add_argument("--no-write", action="store_true", help="print only")
    chosen = parser.parse_args(arguments)
    options = Options(
        chosen.cache.resolve(), chosen.docs.resolve(), rounds=chosen.rounds, seconds=chosen.seconds,
        soak_calls=chosen.soak_calls, upstream=chosen.upstream, write_docs=not chosen.no_write,
    )  # fmt: skip
    return replace(options, contenders=tuple(chosen.only)) if chosen.only else options


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line entry; 0 when the run finished, 2 when something is missing."""
    console = Console(highlight=False)
    options = parse(arguments)
    try:
        found = run(options, console.print)
    except BenchError as error:
        console.print(f"[red]{error}[/red]")
        return 2
    console.print(reports.markdown(found), markup=False)
    if options.write_docs:
        page, data = reports.write(found, options.docs_dir)
        console.print(f"Written: {page} and {data}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
