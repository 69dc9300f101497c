"""HTTP of the city: `/v1` goes to the gateway's own application, everything else to FastAPI and the console."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from shanhe import __version__
from shanhe.agents import routes as agents_routes
from shanhe.alliances import routes as alliances_routes
from shanhe.approvals import glass_routes
from shanhe.approvals import routes as approvals_routes
from shanhe.batches import routes as batches_routes
from shanhe.board import routes as board_routes
from shanhe.bulletin import routes as bulletin_routes
from shanhe.clones import routes as clones_routes
from shanhe.compute import routes as compute_routes
from shanhe.compute.api import Health
from shanhe.console import routes as console_routes
from shanhe.console.api import words
from shanhe.content import routes as content_routes
from shanhe.credentials import routes as credentials_routes
from shanhe.credits import routes as credits_routes
from shanhe.datasets import routes as datasets_routes
from shanhe.exchange import routes as exchange_routes
from shanhe.exchange.api import Feed
from shanhe.facts import routes as facts_routes
from shanhe.filings import routes as filings_routes
from shanhe.gateway import routes as gateway_routes
from shanhe.gateway.api import JSON_TYPE, CallError, GatewayApp, openai_error
from shanhe.governance import dilution_routes, simulation_routes
from shanhe.governance import routes as governance_routes
from shanhe.identity import routes as identity_routes
from shanhe.identity.api import ActsAsked, actor, require
from shanhe.incubator import routes as incubator_routes
from shanhe.ip import routes as ip_routes
from shanhe.kernel import http
from shanhe.kernel.asking import Named
from shanhe.kernel.db import FAILURES
from shanhe.kernel.documents.tables import FILE_MAX_BYTES as TABLE_MAX_BYTES
from shanhe.kernel.errors import NotFound
from shanhe.kernel.outage import room
from shanhe.ledger import routes as ledger_routes
from shanhe.log import routes as log_routes
from shanhe.mcp import routes as mcp_routes
from shanhe.nomads import routes as nomads_routes
from shanhe.oauth import routes as oauth_routes
from shanhe.payments import routes as payments_routes
from shanhe.pool import routes as pool_routes
from shanhe.privacy import routes as privacy_routes
from shanhe.programmes import routes as programmes_routes
from shanhe.reconcile import routes as reconcile_routes
from shanhe.retrieval import routes as retrieval_routes
from shanhe.rulebook import routes as rulebook_routes
from shanhe.science import routes as science_routes
from shanhe.starters import routes as starters_routes
from shanhe.store import contest_routes, earnings_routes
from shanhe.store import routes as store_routes
from shanhe.studio import routes as studio_routes
from shanhe.trials import routes as trials_routes
from shanhe.webhooks import routes as webhooks_routes
from shanhe.wiring.registry import Shelf
from shanhe.workflows import routes as workflows_routes

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from shanhe.app import Services

READY_LIMIT_S: Final = 2.0
GATEWAY_PREFIX: Final = "/v1/"
TOOLS_PATH: Final = "/mcp"
FORM_BYTES: Final = 64 * 1024
"""What a form adds to its file."""
UPLOADS: Final = (
    dict.fromkeys(("/api/datasets", "/studio/data"), 16 * 1024 * 1024)
    | dict.fromkeys(
        (f"{door}/knowledge/{what}" for door in ("/api", "") for what in ("documents", "preview")),
        32 * 1024 * 1024 + FORM_BYTES,
    )
    | {
        "/api/labels/check-sound": agents_routes.SOUND_MAX_BYTES,
        "/api/labels/check-picture": agents_routes.PICTURE_MAX_BYTES,
        "/api/programmes/import/": TABLE_MAX_BYTES,
        "/city/programmes/import": 2 * TABLE_MAX_BYTES,
    }
)
"""Where files arrive that may be larger than what is sent elsewhere, and how large."""
NO_SOCKETS: Final = openai_error(
    CallError(404, "unknown_url", "/v1 has no WebSockets (realtime); stream over HTTP with stream: true.")
)
Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class Dispatcher:
    """Sends each request to the application it belongs to."""

    def __init__(self, gateway: GatewayApp, tools: Asgi, site: Asgi) -> None:
        self._gateway = gateway
        self._tools = tools
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(GATEWAY_PREFIX):
            await self._gateway(scope, receive, send)
        elif scope["type"] == "http" and (scope["path"] == TOOLS_PATH or scope["path"].startswith(TOOLS_PATH + "/")):
            await self._tools(scope, receive, send)
        elif scope["type"] == "http" and self._gateway.strays(scope["path"], scope["headers"]):
            await self._gateway(scope, receive, send)
        elif scope["type"] == "websocket" and scope["path"].startswith(GATEWAY_PREFIX):
            await send({"type": "websocket.http.response.start", "status": 404, "headers": [JSON_TYPE]})
            await send({"type": "websocket.http.response.body", "body": NO_SOCKETS})
        else:
            await self._site(scope, receive, send)


def create_app(services: Services) -> Asgi:
    """The ASGI application of a gateway process."""
    app = FastAPI(
        title=services.settings.city_name,
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    pages, error_page = console_routes.router(services, ready=lambda: readiness(services), version=__version__)
    http.install(app, error_page=error_page, mistaken=services.metrics.mistaken)
    _health(app, services)
    _routes(app, services)
    http.take(app, pages)
    console_routes.word_sheets(app)
    polite = http.Manners(app, secure=services.settings.secure_cookies, larger=UPLOADS)
    services.gateway.app.home = services.settings.url
    services.gateway.app.tools = services.mcp.serve
    return Dispatcher(services.gateway.app, services.mcp, polite)


def _health(app: FastAPI, services: Services) -> None:
    probe = partial(app.api_route, methods=["GET", "HEAD"], include_in_schema=False)

    @probe("/healthz")
    async def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @probe("/readyz")
    async def readyz() -> Response:
        """The database answers, there is room to write and, where local models are on, one can be called; else 503."""
        checks = await readiness(services)
        # A log that is behind or refuses to sign is an operator's matter; calls are answered all the same.
        # Little room is one, too, until there is none.
        ready = all(state in ("up", "off", "low") for name, state in checks.items() if name != "log")
        return JSONResponse({"ready": ready, "checks": checks}, status_code=200 if ready else 503)

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        """Prometheus exposition of every process of the city: for what stands beside it, not behind a proxy."""
        if "x-forwarded-for" in request.headers:
            raise NotFound(
                "metrics_inside",
                "Metrics are told to what asks the city itself, not through a proxy.",
                message_zh="指标只提供给直接访问城市的程序，不经反向代理提供。",
                hint="Let Prometheus scrape the address of `shanhe up`.",
                hint_zh="请让 Prometheus 直接抓取 `shanhe up` 的地址。",
            )
        text = await services.metrics.text(services.db, services.clock)
        return Response(text, media_type=services.metrics.content_type)


async def readiness(services: Services) -> dict[str, str]:
    """What this process needs to answer, and whether it is there."""
    try:
        async with asyncio.timeout(READY_LIMIT_S):
            await services.db.fetchval("SELECT 1")
            database, log = "up", await services.log.state()
    except FAILURES:
        database, log = "down", "behind"
    disk = "full" if services.ledger.refused_for_room() else await asyncio.to_thread(room, services.settings.data)
    return {"database": database, "disk": disk, "engine": _engine(services), "log": log}


def _engine(services: Services) -> str:
    """`off` in a city without local models, else whether any engine can answer now."""
    if not services.settings.with_model:
        return "off"
    healths = {status.health for status in services.compute.statuses()}
    return "up" if healths & {Health.UP, Health.DEGRADED} else "down"


def _routes(app: FastAPI, services: Services) -> None:
    """Every module's routes, layer by layer; guards find who acts through `app.state.identity`."""
    app.state.identity = services.identity
    _truths(app, services)
    _machine(app, services)
    _market(app, services)
    _promises(app, services)
    _makers(app, services)


