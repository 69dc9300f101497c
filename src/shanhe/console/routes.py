"""All pages over one desk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Match

from shanhe.console.live import Ready, open_desk
from shanhe.console.live.modules import Modules
from shanhe.console.pages.arrivals import ArrivalsRoom
from shanhe.console.pages.base import SignInFirst
from shanhe.console.pages.board import BoardRoom
from shanhe.console.pages.books import BooksRoom
from shanhe.console.pages.bulletin import BulletinRoom
from shanhe.console.pages.city import CityRoom
from shanhe.console.pages.clones import ClonesRoom
from shanhe.console.pages.commons import CommonsRoom
from shanhe.console.pages.company import CompanyRoom
from shanhe.console.pages.conduct import ConductRoom
from shanhe.console.pages.connect import ConnectRoom
from shanhe.console.pages.content import ContentRoom
from shanhe.console.pages.contests import ContestRoom
from shanhe.console.pages.credits import CreditsDesk, CreditsRoom
from shanhe.console.pages.entrance import Entrance
from shanhe.console.pages.exchange import ExchangeRoom
from shanhe.console.pages.governance import GovernanceRoom
from shanhe.console.pages.house import HouseRoom
from shanhe.console.pages.keys import KeysRoom
from shanhe.console.pages.knowledge import KnowledgeRoom
from shanhe.console.pages.known import KnownRoom
from shanhe.console.pages.member import MemberRoom
from shanhe.console.pages.nomads import NomadDeskRoom, NomadRoom, VenueRoom
from shanhe.console.pages.pictures import PictureRoom
from shanhe.console.pages.play import PlayRoom
from shanhe.console.pages.pool import PoolRoom
from shanhe.console.pages.promises import PromisesRoom
from shanhe.console.pages.proofs import ProofRoom
from shanhe.console.pages.public import PublicRoom, error_page
from shanhe.console.pages.rights import RightsRoom
from shanhe.console.pages.routines import RoutinesRoom
from shanhe.console.pages.second import SecondRoom
from shanhe.console.pages.settings import SettingsRoom
from shanhe.console.pages.shop import ShopRoom
from shanhe.console.pages.starters import StartersRoom
from shanhe.console.pages.till import TillRoom
from shanhe.console.pages.treasury import TreasuryRoom
from shanhe.console.pages.trials import TrialsRoom
from shanhe.console.pages.watch import WatchRoom
from shanhe.console.pages.webhooks import WebhooksRoom
from shanhe.console.pages.workshop import WorkshopRoom
from shanhe.console.ports import Desk
from shanhe.console.render import View, words
from shanhe.console.sheets import Sheets
from shanhe.kernel import http
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.routing import APIRouter

ROOMS = (
    Entrance,
    MemberRoom,
    KeysRoom,
    TillRoom,
    CreditsRoom,
    CreditsDesk,
    PictureRoom,
    PlayRoom,
    ProofRoom,
    PromisesRoom,
    CompanyRoom,
    ContentRoom,
    RightsRoom,
    WatchRoom,
    ConductRoom,
    GovernanceRoom,
    NomadRoom,
    VenueRoom,
    NomadDeskRoom,
    SettingsRoom,
    HouseRoom,
    KnownRoom,
    ArrivalsRoom,
    PublicRoom,
    CityRoom,
    BooksRoom,
    ExchangeRoom,
    TreasuryRoom,
    ShopRoom,
    WorkshopRoom,
    PoolRoom,
    KnowledgeRoom,
    RoutinesRoom,
    StartersRoom,
    TrialsRoom,
    ConnectRoom,
    WebhooksRoom,
    BulletinRoom,
    SecondRoom,
    ContestRoom,
    BoardRoom,
    ClonesRoom,
    CommonsRoom,
)
NOT_FOR_READING = 405
ErrorPage = Callable[[Request, ShanheError], Awaitable[Response]]


def pages(desk: Desk) -> tuple[APIRouter, ErrorPage]:
    """A router with every page, and what turns an error into one (for `kernel.http.install`)."""
    view = View(desk)
    router = APIRouter()
    http.take(router, *(room(desk, view).routes() for room in ROOMS))

    async def show_error(request: Request, error: ShanheError) -> Response:
        if isinstance(error, SignInFirst):
            if "hx-request" in request.headers:
                return Response(status_code=200, headers={"hx-redirect": error.location})
            return RedirectResponse(error.location, status_code=303, headers={"cache-control": "no-store"})
        if error.status == NOT_FOR_READING and (above := _page_above(router, request)):
            return RedirectResponse(above, status_code=303, headers={"cache-control": "no-store"})
        return await error_page(view, request, error)

    return router, show_error


def _page_above(router: APIRouter, request: Request) -> str:
    """The page that a form's address belongs to, for whoever opens that address: a phone that has put a tab away asks
    for it anew. Empty for anything but a page asked for."""

    def shown(path: str) -> bool:
        scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
        return any(route.matches(scope)[0] is Match.FULL for route in router.routes)

    path = request.url.path
    if request.method != "GET":
        return ""
    while "/" in path[1:]:
        path = path.rpartition("/")[0]
        if shown(path):
            return path
    return ""


def router(services: Modules, *, ready: Ready, version: str = "") -> tuple[APIRouter, ErrorPage]:
    """The console over the city's modules. `ready` tells which parts of this process work, for the status page."""
    return pages(open_desk(services, ready=ready, version=version))


def word_sheets(app: Starlette) -> None:
    """Have CSV of the API speak the language that is asked for; see `sheets`."""
    app.add_middleware(Sheets, word=words().get)
