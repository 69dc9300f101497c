"""The same over HTTP and on pages, each by who may."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from tests.console import double
from tests.programmes.test_console import Gate

from shanhe.approvals.api import RequestState
from shanhe.console.live.nomads import LiveNomads
from shanhe.console.model import Who
from shanhe.credentials.api import verify
from shanhe.credentials.routes import router as credentials_router
from shanhe.identity.api import NewKey, require
from shanhe.kernel import http
from shanhe.nomads.api import VenueKind
from shanhe.nomads.errors import KeyTaken
from shanhe.nomads.routes import router

from .conftest import Town

TOKEN = {"csrf": "token"}


class Site:
    def __init__(self, town: Town) -> None:
        self.town = town
        app = FastAPI()
        http.install(app)
        app.state.identity = town.identity
        app.include_router(router(town.nomads))
        app.include_router(credentials_router(town.credentials, require))
        self.transport = httpx.ASGITransport(app=http.Manners(app))

    async def key(self, org: UUID, *permissions: str) -> httpx.AsyncClient:
        _, token = await self.town.identity.keys.create(org, NewKey("k", permissions=frozenset(permissions)), by="test")
        return self.client({"authorization": f"Bearer {token}"})

    def client(self, headers: dict[str, str]) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self.transport, base_url="http://city.test", headers=headers)


@pytest.fixture
def site(town: Town) -> Site:
    return Site(town)


class TestHttp:
    async def test_leads_from_consent_to_a_ticket_at_a_gate(self, site: Site, town: Town) -> None:
        person, office = await town.nomad(insured=""), await town.company("数字办")
        await town.nomads.presence.consent(person, given=False)
        phone = await site.key(await town.nomads._ground.purse(person), "apply")
        desk = await site.key(office, "programmes")
        owner = await town.company("云台山景区")
        made = await desk.post(
            "/api/nomads/venues", json={"org_id": str(owner), "name": "云台山", "kind": "attraction", "address": "1"}
        )
        assert made.status_code == 201
        gate, venue = await site.key(owner, "apply"), f"/api/nomads/venues/{made.json()['id']}"
        code = (await gate.get(f"{venue}/code")).json()
        assert "/nomad/check-in?c=SH1." in code["link"]
        places = (await phone.get("/api/nomads/venues/open")).json()["data"]
        assert places == [{"name": "云台山", "kind": "attraction", "address": "1", "certified": False}]
        refused = await phone.post("/api/nomads/me/check-in", json={"code": code["code"]})
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "presence_consent")
        await phone.put("/api/nomads/me/consent", json={"given": True})
        await phone.put("/api/nomads/me/insurance", json={"city": "-"})
        assert (await phone.post("/api/nomads/me/check-in", json={"code": code["code"]})).json()["counted"]
        me = (await phone.get("/api/nomads/me")).json()
        assert (me["days"], me["needed"], me["missing"], me["consent"]) == (1, 90, 89, True)
        answer = (await phone.post("/api/nomads/me/card", json={"client_ref": "a"})).json()
        assert (answer["granted"], answer["reasons"][0]["en"]) == (False, "89 more days")
        town.clock.advance(days=1)
        await town.here(person, 89)
        assert (await phone.post("/api/nomads/me/card", json={"client_ref": "b"})).json()["granted"]
        card = (await phone.get("/api/nomads/me/card")).json()
        keys = (await site.client({}).get("/api/credentials/keys")).json()["keys"]
        said = verify(card["sd_jwt"], keys, at=town.clock.now())
        assert said.status is not None
        listed = await site.client({}).get(said.status[0].replace("https://city.example", ""))
        assert listed.headers["content-type"] == "application/statuslist+jwt"
        ticket = (await phone.get("/api/nomads/me/purse")).json()["tickets"][0]["code"]
        body = {"code": ticket, "companions": 1, "holder_present": True}
        assert (await gate.post(f"{venue}/redeem", json=body)).json()["admitted"] == 2
        again = await gate.post(f"{venue}/redeem", json=body)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "ticket_used")
        scan = {"code": ticket, "at": town.clock.now().isoformat(), "scanner": "s", "seq": 0}
        assert (await gate.post(f"{venue}/sync", json={"scans": [scan]})).json()["data"][0]["outcome"] == "double"
        assert [d["granted"] for d in (await phone.get("/api/nomads/me/decisions")).json()["data"]] == [True, False]
        assert (await desk.get("/api/nomads/figures")).json()["cards"] == 1
        done = await desk.post(f"/api/nomads/cards/{card['id']}/revoke", json={"reason": "x"})
        assert done.json()["standing"] == "revoked"

    async def test_lets_nobody_do_what_is_not_theirs(self, site: Site, town: Town) -> None:
        place = await town.venue()
        stranger = await site.key(await town.company("别家"), "apply")
        plain = await site.key(place.org_id)
        for client, status in ((stranger, 404), (plain, 403), (site.client({}), 401)):
            assert (await client.get(f"/api/nomads/venues/{place.id}/code")).status_code == status
        assert (await stranger.get("/api/nomads/me")).json()["error"]["code"] == "not_a_person"
        assert (await stranger.post("/api/nomads/venues", json={})).status_code in (403, 422)
        assert (await stranger.get("/api/nomads/figures")).status_code == 403
        assert (await stranger.post("/api/credentials/rotate")).status_code == 403

    async def test_lets_no_two_organisations_sign_with_one_key(self, town: Town) -> None:
        public = bytes(range(32))
        first, second = await town.company("旅人社"), await town.company("远行会")
        await town.nomads.membership.recognise(first, public, actor="test")
        await town.nomads.membership.recognise(first, public, actor="test")
        with pytest.raises(KeyTaken):
            await town.nomads.membership.recognise(second, public, actor="test")


class Everybody(double.Gate):
    """Tells who is there by a header."""

    def __init__(self) -> None:
        super().__init__()
        self.people: dict[str, Gate] = {}

    async def who(self, request: Request) -> Who | None:
        return await self.people[request.headers["x-who"]].who(request)


class TestPages:
    @pytest.fixture(autouse=True)
    def pages(self, town: Town) -> None:
        """One application for everybody in a test: making it takes its time."""
        self.gate = Everybody()
        desk = replace(double.desk(), gate=self.gate, nomads=LiveNomads(town.nomads, town.identity))
        self.transport = httpx.ASGITransport(double.app(desk), raise_app_exceptions=False)

    async def browser(self, town: Town, person: UUID, org: UUID, *rights: str) -> httpx.AsyncClient:
        number = str(len(self.gate.people))
        self.gate.people[number] = Gate(person, org, frozenset({"apply", *rights}))
        headers = {"accept": "text/html", "x-who": number}
        return httpx.AsyncClient(transport=self.transport, base_url="http://city", headers=headers)

    async def post(self, client: httpx.AsyncClient, path: str, **fields: Any) -> httpx.Response:
        return await client.post(path, data=TOKEN | fields)

    async def test_ask_a_second_person_for_a_certificate_and_say_so(self, town: Town) -> None:
        await town.company("智汇学院")
        city = await self.browser(town, await town.nomad("经办人"), uuid4(), "programmes")
        fields = {"name": "学院", "org": "智汇学院", "kind": "academy", "address": "", "certified": "on"}
        asked = await self.post(city, "/city/nomads/venues", **fields)
        assert asked.headers["location"] == "/city/nomads?done=venue_asked"
        assert not (await town.nomads.venues.list())[0].certified
        (request,) = await town.approvals.requests(kind="nomads.certificate")
        assert request.state is RequestState.OPEN

    async def test_certify_a_venue_that_is_there_and_take_that_back(self, town: Town) -> None:
        academy = await town.venue("学院", VenueKind.ACADEMY)
        city = await self.browser(town, await town.nomad("经办人"), uuid4(), "programmes")
        page, certificate = "/city/nomads", f"/city/nomads/venues/{academy.id}/certificate"
        assert "申请课程认证" in (await city.get(page)).text
        asked = await self.post(city, certificate, do="ask")
        assert asked.headers["location"] == "/city/nomads?done=certificate_asked"
        (request,) = await town.approvals.requests(kind="nomads.certificate")
        await town.approvals.agree(request.id, by="person:two", rights={"programmes"})
        assert "收回认证" in (await city.get(page)).text
        assert (await self.post(city, certificate, do="end", reason="")).status_code == 422
        ended = await self.post(city, certificate, do="end", reason="课程停办")
        assert ended.headers["location"] == "/city/nomads?done=venue_uncertified"
        assert not (await town.nomads.venues.get(academy.id)).certified

    async def test_serve_a_nomad_a_clerk_and_the_city(self, town: Town) -> None:
        person, clerk = await town.nomad(insured=""), await town.nomad("店员")
        org = await town.company("竹溪客栈")
        me = await self.browser(town, person, await town.nomads._ground.purse(person))
        desk, city = await self.browser(town, clerk, org), await self.browser(town, clerk, org, "programmes")
        added = await self.post(city, "/city/nomads/venues", name="竹溪", org="竹溪客栈", kind="lodging", address="")
        assert added.headers["location"] == "/city/nomads?done=venue_added"
        twice = await self.post(city, "/city/nomads/venues", name="竹溪 ", org="竹溪客栈", kind="lodging", address="")
        assert twice.status_code == 409
        assert "已登记" in twice.text
        (place,) = await town.nomads.venues.list()
        screen = await desk.get(f"/venues/{place.id}/screen")
        assert 'hx-trigger="every 25s"' in screen.text
        assert "frame" not in (await desk.get(f"/venues/{place.id}/screen", headers={"hx-request": "true"})).text
        code = town.nomads.venues.link(town.nomads.venues.code(place))
        page = await me.get("/nomad/check-in", params={"c": code})
        assert page.headers["permissions-policy"].startswith("camera=(self)")
        done = await self.post(me, "/nomad/check-in", code=code)
        assert done.headers["location"] == "/nomad?done=checked_in"
        stale = await self.post(me, "/nomad/check-in", code="SH1.a.b")
        assert stale.status_code == 422
        saved = await self.post(me, "/nomad/insurance", city="上海")
        assert saved.headers["location"] == "/nomad?done=declared"
        asked = await self.post(me, "/nomad/apply", client_ref="one")
        assert "还差 89 天" in asked.text
        empty = await me.get("/nomad/card")
        assert "还没有身份卡" in empty.text
        town.clock.advance(days=1)
        await town.here(person, 89)
        granted = await self.post(me, "/nomad/apply", client_ref="two")
        assert granted.headers["location"] == "/nomad/card?done=card_issued"
        file = (await me.get("/nomad/card/file")).text
        assert verify(file, (await town.credentials.jwks())["keys"], at=town.clock.now()).claims["days_at_least"] == 90
        stay = {"code": await town.pass_of(person), "action": "stay", "nights": "2"}
        assert "本年还余 58 晚" in (await self.post(desk, f"/venues/{place.id}/gate", **stay)).text
        number = (await town.nomads.presence.nomad(person)).number
        rows = f"nomad,date\n{number},{town.today()}\n{number},2031-01-01\n".encode()
        report = await desk.post(f"/venues/{place.id}/days", data=TOKEN, files={"file": ("a.csv", rows)})
        assert "计入 0，此前已计 1，需核对 0，未通过 1" in report.text
        stranger = await self.browser(town, clerk, await town.company("别家"))
        assert (await stranger.get(f"/venues/{place.id}/gate")).status_code == 404
        assert place.kind is VenueKind.LODGING
