"""What waits for a second person, whichever module asked, and what was decided; auditors read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console.model import Who
from shanhe.console.model_city import Wanted
from shanhe.console.pages.base import Room, uuid_in
from shanhe.console.render import go
from shanhe.kernel.errors import Conflict, Invalid, ShanheError
from shanhe.kernel.http import language
from shanhe.kernel.routing import APIRouter

REASON_CHARS_MAX = 200
FIND_CHARS_MAX = 100
CHOSEN_MAX = 50
"""Requests that are decided one after the other by one form."""
DONE = {"approve": "second_done", "reject": "decided", "withdraw": "withdrawn", "again": "done_again"}
AFTER = {"approved": "second.waits_after", "refused": "second.refused_after"}
"""What is said before the reason why it was not done although two people agreed."""
MANY = {"approve": "second.agree_ask", "reject": "second.refuse_ask"}
"""What may be decided of several at once, and what is said before it is."""


class SecondRoom(Room):
    """`/city/second`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/city/second", self.waiting, methods=["GET"])
        add("/city/second/chosen", self.look, methods=["GET"])
        add("/city/second/chosen", self.decide_many, methods=["POST"])
        add("/city/second/{request_id}", self.decide, methods=["POST"])
        return routes

    async def waiting(self, request: Request) -> Response:
        who = await self.allowed(request, "ledger")
        page = await self._page(request, who) | {"outcome": await self.answer_of(request, who)}
        return self.show(request, "second.html", who, **page)

    async def _page(self, request: Request, who: Who) -> dict[str, Any]:
        query, desk = request.query_params, self.desk.second
        find, kind = query.get("find", "").strip()[:FIND_CHARS_MAX], query.get("kind", "")
        wanted = Wanted(find, kind if kind in desk.kinds() else "", uuid_in(query, "past"), uuid_in(query, "before"))
        queue, beyond = await desk.waiting(who, wanted) if wanted.before is None else ((), None)
        decided, following = await desk.decided(who, wanted) if wanted.past is None else ((), None)
        first = wanted.before is None and wanted.past is None
        undone = await desk.undone(who) if first and not (find or wanted.kind) else ()
        return {
            "rows": queue, "beyond": beyond, "undone": undone, "decided": decided, "following": following,
            "outcome": None, "wanted": wanted, "kinds": desk.kinds(), "all": query.get("all") == "1",
            "same": urlencode({name: text for name, text in (("find", find), ("kind", wanted.kind)) if text}),
        }  # fmt: skip

    async def look(self, request: Request) -> Response:
        """What was chosen, with its sums, before any of it is decided."""
        who = await self.allowed(request, *self.desk.second.rights())
        query = request.query_params
        chosen = await self._chosen(who, query.getlist("pick"), query.get("do", ""))
        return self.show(request, "second_chosen.html", who, **chosen)

    async def _chosen(self, who: Who, numbers: Sequence[str], do: str) -> dict[str, Any]:
        rows = [one for one in await self.desk.second.chosen(who, _numbers(numbers)) if open_to(one)]
        sums: Counter[str] = Counter()
        for one in rows:
            if one["amount"] is not None:
                sums[one["asset"]] += one["amount"]
        do = do if do in MANY else "approve"
        return {"rows": rows, "sums": sums, "do": do, "ask": MANY[do]}

    async def decide_many(self, request: Request) -> Response:
        """Each by itself, as if it were the only one; what became of each is said afterwards."""
        who, fields = await self.posted(request, *self.desk.second.rights())
        picked, do = fields.get("pick", "").split(), fields.get("do", "")
        reason = fields.get("reason", "")[:REASON_CHARS_MAX]
        try:
            if do not in MANY or (do == "reject" and not reason):
                raise Invalid("bad_request", "Say why.", message_zh="请写明理由。")
        except Invalid as error:
            return self.again(request, "second_chosen.html", who, error, **await self._chosen(who, picked, do))
        rows = await self.desk.second.chosen(who, _numbers(picked))
        done, failed = 0, []
        for row in rows:
            try:
                if not open_to(row):
                    raise Conflict("decided_already", "It no longer waits for you.", message_zh="该事项已不待您审批。")
                await self.desk.second.decide(who, row["id"], do, reason)
                done += 1
            except ShanheError as error:
                failed.append({"kind": row["kind"], "subject": row["subject"], "why": self._why(request, error)})
        said = {"do": do, "done": done, "failed": failed}
        return await self.answered(request, who, "/city/second", said)

    def _why(self, request: Request, error: Exception) -> str:
        mistake = self.view.mistake(request, error)
        if isinstance(error, ShanheError) and (word := AFTER.get(error.details.get("request_state", ""))):
            return self.view.words.text(word, language(request), {"why": mistake})
        return mistake

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
            page = await self._page(request, who)
            return self.again(request, "second.html", who, error, mistake=self._why(request, error), **page)
        return go("/city/second", DONE[do])


def open_to(row: Mapping[str, Any]) -> bool:
    """Whether this person may decide it as the second one."""
    return bool(row["state"] == "open" and row["may"] and not row["mine"] and not row["late"])


def _numbers(texts: Sequence[str]) -> Sequence[UUID]:
    """Each once, in their order; what is no number is left out."""
    found: dict[UUID, None] = {}
    for text in texts[:CHOSEN_MAX]:
        with suppress(ValueError):
            found[UUID(text)] = None
    return list(found)
