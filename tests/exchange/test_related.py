"""R0 on the market: whoever facts, caps or members make one with an organisation does not trade with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from shanhe.app import Services, open_services
from shanhe.approvals.api import NewLicence, Scope
from shanhe.exchange.api import BUY, SELL, Market, NewOrder, OrderView, SelfTrade
from shanhe.facts.api import NewFact, Standing
from shanhe.identity.api import NewKey, NewOrganisation, NewPerson, OrgKind, Role
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO
from shanhe.ledger.api import Asset, NewLot, OpeningBalance, Provenance
from shanhe.settings import Settings
from shanhe.timetable import register_jobs
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


class TestGone:
    """Who may not trade any more has nothing in the book."""

    async def test_orders_end_when_their_organisation_is_frozen(self, services: Services) -> None:
        register_jobs(services)
        one, other = [await company(services, name) for name in ("甲", "乙")]
        theirs = [await order(services, one, SELL) for _ in range(3)]
        others = await order(services, other, BUY)
        await services.identity.orgs.freeze(one, "登记机关通报", by="test")
        await services.outbox.deliver_due()
        assert {(await services.exchange.order(one.id)).state for one in theirs} == {"frozen"}
        assert (await services.exchange.order(others.id)).state == "open"
        assert (await services.exchange.cash.purse(one, Market.REAL)).tradeable_micro == 100 * MICRO
        assert (await services.exchange.replay()).same

    async def test_orders_end_when_a_leaked_key_freezes_the_organisation(self, services: Services) -> None:
        register_jobs(services)
        org = await company(services, "甲")
        _, token = await services.identity.keys.create(org, NewKey("脚本"), by="test")
        mine = await order(services, org, SELL)
        await services.identity.keys.report_leak(token, "scanner", freeze=True)
        await services.outbox.deliver_due()
        assert (await services.exchange.order(mine.id)).state == "frozen"

    async def test_orders_of_who_was_released_meanwhile_stay(self, services: Services) -> None:
        register_jobs(services)
        org = await company(services, "甲")
        mine = await order(services, org, SELL)
        await services.identity.orgs.freeze(org, "误会", by="test")
        await services.identity.orgs.unfreeze(org, by="test")
        await services.outbox.deliver_due()
        assert (await services.exchange.order(mine.id)).state == "open"

    async def test_orders_end_when_their_person_is_erased(self, services: Services) -> None:
        register_jobs(services)
        person = await services.identity.people.create(NewPerson("李四", login="lisi"), by="test")
        own = await services.identity.orgs.create_personal(person.id, by="test")
        await services.exchange.cash.receive(own.id, 100_000, reference="own", actor="test")
        mine = await order(services, own.id, BUY)
        await services.identity.people.erase(person.id, by="test")
        await services.outbox.deliver_due()
        assert (await services.exchange.order(mine.id)).state == "stopped"
        assert (await services.exchange.cash.purse(own.id, Market.REAL)).cash_available_fen == 100_000

    async def test_more_orders_than_a_page_all_end(self, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
        org = await company(services, "甲")
        page = services.exchange.orders

        async def two_at_a_time(*args: object, **more: object) -> object:
            return await page(*args, **more, limit=2)  # type: ignore[arg-type]

        for _ in range(5):
            await order(services, org, SELL)
        monkeypatch.setattr(services.exchange, "orders", two_at_a_time)
        assert await services.exchange.end_orders(org, actor="test") == 5
        assert await services.exchange.end_orders(org, actor="test") == 0


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
