"""Pages of knowledge bases, over a desk without modules."""

from __future__ import annotations

import httpx
import pytest
from tests.console.double_ground import TOKEN
from tests.console.double_knowledge import BASE, DOCUMENT, PASSAGE

from shanhe.console.ports import Desk

AT = f"/knowledge/{BASE}"


class TestKnowledge:
    """Forms about knowledge reach the desk, and say what was wrong."""

    async def test_takes_a_document_in(self, member: httpx.AsyncClient, desk: Desk) -> None:
        files = {"file": ("a.pdf", b"%PDF", "application/pdf")}
        answer = await member.post("/knowledge/documents", data=TOKEN | {"base": str(BASE)}, files=files)
        assert answer.headers["location"] == f"{AT}?done=document_taken"
        assert desk.knowledge.done == [("bring", ("a.pdf", b"%PDF"))]  # type: ignore[attr-defined]
        empty = {"file": ("a.pdf", b"", "application/pdf")}
        refused = await member.post("/knowledge/documents", data=TOKEN | {"base": str(BASE)}, files=empty)
        assert refused.status_code == 422
        assert "文件为空" in refused.text

    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/knowledge", {"name": "政策", "reach": "org"}, ("make", ("政策", "org"))),
            (f"{AT}/edit", {"name": "政策", "reach": "listed"}, ("edit", "listed")),
            (f"{AT}/archive", {"anyway": "1"}, ("archive", BASE)),
            (f"{AT}/cut", {"size": "300", "overlap": "0", "separator": ""}, ("edit", "300")),
            (f"{AT}/recut", {}, ("recut", BASE)),
            (f"{AT}/questions", {"questions": "a | b | c"}, ("questions", "a | b | c")),
            (f"{AT}/evaluate", {"calibrate": "1"}, ("evaluate", True)),
            (f"{AT}/{DOCUMENT}/retry", {}, ("retry", DOCUMENT)),
            (f"{AT}/{DOCUMENT}/remove", {}, ("remove", DOCUMENT)),
            (f"{AT}/{DOCUMENT}/{PASSAGE}", {"text": "新文", "first": "1"}, ("passage", "新文")),
        ],
    )
    async def test_asks_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 303
        assert desk.knowledge.done == [done]  # type: ignore[attr-defined]

    async def test_of_a_base_in_use_is_not_deleted_unless_one_says_so(self, member: httpx.AsyncClient) -> None:
        page = (await member.get(AT)).text
        assert "agent/guide" in page
        refused = await member.post(f"{AT}/archive", data=TOKEN)
        assert (refused.status_code, "agent/guide" in refused.text) == (409, True)

    async def test_shows_how_a_document_would_be_cut(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get(f"{AT}/cut")).text
        assert "1 份文档仍按旧设置分段" in page
        fields = TOKEN | {"base": str(BASE), "size": "90", "overlap": "10", "separator": "\\n", "document": ""}
        shown = await member.post("/knowledge/preview", data=fields, files={"file": ("a.md", b"# x", "text/markdown")})
        assert desk.knowledge.done == [("preview", ("90", "a.md"))]  # type: ignore[attr-defined]
        for said in ("&lt;b&gt;第一段&lt;/b&gt;", 'value="90"', 'value="\\n"', "另有 20 段", "人工修改过的 2"):
            assert said in shown.text
        empty = {"file": ("", b"", "application/octet-stream")}
        refused = await member.post("/knowledge/preview", data=fields, files=empty)
        assert (refused.status_code, "请选择文档或文件" in refused.text) == (422, True)
        wrong = await member.post(f"{AT}/cut", data=TOKEN | {"size": "1", "overlap": "0", "separator": ""})
        assert (wrong.status_code, "50–1000" in wrong.text) == (422, True)

    async def test_says_what_was_wrong(self, member: httpx.AsyncClient) -> None:
        answer = await member.post("/knowledge", data=TOKEN | {"name": "taken", "reach": "org"})
        assert answer.status_code == 422
        assert "已有同名知识库" in answer.text
        assert (await member.get(f"/knowledge/{DOCUMENT}")).status_code == 404

    async def test_follows_documents_until_they_are_read(self, member: httpx.AsyncClient, desk: Desk) -> None:
        running = await member.get(f"{AT}/now")
        assert running.status_code == 200
        assert "<progress" in running.text
        assert "文件已加密" in running.text
        desk.knowledge.open = 0  # type: ignore[attr-defined]
        assert (await member.get(f"{AT}/now")).status_code == 286  # htmx asks no more

    async def test_explains_what_a_question_found(self, member: httpx.AsyncClient) -> None:
        page = (await member.get(f"{AT}/try", params={"q": "住几天"})).text
        for said in ("有依据，可以回答", "第 3 页", "按词第 1 名", "按义第 2 名", "81 %", "须在场天数"):
            assert said in page
