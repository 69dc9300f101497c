"""Bank statements: read, compared with what was read before, kept with their payers sealed, reported row by row.

Nothing is taken in on one person's word: what was uploaded is held (`bank_held`) until a second one agreed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.clock import Clock, city_date, midnight
from shanhe.kernel.db import Database
from shanhe.kernel.paging import every
from shanhe.payments import bank_csv, bank_store, store
from shanhe.payments.bank_errors import StatementContradicts, StatementOfAnother, StatementUnreadable
from shanhe.payments.bank_matching import BATCH_ROWS, Matching
from shanhe.payments.bank_model import (
    BankAccount,
    BankFile,
    BankLine,
    Direction,
    Gap,
    LineState,
    Outgoing,
    Parsed,
    Report,
    references,
)
from shanhe.payments.bank_sheet import Told, gaps, is_ours, is_theirs, way
from shanhe.payments.bank_slips import PARTY, PRINT, REMARK, STATE, TEXT_LIMIT_CHARS, Slips, rows_of
from shanhe.payments.errors import UnknownPayment

FILE_LIMIT_BYTES: Final = 1_000_000
PAGE_ROWS: Final = 200
CHAIN_ROWS: Final = 2_000
"""How many statements, the newest, are looked at for what is missing between them."""
REPORT_ROWS: Final = bank_csv.ROWS_MAX
SKEW: Final = timedelta(days=1)
"""By how much a bank's clock may be ahead."""

Personal = Callable[[UUID], Awaitable[bool]]
"""Whether an organisation is one person."""
PayeeOf = Callable[[Outgoing], Awaitable[tuple[str, str] | None]]
"""Name and number of the account that something is sent to, as far as it is known."""


@dataclass(frozen=True)
class Reading:
    """A statement as read; `rows` as the store takes them."""

    file: BankFile
    parsed: Sequence[Parsed]
    rows: Sequence[tuple[Any, ...]]

    @property
    def prints(self) -> list[str]:
        return [row[PRINT] for row in self.rows if row[PRINT] is not None]


