"""What a call costs, whatever the client and the engine do."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanhe.gateway.errors import CallError
from shanhe.gateway.meter import BUCKETS
from shanhe.kernel.ids import new_id
from shanhe.kernel.purse import Budget
from shanhe.ledger.api import Asset, Posting, Transfer, earmark

from .conftest import CONTEXT, OPENED_AT, RATES, TOKEN, Desk, target_for
from .engine import DONE, chunk, raw, stream, usage_chunk, whole

pytestmark = pytest.mark.asyncio(loop_scope="module")
HEALTH = uuid.UUID(int=7)
WORDS = ("Hello ", "there, ", "how ", "are ", "you ", "today?")
STREAM = (*(chunk(word) for word in WORDS), chunk(finish="stop"), usage_chunk(9, 6), DONE)
LONG = 64
STEP = {"model": "syn", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 64}
STREAM_COST = (9 * RATES.input + 6 * RATES.output) // 1_000_000
WHOLE_COST = (9 * RATES.input + 2 * RATES.output) // 1_000_000


async def raw_stream(desk: Desk, pieces: int | None) -> bytes:
    """Ask for a stream over a bare socket; read `pieces` events (all if None) and hang up."""
    body = json.dumps(
        {"model": "syn", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 64, "stream": True}
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
    seen = b""
    try:
        async with asyncio.timeout(10):
            while pieces is None or seen.count(b"data: ") < pieces:
                got = await reader.read(65_536)
                seen += got
                if not got or b"[DONE]" in seen:
                    break
    finally:
        writer.transport.abort()
    return seen


class TestAnswer:
    async def test_is_charged_by_buckets_and_prices(self, desk: Desk) -> None:
        before = await desk.balance()
        answer = await desk.chat()
        assert answer.status_code == 200
        assert answer.json()["choices"][0]["message"]["content"] == "Hello there"
        assert before - await desk.balance() == WHOLE_COST

    async def test_has_a_receipt_equal_to_its_posting(self, desk: Desk) -> None:
        answer = await desk.chat()
        receipt_id = uuid.UUID(answer.headers["x-shanhe-receipt"])
        receipt = await desk.gateway.receipt(receipt_id, desk.org)
        posting = await desk.ledger.posting(receipt_id)
        assert receipt.amount_micro == WHOLE_COST == sum(transfer.amount for transfer in posting.transfers)
        assert receipt.amount_micro == sum(share.amount_micro for share in receipt.evidence.shares)
        assert {line.bucket: line.tokens for line in receipt.lines} == {"input": 9, "output": 2}
        assert sum(float(line.amount_micro) for line in receipt.lines) == WHOLE_COST

    async def test_shows_its_receipt_to_nobody_else(self, desk: Desk) -> None:
        answer = await desk.chat()
        with pytest.raises(Exception, match="no receipt"):
            await desk.gateway.receipt(uuid.UUID(answer.headers["x-shanhe-receipt"]), uuid.uuid4())

    async def test_is_no_other_posting(self, desk: Desk) -> None:
        """What a job of the studio cost, say, is evidence of another shape."""
        wallet = await desk.ledger.ensure_account(desk.org, Asset.CREDIT, "wallet")
        revenue, number = await desk.ledger.system_account("revenue", Asset.CREDIT), new_id()
        transfer = Transfer(new_id(), wallet.id, revenue.id, 5)
        await desk.ledger.post(Posting(id=number, kind="studio", transfers=(transfer,), evidence=b'{"job": "a"}'))
        with pytest.raises(Exception, match="no receipt"):
            await desk.gateway.receipt(number, desk.org)

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(
        usage=st.one_of(
            st.none(),
            st.integers(),
            st.text(max_size=5),
            st.just([]),
            st.dictionaries(
                st.sampled_from(
                    [
                        "prompt_tokens",
                        "completion_tokens",
                        "total_tokens",
                        "prompt_tokens_details",
                        "cache_creation_input_tokens",
                    ]
                ),
                st.one_of(
                    st.integers(-(2**65), 2**65),
                    st.none(),
                    st.text(max_size=3),
                    st.dictionaries(
                        st.sampled_from(["cached_tokens", "cache_write_tokens", "cache_creation_tokens"]),
                        st.integers(-100, 10_000),
                    ),
                ),
            ),
        )
    )
    async def test_with_any_usage_object_has_buckets_that_sum_to_what_was_paid(self, desk: Desk, usage: Any) -> None:
        desk.engine.scripts.append(whole(usage=usage))
        before = await desk.balance()
        answer = await desk.chat()
        assert answer.status_code == 200
        receipt = await desk.gateway.receipt(uuid.UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        parts = receipt.evidence.buckets.as_tuple()
        assert min(parts) >= 0
        assert sum(parts) == receipt.evidence.buckets.total
        told = answer.json()["usage"]
        assert told["prompt_tokens"] + told["completion_tokens"] == told["total_tokens"] == sum(parts)
        exact = sum(getattr(receipt.evidence.buckets, name) * getattr(RATES, name) for name in BUCKETS)
        assert before - await desk.balance() == receipt.amount_micro == round(exact / 1_000_000)

    async def test_pays_more_for_what_an_upstream_wrote_to_its_cache(self, desk: Desk) -> None:
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11,
                 "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4}}  # fmt: skip
        desk.engines.prices_now = replace(desk.engines.prices_now, cache_write=2_500_000)
        desk.engines.price_revision += 1
        desk.engine.scripts.append(whole(usage=usage))
        before = await desk.balance()
        receipt = await desk.gateway.receipt(uuid.UUID((await desk.chat()).headers["x-shanhe-receipt"]), desk.org)
        assert receipt.evidence.buckets.as_tuple() == (2, 3, 2, 0, 0, 4)
        line = receipt.lines[-1]
        assert (line.bucket, line.tokens, line.price_micro_per_million, line.amount_micro) == (
            "cache_write", 4, 2_500_000, "10",
        )  # fmt: skip
        assert before - await desk.balance() == receipt.amount_micro == 2 * 2 + 3 + 2 * 4 + 4 * 2.5
        assert {one["name"]: one["value"] for one in receipt.trace["inputs"]}["cache_write_tokens"] == 4
        (used,) = await desk.gateway.usage(desk.org, OPENED_AT.date(), OPENED_AT.date(), ())
        assert (used.cache_write, used.tokens) == (4, 11)

    async def test_without_usage_is_counted_by_the_tokenizer_and_says_so(self, desk: Desk) -> None:
        desk.engine.scripts.append(whole(usage=None))
        answer = await desk.chat()
        receipt = await desk.gateway.receipt(uuid.UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        assert receipt.evidence.usage_source == "tokenizer"
        assert receipt.evidence.buckets.as_tuple() == (7, 0, 7, 0, 0, 0)

    async def test_pays_the_contributor_of_the_node_seventy_percent(self, desk: Desk) -> None:
        answer = await desk.chat()
        receipt = await desk.gateway.receipt(uuid.UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        shares = {share.role: share.amount_micro for share in receipt.evidence.shares}
        assert abs(shares["node_contributor"] - WHOLE_COST * 0.7) <= 1
        assert sum(shares.values()) == WHOLE_COST


class TestDisconnect:
    @pytest.mark.parametrize("pieces", range(len(WORDS) + 1))
    async def test_at_any_chunk_boundary_charges_what_was_generated(self, desk: Desk, pieces: int) -> None:
        desk.engine.scripts.append(stream(*STREAM, pause_s=0.004))
        before = await desk.balance()
        await raw_stream(desk, pieces)
        await desk.heard()
        await desk.idle()
        assert before - await desk.balance() == STREAM_COST

    @pytest.mark.prove
    async def test_at_any_boundary_of_a_long_answer_charges_all_of_it(self, desk: Desk) -> None:
        answer = (*(chunk(f"word {n} ") for n in range(LONG)), chunk(finish="stop"), usage_chunk(9, LONG), DONE)
        for pieces in range(LONG + 1):
            desk.engine.scripts.append(stream(*answer, pause_s=0.002))
            before = await desk.balance()
            await raw_stream(desk, pieces)
            await desk.heard()
            await desk.idle()
            assert before - await desk.balance() == (9 * RATES.input + LONG * RATES.output) // 1_000_000, pieces

    async def test_is_told_on_the_receipt(self, desk: Desk) -> None:
        desk.engine.scripts.append(stream(*STREAM, pause_s=0.01))
        await raw_stream(desk, 2)
        await desk.heard()
        await desk.idle()
        newest = (await desk.gateway.recent(desk.org, 1)).calls[0]
        assert newest.status == "disconnected"

    async def test_before_the_end_never_shows_the_end(self, desk: Desk) -> None:
        """What tells a client that an answer is complete leaves only after the capture."""
        desk.engine.scripts.append(stream(*STREAM[:-1], hang=True))
        seen = await raw_stream(desk, len(WORDS))
        assert b'"finish_reason":"stop"' not in seen.replace(b" ", b"")
        await desk.idle()


class TestStream:
    async def test_passes_every_word_and_the_usage_that_was_charged(self, desk: Desk) -> None:
        desk.engine.scripts.append(stream(*STREAM))
        answer = await desk.chat(stream=True, stream_options={"include_usage": True})
        events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        text = "".join(event["choices"][0]["delta"].get("content", "") for event in events if event["choices"])
        assert text == "".join(WORDS)
        assert events[-1]["usage"]["total_tokens"] == 15
        assert answer.text.endswith("data: [DONE]\n\n")

    async def test_hides_usage_that_nobody_asked_for(self, desk: Desk) -> None:
        desk.engine.scripts.append(stream(*STREAM))
        answer = await desk.chat(stream=True)
        assert '"usage"' not in answer.text


class TestEngineFault:
    async def test_before_the_first_token_falls_back_and_costs_one_answer(self, desk: Desk) -> None:
        desk.engines.targets += (target_for(desk.second, "second", contributor=None, idle_ms=300),)
        desk.engine.default = raw(500, b'{"error":{"message":"boom"}}')
        before = await desk.balance()
        answers = [await desk.chat() for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 200]
        assert before - await desk.balance() == 3 * WHOLE_COST

    async def test_without_another_engine_costs_nothing(self, desk: Desk) -> None:
        desk.engine.default = raw(500, b"{}")
        before = await desk.balance()
        answer = await desk.chat()
        assert answer.status_code == 502
        assert answer.json()["error"]["code"] == "engine_failed"
        assert await desk.balance() == before

    @pytest.mark.parametrize("words", range(1, len(WORDS) + 1))
    @pytest.mark.parametrize("how", ["cut", "hang"])
    async def test_inside_a_stream_charges_only_what_was_delivered(self, desk: Desk, words: int, how: str) -> None:
        desk.engine.scripts.append(stream(*STREAM[:words], pause_s=0.005, **{how: True}))
        before = await desk.balance()
        answer = await desk.chat(stream=True)
        assert "engine_broke_off" in answer.text
        assert "[DONE]" not in answer.text
        await desk.idle()
        delivered = sum(len(word.encode()) for word in WORDS[:words])
        assert before - await desk.balance() == min(7, delivered) * RATES.output // 1_000_000

    async def test_lies_about_usage_are_cut_to_what_was_possible(self, desk: Desk) -> None:
        desk.engine.scripts.append(
            whole(usage={"prompt_tokens": 10**9, "completion_tokens": 10**9, "total_tokens": 2 * 10**9})
        )
        answer = await desk.chat()
        receipt = await desk.gateway.receipt(uuid.UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        assert receipt.evidence.usage_clamped
        assert receipt.amount_micro <= receipt.evidence.held_micro
        assert receipt.evidence.buckets.output <= len("Hello there") + 8

    async def test_a_refusal_of_the_prompt_is_the_callers_and_free(self, desk: Desk) -> None:
        error = {"code": 400, "message": "too large for the context size", "type": "exceed_context_size_error"}
        body = json.dumps({"error": error}).encode()
        desk.engine.scripts.append(raw(400, body))
        before = await desk.balance()
        answer = await desk.chat()
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")
        assert await desk.balance() == before

    @pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b"<html>", b'{"choices":5}', b"\xff\xfe"])
    async def test_an_answer_that_is_none_costs_nothing(self, desk: Desk, body: bytes) -> None:
        desk.engine.default = raw(200, body)
        before = await desk.balance()
        assert (await desk.chat()).status_code in {502, 503}
        assert await desk.balance() == before


class TestEarmark:
    """A lot that may pay only for some calls pays for them first, and never for another."""

    @pytest.mark.parametrize(
        ("allowed", "pays"),
        [
            ({"models": ("syn", "other")}, True),
            ({"models": ("other", "more")}, False),
            ({"fiscal_year": 2026}, True),
            ({"fiscal_year": 2025}, False),
            ({"department": HEALTH}, True),
            ({"department": uuid.UUID(int=9)}, False),
            ({"programme": "T15"}, True),
            ({"department": HEALTH, "models": ("syn",), "fiscal_year": 2026, "programme": "N5"}, True),
        ],
    )
    async def test_is_obeyed_by_admission(self, desk: Desk, allowed: dict[str, Any], pays: bool) -> None:
        desk.org = new_id()
        desk.keys.known[TOKEN] = desk.caller(department_id=HEALTH)
        await desk.fund(100_000_000, earmark=earmark(**allowed))
        answer = await desk.chat()
        if pays:
            assert answer.status_code == 200
            assert await desk.balance() == 100_000_000 - WHOLE_COST
        else:
            assert (answer.status_code, answer.json()["error"]["code"]) == (402, "insufficient_quota")
            assert await desk.balance() == 100_000_000


class TestRefusal:
    @pytest.mark.parametrize(
        ("changes", "status", "code"),
        [
            ({"model": "nope"}, 404, "model_not_found"),
            ({"model": "x\r\nset-cookie: a"}, 404, "model_not_found"),
            ({"model": "'; DROP TABLE ledger.posting; --"}, 404, "model_not_found"),
            ({"model": ""}, 404, "model_not_found"),
            ({"model": 5}, 400, "invalid_type"),
            ({"messages": []}, 400, "empty_array"),
            ({"messages": "hi"}, 400, "invalid_type"),
            ({"messages": [{"role": "king", "content": "x"}]}, 400, "invalid_value"),
            ({"max_tokens": 0}, 400, "integer_below_min_value"),
            ({"max_tokens": -5}, 400, "integer_below_min_value"),
            ({"max_tokens": CONTEXT + 1}, 400, "context_length_exceeded"),
            ({"max_tokens": 10**30}, 400, "context_length_exceeded"),
            ({"max_tokens": 1.5}, 400, "invalid_type"),
            ({"n": 0}, 400, "invalid_value"),
            ({"n": 99}, 400, "invalid_value"),
            ({"stop": ["x"] * 99}, 400, "array_above_max_length"),
        ],
    )
    async def test_is_typed_and_free(self, desk: Desk, changes: dict[str, Any], status: int, code: str) -> None:
        before = await desk.balance()
        answer = await desk.chat(**changes)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert "set-cookie" not in answer.headers
        assert await desk.balance() == before
        assert not desk.engine.requests

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b'{"model": "\xff"}', b"[" * 100_000])
    async def test_of_a_body_that_is_no_request(self, desk: Desk, body: bytes) -> None:
        answer = await desk.http.post("/v1/chat/completions", content=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "invalid_request_error"

    async def test_of_a_fifty_megabyte_body(self, desk: Desk) -> None:
        answer = await desk.http.post("/v1/chat/completions", content=b"x" * 50_000_000)
        assert answer.status_code == 413
        assert (await desk.chat()).status_code == 200

    async def test_in_the_words_of_the_other_protocol(self, desk: Desk) -> None:
        answer = await desk.http.post(
            "/v1/messages", json={"model": "nope", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
        )
        assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")

    async def test_of_an_unknown_key(self, desk: Desk) -> None:
        answer = await desk.http.post("/v1/chat/completions", json={}, headers={"authorization": "Bearer sk-sh-no"})
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")

    async def test_when_the_balance_does_not_cover_the_call(self, desk: Desk) -> None:
        desk.org = uuid.uuid4()
        desk.keys.known[TOKEN] = desk.caller()
        answer = await desk.chat()
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (402, "insufficient_quota")
        assert "Top up" in error["message"]
        assert error["message"].endswith("请充值，或减少用量（较小的 max_tokens 占用更少）。")
        assert not desk.engine.requests

    async def test_when_the_key_has_used_its_budget(self, desk: Desk) -> None:
        desk.keys.known[TOKEN] = desk.caller(budget_day_micro=WHOLE_COST)
        answer = await desk.chat()
        assert (answer.status_code, answer.json()["error"]["code"]) == (402, "key_budget_exceeded")
        assert "密钥的每日预算" in answer.json()["error"]["message"]

    async def test_when_the_key_calls_too_often(self, desk: Desk) -> None:
        desk.keys.known[TOKEN] = desk.caller(rpm=2)
        answers = [await desk.chat() for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert int(answers[-1].headers["retry-after"]) > 0

    async def test_when_a_step_may_cost_more_than_its_run_has_left(self, desk: Desk) -> None:
        gateway, caller = desk.gateway, desk.keys.known[TOKEN]
        first = await gateway.ask(caller, STEP)
        held = (await gateway.receipt(first.receipt_id, desk.org)).evidence.held_micro
        assert (await gateway.ask(msgspec.structs.replace(caller, purse=Budget(held)), STEP)).paid_micro == WHOLE_COST
        before = await desk.balance()
        with pytest.raises(CallError) as refused:
            await gateway.ask(msgspec.structs.replace(caller, purse=Budget(held - 1)), STEP)
        assert (refused.value.status, refused.value.code) == (402, "run_budget_exceeded")
        assert await desk.balance() == before

    async def test_when_the_key_may_not_use_the_model(self, desk: Desk) -> None:
        desk.keys.known[TOKEN] = desk.caller(models=frozenset({"other"}))
        assert (await desk.chat()).status_code == 404


class TestEngineSees:
    """Only what was measured and bounded."""

    async def test_no_field_of_its_own_that_undoes_a_bound(self, desk: Desk) -> None:
        await desk.chat(max_tokens=1, n_predict=4000, n_cmpl=8, lora=[{"id": 0}], documents=["x" * 999])
        seen = desk.engine.requests[-1]
        assert seen["max_tokens"] == 1
        assert not seen.keys() & {"n_predict", "n_cmpl", "lora", "documents"}

    async def test_no_message_field_that_nobody_measured(self, desk: Desk) -> None:
        message = {"role": "user", "content": "x", "hidden": "y" * 5000, "reasoning_content": "z" * 1000}
        answer = await desk.chat(messages=[message])
        assert "hidden" not in desk.engine.requests[-1]["messages"][0]
        receipt = await desk.gateway.receipt(uuid.UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        assert receipt.evidence.held_micro >= 1000 * RATES.input // 1_000_000

    @pytest.mark.parametrize("part", [{"type": "refusal", "refusal": "z" * 1000}, {"type": "text", "text": "z" * 1000}])
    async def test_no_part_of_a_content_that_nobody_measured(self, desk: Desk, part: dict[str, str]) -> None:
        answer = await desk.chat(messages=[{"role": "assistant", "content": [{**part, "hidden": "y" * 5000}]}])
        assert desk.engine.requests[-1]["messages"][0]["content"] == [part]
        receipt = await desk.gateway.receipt(uuid.UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        assert receipt.evidence.held_micro >= 1000 * RATES.input // 1_000_000

    async def test_no_mark_that_has_an_upstream_write_a_cache_at_a_price_of_its_own(self, desk: Desk) -> None:
        mark = {"cache_control": {"type": "ephemeral"}}
        part, function = {"type": "text", "text": "Be kind."}, {"name": "f", "parameters": {"type": "object"}}
        tool = {"type": "function", "function": function}
        await desk.chat(
            messages=[{"role": "system", "content": [part | mark], **mark}, {"role": "user", "content": "Hi"}],
            tools=[tool | mark, tool | {"function": function | mark}],
            **mark,
        )
        seen = desk.engine.requests[-1]
        assert "cache_control" not in json.dumps(seen)
        assert (seen["messages"][0], seen["tools"]) == ({"role": "system", "content": [part]}, [tool, tool])

    async def test_a_context_of_its_own_for_each_of_several_prompts(self, desk: Desk) -> None:
        told = {
            "choices": [{"index": n, "text": "!", "finish_reason": "stop"} for n in range(3)],
            "usage": {"prompt_tokens": 3 * CONTEXT - 9, "completion_tokens": 3, "total_tokens": 3 * CONTEXT - 6},
        }
        desk.engine.scripts.append(raw(200, json.dumps(told).encode()))
        body = {"model": "syn", "prompt": ["x" * 2 * CONTEXT] * 3, "max_tokens": 5}
        answer = await desk.http.post("/v1/completions", json=body)
        receipt = await desk.gateway.receipt(uuid.UUID(answer.headers["x-shanhe-receipt"]), desk.org)
        assert (receipt.evidence.buckets.input, receipt.evidence.usage_clamped) == (3 * CONTEXT - 9, False)

    async def test_no_prompt_that_mixes_tokens_and_texts(self, desk: Desk) -> None:
        body = {"model": "syn", "prompt": [1, "x" * 100_000], "max_tokens": 5}
        assert (await desk.http.post("/v1/completions", json=body)).status_code == 400

    async def test_itself_cut_off_when_it_writes_more_than_asked(self, desk: Desk) -> None:
        desk.engine.scripts.append(stream(*[chunk("word ") for _ in range(200)], pause_s=0.002, hang=True))
        before = await desk.balance()
        answer = await desk.chat(stream=True, max_tokens=5)
        assert "engine_broke_off" in answer.text
        assert before - await desk.balance() <= 5 * RATES.output // 1_000_000


class TestSurprise:
    """Whatever goes wrong has a typed answer, and the connection does not hang."""

    @pytest.mark.parametrize("body", [b'{"model":"syn","messages":[{"role":"user","content":"x"}],"\xff":1}'])
    async def test_a_key_that_is_no_text_is_a_400(self, desk: Desk, body: bytes) -> None:
        assert (await desk.http.post("/v1/chat/completions", content=body)).status_code == 400

    @pytest.mark.parametrize("changes", [{"input": [{"role": {}, "content": "x"}]}, {"text": {"format": "json"}}])
    async def test_a_field_of_the_wrong_kind_is_a_400(self, desk: Desk, changes: dict[str, Any]) -> None:
        answer = await desk.http.post("/v1/responses", json={"model": "syn", "input": "x", **changes})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_type")

    async def test_an_answer_nested_without_end_is_the_engines_fault(self, desk: Desk) -> None:
        desk.engine.default = raw(200, b'{"choices":[{"message":{"content":"x"},"a":' + b"[" * 100_000 + b"}]}")
        before = await desk.balance()
        assert (await desk.chat()).status_code in {502, 503}
        assert await desk.balance() == before

    async def test_an_unforeseen_error_is_a_500(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(desk.gateway._pipeline._admitter, "_admission", fail)
        answer = await desk.chat()
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")

    async def test_nobody_unknown_has_a_body_read(self, desk: Desk) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n")
        assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 401")
        writer.close()


class TestSlowClient:
    async def test_a_body_that_never_comes_is_refused(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shanhe.gateway.wire.BODY_WAIT_S", 0.1)
        monkeypatch.setattr("shanhe.gateway.server.LINGER_S", 0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n"
        writer.write(f"{head}content-length: 100\r\n\r\n{{".encode())
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 408")
        writer.close()

    async def test_a_head_that_trickles_is_cut_off(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("shanhe.gateway.server.HEAD_WAIT_S", 0.1)
        reader, writer = await asyncio.open_connection("127.0.0.1", desk.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nx-a: ")
        answer = await asyncio.wait_for(reader.read(), 5)
        assert answer.startswith(b"HTTP/1.1 408")
        writer.close()
