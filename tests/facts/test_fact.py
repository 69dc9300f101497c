"""Facts: bitemporal, corrected by adding, sealed where personal, and what relates two parties (R0)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from shanhe.facts.api import (
    BadFact,
    FactConflict,
    Facts,
    NewFact,
    Reader,
    RelationTerms,
    Standing,
    UnknownName,
    Use,
)
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.vault import Vault

TERMS = RelationTerms(ownership_bps=2500, referral_months=24)
DAY = date(2026, 3, 1)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path / "keys")


@pytest.fixture
def facts(database: Database, clock: FixedClock, vault: Vault) -> Facts:
    return Facts(database, clock, vault, lambda _: TERMS)


@pytest.fixture
async def reader(facts: Facts) -> AsyncIterator[Reader]:
    async with facts.reading(Use("oversight", "test")) as reader:
        yield reader


async def say(facts: Facts, subject: UUID, name: str, value: object, *, on: date = DAY, to: date | None = None,
              key: object = "", standing: Standing = Standing.CHECKED) -> None:  # fmt: skip
    new = NewFact(new_id(), subject, name, value, on, to, str(key), standing, "register")  # type: ignore[arg-type]
    await facts.publish(new, actor="test")


class TestFact:
    async def test_is_read_as_of_a_day(self, facts: Facts, reader: Reader) -> None:
        org = uuid4()
        await say(facts, org, "paid_in_capital_fen", 100, on=date(2026, 1, 1))
        await say(facts, org, "paid_in_capital_fen", 300, on=date(2026, 6, 1))
        for day, value in ((date(2025, 12, 31), None), (date(2026, 5, 31), 100), (date(2026, 6, 1), 300)):
            assert await reader.value(org, "paid_in_capital_fen", on=day) == value

    async def test_is_corrected_by_a_later_one_and_the_old_answer_can_still_be_asked(
        self, facts: Facts, reader: Reader, clock: FixedClock
    ) -> None:
        org, before = uuid4(), clock.now()
        await say(facts, org, "insured_jobs", 12)
        clock.advance(days=1)
        await say(facts, org, "insured_jobs", 9)
        assert await reader.value(org, "insured_jobs", on=DAY) == 9
        assert await reader.value(org, "insured_jobs", on=DAY, known=before) == 12
        assert [fact.value for fact in await reader.history(org)] == [12, 9]

    async def test_ends_on_its_last_day(self, facts: Facts, reader: Reader, clock: FixedClock) -> None:
        person, firm = uuid4(), uuid4()
        await say(facts, person, "employer", True, key=firm)
        clock.advance(seconds=1)
        await say(facts, person, "employer", True, key=firm, to=date(2026, 3, 31))
        assert await reader.subjects_with("employer", firm, on=date(2026, 3, 31)) == [person]
        assert await reader.subjects_with("employer", firm, on=date(2026, 4, 1)) == []

    async def test_that_is_only_declared_is_not_sound(self, facts: Facts, reader: Reader) -> None:
        org = uuid4()
        await say(facts, org, "charity", True, standing=Standing.DECLARED)
        assert await reader.value(org, "charity", on=DAY) is True
        assert await reader.value(org, "charity", on=DAY, sound=True) is None

    async def test_that_is_personal_is_unreadable_in_the_table_and_after_erasure(
        self, facts: Facts, reader: Reader, database: Database, vault: Vault
    ) -> None:
        person = uuid4()
        vault.create(person)
        await say(facts, person, "residence", "青川县某路 7 号")
        assert await reader.value(person, "residence", on=DAY) == "青川县某路 7 号"
        row = await database.fetchrow("SELECT value, sealed FROM facts.fact WHERE subject = $1", person)
        assert row["value"] is None
        assert "青川".encode() not in row["sealed"]
        vault.destroy(person)
        assert await reader.value(person, "residence", on=DAY) is None
        assert await reader.history(person) == []

    async def test_is_published_once_by_its_id(self, facts: Facts) -> None:
        new = NewFact(new_id(), uuid4(), "insured_jobs", 3, DAY, source="register")
        first = await facts.publish(new, actor="test")
        assert await facts.publish(new, actor="test") == first
        with pytest.raises(FactConflict):
            await facts.publish(NewFact(new.id, new.subject, "insured_jobs", 4, DAY, source="register"), actor="test")

    async def test_is_never_changed_in_place(self, facts: Facts, database: Database) -> None:
        await say(facts, uuid4(), "insured_jobs", 3)
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await database.execute("UPDATE facts.fact SET value = '5'")

    @pytest.mark.parametrize(
        ("name", "value", "key"),
        [("insured_jobs", "many", ""), ("settled_on", "2026-02-30", ""), ("insured_jobs", True, ""),
         ("employer", True, ""), ("employer", True, "nobody"), ("insured_jobs", 3, "x"), ("residence", " ", "")],
    )  # fmt: skip
    async def test_of_the_wrong_form_is_refused(self, facts: Facts, name: str, value: object, key: str) -> None:
        with pytest.raises(BadFact):
            await say(facts, uuid4(), name, value, key=key)

    async def test_needs_a_known_name(self, facts: Facts) -> None:
        with pytest.raises(UnknownName):
            await say(facts, uuid4(), "shoe_size", 42)


class TestRelation:
    async def ground(self, facts: Facts, a: UUID, b: UUID, on: date = DAY) -> str | None:
        found, mirrored = await facts.related(a, b, on=on), await facts.related(b, a, on=on)
        assert (found and found.ground) == (mirrored and mirrored.ground)
        return found.ground if found else None

    async def test_is_none_between_strangers(self, facts: Facts) -> None:
        assert await self.ground(facts, uuid4(), uuid4()) is None

    async def test_holds_in_a_household_and_through_it(self, facts: Facts) -> None:
        anna, ben, firm, home = uuid4(), uuid4(), uuid4(), uuid4()
        for person in (anna, ben):
            await say(facts, person, "household", True, key=home)
        await say(facts, firm, "owned_by", 2500, key=ben)
        assert await self.ground(facts, anna, ben) == "household"
        assert await self.ground(facts, anna, firm) == "ownership"

    @pytest.mark.parametrize(("share", "expected"), [(2499, None), (2500, "ownership")])
    async def test_of_owner_and_firm_begins_at_the_threshold(
        self, facts: Facts, share: int, expected: str | None
    ) -> None:
        owner, firm = uuid4(), uuid4()
        await say(facts, firm, "owned_by", share, key=owner)
        assert await self.ground(facts, owner, firm) == expected

    @pytest.mark.parametrize(("shares", "expected"), [((1500, 999), None), ((1500, 1000), "ownership")])
    async def test_of_sister_firms_counts_what_their_owners_have_in_both(
        self, facts: Facts, shares: tuple[int, int], expected: str | None
    ) -> None:
        one, two, owners = uuid4(), uuid4(), (uuid4(), uuid4())
        for owner, share in zip(owners, shares, strict=True):
            await say(facts, one, "owned_by", share, key=owner)
            await say(facts, two, "owned_by", 5000, key=owner)
        assert await self.ground(facts, one, two) == expected

    async def test_of_employer_and_employee(self, facts: Facts) -> None:
        person, firm = uuid4(), uuid4()
        await say(facts, person, "employer", True, key=firm, standing=Standing.DECLARED)
        assert await self.ground(facts, person, firm) == "employment"

    @pytest.mark.parametrize(("day", "expected"), [(date(2028, 2, 28), "referral"), (date(2028, 3, 1), None)])
    async def test_of_referrer_and_referred_ends_after_two_years(
        self, facts: Facts, day: date, expected: str | None
    ) -> None:
        referrer, referred = uuid4(), uuid4()
        await say(facts, referred, "referred_by", True, key=referrer)
        assert await self.ground(facts, referrer, referred, day) == expected


class TestRelatives:
    async def test_are_all_whom_a_look_at_each_pair_finds(self, facts: Facts) -> None:
        """A small world of homes, owners, employers and referrers: one question agrees with every pair asked alone."""
        world = [UUID(int=n) for n in range(1, 15)]
        (ann, bob, cas, dan, eve, fay, *firms) = world
        for person, home in ((ann, "h1"), (bob, "h1"), (cas, "h2"), (dan, "h2")):
            await say(facts, person, "household", True, key=home)
        holdings = ((0, ann, 3000), (1, ann, 2600), (2, ann, 2400), (3, eve, 2500), (4, firms[0], 2500), (1, eve, 1000))
        for firm, owner, bps in holdings:
            await say(facts, firms[firm], "owned_by", bps, key=owner)
        await say(facts, cas, "employer", True, key=firms[5])
        await say(facts, firms[6], "referred_by", True, key=fay)
        await say(facts, firms[7], "referred_by", True, key=fay, on=date(2020, 1, 1))
        for one in world:
            single = [other for other in world if other != one and await facts.related(one, other, on=DAY)]
            assert await facts.relatives(one, on=DAY) == single, one

    async def test_of_somebody_unknown_are_none(self, facts: Facts) -> None:
        assert await facts.relatives(uuid4(), on=DAY) == []
