"""`shanhe models`: the cards this software can fetch and serve, and what the city offers now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli.common import ACTOR, Data, Json, err, in_city, out, rows, settings_for, show

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_models(data: Data = None, as_json: Json = False) -> None:
    """Model cards with licence and size, and the models that callers can use with their prices."""

    async def work(services: Services) -> dict[str, Any]:
        compute, today = services.compute, services.clock.today()
        offered = {info.id: info for info in compute.models()}
        cards = [
            {"id": card.id, "title": {"zh": card.title_zh, "en": card.title_en}, "kind": str(card.kind),
             "licence": card.licence, "size_bytes": card.size_bytes, "sha256": card.sha256,
             "context_tokens": card.context_tokens, "file": compute.pulls.state(card.id).state}
            for card in compute.cards()
        ]  # fmt: skip
        prices = [(info, compute.prices(info.id, today)) for info in offered.values()]
        models = [
            {"id": info.id, "kind": info.kind, "context_tokens": info.context_tokens, "engines": info.engines,
             "input_micro_per_million": price.input, "output_micro_per_million": price.output,
             "price_version": price.version, "valid_from": price.valid_from}
            for info, price in prices
        ]  # fmt: skip
        return {"cards": cards, "models": models, "aliases": await compute.aliases.every()}

    found = in_city(data, work)
    if as_json:
        show(True, found)
        return
    out.print(rows(("card", "licence", "MB", "context", "file"), [
        (c["id"], c["licence"], f"{c['size_bytes'] / 1e6:,.0f}", c["context_tokens"], c["file"]) for c in found["cards"]
    ], right=("MB", "context")))  # fmt: skip
    out.print()
    out.print(rows(("model", "engines", "context", "input µ/1M", "output µ/1M"), [
        (m["id"], ", ".join(m["engines"]), m["context_tokens"], m["input_micro_per_million"],
         m["output_micro_per_million"]) for m in found["models"]
    ], right=("context", "input µ/1M", "output µ/1M")))  # fmt: skip
    if found["aliases"]:
        out.print()
        out.print(rows(("别名 alias", "model"), list(found["aliases"].items())))


@app.command()
def alias(
    name: Annotated[str, typer.Argument(help="The further name.")],
    model: Annotated[str, typer.Argument(help="The model that it means; empty with --drop.")] = "",
    drop: Annotated[bool, typer.Option("--drop", help="Let it mean nothing any more.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Let callers reach a model by a further name; its price and receipts are the model's."""

    async def work(services: Services) -> dict[str, str]:
        aliases = services.compute.aliases
        if drop:
            await aliases.drop(name, actor=ACTOR)
        else:
            await aliases.point(name, model, actor=ACTOR)
        return await aliases.every()

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("别名 alias", "model"), list(found.items())))


@app.command()
def pull(
    model: Annotated[str, typer.Argument(help="Model card; default: the city's own.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Fetch a model's file, resuming what has arrived, and check its hash. Needs no running city."""
    from shanhe.cli.city import Terminal
    from shanhe.compute.api import PullState, card, default_cache, writable
    from shanhe.compute.api import pull as fetch

    settings = settings_for(data)
    terminal = Terminal()

    def told(state: PullState) -> None:
        if not as_json:
            terminal.progress(state.model, state.done_bytes, state.total_bytes)

    try:
        into = writable(default_cache(), settings.data / "models")
        path = fetch(card(model or settings.model), into, sources=settings.sources, progress=told)
    finally:
        terminal.close()
    if as_json:
        show(True, {"model": model or settings.model, "file": str(path), "size_bytes": path.stat().st_size})
    else:
        err.print(f"✓ {path}")
