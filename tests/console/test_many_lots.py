"""A receipt of somebody whose wallet has more lots than a page of them."""

from __future__ import annotations

import pytest
from tests.ip.conftest import City, city

from shanhe.ledger.api import Asset
from stage.reading import fill

__all__ = ["city"]
OTHERS = 250
pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestReceipt:
    async def test_says_where_the_credits_came_from_however_many_other_lots_there_are(self, city: City) -> None:
        payer, maker = await city.rich(await city.company("乙厂")), await city.company("甲所")
        await city.sell("mcp/weld", maker)
        receipt = await city.call(payer, "mcp/weld")
        wallet = (await city.services.ledger.ensure_account(payer, Asset.CREDIT, "wallet")).id
        await fill(
            city.services.db,
            f"""INSERT INTO ledger.lot (id, account, provenance, issued, remaining, held, issued_at, expires_at,
                                        open)
                SELECT gen_random_uuid(), '{wallet}', 'reward', 1, 1, 0, '2026-01-01', '2026-12-01', true
                  FROM generate_series(1, {OTHERS})""",
        )
        async with await city.browser(payer) as browser:
            page = (await browser.get(f"/receipts/{receipt}")).text
        assert 'class="dot square t-purchased"' in page
