"""The demo city's market: seeded once, found again, with a pair of orders that cross."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shanhe import demo
from shanhe.app import open_services
from shanhe.identity.api import Organisation
from shanhe.settings import Settings


def made_org(orgs: Sequence[Organisation]) -> UUID:
    """The developers' organisation, which the administrator owns."""
    return next(one.id for one in orgs if one.name == demo.DEVELOPER.name)


class TestDemo:
    async def test_has_a_market_with_a_sample_approval_and_orders(self, dsn, tmp_path, clock):
        settings = Settings(database_url=dsn, data=tmp_path, with_model=False)
        async with open_services(settings, "cli", clock) as services:
            known: dict[str, str] = {}
            for _ in range(2):  # a second start makes nothing twice
                made = await demo.seed(services, known)
                known = {"SHANHE_ADMIN_PASSWORD": made.admin_password, "SHANHE_API_KEY": made.api_key}
            book = await services.exchange.book()
            assert book.status.sample
            assert len(await services.exchange.orders(None)) == len(demo.TRADE_ORDERS)
            assert book.indicative_micro == 60_000_000
            ran = await services.exchange.run_auction(forced_by="test")
            assert ran.trades == ran.settled == 1
            assert (await services.ledger.verify()).clean
            # something of each kind to look at, made once
            (flow,) = await services.routines.workflows.mine(made_org(await services.identity.organisations()))
            assert (flow.title, flow.published) == (demo.WORKFLOW_TITLE, 1)
            (mandate,) = await services.clones.mandates(org_id=flow.org_id)
            assert (mandate.name, mandate.state, mandate.called) == (demo.CLONE, "granted", demo.CLONE_CALLED)
            assert await services.identity.consents.stands(mandate.person_id, mandate.consent_id)
            (contest,) = await services.contests.contests()
            assert contest.title_en == "Agents for the town hall (demo)"
