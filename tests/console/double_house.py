"""A stand-in for a person's organisations, their members and the password."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.identity.api import LeavesBehind
from shanhe.kernel.errors import Conflict, NotFound, Unauthorized

OTHER = UUID(int=77)
COLLEAGUE = UUID(int=78)
MAKER = UUID(int=79)


class House:
    """See `ports_house.HouseDesk`."""

    def __init__(self) -> None:
        self.done: list[tuple[str, object]] = []
        self.own = True
        self.alone = False

    async def places(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [
            {"id": who.org_id, "name": who.org_name, "role": "owner", "current": True, "personal": self.alone},
            {"id": OTHER, "name": "陈思远", "role": "owner", "current": False, "personal": self.own},
        ]

    async def switch(self, who: m.Who, org_id: UUID) -> None:
        self.done.append(("switch", org_id))

    async def leave(self, who: m.Who, org_id: UUID) -> None:
        if org_id == OTHER:
            raise Conflict("last_one", "This is the last owner.", message_zh="这是最后一个负责人，请先指定另一个。")
        self.done.append(("leave", org_id))

    async def personal(self, who: m.Who) -> None:
        self.done.append(("personal", who.person_id))

    async def has_password(self, who: m.Who) -> bool:
        return True

    async def password(self, who: m.Who, current: str, new: str) -> None:
        if current != "right":
            raise Unauthorized("sign_in_failed", "Wrong password.", message_zh="密码不正确。")
        self.done.append(("password", new))

    async def members(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [
            {"id": who.person_id, "name": who.name, "role": "owner", "self": True, "leaves": True},
            {"id": COLLEAGUE, "name": "<b>李明</b>", "role": "member", "self": False, "leaves": False},
            {"id": MAKER, "name": "赵云", "role": "member", "self": False, "leaves": True},
        ]

    async def put(self, who: m.Who, login: str, role: str) -> bool:
        if login == "nobody":
            raise NotFound("unknown_person", "Nobody signs in with this name.", message_zh="没有以此登录名登录的人员。")
        self.done.append(("put", (login, role)))
        return True

    async def left(self, who: m.Who, person_id: UUID | None = None) -> Sequence[Mapping[str, Any]]:
        if person_id == COLLEAGUE:
            return []
        made_at = datetime(2026, 11, 1, tzinfo=UTC)
        return [{"kind": kind, "id": UUID(int=n), "name": f"<i>{kind}</i>", "made_at": made_at}
                for n, kind in enumerate(("key", "webhook", "hook", "schedule"))]  # fmt: skip

    async def remove(self, who: m.Who, person_id: UUID, fate: str, grace_s: int) -> Sequence[Mapping[str, Any]]:
        if person_id == MAKER and not fate:
            raise LeavesBehind(4)
        self.done.append(("remove", person_id if not fate else (person_id, fate, grace_s)))
        return [await self.settle(who, "key", person_id, fate, grace_s)] if fate else []

    async def settle(self, who: m.Who, kind: str, left_id: UUID, fate: str, grace_s: int) -> Mapping[str, Any]:
        self.done.append(("settle", (kind, left_id, fate, grace_s)))
        return {"kind": kind, "name": "<i>ci</i>", "fate": fate, "secret": "sk-sh-new" if fate == "take" else "",
                "problem": ""}  # fmt: skip
