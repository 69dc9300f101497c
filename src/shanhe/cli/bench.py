"""`shanhe bench`: measure this machine; each part prints a table and says what it includes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shanhe.cli.common import Json, show

app = typer.Typer(invoke_without_command=True)


@app.callback()
def everything(context: typer.Context) -> None:
    """Without a part: all three, one after another."""
    if context.invoked_subcommand is None:
        rulebook_bench()
        ledger_bench()
        gateway_bench(context)


@app.command("gateway", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def gateway_bench(context: typer.Context) -> None:
    """Requests per second and added latency beside nginx, Portkey and LiteLLM in one run."""
    from shanhe.bench import gateway

    code = gateway.main(context.args)
    if code:
        raise SystemExit(code)


@app.command("ledger")
def ledger_bench(as_json: Json = False) -> None:
    """Group commit against pgbench's TPC-B on the same server in the same run."""
    from shanhe.ledger.bench import main as measure

    show(as_json, measure())


@app.command("exchange")
def exchange_bench(as_json: Json = False) -> None:
    """Accepted orders, a call auction of 100,000 and pure matching against pgbench's TPC-B in the same run."""
    from shanhe.bench.exchange import main as measure

    show(as_json, measure())


@app.command("log")
def log_bench(as_json: Json = False) -> None:
    """Sealing against pgbench's TPC-B on the same server in the same run; verification time."""
    from shanhe.bench.log import main as measure

    show(as_json, measure())


@app.command("rulebook")
def rulebook_bench(as_json: Json = False) -> None:
    """A traced answer, and a million rows of P1."""
    from shanhe.rulebook import bench

    show(as_json, bench.bench_rulebook())


@app.command("rules")
def rules_bench(
    population: Annotated[int, typer.Option("--population", min=1_000, help="Residents and companies.")] = 1_000_000,
    as_json: Json = False,
) -> None:
    """Every amount rule over a population, against the evaluator that explains itself, and equal to it."""
    from shanhe.rulebook import bench

    show(as_json, bench.bench_rules(population))


@app.command("pool")
def pool_bench(
    seconds: Annotated[float, typer.Option(help="How much of the recorded workload to replay.")] = 25.0,
    real: Annotated[
        str, typer.Option(help="Model of ours for a fourth node, with llama.cpp; `none` leaves it out.")
    ] = "",
    docs: Annotated[Path | None, typer.Option("--docs", help="Put the table into bench.md of this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Nodes on loopback: ways to route compared on one workload, then `kill -9` of the busiest node under load."""
    from shanhe.bench import pool, pool_report

    found = pool.main(seconds, real)
    if docs is not None:
        pool_report.write_routing(found, docs)
    show(as_json, found, lambda: "\n".join(pool_report.routing(found)))


@app.command("cheats")
def cheats_bench(
    docs: Annotated[Path | None, typer.Option("--docs", help="Put the table into bench.md of this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Nodes that cheat, and honest ones: after how many calls each is caught, and what it was paid for them."""
    from shanhe.bench import cheats, pool_report

    found = cheats.main()
    if docs is not None:
        pool_report.write_cheats(found, docs)
    show(as_json, found, lambda: "\n".join(pool_report.cheating(found)))


@app.command("mcp")
def mcp_bench(as_json: Json = False) -> None:
    """What the tool gateway adds to a paid call at 16 connections, and a list of 1,000 tools over the wire."""
    from shanhe.bench.mcp import main as measure

    show(as_json, measure())


@app.command("furnish-mcp", hidden=True)
def furnish_mcp(port: int, as_json: Json = False) -> None:
    """What `bench mcp` needs in the city that it has started."""
    from shanhe.bench.mcp import furnish
    from shanhe.cli.common import city, run

    async def work() -> dict[str, str]:
        async with city() as services:
            return {"token": await furnish(services, port)}

    show(as_json, run(work()))


@app.command("studio")
def studio_bench(
    epochs: Annotated[int, typer.Option(help="How often each pair is seen.")] = 1,
    drop_layers: Annotated[int, typer.Option(help="Layers taken out, then healed.")] = 2,
    quantum: Annotated[str, typer.Option(help="How weights are packed in the end.")] = "Q4_K",
    items: Annotated[int, typer.Option(help="Entries of the error book.")] = 60,
    layers: Annotated[int, typer.Option(help="So many of the last layers are trained; 0 = all.")] = 8,
    rate_ppm: Annotated[int, typer.Option(help="Learning rate, millionths.")] = 1_000,
    as_json: Json = False,
) -> None:
    """An error book into a deployed model: accuracy before and after, time, memory. Needs the extra `studio`."""
    from shanhe.bench.studio import main as measure

    show(as_json, measure(epochs, drop_layers, quantum, items, layers, rate_ppm))


@app.command("knowledge")
def knowledge_bench(
    pages: Annotated[Path, typer.Option(help="Folder of the product's Chinese pages.")] = Path("docs/zh"),
    model: Annotated[str, typer.Option(help="Let this model write answers; without one passages are quoted.")] = "",
    as_json: Json = False,
) -> None:
    """What is found, cited and declined in the demonstration city's documents. Needs the extra `ocr`."""
    from shanhe.bench import knowledge

    found = knowledge.main(pages, model)
    show(as_json, found, lambda: knowledge.shown(found))
