"""What the jobs process repeats, and which events it delivers to whom."""

from __future__ import annotations

import contextlib
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID

from shanhe.approvals.api import GlassGauges
from shanhe.approvals.api import tick as glass_tick
from shanhe.bulletin.api import as_markdown
from shanhe.compute.api import PRICE_TOPIC
from shanhe.credits.api import PriceChange
from shanhe.credits.api import daily as credits_daily
from shanhe.credits.api import tick as credits_tick
from shanhe.filings.api import purge as filings_purge
from shanhe.filings.api import tick as filings_tick
from shanhe.governance.api import simulate as governance_simulate
from shanhe.governance.api import tick as governance_tick
from shanhe.incubator.api import tick as incubator_tick
from shanhe.kernel.outbox import Event
from shanhe.log.api import LogGauges
from shanhe.log.api import tick as log_tick
from shanhe.nomads.api import ISSUED_TOPIC
from shanhe.nomads.api import tick as nomads_tick
from shanhe.payments.api import tick as payments_tick
from shanhe.privacy.api import Resealing
from shanhe.privacy.api import daily as privacy_daily
from shanhe.programmes.api import AlreadyClaimed
from shanhe.programmes.api import tick as programmes_tick
from shanhe.studio.api import DEPLOYED_TOPIC
from shanhe.wiring.arrivals import follow_arrivals
from shanhe.wiring.erasure import follow_erasures
from shanhe.wiring.exchange import follow_freezes
from shanhe.wiring.knowledge import renew_guide
from shanhe.wiring.leavings import follow_leavings
from shanhe.wiring.metrics import Watch
from shanhe.wiring.personal_columns import PLACES
from shanhe.wiring.studio import ask_for_subsidies

if TYPE_CHECKING:
    from shanhe.app import Services

NOMAD_CREDITS: Final = "nomad_credits"
EVERY_2_S: Final = "* * * * * */2"
EVERY_5_S: Final = "* * * * * */5"
EVERY_MINUTE: Final = "* * * * *"
HOURLY: Final = "7 * * * *"
NIGHTLY: Final = "20 19 * * *"
"""03:20 in the city, in UTC as the queue counts."""


