"""Whether money is spread thin (撒胡椒面): a dilution index for each budget, and programmes below their critical mass.

Over a rolling window, x is what one recipient of one programme got and c the programme's critical mass (P9_dilution).
The index is Σ x·max(0, 1 − x/c) ÷ Σ x: the share of the money that reached somebody below the critical mass, each fen
counted by how far below; a gap index of Foster, Greer and Thorbecke (1984) weighted by money, 0 to 1. Beside it stand
the number of recipients, their effective number 1 ÷ Σ s² (the inverse Herfindahl index of their shares s), the median
and the share of money below. Pure, but for `Dilution`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Final, Protocol
from uuid import UUID

from shanhe.governance import store
from shanhe.governance.model import Duty
from shanhe.kernel.clock import Clock, add_months
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.rulebook.api import Rulebook, RuleNotInForce

RULE, PRICE_RULE, LIST_PRICE = "P9_dilution", "P1", "list_price_fen"
OTHER: Final = "other"
WHOLE_BPS: Final = 10_000
MICRO: Final = 1_000_000
EFFECTIVE_DIGITS: Final = 100
PRICED: Final = ("cny", "voucher", "credit")
TREND_POINTS: Final = {"month": 12, "quarter": 8}
MONTHS_A_QUARTER: Final = 3

Words = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BudgetCard:
    title: Words
    department: Words
    asset: str


@dataclass(frozen=True, slots=True)
class ProgrammeCard:
    title: Words
    rule: str


class Grant(Protocol):
    """What one posting moved from a budget to somebody; negative what came back."""

    @property
    def budget(self) -> str: ...
    @property
    def programme(self) -> str: ...
    @property
    def recipient(self) -> UUID: ...
    @property
    def amount(self) -> int: ...
    @property
    def on(self) -> date: ...


Paid = Callable[[date, date], Awaitable[Sequence[Grant]]]
"""Everything booked on days in [since, until)."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the rulebook says on a day; amounts in fen for each recipient and window."""

    critical_fen: Mapping[str, int]
    window_months: int
    least_recipients: int
    answer_days: int
    list_price_fen: int

    def critical(self, programme: str) -> int:
        return self.critical_fen.get(programme, self.critical_fen[OTHER])


@dataclass(frozen=True, slots=True)
class Spread:
    """How money was spread. `effective` in hundredths; `needs_fen`: what would bring every recipient up to c;
    `could_reach`: how many recipients the same money brings to c."""

    recipients: int
    total_fen: int
    effective: int
    median_fen: int
    below: int
    below_bps: int
    index_bps: int
    needs_fen: int
    could_reach: int


@dataclass(frozen=True, slots=True)
class BudgetSpread:
    budget: str
    card: BudgetCard
    spread: Spread


@dataclass(frozen=True, slots=True)
class ProgrammeSpread:
    """`thin`: the recipient in the middle stays below the programme's critical mass."""

    programme: str
    card: ProgrammeCard
    budgets: Sequence[str]
    critical_fen: int
    spread: Spread

    @property
    def thin(self) -> bool:
        return self.spread.recipients > 0 and self.spread.median_fen < self.critical_fen


@dataclass(frozen=True, slots=True)
class Report:
    """Of the window that ends with (and includes) `on`."""

    since: date
    on: date
    terms: Terms
    budgets: Sequence[BudgetSpread]
    programmes: Sequence[ProgrammeSpread]

    @property
    def thin(self) -> list[ProgrammeSpread]:
        return [one for one in self.programmes if one.thin]


def spread_of(units: Iterable[tuple[UUID, int, int]]) -> Spread:
    """From (recipient, fen, critical mass) of each recipient and programme; what came back in full counts nothing."""
    kept = [(who, fen, critical) for who, fen, critical in units if fen > 0]
    total = sum(fen for _, fen, _ in kept)
    if not total:
        return Spread(0, 0, 0, 0, 0, 0, 0, 0, 0)
    whose: dict[UUID, int] = {}
    for who, fen, _ in kept:
        whose[who] = whose.get(who, 0) + fen
    diluted = sum((Fraction(fen * (c - fen), c) for _, fen, c in kept if fen < c), Fraction(0))
    below = [(who, fen) for who, fen, c in kept if fen < c]
    most = max(c for _, _, c in kept)
    squares = sum(fen * fen for fen in whose.values())
    return Spread(
        len(whose), total, round(Fraction(total * total * EFFECTIVE_DIGITS, squares)), _median(list(whose.values())),
        len({who for who, _ in below}), round(Fraction(sum(fen for _, fen in below) * WHOLE_BPS, total)),
        round(diluted * WHOLE_BPS / total), sum(max(0, c - fen) for _, fen, c in kept), total // most if most else 0,
    )  # fmt: skip


def _median(values: list[int]) -> int:
    """The middle one, or half the sum of both, rounded half to even."""
    values.sort()
    half = len(values) // 2
    return values[half] if len(values) % 2 else round(Fraction(values[half - 1] + values[half], 2))


def units_of(grants: Iterable[Grant], assets: Mapping[str, str], terms: Terms) -> dict[tuple[str, str, UUID], int]:
    """Fen by (budget, programme, recipient). A clawback names no programme: it is taken from what its recipient got
    out of that budget, the largest first. Tickets and points have no price and are left out."""
    found: dict[tuple[str, str, UUID], int] = {}
    back: dict[tuple[str, UUID], int] = {}
    for grant in grants:
        asset = assets.get(grant.budget, "")
        if asset not in PRICED:
            continue
        if not grant.programme:
            back[grant.budget, grant.recipient] = back.get((grant.budget, grant.recipient), 0) - grant.amount
        else:
            key = (grant.budget, grant.programme, grant.recipient)
            found[key] = found.get(key, 0) + grant.amount
    for (budget, who), amount in back.items():
        for key in sorted((key for key in found if (key[0], key[2]) == (budget, who)), key=lambda key: -found[key]):
            taken = min(found[key], amount)
            found[key], amount = found[key] - taken, amount - taken
    return {key: _fen(amount, assets[key[0]], terms) for key, amount in found.items()}


