"""What callers send by mistake or on purpose: each gets its protocol's own typed error, and nothing is charged."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from gateway_e2e.conftest import assert_anthropic_error, assert_openai_error
from stage.fixtures import Stage, Tenant, chat

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
JSON = {"content-type": "application/json"}
HEAD_WAIT_S = 10
BODY_WAIT_S = 15
PATIENCE_S = 60
MANY = 50 * 1024 * 1024


def message(**fields: Any) -> dict[str, Any]:
    return {"model": "good", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}], **fields}


class TestBody:
    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"null", b"[]", b'"text"', b"{}", b'{"model": "good"}', b'{"model": 7, "messages": []}',
            b'{"model": "good", "messages": "hi"}', b'{"model": "good", "messages": []}',
            b'{"model": "good", "messages": [{"role": "nobody", "content": "x"}]}',
            b'{"model": "good", "messages": [{"role": "user"}]} trailing',
            b'{"model": "good", "messages": [{"role": "user", "content": "\xff\xfe"}]}',
            b'{"model": "good", "messages": [{"role": "user", "content": "\xed\xa0\x80"}]}',
            b"[" * 100_000,
        ],
        ids=["empty", "cut", "null", "list", "string", "nothing", "no messages", "number model", "string messages",
             "no message", "unknown role", "trailing", "invalid utf-8", "lone surrogate", "deep nesting"],
    )  # fmt: skip
    def test_that_cannot_be_read_is_a_400(self, uncharged: httpx.Client, body: bytes) -> None:
        assert_openai_error(uncharged.post(CHAT, content=body, headers=JSON), 400)
        assert_anthropic_error(uncharged.post(MESSAGES, content=body, headers=JSON), 400, "invalid_request_error")
        assert_openai_error(uncharged.post("/v1/responses", content=body, headers=JSON), 400)

    def test_of_50_megabytes_is_a_413(self, uncharged: httpx.Client) -> None:
        body = json.dumps(chat(messages=[{"role": "user", "content": "x" * MANY}])).encode()
        assert_openai_error(uncharged.post(CHAT, content=body, headers=JSON), 413, "request_too_large")
        assert_anthropic_error(uncharged.post(MESSAGES, content=body, headers=JSON), 413, "request_too_large")

    def test_of_50_megabytes_in_chunks_without_a_length_is_a_413(self, uncharged: httpx.Client) -> None:
        piece = b"x" * 65_536
        answer = uncharged.post(CHAT, content=(piece for _ in range(MANY // len(piece))), headers=JSON)
        assert_openai_error(answer, 413, "request_too_large")


class TestFields:
    @pytest.mark.parametrize("value", [-1, 0, 10**9, 2**63, 10**30, 1.5, "many", True, [1]], ids=repr)
    def test_an_impossible_max_tokens_is_a_400(self, uncharged: httpx.Client, value: object) -> None:
        assert_openai_error(uncharged.post(CHAT, json=chat(max_tokens=value)), 400)
        assert_anthropic_error(uncharged.post(MESSAGES, json=message(max_tokens=value)), 400)

    @pytest.mark.parametrize(
        "fields", [{"n": 0}, {"n": -3}, {"n": 10**6}, {"stream": "yes"}, {"messages": 7}], ids=repr
    )
    def test_an_impossible_field_is_a_400(self, uncharged: httpx.Client, fields: dict[str, object]) -> None:
        assert_openai_error(uncharged.post(CHAT, json=chat(**fields)), 400)

    def test_anthropic_needs_max_tokens(self, uncharged: httpx.Client) -> None:
        body = message()
        del body["max_tokens"]
        assert_anthropic_error(uncharged.post(MESSAGES, json=body), 400, "invalid_request_error")

    def test_a_prompt_beyond_the_context_is_a_400(self, uncharged: httpx.Client) -> None:
        error = assert_openai_error(uncharged.post(CHAT, json=chat("too-long")), 400, "context_length_exceeded")
        assert error["type"] == "invalid_request_error"
        assert_anthropic_error(uncharged.post(MESSAGES, json=message(model="too-long")), 400)


class TestModelName:
    @pytest.mark.parametrize(
        "name",
        ["", "nope", "../../etc/passwd", "good\r\nx-evil: 1", "good\u0000", "'; DROP TABLE ledger.account; --",
         "{{7*7}}${7*7}<script>alert(1)</script>", "x" * 5000, "模型", "good "],
    )  # fmt: skip
    def test_that_is_unknown_is_a_404_and_goes_nowhere(self, uncharged: httpx.Client, name: str) -> None:
        answer = uncharged.post(CHAT, json=chat(name))
        error = assert_openai_error(answer, 400 if name == "" and answer.status_code == 400 else 404)
        assert "x-evil" not in answer.headers
        assert len(error["message"]) < 500
        assert answer.headers["content-type"].startswith("application/json")
        assert_anthropic_error(uncharged.post(MESSAGES, json=message(model=name or "nope")), 404, "not_found_error")


class TestKey:
    @pytest.mark.parametrize("key", ["x", "sk-sh-nobody", "sk-sh-" + "a" * 4000, "sk-sh-'; DROP TABLE x; --"])
    def test_that_nobody_issued_is_a_401(self, stage: Stage, key: str) -> None:
        with httpx.Client(base_url=stage.url, trust_env=False) as client:
            headers = {"authorization": f"Bearer {key}"}
            assert_openai_error(client.post(CHAT, json=chat(), headers=headers), 401, "invalid_api_key")
            answer = client.post(MESSAGES, json=message(), headers={"x-api-key": key})
            assert_anthropic_error(answer, 401, "authentication_error")
            assert key not in answer.text

    def test_that_is_missing_is_a_401(self, stage: Stage) -> None:
        with httpx.Client(base_url=stage.url, trust_env=False) as client:
            assert_openai_error(client.post(CHAT, json=chat()), 401, "invalid_api_key")
            assert_openai_error(client.get("/v1/models"), 401, "invalid_api_key")

    def test_that_was_revoked_stops_within_a_second(self, stage: Stage) -> None:
        tenant = stage.tenant("Revoked")
        with stage.client(tenant) as client:
            assert client.post(CHAT, json=chat()).status_code == 200
            stage.city.command("keys", "revoke", str(tenant.key_id))
            time.sleep(1.0)
            assert_openai_error(client.post(CHAT, json=chat()), 401)

    def test_cannot_read_the_receipt_of_another_tenant(self, stage: Stage, careless: Tenant) -> None:
        tenant = stage.tenant("Private")
        with stage.client(tenant) as client:
            receipt = client.post(CHAT, json=chat()).headers["x-shanhe-receipt"]
        assert stage.receipt(tenant, receipt)
        with stage.client(careless) as client:
            assert client.get(f"/api/receipts/{receipt}").status_code == 404


class TestPath:
    def test_that_is_unknown_is_a_404(self, uncharged: httpx.Client) -> None:
        assert_openai_error(uncharged.post("/v1/nothing", json={}), 404, "unknown_url")

    def test_with_another_method_is_a_405(self, uncharged: httpx.Client) -> None:
        assert_openai_error(uncharged.get(CHAT), 405)
        assert_anthropic_error(uncharged.get(MESSAGES), 405)


def slow(stage: Stage, opening: bytes) -> socket.socket:
    link = socket.create_connection(("127.0.0.1", stage.city.port), timeout=BODY_WAIT_S + PATIENCE_S)
    link.sendall(opening)
    return link


def read_to_end(link: socket.socket) -> bytes:
    parts = []
    try:
        while data := link.recv(65_536):
            parts.append(data)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@dataclass(frozen=True)
class Cut:
    """What was said on a connection until it was closed, and how long that took."""

    said: bytes
    after_s: float


def wait_for_the_end(link: socket.socket, since: float) -> Cut:
    said = read_to_end(link)
    return Cut(said, time.monotonic() - since)


@pytest.fixture(scope="module", autouse=True)
def trickling(stage: Stage, careless: Tenant) -> Iterator[list[Future[Cut]]]:
    """A head and a body that come no further, begun with the first test here: the city's patience is waited for while
    the others ask."""
    since = time.monotonic()
    opening = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {careless.token}\r\n"
        'Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"model":'
    )
    head = slow(stage, b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Slow: 1")
    with head, slow(stage, opening.encode()) as body, ThreadPoolExecutor(2) as readers:
        yield [readers.submit(wait_for_the_end, link, since) for link in (head, body)]
        for link in (head, body):  # one that nobody waited for
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)


class TestSlowLoris:
    def test_a_head_without_end_is_refused(self, stage: Stage) -> None:
        link = slow(stage, b"GET /v1/models HTTP/1.1\r\n")
        with link:
            try:
                for number in range(4_000):
                    link.sendall(b"X-Header-%d: %b\r\n" % (number, b"a" * 200))
            except OSError:
                pass
            said = read_to_end(link) if link.fileno() >= 0 else b""
        assert b" 200 " not in said[:20]
        assert stage.city.ready()

    def test_nonsense_instead_of_http_is_refused(self, stage: Stage) -> None:
        link = slow(stage, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not http at all\r\n\r\n")
        with link:
            assert b" 200 " not in read_to_end(link)[:20]
        assert stage.city.ready()

    def test_is_cut_off_whether_head_or_body_trickles(self, stage: Stage, trickling: list[Future[Cut]]) -> None:
        head, body = (one.result() for one in trickling)
        assert head.after_s < HEAD_WAIT_S + PATIENCE_S
        assert body.after_s < BODY_WAIT_S + PATIENCE_S
        assert b" 408 " in body.said.split(b"\r\n", 1)[0]
        assert stage.city.ready()
