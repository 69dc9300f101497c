"""HTTP of payments: the notification endpoint of every provider, and the sandbox's hosted pages."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Annotated, Any
from uuid import UUID

import segno
import structlog
from fastapi import Path, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, RedirectResponse, Response

from shanhe.kernel import http
from shanhe.kernel.clock import CITY_TZ
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.money import format_fen
from shanhe.kernel.routing import APIRouter
from shanhe.payments.balance_routes import balance_router
from shanhe.payments.errors import NotificationMalformed, UnknownPayment, UnknownProvider
from shanhe.payments.jobs import deliver
from shanhe.payments.model import Order, State, Verdict
from shanhe.payments.sandbox import PayPage, Sandbox
from shanhe.payments.service import BODY_LIMIT_BYTES, Payments
from shanhe.payments.treasury_routes import bank_router, payout_router, waiting_router

__all__ = ["balance_router", "bank_router", "payout_router", "router", "waiting_router"]
Ref = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
"""A payment's public name: unguessable, and the only thing that opens its page."""
PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}
COPY_SCRIPT = (files("shanhe.payments") / "templates" / "copy.js").read_text()
_COPY_HASH = b64encode(sha256(COPY_SCRIPT.encode()).digest()).decode()
# The page goes to an institution by a link only: a form could not be sent there.
CASHIER_HEADERS = PAGE_HEADERS | {
    "content-security-policy": f"{PAGE_HEADERS['content-security-policy']}; script-src 'sha256-{_COPY_HASH}'"
}
CASHIER_REFRESH_S = 5
METHOD_TITLES = {
    "wechat": ("微信支付", "WeChat Pay"),
    "alipay": ("支付宝", "Alipay"),
    "bank_transfer": ("银行转账", "Bank transfer"),
}
log = structlog.get_logger(__name__)


def router(payments: Payments, sandbox: Sandbox | None) -> APIRouter:
    """The notification endpoint, and the pay pages when there is a sandbox."""
    routes = APIRouter(tags=["payments"])

    @routes.post("/api/payments/notify/{provider}", include_in_schema=True)
    async def notify(provider: str, request: Request) -> Response:
        """Signed asynchronous notification; 200 when applied or a duplicate, a typed error otherwise."""
        verdict: Verdict | None = None
        refusal: ShanheError | None = None
        try:
            verdict = await payments.notify(provider, request.headers, await _body(request))
        except UnknownProvider:
            raise
        except ShanheError as error:
            refusal = error
            log.warning("notification refused", provider=provider, code=error.code)
        answer = payments.reply(provider, verdict, refusal)
        return Response(answer.body, status_code=answer.status, media_type=answer.media_type)

    if sandbox is not None:
        http.take(routes, _pages(payments, sandbox))
    http.take(routes, _cashier(payments))
    return routes


def _cashier(payments: Payments) -> APIRouter:
    """The page of methods whose institution has none here: a code to scan, a link, or an account to transfer to."""
    routes = APIRouter(include_in_schema=False)
    templates = _templates()

    @routes.get("/pay/{method}/{ref}")
    async def cashier(method: Annotated[str, Path(pattern="^[a-z_]{1,32}$")], ref: Ref, request: Request) -> Response:
        error: ShanheError | None = None
        order: Order | None = None
        try:
            order = await payments.order(UUID(ref))
            if order.provider != method:
                raise UnknownPayment("order")
        except ShanheError as refusal:
            order, error = None, refusal
        waiting = order is not None and order.state in (State.CREATED, State.PENDING, State.FAILED)
        text = templates.get_template("cashier.html").render(
            **_reader(request),
            script=COPY_SCRIPT,
            order=order,
            error=error,
            waiting=waiting,
            title=METHOD_TITLES.get(method, ("收银台", "Cashier")),
            yuan=format_fen(order.amount_fen) if order else "",
            qr=_qr(order.details["qr"]) if order and waiting and "qr" in order.details else "",
            refresh_s=CASHIER_REFRESH_S,
            expires=order.expires_at.astimezone(CITY_TZ).strftime("%Y-%m-%d %H:%M") if order else "",
        )
        return HTMLResponse(text, status_code=error.status if error else 200, headers=CASHIER_HEADERS)

    return routes


def _reader(request: Request) -> dict[str, Any]:
    """What every page is told of its reader: language, theme, and which of two texts is theirs."""
    lang = http.language(request)
    return {"lang": lang, "theme": http.theme(request), "t": lambda zh, en: zh if lang == "zh-CN" else en}


def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("shanhe.payments"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )


def _qr(text: str) -> str:
    """The QR code of a text as inline SVG."""
    return str(segno.make(text, error="m").svg_inline(scale=6, border=3, dark="#000", light="#fff"))


async def _body(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_LIMIT_BYTES:
            raise NotificationMalformed("the body is too large")
        chunks.append(chunk)
    return b"".join(chunks)


def _pages(payments: Payments, sandbox: Sandbox) -> APIRouter:
    routes = APIRouter(include_in_schema=False)
    templates = _templates()

    def render(request: Request, page: PayPage | None, kind: str, error: ShanheError | None = None) -> Response:
        text = templates.get_template("pay.html").render(
            **_reader(request),
            page=page,
            kind=kind,
            error=error,
            yuan=format_fen(page.amount_fen) if page else "",
        )
        return HTMLResponse(text, status_code=error.status if error else 200, headers=PAGE_HEADERS)

    def done(page: PayPage) -> Response:
        # Out of the request, like a real institution: the payer may be back before the notification is.
        task = BackgroundTask(deliver, payments, sandbox)
        return RedirectResponse(page.return_path, status_code=303, background=task, headers=PAGE_HEADERS)

    @routes.get("/pay/sandbox/{ref}")
    async def show(ref: Ref, request: Request) -> Response:
        try:
            return render(request, await sandbox.page(ref), "payment")
        except ShanheError as error:
            return render(request, None, "payment", error)

    @routes.post("/pay/sandbox/{ref}")
    async def decide(ref: Ref, request: Request) -> Response:
        form = await request.form(max_fields=4, max_files=0)
        try:
            page = await (sandbox.pay(ref) if form.get("action") == "pay" else sandbox.fail(ref))
        except ShanheError as error:
            return render(request, None, "payment", error)
        return done(page)

    @routes.get("/pay/sandbox/mandates/{ref}")
    async def show_mandate(ref: Ref, request: Request) -> Response:
        try:
            return render(request, await sandbox.mandate_page(ref), "mandate")
        except ShanheError as error:
            return render(request, None, "mandate", error)

    @routes.post("/pay/sandbox/mandates/{ref}")
    async def sign_mandate(ref: Ref, request: Request) -> Response:
        try:
            return done(await sandbox.sign_mandate(ref))
        except ShanheError as error:
            return render(request, None, "mandate", error)

    return routes
