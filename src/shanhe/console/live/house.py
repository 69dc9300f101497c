"""A person's organisations, their members and the person's password, from identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of
from shanhe.identity.api import Actor, Fate, Identity, LeftKind, OrgKind, Role, Settled
from shanhe.kernel.errors import Invalid, NotFound
from shanhe.kernel.ids import new_id

ROLES = (Role.MEMBER, Role.OWNER)


class LiveHouse:
    """See `ports_house.HouseDesk`."""

    def __init__(self, modules: Modules) -> None:
        self._identity = modules.identity
        self._leavings = modules.leavings

    async def places(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [
            {"id": org.id, "name": org.name, "role": str(role), "current": org.id == who.org_id,
             "personal": org.kind is OrgKind.PERSON}
            for org, role in await self._identity.orgs.of_person(who.person_id)
        ]  # fmt: skip

    async def switch(self, who: m.Who, org_id: UUID) -> None:
        await self._identity.sessions.switch(actor_of(who), org_id)

    async def leave(self, who: m.Who, org_id: UUID) -> None:
        actor = actor_of(who)
        await self._identity.orgs.leave(org_id, who.person_id, by=actor)
        left = [org for org, _ in await self._identity.orgs.of_person(who.person_id)]
        if org_id == who.org_id and left:
            first = next((org for org in left if org.kind is OrgKind.PERSON), left[0])
            await self._identity.sessions.switch(actor, first.id)

    async def personal(self, who: m.Who) -> None:
        actor = actor_of(who)
        own = await self._identity.orgs.create_personal(who.person_id, by=actor)
        await self._identity.sessions.switch(actor, own.id)

    async def has_password(self, who: m.Who) -> bool:
        return await self._identity.passwords.has(who.person_id)

    async def password(self, who: m.Who, current: str, new: str) -> None:
        actor = actor_of(who)
        await self._identity.signin.confirm(who.person_id, current, actor.session_id)
        await self._identity.passwords.set(who.person_id, new, by=actor, keep_session=actor.session_id)

    async def members(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        found = await self._identity.orgs.members(who.org_id)
        leavers = await self._leavings.leavers(who.org_id)
        rows = [
            {"id": one.person_id, "name": one.name, "role": str(one.role), "self": one.person_id == who.person_id,
             "leaves": one.person_id in leavers}
            for one in found
        ]  # fmt: skip
        return sorted(rows, key=lambda row: (row["role"] != Role.OWNER, row["name"]))

    async def put(self, who: m.Who, login: str, role: str) -> bool:
        identity, by = self._identity, actor_of(who)
        if (await identity.orgs.get(who.org_id)).kind is OrgKind.PERSON:
            raise Invalid("one_person", "Nobody else acts for a person's own account.",
                          message_zh="个人账户只有本人一名成员。")  # fmt: skip
        person = await called(identity, login, by)
        wanted = Role(role) if role in tuple(ROLES) else Role.MEMBER
        if await identity.orgs.is_member(who.org_id, person):
            await identity.orgs.set_member(who.org_id, person, wanted, by=by)
            return False
        await identity.invitations.invite(new_id(), who.org_id, person, wanted, called=login, by=by)
        return True

    async def left(self, who: m.Who, person_id: UUID | None = None) -> Sequence[Mapping[str, Any]]:
        return [
            {"kind": str(one.kind), "id": one.id, "name": one.name, "made_at": one.made_at}
            for one in await self._leavings.of(who.org_id, person_id)
        ]

    async def remove(self, who: m.Who, person_id: UUID, fate: str, grace_s: int) -> Sequence[Mapping[str, Any]]:
        said = Fate(fate) if fate in tuple(Fate) else None
        done = await self._leavings.remove(who.org_id, person_id, said, grace_s=grace_s, by=actor_of(who))
        return [_settled(one) for one in done]

    async def settle(self, who: m.Who, kind: str, left_id: UUID, fate: str, grace_s: int) -> Mapping[str, Any]:
        said = Fate(fate) if fate in tuple(Fate) else Fate.LATER
        return _settled(
            await self._leavings.settle(who.org_id, LeftKind(kind), left_id, said, grace_s=grace_s, by=actor_of(who))
        )


def _settled(done: Settled) -> Mapping[str, Any]:
    return {"kind": str(done.left.kind), "name": done.left.name, "fate": str(done.fate), "secret": done.secret,
            "problem": done.problem}  # fmt: skip


async def called(identity: Identity, login: str, by: Actor) -> UUID:
    """Who signs in with this name; NotFound. So many tries a day, or names could be tried one by one."""
    await identity.attempts.begin([identity.attempts.bucket("member", by.ref)])
    person = await identity.people.by_name(login)
    if person is None:
        raise NotFound(
            "unknown_person", "Nobody signs in with this name.", message_zh="没有以此登录名或邮箱登录的人员。",
            hint="Check it with them; who has no account yet opens one on the page to register.",
            hint_zh="请与本人核对；尚无账户的，可先自行注册。",
        )  # fmt: skip
    return person
