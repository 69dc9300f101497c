"""What waits for a reviewer on a busy day: found by programme and applicant, by pages, gone once one has spoken."""

from __future__ import annotations

from shanhe.programmes.api import Verdict

from .conftest import City

COPYRIGHT = {"registered_on": "2026-02-10"}


class TestQueue:
    async def test_is_looked_through_by_programme_applicant_and_page(self, city: City) -> None:
        clerk, reviewing = await city.reviewer("ip_office"), city.programmes.reviewing
        await reviewing.assign(clerk, "publicity", actor="test")
        firms = [await city.company(f"企业{n}") for n in range(3)]
        copies = [
            await city.apply("software_copyright", firm, COPYRIGHT | {"registration_number": f"2026SR{n}"})
            for n, firm in enumerate(firms)
        ]
        brand = await city.apply("brand_award", firms[0], {"campaign": "山河夜市"}, ref="b")
        assert await reviewing.queued(clerk) == {"software_copyright": 3, "brand_award": 1}
        assert [one.id for one in await reviewing.queue(clerk, programme="brand_award")] == [brand.id]
        assert {one.id for one in await reviewing.queue(clerk, orgs=firms[:1])} == {copies[0].id, brand.id}
        everything = [one.id for one in await reviewing.queue(clerk)]
        pages = [await reviewing.queue(clerk, limit=3, offset=offset) for offset in (0, 3)]
        assert [one.id for page in pages for one in page] == everything
        assert await reviewing.queue(clerk, overdue=True) == []

    async def test_holds_what_one_has_spoken_on_for_the_others_only(self, city: City) -> None:
        await city.fund("brand_cash", 50_000_000)
        app = await city.apply("brand_award", await city.company("山河文旅"), {"campaign": "山河夜市"})
        reviewing, assessed = city.programmes.reviewing, {"exposure": 100_000_001}
        await reviewing.decide(app.id, await city.reviewer("publicity"), Verdict.PASS, assessed=assessed)
        first, second = [await city.reviewer("finance", n) for n in range(2)]
        await reviewing.decide(app.id, first, Verdict.PASS)
        assert await reviewing.queue(first) == []
        assert await reviewing.queued(first) == {}
        assert [one.id for one in await reviewing.queue(second)] == [app.id]
