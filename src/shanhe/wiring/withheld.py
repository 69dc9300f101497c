"""What becomes of the income that is withheld of a node: its owner's again, or the city's. From the sum on at which a
payout takes two people another operator agrees, who is no related party of the node's owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID

from shanhe.approvals.api import Deed
from shanhe.wiring.moves import OPEN_FOR, numbers_of

if TYPE_CHECKING:
    from shanhe.approvals.api import Approvals, Request
    from shanhe.kernel.asking import Akin
    from shanhe.kernel.clock import Clock
    from shanhe.pool.api import Node, Pool
    from shanhe.wiring.rulings import Rulings

GIVEN_BACK, KEPT = "pool.withheld_back", "pool.withheld_kept"
RIGHT: Final = "engines"


class Withheld:
    def __init__(self, clock: Clock, approvals: Approvals, rulings: Rulings, pool: Pool, akin: Akin) -> None:
        self._clock = clock
        self._approvals = approvals
        self._rulings = rulings
        self._pool = pool
        self._akin = akin
        approvals.deeds |= {
            kind: Deed(self._decide, "/nodes/{node}", right=RIGHT, party=self._related) for kind in (GIVEN_BACK, KEPT)
        }

    async def decide(self, name: str, *, give_back: bool, reason: str, by: str) -> Request | int:
        """End what is withheld of a node, a removed one too; what it came to, µ, or what waits for a second person."""
        self._pool.check_reason(reason)
        asked = await self._ask(await self._pool.node(name), give_back, reason, by)
        if asked is not None:
            return asked
        return await self._pool.decide_withheld(name, give_back=give_back, actor=by, reason=reason)

    async def release(self, name: str, *, reason: str, by: str) -> Request | None:
        """Out of quarantine, with what is withheld given back; None where that is done. It is back at work at once,
        and what takes a second person follows."""
        asked = await self._ask(await self._pool.node(name), True, reason, by)
        await self._pool.release(name, actor=by, reason=reason, restore=asked is None)
        return asked

    async def _ask(self, node: Node, give_back: bool, reason: str, by: str) -> Request | None:
        """The request that stands about what is withheld of a node now; None where one person is enough."""
        micro, newest = await self._pool.waiting(node, give_back=give_back)
        kind = GIVEN_BACK if give_back else KEPT
        if await self._rulings.alone_micro(f"{kind}:{node.id}:{newest}", micro, by):
            return None
        self._pool.check_reason(reason)
        payload = {"node": node.name, "amount_micro": micro, "reason": reason}
        return await self._approvals.standing(
            numbers_of(f"{kind}:{node.id}:{newest}"), kind, node.name, payload, by=by,
            expires_at=self._clock.now() + OPEN_FOR,
        )  # fmt: skip

    async def _decide(self, decided: Request) -> None:
        """What was withheld when it was asked for; of what came since somebody decides anew."""
        asked = decided.payload
        await self._pool.decide_withheld(
            str(asked["node"]), give_back=decided.kind == GIVEN_BACK, actor=decided.signed,
            reason=str(asked["reason"]), through=decided.requested_at,
        )  # fmt: skip

    async def _related(self, asked: Request, person_id: UUID) -> bool:
        return await self._akin(person_id, (await self._pool.node(str(asked.payload["node"]))).owner)
