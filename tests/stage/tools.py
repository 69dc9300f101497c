"""A publisher's MCP server on a real socket, made with the official SDK: what tests of tools and agents call."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest_asyncio

HIDDEN = "harmless\u200b really"
BIG = 10 * 1024 * 1024


@dataclass
class Workshop:
    """The server's address, and what it was asked and shown."""

    url: str
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    says: str = "晴，21 度"
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """What the tool `waits` waits for."""
    asks: Callable[[str], Awaitable[str]] | None = None
    """Whom the tool `echo` asks instead of repeating what it is told."""


def make(workshop: Workshop) -> Any:
    """Tools that behave, and tools that do not."""
    import mcp_types as types
    from mcp.server.lowlevel.server import Server

    text = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    names = ("forecast", "echo", "fails", "breaks", "sleeps", "floods", "secret", "waits", "tells")

    async def listed(ctx: Any, params: Any) -> Any:
        tools = [types.Tool(name=name, description=f"Tool {name}", input_schema=text) for name in names]
        tools[0] = tools[0].model_copy(update={"title": "Forecast",
                                               "annotations": types.ToolAnnotations(read_only_hint=True)})  # fmt: skip
        tools.append(types.Tool(name="hidden", description=HIDDEN, input_schema=text))
        return types.ListToolsResult(tools=tools)

    async def called(ctx: Any, params: Any) -> Any:
        arguments = dict(params.arguments or {})
        workshop.seen.append((params.name, arguments))
        workshop.headers.append(dict(ctx.request.headers))
        if params.name == "breaks":
            raise RuntimeError("it broke")
        if params.name == "waits":
            await workshop.gate.wait()
        if params.name == "tells":
            for done in (1, 2):
                await ctx.session.report_progress(done, 2, f"step {done}")
        if params.name == "sleeps":
            await asyncio.sleep(30)
        if workshop.asks is not None and params.name == "echo":
            said = await workshop.asks(str(arguments.get("city", "")))
            return types.CallToolResult(content=[types.TextContent(type="text", text=said)])
        said = {"echo": str(arguments), "floods": "x" * BIG}.get(params.name, workshop.says)
        return types.CallToolResult(
            content=[types.TextContent(type="text", text=said)], is_error=params.name == "fails"
        )

    return Server("workshop", version="1", on_list_tools=listed, on_call_tool=called)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workshop() -> AsyncIterator[Workshop]:
    """A running server that the tests of a module share."""
    async with open_workshop() as opened:
        yield opened


@contextlib.asynccontextmanager
async def open_workshop(*, streams: bool = False) -> AsyncIterator[Workshop]:
    """A running server, for as long as somebody needs it; one that `streams` can tell how far it has got."""
    import uvicorn
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        made = Workshop(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp")
        manager = StreamableHTTPSessionManager(make(made), json_response=not streams, stateless=True)
        ready, stop = asyncio.Event(), asyncio.Event()

        async def keep() -> None:
            async with manager.run():
                ready.set()
                await stop.wait()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await manager.handle_request(scope, receive, send)

        keeper = asyncio.create_task(keep())
        await ready.wait()
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning", timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield made
        server.should_exit = True
        await serving
        stop.set()
        await keeper
