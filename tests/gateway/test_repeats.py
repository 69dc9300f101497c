"""A call that is sent again under its Idempotency-Key is made and charged once, and answered twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, ConflictError, UnprocessableEntityError

from shanhe.gateway import repeats, wire
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import LedgerUnavailable

from .conftest import OPENED_AT, TOKEN, Desk, target_for
from .engine import DONE, chunk, raw, stream, usage_chunk, whole
from .test_faults import FORM
from .test_scenes import says

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELLO: Any = [{"role": "user", "content": "Say hello."}]
ENDED = (chunk("Hello "), chunk("there"), chunk(finish="stop"), usage_chunk(9, 2), DONE)
COST = 9 * 2 + 2 * 4


def named(name: str = "a-try") -> dict[str, str]:
    return {"idempotency-key": name}


@pytest_asyncio.fixture(loop_scope="module")
async def client(desk: Desk) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"http://127.0.0.1:{desk.port}/v1", api_key=TOKEN, max_retries=0) as made:
        yield made


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _own_clock(desk: Desk) -> AsyncIterator[None]:
    desk.engines.targets = (target_for(desk.engine, "first", contributor=new_id(), idle_ms=10_000),)
    yield
    desk.gateway._clock._instant = OPENED_AT  # type: ignore[attr-defined]


def later(desk: Desk, by: timedelta) -> None:
    desk.gateway._clock._instant += by  # type: ignore[attr-defined]


async def ask(desk: Desk, *, stream: bool = False, **headers: str) -> httpx.Response:
    body = {"model": "syn", "messages": HELLO, "max_tokens": 64, "stream": stream}
    return await desk.http.post("/v1/chat/completions", json=body, headers=named() | headers)


async def rows(desk: Desk) -> int:
    return int(await desk.gateway._repeats._db.fetchval("SELECT count(*) FROM gateway.repeat"))


async def dying(*_: Any) -> None:
    """Nothing of an answer is kept: its process dies just then."""


async def row_of(desk: Desk) -> Any:
    return await desk.gateway._repeats._db.fetchrow("SELECT * FROM gateway.repeat WHERE org_id = $1", desk.org)


@contextlib.asynccontextmanager
async def held(desk: Desk, call: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    """A call that is under way inside the block, and answered at its end."""
    go = asyncio.Event()

    async def slow(request: Any, writer: Any) -> None:
        await go.wait()
        await whole()(request, writer)

    desk.engine.default = slow
    task = asyncio.create_task(call)
    try:
        async with asyncio.timeout(20):
            while not desk.engine.requests:  # noqa: ASYNC110 - nothing tells when it is asked
                await asyncio.sleep(0.005)
        yield task
    finally:
        go.set()
        await asyncio.wait([task])


class TestRepeat:
    async def test_gets_the_first_answer_and_its_receipt_and_is_not_charged(
        self, desk: Desk, client: AsyncOpenAI
    ) -> None:
        before = await desk.balance()
        asked: Any = {"model": "syn", "messages": HELLO, "extra_headers": named()}
        first = await client.chat.completions.with_raw_response.create(**asked)
        again = await client.chat.completions.with_raw_response.create(**asked)
        assert again.parse() == first.parse()
        assert again.headers["x-shanhe-receipt"] == first.headers["x-shanhe-receipt"]
        assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
        assert before - await desk.balance() == COST
        assert len(desk.engine.requests) == 1

    @pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
    async def test_of_a_stream_that_was_cut_gets_all_of_it(self, desk: Desk, path: str) -> None:
        desk.engine.default = stream(*ENDED, pause_s=0.02)
        body = {"model": "syn", "messages": HELLO, "input": "Say hello.", "max_tokens": 64, "stream": True}
        before = await desk.balance()
        async with desk.http.stream("POST", path, json=body, headers=named()) as cut:
            async for _ in cut.aiter_raw():
                break
        await desk.idle()
        again = await desk.http.post(path, json=body, headers=named())
        assert again.headers["content-type"].startswith("text/event-stream")
        assert again.headers["x-shanhe-receipt"] == cut.headers["x-shanhe-receipt"]
        assert "Hello " in again.text
        assert {"/v1/chat/completions": "[DONE]", "/v1/messages": "message_stop"}.get(path, "completed") in again.text
        assert before - await desk.balance() == COST
        assert len(desk.engine.requests) == 1

    async def test_while_the_first_is_under_way_is_told_to_come_back(self, desk: Desk, client: AsyncOpenAI) -> None:
        asked: Any = {"model": "syn", "messages": HELLO, "extra_headers": named()}
        async with held(desk, client.chat.completions.create(**asked)) as first:
            with pytest.raises(ConflictError) as told:
                await client.chat.completions.create(**asked)
        assert (told.value.code, told.value.response.headers["retry-after"]) == ("call_under_way", "5")
        assert (await client.chat.completions.create(**asked)) == await first
        assert len(desk.engine.requests) == 1

    async def test_with_another_body_is_refused(self, desk: Desk, client: AsyncOpenAI) -> None:
        await ask(desk)
        with pytest.raises(UnprocessableEntityError, match="another body"):
            await client.chat.completions.create(model="syn", messages=HELLO, max_tokens=5, extra_headers=named())
        answer = await desk.http.post(
            "/v1/messages", json={"model": "syn", "messages": HELLO, "max_tokens": 9}, headers=named()
        )
        assert (answer.status_code, answer.json()["type"]) == (422, "error")
        assert len(desk.engine.requests) == 1

    async def test_of_another_key_is_another_call(self, desk: Desk) -> None:
        await ask(desk)
        desk.keys.known["sk-sh-other"] = desk.caller()
        answer = await ask(desk, authorization="Bearer sk-sh-other")
        assert answer.status_code == 200
        assert "idempotent-replayed" not in answer.headers
        assert len(desk.engine.requests) == 2

    async def test_of_a_form_is_known_by_what_is_in_it(self, desk: Desk) -> None:
        """Clients draw a boundary anew each time."""
        desk.engines.kind, desk.engine.decode = "transcription", lambda body: body
        desk.engine.default = says({"text": "x", "usage": {"seconds": 1.0}})
        for boundary in (b"xx", b"yyy"):
            kind = {"content-type": f"multipart/form-data; boundary={boundary.decode()}"}
            answer = await desk.http.post(
                "/v1/audio/transcriptions", content=FORM.replace(b"xx", boundary), headers=named() | kind
            )
            assert answer.status_code == 200, answer.text
        assert len(desk.engine.requests) == 1


class TestName:
    async def test_of_a_call_that_failed_is_free_at_once(self, desk: Desk) -> None:
        desk.engine.scripts = [raw(400, b'{"error":{"message":"no"}}'), stream(chunk("Hel"), cut=True)]
        assert (await ask(desk)).status_code == 400
        broken = await ask(desk, stream=True)
        assert "engine_broke_off" in broken.text
        desk.engine.default = stream(*ENDED)
        assert "[DONE]" in (await ask(desk, stream=True)).text
        assert len(desk.engine.requests) == 3

    async def test_of_a_stream_that_was_sent_and_is_charged_later_stays_taken(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settle, away = desk.ledger.settle, iter([True])

        async def settles(*args: Any, **more: Any) -> Any:
            if next(away, False):
                raise LedgerUnavailable("away")
            return await settle(*args, **more)

        monkeypatch.setattr(desk.ledger, "settle", settles)
        desk.engine.default = stream(*ENDED)
        sent = await ask(desk, stream=True)
        assert "is charged once it can" in sent.text
        again = await ask(desk, stream=True)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "answer_not_kept")
        assert str(UUID(sent.headers["x-shanhe-receipt"])) in again.json()["error"]["message"]
        assert len(desk.engine.requests) == 1

    async def test_is_given_back_without_a_sign_of_life_before_the_refusal(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        end, heartbeat = desk.gateway._repeats.end, wire.WireClient.heartbeat
        beats: list[tuple[Any, Any, Any]] = []

        def noted(client: wire.WireClient, sign: bytes, head: Any) -> None:
            beats.append((client, sign, head))
            heartbeat(client, sign, head)

        async def slowly(*args: Any) -> None:
            """It takes so long that a sign would be due twice."""
            client, sign, head = beats[-1]
            for _ in range(2 if sign else 0):
                client._still_here(sign, head)
            await end(*args)

        monkeypatch.setattr(wire.WireClient, "heartbeat", noted)
        monkeypatch.setattr(desk.gateway._repeats, "end", slowly)
        desk.engine.scripts = [raw(400, b'{"error":{"message":"no"}}')]
        refused = await ask(desk, stream=True)
        assert (refused.status_code, refused.json()["error"]["message"]) == (400, "no")

    async def test_is_free_again_when_its_time_is_over(self, desk: Desk) -> None:
        await ask(desk)
        later(desk, repeats.KEPT_FOR - timedelta(seconds=1))
        assert (await ask(desk)).headers["idempotent-replayed"]
        later(desk, timedelta(seconds=1))
        assert "idempotent-replayed" not in (await ask(desk)).headers
        assert len(desk.engine.requests) == 2
        later(desk, repeats.KEPT_FOR)
        assert await rows(desk)
        await desk.gateway.forget_repeats()
        assert not await rows(desk)

    async def test_of_a_call_whose_process_died_uncharged_is_free_within_a_minute(self, desk: Desk) -> None:
        await ask(desk)
        await desk.gateway._repeats._db.execute(
            "UPDATE gateway.repeat SET answered_at = NULL, answer = NULL, receipt_id = NULL, expires_at = $1,"
            " attempt = gen_random_uuid() WHERE org_id = $2",
            OPENED_AT + timedelta(hours=1),
            desk.org,
        )
        assert (await ask(desk)).status_code == 409
        later(desk, repeats.ALIVE_FOR)
        assert (await ask(desk)).status_code == 200
        assert len(desk.engine.requests) == 2

    @pytest.mark.parametrize("streamed", [False, True])
    async def test_of_a_call_whose_process_died_when_it_was_charged_leads_to_its_receipt(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, streamed: bool
    ) -> None:
        if streamed:
            desk.engine.default = stream(*ENDED)
        before = await desk.balance()
        with monkeypatch.context() as patched:
            patched.setattr(desk.gateway._repeats, "end", dying)
            first = await ask(desk, stream=streamed)
        desk.gateway._repeats._mine.clear()
        assert (await ask(desk, stream=streamed)).json()["error"]["code"] == "call_under_way"
        later(desk, repeats.ALIVE_FOR)
        told = [(await ask(desk, stream=streamed)).json()["error"] for _ in range(2)]
        assert [error["code"] for error in told] == ["answer_not_kept"] * 2
        assert all(first.headers["x-shanhe-receipt"] in error["message"] for error in told)
        other = await desk.http.post("/v1/chat/completions", json={"model": "syn"}, headers=named())
        assert other.json()["error"]["code"] == "idempotency_key_reused"
        assert before - await desk.balance() == COST
        assert len(desk.engine.requests) == 1

    async def test_of_a_call_that_was_given_back_after_its_process_died_is_free(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = await desk.balance()
        with monkeypatch.context() as patched:
            patched.setattr(desk.gateway._repeats, "end", dying)
            first = await ask(desk)
        desk.gateway._repeats._mine.clear()
        await desk.ledger.reverse(UUID(first.headers["x-shanhe-receipt"]), actor="gateway", reason="it died")
        later(desk, repeats.ALIVE_FOR)
        again = await ask(desk)
        assert again.status_code == 200
        assert again.headers["x-shanhe-receipt"] != first.headers["x-shanhe-receipt"]
        assert before - await desk.balance() == COST

    async def test_stays_taken_for_as_long_as_its_call_takes(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(repeats, "ALIVE_EVERY_S", 0.01)
        async with held(desk, ask(desk)) as first:
            for _ in range(3):
                later(desk, repeats.ALIVE_FOR - timedelta(seconds=1))
                until = desk.gateway._clock.now() + repeats.ALIVE_FOR
                async with asyncio.timeout(20):
                    while (await row_of(desk))["alive_until"] < until:  # noqa: ASYNC110 - nothing tells
                        await asyncio.sleep(0.005)
            assert (await ask(desk)).status_code == 409
        assert (await first).status_code == 200

    @pytest.mark.parametrize("name", ["", "x" * 256])
    async def test_has_a_length(self, desk: Desk, name: str) -> None:
        answer = await ask(desk, **{"idempotency-key": name})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_idempotency_key")


class TestKept:
    async def test_is_nothing_that_can_be_read_in_the_database(self, desk: Desk) -> None:
        await ask(desk)
        row = await row_of(desk)
        assert b"Hello" not in bytes(row["answer"])
        assert row["org_id"] == desk.org

    async def test_are_no_more_bytes_of_an_organisation_at_a_time_than_it_may(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = await ask(desk, **named("no-0"))
        size = len((await row_of(desk))["answer"])
        monkeypatch.setattr(repeats, "ORG_MAX_BYTES", 2 * size + size // 2)
        made = [first] + [await ask(desk, **named(f"no-{n}")) for n in (1, 2)]
        again = [await ask(desk, **named(f"no-{n}")) for n in range(3)]
        error = again[2].json()["error"]
        assert ([one.status_code for one in again], error["code"]) == ([200, 200, 409], "answer_not_kept")
        assert made[2].headers["x-shanhe-receipt"] in error["message"]
        later(desk, repeats.KEPT_FOR)
        for _ in range(2):
            assert (await ask(desk, **named("no-3"))).status_code == 200
        assert len(desk.engine.requests) == 4

    @pytest.mark.parametrize("bound", ["ANSWER_MAX_BYTES", "PACKED_MAX_BYTES"])
    async def test_is_no_answer_that_is_too_long(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
        monkeypatch.setattr(repeats, bound, 20)
        await ask(desk)
        assert (await ask(desk)).json()["error"]["code"] == "answer_not_kept"

    async def test_is_nothing_of_a_call_without_a_name(self, desk: Desk) -> None:
        before = await rows(desk)
        for _ in range(3):
            await desk.chat()
        assert await rows(desk) == before
        assert len(desk.engine.requests) == 3
