"""The whole way through a real city in a real browser: sign in, make a key, chat, open the receipt, top up."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.console import flow
from tests.console.keys import Keys
from tests.stage.chromium import barriers, chromium, enlarged
from tests.stage.fixtures import Stage, open_stage
from tests.stage.later import Later

from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO

openai: Any = Later("openai")
pytestmark = pytest.mark.browser
MODEL = "good"
SHOTS = os.environ.get("SCREENSHOTS", "")
PATHS = {
    "home": "/",
    "keys": "/keys",
    "key-new": "/keys/new",
    "playground": "/playground",
    "usage": "/usage",
    "topup": "/topup",
    "notices": "/notices",
    "settings": "/settings",
    "second-factor": "/settings/second-factor",
    "rules": "/rules",
    "rule": "/rules/P1?on=2026-11-20&fact_value_fen=100000&fact_category=resident",
    "models": "/models",
    "status": "/status",
    "policy": "/policy",
    "proof": "/verify",
    "accounts": "/city/accounts",
    "rights": "/ip",
    "my-rights": "/ip/mine",
    "science": "/science",
    "my-outputs": "/science/mine",
    "engines": "/city/engines",
    "postings": "/city/ledger",
    "ledger-accounts": "/city/ledger/accounts",
    "trial-balance": "/city/ledger/trial",
    "verify": "/city/ledger/verify",
    "audit": "/city/audit",
    "search": "/search?q=P1",
    "statement": "/credits",
    "refunds": "/credits/refunds",
    "redeem": "/credits/redeem",
    "invoices": "/credits/invoices",
    "disputes": "/credits/disputes",
    "agreements": "/credits/agreements",
    "credit-desk": "/city/credits",
    "income": "/income",
    "store": "/store",
    "makers": "/makers",
    "starters": "/starters",
    "makers-income": "/makers/income",
    "bulletin": "/bulletin",
    "second": "/city/second",
    "contests": "/contests",
    "board": "/board",
    "board-new": "/board/new?kind=need",
    "contest-desk": "/city/contests",
    "apps": "/apps",
    "webhooks": "/webhooks",
    "store-desk": "/city/store",
    "payouts": "/city/payouts",
    "bank": "/city/bank",
    "reconcile": "/city/reconcile",
    "exchange": "/exchange",
    "trade": "/exchange/trade",
    "fund": "/exchange/fund",
    "exchange-desk": "/city/exchange",
    "programmes": "/programmes",
    "review": "/review",
    "programme-desk": "/city/programmes",
    "company": "/company",
    "alliance": "/alliance",
    "bookings": "/bookings",
    "bookings-training": "/bookings?service=training",
    "guarantees": "/guarantees",
    "service-desk": "/city/services",
    "my-data": "/my-data",
    "privacy-desk": "/city/privacy",
    "algorithms": "/algorithms",
    "complaints": "/complaints",
    "moderation": "/city/moderation",
    "break-glass": "/city/break-glass",
    "dilution": "/governance/dilution",
    "governance": "/governance",
    "proposal-new": "/governance/new",
    "governance-board": "/governance/board",
    "nomad": "/nomad",
    "check-in": "/nomad/check-in",
    "nomad-card": "/nomad/card",
    "nomad-tickets": "/nomad/tickets",
    "venues": "/venues",
    "nomad-desk": "/city/nomads",
    "studio": "/studio",
    "flow": "/studio/flow",
    "workflows": "/workflows",
    "workflow-inbox": "/workflows/inbox",
    "usage-by-tag": "/usage?by=tag",
    "calls": "/usage/calls?tag=team",
    "content": "/content",
    "content-new": "/content/new/product_text",
    "content-desk": "/city/content",
    "not-found": "/nowhere",
}
LOOKS = [(1440, "light"), (390, "dark"), (1440, "dark"), (390, "light")]
EVERY_DAY = [
    "receipt", "home", "keys", "playground", "usage", "trade", "store", "programmes", "review", "my-data", "nomad",
    "flow",
]  # fmt: skip
OUTSIDE = """() => [...document.querySelectorAll("main .card .num, main .card time")].filter((one) => {
  const card = one.closest(".card"), at = one.getBoundingClientRect();
  const scrolls = one.closest(".scroll") || getComputedStyle(card).overflowX === "auto";
  return at.width && !scrolls && at.right > card.getBoundingClientRect().right + 1;
}).map((one) => one.outerHTML.slice(0, 120))"""
"""Amounts and times that stand outside of the card they belong to, where nothing scrolls to them."""
CONTRASTS = 2
"""By default a dozen pages of every day get one of two looks, of both widths and both themes, and the first of each
look are asked for their contrast, too (colours come from one sheet); `make prove` gives all pages all of all four
looks: one costs more than a second of a core, half of it for the contrast."""


@pytest.fixture(scope="module")
def city() -> Iterator[Stage]:
    """A city of its own with the demo's people, the scripted engine, and one call, so that pages have a receipt."""
    with open_stage(environment={"SHANHE_DEMO": "true", "PYTHONPATH": str(flow.STANDIN)}) as stage:
        client = openai.OpenAI(base_url=f"{stage.url}/v1", api_key=stage.city.demo()["SHANHE_API_KEY"])
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "你好"}], max_tokens=8)
        yield stage


