"""Households and commonly owned organisations share one cap of P1 (R0), by what is on record of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from uuid import UUID

import pytest

from shanhe.app import Services, open_services
from shanhe.facts.api import NewFact, Standing
from shanhe.identity.api import Category, CategoryName, NewOrganisation, NewPerson, OrgKind
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.settings import Settings

LONG_AGO = date(2024, 1, 1)
ALL_OF_IT_FEN = 400_000_000
CAP_FEN = 100_000_000


@pytest.fixture
async def services(dsn: str, tmp_path: Path, clock: FixedClock) -> AsyncIterator[Services]:
    async with open_services(Settings(database_url=dsn, data=tmp_path, with_model=False), "cli", clock) as opened:
        yield opened


async def resident(services: Services, login: str) -> tuple[UUID, UUID]:
    """(person, organisation of one)."""
    made = await services.identity.people.create(NewPerson(login, login=login), by="test")
    await services.identity.people.set_category(
        made.id, Category(CategoryName.RESIDENT, True, LONG_AGO, None), by="test"
    )
    return made.id, (await services.identity.orgs.create_personal(made.id, by="test")).id


async def company(services: Services, name: str) -> UUID:
    new = NewOrganisation(OrgKind.COMPANY, name, registration=name, locally_registered=True)
    made = await services.identity.orgs.create(new, by="test")
    await services.identity.orgs.edit(made.id, {"local_verified": True}, by="test")
    return made.id


async def know(services: Services, subject: UUID, name: str, value: object, key: str) -> None:
    fact = NewFact(new_id(), subject, name, value, LONG_AGO, key=key, standing=Standing.CHECKED, source="register")  # type: ignore[arg-type]
    await services.facts.publish(fact, actor="test")


async def benefit(services: Services, org: UUID) -> int:
    """What is left of the cap for a purchase that asks for all of it."""
    return (await services.credits.quote(org, ALL_OF_IT_FEN)).priced.benefit_fen


async def use_up(services: Services, org: UUID) -> None:
    bought = await services.credits.purchase(org, client_ref="all", value_fen=ALL_OF_IT_FEN, actor="test")
    assert bought.priced.benefit_fen == CAP_FEN


class TestCap:
    async def test_of_a_household_is_one(self, services: Services) -> None:
        (one, first), (other, second), (_, stranger) = [
            await resident(services, name) for name in ("jia", "yi", "bing")
        ]
        for person in (one, other):
            await know(services, person, "household", True, "home-1")
        assert [await benefit(services, org) for org in (first, second, stranger)] == [CAP_FEN] * 3
        await use_up(services, first)
        assert [await benefit(services, org) for org in (first, second, stranger)] == [0, 0, CAP_FEN]
        refused = await services.credits.purchase(second, client_ref="b", value_fen=10_000, actor="test")
        assert (refused.priced.benefit_fen, refused.priced.paid_fen) == (0, 10_000)

    async def test_of_organisations_is_one_from_a_quarter_of_common_ownership_on(self, services: Services) -> None:
        owner, mother, daughter, quarter, less = new_id(), *[await company(services, name) for name in "甲乙丙丁"]
        for firm, share in ((mother, 10_000), (quarter, 2_500), (less, 2_499)):
            await know(services, firm, "owned_by", share, str(owner))
        await know(services, daughter, "owned_by", 5_100, str(mother))
        await use_up(services, mother)
        found = {name: await benefit(services, org) for name, org in
                 (("daughter", daughter), ("quarter", quarter), ("less", less))}  # fmt: skip
        assert found == {"daughter": 0, "quarter": 0, "less": CAP_FEN}

    async def test_of_an_owner_and_of_the_company_are_two(self, services: Services) -> None:
        person, own = await resident(services, "ding")
        firm = await company(services, "戊")
        await know(services, firm, "owned_by", 10_000, str(person))
        await use_up(services, firm)
        assert await benefit(services, own) == CAP_FEN
