"""What engines say about how they want to be asked is heeded: without a field they refuse, and not before they said."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from shanhe.compute.api import BOUND, NO_STREAM_OPTIONS
from shanhe.compute.target import REST_MAX_S
from shanhe.kernel.ids import new_id

from .conftest import Desk, target_for
from .engine import DONE, Script, chunk, raw, stream, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
STREAM = (chunk("Hello "), chunk("there"), chunk(finish="stop"), DONE)
PYDANTIC = {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "not permitted"}]}
OPENAI = {"error": {"message": "Unrecognized request argument supplied: stream_options", "type": "invalid_request"}}


def refusing(status: int, words: dict[str, Any]) -> Script:
    """Streams, but not for who asks with `stream_options`."""
    refusal, answer = raw(status, json.dumps(words).encode()), stream(*STREAM)

    async def script(request: dict[str, Any], writer: Any) -> None:
        await (refusal if "stream_options" in request else answer)(request, writer)

    return script


class TestStreamOptions:
    @pytest.mark.parametrize(("status", "words"), [(400, OPENAI), (422, PYDANTIC)])
    async def test_that_an_engine_refuses_are_left_out_and_the_tokenizer_counts(
        self, desk: Desk, status: int, words: dict[str, Any]
    ) -> None:
        desk.engine.default = refusing(status, words)
        before = await desk.balance()
        answer = await desk.chat(stream=True, stream_options={"include_usage": True})
        assert answer.status_code == 200
        assert '"usage":{' in answer.text
        receipt = await desk.gateway.receipt(uuid.UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        assert receipt.evidence.usage_source == "tokenizer"
        assert receipt.evidence.buckets.as_tuple() == (7, 0, 7, 0, 0, 0)
        assert before - await desk.balance() == receipt.amount_micro
        assert ["stream_options" in asked for asked in desk.engine.requests] == [True, False]

    async def test_are_not_asked_for_again_of_an_engine_that_refused_them_once(self, desk: Desk) -> None:
        desk.engine.default = refusing(400, OPENAI)
        for _ in range(3):
            assert (await desk.chat(stream=True)).status_code == 200
        assert ["stream_options" in asked for asked in desk.engine.requests] == [True, False, False, False]
        assert desk.engines.targets[0].state.found == {NO_STREAM_OPTIONS}

    async def test_that_a_caller_only_wrote_of_say_nothing_of_the_engine(self, desk: Desk) -> None:
        """An engine that quotes the prompt it refuses would refuse it without the field, too."""
        desk.engine.default = raw(400, b'{"error":{"message":"bad prompt: stream_options"}}')
        answer = await desk.chat(stream=True)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
        assert len(desk.engine.requests) == 2
        assert not desk.engines.targets[0].has(NO_STREAM_OPTIONS)

    async def test_of_an_engine_registered_as_refusing_them_are_never_asked_for(self, desk: Desk) -> None:
        desk.engines.targets[0].features |= {NO_STREAM_OPTIONS}
        desk.engine.default = refusing(400, OPENAI)
        assert (await desk.chat(stream=True)).status_code == 200
        assert ["stream_options" in asked for asked in desk.engine.requests] == [False]


BOUNDS = {
    "error": {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model."
        " Use 'max_completion_tokens' instead.",
        "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter",
    }
}  # fmt: skip


def bounded_by(field: str) -> Script:
    """Answers who bounds an answer by this field, as OpenAI's reasoning models do."""
    refusal, told = raw(400, json.dumps(BOUNDS).encode()), whole()

    async def script(request: dict[str, Any], writer: Any) -> None:
        answer = stream(*STREAM) if request["stream"] else told
        await (answer if [one for one in request if one.startswith("max_")] == [field] else refusal)(request, writer)

    return script


