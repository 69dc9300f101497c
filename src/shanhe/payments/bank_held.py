"""Statements that were uploaded and take no effect until a second person agreed: where they wait, what they would do.

A held statement is sealed with a key of its own. Both are gone once it was decided, whichever way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.vault import PersonErased, Vault
from shanhe.payments import held_store
from shanhe.payments.bank_errors import StatementGone, StatementsWait
from shanhe.payments.bank_model import (
    Direction,
    Foreseen,
    LineState,
    Outlook,
    Parsed,
    Report,
    Would,
    masked,
    references,
)
from shanhe.payments.bank_slips import PRINT, STATE, WHY
from shanhe.payments.bank_statements import Reading, Statements, digest
from shanhe.payments.bank_store import DUPLICATE_WHY
from shanhe.payments.bank_transfer import WAITING
from shanhe.payments.held_store import Due, Sent
from shanhe.payments.model import State

HELD_MAX: Final = 50
FIELD: Final = "payments.bank_held"


class HeldStatements:
    """Keeps what was uploaded, shows what it would do, takes it in when two agreed."""

    def __init__(self, db: Database, clock: Clock, vault: Vault, statements: Statements) -> None:
        self._db = db
        self._clock = clock
        self._vault = vault
        self._statements = statements

    async def keep(self, data: bytes, *, name: str, actor: str) -> Outlook:
        """Keep a statement sealed, and say what it would do; the same file again is kept once.

        Raises StatementUnreadable, StatementIncomplete, StatementOfAnother, StatementContradicts, StatementsWait: then
        nothing is kept.
        """
        outlook = await self._foreseen(self._statements.read(data, name=name, actor=actor))
        key = new_id()
        self._vault.create(key)
        content = self._vault.opened(key).encrypt_bytes(FIELD, data)
        async with self._db.transaction() as conn:
            kept = await held_store.insert(conn, outlook.file.hash, key, name, content, self._clock.now(), HELD_MAX)
        if kept != key:
            self._vault.destroy(key)
        if kept is None:
            raise StatementsWait(HELD_MAX)
        return outlook

    async def outlook(self, file_hash: str, *, by: str) -> Outlook:
        """What a statement that waits, uploaded `by` whom, would do now. Raises StatementGone, StatementContradicts."""
        name, data = await self._opened(file_hash)
        return await self._foreseen(self._statements.read(data, name=name, actor=by))

    async def take(self, file_hash: str, *, actor: str, second: str) -> Report:
        """Take in what two agreed to; once. Raises StatementGone, and what `Statements.take` raises."""
        report = await self._statements.known(file_hash)
        if report is None:
            name, data = await self._opened(file_hash)
            report = await self._statements.take(data, name=name, actor=actor, second=second)
        await self.drop(file_hash)
        return report

    async def all(self) -> Sequence[tuple[str, datetime]]:
        """(digest, when it was uploaded last) of what is kept, oldest first."""
        return await held_store.all_(self._db, HELD_MAX)

    async def drop(self, file_hash: str, held_at: datetime | None = None) -> None:
        """Destroy what was kept; nothing where it was uploaded again after `held_at`."""
        key = await held_store.delete(self._db, file_hash, held_at)
        if key is not None:
            self._vault.destroy(key)

    async def _opened(self, file_hash: str) -> tuple[str, bytes]:
        found = await held_store.content(self._db, file_hash)
        if found is None:
            raise StatementGone
        key, name, content = found
        try:
            data = self._vault.opened(key).decrypt_bytes(FIELD, content)
        except PersonErased:
            raise StatementGone from None
        if digest(data) != file_hash:
            raise StatementGone
        return name, data

    # -- what it would do ---------------------------------------------------------------------------------------------

    async def _foreseen(self, reading: Reading) -> Outlook:
        known = await self._statements.compared(self._db, reading)
        named = {one for line in reading.parsed for one in references(line.remark)}
        orders, sent = await held_store.due(self._db, named), await held_store.sent(self._db, named)
        elsewhere = frozenset(await self._statements.elsewhere(reading.parsed))
        by_row = {row[1]: row for row in reading.rows}
        seen = _Foresight(orders, sent, elsewhere)
        lines = {}
        for line in sorted(reading.parsed, key=_turn):
            row = by_row[line.row]
            if row[PRINT] in known:
                would, why, order = Would.DUPLICATE, DUPLICATE_WHY, None
            elif row[STATE] in (LineState.REFUSED, LineState.DUPLICATE):
                would, why, order = Would(str(row[STATE])), row[WHY], None
            else:
                (would, order), why = seen.of(line), ""
            lines[line.row] = Foreseen(
                line.row, line.direction, line.amount_fen, line.at, line.party, masked(line.party_account),
                line.remark, would, why, order,
            )  # fmt: skip
        counted = [one for one in lines.values() if one.would not in (Would.DUPLICATE, Would.REFUSED)]
        came, left = (
            sum(one.amount_fen or 0 for one in counted if one.direction is way) for way in (Direction.IN, Direction.OUT)
        )
        shown = tuple(lines[line.row] for line in reading.parsed)
        return Outlook(reading.file, came, left, sum(seen.paid.values()), len(seen.paid), shown)


class _Foresight:
    """Goes through lines in the order in which they would be matched."""

    def __init__(self, orders: Mapping[str, Due], sent: Mapping[str, Sent], elsewhere: frozenset[int]) -> None:
        self._orders = orders
        self._sent = sent
        self._elsewhere = elsewhere
        self._came: dict[UUID, int] = {}
        self._shown: set[str] = set()
        self.paid: dict[UUID, int] = {}
        """What each order that would be completed is over, in fen."""

    def of(self, line: Parsed) -> tuple[Would, UUID | None]:
        found = references(line.remark)
        return self._leaves(line, found) if line.direction is Direction.OUT else self._comes(line, found)

    def _leaves(self, line: Parsed, found: Sequence[str]) -> tuple[Would, UUID | None]:
        for reference in found:
            sent = self._sent.get(reference)
            if sent and sent.amount_fen == line.amount_fen and not sent.shown and reference not in self._shown:
                if line.row in self._elsewhere:
                    return Would.ELSEWHERE, None
                self._shown.add(reference)
                return Would.SENT, None
        return Would.SUSPENSE, None

    def _comes(self, line: Parsed, found: Sequence[str]) -> tuple[Would, UUID | None]:
        for reference in found:
            due = self._orders.get(reference)
            if due is None:
                continue
            if State(due.state) not in WAITING or due.completed or due.order_id in self.paid:
                return Would.SUSPENSE, due.order_id
            came_fen = self._came.get(due.order_id, due.came_fen) + (line.amount_fen or 0)
            self._came[due.order_id] = came_fen
            if came_fen < due.amount_fen:
                return Would.PART, due.order_id
            self.paid[due.order_id] = due.amount_fen
            return Would.PAYS, due.order_id
        back = any(reference in self._sent for reference in found)
        return Would.BACK if back else Would.SUSPENSE, None


def _turn(line: Parsed) -> tuple[bool, datetime | None, bool, int]:
    """The order of `bank_store.new_lines`; lines that can't be read last."""
    unread = line.at is None
    return unread, None if unread else line.at, line.direction is Direction.IN, line.row
