"""A stand-in for registrations and invitations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.requests import Request

from shanhe.console import model as m
from shanhe.console.ports import SignedIn
from shanhe.kernel.errors import Conflict, Invalid, NotFound

ASKED, WAITING, OPENED, DECLINED = UUID(int=81), UUID(int=82), UUID(int=83), UUID(int=85)
NOON = datetime(2026, 11, 20, 4, tzinfo=UTC)
FOLLOWING = f"open.2026-11-20T04:00:00+00:00.{OPENED}"
LOGIN = "liwei-04821"


class Arrivals:
    """See `ports_arrivals.ArrivalDesk`."""

    def __init__(self) -> None:
        self.session: Mapping[str, str] = {"double_session": "in"}
        self.mode = "on"
        self.done: list[tuple[str, object]] = []

    def notice(self) -> Mapping[str, Any]:
        return {"version": "1", "text": ("为您开立账户使用您填写的姓名。", "Your name is used to keep your account.")}

    async def register(self, request: Request, fields: Mapping[str, str]) -> tuple[str, SignedIn | None]:
        if fields.get("agreed") != "yes":
            raise Invalid("consent_needs_more", "Read the notice.", message_zh="请阅读告知内容并勾选同意。")
        self.done.append(("register", fields["id"]))
        return LOGIN, SignedIn("", self.session) if self.mode == "on" else None

    async def outcome(self, registration_id: UUID) -> tuple[str, str]:
        if registration_id not in (WAITING, OPENED, DECLINED):
            raise NotFound("unknown_registration", "There is none.", message_zh="没有该注册申请。")
        return {WAITING: ("waiting", ""), OPENED: ("open", "")}.get(registration_id, ("declined", "name"))

    async def own(self, who: m.Who) -> Mapping[str, str]:
        return {"login": LOGIN, "email": ""}

    async def registrations(self, who: m.Who, after: str) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        names = ((WAITING, "<b>李伟</b>", "waiting"), (OPENED, "王芳", "active"), (UUID(int=84), "赵六", "suspended"))
        rows = [{"id": one, "login": LOGIN, "name": name, "at": NOON, "state": state} for one, name, state in names]
        return (rows[2:], None) if after == FOLLOWING else (rows, FOLLOWING)

    async def decide(self, who: m.Who, registration_id: UUID, word: str, ground: str) -> None:
        if word == "decline" and registration_id == OPENED:
            raise Conflict("registration_open", "This account is open.", message_zh="该账户已开通。")
        if word == "decline" and not ground:
            raise Invalid("bad_ground", "Say why.", message_zh="请选择谢绝的理由。")
        self.done.append((word, registration_id))

    async def invitations(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [{"id": ASKED, "org": "<i>山河数据</i>", "role": "member", "until": NOON}]

    async def answer(self, who: m.Who, invitation_id: UUID, accepted: bool) -> None:
        if invitation_id != ASKED:
            raise Conflict("invitation_over", "It was answered.", message_zh="该邀请已处理。")
        self.done.append(("accept" if accepted else "decline", invitation_id))

    async def asked(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [{"id": ASKED, "called": "zhao@example.cn", "role": "member", "until": NOON}]

    async def withdraw(self, who: m.Who, invitation_id: UUID) -> None:
        self.done.append(("withdraw", invitation_id))
