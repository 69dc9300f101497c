"""Signing in through identity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from shanhe.approvals.api import BreakGlass
from shanhe.console import model as m
from shanhe.console.live.modules import actor_of
from shanhe.console.ports import SignedIn
from shanhe.identity.api import (
    Actor,
    Ceremony,
    Identity,
    Issued,
    Role,
    SecondFactorNeeded,
    SessionMissing,
    Stage,
    acts_for_city,
    client_of,
    seat,
    session_token,
    unseat,
)
from shanhe.kernel.clock import city_date
from shanhe.kernel.errors import Invalid
from shanhe.kernel.notify import Notifier

NEEDS = {Stage.FULL: "", Stage.SECOND_FACTOR: "second_factor", Stage.ENROL: "enrolment"}
UNREAD_LOOKED_AT = 50
NOBODY = UUID(int=0)
OPERATORS_READ = frozenset({"accounts", "engines", "ledger"})


class LiveGate:
    """See `ports.Gate`."""

    def __init__(
        self, identity: Identity, notifier: Notifier, glass: BreakGlass,
        departments: Callable[[UUID], Awaitable[frozenset[str]]], unfit: Callable[[], Sequence[m.UnfitRow]],
    ) -> None:  # fmt: skip
        self._glass = glass
        self._identity = identity
        self._notifier = notifier
        self._departments = departments
        self._unfit = unfit
        self.oidc = identity.oidc is not None

    async def who(self, request: Request) -> m.Who | None:
        token = session_token(request)
        if token is None:
            return None
        try:
            found = await self._identity.sessions.actor(token)
            who = await self._full(found)
            acts_for_city(request, found, self._identity.now(), sworn=who.reviews)
            return who
        except SessionMissing:
            return None
        except SecondFactorNeeded:
            return await self._enrolling(token)

    async def _full(self, actor: Actor) -> m.Who:
        if actor.person_id is None:
            raise SessionMissing()
        org = await self._identity.orgs.get(actor.org_id) if actor.org_id else None
        orgs = [actor.org_id] if actor.org_id else []
        operator = bool(actor.permissions & OPERATORS_READ)
        notices = await self._notifier.inbox(actor.person_id, orgs, operator=operator, limit=UNREAD_LOOKED_AT)
        alarms = await self._glass.in_force() if operator else ()
        return m.Who(
            person_id=actor.person_id,
            org_id=actor.org_id or NOBODY,
            name=actor.name,
            org_name=org.name if org else self._identity.options.city_name,
            roles=frozenset(map(str, actor.roles)),
            permissions=actor.permissions,
            csrf=actor.csrf,
            session_id=str(actor.session_id),
            unread=sum(not notice.read for notice in notices),
            alarms=[
                {"id": one.id, "class": one.kind, "until": one.expires_at, "mine": one.person_id == actor.person_id}
                for one in alarms
            ],
            unfit=self._unfit() if operator else (),
            frozen_on=city_date(org.frozen_at) if org and org.frozen_at else None,
            reviews=bool(await self._departments(actor.person_id)),
            actor=actor,
        )

    async def _enrolling(self, token: str) -> m.Who | None:
        """Someone whose sign-in waits for setting up a second factor: may do that and nothing else."""
        row = await self._identity.sessions.row(token)
        if row["stage"] != Stage.ENROL:
            return None
        try:
            await self._identity.signin.still_enrols(row["person_id"])
        except SessionMissing:
            return None
        csrf = self._identity.sessions.csrf(row["id"])
        nothing: frozenset[str] = frozenset()
        city = self._identity.options.city_name
        return m.Who(row["person_id"], NOBODY, "", city, nothing, nothing, csrf, str(row["id"]), second_factor=False)

    async def unmanned(self) -> bool:
        return not await self._identity.people.holders(Role.ADMIN)

    async def waiting(self, request: Request) -> str:
        token = session_token(request)
        if token is None:
            return ""
        try:
            row = await self._identity.sessions.row(token)
        except SessionMissing:
            return ""
        return NEEDS[Stage(row["stage"])]

    def seat(self, response: Response, result: SignedIn, *, secure: bool) -> None:
        if isinstance(result.issued, Issued):
            seat(response, self._identity, result.issued)

    async def password(self, request: Request, login: str, password: str) -> SignedIn:
        return step(await self._identity.sign_in(login, password, client_of(request)))

    async def code(self, request: Request, code: str) -> SignedIn:
        return step(await self._identity.signin.code(_token(request), code, client_of(request)))

    async def passkey_options(self, request: Request) -> Mapping[str, Any]:
        return _options(await self._identity.signin.passkey_options(await self._second(request), client_of(request)))

    async def passkey(self, request: Request, answer: Mapping[str, Any]) -> SignedIn:
        ceremony, credential = _answer(answer)
        token = await self._second(request)
        return step(await self._identity.signin.passkey(ceremony, credential, client_of(request), token=token))

    async def _second(self, request: Request) -> str | None:
        return _token(request) if await self.waiting(request) == "second_factor" else None

    async def sign_out(self, request: Request, response: Response) -> None:
        token = session_token(request)
        if token is not None:
            await self._identity.sessions.sign_out(token)
        unseat(response, self._identity)

    # -- second factors --------------------------------------------------------------------------------------------

    async def totp_start(self, who: m.Who) -> tuple[str, str]:
        made = await self._identity.factors.begin_totp(who.person_id)
        return made.secret, made.uri

    async def _confirmed(self, who: m.Who, password: str) -> None:
        if who.second_factor:  # signed in already; who is signing in has just given it
            await self._identity.signin.confirm(who.person_id, password, actor_of(who).session_id)

    async def totp_confirm(
        self, request: Request, who: m.Who, code: str, password: str
    ) -> tuple[Sequence[str], SignedIn | None]:
        await self._confirmed(who, password)
        bucket = [self._identity.attempts.bucket("factor", str(who.person_id))]
        await self._identity.attempts.begin(bucket)
        codes = await self._identity.factors.confirm_totp(who.person_id, code, by=f"person:{who.person_id}")
        await self._identity.attempts.succeeded(bucket)
        return codes, await self._enrolled(request, who)

    async def _enrolled(self, request: Request, who: m.Who) -> SignedIn | None:
        if who.second_factor:
            return None
        return step(await self._identity.signin.enrolled(_token(request), client_of(request)))

    async def factors(self, who: m.Who) -> Collection[str]:
        return await self._identity.factors.of(who.person_id)

    async def totp_remove(self, who: m.Who, password: str) -> None:
        await self._identity.signin.confirm(who.person_id, password, actor_of(who).session_id)
        await self._identity.factors.remove_totp(who.person_id, by=actor_of(who))

    async def codes_renew(self, who: m.Who, password: str) -> Sequence[str]:
        await self._identity.signin.confirm(who.person_id, password, actor_of(who).session_id)
        return await self._identity.factors.renew_recovery_codes(who.person_id, by=actor_of(who))

    async def passkey_add_options(self, request: Request, who: m.Who, password: str) -> Mapping[str, Any]:
        await self._confirmed(who, password)
        return _options(await self._identity.passkeys.begin_registration(who.person_id))

    async def passkey_add(self, request: Request, who: m.Who, answer: Mapping[str, Any], name: str) -> SignedIn | None:
        ceremony, credential = _answer(answer)
        by = f"person:{who.person_id}"
        await self._identity.passkeys.register(who.person_id, ceremony, credential, name=name or "passkey", by=by)
        return await self._enrolled(request, who)

    async def passkeys(self, who: m.Who) -> Sequence[m.PasskeyRow]:
        found = await self._identity.passkeys.list(who.person_id)
        return [m.PasskeyRow(str(key.id), key.name, key.created_at) for key in found]

    async def passkey_remove(self, who: m.Who, passkey_id: str, password: str) -> None:
        await self._identity.signin.confirm(who.person_id, password, actor_of(who).session_id)
        await self._identity.passkeys.remove(who.person_id, UUID(passkey_id), by=actor_of(who))

    async def sessions(self, who: m.Who) -> Sequence[m.SessionRow]:
        found = await self._identity.sessions.list(who.person_id)
        return [
            m.SessionRow(str(row.id), row.created_at, row.seen_at, device(row.device), str(row.id) == who.session_id)
            for row in found
            if row.stage is Stage.FULL
        ]

    async def session_end(self, who: m.Who, session_id: str) -> None:
        await self._identity.sessions.revoke(who.person_id, UUID(session_id))


def device(text: str) -> str:
    """A browser's long name in two words: `Chrome · Windows`."""
    browsers = (
        ("Edg/", "Edge"),
        ("MicroMessenger", "WeChat"),
        ("Firefox", "Firefox"),
        ("Chrome", "Chrome"),
        ("Safari", "Safari"),
    )
    systems = (
        ("iPhone", "iPhone"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    )
    parts = [next((name for mark, name in known if mark in text), "") for known in (browsers, systems)]
    return " · ".join(part for part in parts if part) or text[:60]


def _token(request: Request) -> str:
    token = session_token(request)
    if token is None:
        raise SessionMissing()
    return token


def step(issued: Issued) -> SignedIn:
    return SignedIn(NEEDS[issued.stage], {}, issued=issued, session_id=str(issued.session_id))


def _options(ceremony: Ceremony) -> Mapping[str, Any]:
    return {"ceremony_id": str(ceremony.id), "publicKey": msgspec.to_builtins(ceremony.options)}


def _answer(answer: Mapping[str, Any]) -> tuple[UUID, Mapping[str, Any]]:
    """The ceremony and the browser's credential; `Invalid` for anything else."""
    try:
        ceremony, credential = UUID(str(answer["ceremony_id"])), answer["credential"]
    except (KeyError, ValueError) as error:
        raise Invalid("bad_passkey", "This is not a passkey's answer.", message_zh="通行密钥数据不正确。") from error
    if not isinstance(credential, Mapping):
        raise Invalid("bad_passkey", "This is not a passkey's answer.", message_zh="通行密钥数据不正确。")
    return ceremony, credential
