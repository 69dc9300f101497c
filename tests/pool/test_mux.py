"""Streams of a tunnel: what was begun is lost with it, nothing begins on one that is gone, and nothing is unbounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shanhe.pool.frames import GRANT, PAYLOAD_MAX_BYTES, WINDOW_BYTES, BadFrame, Kind, grant_of, pack, unpack
from shanhe.pool.mux import STREAMS_MAX, Mux, Stream, StreamLost


async def nowhere(data: bytes) -> None:
    """A socket whose other end is gone swallows what it is given."""


class TestMux:
    async def test_that_is_gone_ends_what_waits(self) -> None:
        mux = Mux(nowhere)
        stream = await mux.open({"path": "/v1/chat/completions"})
        waiting = asyncio.ensure_future(stream.head(60))
        await asyncio.sleep(0)
        mux.fail("the node left")
        with pytest.raises(StreamLost, match="the node left"):
            await waiting

    async def test_that_is_gone_begins_nothing(self) -> None:
        mux = Mux(nowhere)
        mux.fail("the node left")
        with pytest.raises(StreamLost, match="the node left"):
            await mux.open({"path": "/v1/chat/completions"})
        assert len(mux) == 0

    async def test_has_so_many_streams_and_no_more_whoever_opens_them(self) -> None:
        mux, opened = Mux(nowhere), list[Stream]()
        streams = [await mux.open({}) for _ in range(STREAMS_MAX)]
        with pytest.raises(StreamLost, match="are open"):
            await mux.open({})
        streams[0].close()
        assert len({one.number for one in (*streams, await mux.open({}))}) == STREAMS_MAX + 1
        theirs = Mux(nowhere, lambda stream, head: opened.append(stream))
        for number in range(STREAMS_MAX):
            theirs.take(pack(Kind.REQUEST, number, b"{}"))
        with pytest.raises(BadFrame):
            theirs.take(pack(Kind.REQUEST, STREAMS_MAX, b"{}"))
        opened[0].close()
        with pytest.raises(BadFrame):
            theirs.take(pack(Kind.REQUEST, 1, b"{}"))
        theirs.take(pack(Kind.REQUEST, STREAMS_MAX, b"{}"))

    async def test_that_opens_nothing_is_asked_for_nothing(self) -> None:
        with pytest.raises(BadFrame):
            Mux(nowhere).take(pack(Kind.REQUEST, 1, b"{}"))


class Pair:
    """Two ends of a tunnel; what the near one sends is kept in `sent` until it is `handed` over."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.far: list[Stream] = []
        self.near = Mux(self._keep)
        self.there = Mux(self._back, lambda stream, head: self.far.append(stream))

    async def _keep(self, message: bytes) -> None:
        self.sent.append(message)

    async def _back(self, message: bytes) -> None:
        self.near.take(message)

    def handed(self) -> int:
        """Bytes of bodies that the other end got now."""
        sent, self.sent = self.sent, []
        for message in sent:
            self.there.take(message)
        return sum(len(payload) for kind, _, payload in map(unpack, sent) if kind is Kind.DATA)


class TestWindow:
    async def test_is_what_may_be_sent_before_the_other_end_has_read_any_of_it(self) -> None:
        pair = Pair()
        stream = await pair.near.open({})
        writing = asyncio.ensure_future(stream.write(bytes(3 * WINDOW_BYTES)))
        await asyncio.sleep(0)
        assert pair.handed() == WINDOW_BYTES
        read = 0
        while not writing.done():
            read += len(await pair.far[0].read(1))
            await asyncio.sleep(0)
            pair.handed()
        read += len(await pair.far[0].read(1))
        assert read == 3 * WINDOW_BYTES

    async def test_that_is_passed_or_swollen_breaks_the_protocol(self) -> None:
        full, swollen = (Stream(Mux(nowhere), 1) for _ in range(2))
        for _ in range(WINDOW_BYTES // PAYLOAD_MAX_BYTES):
            full.take(Kind.DATA, bytes(PAYLOAD_MAX_BYTES))
        with pytest.raises(BadFrame, match="granted"):
            full.take(Kind.DATA, b"1")
        swollen.take(Kind.WINDOW, GRANT.pack(WINDOW_BYTES))
        with pytest.raises(BadFrame, match="window"):
            swollen.take(Kind.WINDOW, GRANT.pack(1))

    async def test_is_over_at_the_end_of_a_body(self) -> None:
        stream = Stream(Mux(nowhere), 1)
        stream.take(Kind.END, b"")
        with pytest.raises(BadFrame):
            stream.take(Kind.DATA, b"more")


class TestFrame:
    @pytest.mark.parametrize("message", [b"", b"\x01\x00\x00\x00", bytes(5), b"\x09" + bytes(4),
                                         pack(Kind.DATA, 1, bytes(PAYLOAD_MAX_BYTES + 1))])  # fmt: skip
    def test_that_is_cut_unknown_or_too_large_is_none(self, message: bytes) -> None:
        with pytest.raises(BadFrame):
            unpack(message)

    @pytest.mark.parametrize("payload", [b"", b"\x01", bytes(5)])
    def test_whose_grant_has_another_size_grants_nothing(self, payload: Any) -> None:
        with pytest.raises(BadFrame):
            grant_of(payload)

    def test_of_the_largest_payload_passes(self) -> None:
        assert unpack(pack(Kind.DATA, 7, bytes(PAYLOAD_MAX_BYTES))) == (Kind.DATA, 7, bytes(PAYLOAD_MAX_BYTES))
