"""HTTP of the dilution index: everybody sees how thin money is spread; sums and small cells are for the city's own."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Depends
from starlette.responses import Response

from shanhe.governance.dilution import Dilution
from shanhe.governance.dilution_views import as_csv, report_view, trend_view
from shanhe.identity.api import Actor, maybe_actor
from shanhe.kernel.documents import BOM
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter

Reader = Annotated[Actor | None, Depends(maybe_actor)]
WHOLE = "ledger"
"""The permission of those who see sums and small cells."""


def router(dilution: Dilution) -> APIRouter:
    """/api/governance/dilution…; `whole` views need the permission `ledger`."""
    routes = APIRouter(prefix="/api/governance", tags=["governance"])

    @routes.get("/dilution")
    async def report(who: Reader, on: date | None = None) -> Response:
        """Each budget's index over the twelve months up to a day, and the programmes below their critical mass."""
        return as_json(report_view(await dilution.report(on), whole=sees_all(who)))

    @routes.get("/dilution/trend")
    async def trend(who: Reader, by: str = "quarter", on: date | None = None) -> Response:
        """The same at the end of each of the last months or quarters, budgets only."""
        found = await dilution.trend(by, on)
        return as_json({"by": by, "data": trend_view(found, whole=sees_all(who))})

    @routes.get("/dilution.csv")
    async def table(who: Reader, on: date | None = None) -> Response:
        """Budgets, then programmes, as one CSV (UTF-8 with a mark, for spreadsheets)."""
        text = as_csv(await dilution.report(on), whole=sees_all(who))
        headers = {"content-disposition": 'attachment; filename="dilution.csv"', "cache-control": "no-store"}
        return Response((BOM + text).encode(), media_type="text/csv; charset=utf-8", headers=headers)

    return routes


def sees_all(who: Actor | None) -> bool:
    return who is not None and WHOLE in who.permissions
