"""Pages through the ASGI application, over a desk without modules."""

from __future__ import annotations

import json
import re
from datetime import date
from html import unescape
from uuid import UUID

import httpx
import pytest
from tests.console import (
    double,
    double_board,
    double_conduct,
    double_content,
    double_contests,
    double_knowledge,
    double_nomads,
    double_routines,
    double_shop,
    double_watch,
    double_webhooks,
    double_workshop,
    governance,
    promises,
)
from tests.console.double_ground import TOKEN, ident

from shanhe.console.ports import Desk
from shanhe.kernel.errors import NotFound
from shanhe.kernel.words import ENTRIES, POSTINGS_ZH

PAGES = (
    "/",
    "/keys",
    "/keys/new",
    "/members",
    "/welcome",
    "/city/registrations",
    "/playground",
    "/playground/pictures",
    "/usage",
    "/usage?by=model",
    "/usage?by=key",
    "/usage/calls",
    "/usage/calls?after=older",
    f"/receipts/{ident(3)}",
    "/topup",
    "/topup/quote?yuan=1000",
    f"/topup/{ident(3)}",
    "/programmes",
    "/programmes/software_copyright",
    f"/applications/{promises.ONE}",
    f"/applications/{promises.TWO}",
    "/review",
    f"/review/{promises.ONE}",
    "/city/programmes",
    "/city/programmes/import?programme=software_copyright",
    "/city/programmes/reviewers",
    "/company",
    "/alliance",
    "/bookings",
    "/bookings?service=mentoring&day=2026-12-01",
    "/guarantees",
    "/city/services",
    "/my-data",
    "/city/privacy",
    "/algorithms",
    f"/algorithms/{double_conduct.CITY}",
    f"/algorithms/{double_conduct.FILED}",
    "/complaints",
    "/city/moderation",
    "/governance/dilution",
    "/governance/dilution?on=2026-11-20",
    "/city/break-glass",
    *(f"/city/break-glass/{number}" for number in double_watch.STATES),
    "/governance",
    "/governance/new",
    f"/governance/drafts/{governance.DONE}",
    "/governance/board",
    f"/governance/{governance.VOTING}",
    f"/governance/{governance.ADOPTED}",
    *(
        f"/governance/{governance.VOTING}/simulations/{number}"
        for number in (
            governance.DONE,
            governance.RUNNING,
            governance.FEW,
        )
    ),
    "/nomad",
    "/nomad/check-in?c=SH1.dg.cw",
    "/nomad/card",
    "/nomad/tickets",
    "/venues",
    f"/venues/{double_nomads.VENUE_ID}/screen",
    f"/venues/{double_nomads.VENUE_ID}/gate",
    f"/venues/{double_nomads.VENUE_ID}/offline",
    "/city/nomads",
    "/notices",
    "/settings",
    "/settings/second-factor",
    "/rules",
    "/rules/values",
    "/rules/P1",
    "/rules/P1?on=2026-11-20&fact_value_fen=100000",
    "/status",
    "/funds",
    "/policy",
    "/verify",
    f"/receipts/{ident(4)}",
    "/models",
    "/city/accounts",
    f"/city/accounts/{double.ORG}",
    f"/city/accounts/{double.ORG}/facts",
    "/city/engines",
    f"/city/engines/{ident(31)}",
    "/city/ledger",
    "/city/ledger/accounts",
    "/city/ledger/trial",
    "/city/ledger/verify",
    f"/city/ledger/postings/{ident(4)}",
    "/city/audit",
    "/city/second",
    "/income",
    "/store",
    "/store/ranks",
    "/store?kind=agent&find=a",
    "/store/agent/letters",
    "/makers",
    "/starters",
    "/makers/agent/letters",
    "/makers/agent/letters/talk",
    "/store/agent/letters/talk",
    "/makers/mcp/weather",
    "/makers/data/rows",
    "/makers/income",
    "/board",
    "/board?find=nothing",
    "/board/mine",
    "/board/new?kind=need",
    "/board/new?kind=solution",
    *(f"/board/posts/{one}" for one in (double_board.OPEN, double_board.OWN, double_board.DRAFT, double_board.MATCHED)),
    f"/board/posts/{double_board.OWN}/edit",
    *(f"/board/matches/{one}" for one in (double_board.OFFERED, double_board.AGREED, double_board.KIN)),
    "/bulletin",
    "/contests",
    f"/contests/{double_shop.CONTEST}",
    f"/contests/{double_contests.JUDGED}",
    f"/contests/{double_contests.JUDGED}/jury",
    f"/contests/{double_contests.DECIDED}",
    "/city/contests",
    "/apps",
    "/webhooks",
    f"/webhooks/{double_webhooks.ON}",
    f"/webhooks/{double_webhooks.OFF}",
    "/usage?by=tag",
    "/usage?by=month",
    "/usage/calls?tag=a",
    "/makers/clone/teacher",
    "/makers/alliance/school",
    "/store/clone/teacher",
    "/my-clones",
    "/my-clones/teacher",
    "/my-clones/consent/abc",
    f"/connect/{ident(4)}",
    "/city/store",
    "/city/store/listings",
    "/city/store/listings/agent/letters",
    "/city/store/listings/mcp/weather",
    "/city/bank",
    "/city/bank?file=a",
    "/city/bank/balance",
    "/city/bank/balance/00000000-0000-0000-0000-000000000055",
    "/city/payouts",
    "/city/reconcile",
    "/city/reconcile?all=1",
    "/city/exchange",
    "/exchange",
    "/exchange/trade",
    "/exchange/fund",
    "/search?q=P1",
    "/studio",
    f"/studio/data/{double_workshop.VERSION}",
    f"/studio/jobs/{double_workshop.JOB}",
    "/nodes",
    "/nodes/lab-1",
    "/workflows",
    "/workflows/weekly",
    "/workflows/inbox",
    "/workflows/weekly/nodes/write",
    "/makers/agent/letters/evaluation",
    f"/workflows/runs/{double_routines.RUN}",
    "/content",
    "/content?q=a&kind=notice",
    "/content/new/product_text",
    f"/content/new/product_text?profile={double_content.ONE}",
    f"/content/jobs/{double_content.ONE}",
    f"/content/drafts/{double_content.ONE}",
    "/city/content",
    "/knowledge",
    f"/knowledge/{double_knowledge.BASE}",
    f"/knowledge/{double_knowledge.BASE}/{double_knowledge.DOCUMENT}",
    f"/knowledge/{double_knowledge.BASE}/try?q=a",
    f"/knowledge/{double_knowledge.BASE}/measure",
)
PUBLIC = (
    "/algorithms",
    f"/algorithms/{double_conduct.FILED}",
    "/governance/dilution",
    "/governance/dilution.csv",
    "/board",
    f"/board/posts/{double_board.OPEN}",
    "/bulletin",
    "/contests",
    f"/contests/{double_contests.DECIDED}",
    "/store",
    "/store/agent/letters",
    "/governance",
    "/governance/board",
    f"/governance/{governance.VOTING}",
    f"/governance/{governance.VOTING}/simulations/{governance.DONE}",
    f"/governance/{governance.VOTING}/simulations/{governance.DONE}/csv",
    "/exchange",
    "/exchange/fund",
    "/sign-in",
    "/sign-in/code",
    "/rules",
    "/rules/P1",
    "/models",
    "/status",
    "/funds",
    "/policy",
)
OPERATORS_ONLY = (
    "/city/contests",
    "/city/store",
    "/city/store/listings",
    "/city/store/listings/agent/letters",
    "/city/store/listings/mcp/weather",
    "/city/accounts",
    "/city/engines",
    f"/city/engines/{ident(31)}",
    "/city/ledger",
    "/city/audit",
    "/city/programmes",
    "/city/services",
    "/city/privacy",
    "/city/nomads",
    "/city/exchange",
    "/city/bank",
    "/city/payouts",
    "/city/reconcile",
    "/city/break-glass",
    "/city/moderation",
    "/city/moderation/months.csv",
    "/city/content",
)


