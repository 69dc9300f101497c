"""What anybody may read: rules, prices, the city's status, and the billing policy. And the static files."""

from __future__ import annotations

import gzip
from datetime import date
from functools import lru_cache
from importlib.resources import files

from fastapi import Request
from starlette.responses import Response

from shanhe.console.model_rules import RuleRow
from shanhe.console.pages.base import Room, day_in
from shanhe.console.render import View
from shanhe.kernel.clock import SystemClock
from shanhe.kernel.errors import NotFound, ShanheError, TooMany, Unavailable
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter

TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".json": "application/json"}
FACT_CHARS_MAX = 200
PACKED_MAX = 32
FIND_CHARS_MAX = 80
CHAPTERS = "RPCNITFBHS"
"""The chapters of the catalogue in its order; their titles are words of the pages."""


class PublicRoom(Room):
    """`/rules`, `/rules/{id}`, `/models`, `/status`, `/policy`, `/static/…`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/rules", self.rules, methods=["GET"])
        add("/rules/values", self.values, methods=["GET"])
        add("/rules/{rule_id}", self.rule, methods=["GET"])
        add("/models", self.models, methods=["GET"])
        add("/status", self.status, methods=["GET"])
        add("/policy", self.policy, methods=["GET"])
        add("/static/{path:path}", static, methods=["GET"])
        return routes

    async def rules(self, request: Request) -> Response:
        who = await self.desk.gate.who(request)
        find = request.query_params.get("q", "").strip()[:FIND_CHARS_MAX]
        chapters: dict[str, list[RuleRow]] = {letter: [] for letter in CHAPTERS}
        for row in await self.desk.rules.list():
            texts = (row.id, *row.title, row.article, *row.department)
            if all(any(word in text.casefold() for text in texts) for word in find.casefold().split()):
                chapters.setdefault(row.id[0], []).append(row)
        return self.show(request, "rules.html", who, chapters=chapters, find=find)

    async def values(self, request: Request) -> Response:
        """Every value of the rulebook on a day, and what comes next."""
        who = await self.desk.gate.who(request)
        query = request.query_params
        find, coming = query.get("q", "").strip()[:FIND_CHARS_MAX], query.get("coming") == "yes"
        on = day_in(query, "on") or SystemClock().today()
        rows = await self.desk.rules.values(find, on, coming=coming)
        return self.show(request, "values.html", who, rows=rows, find=find, on=on, coming=coming)

    async def rule(self, request: Request, rule_id: str) -> Response:
        """A rule with all its dated values; with `?on=…&fact_…=…` also what it would decide."""
        who = await self.desk.gate.who(request)
        page = await self.desk.rules.page(rule_id)
        query = request.query_params
        facts = {
            name[5:]: value[:FACT_CHARS_MAX] for name, value in query.items() if name.startswith("fact_") and value
        }
        decision, mistake = None, ""
        on = query.get("on") or str(SystemClock().today())
        known = query.get("known", "")
        if "on" in query:
            try:
                told = date.fromisoformat(known) if known else None
                decision = await self.desk.rules.evaluate(rule_id, facts, date.fromisoformat(on), told)
            except (ShanheError, ValueError) as error:
                mistake = self.view.mistake(request, error)
        numbers = {one.id: str(new_id()) for one in page.unfit}
        return self.show(
            request, "rule.html", who, rule=page, facts=facts, on=on, known=known, decision=decision, mistake=mistake,
            numbers=numbers,
        )  # fmt: skip

    async def models(self, request: Request) -> Response:
        who = await self.desk.gate.who(request)
        operator = who is not None and who.may("models")
        cards = await self.desk.city.cards(who) if who is not None and operator else ()
        if request.headers.get("hx-target") == "cards":
            return self.show(request, "parts/cards.html", who, cards=cards)
        models = await self.desk.member.models()
        return self.show(request, "models.html", who, models=models, cards=cards, operator=operator)

    async def status(self, request: Request) -> Response:
        who = await self.desk.gate.who(request)
        template = "parts/status.html" if "hx-request" in request.headers else "status.html"
        return self.show(request, template, who, status_now=await self.desk.city.status())

    async def policy(self, request: Request) -> Response:
        return self.show(request, "policy.html", await self.desk.gate.who(request))


async def static(path: str, request: Request) -> Response:
    """A file of ours by its name, packed; addresses carry a mark of the content, so browsers keep it for good."""
    root = files("shanhe.console") / "static"
    parts = path.split("/")
    if not 0 < len(parts) <= 2 or any(not part or part.startswith(".") or "\\" in part for part in parts):
        raise NotFound("not_found", "There is no such file.", message_zh="没有此文件。")
    item = root.joinpath(*parts)
    if not item.is_file() or path[path.rfind(".") :] not in TYPES:
        raise NotFound("not_found", "There is no such file.", message_zh="没有此文件。")
    data = item.read_bytes()
    headers = {"cache-control": "public, max-age=31536000, immutable", "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        data = _packed(data)
        headers["content-encoding"] = "gzip"
    return Response(data, media_type=TYPES[path[path.rfind(".") :]], headers=headers)


@lru_cache(maxsize=PACKED_MAX)
def _packed(data: bytes) -> bytes:
    """A file of ours as a phone on a slow network takes it: a third. Pages are not, for they hold what is secret."""
    return gzip.compress(data, mtime=0)


async def error_page(view: View, request: Request, error: ShanheError) -> Response:
    """Any error as a page that says what happened and what to do next."""
    # When we are the trouble, asking who is there may fail the same way: then the page does without.
    who = await view.desk.gate.who(request) if error.status < 500 else None
    problem = view.told(request, error)
    response = view.page(request, "error.html", who, status=error.status, error=error, problem=problem)
    if isinstance(error, TooMany | Unavailable):
        response.headers["retry-after"] = str(error.retry_after_s)
    return response
