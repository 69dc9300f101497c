"""One's own account: data, password, second factors, sessions, consent, export, erasure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response

from shanhe.identity.api import (
    Actor,
    Client,
    CsrfFailed,
    Identity,
    SecondFactorNeeded,
    SessionMissing,
    Stage,
    client_of,
    person_actor,
    session_token,
    unseat,
)
from shanhe.identity.guard import CSRF_HEADER, identity_of
from shanhe.identity.routes import forms
from shanhe.identity.routes.entry import told
from shanhe.kernel.http import private_json
from shanhe.kernel.routing import APIRouter

Me = Annotated[Actor, Depends(person_actor)]


@dataclass(frozen=True, slots=True)
class Enroller:
    """Who sets up a second factor: a signed-in person, or one whose sign-in waits for just that (`token`)."""

    person_id: UUID
    token: str | None
    client: Client

    @property
    def ref(self) -> str:
        return f"person:{self.person_id}"


async def enroller(request: Request) -> Enroller:
    """Whoever may set up a second factor now."""
    identity = identity_of(request)
    token = session_token(request)
    if token is None:
        raise SessionMissing()
    row = await identity.sessions.row(token)
    if row["stage"] == Stage.SECOND_FACTOR:
        raise SecondFactorNeeded(row["stage"])
    if not identity.sessions.csrf_matches(row["id"], request.headers.get(CSRF_HEADER, "")):
        raise CsrfFailed()
    waiting = token if row["stage"] == Stage.ENROL else None
    return Enroller(row["person_id"], waiting, client_of(request))


Enrolling = Annotated[Enroller, Depends(enroller)]


def router(identity: Identity) -> APIRouter:
    routes = APIRouter(prefix="/api/identity/me", tags=["identity"])
    _data(routes, identity)
    _sessions(routes, identity)
    _factors(routes, identity)
    _passkeys(routes, identity)
    _rights(routes, identity)
    return routes


def _data(routes: APIRouter, identity: Identity) -> None:
    @routes.get("")
    async def me(actor: Me) -> Response:
        """Who I am, for whom I act, what I may do; and the CSRF token of this session."""
        assert actor.person_id is not None
        person = await identity.people.get(actor.person_id)
        places = await identity.orgs.of_person(actor.person_id)
        return private_json(
            {
                "person": asdict(person),
                "org_id": actor.org_id,
                "organisations": [{"id": org.id, "name": org.name, "role": role} for org, role in places],
                "roles": sorted(actor.roles),
                "permissions": sorted(actor.permissions),
                "second_factors": await identity.factors.of(actor.person_id),
                "csrf": actor.csrf,
            }
        )

    @routes.patch("")
    async def edit(body: forms.PersonChange, actor: Me) -> Response:
        """Correct one's own data."""
        assert actor.person_id is not None
        return private_json(await identity.people.edit(actor.person_id, body.given(), by=actor))

    @routes.post("/password")
    async def password(body: forms.PasswordChange, actor: Me) -> Response:
        """Change the password; every other session ends."""
        assert actor.person_id is not None
        await identity.signin.confirm(actor.person_id, body.current)
        await identity.passwords.set(actor.person_id, body.new, by=actor, keep_session=actor.session_id)
        return private_json({"changed": True})

    @routes.post("/organisation")
    async def switch(body: forms.OrgChoice, actor: Me) -> Response:
        """Act for another of one's organisations."""
        await identity.sessions.switch(actor, body.org_id)
        return private_json({"org_id": body.org_id})


def _sessions(routes: APIRouter, identity: Identity) -> None:
    @routes.get("/sessions")
    async def sessions(actor: Me) -> Response:
        assert actor.person_id is not None
        found = await identity.sessions.list(actor.person_id)
        return private_json({"data": [asdict(row) | {"current": row.id == actor.session_id} for row in found]})

    @routes.delete("/sessions/{session_id}")
    async def end(session_id: UUID, actor: Me) -> Response:
        assert actor.person_id is not None
        await identity.sessions.revoke(actor.person_id, session_id)
        return private_json({"revoked": True})


