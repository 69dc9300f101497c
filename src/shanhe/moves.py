"""Money that operators move by hand: one asks, another agrees, then it is done.

Top-ups for money that came in otherwise, and reversals of postings: credits and the ledger know nothing of approvals.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from shanhe.approvals.api import RequestConflict, RequestState
from shanhe.ledger.api import AlreadyReversed

if TYPE_CHECKING:
    from shanhe.approvals.api import Approvals, Request
    from shanhe.credits.api import Credits
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.sealing import Seals
    from shanhe.ledger.api import Ledger

TOP_UP, REVERSAL = "credits.top_up", "ledger.reversal"
SPACE: Final = UUID("5b0f9c0e-6d0d-5f55-8a4f-2f2f7c9f3c61")
OPEN_FOR: Final = timedelta(days=30)
REASON_FIELD: Final = "moves.reason"
WAITING_ROWS: Final = 200


class Moves:
    """What operators of one city ask for, and what is done when another one agreed."""

    def __init__(self, clock: Clock, approvals: Approvals, credits: Credits, ledger: Ledger, seals: Seals) -> None:
        self._clock = clock
        self._approvals = approvals
        self._credits = credits
        self._ledger = ledger
        self._seals = seals
        approvals.deeds |= {TOP_UP: self._top_up, REVERSAL: self._reverse}

    # -- asking -------------------------------------------------------------------------------------------------------

    async def ask_top_up(
        self, org_id: UUID, amount_micro: int, reason: str, *, method: str, client_ref: str, by: str
    ) -> Request:
        """Ask for credits that were paid for outside. Idempotent by (organisation, client_ref)."""
        self._credits.check_top_up(amount_micro, reason, method, client_ref)
        number = uuid5(SPACE, f"{org_id}:{client_ref}")
        payload = {"org_id": str(org_id), "amount_micro": amount_micro, "method": method, "client_ref": client_ref}
        known = await self._approvals.known(number)
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
            known = await self._approvals.known(number)
            if known is None:
                break
            if known.state in (RequestState.OPEN, RequestState.APPROVED):
                return known
        payload = {"posting": str(posting), "reason": reason}
        return await self._approvals.request(
            REVERSAL, str(posting), payload, by=by, request_id=number, expires_at=self._clock.now() + OPEN_FOR
        )

    # -- doing --------------------------------------------------------------------------------------------------------

    async def _top_up(self, decided: Request) -> None:
        asked, org_id = decided.payload, UUID(str(decided.payload["org_id"]))
        reason = await self._seals.open(org_id, REASON_FIELD, str(asked["reason"]))
        await self._credits.top_up(
            org_id, int(asked["amount_micro"]), reason, decided.signed, method=str(asked["method"]),
            client_ref=str(asked["client_ref"]),
        )  # fmt: skip

    async def _reverse(self, decided: Request) -> None:
        with contextlib.suppress(AlreadyReversed):
            await self._ledger.reverse(
                UUID(str(decided.payload["posting"])), actor=decided.signed, reason=str(decided.payload["reason"])
            )

    async def waiting(self) -> Sequence[tuple[Request, str]]:
        """What is done once a second person agrees, whoever's deed it is; newest first, with why, a bounded page."""
        asked = await self._approvals.requests(state=RequestState.OPEN, limit=WAITING_ROWS)
        return [(one, await self._why(one)) for one in asked if one.kind in self._approvals.deeds]

    async def _why(self, one: Request) -> str:
        said = str(one.payload.get("reason", ""))
        if one.kind == TOP_UP and one.about is not None:
            return await self._seals.open(one.about, REASON_FIELD, said)
        return said
