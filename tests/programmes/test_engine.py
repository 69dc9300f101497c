"""What holds for every programme: budgets, claims, crashes, states, people's data, entitlements."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

import asyncpg
import pytest
from msgspec import structs

from shanhe.approvals.api import RequestState
from shanhe.identity.api import OrgKind, Role
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, Posting, Transfer
from shanhe.programmes import award_store
from shanhe.programmes import second as second_module
from shanhe.programmes.api import AlreadyClaimed, Application, AskAgain, State, Tranche, Verdict
from shanhe.programmes.errors import AlreadyAssessed, JudgesItself, WrongState

from .conftest import CATALOGUE, CREDIT, City


def form(number: object) -> dict[str, str]:
    return {"registration_number": f"2026SR{number}", "registered_on": "2026-02-10"}


async def applied(city: City, count: int) -> list[tuple[UUID, Application]]:
    found = []
    for number in range(count):
        firm = await city.company(f"企业{number}")
        found.append((firm, await city.apply("software_copyright", firm, form(number))))
    return found


class TestBudget:
    async def test_is_never_promised_twice_by_reviewers_at_once(self, city: City) -> None:
        await city.fund("ip_credit", 3 * 500 * CREDIT + 499 * CREDIT)
        apps = await applied(city, 6)
        clerk = await city.reviewer("ip_office")
        decide = city.programmes.reviewing.decide
        done = await asyncio.gather(*(decide(app.id, clerk, Verdict.PASS) for _, app in apps))
        assert sorted(app.state for app in done) == [State.COMPLETED] * 3 + [State.WAITING_BUDGET] * 3
        assert await city.budget("ip_credit") == (499 * CREDIT, 0)
        assert sum([await city.balance(firm) for firm, _ in apps]) == 3 * 500 * CREDIT
        await city.fund("ip_credit", CREDIT)
        await city.later(hours=7)
        assert await city.budget("ip_credit") == (0, 0)
        assert await city.sound()

    @pytest.mark.parametrize("dies", [False, True])
    @pytest.mark.parametrize("ends", [State.STOPPED, State.WITHDRAWN])
    async def test_gets_back_what_was_set_aside_for_what_was_ended_just_then(
        self, city: City, monkeypatch: pytest.MonkeyPatch, ends: State, dies: bool
    ) -> None:
        firm = await city.company()
        awards, applying = city.programmes.awards, city.programmes.applying
        app = await city.approve(await city.apply("software_copyright", firm, form(1)))
        assert app.state is State.WAITING_BUDGET
        await city.fund("ip_credit", 500 * CREDIT)
        books = awards._paying.books
        commit = books.commit

        async def end() -> None:
            if ends is State.STOPPED:
                await awards.claw_back(app.id, "error", note="登记撤销", actor="test")
            else:
                await applying.withdraw(app.id, firm, actor="test")

        async def meanwhile(award: UUID, tranches: Sequence[Tranche], *, actor: str) -> None:
            await commit(award, tranches, actor=actor)
            if dies:
                raise ConnectionError
            await end()

        with monkeypatch.context() as patch, suppress(ConnectionError):
            patch.setattr(books, "commit", meanwhile)
            await awards.settle(app.id)
        if dies or ends is State.STOPPED:  # a claw-back may be asked for again
            await end()
        assert (await city.programmes.file(app.id)).application.state is ends
        assert await city.budget("ip_credit") == (500 * CREDIT, 0)
        assert await city.sound()

    @pytest.mark.parametrize("posted", [False, True])
    async def test_gets_back_what_was_set_aside_after_the_withdrawal_by_who_then_died(
        self, city: City, monkeypatch: pytest.MonkeyPatch, posted: bool
    ) -> None:
        firm = await city.company()
        app = await city.approve(await city.apply("software_copyright", firm, form(1)))
        await city.fund("ip_credit", 500 * CREDIT)
        books = city.programmes.awards._paying.books
        commit = books.commit

        async def dies(award: UUID, tranches: Sequence[Tranche], *, actor: str) -> None:
            await city.programmes.applying.withdraw(app.id, firm, actor="test")
            if posted:
                await commit(award, tranches, actor=actor)
            raise ConnectionError

        with monkeypatch.context() as patch, suppress(ConnectionError):
            patch.setattr(books, "commit", dies)
            await city.programmes.awards.settle(app.id)
        await city.later(hours=7)
        await city.later(hours=7)
        assert await city.budget("ip_credit") == (500 * CREDIT, 0)
        city.clock.advance(hours=7)
        assert not await city.programmes.awards.tick()  # and that is the end of it
        assert await city.sound()

    async def test_gets_back_what_a_guarantee_that_ended_held_where_the_process_died_just_then(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await city.fund("compensation_fund", 100_000_00)
        firm, bank = await city.company(), await city.company("山河农商行")
        await city.know(firm, "incubated", True)
        asked = {"bank": str(bank), "contract": "HT-1", "loan_fen": 100_000_00, "ends_on": "2026-12-31"}
        app = await city.approve(await city.apply("loan_guarantee", firm, asked))
        assert app.state is State.ACTIVE

        async def dies(*given: Any, **named: Any) -> None:
            raise RuntimeError("the process died before the posting")

        with monkeypatch.context() as patch, suppress(RuntimeError):
            patch.setattr(city.programmes.awards._paying.books, "give_back", dies)
            await city.at(date(2027, 1, 2))
        await city.later(hours=7)
        assert await city.budget("compensation_fund") == (100_000_00, 0)
        assert (await city.programmes.file(app.id)).application.state is State.COMPLETED

    @pytest.mark.prove
    async def test_holds_under_two_hundred_applicants_and_reviewers(self, city: City) -> None:
        await city.fund("ip_credit", 50 * 500 * CREDIT)
        apps = await applied(city, 100)
        clerks = [await city.reviewer("ip_office", index) for index in range(100)]

        async def judge(clerk: UUID, app: Application) -> None:
            for _ in range(3):
                try:
                    await city.programmes.reviewing.decide(app.id, clerk, Verdict.PASS)
                except ShanheError:
                    continue

        await asyncio.gather(
            *(judge(clerks[(n * 7 + k) % 100], app) for n, (_, app) in enumerate(apps) for k in (0, 1))
        )
        states = [(await city.programmes.file(app.id)).application.state for _, app in apps]
        assert (states.count(State.COMPLETED), states.count(State.WAITING_BUDGET)) == (50, 50)
        assert sum([await city.balance(firm) for firm, _ in apps]) == 50 * 500 * CREDIT
        assert await city.budget("ip_credit") == (0, 0)
        assert await city.sound()


class TestDecision:
    async def test_is_shown_in_the_log_without_who_and_how_much(self, city: City) -> None:
        await city.fund("ip_credit")
        firm = await city.company("名字不公开")
        app = await city.approve(await city.apply("software_copyright", firm, form(1)))
        kind, public, private, decision, about = city.entries[-1]
        assert (kind, public["programme"], public["decision"]) == ("programme.decided", "software_copyright", "grant")
        assert public["rules"]
        assert set(public) == {"programme", "decision", "rules"}
        assert (private["application"], private["id"], about) == (str(app.id), str(decision), [firm])
        asked = await city.apply("software_copyright", firm, form(2), ref="b")
        clerk = await city.reviewer("ip_office")
        await city.programmes.reviewing.decide(asked.id, clerk, Verdict.REFUSE, reason="证书不清晰")
        assert city.entries[-1][1]["decision"] == "refusal"

    async def test_by_two_reviewers_at_once_counts_once(self, city: City) -> None:
        await city.fund("ip_credit")
        ((firm, app),) = await applied(city, 1)
        clerks = [await city.reviewer("ip_office"), await city.reviewer("ip_office", 1)]
        decide = city.programmes.reviewing.decide
        done = await asyncio.gather(*(decide(app.id, one, Verdict.PASS) for one in clerks), return_exceptions=True)
        assert sum(isinstance(item, Application) for item in done) == 1
        assert await city.balance(firm) == 500 * CREDIT

    async def test_that_counts_earlier_awards_does_not_overlook_one_made_at_the_same_time(self, city: City) -> None:
        await city.fund("charity_fund")
        charity = await city.company("慈善会", OrgKind.INSTITUTION)
        plan = [{"title": "上线", "due_on": "2026-09-01", "share_bps": 10_000}]
        apps = []
        for name in ("一", "二"):
            answers: dict[str, Any] = {"project": name, "requested_fen": 30_000_000, "plan": plan}
            app = await city.apply("public_good", charity, answers, ref=name)
            decide = city.programmes.reviewing.decide
            await decide(app.id, await city.reviewer("civil_affairs"), Verdict.PASS)
            await decide(app.id, await city.reviewer("civil_affairs", 1), Verdict.PASS, assessed={"body": "charity"})
            apps.append(app)
        last = await city.reviewer("civil_affairs", 2)

        async def insist(app: Application) -> Application:
            for _ in range(5):
                try:
                    return await decide(app.id, last, Verdict.PASS)
                except AskAgain:
                    continue
            raise AssertionError("never decided")

        await asyncio.gather(*(insist(app) for app in apps))
        assert (await city.budget("charity_fund"))[1] == 500_000 * CREDIT

    async def test_returned_for_more_goes_on_where_it_stopped(self, city: City) -> None:
        await city.fund("ip_credit")
        ((firm, app),) = await applied(city, 1)
        clerk = await city.reviewer("ip_office")
        app = await city.programmes.reviewing.decide(app.id, clerk, Verdict.RETURN, reason="证书页码不全")
        assert app.state is State.RETURNED
        await city.programmes.applying.supplement(
            app.id, firm, answers={"registration_number": "2026SR77"}, evidence={"certificate": "全本"}, actor="test"
        )
        app = await city.programmes.reviewing.decide(app.id, clerk, Verdict.PASS)
        assert app.state is State.COMPLETED
        other = await city.company("别家")
        await city.apply("software_copyright", other, form(0))  # the number first given is free again
        with pytest.raises(AlreadyClaimed):
            await city.apply("software_copyright", other, form(77), ref="b")

    async def test_is_about_what_the_reviewer_read_and_not_what_came_back_after_a_return(self, city: City) -> None:
        await city.fund("ip_credit")
        ((firm, app),) = await applied(city, 1)
        decide, clerk = city.programmes.reviewing.decide, await city.reviewer("ip_office")
        await decide(app.id, await city.reviewer("ip_office", 1), Verdict.RETURN, reason="证书页码不全")
        more = {"registration_number": "2026SR77"}
        await city.programmes.applying.supplement(app.id, firm, answers=more, evidence={}, actor="test")
        with pytest.raises(WrongState, match="since you read it"):
            await decide(app.id, clerk, Verdict.PASS, turn=0)
        assert (await decide(app.id, clerk, Verdict.PASS, turn=1)).state is State.COMPLETED

    async def test_does_not_land_on_what_came_back_while_it_was_made(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ((firm, app),) = await applied(city, 1)
        reviewing, other = city.programmes.reviewing, await city.reviewer("ip_office", 1)
        conflict = reviewing._stranger

        async def meanwhile(*args: Any) -> None:
            monkeypatch.setattr(reviewing, "_stranger", conflict)
            await reviewing.decide(app.id, other, Verdict.RETURN, reason="证书页码不全")
            more = {"registration_number": "2026SR77"}
            await city.programmes.applying.supplement(app.id, firm, answers=more, evidence={}, actor="test")

        monkeypatch.setattr(reviewing, "_stranger", meanwhile)
        with pytest.raises(WrongState, match="since you read it"):
            await reviewing.decide(app.id, await city.reviewer("ip_office"), Verdict.PASS)
        (back,) = await city.programmes.applications(org_id=firm)
        assert (back.state, back.answers["registration_number"]) == (State.IN_REVIEW, "2026SR77")

    async def test_of_two_is_about_one_assessment_that_the_second_cannot_exchange(self, city: City) -> None:
        await city.fund("brand_cash")
        firm = await city.company()
        app = await city.apply("brand_award", firm, {"campaign": "山河之夜"})
        decide = city.programmes.reviewing.decide
        few, many = {"exposure": 50_000_000}, {"exposure": 200_000_000}
        await decide(app.id, await city.reviewer("publicity"), Verdict.PASS, assessed=few)
        with pytest.raises(AlreadyAssessed, match="Exposure as audited"):
            await decide(app.id, await city.reviewer("finance"), Verdict.PASS, assessed=many)
        await decide(app.id, await city.reviewer("finance"), Verdict.PASS, assessed=few)
        with pytest.raises(AlreadyAssessed):
            await decide(app.id, await city.reviewer("finance", 1), Verdict.PASS, assessed=many)
        app = await decide(app.id, await city.reviewer("finance", 1), Verdict.RETURN, reason="曝光量有误")
        app = await city.programmes.applying.supplement(app.id, firm, answers={}, evidence={}, actor="test")
        await decide(app.id, await city.reviewer("publicity"), Verdict.PASS, assessed=many)
        for eye in (0, 1):  # everybody agreed to it by now
            app = await decide(app.id, await city.reviewer("finance", eye), Verdict.PASS)
        assert app.state is State.COMPLETED

    async def test_is_not_for_who_belongs_to_a_party_that_the_application_names(self, city: City) -> None:
        firm, bank = await city.company(), await city.company("山河银行")
        await city.fund("compensation_fund", 100_000_000)
        await city.know(firm, "incubated", True)
        loan = {"bank": str(bank), "contract": "HT-1", "loan_fen": 100_000, "ends_on": "2027-03-02"}
        app = await city.apply("loan_guarantee", firm, loan)
        clerk = await city.reviewer("commerce")
        await city.identity.orgs.set_member(bank, clerk, Role.MEMBER, by="test")
        with pytest.raises(JudgesItself):
            await city.programmes.reviewing.decide(app.id, clerk, Verdict.PASS)

    async def test_is_not_for_who_submitted_it_for_somebody_else(self, city: City) -> None:
        firm, clerk = await city.company(), await city.reviewer("ip_office")
        app = await city.programmes.applying.apply(
            "software_copyright", firm, answers=form(1), evidence={"certificate": "1"}, client_ref="a",
            actor=f"person:{clerk}",
        )  # fmt: skip
        with pytest.raises(JudgesItself, match="submitted"):
            await city.programmes.reviewing.decide(app.id, clerk, Verdict.PASS)

    async def test_returned_by_the_second_step_begins_with_the_first_for_what_it_passed_was_another_thing(
        self, city: City
    ) -> None:
        firm = await city.company()
        app = await city.apply("enclave_support", firm, {"site": "shanghai", "raised_fen": 100})
        decide, commerce = city.programmes.reviewing.decide, await city.reviewer("commerce")
        await decide(app.id, commerce, Verdict.PASS, assessed={"at_base": True})
        await decide(app.id, await city.reviewer("finance"), Verdict.RETURN, reason="融资证明不清")
        more = {"raised_fen": 10**12}
        app = await city.programmes.applying.supplement(app.id, firm, answers=more, evidence={}, actor="test")
        assert app.step == 0
        assert await city.programmes.reviewing.queue(commerce, programme=app.programme) == [app]
        assert (await decide(app.id, commerce, Verdict.PASS)).step == 1


class TestClaim:
    async def test_of_one_number_by_two_at_once_is_given_to_one(self, city: City) -> None:
        firms = [await city.company(f"企业{number}") for number in range(4)]
        done = await asyncio.gather(
            *(city.apply("software_copyright", firm, form(1)) for firm in firms), return_exceptions=True
        )
        assert sum(isinstance(item, Application) for item in done) == 1
        assert sum(isinstance(item, AlreadyClaimed) for item in done) == 3


class TestAward:
    @pytest.mark.parametrize("step", ["commit", "release", "pay"])
    async def test_interrupted_by_a_crash_is_finished_once(
        self, city: City, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        await city.fund("ip_credit", 500 * CREDIT)
        ((firm, app),) = await applied(city, 1)
        dying = city.programmes.awards._paying if step == "pay" else city.programmes.budgets._books
        real = getattr(dying, step)

        async def dies(*given: Any, **named: Any) -> None:
            await real(*given, **named)
            raise RuntimeError("the process died after the posting")

        monkeypatch.setattr(dying, step, dies)
        with pytest.raises(RuntimeError):
            await city.approve(app)
        monkeypatch.undo()
        await city.later(hours=7)
        assert await city.balance(firm) == 500 * CREDIT
        assert await city.budget("ip_credit") == (0, 0)
        assert (await city.programmes.file(app.id)).application.state is State.COMPLETED
        assert await city.sound()

    async def test_that_waits_is_found_however_many_were_decided_since(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(second_module, "PAGE_ROWS", 1)
        second, waits = city.programmes.second, uuid4()
        await second.fund("nomad_credit", 1_000, reason="more", by="person:a", request_id=waits)
        for _ in range(2):
            number = uuid4()
            await second.fund("nomad_credit", 1_000, reason="more", by="person:a", request_id=number)
            await second.reject(number, by="person:b", reason="no")
        assert [one.id for one in await second.requests(RequestState.OPEN)] == [waits]

    async def test_that_was_never_given_is_not_taken_back(self, city: City) -> None:
        second, number = city.programmes.second, uuid4()
        ((_, app),) = await applied(city, 1)
        await second.claw_back(app.id, note="录错", by="person:a", request_id=number)
        with pytest.raises(WrongState):
            await second.approve(number, by="person:b")
        assert (await city.approvals.get(number)).state == "refused"  # not tried again and again
        assert (await city.programmes.file(app.id)).application.state is State.IN_REVIEW

    async def test_moves_only_by_steps_the_database_knows(self, city: City) -> None:
        ((_, app),) = await applied(city, 1)
        for state in ("completed", "active", "gold"):
            with pytest.raises(asyncpg.PostgresError, match="cannot go"):
                await city.db.execute(
                    "UPDATE programmes.application SET state = $2, step_due = NULL WHERE id = $1", app.id, state
                )
        with pytest.raises(asyncpg.PostgresError, match="append-only"):
            await city.db.execute("DELETE FROM programmes.history")

    async def test_of_two_kinds_of_credits_to_one_wallet_comes_back_to_the_budget_that_each_was_paid_from(
        self, city: City
    ) -> None:
        programme = CATALOGUE.programmes["software_copyright"]
        (grant,) = programme.grants
        both = (grant, structs.replace(grant, budget="talent_credit", provenance="reward"))
        two = structs.replace(programme, grants=both)
        city = City(
            city.db, city.clock, city.vault, city.ledger,
            structs.replace(CATALOGUE, programmes={**CATALOGUE.programmes, programme.id: two}),
        )  # fmt: skip
        await city.fund("ip_credit", 500 * CREDIT)
        await city.fund("talent_credit", 500 * CREDIT)
        firm = await city.company()
        app = await city.approve(await city.apply(programme.id, firm, form(1)))
        await city.spend(firm, 200 * CREDIT)
        await city.programmes.awards.claw_back(app.id, "error", note="登记撤销", actor="test")
        assert await city.budget("ip_credit") == (300 * CREDIT, 0)  # what is subsidy was spent first
        assert await city.budget("talent_credit") == (500 * CREDIT, 0)
        last = (await city.programmes.file(app.id)).history[-1]
        assert last.details == {"recovered": {"credit": 800 * CREDIT}, "owed": {"credit": 200 * CREDIT}}
        assert await city.sound()

    async def test_taken_back_twice_after_a_crash_owes_what_it_owed_and_takes_nothing_of_what_came_since(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await city.fund("brand_cash")
        firm = await city.company()
        app = await city.approve(
            await city.apply("brand_award", firm, {"campaign": "山河之夜"}), {"exposure": 200_000_000}
        )
        wallet, treasury = await city.wallet(firm, "cny"), await city.ledger.system_account("cash", Asset.CNY)
        prize = await city.balance(firm, "cny")

        async def moved(debit: UUID, credit: UUID) -> None:
            leg = Transfer(new_id(), debit, credit, prize)
            await city.ledger.post(Posting(id=new_id(), kind="test", transfers=(leg,), actor="test", memo="moved"))

        await moved(wallet, treasury.id)
        with monkeypatch.context() as patch, pytest.raises(ConnectionError):
            patch.setattr(award_store, "settle_clawback", AsyncMock(side_effect=ConnectionError))
            await city.programmes.awards.claw_back(app.id, "error", note="审计有误", actor="test")
        await moved(treasury.id, wallet)
        await city.later(hours=7)
        last = (await city.programmes.file(app.id)).history[-1]
        assert last.details == {"recovered": {"cny": 0}, "owed": {"cny": prize}}
        assert await city.balance(firm, "cny") == prize
        assert await city.sound()


class TestPerson:
    async def test_erased_leaves_nothing_readable_and_the_sums_still_balance(self, city: City) -> None:
        await city.fund("ip_credit")
        person = await city.person()
        app = await city.approve(await city.apply("software_copyright", person, form("SECRET9")))
        subject = await city.subject(person)
        rows = []
        for table in ("application", "decision", "history"):
            rows += await city.db.fetch(f"SELECT t::text AS text FROM programmes.{table} t")
        assert not any("SECRET9" in row["text"] for row in rows)
        assert (await city.programmes.file(app.id)).application.answers["registration_number"] == "2026SRSECRET9"
        await city.identity.people.erase(subject, by="test")
        file = await city.programmes.file(app.id)
        assert file.application.answers == {}
        assert all(row.reasons == () and row.traces == {} for row in file.decisions)
        assert await city.balance(person) == 500 * CREDIT
        assert await city.sound()

    async def test_erased_while_it_is_decided_or_paid_is_asked_about_no_more_and_the_money_is_free(
        self, city: City
    ) -> None:
        await city.fund("referral_cash")
        await city.fund("referral_credit")
        person, firm = await city.person(), await city.company()
        await city.know(firm, "registered_here", True)
        await city.know(firm, "paid_in_capital_fen", 10**9)
        await city.know(person, "role", "data_analyst")
        company = {"company": str(firm), "settled_on": "2026-01-05"}
        paid = await city.approve(await city.apply("company_referral", person, company))
        waits = await city.apply("role_grant", person, ref="b")
        asked = await city.apply("paper_grant", person, {"doi": "10/1"}, ref="c")
        back = await city.apply("software_copyright", person, form(1), ref="d")
        clerk = await city.reviewer("ip_office")
        await city.programmes.reviewing.decide(back.id, clerk, Verdict.RETURN, reason="页码不全")
        assert (paid.state, waits.state) == (State.ACTIVE, State.WAITING_BUDGET)
        await city.at(date(2027, 1, 5))  # the first of five yearly instalments
        await city.identity.people.erase(await city.subject(person), by="test")
        for _ in range(2):
            await city.programmes.awards.forget(person)
        await city.fund("talent_credit")
        await city.later(days=400)
        apps = [(await city.programmes.file(one.id)).application for one in (paid, waits, asked, back)]
        assert [one.state for one in apps] == [State.COMPLETED] + [State.WITHDRAWN] * 3
        assert await city.programmes.reviewing.queue(await city.reviewer("science")) == []
        assert (await city.budget("referral_cash"))[1] == 0
        assert await city.budget("talent_credit") == (10**13, 0)
        assert await city.balance(person, "cny") > 0  # what was paid stays
        assert await city.sound()


class TestEntitlement:
    async def test_tells_what_one_gets_what_is_missing_and_what_would_change_it(self, city: City) -> None:
        person = await city.person()
        await city.know(person, "role", "data_analyst")
        found = {item.programme: item for item in await city.programmes.applying.entitlements(person)}
        assert "usage_bonus" not in found  # for companies
        role = found["role_grant"]
        assert (role.standing, role.outcome.payments[0].amount) == ("entitled", 800 * CREDIT)
        assert found["software_copyright"].standing == "needs_answers"
        nomad = found["nomad_credits"]
        assert nomad.standing == "not_yet"
        assert nomad.outcome.reasons[0].nearest
        await city.fund("talent_credit")
        await city.apply("role_grant", person)
        again = {item.programme: item for item in await city.programmes.applying.entitlements(person)}
        assert again["role_grant"].standing == "applied"
