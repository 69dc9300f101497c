"""T15: 500 credits for a software copyright, once for each registration number."""

from __future__ import annotations

from datetime import date

import pytest

from shanhe.kernel.ids import new_id
from shanhe.programmes.api import AlreadyClaimed, BadAnswers, JudgesItself, NotYourDesk, State, Verdict
from stage.faults import lost_mark

from .conftest import CREDIT, City

ANSWERS = {"registration_number": "2026SR0123456", "registered_on": "2026-02-10"}


class TestSoftwareCopyright:
    async def test_is_paid_500_credits_as_a_subsidy_that_lasts_a_year(self, city: City) -> None:
        await city.fund("ip_credit", 2_000 * CREDIT)
        firm = await city.company()
        app = await city.apply("software_copyright", firm, ANSWERS)
        assert app.state is State.IN_REVIEW
        assert await city.balance(firm) == 0
        app = await city.approve(app)
        assert app.state is State.COMPLETED
        (lot,) = await city.lots(firm)
        assert (lot.remaining, lot.provenance, lot.unlock_at) == (500 * CREDIT, "subsidy", None)
        assert lot.expires_at is not None
        assert lot.expires_at.date() == date(2027, 3, 1)  # midnight in the city is the evening before in UTC
        assert await city.budget("ip_credit") == (1_500 * CREDIT, 0)
        assert await city.sound()

    async def test_is_paid_once_for_a_number_however_it_is_written(self, city: City) -> None:
        await city.fund("ip_credit")
        firm, other = await city.company(), await city.person()
        await city.approve(await city.apply("software_copyright", firm, ANSWERS))
        again = ANSWERS | {"registration_number": " 2026sr-0123456 "}
        with pytest.raises(AlreadyClaimed, match="Registration number"):
            await city.apply("software_copyright", other, again)
        assert await city.balance(other) == 0

    async def test_application_repeated_is_the_same_application(self, city: City) -> None:
        firm = await city.company()
        first = await city.apply("software_copyright", firm, ANSWERS)
        assert (await city.apply("software_copyright", firm, ANSWERS)).id == first.id

    async def test_refusal_carries_its_reason_and_gives_the_number_back(self, city: City) -> None:
        await city.fund("ip_credit")
        person = await city.person()
        app = await city.apply("software_copyright", person, ANSWERS)
        app = await city.programmes.reviewing.decide(
            app.id, await city.reviewer("ip_office"), Verdict.REFUSE, reason="登记号与权利人不符"
        )
        assert app.state is State.REFUSED
        (decision,) = (await city.programmes.file(app.id)).decisions
        assert decision.reasons[0]["zh"] == "登记号与权利人不符"
        second = await city.apply("software_copyright", person, ANSWERS, ref="b")
        assert second.state is State.IN_REVIEW

    async def test_refused_can_be_appealed_to_people_who_did_not_decide(self, city: City) -> None:
        await city.fund("ip_credit")
        person = await city.person()
        app = await city.apply("software_copyright", person, ANSWERS)
        clerk = await city.reviewer("ip_office")
        await city.programmes.reviewing.decide(app.id, clerk, Verdict.REFUSE, reason="看不清")
        app = await city.programmes.applying.appeal(app.id, person, why="证书清晰，见附件", actor="test")
        await city.programmes.reviewing.assign(clerk, "appeals", actor="test")
        with pytest.raises(JudgesItself, match="appealed"):
            await city.programmes.reviewing.decide(app.id, clerk, Verdict.PASS)
        assert (await city.approve(app)).state is State.COMPLETED
        assert await city.balance(person) == 500 * CREDIT

    async def test_annulled_comes_back_unspent_lots_first_and_the_rest_is_owed(self, city: City) -> None:
        await city.fund("ip_credit", 500 * CREDIT)
        firm = await city.company()
        app = await city.approve(await city.apply("software_copyright", firm, ANSWERS))
        await city.spend(firm, 200 * CREDIT)
        asked = await city.programmes.second.claw_back(app.id, note="登记撤销", by="person:1", request_id=new_id())
        with lost_mark():
            await city.approvals.agree(asked.id, by="person:2")
        assert (await city.approvals.again(asked.id, by="person:2")).state == "done"
        app = (await city.programmes.file(app.id)).application
        assert app.state is State.STOPPED
        assert await city.balance(firm) == 0
        assert (await city.budget("ip_credit"))[0] == 300 * CREDIT
        last = (await city.programmes.file(app.id)).history[-1]
        assert last.details == {"recovered": {"credit": 300 * CREDIT}, "owed": {"credit": 200 * CREDIT}}
        again = await city.programmes.awards.claw_back(app.id, "error", note="登记撤销", actor="test")
        assert again.state is State.STOPPED
        assert await city.sound()

    async def test_form_names_every_field_that_is_not_in_order(self, city: City) -> None:
        with pytest.raises(BadAnswers) as caught:
            await city.apply("software_copyright", await city.company(), {"registered_on": "2026-02-30", "x": 1})
        fields = {row["field"] for row in caught.value.details["fields"]}
        assert fields == {"registration_number", "registered_on", "x"}

    async def test_reviewer_of_another_department_cannot_decide(self, city: City) -> None:
        app = await city.apply("software_copyright", await city.company(), ANSWERS)
        with pytest.raises(NotYourDesk):
            await city.programmes.reviewing.decide(app.id, await city.reviewer("science"), Verdict.PASS)

    async def test_reviewer_cannot_judge_their_own_employer(self, city: City) -> None:
        firm, clerk = await city.company(), await city.reviewer("ip_office")
        org = (await city.identity.orgs.create_personal(clerk, by="test")).id
        await city.know(org, "employer", True, key=firm)
        app = await city.apply("software_copyright", firm, ANSWERS)
        with pytest.raises(JudgesItself, match="employs"):
            await city.programmes.reviewing.decide(app.id, clerk, Verdict.PASS)

    async def test_late_review_is_told_to_the_operators_once(self, city: City) -> None:
        app = await city.apply("software_copyright", await city.company(), ANSWERS)
        await city.later(days=4)
        assert (await city.programmes.tick())["overdue"] == 0
        await city.later(days=2)
        await city.later(days=2)
        events = [row.event for row in (await city.programmes.file(app.id)).history]
        assert events.count("overdue") == 1

    async def test_waits_when_the_budget_is_empty_and_is_paid_when_it_is_funded(self, city: City) -> None:
        firm = await city.company()
        app = await city.approve(await city.apply("software_copyright", firm, ANSWERS))
        assert app.state is State.WAITING_BUDGET
        await city.fund("ip_credit", 500 * CREDIT)
        await city.later(hours=7)
        assert await city.balance(firm) == 500 * CREDIT
        assert await city.budget("ip_credit") == (0, 0)
