"""What institutions say they did on a day: uploaded bills of WeChat Pay and Alipay, and the sandbox's own books."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.clock import CITY_TZ, Clock
from shanhe.kernel.db import Database
from shanhe.kernel.money import format_fen, parse_yuan
from shanhe.kernel.texts import decoded
from shanhe.payments.bank_errors import StatementUnreadable
from shanhe.payments.errors import UnknownProvider

FILE_LIMIT_BYTES: Final = 1_000_000
ROWS_MAX: Final = 20_000
HEADER_ROWS_MAX: Final = 40
LINES_MAX: Final = 100_000
PAGE_ROWS: Final = 50
FOOT: Final = ("总交易单数", "#")
"""How the rows begin that end the table; what is below them adds it up."""
QUOTED_CHARS: Final = 40
PROVIDERS: Final = ("wechat", "alipay")
NUMBER: Final = ("商户订单号",)
REFUND_NUMBER: Final = ("商户退款单号", "退款请求号", "退款批次号/请求号", "退款批次号")
AMOUNT: Final = ("应结订单金额", "订单金额")
REFUND_AMOUNT: Final = ("退款金额",)
TIME: Final = ("交易时间", "完成时间")
STATUS: Final = ("交易状态", "业务类型")
REFUND_WORDS: Final = ("REFUND", "REVOKED", "退款")
REFUND_STATE: Final = ("退款状态",)
REFUNDED_WORDS: Final = ("SUCCESS", "成功")
"""What the state of a refund says that has moved money, where a bill has that column: not of one that is under way, was
closed or has failed."""
TIME_FORMATS: Final = ("%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y-%m-%d %H:%M")


@dataclass(frozen=True)
class BillLine:
    """One payment or refund as its institution knows it. `number` is our order's or refund's id."""

    provider: str
    kind: str
    number: UUID | None
    text: str
    amount_fen: int
    at: datetime


@dataclass(frozen=True)
class Problem:
    """A row of the file, counted from 1, that could not be used, and why."""

    row: int
    why: str


@dataclass(frozen=True)
class BillReport:
    """What a bill had. `refused`: how many rows could not be used, each in `problems`; `known`: it was there before."""

    hash: str
    provider: str
    lines: int
    refused: int
    known: bool
    name: str
    uploaded_at: datetime
    problems: tuple[Problem, ...] = ()


class Bills:
    """Statements in, and every institution's own word for a day."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def upload(self, provider: str, data: bytes, *, name: str, actor: str) -> BillReport:
        """Read a bill; the same file, and the same line of another, count once. A number that an earlier bill has with
        another amount is a problem of the row: what was there stays.

        Raises StatementUnreadable, UnknownProvider.
        """
        if provider not in PROVIDERS:
            raise UnknownProvider(provider)
        if not 0 < len(data) <= FILE_LIMIT_BYTES:
            raise StatementUnreadable(f"{len(data)} bytes are not 1 to {FILE_LIMIT_BYTES}", "文件过大或为空")
        file_hash = hashlib.sha256(data).hexdigest()
        read_rows, problems = read(provider, data)
        async with self._db.transaction() as conn:
            done = await conn.execute(
                "INSERT INTO payments.bill VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                file_hash, provider, name[:200], len(read_rows), len(problems), actor, self._clock.now(),
            )  # fmt: skip
            known = done != "INSERT 0 1"
            if not known:
                lines = list(read_rows.values())
                await conn.executemany(
                    "INSERT INTO payments.bill_line VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                    [(one.provider, one.kind, one.text, one.amount_fen, one.at, file_hash) for one in lines],
                )
                problems += await _differing(conn, provider, read_rows)
                await conn.executemany(
                    "INSERT INTO payments.bill_problem VALUES ($1, $2, $3)",
                    [(file_hash, one.row, one.why) for one in problems],
                )
                await conn.execute(
                    "UPDATE payments.bill SET refused = $2 WHERE hash = $1 AND refused <> $2", file_hash, len(problems)
                )
        (report,) = await self.reports(file_hash)
        return replace(report, known=known)

    async def reports(self, file_hash: str | None = None) -> list[BillReport]:
        """The newest bills, or one, with what of each could not be used."""
        rows = await self._db.fetch(
            """SELECT hash, provider, lines, refused, name, uploaded_at FROM payments.bill
               WHERE $1::text IS NULL OR hash = $1 ORDER BY uploaded_at DESC, hash LIMIT $2""",
            file_hash, PAGE_ROWS,
        )  # fmt: skip
        wrong = await self._db.fetch(
            "SELECT bill, row, why FROM payments.bill_problem WHERE bill = ANY($1) ORDER BY row LIMIT $2",
            [row["hash"] for row in rows], ROWS_MAX,
        )  # fmt: skip
        return [
            BillReport(
                **dict(row), known=True,
                problems=tuple(Problem(one["row"], one["why"]) for one in wrong if one["bill"] == row["hash"]),
            )
            for row in rows
        ]  # fmt: skip

    async def lines(self, provider: str, since: datetime, until: datetime) -> list[BillLine] | None:
        """What an institution says of [since, until); None when nobody uploaded its word."""
        if provider == "sandbox":
            return await self._sandbox(since, until)
        if provider not in PROVIDERS:
            return None
        rows = await self._db.fetch(
            """SELECT provider, kind, number, amount_fen, at FROM payments.bill_line
               WHERE provider = $1 AND at >= $2 AND at < $3 LIMIT $4""",
            provider, since, until, LINES_MAX,
        )  # fmt: skip
        return [_line(*row.values()) for row in rows] or None

    async def _sandbox(self, since: datetime, until: datetime) -> list[BillLine]:
        """The sandbox institution's own books; nothing of ours is asked."""
        paid = await self._db.fetch(
            """SELECT 'sandbox', 'payment', order_id::text, amount_fen, paid_at FROM payments.sandbox_payment
               WHERE state = 'paid' AND paid_at >= $1 AND paid_at < $2 LIMIT $3""",
            since, until, LINES_MAX,
        )  # fmt: skip
        back = await self._db.fetch(
            """SELECT 'sandbox', 'refund', refund_id::text, amount_fen, at FROM payments.sandbox_refund
               WHERE at >= $1 AND at < $2 LIMIT $3""",
            since, until, LINES_MAX,
        )  # fmt: skip
        return [_line(*row.values()) for row in (*paid, *back)]


