"""What has several desks, walked from the first to the last in a browser: a right and its award, a maker's payout.

Who applies and who earns holds a phone; clerks, the second pair of eyes and the auditor sit at a desk.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.stage.chromium import barriers, chromium
from tests.stage.fixtures import Stage, open_stage

from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO

pytestmark = [pytest.mark.browser, pytest.mark.prove]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
EARNED_MICRO = 2_000 * MICRO


@pytest.fixture(scope="module")
def city() -> Iterator[Stage]:
    """A city with the demo's budgets."""
    with open_stage(environment={"SHANHE_DEMO": "true"}) as stage:
        yield stage


@pytest.fixture(scope="module")
def browser(city: Stage) -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@dataclass
class People:
    """Who takes part: companies `maker` and `partner` with an owner each; clerks and operators of the city."""

    orgs: dict[str, UUID]
    names: dict[str, str]
    passwords: dict[str, str]


@pytest.fixture(scope="module")
def people(city: Stage) -> People:
    from shanhe.identity.api import NewOrganisation, NewPerson, OrgKind, Role

    async def work(services: Any) -> People:
        made, end = People({}, {}, {}), new_id().hex[-6:]
        for who in ("maker", "partner", "officer", "first", "second", "auditor"):
            login = f"{who}-{end}"
            made.passwords[who], made.names[who] = new_id().hex, login
            person = await services.identity.people.create(
                NewPerson(login, login, password=made.passwords[who]), by="tests"
            )
            if who in ("maker", "partner"):
                name = f"{'青禾智能' if who == 'maker' else '云图数据'}{end}有限公司"
                org = await services.identity.orgs.create(
                    NewOrganisation(OrgKind.COMPANY, name, registration=new_id().hex[:18].upper(),
                                    locally_registered=True),
                    by="tests",
                )  # fmt: skip
                await services.identity.orgs.set_member(org.id, person.id, Role.OWNER, by="tests")
                made.orgs[who], made.names[f"{who}'s"] = org.id, name
            elif who == "officer":
                await services.programmes.reviewing.assign(person.id, "ip_office", actor="tests")
            else:
                await services.identity.people.grant(
                    person.id, Role.AUDITOR if who == "auditor" else Role.OPERATOR, by="tests"
                )
        return made

    return beside(city, work)


