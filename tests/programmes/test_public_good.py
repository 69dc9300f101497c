"""I4 with C1: up to CNY 500,000 in credits for a charity, on milestones that unlock early, defer late, and end."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from shanhe.identity.api import OrgKind, Role
from shanhe.kernel.errors import Invalid
from shanhe.programmes.api import (
    Application,
    JudgesItself,
    NotYourDesk,
    State,
    Tranche,
    TrancheState,
    WrongState,
    fund_view,
)

from .conftest import CREDIT, City

PLAN = [
    {"title": "数据集", "due_on": "2026-06-01", "share_bps": 3000},
    {"title": "上线", "due_on": "2026-09-01", "share_bps": 3000, "target_micro": 1_000 * CREDIT},
    {"title": "总结", "due_on": "2026-12-01", "share_bps": 4000},
]


async def granted(city: City, requested_fen: int = 30_000_000) -> tuple[UUID, Application]:
    await city.fund("charity_fund")
    charity = await city.company("山河慈善会", OrgKind.INSTITUTION)
    answers: dict[str, Any] = {"project": "方言陪伴", "requested_fen": requested_fen, "plan": PLAN}
    app = await city.approve(await city.apply("public_good", charity, answers), {"body": "charity"})
    assert app.state is State.ACTIVE
    return charity, app


class TestPublicGood:
    async def test_unlocks_a_milestone_early_when_its_document_is_accepted_or_its_usage_metered(
        self, city: City
    ) -> None:
        charity, app = await granted(city)
        assert (await city.balance(charity), (await city.budget("charity_fund"))[1]) == (0, 300_000 * CREDIT)
        clerk = await city.reviewer("civil_affairs", 5)
        city.clock.set(city.clock.now().replace(month=4))
        await city.programmes.reviewing.met(app.id, clerk, 1, on=date(2026, 4, 1))
        assert await city.balance(charity) == 90_000 * CREDIT
        city.measured["captured_since_micro", charity] = 999 * CREDIT
        await city.later(days=1)
        assert await city.balance(charity) == 90_000 * CREDIT
        city.measured["captured_since_micro", charity] = 1_000 * CREDIT
        await city.later(days=1)
        assert await city.balance(charity) == 180_000 * CREDIT
        await city.at(date(2026, 11, 30))
        await city.programmes.reviewing.met(app.id, clerk, 3, on=date(2026, 11, 30))
        assert (await city.programmes.file(app.id)).application.state is State.COMPLETED
        assert (await city.budget("charity_fund"))[1] == 0
        assert await city.sound()

    async def test_is_paid_from_an_account_that_everybody_sees_and_that_names_nobody(self, city: City) -> None:
        await granted(city)
        shown = {one[0].name: one for one in await city.programmes.budgets.public()}
        assert set(shown) == {"charity_fund", "compensation_fund"}
        seen = fund_view(*shown["charity_fund"], city.programmes.catalogue)
        assert seen["committed"] == 300_000 * CREDIT
        assert sum(one["amount"] for one in seen["moves"]) == seen["free"], "its movements come to what it holds"
        assert [one["promised"] for one in seen["moves"]] == [True, False], "set aside, and not yet paid"
        assert "山河慈善会" not in str(seen)

    async def test_milestone_is_accepted_by_the_department_that_approves_and_by_nobody_of_the_charity(
        self, city: City
    ) -> None:
        charity, app = await granted(city)
        met, day = city.programmes.reviewing.met, city.clock.today()
        with pytest.raises(NotYourDesk):
            await met(app.id, await city.reviewer("finance"), 1, on=day)
        clerk = await city.reviewer("civil_affairs", 5)
        await city.identity.orgs.set_member(charity, clerk, Role.MEMBER, by="test")
        with pytest.raises(JudgesItself):
            await met(app.id, clerk, 1, on=day)
        for wrong in (day - timedelta(days=1), day + timedelta(days=1)):
            with pytest.raises(Invalid):
                await met(app.id, await city.reviewer("civil_affairs", 6), 1, on=wrong)
        with pytest.raises(WrongState):
            await met(app.id, await city.reviewer("civil_affairs", 6), 4, on=day)
        await met(app.id, await city.reviewer("civil_affairs", 6), 1, on=day)
        with pytest.raises(WrongState):
            await met(app.id, await city.reviewer("civil_affairs", 6), 1, on=day)
        assert await city.balance(charity) == 90_000 * CREDIT

    async def test_late_milestone_moves_all_that_follow(self, city: City) -> None:
        charity, app = await granted(city)
        await city.at(date(2026, 7, 1))
        assert [t.due_on for t in (await city.programmes.file(app.id)).tranches] == [
            date(2026, 7, 1), date(2026, 10, 1), date(2026, 12, 31),
        ]  # fmt: skip
        clerk = await city.reviewer("civil_affairs", 5)
        await city.programmes.reviewing.met(app.id, clerk, 1, on=date(2026, 7, 1))
        assert await city.balance(charity) == 90_000 * CREDIT

    async def test_late_milestone_moves_what_follows_once_though_two_look_at_it_at_once(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _, app = await granted(city)
        city.clock.set(city.clock.now().replace(month=7, day=1))
        milestones = city.programmes.awards._milestones
        seen, stands = asyncio.Barrier(2), milestones._stands

        async def both_decided(conn: Any, tranche: Tranche) -> bool:
            if seen.n_waiting or not late:
                late.append(tranche.n)
                await seen.wait()
            return await stands(conn, tranche)

        late: list[int] = []
        monkeypatch.setattr(milestones, "_stands", both_decided)
        await asyncio.gather(*(city.programmes.awards.settle(app.id) for _ in range(2)))
        assert [t.due_on for t in (await city.programmes.file(app.id)).tranches] == [
            date(2026, 7, 1), date(2026, 10, 1), date(2026, 12, 31),
        ]  # fmt: skip

    async def test_moves_nothing_by_what_the_review_of_its_document_took(self, city: City) -> None:
        charity, app = await granted(city)
        clerk = await city.reviewer("civil_affairs", 5)
        await city.at(date(2026, 7, 1))
        with pytest.raises(Invalid, match="between 2026-03-02 and 2026-07-01"):
            await city.programmes.reviewing.met(app.id, clerk, 1, on=date(2026, 7, 2))
        await city.programmes.reviewing.met(app.id, clerk, 1, on=date(2026, 6, 3))
        assert await city.balance(charity) == 90_000 * CREDIT
        await city.at(date(2026, 9, 10))
        await city.programmes.reviewing.met(app.id, clerk, 2, on=date(2026, 8, 1))
        assert [t.due_on for t in (await city.programmes.file(app.id)).tranches] == [
            date(2026, 6, 3), date(2026, 9, 3), date(2026, 12, 3),
        ]  # fmt: skip

    async def test_more_than_twelve_months_late_ends_what_is_left(self, city: City) -> None:
        _, app = await granted(city)
        clerk = await city.reviewer("civil_affairs", 5)
        await city.programmes.reviewing.met(app.id, clerk, 1, on=date(2026, 3, 2))
        await city.at(date(2027, 9, 1))
        assert (await city.programmes.file(app.id)).tranches[1].state is TrancheState.COMMITTED
        await city.at(date(2027, 9, 2))
        file = await city.programmes.file(app.id)
        assert [t.state for t in file.tranches] == [
            TrancheState.RELEASED,
            TrancheState.CANCELLED,
            TrancheState.CANCELLED,
        ]
        assert file.application.state is State.COMPLETED
        assert (await city.budget("charity_fund"))[1] == 0
        assert await city.sound()

    async def test_lifetime_cap_counts_what_was_promised_before(self, city: City) -> None:
        charity, _ = await granted(city)
        answers: dict[str, Any] = {"project": "第二个", "requested_fen": 30_000_000, "plan": PLAN}
        second = await city.approve(await city.apply("public_good", charity, answers, ref="b"), {"body": "charity"})
        assert second.state is State.ACTIVE
        assert (await city.budget("charity_fund"))[1] == 500_000 * CREDIT
        third = await city.apply("public_good", charity, answers | {"project": "第三个"}, ref="c")
        third = await city.approve(third, {"body": "charity"})
        assert third.state is State.REFUSED
        reason = (await city.programmes.file(third.id)).decisions[-1].reasons[0]
        assert "终身额度" in reason["zh"]
