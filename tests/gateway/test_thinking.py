"""Thinking is switched off, on and graded by one word, whatever protocol it is of and whatever engine hears it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from shanhe.compute.address import parse_url
from shanhe.compute.model import EFFORT, SWITCH, TEMPLATE, TYPE, Engine, EngineKind
from shanhe.compute.thinking import thinking_of
from shanhe.kernel.ids import new_id

from .conftest import REGISTERED_AT, Desk, target_for
from .engine import raw, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELLO: Final = [{"role": "user", "content": "Hi"}]
NO: Final = {"enable_thinking": False, "thinking": False}
YES: Final = {"enable_thinking": True, "thinking": True}
FIELDS: Final = (TEMPLATE, SWITCH, TYPE, EFFORT)
OFF: Final[list[dict[str, Any]]] = [
    {"reasoning_effort": "none"}, {"reasoning": {"effort": "none"}}, {"reasoning": {"enabled": False}},
    {"thinking": {"type": "disabled"}}, {"thinking": False}, {"enable_thinking": False}, {"thinking_budget": 0},
    {"chat_template_kwargs": {"enable_thinking": False}}, {"chat_template_kwargs": {"thinking": False}},
    {"enable_thinking": False, "reasoning_effort": "high"},
]  # fmt: skip


async def told(desk: Desk, path: str = "chat/completions", **fields: Any) -> dict[str, Any]:
    """What the engine hears of thinking."""
    body = {"model": "syn", "messages": HELLO, "input": "Hi", "max_tokens": 8, **fields}
    answer = await desk.http.post(f"/v1/{path}", json=body)
    assert answer.status_code == 200, answer.text
    return {name: value for name, value in desk.engine.requests[-1].items() if name in FIELDS}


def engine(kind: EngineKind, *features: str) -> Engine:
    times, general = (1, 1, 1, 1), frozenset({"general"})
    return Engine(
        new_id(), "e", kind, "", "", None, False, general, frozenset(features), True, False, *times, REGISTERED_AT
    )


class TestOff:
    @pytest.mark.parametrize("spelling", OFF)
    @pytest.mark.parametrize(
        ("word", "heard"),
        [
            (TEMPLATE, {TEMPLATE: NO}),
            (SWITCH, {SWITCH: False}),
            (TYPE, {TYPE: {"type": "disabled"}}),
            (EFFORT, {EFFORT: "none"}),
        ],
    )
    async def test_is_heard_by_every_engine_in_its_own_word(
        self, desk: Desk, spelling: dict[str, Any], word: str, heard: dict[str, Any]
    ) -> None:
        desk.engines.targets[0].thinks = frozenset({word})
        assert await told(desk, **spelling) == heard

    async def test_is_heard_from_the_other_protocols(self, desk: Desk) -> None:
        desk.engines.targets[0].thinks = frozenset({TEMPLATE})
        assert await told(desk, "responses", reasoning={"effort": "none"}) == {TEMPLATE: NO}
        assert await told(desk, "messages", thinking={"type": "disabled"}) == {TEMPLATE: NO}
        both = {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}}
        assert await told(desk, "messages", **both) == {TEMPLATE: NO}

    async def test_is_next_to_none_where_an_engine_knows_on_and_off_alone(self, desk: Desk) -> None:
        target = desk.engines.targets[0]
        for word, heard in ((SWITCH, False), (EFFORT, "minimal")):
            target.thinks = frozenset({word})
            assert await told(desk, reasoning_effort="minimal") == {word: heard}

    async def test_goes_to_the_next_engine_in_that_ones_word(self, desk: Desk) -> None:
        second = target_for(desk.second, "second", contributor=None, idle_ms=300)
        desk.engines.targets[0].thinks, second.thinks = frozenset({SWITCH}), frozenset({TYPE})
        desk.engines.targets += (second,)
        desk.engine.default = raw(503, b"{}")
        while not desk.second.requests:
            assert (await desk.chat(enable_thinking=False)).status_code == 200
        heard = {name: value for name, value in desk.second.requests[-1].items() if name in FIELDS}
        assert heard == {TYPE: {"type": "disabled"}}

    async def test_is_charged_by_what_the_engine_counts(self, desk: Desk) -> None:
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
        usage_thought: dict[str, Any] = usage | {"completion_tokens_details": {"reasoning_tokens": 1}}
        desk.engine.scripts = [whole(usage=usage), whole(usage=usage_thought)]
        for reasoned in (0, 1):
            said = (await desk.chat(reasoning_effort="none")).json()["usage"]
            assert said["completion_tokens"] == 2
            assert said.get("completion_tokens_details", {}).get("reasoning_tokens", 0) == reasoned


class TestOn:
    async def test_is_heard_with_its_degree(self, desk: Desk) -> None:
        target = desk.engines.targets[0]
        for word, heard in ((TEMPLATE, YES), (SWITCH, True), (TYPE, {"type": "enabled"})):
            target.thinks = frozenset({word})
            assert await told(desk, reasoning_effort="low") == {word: heard, EFFORT: "low"}
            assert await told(desk, enable_thinking=True) == {word: heard}

    async def test_says_nothing_to_an_engine_that_knows_degrees_alone(self, desk: Desk) -> None:
        assert await told(desk, thinking={"type": "enabled"}) == {}

    async def test_is_no_word_that_llama_cpp_refuses_beside_a_begun_answer(self, desk: Desk) -> None:
        target = desk.engines.targets[0]
        target.kind, target.thinks = EngineKind.LLAMA, frozenset({TEMPLATE})
        assert await told(desk, enable_thinking=True) == {}
        assert await told(desk, enable_thinking=False) == {TEMPLATE: NO}

    async def test_is_taken_of_a_model_that_does_not_think(self, desk: Desk) -> None:
        assert await told(desk, "messages", thinking={"type": "enabled", "budget_tokens": 1024}) == {}


class TestUnsaid:
    async def test_changes_nothing_in_a_chat(self, desk: Desk) -> None:
        desk.engines.targets[0].thinks = frozenset(FIELDS)
        assert await told(desk) == {}
        assert await told(desk, thinking={"type": "auto"}, reasoning={}, chat_template_kwargs={"other": 1}) == {}

    async def test_makes_no_thoughts_that_a_message_would_hide_and_charge(self, desk: Desk) -> None:
        desk.engines.targets[0].thinks = frozenset({TEMPLATE})
        assert await told(desk, "messages") == {TEMPLATE: NO}
        assert await told(desk, "messages", thinking={"type": "adaptive"}) == {}
        desk.engines.targets[0].thinks = frozenset({EFFORT})
        assert await told(desk, "messages") == {}


class TestWord:
    @pytest.mark.parametrize(
        ("url", "word"),
        [
            ("https://api.deepseek.com/v1", TYPE),
            ("https://dashscope.aliyuncs.com/compatible-mode/v1", SWITCH),
            ("https://notdeepseek.com/v1", EFFORT),
            ("https://api.openai.com/v1", EFFORT),
            ("http://10.0.0.3:8000/v1", EFFORT),
        ],
    )
    async def test_is_the_suppliers_unless_the_registration_says_another(self, url: str, word: str) -> None:
        host = parse_url(url).host
        assert thinking_of(engine(EngineKind.OPENAI), host) == {word}
        assert thinking_of(engine(EngineKind.OPENAI, TEMPLATE, "tools"), host) == {TEMPLATE}
        assert thinking_of(engine(EngineKind.NODE), host) == {TEMPLATE}
