"""A nomad's year on a phone: ninety days, a card that others verify offline, tickets, and a renewal one day short."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from shanhe.identity.api import Client, NewKey, NewOrganisation, NewPerson, OrgKind, Role, Stage
from shanhe.kernel.clock import CITY_TZ
from shanhe.nomads.api import NewVenue, Venue, VenueKind
from stage.chromium import barriers, chromium
from stage.nursery import program

from .conftest import seeded
from .travel import Journey, travelling

pytestmark = pytest.mark.browser
START = date(2026, 3, 2)
DAYS = 90
VERIFIED_WITHIN_S = 60
SECOND_PROGRAM = """
import json, sys
from jwcrypto.jwk import JWK
from sd_jwt.verifier import SDJWTVerifier
card, keys = open(sys.argv[1]).read().strip(), json.load(open(sys.argv[2]))["keys"]
key_of = lambda issuer, header: next(JWK(**key) for key in keys if key["kid"] == header["kid"])
print(json.dumps(SDJWTVerifier(card, key_of).get_verified_payload()))
"""


@pytest.fixture
def town(dsn: str, tmp_path: Path) -> Iterator[Journey]:
    with travelling(dsn, tmp_path / "city", datetime(2026, 3, 2, 10, tzinfo=CITY_TZ)) as journey:
        yield journey


@pytest.fixture
def browser(town: Journey) -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


REFUSING = """statuses => {
  const real = fetch;
  window.fetch = (to, how) => how?.method === "POST" && statuses.length
    ? Promise.resolve(new Response("", { status: statuses.shift() })) : real(to, how);
}"""
"""Answers the first reports of a page itself."""


class Traveller:
    """A person with a phone."""

    def __init__(self, town: Journey, browser: Browser, name: str, org: UUID | None = None) -> None:
        self.town = town
        self.context: BrowserContext = browser.new_context(
            locale="zh-CN", viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme="light"
        )
        self.page: Page = self.context.new_page()
        self.looked = False

        async def make(services: Any) -> tuple[UUID, str]:
            person = await services.identity.people.create(NewPerson(name, login=f"u{uuid4().hex[:8]}"), by="test")
            if org is not None:
                await services.identity.orgs.set_member(org, person.id, Role.MEMBER, by="test")
                return person.id, ""
            own = await services.identity.orgs.create_personal(person.id, by="test")
            _, token = await services.identity.keys.create(
                own.id, NewKey("phone", permissions=frozenset({"apply"})), by="test"
            )
            return person.id, token

        self.person, self.token = town.do(make)

    def sign_in(self) -> None:
        """A session of today: months pass between two clicks."""

        async def opened(services: Any) -> str:
            issued = await services.identity.sessions.open(
                self.person, stage=Stage.FULL, methods=("password",), client=Client()
            )
            return str(issued.token)

        cookie = {"name": "shanhe_session", "value": self.town.do(opened), "url": self.town.url}
        self.context.add_cookies([cookie])  # type: ignore[list-item]

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A request from the page itself, as the phone's own script would make it."""
        return self.page.evaluate(  # type: ignore[no-any-return]
            """async ([path, body, token]) => (await fetch(path, {method: "POST", credentials: "omit",
               headers: {"content-type": "application/json", authorization: "Bearer " + token},
               body: JSON.stringify(body)})).json()""",
            [path, body, self.token],
        )

    def look(self) -> None:
        """The page fits the phone, and nothing on it keeps anybody out."""
        assert not self.page.evaluate("document.documentElement.scrollWidth > innerWidth"), self.page.url
        found = barriers(self.page, whole=not self.looked, contrast=not self.looked)
        self.looked = True
        assert found == [], self.page.url


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=CITY_TZ)


def venues(town: Journey) -> tuple[UUID, Venue, Venue]:
    async def make(services: Any) -> tuple[UUID, Venue, Venue]:
        org = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "湖畔运营"), by="test")
        space = await services.nomads.venues.add(NewVenue("湖畔共享空间", VenueKind.SPACE, org.id), actor="test")
        hill = await services.nomads.venues.add(NewVenue("云台山", VenueKind.ATTRACTION, org.id), actor="test")
        return org.id, space, hill

    return town.do(make)


