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
from shanhe.identity.api import Actor

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
