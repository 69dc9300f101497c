"""A form looked over before it is sent: what to mend, what stands against it, what it gives; nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

import pytest

from shanhe.identity.service.passwords import FREE_FAILURES
from shanhe.programmes.api import Checked, Standing, UnknownProgramme

from .conftest import CREDIT, City
from .test_console import browser, post

PROGRAMME = "software_copyright"
COMPLETE = {"registration_number": "2026SR5", "registered_on": "2026-01-05"}
PAPER = {"certificate": "软著登字第 5 号"}


async def checked(
    city: City, org: UUID, answers: Mapping[str, Any], evidence: Mapping[str, Any] = PAPER, programme: str = PROGRAMME
) -> Checked:
    return await city.programmes.checking.check(programme, org, answers=answers, evidence=evidence)


class TestAForm:
    async def test_that_is_complete_shows_what_it_would_give_and_writes_nothing(self, city: City) -> None:
        firm = await city.company()
        await city.fund("ip_credit")
        found = await checked(city, firm, COMPLETE)
        assert found.standing is Standing.REVIEW
        assert [payment.amount for payment in found.outcome.payments] == [500 * CREDIT]
        assert await city.programmes.applications(org_id=firm) == []

    async def test_names_every_field_to_mend_at_once(self, city: City) -> None:
        found = await checked(city, await city.company(), {"registered_on": "5 January"}, {"certificate": "x" * 300})
        assert found.standing is Standing.INCOMPLETE
        assert {name for name, _, _ in found.problems} == {"registration_number", "registered_on", "certificate"}

    async def test_of_a_number_that_somebody_applied_with_is_taken_and_stays_free_for_its_owner(
        self, city: City
    ) -> None:
        firm = await city.company()
        for _ in range(2):
            assert (await checked(city, firm, COMPLETE)).taken is None  # looking uses nothing up
        await city.apply(PROGRAMME, firm, COMPLETE)
        late = await checked(city, await city.company("别家"), COMPLETE | {"registration_number": "2026 sr-5"})
        assert (late.standing, late.taken) == (Standing.TAKEN, ("登记号", "Registration number"))

    async def test_says_what_sending_it_would_be_refused_for(self, city: City) -> None:
        firm = await city.company()
        city.measured["untied_last_month_micro", firm] = 0
        found = await checked(city, firm, {}, {}, "usage_bonus")
        (decision,) = (await city.programmes.file((await city.apply("usage_bonus", firm)).id)).decisions
        assert found.standing is Standing.REFUSED
        assert [one.to_dict() for one in found.outcome.reasons] == list(decision.reasons)

    async def test_lets_names_be_tried_no_more_often_than_at_the_door(self, city: City) -> None:
        """Whom one refers is told to be known or not; a name that somebody has costs no try."""
        citizen, nomad = await city.person(), await city.person("乐")
        person = (await city.identity.orgs.get(nomad)).person_id
        assert person is not None
        known = (await city.identity.people.get(person)).login
        said: list[str] = []
        for number in range(FREE_FAILURES["party"] + 1):
            for name in (known, f"nobody{number}"):
                found = await checked(city, citizen, {"nomad": name}, {}, "nomad_referral")
                said += [en for field, _, en in found.problems if field == "nomad"]
        misses, locked = said[: FREE_FAILURES["party"]], said[FREE_FAILURES["party"] :]
        assert all("no such party" in one for one in misses)
        assert ["Too many attempts" in one for one in locked] == [True, True]  # whoever is asked for

    async def test_is_closed_to_who_cannot_apply(self, city: City) -> None:
        found = await checked(city, await city.person(), {}, {}, "usage_bonus")
        assert found.standing is Standing.CLOSED
        assert found.closed is not None

    async def test_waits_where_the_budget_is_empty(self, city: City) -> None:
        person = await city.person()
        await city.know(person, "nomad_id", value=True, on=date(2026, 1, 1))
        assert (await checked(city, person, {}, {}, "nomad_credits")).standing is Standing.WAITING
        await city.fund("nomad_credit")
        assert (await checked(city, person, {}, {}, "nomad_credits")).standing is Standing.READY

    async def test_of_no_programme_is_an_error(self, city: City) -> None:
        with pytest.raises(UnknownProgramme):
            await checked(city, await city.company(), {}, {}, "nothing")


class TestPage:
    async def test_shows_the_form_again_with_what_was_found(self, city: City) -> None:
        firm, person = await city.company(), await city.subject(await city.person())
        client = await browser(city, person, firm)
        page = await post(client, f"/programmes/{PROGRAMME}/check", a_registration_number="2026SR5", client_ref="r9")
        assert page.status_code == 200
        assert "尚未填完" in page.text
        assert 'value="2026SR5"' in page.text
        assert 'value="r9"' in page.text  # sending it afterwards is still the same application
        assert await city.programmes.applications(org_id=firm) == []