class Statements:
    """`personal` tells people from companies: of people only the reference is kept. `account`: the city's own."""

    def __init__(
        self, db: Database, clock: Clock, slips: Slips, matching: Matching, *, personal: Personal | None,
        account: BankAccount | None,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._slips = slips
        self._matching = matching
        self._personal = personal or _nobody
        self._account = account
        self._payee_of: PayeeOf = _unknown

    def know_payees(self, payee_of: PayeeOf) -> None:
        """Have what leaves with one of our references compared with the account that it is for."""
        self._payee_of = payee_of

    @property
    def account_number(self) -> str:
        """The city's own account; empty where none is named."""
        return "" if self._account is None else self._account.account

    async def take(self, data: bytes, *, name: str, actor: str, second: str) -> Report:
        """Take a statement in that two people stand for: match what matches, suspend the rest; the same file again
        reports what it did then.

        A line that an earlier file brought is a duplicate, whatever the file. Raises StatementUnreadable,
        StatementIncomplete, StatementOfAnother, StatementContradicts: then nothing is taken.
        """
        file_hash = digest(data)
        known = await bank_store.file(self._db, file_hash)
        if known is None:
            await self._take(self.read(data, name=name, actor=actor, second=second))
        await self._matching.settle()
        report = await self.report(file_hash)
        return replace(report, known=known is not None)

    async def known(self, file_hash: str) -> Report | None:
        """What a statement did that was taken in before; None where it was not."""
        return None if await bank_store.file(self._db, file_hash) is None else await self.report(file_hash)

    def read(self, data: bytes, *, name: str, actor: str, second: str | None = None) -> Reading:
        """What a statement says, without comparing it with others. Raises StatementUnreadable, StatementIncomplete,
        StatementOfAnother."""
        file_hash = digest(data)
        said, parsed = bank_csv.read(data)
        ours = self.account_number
        if said.account and ours and not is_ours(said.account, ours):
            raise StatementOfAnother(said.account, ours)
        now = self._clock.now()
        parsed = [_in_time(line, now + SKEW) for line in parsed]
        rows = rows_of(file_hash, parsed)
        made = _file(file_hash, name[:TEXT_LIMIT_CHARS], said, parsed, rows, actor, now)
        return Reading(replace(made, agreed_by=second), parsed, rows)

    async def compared(self, conn: Any, reading: Reading) -> dict[str, str]:
        """Which of its lines an earlier statement brought, and which one. Raises StatementContradicts."""
        known = await bank_store.known(conn, reading.prints)
        await self._check_agrees(conn, reading.file, reading.prints, sum(bool(line.why) for line in reading.parsed))
        return known

    async def _take(self, reading: Reading) -> None:
        made = reading.file
        elsewhere = await self.elsewhere(reading.parsed)
        async with self._db.transaction() as conn:
            await bank_store.take_turns(conn)
            known = await self.compared(conn, reading)
            now = self._clock.now()  # of its turn: a sheet that was begun before it has nothing of it
            made = replace(made, uploaded_at=now, repeats=sorted(set(known.values())))
            if await bank_store.insert_file(conn, made):
                sealed = [self._slips.sealed(await self._less(conn, row)) for row in reading.rows]
                await bank_store.insert_lines(conn, sealed, known.keys())
                await bank_store.set_elsewhere(conn, made.hash, elsewhere)

    async def elsewhere(self, parsed: Sequence[Parsed]) -> list[int]:
        """Rows with which money of ours left for another account than its payee's."""
        named = {line.row: references(line.remark) for line in parsed if line.direction is Direction.OUT}
        sent = await bank_store.outgoings(self._db, {reference for found in named.values() for reference in found})
        return [
            line.row
            for line in parsed
            if await self._goes_elsewhere(line, [sent[one] for one in named.get(line.row, ()) if one in sent])
        ]

    async def _goes_elsewhere(self, line: Parsed, sent: Sequence[Outgoing]) -> bool:
        """Whether what we sent left for another account than its payee's: of several references in a line it has to be
        every one's."""
        for one in sent:
            payee = await self._payee_of(one)
            if payee is not None and not is_theirs(line, *payee):
                return True
        return False

    async def _check_agrees(self, conn: object, file: BankFile, prints: list[str], unread: int) -> None:
        """Refuse what covers days that were read before and has not all that the bank listed for them then."""
        if file.first_at is None or file.last_at is None:
            return
        other = await bank_store.lacking(conn, file.first_at, file.last_at, prints)
        if other is not None and other[1] > unread:
            raise StatementContradicts(*other)

    async def _less(self, conn: object, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A line without what it says of people where our own reference tells who it is: the bank keeps the rest."""
        for reference in (found := references(row[REMARK])):
            order_id = await bank_store.order_of(conn, reference)
            order = await store.order(conn, order_id) if order_id is not None else None
            ours = order is None and await bank_store.outgoing(conn, reference=reference) is not None
            if ours or (order is not None and await self._personal(order.org_id)):
                kept = " ".join(found)
                return (*row[:PARTY], "", "", kept, *row[REMARK + 1 :])
        return row

    async def report(self, file_hash: str) -> Report:
        """What a statement did, row by row; UnknownPayment when there was none."""
        file = await bank_store.file(self._db, file_hash)
        if file is None:
            raise UnknownPayment("statement")
        lines = await bank_store.lines(self._db, file_hash, REPORT_ROWS)
        beside = tuple(gap for gap in await self.gaps() if file_hash in (gap.before.hash, gap.after.hash))
        return Report(file, True, tuple(map(self._slips.opened, lines)), beside)

    async def gaps(self) -> list[Gap]:
        """Where a statement doesn't go on from the one before it, oldest first."""
        return gaps(await bank_store.files(self._db, CHAIN_ROWS))

    async def files(self) -> list[BankFile]:
        return await bank_store.files(self._db, PAGE_ROWS)

    async def last_day(self) -> date | None:
        """The last day that a statement covers; None before the first statement."""
        last, until = await bank_store.last_at(self._db), await bank_store.last_until(self._db)
        return max((day for day in (last and city_date(last), until) if day is not None), default=None)

    async def paid_by(self, order_id: UUID) -> BankLine | None:
        """The line of a statement that completed an order's payment: a refund goes back to whoever it names."""
        line = await bank_store.completing(self._db, order_id)
        return None if line is None else self._slips.opened(line)

    async def reseal(self) -> int:
        """Seal lines that were written before they were sealed, a bounded number; how many."""
        found = await bank_store.plain_lines(self._db, BATCH_ROWS)
        for row in found:
            await bank_store.seal_line(self._db, self._slips.sealed(tuple(row)))
        return len(found)

    async def forget(self, payer: bytes) -> int:
        """What statements say of a payer who was erased can be read by nobody any more; how many lines. Amount, day and
        the bank's own serial stay, so the bank can still say whose money it is."""
        gone = 0
        async for line in every(partial(bank_store.lines_of, self._db, payer), tuple):
            self._slips.destroy(*line)
            gone += 1
        return gone


def _file(
    file_hash: str, name: str, said: Told, parsed: list[Parsed], rows: Sequence[tuple[Any, ...]], actor: str,
    now: datetime,
) -> BankFile:  # fmt: skip
    """A statement with the days it covers and its balances; StatementIncomplete where they don't lead through it."""
    once = [line for line, row in zip(parsed, rows, strict=True) if row[STATE] != LineState.DUPLICATE]
    along = way(once, said)
    at = [line.at for line in once if line.at is not None]
    days = [city_date(one) for one in at] + [day for day in (said.since, said.until) if day is not None]
    since, until = min(days, default=None), max(days, default=None)
    first, last = min(at, default=_start(since)), max(at, default=_start(until))
    return BankFile(
        file_hash, name, said.encoding, len(parsed), actor, now, since, until, first, last,
        along.opening_fen, along.closing_fen,
    )  # fmt: skip


def _in_time(line: Parsed, latest: datetime) -> Parsed:
    """A line, not read where its day is yet to come: it would be the last of all statements for years."""
    if line.at is None or line.at <= latest:
        return line
    day = city_date(line.at)
    return replace(
        Parsed(line.row), remark=line.remark, party=line.party, why=f"{day} is yet to come · 日期 {day} 尚未到来"
    )


def _start(day: date | None) -> datetime | None:
    return None if day is None else midnight(day)


def digest(data: bytes) -> str:
    """SHA-256 of a statement of a size that is read; StatementUnreadable."""
    if not 0 < len(data) <= FILE_LIMIT_BYTES:
        raise StatementUnreadable(f"it has {len(data)} bytes, at most {FILE_LIMIT_BYTES} are read", "文件过大或为空")
    return hashlib.sha256(data).hexdigest()


async def _nobody(_: UUID) -> bool:
    return False


async def _unknown(_: Outgoing) -> tuple[str, str] | None:
    return None
