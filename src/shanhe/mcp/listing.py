"""Lists of tools as bytes: encoded once for each version of a server, joined once for each kind of viewer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from shanhe.kernel.money import format_credits
from shanhe.mcp import wire
from shanhe.mcp.model import SEPARATOR, Offered, Tool

PAGE_TOOLS: Final = 2_000
BELIEVED_FOR_S: Final = 5.0
"""How long a list stands without being asked anew; a change of what is for sale is heard of at once."""
VIEWERS_MAX: Final = 64
SERVERS_MAX: Final = 4_000
Viewer = frozenset[str] | None
"""What a key may use; None = everything."""
ToolsOf = Callable[[Offered], Awaitable[Sequence[Tool]]]
Everything = Callable[[], Awaitable[Sequence[tuple[Offered, Tool]]]]


class Listing:
    """Encoded lists of one process. `first`: tools that stand in front of everybody's list."""

    def __init__(self, tools_of: ToolsOf, everything: Everything) -> None:
        self.first: Sequence[Tool] = ()
        self._tools_of = tools_of
        self._everything = everything
        self._servers: dict[tuple[str, int], tuple[float, bytes]] = {}
        self._all: dict[Viewer, tuple[float, list[bytes]]] = {}
        self._whole: dict[Viewer, bytes] = {}

    def forget(self) -> None:
        """Something may have changed."""
        self._servers.clear()
        self._all.clear()
        self._whole.clear()

    async def of_server(self, offer: Offered, *, modern: bool) -> bytes:
        """The result of `tools/list` of one server, under its tools' own names."""
        key, now = (offer.slug, offer.version), time.monotonic()
        known = self._servers.get(key)
        if known is None or now - known[0] > BELIEVED_FOR_S:
            tools = [shown(tool, tool.name, offer.fee_micro) for tool in await self._tools_of(offer)]
            if len(self._servers) >= SERVERS_MAX:
                self._servers.clear()
            known = self._servers[key] = now, b",".join(tools)
        return result(known[1], None, modern=modern)

    async def of_all(self, viewer: Viewer, start: int, *, modern: bool) -> bytes:
        """The result of `tools/list` of everything a viewer may use, a page from `start` on."""
        now = time.monotonic()
        known = self._all.get(viewer)
        if known is None or now - known[0] > BELIEVED_FOR_S:
            if len(self._all) >= VIEWERS_MAX:
                self.forget()
            known = self._all[viewer] = now, await self._encoded(viewer)
            self._whole.pop(viewer, None)
        tools = known[1]
        if start == 0 and len(tools) <= PAGE_TOOLS:
            whole = self._whole.get(viewer)
            if whole is None:
                whole = self._whole[viewer] = b",".join(tools)
            return result(whole, None, modern=modern)
        end = start + PAGE_TOOLS
        return result(b",".join(tools[start:end]), str(end) if end < len(tools) else None, modern=modern)

    async def _encoded(self, viewer: Viewer) -> list[bytes]:
        found = [shown(tool, tool.name, 0) for tool in self.first]
        found += [
            shown(tool, f"{offer.slug}{SEPARATOR}{tool.name}", offer.fee_micro)
            for offer, tool in await self._everything()
            if viewer is None or f"mcp/{offer.slug}" in viewer
        ]
        return found


def shown(tool: Tool, name: str, fee_micro: int) -> bytes:
    """A tool for a list; its fee stands in the description, where people and models read it."""
    description = tool.description
    if fee_micro:
        description = f"{description} ({format_credits(fee_micro)} credits a call)".strip()
    return wire.encode({"name": name, "description": description, "inputSchema": tool.schema})


def result(tools: bytes, cursor: str | None, *, modern: bool) -> bytes:
    """A list's result around encoded tools, as the protocol's version wants it."""
    following = b"" if cursor is None else b',"nextCursor":' + wire.encode(cursor)
    about = b'"cacheScope":"private","resultType":"complete","ttlMs":0,' if modern else b""
    return b"{" + about + b'"tools":[' + tools + b"]" + following + b"}"
