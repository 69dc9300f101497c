"""What hostile or unlucky servers bring about: bounded, refused in words, never charged beyond what was agreed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest
from tests.mcp_gateway.test_gateway import FORECAST, offer, sdk

from shanhe.kernel.ids import new_id
from shanhe.mcp.api import BadServer
from shanhe.mcp.errors import ServerLate
from shanhe.mcp.upstream import RESOLVED_FOR_S, Links
from shanhe.store.api import Terms
from stage.market import Market, Party
from stage.tools import Workshop

pytestmark = pytest.mark.asyncio(loop_scope="package")
FEE_MICRO = 5_000


async def begun(market: Market, workshop: Workshop, payer: Party, slug: str) -> asyncio.Task[Any]:
    """A call that its server is working on."""
    workshop.gate.clear()
    before = len(workshop.seen)

    async def call() -> Any:
        async with sdk(market, payer, slug) as client:
            await client.list_tools()  # else the client asks for it after the call
            return await client.call_tool("waits", FORECAST)

    task = asyncio.create_task(call())
    async with asyncio.timeout(20):
        while len(workshop.seen) == before:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)
    return task


class TestMidCall:
    async def test_price_change_is_for_the_next_call(self, market: Market, workshop: Workshop) -> None:
        maker = await offer(market, workshop, "repriced", fee_micro=FEE_MICRO, tools=["waits"])
        payer = await market.party("priced")
        before = await market.wallet(payer.org)
        call = await begun(market, workshop, payer, "repriced")
        content = {"url": workshop.url, "tools": ["waits"]}
        await market.reprice(maker.org, "mcp/repriced", content, Terms(markup_bps=2_000, fee_micro=10 * FEE_MICRO))
        workshop.gate.set()
        assert not (await call).is_error
        assert before - await market.wallet(payer.org) == FEE_MICRO
        async with sdk(market, payer, "repriced") as client:
            assert not (await client.call_tool("waits", FORECAST)).is_error
        assert before - await market.wallet(payer.org) == 11 * FEE_MICRO

    async def test_withdrawal_lets_the_call_end_as_it_was_admitted(self, market: Market, workshop: Workshop) -> None:
        maker = await offer(market, workshop, "vanishing", fee_micro=FEE_MICRO, tools=["waits"])
        payer = await market.party("patient")
        before = await market.wallet(payer.org)
        call = await begun(market, workshop, payer, "vanishing")
        await market.services.store.withdraw("mcp/vanishing", owner=maker.org, actor="tests")
        workshop.gate.set()
        assert not (await call).is_error
        assert before - await market.wallet(payer.org) == FEE_MICRO


class TestAnswer:
    async def test_that_comes_byte_by_byte_is_late_for_whoever_asked(self) -> None:
        async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
                while not writer.is_closing():
                    writer.write(b"a")
                    await writer.drain()
                    await asyncio.sleep(0.01)

        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        links = Links(private=True)
        with pytest.raises(ServerLate):
            async with links.exchange("the webhook", url, "POST", {}, b"{}", limit_s=5.0) as answer:
                await answer.body(0.2, 1_000)
        await links.stop()
        server.close()


class TestName:
    @pytest.mark.parametrize("host", ["a..b", ".a", f"{'a' * 64}.example"])
    async def test_that_no_resolver_takes_is_refused_as_any_other(self, host: str) -> None:
        with pytest.raises(BadServer):
            await Links(private=False).place(f"https://{host}/hook")

    async def test_that_changes_its_mind_is_refused_when_it_is_asked_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """DNS rebinding: public at the check, the city's own network later."""
        numbers = ["127.0.0.1"] * 5 + ["93.184.216.34"]

        async def told(self: Any, host: str, port: int, **_: Any) -> Any:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (numbers.pop(), port))]

        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", told)
        links, now = Links(private=False), [1_000.0]
        monkeypatch.setattr("shanhe.mcp.upstream.time.monotonic", lambda: now[0])
        endpoint, host, _ = await links.place("https://rebinding.example/mcp")
        assert (endpoint.host, endpoint.name, host) == ("93.184.216.34", "rebinding.example", "rebinding.example")
        now[0] += RESOLVED_FOR_S / 2
        assert (await links.place("https://rebinding.example/mcp"))[0].host == "93.184.216.34"
        now[0] += RESOLVED_FOR_S
        with pytest.raises(BadServer):
            await links.place("https://rebinding.example/mcp")
        with pytest.raises(BadServer):
            await Links(private=False).tools(("x", 1, new_id()), "https://127.0.0.1/mcp", {}, 1_000)
