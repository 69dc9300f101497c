"""The composition root: the one place where modules meet. No rule, no query, no state of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from shanhe.agents.api import Agents
from shanhe.alliances.api import Alliances
from shanhe.approvals.api import Approvals
from shanhe.board.api import Board
from shanhe.bulletin.api import Bulletin
from shanhe.clones.api import Clones, Teaching
from shanhe.compute.api import Compute, EngineGauges
from shanhe.credentials.api import Credentials
from shanhe.credits.api import Credits
from shanhe.exchange.api import Exchange
from shanhe.facts.api import Facts
from shanhe.filings.api import Filings
from shanhe.gateway.api import Gateway, traces_to
from shanhe.governance.api import Governance
from shanhe.identity.api import Identity
from shanhe.incubator.api import Incubator
from shanhe.kernel.clock import Clock, SystemClock
from shanhe.kernel.db import Database
from shanhe.kernel.jobs import Jobs
from shanhe.kernel.metrics import Metrics
from shanhe.kernel.migrations import current
from shanhe.kernel.notify import Notifier
from shanhe.kernel.outbox import Outbox
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger
from shanhe.log.api import Log
from shanhe.mcp.api import McpFace, ToolGateway
from shanhe.nomads.api import Nomads
from shanhe.oauth.api import OAuth
from shanhe.payments.api import BankDesk, Bills, Payments, Payouts, Sandbox
from shanhe.pool.api import Pool, terms_of
from shanhe.privacy.api import Privacy
from shanhe.programmes.api import Programmes
from shanhe.reconcile.api import Checks, Reconciliation
from shanhe.rulebook.api import Amendments, Rulebook, open_rulebook
from shanhe.settings import Settings
from shanhe.starters.api import Starters
from shanhe.store.api import Contests, Earnings, Ranks, Store
from shanhe.webhooks.api import Webhooks
from shanhe.wiring.board import open_board
from shanhe.wiring.break_glass import Emergency, open_emergency
from shanhe.wiring.by_hand import ByHand
from shanhe.wiring.closing import Closing
from shanhe.wiring.content import Hub, open_hub
from shanhe.wiring.filings import Conduct, open_filings
from shanhe.wiring.knowledge import Library, open_library
from shanhe.wiring.leavings import Leavings
from shanhe.wiring.moves import Moves
from shanhe.wiring.payments import Treasury, open_treasury, tell_makers
from shanhe.wiring.personal_copy import drawers_of
from shanhe.wiring.programmes import open_promises
from shanhe.wiring.research import Commons, open_commons
from shanhe.wiring.rulings import Rulings
from shanhe.wiring.starters import open_starters
from shanhe.wiring.statements import TakingIn
from shanhe.wiring.store import Bazaar, open_bazaar, paid_out
from shanhe.wiring.stray_money import follow_stray_money
from shanhe.wiring.studio import Workshop, open_workshop
from shanhe.wiring.tariffs import COST_RULES, PRICING_RULES, rule_of_class
from shanhe.wiring.truths import Truths, open_truths
from shanhe.wiring.webhooks import open_webhooks
from shanhe.wiring.withheld import Withheld
from shanhe.wiring.workflows import Routines, open_routines

Role = Literal["gateway", "jobs", "cli"]
"""What a process is for: calls and console, what repeats, or one command."""
NODE_AUDIT_RULE: Final = "P10_node_audit"
CLI_POOL: Final = 2


@dataclass
class Services:
    """Every module of the city, opened and connected. Made by `open_services` only."""

    settings: Settings
    role: Role
    db: Database
    clock: Clock
    vault: Vault
    metrics: Metrics
    jobs: Jobs
    outbox: Outbox
    notifier: Notifier
    rulebook: Rulebook
    amendments: Amendments
    ledger: Ledger
    log: Log
    identity: Identity
    facts: Facts
    privacy: Privacy
    approvals: Approvals
    credentials: Credentials
    compute: Compute
    payments: Payments
    sandbox: Sandbox | None
    bank: BankDesk
    payouts: Payouts
    bills: Bills
    reconciliation: Reconciliation
    credits: Credits
    exchange: Exchange
    gateway: Gateway
    programmes: Programmes
    governance: Governance
    nomads: Nomads
    pool: Pool
    store: Store
    agents: Agents
    tools: ToolGateway
    mcp: McpFace
    oauth: OAuth
    contests: Contests
    ranks: Ranks
    earnings: Earnings
    workshop: Workshop
    library: Library
    alliances: Alliances
    incubator: Incubator
    clones: Clones
    teaching: Teaching
    routines: Routines
    starters: Starters
    emergency: Emergency
    commons: Commons
    board: Board
    hub: Hub
    bulletin: Bulletin
    moves: Moves
    rulings: Rulings
    taking_in: TakingIn
    by_hand: ByHand
    withheld: Withheld
    filings: Filings
    webhooks: Webhooks
    leavings: Leavings


@dataclass(frozen=True)
class Machine:
    """What serves calls, what takes and pays money, and what compares the two."""

    compute: Compute
    till: Treasury
    gateway: Gateway
    pool: Pool
    workshop: Workshop
    reconciliation: Reconciliation


@contextlib.asynccontextmanager
async def open_services(settings: Settings, role: Role, clock: Clock | None = None) -> AsyncIterator[Services]:
    """Open every module for one process and close them in the opposite order.

    `settings.database_url` must name the (migrated) database.
    """
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        size = CLI_POOL if role == "cli" else settings.db_pool
        db = await Database.open(settings.database_url, size=size)
        stack.push_async_callback(db.close)
        if role == "cli":
            await current(db)
        worker = "cli" if role == "cli" else settings.worker
        truths = open_truths(settings, worker, db, clock, await open_rulebook(db, clock))
        if truths.files is not None:
            stack.push_async_callback(truths.files.close)
        services = _connect(settings, role, truths)
        truths.privacy.connect(truths.notifier, drawers_of(services), truths.guardians.is_guardian)
        await _start(services, stack)
        yield services


def _connect(settings: Settings, role: Role, truths: Truths) -> Services:
    """Make the modules and hand each what it needs; nothing runs yet."""
    db, clock, vault, ledger, rulebook = truths.db, truths.clock, truths.vault, truths.ledger, truths.rulebook
    identity, log, notifier, approvals = truths.identity, truths.log, truths.notifier, truths.approvals
    relatives, books, worker = truths.relatives, truths.books, truths.metrics.worker
    machine = _machine(settings, truths)
    compute, gateway, till, workshop = machine.compute, machine.gateway, machine.till, machine.workshop
    credits, exchange = _market(settings, truths, machine)
    promises = open_promises(
        settings, db, clock, vault, ledger=ledger, rulebook=rulebook, facts=truths.facts, identity=identity,
        privacy=truths.privacy, notifier=notifier, outbox=truths.outbox, log=log, approvals=approvals, gateway=gateway,
        relatives=relatives, books=books, workshop=workshop, credits=credits, compute=compute,
    )  # fmt: skip
    library = open_library(
        settings, db, clock, gateway=gateway, compute=compute, identity=identity, worker=worker, shared=truths.files
    )
    bazaar = open_bazaar(
        settings, db, clock, vault, gateway=gateway, ledger=ledger, rulebook=rulebook, compute=compute,
        identity=identity, programmes=promises.programmes, named=books.org_name, related=relatives.related,
        akin=relatives.akin, notifier=notifier, shelves=library.shelves, workshop=workshop, knowledge=library.knowledge,
    )  # fmt: skip
    board = open_board(
        db, clock, gateway=gateway, compute=compute, identity=identity, notifier=notifier, rulebook=rulebook,
        programmes=promises.programmes, related=relatives.related,
    )  # fmt: skip
    promises.meet(bazaar, board)
    commons = open_commons(
        db, clock, vault, ledger=ledger, gateway=gateway, rulebook=rulebook, identity=identity, notifier=notifier,
        log=log, relatives=relatives, books=books, promises=promises, bazaar=bazaar, workshop=workshop,
    )  # fmt: skip
    filings = open_filings(
        db, clock, vault, rulebook=rulebook, identity=identity, notifier=notifier, gateway=gateway, log=log,
        relatives=relatives, store=bazaar.store,
    )  # fmt: skip
    bazaar.file(Conduct(filings))
    routines = open_routines(
        db, clock, vault, gateway=gateway, identity=identity, bazaar=bazaar, log=log, library=library,
        worker=worker,
    )  # fmt: skip
    starters = open_starters(settings, clock, compute=compute, bazaar=bazaar, routines=routines, library=library)
    webhooks = open_webhooks(settings, db, clock, vault, identity=identity, notifier=notifier, bazaar=bazaar)
    emergency = open_emergency(
        db, clock, rulebook=rulebook, identity=identity, notifier=notifier, log=log, approvals=approvals,
        relatives=relatives, programmes=promises.programmes, payouts=till.payouts, ledger=ledger,
    )  # fmt: skip
    promises.watch(emergency, filings)
    hub = _hub(settings, truths, machine)
    moves, rulings = _by_two(truths, machine, credits, bazaar)
    return Services(
        settings=settings, role=role, db=db, clock=clock, vault=vault, metrics=truths.metrics,
        jobs=Jobs(db, truths.metrics.registry), outbox=truths.outbox,
        notifier=notifier, rulebook=rulebook, amendments=promises.amendments, ledger=ledger,
        log=log, identity=identity, facts=truths.facts, privacy=truths.privacy, approvals=approvals,
        credentials=promises.credentials, compute=compute, payments=till.payments, sandbox=till.sandbox, bank=till.bank,
        payouts=till.payouts, bills=till.bills, reconciliation=machine.reconciliation, credits=credits,
        exchange=exchange, gateway=gateway, pool=machine.pool, programmes=promises.programmes, nomads=promises.nomads,
        governance=promises.governance, store=bazaar.store, agents=bazaar.agents, tools=bazaar.tools, mcp=bazaar.mcp,
        oauth=bazaar.oauth, contests=bazaar.contests, ranks=bazaar.ranks, workshop=workshop, library=library,
        earnings=Earnings(bazaar.store, gateway, ledger, payouts=paid_out(till.payouts)), alliances=promises.alliances,
        incubator=promises.incubator, clones=bazaar.clones, teaching=bazaar.teaching, routines=routines, hub=hub,
        starters=starters, emergency=emergency, commons=commons, board=board, bulletin=bazaar.bulletin, filings=filings,
        moves=moves, rulings=rulings, taking_in=TakingIn(clock, approvals, till.bank), webhooks=webhooks,
        by_hand=ByHand(
            clock, approvals, identity.seals, rulings, payouts=till.payouts, credits=credits, exchange=exchange
        ),
        withheld=Withheld(clock, approvals, rulings, machine.pool, relatives.akin),
        leavings=Leavings(identity, bazaar.oauth, webhooks, routines.workflows, clock),
    )  # fmt: skip


def _hub(settings: Settings, truths: Truths, machine: Machine) -> Hub:
    """Sensors, warnings and signals, which ask models and facts."""
    return open_hub(
        settings, truths.db, truths.clock, truths.vault, gateway=machine.gateway, compute=machine.compute,
        identity=truths.identity, facts=truths.facts, rulebook=truths.rulebook, worker=truths.metrics.worker,
    )  # fmt: skip


def _machine(settings: Settings, truths: Truths) -> Machine:
    """What serves calls and takes money."""
    db, clock, ledger, rulebook = truths.db, truths.clock, truths.ledger, truths.rulebook
    identity, relatives, books, metrics = truths.identity, truths.relatives, truths.books, truths.metrics
    compute = Compute(
        db, clock, data=settings.data, price_rule=partial(rule_of_class, rulebook, PRICING_RULES),
        cost_rule=partial(rule_of_class, rulebook, COST_RULES), upstream_key=settings.upstream_key,
        announce=truths.outbox.emit, workers=settings.workers, sources=settings.sources, routing=settings.routing,
    )  # fmt: skip
    EngineGauges(compute.statuses, metrics.registry)
    till = open_treasury(
        settings, db, clock, truths.vault, ledger=ledger, rulebook=rulebook, related=relatives.related,
        seals=identity.seals,
    )  # fmt: skip
    follow_stray_money(till.bank, till.payments, till.payouts, truths.notifier)
    tell_makers(till.payouts, truths.notifier)
    gateway = books.gateway = Gateway(
        db=db, clock=clock, ledger=ledger, rulebook=rulebook, identity=identity, compute=compute,
        registry=metrics.registry, related=relatives.related, referrer=relatives.referrer, weight=books.queue_weight,
        slates=settings.data / "run" / "fees", seals=identity.seals, keyed_hash=truths.vault.blind_index,
    )  # fmt: skip
    pool = Pool(
        db, clock, compute=compute, ledger=ledger, data=settings.data, city=settings.city_name, worker=metrics.worker,
        registry=metrics.registry, parameter=partial(rulebook.parameter, NODE_AUDIT_RULE),
        audit=rulebook.kept(lambda on: terms_of(lambda name: rulebook.parameter(NODE_AUDIT_RULE, name, on))),
        withhold_rule=lambda facts, on: rulebook.evaluate(NODE_AUDIT_RULE, facts, on=on), notifier=truths.notifier,
    )  # fmt: skip
    workshop = open_workshop(
        settings, db, clock, worker=metrics.worker, gateway=gateway, compute=compute, ledger=ledger,
        identity=identity, rulebook=rulebook, announce=truths.outbox.emit, shared=truths.files,
    )  # fmt: skip
    checks = Checks(gateway=gateway, compute=compute, ledger=ledger, payments=till.payments, bills=till.bills)
    reconciliation = Reconciliation(db, clock, ledger=ledger, rulebook=rulebook, checks=checks)
    return Machine(compute, till, gateway, pool, workshop, reconciliation)


def _market(settings: Settings, truths: Truths, machine: Machine) -> tuple[Credits, Exchange]:
    """Credits and where they are traded."""
    db, clock, ledger, rulebook, books = truths.db, truths.clock, truths.ledger, truths.rulebook, truths.books
    payments, seals = machine.till.payments, truths.identity.seals
    credits = books.credits = Credits(
        db, clock, ledger=ledger, rulebook=rulebook, payments=payments, notifier=truths.notifier, payer=books.payer,
        spent=books.spent, affected=books.affected, named=books.org_name, kind=books.org_kind,
        city_name=settings.city_name, approvals=truths.approvals, end_orders=books.end_orders, seals=seals,
    )  # fmt: skip
    exchange = books.exchange = Exchange(
        db, clock, ledger=ledger, rulebook=rulebook, approvals=truths.approvals, payments=payments,
        secret=truths.vault.secret("exchange-auctions"), trader=books.trader, fee_discount=books.fee_discount,
        record=truths.log.record, seals=seals,
    )  # fmt: skip
    return credits, exchange


def _by_two(truths: Truths, machine: Machine, credits: Credits, bazaar: Bazaar) -> tuple[Moves, Rulings]:
    """What operators do by hand when a second one agrees."""
    clock, approvals, seals = truths.clock, truths.approvals, truths.identity.seals
    moves = Moves(
        clock, approvals, credits, truths.ledger, seals, take_back=bazaar.agents.refund,
        reconciliation=machine.reconciliation,
        closing=Closing(truths.ledger, approvals, machine.till.bank, machine.till.payouts, machine.reconciliation),
    )  # fmt: skip
    rulings = Rulings(
        clock, approvals, seals, truths.rulebook, bank=machine.till.bank, disputes=credits.disputes, facts=truths.facts
    )
    return moves, rulings


async def _start(services: Services, stack: contextlib.AsyncExitStack) -> None:
    """Start what has a life of its own, in the order of who needs whom."""
    if services.role == "gateway":
        # Whoever had this name before has ended: the supervisor starts a name again only after its process is gone.
        await services.ledger.reclaim_worker(services.metrics.worker)
    await services.ledger.start()
    stack.push_async_callback(services.ledger.stop)
    await services.identity.start()
    stack.push_async_callback(services.identity.stop)
    stack.push_async_callback(services.exchange.stop)
    stack.push_async_callback(services.tools.stop)
    stack.push_async_callback(services.board.finding.stop)
    await services.compute.start(probe=services.role != "cli")
    stack.push_async_callback(services.compute.stop)
    if services.role == "gateway":
        if endpoint := services.settings.otlp_endpoint:
            services.gateway.trace(traces_to(
                endpoint, services.settings.otlp_headers, city=services.settings.city_name,
                worker=services.metrics.worker,
            ))  # fmt: skip
        await services.gateway.start()
        stack.push_async_callback(services.gateway.stop)
        stack.push_async_callback(services.mcp.stop)
        warming = asyncio.create_task(services.tools.warm())
        stack.push_async_callback(_cancelled, warming)
        await services.pool.start()
        stack.push_async_callback(services.pool.stop)
        await services.workshop.runner.start()
        stack.push_async_callback(services.workshop.runner.stop)
        await services.library.indexer.start()
        stack.push_async_callback(services.library.indexer.stop)
        await services.routines.runner.start()
        stack.push_async_callback(services.routines.runner.stop)
        await services.hub.runner.start()
        stack.push_async_callback(services.hub.runner.stop)
    if services.role == "jobs":
        stack.push_async_callback(services.log.close)
    if services.role != "cli":
        services.amendments.follow()
        copying = asyncio.create_task(services.metrics.run(services.db, services.clock))
        stack.push_async_callback(_cancelled, copying)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