def register_jobs(services: Services) -> None:
    """Say what the jobs process repeats and which events it delivers to whom."""
    jobs = services.jobs
    jobs.every("payments.tick", EVERY_5_S, lambda: _payments_tick(services))
    jobs.every("credits.tick", EVERY_5_S, lambda: credits_tick(services.credits))
    exchange = services.exchange  # each part apart: trouble with one keeps no auction from being held
    jobs.every("exchange.tick", EVERY_5_S, exchange.tick)
    jobs.every("exchange.deposits", EVERY_5_S, exchange.cash.reconcile)
    jobs.every("exchange.stabilise", EVERY_MINUTE, exchange.stabilise)
    jobs.every("exchange.fund", EVERY_MINUTE, exchange.fund.run)
    jobs.every("exchange.reversals", EVERY_MINUTE, exchange.remedies.run)
    jobs.every("notices.send", EVERY_5_S, services.notifier.send_due)
    gauges = LogGauges(services.metrics.registry)
    jobs.every("log.seal", EVERY_2_S, lambda: log_tick(services.log, gauges))
    jobs.every("log.purge", NIGHTLY, services.log.purge)
    jobs.every("ledger.sweep", EVERY_5_S, lambda: _sweep(services))
    jobs.every("fees.recover", EVERY_MINUTE, services.gateway.recover_fees)
    jobs.every("calls.forget", EVERY_MINUTE, services.gateway.forget_repeats)
    jobs.every("programmes.tick", EVERY_MINUTE, lambda: programmes_tick(services.programmes))
    jobs.every("governance.tick", EVERY_MINUTE, lambda: governance_tick(services.governance))
    jobs.every("governance.simulate", EVERY_5_S, lambda: governance_simulate(services.governance))
    jobs.every("nomads.tick", EVERY_MINUTE, lambda: nomads_tick(services.nomads))
    jobs.every("incubator.tick", EVERY_MINUTE, lambda: incubator_tick(services.incubator))
    jobs.every("ranks.tick", HOURLY, services.ranks.tick)
    jobs.every("store.start", EVERY_MINUTE, services.store.start_due)
    jobs.every("contests.pay", EVERY_MINUTE, services.contests.pay_due)
    jobs.every("board.tick", EVERY_MINUTE, services.board.tick)
    jobs.every("approvals.sweep", EVERY_MINUTE, services.approvals.sweep)
    jobs.every("approvals.run", EVERY_MINUTE, services.approvals.run)
    jobs.every("bank.forget", EVERY_MINUTE, services.taking_in.forget)
    counted = GlassGauges(services.metrics.registry)
    emergency = services.emergency
    jobs.every("glass.tick", EVERY_5_S, lambda: glass_tick(emergency.glass, emergency.undoing, counted))
    jobs.every("science.tick", EVERY_MINUTE, services.commons.science.tick)
    jobs.every("filings.tick", EVERY_MINUTE, lambda: filings_tick(services.filings))
    jobs.every("filings.purge", NIGHTLY, lambda: filings_purge(services.filings))
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
    jobs.every("pool.refunds", HOURLY, services.pool.withholding.refunds)
    jobs.every("agents.purge", NIGHTLY, services.agents.purge)
    jobs.every("workflows.tick", EVERY_MINUTE, services.routines.workflows.tick)
    jobs.every("workflows.purge", NIGHTLY, services.routines.workflows.purge)
    jobs.every("content.purge", NIGHTLY, services.hub.content.purge)
    jobs.every("tools.purge", NIGHTLY, services.tools.purge)
    jobs.every("oauth.purge", HOURLY, services.oauth.purge)
    jobs.every("batches.tick", EVERY_5_S, services.workshop.batches.tick)
    jobs.every("studio.settle", EVERY_MINUTE, services.workshop.studio.settle)
    jobs.every("studio.tidy", NIGHTLY, services.workshop.studio.tidy)
    jobs.every("bulletin.tick", HOURLY, services.bulletin.tick)
    jobs.every("knowledge.guide", NIGHTLY, lambda: _renew_guide(services))
    jobs.every("outbox.purge", NIGHTLY, services.outbox.purge)
    jobs.every("webhooks.send", EVERY_5_S, services.webhooks.send_due)
    jobs.every("webhooks.purge", NIGHTLY, services.webhooks.purge)
    jobs.every("notices.purge", NIGHTLY, services.notifier.purge)
    jobs.every("engines.count", EVERY_MINUTE, services.compute.counts.read)
    watch = Watch(
        services.clock, services.metrics.registry, identity=services.identity,
        reconciliation=services.reconciliation, outbox=services.outbox, rulebook=services.rulebook,
    )  # fmt: skip
    jobs.every("metrics.look", EVERY_MINUTE, watch.look)
    jobs.every("reconcile.nightly", NIGHTLY, lambda: _reconcile(services))
    _subscribe(services)


def _subscribe(services: Services) -> None:
    """Which events go to whom."""
    outbox = services.outbox

    async def prices_changed(event: Event) -> None:
        payload = event.payload
        await services.credits.alerts.announce_prices(
            PriceChange(payload["model"], date.fromisoformat(payload["valid_from"]), payload["old"], payload["new"])
        )

    outbox.subscribe(PRICE_TOPIC, "credits.alerts", prices_changed)
    follow_erasures(outbox, services)
    follow_leavings(outbox, services.leavings)
    follow_freezes(outbox, services.identity, services.exchange)
    follow_arrivals(outbox, services.identity, services.leavings, services.notifier, services.clock)
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
    """The city's guide answers from the rules as they are today, and knows what the bulletin said last."""
    newest = await services.bulletin.issues(limit=1)
    return await renew_guide(
        services.library.knowledge, services.rulebook, services.programmes.catalogue, services.clock.today(),
        news=as_markdown(newest[0]) if newest else "",
    )  # fmt: skip


async def _payments_tick(services: Services) -> int:
    return await payments_tick(services.payments, services.sandbox, services.bank, services.payouts)


async def _reseal(services: Services, resealing: Resealing) -> int:
    """Rows first, then what has a way of its own: numbers of documents, marks of places, statements, data sets."""
    sealed = await resealing.run()
    sealed += await services.facts.reseal() + await services.nomads.venues.reseal()
    return sealed + await services.bank.statements.reseal() + await services.workshop.datasets.reseal()


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
