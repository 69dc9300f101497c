"""Pages of those who decide and watch: governance, conduct, rights, rules."""

from __future__ import annotations

import httpx
import pytest
from tests.console import (
    double_watch,
    governance,
)
from tests.console.double_ground import TOKEN, ident

from shanhe.console.ports import Desk

RULE = "P1_resident_discount"


class TestGovernance:
    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/governance/new", {"title": "t", "why": "w"}, ("propose", "t")),
            ("/governance/new", {"rule": "P1", "try": "1"}, ("draft", "P1")),
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

    async def test_asks_for_a_second_person_to_set_an_amendment_aside(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        place = f"/governance/amendments/{ident(1)}/set-aside"
        answer = await member.post(place, data=TOKEN | {"reason": "r", "id": str(ident(2))})
        assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, f"/rules/{RULE}")
        assert desk.governance.done == [("set_aside", ident(1))]  # type: ignore[attr-defined]

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
            (
                f"/city/moderation/complaints/{ident(1)}",
                {"do": "uphold", "answer": "r", "state": "open"},
                ("decide", True, "r", "open"),
            ),
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
    async def test_says_before_an_erasure_what_money_and_offers_are_left(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/my-data")).text
        assert "<summary>38 项事实</summary>事实0、事实1" in page, "many names are opened, few are read at once"
        for words in ("清除后无法取回", 'href="/credits/refunds"', 'href="/income"', "在售上架项 1 项",
                      "补贴与奖励不退", "2 项申请尚未办结或发完", "数字游民身份卡与其门票、权益随即失效",
                      "登记的知识产权 3 项", "开放科学成果 4 项，随即撤回", "数据集与知识库 5 个"):  # fmt: skip
            assert words in page, words

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
