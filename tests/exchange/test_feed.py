"""The market's stream: a snapshot first, then only what changed; slow readers are let go."""

from __future__ import annotations

import asyncio
import json
import socket
from unittest.mock import AsyncMock

import asyncpg
import pytest
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import connect

from shanhe.exchange import feed as feeding
from shanhe.exchange.api import ExchangeBusy, Feed
from shanhe.exchange.routes import router
from shanhe.kernel import http

from .conftest import CREDIT


@pytest.fixture
def feed(world, monkeypatch):
    monkeypatch.setattr(feeding, "LOOK_AT_MOST_EVERY_S", 0)
    return Feed(world.exchange, world.db)


class TestFeed:
    async def test_begins_with_a_snapshot_and_goes_on_with_differences(self, world, feed):
        seller, buyer = await world.seller(100), await world.buyer(100)
        await world.sell(seller, 50, 6000)
        async with feed.subscribe() as queue:
            snapshot = await queue.get()
            assert (snapshot["type"], snapshot["market"]) == ("snapshot", "real")
            assert snapshot["levels"] == [("sell", 6000, 50 * CREDIT, 1)]
            await world.buy(buyer, 50, 6000)
            await feed._look()
            diff = await queue.get()
            assert diff["levels"] == [("buy", 6000, 50 * CREDIT, 1)]
            assert diff["indicative_ticks"] == 6000
            await world.auction()
            await feed._look()
            while not (diff := await asyncio.wait_for(queue.get(), 20))["trades"]:
                pass
            assert diff["trades"][0]["price_ticks"] == 6000
            assert diff["last_ticks"] == 6000

    async def test_goes_on_after_the_market_could_not_be_read(self, world, feed, monkeypatch):
        """The database is a standby for a moment: who listens hears what came next all the same."""
        monkeypatch.setattr(feeding, "LOOK_EVERY_S", 0.01)
        buyer, failed = await world.buyer(100), asyncio.Event()

        async def standby(**_):
            failed.set()
            raise asyncpg.ReadOnlySQLTransactionError("a standby")

        async with feed.subscribe() as queue:
            await queue.get()
            with monkeypatch.context() as patch:
                patch.setattr(world.exchange, "trades", standby)
                await asyncio.wait_for(failed.wait(), 20)
            await world.buy(buyer, 50, 6000)
            diff = await asyncio.wait_for(queue.get(), 20)
            assert diff["levels"] == [("buy", 6000, 50 * CREDIT, 1)]

    async def test_lets_go_of_who_does_not_read(self, world, feed):
        buyer = await world.buyer(1_000)
        async with feed.subscribe() as queue:
            for number in range(feeding.WAITING_MAX):
                await world.buy(buyer, 20, 6000 + number)
                await feed._look()
            seen = [queue.get_nowait() for _ in range(queue.qsize())]
            assert seen[-1] is None
            assert len(seen) <= feeding.WAITING_MAX

    async def test_takes_a_bounded_number(self, world, feed, monkeypatch):
        monkeypatch.setattr(feeding, "SUBSCRIBERS_MAX", 1)
        async with feed.subscribe():
            with pytest.raises(ExchangeBusy):
                async with feed.subscribe():
                    pass


class TestSocket:
    async def test_streams_to_a_real_client(self, world):
        seller = await world.seller(100)
        await world.sell(seller, 50, 6000)
        app = FastAPI()
        http.take(app, router(world.exchange, Feed(world.exchange, world.db), AsyncMock()))
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            server = uvicorn.Server(uvicorn.Config(app, ws="websockets-sansio", log_level="error", lifespan="off"))
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            port = listener.getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}/api/exchange/stream") as client:
                snapshot = json.loads(await asyncio.wait_for(client.recv(), 30))
            server.should_exit = True
            await serving
        assert snapshot["levels"] == [["sell", 6000, 50 * CREDIT, 1]]
