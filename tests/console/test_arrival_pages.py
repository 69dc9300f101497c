"""Pages to register, to answer invitations, and the officers' list; a visitor's way through the real modules."""

from __future__ import annotations

import html
import re

import httpx
import pytest
from tests.console import double, double_arrivals
from tests.console.double_ground import TOKEN

from shanhe.console.ports import Desk

FORM = {
    "name": "李伟", "login": "liwei", "password": "long enough pw", "again": "long enough pw", "notice": "1",
    "agreed": "yes",
}  # fmt: skip


async def filled(visitor: httpx.AsyncClient, **given: str) -> dict[str, str]:
    page = (await visitor.get("/register")).text
    number = page.partition('name="id" value="')[2].partition('"')[0]
    return {"csrf": visitor.cookies["shanhe_form"], "id": number} | FORM | given


class TestRegisterPage:
    async def test_lets_a_visitor_in_and_shows_the_name_to_note(self, visitor: httpx.AsyncClient, desk: Desk) -> None:
        assert 'href="/register"' in (await visitor.get("/sign-in")).text
        assert 'href="/register"' in (await visitor.get("/")).text
        sent = await visitor.post("/register", data=await filled(visitor))
        assert (sent.status_code, sent.headers["location"]) == (303, "/welcome")
        assert double_arrivals.LOGIN in (await visitor.get("/welcome")).text
        assert (await visitor.get("/register")).headers["location"] == "/"

    async def test_keeps_what_was_typed_but_no_password(self, visitor: httpx.AsyncClient) -> None:
        for wrong in ({"again": "another one"}, {"agreed": ""}):
            answer = await visitor.post("/register", data=await filled(visitor, **wrong))
            assert answer.status_code == 422
            assert 'value="liwei"' in answer.text
            assert "long enough pw" not in answer.text

    async def test_keeps_the_agreement_to_the_words_that_were_read_and_to_no_others(
        self, visitor: httpx.AsyncClient
    ) -> None:
        for notice, kept in (({}, True), ({"notice": "0"}, False)):
            answer = await visitor.post("/register", data=await filled(visitor, again="another one", **notice))
            assert ('value="yes" required checked' in answer.text) == kept

    async def test_shows_the_name_of_who_has_to_wait_once(self, visitor: httpx.AsyncClient, desk: Desk) -> None:
        desk.arrivals.mode = "approval"
        assert "工作人员审核" in (await visitor.get("/register")).text
        sent = await visitor.post("/register", data=await filled(visitor))
        assert sent.headers["location"] == "/register/waiting"
        assert double_arrivals.LOGIN not in sent.headers["location"]
        page = (await visitor.get("/register/waiting")).text
        assert double_arrivals.LOGIN in page
        assert re.search(r'href="/register/[0-9a-f-]{36}"', page)
        again = (await visitor.get("/register/waiting")).text
        assert double_arrivals.LOGIN not in again
        assert "登录名已显示过" in again

    async def test_says_what_became_of_it_to_who_has_the_address_and_names_nobody(
        self, visitor: httpx.AsyncClient
    ) -> None:
        said = {
            double_arrivals.WAITING: "仍在等待",
            double_arrivals.OPENED: "已通过",
            double_arrivals.DECLINED: "所填姓名不属实",
        }
        for number, word in said.items():
            page = (await visitor.get(f"/register/{number}")).text
            assert (word in page, double_arrivals.LOGIN in page, "李伟" in page) == (True, False, False)
        assert (await visitor.get(f"/register/{double.ident(7)}")).status_code == 404

    async def test_says_where_nobody_can_register(self, visitor: httpx.AsyncClient, desk: Desk) -> None:
        desk.arrivals.mode = "off"
        page = (await visitor.get("/register")).text
        assert "政务服务窗口" in page
        assert 'name="password"' not in page
        assert 'href="/register"' not in (await visitor.get("/sign-in")).text

    async def test_refuses_a_form_from_elsewhere(self, visitor: httpx.AsyncClient) -> None:
        assert (await visitor.post("/register", data=await filled(visitor) | {"csrf": "x"})).status_code == 403


