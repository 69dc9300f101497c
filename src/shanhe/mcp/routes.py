"""HTTP beside the protocol: a publisher's secrets, the audit of calls. The protocol itself is `face`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import Actor, org_of, require
from shanhe.identity.api import actor as actor_of
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter, Body
from shanhe.mcp.api import Taken, ToolGateway, UnknownServer, taken

VALUE_MAX = 4_096
NAME_MAX = 64
Asking = Annotated[Actor, Depends(actor_of)]
Maker = Annotated[Actor, Depends(require("publish"))]


class SecretBody(Body):
    value: str = Field(min_length=1, max_length=VALUE_MAX)


def router(gateway: ToolGateway) -> APIRouter:
    """Everything under /api/mcp."""
    routes = APIRouter(prefix="/api/mcp", tags=["mcp"])

    @routes.get("/secrets")
    async def secrets(actor: Maker) -> Response:
        """What your organisation's secrets are called; values are never shown."""
        return as_json({"data": await gateway.secret_names(org_of(actor))})

    @routes.put("/secrets/{name}")
    async def put_secret(name: str, body: SecretBody, actor: Maker) -> Response:
        """Keep a secret that your server's header needs; it is sealed and never shown again."""
        await gateway.put_secret(org_of(actor), name, body.value, actor=actor.ref)
        return as_json({"name": name})

    @routes.delete("/secrets/{name}")
    async def drop_secret(name: str, actor: Maker) -> Response:
        """Forget a secret."""
        return as_json({"name": name, "dropped": await gateway.drop_secret(org_of(actor), name)})

    @routes.get("/calls")
    async def calls(
        actor: Asking,
        server: Annotated[str | None, Query(max_length=NAME_MAX)] = None,
        before: UUID | None = None,
    ) -> Response:
        """Calls of tools that your organisation made; with `server`, those that your server answered."""
        if "ledger" in actor.permissions:
            found = await gateway.calls(server=server, before=before)
        elif server is None:
            found = await gateway.calls(org_id=org_of(actor), before=before)
        else:
            if (await gateway.offered(server)).owner != actor.org_id:
                raise UnknownServer(server)
            found = await gateway.calls(server=server, before=before)
        own = actor.org_id
        shown = [asdict(one) if one.org_id == own or "ledger" in actor.permissions else _stranger(asdict(one))
                 for one in found]  # fmt: skip
        return as_json({"data": shown})

    return routes


def registry_router(
    everything: Callable[[], Awaitable[list[dict[str, Any]]]], one: Callable[[str], Awaitable[dict[str, Any]]],
    take: Callable[[Taken, UUID, str], Awaitable[Any]],
) -> APIRouter:  # fmt: skip
    """The official registry's words for what is listed here, and the way in for what is listed there."""
    routes = APIRouter(prefix="/api/mcp/registry", tags=["mcp"])

    @routes.get("/servers")
    async def servers() -> Response:
        """Every listed server as `server.json`; public."""
        found = await everything()
        return as_json({"servers": [{"server": one} for one in found], "metadata": {"count": len(found)}})

    @routes.get("/servers/{slug}")
    async def server(slug: str) -> Response:
        """One server as `server.json`; public."""
        return as_json(await one(slug))

    @routes.post("/servers", status_code=201)
    async def take_in(body: dict[str, Any], actor: Maker) -> Response:
        """A `server.json` as a new listing of your organisation, with a draft to look at and hand in."""
        return as_json(await take(taken(body), org_of(actor), actor.ref), 201)

    return routes


def _stranger(call: dict[str, Any]) -> dict[str, Any]:
    """A publisher sees how its tools do, not who calls them."""
    return {name: value for name, value in call.items() if name not in ("org_id", "key_id", "receipt_id")}
