"""Signing in and out over HTTP."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse

from shanhe.identity.api import (
    CsrfFailed,
    Identity,
    Issued,
    OidcFailed,
    SessionMissing,
    client_of,
    own_site,
    seat,
    session_token,
    unseat,
    waiting_token,
)
from shanhe.identity.guard import CSRF_HEADER, OIDC_COOKIE, OIDC_COOKIE_S
from shanhe.identity.routes.forms import CodeBody, PasskeyBody, SignInBody
from shanhe.kernel.http import private_json
from shanhe.kernel.routing import APIRouter

Waiting = Annotated[str, Depends(waiting_token)]
QUERY_MAX = 8_192


def told(issued: Issued, identity: Identity) -> Response:
    """What the browser may know of a session, with its cookie: the stage, what completes it, the CSRF token."""
    answer = private_json(
        {"stage": issued.stage, "methods": issued.methods, "csrf": issued.csrf, "expires_at": issued.expires_at}
    )
    seat(answer, identity, issued)
    return answer


def router(identity: Identity) -> APIRouter:
    routes = APIRouter(prefix="/api/identity", tags=["identity"])

    @routes.post("/sign-in", dependencies=[Depends(own_site)])
    async def sign_in(body: SignInBody, request: Request) -> Response:
        """Login or e-mail address and password. `stage`: `full`, `second_factor`, or `enrol` (set one up first)."""
        return told(await identity.sign_in(body.login, body.password, client_of(request)), identity)

    @routes.post("/sign-in/code")
    async def code(body: CodeBody, request: Request, token: Waiting) -> Response:
        """The second step: a TOTP or a recovery code."""
        return told(await identity.signin.code(token, body.code, client_of(request)), identity)

    @routes.post("/sign-in/passkey/options", dependencies=[Depends(own_site)])
    async def passkey_options(request: Request) -> Response:
        """Options for `navigator.credentials.get`; of the waiting person when there is one."""
        return private_json(
            await identity.signin.passkey_options(await _waiting(identity, request), client_of(request))
        )

    @routes.post("/sign-in/passkey", dependencies=[Depends(own_site)])
    async def passkey(body: PasskeyBody, request: Request) -> Response:
        """The browser's answer: a second step, or all of signing in."""
        token = await _waiting(identity, request)
        made = await identity.signin.passkey(body.ceremony_id, body.credential, client_of(request), token=token)
        return told(made, identity)

    @routes.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        """End this session, whatever its stage."""
        token = session_token(request)
        if token is not None:
            await _same_session(identity, token, request.headers.get(CSRF_HEADER, ""))
            await identity.sessions.sign_out(token)
        answer = private_json({"signed_out": True})
        unseat(answer, identity)
        return answer

    if identity.oidc is not None:
        _oidc(routes, identity)
    return routes


async def _same_session(identity: Identity, token: str, csrf: str) -> None:
    try:
        row = await identity.sessions.row(token)
    except SessionMissing:
        return
    session_id: UUID = row["id"]
    if not identity.sessions.csrf_matches(session_id, csrf):
        raise CsrfFailed()


async def _waiting(identity: Identity, request: Request) -> str | None:
    token = session_token(request)
    if token is None:
        return None
    try:
        row = await identity.sessions.row(token)
    except SessionMissing:
        return None
    return token if row["stage"] == "second_factor" else None


def _oidc(routes: APIRouter, identity: Identity) -> None:
    oidc = identity.oidc
    assert oidc is not None

    @routes.get("/oidc/start")
    async def start(request: Request, next: str = "/") -> Response:
        """Go to the identity provider; `next` is a path of this site to come back to."""
        departure = await oidc.begin(next, client_of(request))
        answer = RedirectResponse(departure.url, status_code=303, headers={"cache-control": "no-store"})
        answer.set_cookie(
            OIDC_COOKIE,
            departure.state,
            max_age=OIDC_COOKIE_S,
            path="/api/identity/oidc",
            httponly=True,
            samesite="lax",
            secure=identity.options.secure,
        )
        return answer

    @routes.get("/oidc/callback")
    async def callback(request: Request) -> Response:
        """The provider sends the browser back here with a code."""
        if len(request.url.query) > QUERY_MAX:
            raise OidcFailed("the answer is too long")
        cookie = request.cookies.get(OIDC_COOKIE, "")
        issued, path = await oidc.finish(dict(request.query_params), cookie, client_of(request))
        answer = RedirectResponse(path if issued.stage == "full" else "/sign-in", status_code=303)
        answer.delete_cookie(OIDC_COOKIE, path="/api/identity/oidc")
        seat(answer, identity, issued)
        return answer
