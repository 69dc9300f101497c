"""`shanhe ledger`: verify, look at accounts and postings, reverse, close a period, open the books."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import msgspec
import typer

from shanhe.cli.common import ACTOR, REFUSED, Data, Json, day_of, in_city, pairs, rows, show
from shanhe.kernel.memos import said
from shanhe.settings import language

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.ledger.api import (
        Account,
        AccountView,
        PostingPage,
        PostingView,
        Statement,
        TrialRow,
        VerifyReport,
    )

PAGE_MAX = 500

PostingId = Annotated[UUID, typer.Argument(help="Id of the posting; a receipt's id is its posting's.")]
Limit = Annotated[int, typer.Option(min=1, max=PAGE_MAX, help="How many at most.")]

app = typer.Typer(no_args_is_help=True)


@app.command()
def verify(data: Data = None, as_json: Json = False) -> None:
    """Recompute balances, lots and holds from the transfers; exit code 1 when anything is off."""
    report = in_city(data, lambda services: services.ledger.verify())
    plain = {"clean": report.clean, "accounts": report.accounts, "transfers": report.transfers, "lots": report.lots,
             "findings": report.findings}  # fmt: skip
    show(as_json, plain, lambda: _shown(report))
    if not report.clean:
        raise SystemExit(REFUSED)


def _shown(report: VerifyReport) -> object:
    if report.clean:
        return f"✓ 账目无误 · clean: {report.accounts} accounts, {report.transfers} transfers, {report.lots} lots"
    lines = [(f.invariant, f.subject, f.expected, f.found) for f in report.findings]
    return rows(("✗ invariant", "subject", "expected", "found"), lines, right=("expected", "found"))


@app.command("trial-balance")
def trial_balance(data: Data = None, as_json: Json = False) -> None:
    """Debits, credits and balance of every account."""

    async def work(services: Services) -> list[TrialRow]:
        return list(await services.ledger.trial_balance())

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("asset", "kind", "name", "debits", "credits", "balance"), [
        (r.account.asset, r.account.kind, r.account.name, r.debits, r.credits, r.balance) for r in found
    ], right=("debits", "credits", "balance")))  # fmt: skip


@app.command()
def chart(as_json: Json = False) -> None:
    """The chart of accounts: every kind with its side."""
    from shanhe.ledger.api import CHART

    show(as_json, CHART, lambda: rows(("kind", "side", "科目", "account"), [
        (entry.kind, entry.side, entry.title_zh, entry.title_en) for entry in CHART
    ]))  # fmt: skip


@app.command()
def accounts(
    owner: Annotated[UUID | None, typer.Option(help="Only those of this owner.")] = None,
    asset: Annotated[str, typer.Option(help="credit, cny, …")] = "",
    kind: Annotated[str, typer.Option(help="A kind of the chart, like wallet.")] = "",
    after: Annotated[UUID | None, typer.Option(help="Continue after this account.")] = None,
    limit: Limit = 100,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Accounts with their balances, in the asset's smallest unit."""
    from shanhe.ledger.api import Asset

    if asset and asset not in tuple(Asset):
        raise typer.BadParameter(f"{asset!r} is none of {', '.join(Asset)}", param_hint="--asset")

    async def work(services: Services) -> list[AccountView]:
        wanted = Asset(asset) if asset else None
        return await services.ledger.accounts(owner=owner, asset=wanted, kind=kind or None, after=after, limit=limit)

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "asset", "kind", "name", "balance", "held"), [
        (v.account.id, v.account.asset, v.account.kind, v.account.name, v.balance, v.held) for v in found
    ], right=("balance", "held")))  # fmt: skip