def _fen(amount: int, asset: str, terms: Terms) -> int:
    return amount * terms.list_price_fen // MICRO if asset == "credit" else amount


class Dilution:
    """Read from the ledger whenever it is asked; nothing is kept."""

    def __init__(
        self, db: Database, clock: Clock, rulebook: Rulebook, *, paid: Paid, budgets: Mapping[str, BudgetCard],
        programmes: Mapping[str, ProgrammeCard],
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._rulebook = rulebook
        self._paid = paid
        self._budgets = budgets
        self._programmes = programmes
        self._kept: Report | None = None

    def terms(self, on: date) -> Terms:
        value = self._rulebook.parameter
        return Terms(
            {name: int(fen) for name, fen in value(RULE, "critical_fen", on).items()},
            int(value(RULE, "window_months", on)), int(value(RULE, "least_recipients", on)),
            int(value(RULE, "answer_days", on)), int(value(PRICE_RULE, LIST_PRICE, on)),
        )  # fmt: skip

    async def report(self, on: date | None = None) -> Report:
        """Of the twelve months (or as many as the rule says) that end with a day, today by default."""
        day = min(on or self._clock.today(), self._clock.today())
        terms = self.terms(day)
        since = add_months(day + timedelta(days=1), -terms.window_months)
        return self._report(await self._paid(since, day + timedelta(days=1)), since, day, terms)

    async def trend(self, by: str, on: date | None = None) -> list[Report]:
        """The same at the end of each of the last full months or quarters, oldest first, and today;
        days before the rule began are left out."""
        if by not in TREND_POINTS:
            raise Invalid(
                "bad_step", "A trend is by month or by quarter.", message_zh="趋势按月（month）或按季（quarter）。"
            )
        day = min(on or self._clock.today(), self._clock.today())
        step = 1 if by == "month" else MONTHS_A_QUARTER
        first = day.replace(day=1) if by == "month" else _quarter(day)
        past = [add_months(first, -step * n) - timedelta(days=1) for n in range(TREND_POINTS[by])]
        ends, terms = [end for end in [*reversed(past), day] if self._measurable(end)], self.terms(day)
        earliest = add_months(ends[0] + timedelta(days=1), -terms.window_months)
        grants = await self._paid(earliest, day + timedelta(days=1))
        found = []
        for end in ends:
            held = self.terms(end)
            since = add_months(end + timedelta(days=1), -held.window_months)
            found.append(self._report([one for one in grants if since <= one.on <= end], since, end, held))
        return found

    def _measurable(self, end: date) -> bool:
        try:
            self.terms(end)
        except RuleNotInForce:
            return False
        return True

    async def _closed(self, end: date) -> Report:
        """The report of a quarter that is over; it is asked for with every board, and its postings no longer change."""
        if self._kept is None or (self._kept.on, self._kept.terms) != (end, self.terms(end)):
            self._kept = await self.report(end)
        return self._kept

    def _report(self, grants: Sequence[Grant], since: date, on: date, terms: Terms) -> Report:
        assets = {name: card.asset for name, card in self._budgets.items()}
        units = units_of(grants, assets, terms)
        priced = [name for name, card in self._budgets.items() if card.asset in PRICED]
        budgets = [
            BudgetSpread(name, self._budgets[name], spread_of(
                (who, fen, terms.critical(programme)) for (budget, programme, who), fen in units.items()
                if budget == name)) for name in priced
        ]  # fmt: skip
        seen = sorted({programme for _, programme, _ in units if programme in self._programmes})
        return Report(since, on, terms, budgets, [self._programme(name, units, terms) for name in seen])

    def _programme(self, name: str, units: Mapping[tuple[str, str, UUID], int], terms: Terms) -> ProgrammeSpread:
        """A recipient's money from several budgets of one programme is one amount."""
        got: dict[UUID, int] = {}
        for (_, programme, who), fen in units.items():
            if programme == name:
                got[who] = got.get(who, 0) + fen
        critical = terms.critical(name)
        budgets = sorted({budget for budget, programme, _ in units if programme == name})
        return ProgrammeSpread(
            name, self._programmes[name], budgets, critical,
            spread_of((who, fen, critical) for who, fen in got.items()),
        )  # fmt: skip

    async def duties(self) -> list[Duty]:
        """Programmes that the last full quarter's report lists, for the departments that own their budgets, until a
        review (P9) of the programme's rule answers it."""
        today = self._clock.today()
        end = _quarter(today) - timedelta(days=1)
        report, last = await self._closed(end), await store.last_reviews(self._db)
        due, found = end + timedelta(days=report.terms.answer_days), list[Duty]()
        for one in report.thin:
            answered = last.get(one.card.rule)
            if one.spread.recipients < report.terms.least_recipients or (answered is not None and answered > end):
                continue
            named = one.card.title
            title = {"zh": f"低于临界规模：{named['zh']}", "en": f"Below critical mass: {named['en']}"}
            department = self._budgets[one.budgets[0]].department
            found.append(Duty(department, "dilution", title, due, due < today, "/governance/dilution"))
        return found


def _quarter(day: date) -> date:
    """The first day of a day's quarter."""
    return date(day.year, (day.month - 1) // MONTHS_A_QUARTER * MONTHS_A_QUARTER + 1, 1)
