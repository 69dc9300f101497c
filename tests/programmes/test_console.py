"""The pages over the real engine: applying in a form, deciding at a desk, funding a budget, seeing the money."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
from starlette.requests import Request
from tests.console import double

from shanhe.console import model as m
from shanhe.console.live.modules import Names
from shanhe.console.live.promises import LivePromises
from shanhe.identity.api import Actor, OrgKind
from shanhe.programmes.api import State, Verdict

from .conftest import CREDIT, City

RIGHTS = frozenset({"apply", "programmes"})
TOKEN = {"csrf": "token"}


class Gate(double.Gate):
    """Lets whoever the test names in."""

    def __init__(self, person: UUID, org: UUID, rights: frozenset[str]) -> None:
        super().__init__()
        actor = Actor(person, None, org, frozenset(), rights)
        self._who = m.Who(person, org, "某人", "某单位", frozenset(), rights, TOKEN["csrf"], "s", actor=actor)

    async def who(self, request: Request) -> m.Who | None:
        return self._who


async def browser(city: City, person: UUID, org: UUID, rights: frozenset[str] = RIGHTS) -> httpx.AsyncClient:
    live = LivePromises(city.programmes, city.identity, Names(city.identity, city.ledger))
    desk = replace(double.desk(), gate=Gate(person, org, rights), promises=live)
    transport = httpx.ASGITransport(double.app(desk), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://city", headers={"accept": "text/html"})


async def post(client: httpx.AsyncClient, path: str, **fields: Any) -> httpx.Response:
    return await client.post(path, data=TOKEN | fields)


class TestPages:
    async def test_lead_from_what_i_am_entitled_to_to_the_money(self, city: City) -> None:
        firm, member, clerk = await city.company(), await city.person(), await city.reviewer("ip_office")
        person = await city.subject(member)
        applicant, reviewer = await browser(city, person, firm), await browser(city, clerk, await city.company("局"))
        funding = (await applicant.get("/city/programmes")).text
        number = re.search(r'name="id" value="([0-9a-f-]+)"', funding)
        assert number is not None
        money = {"id": number[1], "budget": "ip_credit", "amount": "600", "reason": "x"}
        for _ in range(2):  # sent twice, asked once
            done = await post(applicant, "/city/programmes/fund", **money)
            assert done.headers["location"] == "/city/programmes?done=payment_asked"
        assert "由您提出" in (await applicant.get("/city/programmes")).text
        agree = f"/city/programmes/requests/{number[1]}"
        assert (await post(applicant, agree, do="approve")).status_code == 403
        done = await post(reviewer, agree, do="approve")
        assert done.headers["location"] == "/city/programmes?done=decided"
        assert await city.budget("ip_credit") == (600 * CREDIT, 0)
        assert "软件著作权奖励" in (await applicant.get("/programmes")).text
        wrong = await post(
            applicant, "/programmes/software_copyright", a_registration_number="2026SR5", client_ref="r1"
        )
        assert wrong.status_code == 422
        assert "2026SR5" in wrong.text  # what was typed is still there
        sent = await post(
            applicant, "/programmes/software_copyright", a_registration_number="2026SR5", a_registered_on="2026-01-05",
            e_certificate="软著登字第 5 号", client_ref="r1",
        )  # fmt: skip
        path = sent.headers["location"].split("?")[0]
        assert "市市场监管局（知识产权处）" in (await applicant.get(path)).text
        case = path.replace("/applications/", "/review/")
        assert "软著登字第 5 号" in (await reviewer.get(case)).text
        assert (await reviewer.get("/review")).text.count(case) == 1
        nothing = await post(reviewer, case, verdict="refuse", reason="")
        assert nothing.status_code == 422
        decided = await post(reviewer, case, verdict="pass", reason="")
        assert decided.headers["location"] == "/review?done=decided"
        page = (await applicant.get(path)).text
        assert "500.00" in page
        assert await city.balance(firm) == 500 * CREDIT

    async def test_hide_an_application_from_strangers(self, city: City) -> None:
        firm, person = await city.company(), await city.subject(await city.person())
        app = await city.apply("software_copyright", firm, {"registration_number": "1", "registered_on": "2026-01-05"})
        stranger = await browser(city, person, await city.company("别家"), frozenset({"apply"}))
        assert (await stranger.get(f"/applications/{app.id}")).status_code == 404
        assert (await stranger.get(f"/review/{app.id}")).status_code == 404
        assert (await stranger.get("/city/programmes")).status_code == 403

    async def test_read_milestones_and_money_as_people_write_them(self, city: City) -> None:
        charity, person = await city.company("慈善会"), await city.subject(await city.person())
        client = await browser(city, person, charity)
        sent = await post(
            client, "/programmes/public_good", a_project="方言陪伴", a_requested_fen="1000.50", client_ref="p",
            a_plan="数据集 | 2026-06-01 | 40\n上线 | 2026-09-01 | 60 | 1000", e_proposal="项目书",
        )  # fmt: skip
        page = (await client.get(sent.headers["location"])).text
        assert "¥ 1,000.50" in page
        assert "上线 · 2026-09-01 · 60 %" in page


async def test_an_auditor_reads_why_an_award_was_made_and_changes_nothing(city: City) -> None:
    firm, clerk = await city.company(), await city.reviewer("ip_office")
    await city.fund("ip_credit")
    app = await city.apply("software_copyright", firm, {"registration_number": "7", "registered_on": "2026-01-05"})
    city.measured[("ip_standing", firm)] = "software_copyright"
    await city.approve(app)
    person = await city.subject(await city.person())
    auditor = await browser(city, person, UUID(int=0), frozenset({"audit", "ledger"}))
    page = (await auditor.get(f"/applications/{app.id}")).text
    assert "青山机器人" in page
    assert "通过的依据" in page
    assert "T15" in page
    assert "/clawback" not in page
    everything = (await auditor.get("/city/programmes")).text
    assert f"/applications/{app.id}" in everything
    assert "/city/programmes/fund" not in everything
    assert (await auditor.get("/city/programmes.csv")).status_code == 200
    assert (await auditor.get(f"/search?q={app.id}")).headers["location"] == f"/applications/{app.id}"
    for path in ("clawback", "breach"):
        assert (await post(auditor, f"/applications/{app.id}/{path}", note="x")).status_code == 403
    assert clerk  # whose office approved it


async def test_an_award_is_taken_back_from_its_page_by_two_operators(city: City) -> None:
    firm = await city.company()
    await city.fund("ip_credit")
    city.measured[("ip_standing", firm)] = "software_copyright"
    app = await city.approve(
        await city.apply("software_copyright", firm, {"registration_number": "8", "registered_on": "2026-01-05"})
    )
    assert await city.balance(firm) == 500 * CREDIT
    one, other = [await city.subject(await city.person(name)) for name in ("何", "罗")]
    first = await browser(city, one, UUID(int=0), frozenset({"programmes"}))
    second = await browser(city, other, UUID(int=0), frozenset({"programmes"}))
    page = (await first.get(f"/applications/{app.id}")).text
    number = re.search(r'/clawback".*?name="id" value="([0-9a-f-]+)"', page, re.DOTALL)
    assert number is not None
    empty = await post(first, f"/applications/{app.id}/clawback", id=number[1], note="")
    assert empty.status_code == 422
    for _ in range(2):  # sent twice, asked once
        asked = await post(first, f"/applications/{app.id}/clawback", id=number[1], note="登记已撤销")
        assert asked.headers["location"].endswith("done=payment_asked")
    assert await city.balance(firm) == 500 * CREDIT
    listed = (await second.get("/city/programmes")).text
    assert "软件著作权奖励（青山机器人）" in listed
    assert f'href="/applications/{app.id}"' in listed
    await post(second, f"/city/programmes/requests/{number[1]}", do="approve")
    assert await city.balance(firm) == 0
    page = (await second.get(f"/applications/{app.id}")).text
    assert "已终止" in page
    assert "/clawback" not in page


async def test_a_reviewer_finds_and_accepts_a_milestone_from_the_desk(city: City) -> None:
    charity = await city.company("慈善会")
    await city.fund("charity_fund")
    app = await city.apply(
        "public_good", charity,
        {"project": "方言陪伴", "requested_fen": 100_000, "plan": [
            {"title": "数据集", "due_on": "2026-06-01", "share_bps": 4_000},
            {"title": "上线", "due_on": "2026-09-01", "share_bps": 6_000}]},
    )  # fmt: skip
    app = await city.approve(app, {"body": "charity"})
    clerk = await browser(city, await city.reviewer("civil_affairs"), UUID(int=0), frozenset())
    stranger = await browser(city, await city.reviewer("ip_office"), UUID(int=0), frozenset())
    case = f"/review/{app.id}"
    assert case in (await clerk.get("/review")).text
    assert case not in (await stranger.get("/review")).text
    assert "数据集" in (await clerk.get(case)).text
    assert (await post(clerk, f"{case}/milestones/1", on="")).status_code == 422
    assert (await post(stranger, f"{case}/milestones/1", on="2026-03-02")).status_code == 404
    done = await post(clerk, f"{case}/milestones/1", on="2026-03-02")
    assert done.headers["location"] == f"{case}?done=decided"
    assert await city.balance(charity) > 0
    page = (await clerk.get(case)).text
    assert f"{case}/milestones/1" not in page
    assert f"{case}/milestones/2" in page


async def test_a_reviewer_sees_what_the_one_before_assessed_in_the_fields_that_would_be_sent(city: City) -> None:
    firm, finance = await city.company(), await city.reviewer("finance")
    site = await city.apply("enclave_support", firm, {"site": "shanghai", "raised_fen": 100})
    film = await city.apply("brand_award", firm, {"campaign": "山河之夜"}, ref="b")
    decide = city.programmes.reviewing.decide
    await decide(site.id, await city.reviewer("commerce"), Verdict.PASS, assessed={"at_base": True})
    await decide(film.id, await city.reviewer("publicity"), Verdict.PASS, assessed={"exposure": 200_000_000})
    client = await browser(city, finance, await city.company("局"))
    assert re.search(r'name="a_at_base" value="on" checked', (await client.get(f"/review/{site.id}")).text)
    assert re.search(r'name="a_exposure"[^>]* value="200000000"', (await client.get(f"/review/{film.id}")).text)
    done = await post(client, f"/review/{film.id}", verdict="pass", a_exposure="200000000")
    assert "done=decided" in done.headers["location"]
    other = await post(await browser(city, await city.reviewer("finance", 1), firm), f"/review/{film.id}",
                       verdict="pass", a_exposure="300000000")  # fmt: skip
    assert "他人已按另一认定通过" in other.text


async def test_a_reviewer_decides_on_what_the_page_showed_and_not_on_what_came_back_since(city: City) -> None:
    firm = await city.company()
    app = await city.apply("brand_award", firm, {"campaign": "山河之夜"})
    client = await browser(city, await city.reviewer("publicity"), await city.company("局"))
    assert 'name="turn" value="0"' in (await client.get(f"/review/{app.id}")).text
    other = await city.reviewer("publicity", 1)
    await city.programmes.reviewing.decide(app.id, other, Verdict.RETURN, reason="活动名称有误")
    more = {"campaign": "山河之昼"}
    await city.programmes.applying.supplement(app.id, firm, answers=more, evidence={}, actor="test")
    late = await post(client, f"/review/{app.id}", verdict="pass", turn="0")
    assert "退回后已补正" in late.text
    assert 'name="turn" value="1"' in late.text
    done = await post(client, f"/review/{app.id}", verdict="pass", turn="1", a_exposure="200000000")
    assert "done=decided" in done.headers["location"]


class TestReviewers:
    async def test_are_assigned_and_dismissed_on_a_page(self, city: City) -> None:
        me = await city.subject(await city.person())
        desk = await browser(city, me, await city.company("局"))
        clerk = await city.subject(await city.person())
        login = (await city.identity.people.get(clerk)).login or ""
        page, place = "/city/programmes/reviewers", "ip_office"
        own = await post(desk, page, name=(await city.identity.people.get(me)).login or "", department=place)
        assert (own.status_code, "须由他人指派" in own.text) == (403, True), "or one has the word on awards alone"
        assert await city.programmes.reviewing.departments(me) == frozenset()
        unknown = await post(desk, page, name="nobody.here", department=place)
        assert (unknown.status_code, "没有" in unknown.text) == (404, True)
        assert (await post(desk, page, name=login, department="nowhere")).status_code >= 400
        there = await post(desk, page, name=login, department=place)
        assert there.headers["location"] == f"{page}?done=reviewer_there"
        assert await city.programmes.reviewing.departments(clerk) == {place}
        assert str(clerk) in (await desk.get(page)).text
        assert (await post(desk, page, do="dismiss", person="x", department=place)).status_code == 422
        gone = await post(desk, page, do="dismiss", person=str(clerk), department=place)
        assert gone.headers["location"] == f"{page}?done=reviewer_gone"
        assert await city.programmes.reviewing.departments(clerk) == frozenset()


class TestReview:
    async def test_hands_on_what_a_reviewer_wrote_beside_a_pass_and_asks_nobody_twice(self, city: City) -> None:
        charity, person = await city.company("慈善会"), await city.subject(await city.person())
        await city.fund("charity_fund")
        plan = [{"title": "上线", "due_on": "2026-09-01", "share_bps": 10_000}]
        answers = {"project": "方言陪伴", "requested_fen": 100_000, "plan": plan}
        app = await city.apply("public_good", charity, answers, evidence={"proposal": {"reference": "项目书"}})
        first, second = [await city.reviewer("civil_affairs", index) for index in (0, 1)]
        office = await city.company("局", OrgKind.GOVERNMENT)
        one, other = [await browser(city, clerk, office, frozenset()) for clerk in (first, second)]
        case, verdict = f"/review/{app.id}", {"verdict": "pass", "a_body": "charity"}
        await post(one, case, reason="登记证书已核验", **verdict)
        assert "登记证书已核验" in (await other.get(case)).text
        assert 'value="pass"' in (await one.get(case)).text  # the next step is open to the same person
        await post(one, case, reason="额度合理", **verdict)
        again = (await one.get(case)).text
        assert "您已对本环节表态" in again
        assert 'value="pass"' not in again
        seen = (await other.get(case)).text
        assert "额度合理" in seen
        assert 'value="pass"' in seen
        too_long = await post(other, case, reason="长" * 1_001, **verdict)
        assert too_long.status_code == 422
        await post(other, case, reason="", **verdict)
        applicant = await browser(city, person, charity)
        page = (await applicant.get(f"/applications/{app.id}")).text
        assert page.count("审核意见") == 2
        assert "发放中" in page

    async def test_of_what_was_returned_shows_what_was_sent_to_be_mended(self, city: City) -> None:
        charity, person = await city.company("慈善会"), await city.subject(await city.person())
        plan = [{"title": "数据集", "due_on": "2026-06-01", "share_bps": 4_000},
                {"title": "上线", "due_on": "2026-09-01", "share_bps": 6_000,
                 "target_micro": 1_000 * CREDIT}]  # fmt: skip
        answers = {"project": "方言陪伴", "requested_fen": 100_050, "plan": plan}
        app = await city.apply("public_good", charity, answers, evidence={"proposal": {"reference": "项目书"}})
        clerk = await city.reviewer("civil_affairs")
        await city.programmes.reviewing.decide(app.id, clerk, Verdict.RETURN, reason="请改项目名称")
        client = await browser(city, person, charity)
        page = (await client.get(f"/applications/{app.id}")).text
        assert "数据集 | 2026-06-01 | 40\n上线 | 2026-09-01 | 60 | 1,000.00" in page
        assert 'value="1,000.50"' in page
        assert re.search(r'name="a_project" [^>]*required', page)  # what is cleared would stay as it was
        assert "留空则沿用“项目书”" in page
        assert "需要补充的内容" in page
        form = {"a_project": "方言陪伴二期", "a_requested_fen": "1,000.50",
                "a_plan": "数据集 | 2026-06-01 | 40\n上线 | 2026-09-01 | 60 | 1,000.00",
                "e_proposal": "", "s_proposal": "ab" * 32}  # fmt: skip
        await post(client, f"/applications/{app.id}/supplement", **form)
        held = (await city.programmes.file(app.id)).application
        assert held.answers == answers | {"project": "方言陪伴二期"}
        paper = held.evidence["proposal"]
        assert (paper.reference, paper.sha256) == ("项目书", "ab" * 32)  # of the paper that stays
        assert "需要补充的内容" not in (await client.get(f"/applications/{app.id}")).text

    async def test_that_was_returned_takes_an_unticked_box_for_a_no(self, city: City) -> None:
        firm, person = await city.company("新创"), await city.subject(await city.person())
        paper = {"audit": {"reference": "验资报告"}}
        app = await city.apply("incubator_subsidy", firm, {"platform_first": True}, evidence=paper)
        step = city.programmes.programme("incubator_subsidy").path(1)[0]
        clerk = await city.reviewer(step.by)
        await city.programmes.reviewing.decide(app.id, clerk, Verdict.RETURN, reason="请确认承诺")
        client = await browser(city, person, firm)
        refused = await post(client, f"/applications/{app.id}/supplement", e_audit="验资报告二")
        assert refused.status_code == 422
        assert (await city.programmes.file(app.id)).application.state is State.RETURNED


class TestPlan:
    async def test_that_cannot_be_read_names_the_line_and_how_to_write_it(self, city: City) -> None:
        charity, person = await city.company("慈善会"), await city.subject(await city.person())
        client = await browser(city, person, charity)
        form = {"a_project": "方言陪伴", "a_requested_fen": "1000", "client_ref": "p", "e_proposal": "项目书"}
        plan = "数据集｜2026-06-01｜40％\n上线 2026-09-01 60%"
        wrong = await post(client, "/programmes/public_good", a_plan=plan, **form)
        assert "第 2 个里程碑：“上线 2026-09-01 60%”须写成" in wrong.text
        plan = plan.replace(" ", "｜").replace("60", "50")
        short = await post(client, "/programmes/public_good", a_plan=plan, **form)
        assert "合计须为 100 %，现为 90 %" in short.text
