"""`/api/batches`: batches for members and operators who don't hold an API key."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query

from shanhe.batches.service import PAGE_MAX, Batches
from shanhe.batches.wire import batch_view, listed
from shanhe.identity.api import Actor, PermissionMissing, org_or_all
from shanhe.identity.api import actor as actor_of
from shanhe.kernel.routing import APIRouter

Asking = Annotated[Actor, Depends(actor_of)]
reader = partial(org_or_all, everything="engines")
"""None for operators, who see everything; else the organisation."""


def router(batches: Batches) -> APIRouter:
    """Everything under /api/batches."""
    routes = APIRouter(prefix="/api/batches", tags=["batches"])

    @routes.get("")
    async def every(
        actor: Asking, limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 20, after: UUID | None = None
    ) -> dict[str, Any]:
        """Batches of one's organisation; operators see all."""
        page, more = await batches.batches(reader(actor), after=after, limit=limit)
        return listed([batch_view(one) | {"org_id": str(one.org_id)} for one in page], more)

    @routes.get("/{batch}")
    async def one(batch: UUID, actor: Asking) -> dict[str, Any]:
        """One batch."""
        return batch_view(await batches.batch(batch, reader(actor)))

    @routes.post("/{batch}/cancel")
    async def cancel(batch: UUID, actor: Asking) -> dict[str, Any]:
        """Run nothing more of it."""
        if not {"engines", "keys"} & actor.permissions:
            raise PermissionMissing("keys")
        return batch_view(await batches.cancel(batch, reader(actor)))

    return routes
