"""Pictures in the playground: a prompt, what a model made of it, and the receipt beside it. Nothing of it is kept."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec
from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console import model_postings as mp
from shanhe.console.pages.base import Room
from shanhe.console.render import go
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.routing import APIRouter

PATH: Final = "/v1/images/generations"
SIZES: Final = ("auto", "1024x1024", "1536x1024", "1024x1536")
NUMBERS: Final = (1, 2, 4)
PROMPT_CHARS_MAX: Final = 4_000
ONCE_CHARS_MAX: Final = 64
REFUSED: Final = 400


class Picture(msgspec.Struct):
    url: str


class Answer(msgspec.Struct):
    data: list[Picture]


class PictureRoom(Room):
    """`/playground/pictures`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/playground/pictures", self.page, methods=["GET"])
        add("/playground/pictures", self.ask, methods=["POST"])
        return routes

    async def page(self, request: Request) -> Response:
        who = await self.allowed(request, "chat")
        models = [model for model in await self.desk.member.models() if model.kind == "image"]
        return self.show(request, "pictures.html", who, models=models, sizes=SIZES, numbers=NUMBERS, **_empty())

    async def ask(self, request: Request) -> Response:
        """Pictures of a prompt, in their place on the page. They are too large to be kept for a page of their own, so
        without a script none are made."""
        who, fields = await self.posted(request, "chat")
        if "hx-request" in request.headers:
            return await self._made(request, who, fields)
        return go("/playground/pictures")

    async def _made(self, request: Request, who: m.Who, fields: Mapping[str, str]) -> Response:
        """As this person's session. A form that is sent again gets the same ones: it has a name of its own."""
        number = fields.get("n", "")
        wanted = {
            "model": fields.get("model", ""), "prompt": fields.get("prompt", "")[:PROMPT_CHARS_MAX],
            "size": fields.get("size", SIZES[0]), "n": int(number) if number in map(str, NUMBERS) else 1,
            "response_format": "url",
        }  # fmt: skip
        status, parts = 502, list[bytes]()
        head: dict[str, str] = {}
        name = fields.get("once", "")[:ONCE_CHARS_MAX]
        async for code, headers, piece in self.desk.talk.stream(who, msgspec.json.encode(wanted), PATH, name):
            status, head = code or status, dict(headers) or head
            parts.append(piece)
        data, shown = b"".join(parts), _empty() | {"part": True, "prompt": wanted["prompt"]}
        if status >= REFUSED:  # with its own status the script would show nothing
            shown["mistake"] = self.view.refusal(request, data)
        else:
            shown["pictures"] = [one.url for one in msgspec.json.decode(data, type=Answer).data]
            shown["receipt"] = await self._receipt(who, head.get("x-shanhe-receipt", ""))
        return self.show(request, "parts/pictures.html", who, **shown)

    async def _receipt(self, who: m.Who, receipt_id: str) -> mp.Receipt | None:
        try:
            return await self.desk.member.receipt(who, UUID(receipt_id))
        except (ShanheError, ValueError):
            return None


def _empty() -> dict[str, Any]:
    """What the page shows before anything was asked, and the name of the form that asks."""
    return {"pictures": (), "receipt": None, "part": False, "prompt": "", "once": secrets.token_hex(16)}
