"""A call by a further name of a model is a call of the model: price, receipt, key's list and answer."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from openai import AsyncOpenAI

from .conftest import CONTEXT, TOKEN, Desk
from .engine import stream
from .test_call import STREAM, WHOLE_COST

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestAlias:
    async def test_is_charged_and_receipted_as_the_model(self, desk: Desk) -> None:
        desk.engines.aliases = {"gpt-4o-mini": "syn"}
        before = await desk.balance()
        answer = await desk.chat(model="gpt-4o-mini")
        assert (answer.status_code, answer.json()["model"]) == (200, "syn")
        receipt = await desk.gateway.receipt(uuid.UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        assert (receipt.evidence.model, receipt.amount_micro) == ("syn", WHOLE_COST)
        assert before - await desk.balance() == WHOLE_COST
        sent = desk.engine.requests[-1]
        assert sent["model"] == "syn"

    async def test_is_streamed(self, desk: Desk) -> None:
        desk.engines.aliases = {"gpt-4o-mini": "syn"}
        desk.engine.scripts.append(stream(*STREAM))
        answer = await desk.chat(model="gpt-4o-mini", stream=True)
        assert answer.status_code == 200
        assert answer.text.endswith("data: [DONE]\n\n")

    async def test_is_open_to_a_key_whose_list_has_the_model_and_to_no_other(self, desk: Desk) -> None:
        desk.engines.aliases = {"gpt-4o-mini": "syn"}
        desk.keys.known[TOKEN] = desk.caller(models=frozenset({"syn"}))
        assert (await desk.chat(model="gpt-4o-mini")).status_code == 200
        assert (await desk.http.get("/v1/models/gpt-4o-mini")).json()["id"] == "syn"

    async def test_with_a_slash_is_found_by_the_client_that_escapes_it(self, desk: Desk) -> None:
        desk.engines.aliases = {"Qwen/Qwen3-8B": "syn"}
        async with AsyncOpenAI(base_url=f"http://127.0.0.1:{desk.port}/v1", api_key=TOKEN) as client:
            found: Any = await client.models.retrieve("Qwen/Qwen3-8B")
        assert (found.id, found.context_length, found.max_model_len) == ("syn", CONTEXT, CONTEXT)
        desk.keys.known[TOKEN] = desk.caller(models=frozenset({"gpt-4o-mini-else"}))
        assert (await desk.chat(model="gpt-4o-mini")).status_code == 404
        assert (await desk.chat(model="nothing")).status_code == 404
