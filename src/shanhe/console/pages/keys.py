"""API keys: made, shown once, rotated, revoked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from shanhe.console import model as m
from shanhe.console.pages.base import Room, optional_int, uuid_in
from shanhe.console.render import go
from shanhe.kernel.clock import CITY_TZ
from shanhe.kernel.errors import ShanheError, Unreadable
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import parse_credits
from shanhe.kernel.routing import APIRouter

NAME_CHARS_MAX = 60
MODEL_EXAMPLE = "qwen2.5-coder-0.5b-instruct"


class KeysRoom(Room):
    """`/keys`, `/keys/new`, `/keys/{id}/rotate`, `/keys/{id}/revoke`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/keys", self.list, methods=["GET"])
        add("/keys", self.create, methods=["POST"])
        add("/keys/new", self.new, methods=["GET"])
        add("/keys/{key_id}/rotate", self.rotate, methods=["POST"])
        add("/keys/{key_id}/revoke", self.revoke, methods=["POST"])
        return routes

    async def list(self, request: Request) -> Response:
        who = await self.allowed(request, "keys")
        made = await self.left(request, who, "secret", "name")
        shown: dict[str, Any] = {"secret": made.get("secret", ""), "secret_name": made.get("name", "")}
        base = str(request.base_url).rstrip("/")
        chat = [one.id for one in await self.desk.member.models() if one.kind == "chat"]
        before = uuid_in(request.query_params, "before")
        keys = await self.desk.member.keys(who, before)
        shown |= {"keys": keys.rows, "before": before, "following": keys.following}
        shown |= {"base": base, "model": chat[0] if chat else MODEL_EXAMPLE}
        return self.handed(request, self.show(request, "keys.html", who, **shown))

    async def new(self, request: Request) -> Response:
        who = await self.allowed(request, "keys")
        models = await self.desk.member.models()
        return self.show(request, "key_new.html", who, models=models, fields={}, form_id=new_id())

    async def create(self, request: Request) -> Response:
        who, fields = await self.posted(request, "keys")
        try:
            key, secret = await self.desk.member.key_create(who, wanted(fields))
        except (ShanheError, ValueError) as error:
            models = await self.desk.member.models()
            return self.again(request, "key_new.html", who, error, models=models, fields=fields,
                              form_id=fields.get("id") or new_id())  # fmt: skip
        return await self.hand(request, who, "/keys", secret=secret, name=key.name)

    async def rotate(self, request: Request, key_id: UUID) -> Response:
        who, _ = await self.posted(request, "keys")
        key, secret = await self.desk.member.key_rotate(who, key_id)
        return await self.hand(request, who, "/keys", secret=secret, name=key.name)

    async def revoke(self, request: Request, key_id: UUID) -> Response:
        who, _ = await self.posted(request, "keys")
        await self.desk.member.key_revoke(who, key_id)
        return go("/keys", "key_revoked")


def wanted(fields: Mapping[str, str]) -> m.NewKey:
    """A key as the form describes it; `Unreadable` for what cannot be read."""
    name = fields.get("name", "")
    if not 0 < len(name) <= NAME_CHARS_MAX:
        raise Unreadable(
            f"请填写密钥名称，最多 {NAME_CHARS_MAX} 个字符。",
            f"A key needs a name of at most {NAME_CHARS_MAX} characters",
        )
    models = tuple(fields["models"].split("\n")) if fields.get("models") else None
    return m.NewKey(
        name=name,
        models=models,
        budget_day_micro=_credits(fields, "budget_day"),
        budget_month_micro=_credits(fields, "budget_month"),
        rpm=optional_int(fields, "rpm"),
        tpm=optional_int(fields, "tpm"),
        expires_at=_end(fields.get("expires", "")),
        id=UUID(fields["id"]) if fields.get("id") else None,
    )


def _end(day: str) -> datetime | None:
    """The last second of a form's day; None for none."""
    if not day:
        return None
    try:
        return datetime.combine(date.fromisoformat(day), time(23, 59, 59), CITY_TZ)
    except ValueError:
        raise Unreadable("到期日应写作 2027-01-31。", "Write the last day like 2027-01-31") from None


def _credits(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    if not text:
        return None
    micro = parse_credits(text)
    if micro <= 0:
        raise Unreadable("预算应大于 0；不设上限请留空。", "A budget is above zero; leave it empty for none")
    return micro
