"""Monthly statements by lot (C3): opening, movements, closing, book value, and the files that accountants keep.

Everything is read from the ledger for the month asked; nothing is stored. Σ closing of the lots = balance of the
accounts at the end of the month, and a statement that could not show this is not given out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from shanhe.credits import windows
from shanhe.credits.errors import BadMonth, StatementUnbalanced
from shanhe.credits.policy import list_price_fen
from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.db import Database
from shanhe.kernel.documents import Cell, Column, Document, Kind, Table
from shanhe.kernel.money import FEN, MICRO, round_half_even
from shanhe.kernel.words import booking
from shanhe.ledger.api import Lot, LotHistory, LotPeriod, Provenance
from shanhe.rulebook.api import Rulebook

RULE = "C3"
READ_TRIES = 3
EARLIEST = date(2020, 1, 1)
PROVENANCE_ZH: Mapping[str, str] = {"subsidy": "补贴", "reward": "奖励", "purchased": "自购", "exchange": "交易所购入"}


@dataclass(frozen=True)
class StatementLot:
    """One lot over the month; `moves` by kind of posting, signed. Money in fen, credits in µ.

    `cost_fen` is what the closing balance cost; `opening_cost_fen` + `added_cost_fen` - `taken_cost_fen` = `cost_fen`.
    """

    id: UUID
    provenance: str
    issued_at: datetime
    expires_at: datetime | None
    opening_micro: int
    closing_micro: int
    moves: Mapping[str, int]
    opening_cost_fen: int
    added_cost_fen: int
    cost_fen: int
    value_fen: int

    @property
    def taken_cost_fen(self) -> int:
        """What cost the credits that left: the month's expense, of whatever kind."""
        return self.opening_cost_fen + self.added_cost_fen - self.cost_fen


@dataclass(frozen=True)
class LotStatement:
    """A month of an organisation's credits. `until` is the first instant not covered."""

    org_id: UUID
    month: date
    since: datetime
    until: datetime
    complete: bool
    list_price_fen: int
    rule_version: str
    lots: Sequence[StatementLot]

    @property
    def opening_micro(self) -> int:
        return sum(lot.opening_micro for lot in self.lots)

    @property
    def closing_micro(self) -> int:
        return sum(lot.closing_micro for lot in self.lots)

    @property
    def opening_cost_fen(self) -> int:
        return sum(lot.opening_cost_fen for lot in self.lots)

    @property
    def added_cost_fen(self) -> int:
        return sum(lot.added_cost_fen for lot in self.lots)

    @property
    def taken_cost_fen(self) -> int:
        return sum(lot.taken_cost_fen for lot in self.lots)

    @property
    def cost_fen(self) -> int:
        return sum(lot.cost_fen for lot in self.lots)

    @property
    def value_fen(self) -> int:
        return sum(lot.value_fen for lot in self.lots)

    @property
    def moves(self) -> dict[str, int]:
        """Movements of all lots by kind, the largest first."""
        sums: dict[str, int] = {}
        for lot in self.lots:
            for kind, amount in lot.moves.items():
                sums[kind] = sums.get(kind, 0) + amount
        return dict(sorted(sums.items(), key=lambda item: (-abs(item[1]), item[0])))


