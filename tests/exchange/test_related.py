"""R0 on the market: whoever facts, caps or members make one with an organisation does not trade with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from shanhe.app import Services, open_services
from shanhe.approvals.api import NewLicence, Scope
from shanhe.exchange.api import BUY, SELL, NewOrder, OrderView, SelfTrade
from shanhe.facts.api import NewFact, Standing
from shanhe.identity.api import NewOrganisation, NewPerson, OrgKind, Role
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO
from shanhe.ledger.api import Asset, NewLot, OpeningBalance, Provenance
from shanhe.settings import Settings
from shanhe.wiring import relatives


@pytest.fixture
async def services(
    dsn: str, tmp_path: Path, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Services]:
    monkeypatch.setattr(relatives, "KEPT_S", -1.0)
    async with open_services(Settings(database_url=dsn, data=tmp_path, with_model=False), "cli", clock) as opened:
        licence = NewLicence(Scope.EXCHANGE, "市金融办", "1", date(2026, 1, 1), date(2027, 12, 31))
        await opened.approvals.record(licence, by="test")
        yield opened


async def company(services: Services, name: str) -> UUID:
    """A company with credits to sell and cash to buy with."""
    org = (await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, name), by="test")).id
    wallet = await services.ledger.ensure_account(org, Asset.CREDIT, "wallet")
    lot = NewLot(account=wallet.id, provenance=Provenance.PURCHASED, amount=100 * MICRO)
    entry = OpeningBalance(account=wallet.id, amount=100 * MICRO, lots=(lot,))
    await services.ledger.open_books([entry], posting_id=uuid4(), actor="test")
    await services.exchange.cash.receive(org, 100_000, reference=name, actor="test")
    return org


async def order(services: Services, org: UUID, side: int) -> OrderView:
    return await services.exchange.place(NewOrder(new_id(), org, side, 6_000, 20 * MICRO), actor="test")


async def fact(services: Services, subject: UUID, name: str, value: object, key: object) -> None:
    new = NewFact(new_id(), subject, name, value, date(2026, 1, 1), None, str(key), Standing.CHECKED, "register")
    await services.facts.publish(new, actor="test")


class TestRelated:
    async def test_companies_of_one_owner_do_not_meet_and_strangers_do(self, services: Services) -> None:
        one, other, stranger = [await company(services, name) for name in ("甲", "乙", "丙")]
        owner = uuid4()
        await fact(services, one, "owned_by", 6_000, owner)
        await fact(services, other, "owned_by", 2_500, owner)
        await order(services, one, SELL)
        with pytest.raises(SelfTrade):
            await order(services, other, BUY)
        await order(services, stranger, BUY)
        assert (await services.exchange.run_auction(forced_by="test")).trades == 1
        assert (await services.exchange.replay()).same

    async def test_an_employee_s_own_account_does_not_meet_the_employer(self, services: Services) -> None:
        firm = await company(services, "甲")
        person = await services.identity.people.create(NewPerson("李四", login="lisi"), by="test")
        own = await services.identity.orgs.create_personal(person.id, by="test")
        await services.exchange.cash.receive(own.id, 100_000, reference="own", actor="test")
        await order(services, firm, SELL)
        await fact(services, person.id, "employer", True, firm)
        with pytest.raises(SelfTrade):
            await order(services, own.id, BUY)

    async def test_organisations_with_a_member_in_common_do_not_meet(self, services: Services) -> None:
        one, other = [await company(services, name) for name in ("甲", "乙")]
        person = await services.identity.people.create(NewPerson("王五", login="wangwu"), by="test")
        for org in (one, other):
            await services.identity.orgs.set_member(org, person.id, Role.OWNER, by="test")
        await order(services, one, BUY)
        with pytest.raises(SelfTrade):
            await order(services, other, SELL)
        found = await services.exchange.order((await services.exchange.orders(one))[0].id)
        assert found.filled_micro == 0