def _truths(app: FastAPI, services: Services) -> None:
    async def subject_of(org_id: UUID) -> UUID:
        return (await services.programmes.party(org_id)).subject

    async def own_receipt(request: Request, receipt_id: UUID) -> object:
        asking = await actor(request)
        return await services.gateway.receipt(receipt_id, None if "ledger" in asking.permissions else asking.org_id)

    http.take(
        app,
        identity_routes.router(services.identity, services.leavings),
        ledger_routes.router(services.ledger, require, services.moves),
        approvals_routes.router(services.approvals, require),
        glass_routes.router(
            services.emergency.glass, services.emergency.undoing, services.clock, require,
            audit=lambda object_: services.identity.audit(ActsAsked(object=object_)),
            challenge=services.identity.passkeys.begin_authentication,
        ),
        log_routes.router(services.log, require, own_receipt),
        rulebook_routes.amendment_router(services.amendments, require),
        rulebook_routes.router(services.rulebook, services.clock),
        credentials_routes.router(services.credentials, require),
        facts_routes.router(services.facts, require, subject_of, services.rulings.record),
    )  # fmt: skip


def _machine(app: FastAPI, services: Services) -> None:
    http.take(
        app,
        gateway_routes.router(services.gateway, actor, services.clock),
        compute_routes.router(services.compute),
        payments_routes.router(services.payments, services.sandbox),
        payments_routes.bank_router(services.bank, services.rulings.close, services.taking_in),
        payments_routes.balance_router(
            services.bank, services.rulings.sign_balance, services.settings.city_name
        ),
        payments_routes.payout_router(services.payouts, services.by_hand.confirm_payout, services.by_hand.fail_payout),
        payments_routes.waiting_router(services.bank),
        pool_routes.router(services.pool, services.withheld, services.settings.city_name),
        batches_routes.router(services.workshop.batches),
        datasets_routes.router(services.workshop.datasets),
        studio_routes.router(services.workshop.studio),
        retrieval_routes.router(
            services.library.knowledge, services.library.search, services.library.answering,
            services.library.evaluating, services.library.caller_for,
        ),
    )  # fmt: skip


