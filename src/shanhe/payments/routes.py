"""HTTP of payments: the notification endpoint of every provider, and the sandbox's hosted pages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.background import BackgroundTask
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from shanhe.kernel.errors import ShanheError
from shanhe.kernel.money import format_fen
from shanhe.payments.errors import NotificationMalformed
from shanhe.payments.jobs import deliver
from shanhe.payments.sandbox import PayPage, Sandbox
from shanhe.payments.service import BODY_LIMIT_BYTES, Payments

Ref = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
"""A payment's public name: unguessable, and the only thing that opens its page."""
PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
}


def router(payments: Payments, sandbox: Sandbox | None) -> APIRouter:
    """The notification endpoint, and the pay pages when there is a sandbox."""
    routes = APIRouter(tags=["payments"])

    @routes.post("/api/payments/notify/{provider}", include_in_schema=True)
    async def notify(provider: str, request: Request) -> Response:
        """Signed asynchronous notification; 200 when applied or a duplicate, a typed error otherwise."""
        body = await _body(request)
        verdict = await payments.notify(provider, request.headers, body)
        return JSONResponse({"code": "SUCCESS", "changed": verdict.changed, "state": verdict.state})

    if sandbox is not None:
        routes.include_router(_pages(payments, sandbox))
    return routes


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
    templates = Environment(
        loader=PackageLoader("shanhe.payments"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )

    def render(page: PayPage | None, kind: str, error: ShanheError | None = None) -> Response:
        text = templates.get_template("pay.html").render(
            page=page, kind=kind, error=error, yuan=format_fen(page.amount_fen) if page else ""
        )
        return HTMLResponse(text, status_code=error.status if error else 200, headers=PAGE_HEADERS)

    def done(page: PayPage) -> Response:
        # Out of the request, like a real institution: the payer may be back before the notification is.
        task = BackgroundTask(deliver, payments, sandbox)
        return RedirectResponse(page.return_path, status_code=303, background=task, headers=PAGE_HEADERS)

    @routes.get("/pay/sandbox/{ref}")
    async def show(ref: Ref) -> Response:
        try:
            return render(await sandbox.page(ref), "payment")
        except ShanheError as error:
            return render(None, "payment", error)

    @routes.post("/pay/sandbox/{ref}")
    async def decide(ref: Ref, request: Request) -> Response:
        form = await request.form(max_fields=4, max_files=0)
        try:
            page = await (sandbox.pay(ref) if form.get("action") == "pay" else sandbox.fail(ref))
        except ShanheError as error:
            return render(None, "payment", error)
        return done(page)

    @routes.get("/pay/sandbox/mandates/{ref}")
    async def show_mandate(ref: Ref) -> Response:
        try:
            return render(await sandbox.mandate_page(ref), "mandate")
        except ShanheError as error:
            return render(None, "mandate", error)

    @routes.post("/pay/sandbox/mandates/{ref}")
    async def sign_mandate(ref: Ref) -> Response:
        try:
            return done(await sandbox.sign_mandate(ref))
        except ShanheError as error:
            return render(None, "mandate", error)

    return routes
