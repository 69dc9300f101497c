"""Applying, deciding and funding over HTTP, each by who may, with real identity and ledger."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from shanhe.approvals.routes import router as approvals_router
from shanhe.facts.routes import router as facts_router
from shanhe.identity.api import Client, NewKey, Stage, require
from shanhe.kernel import http
from shanhe.kernel.ids import new_id
from shanhe.programmes.api import Counted
from shanhe.programmes.routes import router as programmes_router
from shanhe.wiring.rulings import Rulings
from stage.faults import lost_mark

from .conftest import CREDIT, RULEBOOK, City

FORM = {
    "programme": "software_copyright",
    "client_ref": "a",
    "answers": {"registration_number": "2026SR1", "registered_on": "2026-02-10"},
    "evidence": {"certificate": {"reference": "软著登字第 1 号", "sha256": "ab" * 32}},
}


class Site:
    def __init__(self, city: City) -> None:
        self.city = city
        app = FastAPI()
        http.install(app)
        app.state.identity = city.identity
        http.take(app, programmes_router(city.programmes))

        async def subject_of(org_id: UUID) -> UUID:
            return (await city.programmes.party(org_id)).subject

        nobody: Any = None
        rulings = Rulings(
            city.clock, city.approvals, city.identity.seals, RULEBOOK, bank=nobody, disputes=nobody, facts=city.facts
        )
        http.take(app, facts_router(city.facts, require, subject_of, rulings.record))
        http.take(app, approvals_router(city.approvals, require))
        self.transport = httpx.ASGITransport(app=http.Manners(app))

    async def key(self, org: UUID, *permissions: str) -> httpx.AsyncClient:
        _, token = await self.city.identity.keys.create(org, NewKey("k", permissions=frozenset(permissions)), by="test")
        return self.client({"authorization": f"Bearer {token}"})

    async def signed_in(self, person: UUID) -> httpx.AsyncClient:
        issued = await self.city.identity.sessions.open(
            person, stage=Stage.FULL, methods=("password",), client=Client()
        )
        return self.client({"cookie": f"shanhe_session={issued.token}", "x-csrf-token": issued.csrf})

    def client(self, headers: dict[str, str]) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self.transport, base_url="http://city.test", headers=headers)


@pytest.fixture
def site(city: City) -> Site:
    return Site(city)


class TestProgramme:
    async def test_runs_from_entitlement_to_money_over_http(self, site: Site, city: City) -> None:
        firm, office = await city.company(), await city.company("数字办")
        member, operator = await site.key(firm, "apply"), await site.key(office, "programmes")
        body = {"id": str(uuid4()), "amount": 900 * CREDIT, "reason": "2026 年预算"}
        for _ in range(2):
            asked = await operator.post("/api/programmes/budgets/ip_credit/fund", json=body)
            assert (asked.status_code, asked.json()["state"]) == (202, "open")
        path = f"/api/programmes/requests/{body['id']}/approve"
        assert (await operator.post(path)).status_code == 403  # not by who asked
        assert await city.budget("ip_credit") == (0, 0)
        second = await site.key(office, "programmes")
        with lost_mark():
            await second.post(path)
        for _ in range(2):
            assert (await second.post(path)).json()["state"] == "done"
        assert await city.budget("ip_credit") == (900 * CREDIT, 0)
        rows = (await member.get("/api/programmes/entitlements")).json()["data"]
        mine = next(row for row in rows if row["programme"] == "software_copyright")
        assert (mine["standing"], mine["payments"][0]["text"]["en"]) == ("needs_answers", "500.00 credits")
        made = (await member.post("/api/programmes/applications", json=FORM)).json()
        assert (made["state"], made["with"]["zh"]) == ("in_review", "市市场监管局（知识产权处）")
        again = await member.post("/api/programmes/applications", json=FORM)
        assert again.json()["id"] == made["id"]
        sheet = (await operator.get("/api/programmes/applications.csv?programme=software_copyright")).text
        assert [line.split(",")[:5] for line in sheet.splitlines()[1:]] == [
            [made["id"], "software_copyright", "", str(firm), "in_review"]
        ]
        assert (await member.get("/api/programmes/applications.csv")).status_code == 403
        clerk = await self.clerk(site, city)
        queue = (await clerk.get("/api/programmes/queue")).json()["data"]
        assert [row["id"] for row in queue] == [made["id"]]
        done = await clerk.post(f"/api/programmes/applications/{made['id']}/verdicts", json={"verdict": "pass"})
        assert done.json()["state"] == "completed"
        file = (await member.get(f"/api/programmes/applications/{made['id']}")).json()
        assert file["tranches"][0]["payments"][0]["amount"] == 500 * CREDIT
        assert file["decisions"][0]["traces"]["T15_ip_award"]["rule"] == "T15_ip_award"
        budget = next(
            b for b in (await operator.get("/api/programmes/budgets")).json()["data"] if b["name"] == "ip_credit"
        )
        assert (budget["free"], budget["spent"]) == (400 * CREDIT, 500 * CREDIT)

    async def clerk(self, site: Site, city: City) -> httpx.AsyncClient:
        return await site.signed_in(await city.reviewer("ip_office"))

    async def test_is_read_by_everybody_and_written_by_who_may(self, site: Site, city: City) -> None:
        nobody = site.client({})
        assert (await nobody.get("/api/programmes")).json()["data"]
        shown = (await nobody.get("/api/programmes/software_copyright")).json()
        assert shown["rules"] == ["T15_ip_award", "T15_registered"]
        assert (await nobody.get("/api/programmes/gold")).status_code == 404
        firm = await city.company()
        plain = await site.key(firm)
        assert (await plain.post("/api/programmes/applications", json=FORM)).status_code == 403
        assert (await plain.get("/api/programmes/budgets")).status_code == 403
        member, stranger = await site.key(firm, "apply"), await site.key(await city.company("别家"), "apply")
        made = (await member.post("/api/programmes/applications", json=FORM)).json()
        assert (await stranger.get(f"/api/programmes/applications/{made['id']}")).status_code == 404
        assert (await stranger.post(f"/api/programmes/applications/{made['id']}/withdraw")).status_code == 404

    async def test_of_others_cannot_be_told_from_none(self, site: Site, city: City) -> None:
        member = await site.key(await city.company(), "apply")
        made = (await member.post("/api/programmes/applications", json=FORM)).json()
        stranger = await site.key(await city.company("别家"), "apply")
        outsider = await site.signed_in(await city.reviewer("talent_office"))
        verdict, met = {"verdict": "pass"}, {"on": "2026-11-20"}
        lost, back = {"id": str(uuid4()), "lost_fen": 1, "past_due": 1}, {"id": str(uuid4()), "amount_fen": 1}
        for client, path, body in (
            (outsider, "applications/{}/verdicts", verdict),
            (outsider, "applications/{}/milestones/1", met),
            (outsider, "applications/{}/preview", {}),
            (stranger, "guarantees/{}/call", lost),
            (stranger, "guarantees/{}/recoveries", back),
        ):
            places = [f"/api/programmes/{path.format(one)}" for one in (made["id"], uuid4())]
            told = [await client.post(place, json=body) for place in places]
            assert told[0].status_code == 404, path
            assert told[0].json() == told[1].json(), path

    async def test_facts_are_declared_by_oneself_and_recorded_by_two_operators(self, site: Site, city: City) -> None:
        firm, office = await city.company(), await city.company("数字办")
        member, operator = await site.key(firm, "apply"), await site.key(office, "programmes")
        fact: dict[str, Any] = {"name": "insured_jobs", "value": 12, "valid_from": "2026-01-01"}
        assert (await member.post("/api/facts", json=fact)).json()["standing"] == "declared"
        assert (await member.post(f"/api/facts/{firm}", json=fact)).status_code == 403
        assert (await member.post("/api/facts", json=fact | {"value": "many"})).status_code == 422
        checked = fact | {"id": str(new_id()), "source": "社保局"}  # of two noted at one instant the later id counts
        assert (await operator.post(f"/api/facts/{firm}", json=checked | {"value": "many"})).status_code == 422
        asked = [await operator.post(f"/api/facts/{firm}", json=checked) for _ in range(2)]
        assert [(one.status_code, one.json()["state"]) for one in asked] == [(202, "open")] * 2
        assert asked[0].json()["id"] == asked[1].json()["id"]
        assert (await operator.post(f"/api/facts/{firm}", json=checked | {"value": 13})).status_code == 409
        assert (await member.get("/api/facts")).json()["data"][0]["standing"] == "declared"
        agree, second = f"/api/approvals/requests/{asked[0].json()['id']}/approve", await site.key(office, "programmes")
        other = await site.key(office, "accounts")  # may not ask for it either
        for path in (agree, agree.replace("approve", "reject")):
            refused = (await other.post(path, json={"reason": "x"})).json()
            assert (refused["error"]["code"], refused["error"]["details"]["permission"]) == (
                "permission_missing", "programmes",
            )  # fmt: skip
        with lost_mark():
            await second.post(agree, json={})
        for _ in range(2):
            assert (await second.post(agree, json={})).json()["state"] == "done"
        known = (await member.get("/api/facts")).json()["data"][0]
        assert (known["id"], known["standing"], known["source"]) == (checked["id"], "checked", "社保局")

    async def test_a_fact_waits_for_the_second_one_in_words_and_sealed(self, site: Site, city: City) -> None:
        operator = await site.key(await city.company("数字办"), "programmes")
        person = await city.person()
        fact = {"name": "residence", "value": "东街 4 号", "valid_from": "2026-01-01", "source": "公安局"}
        firm = await city.company()
        capital = {"name": "paid_in_capital_fen", "value": 500_000_000, "valid_from": "2026-01-01", "source": "市监局"}
        told = await city.approvals.get(UUID((await operator.post(f"/api/facts/{firm}", json=capital)).json()["id"]))
        assert await city.approvals.why(told) == "实缴资本 Paid-in capital · ¥ 5,000,000.00 · 2026-01-01 · 市监局"
        asked = await operator.post(f"/api/facts/{person}", json=fact)
        request = await city.approvals.get(UUID(asked.json()["id"]))
        assert "东街" not in str(request)
        assert "东街 4 号" in await city.approvals.why(request)


class TestGuarantee:
    async def test_is_called_and_repaid_by_its_bank_and_nobody_else(self, site: Site, city: City) -> None:
        firm, bank, office = await city.company(), await city.company("山河银行"), await city.company("财政局")
        await city.know(firm, "incubated", True)
        await city.fund("compensation_fund", 100_000)
        form = {"bank": str(bank), "contract": "HT-1", "loan_fen": 100_000, "ends_on": "2027-03-02"}
        app = await city.approve(await city.apply("loan_guarantee", firm, form))
        lender, borrower = await site.key(bank, "apply"), await site.key(firm, "apply")
        operator = await site.key(office, "programmes")
        path = f"/api/programmes/guarantees/{app.id}"
        call = {"id": str(uuid4()), "lost_fen": 50_000, "past_due": 90}
        assert (await borrower.post(f"{path}/call", json=call)).status_code == 404
        early = await lender.post(f"{path}/call", json=call | {"past_due": 89})
        assert (early.status_code, early.json()["error"]["code"]) == (409, "nothing_to_call")
        for _ in range(2):
            asked = await lender.post(f"{path}/call", json=call)
            assert (asked.status_code, asked.json()["amount"]) == (202, 40_000)
        for _ in range(2):
            with lost_mark():
                await operator.post(f"/api/programmes/requests/{call['id']}/approve")
        assert (await operator.post(f"/api/programmes/requests/{call['id']}/approve")).json()["state"] == "done"
        assert await city.balance(bank, "cny") == 40_000
        back = await lender.post(f"{path}/recoveries", json={"id": str(uuid4()), "amount_fen": 10_000})
        assert (back.status_code, back.json()["returned_fen"]) == (201, 8_000)
        (seen,) = (await borrower.get("/api/programmes/guarantees")).json()["data"]
        assert (seen["bank_name"], seen["paid_fen"], seen["state"]) == ("山河银行", 40_000, "recovering")
        assert len((await operator.get("/api/programmes/guarantees/all")).json()["data"]) == 1
        assert await city.sound()


class TestStanding:
    async def test_shows_a_company_its_index_and_operators_a_bases_report(self, site: Site, city: City) -> None:
        firm, office = await city.company(), await city.company("招商局")
        city.counted = {firm: Counted(CREDIT, 1, 2, 3)}
        await city.programmes.tick()
        member, operator = await site.key(firm, "apply"), await site.key(office, "programmes")
        found = (await member.get("/api/programmes/index")).json()
        assert [one["points"] for one in found["data"]] == ["50.00"]  # alone: the middle
        assert found["so_far"]["counted"]["jobs"] == 2
        assert found["benefits"]["outputs"]["queue_weight"] == 2
        await city.fund("enclave_shanghai_fund", 500)
        days = {"first": "2026-03-01", "last": "2026-03-31"}
        report = (await operator.get("/api/programmes/sites/shanghai", params=days)).json()
        assert [row["closing"]["amount"] for row in report["budgets"]] == [0, 500, 0]
        assert (await operator.get("/api/programmes/sites/atlantis", params=days)).status_code == 404
        assert (await member.get("/api/programmes/sites/shanghai", params=days)).status_code == 403