async def _differing(conn: Any, provider: str, read_rows: Mapping[int, BillLine]) -> list[Problem]:
    """Rows whose number another bill, or another row, has with another amount."""
    kept = await conn.fetch(
        "SELECT kind, number, amount_fen FROM payments.bill_line WHERE provider = $1 AND number = ANY($2)",
        provider, [one.text for one in read_rows.values()],
    )  # fmt: skip
    known = {(row["kind"], row["number"]): row["amount_fen"] for row in kept}
    return [
        Problem(row, f"the number stands with CNY {format_fen(fen)} already · 该单号已按 {format_fen(fen)} 元登记")
        for row, one in read_rows.items()
        if (fen := known.get((one.kind, one.text), one.amount_fen)) != one.amount_fen
    ]


def read(provider: str, data: bytes) -> tuple[dict[int, BillLine], list[Problem]]:
    """(lines by row of the file, rows that cannot be used). StatementUnreadable when there is no header."""
    found = decoded(data)
    if found is None:
        raise StatementUnreadable("its text is neither UTF-8 nor GB18030", "文件编码既非 UTF-8 也非 GB18030")
    try:
        rows = list(csv.reader(io.StringIO(found[0].replace("\r\n", "\n").replace("\r", "\n").replace("\x00", ""))))
    except csv.Error as error:
        raise StatementUnreadable(f"it is no table: {error}", "文件不是规范的 CSV 表格") from error
    if len(rows) > ROWS_MAX:
        raise StatementUnreadable(f"it has more than {ROWS_MAX} rows", f"行数超过 {ROWS_MAX}")
    start, titles = _header(rows)
    lines: dict[int, BillLine] = {}
    problems: list[Problem] = []
    for number, cells in enumerate(rows[start + 1 :], start + 2):
        row = [cell.strip().strip("`\t ") for cell in cells]
        if row and row[0].startswith(FOOT):
            break
        if not any(row):
            continue
        try:
            lines[number] = _read(provider, row, titles)
        except ValueError as error:
            problems.append(Problem(number, str(error)))
    return lines, problems


def _header(rows: Sequence[Sequence[str]]) -> tuple[int, list[str]]:
    for at, cells in enumerate(rows[:HEADER_ROWS_MAX]):
        titles = [cell.strip().strip("`\ufeff ").split("(")[0].split("（")[0] for cell in cells]
        if any(name in titles for name in NUMBER) and any(name in titles for name in AMOUNT):
            return at, titles
    raise StatementUnreadable("no row names the merchant's number and the amount", "没有找到含商户订单号和金额的表头行")


def _read(provider: str, row: Sequence[str], titles: Sequence[str]) -> BillLine:
    if len(row) < len(titles):
        raise ValueError(
            f"the row ends after {len(row)} of {len(titles)} columns · 该行只有 {len(row)} 列，应有 {len(titles)} 列"
        )
    refund = any(word in _cell(row, titles, STATUS) for word in REFUND_WORDS)
    state = _cell(row, titles, REFUND_STATE) if refund else ""
    if state and not any(word in state for word in REFUNDED_WORDS):
        said = state[:QUOTED_CHARS]
        raise ValueError(f"the refund is {said!r}: no money has moved · 退款状态为 {said}，款项未退，不计入")
    number = _cell(row, titles, REFUND_NUMBER if refund else NUMBER)
    amount = (_cell(row, titles, REFUND_AMOUNT) if refund else "") or _cell(row, titles, AMOUNT)
    if not number:
        raise ValueError("the merchant's number is missing · 缺少商户订单号或退款单号")
    try:
        fen = abs(parse_yuan(amount))
    except ValueError:
        fen = 0
    if not fen:
        raise ValueError(f"{amount[:QUOTED_CHARS]!r} is no amount · 金额无法识别：{amount[:QUOTED_CHARS] or '空'}")
    return _line(provider, "refund" if refund else "payment", number, fen, _instant(_cell(row, titles, TIME)))


def _cell(row: Sequence[str], titles: Sequence[str], names: Sequence[str]) -> str:
    for name in names:
        if name in titles and row[titles.index(name)]:
            return row[titles.index(name)]
    return ""


def _line(provider: str, kind: str, text: str, amount_fen: int, at: datetime) -> BillLine:
    try:
        number: UUID | None = UUID(text)
    except ValueError:
        number = None
    return BillLine(provider, kind, number, text[:64], amount_fen, at)


def _instant(text: str) -> datetime:
    for form in TIME_FORMATS:
        try:
            return datetime.strptime(text, form).replace(tzinfo=CITY_TZ).astimezone(UTC)
        except ValueError:
            continue
    raise ValueError(f"{text[:QUOTED_CHARS]!r} is no time · 时间无法识别：{text[:QUOTED_CHARS] or '空'}")
