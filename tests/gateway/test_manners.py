"""What engines say about how they want to be asked is heeded: without a field they refuse, and not before they said."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from shanhe.compute.api import NO_STREAM_OPTIONS

from .conftest import Desk
from .engine import DONE, Script, chunk, raw, stream

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
        assert receipt.evidence.buckets.as_tuple() == (7, 0, 7, 0, 0)
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
