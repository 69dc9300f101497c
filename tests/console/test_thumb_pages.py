"""Thumbs on an agent's answers: beside the answer for whoever asked, on a page of its own for the agent's maker."""

from __future__ import annotations

from html import unescape

import httpx
from tests.console.double_ground import TOKEN, ident
from tests.console.double_member import OFFERED_RUN

from shanhe.console.ports import Desk

RUN = f"/playground/runs/{OFFERED_RUN}"
PART = {"hx-request": "true"}
SHARED = {"thumb": "down", "word": "太长", "share": "1", "question": "写一封信", "answer": "见字如面"}


class TestAsker:
    async def test_is_asked_beside_the_cost_and_not_of_a_draft(self, member: httpx.AsyncClient) -> None:
        part = (await member.get(RUN)).text
        assert f'formaction="{RUN}/thumb"' in part
        assert 'name="share" value="1" form="thumb">' in part, "nobody agrees unasked"
        assert "formaction" not in (await member.get(f"/playground/runs/{ident(61)}")).text
        assert 'id="thumb"' in (await member.get("/store/agent/letters/talk")).text

    async def test_rates_changes_and_withdraws(self, member: httpx.AsyncClient, desk: Desk) -> None:
        part = (await member.post(f"{RUN}/thumb", data=TOKEN | SHARED, headers=PART)).text
        assert 'value="down" form="thumb" required checked' in part
        assert 'value="太长"' in unescape(part)
        assert desk.talk.sent["answer"] == "见字如面"  # type: ignore[attr-defined]
        part = (await member.post(f"{RUN}/thumb", data=TOKEN | {"withdraw": "1"}, headers=PART)).text
        assert "checked" not in part

    async def test_reads_beside_the_form_why_it_was_refused(self, member: httpx.AsyncClient) -> None:
        sent = TOKEN | {"thumb": "up", "word": "同事"}
        answer = await member.post(f"{RUN}/thumb", data=sent, headers=PART)
        assert (answer.status_code, "由同事评价" in answer.text, 'id="rating"' in answer.text) == (409, True, True)

    async def test_comes_back_to_the_agent_without_a_script(self, member: httpx.AsyncClient) -> None:
        answer = await member.post(f"{RUN}/thumb", data=TOKEN | SHARED)
        assert answer.headers["location"] == "/store/agent/letters?done=thumb_given"

    async def test_needs_a_form_of_its_own(self, member: httpx.AsyncClient) -> None:
        assert (await member.post(f"{RUN}/thumb", data=SHARED)).status_code == 403


class TestMaker:
    async def test_reads_counts_and_words_as_text(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/makers/agent/letters/thumbs")).text
        assert "&lt;b&gt;太长&lt;/b&gt;" in page
        for part in ("写一封信", "见字如面", "第 2 版"):
            assert part in page

    async def test_of_another_agent_finds_nothing(self, member: httpx.AsyncClient) -> None:
        assert (await member.get("/makers/agent/others/thumbs")).status_code == 404
