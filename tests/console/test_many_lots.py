"""A wallet with more lots than a page of them."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from tests.ip.conftest import City, city

from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, NewLot, Posting, Provenance, Transfer

__all__ = ["city"]
OTHERS = 250
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def laden(city: City, payer: UUID) -> UUID:
    """The wallet of a payer, with many more lots."""
    ledger = city.services.ledger
    wallet = (await ledger.ensure_account(payer, Asset.CREDIT, "wallet")).id
    issuance = await ledger.system_account("issuance", Asset.CREDIT)
    lots = tuple(NewLot(account=wallet, provenance=Provenance.REWARD, amount=1) for _ in range(OTHERS))
    given = Transfer(new_id(), issuance.id, wallet, OTHERS)
    await ledger.post(Posting(id=new_id(), kind="grant", transfers=(given,), lots=lots))
    return wallet


class TestReceipt:
    async def test_says_where_the_credits_came_from_however_many_other_lots_there_are(self, city: City) -> None:
        payer, maker = await city.rich(await city.company("乙厂")), await city.company("甲所")
        await city.sell("mcp/weld", maker)
        receipt = await city.call(payer, "mcp/weld")
        await laden(city, payer)
        async with await city.browser(payer) as browser:
            page = (await browser.get(f"/receipts/{receipt}")).text
        assert 'class="dot square t-purchased"' in page


class TestWallet:
    async def test_gives_all_its_lots_page_after_page(self, city: City) -> None:
        payer = await city.rich(await city.company("丙厂"))
        wallet = await laden(city, payer)
        rows = await city.services.db.fetch("SELECT id FROM ledger.lot WHERE account = $1 AND open", wallet)
        held, seen, before = {row["id"] for row in rows}, list[UUID](), ""
        async with await city.browser(payer) as browser:
            while True:
                page = (await browser.get(f"/api/credits/balance{before}")).json()
                seen += [UUID(lot["id"]) for lot in page["lots"]]
                if page["next"] is None:
                    break
                before = f"?before={page['next']}"
        assert len(held) > OTHERS
        assert sorted(seen) == sorted(held)

    async def test_says_at_home_that_there_are_more_and_where(self, city: City) -> None:
        payer = await city.rich(await city.company("丁厂"))
        async with await city.browser(payer) as browser:
            told = "全部批次见对账单"
            assert told not in (await browser.get("/")).text
            await laden(city, payer)
            assert told in (await browser.get("/")).text


class TestStatement:
    async def test_shows_all_lots_of_a_month_a_page_at_a_time(self, city: City) -> None:
        payer = await city.rich(await city.company("戊厂"))
        await laden(city, payer)
        whole = [str(lot.id) for lot in (await city.services.credits.statements.month(payer)).lots]
        shown, address = list[str](), "/credits"
        async with await city.browser(payer) as browser:
            while address:
                page = (await browser.get(address)).text.replace("&amp;", "&")
                shown += re.findall(r'data-label="批次"><code title="([^"]+)"', page)
                following = re.search(r'href="(/credits[?]month=[^"]*past=[^"]*)"', page)
                address = following[1] if following else ""
        assert len(whole) > OTHERS
        assert shown == whole