@pytest.fixture(scope="module")
def browser(city: Stage) -> Iterator[Browser]:
    """The machine's Chromium; skips where there is none. Opened after the city, whose start needs a loop of its own."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def desk(city: Stage, browser: Browser) -> Iterator[Page]:
    """The page of somebody who has signed in, for all tests that need no other person: a new one costs a second of a
    CPU, for a renderer of its own and for compiling every script again."""
    context = browser.new_context(locale="zh-CN", reduced_motion="reduce")
    page = context.new_page()
    sign_in(page, city)
    yield page
    context.close()


@pytest.fixture
def page(desk: Page) -> Page:
    return shaped(desk, *LOOKS[0])


def sign_in(page: Page, city: Stage) -> None:
    demo = city.city.demo()
    page.goto(f"{city.url}/keys")
    expect(page).to_have_url(re.compile(r"/sign-in\?next=/keys$"))
    page.get_by_label("登录名或邮箱").fill(demo["SHANHE_ADMIN_USER"])
    page.get_by_label("密码").fill(demo["SHANHE_ADMIN_PASSWORD"])
    page.get_by_role("button", name="登录").click()
    expect(page).to_have_url(f"{city.url}/keys")


def shaped(page: Page, width: int, scheme: str) -> Page:
    """As on a screen of this width, in this theme."""
    page.set_viewport_size({"width": width, "height": 900 if width > 600 else 844})
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    return page


def hire(city: Stage, login: str) -> str:
    """A person of an organisation of their own; the password."""
    from shanhe.identity.api import NewOrganisation, NewPerson, OrgKind, Role

    password = new_id().hex

    async def work(services: Any) -> str:
        org = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, f"{login} 工作室"), by="tests")
        person = await services.identity.people.create(NewPerson(login, login, password=password), by="tests")
        await services.identity.orgs.set_member(org.id, person.id, Role.OWNER, by="tests")
        return password

    with ThreadPoolExecutor(1) as threads:  # the browser has a loop of its own in this one
        return threads.submit(city.run, work).result()


def office(city: Stage) -> dict[str, tuple[str, str]]:
    """Who applies, who checks, two who approve, and a proposal that the second of them may vote on: what each signs in
    with, and the proposal's number."""
    from shanhe.governance.api import NewProposal
    from shanhe.identity.api import NewOrganisation, NewPerson, OrgKind, Role

    async def work(services: Any) -> dict[str, tuple[str, str]]:
        made, seated = dict[str, tuple[str, str]](), list[UUID]()
        offices = (("applicant", ""), ("checker", "publicity"), ("first", "finance"), ("second", "finance"))
        for name, department in offices:
            login, password = f"{name}-{new_id().hex[-6:]}", new_id().hex
            person = await services.identity.people.create(NewPerson(login, login, password=password), by="tests")
            if department:
                await services.programmes.reviewing.assign(person.id, department, actor="tests")
            else:
                org = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, login), by="tests")
                await services.identity.orgs.set_member(org.id, person.id, Role.OWNER, by="tests")
            made[name] = (login, password)
            if department == "finance":
                await services.governance.deciding.seat(person.id, "digital", by="tests")
                seated.append(person.id)
        new = NewProposal(new_id(), "other", "键盘上的一票", "试一试", services.clock.today() + timedelta(days=40), {},
                          department="digital")  # fmt: skip
        await services.governance.deciding.propose(new, person_id=seated[0])  # who may not vote on it
        made["proposal"] = (str(new.id), "")
        await services.db.execute(
            "UPDATE governance.proposal SET state = 'voting', step_due = now() + interval '5 days' WHERE id = $1",
            new.id,
        )
        return made

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(city.run, work).result()


def state_of(city: Stage, application: str) -> str:
    async def work(services: Any) -> str:
        return str(
            await services.db.fetchval("SELECT state FROM programmes.application WHERE id = $1", UUID(application))
        )

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(city.run, work).result()


def sign_in_by_keys(by: Keys, city: Stage, login: str, password: str) -> None:
    by.page.context.clear_cookies()
    by.page.goto(f"{city.url}/")
    by.go(by.page.get_by_role("link", name="登录").first)
    by.write(by.page.get_by_label("登录名或邮箱"), login)
    by.write(by.page.get_by_label("密码"), password)
    by.go(by.page.get_by_role("button", name="登录"))
    expect(by.page).not_to_have_url(re.compile("/sign-in"))


def balance_micro(page: Page) -> int:
    return int(page.locator("#balance").get_attribute("data-micro") or "0")


