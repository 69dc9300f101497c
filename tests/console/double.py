"""A desk without modules behind it: believable figures, the same on every run, so pages can be drawn and looked at."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from tests.console.double_arrivals import Arrivals
from tests.console.double_board import Board
from tests.console.double_bulletin import Bulletin, SecondDesk
from tests.console.double_city import Books, City, Exchange, Proofs, Rules
from tests.console.double_clones import Clones
from tests.console.double_commons import Commons
from tests.console.double_company import Company
from tests.console.double_conduct import ConductDesk
from tests.console.double_connect import Connect
from tests.console.double_content import ContentDesk
from tests.console.double_contests import Contests
from tests.console.double_counter import Counter
from tests.console.double_gate import Gate, Handover
from tests.console.double_ground import COOKIE, MODEL, ORG, ident
from tests.console.double_house import House
from tests.console.double_knowledge import Knowledge
from tests.console.double_known import Known
from tests.console.double_member import Member, Talk, Till
from tests.console.double_nomads import NomadDesk
from tests.console.double_routines import Routines
from tests.console.double_shop import Shop
from tests.console.double_starters import StarterDesk
from tests.console.double_treasury import Treasury
from tests.console.double_watch import WatchDesk
from tests.console.double_webhooks import Webhooks
from tests.console.double_workshop import Pool, Workshop
from tests.console.governance import Governance
from tests.console.promises import Promises
from tests.console.rights import Rights

from shanhe.console.ports import Desk
from shanhe.console.routes import pages
from shanhe.kernel import http

__all__ = ["COOKIE", "MODEL", "ORG", "Gate", "app", "desk", "ident"]


def desk() -> Desk:
    member = Member()
    rights = (Rights(), Governance(), NomadDesk())
    public = (Talk(), Rules(), City(), Books(), Proofs(), Promises(), *rights)
    rest = (*public, Exchange(), Treasury(), Shop(), Workshop(), Pool(), Knowledge(), Connect(), Company(), Contests())
    rest = (*rest, Clones(), Routines(), WatchDesk(), Board(), ContentDesk(), Commons(), Bulletin(), SecondDesk())
    rest = (*rest, ConductDesk(), House(), Arrivals(), Webhooks(), Known(), StarterDesk())
    return Desk(Gate(), Handover(), member, Till(member), Counter(), *rest, version="0.1.0")


def app(of: Desk) -> Any:
    """The console as an ASGI application with the house's manners around it."""
    inner = FastAPI()
    router, error_page = pages(of)
    http.take(inner, router)
    http.install(inner, error_page=error_page)

    @inner.get("/boom")
    async def boom() -> None:
        raise RuntimeError("boom")

    return http.Manners(inner)
