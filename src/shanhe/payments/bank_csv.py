"""Bank statements as banks export them: UTF-8 or GB18030, any delimiter, titles above the header, totals below.

Columns are found by their titles, not their places. A row that cannot be read is reported with the reason and never
guessed at.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from shanhe.kernel.clock import CITY_TZ
from shanhe.kernel.money import format_fen, parse_yuan
from shanhe.kernel.texts import decoded
from shanhe.payments.bank_errors import StatementIncomplete, StatementUnreadable
from shanhe.payments.bank_model import Direction, Parsed
from shanhe.payments.bank_sheet import Told, told

ROWS_MAX: Final = 20_000
HEADER_ROWS_MAX: Final = 40
CELL_CHARS_MAX: Final = 500
COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "credit": ("贷方发生额", "贷方金额", "收入金额", "转入金额", "收入", "贷方", "credit"),
    "debit": ("借方发生额", "借方金额", "支出金额", "转出金额", "支出", "借方", "debit"),
    "amount": ("交易金额", "发生额", "金额", "amount"),
    "sign": ("借贷标志", "借贷方向", "收支方向", "收/支", "借贷", "方向", "direction"),
    "date": ("交易日期", "记账日期", "入账日期", "交易时间", "日期", "date"),
    "time": ("交易时刻", "时间", "time"),
    "party": ("对方户名", "对方名称", "付款人名称", "对手户名", "付款方", "对方单位", "counterparty", "payer"),
    "party_account": ("对方账号", "对方帐号", "付款人账号", "对手账号", "counterparty account", "payer account"),
    "remark": ("附言", "摘要", "用途", "备注", "交易说明", "remark", "memo", "description", "purpose"),
    "serial": ("交易流水号", "流水号", "凭证号", "业务编号", "serial", "transaction id"),
    "currency": ("币种", "币别", "货币", "currency"),
    "balance": ("账户余额", "帐户余额", "交易后余额", "本次余额", "余额", "balance"),
}
"""By exact title first, then by what a title contains; earlier names win. Several remark columns are read together."""
OURS: Final = ("人民币", "CNY", "RMB", "¥", "156", "01", "001")
"""The currency as banks write it: by name, by letters, by the number of the standard or their own."""
IN_WORDS: Final = ("贷", "收", "转入", "入", "进", "来", "c", "cr", "credit", "in", "+")
OUT_WORDS: Final = ("借", "支", "付", "转出", "出", "往", "d", "dr", "debit", "out", "-")
WAYS: Final = frozenset({
    "贷", "贷方", "收", "收入", "收款", "转入", "入", "入账", "进账", "来账", "c", "cr", "credit", "in",
    "借", "借方", "支", "支出", "付", "付出", "付款", "转出", "出", "出账", "往账", "d", "dr", "debit", "out",
})  # fmt: skip
"""What the cells of a column say that tells which way money went, whatever its title is."""
GRAND_TOTALS: Final = ("合计", "总计", "total")
TOTALS: Final = (*GRAND_TOTALS, "小计", "本页")
BALANCES: Final = (
    "期初余额",
    "期末余额",
    "上期余额",
    "上日余额",
    "本期余额",
    "承前余额",
    "opening balance",
    "closing balance",
)
WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
PDF: Final = b"%PDF"
DATES: Final = ("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%Y.%m.%d", "%Y年%m月%d日")
TIMES: Final = ("%H:%M:%S", "%H:%M", "%H%M%S")


def read(data: bytes) -> tuple[Told, list[Parsed]]:
    """What the statement says of itself, and its lines. StatementUnreadable when no encoding or no header fits,
    StatementIncomplete when the file ends in the middle."""
    text, encoding = _text(data)
    rows = _table(text)
    if len(rows) > ROWS_MAX:
        raise StatementUnreadable(f"it has more than {ROWS_MAX} rows", f"行数超过 {ROWS_MAX}")
    start, columns = _header(rows)
    clean = [[_clean(cell) for cell in cells] for cells in rows]
    columns = _with_ways(clean[start + 1 :], columns, len(rows[start]))
    if not text.endswith("\n"):
        _check_end(clean, start, columns)
    found, lines, others = [], [], clean[:start]
    for number, cells in enumerate(clean[start + 1 :], start + 2):
        if not any(cells):
            continue
        if _sums_up(cells, columns):
            others.append(cells)
        else:
            lines.append(cells)
            found.append(_row(number, cells, columns, len(rows[start])))
    if not any(line.why for line in found):
        _check_sum(lines, others, columns)
    return told(encoding, [[cell for cell in cells if cell] for cells in others]), found


def _text(data: bytes) -> tuple[str, str]:
    if data.startswith((*WORKBOOKS, PDF)):
        kind = ("PDF", "PDF") if data.startswith(PDF) else ("an Excel workbook", "Excel 工作簿")
        raise StatementUnreadable(f"it is {kind[0]}, not CSV", f"这是 {kind[1]} 文件，不是 CSV")
    if _cut_in_a_letter(data):
        raise StatementIncomplete("the file ends within a letter", "文件在一个汉字中间中断")
    decoded_as = decoded(data)
    if decoded_as is None:
        raise StatementUnreadable("its text is neither UTF-8 nor GB18030", "文件编码既非 UTF-8 也非 GB18030")
    text, encoding = decoded_as
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", ""), encoding


def _cut_in_a_letter(data: bytes) -> bool:
    """Whether it is UTF-8 but for its last letter."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and error.end == len(data)
    return False


