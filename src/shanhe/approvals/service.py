"""Recording approvals, answering the gate, and the second pair of eyes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from shanhe.approvals import store
from shanhe.approvals.doing import WAITS, Doing
from shanhe.approvals.errors import (
    BadApproval,
    BeingDone,
    LicenceConflict,
    OtherRight,
    PartyToIt,
    RequestClosed,
    RequestConflict,
    SamePerson,
    SampleRefused,
    UnknownLicence,
    UnknownRequest,
)
from shanhe.approvals.glass import BreakGlass
from shanhe.approvals.model import (
    RIGHT,
    Deed,
    Gate,
    Licence,
    Mode,
    NewLicence,
    Request,
    RequestState,
    Scope,
    numbers,
    person_of,
)
from shanhe.kernel.asking import Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals
from shanhe.kernel.words import PERMISSIONS_ZH

TEXT_LIMIT_CHARS: Final = 200
NUMBER_LIMIT_CHARS: Final = 100
NOT_BY: Final = "not_by"
"""Of a payload: who may not decide, besides the one who asked."""
REASON_FIELD: Final = "approvals.request.reason"
SWEEP_ROWS: Final = 500
LICENCE: Final = "approvals.licence"
LICENCES: Final = UUID("3d6a5f0b-94c7-5d0e-8a6b-1b1f6f6f2c77")
LICENCE_OPEN_FOR: Final = timedelta(days=30)
PAGE_ROWS: Final = 50

log = structlog.get_logger(__name__)

Behind = Callable[[str], Awaitable[str]]
"""The person behind an actor: of a key, who made it; anybody else is who they are."""


class Approvals:
    """`samples`: whether this is a demo city, the only kind in which a sample approval counts.

    `entry` takes every approval, revocation and decision into the transparency log; `notifier` tells who asked.
    """

    def __init__(
        self, db: Database, clock: Clock, *, samples: bool = False, entry: Record | None = None,
        seals: Seals | None = None, notifier: Notifier | None = None,
    ) -> None:  # fmt: skip
        self._db = db
        self._seals = seals or Seals()
        self._clock = clock
        self._samples = samples
        self._entry = entry
        self.glass: BreakGlass | None = None
        """By which one person may agree alone; set once it is there."""
        self.person_behind: Behind = _itself
        self.deeds: dict[str, Deed] = {LICENCE: Deed(self._licensed)}
        """By kind of request; modules put theirs in."""
        self._doing = Doing(db, clock, self._seals, self.deeds, self._behind, entry, notifier)

    # -- approvals of authorities -------------------------------------------------------------------------------------

    async def ask_licence(self, new: NewLicence, *, by: str) -> Request:
        """Ask that an approval be recorded, by which real cash moves; one request about a number stands at a time."""
        self._check(new)
        days = f"{new.valid_from} – {new.valid_to}"
        payload = {name: str(value) for name, value in asdict(new).items() if name != "sample"}
        payload |= {"sample": "1" if new.sample else "", "reason": f"{new.authority} · {new.number} · {days}"}
        asked = await self.standing(
            numbers(LICENCES, f"{new.scope}:{new.number}"), LICENCE, f"{new.scope} {new.number}", payload, by=by,
            expires_at=self._clock.now() + LICENCE_OPEN_FOR,
        )  # fmt: skip
        if asked.payload != payload:
            raise RequestConflict()
        return asked

    async def _licensed(self, decided: Request) -> None:
        said = {name: str(decided.payload[name]) for name in ("authority", "number")}
        first, last = (date.fromisoformat(str(decided.payload[name])) for name in ("valid_from", "valid_to"))
        new = NewLicence(
            scope=Scope(decided.payload["scope"]), valid_from=first, valid_to=last,
            sample=bool(decided.payload["sample"]), **said,
        )  # fmt: skip
        await self.record(new, by=decided.signed)

    def _check(self, new: NewLicence) -> None:
        _check_text("authority", new.authority, TEXT_LIMIT_CHARS)
        _check_text("number", new.number, NUMBER_LIMIT_CHARS)
        if new.valid_from > new.valid_to:
            raise BadApproval("its last day is before its first.", "截止日早于起始日。")
        if new.sample and not self._samples:
            raise SampleRefused()

    async def record(self, new: NewLicence, *, by: str) -> Licence:
        """Record an approval; the same one again is the same record. `LicenceConflict`, `SampleRefused`."""
        self._check(new)
        wanted = new_id()
        async with self._db.transaction() as conn:
            licence = await store.insert_licence(conn, wanted, new, by, self._clock.now())
            same = (licence.valid_from, licence.valid_to, licence.sample) == (new.valid_from, new.valid_to, new.sample)
            if not same or licence.revoked_at is not None:
                raise LicenceConflict(new.number)
            if licence.id == wanted:
                await self._log(conn, "approval.recorded", _public(licence), {"by": by})
        return licence

    async def revoke(self, licence_id: UUID, *, reason: str, by: str) -> Licence:
        """End an approval now; whatever it opened runs in the sandbox from this moment."""
        _check_text("reason", reason, TEXT_LIMIT_CHARS)
        now = self._clock.now()
        async with self._db.transaction() as conn:
            found = await store.revoke_licence(conn, licence_id, by, reason, now)
            if found is None:
                raise UnknownLicence()
            if found.revoked_at == now:
                await self._log(conn, "approval.revoked", {**_public(found), "reason": found.reason}, {"by": by})
        return found

    async def licences(self, scope: Scope | None = None) -> Sequence[Licence]:
        """Recorded approvals, newest first, ended and revoked ones too; a bounded page."""
        return await store.licences(self._db, scope)

    async def gate(self, scope: Scope | str, on: date | None = None) -> Gate:
        """Real, by an approval in force on the day (default today), or sandbox."""
        scope = Scope(scope)
        found = await store.in_force(self._db, scope, on or self._clock.today(), samples=self._samples)
        return Gate(scope, Mode.SANDBOX if found is None else Mode.REAL, found)

    # -- four eyes ----------------------------------------------------------------------------------------------------

    async def request(
        self, kind: str, subject: str, payload: Mapping[str, Any], *, by: str, expires_at: datetime,
        request_id: UUID | None = None, about: UUID | None = None, conn: Any = None,
    ) -> Request:  # fmt: skip
        """Ask for a second person's decision until `expires_at`. Idempotent by `request_id`.

        `about`: whose matter it is; where that is a person, what is said of it is sealed. Subject and payload are no
        place for such texts. With `conn` the request is written in the caller's transaction.
        """
        now = self._clock.now()
        _check_text("subject", subject, TEXT_LIMIT_CHARS)
        if expires_at <= now:
            raise BadApproval("it would end before it begins.", "截止时间早于现在。")
        wanted = Request(
            request_id or new_id(), kind, subject, payload, RequestState.OPEN, by, now, expires_at, None, None, "",
            about,
        )  # fmt: skip
        made = await store.insert_request(conn or self._db, wanted)
        if (made.kind, made.requested_by, dict(made.payload)) != (kind, by, dict(payload)):
            raise RequestConflict()
        return await self._opened(made)

    async def standing(
        self, numbers: Iterable[UUID], kind: str, subject: str, payload: Mapping[str, Any], *, by: str,
        expires_at: datetime, about: UUID | None = None,
    ) -> Request:  # fmt: skip
        """The request among these numbers that is open, agreed to or done, else a new one under the first free one.

        Refused and late ones, and those that could not be done, stay on record; the next has a number of its own.
        """
        for number in numbers:
            known = await self.known(number)
            if known is None:
                break
            if known.agreed or (known.state is RequestState.OPEN and known.expires_at > self._clock.now()):
                return known
        return await self.request(kind, subject, payload, by=by, request_id=number, about=about, expires_at=expires_at)

    async def approve(self, request_id: UUID, *, by: str, reason: str = "", conn: Any = None) -> Request:
        """A second person agrees. `SamePerson`, `RequestClosed`; repeating one's own approval changes nothing.

        With `conn` what follows from it is done in the caller's transaction.
        """
        return await self._decide(request_id, RequestState.APPROVED, by, reason, conn)

    def right_of(self, kind: str) -> str:
        """The permission with which a kind of request is asked for and decided."""
        deed = self.deeds.get(kind)
        return RIGHT if deed is None else deed.right

    def rights(self) -> Collection[str]:
        """Permissions of which one is needed to decide anything; which one a kind needs, its deed says."""
        return sorted({RIGHT} | {deed.right for deed in self.deeds.values()})

    def _entitled(self, request: Request, rights: Collection[str] | None) -> None:
        if rights is not None and (right := self.right_of(request.kind)) not in rights:
            raise OtherRight(right, PERMISSIONS_ZH.get(right, right))

    async def agree(
        self, request_id: UUID, *, by: str, reason: str = "", rights: Collection[str] | None = None
    ) -> Request:  # fmt: skip
        """Approve, and do at once what was asked for, where somebody said how. `rights`: the permissions of who agrees,
        None on the machine itself; `OtherRight`. `PartyToIt` where the deed says that of who agrees.

        Raises what stands in its way; the request says it too, and waits for another try, or has ended.
        """
        found = await self.get(request_id)
        self._entitled(found, rights)
        deed = self.deeds.get(found.kind)
        if found.state is RequestState.OPEN and deed is not None:
            await self._apart(found, deed, by)
            if deed.ready is not None:
                await deed.ready(found)
        decided = await self.approve(request_id, by=by, reason=reason)
        return await self._carry_out(decided) or await self.get(request_id)

    async def _apart(self, request: Request, deed: Deed, by: str) -> None:
        person = person_of(await self.person_behind(by))
        if deed.party is not None and person is not None and await deed.party(request, person):
            raise PartyToIt()

    async def alone(self, subject: str, amount_fen: int, *, by: str, below_fen: int) -> bool:
        """Whether somebody may do this without a second person: what they did so today comes with it to less than
        `below_fen`. Then it is counted, once a subject and sum, also where it fails afterwards."""
        person = await self.person_behind(by)
        async with self._db.transaction() as conn:
            return await store.alone(
                conn, person, f"{subject}:{amount_fen}", self._clock.today(), amount_fen, below_fen
            )

    async def again(self, request_id: UUID, *, by: str, rights: Collection[str] | None = None) -> Request:
        """Try once more what was agreed to and is not done; anybody who may decide may ask for it. RequestClosed,
        BeingDone, and what stands in its way; `rights` as in `agree`."""
        found = await self.get(request_id)
        self._entitled(found, rights)
        if found.state is RequestState.DONE:
            return found
        if found.state is not RequestState.APPROVED:
            raise RequestClosed(found.state)
        log.info("a deed is done again", request=str(request_id), by=by, tries=found.tries)
        done = await self._carry_out(found)
        if done is None:
            raise BeingDone()
        return done

    async def _carry_out(self, request: Request) -> Request | None:
        """None when somebody else is at it."""
        return request if request.state is not RequestState.APPROVED else await self._doing.do(request)

    async def done(self, request_id: UUID, conn: Any = None) -> None:
        """For a module that does in its own time what was agreed to: this one is done now."""
        await self._doing.end(request_id, RequestState.DONE, conn=conn)

    async def run(self) -> int:
        """Try again what was agreed to and is due; how many are done. Bounded; call it often."""
        return await self._doing.run()

    async def why(self, request: Request) -> str:
        """Why it was asked; empty where nobody can say it any more."""
        deed = self.deeds.get(request.kind)
        if deed is not None and deed.why is not None:
            return await deed.why(request)
        return str(request.payload.get("reason", ""))

    async def reject(
        self, request_id: UUID, *, by: str, reason: str, conn: Any = None, rights: Collection[str] | None = None
    ) -> Request:  # fmt: skip
        """A second person refuses, and says why; `rights` as in `agree`."""
        _check_text("reason", reason, TEXT_LIMIT_CHARS)
        if rights is not None:
            self._entitled(await self.get(request_id), rights)
        return await self._decide(request_id, RequestState.REJECTED, by, reason, conn)

    async def withdraw(self, request_id: UUID, *, by: str) -> Request:
        """Who asked takes it back."""
        return await self._decide(request_id, RequestState.WITHDRAWN, by, "", None)

    async def get(self, request_id: UUID) -> Request:
        found = await self.known(request_id)
        if found is None:
            raise UnknownRequest()
        return found

    async def known(self, request_id: UUID) -> Request | None:
        """A request, if there is one: for who asks again with texts that are sealed anew each time."""
        found = await store.request(self._db, request_id)
        return None if found is None else await self._opened(found)

    async def requests(
        self, *, kind: str | None = None, state: RequestState | None = None, before: UUID | None = None,
        limit: int = PAGE_ROWS,
    ) -> Sequence[Request]:  # fmt: skip
        """Newest first, a bounded page; `before` continues."""
        return [await self._opened(one) for one in await store.requests(self._db, kind, state, before, limit)]

    async def sweep(self) -> int:
        """End requests that nobody decided in time; how many. Bounded; call it often."""
        async with self._db.transaction() as conn:
            late = await store.expire(conn, self._clock.now(), SWEEP_ROWS)
            for one in late:
                await self._doing.tell(conn, one)
        return len(late)

    async def _decide(self, request_id: UUID, to: RequestState, by: str, reason: str, conn: Any) -> Request:
        if conn is None:
            async with self._db.transaction() as own:
                return await self._decide(request_id, to, by, reason, own)
        found = await store.request(conn, request_id, lock=True)
        if found is None:
            raise UnknownRequest()
        same = (to, RequestState.DONE, RequestState.REFUSED) if to is RequestState.APPROVED else (to,)
        if found.state in same and found.decided_by == by:
            return await self._opened(found)
        now = self._clock.now()
        if found.state is RequestState.OPEN and found.expires_at <= now:
            raise RequestClosed(RequestState.EXPIRED)
        if found.state is not RequestState.OPEN:
            raise RequestClosed(found.state)
        glass = await self._two_people(conn, found, to, by)
        said = reason[:TEXT_LIMIT_CHARS]
        if found.about is not None:
            said = await self._seals.seal(found.about, REASON_FIELD, said)
        left = to is RequestState.APPROVED and self._doing.follows(found.kind)
        state = RequestState.DONE if to is RequestState.APPROVED and not left else to
        await store.decide(conn, request_id, state, by, said, now, glass, now + WAITS[0] if left else None)
        decided = await store.request(conn, request_id)
        if decided is None:
            raise UnknownRequest()
        private = {"id": str(decided.id), "subject": decided.subject, "payload": dict(decided.payload),
                   "asked_by": decided.requested_by, "decided_by": by, "reason": decided.reason}  # fmt: skip
        public = {"request": decided.kind, "decision": str(to)} | ({"break_glass": True} if glass else {})
        await self._log(conn, "request.decided", public, private)
        opened = await self._opened(decided)
        if to is RequestState.REJECTED:
            await self._doing.tell(conn, opened)
        return opened

    async def _two_people(self, conn: Any, found: Request, to: RequestState, by: str) -> UUID | None:
        """SamePerson unless a second one decides; the opening of break-glass that stands for the second."""
        if to is RequestState.WITHDRAWN:
            if by != found.requested_by:
                raise SamePerson()
            return None
        behind = await self.person_behind(by)
        if behind in found.payload.get(NOT_BY, ()):
            raise SamePerson()
        if by != found.requested_by and behind != await self.person_behind(found.requested_by):
            return None
        glass = self.glass if to is RequestState.APPROVED and by == found.requested_by else None
        used = None if glass is None else await glass.agree(conn, found, by)
        if used is None:
            raise SamePerson()
        return used

    async def _opened(self, request: Request) -> Request:
        request = await self._doing.opened(request)
        if request.about is None:
            return request
        return replace(request, reason=await self._seals.open(request.about, REASON_FIELD, request.reason))

    async def same_person(self, one: str, other: str) -> bool:
        """Whether the same person acts, be it signed in or by a key."""
        return one == other or await self.person_behind(one) == await self.person_behind(other)

    async def _behind(self, by: str) -> str:
        return await self.person_behind(by)

    async def _log(self, conn: Any, kind: str, public: Mapping[str, Any], private: Mapping[str, Any]) -> None:
        if self._entry is not None:
            await self._entry(conn, kind, public, private)


async def _itself(by: str) -> str:
    return by


def _public(licence: Licence) -> dict[str, Any]:
    """What everybody may know of an authority's approval."""
    return {
        "scope": str(licence.scope), "authority": licence.authority, "number": licence.number,
        "from": str(licence.valid_from), "to": str(licence.valid_to), "sample": licence.sample,
    }  # fmt: skip


def _check_text(name: str, text: str, limit_chars: int) -> None:
    if not 0 < len(text.strip()) <= limit_chars or not text.isprintable():
        raise BadApproval(
            f"{name} must be one line of 1 to {limit_chars} characters.",
            f"{name} 须为 1 至 {limit_chars} 字的单行文字。",
        )
