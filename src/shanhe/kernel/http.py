"""HTTP manners shared by every route that FastAPI serves: errors, limits, request ids, headers, language.

Pure ASGI middleware, no BaseHTTPMiddleware: responses stream through untouched. The gateway's `/v1` has manners of
its own and does not pass here.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shanhe.kernel import acts
from shanhe.kernel.errors import NotFound, ShanheError, TooMany, Unavailable
from shanhe.kernel.ids import new_id
from shanhe.kernel.misfit import misfit
from shanhe.kernel.outage import outage, unusable

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI
    from fastapi.exceptions import RequestValidationError

BODY_MAX_BYTES = 1024 * 1024
BODY_CHUNK_LIMIT_S = 15.0
BODY_TOTAL_LIMIT_S = 60.0
FIELDS_TOLD = 20
REQUEST_ID = re.compile(r"^[A-Za-z0-9._-]{8,64}$")
NOWHERE: Mapping[str, int] = MappingProxyType({})
LANGUAGES = ("zh-CN", "en")
NO_STORE: Mapping[str, str] = MappingProxyType({"cache-control": "no-store"})
LANGUAGE_COOKIE = "shanhe_lang"
THEMES = ("auto", "light", "dark")
THEME_COOKIE = "shanhe_theme"
SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-opener-policy": "same-origin",
    "content-security-policy": "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'",
}

log = structlog.get_logger(__name__)
ErrorPage = Callable[[Request, ShanheError], Awaitable[Response] | Response]


class BodyTooLarge(ShanheError):
    default_status = 413


class BodyTooSlow(ShanheError):
    default_status = 408


def as_json(
    value: Any, status: int = 200, *, headers: Mapping[str, str] | None = None,
    enc_hook: Callable[[Any], Any] | None = None,
) -> Response:  # fmt: skip
    """A record as JSON: msgspec encodes it; FastAPI would copy everything once more. `enc_hook`: for what it can't."""
    body = msgspec.json.encode(value, enc_hook=enc_hook)
    return Response(body, status_code=status, media_type="application/json", headers=headers)


def private_json(value: Any, status: int = 200) -> Response:
    """JSON that is never cached, since it is personal or secret."""
    return as_json(value, status, headers=NO_STORE)


def sheet(lines: AsyncIterator[str], name: str) -> Response:
    """Lines of CSV as a file `name`.csv, sent as they are made; never cached."""
    headers = {"content-disposition": f'attachment; filename="{name}.csv"', **NO_STORE}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


def language(request: Request) -> str:
    """`zh-CN` or `en`: the cookie a person chose, else the browser's wish, else Chinese."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    return accepted_language(request.headers.get("accept-language", ""))


def theme(request: Request) -> str:
    """The theme a person chose, else `auto`: as the device is."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else THEMES[0]


def accepted_language(header: str) -> str:
    """The better of our two languages for an Accept-Language header."""
    best, weight = LANGUAGES[0], -1.0
    for part in header[:200].split(","):
        tag, _, quality = part.strip().partition(";")
        short = tag.strip().lower()[:2]
        match = re.fullmatch(r"\s*q=(\d(?:\.\d{1,3})?)\s*", quality)
        value = float(match.group(1)) if match else 1.0
        if short in ("zh", "en") and value > weight:
            best, weight = ("zh-CN" if short == "zh" else "en"), value
    return best


def take(target: FastAPI | APIRouter, *routers: APIRouter) -> None:
    """Routers' routes as they are: `include_router` reads every signature once more and matches each request twice."""
    for router in routers:
        target.routes.extend(router.routes)