@app.command()
def statement(
    account: Annotated[UUID, typer.Argument(help="Id of the account.")],
    since: Annotated[str, typer.Option(help="First day, like 2026-11-01.")],
    until: Annotated[str, typer.Option(help="Last day.")],
    cursor: Annotated[str, typer.Option(help="`next` of the page before.")] = "",
    limit: Limit = 200,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Transfers of an account between two days with the running balance."""
    first, last = day_of(since), day_of(until)

    async def work(services: Services) -> Statement:
        return await services.ledger.statement(account, first, last, cursor=cursor or None, limit=limit)

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("time", "posting", "kind", "amount", "balance"), [
        (line.at, line.posting, line.kind, line.amount, line.balance) for line in found.lines
    ], right=("amount", "balance")))  # fmt: skip


@app.command()
def postings(
    account: Annotated[UUID | None, typer.Option(help="Only those that touch this account.")] = None,
    kind: Annotated[str, typer.Option(help="Like call, purchase, reversal.")] = "",
    cursor: Annotated[str, typer.Option(help="`next` of the page before.")] = "",
    limit: Limit = 50,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Postings, newest first."""

    async def work(services: Services) -> PostingPage:
        return await services.ledger.postings(account=account, kind=kind or None, cursor=cursor or None, limit=limit)

    page = in_city(data, work)
    plain = {"items": [_plain(one) for one in page.items], "next": page.next}
    show(as_json, plain, lambda: rows(("id", "time", "kind", "actor", "memo"), [
        (one.id, one.at, one.kind, one.actor, said(one.memo, language())) for one in page.items
    ]))  # fmt: skip


def _plain(posting: PostingView) -> dict[str, Any]:
    """A posting with its evidence as JSON where it is."""
    plain = msgspec.structs.asdict(posting)
    try:
        plain["evidence"] = msgspec.json.decode(posting.evidence) if posting.evidence else None
    except msgspec.DecodeError:
        plain["evidence"] = posting.evidence.hex() if posting.evidence else None
    return plain


@app.command()
def posting(posting_id: PostingId, data: Data = None, as_json: Json = False) -> None:
    """One posting: transfers, lots and the evidence it was made by."""
    found = in_city(data, lambda services: services.ledger.posting(posting_id))
    show(as_json, _plain(found), lambda: pairs({
        "id": found.id, "kind": found.kind, "time": found.at, "actor": found.actor,
        "memo": said(found.memo, language()),
        "reverses": found.reverses or "", "lots": "\n".join(f"{d.lot} {d.amount:+}" for d in found.lots),
        "transfers": "\n".join(f"{t.debit} → {t.credit} {t.amount}" for t in found.transfers),
    }))  # fmt: skip


@app.command()
def reverse(
    posting_id: PostingId,
    reason: Annotated[str, typer.Option(help="Why, for the books.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Undo a posting by a new one; both stay visible."""
    done = in_city(data, lambda services: services.ledger.reverse(posting_id, actor=ACTOR, reason=reason))
    show(as_json, {"id": done.id, "reverses": posting_id}, lambda: f"✓ {done.id}")


@app.command("close-period")
def close_period(
    through: Annotated[str, typer.Argument(help="Last day to close, like 2026-10-31.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Refuse postings dated up to a day, from now on, and keep every balance of that evening."""
    last = day_of(through)

    async def work(services: Services) -> None:
        await services.ledger.close_period(last, actor=ACTOR)

    in_city(data, work)
    show(as_json, {"closed_through": last}, lambda: f"✓ 已关账至 closed through {last}")


@app.command()
def unfinished(
    through: Annotated[str, typer.Argument(help="Last day to close, like 2026-10-31.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What is still open before a close: money in suspense, differences, days not compared, what waits for somebody."""
    last = day_of(through)
    found = in_city(data, lambda services: services.moves.unfinished(last))
    show(as_json, found, lambda: rows(
        ("kind", "count", "since"), [(one.kind, one.count, one.since) for one in found], right=("count",)
    ) if found else f"✓ 截至 {last} 没有未了事项 · nothing is open up to {last}")  # fmt: skip


@app.command()
def period(
    since: Annotated[str, typer.Argument(help="First day, like 2026-11-01.")],
    until: Annotated[str, typer.Argument(help="Last day.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Every account over some days: balance before, debits, credits, balance after (科目余额表)."""
    first, last = day_of(since), day_of(until)
    found = in_city(data, lambda services: services.ledger.period(first, last))
    show(as_json, found, lambda: rows(("asset", "kind", "name", "opening", "debits", "credits", "closing"), [
        (r.account.asset, r.account.kind, r.account.name, r.opening, r.debits, r.credits, r.closing) for r in found
    ], right=("opening", "debits", "credits", "closing")))  # fmt: skip


@app.command()
def vouchers(
    since: Annotated[str, typer.Argument(help="First day, like 2026-11-01.")],
    until: Annotated[str, typer.Argument(help="Last day.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What was booked in yuan on some days, a line a transfer, numbered by month (记账凭证); amounts in fen."""
    first, last = day_of(since), day_of(until)

    async def work(services: Services) -> Any:
        from shanhe.ledger.api import Asset

        return await services.ledger.vouchers(first, last, Asset.CNY)

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("day", "voucher", "kind", "debit", "credit", "amount"), [
        (one.day, one.number, one.kind, one.debit, one.credit, one.amount) for one in found
    ], right=("voucher", "amount")))  # fmt: skip


@app.command("opening-balances")
def opening_balances(
    through: Annotated[str, typer.Option(help="Of the close through this day (default: the last one).")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Balances that a closed period carried over, by account."""
    last: date | None = day_of(through) if through else None

    async def work(services: Services) -> Sequence[tuple[Account, int]]:
        carried = await services.ledger.opening_balances(last)
        return [(row.account, carried[row.account.id]) for row in await services.ledger.trial_balance()
                if row.account.id in carried]  # fmt: skip

    found = in_city(data, work)
    plain = [{"account": account.id, "balance": balance} for account, balance in found]
    show(as_json, plain, lambda: rows(("account", "asset", "kind", "name", "balance"), [
        (account.id, account.asset, account.kind, account.name, balance) for account, balance in found
    ], right=("balance",)))  # fmt: skip


@app.command("open-books")
def open_books(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="JSON with `id` and `entries`.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take over opening balances in one posting; the same `id` again books nothing twice."""
    from shanhe.ledger.api import read_opening

    posting_id, entries = read_opening(file.read_bytes())

    done = in_city(data, lambda services: services.ledger.open_books(entries, posting_id=posting_id, actor=ACTOR))
    show(as_json, {"id": done.id, "entries": len(entries)}, lambda: f"✓ {len(entries)} entries · {done.id}")
