"""The ledger over HTTP, for operators: accounts, postings, trial balance, verify, periods, statements (JSON and CSV).

Auditors read; only who may also change accounts may ask to reverse, to close a period or to take over opening
balances, and another one agrees.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, Protocol
from uuid import UUID

import msgspec
from fastapi import Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from shanhe.kernel import memos
from shanhe.kernel.asking import asked_view
from shanhe.kernel.documents import BOM, csv_line
from shanhe.kernel.errors import Invalid
from shanhe.kernel.http import as_json, sheet
from shanhe.kernel.routing import APIRouter
from shanhe.kernel.words import booking
from shanhe.ledger.api import (
    CHART,
    Account,
    Asset,
    Ledger,
    PeriodRow,
    PostingView,
    StatementLine,
    TrialRow,
    VoucherLine,
)

PERMISSION: Final = "ledger"
CHANGE_PERMISSION: Final = "accounts"
PAGE_MAX: Final = 500
STATEMENT_DAYS_MAX: Final = 3660
CSV_HEAD: Final = ("time", "posting", "transfer", "kind", "memo", "counterpart", "amount", "balance")

PERIOD_HEAD: Final = (
    "account", "asset", "kind", "owner", "name", "opening_debit", "opening_credit", "debits", "credits",
    "closing_debit", "closing_credit",
)  # fmt: skip
VOUCHER_HEAD: Final = (
    "day", "voucher", "memo", "kind", "owner", "name", "voucher_debit", "voucher_credit", "posting", "actor"
)  # fmt: skip
TRIAL_HEAD: Final = ("account", "asset", "kind", "owner", "name", "debits", "credits", "balance")

Language = Literal["zh", "zh-CN", "en"]
Page = Annotated[int, Query(ge=1, le=PAGE_MAX)]


def _account(account: Account) -> dict[str, Any]:
    return msgspec.structs.asdict(account)


def view_of(posting: PostingView) -> dict[str, Any]:
    """A posting as plain data; evidence as JSON where it is."""
    plain = msgspec.structs.asdict(posting)
    evidence = posting.evidence
    try:
        plain["evidence"] = msgspec.json.decode(evidence) if evidence else None
    except msgspec.DecodeError:
        plain["evidence"] = evidence.hex() if evidence else None
    return plain


class Asks(Protocol):
    """Asking a second person to agree; each gives the request."""

    async def ask_reversal(self, posting: UUID, reason: str, *, by: str) -> Any: ...
    async def ask_close(self, through: date, *, by: str) -> Any: ...
    async def ask_opening(self, raw: bytes, *, by: str) -> Any: ...
    async def unfinished(self, through: date) -> Sequence[Any]: ...


def _asked(asked: Any) -> Response:
    return as_json(asked_view(asked), 202)


def router(ledger: Ledger, require: Callable[[str], Any], asks: Asks) -> APIRouter:
    """Routes under `/api/ledger`; `require(permission)` is a FastAPI dependency that yields the actor."""
    routes = APIRouter(prefix="/api/ledger", tags=["ledger"], dependencies=[Depends(require(PERMISSION))])
    changer = require(CHANGE_PERMISSION)
    _accounts(routes, ledger)
    _postings(routes, ledger, changer, asks)
    _periods(routes, ledger, changer, asks)
    _statements(routes, ledger)
    return routes


def _accounts(routes: APIRouter, ledger: Ledger) -> None:
    @routes.get("/chart")
    async def chart() -> Response:
        return as_json(CHART)

    @routes.get("/accounts")
    async def accounts(
        owner: UUID | None = None, asset: Asset | None = None, kind: str | None = None, after: UUID | None = None,
        limit: Page = 100,
    ) -> Response:  # fmt: skip
        found = await ledger.accounts(owner=owner, asset=asset, kind=kind, after=after, limit=limit)
        following = found[-1].account.id if len(found) == limit else None
        return as_json({"items": found, "next": following})

    @routes.get("/accounts/{account_id}")
    async def account(account_id: UUID, before: UUID | None = None, limit: Page = 200) -> Response:
        """With its lots in burn order; `next` names the lot `before` which to ask for the following ones."""
        known, balance = await ledger.account(account_id), await ledger.balance(account_id)
        lots = await ledger.lots(account_id, before=before, limit=limit)
        following = lots[-1].id if len(lots) == limit else None
        return as_json({"account": _account(known), "balance": balance, "lots": lots, "next": following})

    @routes.get("/trial-balance")
    async def trial_balance() -> Response:
        return as_json({"items": await ledger.trial_balance()})

    @routes.get("/trial-balance.csv")
    async def trial_balance_csv() -> Response:
        """Every account with its debits, credits and balance, as a sheet."""
        return sheet(trial_csv(await ledger.trial_balance()), "trial-balance")

    @routes.post("/verify")
    async def verify() -> Response:
        report = await ledger.verify()
        return as_json({"clean": report.clean, **msgspec.structs.asdict(report)})


def _postings(routes: APIRouter, ledger: Ledger, changer: Any, asks: Asks) -> None:
    @routes.get("/postings")
    async def postings(
        account: UUID | None = None, kind: str | None = None, since: datetime | None = None,
        until: datetime | None = None, cursor: str | None = None, limit: Page = 50,
    ) -> Response:  # fmt: skip
        for instant in (since, until):
            if instant is not None and instant.tzinfo is None:
                raise Invalid("time_without_zone", "Write times with a zone, like 2026-11-20T10:00:00+08:00.")
        page = await ledger.postings(account=account, kind=kind, since=since, until=until, cursor=cursor, limit=limit)
        return as_json({"items": [view_of(one) for one in page.items], "next": page.next})

    @routes.get("/postings/{posting_id}")
    async def posting(posting_id: UUID) -> Response:
        return as_json(view_of(await ledger.posting(posting_id)))

    @routes.post("/postings/{posting_id}/reverse", status_code=202)
    async def reverse(posting_id: UUID, body: dict[str, str], actor: Any = Depends(changer)) -> Response:
        """Ask for a posting's mirror image; another operator agrees, then it is booked."""
        reason = body.get("reason", "").strip()
        if not reason:
            raise Invalid("reason_missing", "A reversal needs a `reason`.", message_zh="冲正须写明原因（reason）。")
        return _asked(await asks.ask_reversal(posting_id, reason[:500], by=actor.ref))


