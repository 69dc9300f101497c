"""`shanhe credits refund …`, `codes …`: money back, and redeem codes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, Org, day_of, find_org, id_of, in_city, pairs, rows, show
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import format_credits, format_fen, parse_credits

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Batch = Annotated[UUID, typer.Argument(help="The batch's id.")]


def register(credits: typer.Typer) -> None:
    """Put refunds beside the other commands of credits, and codes below them."""
    credits.command("refund")(refund)
    credits.command("refunds")(refunds)
    credits.command("refund-payout")(refund_payout)
    credits.command("refund-retry")(refund_retry)
    credits.command("redeem")(redeem)
    credits.command("fund-budget")(fund_budget)
    credits.add_typer(app, name="codes", help="Redeem codes: batches funded from a budget.")


def refund(
    org: Org,
    purchase: Annotated[UUID, typer.Argument(help="The purchase's id.")],
    reason: Annotated[str, typer.Option(help="Why, for the books.")] = "asked for",
    ref: Annotated[str, typer.Option(help="Reference: the same one again refunds nothing twice.")] = "",
    offer: Annotated[bool, typer.Option("--offer", help="Only show what rule R3 gives.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take back what is left of a purchase and return its money (rule R3)."""
    from shanhe.credits.api import refund_view

    async def work(services: Services) -> dict[str, Any]:
        owner = await find_org(services, org)
        if offer:
            found = await services.credits.refunds.offer(owner.id, purchase)
            return {**found.decision.outputs, "trace": found.decision.trace}
        made = await services.credits.refunds.refund(
            owner.id, purchase, client_ref=ref or str(new_id()), reason=reason, actor=ACTOR
        )
        return refund_view(made)

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({
        "退款 refund CNY": format_fen(found["refund_fen"]),
        "收回 taken": format_credits(found["taken_micro"]),
        "注销补贴 cancelled": format_credits(found["cancelled_micro"]),
        "状态 state": found.get("state", "offer"),
    }))  # fmt: skip


def refunds(data: Data = None, as_json: Json = False) -> None:
    """Refunds of all organisations, newest first."""
    from shanhe.credits.api import refund_view

    found = in_city(data, lambda services: services.credits.refunds.list(None))
    lines = [(one.id, one.org_id, format_fen(one.refund_fen), one.state, one.payout_ref) for one in found]
    columns = ("编号 id", "机构 organisation", "金额 CNY", "状态 state", "凭证 reference")
    show(as_json, [refund_view(one) for one in found], lambda: rows(columns, lines))