def _table(text: str) -> list[list[str]]:
    delimiter = _delimiter(text)
    try:
        return list(csv.reader(io.StringIO(text), delimiter=delimiter, strict=True))
    except csv.Error as error:
        if "unexpected end of data" in str(error):
            raise StatementIncomplete("the file ends within a cell", "文件在一个单元格中间中断") from error
    try:  # quotes in the middle of a cell are not refused
        return list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error as error:
        raise StatementUnreadable(f"it is no table: {error}", "文件不是规范的 CSV 表格") from error


def _check_end(rows: Sequence[Sequence[str]], start: int, columns: Mapping[str, Sequence[int]]) -> None:
    """Refuse a file that stops within its last line: an amount may be cut to a smaller one."""
    titles, lines = len(rows[start]), rows[start + 1 :]
    if not lines or not any(lines[-1]) or len(lines[-1]) >= titles or _sums_up(lines[-1], columns):
        return
    if all(len(cells) >= titles for cells in lines[:-1]):  # else this bank leaves empty cells out at the end
        raise StatementIncomplete(f"the file ends within row {len(rows)}", f"文件在第 {len(rows)} 行中间中断")


def _check_sum(
    lines: Sequence[Sequence[str]], others: Sequence[Sequence[str]], columns: Mapping[str, Sequence[int]]
) -> None:
    """Refuse a file whose one total is none of its columns'."""
    totals = [cells for cells in others if any(cell.lower().startswith(GRAND_TOTALS) for cell in cells)]
    places = [place for name in ("credit", "debit", "amount") for place in columns.get(name, ())]
    given = [fen for cells in totals for place in places if (fen := _balance(_at(cells, place)))]
    sums = [sum(_balance(_at(cells, place)) or 0 for cells in lines) for place in places]
    if len(totals) == 1 and given and not {abs(fen) for fen in given} & {abs(fen) for fen in sums}:
        stated, found = (" / ".join(format_fen(fen) for fen in each if fen) for each in (given, sums))
        raise StatementIncomplete(
            f"its total is CNY {stated}, its lines come to {found or '0.00'}",
            f"合计为 {stated} 元，而各行相加为 {found or '0.00'} 元",
        )


