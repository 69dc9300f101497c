"""A clerk changes a rule by the pages: from the form to a citizen's explanation, and back again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from shanhe.app import Services, open_services
from shanhe.console import model as m
from shanhe.console.explain import explain
from shanhe.console.live.governance import LiveGovernance
from shanhe.console.live.rules import LiveRules
from shanhe.governance.api import Vote
from shanhe.identity.api import NewPerson
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.settings import Settings

RULE = "P1_resident_discount"
NOON = datetime(2026, 12, 1, 4, 0, tzinfo=UTC)


@pytest.fixture
async def services(dsn: str, tmp_path: Path) -> AsyncIterator[Services]:
    settings = Settings(database_url=dsn, data=tmp_path, with_model=False)
    async with open_services(settings, "cli", FixedClock(NOON)) as opened:
        yield opened


async def seated(services: Services, *departments: str) -> m.Who:
    made = await services.identity.people.create(NewPerson("委员", login=f"p{new_id().hex[-12:]}"), by="test")
    for department in departments:
        await services.governance.deciding.seat(made.id, department, by="test")
    nothing: frozenset[str] = frozenset()
    return m.Who(made.id, UUID(int=0), "委员", "", nothing, nothing, "", "")


def filled(value: str, announced: date, start: date) -> dict[str, str]:
    return {
        "id": str(new_id()), "matter": "rulebook_change", "title": "优惠降为 25%", "why": "控制支出", "rule": RULE,
        "parameter": "discount", "value": value, "announced_on": str(announced), "from": str(start),
    }  # fmt: skip


async def until(services: Services, day: date) -> None:
    clock = services.clock
    assert isinstance(clock, FixedClock)
    while clock.today() < day:
        clock.advance(days=1)
        await services.governance.deciding.tick()


class TestAClerk:
    async def test_writes_a_value_as_people_do(self, services: Services) -> None:
        desk, who = LiveGovernance(services), await seated(services, "finance")
        form = await desk.form(RULE)
        units = {one["name"]: (one["value"], one["unit"]) for one in form["parameters"]}
        assert units["discount"] == ("30 %", "percent")
        announced, start = form["days"]["announced"], form["days"]["from"]
        for value, raw in (("25", 2_500), ("12.5 %", 1_250)):
            made = await desk.propose(who, filled(value, announced, start))
            row = (await desk.proposal(who, made))["content"]["parameters"]["discount"][0]
            assert row["value"] == raw
        for wrong in ("0.251", "a quarter", ""):
            with pytest.raises(Invalid, match="decimals"):
                await desk.propose(who, filled(wrong, announced, start))

    async def test_is_offered_days_on_which_it_can_come_true(self, services: Services) -> None:
        desk, today = LiveGovernance(services), services.clock.today()
        days = (await desk.form(RULE))["days"]
        assert days["first"] == today + timedelta(days=8)
        assert days["announced"] == days["first"] + timedelta(days=20)
        assert days["from"] == days["announced"] + timedelta(days=30)

    async def test_finds_the_change_in_the_explanation_and_takes_it_back_by_another(self, services: Services) -> None:
        desk, deciding = LiveGovernance(services), services.governance.deciding
        who, owner, digital = [await seated(services, one) for one in ("finance", "digital", "digital")]
        days = (await desk.form(RULE))["days"]
        number = await desk.propose(who, filled("25", days["announced"], days["from"]))
        made = await deciding.get(number)
        assert (await desk.proposal(who, number))["back"] is None
        await until(services, made.discuss_until + timedelta(days=1))
        for voter in (owner, digital):
            await deciding.vote(number, voter.person_id, Vote.FOR)
        await until(services, made.veto_until + timedelta(days=1))
        assert (await deciding.get(number)).state == "adopted"

        facts = {"category": "resident", "value_fen": 10_000}
        decision = services.rulebook.evaluate("P1", facts, on=days["from"])
        assert decision.amount == 2_500
        said = {line.title[0]: line for line in explain(decision.trace).parameters}
        assert said["优惠率"].amendment == str(number)
        assert services.rulebook.evaluate("P1", facts, on=days["from"] - timedelta(days=1)).amount == 3_000
        rows = (await LiveRules(services.rulebook, services.clock).page(RULE)).parameters
        assert [row.amendment for row in rows if row.name == "discount"] == [str(number), ""]

        back = (await desk.proposal(who, number))["back"]
        assert back == {"rule": RULE, "parameter": "discount", "value": "30"}
        days = (await desk.form(RULE))["days"]
        again = filled(back["value"], days["announced"], days["from"])
        number = await desk.propose(who, again)
        (change,) = (await desk.proposal(who, number))["changes"]
        assert (change["before"], change["after"]) == (2_500, 3_000)
