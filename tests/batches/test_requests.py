"""The grammar of a file of requests: what is run, and what is told to whoever wrote it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.batches.errors import UnknownBatch, UnknownFile
from shanhe.batches.model import LINES_MAX, batch_id, file_id, read_requests

CHAT = "/v1/chat/completions"


def line(custom_id: str = "a", **changes: Any) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body, **changes}).encode()


def read(*lines: bytes) -> Any:
    return read_requests(b"\n".join(lines), CHAT, lambda model: model == "m")


class TestRequests:
    def test_are_found_with_the_place_of_their_body(self) -> None:
        data = b"\xef\xbb\xbf" + line("a") + b"\r\n\n" + line("b") + b"\n"
        wanted, wrong = read_requests(data, CHAT, lambda _: True)
        assert wrong == []
        assert [one.custom_id for one in wanted] == ["a", "b"]
        for one in wanted:
            assert json.loads(data[one.body_start : one.body_start + one.body_bytes])["model"] == "m"

    @pytest.mark.parametrize(
        ("bad", "code"),
        [
            (b"{", "invalid_json_line"),
            (b"\xff", "invalid_json_line"),
            (b"[]", "invalid_request"),
            (b"[" * 5000, "invalid_request"),
            (line(""), "invalid_custom_id"),
            (line(method="GET"), "invalid_method"),
            (line(url="/v1/embeddings"), "mismatched_endpoint"),
            (line(body={"model": "m", "stream": True}), "stream_not_allowed"),
            (line("b", body={"model": "other"}), "model_not_found"),
            (line(body={}), "invalid_request"),
            (line("a"), "duplicate_custom_id"),
            (b'"' + b"x" * 1024 * 1024 + b'"', "line_too_long"),
        ],
    )
    def test_with_a_mistake_name_its_line(self, bad: bytes, code: str) -> None:
        _, wrong = read(line("a"), b"", bad)
        assert [(one.code, one.line) for one in wrong] == [(code, 3)]

    def test_of_an_empty_file_are_a_mistake(self) -> None:
        assert [one.code for one in read(b"", b"  ")[1]] == ["empty_file"]

    def test_are_bounded(self) -> None:
        wanted, wrong = read(*(line(str(number)) for number in range(LINES_MAX + 5)))
        assert len(wanted) == LINES_MAX
        assert [one.code for one in wrong] == ["too_many_lines"]

    @given(st.binary(max_size=300))
    def test_of_any_bytes_are_understood_or_refused(self, data: bytes) -> None:
        wanted, wrong = read_requests(data, CHAT, lambda _: True)
        assert wanted or wrong


class TestNames:
    @pytest.mark.parametrize("name", ["", "x", "file-", "file-zz", "f" * 100])
    def test_that_are_none_are_not_found(self, name: str) -> None:
        with pytest.raises(UnknownFile):
            file_id(name)
        with pytest.raises(UnknownBatch):
            batch_id(name)
