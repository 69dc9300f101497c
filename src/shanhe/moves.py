"""Money that operators move by hand: one asks, another agrees, then it is done.

Top-ups for money that came in otherwise, and reversals of postings. What was agreed to is done at once; agreeing again
repeats what a crash left, since each deed is idempotent by its request. Other modules' moves keep their own ways and
are reached from the same desk.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from shanhe.approvals.api import RequestConflict, RequestState, UnknownRequest
from shanhe.kernel.errors import ShanheError
from shanhe.programmes.api import MOVES

if TYPE_CHECKING:
    from shanhe.approvals.api import Approvals, Request
    from shanhe.credits.api import Credits
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.sealing import Seals
    from shanhe.ledger.api import Ledger
    from shanhe.programmes.api import Programmes

TOP_UP, REVERSAL = "credits.top_up", "ledger.reversal"
SPACE: Final = UUID("5b0f9c0e-6d0d-5f55-8a4f-2f2f7c9f3c61")
OPEN_FOR: Final = timedelta(days=30)
REASON_FIELD: Final = "moves.reason"
DONE_ALREADY: Final = "already_reversed"
WAITING_ROWS: Final = 200
Agree = Callable[..., Awaitable[Any]]
"""(request, by): agrees as the second person, and does it."""


class Moves:
    """Asking and agreeing, for operators of one city."""

    def __init__(
        self, clock: Clock, approvals: Approvals, credits: Credits, ledger: Ledger, seals: Seals, programmes: Programmes
    ) -> None:
        self._clock = clock
        self._approvals = approvals
        self._credits = credits
        self._ledger = ledger
        self._seals = seals
        self._own = {TOP_UP: self._top_up, REVERSAL: self._reverse}
        self._theirs: dict[str, Agree] = dict.fromkeys(MOVES, programmes.second.approve)

    # -- asking -------------------------------------------------------------------------------------------------------

    async def ask_top_up(
        self, org_id: UUID, amount_micro: int, reason: str, *, method: str, client_ref: str, by: str
    ) -> Request:
        """Ask for credits that were paid for outside. Idempotent by (organisation, client_ref)."""
        self._credits.check_top_up(amount_micro, reason, method, client_ref)
        number = uuid5(SPACE, f"{org_id}:{client_ref}")
        payload = {"org_id": str(org_id), "amount_micro": amount_micro, "method": method, "client_ref": client_ref}
        known = await self._known(number)
        if known is not None:
            if {**known.payload, "reason": ""} != {**payload, "reason": ""}:
                raise RequestConflict
            return known
        sealed = await self._seals.seal(org_id, REASON_FIELD, reason)
        return await self._approvals.request(
            TOP_UP, str(org_id), {**payload, "reason": sealed}, by=by, request_id=number, about=org_id,
            expires_at=self._clock.now() + OPEN_FOR,
        )  # fmt: skip

    async def ask_reversal(self, posting: UUID, reason: str, *, by: str) -> Request:
        """Ask for a posting's mirror image. One request a posting stands at a time."""
        await self._ledger.posting(posting)
        for turn in range(WAITING_ROWS):  # refused or late ones stay on record; the next has a number of its own
            number = uuid5(SPACE, f"{posting}:{turn}")
            known = await self._known(number)
            if known is None:
                break
            if known.state in (RequestState.OPEN, RequestState.APPROVED):
                return known
        payload = {"posting": str(posting), "reason": reason}
        return await self._approvals.request(
            REVERSAL, str(posting), payload, by=by, request_id=number, expires_at=self._clock.now() + OPEN_FOR
        )

    async def _known(self, number: UUID) -> Request | None:
        try:
            return await self._approvals.get(number)
        except UnknownRequest:
            return None

    # -- deciding -----------------------------------------------------------------------------------------------------

    async def approve(self, request_id: UUID, *, by: str, reason: str = "") -> Request:
        """Agree as the second person, and do it, whatever kind of move it is."""
        asked = await self._approvals.get(request_id)
        theirs, own = self._theirs.get(asked.kind), self._own.get(asked.kind)
        if theirs is not None:
            await theirs(request_id, by=by)
            return await self._approvals.get(request_id)
        decided = await self._approvals.approve(request_id, by=by, reason=reason)
        if own is not None:
            await own(decided)
        return decided

    async def reject(self, request_id: UUID, *, by: str, reason: str) -> Request:
        """Refuse as the second person, and say why."""
        return await self._approvals.reject(request_id, by=by, reason=reason)

    async def _top_up(self, decided: Request) -> None:
        asked, org_id = decided.payload, UUID(str(decided.payload["org_id"]))
        reason = await self._seals.open(org_id, REASON_FIELD, str(asked["reason"]))
        await self._credits.top_up(
            org_id, int(asked["amount_micro"]), reason, decided.signed, method=str(asked["method"]),
            client_ref=str(asked["client_ref"]),
        )  # fmt: skip

    async def _reverse(self, decided: Request) -> None:
        try:
            await self._ledger.reverse(
                UUID(str(decided.payload["posting"])), actor=decided.signed, reason=str(decided.payload["reason"])
            )
        except ShanheError as error:
            if error.code != DONE_ALREADY:
                raise

    async def waiting(self) -> Sequence[tuple[Request, str]]:
        """What waits for a second person, newest first, with why; a bounded page."""
        found = []
        for one in await self._approvals.requests(state=RequestState.OPEN, limit=WAITING_ROWS):
            if one.kind in self._own or one.kind in self._theirs:
                found.append((one, await self._why(one)))
        return found

    async def _why(self, one: Request) -> str:
        said = str(one.payload.get("reason", ""))
        if one.kind == TOP_UP and one.about is not None:
            return await self._seals.open(one.about, REASON_FIELD, said)
        return said
