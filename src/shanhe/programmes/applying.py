"""Wanting something: what one is entitled to, applying, adding what was missing, appealing, withdrawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from shanhe.kernel.clock import add_months
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.words import PARTIES, any_of
from shanhe.programmes import award_store, forms, messages, store
from shanhe.programmes.awards import Awards
from shanhe.programmes.cases import Application, Entitlement, Evidence, Outcome, Party, State
from shanhe.programmes.errors import (
    AlreadyClaimed,
    ApplicationConflict,
    AskAgain,
    BadField,
    NotDecidable,
    NotForYou,
    UnknownApplication,
    WrongState,
)
from shanhe.programmes.ground import Ground
from shanhe.programmes.judging import Judge, Question
from shanhe.programmes.milestones import Planned
from shanhe.programmes.model import Programme
from shanhe.programmes.paying import MONTHS_A_YEAR
from shanhe.programmes.sealing import seal

REF_MAX_CHARS: Final = 128
NOTE_MAX_CHARS: Final = 1_000
DIGEST_INDEX: Final = "programmes-digest"
GIVES_CLAIMS_BACK: Final = (State.REFUSED, State.WITHDRAWN)
TRIES: Final = 3
"""Another approval of the same programme may come between; after that the next round asks again."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Prepared:
    """An application that is in order, with what the rules say of it; nothing is written yet."""

    application: Application
    programme: Programme
    digest: bytes
    claims: Sequence[bytes]
    outcome: Outcome
    planned: Sequence[Planned]
    mark: int = 0


@dataclass(frozen=True)
class Asked:
    """What came of asking for somebody: the application, or why not; neither where the next round has to ask again."""

    application: UUID | None = None
    barred: NotForYou | None = None


