"""Events come out of a byte stream the same however it was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.gateway.sse import EVENT_MAX_BYTES, EventTooLarge, Splitter, data_of, event_bytes

PAYLOADS = st.lists(st.text(min_size=1).map(lambda text: " ".join(text.split())).filter(bool))


class TestSplitter:
    @given(PAYLOADS, st.lists(st.integers(1, 12), min_size=1))
    def test_finds_the_same_events_at_any_chunking(self, payloads: list[str], sizes: list[int]) -> None:
        stream = b"".join(event_bytes(payload.encode()) for payload in payloads)
        splitter, found, at, turn = Splitter(), [], 0, 0
        while at < len(stream):
            size = sizes[turn % len(sizes)]
            found += splitter.feed(stream[at : at + size])
            at, turn = at + size, turn + 1
        assert [data_of(event) for event in found] == [payload.encode() for payload in payloads]
        assert splitter.rest == b""

    def test_reads_lines_that_end_with_carriage_return(self) -> None:
        assert [data_of(event) for event in Splitter().feed(b"data: a\r\n\r\ndata: b\r\n\r\n")] == [b"a", b"b"]

    def test_joins_data_lines_and_ignores_comments(self) -> None:
        assert data_of(b": ping") is None
        assert data_of(b"event: x\ndata: {\ndata: }") == b"{\n}"

    def test_refuses_an_event_without_an_end(self) -> None:
        splitter = Splitter()
        with pytest.raises(EventTooLarge):
            for _ in range(EVENT_MAX_BYTES // 65_536 + 2):
                splitter.feed(b"x" * 65_536)
