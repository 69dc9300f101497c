"""The desk of the second person, over `Moves` and approvals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from shanhe.approvals.api import Approvals, Request
from shanhe.console import model as m
from shanhe.console.live.modules import Moves, Names, actor_of
from shanhe.kernel.money import format_credits


class LiveSecond:
    """See `ports.SecondDesk`."""

    def __init__(self, approvals: Approvals, moves: Moves, names: Names) -> None:
        self._approvals = approvals
        self._moves = moves
        self._names = names

    async def waiting(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        own = actor_of(who).ref
        return [
            {
                "id": one.id, "kind": one.kind, "subject": await self._subject(one), "why": why,
                "amount": _amount(one), "asked_at": one.requested_at, "expires_at": one.expires_at,
                "mine": one.requested_by == own,
            }
            for one, why in await self._moves.waiting()
        ]  # fmt: skip

    async def _subject(self, one: Request) -> str:
        return await self._names.owner(one.about) if one.about and one.subject == str(one.about) else one.subject

    async def decide(self, who: m.Who, request_id: UUID, *, yes: bool, reason: str) -> None:
        by = actor_of(who).ref
        if yes:
            await self._approvals.agree(request_id, by=by, reason=reason)
        else:
            await self._approvals.reject(request_id, by=by, reason=reason)


def _amount(one: Request) -> str:
    """Credits, where the move says how many; of other moves the page of its own says more."""
    micro = one.payload.get("amount_micro")
    return format_credits(micro) if isinstance(micro, int) else ""
