"""Streams of a tunnel: what was begun is lost with it, and nothing begins on one that is gone."""

from __future__ import annotations

import asyncio

import pytest

from shanhe.pool.mux import Mux, StreamLost


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
