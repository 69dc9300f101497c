"""`shanhe prices`: what models cost, what the pricing rule would say, and publishing it from a date on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, day_of, in_city, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.compute.api import Prices


app = typer.Typer(no_args_is_help=True)
Model = Annotated[str, typer.Argument(help="Model, like `shanhe models list` shows it.")]


def _plain(prices: Prices) -> dict[str, Any]:
    from shanhe.compute.api import BUCKETS

    return {"model": prices.model, "version": prices.version, "valid_from": prices.valid_from,
            "announced_at": prices.announced_at, "rule_version": prices.rule_version, "thin": prices.thin,
            "loss": prices.loss, "list_micro": {bucket: getattr(prices, bucket) for bucket in BUCKETS}}  # fmt: skip


def _table(found: list[dict[str, Any]]) -> Any:
    columns = ("input", "cached_input", "output", "reasoning", "tool", "cache_write")
    return rows(("version", "from", *columns), [
        (one["version"], one["valid_from"], *(one["list_micro"][bucket] for bucket in columns)) for one in found
    ], right=columns)  # fmt: skip


@app.command("list")
def list_prices(model: Model, data: Data = None, as_json: Json = False) -> None:
    """Every published price of a model, announced ones included, µ per million tokens."""

    async def work(services: Services) -> list[dict[str, Any]]:
        return [_plain(one) for one in services.compute.price_history(model)]

    found = in_city(data, work)
    show(as_json, found, lambda: _table(found))


@app.command()
def preview(
    model: Model,
    on: Annotated[str, typer.Option("--on", help="Date, like 2026-12-01 (default: today).")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What the pricing rule would say on a date; publishes nothing."""

    async def work(services: Services) -> dict[str, Any]:
        computed = services.compute.preview_price(model, day_of(on) if on else services.clock.today())
        return {"rule_version": computed.rule_version, "list_micro": computed.amounts()}

    found = in_city(data, work)
    amounts = found["list_micro"].items()
    show(as_json, found, lambda: rows(("bucket", "µ per 1M tokens"), list(amounts), right=("µ per 1M tokens",)))


@app.command()
def publish(
    model: Model,
    start: Annotated[str, typer.Option("--from", help="First day it holds (default: today).")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Publish a price by the pricing rule and tell the keys it affects; the same amounts again change nothing."""

    async def work(services: Services) -> dict[str, Any]:
        first = day_of(start) if start else services.clock.today()
        return _plain(await services.compute.publish_price(model, first, actor=ACTOR))

    made = in_city(data, work)
    show(as_json, made, lambda: _table([made]))


@app.command()
def trace(
    version: Annotated[UUID, typer.Argument(help="Version of a price.")], data: Data = None, as_json: Json = False
) -> None:
    """Why a price is what it is, by bucket (always JSON)."""
    show(True, in_city(data, lambda services: services.compute.price_traces(version)))
