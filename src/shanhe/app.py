"""The composition root: the one place where modules meet. No rule, no query, no state of its own."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any, Final, Literal
from uuid import UUID

from shanhe.agents.api import Agents
from shanhe.alliances.api import Alliances
from shanhe.approvals.api import Approvals
from shanhe.bazaar import open_bazaar, paid_out
from shanhe.books import Books
from shanhe.clones.api import Clones, Teaching
from shanhe.compute.api import PRICE_TOPIC, Compute, Decision
from shanhe.credentials.api import Credentials
from shanhe.credits.api import Credits, PriceChange
from shanhe.credits.api import daily as credits_daily
from shanhe.credits.api import tick as credits_tick
from shanhe.drawers import Guardians, drawers_of
from shanhe.erasure import follow_erasures
from shanhe.exchange.api import Exchange
from shanhe.exchange.api import tick as exchange_tick
from shanhe.facts.api import Facts, RelationTerms
from shanhe.gateway.api import Gateway
from shanhe.governance.api import Governance
from shanhe.governance.api import tick as governance_tick
from shanhe.identity.api import Identity, OidcSettings, Options, SecondFactor
from shanhe.incubator.api import Incubator
from shanhe.incubator.api import tick as incubator_tick
from shanhe.kernel.clock import Clock, SystemClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.jobs import Jobs
from shanhe.kernel.metrics import Metrics
from shanhe.kernel.notify import EmailSender, Notifier, Sender, WebhookSender
from shanhe.kernel.outbox import Event, Outbox
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Feed, Ledger, LotTerms, Provenance
from shanhe.library import Library, open_library, renew_guide
from shanhe.log.api import Log, LogGauges
from shanhe.log.api import tick as log_tick
from shanhe.mcp.api import McpFace, ToolGateway
from shanhe.measures import Measures, Tuned
from shanhe.nomads.api import ISSUED_TOPIC, Nomads
from shanhe.nomads.api import tick as nomads_tick
from shanhe.oauth.api import OAuth
from shanhe.oversight import Accepted, Counts, Deadlines, Trialled, members_of_lab
from shanhe.payments.api import BankDesk, Bills, Payments, Payouts, Sandbox
from shanhe.payments.api import tick as payments_tick
from shanhe.places import PLACES
from shanhe.pool.api import Pool
from shanhe.privacy.api import Privacy, Resealing
from shanhe.privacy.api import daily as privacy_daily
from shanhe.programmes.api import AlreadyClaimed, Programmes
from shanhe.programmes.api import tick as programmes_tick
from shanhe.ranking import Ranking
from shanhe.reconcile.api import Checks, Reconciliation
from shanhe.relatives import Relatives
from shanhe.routines import Routines, open_routines
from shanhe.rulebook.api import Amendments, Rulebook, load_amended
from shanhe.settings import Settings
from shanhe.store.api import Contests, Earnings, Ranks, Store
from shanhe.studio.api import DEPLOYED_TOPIC
from shanhe.tariffs import COST_RULES, PRICING_RULES, rule_of_class
from shanhe.treasury import open_treasury
from shanhe.workshop import Workshop, ask_for_subsidies, open_workshop

Role = Literal["gateway", "jobs", "cli"]
"""What a process is for: calls and console, what repeats, or one command."""
PRICE_RULE, LIST_PRICE = "P1", "list_price_fen"
NODE_AUDIT_RULE: Final = "P10_node_audit"
RETENTION_RULE: Final = "P9_retention"
NOMAD_CREDITS: Final = "nomad_credits"
CAPITAL_AWARD: Final = "incubator_subsidy"
CLI_POOL: Final = 2
EVERY_2_S: Final = "* * * * * */2"
EVERY_5_S: Final = "* * * * * */5"
EVERY_MINUTE: Final = "* * * * *"
HOURLY: Final = "7 * * * *"
NIGHTLY: Final = "20 19 * * *"
"""03:20 in the city, in UTC as the queue counts."""


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
        db,
        clock,
        vault,
        data=settings.data,
        origin=lambda: log_origin(settings),
        feed=Feed(db),
        worker=metrics.worker,
    )
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
        db,
        clock,
        data=settings.data,
        price_rule=partial(rule_of_class, rulebook, PRICING_RULES),
        cost_rule=partial(rule_of_class, rulebook, COST_RULES),
        upstream_key=settings.upstream_key,
        announce=outbox.emit,
        workers=settings.workers,
        sources=settings.sources,
        routing=settings.routing,
    )
    till = open_treasury(
        settings, db, clock, vault, ledger=ledger, rulebook=rulebook, related=relatives.related, seals=identity.seals,
    )  # fmt: skip
    payments = till.payments
    gateway = Gateway(
        db=db,
        clock=clock,
        ledger=ledger,
        rulebook=rulebook,
        identity=identity,
        compute=compute,
        registry=metrics.registry,
        related=relatives.related,
        referrer=relatives.referrer,
        weight=books.queue_weight,
    )
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
        db,
        clock,
        ledger=ledger,
        rulebook=rulebook,
        payments=payments,
        notifier=notifier,
        payer=books.payer,
        spent=books.spent,
        affected=books.affected,
        named=books.org_name,
        kind=books.org_kind,
        city_name=settings.city_name,
        approvals=approvals,
        end_orders=books.end_orders,
        seals=identity.seals,
    )
    books.credits = credits
    exchange = books.exchange = Exchange(
        db,
        clock,
        ledger=ledger,
        rulebook=rulebook,
        approvals=approvals,
        payments=payments,
        secret=vault.secret("exchange-auctions"),
        trader=books.trader,
        fee_discount=books.fee_discount,
        record=log.record,
        seals=identity.seals,
    )
    checks = Checks(gateway=gateway, compute=compute, ledger=ledger, payments=payments, bills=till.bills)
    reconciliation = Reconciliation(db, clock, ledger=ledger, rulebook=rulebook, checks=checks)
    measures = Measures(clock, ledger, gateway, facts)
    list_price = partial(rulebook.parameter, PRICE_RULE, LIST_PRICE)
    tuned = Tuned(clock, workshop.studio.standing, gateway, related=relatives.related, price=list_price)
    ranking = Ranking(gateway, facts, identity, rulebook, relatives.related)
    programmes = Programmes(
        db,
        clock,
        vault,
        ledger=ledger,
        rulebook=rulebook,
        facts=facts,
        identity=identity,
        notifier=notifier,
        announce=outbox.emit,
        measures=measures.all() | tuned.all(),
        count=ranking.count,
        entry=log.record,
        eyes=approvals,
    )
    measures.subsidised = partial(programmes.since, CAPITAL_AWARD)
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
    ranking.listings = bazaar.names_of
    books.standings = programmes.standings
    alliances = books.alliances = Alliances(
        db, clock, rulebook=rulebook, notifier=notifier, related=relatives.related, company=books.company,
        titles={"dataset": workshop.dataset_title, "model": workshop.model_title},
    )  # fmt: skip
    incubator = Incubator(
        db, clock, ledger=ledger, rulebook=rulebook, facts=facts, notifier=notifier,
        adviser=programmes.standings.benefits,
    )  # fmt: skip
    workshop.datasets.shared = alliances.datasets_for
    measures.won, measures.stood = bazaar.contests.won, bazaar.ranks.stood
    routines = open_routines(
        db, clock, vault, gateway=gateway, identity=identity, bazaar=bazaar, log=log, worker=metrics.worker
    )
    credentials = Credentials(db, clock, vault, url=settings.url)
    nomads = Nomads(
        db, clock, vault, ledger=ledger, rulebook=rulebook, facts=facts, identity=identity, credentials=credentials,
        notifier=notifier, announce=outbox.emit, record=log.record, url=settings.url, city=settings.city_name,
    )  # fmt: skip
    amendments = Amendments(db, clock, rulebook, approvals, entry=log.record)
    deadlines = Deadlines(clock, programmes, privacy)
    governance = Governance(
        db, clock, vault, rulebook=rulebook, amendments=amendments, notifier=notifier, record=log.record,
        measures=Counts(facts, gateway).all(),
        work={"applications": deadlines.applications, "privacy": deadlines.requests},
        outcomes=Trialled(facts, gateway, identity).all(), treated=partial(members_of_lab, facts),
        follow={"infeasibility": Accepted(clock, facts, programmes, rulebook).infeasibility},
    )  # fmt: skip
    services = Services(
        settings=settings,
        role=role,
        db=db,
        clock=clock,
        vault=vault,
        metrics=metrics,
        jobs=jobs,
        outbox=outbox,
        notifier=notifier,
        rulebook=rulebook,
        amendments=amendments,
        ledger=ledger,
        log=log,
        identity=identity,
        facts=facts,
        privacy=privacy,
        approvals=approvals,
        credentials=credentials,
        compute=compute,
        payments=payments,
        sandbox=till.sandbox,
        bank=till.bank,
        payouts=till.payouts,
        bills=till.bills,
        reconciliation=reconciliation,
        credits=credits,
        exchange=exchange,
        gateway=gateway,
        programmes=programmes,
        governance=governance,
        nomads=nomads,
        pool=pool,
        store=bazaar.store,
        agents=bazaar.agents,
        tools=bazaar.tools,
        mcp=bazaar.mcp,
        oauth=bazaar.oauth,
        contests=bazaar.contests,
        ranks=bazaar.ranks,
        earnings=Earnings(bazaar.store, gateway, ledger, payouts=paid_out(till.payouts)),
        workshop=workshop,
        library=library,
        alliances=alliances,
        incubator=incubator,
        clones=clones,
        teaching=bazaar.teaching,
        routines=routines,
    )
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
    if services.role == "jobs":
        stack.push_async_callback(services.log.close)
    if services.role != "cli":
        services.amendments.follow()
        copying = asyncio.create_task(services.metrics.run(services.db, services.clock))
        stack.push_async_callback(_cancelled, copying)


def register_jobs(services: Services) -> None:
    """Say what the jobs process repeats and which events it delivers to whom."""
    jobs, outbox = services.jobs, services.outbox
    jobs.every("payments.tick", EVERY_5_S, lambda: _payments_tick(services))
    jobs.every("credits.tick", EVERY_5_S, lambda: credits_tick(services.credits))
    jobs.every("exchange.tick", EVERY_5_S, lambda: exchange_tick(services.exchange))
    jobs.every("notices.send", EVERY_5_S, services.notifier.send_due)
    gauges = LogGauges(services.metrics.registry)
    jobs.every("log.seal", EVERY_2_S, lambda: log_tick(services.log, gauges))
    jobs.every("log.purge", NIGHTLY, services.log.purge)
    jobs.every("ledger.sweep", EVERY_5_S, lambda: _sweep(services))
    jobs.every("programmes.tick", EVERY_MINUTE, lambda: programmes_tick(services.programmes))
    jobs.every("governance.tick", EVERY_MINUTE, lambda: governance_tick(services.governance))
    jobs.every("nomads.tick", EVERY_MINUTE, lambda: nomads_tick(services.nomads))
    jobs.every("incubator.tick", EVERY_MINUTE, lambda: incubator_tick(services.incubator))
    jobs.every("ranks.tick", HOURLY, services.ranks.tick)
    jobs.every("contests.pay", EVERY_MINUTE, services.contests.pay_due)
    jobs.every("approvals.sweep", HOURLY, services.approvals.sweep)
    jobs.every("agents.sweep", HOURLY, services.agents.sweep)
    jobs.every("clones.tick", EVERY_MINUTE, services.clones.tick)
    jobs.every("rulebook.show", HOURLY, services.amendments.show)
    jobs.every("credits.daily", HOURLY, lambda: credits_daily(services.credits))
    jobs.every("identity.purge", HOURLY, services.identity.purge)
    jobs.every("privacy.daily", HOURLY, lambda: privacy_daily(services.privacy))
    resealing = Resealing(services.db, services.clock, services.identity.seals, PLACES)
    jobs.every("privacy.reseal", HOURLY, lambda: _reseal(services, resealing))
    jobs.every("pool.place", HOURLY, services.pool.planner.apply)
    jobs.every("pool.sweep", EVERY_5_S, services.pool.sweep)
    jobs.every("agents.purge", NIGHTLY, services.agents.purge)
    jobs.every("workflows.tick", EVERY_MINUTE, services.routines.workflows.tick)
    jobs.every("workflows.purge", NIGHTLY, services.routines.workflows.purge)
    jobs.every("tools.purge", NIGHTLY, services.tools.purge)
    jobs.every("oauth.purge", NIGHTLY, services.oauth.purge)
    jobs.every("batches.tick", EVERY_5_S, services.workshop.batches.tick)
    jobs.every("studio.settle", EVERY_MINUTE, services.workshop.studio.settle)
    jobs.every("studio.tidy", NIGHTLY, services.workshop.studio.tidy)
    jobs.every("knowledge.guide", NIGHTLY, lambda: _renew_guide(services))
    jobs.every("outbox.purge", NIGHTLY, services.outbox.purge)
    jobs.every("notices.purge", NIGHTLY, services.notifier.purge)
    jobs.every("engines.count", EVERY_MINUTE, services.compute.counts.read)
    jobs.every("reconcile.nightly", NIGHTLY, lambda: _reconcile(services))

    async def prices_changed(event: Event) -> None:
        payload = event.payload
        await services.credits.alerts.announce_prices(
            PriceChange(payload["model"], date.fromisoformat(payload["valid_from"]), payload["old"], payload["new"])
        )

    outbox.subscribe(PRICE_TOPIC, "credits.alerts", prices_changed)
    follow_erasures(outbox, services)
    outbox.subscribe(DEPLOYED_TOPIC, "programmes.tuned", partial(ask_for_subsidies, services.programmes))
    outbox.subscribe(ISSUED_TOPIC, "programmes.nomad_credits", lambda event: nomad_credits(services, event))


async def nomad_credits(services: Services, event: Event) -> None:
    """Who gets the ID has the yearly credits (N5) coming, without another form; the award renews by itself."""
    if event.payload["kind"] != "issue":
        return
    person_id, card = UUID(event.payload["person_id"]), event.payload["card"]
    org = await services.identity.orgs.create_personal(person_id, by="nomads")
    with contextlib.suppress(AlreadyClaimed):  # applied for by hand, or this year's are paid
        await services.programmes.applying.apply(
            NOMAD_CREDITS, org.id, answers={}, evidence={}, client_ref=f"nomad:{card}", actor="nomads"
        )


async def _renew_guide(services: Services) -> bool:
    """The city's guide answers from the rules as they are today."""
    return await renew_guide(
        services.library.knowledge, services.rulebook, services.programmes.catalogue, services.clock.today()
    )


async def _payments_tick(services: Services) -> int:
    return await payments_tick(services.payments, services.sandbox, services.bank, services.payouts)


async def _reseal(services: Services, resealing: Resealing) -> int:
    """Rows first, then what has a way of its own: numbers of documents, marks of places, statements, data sets."""
    sealed = await resealing.run()
    sealed += await services.facts.reseal() + await services.nomads.venues.reseal()
    return sealed + await services.bank.reseal() + await services.workshop.datasets.reseal()


async def _sweep(services: Services) -> int:
    done = await services.ledger.sweep()
    return done.holds + done.leases + done.lots


async def _reconcile(services: Services) -> int:
    """Compare first: rebuilding the meter's sums from the ledger would hide that they had differed."""
    run = await services.reconciliation.run()
    await _rebuild_usage(services)
    return run.differences


async def _rebuild_usage(services: Services) -> int:
    return await services.gateway.rebuild_usage(services.clock.today() - timedelta(days=1))


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