class TestJourney:
    def test_goes_from_sign_in_to_a_balance_that_moves(self, city: Stage, page: Page) -> None:
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)

        # A key, shown once, that works for an unmodified client.
        page.goto(f"{city.url}/keys/new")
        name = f"旅程 {new_id().hex[-6:]}"
        page.get_by_label("名称").fill(name)
        page.get_by_label("每日预算").fill("5")
        page.get_by_role("button", name="创建密钥").click()
        secret = page.locator("#secret").inner_text()
        client = openai.OpenAI(base_url=f"{city.url}/v1", api_key=secret)
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "你好"}])

        # A chat in the playground, and its receipt beside it.
        page.goto(f"{city.url}/playground")
        page.get_by_label("模型").first.select_option(MODEL)
        page.get_by_label("输入内容").fill("你好")
        page.get_by_role("button", name="发送").click()
        expect(page.locator(".turn:not(.user) .what")).not_to_be_empty()
        page.get_by_role("link", name="为什么是这个金额").click()
        total = page.locator("#total")
        expect(total).to_be_visible()
        assert int(total.get_attribute("data-micro") or "0") > 0
        expect(page.get_by_role("heading", name="入账分录")).to_be_visible()

        # Credits bought in the sandbox arrive in the balance.
        page.goto(f"{city.url}/topup")
        before = balance_micro(page)
        page.get_by_label("想要的积分价值").fill("200")
        expect(page.get_by_text("¥ 200.00", exact=True).first).to_be_visible()
        page.locator("#pay").click()
        expect(page).to_have_url(re.compile("/pay/sandbox/"))
        page.locator("button[value=pay]").click()
        expect(page.get_by_text("已到账").first).to_be_visible(timeout=20_000)
        expect(page.get_by_role("link", name="直接问一句")).to_be_visible()
        page.goto(f"{city.url}/topup")
        assert balance_micro(page) - before == 200 * MICRO
        assert troubles == []

    def test_shows_what_was_wrong_where_it_stands_and_reads_a_checksum_from_the_file(
        self, city: Stage, desk: Page, tmp_path: Path
    ) -> None:
        page = shaped(desk, 390, "light")
        page.goto(f"{city.url}/settings")
        page.locator("#aname").fill("提醒")
        page.locator("#aamount").fill("-3")
        page.get_by_role("button", name="添加提醒").click()
        wrong = page.locator("[data-mistake]")
        expect(wrong).to_be_focused()
        expect(wrong).to_be_in_viewport()
        expect(page.locator("#aamount")).to_have_value("-3")

        paper = tmp_path / "certificate.pdf"
        paper.write_bytes(b"certificate")
        page.goto(f"{city.url}/ip/mine")
        page.locator("#sha256-of").set_input_files(paper)
        expect(page.locator("#sha256")).to_have_value(hashlib.sha256(b"certificate").hexdigest())

    def test_gives_an_organisation_that_nobody_acts_for_its_owner(self, city: Stage, page: Page) -> None:
        login = f"owner-{new_id().hex[-6:]}"
        hire(city, login)
        page.goto(f"{city.url}/city/accounts")
        page.get_by_label("名称").fill(f"无人代表 {login}")
        page.get_by_role("button", name="创建").click()
        page.get_by_label("登录名或邮箱").fill(login)
        page.get_by_role("button", name="邀请负责人").click()
        expect(page.get_by_role("cell", name=login)).to_be_visible()

        async def accept(services: Any) -> None:
            person = await services.identity.people.by_name(login)
            (asked,) = await services.identity.invitations.of_person(person)
            await services.identity.invitations.accept(asked.id, person, by="tests")

        with ThreadPoolExecutor(1) as threads:
            threads.submit(city.run, accept).result()
        page.reload()
        expect(page.get_by_text("负责人 1 名，共 1 名成员")).to_be_visible()
        expect(page.get_by_role("button", name="邀请负责人")).to_have_count(0)

    def test_is_printed_as_a_paper_and_not_as_a_screen(self, city: Stage, page: Page) -> None:
        """Whose it is and where it stands, no menus; black on white from a dark screen; headings on each sheet."""
        shaped(page, 1440, "dark")
        page.goto(f"{city.url}/city/audit")
        dark = "getComputedStyle(document.body).color"
        on_screen = page.evaluate(dark)
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 680, "height": 900})  # as wide as A4 between its margins
        for gone in (".side", ".bar", ".tabs", ".skip", ".foot", "main form"):
            assert not page.locator(gone).first.is_visible(), gone
        expect(page.locator(".printed")).to_contain_text("/city/audit")
        assert page.evaluate("getComputedStyle(document.querySelector('main thead')).display") == "table-header-group"
        assert page.evaluate(dark) != on_screen
        page.emulate_media(media="screen")
        expect(page.locator(".printed")).to_be_hidden()

    def test_says_by_lines_what_colours_of_ones_own_take_away(self, city: Stage, page: Page) -> None:
        page.emulate_media(forced_colors="active")
        page.goto(f"{city.url}/city/ledger")
        style = "([one, what]) => getComputedStyle(document.querySelector(one))[what]"
        for one in (".side .nav [aria-current]", ".segments [aria-current]"):
            assert page.evaluate(style, [one, "outlineStyle"]) == "solid", one
        assert page.evaluate(style, [".btn.primary", "borderTopWidth"]) == "3px"
        page.emulate_media(forced_colors="none")
        assert page.evaluate(style, [".btn.primary", "borderTopWidth"]) == "1px"

    def test_leads_from_every_row_of_the_audit_to_what_else_happened_to_it(self, city: Stage, page: Page) -> None:
        page.goto(f"{city.url}/city/registrations")  # which is written down, of a list and not of a person
        shaped(page, 1440, "light").goto(f"{city.url}/city/audit")
        page.get_by_role("main").get_by_role("link", name="注册名单").first.click()
        expect(page.locator("[data-mistake]")).to_have_count(0)
        expect(page.get_by_role("cell", name="查看注册名单").first).to_be_visible()

    def test_verifies_the_ledger_from_the_console(self, city: Stage, page: Page) -> None:
        page.goto(f"{city.url}/city/ledger/verify")
        page.get_by_role("button", name="开始核验").click()
        expect(page.get_by_text("账本无误")).to_be_visible(timeout=20_000)

    def test_verifies_a_receipt_with_the_network_cut(
        self, city: Stage, browser: Browser, page: Page, tmp_path: Path
    ) -> None:
        page.goto(f"{city.url}/")
        page.get_by_role("main").get_by_role("link", name="凭据").first.click()
        download = page.get_by_role("link", name="下载证明")
        expect(download).to_be_visible(timeout=30_000)
        with page.expect_download() as waiting:
            download.click()
        good, bad = tmp_path / "good.tlog-proof", tmp_path / "bad.tlog-proof"
        waiting.value.save_as(good)

        visitor = browser.new_context(locale="zh-CN")
        page = visitor.new_page()
        page.goto(f"{city.url}/verify")
        page.wait_for_load_state("networkidle")
        visitor.set_offline(True)
        data = good.read_bytes()
        result = page.locator("#result")
        page.get_by_label("或选择文件").set_input_files(good)
        expect(result.get_by_text("有效：", exact=False)).to_be_visible()
        expect(result.get_by_text("模型调用", exact=False)).to_be_visible()
        expect(result.get_by_text(f"模型 {MODEL}", exact=False)).to_be_visible()
        for place in (40, 400, data.index(b"index ") + 6, len(data) - 20):
            bad.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            page.get_by_label("或选择文件").set_input_files(bad)
            expect(result.get_by_text("无效：bad.tlog-proof")).to_be_visible()
            page.evaluate("document.getElementById('result').replaceChildren()")
        page.evaluate(
            """text => { const carried = new DataTransfer(); carried.items.add(new File([text], "dropped.tlog-proof"));
            document.getElementById("proof").dispatchEvent(new DragEvent("drop", { dataTransfer: carried })); }""",
            data.decode(),
        )
        expect(result.get_by_text("dropped.tlog-proof")).to_be_visible()
        expect(result.get_by_text("有效：", exact=False)).to_be_visible()
        visitor.close()

    def test_places_and_cancels_an_order_sees_an_auction_clear_and_downloads_a_statement(
        self, city: Stage, page: Page
    ) -> None:

        def order(side: str, price: str, quantity: str) -> None:
            page.goto(f"{city.url}/exchange/trade")
            page.locator("#side").select_option(side)
            page.locator("#price").fill(price)
            page.locator("#quantity").fill(quantity)
            page.locator("#place").click()

        # Below every seller: it rests until it is cancelled.
        order("buy", "0.3", "50")
        mine = page.locator("#orders tbody tr").first
        expect(mine.get_by_text("未成交")).to_be_visible()
        mine.locator("form[action$=cancel] button").click()
        expect(page.locator("#orders tbody tr").first.get_by_text("已撤单")).to_be_visible()

        # Outside the corridor: refused in words, nothing placed.
        order("buy", "1.2", "50")
        expect(page.get_by_role("alert").first).to_be_visible()

        # At the ceiling it meets a seller; the operator's auction clears it and the fee's fund is public.
        order("buy", "1", "40")
        page.goto(f"{city.url}/city/exchange")
        page.locator("#auction").click()
        page.locator(".confirm[open] button").click()
        expect(page).to_have_url(re.compile("done=auction_held"))
        page.goto(f"{city.url}/exchange/trade")
        expect(page.locator("#orders tbody tr").first.get_by_text("已成交").first).to_be_visible()
        page.goto(f"{city.url}/exchange/fund")
        expect(page.locator(".stats")).not_to_contain_text("¥ 0.00 ¥ 0.00")

        page.goto(f"{city.url}/credits")
        for kind in ("csv", "xlsx", "pdf"):
            with page.expect_download() as waiting:
                page.get_by_role("link", name=re.compile(kind.upper())).first.click()
            assert Path(waiting.value.path()).stat().st_size > 200

    def test_publishes_an_agent_that_somebody_else_uses_pays_and_rates(
        self, city: Stage, browser: Browser, page: Page
    ) -> None:
        login, slug = f"maker-{new_id().hex[-6:]}", f"helper-{new_id().hex[-6:]}"
        makers = browser.new_context(locale="zh-CN")
        maker = makers.new_page()
        maker.goto(f"{city.url}/sign-in?next=/makers")
        maker.get_by_label("登录名或邮箱").fill(login)
        maker.get_by_label("密码").fill(hire(city, login))
        maker.get_by_role("button", name="登录").click()

        # The maker opens a listing, writes an agent, and hands it in.
        maker.locator("#new #kind").select_option("agent")
        for field, text in {"slug": slug, "title_zh": "市民助手", "title_en": "Helper", "summary_zh": "答疑"}.items():
            maker.locator(f"#new #{field}").fill(text)
        maker.get_by_role("button", name="新建", exact=True).click()
        for field, text in {"model": MODEL, "instructions": "回答市民的问题。", "markup": "50"}.items():
            maker.locator(f"#{field}").fill(text)
        maker.get_by_role("button", name="提交审核").click()
        expect(maker.get_by_text("已提交审核").first).to_be_visible()

        # A reviewer of the city approves it; then it is in the window.
        user = page
        user.goto(f"{city.url}/city/store")
        waiting = user.locator("section.card", has_text=f"agent/{slug}")
        waiting.get_by_label("理由").fill("内容完整，可以上架")
        waiting.get_by_role("button", name="通过").click()
        expect(user.get_by_text("审核结果已记录")).to_be_visible()

        # Somebody of another organisation tries it, and sees what each step cost.
        user.goto(f"{city.url}/store/agent/{slug}")
        before = user.locator("#score").inner_text()
        user.get_by_label("问题").fill("哪里办理居住证？")
        user.get_by_role("button", name="发送").click()
        expect(user.locator("#answer")).not_to_be_empty()
        expect(user.locator("#try tbody tr")).to_have_count(1)
        user.locator("#stars").select_option("5")
        user.locator("#text").fill("很有帮助")
        user.get_by_role("button", name="评分").click()
        expect(user.get_by_text("很有帮助")).to_be_visible()
        assert float(user.locator("#score").inner_text()) > float(before)

        # The income has arrived at the maker's.
        maker.goto(f"{city.url}/makers/income")
        expect(maker.locator("#income tbody tr")).to_have_count(1)
        expect(maker.locator("#income tbody tr")).to_contain_text(f"agent/{slug}")
        makers.close()

    @pytest.mark.model
    def test_builds_a_flow_runs_compares_deploys_and_rolls_back(self, city: Stage, page: Page) -> None:
        flow.take_time(city.city.data)
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        flow.walk(page, city.url, f"floor-{new_id().hex[-6:]}")
        assert barriers(page, whole=False) == []
        assert troubles == []

    @pytest.mark.prove
    def test_ends_a_job_that_goes_on_from_its_checkpoint(self, city: Stage, page: Page) -> None:
        flow.stop_and_go_on(page, city.url, f"halt-{new_id().hex[-6:]}", city.city.data)

    @pytest.mark.prove
    def test_draws_a_workflow_runs_it_approves_and_sees_what_each_step_cost(self, city: Stage, page: Page) -> None:
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))
        slug = f"flow-{new_id().hex[-6:]}"
        page.goto(f"{city.url}/workflows")
        page.locator("#title").fill("市民来信")
        page.locator("#slug").fill(slug)
        page.get_by_role("button", name="新建工作流").click()
        page.locator("#n0-target").fill(MODEL)
        page.get_by_role("button", name="+ 审批").click()
        page.locator("#n2-shows").fill("发出吗？{{answer}}")

        # Question → approval → output: one line by pressing two dots, one by dragging.
        first, last = page.locator("[data-node=ask_1]"), page.locator("[data-node=output_1]")
        waits = page.locator("[data-node=approval_1]")
        first.locator(".edge", has_text="下一步").locator(".port.out").click()
        waits.locator(".port.in").click()
        waits.locator(".edge", has_text="下一步").locator(".port.out").drag_to(last.locator(".flow-head strong"))
        expect(waits.locator("[data-edge=next]")).to_have_value("output_1")
        expect(page.locator(".flow-lines path")).to_have_count(2)
        box = last.bounding_box()
        last.locator(".grip").focus()
        page.keyboard.press("ArrowDown")
        moved = last.bounding_box()
        assert box is not None
        assert moved is not None
        assert moved["y"] > box["y"]
        page.locator("#given-topic").fill("写一封回信")
        page.get_by_role("button", name="保存并运行").click()

        # It waits for a word; after it the trace shows what each step cost.
        expect(page.locator("#run")).to_contain_text("待审批")
        run = page.url
        page.goto(f"{city.url}/workflows/inbox")
        waiting = page.locator("section.card", has_text=slug)
        waiting.get_by_label("意见").fill("可以")
        waiting.get_by_role("button", name="通过", exact=True).click()
        expect(page).to_have_url(re.compile("done="))
        page.goto(run)
        expect(page.locator("#run")).to_contain_text("完成")
        expect(page.locator("#run tbody tr")).to_have_count(3)
        page.locator("#run tbody a").first.click()
        expect(page).to_have_url(re.compile("/receipts/"))
        page.goto(f"{city.url}/workflows/{slug}")
        assert barriers(page, whole=False) == []
        assert troubles == []

    def test_has_a_text_drafted_checks_it_and_sees_the_bureau_pay(self, city: Stage, page: Page) -> None:
        """The demo's bureau pays; the page follows by itself; an edit is checked again; axe on a phone."""
        shaped(page, 390, "light")
        page.goto(f"{city.url}/city/content")
        page.get_by_label("为哪个模型付款").select_option(MODEL)
        page.get_by_role("button", name="保存设置").click()
        expect(page).to_have_url(re.compile("done="))
        page.goto(f"{city.url}/content")
        page.get_by_role("link", name="产品说明").click()
        page.get_by_label("产品或服务名称").fill("山泉热水器")
        page.get_by_label("特点").fill("省电 30%")
        page.get_by_role("button", name="开始写").click()
        page.get_by_role("link", name="核对与修改").click()
        expect(page.get_by_text("经济和信息化局").first).to_be_visible()
        page.get_by_label("正文").fill("全市第一的热水器，省电 30%。")
        page.get_by_role("button", name="保存并重新检查").click()
        expect(page.locator("mark.found")).to_have_text("第一")
        assert barriers(page, whole=False) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        if SHOTS:
            page.screenshot(path=f"{SHOTS}/content-draft-390.png", full_page=True)

    def test_brings_back_what_was_typed_when_the_session_ends_or_the_connection_breaks(
        self, city: Stage, browser: Browser
    ) -> None:
        login, other = f"writer-{new_id().hex[-6:]}", f"other-{new_id().hex[-6:]}"
        password = hire(city, login)
        context = browser.new_context(locale="zh-CN", viewport={"width": 390, "height": 844})
        page = context.new_page()
        form = page.locator("form[action='/my-data/ask']")
        text, number = form.locator("textarea"), form.locator("[name=id]")

        def enter(name: str, secret: str) -> None:
            page.get_by_label("登录名或邮箱").fill(name)
            page.get_by_label("密码").fill(secret)
            page.get_by_role("button", name="登录").click()
            expect(text).to_be_visible()

        page.goto(f"{city.url}/sign-in?next=/my-data")
        enter(login, password)
        text.fill("写了二十分钟的说明")
        sent_as = number.get_attribute("value")
        context.clear_cookies()
        form.get_by_role("button").click()
        expect(page.get_by_text("登录已过期")).to_be_visible()
        enter(login, password)
        expect(form.get_by_role("status")).to_be_visible()
        expect(text).to_have_value("写了二十分钟的说明")
        assert number.get_attribute("value") == sent_as  # one request, however often it is sent

        context.set_offline(True)
        form.get_by_role("button").click()
        expect(page).to_have_url(re.compile("^chrome-error:"))
        context.set_offline(False)
        page.go_back()
        expect(text).to_have_value("写了二十分钟的说明")

        context.clear_cookies()
        form.get_by_role("button").click()
        enter(other, hire(city, other))
        expect(text).to_have_value("")  # it was not theirs
        context.close()

    def test_is_kept_past_a_refusal_and_goes_with_whoever_signs_out(self, city: Stage, browser: Browser) -> None:
        login = f"leaver-{new_id().hex[-6:]}"
        context = browser.new_context(locale="zh-CN", viewport={"width": 390, "height": 844})
        page = context.new_page()
        text = page.locator("form[action='/my-data/ask'] textarea")
        page.goto(f"{city.url}/sign-in?next=/my-data")
        page.get_by_label("登录名或邮箱").fill(login)
        page.get_by_label("密码").fill(hire(city, login))
        page.get_by_role("button", name="登录").click()

        def refused() -> None:
            text.fill("家里的事")
            page.evaluate("document.querySelectorAll('main [name=csrf]').forEach((one) => { one.value = 'old'; })")
            page.locator("form[action='/my-data/ask'] button").click()
            expect(page.locator("[data-failed]")).to_be_visible()

        refused()
        page.get_by_role("link", name="返回刚才的页面").click()
        expect(text).to_have_value("家里的事")
        refused()
        page.locator(".bar details.menu summary").click()
        page.get_by_role("button", name="退出登录").click()
        expect(page.get_by_label("登录名或邮箱")).to_be_visible()
        page.wait_for_load_state()
        assert page.evaluate("sessionStorage.getItem('shanhe.typed')") is None
        context.close()

    def test_is_the_page_of_the_form_once_more_for_whoever_goes_back_or_reloads(
        self, city: Stage, browser: Browser
    ) -> None:
        login = f"checker-{new_id().hex[-6:]}"
        context = browser.new_context(locale="zh-CN", viewport={"width": 390, "height": 844})
        page, form = context.new_page(), f"{city.url}/programmes/paper_grant"
        page.goto(f"{city.url}/sign-in?next=/programmes/paper_grant")
        page.get_by_label("登录名或邮箱").fill(login)
        page.get_by_label("密码").fill(hire(city, login))
        page.get_by_role("button", name="登录").click()
        page.locator("#a_doi").fill("10.1000/xyz")
        page.get_by_role("button", name="先查一查").click()
        expect(page.locator("#checked")).to_be_visible()
        expect(page).to_have_url(form)
        page.reload()  # asks for the page, and loses nothing
        expect(page.locator("#checked")).to_have_count(0)
        expect(page.locator("#a_doi")).to_have_value("10.1000/xyz")
        page.get_by_role("button", name="先查一查").click()
        expect(page.locator("#checked")).to_be_visible()
        page.goto(f"{city.url}/notices")
        page.go_back()  # no “send the form again?”
        expect(page).to_have_url(form)
        expect(page.locator("#a_doi")).to_be_visible()
        links = "[...document.querySelectorAll('main .facts a')].map((one) => one.getBoundingClientRect().height)"
        assert min(page.evaluate(links)) >= 24
        context.close()

    def test_finds_a_conversation_where_it_was_after_a_receipt_and_loses_it_with_the_session(
        self, city: Stage, browser: Browser
    ) -> None:
        login = f"asker-{new_id().hex[-6:]}"
        password, context = hire(city, login), browser.new_context(locale="zh-CN")
        page = shaped(context.new_page(), 390, "light")
        answers = page.locator(".turn:not(.user) .what")

        def enter() -> None:
            page.goto(f"{city.url}/sign-in?next=/playground")
            page.get_by_label("登录名或邮箱").fill(login)
            page.get_by_label("密码").fill(password)
            page.get_by_role("button", name="登录").click()
            expect(page.locator("#prompt")).to_be_visible()

        enter()
        said = {"choices": [{"delta": {"content": "**要点**：\n- 浇水\n- <b>施肥</b>"}}]}
        page.route("**/playground/chat", lambda route: route.fulfill(
            content_type="text/event-stream", headers={"x-shanhe-receipt": str(new_id())},
            body=f"data: {json.dumps(said)}\n\ndata: {json.dumps({'error': {'message': 'The engine broke off.'}})}\n\n",
        ))  # fmt: skip
        page.locator("#prompt").fill("秧苗叶子发黄怎么办？")
        page.locator("#send").click()
        # What was delivered is paid for and stays; what became of the rest is said in the reader's language.
        expect(page.locator(".turn .mistake")).to_contain_text("只计已送达的部分")
        expect(answers.locator("strong")).to_have_text("要点")
        expect(answers.locator(".item")).to_have_text(["•浇水", "•<b>施肥</b>"])
        page.goto(f"{city.url}/topup")
        page.go_back()
        expect(answers).to_contain_text("浇水")
        expect(page.locator(".turn.user .what")).to_have_text("秧苗叶子发黄怎么办？")

        page.goto(f"{city.url}/settings")
        page.locator(".bar details.menu summary").click()
        page.get_by_role("button", name="退出登录").click()
        enter()
        expect(page.locator("#hello")).to_be_visible()
        expect(answers).to_have_count(0)
        context.set_offline(True)
        page.unroute("**/playground/chat")
        page.locator("#prompt").fill("还在吗？")
        page.locator("#send").click()
        expect(page.locator(".turn.failed")).to_contain_text("网络中断")
        expect(page.locator("#prompt")).to_have_value("还在吗？")
        context.close()

    def test_works_without_scripts(self, city: Stage, browser: Browser, desk: Page) -> None:
        context = browser.new_context(
            storage_state=desk.context.storage_state(), locale="zh-CN", java_script_enabled=False
        )
        page = context.new_page()
        page.goto(f"{city.url}/playground")
        page.locator("#model").select_option(MODEL)
        page.locator("#prompt").fill("你好")
        page.locator("#send").click()
        expect(page.locator(".figure")).to_be_visible()
        bill = page.locator("#receipt").inner_html()
        page.reload()
        assert page.locator("#receipt").inner_html() == bill  # and not that of another call
        page.goto(f"{city.url}/topup")
        page.locator("#yuan").fill("300")
        page.get_by_role("button", name="报价").click()
        expect(page.get_by_text("¥ 300.00", exact=True).first).to_be_visible()
        context.close()

    def test_leaves_no_price_of_another_amount_where_no_answer_came(self, city: Stage, page: Page) -> None:
        page.goto(f"{city.url}/topup")
        expect(page.locator("#pay")).to_be_visible()
        page.context.set_offline(True)
        page.locator("#yuan").fill("300")
        expect(page.locator("#quote").get_by_role("alert")).to_contain_text("没有收到结果")
        expect(page.locator("#pay")).to_have_count(0)
        page.context.set_offline(False)
        page.get_by_role("button", name="报价").click()
        expect(page.locator("#pay")).to_contain_text("300.00")

    def test_says_where_a_rating_did_not_arrive(self, city: Stage, page: Page) -> None:
        run = f"/playground/runs/{new_id()}"
        said = {"choices": [{"delta": {"content": "浇水"}, "finish_reason": "stop"}]}
        button = f'<fieldset id="rating"><button form="thumb" formaction="{run}/thumb">评价</button></fieldset>'
        page.route("**/playground/chat", lambda route: route.fulfill(
            content_type="text/event-stream", headers={"x-shanhe-run": run[-36:]}, body=f"data: {json.dumps(said)}\n\n"
        ))  # fmt: skip
        page.route(f"**{run}", lambda route: route.fulfill(content_type="text/html", body=button))
        page.route(f"**{run}/thumb", lambda route: route.abort())
        page.goto(f"{city.url}/playground")
        page.locator("#prompt").fill("秧苗叶子发黄怎么办？")
        page.locator("#send").click()
        rating = page.locator("#rating")
        for _ in range(2):
            rating.get_by_role("button").click()
            expect(rating.get_by_role("alert")).to_have_text("没有收到结果，请检查网络后再试。")
        page.unroute(f"**{run}/thumb")
        page.route(f"**{run}/thumb", lambda route: route.fulfill(headers={"hx-redirect": "/status"}))
        rating.get_by_role("button").click()
        page.wait_for_url("**/status")

    def test_reads_why_a_button_was_refused(self, city: Stage, page: Page) -> None:
        page.goto(f"{city.url}/city/engines")
        page.route(
            "**/city/engines/*/test", lambda route: route.continue_(url=f"{city.url}/city/engines/{new_id()}/test")
        )
        for _ in range(2):
            page.locator("#engines [hx-post]").first.click()
            expect(page.locator("#report > [role=alert]")).to_have_text("没有这个引擎。")
        cookies = page.context.cookies()
        page.context.clear_cookies()
        page.locator("#engines [hx-post]").first.click()
        page.wait_for_url(re.compile(r"/sign-in\?next=/city/engines"))
        page.context.add_cookies(cookies)  # type: ignore[arg-type]

    def test_stays_where_somebody_writes_when_the_session_ends(self, city: Stage, page: Page) -> None:
        page.goto(f"{city.url}/exchange/trade")
        cookies = page.context.cookies()
        page.context.clear_cookies()
        for _ in range(2):
            with page.expect_response(lambda answer: bool(answer.headers.get("hx-redirect"))):
                pass
        assert page.url == f"{city.url}/exchange/trade"
        page.context.add_cookies(cookies)  # type: ignore[arg-type]

    def test_opens_the_menu_where_one_is(self, city: Stage, page: Page) -> None:
        page.set_viewport_size({"width": 1440, "height": 500})
        page.goto(f"{city.url}/settings")
        expect(page.locator(".side [aria-current]")).to_be_in_viewport(ratio=1)
        assert page.evaluate("scrollY") == 0

    def test_leads_by_keyboard(self, city: Stage, page: Page) -> None:
        page.goto(f"{city.url}/keys")
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        page.keyboard.press("/")
        expect(page.locator("#find")).to_be_focused()

    def test_shows_where_one_is_in_a_menu_that_is_longer_than_the_screen(self, city: Stage, page: Page) -> None:
        page.set_viewport_size({"width": 1366, "height": 768})
        page.goto(f"{city.url}/policy")
        expect(page.locator(".side [aria-current]")).to_be_in_viewport()
        assert page.evaluate("scrollY") == 0

    def test_has_its_widest_table_on_every_screen_between_a_phone_and_a_desk(self, city: Stage, page: Page) -> None:
        rows = "document.querySelectorAll('main td:nth-child(4) a')"
        unbroken = f"{rows}.forEach((a) => {{ a.textContent = '0daa9bee'.repeat(8); }})"
        for path in ("/city/ledger", "/city/audit"):
            page.goto(f"{city.url}{path}")
            page.evaluate(unbroken if path == "/city/audit" else "0")  # a row is known by its hash
            for width in (1366, 1100, 1010, 990, 820):
                page.set_viewport_size({"width": width, "height": 768})
                assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), (path, width)

    @pytest.mark.prove
    def test_leads_without_a_mouse_through_what_matters(self, city: Stage, browser: Browser) -> None:
        """An application up to its second approval, a top-up, a key, a vote: Tab leads to each, and is always seen."""
        people, context = office(city), browser.new_context(locale="zh-CN", reduced_motion="reduce")
        page = shaped(context.new_page(), *LOOKS[0])  # the others' stays signed in as it is
        by, main = Keys(page), page.get_by_role("main")
        sign_in_by_keys(by, city, *people["applicant"])
        by.go(page.locator("a[href='/programmes']").first)
        by.past_the_menu()
        by.go(main.locator("a[href='/programmes/brand_award']"))
        by.past_the_menu()
        by.write(page.locator("#a_campaign"), "只用键盘的传播")
        by.write(page.locator("[id^=e_]").first, "审计报告第 77 号")
        by.go(main.locator("form button.primary"))
        expect(page).to_have_url(re.compile(r"/applications/"))
        application = re.findall(r"/applications/([^?#]+)", page.url)[0]

        by.go(page.locator("a[href='/topup']").first)
        before = balance_micro(page)
        by.past_the_menu()
        by.write(page.locator("#yuan"), "200")
        by.to(page.locator("#pay"))
        expect(page.get_by_text("¥ 200.00", exact=True).first).to_be_visible()
        by.go(page.locator("#pay"))  # the quote came meanwhile, and did not take the focus away
        expect(page).to_have_url(re.compile("/pay/sandbox/"))
        by.go(page.locator("button[value=pay]"))
        expect(page.get_by_text("已到账").first).to_be_visible(timeout=20_000)
        by.go(page.locator("a[href='/topup']").first)
        expect(page).to_have_url(f"{city.url}/topup")
        assert balance_micro(page) - before == 200 * MICRO

        by.go(page.locator("a[href='/keys']").first)
        by.past_the_menu()
        by.go(main.locator("a[href='/keys/new']").first)
        expect(page.locator("#name")).to_be_focused()
        by.write(page.locator("#name"), "只用键盘")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        expect(page.locator("#secret")).to_be_visible()
        by.past_the_menu()
        by.press(page.locator("[data-copy]").first)
        by.seen()

        for name, state in (("checker", "in_review"), ("first", "in_review"), ("second", "completed")):
            sign_in_by_keys(by, city, *people[name])
            page.goto(f"{city.url}/review")
            by.past_the_menu()
            by.go(main.locator(f"a[href='/review/{application}']"))
            by.past_the_menu()
            if name == "checker":
                by.write(page.locator("#a_exposure"), "120000000")
            by.go(main.locator("button[value=pass]"))
            expect(page).not_to_have_url(re.compile(application))
            assert state_of(city, application) == state

        by.go(page.locator("a[href='/governance']").first)
        by.past_the_menu()
        by.go(main.locator(f"a[href='/governance/{people['proposal'][0]}']"))
        by.past_the_menu()
        by.go(main.locator("button[value=for]"))
        expect(main.get_by_role("cell", name="赞成")).to_be_visible()
        context.close()

    def test_keeps_nothing_open_over_what_the_keyboard_went_on_to(self, city: Stage, page: Page) -> None:
        page.goto(f"{city.url}/keys")
        confirm = page.locator("details.confirm").first
        confirm.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(confirm).to_have_attribute("open", "")
        page.keyboard.press("Escape")
        expect(confirm).not_to_have_attribute("open", "")
        expect(confirm.locator("summary")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(confirm.locator("form button")).to_be_focused()
        page.keyboard.press("Tab")
        expect(confirm).not_to_have_attribute("open", "")

    def test_hides_nothing_that_has_the_focus_behind_the_bar_of_a_phone(self, city: Stage, page: Page) -> None:
        shaped(page, 390, "light")
        page.goto(f"{city.url}/topup")
        hidden = []
        for _ in range(page.locator("main :is(a, button, input, select, summary)").count() + 12):
            page.keyboard.press("Tab")
            hidden += page.evaluate(
                """() => {
                  const one = document.activeElement, at = one.getBoundingClientRect();
                  if (!one.closest("main")) return [];
                  const bar = document.querySelector(".tabs").getBoundingClientRect();
                  return at.top < bar.bottom && at.bottom > bar.top ? [one.outerHTML.slice(0, 120)] : [];
                }"""
            )
        assert hidden == []


class TestLook:
    @pytest.mark.parametrize(
        ("width", "scheme", "pages", "contrasts"),
        [
            (*LOOKS[0], EVERY_DAY[0::2], CONTRASTS),
            (*LOOKS[1], EVERY_DAY[1::2], CONTRASTS),
            *[pytest.param(*look, ["receipt", *PATHS], len(PATHS) + 1, marks=pytest.mark.prove) for look in LOOKS],
        ],
    )
    def test_is_accessible_and_fits_the_screen(
        self, city: Stage, page: Page, width: int, scheme: str, pages: list[str], contrasts: int
    ) -> None:
        """axe finds nothing serious or critical, and no page is wider than the screen."""
        problems = []
        shaped(page, width, scheme)
        page.goto(f"{city.url}/")
        receipt = page.get_by_role("main").get_by_role("link", name="凭据").first.get_attribute("href") or "/usage"
        for place, name in enumerate(pages):
            page.goto(f"{city.url}{PATHS.get(name, receipt)}")
            expect(page.locator(".htmx-request")).to_have_count(0)
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                problems.append(f"{name}: wider than {width} px")
            problems += [f"{name}: {what}" for what in barriers(page, whole=not place, contrast=place < contrasts)]
            if SHOTS:
                page.screenshot(path=f"{SHOTS}/{name}-{width}-{scheme}.png", full_page=width > 600)
        assert problems == []

    @pytest.mark.parametrize(
        "pages", [["receipt", "home", "topup"], pytest.param(["receipt", *PATHS], marks=pytest.mark.prove)]
    )
    def test_grows_with_the_text_of_who_reads_and_still_fits_a_small_phone(
        self, city: Stage, browser: Browser, desk: Page, pages: list[str]
    ) -> None:
        """Text of twice the size on a screen of 360 px: nothing is wider than it, and no amount is out of its card."""
        problems = []
        desk.goto(f"{city.url}/")
        receipt = desk.get_by_role("main").get_by_role("link", name="凭据").first.get_attribute("href") or "/usage"
        with enlarged(browser, 32) as large:
            context = large.new_context(storage_state=desk.context.storage_state(), locale="zh-CN")
            page = shaped(context.new_page(), 360, "light")
            for name in pages:
                page.goto(f"{city.url}{PATHS.get(name, receipt)}")
                expect(page.locator(".htmx-request")).to_have_count(0)
                assert page.evaluate("getComputedStyle(document.body).fontSize") == "28px"
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    problems.append(f"{name}: wider than the screen")
                problems += [f"{name}: {what}" for what in page.evaluate(OUTSIDE)]
        assert problems == []

    @pytest.mark.parametrize("looks", [2, pytest.param(len(LOOKS), marks=pytest.mark.prove)])
    def test_lets_visitors_in(self, city: Stage, browser: Browser, looks: int) -> None:
        """By default two pages get one look and two the other; `make prove` gives every page all four."""
        context = browser.new_context(locale="zh-CN", reduced_motion="reduce")
        page = context.new_page()
        for place, path in enumerate(("/sign-in", "/status", "/rules", "/verify")):
            page.goto(f"{city.url}{path}")
            for width, scheme in LOOKS if looks == len(LOOKS) else (LOOKS[place % looks],):
                shaped(page, width, scheme)
                contrast = looks == len(LOOKS) or place < CONTRASTS
                assert barriers(page, whole=True, contrast=contrast) == [], (path, width, scheme)
                if SHOTS and path == "/sign-in":
                    page.screenshot(path=f"{SHOTS}/sign-in-{width}-{scheme}.png")
        context.close()


ROLES = ("resident", "developer", "contributor", "reviewer", "auditor", "operator")
PLACES_MAX = 40
"""Pages of a role that `make prove` looks at; by default the first two of three roles."""
SHEETS = re.compile(r"/(api|log|static)/|\.(csv|json|pdf|xlsx|zip|svg|txt)$|^/sign-out")
"""What is no page for people."""


def employ(city: Stage, role: str) -> tuple[str, str]:
    """Somebody of a role, with nothing but what comes with it; login and password."""
    from shanhe import demo
    from shanhe.identity.api import NewOrganisation, NewPerson, OrgKind, Role

    login, password = f"{role}-{new_id().hex[-6:]}", new_id().hex

    async def work(services: Any) -> None:
        person = await services.identity.people.create(NewPerson(login, login, password=password), by="tests")
        if role in ("auditor", "operator"):
            await services.identity.people.grant(person.id, Role(role), by="tests")
            return
        await services.identity.orgs.create_personal(person.id, by="tests")
        if role == "developer":
            org = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, f"{login} 工作室"), by="tests")
            await services.identity.orgs.set_member(org.id, person.id, Role.OWNER, by="tests")
        elif role == "contributor":
            await services.identity.orgs.set_member(
                await demo.contributor(services), person.id, Role.OWNER, by="tests"
            )  # fmt: skip
        elif role == "reviewer":
            await services.programmes.reviewing.assign(person.id, "commerce", actor="tests")

    with ThreadPoolExecutor(1) as threads:
        threads.submit(city.run, work).result()
    return login, password