def _at(cells: Sequence[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""


def _sums_up(cells: Sequence[str], columns: Mapping[str, Sequence[int]]) -> bool:
    """Whether a row adds others up or states a balance: it says so and names no day. A payer or a remark may say so
    too, on a day."""
    days = [cells[place] for place in columns["date"] if place < len(cells)]
    return any(cell.lower().startswith((*TOTALS, *BALANCES)) for cell in cells) and not any(map(_is_day, days))


def _is_day(text: str) -> bool:
    try:
        _instant(text, "")
    except ValueError:
        return False
    return True


def _delimiter(text: str) -> str:
    head = text[:4_000]
    return max((",", ";", "\t", "|"), key=head.count)


def _clean(cell: str) -> str:
    """A cell without what spreadsheets and banks wrap around it: ="…", quotes, tabs, full-width forms."""
    text = unicodedata.normalize("NFKC", cell[:CELL_CHARS_MAX]).strip().strip("\t`'")
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    return text.strip()


def _header(rows: Sequence[Sequence[str]]) -> tuple[int, dict[str, list[int]]]:
    for number, cells in enumerate(rows[:HEADER_ROWS_MAX]):
        columns = _columns([re.sub(r"\(.*?\)|\[.*?\]", "", _clean(cell)).strip().lower() for cell in cells])
        money = "amount" in columns or "credit" in columns
        if money and "date" in columns and ("remark" in columns or "party" in columns):
            return number, columns
    raise StatementUnreadable(
        "no row names the columns date, amount and remark", "没有找到包含日期、金额和摘要（附言）的表头行"
    )


def _columns(titles: Sequence[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    taken: set[int] = set()
    for exact in (True, False):
        for name, words in COLUMNS.items():
            for word in words:
                for place, title in enumerate(titles):
                    fits = title == word if exact else word in title
                    if fits and place not in taken and (name == "remark" or name not in found):
                        found.setdefault(name, []).append(place)
                        taken.add(place)
    return found


def _with_ways(rows: Sequence[Sequence[str]], columns: dict[str, list[int]], titles: int) -> dict[str, list[int]]:
    """The columns, with the one that tells which way money went where no title says so: else all would have come."""
    if columns.keys() & {"sign", "credit", "debit"}:
        return columns
    lines = [cells for cells in rows if any(_is_day(_at(cells, place)) for place in columns["date"])]
    taken = {place for places in columns.values() for place in places}
    for place in range(titles):
        said = {_at(cells, place).lower() for cells in lines} - {""}
        if place not in taken and said and said <= WAYS:
            return columns | {"sign": [place]}
    return columns


def _row(number: int, cells: Sequence[str], columns: Mapping[str, Sequence[int]], titles: int) -> Parsed:
    def cell(name: str) -> str:
        return " ".join(cells[place] for place in columns.get(name, ()) if place < len(cells) and cells[place])

    try:
        if any(cells[titles:]):
            raise ValueError(  # 1,088.00 without quotes is two cells, of which the first says 1
                "it has more cells than there are titles: an amount with commas needs quotes"
                " · 列数多于表头：带千分位的金额须加引号"
            )
        if (currency := cell("currency").upper()) and not currency.startswith(OURS):
            raise ValueError(f"{currency[:20]!r} is not CNY · 币种“{currency[:20]}”不是人民币")
        direction, amount_fen = _money(cell)
        at = _instant(cell("date"), cell("time"))
    except ValueError as error:
        return Parsed(number, remark=cell("remark"), party=cell("party"), why=str(error)[:120])
    return Parsed(
        number, direction, amount_fen, at, cell("party"), cell("party_account"), cell("remark"), cell("serial"),
        _balance(cell("balance")),
    )  # fmt: skip


def _money(cell: Callable[[str], str]) -> tuple[Direction, int]:
    credit, debit, amount = (_fen(cell(name)) for name in ("credit", "debit", "amount"))
    sides = [(Direction.IN, credit), (Direction.OUT, debit)]
    given = [(side, fen) for side, fen in sides if fen]
    if len(given) == 1:
        side, fen = given[0]
        return (side, fen) if fen > 0 else (_other(side), -fen)  # a red entry takes back
    if len(given) > 1:
        raise ValueError("both a debit and a credit are given · 借贷两列同时有金额")
    if not amount:
        raise ValueError("there is no amount · 没有金额")
    sign = cell("sign").lower()
    if sign:
        if not sign.startswith((*OUT_WORDS, *IN_WORDS)):
            raise ValueError(f"{sign[:20]!r} says neither in nor out · 无法识别收支方向“{sign[:20]}”")
        side = Direction.OUT if sign.startswith(OUT_WORDS) else Direction.IN
        return (side, amount) if amount > 0 else (_other(side), -amount)
    return (Direction.IN, amount) if amount > 0 else (Direction.OUT, -amount)


def _balance(text: str) -> int | None:
    """None where a bank writes something else there: a line is read without it, too."""
    try:
        return _fen(text) if text else None
    except ValueError:
        return None


def _other(side: Direction) -> Direction:
    return Direction.OUT if side is Direction.IN else Direction.IN


def _fen(text: str) -> int:
    """Fen of an amount as banks write it; 0 for an empty cell."""
    plain = re.sub(r"[¥￥,\s]|CNY|RMB|人民币|元", "", text, flags=re.IGNORECASE)
    if plain in ("", "-", "--"):
        return 0
    try:
        return parse_yuan(plain)
    except ValueError as error:
        raise ValueError(f"{text[:30]!r} is no amount in yuan and fen · 金额“{text[:30]}”不是精确到分的数额") from error


def _instant(day: str, time: str) -> datetime:
    text = day.strip()
    parts = text.split()
    if len(parts) == 2 and not time:
        text, time = parts
    elif re.fullmatch(r"\d{14}", text):
        text, time = text[:8], text[8:]
    date = _first(text, DATES)
    if date is None:
        raise ValueError(f"{day[:30]!r} is no date · 无法识别日期“{day[:30]}”")
    clock = _first(time.strip(), TIMES)
    if clock is not None:
        date = date.replace(hour=clock.hour, minute=clock.minute, second=clock.second)
    return date.replace(tzinfo=CITY_TZ).astimezone(UTC)


def _first(text: str, formats: Sequence[str]) -> datetime | None:
    for form in formats:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007 - the city's zone is put on it above
        except ValueError:
            continue
    return None
