"""HTTP of the bulletin: for everybody to read; operators publish one that is due, at once."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response

from shanhe.bulletin.service import Bulletin
from shanhe.bulletin.views import feed, issue_view, row_view
from shanhe.identity.api import Actor, require
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter

Operator = Annotated[Actor, Depends(require("programmes"))]
FEED_ISSUES = 12


def router(bulletin: Bulletin, city: str, url: str) -> APIRouter:
    """Everything under /api/bulletin."""
    routes = APIRouter(prefix="/api/bulletin", tags=["bulletin"])

    @routes.get("")
    async def issues(before: date | None = None, limit: Annotated[int, Query(ge=1, le=60)] = 20) -> Response:
        """Issues, newest first."""
        page = await bulletin.issues(before, limit)
        return as_json({"data": [row_view(one) for one in page], "next": page[-1].day if len(page) == limit else None})

    @routes.get("/latest")
    async def latest() -> Response:
        """The newest issue: the talk and everything it lists, in both languages."""
        return as_json(issue_view(await bulletin.issue()))

    @routes.get("/feed.xml")
    async def atom() -> Response:
        """The newest issues as an Atom feed."""
        newest = await bulletin.issues(limit=FEED_ISSUES)
        return Response(feed(newest, city, url), media_type="application/atom+xml")

    @routes.get("/preview")
    async def preview(_: Operator) -> Response:
        """What an issue of today would say."""
        return as_json(issue_view(await bulletin.preview()))

    @routes.post("", status_code=201)
    async def publish(_: Operator) -> Response:
        """Publish the issue that is due; 409 before its day (B15)."""
        return as_json(issue_view(await bulletin.publish()), 201)

    @routes.get("/{day}")
    async def of_a_day(day: date) -> Response:
        return as_json(issue_view(await bulletin.issue(day)))

    return routes
