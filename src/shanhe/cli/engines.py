"""`shanhe engines`: register, list and try servers that speak the OpenAI protocol."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli.common import ACTOR, REFUSED, Data, Json, in_city, one_of, rows, show, show_error
from shanhe.kernel.errors import Invalid
from shanhe.kernel.money import parse_credits
from shanhe.settings import language

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.compute.api import Rates

REFERENCE_CHIP = "datacentre_gpu"

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Name of the engine.")]


@app.command()
def add(
    name: Name,
    url: Annotated[str, typer.Option(help="Base address, like https://host/v1.")],
    model: Annotated[
        list[str] | None, typer.Option(help="LOCAL=UPSTREAM; may be repeated. Without any: all that the server lists.")
    ] = None,
    key_env: Annotated[str, typer.Option(help="NAME of the variable that holds its key (…_KEY or …_TOKEN).")] = "",
    cost_input: Annotated[str, typer.Option(help="What it costs us: credits per million input tokens.")] = "",
    cost_output: Annotated[str, typer.Option(help="What it costs us: credits per million output tokens.")] = "",
    cost_cache_write: Annotated[
        str, typer.Option(help="Of input tokens that it writes to its cache; nothing said: as input.")
    ] = "",
    price_class: Annotated[
        str,
        typer.Option(
            "--class", help="tiny, small, medium, large, embedding or image_tokens: what its price is compared with."
        ),
    ] = "small",
    local: Annotated[bool, typer.Option("--local", help="On our own premises: may see government data.")] = False,
    kind: Annotated[
        str, typer.Option(help="chat, embedding, rerank, ocr, forecast, transcription, speech, image.")
    ] = "chat",
    context_tokens: Annotated[
        int, typer.Option(min=0, help="Context of its models; 0 = what the server says, else 32,768.")
    ] = 0,
    feature: Annotated[
        list[str] | None,
        typer.Option(help="What it can do beyond the usual, or by which field it is told how much to think."),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Register an engine, whether it answers now or not; its models get a price at once, by the pricing rule."""
    from shanhe.compute.api import DEFAULT_FEATURES, Kind, NewEngine, class_of

    what = one_of(Kind, kind)

    async def work(services: Services) -> Any:
        cost = _cost(services, class_of(what, price_class), cost_input, cost_output, cost_cache_write)
        new = NewEngine(name, url, _pairs(model or []), cost, key_env, local=local, kind=what,
                        context_tokens=context_tokens, price_class=price_class,
                        features=DEFAULT_FEATURES | frozenset(feature or []))  # fmt: skip
        new, trouble = await services.compute.looked_at(new)
        engine = await services.compute.add_engine(new, actor=ACTOR)
        models = {served.model: served.upstream for served in engine.models}
        made = {"id": engine.id, "name": engine.name, "models": models, "context_tokens": new.context_tokens}
        return made | {"features": sorted(engine.features), "problem": trouble.message if trouble else ""}, trouble

    made, trouble = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['name']}: {', '.join(made['models'])}")
    if trouble is not None and not as_json:
        show_error(trouble)