class Applying:
    """The applicant's side."""

    def __init__(self, ground: Ground, judge: Judge, awards: Awards) -> None:
        self._ground = ground
        self._judge = judge
        self._awards = awards

    async def entitlements(self, org_id: UUID) -> list[Entitlement]:
        """Every open programme for this kind of party: what it would give today, or what stands against it."""
        ground, party, today = self._ground, await self._ground.party(org_id), self._ground.today()
        rows = await store.page(ground.db, org_id=org_id)
        latest = {row["programme"]: row["id"] for row in reversed(rows) if row["state"] not in GIVES_CLAIMS_BACK}
        found = []
        for programme in ground.catalogue.programmes.values():
            if not programme.open_on(today) or party.kind not in programme.for_:
                continue
            outcome = await self._judge.outcome(Question(programme, party, {}, today, today))
            standing = "not_yet" if outcome.reasons and not (programme.asks and about_nothing(outcome)) else "entitled"
            if standing == "entitled" and (outcome.missing or programme.asks):
                standing = "needs_answers"
            application = latest.get(programme.id)
            found.append(Entitlement(programme.id, "applied" if application else standing, outcome, application))
        return found

    async def apply(
        self, programme_id: str, org_id: UUID, *, answers: Mapping[str, Any], evidence: Mapping[str, Any],
        client_ref: str, actor: str,
    ) -> Application:  # fmt: skip
        """Apply. Idempotent by (organisation, client_ref).

        A condition that fails is a refusal with its reasons, which can be appealed; a form that is not in order, or
        something that was claimed before, is an error, and nothing is recorded.
        """
        known = await store.by_ref(self._ground.db, org_id, client_ref)
        if known is not None:
            return await self.same(known, programme_id, answers, evidence, client_ref)
        prepared = await self.prepare(
            programme_id, org_id, answers=answers, evidence=evidence, client_ref=client_ref, actor=actor
        )
        async with self._ground.db.transaction() as conn:
            inserted = await self.insert(conn, prepared)
        if not inserted:
            row = await store.by_ref(self._ground.db, org_id, client_ref)
            return await self.same(row, programme_id, answers, evidence, client_ref)
        if prepared.application.state is State.APPROVED:
            return await self._awards.settle(prepared.application.id)
        return prepared.application

    async def on_behalf(
        self, programme_id: str, org_id: UUID, about: str, what: UUID | str, *, actor: str, **also: str
    ) -> Asked:
        """Apply for what another module saw come due: like any other promise, and once for each answer to `about`.

        Where the party applied by hand, it is theirs that counts. What fails is logged and left to the next round.
        """
        answers, ref = {about: str(what), **also}, f"{about}:{what}"
        for _ in range(TRIES):
            try:
                made = await self.apply(programme_id, org_id, answers=answers, evidence={}, client_ref=ref, actor=actor)
            except AskAgain:
                continue
            except AlreadyClaimed:
                rows = await store.page(self._ground.db, org_id=org_id, programme=programme_id)
                mine = [store.application_of(row, self._ground.vault) for row in rows]
                return Asked(next((one.id for one in mine if one.answers.get(about) == str(what)), None))
            except ShanheError as error:
                log.warning("an award could not be applied for", programme=programme_id, about=ref, error=error.code)
                return Asked(barred=error if isinstance(error, NotForYou) else None)
            return Asked(made.id)
        return Asked()

    async def same(
        self, row: Any, programme_id: str, answers: Mapping[str, Any], evidence: Mapping[str, Any], client_ref: str
    ) -> Application:
        """What was applied for before with a reference; ApplicationConflict where that was something else."""
        programme = self._ground.programme(programme_id)
        clean = forms.answers_of(programme, await self.named(programme, answers, row["org_id"]), by="applicant")
        if row["digest"] != self._digest(programme_id, clean, forms.evidence_of(programme, evidence)):
            raise ApplicationConflict(client_ref)
        return store.application_of(row, self._ground.vault)

    def _digest(self, programme: str, answers: Mapping[str, Any], evidence: Mapping[str, Evidence]) -> bytes:
        content = {"programme": programme, "answers": answers, "evidence": {k: asdict(v) for k, v in evidence.items()}}
        return self._ground.vault.blind_index(DIGEST_INDEX, msgspec.json.encode(content, order="sorted").decode())

    async def prepare(
        self, programme_id: str, org_id: UUID, *, answers: Mapping[str, Any], evidence: Mapping[str, Any],
        client_ref: str, actor: str,
    ) -> Prepared:  # fmt: skip
        """Check everything that can be checked without writing."""
        ground = self._ground
        if not 1 <= len(client_ref) <= REF_MAX_CHARS:
            raise BadField("/client_ref", ("编号", "client_ref"), f"须为 1–{REF_MAX_CHARS} 个字符",
                           f"must have 1 to {REF_MAX_CHARS} characters", code="bad_reference",
                           allowed={"minLength": 1, "maxLength": REF_MAX_CHARS})  # fmt: skip
        programme, party, today = ground.programme(programme_id), await ground.party(org_id), ground.today()
        self.open_for(programme, party)
        clean = forms.answers_of(programme, await self.named(programme, answers, org_id), by="applicant")
        papers = forms.evidence_of(programme, evidence)
        await self.strangers(programme, party, clean)
        mark = await award_store.mark(ground.db, programme.id) if programme.remembers else 0
        question = Question(programme, party, clean, today, today)
        outcome = await self._judge.outcome(question)
        by_people = await ground.by_people(party)
        refused = bool(outcome.reasons) and not by_people
        reviewed = bool(programme.review) or by_people
        if not refused and outcome.missing and not reviewed:
            raise NotDecidable(forms.lacking(programme, outcome.missing))
        state = State.REFUSED if refused else State.IN_REVIEW if reviewed else State.APPROVED
        now = ground.now()
        due = now + timedelta(days=programme.path(1)[0].days) if state is State.IN_REVIEW else None
        application = Application(
            new_id(), programme.id, org_id, party.subject, party.person_id, client_ref, state, 1, 0, due, None, today,
            clean, papers, 0, actor, now, now,
        )  # fmt: skip
        planned = await self._awards.plan(question, outcome) if state is State.APPROVED else ()
        return Prepared(
            application, programme, self._digest(programme.id, clean, papers),
            self._awards.claims(programme, party.subject, clean, today), outcome, planned, mark,
        )  # fmt: skip

    async def named(self, programme: Programme, answers: Mapping[str, Any], org_id: UUID) -> dict[str, Any]:
        """Answers with parties as ids: people name them by registration number, login or id."""
        found = dict(answers)
        for name, ask in programme.asks.items():
            if ask.type == "party" and isinstance(answers.get(name), str) and answers[name].strip():
                found[name] = str(await self._ground.find(answers[name].strip(), asked_by=org_id))
        return found

    def open_for(self, programme: Programme, party: Party) -> None:
        """NotForYou where this party can't apply today, whatever it writes."""
        title = programme.title
        if not programme.open_on(self._ground.today()):
            raise NotForYou(title.zh, title.en, "不在申请期内", "it is not open for applications today")
        if party.kind not in programme.for_:
            zh, en = ("或".join(PARTIES[kind][0] for kind in programme.for_),
                      ", ".join(PARTIES[kind][1] for kind in programme.for_))  # fmt: skip
            raise NotForYou(title.zh, title.en, f"申请主体须为 {zh}", f"it is for: {en}")
        if party.frozen:
            raise NotForYou(title.zh, title.en, "主体已冻结", "the applicant is frozen")

    async def strangers(self, programme: Programme, party: Party, answers: Mapping[str, Any]) -> None:
        """Named parties exist; those that must be strangers to the applicant are, NotForYou else."""
        for name, ask in programme.asks.items():
            if ask.type != "party" or name not in answers:
                continue
            other = await self._ground.party(UUID(answers[name]))
            if name in programme.unrelated:
                found = await self._ground.facts.related(party.subject, other.subject, on=self._ground.today())
                if found is not None:
                    title = programme.title
                    raise NotForYou(
                        title.zh, title.en, f"{ask.zh}与申请人为关联方（{found.zh}）", f"{ask.en}: {found.en}"
                    )

    async def insert(self, conn: Any, prepared: Prepared) -> bool:
        """Write a prepared application, all of it; False when its reference is taken. AlreadyClaimed rolls back."""
        app, ground, outcome = prepared.application, self._ground, prepared.outcome
        stored = seal(ground.vault, app.person_id, content_of(app))
        if not await store.insert(conn, app, prepared.digest, stored):
            return False
        if app.state is not State.REFUSED:
            await self._claim(conn, prepared.programme, app, app.answers)
        await store.note(conn, app.id, app.state, at=app.created_at, actor=app.actor, details={"round": 1})
        if app.state is State.REFUSED:
            await self.decision(conn, app, "refusal", outcome, actor="system")
            await ground.notifier.notify(messages.decided(prepared.programme, app, "refused", 0), conn)
        if app.state is State.APPROVED:
            await self.unchanged(conn, prepared.programme, prepared.mark)
            await self.decision(conn, app, "grant", outcome, actor="system")
            await self._awards.record(conn, app.id, prepared.planned)
        return True

    async def _claim(self, conn: Any, programme: Programme, app: Application, answers: Mapping[str, Any]) -> None:
        on = app.applied_on
        taken = await store.claim(
            conn, programme.family, self._awards.claims(programme, app.subject, answers, on), app.id
        )
        if taken is not None:
            raise AlreadyClaimed(*claim_words(programme, taken))
        if (recent := await self.renewed(conn, programme, app.subject, answers, on, app.id)) is not None:
            raise AlreadyClaimed(*recent)

    async def renewed(
        self, conn: Any, programme: Programme, subject: UUID, answers: Mapping[str, Any], on: date,
        application: UUID | None = None,
    ) -> tuple[str, str] | None:  # fmt: skip
        """What a yearly award of the twelve months before has used up, in words: it is renewed, not applied for."""
        keys = self._awards.before(programme, subject, answers, on)
        found = await store.lately(conn, programme.family, keys, application, add_months(on, -MONTHS_A_YEAR))
        return claim_words(programme, found, rolling=True) if found is not None else None

    async def unchanged(self, conn: Any, programme: Programme, mark: int) -> None:
        """Two approvals that count what was awarded before must not overlook each other: the later one asks again."""
        if programme.remembers:
            await award_store.line_up(conn, programme.id)
            if await award_store.mark(conn, programme.id) != mark:
                raise AskAgain

    async def decision(
        self, conn: Any, app: Application, kind: str, outcome: Outcome, *, actor: str, note: str = "",
        reasons: Sequence[Mapping[str, Any]] = (),
    ) -> None:  # fmt: skip
        """Write why, sealed for people."""
        content = {
            "reasons": [*reasons, *(reason.to_dict() for reason in outcome.reasons)],
            "traces": outcome.traces,
            "note": note,
        }
        await self._ground.write_decision(conn, app, kind, outcome, content, actor=actor)

    # -- afterwards ---------------------------------------------------------------------------------------------------

    async def own(self, application: UUID, org_id: UUID) -> Application:
        """An application of this organisation; UnknownApplication for anybody else's."""
        row = await store.row(self._ground.db, application)
        if row is None or row["org_id"] != org_id:
            raise UnknownApplication
        return store.application_of(row, self._ground.vault)

    async def supplement(
        self, application: UUID, org_id: UUID, *, answers: Mapping[str, Any], evidence: Mapping[str, Any], actor: str
    ) -> Application:
        """Add or correct what a returned application lacked; it is reviewed anew from the first step, for who passed it
        before had seen something else."""
        app = await self.own(application, org_id)
        programme = self._ground.programme(app.programme)
        given = await self.named(programme, answers, org_id)
        clean = forms.answers_of(programme, {**_applicants(programme, app.answers), **given}, by="applicant")
        papers = forms.evidence_of(programme, {**{k: asdict(v) for k, v in app.evidence.items()}, **evidence})
        await self.strangers(programme, await self._ground.party(org_id), clean)
        answered = {**app.answers, **clean}
        due = self._ground.now() + timedelta(days=programme.path(app.round)[0].days)
        async with self._ground.db.transaction() as conn:
            await self._move(conn, app, State.RETURNED, State.IN_REVIEW, actor, step_due=due, round_=app.round)
            await store.unclaim(conn, app.id)
            await self._claim(conn, programme, app, answered)
            content = {"answers": answered, "evidence": {k: asdict(v) for k, v in papers.items()}}
            await store.replace_content(conn, app.id, seal(self._ground.vault, app.person_id, content))
        return await self.own(application, org_id)

    async def appeal(self, application: UUID, org_id: UUID, *, why: str, actor: str) -> Application:
        """Have a refusal looked at again, once, by people who did not decide it; one by rules alone, by a person."""
        app = await self.own(application, org_id)
        programme = self._ground.programme(app.programme)
        if not 1 <= len(why.strip()) <= NOTE_MAX_CHARS:
            raise BadField("/why", ("申诉理由", "The reason of the appeal"), f"须为 1–{NOTE_MAX_CHARS} 个字符",
                           f"must have 1 to {NOTE_MAX_CHARS} characters", code="needs_reason",
                           allowed={"minLength": 1, "maxLength": NOTE_MAX_CHARS})  # fmt: skip
        if app.round != 1:
            raise WrongState(("申诉后仍未通过", "refused on appeal"), ("首次未通过", "refused for the first time"))
        due = self._ground.now() + timedelta(days=programme.appeal[0].days)
        async with self._ground.db.transaction() as conn:
            await self._move(conn, app, State.REFUSED, State.IN_REVIEW, actor, step_due=due, round_=2)
            await self._claim(conn, programme, app, app.answers)
            await self.decision(conn, app, "appeal", Outcome(), actor=actor, note=why.strip())
        return await self.own(application, org_id)

    async def withdraw(self, application: UUID, org_id: UUID, *, actor: str) -> Application:
        """Take an application back before it is decided or paid."""
        app = await self.own(application, org_id)
        async with self._ground.db.transaction() as conn:
            await self._move(conn, app, app.state, State.WITHDRAWN, actor)
            await store.unclaim(conn, app.id)
            await self._awards.cancel_open(conn, app.id, "withdrawn")
        await self._awards.free(app)  # it may have been set aside just then
        return await self.own(application, org_id)

    async def _move(
        self, conn: Any, app: Application, was: State, becomes: State, actor: str, *, step_due: Any = None,
        round_: int | None = None,
    ) -> None:  # fmt: skip
        allowed = (State.IN_REVIEW, State.RETURNED, State.WAITING_BUDGET)
        if becomes is State.WITHDRAWN and was not in allowed:
            raise WrongState(app.state, any_of(*allowed))
        step = 0 if round_ is not None else None
        moved = await store.move(conn, app.id, was, becomes, at=self._ground.now(), actor=actor, step_due=step_due,
                                 step=step, round_=round_)  # fmt: skip
        if not moved:
            raise WrongState(app.state, was)


def claim_words(programme: Programme, index: int, *, rolling: bool = False) -> tuple[str, str]:
    """What may be had once, by its place in `once`, as people say it."""
    words = {
        "applicant": ("本申请人", "this applicant"),
        "year": ("近十二个月", "the last twelve months") if rolling else ("本年", "this year"),
        "month": ("本月", "this month"),
    }
    words |= {name: (ask.zh, ask.en) for name, ask in programme.asks.items()}
    claim = programme.once[index]
    return "、".join(words[word][0] for word in claim), ", ".join(words[word][1] for word in claim)


def content_of(app: Application, answers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is stored of an application's form."""
    evidence = {name: asdict(item) for name, item in app.evidence.items()}
    return {"answers": dict(app.answers if answers is None else answers), "evidence": evidence}


def _applicants(programme: Programme, answers: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in answers.items()
        if name in programme.asks and programme.asks[name].by == "applicant"
    }


def about_nothing(outcome: Outcome) -> bool:
    """Whether the only reason is that the amount rule, asked without all answers, gives nothing."""
    return all(reason.code.endswith(".nothing") for reason in outcome.reasons)
