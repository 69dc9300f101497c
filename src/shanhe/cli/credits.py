"""`shanhe credits`: balances, and top-ups that an operator books for money that came in otherwise."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli import cases, codes
from shanhe.cli.common import ACTOR, Data, Json, Org, find_org, in_city, pairs, rows, show
from shanhe.kernel.money import format_credits, format_fen, parse_credits

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.credits.api import LotStatement


app = typer.Typer(no_args_is_help=True)
codes.register(app)
cases.register(app)


@app.command("top-up")
def top_up(
    org: Org,
    amount: Annotated[str, typer.Argument(help="Credits, like 1000 or 12.5.")],
    reason: Annotated[str, typer.Option(help="Why, for the books.")] = "booked on the command line",
    method: Annotated[str, typer.Option(help="bank_transfer or cash_desk.")] = "bank_transfer",
    ref: Annotated[str, typer.Option(help="Reference: the same one again books nothing twice.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Book credits paid outside, at list price, by a real posting."""
    amount_micro = parse_credits(amount)

    async def work(services: Services) -> dict[str, Any]:
        owner = await find_org(services, org)
        booked = await services.credits.top_up(
            owner.id, amount_micro, reason, ACTOR, method=method, client_ref=ref or None
        )
        wallet = await services.credits.wallet(owner.id)
        return {"purchase_id": booked.id, "posting_id": booked.posting_id, "org_id": owner.id,
                "amount_micro": amount_micro, "balance_micro": wallet.balance_micro}  # fmt: skip

    done = in_city(data, work)
    balance = format_credits(done["balance_micro"])
    show(as_json, done, lambda: f"✓ +{format_credits(amount_micro)} · 余额 balance {balance}")


@app.command()
def balance(org: Org, data: Data = None, as_json: Json = False) -> None:
    """What an organisation has, by provenance."""

    async def work(services: Services) -> dict[str, Any]:
        owner = await find_org(services, org)
        wallet = await services.credits.wallet(owner.id)
        return {"org_id": owner.id, "balance_micro": wallet.balance_micro,
                "available_micro": wallet.available_micro, "held_micro": wallet.held_micro,
                "by_provenance": {str(name): amount for name, amount in wallet.by_provenance.items()}}  # fmt: skip

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({
        "余额 balance": format_credits(found["balance_micro"]),
        "可用 available": format_credits(found["available_micro"]),
        "占用 held": format_credits(found["held_micro"]),
    } | {name: format_credits(amount) for name, amount in found["by_provenance"].items()}))  # fmt: skip


@app.command()
def statement(
    org: Org,
    month: Annotated[str, typer.Option(help="Like 2026-11; default: this month.")] = "",
    save: Annotated[Path | None, typer.Option(help="Write a .pdf, .xlsx or .csv instead of showing it.")] = None,
    language: Annotated[str, typer.Option(help="Language of the file: zh or en.")] = "zh",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A month by lot: opening, movements, closing, book value (rule C3)."""
    from shanhe.credits.api import month_of, statement_document, statement_view
    from shanhe.kernel.documents import render

    async def work(services: Services) -> LotStatement:
        owner = await find_org(services, org)
        found = await services.credits.statements.month(owner.id, month_of(month))
        if save is not None:
            made = statement_document(
                found, org_name=owner.name, city_name=services.credits.city_name, language=language
            )
            await asyncio.to_thread(save.write_bytes, await render(made, save.suffix.lstrip(".")))
        return found

    found = in_city(data, work)
    lines = [
        (lot.id, lot.provenance, format_credits(lot.opening_micro), format_credits(lot.closing_micro),
         format_fen(lot.cost_fen), format_fen(lot.value_fen))
        for lot in found.lots
    ]  # fmt: skip
    columns = ("批次 lot", "来源 provenance", "期初 opening", "期末 closing", "成本 cost", "价值 value")
    show(as_json, statement_view(found), lambda: rows(columns, lines, right=columns[2:]))
