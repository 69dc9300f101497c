"""Signing in and out, second factors, language and theme."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.responses import JSONResponse, Response

from shanhe.console import once
from shanhe.console.model import Who
from shanhe.console.pages.base import ENROL_PATH, Room, sent
from shanhe.console.ports import SignedIn
from shanhe.console.qr import qr_path
from shanhe.console.render import check_token, form, go, local_path
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.http import LANGUAGE_COOKIE, LANGUAGES, THEME_COOKIE, THEMES
from shanhe.kernel.routing import APIRouter

CODES_PATH = f"{ENROL_PATH}/codes"
YEAR_S = 365 * 86_400
LOGIN_CHARS_MAX = 254
PASSWORD_CHARS_MAX = 1024
SECRET_CHARS_MAX = 128
ADDRESS_CHARS_MAX = 512
NAME_CHARS_MAX = 60


class Entrance(Room):
    """`/sign-in`, `/sign-out`, `/settings/second-factor`, `/preferences`."""

    def routes(self) -> APIRouter:
        add = (routes := APIRouter(include_in_schema=False)).add_api_route
        add("/sign-in", self.page, methods=["GET"])
        add("/sign-in", self.password, methods=["POST"])
        add("/sign-in/code", self.code_page, methods=["GET"])
        add("/sign-in/code", self.code, methods=["POST"])
        add("/sign-in/passkey/options", self.passkey_options, methods=["POST"])
        add("/sign-in/passkey", self.passkey, methods=["POST"])
        add("/sign-out", self.sign_out, methods=["POST"])
        add("/preferences", self.preferences, methods=["POST"])
        add(ENROL_PATH, self.enrol_page, methods=["GET"])
        add(ENROL_PATH, self.enrol, methods=["POST"])
        add(CODES_PATH, self.codes, methods=["GET"])
        add(CODES_PATH, self.renew, methods=["POST"])
        add(f"{ENROL_PATH}/remove", self.remove, methods=["POST"])
        add(f"{ENROL_PATH}/passkey/options", self.passkey_add_options, methods=["POST"])
        add(f"{ENROL_PATH}/passkey", self.passkey_add, methods=["POST"])
        return routes

    async def page(self, request: Request) -> Response:
        if await self.desk.gate.who(request) is not None:
            return go(local_path(request.query_params.get("next", "/")))
        if await self.desk.gate.waiting(request) == "second_factor" and "again" not in request.query_params:
            return go("/sign-in/code")
        return await self._entry(request)

    async def _entry(self, request: Request, **values: Any) -> Response:
        wanted = local_path(values.pop("wanted", request.query_params.get("next", "/")))
        gate = self.desk.gate
        shown = {"oidc": gate.oidc, "registers": self.desk.arrivals.mode != "off", "unmanned": await gate.unmanned()}
        return self.show(request, "sign_in.html", None, wanted=wanted, **shown, **values)

    async def password(self, request: Request) -> Response:
        fields = await form(request, None)
        login, password = fields.get("login", ""), fields.get("password", "")
        wanted = local_path(fields.get("next", "/"))
        try:
            result = await self.desk.gate.password(request, login[:LOGIN_CHARS_MAX], password[:PASSWORD_CHARS_MAX])
        except ShanheError as error:
            problem = self.view.problem(request, error)
            return await self._entry(request, wanted=wanted, mistake=problem, login=login, status=error.status)
        return self._next(result, wanted)

    def _next(self, result: SignedIn, wanted: str) -> Response:
        places = {"second_factor": "/sign-in/code", "enrolment": ENROL_PATH}
        target = places.get(result.needs)
        response = go(wanted if target is None else target if wanted == "/" else f"{target}?next={wanted}")
        self.desk.gate.seat(response, result, secure=self.desk.secure)
        return response

    async def code_page(self, request: Request) -> Response:
        wanted = local_path(request.query_params.get("next", "/"))
        return self.show(request, "sign_in_code.html", None, wanted=wanted)

    async def code(self, request: Request) -> Response:
        fields = await form(request, None)
        wanted = local_path(fields.get("next", "/"))
        try:
            result = await self.desk.gate.code(request, fields.get("code", "").replace(" ", ""))
        except ShanheError as error:
            return self.again(request, "sign_in_code.html", None, error, wanted=wanted)
        return self._next(result, wanted)

    async def passkey_options(self, request: Request) -> Response:
        check_token(request, None, request.headers.get("x-csrf-token", ""))
        return JSONResponse(await self.desk.gate.passkey_options(request))

    async def passkey(self, request: Request) -> Response:
        check_token(request, None, request.headers.get("x-csrf-token", ""))
        result = await self.desk.gate.passkey(request, await sent(request))
        response = JSONResponse({"next": ENROL_PATH if result.needs == "enrolment" else "/"})
        self.desk.gate.seat(response, result, secure=self.desk.secure)
        return response

    async def sign_out(self, request: Request) -> Response:
        who = await self.desk.gate.who(request)
        await form(request, who)
        response = go("/sign-in", "signed_out")
        await self.desk.gate.sign_out(request, response)
        return response

    async def preferences(self, request: Request) -> Response:
        """Language and theme: cookies, so that public pages have them too."""
        fields = await form(request, await self.desk.gate.who(request))
        response = go(local_path(fields.get("back", "/")))
        for cookie, value, known in (
            (LANGUAGE_COOKIE, fields.get("lang", ""), LANGUAGES),
            (THEME_COOKIE, fields.get("theme", ""), THEMES),
        ):
            if value in known:
                response.set_cookie(cookie, value, max_age=YEAR_S, samesite="lax", secure=self.desk.secure)
        return response

    async def enrol_page(self, request: Request) -> Response:
        who = await self.who(request)
        if "totp" in (factors := await self.desk.gate.factors(who)):
            return self._enrol(request, who, "", "", factors=factors, known=await self.desk.house.has_password(who))
        secret, address = await self.desk.gate.totp_start(who)
        return self._enrol(request, who, secret, address, known=await self._asks(who))

    async def _asks(self, who: Who) -> bool:
        """Whether a new factor takes the password: of who is signed in and has one."""
        return who.second_factor and await self.desk.house.has_password(who)

    async def renew(self, request: Request) -> Response:
        """New recovery codes, shown once."""
        who, fields = await self.posted(request)
        try:
            codes = await self.desk.gate.codes_renew(who, fields.get("password", "")[:PASSWORD_CHARS_MAX])
        except ShanheError as error:
            return await self._kept(request, who, error)
        return await self.hand(request, who, CODES_PATH, codes="\n".join(codes))

    async def remove(self, request: Request) -> Response:
        who, fields = await self.posted(request)
        try:
            await self.desk.gate.totp_remove(who, fields.get("password", "")[:PASSWORD_CHARS_MAX])
        except ShanheError as error:
            return await self._kept(request, who, error)
        return go("/settings", "totp_removed")

    async def _kept(self, request: Request, who: Who, error: ShanheError) -> Response:
        shown = {"factors": await self.desk.gate.factors(who), "known": await self.desk.house.has_password(who)}
        mistake = self.view.problem(request, error)
        return self._enrol(request, who, "", "", **shown, mistake=mistake, status=error.status)

    def _enrol(self, request: Request, who: Who, secret: str, address: str, **values: Any) -> Response:
        values = {
            "codes": (),
            "factors": (),
            "known": False,
            "secret": secret,
            "address": address,
            "qr": qr_path(address),
            **values,
        }
        return self.show(request, "second_factor.html", who, **values)

    async def enrol(self, request: Request) -> Response:
        who, fields = await self.posted(request)
        try:
            password = fields.get("password", "")[:PASSWORD_CHARS_MAX]
            code = fields.get("code", "").replace(" ", "")
            codes, done = await self.desk.gate.totp_confirm(request, who, code, password)
        except ShanheError as error:
            # The same secret again: the application has scanned it already.
            secret, address = fields.get("secret", "")[:SECRET_CHARS_MAX], fields.get("address", "")[:ADDRESS_CHARS_MAX]
            problem = self.view.problem(request, error)
            known = await self._asks(who)
            return self._enrol(request, who, secret, address, known=known, mistake=problem, status=error.status)
        holder = once.session(done.session_id) if done is not None and done.session_id else ""  # it takes over
        response = await self.hand(request, who, CODES_PATH, holder=holder, codes="\n".join(codes))
        if done is not None:
            self.desk.gate.seat(response, done, secure=self.desk.secure)
        return response

    async def codes(self, request: Request) -> Response:
        """Recovery codes, once."""
        made = await self.left(request, who := await self.who(request), "codes")
        if not made.get("codes"):
            return go("/settings")
        return self.handed(request, self._enrol(request, who, "", "", codes=made["codes"].split("\n")))

    async def passkey_add_options(self, request: Request) -> Response:
        who = await self.who(request)
        check_token(request, who, request.headers.get("x-csrf-token", ""))
        password = str((await sent(request)).get("password", ""))[:PASSWORD_CHARS_MAX]
        return JSONResponse(await self.desk.gate.passkey_add_options(request, who, password))

    async def passkey_add(self, request: Request) -> Response:
        who = await self.who(request)
        check_token(request, who, request.headers.get("x-csrf-token", ""))
        body = await sent(request)
        done = await self.desk.gate.passkey_add(request, who, body, str(body.get("name", ""))[:NAME_CHARS_MAX])
        response = JSONResponse({"next": "/" if done is not None else "/settings?done=passkey_added"})
        if done is not None:
            self.desk.gate.seat(response, done, secure=self.desk.secure)
        return response