@app.command("set")
def change(
    name: Name,
    cost_input: Annotated[str, typer.Option(help="What it costs us: credits per million input tokens.")] = "",
    cost_output: Annotated[str, typer.Option(help="What it costs us: credits per million output tokens.")] = "",
    cost_cache_write: Annotated[
        str, typer.Option(help="Of input tokens that it writes to its cache; nothing said: as input.")
    ] = "",
    feature: Annotated[list[str] | None, typer.Option(help="A feature more; may be repeated.")] = None,
    without: Annotated[list[str] | None, typer.Option(help="A feature less; may be repeated.")] = None,
    local: Annotated[
        bool | None, typer.Option("--local/--remote", help="On our own premises: may see government data.")
    ] = None,
    data_class: Annotated[
        list[str] | None, typer.Option(help="general, government or citizen; may be repeated, and replaces all.")
    ] = None,
    first_token_s: Annotated[
        int | None, typer.Option(min=1, max=3_600, help="Longest wait for the first token, seconds.")
    ] = None,
    idle_s: Annotated[
        int | None, typer.Option(min=1, max=3_600, help="Longest silence inside an answer, seconds.")
    ] = None,
    slots: Annotated[int | None, typer.Option(help="Calls at once.")] = None,
    queue: Annotated[int | None, typer.Option(help="Calls that may wait.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change an upstream's terms: what is not named stays, and calls in flight end as begun.

    A running city follows at once. Prices stay until they are published again.
    """
    from shanhe.compute.api import EngineChange

    async def work(services: Services) -> Any:
        known = services.compute.engine(name)
        cost = None
        if cost_input or cost_output or cost_cache_write:
            cost = known.models[0].cost.sided(_micro(cost_input), _micro(cost_output), _micro(cost_cache_write))
        features = None
        if feature or without:
            features = (known.features | frozenset(feature or ())) - frozenset(without or ())
        wanted = EngineChange(
            cost=cost, local=local, data_classes=frozenset(data_class) if data_class else None, features=features,
            slots=slots, queue=queue, first_token_timeout_ms=_ms(first_token_s), idle_timeout_ms=_ms(idle_s),
        )  # fmt: skip
        return await services.compute.change_engine(name, wanted, actor=ACTOR)

    engine = in_city(data, work)
    made = {
        "id": engine.id, "name": engine.name, "local": engine.local, "data_classes": sorted(engine.data_classes),
        "features": sorted(engine.features), "slots": engine.slots, "queue": engine.queue,
        "first_token_timeout_ms": engine.first_token_timeout_ms, "idle_timeout_ms": engine.idle_timeout_ms,
        "cost": asdict(engine.models[0].cost),
    }  # fmt: skip
    show(as_json, made, lambda: "✓")


def _micro(credits: str) -> int | None:
    return parse_credits(credits) if credits else None


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000


@app.command("discover")
def discover_models(
    url: Annotated[str, typer.Argument(help="Base address, like http://gpu-1:8000/v1.")],
    key_env: Annotated[str, typer.Option(help="NAME of the variable that holds its key.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a server is (vLLM, SGLang, Ollama, Xinference, llama.cpp) and which models it serves."""

    async def work(services: Services) -> dict[str, Any]:
        return asdict(await services.compute.discover(url, key_env))

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("model", "kind", "context"), [
        (one["id"], str(one["kind"]), one["context_tokens"] or "–") for one in found["models"]
    ]))  # fmt: skip


def _cost(services: Services, price_class: str, given: str, produced: str, cached: str) -> Rates:
    """What is not said is the rulebook's reference cost for the class: nothing is sold for free by accident."""
    from shanhe.compute.api import REFERENCED, Rates
    from shanhe.wiring.tariffs import COST_RULES, rule_of_class

    today = services.clock.today()
    amounts: dict[str, int] = {}
    for bucket in REFERENCED:
        facts = {"chip_class": REFERENCE_CHIP, "model_class": price_class, "bucket": bucket}
        amounts[bucket] = int(rule_of_class(services.rulebook, COST_RULES, facts, today).amount)
    if given:
        amounts |= dict.fromkeys(("input", "cached_input", "tool"), parse_credits(given))
    if produced:
        amounts |= dict.fromkeys(("output", "reasoning"), parse_credits(produced))
    if cached:
        amounts["cache_write"] = parse_credits(cached)
    return Rates.of(amounts)


def _pairs(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        local, separator, upstream = word.partition("=")
        if not separator or not local or not upstream:
            raise Invalid(
                "bad_model_pair", f"{word!r} is not LOCAL=UPSTREAM.", message_zh=f"{word!r} 不是 LOCAL=UPSTREAM 形式。",
                hint="Write it like --model chat=gpt-small-2.", hint_zh="例如 --model chat=gpt-small-2。",
            )  # fmt: skip
        found[local] = upstream
    return found


@app.command("list")
def list_engines(data: Data = None, as_json: Json = False) -> None:
    """Every engine with its models and health as seen from here."""

    async def work(services: Services) -> list[dict[str, Any]]:
        await services.compute.check_health()
        health = {status.id: status for status in services.compute.statuses()}
        return [
            {"id": engine.id, "name": engine.name, "kind": str(engine.kind), "url": engine.url,
             "key_env": engine.key_env, "enabled": engine.enabled, "local": engine.local,
             "health": str(health[engine.id].health), "last_error": health[engine.id].last_error,
             "last_error_zh": health[engine.id].last_error_zh,
             "models": {served.model: served.upstream for served in engine.models},
             "features": sorted(engine.features)}
            for engine in services.compute.engines()
        ]  # fmt: skip

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("name", "kind", "models", "health", "url", "last error"), [
        (e["name"], e["kind"], ", ".join(e["models"]), e["health"], e["url"],
         e["last_error_zh" if language() == "zh" else "last_error"]) for e in found
    ]))  # fmt: skip


@app.command("test")
def try_out(name: Name, model: str = "", data: Data = None, as_json: Json = False) -> None:
    """One tiny real call for each of its models; exit code 1 when one fails.

    Finds out, too, by which field the engine is told how much to think, where its registration does not say so.
    """
    reports = in_city(data, lambda services: services.compute.test_engine(name, model or None, actor=ACTOR))
    plain = [
        {"engine": r.engine, "model": r.model, "ok": r.ok, "status": r.status, "latency_ms": round(r.latency_ms, 1),
         "answer": r.answer, "usage": r.usage, "problems": r.problems,
         "problems_zh": r.problems_zh, "thinks": r.thinks}
        for r in reports
    ]  # fmt: skip
    show(as_json, plain, lambda: rows(("", "model", "ms", "answer", "thinking told by", "problems"), [
        ("✓" if r.ok else "✗", r.model, f"{r.latency_ms:.0f}", r.answer[:60], ", ".join(r.thinks),
         "；".join(r.problems_zh) if language() == "zh" else "; ".join(r.problems)) for r in reports
    ]))  # fmt: skip
    if not all(report.ok for report in reports):
        raise SystemExit(REFUSED)


def _switch(name: str, enabled: bool, data: Any, as_json: bool) -> None:
    engine = in_city(data, lambda services: services.compute.set_enabled(name, enabled, actor=ACTOR))
    show(as_json, {"name": engine.name, "enabled": engine.enabled}, lambda: "✓")


@app.command()
def enable(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Put an engine back into service."""
    _switch(name, True, data, as_json)


@app.command()
def disable(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Take an engine out of service; calls in flight are finished."""
    _switch(name, False, data, as_json)


@app.command()
def remove(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Forget an engine; receipts and prices stay."""

    async def work(services: Services) -> None:
        await services.compute.remove_engine(name, actor=ACTOR)

    in_city(data, work)
    show(as_json, {"name": name, "removed": True}, lambda: "✓")
