"""B11: CNY 500,000 for more than 100 million audited exposures, once a year; an auditor's number, two people's word."""

from __future__ import annotations

from datetime import date

import pytest

from shanhe.programmes.api import AlreadyClaimed, Application, State, Verdict

from .conftest import City

AWARD_FEN = 50_000_000


async def audited(city: City, firm: object, exposure: int, ref: str = "a") -> Application:
    """Applied for, the exposure filled in by whoever checks the audit, and approved by two people of finance."""
    app = await city.apply("brand_award", firm, {"campaign": "山河夜市 AI 直播"}, ref=ref)  # type: ignore[arg-type]
    decide = city.programmes.reviewing.decide
    await decide(app.id, await city.reviewer("publicity"), Verdict.PASS, assessed={"exposure": exposure})
    await decide(app.id, await city.reviewer("finance"), Verdict.PASS)
    return await decide(app.id, await city.reviewer("finance", 1), Verdict.PASS)


class TestBrandAward:
    async def test_is_paid_above_a_hundred_million_and_once_a_year(self, city: City) -> None:
        await city.fund("brand_cash", 2 * AWARD_FEN)
        firm = await city.company("山河文旅")
        assert (await audited(city, firm, 100_000_001)).state is State.COMPLETED
        assert await city.balance(firm, "cny") == AWARD_FEN
        with pytest.raises(AlreadyClaimed):
            await audited(city, firm, 300_000_000, ref="b")
        await city.at(date(2027, 1, 2))
        assert (await audited(city, firm, 100_000_001, ref="c")).state is State.COMPLETED
        assert await city.balance(firm, "cny") == 2 * AWARD_FEN
        assert await city.sound()

    async def test_at_a_hundred_million_is_refused_with_one_more_that_it_takes(self, city: City) -> None:
        await city.fund("brand_cash", AWARD_FEN)
        firm = await city.company("山河文旅")
        app = await audited(city, firm, 100_000_000)
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[0].reasons
        assert reason["nearest"]
        assert await city.budget("brand_cash") == (AWARD_FEN, 0)

    async def test_comes_back_when_the_exposure_was_faked(self, city: City) -> None:
        await city.fund("brand_cash", AWARD_FEN)
        firm = await city.company("山河文旅")
        app = await audited(city, firm, 200_000_000)
        done = await city.programmes.awards.claw_back(app.id, "error", note="曝光造假", actor="test")
        assert done.state is State.STOPPED
        assert await city.balance(firm, "cny") == 0
        assert (await city.budget("brand_cash"))[1] == 0
