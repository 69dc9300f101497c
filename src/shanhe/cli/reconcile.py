"""`shanhe reconcile`: counts that should agree, and what became of those that did not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, day_of, in_city, one_of, pairs, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.payments.api import BillReport

app = typer.Typer(no_args_is_help=True)
Id = Annotated[UUID, typer.Argument(help="Id of the difference.")]


@app.command("run")
def run_(
    day: Annotated[str, typer.Argument(help="A day that is over, like 2026-11-20; default yesterday.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Compare meter, engines, ledger, payments and statements of a day."""
    done = in_city(data, lambda services: services.reconciliation.run(day_of(day) if day else None, by=ACTOR))
    plain = {"id": done.id, "day": done.day, "checks": done.checks, "differences": done.differences}
    show(as_json, plain, lambda: rows(
        ("check", "compared", "differences", "without a counterpart"),
        [(name, one["compared"], one["differences"], ", ".join(one["skipped"])) for name, one in done.checks.items()],
        right=("compared", "differences"),
    ))  # fmt: skip


@app.command()
def runs(data: Data = None, as_json: Json = False) -> None:
    """Comparisons made, newest first."""
    found = in_city(data, lambda services: services.reconciliation.runs())
    show(as_json, found, lambda: rows(("day", "by", "at", "differences"), [
        (one.day, one.by, one.ended_at, one.differences) for one in found
    ], right=("differences",)))  # fmt: skip


@app.command("list")
def list_(
    day: Annotated[str, typer.Option(help="Only of this day.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Differences that nobody has resolved yet."""

    async def work(services: Services) -> Any:
        return await services.reconciliation.differences(day_of(day) if day else None, everything=everything)

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "day", "check", "subject", "kind", "left", "right", "owner", "state"), [
        (d.id, d.day, d.check, d.subject, d.kind, f"{d.left_name} {d.left}", f"{d.right_name} {d.right}", d.owner,
         d.state) for d in found
    ]))  # fmt: skip


@app.command("show")
def show_(difference: Id, data: Data = None, as_json: Json = False) -> None:
    """One difference with its figures and postings."""

    async def work(services: Services) -> Any:
        from shanhe.reconcile.api import plain

        return plain(await services.reconciliation.get(difference))

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({name: value for name, value in found.items() if value not in (None, "")}))


@app.command()
def assign(
    difference: Id, owner: Annotated[str, typer.Argument(help="Who looks into it.")], data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Name who looks into a difference."""
    show(
        as_json,
        in_city(data, lambda services: services.reconciliation.assign(difference, owner, by=ACTOR)),
        lambda: "✓",
    )


@app.command()
def resolve(
    difference: Id,
    outcome: Annotated[str, typer.Option(help="released or written_off (money), explained (the rest).")],
    note: Annotated[str, typer.Option(help="What was found.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Close a difference."""

    from shanhe.reconcile.api import Outcome

    found = one_of(Outcome, outcome)

    async def work(services: Services) -> Any:
        return await services.reconciliation.resolve(difference, found, by=ACTOR, note=note)

    show(as_json, in_city(data, work), lambda: "✓")


@app.command()
def bill(
    provider: Annotated[str, typer.Argument(help="wechat or alipay.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The institution's bill as CSV.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take in an institution's bill, to be compared with our orders and refunds."""
    content = file.read_bytes()

    done = in_city(data, lambda services: services.bills.upload(provider, content, name=file.name, actor=ACTOR))
    show(as_json, done, lambda: _told(done))


@app.command()
def bills(data: Data = None, as_json: Json = False) -> None:
    """Institutions' bills that were taken in, newest first, with each row that could not be used."""
    found = in_city(data, lambda services: services.bills.reports())
    show(as_json, found, lambda: "\n".join(map(_told, found)))


def _told(bill: BillReport) -> str:
    said = f"✓ {bill.name}: {bill.lines} lines, {bill.refused} unusable{' (known)' if bill.known else ''}"
    return "\n".join([said, *(f"  {problem.row}: {problem.why}" for problem in bill.problems)])
