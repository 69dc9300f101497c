"""`shanhe credits …`: expiry, loyalty, framework agreements, invoices, disputes, inheritance and dissolution."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, Org, find_org, in_city, pairs, rows, show
from shanhe.kernel.money import format_credits, format_fen

if TYPE_CHECKING:
    from shanhe.app import Services

agreements = typer.Typer(no_args_is_help=True)
invoices = typer.Typer(no_args_is_help=True)
red_letters = typer.Typer(no_args_is_help=True)
disputes = typer.Typer(no_args_is_help=True)
estates = typer.Typer(no_args_is_help=True)
Id = Annotated[UUID, typer.Argument(help="Its id.")]


def register(credits: typer.Typer) -> None:
    """Put these beside the other commands of credits."""
    credits.command("expiry")(expiry)
    credits.command("loyalty")(loyalty)
    credits.add_typer(agreements, name="agreements", help="Framework purchases of government bodies (rule P2).")
    credits.add_typer(invoices, name="invoices", help="Invoice requests: list, issue, reject.")
    credits.add_typer(red_letters, name="red-letters", help="Red-letter invoices of refunds: list, confirm, issue.")
    credits.add_typer(disputes, name="disputes", help="Disputed receipts: list, grant, refuse.")
    credits.add_typer(estates, name="estates", help="Inheritance and dissolution: what passes to successors.")


def expiry(
    days: Annotated[int, typer.Option(help="How far ahead, in days.")] = 90, data: Data = None, as_json: Json = False
) -> None:
    """What will lapse on which day unless it is spent (rule C11)."""
    found = in_city(data, lambda services: services.credits.lapses.calendar(days=days))
    lines = [(d.on, format_credits(d.amount_micro), format_credits(d.held_micro), d.owners, d.lots) for d in found]
    columns = ("日期 day", "到期 lapses", "其中占用 held", "机构 owners", "批次 lots")
    show(as_json, [asdict(day) for day in found], lambda: rows(columns, lines, right=columns[1:]))


def loyalty(org: Org, data: Data = None, as_json: Json = False) -> None:
    """Consecutive active quarters, and the fee and weight they give (rule C10)."""

    async def work(services: Services) -> Any:
        return await services.credits.loyalty.standing((await find_org(services, org)).id)

    found = in_city(data, work)
    show(as_json, asdict(found), lambda: pairs({
        "连续活跃季度 quarters": found.quarters, "手续费 fee": f"{found.fee_bps / 100:g} %",
        "排队权重 weight": found.queue_weight,
    }))  # fmt: skip


@agreements.command("list")
def list_agreements(data: Data = None, as_json: Json = False) -> None:
    """All agreements with what is paid."""
    found = in_city(data, lambda services: services.credits.agreements.list())
    lines = [(a.id, a.org_id, a.year, a.reference, format_fen(a.paid_fen), format_fen(a.total_fen)) for a in found]
    columns = ("编号 id", "机构 organisation", "年度 year", "协议 agreement", "已付 paid", "总额 total")
    show(as_json, [asdict(one) for one in found], lambda: rows(columns, lines, right=columns[4:]))


@agreements.command()
def sign(
    org: Org,
    year: Annotated[int, typer.Argument(help="Calendar year.")],
    reference: Annotated[str, typer.Option(help="The agreement's number.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Record a government body's agreement; its instalments are the rule's."""

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        return await services.credits.agreements.sign(owner.id, year, reference=reference, actor=ACTOR)

    made = in_city(data, work)
    lines = [(one.number, one.due_on, format_fen(one.amount_fen), one.state) for one in made.instalments]
    show(as_json, asdict(made), lambda: rows(("期 number", "应付日 due", "金额 CNY", "状态 state"), lines))


