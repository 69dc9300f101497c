"""A clerk records what a register says, a second one agrees, and a programme goes by it: without a command."""

from __future__ import annotations

import re
from datetime import date

import pytest
from tests.ip.conftest import City

from shanhe.facts.api import Use
from shanhe.identity.api import Role

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestPage:
    async def test_records_with_a_second_person_what_programmes_then_go_by(self, city: City) -> None:
        firm = await city.company("在孵的企业")
        page = f"/city/accounts/{firm}/facts"
        async with (
            await city.browser(await city.company("甲局"), Role.OPERATOR) as one,
            await city.browser(await city.company("乙局"), Role.OPERATOR) as other,
            await city.browser(firm) as theirs,
        ):
            assert (await theirs.get(page)).status_code == 403
            assert f'href="{page}"' in (await one.get(f"/city/accounts/{firm}")).text
            for name, written, means in (
                ("incubated", "是", True), ("paid_in_capital_fen", "1000000.50", 100_000_050),
                ("value_index", "62.5%", 6_250),
            ):  # fmt: skip
                shown = (await one.get(page)).text
                number = re.search(r'name="id" value="([0-9a-f-]+)"', shown)
                assert number is not None
                form = {"id": number[1], "name": name, "value": written, "from": "2026-01-01", "source": "孵化器名册"}
                wrong = await one.post(page, data=form | {"value": "也许"})
                assert wrong.status_code == 422
                assert 'value="也许"' in wrong.text  # what was typed is still there
                for _ in range(2):  # sent twice, asked once
                    assert (await one.post(page, data=form)).headers["location"] == "/city/second?done=payment_asked"
                waiting = (await other.get("/city/second")).text
                (asked,) = set(re.findall(r'action="(/city/second/[0-9a-f-]+)"', waiting))
                assert (await other.post(asked, data={"do": "approve"})).status_code == 303
                async with city.services.facts.reading(Use("oversight", "test")) as reader:
                    assert await reader.value(firm, name, on=date(2026, 11, 20), sound=True) == means
            shown = (await one.get(page)).text
            for said in ("¥ 1,000,000.50", "62.5 %", "已核对", "孵化器名册"):
                assert said in shown
