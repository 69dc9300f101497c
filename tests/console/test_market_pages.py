"""Pages where things are offered and sought: store, contests, board, companies."""

from __future__ import annotations

from uuid import UUID

import httpx
import pytest
from tests.console import (
    double_board,
    double_contests,
    double_shop,
)
from tests.console.double_ground import TOKEN, ident

from shanhe.console.ports import Desk


class TestWindow:
    """However much is offered, a page has its end, and the next one begins there."""

    async def test_says_what_of_an_agents_knowledge_no_reviewer_has_seen(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/store/agent/letters")).text
        assert "从 3 份文档中查找资料" in page
        assert "其中 1 份有新增或变更" in page
        assert "价目.md" not in page  # what its documents are called is for reviewers
        assert 'id="looks-up"' not in (await member.get("/store/mcp/weather")).text

    async def test_is_shown_page_by_page(self, visitor: httpx.AsyncClient, desk: Desk) -> None:
        desk.shop.offered = ["letters"] * 120  # type: ignore[attr-defined]
        found = []
        for page in ("", "2", "3", "4", "soon", "0", "9" * 40):
            text = (await visitor.get("/store", params={"kind": "agent", "page": page})).text
            found.append(
                (text.count('href="/store/agent/letters"'), 'page=2">下一页' in text, 'page=3">下一页' in text)
            )
            assert "120" in text
        first = (50, True, False)
        assert found == [first, (50, False, True), (20, False, False), (0, False, False), first, first, first]


class TestRanks:
    """A month's ranking says what was given for each place, or why nothing was."""

    async def test_says_what_was_given_and_why_not(self, visitor: httpx.AsyncClient) -> None:
        page = (await visitor.get("/store/ranks?month=2026-10")).text
        for words in ("至少 10.00 积分", "至少 5 个付费方", "20 %", "同类只奖最高名次", "1,000.00、600.00、300.00"):
            assert words in page, words
        assert "&lt;span" not in page


class TestShop:
    """Forms of the store reach the desk; what was typed is still there when something is wrong."""

    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/store/agent/letters/rate", {"stars": "5", "text": "好"}, [("rate", "agent/letters", 5, "好")]),
            (
                "/store/mcp/weather/reply",
                {"rating": str(UUID(int=50)), "text": "谢谢"},
                [("reply", UUID(int=50), "谢谢")],
            ),
            ("/makers", {"kind": "agent", "slug": "letters"}, [("open", "agent", "letters")]),
            ("/makers/agent/letters", {"markup": "20", "then": "save"}, [("save", "agent/letters", "20")]),
            (
                "/makers/agent/letters",
                {"markup": "20", "then": "submit"},
                [("save", "agent/letters", "20"), ("submit", "agent/letters")],
            ),
            ("/makers/data/rows/recall", {}, [("recall", "data/rows")]),
            ("/makers/agent/letters/withdraw", {}, [("withdraw", "agent/letters")]),
            ("/makers/agent/letters/show", {"shown": "0"}, [("expose", "agent/letters", False)]),
            (
                "/city/store/listings/agent/letters",
                {"then": "remove", "note": "冒用"},
                [("stand", "agent/letters", False, "冒用")],
            ),
            (
                "/city/store/listings/mcp/weather",
                {"then": "restore", "note": "和解"},
                [("stand", "mcp/weather", True, "和解")],
            ),
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

    async def test_begins_a_listing_with_a_file_that_it_gave_out(self, member: httpx.AsyncClient, desk: Desk) -> None:
        assert 'href="/makers/agent/letters/versions/1" download' in (await member.get("/makers/agent/letters")).text
        given = await member.get("/makers/agent/letters/versions/1")
        assert given.headers["content-disposition"] == 'attachment; filename="letters-1.json"'
        fields = TOKEN | {"kind": "agent", "slug": "letters"}
        await member.post("/makers", data=fields, files={"file": ("a.json", given.content)})
        done = ("open", "agent", "letters", {"model": "x", "instructions": "写公文"})
        assert desk.shop.done == [done]  # type: ignore[attr-defined]
        refused = await member.post("/makers", data=fields, files={"file": ("a.json", b"[1]")})
        assert refused.status_code == 422
        assert "不是 JSON 对象" in refused.text
        assert 'value="letters"' in refused.text
        assert desk.shop.done == [done]  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("path", "fields", "words"),
        [
            ("/store/agent/letters/rate", {"stars": "1"}, "请先付费调用"),
            ("/makers", {"kind": "agent", "slug": "taken"}, "名称已被占用"),
            ("/makers/agent/letters", {"markup": "0", "instructions": "写信"}, "加价率至少"),
            ("/city/store/agent/letters/2", {"verdict": "reject"}, "须写明理由"),
            ("/store/agent/letters/try", {"question": " "}, "请填写问题"),
            ("/city/store/listings/agent/letters", {"then": "remove"}, "须写明理由"),
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

    async def test_shows_what_was_typed_over_somebody_elses_draft_until_it_is_saved_again(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        typed = {"markup": "30", "instructions": "写信", "base": "m1"}
        page = await member.post("/makers/agent/letters", data=TOKEN | typed)
        assert page.status_code == 409
        assert "草稿已被另一处保存" in page.text
        assert "写信" in page.text
        assert 'name="base" value="m2"' in page.text
        await member.post("/makers/agent/letters", data=TOKEN | typed | {"base": "m2"})
        assert desk.shop.done == [("save", "agent/letters", "30")]  # type: ignore[attr-defined]

    async def test_tries_an_agent(self, member: httpx.AsyncClient) -> None:
        asked = await member.post("/store/agent/letters/try", data=TOKEN | {"question": "什么是复式记账？"})
        assert asked.status_code == 303
        answer = await member.get(asked.headers["location"])
        assert "都同时记下" in answer.text

    async def test_says_when_nothing_is_offered(self, visitor: httpx.AsyncClient, desk: Desk) -> None:
        desk.shop.offered = []  # type: ignore[attr-defined]
        assert "还没有上架项" in (await visitor.get("/store")).text

    async def test_is_searched_by_kind_category_and_words_and_ordered(
        self, visitor: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = await visitor.get("/store?kind=agent&category=government&order=cheap&find=公文 合同")
        assert desk.shop.asked == ("agent", "公文 合同", "government", "cheap")  # type: ignore[attr-defined]
        assert "共 1 项" in page.text
        await visitor.get("/store?kind=none&category=none&order=none")
        assert desk.shop.asked == ("", "", "", "rank")  # type: ignore[attr-defined]

    async def test_shows_the_reviewer_what_differs_and_whom_it_imitates(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/city/store")).text
        for words in ("先问身份证号", "市府官方助手", "5 % →", "名称与以下上架项相近", "冒用他人名称", "云麓软件"):
            assert words in page, words

    async def test_tells_its_maker_why_the_city_took_it_out(self, member: httpx.AsyncClient) -> None:
        assert "理由：冒用他人名称" in (await member.get("/makers/mcp/weather")).text

    async def test_is_on_record_with_who_decided_and_why(self, member: httpx.AsyncClient) -> None:
        assert "城市下架" in (await member.get("/city/store/listings")).text
        assert "没有符合条件" in (await member.get("/city/store/listings?find=zzz")).text
        assert "周审核" in (await member.get("/city/store/listings/mcp/weather")).text

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
