"""Lists of tools as bytes: encoded once for each version of a server, joined once for each kind of viewer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from shanhe.kernel.money import said_credits
from shanhe.mcp import wire
from shanhe.mcp.model import SEPARATOR, Offered, Tool

FEE: Final = "shanhe/fee_micro"
PAGE_TOOLS: Final = 2_000
BELIEVED_FOR_S: Final = 60.0
"""How long a list stands without being asked anew; a change of what is for sale is heard of at once."""
VIEWERS_MAX: Final = 64
SERVERS_MAX: Final = 4_000
Viewer = frozenset[str] | None
"""What a key may use; None = everything."""
ToolsLooked = Callable[[Offered], Awaitable[Sequence[Tool]]]
Offers = Callable[[], Awaitable[Sequence[Offered]]]
ToolsOf = Callable[[Sequence[Offered]], Awaitable[Mapping[str, Sequence[Tool]]]]
"""The tools of servers by their slug, as far as they have been looked at."""


class Listing:
    """Encoded lists of one process. `first`: tools that stand in front of everybody's list.

    What a version's tools are never changes once it was looked at, so their bytes are kept for good; only which servers
    there are is asked anew.
    """

    def __init__(self, offers: Offers, tools_of: ToolsOf) -> None:
        self.first: Sequence[Tool] = ()
        self._offers = offers
        self._tools_of = tools_of
        self._plain: dict[tuple[str, int], bytes] = {}
        self._named: dict[tuple[str, int], list[bytes]] = {}
        self._all: dict[Viewer, tuple[float, list[bytes]]] = {}
        self._whole: dict[Viewer, bytes] = {}

    def forget(self) -> None:
        """Which servers there are may have changed."""
        self._all.clear()
        self._whole.clear()

    async def of_server(self, offer: Offered, tools: ToolsLooked, *, modern: bool) -> bytes:
        """The result of `tools/list` of one server, under its tools' own names; `tools` looks where nobody has."""
        key = (offer.slug, offer.version)
        known = self._plain.get(key)
        if known is None:
            known = b",".join(shown(tool, tool.name, offer.fee_micro) for tool in await tools(offer))
            if len(self._plain) >= SERVERS_MAX:
                self._plain.clear()
            self._plain[key] = known
        return result(known, None, modern=modern)

    async def of_all(self, viewer: Viewer, start: int, *, modern: bool) -> bytes:
        """The result of `tools/list` of everything a viewer may use, a page from `start` on."""
        now = time.monotonic()
        known = self._all.get(viewer)
        if known is None or now - known[0] > BELIEVED_FOR_S:
            if len(self._all) >= VIEWERS_MAX:
                self.forget()
            tools = await self._encoded(viewer)
            if known is None or tools != known[1]:
                self._whole.pop(viewer, None)
            known = self._all[viewer] = now, tools
        tools = known[1]
        if start == 0 and len(tools) <= PAGE_TOOLS:
            whole = self._whole.get(viewer)
            if whole is None:
                whole = self._whole[viewer] = b",".join(tools)
            return result(whole, None, modern=modern)
        end = start + PAGE_TOOLS
        return result(b",".join(tools[start:end]), str(end) if end < len(tools) else None, modern=modern)

    async def _encoded(self, viewer: Viewer) -> list[bytes]:
        offers = [one for one in await self._offers() if viewer is None or f"mcp/{one.slug}" in viewer]
        unknown = [one for one in offers if (one.slug, one.version) not in self._named]
        if unknown:
            if len(self._named) + len(unknown) > SERVERS_MAX:
                self._named.clear()
                unknown = offers
            found = await self._tools_of(unknown)
            for offer in unknown:
                if offer.slug in found:
                    self._named[offer.slug, offer.version] = [
                        shown(tool, f"{offer.slug}{SEPARATOR}{tool.name}", offer.fee_micro)
                        for tool in found[offer.slug]
                    ]
        named = [self._named.get((one.slug, one.version), ()) for one in offers]
        return [*(shown(tool, tool.name, 0) for tool in self.first), *(tool for tools in named for tool in tools)]


def shown(tool: Tool, name: str, fee_micro: int) -> bytes:
    """A tool for a list; its fee stands in the description, for people and models, and beside it for programs."""
    description, fee = tool.description, dict[str, Any]()
    if fee_micro:
        description = f"{description} ({said_credits(fee_micro)} credits a call)".strip()
        fee["_meta"] = {FEE: fee_micro}
    return wire.encode({"name": name, "description": description, "inputSchema": tool.schema, **tool.about, **fee})


def result(tools: bytes, cursor: str | None, *, modern: bool) -> bytes:
    """A list's result around encoded tools, as the protocol's version wants it."""
    following = b"" if cursor is None else b',"nextCursor":' + wire.encode(cursor)
    about = b'"cacheScope":"private","resultType":"complete","ttlMs":0,' if modern else b""
    return b"{" + about + b'"tools":[' + tools + b"]" + following + b"}"
