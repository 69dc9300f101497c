"""Appeals of refused cards: days that were proved otherwise count, and the rule decides again."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shanhe.kernel.errors import Conflict, Invalid, NotFound
from shanhe.kernel.vault import PersonErased
from shanhe.nomads.api import NeedsConsent
from shanhe.nomads.appeals import AppealClosed, OwnAppeal

from .conftest import RULEBOOK, Town


async def refused(town: Town, days: int = 88) -> tuple[UUID, UUID]:
    """A nomad two days short, and the refusal."""
    person = await town.nomad()
    await town.here(person, days)
    verdict = await town.ask(person)
    assert not verdict.granted
    return person, verdict.id


async def appealed(town: Town, person: UUID, decision: UUID, days: int = 2) -> UUID:
    first = town.today() - timedelta(days=200)
    asked = await town.nomads.appeals.file(
        person, decision, why="住在朋友家", days=[first + timedelta(days=n) for n in range(days)], evidence="租约 7",
        appeal_id=uuid4(),
    )  # fmt: skip
    return asked.id


class TestAppeal:
    async def test_that_is_upheld_counts_its_days_and_the_rule_decides_again(self, town: Town) -> None:
        person, decision = await refused(town)
        number = await appealed(town, person, decision)
        assert [one.id for one in await town.nomads.appeals.open()] == [number]
        done = await town.nomads.decide_appeal(number, await town.nomad("经办"), uphold=True, answer="租约属实")
        assert (done.state, done.settled, done.answer) == ("upheld", True, "租约属实")
        card, _ = await town.nomads.cards.current(person)
        assert card is not None
        assert card.valid_from == town.today()
        assert await town.nomads.appeals.open() == []
        assert (await town.nomads.own_copy(person, actor="t", most=9))["appeals"][0]["why"] == "住在朋友家"

    async def test_that_is_upheld_by_too_few_days_is_refused_with_what_is_missing(self, town: Town) -> None:
        person, decision = await refused(town)
        number = await appealed(town, person, decision, days=1)
        await town.nomads.decide_appeal(number, await town.nomad("经办"), uphold=True, answer="仅一日属实")
        assert (await town.nomads.cards.current(person))[0] is None
        last = (await town.nomads.cards.verdicts(person))[0]
        assert [reason.zh for reason in last.reasons] == ["还差 1 天"]

    async def test_is_about_days_of_the_year_that_counts(self, town: Town) -> None:
        person, decision = await refused(town)
        first = town.today() - timedelta(days=int(RULEBOOK.parameter("N1", "window_days", town.today())) - 1)
        for day in (first - timedelta(days=1), town.today() + timedelta(days=1)):
            with pytest.raises(Invalid, match="The days lie between"):
                await town.nomads.appeals.file(
                    person, decision, why="住在朋友家", days=[day], evidence="", appeal_id=uuid4()
                )
        asked = await town.nomads.appeals.file(
            person, decision, why="住在朋友家", days=[first], evidence="", appeal_id=uuid4()
        )
        assert asked.days == (first,)

    async def test_that_is_rejected_changes_nothing(self, town: Town) -> None:
        person, decision = await refused(town)
        number, clerk = await appealed(town, person, decision), await town.nomad("经办")
        for _ in range(2):
            done = await town.nomads.decide_appeal(number, clerk, uphold=False, answer="无入住记录")
        assert done.state == "rejected"
        told = [one.title.en for one in await town.notifier.inbox(person, [])]
        assert told.count("Your appeal was rejected") == 1
        with pytest.raises(AppealClosed):
            await town.nomads.decide_appeal(number, clerk, uphold=True, answer="改判")
        assert (await town.nomads.cards.current(person))[0] is None

    async def test_is_never_decided_by_who_appeals_or_is_related(self, town: Town) -> None:
        person, decision = await refused(town)
        number, partner = await appealed(town, person, decision), await town.nomad("家人")
        for one in (person, partner):
            await town.know((await town.identity.orgs.create_personal(one, by="t")).id, "household", True, key="h-1")
        for one in (person, partner):
            with pytest.raises(OwnAppeal):
                await town.nomads.decide_appeal(number, one, uphold=True, answer="同意")

    async def test_is_one_a_refusal_by_its_person_with_days_that_can_be(self, town: Town) -> None:
        person, decision = await refused(town, days=1)
        await appealed(town, person, decision)
        file = town.nomads.appeals.file
        with pytest.raises(Conflict):
            await appealed(town, person, decision)
        with pytest.raises(NotFound):
            await file(await town.nomad("别人"), decision, why="x", days=[], evidence="", appeal_id=uuid4())
        tomorrow = town.today() + timedelta(days=1)
        with pytest.raises(Invalid):
            await file(person, decision, why="x", days=[tomorrow], evidence="", appeal_id=uuid4())
        await town.nomads.presence.consent(person, given=False)
        with pytest.raises(NeedsConsent):
            await file(person, decision, why="x", days=[], evidence="", appeal_id=uuid4())

    async def test_that_nobody_decides_in_time_is_told_once(self, town: Town) -> None:
        person, decision = await refused(town, days=1)
        await appealed(town, person, decision)
        town.clock.advance(days=15)
        assert (await town.nomads.tick())["late"] == 0
        town.clock.advance(seconds=1)
        assert (await town.nomads.tick())["late"] == 1
        assert (await town.nomads.tick())["late"] == 0
        kinds = await town.db.fetch("SELECT kind FROM kernel.notice WHERE org_id IS NULL AND person_id IS NULL")
        assert [row["kind"] for row in kinds].count("nomad.appeal_overdue") == 1

    async def test_is_followed_through_after_a_crash(self, town: Town) -> None:
        person, decision = await refused(town)
        number = await appealed(town, person, decision)
        await town.nomads.appeals.decide(number, await town.nomad("经办"), uphold=True, answer="属实")
        assert (await town.nomads.cards.current(person))[0] is None
        await town.nomads.tick()
        assert (await town.nomads.cards.current(person))[0] is not None

    async def test_reads_as_nothing_once_its_person_is_erased(self, town: Town) -> None:
        person, decision = await refused(town, days=1)
        number = await appealed(town, person, decision)
        await town.identity.people.erase(person, by="t")
        found = await town.nomads.appeals.get(number)
        assert (found.why, found.days, found.evidence) == ("", (), "")
        with pytest.raises(PersonErased):
            town.vault.encrypt(person, "x", "x")

    async def test_of_an_erased_person_waits_for_nobody_and_keeps_nothing_else_from_its_turn(self, town: Town) -> None:
        person, decision = await refused(town)
        upheld = await appealed(town, person, decision)
        await town.nomads.appeals.decide(upheld, await town.nomad("经办"), uphold=True, answer="属实")
        open_ = await appealed(town, person, (await town.ask(person)).id)
        await town.identity.people.erase(person, by="t")
        town.clock.advance(days=60)
        assert (await town.nomads.tick())["late"] == 1  # what was left of the erased one stopped everything
        assert await town.nomads.appeals.forget(person) == 1
        assert await town.nomads.appeals.open() == []
        assert await town.nomads.appeals.unsettled() == []
        with pytest.raises(NotFound):
            await town.nomads.appeals.get(open_)
