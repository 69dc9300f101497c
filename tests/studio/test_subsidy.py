"""From a job to its subsidy: the studio's books, the event of a deployment, the programmes that listen (T1, T7)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest
from tests.programmes.conftest import NOON, RULEBOOK, City
from tests.studio.house import BASE, House

from shanhe.gateway.api import UsageRow
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.outbox import Event
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger
from shanhe.programmes.api import Application, State
from shanhe.studio.api import Recipe
from shanhe.wiring.measures import Tuned
from shanhe.wiring.relatives import Relatives
from shanhe.wiring.studio import ask_for_subsidies

STEP_MS = 9_000_000
COST_MICRO = 5 * STEP_MS * 200_000 // 3_600_000
"""Of the five steps of the recipe: 2.5 credits, CNY 2.50."""
NEXT_MICRO = COST_MICRO * 4 // 5
"""Of a next job: what the base answers was kept, and is not paid for twice."""
CREDIT = 1_000_000


class Calls:
    """Stands for the gateway: who paid how much for calls to a model."""

    def __init__(self) -> None:
        self.paid: dict[str, dict[UUID, int]] = {}

    async def usage_of_all(self, first: date, last: date, group: tuple[str, ...], model: str) -> list[UsageRow]:
        return [
            UsageRow(None, org, None, None, 1, 0, 0, 0, 0, 0, 0, amount)
            for org, amount in self.paid.get(model, {}).items()
        ]


class Town:
    """A studio and programmes that meet as in the composition root, with a person who tunes."""

    def __init__(self, city: City, house: House) -> None:
        self.city, self.house, self.calls = city, house, Calls()
        relatives = Relatives(city.identity, city.facts, city.clock)
        city.measures |= Tuned(
            city.clock, house.studio.standing, self.calls,  # type: ignore[arg-type]
            related=relatives.related, price=lambda on: RULEBOOK.parameter("P1", "list_price_fen", on),
        ).all()  # fmt: skip

    async def tune(self, name: str, right_bps: int, seed: int = 7, deploy: bool = True) -> None:
        """A job of five steps, and its model put into service; whoever listens is told."""
        self.city.clock.advance(minutes=1)
        self.house.tell(core_ms=STEP_MS, right_bps=right_bps)
        await self.house.order(name, Recipe(BASE, epochs=1, seed=seed), budget_micro=4 * CREDIT)
        await self.house.foreman().work_once()
        if deploy:
            await self.house.studio.deploy(name, self.house.org, by="t")
        for topic, key, payload in self.house.told:
            event = Event(new_id(), topic, key, payload, self.city.clock.now())
            await ask_for_subsidies(self.city.programmes, event)
            await ask_for_subsidies(self.city.programmes, event)  # as after a crash: at least once
        self.house.told.clear()

    async def asked(self, programme: str) -> list[Application]:
        """The newest first."""
        return await self.city.programmes.applications(org_id=self.house.org, programme=programme)

    async def granted(self) -> int:
        """Subsidy that was paid to the person, whatever of it went into the next model."""
        apps = [one for name in ("graduate_finetune", "expert_clone") for one in await self.asked(name)]
        files = [await self.city.programmes.file(app.id) for app in apps]
        paid = [tranche for file in files for tranche in file.tranches if tranche.posting is not None]
        return sum(payment.amount for tranche in paid for payment in tranche.payments)


@pytest.fixture
async def town(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    monkeypatch.setattr("shanhe.studio.service.check", lambda file: None)
    clock = FixedClock(NOON)
    ledger = Ledger(database, clock)
    await ledger.start()
    city, house = City(database, clock, Vault(tmp_path / "keys"), ledger), House(database, clock, tmp_path, ledger)
    house.org = await city.person()
    await house.open()
    await city.fund("talent_credit")
    yield Town(city, house)
    await ledger.stop()


class TestGraduate:
    async def test_is_paid_by_what_the_studio_knows_a_step_more_each_time(self, town: Town) -> None:
        city, graduate = town.city, town.house.org
        await town.tune("first", 6_700)
        assert await town.asked("graduate_finetune") == []  # nobody asked: nothing is done in anybody's name
        app = await city.apply("graduate_finetune", graduate, {"model": "first"})
        assert (await city.approve(app)).state is State.COMPLETED
        assert await town.granted() == COST_MICRO // 10

        stranger, relative = await city.person("客人"), await city.person("家人")
        for org in (graduate, relative):
            await city.know(org, "household", True, key=UUID(int=7))
        town.calls.paid["first"] = {stranger: 200 * CREDIT, relative: 500 * CREDIT, graduate: 900 * CREDIT}
        await town.tune("second", 7_000, seed=8)
        newest, *_ = await town.asked("graduate_finetune")
        assert (newest.state, newest.answers["model"], "diploma" in newest.evidence) == (
            State.IN_REVIEW, "second", True,
        )  # fmt: skip
        assert (await city.approve(newest)).state is State.COMPLETED
        assert await town.granted() == COST_MICRO // 10 + NEXT_MICRO * 12 // 100
        assert await city.sound()

    async def test_is_not_paid_for_use_by_relatives_and_learns_what_is_missing(self, town: Town) -> None:
        city, graduate = town.city, town.house.org
        await town.tune("first", 6_700)
        await city.approve(await city.apply("graduate_finetune", graduate, {"model": "first"}))
        town.calls.paid["first"] = {await city.person("客人"): 199 * CREDIT, graduate: 900 * CREDIT}
        await town.tune("second", 7_000, seed=8)
        newest, *_ = await town.asked("graduate_finetune")
        assert newest.state is State.REFUSED
        (reason,) = (await city.programmes.file(newest.id)).decisions[-1].reasons
        assert any("200" in change["zh"] for change in reason["nearest"])

    async def test_below_the_bar_is_refused_and_asked_for_again_with_a_better_one(self, town: Town) -> None:
        city, graduate = town.city, town.house.org
        await town.tune("first", 5_000)
        app = await city.apply("graduate_finetune", graduate, {"model": "first"})
        assert app.state is State.REFUSED
        (reason,) = (await city.programmes.file(app.id)).decisions[-1].reasons
        assert any("60" in change["zh"] for change in reason["nearest"])
        await town.tune("first", 9_000, seed=8)
        newest, *_ = await town.asked("graduate_finetune")
        assert newest.state is State.IN_REVIEW
        await city.approve(newest)
        assert await town.granted() == (COST_MICRO + NEXT_MICRO) // 10


class TestExpert:
    async def test_is_paid_on_deployment_what_was_captured_until_then(self, town: Town) -> None:
        city, expert = town.city, town.house.org
        await city.know(expert, "senior_talent", True)
        await town.tune("clone", 5_000, deploy=False)
        early = await city.apply("expert_clone", expert, {"clone": "clone"})
        assert early.state is State.REFUSED
        await town.tune("other", 9_000)  # another model is not what was asked for
        assert len(await town.asked("expert_clone")) == 1
        await town.house.studio.deploy("clone", expert, by="t")
        await town.tune("third", 9_000, seed=9)
        newest, *_ = await town.asked("expert_clone")
        assert newest.state is State.COMPLETED
        assert await town.granted() == COST_MICRO
