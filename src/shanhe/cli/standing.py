"""More of `shanhe programmes`: the value index (T13), loan guarantees (I8), bases elsewhere (I11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from shanhe.cli.common import ACTOR, Data, Json, Org, day_of, find_org, id_of, in_city, pairs, rows, show
from shanhe.cli.programmes import Application, app
from shanhe.kernel.money import format_fen, parse_yuan

if TYPE_CHECKING:
    from shanhe.app import Services


@app.command()
def index(org: Org, data: Data = None, as_json: Json = False) -> None:
    """A company's value index (T13) by quarter, what the present quarter points to, and what it opens."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.programmes.api import index_view

        owner, standings = await find_org(services, org), services.programmes.standings
        so_far = await standings.so_far(owner.id)
        return {
            "data": [index_view(one) for one in await standings.of(owner.id)],
            "so_far": index_view(so_far) if so_far else None,
            "benefits": (await standings.benefits(owner.id)).outputs,
        }

    found = in_city(data, work)
    lines = [*found["data"], *([found["so_far"]] if found["so_far"] else [])]
    show(as_json, found, lambda: rows(
        ("截至 until", "指数 index", "用量 usage µ", "创新 innovation", "就业 jobs", "数据 data"),
        [(x["quarter_end"], x["points"], *(x["counted"][n] for n in ("usage", "innovation", "jobs", "data")))
         for x in lines],
    ))  # fmt: skip


@app.command()
def guarantees(
    org: Annotated[str, typer.Option(help="Only of this organisation, as borrower or bank.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Loan guarantees (I8): what the compensation fund stands behind, paid, and got back."""

    async def work(services: Services) -> list[dict[str, Any]]:
        owner = (await find_org(services, org)).id if org else None
        found = await services.programmes.guarantees.of(owner)
        return [await _shown(services, one) for one in found]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(
        ("id", "借款人 borrower", "银行 bank", "担保 guaranteed", "代偿 paid", "归还 returned", "状态 state"),
        [(x["application"], x["borrower_name"], x["bank_name"], format_fen(x["guaranteed_fen"]),
          format_fen(x["paid_fen"]), format_fen(x["returned_fen"]), x["state"]) for x in found],
    ))  # fmt: skip


@app.command()
def call(
    application: Application,
    lost: Annotated[str, typer.Option(help="The loss in yuan.")],
    past_due: Annotated[int, typer.Option("--past-due", help="Days past due.")],
    by: Annotated[str, typer.Option(help="Who asks, for the file.")],
    ref: Annotated[str, typer.Option(help="Id: the same one again asks once.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask to be paid on a guarantee, for the bank; `programmes approve` by another person pays."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.programmes.api import request_view

        asked = await services.programmes.second.call(
            application, lost_fen=parse_yuan(lost), past_due=past_due, by=by, request_id=id_of(ref)
        )
        return request_view(asked)

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"待办 request": done["id"], "代偿 pays": format_fen(done["amount"])}))


@app.command()
def recover(
    application: Application,
    amount: Annotated[str, typer.Argument(help="What the bank got back, in yuan.")],
    ref: Annotated[str, typer.Option(help="Id: the same one again books once.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Book what a bank recovered of a loan that the fund paid on: the fund's part flows back."""

    async def work(services: Services) -> dict[str, Any]:
        found = await services.programmes.guarantees.recover(
            application, parse_yuan(amount), recovery_id=id_of(ref), actor=ACTOR
        )
        return await _shown(services, found)

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"代偿 paid": format_fen(done["paid_fen"]),
                                       "归还 returned": format_fen(done["returned_fen"])}))  # fmt: skip


@app.command()
def site(
    name: Annotated[str, typer.Argument(help="Base, as in catalogue/sites.yaml.")],
    first: Annotated[str, typer.Option("--from", help="First day.")],
    last: Annotated[str, typer.Option("--to", help="Last day.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A base's report (I11): what went through its budgets, and whom it supported."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.programmes.api import site_view

        report = await services.programmes.sites.report(name, day_of(first), day_of(last))
        return site_view(report, services.programmes.catalogue)

    found = in_city(data, work)
    parts = ("opening", "funded", "set_aside", "given_back", "closing")
    show(as_json, found, lambda: rows(
        ("预算 budget", "期初 opening", "拨入 funded", "核定 set aside", "退回 back", "期末 closing"),
        [(x["title"]["zh"], *(x[part]["zh"] for part in parts)) for x in found["budgets"]],
    ))  # fmt: skip


async def _shown(services: Services, one: Any) -> dict[str, Any]:
    from shanhe.programmes.api import guarantee_view

    names = {org_id: (await services.programmes.party(org_id)).name for org_id in (one.borrower, one.bank)}
    return guarantee_view(one, names)
