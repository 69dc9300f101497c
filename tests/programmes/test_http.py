"""Applying, deciding and funding over HTTP, each by who may, with real identity and ledger."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from shanhe.facts.routes import router as facts_router
from shanhe.identity.api import Client, NewKey, Stage, require
from shanhe.kernel import http
from shanhe.programmes.routes import router as programmes_router

from .conftest import CREDIT, City

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

        http.take(app, facts_router(city.facts, require, subject_of))
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
        for _ in range(2):
            assert (await second.post(path)).json()["state"] == "approved"
        assert await city.budget("ip_credit") == (900 * CREDIT, 0)
        rows = (await member.get("/api/programmes/entitlements")).json()["data"]
        mine = next(row for row in rows if row["programme"] == "software_copyright")
        assert (mine["standing"], mine["payments"][0]["text"]["en"]) == ("needs_answers", "500.000000 credits")
        made = (await member.post("/api/programmes/applications", json=FORM)).json()
        assert (made["state"], made["with"]["zh"]) == ("in_review", "市知识产权局")
        again = await member.post("/api/programmes/applications", json=FORM)
        assert again.json()["id"] == made["id"]
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
        assert (await nobody.get("/api/programmes/software_copyright")).json()["rules"] == ["T15_ip_award"]
        assert (await nobody.get("/api/programmes/gold")).status_code == 404
        firm = await city.company()
        plain = await site.key(firm)
        assert (await plain.post("/api/programmes/applications", json=FORM)).status_code == 403
        assert (await plain.get("/api/programmes/budgets")).status_code == 403
        member, stranger = await site.key(firm, "apply"), await site.key(await city.company("别家"), "apply")
        made = (await member.post("/api/programmes/applications", json=FORM)).json()
        assert (await stranger.get(f"/api/programmes/applications/{made['id']}")).status_code == 404
        assert (await stranger.post(f"/api/programmes/applications/{made['id']}/withdraw")).status_code == 404

    async def test_facts_are_declared_by_oneself_and_recorded_by_operators(self, site: Site, city: City) -> None:
        firm, office = await city.company(), await city.company("数字办")
        member, operator = await site.key(firm, "apply"), await site.key(office, "programmes")
        fact: dict[str, Any] = {"name": "insured_jobs", "value": 12, "valid_from": "2026-01-01"}
        assert (await member.post("/api/facts", json=fact)).json()["standing"] == "declared"
        assert (await member.post(f"/api/facts/{firm}", json=fact)).status_code == 403
        checked = await operator.post(f"/api/facts/{firm}", json=fact | {"source": "社保局"})
        assert checked.json()["standing"] == "checked"
        assert (await member.get("/api/facts")).json()["data"][0]["source"] == "社保局"
        assert (await member.post("/api/facts", json=fact | {"value": "many"})).status_code == 422
