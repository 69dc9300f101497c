"""Facts of people are read for a purpose that has a ground, and each reading is kept for the person to see."""

from __future__ import annotations

from uuid import uuid4

import asyncpg
import pytest

from shanhe.facts.api import Use, names
from shanhe.identity.api import PurposeRefused, UnknownPurpose, purposes
from shanhe.programmes.api import load_catalogue
from shanhe.rulebook.api import Rulebook

from .conftest import House


class TestReading:
    async def test_is_kept_with_its_purpose_ground_and_reader(self, house: House) -> None:
        person = await house.person()
        await house.know(person, "role", "data_analyst")
        async with house.services.facts.reading(Use("programmes", "programme:role_grant", "case-1")) as reader:
            assert await reader.value(person, "role") == "data_analyst"
            assert await reader.value(person, "role") == "data_analyst"  # of one reading: kept once
            assert await house.services.privacy.readings(person) == []  # written when it ends
        (row,) = await house.services.privacy.readings(person)
        assert (row.purpose, row.ground, row.by, row.about) == (
            "programmes", "legal_duty", "programme:role_grant", "case-1",
        )  # fmt: skip
        assert row.names == ("role",)

    async def test_needs_a_purpose_that_is_for_it(self, house: House) -> None:
        person = await house.person()
        await house.know(person, "household", True, key=uuid4())
        refused = (("newsletter", PurposeRefused), ("programmes", PurposeRefused), ("gossip", UnknownPurpose))
        for purpose, error in refused:
            async with house.services.facts.reading(Use(purpose, "test")) as reader:
                with pytest.raises(error):
                    await reader.of(person, wanted=["household"])
        assert await house.services.privacy.readings(person) == []

    async def test_ends_with_the_consent_it_rests_on(self, house: House) -> None:
        person, consents = await house.person(), house.services.identity.consents
        await house.know(person, "nomad_id", True)
        given = await consents.give(person, "nomad_presence", notice_version="1", apart=True)
        async with house.services.facts.reading(Use("nomad_presence", "test")) as reader:
            assert await reader.value(person, "nomad_id") is True
        assert (await house.services.privacy.readings(person))[0].ground == f"consent:{given.id}"
        await consents.withdraw(person, "nomad_presence")
        async with house.services.facts.reading(Use("nomad_presence", "test")) as reader:
            with pytest.raises(PurposeRefused, match="there is no consent"):
                await reader.value(person, "nomad_id")

    async def test_of_organisations_is_nobodys_matter(self, house: House) -> None:
        org = uuid4()
        await house.know(org, "charity", True)
        async with house.services.facts.reading(Use("newsletter", "test")) as reader:
            assert await reader.value(org, "charity") is True
        assert await house.services.db.fetchval("SELECT count(*) FROM privacy.reading") == 0

    async def test_of_relations_is_kept_too(self, house: House) -> None:
        one, other, home = await house.person("anna"), await house.person("ben"), uuid4()
        for person in (one, other):
            await house.know(person, "household", True, key=home)
        found = await house.services.facts.related(one, other, by="test")
        assert found is not None
        assert found.ground == "household"
        assert [row.purpose for row in await house.services.privacy.readings(other)] == ["related_parties"]

    async def test_can_not_be_rewritten(self, house: House) -> None:
        person = await house.person()
        async with house.services.facts.reading(Use("oversight", "test")) as reader:
            await reader.of(person)
        with pytest.raises(asyncpg.PostgresError, match="never changed"):
            await house.services.db.execute("UPDATE privacy.reading SET by = 'nobody'")

    async def test_is_forgotten_after_the_months_of_the_rule(self, house: House) -> None:
        person = await house.person()
        async with house.services.facts.reading(Use("oversight", "test")) as reader:
            await reader.of(person)
        house.clock.advance(days=3 * 365 - 2)
        assert await house.services.privacy.retain() == 0
        house.clock.advance(days=4)
        assert await house.services.privacy.retain() == 1
        assert await house.services.privacy.readings(person) == []


class TestPurpose:
    def test_of_programmes_covers_every_fact_that_they_read_of_people(self) -> None:
        found = set()
        for programme in load_catalogue(Rulebook.load()).programmes.values():
            for part in (programme.amount, *programme.conditions):
                found |= {name for source in part.facts.values() for name in (source.fact, source.fell) if name}
        of_people = {name for name in found if names()[name].of != "org"}
        assert of_people <= purposes()["programmes"].facts

    def test_names_only_facts_that_exist(self) -> None:
        for name, purpose in purposes().items():
            assert purpose.facts - {"all"} <= set(names()), name
            assert purpose.versions, name
            assert purpose.basis == "consent" or not purpose.sensitive, name
