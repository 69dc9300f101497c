"""`shanhe payouts`: makers' income on its way to their bank accounts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import Data, Json, Org, find_org, in_city, one_of, pairs, rows, show
from shanhe.kernel.money import format_credits, format_fen

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.payments.api import Payouts

app = typer.Typer(no_args_is_help=True)
Id = Annotated[UUID, typer.Argument(help="Id of the payout.")]
By = Annotated[str, typer.Option("--by", help="The operator who decides, for the books.")]
Reason = Annotated[str, typer.Option(help="Why.")]


@app.command("list")
def list_(
    state: Annotated[str, typer.Option(help="Only those in this state.")] = "", data: Data = None, as_json: Json = False
) -> None:
    """Payouts of everybody, newest first."""
    from shanhe.payments.api import PayoutState

    wanted = one_of(PayoutState, state) if state else None
    found = in_city(data, lambda services: services.payouts.list(state=wanted))
    show(as_json, found, lambda: rows(("id", "credits", "net yuan", "state", "first", "second"), [
        (p.id, format_credits(p.amount_micro), format_fen(p.net_fen or 0), p.state, p.first_by or "", p.second_by or "")
        for p in found
    ], right=("credits", "net yuan")))  # fmt: skip


@app.command()
def earnings(org: Org, data: Data = None, as_json: Json = False) -> None:
    """What an organisation may turn into cash."""

    async def work(services: Services) -> Any:
        return await services.payouts.earnings((await find_org(services, org)).id)

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({
        "可提 available": format_credits(found.available_micro),
        "待结算 pending": format_credits(found.pending_micro),
        "补贴（须复核）subsidy": format_credits(found.subsidy_micro),
    }))  # fmt: skip


def _one(data: Any, as_json: bool, decide: Callable[[Payouts], Awaitable[Any]]) -> None:
    done = in_city(data, lambda services: decide(services.payouts))
    show(as_json, done, lambda: f"✓ {done.state}")


@app.command()
def check(
    payee: Annotated[UUID, typer.Argument(help="Id of the account to pay to.")],
    by: By,
    reference: Annotated[str, typer.Option(help="Names the evidence, not the person.")],
    failed: Annotated[bool, typer.Option("--failed", help="Name and account do not belong together.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Record what a check of name and account said."""
    _one(data, as_json, lambda p: p.payees.record_check(payee, passed=not failed, reference=reference, by=by))


@app.command()
def review(payout: Id, by: By, note: Reason, data: Data = None, as_json: Json = False) -> None:
    """Say that its subsidy income is of unrelated payers."""
    _one(data, as_json, lambda p: p.review(payout, by=by, note=note))


@app.command()
def approve(
    payout: Id,
    by: By,
    channel: Annotated[str, typer.Option(help="bank_file or sandbox; of the second approval.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """The first approval, or the second, by somebody else, which books it."""
    _one(data, as_json, lambda p: p.approve(payout, by=by, channel=channel))


@app.command()
def refuse(payout: Id, by: By, reason: Reason, data: Data = None, as_json: Json = False) -> None:
    """Say no before the second approval."""
    _one(data, as_json, lambda p: p.refuse(payout, by=by, reason=reason))


@app.command()
def confirm(payout: Id, by: By, data: Data = None, as_json: Json = False) -> None:
    """The money arrived."""
    _one(data, as_json, lambda p: p.confirm(payout, by=by))


@app.command()
def fail(payout: Id, by: By, reason: Reason, data: Data = None, as_json: Json = False) -> None:
    """The money came back: the posting is reversed."""
    _one(data, as_json, lambda p: p.fail(payout, by=by, reason=reason))


@app.command()
def batches(data: Data = None, as_json: Json = False) -> None:
    """The bank's files that were made, newest first; `export --batch` writes one again."""
    found = in_city(data, lambda services: services.payouts.files.batches())
    lines = [(one.id, one.at, one.payouts, format_fen(one.net_fen), one.waiting) for one in found]
    head = ("batch", "at", "payouts", "yuan", "not arrived")
    show(as_json, found, lambda: rows(head, lines, right=("payouts", "yuan", "not arrived")))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write the bank's batch file; kept for its owner only.")],
    by: By,
    batch: Annotated[UUID | None, typer.Option(help="Write this batch again.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A CSV for the bank of everything approved for it."""
    made = in_city(data, lambda services: services.payouts.files.export(batch, by=by))
    file.touch(mode=0o600)
    file.write_text(made.text, encoding="utf-8-sig")
    plain = {"batch": made.id, "payouts": made.payouts, "net_fen": made.net_fen, "file": str(file)}
    show(as_json, plain, lambda: f"✓ {made.payouts} · ¥ {format_fen(made.net_fen)} → {file}")
