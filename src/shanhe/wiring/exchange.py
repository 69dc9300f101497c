"""What becomes of an organisation's orders when it is frozen: who may not trade has nothing in the book."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from shanhe.exchange.api import Exchange, Reason
from shanhe.identity.api import FROZEN_TOPIC, Identity, OrgState
from shanhe.kernel.outbox import Event, Outbox

ACTOR: Final = "freeze"


def follow_freezes(outbox: Outbox, identity: Identity, exchange: Exchange) -> None:
    """Subscribe the end of their orders; whoever was released meanwhile keeps them."""

    async def frozen(event: Event) -> None:
        org = await identity.orgs.get(UUID(event.payload["org"]))
        if org.state is OrgState.FROZEN:
            await exchange.end_orders(org.id, reason=Reason.FROZEN, actor=ACTOR)

    outbox.subscribe(FROZEN_TOPIC, "exchange.frozen", frozen)
