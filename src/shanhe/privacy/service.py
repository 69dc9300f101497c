"""Guarding readings, and what people and operators do with people's rights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from shanhe.facts.api import Reading, Use
from shanhe.identity.api import Consent, Identity, Purpose, PurposeRefused, UnknownPurpose, purposes
from shanhe.kernel.asking import Parameter
from shanhe.kernel.clock import Clock, add_months, midnight
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notice, Notifier, Severity, Text
from shanhe.kernel.paging import COPY_ROWS, drawn, whole
from shanhe.kernel.vault import PersonErased, Vault
from shanhe.privacy import store
from shanhe.privacy.errors import BadText, NotTheGuardian, RequestClosed, RequestConflict, UnknownRequest
from shanhe.privacy.model import (
    Assessment,
    Conclusion,
    Copy,
    NewAssessment,
    ReadingRow,
    Request,
    RequestKind,
    RequestState,
    Standing,
)

TEXT_CHARS: Final = 1_000
ASSESSMENT_CHARS: Final = 4_000
PEOPLE_KEPT: Final = 20_000
OVERDUE_ROWS: Final = 100
ASKED, ANSWER = "privacy.asked", "privacy.answer"

Drawer = Callable[[UUID, Sequence[UUID]], Awaitable[Any]]
"""What another module has of a person, and of the organisation that is the person: for their own copy."""
IsGuardian = Callable[[UUID, UUID], Awaitable[bool]]


class Privacy:
    """`Privacy` is the guard of facts, too. The rest is handed in (`connect`) once everything is there."""

    _notifier: Notifier

    def __init__(self, db: Database, clock: Clock, vault: Vault, *, identity: Identity, parameter: Parameter) -> None:
        self._db = db
        self._clock = clock
        self._vault = vault
        self._identity = identity
        self._parameter = parameter
        self._drawers: Mapping[str, Drawer] = {}
        self._is_guardian: IsGuardian | None = None
        self._known: OrderedDict[UUID, bool] = OrderedDict()

    def connect(self, notifier: Notifier, drawers: Mapping[str, Drawer], is_guardian: IsGuardian) -> None:
        """What the composition root hands in when the others are made: they stand on facts, and facts on this."""
        self._notifier = notifier
        self._drawers = drawers
        self._is_guardian = is_guardian

    # -- the guard of facts -------------------------------------------------------------------------------------------

    async def people(self, subjects: Sequence[UUID]) -> set[UUID]:
        """Which of the subjects are people; an id never changes what it is."""
        known = {subject: self._known[subject] for subject in subjects if subject in self._known}
        unknown = [subject for subject in subjects if subject not in known]
        if unknown:
            found = await self._identity.people.which(unknown)
            fresh = {subject: subject in found for subject in unknown}
            known |= fresh
            self._known.update(fresh)
            while len(self._known) > PEOPLE_KEPT:
                self._known.popitem(last=False)
        return {subject for subject, person in known.items() if person}

    async def allow(self, person: UUID, use: Use, names: Collection[str]) -> str:
        """The ground on which these names may be read; PurposeRefused when there is none."""
        lawful = await self._identity.consents.lawful(person, use.purpose, names)
        return f"consent:{lawful.consent}" if lawful.consent is not None else lawful.basis

    async def keep(self, readings: Sequence[Reading]) -> None:
        """Write readings down for the people they are about."""
        now = self._clock.now()
        rows = [(new_id(), now, one.person, one.use.purpose, one.ground, one.use.by, one.use.about, sorted(one.names))
                for one in readings]  # fmt: skip
        await store.add_readings(self._db, rows)

    # -- for the person -----------------------------------------------------------------------------------------------

    async def readings(
        self, person_id: UUID, *, before: UUID | None = None, limit: int = store.PAGE_ROWS
    ) -> list[ReadingRow]:
        """Who read the person's facts, newest first, a bounded page."""
        rows = await store.readings(self._db, person_id, before, limit)
        return [ReadingRow(**dict(row) | {"names": tuple(row["names"])}) for row in rows]

    async def standings(self, person_id: UUID | None) -> list[Standing]:
        """Every purpose; for a person also whether their data is used for it, and on which consent."""
        today = self._clock.today()
        assessed = {one.purpose for one in await self.assessments() if one.conclusion is not Conclusion.NOT_ACCEPTABLE}
        given = await self._identity.consents.of(person_id) if person_id is not None else ()
        found = []
        for name, purpose in purposes().items():
            mine = [one for one in given if one.purpose == name and one.withdrawn_at is None]
            counting = next((one for one in mine if purpose.counts(one.notice_version, today)), None)
            used = person_id is not None and await self._used(person_id, name)
            found.append(_standing(name, purpose, today, counting, used, name in assessed))
        return found

    async def _used(self, person_id: UUID, name: str) -> bool:
        try:
            await self._identity.consents.lawful(person_id, name)
        except PurposeRefused:
            return False
        return True

    async def consent_for_child(
        self, child: UUID, name: str, *, notice_version: str, apart: bool, guardian: UUID
    ) -> Consent:
        """A guardian consents for a child (PIPL 31); NotTheGuardian when the register says otherwise."""
        if self._is_guardian is None or not await self._is_guardian(guardian, child):
            raise NotTheGuardian()
        return await self._identity.consents.give(
            child, name, notice_version=notice_version, apart=apart, given_by=guardian
        )

    async def ask(self, person_id: UUID, kind: RequestKind, text: str, *, request_id: UUID) -> Request:
        """Ask for a correction, an explanation, … Idempotent by id; answered within the days of the rule."""
        _check("text", text, TEXT_CHARS)
        now = self._clock.now()
        due = now + timedelta(days=int(self._parameter("answer_days", self._clock.today())))
        sealed = self._vault.encrypt(person_id, ASKED, text.strip())
        made = await store.insert_request(self._db, request_id, person_id, kind, sealed, now, due)
        found = self._request(await store.request(self._db, request_id))
        if not made and (found.person_id, found.kind, found.asked) != (person_id, kind, text.strip()):
            raise RequestConflict()
        return found

    async def requests(
        self, *, person_id: UUID | None = None, open_only: bool = False, limit: int = store.PAGE_ROWS
    ) -> list[Request]:
        """The most urgent open ones first, then what was decided, newest first; of one person or of all."""
        return [self._request(row) for row in await store.requests(self._db, person_id, open_only, limit)]

    async def copy(self, person_id: UUID) -> Copy:
        """Everything the city has about a person, in plain text, for that person (PIPL 45)."""
        orgs = [org.id for org, _ in await self._identity.orgs.of_person(person_id) if org.person_id == person_id]
        data: dict[str, Any] = {"identity": await self._identity.people.export(person_id)}
        for name, drawer in self._drawers.items():
            data[name] = await drawer(person_id, orgs)
        data["requests"] = await self.requests(person_id=person_id, limit=COPY_ROWS + 1)
        data["readings"] = await drawn(partial(self.readings, person_id))
        return Copy(person_id, self._clock.now(), whole(data))

    async def forget(self, person_id: UUID) -> int:
        """After an erasure: what the person asked for is no more, for nobody can read it, nor be answered; how many."""
        return await store.forget_requests(self._db, person_id)

    # -- for operators ------------------------------------------------------------------------------------------------

    async def decide(self, request_id: UUID, *, done: bool, answer: str, by: str) -> Request:
        """Answer a person's request, once; the same answer again changes nothing."""
        _check("answer", answer, TEXT_CHARS)
        state = RequestState.DONE if done else RequestState.REFUSED
        async with self._db.transaction() as conn:
            row = await store.request(conn, request_id, lock=True)
            if row is None:
                raise UnknownRequest()
            if row["state"] != RequestState.OPEN:
                known = self._request(row)
                if (known.state, known.answer, known.decided_by) == (state, answer.strip(), by):
                    return known
                raise RequestClosed(row["state"])
            sealed = self._vault.encrypt(row["person_id"], ANSWER, answer.strip())
            decided = self._request(await store.decide(conn, request_id, state, sealed, by, self._clock.now()))
            await self._notifier.notify(_answered(decided), conn)
        return decided

    async def assess(self, new: NewAssessment, *, by: str) -> Assessment:
        """Record an impact assessment; it is kept for the years of the rule. Idempotent by id."""
        for field in ("necessity", "impact", "safeguards"):
            _check(field, getattr(new, field), ASSESSMENT_CHARS)
        if new.purpose not in purposes():
            raise UnknownPurpose(new.purpose)
        now, today = self._clock.now(), self._clock.today()
        months = int(self._parameter("assessment_months", today))
        await store.insert_assessment(
            self._db, new.id, new.purpose, list(new.grounds), new.necessity, new.impact, new.safeguards,
            new.conclusion, by, now, add_months(today, months),
        )  # fmt: skip
        made = _assessment(await store.assessment(self._db, new.id))
        if (made.purpose, made.necessity, made.impact) != (new.purpose, new.necessity, new.impact):
            raise Conflict(
                "assessment_conflict", "This id already belongs to another assessment.",
                message_zh="该编号已用于另一份评估。", hint="Use a new id.", hint_zh="请使用新的编号。",
            )  # fmt: skip
        return made

    async def assessments(self, purpose: str | None = None) -> list[Assessment]:
        """Newest first, a bounded page."""
        return [_assessment(row) for row in await store.assessments(self._db, purpose)]

    async def unassessed(self) -> list[str]:
        """Purposes that PIPL 55 wants assessed and that no standing assessment covers."""
        assessed = {one.purpose for one in await self.assessments()}
        return [name for name, one in purposes().items() if (one.sensitive or one.refusable) and name not in assessed]

    # -- what repeats -------------------------------------------------------------------------------------------------

    async def retain(self) -> int:
        """Drop what need not be kept any longer; how many rows."""
        today = self._clock.today()
        before = add_months(today, -int(self._parameter("reading_months", today)))
        return await store.forget(self._db, midnight(before), today)

    async def escalate(self) -> int:
        """Tell operators, once each, of requests that nobody answered in time."""
        async with self._db.transaction() as conn:
            rows = await store.overdue(conn, self._clock.now(), OVERDUE_ROWS)
            for row in rows:
                await self._notifier.notify(_late(row), conn)
        return len(rows)

    def _request(self, row: Any) -> Request:
        values = dict(row)
        values.pop("told_at")
        person = values["person_id"]
        values["asked"] = self._opened(person, ASKED, values["asked"])
        values["answer"] = self._opened(person, ANSWER, values["answer"])
        return Request(**values | {"kind": RequestKind(values["kind"]), "state": RequestState(values["state"])})

    def _opened(self, person_id: UUID, field: str, sealed: bytes | None) -> str:
        if sealed is None:
            return ""
        try:
            return self._vault.decrypt(person_id, field, sealed)
        except PersonErased:
            return ""


