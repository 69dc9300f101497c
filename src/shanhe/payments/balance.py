"""The bank's balance against the books' on any evening, and the sheets of it that two people signed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from shanhe.kernel.clock import Clock, city_date, midnight
from shanhe.kernel.db import Database
from shanhe.ledger.api import Asset, Ledger, Moved
from shanhe.payments import balance_store, bank_store
from shanhe.payments.balance_model import BankBalance, Entry, Kept, Node, in_transit
from shanhe.payments.bank_errors import BalanceTooEarly, UnknownBalance
from shanhe.payments.bank_matching import CASH
from shanhe.payments.bank_model import BankFile
from shanhe.payments.bank_sheet import furthest, gaps
from shanhe.payments.bank_slips import TWICE

CHAIN_ROWS: Final = 2_000
SHEETS_ROWS: Final = 200
ONE_DAY: Final = timedelta(days=1)
OPENING: Final = "opening"
SPACE: Final = UUID("2f0f3c0b-6c1e-5d0e-9a8f-0d4a1f7f7b52")
Tie = tuple[Node, Node]


class Balances:
    """Draws the sheet from statements and postings; keeps what was signed."""

    def __init__(self, db: Database, clock: Clock, ledger: Ledger) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger

    async def on(self, day: date) -> BankBalance:
        """Both balances on the evening of a day, with all that is known now. Raises BalanceTooEarly for days to
        come."""
        if day > self._clock.today():
            raise BalanceTooEarly(day)
        files = await bank_store.files(self._db, CHAIN_ROWS)
        cash = await self._ledger.system_account("cash", Asset.CNY, CASH)
        moved = await self._ledger.moved(cash.id)
        lines = await balance_store.lines(self._db)
        orders, outgoing = await balance_store.booked_orders(self._db), await balance_store.booked_outgoing(self._db)
        items = await balance_store.items(self._db)
        end = midnight(day + ONE_DAY)
        stated_fen = await self._stated(files, lines, end)
        unread = await balance_store.unread(self._db, end)
        ties = [*_of_lines(lines), *_of_bookings(orders, outgoing, items)]
        first = [one for one in files if one.opening_fen is not None and one.first_at is not None]
        return await asyncio.to_thread(_drawn, day, stated_fen, files, first, lines, moved, items, ties, unread)

    async def _stated(self, files: Sequence[BankFile], lines: Sequence[Any], end: datetime) -> int | None:
        """The bank's own balance at an instant, out of the statement that reaches nearest to it, and of lines after."""
        known = [one for one in files if one.opening_fen is not None and _begins(one) < end]
        beyond = next((one for one in known if _ends(one) >= end), None)
        if beyond is not None:
            return (beyond.opening_fen or 0) + await balance_store.moved_fen(self._db, beyond.hash, end, TWICE)
        last = furthest(known)
        if last is None:
            return None
        later = (line for line in lines if _ends(last) < line["at"] < end)
        return (last.closing_fen or 0) + sum(map(_fen, later))

    # -- sheets that are kept -----------------------------------------------------------------------------------------

    async def prepare(self, day: date, *, by: str) -> Kept:
        """Keep the sheet of a day as it stands, for two people to sign; the same one where nothing changed since."""
        if day >= self._clock.today():
            raise BalanceTooEarly(day)
        found = await self.on(day)
        sheet = msgspec.json.decode(msgspec.json.encode(view(found)))
        number = uuid5(SPACE, msgspec.json.encode(sheet, order="sorted").decode())
        async with self._db.transaction() as conn:
            await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", f"balance:{day}")
            known = await balance_store.kept(conn, number)
            if known is not None:
                return known
            made = Kept(
                number, day, found.bank_fen, found.ledger_fen, found.unexplained_fen, by, self._clock.now(),
                sheet=sheet,
            )  # fmt: skip
            await balance_store.keep(conn, made)
            return made

    async def sign(self, sheet_id: UUID, *, by: str) -> Kept:
        """It was signed; the first signature stays. Raises UnknownBalance."""
        await self.get(sheet_id)
        async with self._db.transaction() as conn:
            await balance_store.sign(conn, sheet_id, by, self._clock.now())
        return await self.get(sheet_id)

    async def get(self, sheet_id: UUID) -> Kept:
        found = await balance_store.kept(self._db, sheet_id)
        if found is None:
            raise UnknownBalance
        return found

    async def kept(self) -> list[Kept]:
        """Sheets that were made for signing, the newest day first, without what is in them."""
        return await balance_store.kept_sheets(self._db, SHEETS_ROWS)


