"""Paying an award: money set aside, tranches decided on their day, released, renewed by the year, completed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.facts.api import NewFact, Standing, names
from shanhe.kernel.clock import add_months
from shanhe.ledger.api import InsufficientCredit
from shanhe.programmes import award_store, messages, store
from shanhe.programmes.booking import Books
from shanhe.programmes.cases import Application, Outcome, Payment, State, Tranche, TrancheState
from shanhe.programmes.errors import UnknownApplication
from shanhe.programmes.forms import claims_of
from shanhe.programmes.ground import Ground
from shanhe.programmes.judging import Judge, Question
from shanhe.programmes.loading import month_of
from shanhe.programmes.model import Programme

RELEASED_TOPIC: Final = "programmes.released"
CLAIM_INDEX: Final = "programmes-claim"
MONTHS_A_YEAR: Final = 12
LOOK_AGAIN: Final = timedelta(hours=6)
"""What could not move is left alone that long, longer than anything takes that is under way."""
SYSTEM: Final = "system"
OPEN: Final = (TrancheState.PLANNED, TrancheState.COMMITTED)
"""A tranche of which nothing was decided yet."""


class Paying:
    """What was decided is in the database before money moves, so that whatever a crash leaves can be repeated."""

    def __init__(self, ground: Ground, judge: Judge, books: Books) -> None:
        self.ground = ground
        self.judge = judge
        self.books = books
        self.called: Callable[[UUID], Awaitable[bool]] = _never
        """Whether a bank's call of a guarantee waits for a second person."""

    async def commit(self, app: Application) -> None:
        ground, tranches = self.ground, await award_store.tranches(self.ground.db, app.id)
        try:
            await self.books.commit(app.id, tranches, actor=app.actor)
        except InsufficientCredit:
            if app.state is State.APPROVED:
                async with ground.db.transaction() as conn:
                    await store.move(conn, app.id, app.state, State.WAITING_BUDGET, at=ground.now(), actor=SYSTEM)
                    await ground.notifier.notify(messages.waiting(self.programme(app), app), conn)
            return
        async with ground.db.transaction() as conn:
            if await store.move(conn, app.id, app.state, State.ACTIVE, at=ground.now(), actor=SYSTEM):
                for tranche in tranches:
                    await self.advance(conn, tranche, TrancheState.PLANNED, TrancheState.COMMITTED)
                return
        await self.return_commitments(app)  # it was ended meanwhile

    async def release_due(self, app: Application) -> None:
        for tranche in await award_store.tranches(self.ground.db, app.id):
            if tranche.due_on > self.ground.today() and tranche.state is not TrancheState.DUE:
                continue
            if self.programme(app).schedule.kind == "guarantee" and tranche.state is TrancheState.COMMITTED:
                if tranche.due_on < self.ground.today() and not await self.called(app.id):
                    await self._expire(app, tranche)
                continue
            if tranche.state is TrancheState.PLANNED and not await self._renew(app, tranche):
                return
            if tranche.state in (TrancheState.PLANNED, TrancheState.COMMITTED):
                await self._decide(app, tranche.n)
            await self.pay(app, tranche.n)

    async def _renew(self, app: Application, tranche: Tranche) -> bool:
        """A yearly award's next year: the same test again, on that day. False while it waits or when it has ended."""
        ground, programme = self.ground, self.programme(app)
        outcome = await self.judge.outcome(
            Question(
                programme,
                await ground.party(app.org_id),
                app.answers,
                tranche.due_on,
                ground.today(),
                tranche.n,
                app.id,
            )
        )
        if not outcome.entitled:
            if ground.today() > tranche.due_on + timedelta(days=self._grace(programme, tranche.due_on)):
                await self._lapse(app, tranche, outcome)
            return False
        async with ground.db.transaction() as conn:
            row = await store.row(conn, app.id, lock=True)
            keys = self.claims(programme, app.subject, app.answers, tranche.due_on)
            if row["state"] != State.ACTIVE or await store.claim(conn, programme.family, keys, app.id) is not None:
                return False
            if not (await award_store.tranches(conn, app.id))[tranche.n - 1].payments:
                await award_store.insert_payments(conn, app.id, tranche.n, outcome.payments)
                await self.write(conn, app, "tranche", outcome, tranche.n)
        try:
            await self.books.commit(
                app.id, [(await award_store.tranches(ground.db, app.id))[tranche.n - 1]], actor=SYSTEM
            )
        except InsufficientCredit:
            return False  # the budget has to be funded first; the claim is ours, so nothing is lost
        async with ground.db.transaction() as conn:
            if await self.advance(conn, tranche, TrancheState.PLANNED, TrancheState.COMMITTED):
                return True
        await self.return_commitments(app)  # it was ended meanwhile
        return False

    async def _lapse(self, app: Application, tranche: Tranche, outcome: Outcome) -> None:
        async with self._locked(app) as conn:
            if await self.advance(conn, tranche, TrancheState.PLANNED, TrancheState.CANCELLED, reason="not_renewed"):
                await self.write(conn, app, "refusal", outcome, tranche.n)
                await self.complete(conn, app)
                await self.ground.notifier.notify(messages.lapsed(self.programme(app), app, outcome), conn)
        await self.return_commitments(app)

    async def _expire(self, app: Application, tranche: Tranche) -> None:
        """A guarantee that nobody called by the end of its last day, however long it takes to agree: what was set aside
        for it is free again."""
        async with self._locked(app) as conn:
            if await self.advance(conn, tranche, TrancheState.COMMITTED, TrancheState.CANCELLED, reason="expired"):
                await store.note(conn, app.id, "expired", at=self.ground.now(), actor=SYSTEM)
                await self.complete(conn, app)
        await self.return_commitments(app)

    def _grace(self, programme: Programme, on: date) -> int:
        rule, dot, name = programme.schedule.grace.partition(".")
        return int(self.ground.rulebook.parameter(rule, name, on)) if dot else 0

    async def _decide(self, app: Application, n: int) -> None:
        """Fix what a committed tranche pays: what the rule gives on its day, never more than was set aside."""
        ground, programme = self.ground, self.programme(app)
        tranche = (await award_store.tranches(ground.db, app.id))[n - 1]
        outcome, amounts = None, [item.amount for item in tranche.payments]
        if programme.schedule.kind == "instalments":
            question = Question(
                programme, await ground.party(app.org_id), app.answers, app.applied_on, tranche.due_on, n, app.id
            )
            outcome = await self.judge.outcome(question)
            if outcome.missing:
                return
            amounts = [0 if outcome.reasons else _matching(item, outcome.payments) for item in tranche.payments]
        async with self._locked(app) as conn:
            if await self.advance(conn, tranche, TrancheState.COMMITTED, TrancheState.DUE):
                await award_store.set_released(conn, app.id, n, amounts)
                if outcome is not None:
                    await self.write(conn, app, "tranche", outcome, n)

    async def pay(self, app: Application, n: int) -> None:
        ground, programme = self.ground, self.programme(app)
        tranche = (await award_store.tranches(ground.db, app.id))[n - 1]
        if tranche.state is not TrancheState.DUE:
            return
        days = {programme.amount.rule: month_of(programme.amount, app.answers, app.applied_on)}
        versions = {name: ground.rulebook.version(name, days.get(name) or app.applied_on) for name in programme.rules}
        evidence = {"version": 1, "application": app.id, "programme": app.programme, "tranche": n, "rules": versions}
        today = ground.today()
        posting = await self.books.release(app.id, tranche, on=today, evidence=evidence, actor=SYSTEM)
        paid = any(item.released for item in tranche.payments) or not tranche.payments
        fact = await self._fact(app, programme, tranche) if paid else None
        async with self._locked(app) as conn:
            ends = TrancheState.RELEASED if paid else TrancheState.CANCELLED
            moved = await self.advance(
                conn,
                tranche,
                TrancheState.DUE,
                ends,
                posting=posting if paid else None,
                reason="" if paid else "nothing_due",
            )
            if not moved:
                return
            amounts = [[item.asset, item.released] for item in tranche.payments]
            await store.note(conn, app.id, "released" if paid else "nothing_due", at=ground.now(), actor=SYSTEM,
                             details={"tranche": n, "amounts": amounts})  # fmt: skip
            if paid:
                if fact is not None:
                    await ground.facts.publish(fact, actor=SYSTEM, conn=conn)
                await ground.notifier.notify(messages.released(programme, app, tranche), conn)
                payload = {
                    "application": str(app.id),
                    "programme": app.programme,
                    "org_id": str(app.org_id),
                    "tranche": n,
                }
                await ground.announce(conn, RELEASED_TOPIC, str(app.org_id), payload)
            if programme.schedule.kind == "yearly" and paid:
                due_on = add_months(app.applied_on, MONTHS_A_YEAR * n)
                await award_store.insert_tranche(conn, app.id, n + 1, due_on, (), ground.now())
            await self.complete(conn, app)

    async def _fact(self, app: Application, programme: Programme, tranche: Tranche) -> NewFact | None:
        """The fact that this award makes true, known at once to every other rule; from a renewal on for another year.
        Asked before the transaction that publishes it, which keeps to its one connection."""
        publishes, n = programme.publishes, tranche.n
        if publishes is None or (publishes.of and publishes.of not in app.answers):  # of an erased applicant: no more
            return None
        keyed = bool(names()[publishes.fact].keyed)
        if keyed and n > 1:
            return None  # a relation begins once
        on, subject = app.applied_on if n == 1 else tranche.due_on, app.subject
        question = Question(programme, await self.ground.party(app.org_id), app.answers, on, on, n, app.id)
        until = (await self.judge.outcome(question)).until
        if publishes.of:
            subject = (await self.ground.party(UUID(app.answers[publishes.of]))).subject
        return NewFact(
            UUID(int=app.id.int ^ n), subject, publishes.fact, True, self.ground.today(), until,
            key=str(app.subject) if keyed else "", standing=Standing.MEASURED, source=f"programme:{programme.id}",
            evidence=str(app.id),
        )  # fmt: skip

    async def cancel_open(self, conn: Any, application: UUID, reason: str) -> None:
        """Cancel every tranche of which nothing was decided yet; `return_commitments` then frees what was set aside."""
        for tranche in await award_store.tranches(conn, application):
            if tranche.state in OPEN:
                await self.advance(conn, tranche, tranche.state, TrancheState.CANCELLED, reason=reason)

    @asynccontextmanager
    async def _locked(self, app: Application) -> AsyncIterator[Any]:
        """A transaction in which nobody else changes an award: it is locked before any of its tranches, or two who end
        it at once would wait for one another."""
        async with self.ground.db.transaction() as conn:
            await store.row(conn, app.id, lock=True)
            yield conn

    async def complete(self, conn: Any, app: Application) -> None:
        """An award whose tranches are all settled has run its course. In the transaction that settled the last one, or
        nobody would look at it again; the award is locked there."""
        tranches = await award_store.tranches(conn, app.id)
        if all(tranche.state in (TrancheState.RELEASED, TrancheState.CANCELLED) for tranche in tranches):
            await store.move(conn, app.id, State.ACTIVE, State.COMPLETED, at=self.ground.now(), actor=SYSTEM)

    async def return_commitments(self, app: Application) -> None:
        """Free what was set aside for tranches that were cancelled, also where nobody got to write down that it was: a
        commitment may be under way just then, so one of which nothing is found is looked at again (`tick`)."""
        tranches = await award_store.tranches(self.ground.db, app.id)
        for tranche in tranches:
            if tranche.state is not TrancheState.CANCELLED or tranche.freed or tranche.reason == "nothing_due":
                continue
            if tranche.committed or await self.books.set_aside(app.id, tranches, tranche.n):
                await self.books.give_back(app.id, tranche, actor=SYSTEM)
            elif tranche.changed_at > self.ground.now() - LOOK_AGAIN:
                continue
            await award_store.set_freed(self.ground.db, app.id, tranche.n)

    # -- helpers ------------------------------------------------------------------------------------------------------

    def claims(self, programme: Programme, subject: UUID, answers: Any, on: date) -> list[bytes]:
        """What an application uses up, as keyed hashes."""
        return [self.ground.vault.blind_index(CLAIM_INDEX, text) for text in claims_of(programme, subject, answers, on)]

    def before(self, programme: Programme, subject: UUID, answers: Any, on: date) -> list[bytes]:
        """What an application of the year before used up; empty where nothing is renewed by the year."""
        if programme.schedule.kind != "yearly":
            return []
        return self.claims(programme, subject, answers, add_months(on, -MONTHS_A_YEAR))

    def programme(self, app: Application) -> Programme:
        return self.ground.programme(app.programme)

    async def load(self, application: UUID) -> Application:
        row = await store.row(self.ground.db, application)
        if row is None:
            raise UnknownApplication
        return store.application_of(row, self.ground.vault)

    async def advance(
        self, conn: Any, tranche: Tranche, was: TrancheState, becomes: TrancheState, *, posting: UUID | None = None,
        reason: str = "",
    ) -> bool:  # fmt: skip
        return await award_store.move_tranche(
            conn, tranche.application, tranche.n, was, becomes, self.ground.now(), posting=posting, reason=reason
        )

    async def write(
        self, conn: Any, app: Application, kind: str, outcome: Outcome, n: int, *, note: str = "", actor: str = SYSTEM
    ) -> None:
        """A decision with its reasons and traces, sealed for people."""
        content = {"reasons": [reason.to_dict() for reason in outcome.reasons], "traces": outcome.traces, "note": note,
                   "tranche": n}  # fmt: skip
        await self.ground.write_decision(conn, app, kind, outcome, content, actor=actor)


async def _never(_: UUID) -> bool:
    return False


def _matching(item: Payment, now: Sequence[Payment]) -> int:
    """What the rule gives now of the same asset, budget and receiver, at most what was set aside."""
    same = [one.amount for one in now if (one.to_org, one.asset, one.budget) == (item.to_org, item.asset, item.budget)]
    return min(sum(same), item.amount)
