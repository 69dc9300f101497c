"""Ending an award: a breach of exclusivity (C2), capital that left, an error; and what comes back of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.facts.api import Use
from shanhe.kernel.clock import add_months
from shanhe.programmes import award_store, messages, store
from shanhe.programmes.cases import Application, Outcome, State, Tranche, TrancheState
from shanhe.programmes.errors import WrongState
from shanhe.programmes.judging import PURPOSE, Question
from shanhe.programmes.model import Programme
from shanhe.programmes.paying import MONTHS_A_YEAR, Paying

FREEZE: Final = 2
CLAW_BACK: Final = 3
DETECTION: Final = "C2_detection"
HERE: Final = "captured_last_month_micro"
ELSEWHERE, ACCEPTED = "outside_use_fen", "infeasibility_report"
BOUND_STATES: Final = frozenset({State.ACTIVE, State.SUSPENDED, State.COMPLETED})
GRANTED: Final = BOUND_STATES | {State.WAITING_BUDGET}
"""What can be ended and brought back; an application that was not approved is neither."""
ERASURE: Final = "erasure"
UNDECIDED: Final = frozenset({State.IN_REVIEW, State.RETURNED, State.WAITING_BUDGET})
"""Whose application may still be taken back."""
BY_YEAR: Final = ("instalments", "yearly")


class Stopping:
    """Open tranches are cancelled, unspent lots reversed; what was spent is owed, but not after a breach."""

    def __init__(self, paying: Paying) -> None:
        self._paying = paying

    async def detect(self, app: Application) -> bool:
        """Look once a month at the month before: what was metered here against what the company is known to have spent
        elsewhere (C2). Whether that was a breach; nothing is said of a month that nobody declared, nor of the month of
        the application, part of which nobody was bound in."""
        ground, programme = self._paying.ground, self._paying.programme(app)
        if not programme.bound or app.state not in BOUND_STATES:
            return False
        first = ground.today().replace(day=1)
        month, party = first - timedelta(days=1), await ground.party(app.org_id)
        if month.replace(day=1) < app.applied_on or await store.checked_month(ground.db, app.id, f"{month:%Y-%m}"):
            return False
        async with ground.facts.reading(Use(PURPOSE, "system", str(app.id))) as reader:
            elsewhere = await reader.value(party.subject, ELSEWHERE, on=month, sound=True)
            accepted = bool(await reader.value(party.subject, ACCEPTED, on=month, sound=True))
        if not isinstance(elsewhere, int):
            return False
        facts = {
            "here_micro": await self._paying.judge.measured(HERE, party, first), "elsewhere_fen": elsewhere,
            "accepted": accepted,
        }  # fmt: skip
        breach = bool(ground.rulebook.evaluate(DETECTION, facts, on=ground.today()).outputs["breach"])
        details = {"month": f"{month:%Y-%m}", "breach": breach, **facts}
        async with ground.db.transaction() as conn:
            await store.row(conn, app.id, lock=True)
            if await store.checked_month(conn, app.id, details["month"]):
                return False  # another process was first
            await store.note(conn, app.id, store.CHECKED, at=ground.now(), actor="system", details=details)
        if breach:
            note = f"{month:%Y-%m}：在其他平台的支出超过本平台用量 · more was spent elsewhere than used here"
            await self.breach(app.id, note=note, actor="system")
        return breach

    async def breach(self, application: UUID, *, note: str, actor: str) -> Application:
        """A breach of exclusivity (C2): the rule says warning, freeze, or clawback of what is unspent."""
        ground, app = self._paying.ground, await self._paying.load(application)
        programme, tranches = self._paying.programme(app), await award_store.tranches(ground.db, app.id)
        unspent = sum([await self._paying.books.unspent(tranche) for tranche in tranches])
        async with ground.db.transaction() as conn:
            app = store.application_of(await store.row(conn, app.id, lock=True), ground.vault)
            if not programme.bound or app.state not in BOUND_STATES:
                raise WrongState(app.state, ("须优先使用本平台的资助", "an award that is bound to this platform"))
            facts = {
                "subsidy_ends_on": last_day(programme, tranches), "asked_on": ground.today(),
                "breach": True, "breaches_before": app.breaches, "unspent_subsidy_micro": unspent,
            }  # fmt: skip
            decision = ground.rulebook.evaluate(programme.bound, facts, on=app.applied_on)
            measure = int(decision.outputs["measure"])
            outcome = Outcome(versions={decision.rule_id: decision.version}, traces={decision.rule_id: decision.trace})
            if measure:
                await award_store.breach(conn, app.id)
            await self._paying.write(conn, app, "breach", outcome, 0, note=note, actor=actor)
            await store.note(conn, app.id, "breach", at=ground.now(), actor=actor, details={"measure": measure})
            if measure == FREEZE and app.state is State.ACTIVE:
                await store.move(conn, app.id, State.ACTIVE, State.SUSPENDED, at=ground.now(), actor=actor)
            await ground.notifier.notify(messages.breached(programme, app, measure), conn)
            if measure == CLAW_BACK:
                await self._end(conn, app, "breach", actor=actor, note=note)
        if measure == CLAW_BACK:
            await self.bring_back(app)
        return await self._paying.load(application)

    async def excuse(self, conn: Any, org_id: UUID, *, actor: str) -> int:
        """An infeasibility report of an organisation was accepted (P5): its awards that were suspended for using
        another platform go on; how many. In the caller's transaction."""
        ground, done = self._paying.ground, 0
        for row in await store.page(conn, org_id=org_id, state=State.SUSPENDED):
            if not ground.programme(row["programme"]).bound:
                continue
            done += await store.move(conn, row["id"], State.SUSPENDED, State.ACTIVE, at=ground.now(), actor=actor,
                                     details={"cause": "infeasibility_accepted"})  # fmt: skip
        return done

    async def claw_back(self, application: UUID, cause: str, *, note: str, actor: str) -> Application:
        """End an award: open tranches are cancelled, unspent lots reversed, the rest owed (not after a breach, C2)."""
        app = await self._paying.load(application)
        if app.state is not State.STOPPED:
            await self.stop(app, cause, actor=actor, note=note)
        await self.bring_back(app)
        return await self._paying.load(application)

    async def stop(self, app: Application, cause: str, *, actor: str, note: str = "") -> None:
        """Decide that an award ends; `bring_back` then moves the money, and `tick` repeats that if need be."""
        async with self._paying.ground.db.transaction() as conn:
            await self._end(conn, app, cause, actor=actor, note=note)

    async def _end(self, conn: Any, app: Application, cause: str, *, actor: str, note: str) -> None:
        ground, was = self._paying.ground, State((await store.row(conn, app.id, lock=True))["state"])
        if was not in GRANTED:
            raise WrongState(was, ("已批准的资助", "an award"))
        await store.move(conn, app.id, was, State.STOPPED, at=ground.now(), actor=actor, details={"cause": cause})
        await self._paying.cancel_open(conn, app.id, cause)
        await award_store.open_clawback(conn, app.id, cause, unspent=cause == "breach", actor=actor, at=ground.now())
        await self._paying.write(conn, app, "clawback", Outcome(), 0, note=note, actor=actor)
        await ground.notifier.notify(messages.stopped(self._paying.programme(app), app, cause), conn)

    async def bring_back(self, app: Application) -> None:
        ground, open_ = self._paying.ground, await award_store.clawback(self._paying.ground.db, app.id)
        if open_ is None or open_["settled_at"] is not None:
            return
        for tranche in await award_store.tranches(ground.db, app.id):
            if tranche.state is TrancheState.DUE:
                await self._paying.pay(app, tranche.n)  # decided before the end: paid, then brought back
        await self._paying.return_commitments(app)
        recovered, owed = dict[str, int](), dict[str, int]()
        for tranche in await award_store.tranches(ground.db, app.id):
            if tranche.state is TrancheState.RELEASED:
                got, rest = await self._paying.books.take_back(
                    app.id, tranche, unspent_only=open_["unspent"], actor=open_["actor"]
                )
                for sums, part in ((recovered, got), (owed, rest)):
                    for asset, amount in part.items():
                        sums[asset] = sums.get(asset, 0) + amount
        async with ground.db.transaction() as conn:
            await award_store.settle_clawback(conn, app.id, recovered, owed, ground.now())
            await store.note(conn, app.id, "clawed_back", at=ground.now(), actor=open_["actor"],
                             details={"recovered": recovered, "owed": owed})  # fmt: skip

    async def forget(self, app: Application) -> None:
        """End what an erased applicant had under way: nobody decides about somebody of whom nothing is known, nobody is
        paid who is gone, and what was set aside is free. What was paid stays paid."""
        ground = self._paying.ground
        async with ground.db.transaction() as conn:
            was = State((await store.row(conn, app.id, lock=True))["state"])
            if was in UNDECIDED:
                await store.move(conn, app.id, was, State.WITHDRAWN, at=ground.now(), actor=ERASURE)
                await store.unclaim(conn, app.id)
            elif was is State.SUSPENDED:  # nobody is left who could report what would let it go on
                await store.move(conn, app.id, was, State.ACTIVE, at=ground.now(), actor=ERASURE)
            await self._paying.cancel_open(conn, app.id, ERASURE)
            await self._paying.complete(conn, app)
        for tranche in await award_store.tranches(ground.db, app.id):
            if tranche.state is TrancheState.DUE:
                await self._paying.pay(app, tranche.n)  # decided before the end
        await self._paying.return_commitments(app)

    async def must_stop(self, app: Application) -> bool:
        """Whether what an award forbids happened while it ran; what happens afterwards is free."""
        programme, ground = self._paying.programme(app), self._paying.ground
        if programme.stop is None or app.state not in BOUND_STATES:
            return False
        party, tranches = await ground.party(app.org_id), await award_store.tranches(ground.db, app.id)
        as_of = min(ground.today(), last_day(programme, tranches))
        question = Question(programme, party, app.answers, app.applied_on, as_of, application=app.id)
        return await self._paying.judge.truth(programme.stop, question)


def last_day(programme: Programme, tranches: Sequence[Tranche]) -> date:
    """The last day on which an award runs: what is paid by the year is for the year that follows."""
    paid = [tranche.due_on for tranche in tranches if tranche.state is not TrancheState.CANCELLED]
    last = max(paid or [tranche.due_on for tranche in tranches])
    return add_months(last, MONTHS_A_YEAR) - timedelta(days=1) if programme.schedule.kind in BY_YEAR else last