def _market(app: FastAPI, services: Services) -> None:
    http.take(
        app,
        credits_routes.router(services.credits, services.moves, services.rulings.grant, services.by_hand.pay_refund),
        exchange_routes.router(
            services.exchange, Feed(services.exchange, services.db), services.by_hand.decide_withdrawal
        ),
        reconcile_routes.router(services.reconciliation, services.bills, services.moves.ask_write_off),
        contest_routes.router(services.contests),
        contest_routes.ranks_router(services.ranks),
        earnings_routes.router(services.earnings, services.clock, _names(services)),
        store_routes.router(services.store),
    )  # fmt: skip


def _promises(app: FastAPI, services: Services) -> None:
    city, url = services.settings.city_name, services.settings.url
    http.take(
        app,
        programmes_routes.router(services.programmes),
        incubator_routes.router(services.incubator, services.clock),
        ip_routes.router(services.commons.rights, services.clock, services.programmes.find),
        board_routes.router(services.board),
        science_routes.router(services.commons.science, services.programmes.find, url=url, city=city),
        alliances_routes.router(services.alliances, services.programmes.find),
        bulletin_routes.router(services.bulletin, city, url),
        governance_routes.router(services.governance),
        filings_routes.router(services.filings, services.clock),
        dilution_routes.router(services.governance.dilution),
        simulation_routes.router(services.governance.simulating),
        privacy_routes.router(services.privacy, services.identity, city, words().get),
        nomads_routes.router(services.nomads),
    )


def _makers(app: FastAPI, services: Services) -> None:
    """What makers run and offer, with what agents ask of the store and of identity."""
    settings = services.settings
    shelf = Shelf(services.store, services.tools, services.identity, services.rulebook, services.clock, settings.url)

    async def directory() -> list[tuple[str, str, str]]:
        cards = [card for kind in ("agent", "clone", "alliance") for card in (await services.store.leaf(kind)).cards]
        return [(one.name, one.title_en, one.summary_en or one.summary_zh) for one in (card.listing for card in cards)]

    http.take(
        app,
        clones_routes.router(services.clones, services.teaching),
        mcp_routes.registry_router(shelf.everything, shelf.one, shelf.take),
        mcp_routes.router(services.tools),
        oauth_routes.router(services.oauth, settings.city_name),
        oauth_routes.apps_router(services.oauth),
        trials_routes.router(services.routines.trials),
        workflows_routes.router(services.routines.workflows, settings.url),
        starters_routes.router(services.starters),
        webhooks_routes.router(services.webhooks),
        content_routes.router(services.hub.content, services.hub.labels, services.gateway.receipt),
        agents_routes.router(
            services.agents, services.identity, url=settings.url, city=settings.city_name, version=__version__,
            directory=directory, draft=services.routines.draft, named=_names(services),
            ask_refund=services.moves.ask_run_refund,
        ),
    )  # fmt: skip


def _names(services: Services) -> Named:
    async def named(org_id: UUID) -> str:
        return (await services.identity.orgs.get(org_id)).name

    return named
