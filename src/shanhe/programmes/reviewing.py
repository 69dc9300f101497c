"""Deciding: who may, in which order, by when; four eyes; nobody about themselves or a related party (R0)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.approvals.api import Approvals
from shanhe.programmes import award_store, forms, messages, store
from shanhe.programmes.applying import Applying, content_of
from shanhe.programmes.awards import Awards
from shanhe.programmes.cases import Application, Outcome, Reason, State, Verdict
from shanhe.programmes.errors import (
    AlreadyAssessed,
    AlreadyJudged,
    JudgesItself,
    NeedsReason,
    NotDecidable,
    NotYourDesk,
    UnknownApplication,
    WrongState,
)
from shanhe.programmes.ground import Ground
from shanhe.programmes.judging import Judge, Question
from shanhe.programmes.model import Programme, Step
from shanhe.programmes.sealing import seal

OVERDUE_ROWS: Final = 200
OFFSET_MAX: Final = 100_000
REASON_MAX_CHARS: Final = 1_000
OPINION: Final = "opinion"
"""What somebody wrote beside a pass that others follow."""
KINDS: Final = {State.RETURNED: "return", State.REFUSED: "refusal", State.APPROVED: "grant"}


class Reviewing:
    """The reviewer's side. A reviewer is a person assigned to a department."""

    def __init__(
        self, ground: Ground, judge: Judge, applying: Applying, awards: Awards, approvals: Approvals
    ) -> None:  # fmt: skip
        self._ground = ground
        self._approvals = approvals
        self._judge = judge
        self._applying = applying
        self._awards = awards

    async def assign(self, person_id: UUID, department: str, *, actor: str) -> None:
        """Let a person review for a department. JudgesItself: nobody gives themselves the word on awards."""
        if department not in self._ground.catalogue.departments:
            raise NotYourDesk(department)
        await self._ground.identity.people.get(person_id)
        if await self._approvals.same_person(actor, f"person:{person_id}"):
            raise JudgesItself("审核人员须由他人指派", "somebody else names you a reviewer")
        await store.set_reviewer(self._ground.db, person_id, department, actor, self._ground.now())

    async def dismiss(self, person_id: UUID, department: str) -> None:
        await store.drop_reviewer(self._ground.db, person_id, department)

    async def reviewers(self) -> list[dict[str, Any]]:
        """Who reviews for which department."""
        return [dict(row) for row in await store.reviewers(self._ground.db)]

    async def departments(self, person_id: UUID) -> frozenset[str]:
        """What a person reviews for."""
        return await store.departments_of(self._ground.db, person_id)

    async def queue(
        self, person_id: UUID | None, *, programme: str | None = None, orgs: Sequence[UUID] | None = None,
        overdue: bool = False, offset: int = 0, limit: int = store.PAGE_ROWS,
    ) -> list[Application]:  # fmt: skip
        """What waits for this person's departments (None: for anybody), the most urgent first; a bounded page of one
        programme, of some applicants, or of what is overdue. What they have given their voice on waits for others."""
        places = await self._places(person_id, programme)
        rows = await store.queue(
            self._ground.db, places, orgs=orgs, overdue=overdue, person_id=person_id,
            offset=min(max(offset, 0), OFFSET_MAX), limit=min(limit, store.PAGE_ROWS),
        )  # fmt: skip
        return [store.application_of(row, self._ground.vault) for row in rows]

    async def queued(
        self, person_id: UUID | None, *, orgs: Sequence[UUID] | None = None, overdue: bool = False
    ) -> Mapping[str, int]:
        """How many wait for this person's departments, by programme."""
        places = await self._places(person_id, None)
        return await store.queued(self._ground.db, places, orgs=orgs, overdue=overdue, person_id=person_id)

    async def _places(self, person_id: UUID | None, wanted: str | None) -> list[tuple[str, int, int]]:
        """(programme, round, step) that a person's departments decide."""
        mine = (
            await self.departments(person_id)
            if person_id is not None
            else frozenset(self._ground.catalogue.departments)
        )
        return [
            (programme.id, round_, index)
            for programme in self._ground.catalogue.programmes.values()
            if wanted in (None, programme.id)
            for round_ in (1, 2)
            for index, step in enumerate(programme.path(round_))
            if step.by in mine
        ]

    async def may_see(self, application: UUID, person_id: UUID) -> bool:
        """Whether a reviewer's department has a step in this application's path."""
        row = await store.row(self._ground.db, application)
        if row is None:
            raise UnknownApplication
        programme, mine = self._ground.programme(row["programme"]), await self.departments(person_id)
        return any(step.by in mine for step in (*programme.review, *programme.appeal))

    async def preview(self, application: UUID, assessed: Mapping[str, Any] | None = None) -> Outcome:
        """What the rules say of an application now, with what a reviewer would fill in."""
        app = await self._app(application)
        programme = self._ground.programme(app.programme)
        return await self._judge.outcome(await self._question(app, programme, {**app.answers, **(assessed or {})}))

    async def decide(
        self, application: UUID, person_id: UUID, verdict: Verdict, *, reason: str = "",
        assessed: Mapping[str, Any] | None = None, turn: int | None = None,
    ) -> Application:  # fmt: skip
        """One reviewer's voice on the present step. Repeating it is AlreadyJudged; two at once: one of them counts.

        `turn`: how often the application had been returned when the reviewer read it (None: it is read now). WrongState
        where it has been since, for what came back is another thing.
        """
        ground = self._ground
        turn = await store.turn(ground.db, application) if turn is None else turn
        app = await self._app(application)
        programme = ground.programme(app.programme)
        step = await self._may(app, programme, person_id)
        text = reason.strip()
        if len(text) > REASON_MAX_CHARS or (verdict is not Verdict.PASS and not text):
            raise NeedsReason
        answers = {**app.answers, **forms.answers_of(programme, assessed or {}, by="reviewer")}
        last = app.step + 1 == len(programme.path(app.round))
        outcome, planned, mark = Outcome(), [], 0
        if verdict is Verdict.PASS and last:
            mark = await award_store.mark(ground.db, programme.id) if programme.remembers else 0
            question = await self._question(app, programme, answers)
            outcome = await self._judge.outcome(question)
            if outcome.missing:
                raise NotDecidable(forms.lacking(programme, outcome.missing))
            planned = await self._awards.plan(question, outcome) if outcome.entitled else []
        actor = f"person:{person_id}"
        async with ground.db.transaction() as conn:
            await self._speak(conn, app, turn, person_id, verdict, actor, answers)
            if answers != dict(app.answers):
                await store.replace_content(conn, app.id, seal(ground.vault, app.person_id, content_of(app, answers)))
            if verdict is Verdict.RETURN:
                await self._end(conn, app, programme, State.RETURNED, outcome, actor, reason, turn)
            elif verdict is Verdict.REFUSE:
                await self._end(conn, app, programme, State.REFUSED, outcome, actor, reason, turn)
            elif text and not (last and await self._enough(conn, app, step, turn)):
                await self._applying.decision(conn, app, OPINION, Outcome(), actor=actor, note=text)
            if verdict is Verdict.PASS and await self._enough(conn, app, step, turn):
                if not last:
                    due = ground.now() + timedelta(days=programme.path(app.round)[app.step + 1].days)
                    await store.next_step(conn, app.id, app.step + 1, due, ground.now())
                elif outcome.reasons:
                    await self._end(conn, app, programme, State.REFUSED, outcome, actor, reason, turn)
                else:
                    await self._end(conn, app, programme, State.APPROVED, outcome, actor, reason, turn)
                    await self._applying.unchanged(conn, programme, mark)
                    await self._awards.record(conn, app.id, planned)
        done = await self._app(application)
        return await self._awards.settle(done.id) if done.state is State.APPROVED else done

    async def spoken(self, app: Application, turn: int, person_id: UUID) -> bool:
        """Whether this person has given their voice on the step that the application is at."""
        here = (app.round, app.step, turn, person_id)
        voices = await store.voices(self._ground.db, app.id)
        return any((row["round"], row["step"], row["turn"], row["person_id"]) == here for row in voices)

    async def _speak(
        self, conn: Any, app: Application, turn: int, person_id: UUID, verdict: Verdict, actor: str,
        answers: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Write the voice down under the application's lock.

        AlreadyAssessed where it would change what others have passed: nobody is made to agree to another thing.
        """
        row = await store.row(conn, app.id, lock=True)
        if (row["state"], row["round"], row["step"]) != (State.IN_REVIEW, app.round, app.step):
            raise WrongState(row["state"], (f"审核中（第 {app.step + 1} 步）", f"in review at step {app.step + 1}"))
        if await store.turn(conn, app.id) != turn:
            raise WrongState(("退回后已补正", "supplemented since you read it"), ("与您所见一致", "as you read it"))
        now = self._ground.now()
        held = store.application_of(row, self._ground.vault).answers
        changed = [name for name, value in held.items() if answers.get(name) != value]
        if verdict is Verdict.PASS and changed and await self._passed(conn, app, turn):
            raise AlreadyAssessed(forms.lacking(self._ground.programme(app.programme), changed))
        if not await store.add_verdict(conn, app, turn, person_id, verdict, now):
            raise AlreadyJudged
        details = {"step": app.step, "round": app.round}
        await store.note(conn, app.id, f"verdict_{verdict}", at=now, actor=actor, details=details)

    async def met(self, application: UUID, person_id: UUID, n: int, *, on: Any) -> Application:
        """A reviewer of the programme accepts the document of milestone `n` as of a day."""
        app = await self._app(application)
        programme = self._ground.programme(app.programme)
        department = programme.path(1)[-1].by
        if department not in await self.departments(person_id):
            raise NotYourDesk(self._ground.catalogue.departments[department].en)
        await self._stranger(app, person_id)
        return await self._awards.met(application, n, on, actor=f"person:{person_id}")

    async def escalate(self) -> int:
        """Tell the operators, once a step, about deadlines that passed; how many."""
        ground = self._ground
        async with ground.db.transaction() as conn:
            rows = await store.overdue(conn, ground.now(), OVERDUE_ROWS)
            for row in rows:
                programme = ground.programme(row["programme"])
                step = programme.path(row["round"])[row["step"]]
                app = store.application_of(row, ground.vault)
                await store.note(conn, app.id, "overdue", at=ground.now(), actor="system", details={"step": app.step})
                department = ground.catalogue.departments[step.by]
                await ground.notifier.notify(messages.overdue(programme, app, f"{department.zh} {department.en}"), conn)
        return len(rows)

    # -- helpers ------------------------------------------------------------------------------------------------------

    async def _may(self, app: Application, programme: Programme, person_id: UUID) -> Step:
        """The present step, if this person may speak on it."""
        if app.state is not State.IN_REVIEW:
            raise WrongState(app.state, State.IN_REVIEW)
        step = programme.path(app.round)[app.step]
        if step.by not in await self.departments(person_id):
            raise NotYourDesk(self._ground.catalogue.departments[step.by].en)
        await self._stranger(app, person_id)
        if app.round > 1:
            voices = await store.voices(self._ground.db, app.id)
            if any(row["person_id"] == person_id and row["round"] < app.round for row in voices):
                raise JudgesItself("您参与了原决定，申诉须由他人办理", "you took part in the decision that is appealed")
        return step

    async def _stranger(self, app: Application, person_id: UUID) -> None:
        ground = self._ground
        parties = [await ground.party(app.org_id)]
        programme = ground.programme(app.programme)
        named = [app.answers.get(name) for name, ask in programme.asks.items() if ask.type == "party"]
        parties += [await ground.party(UUID(org)) for org in named if isinstance(org, str)]
        if app.actor == f"person:{person_id}":
            raise JudgesItself("申请由您提交", "you submitted it")
        for party in parties:
            conflict = await ground.conflict(person_id, party, ground.today())
            if conflict is not None:
                raise JudgesItself(*conflict)

    async def _question(self, app: Application, programme: Programme, answers: Mapping[str, Any]) -> Question:
        party = await self._ground.party(app.org_id)
        return Question(programme, party, answers, app.applied_on, self._ground.today(), application=app.id)

    async def _enough(self, conn: Any, app: Application, step: Step, turn: int) -> bool:
        passed = await self._passed(conn, app, turn)
        return len({row["person_id"] for row in passed if row["step"] == app.step}) >= step.eyes

    @staticmethod
    async def _passed(conn: Any, app: Application, turn: int) -> list[Any]:
        """Voices that passed the application as it stands, on this step or before."""
        wanted = (app.round, turn, Verdict.PASS)
        voices = await store.voices(conn, app.id)
        return [row for row in voices if (row["round"], row["turn"], row["verdict"]) == wanted]

    async def _end(
        self, conn: Any, app: Application, programme: Programme, becomes: State, outcome: Outcome, actor: str,
        reason: str, turn: int,
    ) -> None:  # fmt: skip
        """Leave the review: returned, refused, or approved, with the reasons."""
        ground, text = self._ground, reason.strip()
        own = [Reason("reviewer", text, text).to_dict()] if text and becomes is not State.APPROVED else []
        await store.move(conn, app.id, State.IN_REVIEW, becomes, at=ground.now(), actor=actor)
        if becomes is State.REFUSED:
            await store.unclaim(conn, app.id)
        await self._applying.decision(conn, app, KINDS[becomes], outcome, actor=actor, note=text, reasons=own)
        await ground.notifier.notify(messages.decided(programme, app, becomes, turn), conn)

    async def _app(self, application: UUID) -> Application:
        row = await store.row(self._ground.db, application)
        if row is None:
            raise UnknownApplication
        return store.application_of(row, self._ground.vault)
