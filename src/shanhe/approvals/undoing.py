"""Undoing what a review of break-glass found wrong: the reviewer asks, a third person agrees, it is booked once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import structlog

from shanhe.approvals import glass_store as store
from shanhe.approvals.errors import GlassReviewer
from shanhe.approvals.glass import BreakGlass
from shanhe.approvals.glass_model import REVERSAL, Act, Glass
from shanhe.approvals.model import Deed, Request, RequestState
from shanhe.approvals.service import Approvals
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError

SPACE: Final = UUID("6f1c8a3e-7d57-4a0b-9d4e-9b6a1f2c4d11")
DECIDE_WITHIN: Final = timedelta(days=7)
ROWS: Final = 50

Reverse = Callable[[UUID, str, str], Awaitable[Any]]
"""(posting, actor, reason): the mirror image of a posting, on the ledger; once."""

log = structlog.get_logger(__name__)


class Undoing:
    """`reversible`: classes whose postings the ledger can mirror; money that left for a bank comes back through it."""

    def __init__(
        self, db: Database, clock: Clock, approvals: Approvals, glass: BreakGlass, reverse: Reverse,
        reversible: Sequence[str],
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._approvals = approvals
        self._glass = glass
        self._reverse = reverse
        self._reversible = reversible
        approvals.deeds[REVERSAL] = Deed(self._undo, "/city/ledger/postings/{posting}")

    async def ask(self, glass_id: UUID, person_id: UUID) -> Sequence[Request]:
        """Ask that what the ledger can undo of an opening be undone, once an act; whoever reviewed it asks."""
        found = await self._glass.get(glass_id)
        if found.review is None or found.review.by != person_id:
            raise GlassReviewer
        wanted = [act for act in found.acts if act.posting is not None and act.kind in self._reversible]
        return [await self._ask(found, act, person_id) for act in wanted]

    async def _ask(self, found: Glass, act: Act, person_id: UUID) -> Request:
        number = uuid5(SPACE, str(act.id))
        if act.reversal is not None:
            return await self._approvals.get(number)
        payload = {"act": str(act.id), "posting": str(act.posting), "not_by": [f"person:{found.person_id}"]}
        async with self._db.transaction() as conn:
            made = await self._approvals.request(
                REVERSAL, str(found.id), payload, by=f"person:{person_id}", request_id=number, conn=conn,
                expires_at=self._clock.now() + DECIDE_WITHIN,
            )  # fmt: skip
            await store.add_reversal(conn, act.id, number)
        return made

    async def run(self) -> int:
        """Ask what a crash kept from being asked, book what was agreed to, wherever it was decided, and
        close what was not; how many. Bounded; idempotent."""
        done = 0
        for row in await store.unasked(self._db, self._reversible, ROWS):
            done += len(await self.ask(row["id"], row["reviewed_by"]))
        for row in await store.open_reversals(self._db, ROWS):
            asked = await self._approvals.get(row["request_id"])
            if asked.state is RequestState.OPEN:
                continue
            if asked.agreed:
                try:
                    await self._undo(asked)
                except ShanheError as error:
                    log.warning("a reversal waits", request=str(asked.id), error=error.code)  # the others do not
                    continue
                await self._approvals.done(asked.id)
            else:
                await store.end_reversal(self._db, row["act_id"], "ended", self._clock.now())
            done += 1
        return done

    async def _undo(self, asked: Request) -> None:
        """Book the mirror image, once."""
        posting = UUID(str(asked.payload["posting"]))
        await self._reverse(posting, f"{asked.requested_by} + {asked.decided_by}", "break-glass")
        await store.end_reversal(self._db, UUID(str(asked.payload["act"])), "done", self._clock.now())
