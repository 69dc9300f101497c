"""HTTP between apps and the city: metadata (RFC 8414, 9728), registration (7591), codes, tokens, revocation (7009)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Annotated, Any, Final
from uuid import UUID

from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, RedirectResponse, Response

from shanhe.identity.api import Actor, client_of, org_of, require
from shanhe.identity.api import actor as actor_of
from shanhe.kernel.errors import Forbidden
from shanhe.kernel.http import as_json
from shanhe.kernel.routing import APIRouter
from shanhe.oauth.api import App, OAuth, OAuthError, Tokens, returns_to
from shanhe.oauth.model import NAME_MAX_CHARS, REDIRECTS_MAX, RESOURCE_PATH, SCOPE, URI_MAX_CHARS

Payer = Annotated[Actor, Depends(require("usage"))]
Asking = Annotated[Actor, Depends(actor_of)]
AUTHORIZE: Final = "/oauth/authorize"
TOKEN: Final = "/oauth/token"
REGISTER: Final = "/oauth/register"
REVOKE: Final = "/oauth/revoke"
SERVER_METADATA: Final = "/.well-known/oauth-authorization-server"
RESOURCE_METADATA: Final = "/.well-known/oauth-protected-resource"
CONSENT: Final = "/connect"
FIELDS_MAX: Final = 20
FIELD_MAX_CHARS: Final = 2_000
OPEN: Final = {"access-control-allow-origin": "*", "cache-control": "no-store"}


class RegisterBody(BaseModel):
    """What is looked at of an app's description; it may hold more."""

    model_config = ConfigDict(extra="ignore")
    client_name: str = Field("app", max_length=NAME_MAX_CHARS * 4)
    redirect_uris: list[str] = Field(min_length=1, max_length=REDIRECTS_MAX)


def router(oauth: OAuth, city: str) -> APIRouter:
    """Where the standards want it: `/.well-known` and `/oauth`."""
    routes = APIRouter(tags=["oauth"], include_in_schema=False)
    _metadata(routes, oauth, city)
    _pages(routes)
    _apps(routes, oauth)
    _tokens(routes, oauth)
    return routes


def _pages(routes: APIRouter) -> None:
    @routes.options(REGISTER)
    @routes.options(TOKEN)
    @routes.options(REVOKE)
    @routes.options(SERVER_METADATA)
    @routes.options(RESOURCE_METADATA)
    @routes.options(RESOURCE_METADATA + "{below:path}")
    async def preflight(request: Request) -> Response:
        """Let the page of an app ask, which shows no cookie; browsers want to know before."""
        asked = request.headers.get("access-control-request-headers", "content-type")
        told = {"access-control-allow-methods": "GET, POST", "access-control-allow-headers": asked,
                "access-control-max-age": "86400", "vary": "access-control-request-headers"}  # fmt: skip
        return Response(headers={**OPEN, **told})


def _apps(routes: APIRouter, oauth: OAuth) -> None:
    @routes.post(REGISTER)
    async def register(request: Request, body: RegisterBody) -> Response:
        """Take an app in; it has no secret, its codes are bound by PKCE."""
        await oauth.count("app", client_of(request))
        try:
            made = await oauth.register(body.client_name, [uri[: URI_MAX_CHARS + 1] for uri in body.redirect_uris])
        except OAuthError as error:
            return _said(error)
        told = {"client_id": made.id, "client_name": made.name, "redirect_uris": list(made.redirect_uris),
                "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"], "scope": SCOPE}  # fmt: skip
        return JSONResponse(told, status_code=201, headers=OPEN)

    @routes.get(AUTHORIZE)
    async def authorize(request: Request) -> Response:
        """Send a person to the page that asks them; an app that can't be answered safely is answered here."""
        asked = {name: value[:FIELD_MAX_CHARS] for name, value in request.query_params.items()}
        await oauth.count("begun", client_of(request))
        try:
            client = await oauth.client(asked.get("client_id", ""))
            asked.setdefault("redirect_uri", client.redirect_uris[0])
            if not returns_to(client, asked["redirect_uri"]):
                raise OAuthError(
                    "invalid_request", "The address to return to is not this app's.", "回调地址不属于该应用。"
                )
        except OAuthError as error:
            return _said(error)
        try:
            asking = await oauth.ask(client, asked)
        except OAuthError as error:
            values = {"error": error.code, "error_description": error.message}
            return _go(oauth.back(asked["redirect_uri"], asked.get("state"), values))
        return _go(f"{oauth.url}{CONSENT}/{asking.id}")


