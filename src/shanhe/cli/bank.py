"""`shanhe bank`: statements of the city's account, and money in suspense."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, day_of, in_city, pairs, rows, show
from shanhe.kernel.money import format_fen

if TYPE_CHECKING:
    from shanhe.app import Services

app = typer.Typer(no_args_is_help=True)
Item = Annotated[UUID, typer.Argument(help="Id of the item in suspense.")]
Note = Annotated[str, typer.Option(help="Why; for a return, the bank's reference of the transfer.")]


@app.command()
def upload(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, UTF-8 or GB18030.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Keep a statement sealed and say what it would do; it is taken in when another person agrees."""
    content = file.read_bytes()

    found = in_city(data, lambda services: services.taking_in.ask(content, name=file.name, by=ACTOR))
    if isinstance(found, tuple):
        _told(as_json, *found)
        return
    plain = {"file": found.file, "known": found.known, "counts": found.counts, "lines": found.lines,
             "gaps": found.gaps}  # fmt: skip
    show(as_json, plain, lambda: _lines(found))


@app.command()
def held(data: Data = None, as_json: Json = False) -> None:
    """Statements that wait for a second person, oldest first."""
    found = in_city(data, lambda services: services.taking_in.held())
    plain = [{"request": one.id, "asked_by": one.requested_by, "expires_at": one.expires_at, "name": one.subject,
              **one.payload} for one in found]  # fmt: skip
    show(as_json, plain, lambda: rows(("hash", "name", "rows", "in", "out", "would pay", "by", "request"), [
        (one.payload["hash"], one.subject, one.payload["lines"], _yuan(one.payload["in_fen"]),
         _yuan(one.payload["out_fen"]), _yuan(one.payload["amount_fen"]), one.requested_by, one.id) for one in found
    ], right=("rows", "in", "out", "would pay")))  # fmt: skip


