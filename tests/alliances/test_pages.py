"""The pages for companies over the real modules: what one sees, asks for by a form, and finds done."""

from __future__ import annotations

import re
from uuid import uuid4

from shanhe.identity.api import Role

from .conftest import City


class TestPages:
    async def test_lead_a_company_from_its_index_to_an_alliance_and_a_booking(self, city: City) -> None:
        services, firm, other = city.services, await city.local("甲厂"), await city.local("乙厂")
        await city.know(firm, "incubated", True)
        room = await services.incubator.add(
            uuid4(), service="training", name_zh="讲堂", name_en="Hall", place="二楼", opens_hour=9, closes_hour=18,
            seats=2, by="test",
        )  # fmt: skip
        async with await city.browser(firm) as page:
            csrf = {"csrf": page.headers["x-csrf-token"]}
            assert "还没有指数" in (await page.get("/company")).text
            made = {"id": str(uuid4()), "name": "智造联盟", "purpose": "共建质检模型"}
            assert (await page.post("/alliance/found", data=csrf | made)).status_code == 303
            number = (await services.identity.orgs.get(other)).registration or ""
            invited = {"id": made["id"], "company": number}
            assert (await page.post("/alliance/invite", data=csrf | invited)).status_code == 303
            shown = (await page.get("/alliance")).text
            assert "乙厂" in shown
            assert "还差 2 家" in shown
            seen = (await page.get("/bookings?service=training&day=2026-03-10")).text
            slot = re.findall(r'name="slot" value="([^"]+)"', seen)[0]
            form = {"id": str(uuid4()), "resource": str(room.id), "slot": slot, "units": "17", "service": "training",
                    "day": "2026-03-10"}  # fmt: skip
            refused = await page.post("/bookings", data=csrf | form)
            assert (refused.status_code, "不在开放时段内" in refused.text) == (422, True)
            assert (await page.post("/bookings", data=csrf | form | {"units": "2"})).status_code == 303
            assert "讲堂" in (await page.get("/bookings")).text
            (booked,) = (await services.incubator.bookings(firm)).rows
            assert (await page.post(f"/bookings/{booked.id}/cancel", data=csrf)).status_code == 303
            assert "没有担保" in (await page.get("/guarantees")).text
            assert (await page.get("/city/services")).status_code == 403
        async with await city.browser(other, Role.OPERATOR) as desk:
            text = (await desk.get("/city/services")).text
            assert "讲堂" in text
            assert "上海飞地基地" in text
            form = {"csrf": desk.headers["x-csrf-token"]}
            assert (await desk.post(f"/city/services/{room.id}/close", data=form)).status_code == 303
            assert await services.incubator.resources() == []