class Statements:
    """Statements of any organisation and month."""

    def __init__(self, db: Database, clock: Clock, rulebook: Rulebook) -> None:
        self._history = LotHistory(db)
        self._clock = clock
        self._rulebook = rulebook

    async def month(self, org_id: UUID, month: date | None = None) -> LotStatement:
        """The month that `month` lies in (default: the running one, up to now). BadMonth for one to come."""
        now = self._clock.now()
        first = (month or city_date(now)).replace(day=1)
        if not EARLIEST <= first <= city_date(now):
            raise BadMonth(f"{first:%Y-%m}")
        span = windows.month(windows.midnight(first))
        complete = span.end <= now
        accounts = await self._history.accounts(org_id)
        for _ in range(READ_TRIES):
            until = min(span.end, self._clock.now() + timedelta(microseconds=1))
            periods = await self._history.period(accounts, span.start, until)
            opening, closing = [await self._history.balances(accounts, at) for at in (span.start, until)]
            if (opening, closing) == (sum(p.opening for p in periods), sum(p.closing for p in periods)):
                break  # a call that settled between the two reads is read again
        else:
            raise StatementUnbalanced(closing, sum(p.closing for p in periods))
        valued_on = city_date(until - timedelta(microseconds=1))
        price = list_price_fen(self._rulebook, on=valued_on)
        decide = self._rulebook.compiled(RULE, valued_on)
        version = self._rulebook.evaluate(RULE, _facts(0, 0, price), on=valued_on).version
        lots = [_valued(period, self._costed(period.lot), span.start, price, decide) for period in periods]
        return LotStatement(org_id, first, span.start, until, complete, price, version, lots)

    def _costed(self, lot: Lot) -> Lot:
        """With what it cost (C3): what a call earned says nothing of it and counts as any reward does."""
        if lot.cost_fen is not None or lot.provenance is not Provenance.REWARD:
            return lot
        price = list_price_fen(self._rulebook, on=city_date(lot.issued_at))
        return msgspec.structs.replace(lot, cost_fen=round_half_even(price * lot.issued, MICRO))


def _facts(quantity: int, cost_fen: int, price: int) -> dict[str, Any]:
    return {"quantity_micro": quantity, "cost_fen": cost_fen, "list_price_fen": price}


def _valued(
    period: LotPeriod, lot: Lot, since: datetime, price: int, decide: Callable[..., Mapping[str, Any]]
) -> StatementLot:
    cost_fen = lot.cost_of(period.closing)
    return StatementLot(
        id=lot.id,
        provenance=str(lot.provenance),
        issued_at=lot.issued_at,
        expires_at=lot.expires_at,
        opening_micro=period.opening,
        closing_micro=period.closing,
        moves=period.moves,
        opening_cost_fen=lot.cost_of(period.opening),
        added_cost_fen=lot.cost_of(lot.issued) if lot.issued_at >= since else 0,
        cost_fen=cost_fen,
        value_fen=decide(**_facts(period.closing, cost_fen, price))["value_fen"],
    )


# -- on paper ---------------------------------------------------------------------------------------------------------


def micro(amount: int) -> Decimal:
    """Credits with six decimals."""
    return Decimal(amount).scaleb(-6).quantize(Decimal(1) / MICRO)


def yuan(fen: int) -> Decimal:
    """Yuan with two decimals."""
    return Decimal(fen).scaleb(-2).quantize(Decimal(1) / FEN)