def shape(path: str) -> str:
    """An address without what tells one of a kind from another: one page of each kind is looked at."""
    place, _, asked = path.partition("?")
    place = re.sub(r"/[\w.-]*\d[\w.-]*", "/*", place)
    return f"{place}?{sorted(one.partition('=')[0] for one in asked.split('&'))}"


class TestRole:
    """Everybody's own pages, found by following every link from where they land."""

    @pytest.mark.parametrize(
        ("role", "most"),
        [
            *[(role, 2) for role in ("contributor", "reviewer", "auditor")],
            *[pytest.param(role, PLACES_MAX, marks=pytest.mark.prove) for role in ROLES],
        ],
    )
    def test_meets_no_barrier_on_the_pages_it_reaches(
        self, city: Stage, browser: Browser, role: str, most: int
    ) -> None:
        """Each page in two looks, which together are both widths and both themes; by default in one."""
        login, password = employ(city, role)
        context = browser.new_context(locale="zh-CN", reduced_motion="reduce")
        page = context.new_page()
        page.goto(f"{city.url}/sign-in")
        page.get_by_label("登录名或邮箱").fill(login)
        page.get_by_label("密码").fill(password)
        page.get_by_role("button", name="登录").click()
        expect(page).not_to_have_url(re.compile("/sign-in"))
        waiting, seen, problems, looked = ["/"], {shape("/")}, [], 0
        while waiting and looked < most:
            path = waiting.pop(0)
            answer = page.goto(f"{city.url}{path}")
            if answer is None or answer.status >= 400:
                problems.append(f"{path}: {answer and answer.status}")
                continue
            looked += 1
            for look in LOOKS[looked % 2 * 2 :][: 2 if most > 2 else 1]:
                shaped(page, *look)
                problems += [f"{path} {look}: {what}" for what in barriers(page, whole=True, contrast=most > 2)]
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    problems.append(f"{path}: wider than {look[0]} px")
            for link in page.eval_on_selector_all("a[href^='/']", "all => all.map((one) => one.getAttribute('href'))"):
                place = link.partition("#")[0]
                if shape(place) not in seen and not SHEETS.search(place.partition("?")[0]):
                    seen.add(shape(place))
                    waiting.append(place)
        context.close()
        assert problems == []
        assert looked > 1
