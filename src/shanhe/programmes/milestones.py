"""Milestones (C1): a tranche is released when its evidence is there, early too; a late one moves all that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from shanhe.programmes import award_store, store
from shanhe.programmes.cases import Application, Outcome, Payment, State, Tranche, TrancheState
from shanhe.programmes.errors import BadField, WrongState
from shanhe.programmes.forms import WHOLE_BPS
from shanhe.programmes.loading import USED
from shanhe.programmes.model import Programme
from shanhe.programmes.paying import SYSTEM, Paying

Planned = tuple[int, date, tuple[Payment, ...]]


class Milestones:
    """Evidence is the ledger's own metering, or a document that a reviewer accepted."""

    def __init__(self, paying: Paying) -> None:
        self._paying = paying

    async def met(self, application: UUID, n: int, on: date, *, actor: str) -> None:
        """A reviewer accepts a milestone's document as of a day: what was late on that day counts, not the review."""
        ground, app = self._paying.ground, await self._paying.load(application)
        if not app.applied_on <= on <= ground.today():
            first, last = app.applied_on, ground.today()
            raise BadField("/on", ("达成日", "The day the milestone was met"), f"应在 {first} 至 {last} 之间",
                           f"must lie between {first} and {last}", code="bad_day",
                           allowed={"format": "date", "x-minimum": str(first), "x-maximum": str(last)})  # fmt: skip
        async with ground.db.transaction() as conn:
            await store.row(conn, app.id, lock=True)
            tranches = await award_store.tranches(conn, app.id)
            if (
                app.state is not State.ACTIVE
                or not 1 <= n <= len(tranches)
                or tranches[n - 1].state is not TrancheState.COMMITTED
            ):
                raise WrongState(app.state, ("生效中且该里程碑未完成", "active, with this milestone open"))
            await award_store.set_met(conn, app.id, n, on)
            if (waited := (tranches[n - 1].due_on - max(_moved_before(tranches, n), on)).days) > 0:
                await award_store.defer(conn, app.id, n, -waited, ground.now())
            await store.note(
                conn, app.id, "milestone_met", at=ground.now(), actor=actor, details={"tranche": n, "on": str(on)}
            )

    async def move_on(self, app: Application) -> None:
        """Tranches in order: released when met, early or late; late ones moved with all that follow, up to a limit."""
        ground, programme = self._paying.ground, self._paying.programme(app)
        plan = app.answers.get(programme.schedule.plan, ())
        for tranche in await award_store.tranches(ground.db, app.id):
            if tranche.state is TrancheState.DUE:
                await self._paying.pay(app, tranche.n)
            if tranche.state is not TrancheState.COMMITTED:
                continue
            met_on = tranche.met_on or await self._metered(app, plan[tranche.n - 1] if tranche.n <= len(plan) else {})
            if not await self._by_c1(app, programme, tranche.n, met_on):
                return

    async def _metered(self, app: Application, milestone: Any) -> date | None:
        """Today when the ledger's own metering shows the target since the award; None without target or before it."""
        target = milestone.get("target_micro")
        if not target:
            return None
        used = await self._paying.judge.measured(USED, await self._paying.ground.party(app.org_id), app.applied_on)
        return self._paying.ground.today() if isinstance(used, int) and used >= target else None

    async def _by_c1(self, app: Application, programme: Programme, n: int, met_on: date | None) -> bool:
        """Ask the milestone rule about one tranche; False when the next has to wait."""
        ground, today = self._paying.ground, self._paying.ground.today()
        tranche = (await award_store.tranches(ground.db, app.id))[n - 1]
        asked_on = met_on or today
        facts = {
            "tranche_micro": tranche.payments[0].amount, "planned_on": tranche.planned_on,
            "moved_on": tranche.due_on, "met": met_on is not None, "asked_on": asked_on,
        }  # fmt: skip
        decision = ground.rulebook.evaluate(programme.schedule.rule, facts, on=app.applied_on)
        delay = int(decision.outputs["delay_days"])
        outcome = Outcome(versions={decision.rule_id: decision.version}, traces={decision.rule_id: decision.trace})
        if decision.outputs["cancelled"]:
            await self._cancel_rest(app, tranche, "too_late", outcome)
            return False
        async with ground.db.transaction() as conn:
            if not await self._stands(conn, tranche):
                return False
            if delay:
                await award_store.defer(conn, app.id, n, delay, ground.now())
                await store.note(
                    conn, app.id, "deferred", at=ground.now(), actor=SYSTEM, details={"tranche": n, "days": delay}
                )
            if met_on is None or not await self._paying.advance(
                conn, tranche, TrancheState.COMMITTED, TrancheState.DUE
            ):
                return False
            await award_store.set_released(conn, app.id, n, [int(decision.outputs["released_micro"])])
            await self._paying.write(conn, app, "tranche", outcome, n)
        await self._paying.pay(app, n)
        return True

    async def _stands(self, conn: Any, tranche: Tranche) -> bool:
        """Whether what was decided on is still so; its award is locked. Else whoever changed it goes on from there."""
        row = await store.row(conn, tranche.application, lock=True)
        found = (await award_store.tranches(conn, tranche.application))[tranche.n - 1]
        return row["state"] == State.ACTIVE and found == tranche

    async def _cancel_rest(self, app: Application, late: Tranche, reason: str, outcome: Outcome) -> None:
        async with self._paying.ground.db.transaction() as conn:
            if not await self._stands(conn, late):
                return
            await self._paying.cancel_open(conn, app.id, reason)
            await self._paying.write(conn, app, "refusal", outcome, 0)
            await self._paying.complete(conn, app)
        await self._paying.return_commitments(app)


def _moved_before(tranches: Sequence[Tranche], n: int) -> date:
    """The date of the n-th milestone as those before it have moved it."""
    before = tranches[n - 2] if n > 1 else None
    return tranches[n - 1].planned_on + (before.due_on - before.planned_on if before else timedelta(0))


def tranches_of(plan: Sequence[Any], total: Payment) -> list[Planned]:
    """Shares of the whole, rounded down; what is left goes to the last."""
    planned: list[Planned] = []
    left = total.amount
    for n, item in enumerate(plan, 1):
        part = left if n == len(plan) else total.amount * item["share_bps"] // WHOLE_BPS
        left -= part
        planned.append((n, date.fromisoformat(item["due_on"]), (replace(total, amount=part),)))
    return planned
