"""Money that operators move by hand: into a budget, back from an award. One asks, another agrees, then it happens."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

from shanhe.approvals.api import Approvals, Deed, Request, RequestState
from shanhe.kernel.errors import Invalid
from shanhe.programmes import store
from shanhe.programmes.awards import Awards
from shanhe.programmes.budgets import Budgets
from shanhe.programmes.errors import BadField, CallConflict, UnknownApplication, WrongState
from shanhe.programmes.ground import Ground
from shanhe.programmes.guarantees import IN_FORCE, Guarantees

FUNDING, CLAWBACK, CALL = "programmes.funding", "programmes.clawback", "programmes.guarantee"
KINDS: Final = (FUNDING, CLAWBACK, CALL)
PAGE: Final = "/city/programmes"
RIGHT: Final = "programmes"
OVER: Final = ("已过担保期限", "past its last day")
OPEN_DAYS: Final = 30
PAGE_ROWS: Final = 50
NOTE_CHARS: Final = 1_000
NOTE_FIELD: Final = "programmes.note"


class Second:
    """Asking, and what approvals do once a second person agreed."""

    def __init__(
        self, ground: Ground, approvals: Approvals, budgets: Budgets, awards: Awards, guarantees: Guarantees
    ) -> None:
        self._ground = ground
        self._approvals = approvals
        self._budgets = budgets
        self._awards = awards
        self._guarantees = guarantees
        guarantees.waits(self._called)
        approvals.deeds |= {
            FUNDING: Deed(self._fund, PAGE, right=RIGHT),
            CLAWBACK: Deed(self._claw_back, PAGE, self._noted, RIGHT),
            CALL: Deed(self._call, PAGE, right=RIGHT, told=""),  # a bank asks, and sees its guarantee
        }  # fmt: skip

    async def fund(self, name: str, amount: int, *, reason: str, by: str, request_id: UUID) -> Request:
        """Ask for money into a budget. Idempotent by id, which is also the posting's."""
        self._budgets.check(name, amount, reason)
        payload = {"budget": name, "amount": amount, "reason": reason.strip()}
        return await self._ask(FUNDING, name, payload, by, request_id)

    async def claw_back(self, application: UUID, *, note: str, by: str, request_id: UUID) -> Request:
        """Ask for an award to be ended and brought back. Idempotent by id."""
        row = await store.row(self._ground.db, application)
        if row is None:
            raise UnknownApplication
        if not 1 <= len(note.strip()) <= NOTE_CHARS:
            raise BadField("/note", ("理由", "The reason"), f"须为 1–{NOTE_CHARS} 个字符",
                           f"must have 1 to {NOTE_CHARS} characters", code="needs_reason",
                           allowed={"minLength": 1, "maxLength": NOTE_CHARS})  # fmt: skip
        known = await self._approvals.known(request_id)
        if known is not None and known.kind == CLAWBACK:
            return known
        sealed = await self._ground.identity.seals.seal(row["org_id"], NOTE_FIELD, note.strip())
        return await self._ask(CLAWBACK, str(application), {"application": str(application), "note": sealed}, by,
                               request_id, row["org_id"])  # fmt: skip

    async def call(self, application: UUID, *, lost_fen: int, past_due: int, by: str, request_id: UUID) -> Request:
        """A bank asks to be paid on a guarantee (I8); an operator agrees. Idempotent by id."""
        asked = await self._approvals.known(request_id)
        if asked is not None and asked.kind == CALL:
            same = (asked.payload["application"], asked.payload["lost_fen"], asked.payload["past_due"])
            if same != (str(application), lost_fen, past_due) or asked.requested_by != by:
                raise CallConflict
            return asked
        if (await self._guarantees.get(application)).ends_on < self._ground.today():  # one that waits keeps it in force
            raise WrongState(OVER, IN_FORCE)
        app, decision = await self._guarantees.decide(application, lost_fen, past_due)
        payload = {"application": str(app.id), "lost_fen": lost_fen, "past_due": past_due,
                   "amount": int(decision.outputs["pays_fen"])}  # fmt: skip
        return await self._ask(CALL, str(app.id), payload, by, request_id, app.org_id)

    async def _called(self, application: UUID) -> bool:
        """Whether a call of a guarantee was asked for and is not decided, or agreed to and not done."""
        for state in (RequestState.OPEN, RequestState.APPROVED):
            before: UUID | None = None
            while page := await self._approvals.requests(kind=CALL, state=state, before=before, limit=PAGE_ROWS):
                if any(one.subject == str(application) for one in page):
                    return True
                before = page[-1].id
        return False

    async def _ask(
        self, kind: str, subject: str, payload: Mapping[str, Any], by: str, request_id: UUID, about: UUID | None = None
    ) -> Request:
        expires = self._ground.now() + timedelta(days=OPEN_DAYS)
        return await self._approvals.request(
            kind, subject, payload, by=by, expires_at=expires, request_id=request_id, about=about
        )

    async def approve(self, request_id: UUID, *, by: str) -> Request:
        """Agree as the second person, and do it."""
        await self._mine(request_id)
        return await self._approvals.agree(request_id, by=by)

    async def _fund(self, decided: Request) -> None:
        asked = decided.payload
        await self._budgets.fund(
            asked["budget"], asked["amount"], reason=asked["reason"], funding_id=decided.id,
            actor=decided.signed if decided.glass else decided.requested_by,
        )  # fmt: skip

    async def _call(self, decided: Request) -> None:
        asked = decided.payload
        await self._guarantees.call(
            UUID(asked["application"]), lost_fen=asked["lost_fen"], past_due=asked["past_due"],
            actor=decided.requested_by,
        )  # fmt: skip

    async def _claw_back(self, decided: Request) -> None:
        application = UUID(decided.payload["application"])
        row = await store.row(self._ground.db, application)
        note = await self._note(row["org_id"], decided)
        await self._awards.claw_back(application, "error", note=note, actor=decided.requested_by)

    async def _noted(self, asked: Request) -> str:
        return "" if asked.about is None else await self._note(asked.about, asked)

    async def _note(self, org_id: UUID, asked: Request) -> str:
        return await self._ground.identity.seals.open(org_id, NOTE_FIELD, str(asked.payload["note"]))

    async def reject(self, request_id: UUID, *, by: str, reason: str) -> Request:
        """Refuse as the second person, and say why."""
        await self._mine(request_id)
        return await self._approvals.reject(request_id, by=by, reason=reason)

    async def requests(self, state: RequestState | None = None) -> list[Request]:
        """What was asked, perhaps in one state, newest first, a bounded page."""
        asked = partial(self._approvals.requests, state=state, limit=PAGE_ROWS)
        found = [one for kind in KINDS for one in await asked(kind=kind)]
        return sorted(found, key=lambda one: one.requested_at, reverse=True)

    async def _mine(self, request_id: UUID) -> Request:
        asked = await self._approvals.get(request_id)
        if asked.kind not in KINDS:
            raise Invalid(
                "not_of_programmes", f"Request {request_id} is about something else.",
                message_zh=f"申请 {request_id} 不属于计划与预算。", hint="GET /api/programmes/requests lists them.",
                hint_zh="GET /api/programmes/requests 列出全部申请。",
            )  # fmt: skip
        return asked
