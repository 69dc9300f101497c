"""HTTP of starters: `/api/starters`."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.http import as_json, language
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter, Body
from shanhe.starters.model import Copied, Shown
from shanhe.starters.service import Starters

Maker = Annotated[Actor, Depends(require("publish"))]
Language = Literal["zh", "en"]
Wanted = Annotated[Language | None, Query(alias="language")]
NAME_MAX = 80
BASES_MAX = 8
Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX)]


class CopyBody(Body):
    id: UUID | None = None
    language: Language | None = None
    slug: str = Field("", max_length=NAME_MAX)
    model: str = Field("", max_length=2 * NAME_MAX)
    knowledge: list[Name] = Field(default_factory=list, max_length=BASES_MAX)


def shown_view(one: Shown) -> dict[str, Any]:
    """A starter as it is shown."""
    card = msgspec.to_builtins(one.starter.card)
    return {
        "name": one.starter.name, **card, "needs": msgspec.to_builtins(one.needs),
        "missing": msgspec.to_builtins(one.missing), "models": list(one.models), "cost_micro": one.cost_micro,
        "most_micro": one.most_micro,
    }  # fmt: skip


def copied_view(one: Copied) -> dict[str, Any]:
    """A copy as it is shown."""
    found: dict[str, Any] = msgspec.to_builtins(one)
    return found


def spoken(request: Request) -> str:
    """The language that somebody reads, by its first letters."""
    return language(request).partition("-")[0]


def router(starters: Starters) -> APIRouter:
    """What one begins with, and copies of it."""
    routes = APIRouter(prefix="/api/starters", tags=["starters"])

    @routes.get("")
    async def every(request: Request, actor: Maker, wanted: Wanted = None) -> Response:
        """What comes with the city, what each needs and costs, and what of that is missing here."""
        found = await starters.every(wanted or spoken(request), org_of(actor))
        return as_json({"data": [shown_view(one) for one in found]})

    @routes.get("/{name}")
    async def one(name: str, request: Request, actor: Maker, wanted: Wanted = None) -> Response:
        """One of them with its definition, which is a file like an export."""
        said = wanted or spoken(request)
        found = await starters.shown(name, said, org_of(actor))
        return as_json(shown_view(found) | {"definition": found.starter.definitions[said]})

    @routes.post("/{name}/copies", status_code=201)
    async def copy(name: str, body: CopyBody, request: Request, actor: Maker) -> Response:
        """A draft of your own out of it, never published by copying; the same id again is the same draft."""
        made = await starters.copy(
            name, body.language or spoken(request), copy_id=body.id or new_id(), org_id=org_of(actor),
            by=actor.ref, slug=body.slug.strip(), model=body.model, knowledge=list(dict.fromkeys(body.knowledge)),
        )  # fmt: skip
        return as_json(copied_view(made), status=201)

    return routes
