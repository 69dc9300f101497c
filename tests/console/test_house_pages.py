"""An organisation's own pages: members, usage, playground, apps."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import ClassVar
from uuid import UUID

import httpx
import pytest
from tests.console import (
    double,
    double_house,
)
from tests.console.double_ground import TOKEN, ident
from tests.console.double_member import PICTURE

from shanhe.console.ports import Desk


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

    async def test_asks_what_becomes_of_what_a_member_made_before_they_go(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = (await member.get("/members")).text
        assert f'href="/members/{double_house.MAKER}/leaving"' in page
        asked = await member.post(f"/members/{double_house.MAKER}/remove", data=TOKEN)
        assert asked.headers["location"] == f"/members/{double_house.MAKER}/leaving"
        page = (await member.get(asked.headers["location"])).text
        assert re.findall(r'name="fate" value="(\w+)"', page) == ["take", "end", "later"]
        assert "&lt;i&gt;schedule" in page
        gone = await member.post(
            f"/members/{double_house.MAKER}/remove", data={**TOKEN, "fate": "take", "grace": "86400"}
        )
        assert "sk-sh-new" in (await member.get(gone.headers["location"])).text
        assert "sk-sh-new" not in (await member.get(gone.headers["location"])).text
        assert desk.house.done[0] == ("remove", (double_house.MAKER, "take", 86_400))  # type: ignore[attr-defined]
        assert (await member.get(f"/members/{double_house.OTHER}/leaving")).status_code == 404

    async def test_lists_what_those_who_are_gone_left_until_it_is_taken_or_ended(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = (await member.get("/members")).text
        left = page[page.index('id="left"') :]
        found = re.findall(r'action="(/members/left/[^"]+)"', left)
        assert len(found) == 2 * 4
        assert (
            "已终止"
            in (await member.get((await member.post(found[1], data={**TOKEN, "fate": "end"})).headers["location"])).text
        )
        assert desk.house.done == [("settle", ("key", UUID(int=0), "end", 0))]  # type: ignore[attr-defined]
        assert (
            await member.post(f"/members/left/nothing/{UUID(int=0)}", data={**TOKEN, "fate": "end"})
        ).status_code < 500

    async def test_keeps_members_from_those_who_do_not_own(self, member: httpx.AsyncClient, desk: Desk) -> None:
        desk.gate.member_only = True  # type: ignore[attr-defined]
        assert (await member.get("/members")).status_code == 403
        assert 'href="/members"' not in (await member.get("/")).text


class TestUsage:
    async def test_is_exported_as_csv(self, member: httpx.AsyncClient) -> None:
        answer = await member.get("/usage.csv", params={"from": "2026-11-01", "to": "2026-11-03", "by": "day"})
        lines = answer.text.removeprefix("\N{BYTE ORDER MARK}").splitlines()
        assert lines[0].startswith("日期,调用数,输入词元")
        assert len(lines) == 4
        assert all(line.split(",")[-1].isdigit() for line in lines[1:])

    async def test_is_exported_with_heads_in_the_readers_language(self, member: httpx.AsyncClient) -> None:
        query = {"from": "2026-11-01", "to": "2026-11-03", "by": "key"}
        answer = await member.get("/usage.csv", params=query, headers={"accept-language": "en"})
        assert answer.text.removeprefix("\N{BYTE ORDER MARK}").startswith("Key,Calls,Input tokens")

    async def test_says_what_each_agent_and_workflow_cost_and_whom(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/usage/costs?from=2026-11-01&to=2026-11-20")).text
        names = page[page.index('id="names"') : page.index('id="users"')]
        assert "<code>agent/letters</code>" in names
        assert "=王" in page
        assert "早前的密钥" in page
        assert "<code>app Claude</code>" in (await member.get("/usage/costs?kind=app")).text
        assert "<code>weekly</code>" in (await member.get("/usage/costs?kind=workflow")).text
        sheet = (await member.get("/usage/costs.csv?from=2026-11-01&to=2026-11-20")).text
        head, first, *rest = sheet.removeprefix("\N{BYTE ORDER MARK}").splitlines()
        assert head.startswith("日期,")
        assert "'=王" in first  # no formula of somebody's name
        assert len(rest) == 5
        city = (await member.get("/usage/costs.csv?kind=city_app")).text
        assert [line.split(",")[1] for line in city.splitlines()[1:]] == ["city_app"] * 2
        assert (await member.get("/usage/costs?from=2020-01-01&to=2026-01-01")).status_code == 422

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


class TestPictures:
    ASKED: ClassVar[dict[str, str]] = {"model": "qwen-image", "prompt": "清晨的水库", "n": "2", "size": "1024x1024"}
    SCRIPT: ClassVar[dict[str, str]] = {"hx-request": "true"}

    async def test_come_with_their_receipt_and_another_name_for_the_next(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = (await member.get("/playground/pictures")).text
        assert "0.23" in page
        once = page.split('name="once" value="')[1].split('"')[0]
        fields = {**TOKEN, **self.ASKED, "once": once}
        answer = await member.post("/playground/pictures", data=fields, headers=self.SCRIPT)
        assert (answer.status_code, "<html" in answer.text) == (200, False)
        assert answer.text.count(f'src="{PICTURE}"') == 2
        assert f"/receipts/{ident(60)}" in answer.text
        assert 'name="once" value="' in answer.text
        assert once not in answer.text
        assert desk.talk.asked == [(once, {**self.ASKED, "n": 2, "response_format": "url"})]  # type: ignore[attr-defined]

    async def test_that_are_refused_say_why(self, member: httpx.AsyncClient) -> None:
        fields = {**TOKEN, **self.ASKED, "prompt": "拒绝"}
        answer = await member.post("/playground/pictures", data=fields, headers=self.SCRIPT)
        assert (answer.status_code, "余额不足" in answer.text) == (200, True)  # no other status is shown by the script

    async def test_are_not_made_where_no_script_can_show_them(self, member: httpx.AsyncClient, desk: Desk) -> None:
        answer = await member.post("/playground/pictures", data={**TOKEN, **self.ASKED})
        assert (answer.status_code, answer.headers["location"]) == (303, "/playground/pictures")
        assert desk.talk.asked == []  # type: ignore[attr-defined]

    async def test_are_priced_each_on_the_models_page(self, member: httpx.AsyncClient) -> None:
        row = (await member.get("/models")).text.split("qwen-image")[1].split("</tr>")[0]
        assert "0.23" in row
        assert "每张" in row


class TestApps:
    async def test_are_seen_and_ended(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get("/apps")).text
        assert "山河助手" in page
        assert "旧应用" in page
        answer = await member.post(f"/apps/{UUID(int=1)}/end", data=TOKEN)
        assert answer.status_code == 303
        assert desk.connect.ended == [UUID(int=1)]  # type: ignore[attr-defined]
        assert "目前没有应用" in (await member.get("/apps")).text


class TestOwnerless:
    async def test_gets_an_owner_asked_who_may_be_asked_no_longer(self, member: httpx.AsyncClient) -> None:
        """An organisation that has an owner is theirs to fill."""
        here = f"/city/accounts/{UUID(int=9)}"
        assert "邀请负责人" in (await member.get(here)).text
        assert "邀请负责人" not in (await member.get(f"/city/accounts/{double.ORG}")).text
        wrong = await member.post(f"{here}/owner", data=TOKEN | {"login": "nobody"})
        assert (wrong.status_code, 'value="nobody"' in wrong.text, "没有以此登录名" in wrong.text) == (404, True, True)
        asked = await member.post(f"{here}/owner", data=TOKEN | {"login": "chen"})
        assert asked.headers["location"] == f"{here}?done=member_invited"
        assert "chen" in (await member.get(here)).text
        taken = await member.post(f"{here}/invitations/{UUID(int=5)}", data=TOKEN)
        assert taken.headers["location"] == f"{here}?done=invitation_withdrawn"
        assert "chen" not in (await member.get(here)).text
