"""The desk over the real modules: translates their records into what pages show, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from shanhe.console.live.arrivals import LiveArrivals
from shanhe.console.live.board import LiveBoard
from shanhe.console.live.books import LiveBooks
from shanhe.console.live.bulletin import LiveBulletin
from shanhe.console.live.city import LiveCity
from shanhe.console.live.clones import LiveClones
from shanhe.console.live.commons import LiveCommons
from shanhe.console.live.company import LiveCompany
from shanhe.console.live.conduct import LiveConduct
from shanhe.console.live.connect import LiveConnect
from shanhe.console.live.content import LiveContent
from shanhe.console.live.contests import LiveContests
from shanhe.console.live.counter import LiveCounter
from shanhe.console.live.exchange import LiveExchange
from shanhe.console.live.gate import LiveGate
from shanhe.console.live.governance import LiveGovernance
from shanhe.console.live.house import LiveHouse
from shanhe.console.live.knowledge import LiveKnowledge
from shanhe.console.live.known import LiveKnown
from shanhe.console.live.member import LiveMember
from shanhe.console.live.modules import Modules, Names
from shanhe.console.live.nomads import LiveNomads
from shanhe.console.live.pool import LivePool
from shanhe.console.live.promises import LivePromises
from shanhe.console.live.proofs import LiveProofs
from shanhe.console.live.rights import LiveRights
from shanhe.console.live.routines import LiveRoutines
from shanhe.console.live.rules import LiveRules, unfit
from shanhe.console.live.second import LiveSecond
from shanhe.console.live.shop import LiveShop
from shanhe.console.live.starters import LiveStarters
from shanhe.console.live.talk import LiveTalk
from shanhe.console.live.till import LiveTill
from shanhe.console.live.treasury import LiveTreasury
from shanhe.console.live.watch import LiveWatch
from shanhe.console.live.webhooks import LiveWebhooks
from shanhe.console.live.workshop import LiveWorkshop
from shanhe.console.ports import Desk

Ready = Callable[[], Awaitable[Mapping[str, str]]]


def open_desk(modules: Modules, *, ready: Ready, version: str) -> Desk:
    """A desk over the modules; `ready` tells what of the process works (`up`, `down`, `off`)."""
    budgets = {name: (one.zh, one.en) for name, one in modules.programmes.catalogue.budgets.items()}
    names = Names(modules.identity, modules.ledger, budgets)
    return Desk(
        gate=LiveGate(
            modules.identity,
            modules.notifier,
            modules.emergency.glass,
            modules.programmes.reviewing.departments,
            partial(unfit, modules.rulebook),
        ),
        handover=modules.identity.handovers,
        member=LiveMember(modules, names),
        till=LiveTill(modules.credits, modules.payments),
        counter=LiveCounter(modules, names),
        talk=LiveTalk(modules),
        rules=LiveRules(modules.rulebook, modules.clock),
        city=LiveCity(modules, names, ready),
        books=LiveBooks(modules, names),
        proofs=LiveProofs(modules),
        promises=LivePromises(modules.programmes, modules.identity, names),
        rights=LiveRights(modules),
        governance=LiveGovernance(modules),
        nomads=LiveNomads(modules.nomads, modules.identity),
        exchange=LiveExchange(modules.exchange, modules.by_hand, modules.identity, names),
        treasury=LiveTreasury(modules, names),
        shop=LiveShop(modules, names),
        workshop=LiveWorkshop(modules.workshop, modules.compute),
        pool=LivePool(modules.pool, modules.withheld),
        knowledge=LiveKnowledge(modules.library),
        connect=LiveConnect(modules),
        company=LiveCompany(modules),
        contests=LiveContests(modules),
        clones=LiveClones(modules),
        routines=LiveRoutines(modules),
        starters=LiveStarters(modules),
        webhooks=LiveWebhooks(modules),
        watch=LiveWatch(modules),
        board=LiveBoard(modules),
        content=LiveContent(modules),
        commons=LiveCommons(modules),
        bulletin=LiveBulletin(modules.bulletin),
        second=LiveSecond(modules, names),
        conduct=LiveConduct(modules),
        house=LiveHouse(modules),
        known=LiveKnown(modules, names),
        arrivals=LiveArrivals(modules.identity),
        secure=modules.identity.options.secure,
        version=version,
    )
