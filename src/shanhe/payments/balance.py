"""The bank's balance against the books' on any evening, and the sheets of it that two people signed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from shanhe.kernel.clock import Clock, city_date, midnight
from shanhe.kernel.db import Database
from shanhe.ledger.api import LATEST, Asset, Ledger, Moved
from shanhe.payments import balance_store, bank_store
from shanhe.payments.balance_model import BankBalance, Entry, Kept, Node, Side, Tie, Transit, Walk
from shanhe.payments.bank_errors import BalanceTooEarly, UnknownBalance
from shanhe.payments.bank_matching import CASH
from shanhe.payments.bank_model import BankFile
from shanhe.payments.bank_sheet import earliest, furthest, gaps
from shanhe.payments.bank_slips import TWICE
from shanhe.payments.bank_statements import SKEW

CHAIN_ROWS: Final = 2_000
SHEETS_ROWS: Final = 200
ONE_DAY: Final = timedelta(days=1)
OPENING: Final = "opening"
SPACE: Final = UUID("2f0f3c0b-6c1e-5d0e-9a8f-0d4a1f7f7b52")
WINDOW: Final = timedelta(days=31)
"""Of so many days the movements are held at once."""


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
        end = midnight(day + ONE_DAY)
        opening = await self._opening(files)
        stated_fen = await self._stated(files, end)
        bank_fen = stated_fen
        if bank_fen is None:
            bank_fen = await balance_store.lines_fen(self._db, end)
            bank_fen += opening.fen if opening is not None and opening.day <= day else 0
        until = max((one.until for one in files if one.until is not None and _begins(one) < end), default=None)
        return BankBalance(
            day,
            bank_fen,
            -await self._ledger.moved_by(cash.id, day),
            await self._in_transit(day, cash.id, opening),
            stated_fen is not None,
            None if until is None else min(until, day),
            tuple(gap for gap in gaps(files) if _begins(gap.after) < end),
            await balance_store.unread(self._db, end),
        )

    async def _stated(self, files: Sequence[BankFile], end: datetime) -> int | None:
        """The bank's own balance at an instant, out of the statement that reaches nearest to it, and of lines after."""
        known = [one for one in files if one.opening_fen is not None and _begins(one) < end]
        beyond = next((one for one in known if _ends(one) >= end), None)
        if beyond is not None:
            return (beyond.opening_fen or 0) + await balance_store.moved_fen(self._db, beyond.hash, end, TWICE)
        last = furthest(known)
        if last is None:
            return None
        return (last.closing_fen or 0) + await balance_store.lines_fen(self._db, end, after=_ends(last))

    async def _opening(self, files: Sequence[BankFile]) -> Entry | None:
        """What lay on the account before the first line."""
        first = earliest(files)
        if first is None:
            return None
        before_fen = await balance_store.lines_fen(self._db, _begins(first), without=first.hash)
        began = await balance_store.first_at(self._db) or _begins(first)
        day = city_date(min(began, _begins(first)))
        fen = (first.opening_fen or 0) - before_fen
        return Entry(OPENING, day, fen, OPENING) if fen else None

    # -- what one side has --------------------------------------------------------------------------------------------

    async def _in_transit(self, day: date, cash: UUID, opening: Entry | None) -> tuple[Transit, ...]:
        """Of all days until now, some at a time. Begins at the last sheet that was signed and that nothing has reached
        behind since: what both sides had on that evening moves neither of them any more."""
        walk, after = Walk(day), None
        kept = await balance_store.last_signed(self._db, day, LATEST)
        if kept is None:
            walk.add([opening] if opening is not None else [], [], [])
            begun = (await balance_store.first_at(self._db), await self._ledger.first_moved(cash))
            since = min((one for one in begun if one is not None), default=None)
        else:
            await self._begin(walk, kept)
            since, after = midnight(kept.day + ONE_DAY), kept.day
        now = max(self._clock.now() + SKEW, midnight(day + ONE_DAY))
        while since is not None and since < now:
            until = since + WINDOW
            lines = await balance_store.lines(self._db, since, until)
            moved = await self._ledger.moved(cash, since, until)
            await self._step(walk, lines, [one for one in moved if after is None or one.day > after])
            since = until
        return await asyncio.to_thread(walk.in_transit)

    async def _begin(self, walk: Walk, kept: Kept) -> None:
        """What was in transit on a sheet, as the movements that are left of it."""
        entries = [_left(one) for one in msgspec.convert(kept.sheet["items"], list[dict[str, Any]])]
        places = [one.line for one in entries if one.line is not None]
        lines = await bank_store.lines_at(self._db, places)
        views = [await self._ledger.posting(one.posting) for one in entries if one.posting is not None]
        matters = {one.id: one.reverses or one.id for one in views}
        ties, named = await self._ties(places, [*matters.keys(), *matters.values()])
        for (file_hash, row), line in lines.items():
            ties += _of_line(("line", file_hash, row), line.order_id, line.reference)
        ties += _of_postings([(one.id, matters[one.id], one.kind) for one in views])
        entries = [
            one if one.posting is None else replace(one, node=("posting", named.get(m := matters[one.posting], m)))
            for one in entries
        ]
        walk.add([one for one in entries if one.posting is None], [one for one in entries if one.posting], ties)

    async def _step(self, walk: Walk, lines: Sequence[Any], moved: Sequence[Moved]) -> None:
        """Some days more of both sides."""
        if not lines and not moved:
            return
        matters = {id_ for one in moved for id_ in (one.posting, one.matter)}
        ties, named = await self._ties([(row["file_hash"], row["row"]) for row in lines], list(matters))

        def add() -> None:
            for row in lines:
                ties.extend(_of_line(_line(row), row["order_id"], row["reference"]))
            ties.extend(_of_postings([(one.posting, one.matter, one.kind) for one in moved]))
            walk.add(
                [Entry(_line(row), city_date(row["at"]), _fen(row), "line", row["reference"] or "", _line(row)[1:])
                 for row in lines],
                [Entry(("posting", named.get(one.matter, one.matter)), one.day, -one.amount, one.kind,
                       posting=one.posting) for one in moved],
                ties,
            )  # fmt: skip
            walk.forget()

        await asyncio.to_thread(add)

    async def _ties(
        self, lines: Sequence[tuple[str, int]], postings: Sequence[UUID]
    ) -> tuple[list[Tie], Mapping[UUID, UUID]]:  # fmt: skip
        """What lines and postings belong to; and by what name a posting goes that took an item out of suspense: that of
        the one that put it there."""
        orders = await balance_store.booked_orders(self._db, postings)
        outgoing = await balance_store.booked_outgoing(self._db, postings)
        items = await balance_store.items(self._db, lines, postings)
        explaining = [by for item in items for by in item["explained_by"]]
        taken = await balance_store.known_items(self._db, [UUID(int=by.int ^ 1) for by in explaining])
        named = {UUID(int=one.int ^ 1): one for one in {item["id"] for item in items} | taken}
        ties: list[Tie] = [(("order", row["id"]), ("posting", row["posting"])) for row in orders]
        ties += [(("reference", row["reference"]), ("posting", row["posting"])) for row in outgoing]
        for item in items:
            line = ("line", item["file_hash"], item["row"])
            ties += [(line, ("posting", UUID(int=item["id"].int ^ bit))) for bit in (0, 2)]
            ties += [(line, ("posting", named.get(by, by))) for by in item["explained_by"]]
            ties += _of_line(line, item["order_id"], item["reference"])
        return ties, named

    # -- sheets that are kept -----------------------------------------------------------------------------------------

    async def prepare(self, day: date, *, by: str) -> Kept:
        """Keep the sheet of a day as it stands, for two people to sign; the same one where nothing changed since."""
        if day >= self._clock.today():
            raise BalanceTooEarly(day)
        async with self._db.transaction() as conn:
            await bank_store.take_turns(conn)  # what is being taken in is there by then, or counts as of later
            begun = self._clock.now()
        found = await self.on(day)
        sheet = msgspec.json.decode(msgspec.json.encode(view(found)))
        number = uuid5(SPACE, msgspec.json.encode(sheet, order="sorted").decode())
        async with self._db.transaction() as conn:
            await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", f"balance:{day}")
            known = await balance_store.kept(conn, number)
            if known is not None:
                return known
            made = Kept(
                number, day, found.bank_fen, found.ledger_fen, found.unexplained_fen, by, begun, sheet=sheet
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


def _of_line(line: Node, order_id: UUID | None, reference: str | None) -> list[Tie]:
    return [(line, tie) for tie in (("order", order_id), ("reference", reference)) if tie[1] is not None]


def _of_postings(postings: Sequence[tuple[UUID, UUID, str]]) -> list[Tie]:
    """Of (posting, matter, kind)."""
    ties: list[Tie] = [(("posting", posting), OPENING) for posting, _, kind in postings if kind == OPENING]
    return ties + [(("posting", one), ("posting", matter)) for one, matter, _ in postings if one != matter]


def _left(item: Mapping[str, Any]) -> Entry:
    """The movement that an item of a kept sheet stands for."""
    fen = int(item["amount_fen"]) * (1 if item["side"] in (Side.BANK_IN, Side.BOOKS_IN) else -1)
    day, what, reference = date.fromisoformat(item["since"]), str(item["what"]), str(item["reference"])
    if item["posting"] is not None:
        posting = UUID(item["posting"])
        return Entry(("posting", posting), day, fen, what, reference, posting=posting)
    if item["line"] is None:
        return Entry(OPENING, day, fen, what, reference)
    file_hash, row = item["line"]
    return Entry(("line", file_hash, row), day, fen, what, reference, (file_hash, row))


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
