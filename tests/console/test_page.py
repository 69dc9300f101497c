"""Pages through the ASGI application, over a desk without modules."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import date
from uuid import UUID

import httpx
import pytest
from tests.console import (
    double,
    double_board,
    double_conduct,
    double_content,
    double_contests,
    double_house,
    double_knowledge,
    double_nomads,
    double_routines,
    double_shop,
    double_watch,
    double_workshop,
    governance,
    promises,
)
from tests.console.double import ident

from shanhe.console import model as m
from shanhe.console import model_credits as c
from shanhe.console.ports import Desk
from shanhe.kernel.errors import NotFound

TOKEN = {"csrf": "csrf-of-session"}
PAGES = (
    "/",
    "/keys",
    "/keys/new",
    "/members",
    "/welcome",
    "/city/registrations",
    "/playground",
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
    "/rules/P1",
    "/rules/P1?on=2026-11-20&fact_value_fen=100000",
    "/status",
    "/policy",
    "/verify",
    f"/receipts/{ident(4)}",
    "/models",
    "/city/accounts",
    f"/city/accounts/{double.ORG}",
    "/city/engines",
    "/city/ledger",
    "/city/ledger/accounts",
    "/city/ledger/trial",
    "/city/ledger/verify",
    f"/city/ledger/postings/{ident(4)}",
    "/city/audit",
    "/city/second",
    "/income",
    "/store",
    "/store?kind=agent&find=a",
    "/store/agent/letters",
    "/makers",
    "/makers/agent/letters",
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
    "/makers/clone/teacher",
    "/makers/alliance/school",
    "/store/clone/teacher",
    "/my-clones",
    "/my-clones/teacher",
    "/my-clones/consent/abc",
    f"/connect/{ident(4)}",
    "/city/store",
    "/city/bank",
    "/city/bank?file=a",
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
    "/policy",
)
OPERATORS_ONLY = (
    "/city/contests",
    "/city/store",
    "/city/accounts",
    "/city/engines",
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
        assert "联系本单位管理员" in answer.text

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


class TestHouse:
    async def test_switches_organisation_and_password(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get("/settings")).text
        assert str(double_house.OTHER) in page
        moved = await member.post("/settings/organisation", data={**TOKEN, "org": str(double_house.OTHER)})
        assert moved.headers["location"] == "/?done=organisation_changed"
        new = {"current": "right", "new": "长长的新密码 2026", "again": "长长的新密码 2026"}
        for wrong in ({"again": "不同"}, {"current": "wrong"}):
            refused = await member.post("/settings/password", data={**TOKEN, **new, **wrong})
            assert refused.status_code in (401, 422)
            assert "不一致" in refused.text or "密码不正确" in refused.text
            assert new["new"] not in refused.text
        assert (await member.post("/settings/password", data={**TOKEN, **new})).status_code == 303
        assert desk.house.done == [("switch", double_house.OTHER), ("password", new["new"])]  # type: ignore[attr-defined]

    async def test_opens_an_account_of_ones_own_once(self, member: httpx.AsyncClient, desk: Desk) -> None:
        assert 'action="/settings/personal"' not in (await member.get("/settings")).text
        desk.house.own = False  # type: ignore[attr-defined]
        assert 'action="/settings/personal"' in (await member.get("/settings")).text
        opened = await member.post("/settings/personal", data=TOKEN)
        assert opened.headers["location"] == "/?done=personal_opened"
        assert [what for what, _ in desk.house.done] == ["personal"]  # type: ignore[attr-defined]

    async def test_shows_whoever_belongs_to_nothing_how_to_begin(self, member: httpx.AsyncClient, desk: Desk) -> None:
        desk.gate.alone = True  # type: ignore[attr-defined]
        for path in ("/nomad", "/programmes", "/keys"):
            answer = await member.get(path)
            assert answer.status_code == 403
            assert "以个人身份办理" in answer.text
        assert (await member.get("/")).headers["location"] == "/settings#organisations"

    async def test_lets_a_member_leave_but_not_oneself(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get("/settings")).text
        assert re.findall(r'/settings/organisation/([^/"]+)/leave', page) == [str(double.ORG)]  # not the person's own
        left = await member.post(f"/settings/organisation/{double.ORG}/leave", data=TOKEN)
        assert "已退出该机构" in (await member.get(left.headers["location"])).text
        refused = await member.post(f"/settings/organisation/{double_house.OTHER}/leave", data=TOKEN)
        assert (refused.status_code, "最后一个负责人" in refused.text) == (409, True)
        assert desk.house.done == [("leave", double.ORG)]  # type: ignore[attr-defined]

    async def test_lets_owners_add_and_remove_members(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get("/members")).text
        assert "&lt;b&gt;李明" in page
        assert f'action="/members/{double_house.COLLEAGUE}/remove"' in page
        wrong = await member.post("/members", data={**TOKEN, "login": "nobody", "role": "owner"})
        assert wrong.status_code == 404
        assert 'value="nobody"' in wrong.text
        await member.post("/members", data={**TOKEN, "login": "li.ming", "role": "member"})
        await member.post(f"/members/{double_house.COLLEAGUE}/remove", data=TOKEN)
        wanted = [("put", ("li.ming", "member")), ("remove", double_house.COLLEAGUE)]
        assert desk.house.done == wanted  # type: ignore[attr-defined]

    async def test_keeps_members_from_those_who_do_not_own(self, member: httpx.AsyncClient, desk: Desk) -> None:
        desk.gate.member_only = True  # type: ignore[attr-defined]
        assert (await member.get("/members")).status_code == 403
        assert 'href="/members"' not in (await member.get("/")).text


class TestUsage:
    async def test_is_exported_as_csv(self, member: httpx.AsyncClient) -> None:
        answer = await member.get("/usage.csv", params={"from": "2026-11-01", "to": "2026-11-03", "by": "day"})
        lines = answer.text.removeprefix("\N{BYTE ORDER MARK}").splitlines()
        assert lines[0].startswith("day,calls,input_tokens")
        assert len(lines) == 4
        assert all(line.split(",")[-1].isdigit() for line in lines[1:])

    @pytest.mark.parametrize("query", ["by=nothing", "from=2026-11-05&to=2026-11-01", "from=2020-01-01&to=2026-01-01"])
    async def test_refuses_periods_it_cannot_show(self, member: httpx.AsyncClient, query: str) -> None:
        assert (await member.get(f"/usage?{query}")).status_code == 422


class TestPlayground:
    async def test_streams_what_the_gateway_says(self, member: httpx.AsyncClient) -> None:
        body = {"model": double.MODEL, "messages": [{"role": "user", "content": "你好"}]}
        answer = await member.post("/playground/chat", json=body, headers={"x-csrf-token": TOKEN["csrf"]})
        assert answer.headers["x-shanhe-receipt"] == str(ident(60))
        assert answer.text.endswith("data: [DONE]\n\n")

    async def test_says_in_the_readers_language_why_a_call_was_refused(
        self, member: httpx.AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def poor(who: object, body: bytes) -> AsyncIterator[tuple[int, dict[str, str], bytes]]:
            yield 402, {}, b'{"error": {"code": "insufficient_quota", "message": "The balance is low."}}'

        monkeypatch.setattr(desk.talk, "stream", poor)
        headers = {"x-csrf-token": TOKEN["csrf"]}
        body = {"model": double.MODEL, "messages": [{"role": "user", "content": "你好"}]}
        streamed = await member.post("/playground/chat", json=body, headers=headers)
        assert streamed.status_code == 402
        assert "余额不足" in streamed.json()["error"]["message"]
        for path, fields in (
            ("/playground", {"model": double.MODEL, "prompt": "你好"}),
            ("/store/agent/letters/try", {"question": "你好"}),
        ):
            answer = await member.post(path, data={**TOKEN, **fields})
            assert answer.status_code == 402
            assert "余额不足" in answer.text
            assert "balance" not in answer.text

    async def test_works_without_scripts(self, member: httpx.AsyncClient) -> None:
        asked = await member.post("/playground", data={**TOKEN, "model": double.MODEL, "prompt": "你好"})
        assert asked.status_code == 303
        for _ in range(2):  # a reload shows the same and asks nothing
            answer = await member.get(asked.headers["location"])
            assert "复式记账" in answer.text
            assert f"/receipts/{ident(60)}" in answer.text
        lapsed = (await member.get("/playground?answer=gone")).text
        assert "已不再保留" in lapsed
        assert 'class="turn"' not in lapsed

    @pytest.mark.parametrize(
        "body",
        [
            {"model": "x", "messages": []},
            {"model": "x", "messages": [{"role": "root", "content": "x"}]},
            {"model": "x", "messages": [{"role": "user", "content": "x" * 40_000}]},
            {"model": "x", "messages": [{"role": "user", "content": "x"}], "max_tokens": -1},
        ],
    )
    async def test_refuses_what_is_beyond_its_bounds(self, member: httpx.AsyncClient, body: dict[str, object]) -> None:
        answer = await member.post("/playground/chat", json=body, headers={"x-csrf-token": TOKEN["csrf"]})
        assert answer.status_code == 422


class TestStatic:
    async def test_serves_our_files_for_good_and_nothing_else(self, visitor: httpx.AsyncClient) -> None:
        page = (await visitor.get("/sign-in")).text
        for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
            answer = await visitor.get(path)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
        for path in (
            "/static/../render.py",
            "/static/vendor/../../render.py",
            "/static/%2e%2e/render.py",
            "/static/vendor",
        ):
            assert (await visitor.get(path)).status_code == 404


class TestExchange:
    @pytest.mark.parametrize("path", ["/exchange", "/exchange/trade", "/exchange/fund", "/city/exchange"])
    @pytest.mark.parametrize(
        ("mode", "words"), [("play", "模拟资金，无任何价值"), ("sample", "示例批文"), ("real", "依据批文运行")]
    )
    async def test_says_on_every_page_by_whose_leave_it_runs(
        self, member: httpx.AsyncClient, desk: Desk, path: str, mode: str, words: str
    ) -> None:
        desk.exchange.mode = mode  # type: ignore[attr-defined]
        assert words in (await member.get(path)).text

    async def test_keeps_what_was_typed_and_says_what_was_wrong(self, member: httpx.AsyncClient) -> None:
        form = {
            "order_id": str(ident(1)),
            "side": "sell",
            "price": "7.77",
            "quantity": "12",
            "validity": "day",
            **TOKEN,
        }
        answer = await member.post("/exchange/trade", data=form)
        assert answer.status_code == 422
        assert "报价不在价格通道内" in answer.text
        assert 'value="7.77"' in answer.text
        placed = await member.post("/exchange/trade", data={**form, "price": "0.65"})
        assert placed.headers["location"] == "/exchange/trade?done=order_placed"

    async def test_amends_an_order_and_says_what_was_wrong(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/exchange/trade")).text
        path = f"/exchange/orders/{ident(20)}/amend"
        assert f'action="{path}"' in page
        assert f'action="/exchange/orders/{ident(25)}/amend"' not in page  # it is filled
        wrong = await member.post(path, data={"price": "7.77", "quantity": "12", **TOKEN})
        assert wrong.status_code == 422
        assert "报价不在价格通道内" in wrong.text
        done = await member.post(path, data={"price": "0.65", "quantity": "12", **TOKEN})
        assert done.headers["location"] == "/exchange/trade?done=order_amended"

    async def test_takes_cash_by_every_configured_way(
        self, member: httpx.AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(desk.till, "ways", ("wechat", "bank_transfer"))
        page = (await member.get("/exchange/trade")).text
        assert page.count('name="method"') == 2
        assert 'value="sandbox"' not in page
        form = {"yuan": "10", "ref": "r", **TOKEN}
        for method, where in (("bank_transfer", "bank_transfer"), ("", "wechat")):
            paid = await member.post("/exchange/deposit", data={**form, "method": method})
            assert paid.headers["location"] == f"/pay/{where}/x"
        monkeypatch.setattr(desk.till, "ways", ())
        assert (await member.post("/exchange/deposit", data=form)).status_code == 422

    async def test_asks_once_for_cash_however_often_the_form_is_sent(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = (await member.get("/exchange/trade")).text
        number = re.search(r'action="/exchange/withdraw".*?name="id" value="([^"]+)"', page)
        assert number is not None
        form = {"id": number.group(1), "out": "12.5", "payee": "山河银行 6222", **TOKEN}
        for _ in range(2):
            assert (await member.post("/exchange/withdraw", data=form)).status_code == 303
        assert set(map(str, desk.exchange.asked)) == {number.group(1)}  # type: ignore[attr-defined]
        wrong = await member.post("/exchange/withdraw", data={**form, "out": "12,5元"})
        assert wrong.status_code == 422
        assert 'value="12,5元"' in wrong.text
        assert 'value="山河银行 6222"' in wrong.text

    async def test_shows_what_a_dispute_led_to_and_lets_operators_undo_trades(self, member: httpx.AsyncClient) -> None:
        mine = (await member.get("/exchange/trade")).text
        assert "积分已使用或转出" in mine
        desk = (await member.get("/city/exchange")).text
        for path in (f"/city/exchange/disputes/{ident(7)}/reversal", f"/city/exchange/reversals/{ident(6)}"):
            assert f'action="{path}"' in desk
            assert (await member.post(path, data={"reason": "x", "to": "yes"})).status_code == 403
            assert (await member.post(path, data={"reason": "x", "to": "yes", **TOKEN})).status_code == 303


class TestRecords:
    """The ledger, the audit and applications are looked into by whose, what and when."""

    async def test_stand_before_an_operators_own_business(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/city/ledger")).text
        assert page.index('href="/city/accounts"') < page.index('href="/keys"')

    async def test_of_the_ledger_are_found_by_owner_and_days(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = await member.get("/city/ledger?kind=call&account=启明&since=2026-11-01&until=2026-11-20")
        days = m.Days(date(2026, 11, 1), date(2026, 11, 20))
        assert desk.city.asked == ("call", ident(40), days, "")  # type: ignore[attr-defined]
        statement = f"/api/ledger/accounts/{ident(40)}/statement.csv?since=2026-11-01&amp;until=2026-11-20"
        assert statement in page.text
        assert 'name="since" type="date" value="2026-11-01"' in page.text

    async def test_of_the_ledger_keep_the_question_when_the_owner_is_unknown(self, member: httpx.AsyncClient) -> None:
        answer = await member.get("/city/ledger?account=?&since=2026-11-01")
        assert answer.status_code == 422
        assert "没有该机构" in answer.text
        assert 'value="2026-11-01"' in answer.text

    async def test_of_applications_are_found_by_programme_and_applicant(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = await member.get("/city/programmes?programme=software_copyright&find=青山&state=refused")
        asked = ("refused", "software_copyright", "青山", None)
        assert desk.promises.looked == asked  # type: ignore[attr-defined]
        assert '<option value="software_copyright" selected>' in page.text
        await member.get(f"/city/programmes?programme=other&state=other&before={ident(1)}")
        assert desk.promises.looked == ("", "", "", ident(1))  # type: ignore[attr-defined]

    async def test_of_the_audit_are_found_by_subject_action_and_days(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = await member.get("/city/audit?about=启明&action=key_create&since=2026-11-01&until=soon")
        asked = ("", "启明", "key_create", m.Days(date(2026, 11, 1), None))
        assert desk.city.asked == asked  # type: ignore[attr-defined]
        assert '<option value="key_create" selected>' in page.text
        await member.get("/city/audit?action=' OR 1")
        assert desk.city.asked == ("", "", "", m.Days())  # type: ignore[attr-defined]


class TestTreasury:
    """Forms about money in and out reach the desk, and say what was wrong."""

    async def test_of_payouts_shows_what_waits_or_everything(self, member: httpx.AsyncClient, desk: Desk) -> None:
        await member.get("/city/payouts")
        assert desk.treasury.queue == c.Queue()  # type: ignore[attr-defined]
        page = await member.get(f"/city/payouts?all=1&past={ident(3)}")
        assert desk.treasury.queue == c.Queue(True, ident(3))  # type: ignore[attr-defined]
        assert '<a href="/city/payouts?all=1" aria-current="page">' in page.text

    async def test_of_money_that_waits_says_whose_it_is_and_which_orders_it_fits(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = (await member.get(f"/city/bank?find=青山&past={UUID(int=80)}")).text
        assert desk.treasury.looked == ("青山", UUID(int=80))  # type: ignore[attr-defined]
        for needed in ("青山机器人有限公司", "十一月服务费", '<option value="SH7K2M9PQ4">', "对账单第 7 行"):
            assert needed in page, needed
        assert "已匹配 1 · 无法读取 1" in (await member.get("/city/bank?file=a")).text
        assert f"&amp;past={UUID(int=81)}#suspense" in page
        wrong = {"order": "?", "note": "回单 7", **TOKEN}
        answer = await member.post(f"/city/bank/{UUID(int=80)}/apply", data=wrong)
        assert answer.status_code == 422
        assert 'value="回单 7"' in answer.text, "what was typed stays"

    async def test_reads_a_statement_file(self, member: httpx.AsyncClient, desk: Desk) -> None:
        files = {"file": ("6月.csv", "日期,金额".encode(), "text/csv")}
        answer = await member.post("/city/bank", data=TOKEN, files=files)
        assert (answer.status_code, answer.headers["location"][:16]) == (303, "/city/bank?file=")
        assert desk.treasury.done == [("6月.csv", "日期,金额".encode())]  # type: ignore[attr-defined]
        refused = await member.post("/city/bank", data=TOKEN, files={"file": ("e.csv", b"", "text/csv")})
        assert refused.status_code == 422
        assert "文件为空" in refused.text
        stale = await member.post("/city/bank", data={"csrf": "x"}, files=files)
        assert stale.status_code == 403

    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/income", {"amount": "120.5", "subsidy": "1"}, ("ask", (120_500_000, True))),
            ("/income/payee", {"kind": "person", "bank": "b"}, ("payee", "b")),
            (f"/income/{ident(1)}/cancel", {}, ("cancel", ident(1))),
            (f"/city/bank/{ident(1)}/return", {"note": "n"}, ("return", ident(1))),
            (f"/city/payouts/{ident(1)}/approve", {"channel": "bank_file"}, ("approve", ident(1))),
            (f"/city/payouts/payees/{ident(1)}", {"passed": "0", "reference": "r"}, ("check", False)),
            ("/city/reconcile", {"day": ""}, ("run", None)),
            (f"/city/reconcile/{ident(1)}/resolve", {"outcome": "released", "note": "n"}, ("resolve", "released")),
        ],
    )
    async def test_asks_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 303
        assert desk.treasury.done == [done]  # type: ignore[attr-defined]

    async def test_says_what_was_wrong(self, member: httpx.AsyncClient) -> None:
        for amount in ("1501", "much"):
            answer = await member.post("/income", data=TOKEN | {"amount": amount})
            assert answer.status_code == 422
            assert 'role="alert"' in answer.text
        assert (await member.post(f"/city/payouts/{ident(1)}/nonsense", data=TOKEN)).status_code == 404
        assert (await member.post("/city/reconcile", data=TOKEN | {"day": "soon"})).status_code == 422

    async def test_offers_every_way_to_pay(self, member: httpx.AsyncClient) -> None:
        page = await member.get("/topup/quote?yuan=1000")
        for method in ("wechat", "alipay", "bank_transfer"):
            assert f'name="method" value="{method}"' in page.text


class TestGovernance:
    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/governance/new", {"title": "t", "why": "w"}, ("propose", "t")),
            (f"/governance/{governance.VOTING}/comment", {"text": "x", "id": str(ident(1))}, ("comment", "x")),
            (
                f"/governance/{governance.VOTING}/simulations",
                {"first": "2026-01", "last": "2026-01"},
                ("simulate", "2026-01"),
            ),
            (f"/governance/{governance.VOTING}/vote", {"vote": "veto", "reason": "r"}, ("vote", "veto", "r")),
            (f"/governance/{governance.VOTING}/withdraw", {}, ("withdraw", governance.VOTING)),
            ("/governance/board/figure", {"evidence": "e"}, ("figure", "e")),
        ],
    )
    async def test_asks_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        assert (await member.post(path, data=TOKEN | fields)).status_code == 303
        assert desk.governance.done == [done]  # type: ignore[attr-defined]

    async def test_says_what_was_wrong_and_keeps_what_was_typed(self, member: httpx.AsyncClient) -> None:
        answer = await member.post("/governance/new", data=TOKEN | {"title": "", "why": "因为如此"})
        assert answer.status_code == 422
        assert "因为如此" in answer.text
        vote = await member.post(f"/governance/{governance.VOTING}/vote", data=TOKEN | {"vote": "maybe"})
        assert vote.status_code == 422


class TestConduct:
    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/complaints", {"receipt": str(ident(1)), "category": "false", "text": "t"}, ("complain", "t")),
            (f"/complaints/{ident(1)}/appeal", {"text": "a"}, ("appeal", "a")),
            ("/city/moderation/algorithms", {"subject": "model/x"}, ("add", "model/x")),
            (f"/city/moderation/algorithms/{ident(1)}/state", {"state": "filed"}, ("move", ident(1), "filed")),
            (f"/city/moderation/algorithms/{ident(1)}/documents", {"kind": "other"}, ("attach", "other")),
            (f"/city/moderation/complaints/{ident(1)}", {"do": "uphold", "answer": "r"}, ("decide", True, "r")),
        ],
    )
    async def test_asks_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        assert (await member.post(path, data=TOKEN | fields)).status_code == 303
        assert desk.conduct.done == [done]  # type: ignore[attr-defined]

    async def test_says_what_was_wrong_and_keeps_what_was_typed(self, member: httpx.AsyncClient) -> None:
        for path, fields in (("/complaints", {"text": "捏造判决", "receipt": "1"}),
                             ("/city/moderation/algorithms", {"name_zh": "捏造判决"})):  # fmt: skip
            answer = await member.post(path, data=TOKEN | fields)
            assert answer.status_code == 422
            assert "捏造判决" in answer.text


class TestWatch:
    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("", {"class": "access.audit", "object": "person:1", "reason": "r", "code": "123456"},
             ("open", "access.audit", "person:1")),
            (f"/{double_watch.OPEN}/end", {}, ("end", double_watch.OPEN)),
            (f"/{double_watch.ENDED}/review", {"do": "justified", "findings": "f", "follow_up": "none"},
             ("review", "justified", "none")),
        ],
    )  # fmt: skip
    async def test_asks_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        assert (await member.post(f"/city/break-glass{path}", data=TOKEN | fields)).status_code == 303
        assert desk.watch.done == [done]  # type: ignore[attr-defined]

    async def test_says_what_was_wrong_and_keeps_what_was_typed(self, member: httpx.AsyncClient) -> None:
        answer = await member.post("/city/break-glass", data=TOKEN | {"reason": "防汛今夜", "code": "1"})
        assert answer.status_code == 422
        assert "防汛今夜" in answer.text
        read = await member.post(f"/city/break-glass/{double_watch.OPEN}/read", data=TOKEN)
        assert "people.grant" in read.text


class TestRights:
    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/my-data/correct", {"name": "n"}, ("correct", "n")),
            ("/my-data/purposes/x", {"do": "consent", "version": "1"}, ("consent", ("x", "1", False))),
            ("/my-data/purposes/x", {"do": "withdraw"}, ("withdraw", "x")),
            ("/my-data/purposes/x", {"do": "refuse"}, ("refuse", ("x", True))),
            ("/my-data/purposes/x", {"do": "accept"}, ("refuse", ("x", False))),
            ("/my-data/ask", {"kind": "other", "text": "t", "id": str(ident(1))}, ("ask", ("other", "t"))),
            ("/my-data/erase", {"password": "p"}, ("erase", "p")),
            (f"/city/privacy/requests/{ident(1)}", {"do": "done", "answer": "a"}, ("answer", (ident(1), True, "a"))),
            ("/city/privacy/assessments", {"purpose": "p"}, ("assess", "p")),
        ],
    )
    async def test_asks_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        assert (await member.post(path, data=TOKEN | fields)).status_code == 303
        assert desk.rights.calls == [done]  # type: ignore[attr-defined]


class TestRules:
    async def test_are_grouped_by_chapter_and_found_by_a_word(self, visitor: httpx.AsyncClient) -> None:
        everything = (await visitor.get("/rules")).text
        assert everything.index("P · 平台与定价") < everything.index("C · 积分")
        found = (await visitor.get("/rules?q=定价")).text
        assert "/rules/P11" in found
        assert '/rules/P1"' not in found
        assert "没有符合的规则" in (await visitor.get("/rules?q=nothing-like-it")).text

    async def test_show_examples_and_what_changed(self, visitor: httpx.AsyncClient) -> None:
        page = (await visitor.get("/rules/P1")).text
        assert "示例 1" in page
        assert "目录价 ¥1,000.00 → 优惠金额 ¥300.00" in page
        assert "CNY 1,000" not in page  # what an example is called in the file is English
        assert "优惠比例由 25 % 变为 30 %" in page


class TestReceipt:
    async def test_leads_to_the_form_of_a_dispute(self, member: httpx.AsyncClient) -> None:
        page = (await member.get(f"/receipts/{ident(3)}")).text
        link = f"/credits/disputes?receipt={ident(3)}"
        assert f'href="{link}"' in page
        assert f'value="{ident(3)}"' in (await member.get(link)).text


class TestShop:
    """Forms of the store reach the desk; what was typed is still there when something is wrong."""

    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/store/agent/letters/rate", {"stars": "5", "text": "好"}, [("rate", "agent/letters", 5, "好")]),
            ("/makers", {"kind": "agent", "slug": "letters"}, [("open", "agent", "letters")]),
            ("/makers/agent/letters", {"markup": "20", "then": "save"}, [("save", "agent/letters", "20")]),
            (
                "/makers/agent/letters",
                {"markup": "20", "then": "submit"},
                [("save", "agent/letters", "20"), ("submit", "agent/letters")],
            ),
            ("/makers/data/rows/recall", {}, [("recall", "data/rows")]),
            ("/makers/agent/letters/withdraw", {}, [("withdraw", "agent/letters")]),
            (
                "/city/store/agent/letters/2",
                {"verdict": "approve", "note": "好"},
                [("review", "agent/letters", 2, True, "好")],
            ),
        ],
    )
    async def test_asks_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 303, answer.text
        assert desk.shop.done == done  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("path", "fields", "words"),
        [
            ("/store/agent/letters/rate", {"stars": "1"}, "请先付费调用"),
            ("/makers", {"kind": "agent", "slug": "taken"}, "名称已被占用"),
            ("/makers/agent/letters", {"markup": "0", "instructions": "写信"}, "加价率至少"),
            ("/city/store/agent/letters/2", {"verdict": "reject"}, "须写明理由"),
            ("/store/agent/letters/try", {"question": " "}, "请填写问题"),
        ],
    )
    async def test_says_what_was_wrong(
        self, member: httpx.AsyncClient, path: str, fields: dict[str, str], words: str
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 422
        assert words in answer.text
        typed = fields.get("instructions") or fields.get("slug") or ""
        assert typed in answer.text

    async def test_tries_an_agent(self, member: httpx.AsyncClient) -> None:
        asked = await member.post("/store/agent/letters/try", data=TOKEN | {"question": "什么是复式记账？"})
        assert asked.status_code == 303
        answer = await member.get(asked.headers["location"])
        assert "都同时记下" in answer.text

    async def test_says_when_nothing_is_offered(self, visitor: httpx.AsyncClient, desk: Desk) -> None:
        desk.shop.offered = []  # type: ignore[attr-defined]
        assert "还没有上架项" in (await visitor.get("/store")).text

    async def test_income_has_a_period_and_a_file(self, member: httpx.AsyncClient) -> None:
        wrong = await member.get("/makers/income?first=2026-11-20&last=2026-11-01")
        assert (wrong.status_code, "期间不超过" in wrong.text) == (422, True)
        saved = await member.get("/makers/income/statement.xlsx?first=2026-11-01&last=2026-11-20")
        assert saved.headers["content-disposition"] == "attachment; filename=income.xlsx"


class TestContests:
    """Forms of contests reach the desk, and what is wrong is said."""

    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            (f"/contests/{double_shop.CONTEST}", {"listing": "agent/a", "work": "好"}, ("enter", "agent/a")),
            (f"/contests/{double_shop.CONTEST}/withdraw", {}, ("withdraw", double_shop.CONTEST)),
            (f"/contests/{double_contests.JUDGED}/jury/2", {"points": "90", "note": "好"}, ("score", 2, "90", "好")),
            ("/city/contests", {"title_zh": "大赛", "pool": "100"}, ("call", "大赛")),
            (f"/city/contests/{double_contests.JUDGED}/jurors", {"login": "li"}, ("juror", "li")),
            (f"/city/contests/{double_contests.JUDGED}/decide", {}, ("decide", double_contests.JUDGED)),
        ],
    )
    async def test_ask_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 303, answer.text
        assert desk.contests.done == [done]  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("path", "fields", "words"),
        [
            (f"/contests/{double_shop.CONTEST}", {"work": "青山出品"}, "青山出品"),
            (f"/contests/{double_contests.JUDGED}/jury/2", {"points": "多"}, "0–100 分"),
            ("/city/contests", {"title_zh": "我的大赛"}, "我的大赛"),
            (f"/city/contests/{double_contests.JUDGED}/jurors", {"login": "nobody"}, "没有使用该登录名的人"),
            (f"/city/contests/{double_shop.CONTEST}/decide", {}, "评委不足"),
        ],
    )
    async def test_say_what_was_wrong(
        self, member: httpx.AsyncClient, path: str, fields: dict[str, str], words: str
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 422
        assert words in answer.text

    async def test_jurors_see_no_names(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get(f"/contests/{double_contests.JUDGED}/jury")).text
        assert "作品 1" in page
        assert "letters" not in page
        desk.contests.known = ()  # type: ignore[attr-defined]
        assert "还没有赛事" in (await member.get("/contests")).text


class TestBoard:
    """Forms of the board reach the desk; what is wrong is said with what was typed; nothing there is said too."""

    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/board/new", {"kind": "need", "title": "在线测温"}, ("save", None, "在线测温")),
            (f"/board/posts/{double_board.OWN}/edit", {"title": "改了"}, ("save", double_board.OWN, "改了")),
            (f"/board/posts/{double_board.OWN}/withdraw", {}, ("withdraw", double_board.OWN)),
            (f"/board/posts/{double_board.DRAFT}/publish", {}, ("publish", double_board.DRAFT)),
            (f"/board/posts/{double_board.OPEN}/remove", {"why": "广告"}, ("remove", double_board.OPEN, "广告")),
            (f"/board/posts/{double_board.OPEN}/meet", {"note": "谈谈"}, ("meet", double_board.OPEN, "谈谈")),
            (f"/board/matches/{double_board.OFFERED}/accept", {"round": "2"}, ("accept", double_board.OFFERED)),
            (f"/board/matches/{double_board.OFFERED}/leave", {}, ("leave", double_board.OFFERED)),
        ],
    )
    async def test_asks_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 303, answer.text
        assert desk.board.done == [done]  # type: ignore[attr-defined]

    async def test_says_what_was_wrong_and_what_is_missing(self, member: httpx.AsyncClient, desk: Desk) -> None:
        wrong = await member.post("/board/new", data=TOKEN | {"kind": "need", "text": "写了很久的话"})
        assert (wrong.status_code, "标题须为 4–80 字" in wrong.text, "写了很久的话" in wrong.text) == (422, True, True)
        stale = await member.post(f"/board/matches/{double_board.OFFERED}/accept", data=TOKEN | {"round": "1"})
        assert (stale.status_code, "现行报价已变为第 2 版" in stale.text) == (409, True)
        assert (await member.post(f"/board/posts/{double_board.OWN}/burn", data=TOKEN)).status_code == 404
        desk.board.rows = []  # type: ignore[attr-defined]
        assert "公示板上还没有条目" in (await member.get("/board")).text
        assert "还没有对接" in (await member.get("/board/mine")).text

    async def test_shows_each_word_its_weight_and_the_reasons(self, member: httpx.AsyncClient) -> None:
        page = (await member.get(f"/board/posts/{double_board.OWN}")).text
        for part in ("2.31", "0.871", "同属食品加工", "超出预算", "按用词与语义排名", "未比较"):
            assert part in page, part


class TestApps:
    async def test_are_seen_and_ended(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get("/apps")).text
        assert "山河助手" in page
        assert "旧应用" in page
        answer = await member.post(f"/apps/{UUID(int=1)}/end", data=TOKEN)
        assert answer.status_code == 303
        assert desk.connect.ended == [UUID(int=1)]  # type: ignore[attr-defined]
        assert "目前没有应用" in (await member.get("/apps")).text


class TestCompany:
    """Forms about alliances, bookings and guarantees reach the desk, and say what was wrong."""

    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/alliance/found", {"name": "智造联盟", "purpose": "x"}, ("found", "智造联盟")),
            ("/alliance/invite", {"company": "9133"}, ("invite", "9133")),
            ("/alliance/accept", {}, ("accept", "")),
            ("/alliance/leave", {}, ("leave", "")),
            ("/alliance/share", {"kind": "dataset", "ref": "x"}, ("share", "x")),
            ("/bookings", {"slot": "2026-12-01T09:00:00+08:00", "units": "2"},
             ("book", "2026-12-01T09:00:00+08:00", "2")),
            (f"/bookings/{ident(1)}/cancel", {}, ("give_back", ident(1))),
            (f"/guarantees/{ident(1)}", {"do": "call", "amount": "500", "past_due": "90"},
             ("call", ident(1), "500", "90")),
            (f"/guarantees/{ident(1)}", {"do": "recover", "amount": "5"}, ("recover", ident(1), "5", None)),
            ("/city/services", {"name_zh": "A 座", "seats": "4"}, ("offer", "A 座", "4")),
            (f"/city/services/{ident(1)}/close", {}, ("close", ident(1))),
        ],
    )  # fmt: skip
    async def test_asks_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 303
        assert desk.company.done == [done]  # type: ignore[attr-defined]

    async def test_says_what_was_wrong_and_what_would_help(self, member: httpx.AsyncClient) -> None:
        taken = await member.post("/alliance/invite", data=TOKEN | {"company": "nobody"})
        assert taken.status_code == 409
        assert "该企业已在联盟中" in taken.text
        beyond = await member.post("/bookings", data=TOKEN | {"units": "99", "service": "desk"})
        assert "可改约 4 个单位" in beyond.text
        assert (await member.post("/alliance/conquer", data=TOKEN)).status_code == 404

    async def test_shows_a_company_that_has_nothing_what_to_do(self, member: httpx.AsyncClient, desk: Desk) -> None:
        desk.company.fresh = True  # type: ignore[attr-defined]
        for path, words in (("/company", "还没有指数"), ("/alliance", "发起联盟"), ("/bookings", "还没有预约"),
                            ("/guarantees", "没有担保")):  # fmt: skip
            assert words in (await member.get(path)).text