def _periods(routes: APIRouter, ledger: Ledger, changer: Any, asks: Asks) -> None:
    @routes.get("/periods/last")
    async def opening_balances(through: date | None = None) -> Response:
        """Balances carried over from the last close, or from that of `through`, by account."""
        found = await ledger.opening_balances(through)
        return as_json({"items": [{"account": account, "balance": balance} for account, balance in found.items()]})

    @routes.get("/periods/last.csv")
    async def closing_balances_csv(through: date | None = None) -> Response:
        """Every account with what it stood at on the evening of the last close, or of that of `through`, as a sheet."""
        through = through or await ledger.closed_through()
        kept = await ledger.opening_balances(through)
        known = await ledger.accounts_of(kept)
        return sheet(
            closed_csv([(known[one], balance) for one, balance in kept.items()]),
            f"closed-{through}" if through else "closed",
        )

    @routes.get("/periods/unfinished")
    async def unfinished(through: date) -> Response:
        """What of the days up to `through` is still open: money in suspense, differences, what waits for somebody."""
        return as_json({"items": [asdict(one) for one in await asks.unfinished(through)]})

    @routes.post("/periods", status_code=202)
    async def close(body: dict[str, date], actor: Any = Depends(changer)) -> Response:
        """Ask to refuse postings dated up to `through` from then on; another operator agrees, then it is closed."""
        through = body.get("through")
        if through is None:
            raise Invalid(
                "through_missing", "Say the last day to close as `through`.", message_zh="须写明关账截止日（through）。"
            )
        return _asked(await asks.ask_close(through, by=actor.ref))

    @routes.post("/opening", status_code=202)
    async def open_books(request: Request, actor: Any = Depends(changer)) -> Response:
        """Ask to take over opening balances in one posting; another operator agrees. The same `id` books once."""
        return _asked(await asks.ask_opening(await request.body(), by=actor.ref))


def _statements(routes: APIRouter, ledger: Ledger) -> None:
    @routes.get("/period")
    async def period(since: date, until: date, asset: Asset | None = None) -> Response:
        """Every account over some days: balance before, debits, credits (科目余额表), in the smallest unit."""
        _check_days(since, until)
        return as_json({"items": await ledger.period(since, until, asset)})

    @routes.get("/period.csv")
    async def period_csv(
        since: date, until: date, asset: Asset | None = None, language: Language | None = None
    ) -> Response:
        """The same as a sheet, each balance on its side, in whole units."""
        _check_days(since, until)
        return sheet(_period_csv(await ledger.period(since, until, asset), language), f"period-{since}-{until}")

    @routes.get("/vouchers")
    async def vouchers(since: date, until: date, asset: Asset = Asset.CNY) -> Response:
        """What was booked on some days, a line a transfer, numbered by month (记账凭证)."""
        _check_days(since, until)
        return as_json({"items": await ledger.vouchers(since, until, asset)})

    @routes.get("/vouchers.csv")
    async def vouchers_csv(
        since: date, until: date, asset: Asset = Asset.CNY, language: Language | None = None
    ) -> Response:
        """The same as a sheet: a line for each side of a transfer, in whole units."""
        _check_days(since, until)
        lines = await ledger.vouchers(since, until, asset)
        known = await ledger.accounts_of({one for line in lines for one in (line.debit, line.credit)})
        return sheet(_vouchers_csv(lines, known, language), f"vouchers-{since}-{until}")

    @routes.get("/accounts/{account_id}/statement")
    async def statement(
        account_id: UUID, since: date, until: date, cursor: str | None = None, limit: Page = 200
    ) -> Response:
        _check_days(since, until)
        return as_json(await ledger.statement(account_id, since, until, cursor=cursor, limit=limit))

    @routes.get("/accounts/{account_id}/statement.csv")
    async def statement_csv(
        account_id: UUID, since: date, until: date, language: Language | None = None
    ) -> StreamingResponse:
        """Every transfer of an account with the balance after it, as a sheet; with a `language` what postings are and
        say is in its words."""
        _check_days(since, until)
        account = await ledger.account(account_id)
        lines = ledger.stream_statement(account_id, since, until)
        name = f"statement-{account_id}-{since}-{until}.csv"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(
            csv_of(account, lines, language), media_type="text/csv; charset=utf-8", headers=headers
        )