@agreements.command()
def book(
    agreement: Id,
    number: Annotated[int, typer.Argument(help="Which instalment.")],
    reference: Annotated[str, typer.Option(help="The bank's reference.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Post an instalment whose transfer was found at the bank."""

    async def work(services: Services) -> Any:
        owner = (await services.credits.agreements.get(None, agreement)).org_id
        return await services.credits.agreements.book(owner, agreement, number, reference=reference, actor=ACTOR)

    made = in_city(data, work)
    shown = {"purchase_id": made.id, "posting_id": made.posting_id, "state": made.state}
    show(as_json, shown, lambda: f"✓ {format_credits(made.priced.quantity_micro)} · {made.state}")


@invoices.command("list")
def list_invoices(data: Data = None, as_json: Json = False) -> None:
    """Requests of all organisations, newest first."""
    found = in_city(data, lambda services: services.credits.invoices.list())
    lines = [(one.id, one.title, one.kind, format_fen(one.amount_fen), one.state, one.number) for one in found]
    columns = ("编号 id", "抬头 title", "类型 kind", "金额 CNY", "状态 state", "号码 number")
    show(as_json, [asdict(one) for one in found], lambda: rows(columns, lines))


@invoices.command()
def issue(
    invoice: Id,
    number: Annotated[str, typer.Argument(help="The tax bureau's number.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say that an invoice was issued."""
    done = in_city(data, lambda services: services.credits.invoices.issue(invoice, number=number, by=ACTOR))
    show(as_json, asdict(done), lambda: f"✓ {done.number} · {format_fen(done.amount_fen)}")


@invoices.command("reject")
def reject_invoice(
    invoice: Id, reason: Annotated[str, typer.Option(help="Why.")], data: Data = None, as_json: Json = False
) -> None:
    """Give a request back with a reason."""
    done = in_city(data, lambda services: services.credits.invoices.reject(invoice, reason=reason, by=ACTOR))
    show(as_json, asdict(done), lambda: f"✓ {done.state} · {done.reason}")


@red_letters.command("list")
def list_red_letters(data: Data = None, as_json: Json = False) -> None:
    """Red-letter invoices of all organisations, newest first."""
    found = in_city(data, lambda services: services.credits.refunds.red_letters.list())
    lines = [(one.id, one.invoice, one.kind, format_fen(one.amount_fen), one.state, one.sheet, one.number)
             for one in found]  # fmt: skip
    columns = ("编号 id", "发票 invoice", "类型 kind", "金额 CNY", "状态 state", "确认单 sheet", "号码 number")
    show(as_json, [asdict(one) for one in found], lambda: rows(columns, lines))


@red_letters.command("confirm")
def confirm_red_letter(
    letter: Id,
    sheet: Annotated[str, typer.Argument(help="Number of the tax bureau's confirmation sheet.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Record the confirmation sheet to which the buyer agreed."""
    done = in_city(data, lambda services: services.credits.refunds.red_letters.confirm(letter, sheet=sheet, by=ACTOR))
    show(as_json, asdict(done), lambda: f"✓ {done.sheet} · {format_fen(done.amount_fen)}")


@red_letters.command("issue")
def issue_red_letter(
    letter: Id,
    number: Annotated[str, typer.Argument(help="The tax bureau's number.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Record a red-letter invoice; its refund is paid after the last one."""
    done = in_city(data, lambda services: services.credits.refunds.red_letters.issue(letter, number=number, by=ACTOR))
    show(as_json, asdict(done), lambda: f"✓ {done.number} · {format_fen(done.amount_fen)}")


@disputes.command("list")
def list_disputes(data: Data = None, as_json: Json = False) -> None:
    """Disputes of all organisations, newest first."""
    found = in_city(data, lambda services: services.credits.disputes.list())
    lines = [(one.id, one.receipt_id, one.reason, one.state) for one in found]
    columns = ("编号 id", "凭据 receipt", "原因 reason", "状态 state")
    show(as_json, [asdict(one) for one in found], lambda: rows(columns, lines))


@disputes.command()
def grant(
    dispute: Id, answer: Annotated[str, typer.Option(help="Why.")], data: Data = None, as_json: Json = False
) -> None:
    """Give a charge back by reversing its posting."""
    done = in_city(data, lambda services: services.credits.disputes.grant(dispute, answer=answer, by=ACTOR))
    show(as_json, asdict(done), lambda: f"✓ {done.state} · {done.reversal_id}")


@disputes.command()
def refuse(
    dispute: Id, answer: Annotated[str, typer.Option(help="Why.")], data: Data = None, as_json: Json = False
) -> None:
    """Say why a charge is right."""
    done = in_city(data, lambda services: services.credits.disputes.refuse(dispute, answer=answer, by=ACTOR))
    show(as_json, asdict(done), lambda: f"✓ {done.state}")


def _estate_lines(lines: Any) -> Any:
    columns = ("资产 asset", "账户 account", "来源 what", "移转 passes", "失效 lapses", "原因 why")
    return rows(columns, [(x.asset, x.account, x.what, x.passes, x.lapses, x.why) for x in lines], right=columns[3:5])


@estates.command()
def offer(org: Org, data: Data = None, as_json: Json = False) -> None:
    """What would pass to successors and what would lapse, in the asset's smallest unit, and why (rule R1_estate)."""

    async def work(services: Services) -> Any:
        return await services.credits.estates.offer((await find_org(services, org)).id)

    found = in_city(data, work)
    show(as_json, [asdict(line) for line in found], lambda: _estate_lines(found))


@estates.command("list")
def list_estates(data: Data = None, as_json: Json = False) -> None:
    """Handovers, newest first."""
    found = in_city(data, lambda services: services.credits.estates.list())
    lines = [(e.id, e.org_id, e.kind, e.state, len(e.successors), e.posting_id or "") for e in found]
    columns = ("编号 id", "机构 organisation", "类型 kind", "状态 state", "承继方 successors", "入账 posting")
    show(as_json, [asdict(one) for one in found], lambda: rows(columns, lines))


@estates.command("ask")
def ask_estate(
    org: Org,
    kind: Annotated[str, typer.Option(help="inheritance or dissolution.")],
    to: Annotated[list[str], typer.Option(help="Successor, `ORG` or `ORG=SHARE_BPS`; repeatable.")],
    end: Annotated[str, typer.Option(help="Number of the document that proves its end.")],
    right: Annotated[str, typer.Option(help="Number of the document that proves the successor's right.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    by: Annotated[str, typer.Option(help="Who asks; somebody else approves.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask to hand a frozen organisation's credits and cash over; `shanhe approvals approve` is the second word."""
    from shanhe.credits.api import WHOLE_BPS, EstateDocument, Successor

    async def work(services: Services) -> Any:
        owner, successors = await find_org(services, org), []
        for one in to:
            name, _, share = one.partition("=")
            successors.append(Successor((await find_org(services, name)).id, int(share) if share else WHOLE_BPS))
        documents = [EstateDocument("end", end), EstateDocument("right", right)]
        return await services.credits.estates.ask(
            owner.id, kind=kind, successors=successors, documents=documents, reason=reason, by=by
        )

    made = in_city(data, work)
    show(as_json, asdict(made), lambda: f"✓ {made.id} · waits for a second person 等待第二人审批")
