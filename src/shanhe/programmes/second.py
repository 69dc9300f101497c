"""Money that operators move by hand: into a budget, back from an award. One asks, another agrees, then it happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID

from shanhe.kernel.errors import Invalid
from shanhe.programmes import store
from shanhe.programmes.awards import Awards
from shanhe.programmes.budgets import Budgets
from shanhe.programmes.errors import CallConflict, UnknownApplication
from shanhe.programmes.ground import Ground
from shanhe.programmes.guarantees import Guarantees

FUNDING, CLAWBACK, CALL = "programmes.funding", "programmes.clawback", "programmes.guarantee"
KINDS: Final = (FUNDING, CLAWBACK, CALL)
OPEN_DAYS: Final = 30
PAGE_ROWS: Final = 50
NOTE_CHARS: Final = 1_000
NOTE_FIELD: Final = "programmes.note"


class Eyes(Protocol):
    """Four eyes, as approvals offer them: who asks never decides."""

    async def request(
        self, kind: str, subject: str, payload: Mapping[str, Any], *, by: str, expires_at: datetime,
        request_id: UUID | None = None, about: UUID | None = None,
    ) -> Any: ...  # fmt: skip
    async def approve(self, request_id: UUID, *, by: str, reason: str = "", conn: Any = None) -> Any: ...
    async def reject(self, request_id: UUID, *, by: str, reason: str, conn: Any = None) -> Any: ...
    async def get(self, request_id: UUID) -> Any: ...
    async def requests(self, *, kind: str | None = None, limit: int = PAGE_ROWS) -> Sequence[Any]: ...


class Second:
    """Asking and agreeing. What was agreed is done at once; agreeing again repeats what a crash left."""

    def __init__(
        self, ground: Ground, eyes: Eyes, budgets: Budgets, awards: Awards, guarantees: Guarantees
    ) -> None:
        self._ground = ground
        self._eyes = eyes
        self._budgets = budgets
        self._awards = awards
        self._guarantees = guarantees

    async def fund(self, name: str, amount: int, *, reason: str, by: str, request_id: UUID) -> Any:
        """Ask for money into a budget. Idempotent by id, which is also the posting's."""
        self._budgets.check(name, amount, reason)
        payload = {"budget": name, "amount": amount, "reason": reason.strip()}
        return await self._ask(FUNDING, name, payload, by, request_id)

    async def claw_back(self, application: UUID, *, note: str, by: str, request_id: UUID) -> Any:
        """Ask for an award to be ended and brought back. Idempotent by id."""
        row = await store.row(self._ground.db, application)
        if row is None:
            raise UnknownApplication
        if not 1 <= len(note.strip()) <= NOTE_CHARS:
            raise Invalid("needs_reason", "Say why.", message_zh="请写明理由。")
        known = {one.id: one for one in await self._eyes.requests(kind=CLAWBACK, limit=PAGE_ROWS)}
        if request_id in known:
            return known[request_id]
        sealed = await self._ground.identity.seals.seal(row["org_id"], NOTE_FIELD, note.strip())
        return await self._ask(CLAWBACK, str(application), {"application": str(application), "note": sealed}, by,
                               request_id, row["org_id"])  # fmt: skip

    async def call(self, application: UUID, *, lost_fen: int, past_due: int, by: str, request_id: UUID) -> Any:
        """A bank asks to be paid on a guarantee (I8); an operator agrees. Idempotent by id."""
        known = {one.id: one for one in await self._eyes.requests(kind=CALL, limit=PAGE_ROWS)}
        if (asked := known.get(request_id)) is not None:
            same = (asked.payload["application"], asked.payload["lost_fen"], asked.payload["past_due"])
            if same != (str(application), lost_fen, past_due) or asked.requested_by != by:
                raise CallConflict
            return asked
        app, decision = await self._guarantees.decide(application, lost_fen, past_due)
        payload = {"application": str(app.id), "lost_fen": lost_fen, "past_due": past_due,
                   "amount": int(decision.outputs["pays_fen"])}  # fmt: skip
        return await self._ask(CALL, str(app.id), payload, by, request_id, app.org_id)

    async def _ask(
        self, kind: str, subject: str, payload: Mapping[str, Any], by: str, request_id: UUID, about: UUID | None = None
    ) -> Any:
        expires = self._ground.now() + timedelta(days=OPEN_DAYS)
        return await self._eyes.request(
            kind, subject, payload, by=by, expires_at=expires, request_id=request_id, about=about
        )

    async def approve(self, request_id: UUID, *, by: str) -> Any:
        """Agree as the second person, and do it."""
        asked = await self._mine(request_id)
        decided = await self._eyes.approve(request_id, by=by)
        payload = asked.payload
        if asked.kind == FUNDING:
            await self._budgets.fund(
                payload["budget"], payload["amount"], reason=payload["reason"], funding_id=request_id,
                actor=decided.signed if decided.glass else asked.requested_by,
            )  # fmt: skip
        elif asked.kind == CALL:
            await self._guarantees.call(
                UUID(payload["application"]), lost_fen=payload["lost_fen"], past_due=payload["past_due"],
                actor=asked.requested_by,
            )  # fmt: skip
        else:
            application = UUID(payload["application"])
            row = await store.row(self._ground.db, application)
            note = await self._ground.identity.seals.open(row["org_id"], NOTE_FIELD, payload["note"])
            await self._awards.claw_back(application, "error", note=note, actor=asked.requested_by)
        return decided

    async def reject(self, request_id: UUID, *, by: str, reason: str) -> Any:
        """Refuse as the second person, and say why."""
        await self._mine(request_id)
        return await self._eyes.reject(request_id, by=by, reason=reason)

    async def requests(self) -> list[Any]:
        """What was asked, newest first, a bounded page."""
        found = [one for kind in KINDS for one in await self._eyes.requests(kind=kind, limit=PAGE_ROWS)]
        return sorted(found, key=lambda one: one.requested_at, reverse=True)

    async def _mine(self, request_id: UUID) -> Any:
        asked = await self._eyes.get(request_id)
        if asked.kind not in KINDS:
            raise Invalid(
                "not_of_programmes", f"Request {request_id} is about something else.",
                message_zh=f"申请 {request_id} 不属于计划与预算。", hint="GET /api/programmes/requests lists them.",
                hint_zh="GET /api/programmes/requests 列出全部申请。",
            )  # fmt: skip
        return asked