def _tokens(routes: APIRouter, oauth: OAuth) -> None:
    @routes.post(TOKEN)
    async def token(request: Request) -> Response:
        """Tokens for a code or a refresh token."""
        given = await _form(request)
        client_id, resource = given.get("client_id", ""), given.get("resource")
        try:
            if given.get("grant_type") == "authorization_code":
                made = await oauth.exchange(
                    client_id, given.get("code", ""), given.get("code_verifier", ""), given.get("redirect_uri", ""),
                    resource,
                )  # fmt: skip
            elif given.get("grant_type") == "refresh_token":
                made = await oauth.refresh(client_id, given.get("refresh_token", ""), resource)
            else:
                raise OAuthError("unsupported_grant_type", "authorization_code or refresh_token.", "不支持的授权类型。")
        except OAuthError as error:
            return _said(error)
        return JSONResponse(_answer(made), headers=OPEN)

    @routes.post(REVOKE)
    async def revoke(request: Request) -> Response:
        """End what an app was allowed; an unknown token is no error."""
        given = await _form(request)
        await oauth.revoke(given.get("client_id", ""), given.get("token", ""))
        return JSONResponse({}, headers=OPEN)


def apps_router(oauth: OAuth) -> APIRouter:
    """What a person let act for them, and its end."""
    routes = APIRouter(prefix="/api/apps", tags=["apps"])

    @routes.get("")
    async def apps(actor: Asking) -> Response:
        """Apps that may act for you or did, newest first."""
        return as_json({"data": [app_view(one, oauth) for one in await oauth.apps(_person(actor))]})

    @routes.get("/costs")
    async def costs(
        actor: Payer, first: Annotated[date, Query(alias="from")], last: Annotated[date, Query(alias="to")], *,
        everybody: bool = False,
    ) -> Response:  # fmt: skip
        """What apps cost your organisation by day; for the city's own people with `everybody` what each cost whom."""
        if everybody and "ledger" not in actor.permissions:
            raise Forbidden("city_only", "What apps cost everybody is for the city's own people.",
                            message_zh="全市各应用的费用仅供本市运营人员查看。")  # fmt: skip
        found = await oauth.costs(None if everybody else org_of(actor), first, last)
        return as_json({"data": [asdict(one) for one in found]})

    @routes.delete("/{app}")
    async def end(app: UUID, actor: Asking) -> Response:
        """Let an app act no more; its tokens and its key end at once."""
        await oauth.end(app, _person(actor))
        return as_json({"ended": app})

    return routes


def app_view(one: App, oauth: OAuth) -> dict[str, Any]:
    return {**asdict(one), "acts": one.acts(oauth.now())}


def _person(actor: Actor) -> UUID:
    if actor.person_id is None:
        raise Forbidden(
            "people_only", "Apps act for people; a key has none.", message_zh="应用由本人授权，密钥没有已连接的应用。",
            hint="Sign in and look at your connected apps.", hint_zh="请登录后查看已连接的应用。",
        )  # fmt: skip
    return actor.person_id


def _metadata(routes: APIRouter, oauth: OAuth, city: str) -> None:
    server = AuthorizationServerMetadata(
        {
            "issuer": oauth.url, "authorization_endpoint": oauth.url + AUTHORIZE, "token_endpoint": oauth.url + TOKEN,
            "registration_endpoint": oauth.url + REGISTER, "revocation_endpoint": oauth.url + REVOKE,
            "scopes_supported": [SCOPE], "response_types_supported": ["code"], "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"], "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"], "client_id_metadata_document_supported": True,
            "authorization_response_iss_parameter_supported": True,
        }
    )  # fmt: skip

    @routes.get(SERVER_METADATA)
    async def authorization_server() -> Response:
        """RFC 8414."""
        return JSONResponse(dict(server), headers=OPEN)

    @routes.get(RESOURCE_METADATA)
    @routes.get(RESOURCE_METADATA + RESOURCE_PATH)
    @routes.get(RESOURCE_METADATA + RESOURCE_PATH + "/{slug}")
    async def protected_resource(slug: str = "") -> Response:
        """RFC 9728: who gives tokens for `/mcp` and each server below it."""
        resource = f"{oauth.url}{RESOURCE_PATH}" + (f"/{slug}" if slug else "")
        told = {"resource": resource, "authorization_servers": [oauth.url], "scopes_supported": [SCOPE],
                "bearer_methods_supported": ["header"], "resource_name": city}  # fmt: skip
        return JSONResponse(told, headers=OPEN)


async def _form(request: Request) -> dict[str, str]:
    form = await request.form(max_files=0, max_fields=FIELDS_MAX)
    return {name: value[:FIELD_MAX_CHARS] for name, value in form.items() if isinstance(value, str)}


def _answer(made: Tokens) -> dict[str, Any]:
    return {"access_token": made.access, "token_type": "Bearer", "expires_in": made.expires_in_s,
            "refresh_token": made.refresh, "scope": SCOPE}  # fmt: skip


def _said(error: OAuthError) -> Response:
    body = {"error": error.code, "error_description": error.message}
    return JSONResponse(body, status_code=error.status, headers=OPEN)


def _go(where: str) -> Response:
    return RedirectResponse(
        where, status_code=302, headers={"cache-control": "no-store", "referrer-policy": "no-referrer"}
    )