class TestShownOnce:
    async def test_shows_recovery_codes_and_nothing_to_who_comes_back(self, member: httpx.AsyncClient) -> None:
        wrong = await member.post("/settings/second-factor", data={**TOKEN, "code": "123456"})
        assert (wrong.status_code, "密码不正确" in wrong.text) == (401, True)
        assert 'id="on-password"' in wrong.text
        sent = await member.post("/settings/second-factor", data={**TOKEN, "code": "123456", "password": "right"})
        assert sent.headers["location"] == "/settings/second-factor/codes"
        assert "1111-3333" in (await member.get("/settings/second-factor/codes")).text
        assert (await member.get("/settings/second-factor/codes")).headers["location"] == "/settings"

    async def test_keeps_the_application_that_is_set_up_and_lets_go_of_it(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        """It had answered that there is one already, and so offered neither codes, nor a passkey, nor a way off."""
        gate = desk.gate
        gate.factors_of = {"totp"}  # type: ignore[attr-defined]
        page = (await member.get("/settings/second-factor")).text
        assert "备用码已用完" in page
        assert 'data-mode="create"' in page
        assert 'name="secret"' not in page
        assert "已启用" in (await member.get("/settings")).text

        for form in ("codes", "remove"):
            wrong = await member.post(f"/settings/second-factor/{form}", data={**TOKEN, "password": "no"})
            assert wrong.status_code == 401
            assert "密码不正确" in wrong.text
        renewed = await member.post("/settings/second-factor/codes", data={**TOKEN, "password": "right"})
        shown = await member.get(renewed.headers["location"])
        assert "abcd-efgh-ijkl-mnop" in shown.text
        assert 'data-copy="#codes"' in shown.text

        gone = await member.post("/settings/second-factor/remove", data={**TOKEN, "password": "right"})
        assert gone.headers["location"] == "/settings?done=totp_removed"
        assert 'name="secret"' in (await member.get("/settings/second-factor")).text

    async def test_is_only_for_the_session_it_was_made_in(self, member: httpx.AsyncClient, desk: Desk) -> None:
        """Who signs in next on the same browser holds its cookies, too; what is in them says nothing by itself."""
        made = await member.post("/keys", data={**TOKEN, "name": "机器人"})
        assert "A1b2" not in made.headers["set-cookie"]
        assert "no-store" in made.headers["cache-control"]
        desk.gate.session = "s2"  # type: ignore[attr-defined]
        assert "A1b2" not in (await member.get("/keys")).text
        desk.gate.session = "s1"  # type: ignore[attr-defined]
        assert "A1b2" not in (await member.get("/keys")).text  # the page has taken the cookie away

    async def test_answers_are_only_for_the_session_that_asked(self, member: httpx.AsyncClient, desk: Desk) -> None:
        asked = await member.post("/playground", data={**TOKEN, "model": double.MODEL, "prompt": "你好"})
        desk.gate.session = "s2"  # type: ignore[attr-defined]
        page = await member.get(asked.headers["location"])
        assert 'class="turn"' not in page.text
        assert "已不再保留" in page.text

    async def test_is_no_door_into_the_page(self, member: httpx.AsyncClient) -> None:
        for text in ("nonsense", "eyJrZXlzIjoiIn0=", "W10="):
            member.cookies.set("shanhe_once", text)
            assert (await member.get("/keys")).status_code == 200


class TestInvitationPages:
    async def test_let_the_invited_answer(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get("/settings")).text
        assert "&lt;i&gt;山河数据" in page
        path = f"/settings/invitations/{double_arrivals.ASKED}"
        assert (await member.post(path, data={**TOKEN, "do": "accept"})).status_code == 303
        await member.post(path, data={**TOKEN, "do": "decline"})
        over = await member.post(f"/settings/invitations/{double.ORG}", data={**TOKEN, "do": "accept"})
        assert over.status_code == 409
        assert "该邀请已处理" in over.text
        wanted = [("accept", double_arrivals.ASKED), ("decline", double_arrivals.ASKED)]
        assert desk.arrivals.done == wanted  # type: ignore[attr-defined]

    async def test_show_owners_whom_they_asked(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get("/members")).text
        assert "zhao@example.cn" in page
        sent = await member.post("/members", data={**TOKEN, "login": "li.ming", "role": "member"})
        assert "邀请已发出" in (await member.get(sent.headers["location"])).text
        await member.post(f"/members/invitations/{double_arrivals.ASKED}/withdraw", data=TOKEN)
        assert desk.arrivals.done == [("withdraw", double_arrivals.ASKED)]  # type: ignore[attr-defined]


class TestRegistrationDesk:
    @pytest.mark.parametrize("word", ["approve", "decline", "suspend", "resume"])
    async def test_decides(self, member: httpx.AsyncClient, desk: Desk, word: str) -> None:
        page = (await member.get("/city/registrations")).text
        assert "&lt;b&gt;李伟" in page
        path = f"/city/registrations/{double_arrivals.WAITING}"
        assert (await member.post(path, data={**TOKEN, "do": word, "ground": "name"})).status_code == 303
        assert desk.arrivals.done == [(word, double_arrivals.WAITING)]  # type: ignore[attr-defined]

    async def test_goes_on_where_a_page_ended(self, member: httpx.AsyncClient) -> None:
        first = (await member.get("/city/registrations")).text
        (link,) = re.findall(r'href="(/city/registrations\?after=[^"]+)"', first)
        page = (await member.get(html.unescape(link))).text
        assert "赵六" in page
        assert "王芳" not in page
        assert 'href="/city/registrations?after=' not in page

    async def test_says_why_it_did_not(self, member: httpx.AsyncClient) -> None:
        opened = f"/city/registrations/{double_arrivals.OPENED}"
        assert "该账户已开通" in (await member.post(opened, data={**TOKEN, "do": "decline"})).text
        assert (await member.post(opened, data={**TOKEN, "do": "erase"})).status_code == 422
        waiting = f"/city/registrations/{double_arrivals.WAITING}"
        assert "请选择谢绝的理由" in (await member.post(waiting, data={**TOKEN, "do": "decline"})).text

    async def test_is_for_officers(self, member: httpx.AsyncClient, desk: Desk) -> None:
        desk.gate.member_only = True  # type: ignore[attr-defined]
        assert (await member.get("/city/registrations")).status_code == 403
