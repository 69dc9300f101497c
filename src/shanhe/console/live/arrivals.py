"""Registrations and invitations, from identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from starlette.requests import Request

from shanhe.console import model as m
from shanhe.console.live.gate import step
from shanhe.console.live.modules import actor_of
from shanhe.console.ports import SignedIn
from shanhe.identity.api import (
    DeclineGround,
    Identity,
    Invitation,
    NewRegistration,
    PermissionMissing,
    Registration,
    RegistrationState,
    client_of,
    place_of,
)
from shanhe.kernel.errors import Invalid
from shanhe.kernel.http import language

SHOWN_MAX = 100


class LiveArrivals:
    """See `ports_arrivals.ArrivalDesk`."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self.mode = str(identity.registrations.mode)

    def notice(self) -> Mapping[str, Any]:
        found = self._identity.registrations.notice()
        return {"version": found.version, "text": (found.notice_zh, found.notice_en)}

    async def register(self, request: Request, fields: Mapping[str, str]) -> tuple[str, SignedIn | None]:
        try:
            form = UUID(fields.get("id", ""))
        except ValueError:
            raise Invalid("bad_form", "Open the page again.", message_zh="请重新打开本页。") from None
        client = client_of(request)
        new = NewRegistration(
            form, fields.get("name", ""), fields.get("login", ""), fields.get("password", ""),
            fields.get("notice", ""), fields.get("agreed") == "yes", language(request),
        )  # fmt: skip
        made = await self._identity.registrations.register(new, client)
        if made.state is RegistrationState.WAITING:
            return made.login, None
        return made.login, step(await self._identity.signin.proved(made.person_id, "password", client))

    async def outcome(self, registration_id: UUID) -> tuple[str, str]:
        registrations = self._identity.registrations
        return str(await registrations.outcome(registration_id)), str(await registrations.ground(registration_id) or "")

    async def own(self, who: m.Who) -> Mapping[str, str]:
        person = await self._identity.people.get(who.person_id)
        return {"login": person.login or "", "email": person.email or ""}

    async def registrations(self, who: m.Who, after: str) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        found = await self._identity.registrations.list(after=after or None, limit=SHOWN_MAX)
        await self._identity.record(actor_of(who), "registration.list", "registrations", {"count": len(found)})
        return [_row(one) for one in found], place_of(found[-1]) if len(found) == SHOWN_MAX else None

    async def decide(self, who: m.Who, registration_id: UUID, word: str, ground: str) -> None:
        identity, by = self._identity, actor_of(who)
        if word == "approve":
            await identity.registrations.approve(registration_id, by=by)
        elif word == "decline":
            if ground not in list(DeclineGround):
                raise Invalid("bad_ground", "Say why.", message_zh="请选择谢绝的理由。")
            await identity.registrations.decline(registration_id, DeclineGround(ground), by=by)
        else:
            person = await identity.people.get((await identity.registrations.get(registration_id)).person_id)
            if person.city_roles and "roles" not in by.permissions:
                raise PermissionMissing("roles")
            await (identity.people.suspend if word == "suspend" else identity.people.resume)(person.id, by=by)

    async def invitations(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [
            _asked(one) | {"org": one.org_name} for one in await self._identity.invitations.of_person(who.person_id)
        ]

    async def answer(self, who: m.Who, invitation_id: UUID, accepted: bool) -> None:
        asked = self._identity.invitations
        await (asked.accept if accepted else asked.decline)(invitation_id, who.person_id, by=actor_of(who))

    async def asked(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [_asked(one) | {"called": one.called} for one in await self._identity.invitations.of_org(who.org_id)]

    async def withdraw(self, who: m.Who, invitation_id: UUID) -> None:
        await self._identity.invitations.withdraw(invitation_id, who.org_id, by=actor_of(who))


def _row(one: Registration) -> Mapping[str, Any]:
    state = str(one.state) if one.state is RegistrationState.WAITING else str(one.person_state)
    return {"id": one.id, "login": one.login, "name": one.name, "at": one.created_at, "state": state}


def _asked(one: Invitation) -> dict[str, Any]:
    return {"id": one.id, "role": str(one.role), "until": one.expires_at}