def _check_days(since: date, until: date) -> None:
    if not 0 <= (until - since).days <= STATEMENT_DAYS_MAX:
        raise Invalid(
            "period_invalid", f"`until` must be 0 to {STATEMENT_DAYS_MAX} days after `since`.",
            message_zh="结束日期须不早于开始日期，且不超过十年。",
        )  # fmt: skip


async def trial_csv(rows: Sequence[TrialRow]) -> AsyncIterator[str]:
    """A trial balance as CSV, in whole units. Owners by id, never by name: a file outlives an erasure."""
    yield BOM + csv_line(TRIAL_HEAD)
    for row in rows:
        account, digits = row.account, _places(row.account.asset)
        amounts = (Decimal(amount).scaleb(-digits) for amount in (row.debits, row.credits, row.balance))
        yield csv_line((str(account.id), str(account.asset), account.kind, str(account.owner), account.name, *amounts))


async def closed_csv(rows: Sequence[tuple[Account, int]]) -> AsyncIterator[str]:
    """Balances of the evening of a close as CSV, in whole units; owners by id."""
    yield BOM + csv_line((*TRIAL_HEAD[:5], TRIAL_HEAD[-1]))
    for account, balance in sorted(rows, key=lambda row: (row[0].asset, row[0].kind, row[0].name, row[0].id)):
        whole = Decimal(balance).scaleb(-_places(account.asset))
        yield csv_line((str(account.id), str(account.asset), account.kind, str(account.owner), account.name, whole))


async def csv_of(
    account: Account, lines: AsyncIterator[StatementLine], language: str | None = None
) -> AsyncIterator[str]:
    """A statement as CSV, with a byte-order mark so that spreadsheets read the Chinese; kinds and memos as they stand,
    for programs, where nobody asks for a language."""
    digits = _places(account.asset)
    yield BOM + csv_line(CSV_HEAD)
    async for line in lines:
        amounts = (Decimal(amount).scaleb(-digits) for amount in (line.amount, line.balance))
        yield csv_line((
            line.at.isoformat(), str(line.posting), str(line.transfer), *_told(line, language), str(line.counterpart),
            *amounts,
        ))  # fmt: skip


async def _period_csv(rows: Sequence[PeriodRow], language: str | None) -> AsyncIterator[str]:
    """Balances on the side where they stand; owners by id, never by name: a file outlives an erasure."""
    yield BOM + csv_line(PERIOD_HEAD)
    for row in rows:
        account, digits = row.account, _places(row.account.asset)
        sides = (*_sides(row.opening), row.debits, row.credits, *_sides(row.closing))
        amounts = (Decimal(amount).scaleb(-digits) for amount in sides)
        kind = _title(account.kind, language)
        yield csv_line((str(account.id), str(account.asset), kind, str(account.owner), account.name, *amounts))


async def _vouchers_csv(
    lines: Sequence[VoucherLine], known: Mapping[UUID, Account], language: str | None
) -> AsyncIterator[str]:
    yield BOM + csv_line(VOUCHER_HEAD)
    for line in lines:
        memo = line.memo if language is None else memos.said(line.memo, language)
        for side, (debit, credit) in ((line.debit, (line.amount, 0)), (line.credit, (0, line.amount))):
            account = known[side]
            whole = (Decimal(one).scaleb(-_places(account.asset)) if one else "" for one in (debit, credit))
            yield csv_line((
                line.day, f"记-{line.number:04d}", memo or line.kind, _title(account.kind, language),
                str(account.owner), account.name, *whole, str(line.posting), line.actor,
            ))  # fmt: skip


def _sides(balance: int) -> tuple[int, int]:
    """A balance as (debit, credit)."""
    return (-balance, 0) if balance < 0 else (0, balance)


def _title(kind: str, language: str | None) -> str:
    """What the chart calls an account; its own word where nobody asks for a language, or the chart lacks it."""
    entry = next((one for one in CHART if one.kind == kind), None) if language is not None else None
    return kind if entry is None else entry.title_zh if str(language).startswith("zh") else entry.title_en


def _told(line: StatementLine, language: str | None) -> tuple[str, str]:
    if language is None:
        return line.kind, line.memo
    kind = booking(line.kind)[0 if language.startswith("zh") else 1]
    return kind, memos.said(line.memo, language)


def _places(asset: Asset) -> int:
    """How many places of what is booked stand behind the point of one of an asset."""
    return 6 if asset is Asset.CREDIT else 2 if asset is Asset.CNY else 0