class TestPage:
    @pytest.mark.parametrize("path", PAGES)
    @pytest.mark.parametrize("language", ["zh-CN", "en"])
    async def test_opens_in_both_languages(self, member: httpx.AsyncClient, path: str, language: str) -> None:
        answer = await member.get(path, headers={"accept-language": language})
        assert answer.status_code == 200
        assert f'lang="{language}"' in answer.text

    @pytest.mark.parametrize("path", PUBLIC)
    async def test_is_public_where_everybody_may_read(self, visitor: httpx.AsyncClient, path: str) -> None:
        assert (await visitor.get(path)).status_code == 200

    @pytest.mark.parametrize("path", ["/keys", "/topup", "/city/ledger"])
    async def test_sends_visitors_to_sign_in_and_back(self, visitor: httpx.AsyncClient, path: str) -> None:
        answer = await visitor.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/sign-in?next={path}"

    async def test_receives_visitors_with_what_is_here_and_how_to_get_in(self, visitor: httpx.AsyncClient) -> None:
        page = (await visitor.get("/")).text
        for place in ("/models", "/rules", "/store", "/bulletin", "/verify", "/exchange", "/board", "/sign-in"):
            assert f'href="{place}"' in page
        assert "开通" in page
        assert "注册个人账户" in (await visitor.get("/sign-in")).text

    async def test_brings_whoever_was_signed_out_back_to_their_page(self, visitor: httpx.AsyncClient) -> None:
        sent = await visitor.post("/topup", data={"yuan": "1"}, headers={"referer": "http://city/topup?yuan=100"})
        assert sent.headers["location"] == "/sign-in?next=/topup%3Fyuan%3D100&done=session_over"
        assert "没有提交" in (await visitor.get(sent.headers["location"])).text
        elsewhere = await visitor.post("/topup", data={"yuan": "1"}, headers={"referer": "https://evil.example/x"})
        assert elsewhere.headers["location"] == "/sign-in?done=session_over"

    async def test_changes_language_where_the_reader_is(self, member: httpx.AsyncClient) -> None:
        assert (
            'name="back" value="/usage?by=model&amp;from=2026-01-01"'
            in (await member.get("/usage?by=model&from=2026-01-01")).text
        )
        wrong = await member.post("/keys", data={**TOKEN, "name": ""}, headers={"referer": "http://city/keys/new"})
        assert 'name="back" value="/keys/new"' in wrong.text

    @pytest.mark.parametrize("path", OPERATORS_ONLY)
    async def test_is_refused_to_those_who_may_not(self, member: httpx.AsyncClient, desk: Desk, path: str) -> None:
        desk.gate.member_only = True  # type: ignore[attr-defined]
        answer = await member.get(path)
        assert answer.status_code == 403
        assert "联系城市管理员" in answer.text  # no organisation gives what only the city's people have
        assert re.search("您的角色没有“[\u4e00-\u9fff]+”权限。", answer.text)

    async def test_sends_to_their_own_organisation_who_lacks_what_it_gives(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        desk.gate.rights = frozenset({"usage"})  # type: ignore[attr-defined]
        assert "联系本单位管理员" in (await member.get("/keys")).text

    async def test_tells_an_auditor_that_auditors_read(self, member: httpx.AsyncClient, desk: Desk) -> None:
        desk.gate.rights = frozenset({"audit", "ledger"})  # type: ignore[attr-defined]
        answer = await member.get("/keys")
        assert answer.status_code == 403
        assert "您的角色没有“密钥管理”权限" in answer.text
        assert "审计人员只查阅、不经办" in answer.text
        assert "管理员授权" not in answer.text

    @pytest.mark.parametrize("path", [*PAGES, "/nowhere"])
    async def test_runs_only_our_own_files(self, member: httpx.AsyncClient, path: str) -> None:
        answer = await member.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"\sstyle=|\son\w+=|<style|javascript:", answer.text)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", answer.text))
        assert answer.headers["cache-control"] == "no-store"

    async def test_says_what_to_do_when_there_is_nothing(self, member: httpx.AsyncClient, desk: Desk) -> None:
        desk.member.empty = True  # type: ignore[attr-defined]
        for path, way_out in (("/", "/keys/new"), ("/keys", "/keys/new"), ("/usage", "/playground")):
            assert f'href="{way_out}"' in (await member.get(path)).text

    async def test_shows_trouble_as_a_page(self, member: httpx.AsyncClient) -> None:
        for path, status, words in (("/nowhere", 404, "页面不存在"), ("/boom", 500, "本次不计费")):
            answer = await member.get(path)
            assert answer.status_code == status
            assert words in answer.text

    @pytest.mark.parametrize(
        ("form", "page"),
        [
            ("/programmes/software_copyright/check", "/programmes/software_copyright"),
            (f"/keys/{ident(1)}/rotate", "/keys"),
            ("/settings/alerts", "/settings"),
            ("/nomad/apply", "/nomad"),
        ],
    )
    async def test_of_a_form_answers_whoever_opens_its_address_anew(
        self, member: httpx.AsyncClient, form: str, page: str
    ) -> None:
        """A phone that has put a tab away asks for the address of the form that was sent last."""
        answer = await member.get(form)
        assert (answer.status_code, answer.headers["location"]) == (303, page)
        assert (await member.put(form)).status_code == 405

    async def test_of_all_calls_leads_from_the_newest_to_the_oldest(self, member: httpx.AsyncClient) -> None:
        for start in ("/", "/usage"):
            assert 'href="/usage/calls"' in (await member.get(start)).text
        newest = (await member.get("/usage/calls")).text
        assert newest.count('href="/receipts/') == 50
        assert 'href="/usage/calls?after=older"' in newest
        oldest = (await member.get("/usage/calls?after=older")).text
        assert 'href="/usage/calls?after=' not in oldest
        assert 'href="/usage/calls"' in oldest

    async def test_of_ones_own_account_asks_nobody_in(self, member: httpx.AsyncClient, desk: Desk) -> None:
        assert 'name="login"' in (await member.get("/members")).text
        desk.house.alone = True  # type: ignore[attr-defined]
        page = (await member.get("/members")).text
        assert 'name="login"' not in page
        assert "个人账户只有本人一名成员" in page

    async def test_of_duties_leads_only_those_to_the_work_who_may_do_it(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        work = re.compile(r'<td class="lead">[^<]*<a href="/city/privacy"')
        assert work.search((await member.get("/governance/board")).text)
        desk.gate.member_only = True  # type: ignore[attr-defined]
        page = (await member.get("/governance/board")).text
        assert "个人信息请求" in page
        assert not work.search(page)

    @pytest.mark.parametrize("path", ["/programmes/software_copyright", f"/review/{promises.ONE}", "/income"])
    async def test_names_rules_as_the_rulebook_does(self, member: httpx.AsyncClient, path: str) -> None:
        told = re.sub(r"<[^>]*>", " ", (await member.get(path)).text)
        assert re.search(r"[A-Z]\d", told)
        assert not re.search(r"\b[A-Z]\d{1,2}_[a-z]", told)

    async def test_shows_what_a_programme_promises_to_who_may_not_apply_and_no_form(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        path = "/programmes/software_copyright"
        assert f'action="{path}"' in (await member.get(path)).text
        desk.gate.rights = frozenset({"ledger", "audit", "receipts"})  # type: ignore[attr-defined]
        answer = await member.get(path)
        assert answer.status_code == 200
        assert f'action="{path}"' not in answer.text

    async def test_of_a_new_agent_begins_with_a_model_that_the_city_has(self, member: httpx.AsyncClient) -> None:
        field = re.search(r'<input id="model"[^>]*>', (await member.get("/makers/agent/letters")).text)
        assert field is not None
        assert f'value="{double.MODEL}"' in field[0]

    async def test_marks_what_was_wrong_for_the_script_that_shows_it(self, member: httpx.AsyncClient) -> None:
        wrong = (await member.post("/settings/password", data={**TOKEN, "new": "a", "again": "b"})).text
        assert wrong.count("data-mistake") == 1
        assert "data-mistake" not in (await member.get("/settings")).text

    async def test_gives_readers_a_way_back_where_programs_get_a_request(
        self, member: httpx.AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def gone(*_: object) -> None:
            raise NotFound("unknown", "None.", message_zh="没有该上架项。", hint_zh="GET /api/store 列出在售项目。")

        monkeypatch.setattr(desk.shop, "listing", gone)
        page = (await member.get("/store/agent/x")).text
        assert "没有该上架项" in page
        assert "请回到列表" in page
        assert "GET /api" not in page

    async def test_of_a_nomad_says_until_when_the_id_was_renewed_and_asks_for_no_more(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = (await member.get("/nomad")).text
        assert 'action="/nomad/apply"' in page
        assert 'id="renewed"' not in page
        desk.nomads.renewed = {"valid_from": date(2027, 5, 30), "valid_until": date(2028, 5, 29)}  # type: ignore[attr-defined]
        page = (await member.get("/nomad")).text
        assert 'action="/nomad/apply"' not in page
        assert '<dd id="renewed">' in page
        assert "2028-05-29" in page
        card = (await member.get("/nomad/card")).text
        assert "2028-05-29</time>" in card
        assert "&lt;time" not in card

    async def test_escapes_what_people_wrote(self, member: httpx.AsyncClient) -> None:
        name = "<script>alert(1)</script>{{7*7}}"
        await member.post("/keys", data={**TOKEN, "name": name})
        answer = await member.get("/keys")
        assert "<script>alert" not in answer.text
        assert "{{7*7}}" in answer.text

    async def test_continues_only_to_this_site_after_sign_in(self, member: httpx.AsyncClient) -> None:
        for elsewhere in ("//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"):
            answer = await member.get("/sign-in", params={"next": elsewhere})
            assert answer.headers["location"] == "/"


class TestForm:
    @pytest.mark.parametrize(
        "path",
        [
            "/keys",
            f"/keys/{ident(1)}/revoke",
            "/topup",
            "/sign-out",
            "/city/engines",
            "/city/ledger/verify",
            "/preferences",
        ],
    )
    async def test_is_refused_without_its_token(self, member: httpx.AsyncClient, path: str) -> None:
        assert (await member.post(path, data={"name": "x"})).status_code == 403
        assert (await member.post(path, data={"name": "x", "csrf": "wrong"})).status_code == 403

    async def test_that_was_opened_for_one_organisation_does_nothing_for_another(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        found = re.search(r'name="csrf" value="([^"]+)"', (await member.get("/keys/new")).text)
        assert found is not None
        form = {"csrf": found[1], "name": "夜间脚本"}
        desk.gate.org = ident(77)  # type: ignore[attr-defined]  # chosen in another window
        refused = await member.post("/keys", data=form, headers={"referer": "http://city/keys/new"})
        assert refused.status_code == 409
        assert 'class="btn primary" href="/keys/new"' in refused.text
        assert "这份表单是为另一身份打开的" in refused.text
        assert "data-failed" in refused.text  # whoever goes back finds what they wrote
        script = {"x-csrf-token": found[1]}
        assert (await member.post("/keys", data={"name": "x"}, headers=script)).status_code == 409
        assert (await member.post("/keys", data={**form, "csrf": f"wrong.{ident(77).hex}"})).status_code == 403
        assert (await member.post("/sign-out", data=form)).status_code == 303
        desk.gate.org = UUID(found[1].partition(".")[2])  # type: ignore[attr-defined]
        assert (await member.post("/keys", data=form)).status_code == 303

    async def test_signs_in_with_a_password_and_a_code(self, visitor: httpx.AsyncClient) -> None:
        page = await visitor.get("/sign-in")
        token = {"csrf": visitor.cookies["shanhe_form"]}
        assert token["csrf"] in page.text
        wrong = await visitor.post("/sign-in", data={**token, "login": "chen", "password": "wrong"})
        assert wrong.status_code == 401
        assert "用户名或密码不正确" in wrong.text
        right = await visitor.post("/sign-in", data={**token, "login": "chen", "password": "right", "next": "/keys"})
        assert right.headers["location"] == "/sign-in/code?next=/keys"
        done = await visitor.post("/sign-in/code", data={**token, "code": "123 456", "next": "/keys"})
        assert done.headers["location"] == "/keys"
        assert (await visitor.get("/keys")).status_code == 200

    async def test_shows_a_new_secret_once(self, member: httpx.AsyncClient) -> None:
        made = await member.post(
            "/keys", data={**TOKEN, "name": "机器人", "budget_day": "12.5", "expires": "2027-01-31"}
        )
        assert made.headers["location"] == "/keys"  # a reload of what follows makes nothing
        assert "sk-sh-" not in made.headers["location"]
        assert "sk-sh-A1b2" in (await member.get("/keys")).text
        listed = await member.get("/keys")
        assert "机器人" in listed.text
        assert "sk-sh-A1b2" not in listed.text

    @pytest.mark.parametrize("wrong", [{"budget_day": "-1"}, {"budget_day": "abc"}, {"rpm": "0"}, {"name": ""}])
    async def test_keeps_what_was_typed_when_something_is_wrong(
        self, member: httpx.AsyncClient, wrong: dict[str, str]
    ) -> None:
        answer = await member.post("/keys", data={**TOKEN, "name": "机器人", "tpm": "777", **wrong})
        assert answer.status_code == 422
        assert 'value="777"' in answer.text
        assert 'role="alert"' in answer.text

    @pytest.mark.parametrize(
        ("path", "typed", "kept"),
        [
            ("/settings/alerts", {"name": "预算", "amount": "12.5元", "percent": "80"}, "12.5元"),
            ("/settings/alerts", {"name": "预算", "amount": "12", "percent": "多"}, "多"),
            ("/settings/auto", {"threshold": "5", "value": "100.001", "cap": "500"}, "100.001"),
        ],
    )
    async def test_says_on_the_settings_what_cannot_be_read(
        self, member: httpx.AsyncClient, path: str, typed: dict[str, str], kept: str
    ) -> None:
        answer = await member.post(path, data={**TOKEN, **typed})
        assert answer.status_code == 422
        assert f"“{kept}”" in answer.text
        assert f'value="{kept}"' in answer.text

    async def test_lists_what_one_is_entitled_to_first_and_what_is_not_yet_last(
        self, member: httpx.AsyncClient
    ) -> None:
        page = (await member.get("/programmes")).text
        assert page.rindex("可享受") < page.rindex("已申请") < page.rindex("尚不满足")

    async def test_buys_after_a_quote(self, member: httpx.AsyncClient) -> None:
        quote = await member.get("/topup/quote", params={"yuan": "100"}, headers={"hx-request": "true"})
        assert "¥ 70.00" in quote.text
        assert "<html" not in quote.text
        before = await member.get("/topup")
        quote_id = re.search(r'name="quote" value="([^"]+)"', quote.text)
        assert quote_id is not None
        bought = await member.post("/topup", data={**TOKEN, "quote": quote_id.group(1), "client_ref": "r1"})
        assert bought.headers["location"] == f"/topup/{ident(200)}"
        after = await member.get("/topup")
        balances = [int(re.search(r'id="balance" data-micro="(\d+)"', page.text).group(1)) for page in (before, after)]  # type: ignore[union-attr]
        assert balances[1] - balances[0] == 100_000_000

    async def test_shows_verification_as_it_goes(self, member: httpx.AsyncClient) -> None:
        headers = {"hx-request": "true"}
        started = await member.post("/city/ledger/verify", data=TOKEN, headers=headers)
        assert 'max="4" value="2"' in started.text
        for _ in range(3):
            last = await member.get("/city/ledger/verify", headers=headers)
        assert "账本无误" in last.text


class TestProof:
    async def test_of_a_receipt_is_offered_unless_somebody_it_is_about_was_erased(
        self, member: httpx.AsyncClient
    ) -> None:
        for number, offered in ((5, True), (15, False)):
            page = (await member.get(f"/receipts/{ident(number)}")).text
            assert (f"/receipts/{ident(number)}/proof" in page) is offered
            assert ("不再签发证明" in page) is not offered

    @pytest.mark.parametrize("language", ["zh-CN", "en"])
    async def test_of_proofs_has_a_word_for_whatever_a_proof_is_of(
        self, visitor: httpx.AsyncClient, language: str
    ) -> None:
        page = (await visitor.get("/verify", headers={"accept-language": language})).text
        words = json.loads(unescape(re.findall(r'data-words="([^"]*)"', page)[0]))
        said = {kind: words.get(f"type_{kind}", kind) for kind in (*POSTINGS_ZH, *ENTRIES)}
        code = "[a-z]" if language.startswith("zh") else "[._]"
        assert {kind for kind, word in said.items() if word == kind or re.search(code, word)} == set()


class TestStatic:
    async def test_serves_our_files_for_good_and_nothing_else(self, visitor: httpx.AsyncClient) -> None:
        page = (await visitor.get("/sign-in")).text
        for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
            answer = await visitor.get(path)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-encoding"] == "gzip"
            plain = await visitor.get(path, headers={"accept-encoding": "identity"})
            assert "content-encoding" not in plain.headers
            assert plain.content == answer.content
        for path in (
            "/static/../render.py",
            "/static/vendor/../../render.py",
            "/static/%2e%2e/render.py",
            "/static/vendor",
        ):
            assert (await visitor.get(path)).status_code == 404