class TestNomad:
    @pytest.mark.parametrize("every_day", [False, pytest.param(True, marks=pytest.mark.prove)])
    def test_has_a_year_from_the_first_check_in_to_a_renewal_a_day_short(
        self, town: Journey, browser: Browser, tmp_path: Path, every_day: bool
    ) -> None:
        """`every_day`: each of the 179 days is a check-in from the phone; else the quiet ones are written for it."""
        org, space, hill = venues(town)
        nomad, clerk = Traveller(town, browser, "林晓"), Traveller(town, browser, "门卫", org)
        page = nomad.page
        nomad.sign_in()
        clerk.sign_in()

        # Consent first; then the venue's screen, and the phone that scans it.
        page.goto(f"{town.url}/nomad")
        nomad.look()
        page.get_by_role("button", name="我同意").click()
        page.get_by_label("社保所在城市").fill("上海")
        page.get_by_role("button", name="保存").click()
        self.click_in(town, nomad, clerk, space)
        nomad.look()
        expect(page.locator("#days")).to_contain_text("1")
        page.locator("#apply").click()
        expect(page.locator("#reasons")).to_contain_text("还差 89 天")

        # Eighty-eight days go by.
        self.days_go_by(town, nomad, space, [START + timedelta(days=n) for n in range(1, DAYS - 1)], every_day)
        town.clock.set(noon(START + timedelta(days=DAYS - 1)))
        nomad.sign_in()
        clerk.sign_in()
        page.goto(f"{town.url}/nomad")
        expect(page.locator("#reasons")).to_contain_text("还差 1 天")
        self.click_in(town, nomad, clerk, space)
        expect(page.locator("#days")).to_contain_text("90")

        # The card, and two programs without a network that believe it.
        page.locator("#apply").click()
        expect(page.get_by_text("身份卡已签发")).to_be_visible()
        expect(page.get_by_text("一年内在场满 90 天")).to_be_visible()
        nomad.look()
        self.verified(town, page, tmp_path)

        # A ticket, once.
        page.goto(f"{town.url}/nomad/tickets")
        nomad.look()
        page.locator("details summary", has_text="出示").first.click()
        ticket = page.locator("code.ticket").first.inner_text()
        gate = clerk.page
        for words in ("已核销第 1 张，入园 3 人", "该门票已核销"):
            gate.goto(f"{town.url}/venues/{hill.id}/gate")
            gate.locator("#code").fill(ticket)
            gate.get_by_label("同行人数").fill("2")
            gate.get_by_label("已核对：持证人在场").check()
            gate.locator("#scan").click()
            expect(gate.locator(".note").first).to_contain_text(words)
        clerk.look()
        page.goto(f"{town.url}/nomad/tickets")
        expect(page.locator("#left-attraction")).to_have_text("4")
        self.cut_off(town, nomad, clerk, hill)
        self.next_year(town, nomad, space, every_day)
        assert town.do(lambda services: services.ledger.verify()).clean

    def cut_off(self, town: Journey, nomad: Traveller, clerk: Traveller, hill: Venue) -> None:
        """A gate without a network: a ticket once, a card, a forgery, a reload; then the network is back."""
        page, gate = nomad.page, clerk.page
        tickets = page.locator("code.ticket").all_text_contents()
        page.goto(f"{town.url}/nomad/card")
        with page.expect_download() as waiting:
            page.get_by_role("link", name="下载（只含天数）").click()
        card = waiting.value.path().read_text().strip()
        signed, _, shown = card.partition("~")
        clerk.context.clock.set_fixed_time(town.clock.now())
        gate.goto(f"{town.url}/venues/{hill.id}/offline")
        expect(gate.locator("#ready")).to_contain_text("可断网使用")
        gate.wait_for_function("() => navigator.serviceWorker.controller !== null")
        clerk.look()
        clerk.context.set_offline(True)
        gate.reload()
        expect(gate.locator("#line")).to_have_text("未联网")
        forged = tickets[0][:-4] + ("AAAA" if not tickets[0].endswith("AAAA") else "BBBB")
        for code, words in (
            (tickets[0], "已验票：第 2 张，入园 2 人"), (tickets[0], "已核销（本机记录）"), (forged, "签名无效"),
            (card, "在场满 90 天"), (f"{signed[:-6]}AAAAAA~{shown}", "签名无效"), ("随便", "无法识别"),
        ):  # fmt: skip
            gate.locator("#code").fill(code)
            gate.get_by_label("同行人数").fill("1")
            gate.get_by_label("已核对：持证人在场").check()
            gate.locator("#scan").click()
            expect(gate.locator("#said")).to_contain_text(words)
        gate.reload()
        expect(gate.locator("#count")).to_have_text("待上报 1 条")
        clerk.look()
        clerk.context.set_offline(False)
        expect(gate.locator("#count")).to_have_text("待上报 0 条")
        page.goto(f"{town.url}/nomad/tickets")
        expect(page.locator("#left-attraction")).to_have_text("3")
        self.elsewhere(town, gate, hill, tickets[0])

    def elsewhere(self, town: Journey, gate: Page, hill: Venue, ticket: str) -> None:
        """Another device that was cut off, too, let the same ticket in: it learns of it when it reports, for which it
        may have to wait, and is told for what."""
        gate.evaluate("() => localStorage.clear()")
        gate.goto(f"{town.url}/venues/{hill.id}/offline")
        gate.locator("#code").fill(ticket)
        gate.get_by_label("已核对：持证人在场").check()
        gate.evaluate(REFUSING, [403, 401, 503])
        gate.locator("#scan").click()
        for said in ("此账户已不能为本场所上报", "登录已过期", "平台暂时不能接收"):
            expect(gate.locator("#said")).to_contain_text(said)
            gate.locator("#report").click()
        expect(gate.locator("#waiting")).to_contain_text("该门票已核销")
        expect(gate.locator("#count")).to_have_text("待上报 0 条")

    def click_in(self, town: Journey, nomad: Traveller, clerk: Traveller, space: Venue) -> None:
        """The clerk's screen shows the code; the phone's camera opens its address."""
        clerk.page.goto(f"{town.url}/venues/{space.id}/screen")
        expect(clerk.page.locator("svg.qr")).to_be_visible()
        link = clerk.page.locator("#code").text_content() or ""
        nomad.page.goto(f"{town.url}{link[link.index('/nomad/check-in') :]}")
        nomad.page.get_by_role("button", name="签到", exact=True).click()
        expect(nomad.page.get_by_text("今日计入")).to_be_visible()

    def code(self, town: Journey, space: Venue) -> str:
        async def fresh(services: Any) -> str:
            return str(services.nomads.venues.code(space))

        return town.do(fresh)

    def verified(self, town: Journey, page: Page, tmp_path: Path) -> None:
        with page.expect_download() as waiting:
            page.get_by_role("link", name="下载（只含天数）").click()
        card, keys = tmp_path / "card.sd-jwt", tmp_path / "keys.json"
        waiting.value.save_as(card)
        keys.write_text(json.dumps(page.request.get(f"{town.url}/api/credentials/keys").json()))
        alone = subprocess.run(
            [sys.executable, "-I", "-c", SECOND_PROGRAM, str(card), str(keys)],
            capture_output=True,
            text=True,
            check=True,
        )
        said = json.loads(alone.stdout)
        assert (said["days_at_least"], said["within_days"], "name" in said) == (90, 365, False)
        asked = ["card", "verify", str(card), "--key", str(keys), "--at", town.clock.now().isoformat(), "--json"]
        ours = program().run(asked, tmp_path, {}, VERIFIED_WITHIN_S)
        assert ours.returncode == 0
        assert json.loads(ours.stdout)["claims"]["days_at_least"] == 90
        card.write_text(re.sub(r"\.(.)", lambda m: "." + ("A" if m[1] != "A" else "B"), card.read_text(), count=2))
        forged = subprocess.run(
            [sys.executable, "-I", "-c", SECOND_PROGRAM, str(card), str(keys)], capture_output=True, check=False
        )
        assert forged.returncode != 0

    def days_go_by(self, town: Journey, nomad: Traveller, space: Venue, days: Sequence[date], every_day: bool) -> None:
        if every_day:
            for day in days:
                town.clock.set(noon(day))
                assert nomad.post("/api/nomads/me/check-in", {"code": self.code(town, space)})["counted"]
            return

        async def written(services: Any) -> None:
            known = await services.nomads.presence.nomad(nomad.person)
            async with services.db.transaction() as conn:
                for day in days:
                    await seeded(services.nomads, conn, known, day)

        town.do(written)

    def next_year(self, town: Journey, nomad: Traveller, space: Venue, every_day: bool) -> None:
        """Eighty-nine days in the year since: one is missing, in both languages."""
        last = START + timedelta(days=DAYS - 1 + 365)  # the first day of the grace
        self.days_go_by(town, nomad, space, [last - timedelta(days=n) for n in range(88, -1, -1)], every_day)
        town.clock.set(noon(last))
        nomad.sign_in()
        page = nomad.page
        page.goto(f"{town.url}/nomad")
        expect(page.locator("#days")).to_contain_text("89")
        page.get_by_role("button", name="申请续期").click()
        expect(page.locator("#refusal")).to_be_visible()
        expect(page.locator("#reasons")).to_contain_text("还差 1 天")
        nomad.look()
        nomad.context.add_cookies([{"name": "shanhe_lang", "value": "en", "url": town.url}])
        page.goto(f"{town.url}/nomad")
        expect(page.locator("#reasons")).to_contain_text("1 more day")
