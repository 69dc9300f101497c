"""Disputes on orders: a member says what is wrong, an operator answers; bookings are corrected by reversals only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.approvals.api import Approvals
from shanhe.exchange import fund_store as store
from shanhe.exchange.errors import ItemClosed, OrderConflict, SecondPersonNeeded, UnknownItem
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.sealing import Seals
from shanhe.kernel.texts import BadText

TEXT_LIMIT_CHARS: Final = 1000
PAGE_ROWS: Final = 100
PLACE: Final = "exchange.dispute"


@dataclass(frozen=True)
class Dispute:
    id: UUID
    order_id: UUID
    org_id: UUID
    text: str
    state: str
    answer: str
    actor: str
    created_at: datetime
    decided_by: str | None
    decided_at: datetime | None


class Disputes:
    def __init__(self, db: Database, clock: Clock, approvals: Approvals, seals: Seals | None = None) -> None:
        self._db = db
        self._approvals = approvals
        self._clock = clock
        self._seals = seals or Seals()

    async def open(self, order_id: UUID, org_id: UUID, text: str, *, dispute_id: UUID, actor: str) -> Dispute:
        """Idempotent by id. The order must be the organisation's: the caller has looked."""
        _check(text)
        sealed = await self._seals.seal(org_id, f"{PLACE}.text", text)
        row = await store.insert_dispute(self._db, dispute_id, order_id, org_id, sealed, actor, self._clock.now())
        made = await self.opened(row)
        if (made.order_id, made.org_id, made.text) != (order_id, org_id, text):
            raise OrderConflict()
        return made

    async def decide(self, dispute_id: UUID, *, upheld: bool, answer: str, actor: str) -> Dispute:
        """An operator's answer. Never by who complained."""
        _check(answer)
        row = await store.dispute(self._db, dispute_id)
        if row is None:
            raise UnknownItem("dispute", "申诉")
        if await self._approvals.same_person(row["actor"], actor):
            raise SecondPersonNeeded()
        state = "upheld" if upheld else "dismissed"
        if row["state"] != "open" and (row["state"], row["decided_by"]) != (state, actor):
            raise ItemClosed(row["state"])
        sealed = await self._seals.seal(row["org_id"], f"{PLACE}.answer", answer)
        row = await store.decide_dispute(self._db, dispute_id, state, sealed, actor, self._clock.now())
        if (row["state"], row["decided_by"]) != (state, actor):  # somebody else was quicker, and theirs stands
            raise ItemClosed(row["state"])
        return await self.opened(row)

    async def list(self, org_id: UUID | None, *, open_only: bool = False, limit: int = PAGE_ROWS) -> Sequence[Dispute]:
        """Newest first, a bounded page."""
        return [await self.opened(row) for row in await store.disputes(self._db, org_id, open_only, limit)]

    async def opened(self, row: Any) -> Dispute:
        """A row in plain text."""
        return Dispute(**await self._seals.opened(row["org_id"], PLACE, row, "text", "answer"))


def _check(text: str) -> None:
    if not 0 < len(text.strip()) <= TEXT_LIMIT_CHARS:
        raise BadText("text", TEXT_LIMIT_CHARS)
