"""Disputes on receipts: a payer says why a call's charge is wrong, somebody else looks, and a granted one is reversed.

open → granting → granted, or refused, or withdrawn. The decision is written before the reversal, so a crash between the
two is repaired by repeating it: the ledger reverses a posting once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from shanhe.credits import messages
from shanhe.credits.errors import DisputeClosed, DisputeConflict, NotYourReceipt, OwnDispute, UnknownDispute
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import AlreadyReversed, Ledger, LotHistory, UnknownPosting

DISPUTABLE = ("call",)
PAGE_ROWS = 100
REASON_CHARS, EVIDENCE_CHARS = 200, 4_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Dispute:
    """`reversal_id` is the posting that gave the charge back."""

    id: UUID
    org_id: UUID
    receipt_id: UUID
    reason: str
    evidence: str
    state: str
    answer: str
    reversal_id: UUID | None
    actor: str
    decided_by: str
    created_at: datetime
    decided_at: datetime | None


class Disputes:
    """Disputes of members, decisions of operators."""

    def __init__(
        self, db: Database, clock: Clock, *, ledger: Ledger, notifier: Notifier, seals: Seals | None = None
    ) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._history = LotHistory(db)
        self._notifier = notifier
        self._seals = seals or Seals()

    async def open(self, org_id: UUID, receipt_id: UUID, *, reason: str, evidence: str = "", actor: str) -> Dispute:
        """Dispute a receipt of one's own organisation; the same again is the same dispute."""
        if not 0 < len(reason) <= REASON_CHARS or len(evidence) > EVIDENCE_CHARS:
            raise Invalid("bad_text", "Say what is wrong, shortly.", message_zh="请简要说明争议原因。")
        try:
            view = await self._ledger.posting(receipt_id)
        except UnknownPosting:
            raise NotYourReceipt from None
        accounts = set(await self._history.accounts(org_id))
        if view.kind not in DISPUTABLE or not any(transfer.debit in accounts for transfer in view.transfers):
            raise NotYourReceipt
        async with self._db.transaction() as conn:
            row = await conn.fetchrow(
                """INSERT INTO credits.dispute (id, org_id, receipt_id, reason, evidence, state, actor, created_at)
                   VALUES ($1, $2, $3, $4, $5, 'open', $6, $7)
                   ON CONFLICT (receipt_id) WHERE state <> 'withdrawn' DO NOTHING RETURNING *""",
                new_id(), org_id, receipt_id, await self._seals.seal(org_id, "dispute.reason", reason),
                await self._seals.seal(org_id, "dispute.evidence", evidence), actor, self._clock.now(),
            )  # fmt: skip
            if row is not None:
                await self._notifier.notify(messages.dispute_opened(row["id"]), conn)
        row = row or await self._db.fetchrow(
            "SELECT * FROM credits.dispute WHERE receipt_id = $1 AND state <> 'withdrawn'", receipt_id
        )
        if row is None or row["org_id"] != org_id:
            raise DisputeConflict
        dispute = await self._dispute(row)
        if dispute.reason != reason:
            raise DisputeConflict
        return dispute

    async def withdraw(self, org_id: UUID, dispute_id: UUID, *, by: str) -> Dispute:
        """Take a dispute back before it is decided."""
        await self.get(org_id, dispute_id)
        return await self._decide(dispute_id, "withdrawn", by, "")

    async def check_grant(self, dispute_id: UUID, *, answer: str, by: str) -> tuple[Dispute, int]:
        """A dispute that may be granted: open and somebody else's; with what its call was charged, µ."""
        _answer(answer)
        dispute = await self.get(None, dispute_id)
        if dispute.actor == by:
            raise OwnDispute
        if dispute.state != "open":
            raise DisputeClosed(dispute.state)
        accounts = set(await self._history.accounts(dispute.org_id))
        view = await self._ledger.posting(dispute.receipt_id)
        return dispute, sum(one.amount for one in view.transfers if one.debit in accounts)

    async def grant(self, dispute_id: UUID, *, answer: str, by: str) -> Dispute:
        """Give the charge back: the receipt's posting is reversed and stays visible. Not by who opened it."""
        dispute = await self._decide(dispute_id, "granting", by, _answer(answer))
        return await self._reverse(dispute) if dispute.state == "granting" else dispute

    async def refuse(self, dispute_id: UUID, *, answer: str, by: str) -> Dispute:
        """Say why the charge is right."""
        return await self._decide(dispute_id, "refused", by, _answer(answer))

    async def _decide(self, dispute_id: UUID, to: str, by: str, answer: str) -> Dispute:
        async with self._db.transaction() as conn:
            row = await conn.fetchrow("SELECT * FROM credits.dispute WHERE id = $1 FOR UPDATE", dispute_id)
            if row is None:
                raise UnknownDispute
            if to != "withdrawn" and row["actor"] == by:
                raise OwnDispute
            if row["state"] != "open":
                done = {"granting": ("granting", "granted")}.get(to, (to,))
                if row["state"] in done:
                    return await self._dispute(row)
                raise DisputeClosed(row["state"])
            row = await conn.fetchrow(
                """UPDATE credits.dispute SET state = $2, answer = $3, decided_by = $4, decided_at = $5
                   WHERE id = $1 RETURNING *""",
                dispute_id, to, await self._seals.seal(row["org_id"], "dispute.answer", answer), by, self._clock.now(),
            )  # fmt: skip
            dispute = await self._dispute(row)
            if to == "refused":
                await self._notifier.notify(messages.dispute_decided(dispute.org_id, dispute.id, False), conn)
        return dispute

    async def _reverse(self, dispute: Dispute) -> Dispute:
        reversal = await self._history.reversal(dispute.receipt_id)
        if reversal is None:
            try:
                done = await self._ledger.reverse(
                    dispute.receipt_id, actor=dispute.decided_by, reason=f"dispute {dispute.id}"
                )
                reversal = done.id
            except AlreadyReversed:
                reversal = await self._history.reversal(dispute.receipt_id)
        async with self._db.transaction() as conn:
            row = await conn.fetchrow(
                "UPDATE credits.dispute SET state = 'granted', reversal_id = $2 WHERE id = $1 RETURNING *",
                dispute.id,
                reversal,
            )
            notice = messages.dispute_decided(dispute.org_id, dispute.id, True)
            await self._notifier.notify(notice, conn)
        return await self._dispute(row)

    async def get(self, org_id: UUID | None, dispute_id: UUID) -> Dispute:
        """UnknownDispute when absent or, for an organisation, another's."""
        row = await self._db.fetchrow("SELECT * FROM credits.dispute WHERE id = $1", dispute_id)
        if row is None or (org_id is not None and row["org_id"] != org_id):
            raise UnknownDispute
        return await self._dispute(row)

    async def list(
        self, org_id: UUID | None = None, *, waiting: bool = False, before: UUID | None = None, limit: int = 50
    ) -> list[Dispute]:
        """Newest first, of one organisation or of all; `waiting`: only what somebody has to decide, oldest first.

        `before`: the last one seen, in the order of the list."""
        beyond, order = (">", "ASC") if waiting else ("<", "DESC")
        rows = await self._db.fetch(
            f"""SELECT * FROM credits.dispute WHERE ($1::uuid IS NULL OR org_id = $1)
                AND ($2::uuid IS NULL OR id {beyond} $2) AND (NOT $4 OR state = 'open')
                ORDER BY id {order} LIMIT $3""",
            org_id,
            before,
            min(max(limit, 1), PAGE_ROWS),
            waiting,
        )
        return [await self._dispute(row) for row in rows]

    async def charges(self, disputes: Sequence[Dispute]) -> dict[UUID, int]:
        """What each of these disputes' calls was charged, µ, by receipt."""
        return await self._history.debited({one.receipt_id: one.org_id for one in disputes})

    async def _dispute(self, row: Any) -> Dispute:
        return Dispute(**await self._seals.opened(row["org_id"], "dispute", row, "reason", "evidence", "answer"))

    async def run(self) -> int:
        """Reverse what a crash left granted but not reversed; how many moved."""
        rows = await self._db.fetch("SELECT * FROM credits.dispute WHERE state = 'granting' LIMIT $1", PAGE_ROWS)
        moved = 0
        for row in rows:
            moved += await self._tried(await self._dispute(row))
        return moved

    async def _tried(self, dispute: Dispute) -> int:
        try:
            await self._reverse(dispute)
        except ShanheError as error:  # one dispute's trouble does not keep the others waiting
            log.warning("a dispute does not move", dispute=str(dispute.id), error=error.code)
            return 0
        return 1


def _answer(text: str) -> str:
    if not 0 < len(text) <= REASON_CHARS:
        raise Invalid("bad_text", "Give an answer.", message_zh="请填写处理意见。")
    return text