class TestBound:
    @pytest.mark.parametrize("extra", [{}, {"n": 1}, {"stream": True}, {"max_completion_tokens": 64}])
    async def test_that_an_engine_wants_by_another_name_is_given_so_at_once_and_from_then_on(
        self, desk: Desk, extra: dict[str, Any]
    ) -> None:
        desk.engine.default = bounded_by(BOUND)
        for _ in range(2):
            answer = await desk.chat(**extra)
            assert answer.status_code == 200, answer.text
        assert [one.get(BOUND) for one in desk.engine.requests] == [None, 64, 64]
        assert desk.engines.targets[0].state.found == {BOUND}

    async def test_is_asked_for_once_otherwise_and_the_refusal_told_where_that_was_not_it(self, desk: Desk) -> None:
        desk.engine.default = bounded_by("max_length")
        answer = await desk.chat()
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
        assert len(desk.engine.requests) == 2
        assert not desk.engines.targets[0].has(BOUND)

    async def test_and_stream_options_may_be_refused_one_after_the_other(self, desk: Desk) -> None:
        bounded, streamed = bounded_by(BOUND), refusing(400, OPENAI)

        async def script(request: dict[str, Any], writer: Any) -> None:
            await (streamed if BOUND in request else bounded)(request, writer)

        desk.engine.default = script
        assert (await desk.chat(stream=True)).status_code == 200
        assert desk.engines.targets[0].state.found == {BOUND, NO_STREAM_OPTIONS}
        assert len(desk.engine.requests) == 3


class TestRetryAfter:
    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ({"retry_after": "37"}, 37),
            ({"retry_after": "0"}, 1),
            ({"retry_after": "99999999999999999999"}, int(REST_MAX_S)),
            (
                {"retry_after": "Fri, 27 Nov 2020 08:00:40 GMT", "date": "Fri, 27 Nov 2020 08:00:00 GMT"},
                40,
            ),
            ({"retry_after": "Fri, 27 Nov 2020 08:00:00 GMT"}, 1),
            ({"retry_after": "Fri, 27 Nov 2320 08:00:00 GMT"}, int(REST_MAX_S)),
        ],
    )
    @pytest.mark.parametrize("more", [{}, {"stream": True}])
    async def test_of_the_only_engine_is_handed_on(
        self, desk: Desk, status: int, said: dict[str, str], told: int, more: dict[str, Any]
    ) -> None:
        desk.engine.scripts = [raw(status, b"{}", **said)]
        answer = await desk.chat(**more)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "engine_busy")
        assert answer.headers["retry-after"] == str(told)

    @pytest.mark.parametrize("said", ["soon", "-5", "1.5", "Fri, 99 Nov 2026", "²"])
    async def test_that_nobody_can_read_is_none(self, desk: Desk, said: str) -> None:
        desk.engine.scripts = [raw(503, b"{}", retry_after=said)]
        answer = await desk.chat()
        assert (answer.status_code, "retry-after" in answer.headers) == (502, False)
        assert (await desk.chat()).status_code == 200

    @pytest.mark.parametrize("more", [{}, {"stream": True}])
    async def test_is_heeded_an_engine_is_not_asked_before(self, desk: Desk, more: dict[str, Any]) -> None:
        state = desk.engines.targets[0].state
        desk.engine.scripts = [raw(429, b"{}", retry_after="30")]
        await desk.chat(**more)
        answer = await desk.chat(**more)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "engine_busy")
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert len(desk.engine.requests) == 1
        state.rests_until = state.now()
        desk.engine.default = whole()
        assert (await desk.chat()).status_code == 200

    async def test_of_one_engine_keeps_no_caller_from_another(self, desk: Desk) -> None:
        desk.engines.targets += (target_for(desk.second, "second", contributor=new_id(), idle_ms=300),)
        desk.engine.default = raw(429, b"{}", retry_after="30")
        for _ in range(3):
            assert (await desk.chat()).status_code == 200
        assert len(desk.engine.requests) <= 1

    async def test_is_the_soonest_where_several_engines_name_one(self, desk: Desk) -> None:
        desk.engines.targets += (target_for(desk.second, "second", contributor=new_id(), idle_ms=300),)
        desk.engine.default = raw(503, b"{}", retry_after="20")
        desk.second.default = raw(429, b"{}", retry_after="50")
        assert (await desk.chat()).headers["retry-after"] == "20"
