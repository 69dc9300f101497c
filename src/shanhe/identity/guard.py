"""FastAPI dependencies: who acts, and whether it may. The composition root puts `Identity` on `app.state.identity`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from shanhe.identity.entry_model import Client, Issued, Stage
from shanhe.identity.errors import CrossSite, CsrfFailed, PermissionMissing, SessionMissing
from shanhe.identity.model import ROLE_PERMISSIONS, Actor, Role
from shanhe.identity.service import Identity
from shanhe.kernel import acts
from shanhe.kernel.errors import Invalid
from shanhe.kernel.http import bearer, door
from shanhe.kernel.texts import parts_of

COOKIE = "shanhe_session"
SECURE_COOKIE = "__Host-shanhe_session"
OIDC_COOKIE = "shanhe_oidc"
OIDC_COOKIE_S = 600
CSRF_HEADER = "x-csrf-token"
CSRF_FIELD = "csrf"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
AGENT_MAX = 200
FORM_FIELDS_MAX = 100


def identity_of(request: Request) -> Identity:
    """The city's identity, from the application's state."""
    found: Identity = request.app.state.identity
    return found


async def actor(request: Request) -> Actor:
    """Who acts: a Bearer API key, else the session's cookie with its CSRF token on everything that changes state.

    A key without administration scope has the permission `receipts` only. What one who acts for the city changes is
    written down from here on.
    """
    found = await _asking(request)
    acts_for_city(request, found, identity_of(request).now())
    return found


def acts_for_city(request: Request, who: Actor, at: datetime, *, sworn: bool = False) -> None:
    """What this request changes is written down, if its sender may do more than members do or is `sworn` to an office
    (whoever reviews for a department); residents' own dealings are not."""
    if request.method not in SAFE_METHODS and (sworn or who.permissions - ROLE_PERMISSIONS[Role.OWNER]):
        acts.begin(who.ref, door(request), at)


async def _asking(request: Request) -> Actor:
    identity = identity_of(request)
    token = bearer(request)
    if token is not None:
        return await identity.sessions.key_actor(token)
    cookie = session_token(request)
    if cookie is None:
        raise SessionMissing()
    found = await identity.sessions.actor(cookie)
    if request.method in SAFE_METHODS or found.session_id is None:
        return found
    if not identity.sessions.csrf_matches(found.session_id, await _csrf_given(request)):
        raise CsrfFailed()
    return found


async def maybe_actor(request: Request) -> Actor | None:
    """Like `actor`, None for nobody; for pages that everybody may read."""
    try:
        return await actor(request)
    except SessionMissing:
        return None


def require(*permissions: str) -> Callable[[Request], Awaitable[Actor]]:
    """A dependency: the actor, if it has one of the permissions; PermissionMissing of the first (403) otherwise."""

    async def permitted(request: Request) -> Actor:
        found = await actor(request)
        if not found.permissions.intersection(permissions):
            raise PermissionMissing(permissions[0])
        return found

    return permitted


def org_of(actor: Actor) -> UUID:
    """The organisation that the caller acts for; Invalid when there is none."""
    if actor.org_id is None:
        raise Invalid(
            "no_organisation",
            "This needs an organisation, and the caller acts for none.",
            message_zh="该操作需要机构身份，当前账号不属于任何机构。",
        )
    return actor.org_id


def org_with(actor: Actor, *permissions: str) -> UUID:
    """The organisation of a caller who has one of these permissions; PermissionMissing of the first otherwise."""
    if actor.org_id is None or not actor.permissions.intersection(permissions):
        raise PermissionMissing(permissions[0])
    return actor.org_id


def org_or_all(actor: Actor, *, everything: str, missing: str = "usage") -> UUID | None:
    """None for who has the permission to see everything; PermissionMissing for who may not see its own usage."""
    if everything in actor.permissions:
        return None
    if actor.org_id is None or "usage" not in actor.permissions:
        raise PermissionMissing(missing)
    return actor.org_id


async def person_actor(request: Request) -> Actor:
    """The actor, if it is a signed-in person: what concerns one's own account is not for keys."""
    found = await actor(request)
    person_of(found)
    return found


async def person_behind(identity: Identity, actor: Actor) -> UUID | None:
    """The person who acts: a key counts as whoever made it."""
    if actor.person_id is not None or actor.key_id is None:
        return actor.person_id
    return (await identity.keys.get(actor.key_id)).created_by


def person_of(actor: Actor) -> UUID:
    """The person who is signed in; SessionMissing for a key."""
    if actor.person_id is None:
        raise SessionMissing()
    return actor.person_id


async def waiting_token(request: Request) -> str:
    """The cookie of a session that waits for its second factor, with the session's CSRF token."""
    identity, cookie = identity_of(request), session_token(request)
    if cookie is None:
        raise SessionMissing()
    row = await identity.sessions.row(cookie)
    if row["stage"] == Stage.FULL:
        raise SessionMissing()
    if not identity.sessions.csrf_matches(row["id"], await _csrf_given(request)):
        raise CsrfFailed()
    return cookie


async def own_site(request: Request) -> None:
    """Refuse a cookie-less change of state that another site's page started (sign-in CSRF)."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "")
    if site in ("cross-site", "same-site"):
        raise CrossSite()
    if origin is not None and origin != "null":
        ours = {urlsplit(identity_of(request).options.url).netloc, request.headers.get("host", "")}
        if parts_of(origin).netloc not in ours:
            raise CrossSite()
    elif origin == "null":
        raise CrossSite()


def client_of(request: Request) -> Client:
    """Where a request comes from. The server resolves trusted proxies; here the socket's address is believed."""
    address = request.client.host if request.client is not None else ""
    return Client(address, request.headers.get("user-agent", "")[:AGENT_MAX])


# -- cookies ---------------------------------------------------------------------------------------------------------


def cookie_name(identity: Identity) -> str:
    """`__Host-` over https, which pins the cookie to this host; browsers refuse that prefix over http."""
    return SECURE_COOKIE if identity.options.secure else COOKIE


def session_token(request: Request) -> str | None:
    return request.cookies.get(cookie_name(identity_of(request)))


def seat(response: Response, identity: Identity, issued: Issued) -> None:
    """Put a session on an answer: HttpOnly, SameSite=Lax, Secure over https; never cached."""
    response.set_cookie(
        cookie_name(identity),
        issued.token,
        path="/",
        httponly=True,
        samesite="lax",
        secure=identity.options.secure,
        max_age=int((issued.expires_at - identity.now()).total_seconds()),
    )
    response.headers["cache-control"] = "no-store"


def unseat(response: Response, identity: Identity) -> None:
    """Take the session's cookie away."""
    response.delete_cookie(
        cookie_name(identity), path="/", httponly=True, samesite="lax", secure=identity.options.secure
    )


async def _csrf_given(request: Request) -> str:
    header = request.headers.get(CSRF_HEADER)
    if header is not None:
        return header
    if request.headers.get("content-type", "").startswith(FORM_TYPES):
        form = await request.form(max_fields=FORM_FIELDS_MAX)
        given = form.get(CSRF_FIELD)
        return given if isinstance(given, str) else ""
    return ""
