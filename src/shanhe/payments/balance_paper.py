"""The bank's balance against the books' on paper, as auditors ask for it (银行存款余额调节表)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from shanhe.kernel.documents import Column, Document, Kind, Table
from shanhe.kernel.words import booking
from shanhe.payments.balance_model import Side

TITLE: Final = ("银行存款余额调节表", "Bank reconciliation statement")
SIDES: Final[Mapping[str, tuple[str, str]]] = {
    Side.BANK_IN: ("银行已收、企业未收", "received by the bank, not in the books"),
    Side.BANK_OUT: ("银行已付、企业未付", "paid by the bank, not in the books"),
    Side.BOOKS_IN: ("企业已收、银行未收", "received in the books, not at the bank"),
    Side.BOOKS_OUT: ("企业已付、银行未付", "paid in the books, not at the bank"),
}
WHAT: Final = {"line": ("银行流水", "line of a statement"), "opening": ("期初余额", "balance before all statements")}
BANK, BOOKS = ("银行对账单余额", "Balance by the bank's statement"), ("企业银行存款账面余额", "Balance by the books")
ADJUSTED: Final = ("调节后余额", "Balance after adjustment")


def document(
    sheet: Mapping[str, Any], *, city_name: str, account: str, language: str, made: str = "", signed: str = ""
) -> Document:
    """A sheet, live or kept, as JSON has it; `account`: the bank account, as it may be shown."""
    zh = language.startswith("zh")

    def say(pair: tuple[str, str]) -> str:
        return pair[0] if zh else pair[1]

    items = sheet["items"]
    sums = {side: sum(one["amount_fen"] for one in items if one["side"] == side) for side in Side}
    first = [
        (say(BANK), _yuan(sheet["bank_fen"]), say(BOOKS), _yuan(sheet["ledger_fen"])),
        (f"{say(('加：', 'plus '))}{say(SIDES[Side.BOOKS_IN])}", _yuan(sums[Side.BOOKS_IN]),
         f"{say(('加：', 'plus '))}{say(SIDES[Side.BANK_IN])}", _yuan(sums[Side.BANK_IN])),
        (f"{say(('减：', 'less '))}{say(SIDES[Side.BOOKS_OUT])}", _yuan(sums[Side.BOOKS_OUT]),
         f"{say(('减：', 'less '))}{say(SIDES[Side.BANK_OUT])}", _yuan(sums[Side.BANK_OUT])),
    ]  # fmt: skip
    amount = Column(say(("金额（元）", "CNY")), Kind.FIGURE, 2)
    tables = [
        Table(say(("调节", "Adjustment")),
              (Column(say(("项目", "Bank")), width=4), amount, Column(say(("项目", "Books")), width=4), amount),
              tuple(first),
              (say(ADJUSTED), _yuan(sheet["adjusted_bank_fen"]), say(ADJUSTED), _yuan(sheet["adjusted_ledger_fen"]))),
        Table(say(("未达账项明细", "Items in transit")),
              (Column(say(("类别", "Side")), width=4), Column(say(("日期", "Day")), width=2),
               Column(say(("账龄（天）", "Age (days)")), Kind.FIGURE), Column(say(("事项", "Of")), width=2),
               Column(say(("识别码", "Reference")), width=2), Column(say(("后续销账日", "Cleared on")), width=2),
               amount),
              tuple((say(SIDES[one["side"]]), str(one["since"]), one["age_days"], what(one["what"], zh=zh),
                     one["reference"] or "—", str(one["cleared"] or "—"), _yuan(one["amount_fen"])) for one in items)),
    ]  # fmt: skip
    unexplained = sheet["unexplained_fen"]
    notes = [
        say((f"未能解释的差额：{_yuan(unexplained)} 元。", f"Unexplained difference: CNY {_yuan(unexplained)}.")),
        *(say((f"{gap['since']} 至 {gap['until']} 缺少对账单，涉及 {_yuan(gap['missing_fen'])} 元。",
               f"No statement has {gap['since']} to {gap['until']}: CNY {_yuan(gap['missing_fen'])}."))
          for gap in sheet["gaps"]),
    ]  # fmt: skip
    if not sheet["stated"]:
        notes.append(say(("对账单未载明余额，银行余额按各行发生额累计。",
                          "No statement says a balance: the bank's is the sum of its lines.")))  # fmt: skip
    if str(sheet["until"] or "") != str(sheet["day"]):
        notes.append(say((f"对账单截至 {sheet['until'] or '—'}。", f"Statements reach to {sheet['until'] or '—'}.")))
    return Document(
        say(TITLE), date.fromisoformat(str(sheet["day"])), subtitle=city_name,
        facts=((say(("银行账号", "Account")), account), (say(("截止日期", "Evening of")), str(sheet["day"])),
               (say(("编制", "Made by")), made or "—"), (say(("复核", "Signed by")), signed or "—")),
        tables=tuple(tables), notes=tuple(notes), language=language,
    )  # fmt: skip


def what(kind: str, *, zh: bool) -> str:
    """What an item in transit is of, in words."""
    if kind in WHAT:
        return WHAT[kind][0 if zh else 1]
    return booking(kind)[0 if zh else 1]


def _yuan(fen: int) -> Decimal:
    return Decimal(fen).scaleb(-2)
