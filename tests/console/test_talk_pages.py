"""An agent's own page, of what is offered and of a draft: opening, suggested questions, and what each answer cost."""

from __future__ import annotations

import json
from html import unescape
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from tests.console.double_ground import TOKEN, ident

from shanhe.agents.api import definition_of
from shanhe.console.definitions import object_in
from shanhe.console.live import shop
from shanhe.console.live.shop import LiveShop
from shanhe.console.live.shop_forms import _inputs_form, content_of, form_of
from shanhe.console.pages.play import Ask, Turn, body_of
from shanhe.console.ports import Desk
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.store.api import Terms

OFFERED, DRAFT = "/store/agent/letters/talk", "/makers/agent/letters/talk"
CHAT = "/makers/agent/letters/chat"


class TestPage:
    @pytest.mark.parametrize(("path", "chat"), [(OFFERED, "/playground/chat"), (DRAFT, CHAT)])
    async def test_opens_with_the_makers_words_as_text(self, member: httpx.AsyncClient, path: str, chat: str) -> None:
        page = (await member.get(path)).text
        assert "您好，要给谁写信？" in page
        assert "<b>给父母</b>" not in page
        assert 'data-value="<b>给父母</b>"' in unescape(page)
        assert f'data-chat="{chat}"' in page

    async def test_asks_visitors_to_sign_in_and_brings_them_back(self, visitor: httpx.AsyncClient) -> None:
        answer = await visitor.get(OFFERED)
        assert answer.headers["location"] == f"/sign-in?next={OFFERED}"

    async def test_shows_what_a_run_cost_step_by_step(self, member: httpx.AsyncClient) -> None:
        part = (await member.get(f"/playground/runs/{ident(61)}")).text
        assert 'data-micro="4200"' in part
        assert f"/receipts/{ident(60)}" in part


class TestDraft:
    async def test_is_asked_a_conversation_beside_its_cost(self, member: httpx.AsyncClient, desk: Desk) -> None:
        turns = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "您好"},
                 {"role": "user", "content": "写一封信"}]  # fmt: skip
        head = {"x-csrf-token": TOKEN["csrf"]}
        answer = await member.post(CHAT, json={"model": "x", "messages": turns}, headers=head)
        assert answer.headers["x-shanhe-run"] == str(ident(61))
        assert (
            json.loads(answer.text.splitlines()[0].removeprefix("data: "))["choices"][0]["delta"]["content"]
            == "见字如面"
        )
        assert desk.talk.asked == ("agent/letters", turns)  # type: ignore[attr-defined]

    async def test_says_in_the_readers_language_why_it_was_not_answered(self, member: httpx.AsyncClient) -> None:
        head, poor = {"x-csrf-token": TOKEN["csrf"]}, [{"role": "user", "content": "穷"}]
        answer = await member.post(CHAT, json={"model": "x", "messages": poor}, headers=head)
        assert (answer.status_code, "余额不足" in answer.json()["error"]["message"]) == (402, True)
        for body in (b"{", b'{"model": "x", "messages": []}', b"[" * 9_000):
            assert (await member.post(CHAT, content=body, headers=head)).status_code == 422
        refused = await member.post(DRAFT, data=TOKEN | {"question": "穷"})
        assert (refused.status_code, "余额不足" in refused.text, ">穷</textarea>" in refused.text) == (402, True, True)

    async def test_is_asked_without_a_script_and_a_reload_asks_nothing(self, member: httpx.AsyncClient) -> None:
        sent = await member.post(DRAFT, data=TOKEN | {"question": "写一封信"})
        page = (await member.get(sent.headers["location"])).text
        assert "见字如面" in page
        assert 'data-micro="4200"' in page

    async def test_needs_a_form_of_its_own(self, member: httpx.AsyncClient) -> None:
        body = {"model": "x", "messages": [{"role": "user", "content": "你好"}]}
        assert (await member.post(CHAT, json=body)).status_code == 403


class TestAskedFirst:
    @pytest.mark.parametrize("path", [OFFERED, DRAFT, "/store/agent/letters"])
    async def test_stands_before_the_first_question(self, member: httpx.AsyncClient, path: str) -> None:
        page = (await member.get(path)).text
        assert '<input id="told_city" name="told_city"' in page
        assert '<option value="正式">' in page

    async def test_goes_along_with_every_question(self, member: httpx.AsyncClient, desk: Desk) -> None:
        body = {"model": "x", "messages": [{"role": "user", "content": "写"}], "inputs": {"city": "山河市"}}
        await member.post(CHAT, json=body, headers={"x-csrf-token": TOKEN["csrf"]})
        assert desk.talk.told == {"city": "山河市"}  # type: ignore[attr-defined]
        assert json.loads(body_of(Ask("agent/x", [Turn("user", "写")], inputs={"city": "b"}), stream=False))[
            "metadata"
        ] == {"inputs": {"city": "b"}}

    async def test_stays_filled_in_without_a_script(self, member: httpx.AsyncClient, desk: Desk) -> None:
        asked = TOKEN | {"question": "写一封信", "told_city": "山河市", "told_tone": ""}
        sent = await member.post(DRAFT, data=asked)
        assert desk.talk.told == {"city": "山河市"}  # type: ignore[attr-defined]
        assert 'value="山河市"' in (await member.get(sent.headers["location"])).text
        refused = await member.post(DRAFT, data=asked | {"question": "穷"})
        assert 'value="山河市"' in refused.text


