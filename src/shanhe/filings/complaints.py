"""Complaints about outputs, by a receipt, and listings, by name: decided with reasons in time, once appealed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from shanhe.filings import store
from shanhe.filings.errors import (
    AppealedSince,
    BadComplaint,
    ComplaintClosed,
    ComplaintTaken,
    NotYourComplaint,
    UnknownComplaint,
)
from shanhe.filings.model import Complaint, Grievance, NewComplaint, Subject
from shanhe.kernel.asking import Akin, Parameter
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notice, Notifier, Severity, Text
from shanhe.kernel.sealing import Seals

PLACE: Final = "filings.complaint"
TEXT_CHARS: Final = 2_000
PAGE_ROWS: Final = 100
LATE_ROWS: Final = 100
SEALED: Final = ("text", "answer", "appeal", "final_answer")

ModelOf = Callable[[UUID], Awaitable[str]]
"""The model of a receipt; raises where there is none."""
SubjectOf = Callable[[str], Awaitable[Subject]]
"""What a name of the store means, a listing or words about one; raises where there is no such thing."""
Remove = Callable[[str, Any], Awaitable[None]]
"""(name, connection): what follows where a complaint about it is upheld, in the same transaction."""


class Complaints:
    def __init__(
        self, db: Database, clock: Clock, *, parameter: Parameter, seals: Seals, notifier: Notifier, model_of: ModelOf,
        subject_of: SubjectOf, concerned: Akin, remove: Remove,
    ) -> None:  # fmt: skip
        self._subject_of = subject_of
        self._remove = remove
        self._concerned = concerned
        self._db = db
        self._clock = clock
        self._parameter = parameter
        self._seals = seals
        self._notifier = notifier
        self._model_of = model_of

    async def make(self, new: NewComplaint, *, org_id: UUID, by: str) -> Complaint:
        """Report an output by its receipt, whoever paid for it, or a listing by its name. Idempotent by id;
        ComplaintTaken where that is about another one."""
        text, now, model = _text(new.text), self._clock.now(), new.listing
        if (new.receipt_id is None) == (not new.listing):
            raise BadComplaint("name a receipt or a listing, one of them", "须填写凭据号或上架项名称，二者填一项")
        if new.receipt_id is not None:
            model = await self._model_of(new.receipt_id)
        else:
            await self._subject_of(new.listing)
        due = now + timedelta(days=int(self._parameter("complaint_days", self._clock.today())))
        sealed = await self._seals.seal(org_id, f"{PLACE}.text", text)
        values = (new.id, org_id, by, new.receipt_id, model, str(new.category), sealed, now, due)
        async with self._db.transaction() as conn:
            made = await store.insert_complaint(conn, values)
            row = await store.complaint(conn, new.id)
            if row["org_id"] != org_id:
                raise UnknownComplaint
            if row["receipt_id"] != new.receipt_id or (new.receipt_id is None and row["model"] != model):
                raise ComplaintTaken
            if made:
                await self._notifier.notify(Notice(
                    "filings.complaint", Text("收到投诉", "A complaint"),
                    Text(f"关于 {model}，期限 {due.date()}。", f"About {model}; decide by {due.date()}."),
                    Severity.WARNING, link="/city/moderation", dedupe=f"complaint:{new.id}",
                ), conn)  # fmt: skip
        return await self._opened(row)

    async def decide(
        self, complaint_id: UUID, *, uphold: bool, answer: str, person_id: UUID, state: str | None = None
    ) -> Complaint:  # fmt: skip
        """The first decision, or (somebody else's) of an appeal; the same again changes nothing. NotYourComplaint for
        whoever complained, whoever made the listing, is related to them (R0), or decided first. A listing's maker is
        told where it is upheld.

        `state`: as it was read (None: it is read now). AppealedSince where an appeal came that was not.
        """
        text, now, by = _text(answer), self._clock.now(), f"person:{person_id}"
        about = await self.get(complaint_id)
        subject = await self.subject(about)
        for org in (about.org_id, *(() if subject is None else (subject.owner,))):
            if await self._concerned(person_id, org):
                raise NotYourComplaint
        async with self._db.transaction() as conn:
            row = await self._locked(conn, complaint_id)
            if by == row["made_by"] or (row["state"] == "appealed" and by == row["decided_by"]):
                raise NotYourComplaint
            if row["state"] == "appealed" and state not in (None, "appealed"):
                raise AppealedSince
            if row["state"] == "open":
                sealed = await self._seals.seal(row["org_id"], f"{PLACE}.answer", text)
                until = now + timedelta(days=int(self._parameter("appeal_days", self._clock.today())))
                await store.decide(conn, complaint_id, "upheld" if uphold else "rejected", by, sealed, now, until)
            elif row["state"] == "appealed":
                sealed = await self._seals.seal(row["org_id"], f"{PLACE}.final_answer", text)
                await store.finish(conn, complaint_id, "reversed" if uphold else "confirmed", by, sealed, now)
            elif (by, uphold) not in (
                (row["decided_by"], row["state"] == "upheld"), (row["final_by"], row["state"] == "reversed")
            ):  # fmt: skip
                raise ComplaintClosed(row["state"])
            else:
                return await self._opened(row)
            await self._notifier.notify(Notice(
                "filings.decided", Text("内容投诉已有结论", "Your complaint was decided"),
                Text("结论与理由见投诉页面。", "The decision and its reasons are on its page."), org_id=row["org_id"],
                link="/complaints", dedupe=f"complaint:{complaint_id}:{row['state']}",
            ), conn)  # fmt: skip
            if subject is not None and uphold:
                await self._remove(about.model, conn)
            if subject is not None and uphold and not subject.text:
                await self._notifier.notify(Notice(
                    "filings.upheld", Text("针对您上架项的投诉成立", "A complaint about your listing was upheld"),
                    Text(f"{about.model}：请核对并更正。", f"{about.model}: look at it and correct it."),
                    Severity.WARNING, org_id=subject.owner, link=subject.link,
                    dedupe=f"complaint:{complaint_id}:maker",
                ), conn)  # fmt: skip
        return await self.get(complaint_id)

    async def subject(self, one: Complaint) -> Subject | None:
        """What a complaint is about where that is no output."""
        return None if one.receipt_id is not None else await self._subject_of(one.model)

    async def appeal(self, complaint_id: UUID, text: str, *, org_id: UUID) -> Complaint:
        """Whoever complained appeals a rejection, once and in time."""
        said, now = _text(text), self._clock.now()
        async with self._db.transaction() as conn:
            row = await self._locked(conn, complaint_id)
            if row["org_id"] != org_id:
                raise UnknownComplaint
            if row["state"] != "rejected" or row["appeal_until"] < now:
                raise ComplaintClosed(row["state"])
            due = now + timedelta(days=int(self._parameter("appeal_days", self._clock.today())))
            await store.appeal(conn, complaint_id, await self._seals.seal(org_id, f"{PLACE}.appeal", said), due)
        return await self.get(complaint_id)

    async def get(self, complaint_id: UUID) -> Complaint:
        row = await store.complaint(self._db, complaint_id)
        if row is None:
            raise UnknownComplaint
        return await self._opened(row)

    async def list(
        self, *, org_id: UUID | None = None, waiting: bool = False, limit: int = PAGE_ROWS
    ) -> Sequence[Complaint]:
        """Newest first, a bounded page; of one organisation, or (None) of all. `waiting`: what is due first, first."""
        return [await self._opened(row) for row in await store.complaints(self._db, org_id, waiting, limit)]

    async def escalate(self) -> int:
        """Tell the operators, once, of complaints whose day has passed; how many."""
        async with self._db.transaction() as conn:
            rows = await store.late(conn, self._clock.now(), LATE_ROWS)
            for row in rows:
                await self._notifier.notify(Notice(
                    "filings.overdue", Text("内容投诉超期未办", "A complaint is overdue"),
                    Text("职责矩阵已列为超期事项。", "The duty matrix lists it as overdue."), Severity.WARNING,
                    link="/city/moderation", dedupe=f"complaint:{row['id']}:{row['state']}:overdue",
                ), conn)  # fmt: skip
        return len(rows)

    async def _locked(self, conn: Any, complaint_id: UUID) -> Any:
        row = await store.complaint(conn, complaint_id, lock=True)
        if row is None:
            raise UnknownComplaint
        return row

    async def _opened(self, row: Any) -> Complaint:
        found = await self._seals.opened(row["org_id"], PLACE, row, *SEALED)
        found.pop("told_at")
        return Complaint(**found | {"category": Grievance(found["category"])})


def _text(text: str) -> str:
    if not 1 <= len(text.strip()) <= TEXT_CHARS:
        raise BadComplaint(f"say it in 1 to {TEXT_CHARS} characters", f"须以 1–{TEXT_CHARS} 字说明")
    return text.strip()
