from __future__ import annotations

import asyncio
from datetime import date, timedelta
from uuid import uuid4

import pytest

from shanhe.credits.api import Affected, PriceChange, TooManyAlerts, UnknownAlert, Window
from shanhe.kernel.clock import midnight
from shanhe.kernel.errors import Invalid, ShanheError


async def alert(city, window="day", amount_micro=10_000_000, percent=80, **rest):
    return await city.credits.alerts.create(
        city.org, name="预算", window=window, amount_micro=amount_micro, percent=percent, actor="person:t", **rest
    )


async def run(city):
    city.clock.advance(seconds=31)
    return await city.credits.alerts.run()


class TestAlert:
    @pytest.mark.parametrize(("spent_micro", "fired"), [(7_999_999, 0), (8_000_000, 1), (9_000_000, 1)])
    async def test_fires_at_its_threshold(self, city, spent_micro, fired):
        await alert(city)
        city.spent[city.org, None] = spent_micro
        assert await run(city) == fired
        assert await city.notices("spend_alert") == fired

    async def test_fires_once_a_day_however_often_it_is_checked(self, city):
        await alert(city)
        city.spent[city.org, None] = 9_000_000
        for _ in range(5):
            await run(city)
        city.clock.advance(seconds=31)
        await asyncio.gather(*(city.credits.alerts.run() for _ in range(5)))
        assert await city.notices("spend_alert") == 1
        city.clock.advance(days=1)
        await run(city)
        assert await city.notices("spend_alert") == 2

    async def test_of_a_month_fires_once_a_month(self, city):
        await alert(city, window="month")
        city.spent[city.org, None] = 9_000_000
        for _ in range(6):
            await run(city)
            city.clock.advance(days=1)
        assert await city.notices("spend_alert") == 1
        city.clock.advance(days=5)
        await run(city)
        assert await city.notices("spend_alert") == 2

    async def test_asks_what_was_spent_in_its_own_window(self, city, monkeypatch):
        asked = []

        async def spent(org_id, key_id, start, end):
            asked.append((key_id, start, end))
            return 0

        monkeypatch.setattr(city.credits.alerts, "_spent", spent)
        key = uuid4()
        await alert(city, key_id=key)
        await alert(city, window="month")
        await run(city)
        today = city.clock.today()
        after = (today.replace(day=28) + timedelta(days=4)).replace(day=1)
        assert sorted(asked, key=str) == sorted([
            (key, midnight(today), midnight(today + timedelta(days=1))),
            (None, midnight(today.replace(day=1)), midnight(after)),
        ], key=str)  # fmt: skip

    async def test_rounds_its_threshold_up(self, city):
        made = await alert(city, amount_micro=101, percent=50)
        assert made.threshold_micro == 51

    async def test_checked_by_two_workers_at_once_fires_once(self, city):
        await alert(city)
        city.spent[city.org, None] = 9_000_000
        city.clock.advance(seconds=31)
        assert sum(await asyncio.gather(*(city.credits.alerts.run() for _ in range(6)))) == 1

    async def test_may_watch_one_key(self, city):
        key = uuid4()
        await alert(city, key_id=key)
        city.spent[city.org, None] = 9_000_000
        assert await run(city) == 0
        city.spent[city.org, key] = 9_000_000
        assert await run(city) == 1

    async def test_changed_to_a_lower_threshold_still_fires_once_a_window(self, city):
        made = await alert(city)
        city.spent[city.org, None] = 9_000_000
        await run(city)
        await city.credits.alerts.change(city.org, made.id, percent=50)
        await run(city)
        assert await city.notices("spend_alert") == 1

    async def test_switched_off_or_deleted_is_silent(self, city):
        made = await alert(city)
        other = await alert(city)
        await city.credits.alerts.change(city.org, made.id, enabled=False)
        await city.credits.alerts.delete(city.org, other.id)
        city.spent[city.org, None] = 9_000_000
        assert await run(city) == 0

    async def test_of_another_organisation_is_unknown(self, city):
        made = await alert(city)
        for attempt in (city.credits.alerts.delete(uuid4(), made.id), city.credits.alerts.change(uuid4(), made.id)):
            with pytest.raises(UnknownAlert):
                await attempt

    @pytest.mark.parametrize(
        "wrong", [{"amount_micro": 0}, {"percent": 0}, {"percent": 101}, {"window": "year"}, {"amount_micro": 2**60}]
    )
    async def test_refuses_nonsense(self, city, wrong):
        with pytest.raises(ShanheError):
            await alert(city, **wrong)

    async def test_is_changed_to_no_window_that_there_is_none_of(self, city):
        made = await alert(city)
        with pytest.raises(Invalid):
            await city.credits.alerts.change(city.org, made.id, window="year")
        assert [one.window for one in await city.credits.alerts.of(city.org)] == [Window.DAY]

    async def test_is_limited_in_number(self, city):
        for _ in range(50):
            await alert(city)
        with pytest.raises(TooManyAlerts):
            await alert(city)

    async def test_keeps_its_words_harmless(self, city):
        with pytest.raises(Invalid):
            await city.credits.alerts.create(city.org, name="a\nb", window=Window.DAY, amount_micro=1, actor="t")


class TestPriceChange:
    CHANGE = PriceChange(
        "qwen", date(2026, 12, 1), {"input": 1_000, "output": 2_000}, {"input": 1_100, "output": 2_000}
    )

    async def test_is_told_once_to_every_organisation_concerned(self, city):
        city.affected = [Affected(uuid4(), ("key a", "key b")), Affected(uuid4(), ("key c",))]
        assert await city.credits.alerts.announce_prices(self.CHANGE) == 2
        assert await city.credits.alerts.announce_prices(self.CHANGE) == 0
        body = await city.db.fetchval("SELECT body_zh FROM kernel.notice WHERE org_id = $1", city.affected[0].org_id)
        assert "输入 0.001 → 0.0011" in body
        assert "输出" not in body
        assert "key a、key b" in body

    async def test_without_a_difference_is_not_told(self, city):
        city.affected = [Affected(uuid4(), ("key",))]
        same = PriceChange("qwen", date(2026, 12, 1), {"input": 1}, {"input": 1})
        assert await city.credits.alerts.announce_prices(same) == 0
