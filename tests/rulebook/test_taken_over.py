"""A rule changes while the city runs: what was made at the start asks it anew, without a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from shanhe.app import Services, open_services
from shanhe.facts.api import NewFact
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, NewLot, Posting, Provenance, Transfer
from shanhe.rulebook.api import RuleAmendment, Rulebook
from shanhe.settings import Settings

CREDIT = 1_000_000


@pytest.fixture
async def services(dsn: str, tmp_path: Path, clock: FixedClock) -> AsyncIterator[Services]:
    async with open_services(Settings(database_url=dsn, data=tmp_path, with_model=False), "cli", clock) as opened:
        yield opened


def adopt(services: Services, rule: str, name: str, first: date, value: Any) -> None:
    """As every process does when an amendment was recorded: `value` holds from `first` on."""
    row = {"from": str(first), "announced": str(services.clock.today()), "value": value, "assumed": True}
    content: Mapping[str, Any] = {"parameters": {name: [row | {"reason": {"zh": "试验", "en": "A trial"}}]}}
    services.rulebook.adopt(Rulebook.load([RuleAmendment("a", rule, content, "council")]))


async def first_lot(services: Services, wallet: Any) -> Provenance:
    """Where the lot comes from that a hold sets aside first."""
    until = services.clock.now() + timedelta(hours=1)
    held = await services.ledger.hold(wallet.id, CREDIT, hold_id=new_id(), purpose="call", expires_at=until)
    lots = {lot.id: lot.provenance for lot in await services.ledger.lots(wallet.id)}
    assert held.held is not None
    return lots[held.held.pieces[0].lot]


class TestAnAmendment:
    async def test_of_the_burn_order_holds_from_its_day_on(self, services: Services, clock: FixedClock) -> None:
        ledger, owner = services.ledger, new_id()
        wallet = await ledger.ensure_account(owner, Asset.CREDIT, "wallet")
        issuance = await ledger.system_account("issuance", Asset.CREDIT)
        for provenance in (Provenance.PURCHASED, Provenance.SUBSIDY):
            lot = NewLot(account=wallet.id, provenance=provenance, amount=9 * CREDIT)
            await ledger.post(
                Posting(
                    id=new_id(),
                    kind="test",
                    lots=(lot,),
                    transfers=(Transfer(new_id(), issuance.id, wallet.id, 9 * CREDIT),),
                )
            )
        begins = clock.today() + timedelta(days=1)
        adopt(services, "C12_burn_order", "order", begins, ["purchased", "reward", "subsidy"])
        assert await first_lot(services, wallet) is Provenance.SUBSIDY
        clock.advance(seconds=86_400)
        assert await first_lot(services, wallet) is Provenance.PURCHASED

    async def test_of_who_is_related_holds_from_its_day_on(self, services: Services, clock: FixedClock) -> None:
        one, other, long_ago = new_id(), new_id(), clock.today() - timedelta(days=500)
        await services.facts.publish(
            NewFact(new_id(), one, "referred_by", True, long_ago, key=str(other)), actor="test"
        )
        begins = clock.today() + timedelta(days=1)
        adopt(services, "R0_related_parties", "referral_months", begins, 12)
        assert await services.facts.related(one, other) is not None
        clock.advance(seconds=86_400)
        assert await services.facts.related(one, other) is None
        assert await services.facts.related(one, other, on=begins - timedelta(days=1)) is not None

    async def test_is_all_that_makes_a_day_be_worked_out_again(self) -> None:
        asked: list[date] = []
        book, today = Rulebook.load([]), date(2026, 3, 1)
        kept = book.kept(asked.append)
        for on in (today, today, today + timedelta(days=1)):
            kept(on)
        book.adopt(Rulebook.load())
        kept(today + timedelta(days=1))
        assert asked == [today, today + timedelta(days=1), today + timedelta(days=1)]
