"""Pages of the content hub: what is chosen, typed and agreed reaches the desk; findings are marked where they stand."""

from __future__ import annotations

import httpx
from tests.console.double_content import ONE
from tests.console.double_ground import TOKEN

from shanhe.console.ports import Desk


class TestContentPages:
    async def test_take_a_form_and_say_when_nobody_pays(self, member: httpx.AsyncClient, desk: Desk) -> None:
        fields = {"f_product": "山泉热水器", "f_features": "省电", "drafts": "1"}
        sent = await member.post("/content/new/product_text", data=TOKEN | fields)
        assert sent.headers["location"] == f"/content/jobs/{ONE}"
        refused = await member.post("/content/new/product_text", data=TOKEN | fields | {"drafts": "3"})
        assert refused.status_code == 402
        for said in ("免费额度剩 2 稿", 'name="own" value="month"', 'value="山泉热水器"'):
            assert said in refused.text
        agreed = await member.post("/content/own", data=TOKEN | {"own": "month"})
        assert agreed.headers["location"] == "/content?done=content_agreed"
        kept = [one for one in desk.content.done if one[0] == "agree"]  # type: ignore[attr-defined]
        assert kept == [("agree", "month")]

    async def test_mark_what_was_found_where_it_stands(self, member: httpx.AsyncClient) -> None:
        page = (await member.get(f"/content/drafts/{ONE}")).text
        assert '<mark class="found" id="at-1">第一</mark>' in page
        assert '<mark class="found" id="at-2">45%</mark>' in page
        for said in ("广告法第九条第三项", "市经济和信息化局", "AI 生成", 'data-copy="#whole"', "format=docx"):
            assert said in page

    async def test_follow_drafts_with_and_without_a_script(self, member: httpx.AsyncClient) -> None:
        page = (await member.get(f"/content/jobs/{ONE}")).text
        assert '<noscript><meta http-equiv="refresh"' in page
        assert f'hx-get="/content/jobs/{ONE}/now"' in page
        assert (await member.get(f"/content/jobs/{ONE}/now")).status_code == 200

    async def test_let_operators_name_who_pays(self, member: httpx.AsyncClient, desk: Desk) -> None:
        assert "市经济和信息化局" in (await member.get("/city/content")).text
        for fields in ({"org": "123", "model": "deepseek-v3"}, {"do": "close"}):
            assert (await member.post("/city/content", data=TOKEN | fields)).status_code == 303
        assert desk.content.done == [("city", "123", "deepseek-v3"), ("city", "", "")]  # type: ignore[attr-defined]

    async def test_edit_delete_and_say_where_to_begin(self, member: httpx.AsyncClient, desk: Desk) -> None:
        at = f"/content/drafts/{ONE}"
        assert (await member.post(at, data=TOKEN | {"title": "新", "text": "文"})).status_code == 303
        assert (await member.post(f"{at}/delete", data=TOKEN)).headers["location"] == "/content?done=content_deleted"
        assert (await member.get(f"{at}/file?format=txt")).headers["content-disposition"].startswith("attachment")
        assert desk.content.done == [("edit", "新", "文"), ("drop", ONE)]  # type: ignore[attr-defined]
        desk.content.empty = True  # type: ignore[attr-defined]
        assert "选一个类别开始" in (await member.get("/content")).text