FIELDS = {"model": "m", "instructions": "x", "budget": "1", "steps_max": "6"}


class TestForm:
    def test_says_opening_questions_and_parameters(self) -> None:
        more = {"opening": "您好\r\n请问", "questions": "一\n二\n一", "temperature": "0.3", "step_tokens": "900"}
        found = content_of("agent", FIELDS | more, {})
        assert found["opening"] == "您好\n请问"
        assert (found["questions"], found["temperature"], found["step_tokens"]) == (["一", "二"], 0.3, 900)
        assert content_of("agent", FIELDS, {})["temperature"] is None

    def test_rows_of_what_is_asked_first_are_read_as_they_were_written(self) -> None:
        tone = {"name": "tone", "label": "语气", "kind": "choice", "required": True, "options": ["正式", "亲切"]}
        asked = [{"name": "city", "label": "城市", "kind": "text", "required": False}, tone]
        rows = _inputs_form(asked)
        assert rows["inputs_shown"] == "4"
        found = content_of("agent", FIELDS | rows, {})
        assert found["inputs"] == asked
        assert definition_of(found | {"instructions": "{{city}}{{tone}}"}).inputs[1].options == ("正式", "亲切")
        assert content_of("agent", FIELDS | {"input_0_label": "无名"}, {})["inputs"] == []

    @pytest.mark.parametrize(("kind", "content"), [
        ("agent", {"tools": 5, "budget_micro": None, "temperature": "warm", "inputs": [{"name": "city"}]}),
        ("agent", {"knowledge": [1], "questions": None, "inputs": [{"name": "a", "label": "b", "options": 3}]}),
        ("mcp", {"secrets": [], "passes": 3, "hosted": {"code": "x"}}), ("clone", {"clone": {"topics": None}}),
    ])  # fmt: skip
    def test_opens_on_a_draft_that_a_program_wrote_wrong(self, kind: str, content: dict[str, Any]) -> None:
        version: Any = SimpleNamespace(content={"model": "m", **content}, terms=Terms(2_000), notes="")
        found = form_of(kind, version)
        assert (found["model"], found["tools"], found["budget"]) == ("m", "", "0.00")
        assert str(next(iter(content))) in found["json"]

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
    def test_reads_a_file_as_an_editor_here_saves_it(self, encoding: str) -> None:
        assert object_in('{"instructions": "您好，请写公文。"}'.encode(encoding)) == {
            "instructions": "您好，请写公文。"
        }

    def test_reads_no_file_that_is_in_no_encoding(self) -> None:
        with pytest.raises(Invalid, match="no JSON object"):
            object_in(b'{"instructions": "\xff"}')

    @pytest.mark.parametrize("text", ['{"a": ' + "[" * 20_000 + "]" * 20_000 + "}", "[1]", "{"])
    def test_takes_only_an_object_as_json(self, text: str) -> None:
        with pytest.raises(Invalid, match="no JSON object"):
            content_of("prompt", {"json": text}, {})

    @pytest.mark.parametrize(("name", "own"), [
        ("agent/letters", {}), ("clone/zhang", {"clone": {}}), ("alliance/all", {"alliance": {}}),
    ])  # fmt: skip
    async def test_leaves_what_it_has_no_field_for_as_it_was(
        self, monkeypatch: pytest.MonkeyPatch, name: str, own: dict[str, Any]
    ) -> None:
        shelf = Shelf(name, {"model": "m", "data_class": "citizen", "egress": "open", **own})
        monkeypatch.setattr(shop, "actor_of", lambda who: SimpleNamespace(ref="person:1"))
        names: Any = None
        modules: Any = SimpleNamespace(store=shelf, earnings=None, clones=None, agents=None, clock=None, ranks=None,
                                       library=None)  # fmt: skip
        who: Any = SimpleNamespace(org_id=ident(1))
        await LiveShop(modules, names).save(who, name, FIELDS | {"markup": "20", "fee": "0"})
        assert (shelf.kept["data_class"], shelf.kept["egress"]) == ("citizen", "open")

    @pytest.mark.parametrize(("kind", "content", "words"), [
        ("agent", {"model": "m"}, "instructions"),
        ("agent", {"model": "m", "instructions": "写信", "tools": 5}, "tools"),
        ("mcp", {"url": "https://a.cn"}, "begin with a file"),
    ])  # fmt: skip
    async def test_opens_nothing_with_a_file_that_is_no_definition(
        self, kind: str, content: dict[str, Any], words: str
    ) -> None:
        names: Any = None
        modules: Any = SimpleNamespace(store=Shelf("agent/letters", {}), earnings=None, clones=None, agents=None,
                                       clock=None, ranks=None, library=None)  # fmt: skip
        who: Any = SimpleNamespace(org_id=ident(1))
        with pytest.raises(ShanheError, match=words):
            await LiveShop(modules, names).open(who, {"kind": kind, "slug": "new"}, content)


class Shelf:
    """A store that holds one listing, and no other is opened in."""

    def __init__(self, name: str, content: dict[str, Any]) -> None:
        self._one = (SimpleNamespace(name=name), [SimpleNamespace(content=content)])
        self.kept: dict[str, Any] = {}

    async def mine(self, owner: Any) -> list[Any]:
        return [self._one]

    async def draft(self, name: str, content: dict[str, Any], *terms: Any, **more: Any) -> None:
        self.kept = content
