"""A person's organisations, their members and the person's password, from identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of
from shanhe.identity.api import OrgKind, Role
from shanhe.kernel.errors import NotFound
from shanhe.kernel.notify import Notice, Text

ROLES = (Role.MEMBER, Role.OWNER)


class LiveHouse:
    """See `ports_house.HouseDesk`."""

    def __init__(self, modules: Modules) -> None:
        self._identity = modules.identity
        self._notifier = modules.notifier

    async def places(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [
            {"id": org.id, "name": org.name, "role": str(role), "current": org.id == who.org_id,
             "personal": org.kind is OrgKind.PERSON}
            for org, role in await self._identity.orgs.of_person(who.person_id)
        ]  # fmt: skip

    async def switch(self, who: m.Who, org_id: UUID) -> None:
        await self._identity.sessions.switch(actor_of(who), org_id)

    async def personal(self, who: m.Who) -> None:
        actor = actor_of(who)
        own = await self._identity.orgs.create_personal(who.person_id, by=actor)
        await self._identity.sessions.switch(actor, own.id)

    async def has_password(self, who: m.Who) -> bool:
        return await self._identity.passwords.has(who.person_id)

    async def password(self, who: m.Who, current: str, new: str) -> None:
        actor = actor_of(who)
        await self._identity.signin.confirm(who.person_id, current)
        await self._identity.passwords.set(who.person_id, new, by=actor, keep_session=actor.session_id)

    async def members(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        found = await self._identity.orgs.members(who.org_id)
        rows = [
            {"id": one.person_id, "name": one.name, "role": str(one.role), "self": one.person_id == who.person_id}
            for one in found
        ]
        return sorted(rows, key=lambda row: (row["role"] != Role.OWNER, row["name"]))

    async def put(self, who: m.Who, login: str, role: str) -> None:
        identity = self._identity
        bucket = [identity.attempts.bucket("member", str(who.person_id))]  # names can't be tried one after the other
        await identity.attempts.begin(bucket)
        person = await identity.people.by_name(login)
        if person is None:
            raise NotFound(
                "unknown_person", "Nobody signs in with this name.", message_zh="没有以此登录名或邮箱登录的人员。",
                hint="Check it with them; who has no account yet gets one from the city's operators.",
                hint_zh="请与本人核对；尚无账户的，请先由城市运营方开通。",
            )  # fmt: skip
        await identity.attempts.succeeded(bucket)
        wanted = Role(role) if role in tuple(ROLES) else Role.MEMBER
        await identity.orgs.set_member(who.org_id, person, wanted, by=actor_of(who))
        if person != who.person_id:
            await self._tell(who, person)

    async def _tell(self, who: m.Who, person: UUID) -> None:
        await self._notifier.notify(
            Notice(
                kind="identity.member",
                title=Text(f"您已成为“{who.org_name}”的成员", f"You are a member of {who.org_name}"),
                body=Text(
                    "可在设置中切换所代表的机构；如有疑问，请联系该机构负责人。",
                    "Choose in your settings for whom you act; if this is a mistake, ask its owner.",
                ),
                person_id=person,
                link="/settings#organisations",
                dedupe=f"member:{who.org_id}:{person}",
            )
        )

    async def remove(self, who: m.Who, person_id: UUID) -> None:
        await self._identity.orgs.remove_member(who.org_id, person_id, by=actor_of(who))
