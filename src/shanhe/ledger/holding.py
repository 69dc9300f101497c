"""Holds by the database, gathered into groups: for what no lease covers. Only the database says insufficient."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.clock import Clock
from shanhe.kernel.literals import call, instants, integers, texts, uuids
from shanhe.ledger.commit import LOST_LIMIT_S, RETRY_WAIT_S, ConnectionLost, GroupCommit, Line, drop_late, refuse
from shanhe.ledger.errors import IdempotencyConflict, InsufficientCredit, LedgerFull, LedgerUnavailable
from shanhe.ledger.model import Provenance, TermsOf
from shanhe.ledger.reservation import HeldLots, Piece

HOLD: Final = (
    call("(h).* FROM ledger.hold", "timestamptz text[] uuid[] uuid[] bigint[] text[] timestamptz[] jsonb[]") + " h"
)
HOLD_BOUNDED: Final = "SELECT (h).* FROM ledger.hold_bounded($1, $2, $3, $4, $5, $6, $7, $8, $9) h"
NAMED: Final = {provenance.value: provenance for provenance in Provenance}
RECALL_WAITS_S: Final = (0.02, 0.04, 0.06, 0.08)
"""200 ms for other workers to answer a recall."""


class HoldRow:
    """A queued request for a database hold."""

    __slots__ = ("amount", "deadline", "expires_at", "facts", "future", "id", "payer", "purpose")

    def __init__(
        self, identifier: UUID, payer: UUID, amount: int, purpose: str, expires_at: datetime, facts: str | None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.id = identifier
        self.payer = payer
        self.amount = amount
        self.purpose = purpose
        self.expires_at = expires_at
        self.facts = facts
        self.future: asyncio.Future[Any] = loop.create_future()
        self.deadline = loop.time() + LOST_LIMIT_S


class Short(Exception):
    """The database refused a hold; `leased` is what workers borrow of the account."""

    def __init__(self, available: int, leased: int) -> None:
        super().__init__(available, leased)
        self.available = available
        self.leased = leased


class Holder:
    """Database holds by group commit."""

    def __init__(self, line: Line, clock: Clock, terms: TermsOf) -> None:
        self._line = line
        self._clock = clock
        self._terms = terms
        self.queue: GroupCommit[HoldRow] = GroupCommit(self._flush)

    async def hold(
        self, identifier: UUID, payer: UUID, amount: int, purpose: str, expires_at: datetime, facts: str | None
    ) -> HeldLots:
        """Reserve concrete lots; durable on return. `InsufficientCredit` after a recall's 200 ms at most."""
        for wait_s in (*RECALL_WAITS_S, None):
            row = HoldRow(identifier, payer, amount, purpose, expires_at, facts)
            self.queue.submit(row)
            try:
                held: HeldLots = await row.future
                return held
            except Short as short:
                if wait_s is None or not short.leased:
                    raise InsufficientCredit(payer, max(0, short.available), amount) from None
                await asyncio.sleep(wait_s)
        raise AssertionError("unreachable: the last wait is None")

    async def hold_bounded(
        self, identifier: UUID, payer: UUID, amount: int, expires_at: datetime, facts: str | None, subsidy_max: int
    ) -> HeldLots:
        """A call's hold with at most so much subsidy in it; as `hold` otherwise, but not in a group."""
        deadline = asyncio.get_running_loop().time() + LOST_LIMIT_S
        waits = [*RECALL_WAITS_S, None]
        while True:
            try:
                (answer,) = await self._line.fetch(
                    HOLD_BOUNDED, self._clock.now(), self._order(), identifier, payer, amount, "call", expires_at,
                    facts, subsidy_max,
                )  # fmt: skip
            except ConnectionLost:
                if asyncio.get_running_loop().time() > deadline:
                    raise LedgerUnavailable("It did not answer in time.") from None
                await asyncio.sleep(RETRY_WAIT_S)
                continue
            if answer["verdict"] == "conflict":
                raise IdempotencyConflict(identifier)
            if answer["verdict"] != "short":
                return HeldLots(identifier, amount, pieces_of(answer))
            wait_s = waits.pop(0)
            if wait_s is None or not answer["leased"]:
                raise InsufficientCredit(payer, max(0, answer["available"] or 0), amount)
            await asyncio.sleep(wait_s)

    def _order(self) -> list[str]:
        return self._terms(self._clock.today()).order

    async def _flush(self, rows: list[HoldRow]) -> None:
        while rows:  # the same id twice: the first one decides, and fails nobody who is asked for with them
            first = {row.id: row for row in reversed(rows)}
            await self._ask(list(first.values()))
            rows = [row for row in rows if first[row.id] is not row]

    async def _ask(self, rows: list[HoldRow]) -> None:
        while rows := drop_late(rows, asyncio.get_running_loop().time()):
            try:
                found = await self._line.fetch(
                    HOLD, self._clock.now(), texts(self._order()), uuids([row.id for row in rows]),
                    uuids([row.payer for row in rows]), integers([row.amount for row in rows]),
                    texts([row.purpose for row in rows]), instants([row.expires_at for row in rows]),
                    texts([row.facts for row in rows]),
                )  # fmt: skip
            except LedgerFull as full:  # a hold whose answer was lost before lapses by itself
                refuse(rows, full)
                return
            except ConnectionLost:
                await asyncio.sleep(RETRY_WAIT_S)
                continue
            for answer in found:
                _answer(rows[answer["ord"] - 1], answer)
            return


def _answer(row: HoldRow, answer: Any) -> None:
    if row.future.done():
        return
    verdict = answer["verdict"]
    if verdict == "short":
        row.future.set_exception(Short(answer["available"] or 0, answer["leased"] or 0))
    elif verdict == "conflict":
        row.future.set_exception(IdempotencyConflict(row.id))
    else:
        row.future.set_result(HeldLots(row.id, row.amount, pieces_of(answer)))


def pieces_of(record: Any) -> list[Piece]:
    columns = (record["lots"] or (), record["amounts"] or (), record["provenances"] or (), record["expiries"] or ())
    return [Piece(lot, amount, NAMED[name], expires) for lot, amount, name, expires in zip(*columns, strict=True)]