def _factors(routes: APIRouter, identity: Identity) -> None:
    @routes.post("/totp")
    async def begin_totp(who: Enrolling) -> Response:
        """A secret for an authenticator application, shown once."""
        return private_json(await identity.factors.begin_totp(who.person_id))

    @routes.post("/totp/confirm")
    async def confirm_totp(body: forms.CodeBody, who: Enrolling) -> Response:
        """The first code; the answer carries the recovery codes, and completes a sign-in that waited for this."""
        bucket = [identity.attempts.bucket("factor", str(who.person_id))]
        await identity.attempts.begin(bucket)
        codes = await identity.factors.confirm_totp(who.person_id, body.code, by=who.ref)
        await identity.attempts.succeeded(bucket)
        if who.token is None:
            return private_json({"recovery_codes": codes})
        issued = await identity.signin.enrolled(who.token, who.client)
        answer = told(issued, identity)
        done = private_json({"recovery_codes": codes, "stage": issued.stage, "csrf": issued.csrf})
        done.headers["set-cookie"] = answer.headers["set-cookie"]
        return done

    @routes.post("/totp/remove")
    async def remove_totp(body: forms.Confirmation, actor: Me) -> Response:
        """Take the authenticator application off, with the password once more."""
        assert actor.person_id is not None
        await identity.signin.confirm(actor.person_id, body.password)
        await identity.factors.remove_totp(actor.person_id, by=actor)
        return private_json({"removed": True})

    @routes.post("/recovery-codes")
    async def recovery_codes(body: forms.Confirmation, actor: Me) -> Response:
        """Ten new recovery codes in place of the old ones, with the password once more."""
        assert actor.person_id is not None
        await identity.signin.confirm(actor.person_id, body.password)
        return private_json({"recovery_codes": await identity.factors.renew_recovery_codes(actor.person_id, by=actor)})


def _passkeys(routes: APIRouter, identity: Identity) -> None:
    @routes.post("/passkeys/options")
    async def passkey_options(who: Enrolling) -> Response:
        """Options for `navigator.credentials.create`."""
        return private_json(await identity.passkeys.begin_registration(who.person_id))

    @routes.post("/passkeys")
    async def add_passkey(body: forms.PasskeyBody, who: Enrolling) -> Response:
        """Store the passkey; completes a sign-in that waited for this."""
        passkey = await identity.passkeys.register(
            who.person_id, body.ceremony_id, body.credential, name=body.name or "passkey", by=who.ref
        )
        if who.token is None:
            return private_json(passkey, 201)
        return told(await identity.signin.enrolled(who.token, who.client), identity)

    @routes.get("/passkeys")
    async def passkeys(actor: Me) -> Response:
        assert actor.person_id is not None
        return private_json({"data": await identity.passkeys.list(actor.person_id)})

    @routes.delete("/passkeys/{passkey_id}")
    async def remove_passkey(passkey_id: UUID, actor: Me) -> Response:
        assert actor.person_id is not None
        await identity.passkeys.remove(actor.person_id, passkey_id, by=actor)
        return private_json({"removed": True})


def _rights(routes: APIRouter, identity: Identity) -> None:
    @routes.get("/consents")
    async def consents(actor: Me) -> Response:
        assert actor.person_id is not None
        return private_json({"data": await identity.consents.of(actor.person_id)})

    @routes.post("/consents")
    async def give(body: forms.ConsentBody, actor: Me) -> Response:
        assert actor.person_id is not None
        given = body.model_dump()
        return private_json(await identity.consents.give(actor.person_id, given.pop("purpose"), **given), 201)

    @routes.delete("/consents/{purpose}")
    async def withdraw(purpose: str, actor: Me) -> Response:
        assert actor.person_id is not None
        return private_json(await identity.consents.withdraw(actor.person_id, purpose))

    @routes.get("/export")
    async def export(actor: Me) -> Response:
        """Everything identity holds about me, as a file."""
        assert actor.person_id is not None
        answer = private_json(await identity.people.export(actor.person_id))
        answer.headers["content-disposition"] = 'attachment; filename="my-data.json"'
        return answer

    @routes.post("/erase")
    async def erase(body: forms.Confirmation, actor: Me) -> Response:
        """Erase my data for good, with the password once more where there is one."""
        assert actor.person_id is not None
        await identity.signin.confirm(actor.person_id, body.password)
        await identity.people.erase(actor.person_id, by=actor)
        answer = private_json({"erased": True})
        unseat(answer, identity)
        return answer
