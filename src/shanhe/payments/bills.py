"""What institutions say they did on a day: uploaded bills of WeChat Pay and Alipay, and the sandbox's own books."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from shanhe.kernel.clock import CITY_TZ, Clock
from shanhe.kernel.db import Database
from shanhe.kernel.money import parse_yuan
from shanhe.kernel.texts import decoded
from shanhe.payments.errors import StatementUnreadable, UnknownProvider

FILE_LIMIT_BYTES: Final = 1_000_000
ROWS_MAX: Final = 20_000
HEADER_ROWS_MAX: Final = 40
LINES_MAX: Final = 100_000
PROVIDERS: Final = ("wechat", "alipay")
NUMBER: Final = ("商户订单号",)
REFUND_NUMBER: Final = ("商户退款单号", "退款请求号", "退款批次号/请求号", "退款批次号")
AMOUNT: Final = ("应结订单金额", "订单金额")
REFUND_AMOUNT: Final = ("退款金额",)
TIME: Final = ("交易时间", "完成时间")
STATUS: Final = ("交易状态", "业务类型")
REFUND_WORDS: Final = ("REFUND", "REVOKED", "退款")
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
class BillReport:
    hash: str
    provider: str
    lines: int
    refused: int
    known: bool


class Bills:
    """Statements in, and every institution's own word for a day."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def upload(self, provider: str, data: bytes, *, name: str, actor: str) -> BillReport:
        """Read a bill; the same file, and the same line of another, count once.

        Raises StatementUnreadable, UnknownProvider.
        """
        if provider not in PROVIDERS:
            raise UnknownProvider(provider)
        if not 0 < len(data) <= FILE_LIMIT_BYTES:
            raise StatementUnreadable(f"{len(data)} bytes are not 1 to {FILE_LIMIT_BYTES}", "文件过大或为空")
        file_hash = hashlib.sha256(data).hexdigest()
        lines, refused = read(provider, data)
        async with self._db.transaction() as conn:
            done = await conn.execute(
                "INSERT INTO payments.bill VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
                file_hash, provider, name[:200], len(lines), refused, actor, self._clock.now(),
            )  # fmt: skip
            known = done != "INSERT 0 1"
            if not known:
                await conn.executemany(
                    "INSERT INTO payments.bill_line VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                    [(one.provider, one.kind, one.text, one.amount_fen, one.at, file_hash) for one in lines],
                )
        return BillReport(file_hash, provider, len(lines), refused, known)

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


def read(provider: str, data: bytes) -> tuple[list[BillLine], int]:
    """(lines, rows that could not be read). StatementUnreadable when there is no header."""
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
    lines: list[BillLine] = []
    refused = 0
    for cells in rows[start + 1 :]:
        row = [cell.strip().strip("`\t ") for cell in cells]
        if len(row) < len(titles) or not _cell(row, titles, NUMBER):
            continue  # totals and their titles below the table
        try:
            lines.append(_read(provider, row, titles))
        except ValueError:
            refused += 1
    return lines, refused


def _header(rows: Sequence[Sequence[str]]) -> tuple[int, list[str]]:
    for at, cells in enumerate(rows[:HEADER_ROWS_MAX]):
        titles = [cell.strip().strip("`\ufeff ").split("(")[0].split("（")[0] for cell in cells]
        if any(name in titles for name in NUMBER) and any(name in titles for name in AMOUNT):
            return at, titles
    raise StatementUnreadable("no row names the merchant's number and the amount", "没有找到含商户订单号和金额的表头行")


def _read(provider: str, row: Sequence[str], titles: Sequence[str]) -> BillLine:
    refund = any(word in _cell(row, titles, STATUS) for word in REFUND_WORDS)
    number = _cell(row, titles, REFUND_NUMBER if refund else NUMBER)
    amount = (_cell(row, titles, REFUND_AMOUNT) if refund else "") or _cell(row, titles, AMOUNT)
    fen = abs(parse_yuan(amount))
    if not fen or not number:
        raise ValueError("a line has an amount and a number")
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
    raise ValueError(f"{text!r} is no time")
