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
from shanhe.identity.guard import CSRF_HEADER, identity_of, person_of
from shanhe.identity.routes import forms
from shanhe.identity.routes.entry import told
from shanhe.kernel.http import private_json
from shanhe.kernel.routing import APIRouter

Me = Annotated[Actor, Depends(person_actor)]


@dataclass(frozen=True, slots=True)
class Enroller:
    """Who sets up a second factor: a signed-in person, or one whose sign-in waits for just that (`token`)."""

    person_id: UUID
    session_id: UUID
    token: str | None
    client: Client

    @property
    def ref(self) -> str:
        return f"person:{self.person_id}"

    async def confirmed(self, identity: Identity, password: str) -> None:
        """A new factor takes the password once more; who has just given it to sign in isn't asked again."""
        if self.token is None:
            await identity.signin.confirm(self.person_id, password, self.session_id)


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
    if waiting is not None:
        await identity.signin.still_enrols(row["person_id"])
    return Enroller(row["person_id"], row["id"], waiting, client_of(request))


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
        person = await identity.people.get(person_of(actor))
        places = await identity.orgs.of_person(person_of(actor))
        return private_json(
            {
                "person": asdict(person),
                "org_id": actor.org_id,
                "organisations": [{"id": org.id, "name": org.name, "role": role} for org, role in places],
                "roles": sorted(actor.roles),
                "permissions": sorted(actor.permissions),
                "second_factors": await identity.factors.of(person_of(actor)),
                "csrf": actor.csrf,
            }
        )

    @routes.patch("")
    async def edit(body: forms.PersonChange, actor: Me) -> Response:
        """Correct one's own data. Names that can be taken are tried no more often than at the door."""
        return private_json(await identity.correct(person_of(actor), body.given(), by=actor))

    @routes.post("/password")
    async def password(body: forms.PasswordChange, actor: Me) -> Response:
        """Change the password; every other session ends."""
        await identity.signin.confirm(person_of(actor), body.current, actor.session_id)
        await identity.passwords.set(person_of(actor), body.new, by=actor, keep_session=actor.session_id)
        return private_json({"changed": True})

    @routes.post("/organisation")
    async def switch(body: forms.OrgChoice, actor: Me) -> Response:
        """Act for another of one's organisations."""
        await identity.sessions.switch(actor, body.org_id)
        return private_json({"org_id": body.org_id})

    @routes.delete("/organisations/{org_id}")
    async def leave(org_id: UUID, actor: Me) -> Response:
        """Be no longer a member of one of one's organisations; its last owner names another first."""
        await identity.orgs.leave(org_id, person_of(actor), by=actor)
        return private_json({"left": org_id})


def _sessions(routes: APIRouter, identity: Identity) -> None:
    @routes.post("/personal")
    async def personal(actor: Me) -> Response:
        """The organisation of oneself alone, opened when there is none; for what people apply for."""
        assert actor.person_id is not None
        return private_json(await identity.orgs.create_personal(actor.person_id, by=actor))

    @routes.get("/sessions")
    async def sessions(actor: Me) -> Response:
        found = await identity.sessions.list(person_of(actor))
        return private_json({"data": [asdict(row) | {"current": row.id == actor.session_id} for row in found]})

    @routes.delete("/sessions/{session_id}")
    async def end(session_id: UUID, actor: Me) -> Response:
        await identity.sessions.revoke(person_of(actor), session_id)
        return private_json({"revoked": True})


def _factors(routes: APIRouter, identity: Identity) -> None:
    @routes.post("/totp")
    async def begin_totp(who: Enrolling) -> Response:
        """A secret for an authenticator application, shown once."""
        return private_json(await identity.factors.begin_totp(who.person_id))

    @routes.post("/totp/confirm")
    async def confirm_totp(body: forms.FactorBody, who: Enrolling) -> Response:
        """The first code, with the password once more; the answer carries the recovery codes, and completes a sign-in
        that waited for this (and needs no password again)."""
        await who.confirmed(identity, body.password)
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
        await identity.signin.confirm(person_of(actor), body.password, actor.session_id)
        await identity.factors.remove_totp(person_of(actor), by=actor)
        return private_json({"removed": True})

    @routes.post("/recovery-codes")
    async def recovery_codes(body: forms.Confirmation, actor: Me) -> Response:
        """Ten new recovery codes in place of the old ones, with the password once more."""
        await identity.signin.confirm(person_of(actor), body.password, actor.session_id)
        return private_json({"recovery_codes": await identity.factors.renew_recovery_codes(person_of(actor), by=actor)})


def _passkeys(routes: APIRouter, identity: Identity) -> None:
    @routes.post("/passkeys/options")
    async def passkey_options(who: Enrolling, body: forms.Confirmation | None = None) -> Response:
        """Options for `navigator.credentials.create`, with the password once more."""
        await who.confirmed(identity, body.password if body is not None else "")
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
        return private_json({"data": await identity.passkeys.list(person_of(actor))})

    @routes.post("/passkeys/{passkey_id}/remove")
    async def remove_passkey(passkey_id: UUID, body: forms.Confirmation, actor: Me) -> Response:
        """Take a passkey off, with the password once more."""
        await identity.signin.confirm(person_of(actor), body.password, actor.session_id)
        await identity.passkeys.remove(person_of(actor), passkey_id, by=actor)
        return private_json({"removed": True})


def _rights(routes: APIRouter, identity: Identity) -> None:
    @routes.get("/consents")
    async def consents(actor: Me) -> Response:
        return private_json({"data": await identity.consents.of(person_of(actor))})

    @routes.post("/consents")
    async def give(body: forms.ConsentBody, actor: Me) -> Response:
        given = body.model_dump()
        return private_json(await identity.consents.give(person_of(actor), given.pop("purpose"), **given), 201)

    @routes.delete("/consents/{purpose}")
    async def withdraw(purpose: str, actor: Me) -> Response:
        return private_json(await identity.consents.withdraw(person_of(actor), purpose))

    @routes.get("/export")
    async def export(actor: Me) -> Response:
        """Everything identity holds about me, as a file."""
        answer = private_json(await identity.people.export(person_of(actor)))
        answer.headers["content-disposition"] = 'attachment; filename="my-data.json"'
        return answer

    @routes.post("/erase")
    async def erase(body: forms.Confirmation, actor: Me) -> Response:
        """Erase my data for good, with the password once more where there is one."""
        await identity.signin.confirm(person_of(actor), body.password, actor.session_id)
        await identity.people.erase(person_of(actor), by=actor)
        answer = private_json({"erased": True})
        unseat(answer, identity)
        return answer
