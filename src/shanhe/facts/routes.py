"""HTTP of facts: what is known of me, what I declare, and what operators record from registers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from fastapi import Depends, Request
from pydantic import Field
from starlette.responses import Response

from shanhe.facts.model import NewFact, Standing, Use
from shanhe.facts.reading import names
from shanhe.facts.service import Facts
from shanhe.facts.views import fact_view
from shanhe.kernel.asking import AskSecond, asked_view
from shanhe.kernel.http import as_json
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter, Body

TEXT_MAX_CHARS = 500


class FactBody(Body):
    id: UUID | None = None
    name: str = Field(max_length=64)
    value: int | str | bool | None = Field(None, union_mode="smart")
    valid_from: date
    valid_to: date | None = None
    key: str = Field("", max_length=100)
    source: str = Field("self", min_length=1, max_length=100)
    evidence: str = Field("", max_length=200)


def router(
    facts: Facts, require: Callable[[str], Any], subject_of: Callable[[UUID], Awaitable[UUID]],
    record_checked: AskSecond,
) -> APIRouter:  # fmt: skip
    """Everything under /api/facts. `require(permission)` guards; `subject_of` tells whose facts an organisation has;
    `record_checked`: (organisation, fact, by)."""
    routes = APIRouter(prefix="/api/facts", tags=["facts"])
    member, operator = Depends(require("apply")), Depends(require("programmes"))

    @routes.get("/names")
    async def vocabulary(_: Request) -> Response:
        """Every fact there is, with its type and whom it is about."""
        return as_json({"data": [{"name": name, **msgspec.to_builtins(kind)} for name, kind in names().items()]})

    @routes.get("")
    async def own(on: date | None = None, actor: Any = member) -> Response:
        """What is known of the caller's organisation or person today, or on a day."""
        subject = await subject_of(actor.org_id)
        async with facts.reading(Use("own_access", actor.ref)) as reader:
            found = await reader.of(subject, on=on)
        return as_json({"data": [fact_view(fact) for fact in found]})

    @routes.post("", status_code=201)
    async def declare(body: FactBody, actor: Any = member) -> Response:
        """Declare a fact about oneself. Most programmes count a fact only after it was checked."""
        subject = await subject_of(actor.org_id)
        return as_json(fact_view(await facts.publish(_new(body, subject, Standing.DECLARED), actor=actor.ref)), 201)

    @routes.get("/{org_id}")
    async def of(org_id: UUID, actor: Any = operator) -> Response:
        """Everything ever said of a party, corrections included; for operators. Of people, it is kept who looked."""
        async with facts.reading(Use("oversight", actor.ref)) as reader:
            found = await reader.history(await subject_of(org_id))
        return as_json({"data": [fact_view(fact) for fact in found]})

    @routes.post("/{org_id}", status_code=202)
    async def record(org_id: UUID, body: FactBody, actor: Any = operator) -> Response:
        """Ask to record what a register or a checked document says of a party; another operator agrees, then it is."""
        new = _new(body, await subject_of(org_id), Standing.CHECKED)
        return as_json(asked_view(await record_checked(org_id, new, by=actor.ref)), 202)

    return routes


def _new(body: FactBody, subject: UUID, standing: Standing) -> NewFact:
    source = "self" if standing is Standing.DECLARED else body.source
    return NewFact(
        body.id or new_id(), subject, body.name, body.value, body.valid_from, body.valid_to, body.key, standing, source,
        body.evidence,
    )  # fmt: skip
