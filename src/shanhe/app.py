"""The composition root: the one place where modules meet. No rule, no query, no state of its own."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Final, Literal

from shanhe.agents.api import Agents
from shanhe.agora import open_board
from shanhe.alliances.api import Alliances
from shanhe.approvals.api import Approvals
from shanhe.bazaar import open_bazaar, paid_out
from shanhe.board.api import Board
from shanhe.books import Books
from shanhe.bulletin.api import Bulletin
from shanhe.clones.api import Clones, Teaching
from shanhe.commons import Commons, open_commons
from shanhe.compute.api import Compute, Decision
from shanhe.conduct import Conduct, open_filings
from shanhe.credentials.api import Credentials
from shanhe.credits.api import Credits
from shanhe.drawers import Guardians, drawers_of
from shanhe.emergency import Emergency, open_emergency
from shanhe.exchange.api import Exchange
from shanhe.facts.api import Facts, RelationTerms
from shanhe.filings.api import Filings
from shanhe.gateway.api import Gateway
from shanhe.governance.api import Governance
from shanhe.hub import Hub, open_hub
from shanhe.identity.api import Identity, OidcSettings, Options, SecondFactor
from shanhe.incubator.api import Incubator
from shanhe.kernel.clock import Clock, SystemClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.jobs import Jobs
from shanhe.kernel.metrics import Metrics
from shanhe.kernel.notify import EmailSender, Notifier, Sender, WebhookSender
from shanhe.kernel.outbox import Outbox
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Feed, Ledger, LotTerms, Provenance
from shanhe.library import Library, open_library
from shanhe.log.api import Log
from shanhe.mcp.api import McpFace, ToolGateway
from shanhe.moves import Moves
from shanhe.nomads.api import Nomads
from shanhe.oauth.api import OAuth
from shanhe.payments.api import BankDesk, Bills, Payments, Payouts, Sandbox
from shanhe.pool.api import Pool
from shanhe.privacy.api import Privacy
from shanhe.programmes.api import Programmes
from shanhe.promises import open_promises
from shanhe.reconcile.api import Checks, Reconciliation
from shanhe.relatives import Relatives
from shanhe.routines import Routines, open_routines
from shanhe.rulebook.api import Amendments, Rulebook, load_amended
from shanhe.settings import Settings
from shanhe.store.api import Contests, Earnings, Ranks, Store
from shanhe.tariffs import COST_RULES, PRICING_RULES, rule_of_class
from shanhe.treasury import open_treasury
from shanhe.workshop import Workshop, open_workshop

Role = Literal["gateway", "jobs", "cli"]
"""What a process is for: calls and console, what repeats, or one command."""
PRICE_RULE, LIST_PRICE = "P1", "list_price_fen"
NODE_AUDIT_RULE: Final = "P10_node_audit"
RETENTION_RULE: Final = "P9_retention"
CAPITAL_AWARD: Final = "incubator_subsidy"
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
    emergency: Emergency
    commons: Commons
    board: Board
    hub: Hub
    bulletin: Bulletin
    moves: Moves
    filings: Filings


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
        services = _connect(settings, role, db, clock, await load_amended(db))
        await _start(services, stack)
        yield services


def _connect(settings: Settings, role: Role, db: Database, clock: Clock, rulebook: Rulebook) -> Services:
    """Make the modules and hand each what it needs; nothing runs yet."""
    vault = Vault(settings.data / "keys", root_key=_root_key(settings.vault_key))
    metrics = Metrics(settings.worker if role != "cli" else "cli")
    outbox, jobs = Outbox(db, clock), Jobs(db)
    terms = _lot_terms(rulebook, clock.today())
    ledger = Ledger(db, clock, worker=metrics.worker, workers=settings.workers, terms=terms)
    log = Log(
        db, clock, vault, data=settings.data, origin=lambda: log_origin(settings), feed=Feed(db), worker=metrics.worker,
    )  # fmt: skip
    identity = Identity(db, clock, vault, _identity_options(settings), announce=outbox.emit)
    retention = partial(rulebook.parameter, RETENTION_RULE)
    privacy = Privacy(db, clock, vault, identity=identity, parameter=retention)
    facts = Facts(db, clock, vault, _relation_terms(rulebook, clock.today()), privacy)
    guardians = Guardians(clock, facts, retention)
    identity.consents.minors(guardians.is_child)
    relatives = Relatives(identity, facts, clock)
    books = Books(identity, relatives, facts, clock, settings.webhook_url)
    notifier = Notifier(db, clock, senders=_senders(settings, clock), addresses=books.addresses)
    compute = Compute(
        db, clock, data=settings.data, price_rule=partial(rule_of_class, rulebook, PRICING_RULES),
        cost_rule=partial(rule_of_class, rulebook, COST_RULES), upstream_key=settings.upstream_key,
        announce=outbox.emit, workers=settings.workers, sources=settings.sources, routing=settings.routing,
    )  # fmt: skip
    till = open_treasury(
        settings, db, clock, vault, ledger=ledger, rulebook=rulebook, related=relatives.related, seals=identity.seals,
    )  # fmt: skip
    payments = till.payments
    gateway = Gateway(
        db=db, clock=clock, ledger=ledger, rulebook=rulebook, identity=identity, compute=compute,
        registry=metrics.registry, related=relatives.related, referrer=relatives.referrer, weight=books.queue_weight,
    )  # fmt: skip
    pool = Pool(
        db, clock, compute=compute, ledger=ledger, data=settings.data, city=settings.city_name, worker=metrics.worker,
        registry=metrics.registry, parameter=lambda name, on: rulebook.parameter(NODE_AUDIT_RULE, name, on),
        withhold_rule=lambda facts, on: _ruled(rulebook, NODE_AUDIT_RULE, facts, on),
    )  # fmt: skip
    workshop = open_workshop(
        settings, db, clock, worker=metrics.worker, gateway=gateway, compute=compute, ledger=ledger,
        identity=identity, rulebook=rulebook, announce=outbox.emit,
    )  # fmt: skip
    books.gateway, books.notifier = gateway, notifier
    identity.keys.on_leak(trace=books.key_use, tell=books.tell_leak)
    approvals = Approvals(db, clock, samples=settings.demo, entry=log.record, seals=identity.seals)
    credits = Credits(
        db, clock, ledger=ledger, rulebook=rulebook, payments=payments, notifier=notifier, payer=books.payer,
        spent=books.spent, affected=books.affected, named=books.org_name, kind=books.org_kind,
        city_name=settings.city_name, approvals=approvals, end_orders=books.end_orders, seals=identity.seals,
    )  # fmt: skip
    books.credits = credits
    exchange = books.exchange = Exchange(
        db, clock, ledger=ledger, rulebook=rulebook, approvals=approvals, payments=payments,
        secret=vault.secret("exchange-auctions"), trader=books.trader, fee_discount=books.fee_discount,
        record=log.record, seals=identity.seals,
    )  # fmt: skip
    checks = Checks(gateway=gateway, compute=compute, ledger=ledger, payments=payments, bills=till.bills)
    reconciliation = Reconciliation(db, clock, ledger=ledger, rulebook=rulebook, checks=checks)
    promises = open_promises(
        settings, db, clock, vault, ledger=ledger, rulebook=rulebook, facts=facts, identity=identity, privacy=privacy,
        notifier=notifier, outbox=outbox, log=log, approvals=approvals, gateway=gateway, relatives=relatives,
        books=books, workshop=workshop,
    )  # fmt: skip
    programmes = promises.programmes
    library = open_library(
        settings, db, clock, gateway=gateway, compute=compute, identity=identity, worker=metrics.worker
    )
    clones = Clones(db, clock, vault, identity=identity)
    bazaar = open_bazaar(
        settings, db, clock, vault, gateway=gateway, ledger=ledger, rulebook=rulebook, compute=compute,
        identity=identity, programmes=programmes, named=books.org_name, related=relatives.related,
        akin=relatives.akin, shelves=library.shelves, clones=clones, workshop=workshop,
        knowledge=library.knowledge,
    )  # fmt: skip
    board = open_board(
        db, clock, gateway=gateway, compute=compute, identity=identity, notifier=notifier, programmes=programmes,
        rulebook=rulebook, named=books.org_name, related=relatives.related,
    )  # fmt: skip
    promises.meet(bazaar, board)
    commons = open_commons(
        db, clock, vault, ledger=ledger, gateway=gateway, rulebook=rulebook, identity=identity, notifier=notifier,
        log=log, relatives=relatives, books=books, promises=promises, bazaar=bazaar, workshop=workshop,
    )  # fmt: skip
    filings = open_filings(
        db, clock, vault, rulebook=rulebook, identity=identity, notifier=notifier, gateway=gateway, log=log,
        relatives=relatives,
    )  # fmt: skip
    bazaar.file(Conduct(filings))
    routines = open_routines(
        db, clock, vault, gateway=gateway, identity=identity, bazaar=bazaar, log=log, worker=metrics.worker
    )
    emergency = open_emergency(
        db, clock, rulebook=rulebook, identity=identity, notifier=notifier, log=log, approvals=approvals,
        relatives=relatives, programmes=programmes, payouts=till.payouts, ledger=ledger,
    )  # fmt: skip
    promises.watch(emergency, filings)
    hub = open_hub(
        settings, db, clock, vault, gateway=gateway, compute=compute, identity=identity, facts=facts,
        rulebook=rulebook, worker=metrics.worker,
    )  # fmt: skip
    services = Services(
        settings=settings, role=role, db=db, clock=clock, vault=vault, metrics=metrics, jobs=jobs, outbox=outbox,
        notifier=notifier, rulebook=rulebook, amendments=promises.amendments, ledger=ledger, log=log, identity=identity,
        facts=facts, privacy=privacy, approvals=approvals, credentials=promises.credentials, compute=compute,
        payments=payments, sandbox=till.sandbox, bank=till.bank, payouts=till.payouts, bills=till.bills,
        reconciliation=reconciliation, credits=credits, exchange=exchange, gateway=gateway, programmes=programmes,
        governance=promises.governance, nomads=promises.nomads, pool=pool, store=bazaar.store, agents=bazaar.agents,
        tools=bazaar.tools, mcp=bazaar.mcp, oauth=bazaar.oauth, contests=bazaar.contests, ranks=bazaar.ranks,
        earnings=Earnings(bazaar.store, gateway, ledger, payouts=paid_out(till.payouts)), workshop=workshop,
        library=library, alliances=promises.alliances, incubator=promises.incubator, clones=clones,
        teaching=bazaar.teaching, routines=routines, emergency=emergency, commons=commons, board=board, hub=hub,
        bulletin=bazaar.bulletin,
        moves=Moves(clock, approvals, credits, ledger, identity.seals),
        filings=filings,
    )  # fmt: skip
    privacy.connect(notifier, drawers_of(services), guardians.is_guardian)
    return services


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


def _lot_terms(rulebook: Rulebook, today: date) -> LotTerms:
    """What the rulebook says of lots: burn order (C12), expiry (C11), lock (C6), how long income is pending (P10)."""
    order = rulebook.parameter("C12", "order", today)
    expiring = rulebook.parameter("C11", "expiring", today)
    months = {Provenance(name): int(rulebook.parameter("C11", f"{name}_months", today)) for name in expiring}
    return LotTerms(
        burn_order=tuple(Provenance(name) for name in order),
        income_expiry_months=months,
        income_lock_months=int(rulebook.parameter("C6", "lock_months", today)),
        income_pending_days=int(rulebook.parameter("P10", "income_pending_days", today)),
    )


def _relation_terms(rulebook: Rulebook, today: date) -> RelationTerms:
    """What makes two parties count as one (R0)."""
    return RelationTerms(
        ownership_bps=int(rulebook.parameter("R0", "common_ownership", today)),
        referral_months=int(rulebook.parameter("R0", "referral_months", today)),
    )


def _ruled(rulebook: Rulebook, rule: str, facts: Any, on: date) -> Decision:
    return rulebook.evaluate(rule, facts, on=on)


def log_origin(settings: Settings) -> str:
    """The log's name: the address it is published at, without the scheme (tlog-tiles). Asked for once in its life."""
    return settings.url.partition("://")[2] + "/log"


def _identity_options(settings: Settings) -> Options:
    oidc = None
    if settings.oidc_issuer:
        oidc = OidcSettings(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret)
    relaxed = settings.second_factor == "optional" or (settings.second_factor == "auto" and settings.demo)
    factor = SecondFactor.OPTIONAL if relaxed else SecondFactor.REQUIRED
    return Options(url=settings.url, city_name=settings.city_name, second_factor=factor, oidc=oidc)


def _senders(settings: Settings, clock: Clock) -> list[Sender]:
    senders: list[Sender] = []
    if settings.smtp_url:
        senders.append(EmailSender(settings.smtp_url, settings.mail_from, settings.url))
    if settings.webhook_url:
        senders.append(WebhookSender(settings.webhook_secret, clock))
    return senders


def _root_key(text: str) -> bytes | None:
    if not text:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Invalid(
            "bad_vault_key",
            "SHANHE_VAULT_KEY is not base64.",
            message_zh="SHANHE_VAULT_KEY 不是 base64。",
            hint="Make one with: openssl rand -base64 32",
        ) from error


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