def refund_payout(
    refund_id: Annotated[UUID, typer.Argument(help="The refund's id.")],
    reference: Annotated[str, typer.Argument(help="The bank's reference.")],
    method: Annotated[str, typer.Option(help="bank_transfer or cash_desk.")] = "bank_transfer",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say that a refund's money went back by hand."""
    from shanhe.credits.api import refund_view

    done = in_city(
        data, lambda services: services.credits.refunds.pay_by_hand(refund_id, reference, by=ACTOR, method=method)
    )
    show(as_json, refund_view(done), lambda: f"✓ {format_fen(done.refund_fen)} · {done.state}")


def refund_retry(
    refund_id: Annotated[UUID, typer.Argument(help="The refund's id.")], data: Data = None, as_json: Json = False
) -> None:
    """Ask the provider once more for a refund that failed."""
    from shanhe.credits.api import refund_view

    done = in_city(data, lambda services: services.credits.refunds.retry(refund_id, by=ACTOR))
    show(as_json, refund_view(done), lambda: f"✓ {format_fen(done.refund_fen)} · {done.state}")


def redeem(
    org: Org, code: Annotated[str, typer.Argument(help="The code.")], data: Data = None, as_json: Json = False
) -> None:
    """Redeem a code for an organisation."""

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        return await services.credits.codes.redeem(owner.id, code, actor=ACTOR)

    batch = in_city(data, work)
    shown = {"name": batch.name, "value_micro": batch.value_micro, "provenance": batch.provenance}
    show(as_json, shown, lambda: f"✓ +{format_credits(batch.value_micro)} · {batch.name}")


def fund_budget(
    name: Annotated[str, typer.Argument(help="The budget's name.")],
    amount: Annotated[str, typer.Argument(help="Credits, like 1000 or 12.5.")],
    reason: Annotated[str, typer.Option(help="Whose decision, for the books.")],
    ref: Annotated[str, typer.Option(help="A UUID: the same one again issues nothing twice.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Issue credits into a named budget."""
    held = in_city(
        data,
        lambda services: services.credits.codes.fund(
            name, parse_credits(amount), posting_id=id_of(ref), reason=reason, actor=ACTOR
        ),
    )
    show(as_json, {"name": name, "balance_micro": held}, lambda: f"✓ {name} · {format_credits(held)}")


@app.command("list")
def list_batches(data: Data = None, as_json: Json = False) -> None:
    """Batches, newest first, with how many codes were redeemed."""
    from shanhe.credits.api import batch_view

    found = in_city(data, lambda services: services.credits.codes.batches())
    lines = [
        (one.id, one.name, one.budget, f"{one.redeemed}/{one.codes}", format_credits(one.value_micro), one.state)
        for one in found
    ]
    columns = ("编号 id", "名称 name", "预算 budget", "已兑 redeemed", "面值 value", "状态 state")
    show(as_json, [batch_view(one) for one in found], lambda: rows(columns, lines, right=("面值 value",)))


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the codes are for.")],
    budget: Annotated[str, typer.Option(help="The budget that pays.")],
    count: Annotated[int, typer.Option(help="How many codes.")],
    value: Annotated[str, typer.Option(help="Credits a code.")],
    through: Annotated[str, typer.Option(help="Last day the codes work, like 2026-12-31.")],
    provenance: Annotated[str, typer.Option(help="subsidy or reward.")] = "subsidy",
    department: Annotated[str, typer.Option(help="Earmark: only calls by keys of this department.")] = "",
    model: Annotated[list[str] | None, typer.Option(help="Earmark: only these models; repeatable.")] = None,
    ref: Annotated[str, typer.Option(help="Reference: the same one again makes nothing twice.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Set a batch's value aside; `export` makes its codes."""
    from shanhe.credits.api import batch_view, end_of
    from shanhe.ledger.api import earmark

    mark = earmark(department=department or None, models=model or ())
    batch = in_city(
        data,
        lambda services: services.credits.codes.create(
            client_ref=ref or str(new_id()), name=name, budget=budget, codes=count, value_micro=parse_credits(value),
            provenance=provenance, expires_at=end_of(day_of(through)), earmark=mark, actor=ACTOR,
        ),
    )  # fmt: skip
    show(as_json, batch_view(batch), lambda: f"✓ {batch.id} · {batch.codes} × {format_credits(batch.value_micro)}")


@app.command()
def fund(batch: Batch, data: Data = None, as_json: Json = False) -> None:
    """Set a draft's value aside that its budget did not hold before."""
    from shanhe.credits.api import batch_view

    done = in_city(data, lambda services: services.credits.codes.set_aside(batch, by=ACTOR))
    show(as_json, batch_view(done), lambda: f"✓ {done.id} · {done.state}")


@app.command()
def export(
    batch: Batch,
    save: Annotated[Path, typer.Option(help="A new .csv file; the codes are shown this once.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make a batch's codes and write them to a file, once."""
    from shanhe.credits.api import code_sheet
    from shanhe.kernel.documents import render

    async def work(services: Services) -> None:
        made = await services.credits.codes.export(batch, by=ACTOR)
        content = await render(code_sheet(*made), "csv")
        await asyncio.to_thread(save.write_bytes, content)

    with save.open("xb"):  # before a code exists: a file that can't be written would lose them all
        save.chmod(0o600)
    try:
        in_city(data, work)
    except BaseException:
        if not save.stat().st_size:  # nothing was shown: the same command may be tried again
            save.unlink()
        raise
    show(as_json, {"file": save}, lambda: f"✓ {save}")


@app.command()
def revoke(
    batch: Batch,
    reason: Annotated[str, typer.Option(help="Why, for the books.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """End a batch; what nobody redeemed returns to its budget."""
    from shanhe.credits.api import batch_view

    done = in_city(data, lambda services: services.credits.codes.revoke(batch, by=ACTOR, reason=reason))
    show(as_json, batch_view(done), lambda: f"✓ {done.name} · +{format_credits(done.returned_micro)} → {done.budget}")
