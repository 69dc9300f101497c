"""What a maker earned: by day and by token, what refunds took back, what was paid out; as data and as a statement.

Everything is read from where it is booked: sums of calls by listing, postings of the income account, payouts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.kernel.clock import city_date
from shanhe.kernel.documents import Column, Document, Kind, Table
from shanhe.kernel.money import MICRO
from shanhe.kernel.words import STATES_ZH, booking
from shanhe.ledger.api import Asset
from shanhe.store.errors import BadListing
from shanhe.store.model import IncomeDay

if TYPE_CHECKING:
    from shanhe.gateway.api import Gateway
    from shanhe.kernel.clock import Clock
    from shanhe.ledger.api import Ledger
    from shanhe.store.service import Store

DAYS: Final = 30
DAYS_MAX: Final = 366
LINES_MAX: Final = 100_000
TOKENS: Final = 1_000
REVERSAL: Final = "reversal"
Payouts = Callable[[UUID], Awaitable[Sequence["Paid"]]]
"""What an organisation had paid out, newest first."""


def period(clock: Clock, first: date | None, last: date | None) -> tuple[date, date]:
    """The days asked for, the last 30 unless said otherwise."""
    end = last or clock.today()
    return first or end - timedelta(days=DAYS - 1), end


@dataclass(frozen=True, slots=True)
class TokenDay:
    """A listing's day: calls and tokens of its users, what they paid, and the maker's part, µ."""

    day: date
    resource: str
    calls: int
    tokens: int
    paid_micro: int
    earned_micro: int

    @property
    def per_thousand_micro(self) -> int | None:
        """Earned by a thousand tokens; None where none flowed (a tool's fee)."""
        return self.earned_micro * TOKENS // self.tokens if self.tokens else None


@dataclass(frozen=True, slots=True)
class Moved:
    """A posting on the income account."""

    at: datetime
    posting: UUID
    kind: str
    amount_micro: int
    balance_micro: int


@dataclass(frozen=True, slots=True)
class Paid:
    """A payout: cash for income."""

    id: UUID
    at: datetime
    state: str
    amount_micro: int
    net_fen: int | None


@dataclass(frozen=True, slots=True)
class Earned:
    """A maker's days. `earned` without refunds; `refunds` are negative."""

    first: date
    last: date
    days: tuple[TokenDay, ...]
    refunds: tuple[Moved, ...]
    payouts: tuple[Paid, ...]
    earned_micro: int
    refunded_micro: int
    balance_micro: int

    @property
    def tokens(self) -> int:
        return sum(one.tokens for one in self.days)


class Earnings:
    """Reads what makers earned. `payouts` asks payments."""

    def __init__(self, shop: Store, gateway: Gateway, ledger: Ledger, *, payouts: Payouts) -> None:
        self._shop = shop
        self._gateway = gateway
        self._ledger = ledger
        self._payouts = payouts

    async def of(self, owner: UUID, first: date, last: date) -> Earned:
        """Days, refunds and payouts between two dates, both included. BadListing for a period that is none."""
        _check(first, last)
        income = [one for one in await self._gateway.earned(owner, first, last) if one.resource]
        mine: dict[tuple[date, str], int] = {}
        for one in income:
            mine[one.day, one.resource] = mine.get((one.day, one.resource), 0) + one.amount_micro
        used = {
            (one.day, one.resource): one
            for one in await self._gateway.through_by_day(sorted({name for _, name in mine}), first, last)
        }
        days = []
        for (day, name), amount in mine.items():
            use = used.get((day, name))
            calls, tokens, paid = (0, 0, 0) if use is None else (use.calls, use.tokens, use.amount_micro)
            days.append(TokenDay(day, name, calls, tokens, paid, amount))
        days.sort(key=lambda one: (-one.day.toordinal(), one.resource))
        refunds = [line for line in await self._lines(owner, first, last) if line.kind == REVERSAL]
        payouts = [one for one in await self._payouts(owner) if first <= city_date(one.at) <= last]
        account = await self._ledger.ensure_account(owner, Asset.CREDIT, "income")
        return Earned(
            first, last, tuple(days), tuple(reversed(refunds)), tuple(payouts), sum(one.earned_micro for one in days),
            sum(one.amount_micro for one in refunds), (await self._ledger.balance(account.id)).balance,
        )  # fmt: skip

    async def by_role(self, owner: UUID, first: date, last: date) -> list[IncomeDay]:
        """What an organisation earned by day and listing, newest first, with what refunds took back."""
        _check(first, last)
        earned = await self._gateway.earned(owner, first, last)
        days = [IncomeDay(one.day, one.role, one.resource, one.calls, one.amount_micro) for one in earned]
        back: dict[date, list[int]] = {}
        account = await self._ledger.ensure_account(owner, Asset.CREDIT, "income")
        read = 0
        async for line in self._ledger.stream_statement(account.id, first, last):
            read += 1
            if read > LINES_MAX:
                break
            if line.kind == REVERSAL:
                sums = back.setdefault(city_date(line.at), [0, 0])
                sums[0] += 1
                sums[1] += line.amount
        days += [IncomeDay(day, REVERSAL, "", calls, amount) for day, (calls, amount) in back.items()]
        return sorted(days, key=lambda one: (-one.day.toordinal(), one.resource, one.role))

    async def _lines(self, owner: UUID, first: date, last: date) -> list[Moved]:
        account = await self._ledger.ensure_account(owner, Asset.CREDIT, "income")
        found: list[Moved] = []
        async for line in self._ledger.stream_statement(account.id, first, last):
            if len(found) >= LINES_MAX:
                raise BadListing("period", "too many postings; ask for fewer days", "入账过多，请缩短期间")
            found.append(Moved(line.at, line.posting, line.kind, line.amount, line.balance))
        return found

    async def statement(self, owner: UUID, first: date, last: date, *, name: str, language: str) -> Document:
        """The same for accountants, with every posting of the income account."""
        earned, lines = await self.of(owner, first, last), await self._lines(owner, first, last)
        return paper(earned, lines, name=name, zh=language.startswith("zh"))


def paper(earned: Earned, lines: Sequence[Moved], *, name: str, zh: bool) -> Document:
    """A statement of a maker's income as a document."""

    def word(chinese: str, english: str) -> str:
        return chinese if zh else english

    figure, states = Kind.FIGURE, STATES_ZH if zh else {}
    by_day = Table(
        word("按日与词元", "By day and token"),
        (Column(word("日期", "Day")), Column(word("上架项", "Listing"), width=2), Column(word("调用", "Calls"), figure),
         Column(word("词元", "Tokens"), figure), Column(word("用户支付", "Users paid"), figure, 2),
         Column(word("收入", "Earned"), figure, 2)),
        tuple((one.day, one.resource, one.calls, one.tokens, credits(one.paid_micro), credits(one.earned_micro))
              for one in earned.days),
        (word("合计", "Total"), "", sum(one.calls for one in earned.days), earned.tokens,
         credits(sum(one.paid_micro for one in earned.days)), credits(earned.earned_micro)),
    )  # fmt: skip
    postings = Table(
        word("收入账户入账", "Postings of the income account"),
        (
            Column(word("时间", "At"), width=2),
            Column(word("类型", "Kind")),
            Column(word("入账编号", "Posting"), width=3),
            Column(word("金额", "Amount"), figure, 2),
            Column(word("余额", "Balance"), figure, 2),
        ),
        tuple(
            (
                one.at,
                booking(one.kind)[0 if zh else 1],
                str(one.posting),
                credits(one.amount_micro),
                credits(one.balance_micro),
            )
            for one in lines
        ),
    )
    payouts = Table(
        word("提现", "Payouts"),
        (Column(word("时间", "At"), width=2), Column(word("状态", "State")), Column(word("积分", "Credits"), figure, 2),
         Column(word("到账（元）", "Paid (CNY)"), figure, 2)),
        tuple((one.at, states.get(one.state, one.state), credits(one.amount_micro),
               None if one.net_fen is None else yuan(one.net_fen))
              for one in earned.payouts),
    )  # fmt: skip
    return Document(
        title=word("开发者收入对账单", "Statement of a maker's income"), subtitle=name, issued_on=earned.last,
        language="zh" if zh else "en", tables=(by_day, postings, payouts),
        facts=(
            (word("期间", "Period"), f"{earned.first} – {earned.last}"),
            (word("收入（积分）", "Earned (credits)"), f"{credits(earned.earned_micro):,}"),
            (word("退款（积分）", "Refunded (credits)"), f"{credits(earned.refunded_micro):,}"),
            (word("账户余额（积分）", "Balance (credits)"), f"{credits(earned.balance_micro):,}"),
        ),
        notes=(word("收入过待结算期可用；退款冲正原入账。", "Income waits before it is usable; refunds reverse it."),),
    )  # fmt: skip


def credits(micro: int) -> Decimal:
    """Credits with six decimals."""
    return Decimal(micro).scaleb(-6).quantize(Decimal(1) / MICRO)


def yuan(fen: int) -> Decimal:
    """Yuan with two decimals."""
    return Decimal(fen).scaleb(-2).quantize(Decimal("0.01"))


def view(earned: Earned) -> Mapping[str, Any]:
    """Plain data."""
    days = [{**asdict(one), "per_thousand_micro": one.per_thousand_micro} for one in earned.days]
    return {**asdict(earned), "days": days, "tokens": earned.tokens}


def _check(first: date, last: date) -> None:
    if not first <= last <= first + timedelta(days=DAYS_MAX):
        raise BadListing("period", f"at most {DAYS_MAX} days", f"不超过 {DAYS_MAX} 天")