def install(app: FastAPI, *, error_page: ErrorPage | None = None, mistaken: Callable[[], None] = lambda: None) -> None:
    """Give `app` our error shape. `error_page` renders errors for browsers; JSON for everybody else. `mistaken`
    hears of each that is ours."""
    from fastapi.exceptions import RequestValidationError  # FastAPI costs processes without pages half a second

    async def answer(request: Request, error: ShanheError) -> Response:
        if error_page is not None and _wants_page(request):
            shown = error_page(request, error)
            return shown if isinstance(shown, Response) else await shown
        return error_response(error, language(request))

    @app.exception_handler(ShanheError)
    async def ours(request: Request, error: ShanheError) -> Response:
        return await answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return await answer(request, misfit(error.errors()[:FIELDS_TOLD]))

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        return await answer(request, _translated(error))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        known = outage(error)
        if known is not None:
            log.warning("no room or no database", path=request.url.path, error=f"{type(error).__name__}: {error}")
            return await answer(request, known)
        refused = unusable(error)
        if refused is not None:  # no values: they may be personal
            log.warning("refused by the database", path=request.url.path, error=type(error).__name__)
            return await answer(request, refused)
        mistaken()
        log.error("unexpected error", path=request.url.path, error=type(error).__name__, exc_info=error)
        number = structlog.contextvars.get_contextvars().get("request_id", "")
        return await answer(
            request,
            ShanheError(
                "internal_error",
                "Something went wrong on our side; nothing was charged for it.",
                message_zh="系统内部出错，本次不计费。",
                status=500,
                hint=f"Try again; if it stays, tell the operator this request id: {number}",
                hint_zh=f"请重试；若仍失败，请将请求编号告知运营方：{number}",
            ),
        )


def error_response(error: ShanheError, wanted: str = "en") -> JSONResponse:
    """The JSON answer for an error, with `retry-after` where waiting helps."""
    headers = {"retry-after": str(error.retry_after_s)} if isinstance(error, TooMany | Unavailable) else {}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(error.to_dict(wanted), status_code=error.status, headers=headers)


def _wants_page(request: Request) -> bool:
    accept = request.headers.get("accept", "")
    return "text/html" in accept and not request.url.path.startswith("/api/")


def _translated(error: HTTPException) -> ShanheError:
    if error.status_code == 404:
        return NotFound("not_found", "There is nothing at this address.", message_zh="此地址没有内容。")
    if error.status_code == 405:
        return ShanheError(
            "method_not_allowed",
            "This address does not take this method.",
            message_zh="此地址不支持该请求方法。",
            status=405,
        )
    return ShanheError("http_error", str(error.detail), status=error.status_code)


class Manners:
    """ASGI middleware: request id, log context, body size and time, security headers."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_max_bytes: int = BODY_MAX_BYTES,
        secure: bool = False,
        larger: Mapping[str, int] = NOWHERE,
    ) -> None:
        """`larger`: paths where a body may have another size; one that ends in / is all that lies in it."""
        self._app = app
        self._body_max_bytes = body_max_bytes
        self._larger = larger
        self._headers = dict(SECURITY_HEADERS)
        if secure:
            self._headers["strict-transport-security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = False

        async def polite(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            path = scope["path"]
            folder = path[: path.rfind("/") + 1]
            most = self._larger.get(path) or self._larger.get(folder, self._body_max_bytes)
            await self._app(scope, _Bounded(receive, most), polite)
        except (BodyTooLarge, BodyTooSlow) as error:
            if started:
                raise
            response = error_response(error)
            response.headers["connection"] = "close"
            await response(scope, receive, polite)
        finally:
            structlog.contextvars.unbind_contextvars("request_id")
            acts.end()


class _Bounded:
    """A `receive` that refuses bodies that are too large or come too slowly."""

    def __init__(self, receive: Receive, max_bytes: int) -> None:
        self._receive = receive
        self._left = max_bytes
        self._max = max_bytes
        self._deadline: float | None = None
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()  # waiting for a disconnect may take as long as it takes
        loop = asyncio.get_running_loop()
        if self._deadline is None:
            self._deadline = loop.time() + BODY_TOTAL_LIMIT_S
        try:
            async with asyncio.timeout_at(min(self._deadline, loop.time() + BODY_CHUNK_LIMIT_S)):
                message = await self._receive()
        except TimeoutError:
            raise BodyTooSlow(
                "body_too_slow", "The request body came too slowly.", message_zh="请求内容传输过慢。"
            ) from None
        if message["type"] == "http.request":
            self._complete = not message.get("more_body", False)
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise BodyTooLarge(
                    "body_too_large",
                    f"The request body is larger than {self._max:,} bytes.",
                    message_zh=f"请求内容超过 {self._max:,} 字节。",
                )
        return message


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text = bytes(value).decode("latin-1")
            if REQUEST_ID.match(text):
                return text
    return str(new_id())


def door(request: Request) -> str:
    """Through which door a request came: its method and the pattern of its address, which names nobody."""
    route = request.scope.get("route")
    return f"{request.method} {getattr(route, 'path', '')}".strip()


def bearer(request: Request) -> str | None:
    """The token of an `Authorization: Bearer` header, None without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
