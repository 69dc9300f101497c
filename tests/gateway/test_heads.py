"""A head is known again only where the strict parser would read the very same message."""

from __future__ import annotations

from typing import Any

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.gateway.heads import Known, learn

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nAuthorization: Bearer k\r\n\r\n"
BODY = b"hello"


class Reader:
    """What the strict parser makes of some bytes."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.messages = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.messages += 1


def read(data: bytes) -> Reader:
    reader = Reader()
    httptools.HttpRequestParser(reader).feed_data(data)
    return reader


def known(data: bytes = HEAD + BODY) -> Known:
    found = learn(data, read(data).headers)
    assert found is not None
    return found


def beside_length(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [pair for pair in headers if pair[0] != b"content-length"]


class TestKnown:
    def test_takes_the_body_of_any_length(self) -> None:
        head = HEAD.replace(b": 5", b": 1234")
        assert known().body_in(HEAD + BODY) == BODY
        assert known().body_in(head + b"x" * 1234) == b"x" * 1234

    @pytest.mark.parametrize(
        "data",
        [
            HEAD + BODY[:-1],
            HEAD + BODY + b"P",
            HEAD.replace(b": 5", b": +5") + BODY,
            HEAD.replace(b": 5", b": 5 ") + BODY,
            HEAD.replace(b": 5", b": 000000005") + BODY,
            HEAD.replace(b": 5\r\n", b": 5\r\nTransfer-Encoding: chunked\r\n") + BODY,
            HEAD.replace(b"Bearer k", b"Bearer q") + BODY,
            HEAD[:40],
            b"",
        ],
    )
    def test_leaves_anything_else_to_the_parser(self, data: bytes) -> None:
        assert known().body_in(data) is None

    @given(st.data())
    def test_reads_whatever_it_takes_as_the_parser_does(self, data: Any) -> None:
        message = bytearray(HEAD.replace(b": 5", b": %d" % data.draw(st.integers(0, 30))))
        message += data.draw(st.binary(max_size=30))
        for _ in range(data.draw(st.integers(0, 2))):
            at = data.draw(st.integers(0, len(message)))
            message[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
        taken = known().body_in(bytes(message))
        if taken is not None:
            again = read(bytes(message))
            assert (again.body, again.messages) == (taken, 1)
            assert beside_length(again.headers) == beside_length(known().headers)


class TestLearn:
    @pytest.mark.parametrize(
        "line",
        [b"Transfer-Encoding: identity", b"Connection: close", b"Expect: 100-continue", b"Upgrade: h2c", b"X: y\r\n z"],
    )
    def test_keeps_no_head_with_a_meaning_of_its_own(self, line: bytes) -> None:
        data = HEAD.replace(b"Host: x", line) + BODY
        name, _, value = line.partition(b": ")
        assert learn(data, [(name.lower(), value), *read(HEAD).headers]) is None or line.startswith(b"X")

    def test_keeps_no_head_that_is_not_all_here(self) -> None:
        assert learn(HEAD[:-2], read(HEAD).headers) is None

    def test_keeps_no_head_without_one_plain_length(self) -> None:
        bare = HEAD.replace(b"Content-Length: 5\r\n", b"")
        assert learn(bare, read(bare).headers) is None
        assert learn(HEAD, [*read(HEAD).headers, (b"content-length", b"5")]) is None
