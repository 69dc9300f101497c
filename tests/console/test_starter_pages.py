"""The gallery of starters: what is missing is said before copying, and one click asks the desk."""

from __future__ import annotations

import re

import httpx
from tests.console.double_ground import TOKEN
from tests.console.double_knowledge import BASE

from shanhe.console.ports import Desk


def card(page: str, name: str) -> str:
    start = page.index(f'id="{name}"')
    return page[start : page.index("</section>", start)]


def fields_of(piece: str) -> dict[str, str]:
    found = dict(re.findall(r'<input [^>]*name="(id|slug)"[^>]* value="([^"]*)"', piece))
    model = re.search(r'name="model"><option value="([^"]*)"', piece)
    return found | {"model": "" if model is None else model[1], "knowledge": ""}


class TestGallery:
    async def test_says_what_a_starter_needs_costs_and_lacks(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/starters")).text
        events, guide, report = (card(page, name) for name in ("events", "guide", "report"))
        assert "每次约</dt><dd>0.012345 积分（m1，按今日价格）" in events
        for name in ("weather/forecast", "活动安排”"):
            assert re.search(name + r"\s*<span class=\"tag warn\">.*?暂无", events)
        assert "请换成已上架的工具" in events
        assert "可处理公民数据的对话模型" in guide
        assert "<form" not in guide  # what can't be copied has no button
        assert "暂无价格" in guide
        assert "暂无" not in report
        assert "代码沙箱" in report
        assert "负责人审批" in report

    async def test_copies_with_one_click_and_leads_to_the_draft(self, member: httpx.AsyncClient, desk: Desk) -> None:
        fields = fields_of(card((await member.get("/starters")).text, "events"))
        assert re.fullmatch(r"events-[0-9a-f]{6}", fields["slug"])
        answer = await member.post("/starters/events", data=TOKEN | fields)
        assert answer.headers["location"] == f"/makers/agent/{fields['slug']}?done=starter_copied"
        assert desk.starters.done == [("events", "zh", fields)]  # type: ignore[attr-defined]

    async def test_keeps_what_was_chosen_when_it_is_refused(self, member: httpx.AsyncClient, desk: Desk) -> None:
        fields = fields_of(card((await member.get("/starters")).text, "events"))
        wanted = fields | {"slug": "taken", "model": "m2", "knowledge": str(BASE)}
        refused = await member.post("/starters/events", data=TOKEN | wanted)
        assert (refused.status_code, "名称已被占用" in refused.text) == (409, True)
        events = card(refused.text, "events")
        assert "<details open>" in events
        assert 'value="taken"' in events
        assert '<option value="m2" selected>' in events
        assert f'<option value="{BASE}" selected>' in events
        assert "<details open>" not in card(refused.text, "report")

    async def test_is_found_from_where_agents_and_workflows_are_made(self, member: httpx.AsyncClient) -> None:
        assert 'href="/starters#agent"' in (await member.get("/makers")).text
        assert 'href="/starters#workflow"' in (await member.get("/workflows")).text

    async def test_is_for_those_who_make_things(self, visitor: httpx.AsyncClient) -> None:
        assert (await visitor.get("/starters")).headers["location"].startswith("/sign-in")
