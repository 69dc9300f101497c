"""`/api/store/earnings`: what a maker earned by day and token, refunds, payouts, the statement as a file."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Literal

from fastapi import Depends
from starlette.responses import Response

from shanhe.identity.api import Actor, org_of, require
from shanhe.kernel.asking import Named
from shanhe.kernel.clock import Clock
from shanhe.kernel.documents import MEDIA, Format, render, save_headers
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter
from shanhe.store.api import Earnings, earnings_view, period

Maker = Annotated[Actor, Depends(require("publish"))]


def router(earnings: Earnings, clock: Clock, named: Named) -> APIRouter:
    """What makers earned."""
    routes = APIRouter(prefix="/api/store", tags=["store"])

    @routes.get("/earnings")
    async def earned(actor: Maker, first: date | None = None, last: date | None = None) -> Response:
        """Your organisation's income by day and token, refunds, payouts; the last 30 days unless you say otherwise."""
        return as_json(earnings_view(await earnings.of(org_of(actor), *period(clock, first, last))))

    @routes.get("/income")
    async def income(actor: Maker, first: date | None = None, last: date | None = None) -> Response:
        """What your organisation earned by day, listing and role, with what refunds took back."""
        days = await earnings.by_role(org_of(actor), *period(clock, first, last))
        return as_json({"data": [asdict(day) for day in days], "total_micro": sum(day.amount_micro for day in days)})

    @routes.get("/earnings/statement")
    async def statement(
        actor: Maker, first: date | None = None, last: date | None = None,
        format: Literal["csv", "xlsx", "pdf"] = "csv", language: Literal["zh", "en"] = "zh",
    ) -> Response:  # fmt: skip
        """The same as a file, with every posting of your income account."""
        org_id, (begin, end) = org_of(actor), period(clock, first, last)
        made = await earnings.statement(org_id, begin, end, name=await named(org_id), language=language)
        fmt = Format(format)
        headers = save_headers(f"{made.title}-{begin}-{end}", fmt)
        return Response(await render(made, fmt), media_type=MEDIA[fmt], headers=headers)

    return routes
