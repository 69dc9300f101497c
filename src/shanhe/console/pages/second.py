"""What waits for a second person, whichever module asked, and what was decided; auditors read it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.model import Who
from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.http import language
from shanhe.kernel.routing import APIRouter

REASON_CHARS_MAX = 200
DONE = {"approve": "second_done", "reject": "decided", "withdraw": "withdrawn", "again": "done_again"}
AFTER = {"approved": "second.waits_after", "refused": "second.refused_after"}
"""What is said before the reason why it was not done although two people agreed."""


class SecondRoom(Room):
    """`/city/second`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/city/second", self.waiting, methods=["GET"])
        add("/city/second/{request_id}", self.decide, methods=["POST"])
        return routes

    async def waiting(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        return self.show(request, "second.html", who, **await self._page(request, who))

    async def _page(self, request: Request, who: Who) -> dict[str, Any]:
        try:
            before = UUID(request.query_params.get("before", ""))
        except ValueError:
            before = None
        decided, following = await self.desk.second.decided(who, before)
        waiting = await self.desk.second.waiting(who) if before is None else ()
        undone = await self.desk.second.undone(who) if before is None else ()
        return {"rows": waiting, "undone": undone, "decided": decided, "before": before, "following": following}

    async def decide(self, request: Request, request_id: UUID) -> Response:
        """For whoever reads the page, which a refusal shows again, and decides something; what, the desk knows."""
        who, fields = await self.posted(request, "ledger")
        await self.allowed(request, *self.desk.second.rights())
        reason, do = fields.get("reason", "")[:REASON_CHARS_MAX], fields.get("do", "")
        try:
            if do not in DONE:
                raise ValueError(do)
            await self.desk.second.decide(who, request_id, do, reason)
        except (ShanheError, ValueError) as error:
            mistake = self.view.mistake(request, error)
            if isinstance(error, ShanheError) and (word := AFTER.get(error.details.get("request_state", ""))):
                mistake = self.view.words.text(word, language(request), {"why": mistake})
            page = await self._page(request, who)
            return self.again(request, "second.html", who, error, mistake=mistake, **page)
        return go("/city/second", DONE[do])