def document(statement: LotStatement, *, org_name: str, city_name: str, language: str = "zh") -> Document:
    """The statement as a document for accountants."""
    zh = language.startswith("zh")

    def word(chinese: str, english: str) -> str:
        return chinese if zh else english

    until = city_date(statement.until - timedelta(microseconds=1))
    lots = tuple(_lot_row(lot, zh) for lot in statement.lots)
    gained = sum(amount for lot in statement.lots for amount in lot.moves.values() if amount > 0)
    spent = sum(-amount for lot in statement.lots for amount in lot.moves.values() if amount < 0)
    total: tuple[Cell, ...] = (
        word("合计", "Total"), "", "", "", micro(statement.opening_micro), micro(gained), micro(spent),
        micro(statement.closing_micro), yuan(statement.taken_cost_fen), yuan(statement.cost_fen),
        yuan(statement.value_fen),
    )  # fmt: skip
    moves = tuple((booking(kind)[0 if zh else 1], micro(amount)) for kind, amount in statement.moves.items())
    price = yuan(statement.list_price_fen)
    return Document(
        title=word("AI 积分对账单", "Statement of AI Credits"),
        subtitle=f"{city_name} · {org_name}",
        issued_on=until,
        language="zh" if zh else "en",
        facts=(
            (word("期间", "Period"), f"{statement.month} – {until}"),
            (word("期初余额", "Opening balance"), f"{micro(statement.opening_micro):,}"),
            (word("期末余额", "Closing balance"), f"{micro(statement.closing_micro):,}"),
            (word("期初成本（元）", "Cost at opening (CNY)"), f"{yuan(statement.opening_cost_fen):,}"),
            (word("本期取得成本（元）", "Cost of what came (CNY)"), f"{yuan(statement.added_cost_fen):,}"),
            (word("本期减少成本（元）", "Cost of what left (CNY)"), f"{yuan(statement.taken_cost_fen):,}"),
            (word("期末成本（元）", "Cost at close (CNY)"), f"{yuan(statement.cost_fen):,}"),
            (word("账面价值（元）", "Book value (CNY)"), f"{yuan(statement.value_fen):,}"),
            (word("机构编号", "Organisation"), str(statement.org_id)),
        ),
        tables=(
            Table(word("按批次", "By lot"), _lot_columns(word), lots, total),
            Table(
                word("变动汇总", "Movements"),
                (Column(word("类别", "Kind")), Column(word("积分", "Credits"), Kind.FIGURE)),
                moves,
                (word("合计", "Total"), micro(statement.closing_micro - statement.opening_micro)),
            ),
        ),
        notes=(
            word(
                f"估值规则 C3：取成本与价格通道中值两者较低者；当日标价 {price} 元。"
                f"规则版本 {statement.rule_version}。",
                f"Valuation by rule C3: the lower of cost and the middle of the corridor; list price CNY {price}."
                f" Rule version {statement.rule_version}.",
            ),
            word(
                "期初成本＋取得成本－减少成本＝期末成本；批次各部分的成本之和等于其总成本。",
                "Cost at opening + what came − what left = cost at close; the parts of a lot cost what the whole did.",
            ),
            word("期末合计与账本余额一致。", "The closing total equals the balance in the ledger."),
        ),
        footer=f"{city_name} · {statement.org_id} · {statement.month:%Y-%m}",
    )


def _lot_columns(word: Callable[[str, str], str]) -> tuple[Column, ...]:
    figure = Kind.FIGURE
    return (
        Column(word("批次", "Lot"), width=3),
        Column(word("来源", "Provenance")),
        Column(word("取得", "Issued")),
        Column(word("到期", "Expires")),
        Column(word("期初", "Opening"), figure, 2),
        Column(word("增加", "In"), figure, 2),
        Column(word("减少", "Out"), figure, 2),
        Column(word("期末", "Closing"), figure, 2),
        Column(word("减少成本（元）", "Cost of what left (CNY)"), figure),
        Column(word("期末成本（元）", "Cost at close (CNY)"), figure),
        Column(word("账面价值（元）", "Book value (CNY)"), figure),
    )


def _lot_row(lot: StatementLot, zh: bool) -> tuple[Cell, ...]:
    return (
        str(lot.id),
        PROVENANCE_ZH.get(lot.provenance, lot.provenance) if zh else lot.provenance,
        city_date(lot.issued_at),
        city_date(lot.expires_at) if lot.expires_at else "—",
        micro(lot.opening_micro),
        micro(sum(amount for amount in lot.moves.values() if amount > 0)),
        micro(-sum(amount for amount in lot.moves.values() if amount < 0)),
        micro(lot.closing_micro),
        yuan(lot.taken_cost_fen),
        yuan(lot.cost_fen),
        yuan(lot.value_fen),
    )


def view(statement: LotStatement) -> dict[str, object]:
    """A statement as JSON."""
    return {
        "org_id": statement.org_id,
        "month": f"{statement.month:%Y-%m}",
        "since": statement.since,
        "until": statement.until,
        "complete": statement.complete,
        "opening_micro": statement.opening_micro,
        "closing_micro": statement.closing_micro,
        "moves": statement.moves,
        "opening_cost_fen": statement.opening_cost_fen,
        "added_cost_fen": statement.added_cost_fen,
        "taken_cost_fen": statement.taken_cost_fen,
        "cost_fen": statement.cost_fen,
        "value_fen": statement.value_fen,
        "list_price_fen": statement.list_price_fen,
        "rule": RULE,
        "rule_version": statement.rule_version,
        "lots": list(statement.lots),
    }