@app.command()
def look(
    file_hash: Annotated[str, typer.Argument(help="SHA-256 of a statement that waits.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a statement that waits would do, row by row."""
    _told(as_json, *in_city(data, lambda services: services.taking_in.look(file_hash)))


def _told(as_json: bool, asked: Any, outlook: Any) -> None:
    """What waits, and who is needed."""
    file = outlook.file
    plain = {"request": asked.id, "state": asked.state, "file": file, "in_fen": outlook.in_fen,
             "out_fen": outlook.out_fen, "pays": outlook.pays, "pays_fen": outlook.pays_fen, "counts": outlook.counts,
             "lines": outlook.lines}  # fmt: skip
    show(as_json, plain, lambda: rows(("row", "side", "yuan", "would", "why", "remark"), [
        (line.row, line.direction or "", format_fen(line.amount_fen or 0), line.would, line.why, line.remark)
        for line in outlook.lines
    ], right=("yuan",)))  # fmt: skip
    if not as_json:
        show(False, None, lambda: pairs({
            "SHA-256": file.hash, "日期 days": f"{file.since or '—'} – {file.until or '—'}",
            "收 in": _yuan(outlook.in_fen), "付 out": _yuan(outlook.out_fen),
            "余额 balance": f"{_yuan(file.opening_fen) or '—'} → {_yuan(file.closing_fen) or '—'}",
            "将付讫订单 would pay": f"{outlook.pays} · {_yuan(outlook.pays_fen)}",
            "下一步 next": "尚未入账，须由另一人同意 · nothing is taken in until another person agrees"
                           f" · shanhe approvals approve {asked.id} --by NAME",
        }))  # fmt: skip


@app.command()
def report(
    file_hash: Annotated[str, typer.Argument(help="SHA-256 of the statement.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a statement did, row by row."""
    found = in_city(data, lambda services: services.bank.statements.report(file_hash))
    plain = {"file": found.file, "counts": found.counts, "lines": found.lines, "gaps": found.gaps}
    show(as_json, plain, lambda: _lines(found))


@app.command()
def statements(data: Data = None, as_json: Json = False) -> None:
    """Uploaded statements, newest first."""
    found = in_city(data, lambda services: services.bank.statements.files())
    show(as_json, found, lambda: rows(("hash", "name", "since", "until", "opening", "closing", "rows", "by", "at"), [
        (file.hash[:16], file.name, file.since or "", file.until or "", _yuan(file.opening_fen),
         _yuan(file.closing_fen), file.lines, file.uploaded_by, file.uploaded_at) for file in found
    ], right=("opening", "closing", "rows")))  # fmt: skip


@app.command()
def gaps(data: Data = None, as_json: Json = False) -> None:
    """Days that are missing: a statement doesn't begin with the balance that the one before it ends with."""
    found = in_city(data, lambda services: services.bank.statements.gaps())
    show(as_json, found, lambda: rows(("since", "until", "yuan", "before", "after"), [
        (gap.since, gap.until, format_fen(gap.missing_fen), gap.before.name, gap.after.name) for gap in found
    ], right=("yuan",)))  # fmt: skip


@app.command()
def outgoing(data: Data = None, as_json: Json = False) -> None:
    """Refunds and payouts that somebody still has to send, with the reference for the remark."""
    found = in_city(data, lambda services: services.bank.outgoing())
    show(as_json, found, lambda: rows(("reference", "kind", "yuan", "since"), [
        (item.reference, item.kind, format_fen(item.amount_fen), item.created_at) for item in found
    ], right=("yuan",)))  # fmt: skip


@app.command()
def suspense(
    everything: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Money that no order accounts for."""

    async def work(services: Services) -> Any:
        from shanhe.payments.api import SuspenseState

        return await services.bank.suspense(None if everything else SuspenseState.OPEN)

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "kind", "yuan", "owner", "state"), [
        (item.id, item.kind, format_fen(item.amount_fen), item.owner, item.state) for item in found
    ], right=("yuan",)))  # fmt: skip


@app.command()
def assign(item: Item, owner: Annotated[str, typer.Argument()], data: Data = None, as_json: Json = False) -> None:
    """Name who looks after an item."""
    show(as_json, in_city(data, lambda services: services.bank.assign(item, owner, actor=ACTOR)), lambda: "✓")


@app.command("apply")
def apply_(
    item: Item,
    order: Annotated[UUID, typer.Argument(help="The waiting order.")],
    note: Note = "applied on the command line",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Pay a waiting order with an item."""
    show(as_json, in_city(data, lambda services: services.bank.apply(item, order, actor=ACTOR, note=note)), lambda: "✓")


@app.command("return")
def give_back(item: Item, note: Note, data: Data = None, as_json: Json = False) -> None:
    """Say that an item was sent back to its payer."""
    show(as_json, in_city(data, lambda services: services.bank.give_back(item, actor=ACTOR, note=note)), lambda: "✓")


@app.command()
def accept(item: Item, note: Note, data: Data = None, as_json: Json = False) -> None:
    """Say that what left for another account did go to its payee."""
    show(as_json, in_city(data, lambda services: services.bank.accept(item, actor=ACTOR, note=note)), lambda: "✓")


@app.command()
def explain(
    item: Item,
    posting: Annotated[
        list[UUID],
        typer.Argument(
            help="The posting that has its money already, those that have it together, or the"
            " bank's file of payouts that it sent in one sum."
        ),
    ],
    note: Note,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say which posting, or which together, have the money of an item already."""
    done = in_city(data, lambda services: services.bank.explain(item, posting, actor=ACTOR, note=note))
    show(as_json, done, lambda: "✓")


@app.command()
def resend(
    item: Item,
    note: Note,
    fee: Annotated[int, typer.Option(min=0, help="What the bank kept of it, in fen.")] = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Send what the bank returned of a refund or payout once more, under a new reference."""
    done = in_city(data, lambda services: services.bank.resend(item, actor=ACTOR, note=note, fee_fen=fee))
    show(as_json, done, lambda: "✓")


@app.command()
def book(
    item: Item,
    note: Note,
    as_: Annotated[
        str,
        typer.Option(
            "--as", help="charges, interest, tax, wechat, alipay, cash_desk or own; default: charges or interest."
        ),
    ] = "",
    fee: Annotated[int, typer.Option(min=0, help="What WeChat Pay or Alipay kept of it, in fen.")] = 0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Book an item as what it is where no order, refund or payout is behind it."""
    from shanhe.payments.api import BookAs

    if as_ and as_ not in tuple(BookAs):
        raise typer.BadParameter(f"{as_!r} is none of {', '.join(BookAs)}", param_hint="--as")
    booked_as = BookAs(as_) if as_ else None
    done = in_city(
        data, lambda services: services.bank.book(item, actor=ACTOR, note=note, booked_as=booked_as, fee_fen=fee)
    )
    show(as_json, done, lambda: "✓")


@app.command()
def balance(
    day: Annotated[str, typer.Argument(help="The evening of which day, like 2026-11-30.")],
    save: Annotated[Path | None, typer.Option(help="Write a .pdf, .xlsx or .csv, too.")] = None,
    language: Annotated[str, typer.Option(help="Language of the file: zh or en.")] = "zh",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """The bank's balance against the books' (银行存款余额调节表), with what explains the difference."""
    on = day_of(day)

    async def work(services: Services) -> Any:
        from shanhe.payments.api import balance_view

        found = balance_view(await services.bank.balances.on(on))
        await _written(services, found, save, language)
        return found

    found = in_city(data, work)
    show(as_json, found, lambda: _sheet(found))


@app.command()
def sheets(data: Data = None, as_json: Json = False) -> None:
    """Balances that were made for signing, the newest day first."""
    found = in_city(data, lambda services: services.bank.balances.kept())
    show(as_json, found, lambda: rows(("id", "day", "bank", "books", "unexplained", "made by", "signed by"), [
        (one.id, one.day, format_fen(one.bank_fen), format_fen(one.ledger_fen), format_fen(one.unexplained_fen),
         one.made_by, one.signed_by or "") for one in found
    ], right=("bank", "books", "unexplained")))  # fmt: skip


@app.command()
def sheet(
    sheet_id: Annotated[UUID, typer.Argument(help="Id of a sheet.")],
    save: Annotated[Path | None, typer.Option(help="Write a .pdf, .xlsx or .csv, too.")] = None,
    language: Annotated[str, typer.Option(help="Language of the file: zh or en.")] = "zh",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """One of them as it stood."""

    async def work(services: Services) -> Any:
        found = await services.bank.balances.get(sheet_id)
        await _written(services, found.sheet, save, language, found.made_by, found.signed_by or "")
        return found

    found = in_city(data, work)
    show(as_json, found, lambda: _sheet(found.sheet))


@app.command()
def sign(
    day: Annotated[str, typer.Argument(help="A day that is over, like 2026-11-30.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Keep the balance of a day as it stands, signed."""
    on = day_of(day)

    async def work(services: Services) -> Any:
        kept = await services.bank.balances.prepare(on, by=ACTOR)
        return await services.bank.balances.sign(kept.id, by=ACTOR)

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found.id}")


async def _written(
    services: Services, found: Any, save: Path | None, language: str, made: str = "", signed: str = ""
) -> None:
    from shanhe.kernel.documents import render
    from shanhe.payments.api import balance_document

    if save is not None:
        paper = balance_document(
            found, city_name=services.settings.city_name, account=services.bank.statements.account_number,
            language=language, made=made, signed=signed,
        )  # fmt: skip
        await asyncio.to_thread(save.write_bytes, await render(paper, save.suffix.lstrip(".")))


def _sheet(found: Any) -> Any:
    lines = [("银行余额 bank", "", "", "", format_fen(found["bank_fen"])),
             ("账面余额 books", "", "", "", format_fen(found["ledger_fen"]))]  # fmt: skip
    lines += [(one["side"], one["since"], one["age_days"], one["reference"] or one["what"],
               format_fen(one["amount_fen"])) for one in found["items"]]  # fmt: skip
    lines += [(f"缺对账单 no statement {gap['since']} – {gap['until']}", "", "", "", format_fen(gap["missing_fen"]))
              for gap in found["gaps"]]  # fmt: skip
    lines.append(("未能解释 unexplained", "", "", "", format_fen(found["unexplained_fen"])))
    return rows(("item", "since", "days", "of", "yuan"), lines, right=("days", "yuan"))


def _yuan(fen: int | None) -> str:
    return "" if fen is None else format_fen(fen)


def _lines(report: Any) -> Any:
    return rows(("row", "side", "yuan", "state", "why", "remark"), [
        (line.row, line.direction or "", format_fen(line.amount_fen or 0), line.state, line.why, line.remark)
        for line in report.lines
    ], right=("yuan",))  # fmt: skip
