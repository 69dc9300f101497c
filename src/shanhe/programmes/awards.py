"""What follows an approval, from the plan to the last tranche or to what is brought back. Repaired by `tick`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final
from uuid import UUID

import structlog

from shanhe.kernel.clock import add_months
from shanhe.kernel.errors import ShanheError
from shanhe.programmes import award_store, store
from shanhe.programmes.cases import Application, Outcome, State
from shanhe.programmes.judging import Question
from shanhe.programmes.milestones import Milestones, Planned, tranches_of
from shanhe.programmes.paying import LOOK_AGAIN, MONTHS_A_YEAR, SYSTEM, Paying
from shanhe.programmes.stopping import Stopping

LOOK_ROWS: Final = 200

log = structlog.get_logger(__name__)


class Awards:
    """Awards of approved applications."""

    def __init__(self, paying: Paying) -> None:
        self._paying = paying
        self._ground = paying.ground
        self._judge = paying.judge
        self._milestones = Milestones(paying)
        self._stopping = Stopping(paying)
        self.claims = paying.claims
        self.before = paying.before

    # -- planning -----------------------------------------------------------------------------------------------------

    async def plan(self, question: Question, outcome: Outcome) -> list[Planned]:
        """The tranches of an approval: number, day due, payments as far as they are known."""
        schedule, today = question.programme.schedule, self._ground.today()
        if schedule.kind == "milestones":
            return tranches_of(question.answers[schedule.plan], outcome.payments[0])
        if schedule.kind == "guarantee":
            return [(1, date.fromisoformat(question.answers[schedule.due]), outcome.payments)]
        if schedule.kind != "instalments":
            return [(1, today, outcome.payments)]
        planned = []
        for n in range(1, outcome.count + 1):
            one = await self._judge.outcome(replace(question, n=n))
            due_on = one.due_on or add_months(question.on, MONTHS_A_YEAR * (n - 1))
            planned.append((n, due_on, one.payments))
        return planned

    async def record(self, conn: Any, application: UUID, planned: Sequence[Planned]) -> None:
        """Write an approval's tranches, in the transaction that approves."""
        for n, due_on, payments in planned:
            await award_store.insert_tranche(conn, application, n, due_on, payments, self._ground.now())

    # -- moving on ----------------------------------------------------------------------------------------------------

    async def tick(self) -> int:
        """Look after awards that have something to do; how many were looked at."""
        ground = self._ground
        watched = [
            name
            for name, programme in ground.catalogue.programmes.items()
            if programme.stop is not None or programme.bound or programme.schedule.kind == "milestones"
        ]
        now = ground.now()
        due = await award_store.due(ground.db.writes, now, ground.today(), watched, now - LOOK_AGAIN, LOOK_ROWS)
        for application in due:
            try:
                await self._paying.return_commitments(await self.settle(application))
            except ShanheError as error:
                log.warning("an award could not move on", application=str(application), error=error.code)
        return len(due)

    async def settle(self, application: UUID) -> Application:
        """Do whatever is due of an award: commit, stop, release, renew, complete."""
        app = await self._paying.load(application)
        if app.state in (State.APPROVED, State.WAITING_BUDGET):
            await self._paying.commit(app)
        elif app.state is State.STOPPED:
            await self._stopping.bring_back(app)
        app = await self._paying.load(application)
        if await self._stopping.must_stop(app):
            await self._stopping.stop(app, "withdrawal", actor=SYSTEM)
            await self._stopping.bring_back(app)
            return await self._paying.load(application)
        if await self._stopping.detect(app):
            app = await self._paying.load(application)
        if app.state is State.ACTIVE:
            if self._paying.programme(app).schedule.kind == "milestones":
                await self._milestones.move_on(app)
            else:
                await self._paying.release_due(app)
        return await self._paying.load(application)

    async def cancel_open(self, conn: Any, application: UUID, reason: str) -> None:
        """Cancel whatever of an award is not decided, in the caller's transaction; `free` then frees its money."""
        await self._paying.cancel_open(conn, application, reason)

    async def free(self, app: Application) -> None:
        """Free what was set aside for tranches that were cancelled."""
        await self._paying.return_commitments(app)

    async def forget(self, org_id: UUID) -> int:
        """After an erasure: end what the applicant had under way; how many. May be repeated."""
        found = await store.under_way(self._ground.db, org_id)
        for application in found:
            app = await self._paying.load(application)
            if app.state is State.APPROVED:
                await self._paying.commit(app)
            await self._stopping.forget(app)
        return len(found)

    async def met(self, application: UUID, n: int, on: date, *, actor: str) -> Application:
        """A reviewer accepts a milestone's document as of a day."""
        await self._milestones.met(application, n, on, actor=actor)
        return await self.settle(application)

    async def breach(self, application: UUID, *, note: str, actor: str) -> Application:
        """A breach of exclusivity (C2): the rule says warning, freeze, or clawback of what is unspent."""
        return await self._stopping.breach(application, note=note, actor=actor)

    async def excuse(self, conn: Any, org_id: UUID, *, actor: str) -> int:
        """Awards suspended for using another platform go on, now that a report on it was accepted (P5)."""
        return await self._stopping.excuse(conn, org_id, actor=actor)

    async def claw_back(self, application: UUID, cause: str, *, note: str, actor: str) -> Application:
        """End an award and bring back what was paid: unspent lots are reversed, the rest is owed."""
        return await self._stopping.claw_back(application, cause, note=note, actor=actor)
