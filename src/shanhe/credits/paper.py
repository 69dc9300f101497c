"""HTTP of what accountants keep: statements as JSON or as a file."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query
from starlette.responses import Response

from shanhe.credits import statements
from shanhe.credits.service import Credits
from shanhe.credits.views import month_of
from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.documents import MEDIA, Document, Format, render, save_headers
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter

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
        return as_json(statements.view(found))
    name = await credits.named(org_id)
    made = statements.document(found, org_name=name, city_name=credits.city_name, language=language)
    return await file(made, f"{made.title}-{name}-{found.month:%Y-%m}", shape)


async def file(document: Document, stem: str, shape: str) -> Response:
    """A document as a download."""
    fmt = Format(shape)
    return Response(await render(document, fmt), media_type=MEDIA[fmt], headers=save_headers(stem, fmt))