def beside(city: Stage, work: Any) -> Any:
    """Done in a thread: the browser has a loop of its own in this one."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(city.run, work).result()


class Desks:
    """A page for each person, opened when they are first asked for."""

    def __init__(self, city: Stage, browser: Browser, people: People) -> None:
        self.city, self.browser, self.people = city, browser, people
        self._open: dict[str, Page] = {}

    def __getitem__(self, who: str) -> Page:
        if who not in self._open:
            phone = who in ("maker", "partner")
            context = self.browser.new_context(
                locale="zh-CN", reduced_motion="reduce", viewport=PHONE if phone else DESK
            )
            page = context.new_page()
            page.goto(f"{self.city.url}/sign-in")
            page.get_by_label("登录名或邮箱").fill(self.people.names[who])
            page.get_by_label("密码").fill(self.people.passwords[who])
            page.get_by_role("button", name="登录").click()
            expect(page).not_to_have_url(re.compile("/sign-in"))
            self._open[who] = page
        return self._open[who]

    def at(self, who: str, path: str) -> Page:
        page = self[who]
        page.goto(f"{self.city.url}{path}")
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wide) <= 0, f"{path} is wider than the screen of {who}"
        return page


@pytest.fixture
def desks(city: Stage, browser: Browser, people: People) -> Iterator[Desks]:
    made = Desks(city, browser, people)
    yield made
    for page in made._open.values():
        page.context.close()


class TestRight:
    def test_goes_from_a_phone_through_consent_and_office_to_an_award_that_an_auditor_understands(
        self, desks: Desks, people: People
    ) -> None:
        title, number = f"秧苗识别 {new_id().hex[-6:]}", f"2026SR{new_id().int % 10**7:07d}"
        partners = people.names["partner's"]
        maker = desks.at("maker", "/ip/mine")
        for field, text in {"title": title, "number": number, "granted_on": "2026-01-05", "rate": "20",
                            "shares": f"本单位 60\n{partners} 40"}.items():  # fmt: skip
            maker.locator(f"#{field}").fill(text)
        maker.get_by_role("button", name="登记知识产权").click()
        expect(maker.locator("[data-mistake]")).to_contain_text("0.1%–10%")
        expect(maker.locator("#title")).to_have_value(title)  # nothing is lost
        maker.locator("#rate").fill("2.5")
        maker.get_by_role("button", name="登记知识产权").click()
        expect(maker.get_by_text(f"等待 {partners} 同意")).to_be_visible()
        entry = maker.url.split("?")[0].removeprefix(desks.city.url)

        partner = desks.at("partner", "/notices")
        partner.get_by_role("link", name="查看").first.click()
        expect(partner.locator("main")).to_contain_text("2.5 %")
        partner.get_by_role("button", name="同意", exact=True).click()

        desks.at("maker", entry).get_by_role("button", name="提交核验").click()
        expect(maker.get_by_text("结果会通知您")).to_be_visible()

        officer = desks["officer"]
        expect(officer).to_have_url(re.compile("/review$"))  # where their work is
        officer.get_by_role("link", name=re.compile("知识产权待核验")).click()
        officer.get_by_role("link", name=title).click()
        assert barriers(officer, whole=False, contrast=False) == []
        officer.get_by_label("理由").fill("与登记公告一致")
        officer.get_by_role("button", name="核验通过").click()
        expect(officer).to_have_url(re.compile("/ip/queue"))

        desks.at("maker", entry).get_by_role("link", name="软件著作权奖励").click()
        expect(maker.get_by_role("link", name="去办理")).to_be_visible()
        for field, text in {
            "a_registration_number": number,
            "a_registered_on": "2026-01-05",
            "e_certificate": "1",
        }.items():
            maker.locator(f"[name={field}]").fill(text)
        maker.get_by_role("button", name="先查一查").click()
        expect(maker.locator("#checked")).to_contain_text("500.00 积分")
        maker.get_by_role("button", name="提交", exact=True).click()
        application = maker.url.split("?")[0].rpartition("/")[2]

        desks.at("officer", f"/review/{application}").get_by_role("button", name="通过", exact=True).click()
        expect(officer).to_have_url(re.compile("done=decided"))
        expect(desks.at("maker", f"/applications/{application}").locator("main")).to_contain_text("500.00 积分")

        auditor = desks.at("auditor", "/city/ledger")
        auditor.locator("tr", has_text=application).last.get_by_role("link").last.click()  # where it was set aside
        expect(auditor.get_by_role("link", name=re.compile("为什么是这个金额"))).to_be_visible()
        desks.at("auditor", "/city/ledger")
        auditor.locator("tr", has_text=application).first.get_by_role("link").last.click()
        auditor.get_by_role("link", name=re.compile("为什么是这个金额")).click()
        expect(auditor.locator("main")).to_contain_text("通过的依据")
        auditor.get_by_text("为什么是这个结果").click()
        expect(auditor.get_by_role("heading", name=re.compile("T15 知识产权奖励"))).to_be_visible()
        expect(auditor.get_by_text("终止并追回")).to_have_count(0)

        first = desks.at("first", f"/applications/{application}")
        first.locator("summary", has_text="终止并追回").click()
        first.locator("#clawback-note").fill("登记公告已撤销")
        first.get_by_role("button", name="提出追回").click()
        expect(first).to_have_url(re.compile("done=payment_asked"))
        second = desks.at("second", "/city/programmes")
        row = second.locator("tr", has_text="追回奖励").filter(has_text=people.names["maker's"])
        row.get_by_role("button", name="同意", exact=True).click()
        expect(second).to_have_url(re.compile("done=decided"))
        expect(desks.at("maker", f"/applications/{application}").locator("main")).to_contain_text("收回 500.00 积分")


class TestPayout:
    def test_is_foreseen_by_its_maker_and_its_approvers_told_of_and_explained_to_the_auditor(
        self, city: Stage, desks: Desks, people: People
    ) -> None:
        async def earn(services: Any) -> None:
            """Calls of a stranger, whose pending days are over."""
            from shanhe.identity.api import NewOrganisation, OrgKind
            from shanhe.ledger.api import Asset, Charge, Leg

            payer = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, "农场"), by="tests")
            await services.credits.top_up(payer.id, EARNED_MICRO, "tests", "tests", method="cash_desk")
            wallet = await services.ledger.ensure_account(payer.id, Asset.CREDIT, "wallet")
            income = await services.ledger.ensure_account(people.orgs["maker"], Asset.CREDIT, "income")
            held = await services.ledger.admit(wallet.id, EARNED_MICRO, receipt_id=new_id())
            evidence = msgspec.json.encode({"org_id": payer.id})
            await services.ledger.settle(held, Charge(EARNED_MICRO, (Leg(income.id, EARNED_MICRO),), evidence))
            await services.db.execute(
                "UPDATE ledger.lot SET spendable_at = $2 WHERE account = $1", income.id,
                services.clock.now() - timedelta(days=1),
            )  # fmt: skip

        beside(city, earn)
        maker = desks.at("maker", "/income")
        expect(maker.locator("#kind")).to_have_value("organisation")  # a company's account, whose tax it declares
        maker.locator("#amount").fill("1500")
        expect(maker.locator("#quote")).to_contain_text("¥ 1,500.00")
        maker.get_by_role("button", name="申请提现").click()
        expect(maker.locator("[data-mistake]")).to_contain_text("收款账户")
        for field, text in {"holder": people.names["maker's"], "account": "6222 0210 0111 2345 678",
                            "bank": "山河农商银行"}.items():  # fmt: skip
            maker.locator(f"#{field}").fill(text)
        maker.get_by_role("button", name="保存账户").click()
        expect(maker.get_by_text("尾号 5678")).to_be_visible()
        maker.locator("#amount").fill("1500")
        maker.get_by_role("button", name="申请提现").click()
        expect(maker.locator("#payouts")).to_contain_text("预计")

        def step(who: str, label: str, done: str = "decided", **fields: str) -> Page:
            page = desks.at(who, "/city/payouts")
            row = page.locator("tr", has_text=people.names["maker's"]).filter(has_text=label).first
            asked = row.locator("details.confirm", has_text=label).first
            asked.locator("summary").click()
            for name, text in fields.items():
                control = asked.locator(f"[name={name}]")
                control.select_option(text) if name == "channel" else control.fill(text)
            asked.get_by_role("button").last.click()
            expect(page).to_have_url(re.compile(f"done={done}"))
            return page

        first = desks.at("first", "/city/payouts")
        expect(first.locator("summary", has_text="批准")).to_have_count(0)  # nobody compared the account yet
        step("first", "核验账户", reference="开户许可证 1")
        step("first", "批准", channel="bank_file")
        second = desks.at("second", "/city/payouts")
        expect(second.locator("tr", has_text=people.names["maker's"])).to_contain_text("¥ 1,500.00")
        second.get_by_text("为什么实付 1,500.00 元").click()
        expect(second.get_by_text("每积分结算价")).to_be_visible()
        step("second", "批准", channel="bank_file")
        with second.expect_download() as waiting:
            second.get_by_role("button", name="导出银行批量文件").click()
        assert "6222021001112345678" in waiting.value.path().read_text("utf-8-sig")
        expect(desks.at("maker", "/notices").locator("main")).to_contain_text("提现 1,500.00 元已批准")

        step("first", "付款失败", done="payment_asked", note="账号已销户")  # in a file for the bank: it takes two
        row = desks.at("second", "/city/second").locator("tr", has_text="账号已销户")
        row.locator("details.confirm", has_text="同意").first.locator("summary").click()
        row.locator("details.confirm[open]").get_by_role("button").click()
        expect(second).to_have_url(re.compile("done="))
        expect(desks.at("maker", "/notices").locator("main")).to_contain_text("提现 1,500.00 元未能付出")
        paid = desks.at("maker", "/income").locator("#payouts")
        expect(paid).to_contain_text("账号已销户")
        expect(paid).to_contain_text("未付出")

        auditor = desks.at("auditor", "/city/payouts?all=1")
        auditor.locator("tr", has_text=people.names["maker's"]).get_by_role("link", name="入账分录").click()
        expect(auditor.get_by_role("heading", name=re.compile("P10 收益提现"))).to_be_visible()
        expect(auditor.get_by_text("已被冲正")).to_be_visible()
