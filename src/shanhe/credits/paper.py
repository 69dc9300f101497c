"""HTTP of what accountants keep: statements as JSON or as a file."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from shanhe.credits import statements
from shanhe.credits.service import Credits
from shanhe.credits.views import month_of
from shanhe.identity.api import Actor, require
from shanhe.kernel.documents import MEDIA, Document, Format, render, save_headers
from shanhe.kernel.errors import Invalid

Payer = Annotated[Actor, Depends(require("topup"))]
Books = Annotated[Actor, Depends(require("ledger"))]
Month = Annotated[str | None, Query(pattern=r"^\d{4}-\d{2}$", description="Like 2026-11; default: this month.")]
Shape = Literal["json", "pdf", "xlsx", "csv"]


def add(routes: APIRouter, credits: Credits) -> None:
    """Add the statements to the router of credits."""

    @routes.get("/statement")
    async def statement(
        actor: Payer, month: Month = None, format: Shape = "json", language: Literal["zh", "en"] = "zh"
    ) -> Response:
        """The month's statement by lot with its book value (rule C3), of the caller's organisation."""
        return await _statement(credits, org_of(actor), month, format, language)

    @routes.get("/statement/{org_id}")
    async def statement_of(
        org_id: UUID, actor: Books, month: Month = None, format: Shape = "json", language: Literal["zh", "en"] = "zh"
    ) -> Response:
        """The same of any organisation; for operators and auditors."""
        return await _statement(credits, org_id, month, format, language)


async def _statement(credits: Credits, org_id: UUID, month: str | None, shape: Shape, language: str) -> Response:
    found = await credits.statements.month(org_id, month_of(month))
    if shape == "json":
        return json(statements.view(found))
    name = await credits.named(org_id)
    made = statements.document(found, org_name=name, city_name=credits.city_name, language=language)
    return await file(made, f"{made.title}-{name}-{found.month:%Y-%m}", shape)


async def file(document: Document, stem: str, shape: str) -> Response:
    """A document as a download."""
    fmt = Format(shape)
    return Response(await render(document, fmt), media_type=MEDIA[fmt], headers=save_headers(stem, fmt))


def json(value: Any, status_code: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status_code, media_type="application/json")


def org_of(actor: Actor) -> UUID:
    """The organisation that the caller acts for; Invalid when there is none."""
    if actor.org_id is None:
        raise Invalid(
            "no_organisation",
            "This needs an organisation, and the caller acts for none.",
            message_zh="该操作需要组织身份，当前账号不属于任何组织。",
        )
    return actor.org_id


def name_of(actor: Actor) -> str:
    return f"{'person' if actor.person_id else 'key'}:{actor.person_id or actor.key_id}"
