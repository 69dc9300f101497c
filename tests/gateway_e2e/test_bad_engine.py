"""Engines that crash, hang up, speak nonsense or lie about usage: the payer pays for what was delivered, no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gateway_e2e.conftest import assert_anthropic_error, assert_openai_error
from stage.fixtures import Stage, Tenant, chat

CHAT = "/v1/chat/completions"
TEXT_BYTES = len("Hello there, friend of the city.")
SLACK_TOKENS = 8


@pytest.fixture(scope="module")
def tenant(stage: Stage) -> Tenant:
    return stage.tenant("Engines")


@pytest.fixture
def client(stage: Stage, tenant: Tenant) -> Iterator[httpx.Client]:
    with stage.client(tenant) as opened:
        yield opened


def receipt_of(stage: Stage, tenant: Tenant, answer: httpx.Response) -> dict[str, Any]:
    """The evidence of a call's receipt, after checking that it is what the ledger posted."""
    receipt = stage.receipt(tenant, answer.headers["x-shanhe-receipt"])
    evidence: dict[str, Any] = receipt["evidence"]
    assert all(count >= 0 for count in evidence["buckets"].values())
    assert sum(share["amount_micro"] for share in evidence["shares"]) == evidence["total_micro"]
    return evidence


class TestFailure:
    @pytest.mark.parametrize("model", ["broken", "hangup", "garbage"])
    @pytest.mark.parametrize("stream", [False, True])
    def test_before_the_first_token_costs_nothing(
        self, stage: Stage, tenant: Tenant, client: httpx.Client, model: str, stream: bool
    ) -> None:
        before = stage.balance_micro(tenant)
        answer = client.post(CHAT, json=chat(model, stream=stream))
        assert answer.status_code in (502, 503), answer.text
        error = assert_openai_error(answer, answer.status_code)
        assert "stack trace" not in json.dumps(error)
        assert stage.balance_micro(tenant) == before

    def test_of_a_busy_engine_is_a_429_with_retry_after(self, client: httpx.Client) -> None:
        answer = client.post(CHAT, json=chat("busy"))
        assert_openai_error(answer, 429)
        assert int(answer.headers["retry-after"]) >= 1

    def test_speaks_anthropic_where_anthropic_was_spoken(self, client: httpx.Client) -> None:
        answer = client.post("/v1/messages", json=chat("broken"))
        assert_anthropic_error(answer, answer.status_code)
        assert answer.status_code >= 500

    @pytest.mark.parametrize("model", ["cut", "error-inside"])
    def test_inside_a_stream_costs_the_delivered_output_only(
        self, stage: Stage, tenant: Tenant, client: httpx.Client, model: str
    ) -> None:
        answer = client.post(CHAT, json=chat(model, stream=True))
        lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
        assert "error" in json.loads(lines[-1].removeprefix("data: "))
        assert "data: [DONE]" not in lines
        evidence = receipt_of(stage, tenant, answer)
        assert evidence["status"] == "broken"
        assert evidence["buckets"]["input"] == evidence["buckets"]["cached_input"] == 0
        assert 0 < evidence["buckets"]["output"] <= len("Hello there, friend")


class TestLie:
    def test_about_too_much_is_cut_to_what_is_possible(
        self, stage: Stage, tenant: Tenant, client: httpx.Client
    ) -> None:
        for stream in (False, True):
            evidence = receipt_of(stage, tenant, client.post(CHAT, json=chat("liar", stream=stream)))
            assert evidence["usage_clamped"] is True
            assert evidence["buckets"]["output"] <= TEXT_BYTES + SLACK_TOKENS
            assert evidence["total_micro"] <= evidence["held_micro"]

    @pytest.mark.parametrize("model", ["silent", "negative"])
    def test_by_silence_is_counted_by_ourselves(
        self, stage: Stage, tenant: Tenant, client: httpx.Client, model: str
    ) -> None:
        for stream in (False, True):
            evidence = receipt_of(stage, tenant, client.post(CHAT, json=chat(model, stream=stream)))
            assert evidence["usage_source"] in ("tokenizer", "estimate")
            assert 0 < evidence["buckets"]["output"] <= TEXT_BYTES


class TestDisconnect:
    def test_after_each_chunk_charges_the_whole_answer(self, stage: Stage, tenant: Tenant) -> None:
        expected = {"input": 16, "cached_input": 4, "output": 8, "reasoning": 0, "tool": 0, "cache_write": 0}
        for chunks in range(1, 9):
            with stage.client(tenant) as client, client.stream("POST", CHAT, json=chat("slow", stream=True)) as answer:
                lines = answer.iter_lines()
                for _ in range(chunks):
                    while not next(lines).startswith("data: "):
                        pass
            evidence = receipt_of(stage, tenant, answer)
            assert evidence["buckets"] == expected, chunks
            assert evidence["status"] in ("disconnected", "completed")