def _standing(
    name: str, purpose: Purpose, today: date, consent: Consent | None, used: bool, assessed: bool
) -> Standing:
    notice = purpose.notice(today)
    return Standing(
        purpose=name, title={"zh": notice.zh, "en": notice.en},
        notice={"zh": notice.notice_zh, "en": notice.notice_en}, version=notice.version, basis=purpose.basis,
        article=purpose.article, sensitive=purpose.sensitive, refusable=purpose.refusable, used=used,
        consented=consent.notice_version if consent else "", given_at=consent.given_at if consent else None,
        assessed=assessed,
    )  # fmt: skip


def _assessment(row: Any) -> Assessment:
    values = dict(row)
    return Assessment(**values | {"grounds": tuple(values["grounds"]), "conclusion": Conclusion(values["conclusion"])})


def _answered(request: Request) -> Notice:
    done = request.state is RequestState.DONE
    return Notice(
        "privacy.answered",
        Text("您的个人信息请求已" + ("办理" if done else "答复"), "Your request about your data was answered"),
        Text("答复内容见“我的数据”页。", "The answer is on the page “My data”."),
        person_id=request.person_id, link="/my-data", dedupe=f"privacy:{request.id}",
    )  # fmt: skip


def _late(row: Any) -> Notice:
    return Notice(
        "privacy.overdue",
        Text("个人信息请求超期未答复", "A request about personal data is overdue"),
        Text(f"请求 {row['id']} 已过答复期限。", f"Request {row['id']} should have been answered by now."),
        Severity.WARNING, link="/city/privacy", dedupe=f"privacy:{row['id']}:late",
    )  # fmt: skip


def _check(field: str, text: str, limit_chars: int) -> None:
    if not 0 < len(text.strip()) <= limit_chars:
        raise BadText(field, limit_chars)