def view(found: BankBalance) -> dict[str, Any]:
    """A sheet as JSON."""
    return {
        "day": found.day, "bank_fen": found.bank_fen, "ledger_fen": found.ledger_fen,
        "adjusted_bank_fen": found.adjusted_bank_fen, "adjusted_ledger_fen": found.adjusted_ledger_fen,
        "unexplained_fen": found.unexplained_fen, "stated": found.stated, "until": found.until,
        "unread": found.unread, "items": [asdict(item) for item in found.items],
        "gaps": [
            {"since": gap.since, "until": gap.until, "missing_fen": gap.missing_fen, "before": gap.before.name,
             "after": gap.after.name} for gap in found.gaps
        ],
    }  # fmt: skip


def _drawn(
    day: date, stated_fen: int | None, files: Sequence[BankFile], with_balances: Sequence[BankFile],
    lines: Sequence[Any], moved: Sequence[Moved], items: Sequence[Any], ties: list[Tie], unread: int,
) -> BankBalance:  # fmt: skip
    """Everything that was read, laid side by side."""
    end = midnight(day + ONE_DAY)
    bank = [
        Entry(_line(row), city_date(row["at"]), _fen(row), "line", row["reference"] or "", _line(row)[1:])
        for row in lines
    ]
    if with_balances:
        first = min(with_balances, key=_begins)
        before = sum(_fen(row) for row in lines if row["at"] < _begins(first) and row["file_hash"] != first.hash)
        began = min((entry.day for entry in bank), default=city_date(_begins(first)))
        if opening_fen := (first.opening_fen or 0) - before:
            bank.insert(0, Entry(OPENING, min(began, city_date(_begins(first))), opening_fen, OPENING))
    named = _named(items)
    books = [
        Entry(("posting", named.get(one.matter, one.matter)), one.day, -one.amount, one.kind, posting=one.posting)
        for one in moved
    ]
    ties += [(("posting", one.posting), OPENING) for one in moved if one.kind == OPENING]
    ties += [(("posting", one.posting), ("posting", one.matter)) for one in moved if one.posting != one.matter]
    until = max((one.until for one in files if one.until is not None and _begins(one) < end), default=None)
    return BankBalance(
        day,
        sum(e.fen for e in bank if e.day <= day) if stated_fen is None else stated_fen,
        sum(e.fen for e in books if e.day <= day),
        in_transit(day, bank, books, ties),
        stated_fen is not None,
        None if until is None else min(until, day),
        tuple(gap for gap in gaps(files) if _begins(gap.after) < end),
        unread,
    )


def _named(items: Sequence[Any]) -> dict[UUID, UUID]:
    """What took an item out of suspense goes by what put it there."""
    return {UUID(int=item["id"].int ^ 1): item["id"] for item in items}


def _of_lines(lines: Sequence[Any]) -> list[Tie]:
    return [
        (_line(row), tie)
        for row in lines
        for tie in (("order", row["order_id"]), ("reference", row["reference"]))
        if tie[1] is not None
    ]


def _of_bookings(orders: Sequence[Any], outgoing: Sequence[Any], items: Sequence[Any]) -> list[Tie]:
    ties: list[Tie] = [(("order", row["id"]), ("posting", row["posting"])) for row in orders]
    ties += [(("reference", row["reference"]), ("posting", row["posting"])) for row in outgoing]
    named = _named(items)
    for item in items:
        line = ("line", item["file_hash"], item["row"])
        ties += [(line, ("posting", UUID(int=item["id"].int ^ bit))) for bit in (0, 2)]
        ties += [(line, ("posting", named.get(by, by))) for by in item["explained_by"]]
        ties += [
            (line, tie) for tie in (("order", item["order_id"]), ("reference", item["reference"])) if tie[1] is not None
        ]
    return ties


def _line(row: Any) -> tuple[str, str, int]:
    return ("line", row["file_hash"], row["row"])


def _fen(row: Any) -> int:
    return int(row["amount_fen"]) if row["direction"] == "in" else -int(row["amount_fen"])


def _begins(file: BankFile) -> datetime:
    assert file.first_at is not None  # it has balances, or a gap beside it
    return file.first_at


def _ends(file: BankFile) -> datetime:
    assert file.last_at is not None
    return file.last_at
