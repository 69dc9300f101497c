"""Pages of the registry of rights and of open science: open for everybody, forms reach the desk, mistakes are said."""

from __future__ import annotations

from uuid import UUID

import httpx
import pytest
from tests.console.double_commons import ASKED, FILED, OUTPUT, RETRACTED, REUSE, RIGHT
from tests.console.double_ground import TOKEN

from shanhe.console.ports import Desk

PUBLIC = ("/ip", "/ip?kind=invention_patent&find=焊&pooled=1", f"/ip/{RIGHT}", "/science", "/science?kind=negative",
          f"/science/{OUTPUT}", f"/science/{RETRACTED}", f"/science/{OUTPUT}/cite/cff")  # fmt: skip
OWN = ("/ip/mine", "/ip/queue", f"/ip/{ASKED}", f"/ip/{FILED}", "/science/mine", "/science/queue")


class TestPages:
    @pytest.mark.parametrize("path", PUBLIC)
    async def test_open_for_everybody(self, visitor: httpx.AsyncClient, path: str) -> None:
        assert (await visitor.get(path)).status_code == 200

    @pytest.mark.parametrize("path", [*PUBLIC, *OWN])
    @pytest.mark.parametrize("language", ["zh-CN", "en"])
    async def test_open_in_both_languages(self, member: httpx.AsyncClient, path: str, language: str) -> None:
        answer = await member.get(path, headers={"accept-language": language})
        assert answer.status_code == 200
        assert "cite" in path or f'lang="{language}"' in answer.text

    async def test_show_a_stranger_neither_names_nor_income(self, visitor: httpx.AsyncClient) -> None:
        page = (await visitor.get(f"/ip/{RIGHT}")).text
        assert "启明科技" in page
        assert "个人" in page
        assert "调用与收入" not in page

    @pytest.mark.parametrize("path", ["/ip", "/science"])
    async def test_lead_to_the_next_page_and_back_to_the_newest(self, visitor: httpx.AsyncClient, path: str) -> None:
        first = (await visitor.get(path, params={"find": "焊 a&b"})).text
        assert "%E7%84%8A%20a%26b" in first
        assert 'before=41">更早' in first
        later = (await visitor.get(path, params={"find": "焊", "before": "41"})).text
        assert "更早" not in later
        assert "最新" in later
        assert (await visitor.get(path, params={"before": "9" * 40})).status_code == 200

    async def test_say_that_a_search_that_found_nothing_yet_goes_on(self, visitor: httpx.AsyncClient) -> None:
        found = (await visitor.get("/ip", params={"find": "深"})).text
        assert "没有符合条件的登记" not in found
        assert "可点“更早”继续查找" in found
        assert 'before=41">更早' in found

    async def test_say_what_is_not_there_yet(self, member: httpx.AsyncClient, desk: Desk) -> None:
        desk.commons.fresh = True  # type: ignore[attr-defined]
        for path, words in (
            ("/ip", "还没有已核验的知识产权"), ("/ip?find=无", "没有符合条件的登记"), ("/ip/mine", "还没有登记"),
            ("/ip/queue", "没有等待核验的登记"), ("/science", "还没有公开的成果"), ("/science/mine", "还没有成果"),
            ("/science/queue", "没有等待核实的复用"),
        ):  # fmt: skip
            assert words in (await member.get(path)).text, path


class TestForms:
    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/ip/mine", {"title": "方法", "number": "1"}, ("register", "方法")),
            (f"/ip/{ASKED}/accept", {}, ("accept", ASKED, "")),
            (f"/ip/{ASKED}/change", {"title": "方法二"}, ("change", ASKED, "")),
            (f"/science/{OUTPUT}/revise", {"title": "记录二"}, ("revise", OUTPUT, "")),
            (f"/ip/{RIGHT}/terms", {"shares": "甲 100"}, ("terms", RIGHT, "甲 100")),
            (f"/ip/{FILED}/verify", {"reason": "属实"}, ("verify", FILED, "属实")),
            ("/science/mine", {"title": "记录", "link": "https://a.cn"}, ("deposit", "记录")),
            (f"/science/{OUTPUT}/declare", {"how": "paper", "ref": "10.1/a"}, ("declare", OUTPUT, "10.1/a")),
            (f"/science/{OUTPUT}/retract", {"reason": "有误"}, ("retract", OUTPUT, "有误")),
            (f"/science/reuses/{REUSE}/confirm", {}, ("confirm", REUSE, "")),
            (f"/science/reuses/{REUSE}/refuse", {"as": "office", "reason": "无"}, ("refuse", REUSE, "office")),
        ],
    )
    async def test_ask_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: tuple[str | UUID, ...]
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 303, answer.text
        assert desk.commons.done == [done]  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("path", "fields", "words"),
        [
            ("/ip/mine", {"title": "我的方法", "number": "taken"}, "该登记号已在登记簿中"),
            (f"/ip/{RIGHT}/terms", {"shares": "nobody"}, "另有变更"),
            ("/science/mine", {"title": "我的记录"}, "须填写文件 SHA-256 或链接"),
            (f"/science/{OUTPUT}/declare", {"ref": "own"}, "自引不予申报"),
            (f"/science/reuses/{REUSE}/refuse", {"as": "office", "reason": "own"}, "须由他人办理"),
        ],
    )
    async def test_say_what_was_wrong_and_keep_what_was_typed(
        self, member: httpx.AsyncClient, path: str, fields: dict[str, str], words: str
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 409
        assert words in answer.text
        assert fields.get("title", "") in answer.text

    @pytest.mark.parametrize("path", [f"/ip/{RIGHT}/burn", f"/science/{OUTPUT}/burn", f"/science/reuses/{REUSE}/burn"])
    async def test_know_no_other_step(self, member: httpx.AsyncClient, path: str) -> None:
        assert (await member.post(path, data=TOKEN)).status_code == 404
