"""T13: companies are ranked in four dimensions every quarter; a high index opens subsidy, priority and an adviser."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from shanhe.facts.api import Use
from shanhe.kernel.clock import add_months
from shanhe.programmes.api import Counted, State

from .conftest import CREDIT, City


async def ranked(city: City) -> tuple[UUID, UUID, UUID]:
    """Three companies, the best in everything first; the last quarter was counted."""
    best, middle, last = [await city.company(name) for name in ("甲", "乙", "丙")]
    city.counted = {
        best: Counted(900 * CREDIT, 30, 12, 50), middle: Counted(500 * CREDIT, 10, 3, 0),
        last: Counted(1 * CREDIT, 0, 3, 0),
    }  # fmt: skip
    await city.programmes.tick()
    return best, middle, last


async def index(city: City, org: UUID) -> object:
    async with city.facts.reading(Use("programmes", "test")) as reader:
        return await reader.value(org, "value_index")


class TestValueIndex:
    async def test_is_computed_once_a_quarter_from_what_was_counted(self, city: City) -> None:
        best, middle, last = await ranked(city)
        # the best is above both in all; the middle above one in usage and innovation, level with one in jobs and data
        assert [await index(city, org) for org in (best, middle, last)] == [10_000, 4_000, 1_000]
        city.counted = {}
        await city.programmes.tick()
        assert await index(city, best) == 10_000

    async def test_shows_why(self, city: City) -> None:
        _, middle, _ = await ranked(city)
        (found,) = await city.programmes.standings.of(middle)
        assert found.quarter_end == date(2025, 12, 31)
        assert found.counted == Counted(500 * CREDIT, 10, 3, 0)
        assert found.counts == {
            "companies": 3, "usage_below": 1, "usage_equal": 0, "innovation_below": 1, "innovation_equal": 0,
            "jobs_below": 0, "jobs_equal": 1, "data_below": 0, "data_equal": 1,
        }  # fmt: skip
        assert found.trace["outputs"]

    async def test_ends_for_who_is_active_no_more(self, city: City) -> None:
        best, middle, _ = await ranked(city)
        del city.counted[best]
        await city.at(date(2026, 10, 1))  # nobody counted the quarters between
        assert await index(city, best) is None
        assert await index(city, middle) == 8_000

    async def test_says_what_the_quarter_points_to(self, city: City) -> None:
        _best, _, last = await ranked(city)
        asked = []

        async def count(first: date, until: date) -> dict[UUID, Counted]:
            asked.append((first, until))
            return city.counted

        city.programmes.standings._count = count
        city.counted[last] = Counted(5_000 * CREDIT, 99, 99, 99)
        found = await city.programmes.standings.so_far(last)
        assert found is not None
        assert found.index_bps == 10_000
        assert await city.programmes.standings.so_far(await city.company("新来的")) is None
        del city.counted[last]  # nobody counts the whole city for each view
        assert await city.programmes.standings.so_far(last) == found
        (first, until), *again = asked
        assert (first, until, again) == (add_months(until + timedelta(days=1), -12), city.clock.today(), [])

    async def test_gives_weight_in_the_queue_and_an_advisers_hours(self, city: City) -> None:
        best, middle, _ = await ranked(city)
        assert await city.programmes.standings.queue_weight(best) == 3
        assert await city.programmes.standings.queue_weight(middle) == 1
        assert (await city.programmes.standings.benefits(best)).outputs["adviser_hours"] == 4
        assert (await city.programmes.standings.benefits(middle)).outputs["adviser_hours"] == 0


class TestValueBonus:
    async def test_pays_two_percent_to_the_best_every_year(self, city: City) -> None:
        best, _, _ = await ranked(city)
        await city.fund("value_credit", 10**12)
        city.measured["untied_four_quarters_micro", best] = 10_000 * CREDIT
        app = await city.apply("value_bonus", best)
        assert app.state is State.ACTIVE
        (lot,) = await city.lots(best)
        assert (lot.issued, str(lot.provenance)) == (200 * CREDIT, "subsidy")
        city.measured["untied_four_quarters_micro", best] = 30_000 * CREDIT
        await city.at(date(2027, 3, 2))
        assert (await city.lots(best))[-1].issued == 600 * CREDIT
        assert await city.sound()

    async def test_below_fifty_points_is_refused_with_what_would_change_it(self, city: City) -> None:
        _, middle, _ = await ranked(city)
        await city.fund("value_credit", 10**12)
        city.measured["untied_four_quarters_micro", middle] = 10_000 * CREDIT
        app = await city.apply("value_bonus", middle)
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[0].reasons
        assert reason["rule"] == "T13_benefits"
        assert reason["nearest"]

    async def test_is_not_renewed_when_the_index_fell(self, city: City) -> None:
        best, _, last = await ranked(city)
        await city.fund("value_credit", 10**12)
        city.measured["untied_four_quarters_micro", best] = 10_000 * CREDIT
        await city.apply("value_bonus", best)
        city.counted = {best: Counted(1, 0, 0, 0), last: Counted(2, 1, 1, 1)}
        await city.at(date(2027, 1, 1))
        await city.at(date(2027, 3, 2))
        await city.at(date(2027, 3, 4))
        assert len(await city.lots(best)) == 1
        assert await city.sound()

    async def test_an_error_is_brought_back(self, city: City) -> None:
        best, _, _ = await ranked(city)
        await city.fund("value_credit", 10**12)
        city.measured["untied_four_quarters_micro", best] = 10_000 * CREDIT
        app = await city.apply("value_bonus", best)
        done = await city.programmes.awards.claw_back(app.id, "error", note="数据有误", actor="test")
        assert done.state is State.STOPPED
        assert await city.balance(best) == 0
