"""HTTP of webhooks: an organisation's addresses, what went there, and sending it again."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.http import as_json, private_json
from shanhe.kernel.routing import APIRouter, Body
from shanhe.webhooks.api import Webhooks, delivery_view, endpoint_view

Keeper = Annotated[Actor, Depends(require("keys"))]


class EndpointBody(Body):
    id: UUID | None = None
    url: str
    form: str = "standard"
    secret: str = ""
    kinds: list[str] = Field(default_factory=list)


def router(webhooks: Webhooks) -> APIRouter:
    """Everything under /api/webhooks."""
    routes = APIRouter(prefix="/api/webhooks", tags=["webhooks"])

    @routes.get("")
    async def every(actor: Keeper) -> Response:
        """Your organisation's webhooks."""
        return as_json({"data": [endpoint_view(one) for one in await webhooks.of(org_of(actor))]})

    @routes.post("")
    async def add(body: EndpointBody, actor: Keeper) -> Response:
        """A new one; of the standard form with the secret that its messages are signed with."""
        made = await webhooks.add(
            org_of(actor), url=body.url, form=body.form, secret=body.secret, kinds=body.kinds, by=actor.ref,
            endpoint_id=body.id,
        )  # fmt: skip
        told = {"secret": made.secret} if made.form == "standard" else {}
        return private_json(endpoint_view(made) | told, 201)

    @routes.delete("/{endpoint}")
    async def remove(endpoint: UUID, actor: Keeper) -> Response:
        """Send nothing there any more."""
        await webhooks.remove(org_of(actor), endpoint)
        return Response(status_code=204)

    @routes.post("/{endpoint}/test")
    async def test(endpoint: UUID, actor: Keeper) -> Response:
        """Send a test message."""
        return as_json(delivery_view(await webhooks.test(org_of(actor), endpoint)), 202)

    @routes.post("/{endpoint}/resume")
    async def resume(endpoint: UUID, actor: Keeper) -> Response:
        """Switch it on again."""
        return as_json(endpoint_view(await webhooks.resume(org_of(actor), endpoint)))

    @routes.post("/{endpoint}/rotate")
    async def rotate(endpoint: UUID, actor: Keeper) -> Response:
        """Another secret; for a day messages are signed with the one before, too, and the same one is told again."""
        made = await webhooks.rotate(org_of(actor), endpoint)
        return private_json(endpoint_view(made) | {"secret": made.secret})

    @routes.post("/{endpoint}/replay")
    async def replay(endpoint: UUID, actor: Keeper) -> Response:
        """Send again whatever was given up."""
        return as_json({"queued": await webhooks.replay(org_of(actor), endpoint)}, 202)

    @routes.get("/{endpoint}/deliveries")
    async def deliveries(endpoint: UUID, actor: Keeper, before: UUID | None = None) -> Response:
        """What went there, newest first; `before` continues after a page's last one."""
        return as_json(
            {"data": [delivery_view(one) for one in await webhooks.deliveries(org_of(actor), endpoint, before)]}
        )

    @routes.post("/deliveries/{delivery}/again")
    async def again(delivery: UUID, actor: Keeper) -> Response:
        """Send one again, under the same id."""
        return as_json(delivery_view(await webhooks.again(org_of(actor), delivery)), 202)

    return routes
