"""The tool gateway's decisions: which tools there are, who may call them, what it costs, what is kept of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.gateway.api import CallError, Gateway
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.vault import Vault
from shanhe.mcp import store
from shanhe.mcp.address import checked_url
from shanhe.mcp.errors import AnswerTooLarge, BadSecret, BadServer, OverQuota, UnknownServer, UnknownTool
from shanhe.mcp.model import (
    CALLS_MAX,
    FORBIDDEN_HEADERS,
    HEADER,
    SCHEMA_MAX_BYTES,
    SEPARATOR,
    TIMEOUT_MAX_MS,
    TOOL,
    TOOLS_MAX,
    CallRecord,
    Offered,
    Server,
    Tool,
)
from shanhe.mcp.secrets import Sealer
from shanhe.mcp.upstream import Links

if TYPE_CHECKING:
    from shanhe.identity.api import Caller

MINUTE: Final = timedelta(minutes=1)
KEEP: Final = timedelta(days=366)
"""How long records of calls are kept: a year of questions about them."""
ARGUMENTS_MAX_BYTES: Final = 64 * 1024
RESULT_MAX_BYTES: Final = 256 * 1024
OFFERED_TTL_S: Final = 5.0
"""How long an offer is remembered; a withdrawn listing is refused by its price at once."""
OFFERS_MAX: Final = 2_000
HIDDEN: Final = ("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u202e")
"""Signs that hide text from a reviewer but not from a model; so do the tag characters from U+E0000 on."""
Find = Callable[[str], Awaitable[Offered | None]]
Finding = tuple[str, bool, str, str]


class ToolSaidNo(Exception):
    """A tool answered that it could not do it: an answer to pass on, but not one to charge."""

    def __init__(self, result: Any) -> None:
        super().__init__()
        self.result = result


class ToolGateway:
    """Tools of publishers, for one process. `private`: servers in private networks are allowed (for a city's own)."""

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, *, gateway: Gateway, find: Find,
        everything: Callable[[], Awaitable[Sequence[Offered]]], private: bool,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._gateway = gateway
        self._find = find
        self._everything = everything
        self._private = private
        self._sealer = Sealer(vault)
        self._links = Links(private=private)
        self._offers: dict[str, tuple[float, Offered]] = {}

    async def stop(self) -> None:
        """Close the connections to publishers' servers."""
        await self._links.stop()

    async def purge(self) -> int:
        """Forget records of calls that nobody needs any more; receipts stay on the ledger."""
        return await store.purge(self._db, self._clock.now() - KEEP)

    # -- publishing ---------------------------------------------------------------------------------------------------

    async def check(self, owner: UUID, content: Mapping[str, Any]) -> list[Finding]:
        """What is right and wrong with a server before it is offered: its form, its address, its tools as they are."""
        try:
            server = server_of(content, private=self._private)
        except BadServer as error:
            return [("server", False, error.message_zh, error.message)]
        found: list[Finding] = [("server", True, "格式正确", "the form is right")]
        try:
            headers = await self._headers(owner, server)
            tools = await self._links.tools(("check", 0, new_id()), server.url, headers, server.timeout_ms)
        except ShanheError as error:
            return [*found, ("conformance", False, error.message_zh, error.message)]
        found.append(
            ("conformance", True, f"已连接，列出 {len(tools)} 个工具", f"it answers and lists {len(tools)} tools")
        )
        by_name = {tool.name: tool for tool in tools}
        missing = [name for name in server.tools if name not in by_name]
        found.append(("tools", not missing, f"缺少工具：{'、'.join(missing)}" if missing else "工具齐全",
                      f"missing: {', '.join(missing)}" if missing else "the tools are there"))  # fmt: skip
        bad = [name for name in server.tools if name in by_name and (why := suspicious(by_name[name])) and why]
        found.append(("security", not bad, f"描述含隐藏字符或过大：{'、'.join(bad)}" if bad else "未发现隐藏内容",
                      f"hidden signs or too large: {', '.join(bad)}" if bad else "nothing hidden"))  # fmt: skip
        return found

    async def put_secret(self, owner: UUID, name: str, value: str, *, actor: str) -> None:
        """Keep a secret; it is never shown again."""
        sealed = self._sealer.seal(owner, name, value)
        if len(await store.secret_names(self._db, owner)) > store.SECRETS_MAX:
            raise BadSecret(f"at most {store.SECRETS_MAX} an organisation", f"每个组织最多 {store.SECRETS_MAX} 个")
        await store.put_secret(self._db, owner, name, sealed, self._clock.now(), actor)

    async def drop_secret(self, owner: UUID, name: str) -> bool:
        """Forget a secret; whether there was one."""
        return await store.drop_secret(self._db, owner, name)

    async def secret_names(self, owner: UUID) -> list[str]:
        """What secrets are called, never what they are."""
        return [row["name"] for row in await store.secret_names(self._db, owner)]

    # -- looking ------------------------------------------------------------------------------------------------------

    async def offered(self, slug: str) -> Offered:
        """A server as it is for sale; UnknownServer."""
        known = self._offers.get(slug)
        if known is not None and time.monotonic() - known[0] < OFFERED_TTL_S:
            return known[1]
        found = await self._find(slug)
        if found is None:
            self._offers.pop(slug, None)
            raise UnknownServer(slug)
        if len(self._offers) >= OFFERS_MAX:
            self._offers.clear()
        self._offers[slug] = (time.monotonic(), found)
        return found

    async def tools(self, slug: str) -> list[Tool]:
        """A server's allowed tools, as they were when this version was first looked at."""
        offer = await self.offered(slug)
        known = await store.tools(self._db, offer.slug, offer.version)
        if not known:
            headers = await self._headers(offer.owner, offer.server)
            key = (offer.slug, offer.version, offer.owner)
            seen = await self._links.tools(key, offer.server.url, headers, offer.server.timeout_ms)
            allowed = [tool for tool in seen if tool.name in offer.server.tools and not suspicious(tool)]
            await store.keep_tools(self._db, offer.slug, offer.version, allowed, self._clock.now())
            known = await store.tools(self._db, offer.slug, offer.version)
        return [tool for tool in known if tool.name in offer.server.tools]

    async def every_tool(self) -> list[tuple[Offered, Tool]]:
        """Tools of every server that have been looked at, for one list of all."""
        offers = await self._everything()
        found = await store.all_tools(self._db, [(offer.slug, offer.version) for offer in offers])
        return [
            (offer, tool) for offer in offers for tool in found.get(offer.slug, ()) if tool.name in offer.server.tools
        ]

    async def calls(
        self, *, org_id: UUID | None = None, server: str | None = None, before: UUID | None = None
    ) -> list[CallRecord]:
        """What was called, newest first, a page."""
        return await store.calls(self._db, org_id, server, before)

    # -- calling ------------------------------------------------------------------------------------------------------

    async def call(
        self, caller: Caller, slug: str, tool: str, arguments: Mapping[str, Any], *, most_micro: int | None = None
    ) -> tuple[Any, int, UUID | None]:
        """Call a tool: (its `CallToolResult`, what it cost in µ, the receipt).

        The fee is held before and booked after the server answered; a call that fails costs nothing. Every call is
        recorded, refused ones too.
        """
        began, number = time.perf_counter(), new_id()
        sent, got, paid, receipt, state, error = 0, 0, 0, None, "done", ""
        try:
            sent = len(msgspec.json.encode(arguments))
            offer = await self._admit(caller, slug, tool, sent)
            async with self._gateway.toll(caller, f"mcp/{slug}", f"mcp/{slug}/{tool}", most_micro) as toll:
                result = await self._reach(offer, caller, tool, arguments)
                got = len(result.model_dump_json(by_alias=True, exclude_none=True))
                if got > RESULT_MAX_BYTES:
                    raise AnswerTooLarge(slug, RESULT_MAX_BYTES)
                if result.is_error:
                    raise ToolSaidNo(result)  # the block ends badly: the fee is given back
            paid, receipt = toll.paid_micro, toll.receipt_id
            return result, paid, receipt
        except ToolSaidNo as refusal:
            state, error = "failed", "tool_said_no"
            return refusal.result, 0, None
        except (ShanheError, CallError) as failure:
            state, error = ("refused" if failure.status < 500 else "failed"), failure.code
            raise
        finally:
            took_ms = int((time.perf_counter() - began) * 1000)
            record = CallRecord(number, self._clock.now(), caller.org_id, caller.key_id, slug[:64], tool[:64], state,
                                error, sent, got, took_ms, paid, receipt)  # fmt: skip
            await store.record(self._db, record)

    async def _admit(self, caller: Caller, slug: str, tool: str, sent: int) -> Offered:
        offer = await self.offered(slug)
        if caller.models is not None and f"mcp/{slug}" not in caller.models:
            raise UnknownServer(slug)
        if tool not in offer.server.tools:
            raise UnknownTool(f"{slug}{SEPARATOR}{tool}")
        if sent > ARGUMENTS_MAX_BYTES:
            raise BadServer(f"arguments above {ARGUMENTS_MAX_BYTES} bytes", f"参数超过 {ARGUMENTS_MAX_BYTES} 字节")
        since = self._clock.now() - MINUTE
        if await store.calls_since(self._db, slug, caller.org_id, since) >= offer.server.calls_per_minute:
            raise OverQuota(slug, offer.server.calls_per_minute)
        return offer

    async def _reach(self, offer: Offered, caller: Caller, tool: str, arguments: Mapping[str, Any]) -> Any:
        headers = await self._headers(offer.owner, offer.server)
        key = (offer.slug, offer.version, caller.org_id)
        return await self._links.call(key, offer.server.url, headers, tool, arguments, offer.server.timeout_ms)

    async def _headers(self, owner: UUID, server: Server) -> dict[str, str]:
        """The publisher's secrets as headers; BadSecret for one that is not there."""
        headers = {}
        for header, name in server.secrets.items():
            sealed = await store.secret(self._db, owner, name)
            if sealed is None:
                raise BadSecret(f"there is no secret {name}", f"没有名为 {name} 的密钥")
            headers[header] = self._sealer.open(owner, name, sealed)
        return headers


def server_of(content: Mapping[str, Any], *, private: bool) -> Server:
    """A server out of what a publisher wrote; BadServer names what is wrong."""
    try:
        found = msgspec.convert(dict(content), Server)
    except msgspec.ValidationError as error:
        raise BadServer(str(error), str(error)) from error
    checked_url(found.url, private=private)
    problems = [
        (not 1 <= len(found.tools) <= TOOLS_MAX, f"tools: 1 to {TOOLS_MAX}"),
        (len(set(found.tools)) < len(found.tools), "tools: each once"),
        (any(not TOOL.fullmatch(tool) for tool in found.tools), "tools: letters, digits, _, - and . only"),
        (not 100 <= found.timeout_ms <= TIMEOUT_MAX_MS, f"timeout_ms: 100 to {TIMEOUT_MAX_MS}"),
        (not 1 <= found.calls_per_minute <= CALLS_MAX, f"calls_per_minute: 1 to {CALLS_MAX}"),
        (
            any(not HEADER.fullmatch(name) or name.lower() in FORBIDDEN_HEADERS for name in found.secrets),
            "secrets: a header that the protocol does not set itself",
        ),
        (found.local and not private, "local: only in a city that allows tools in its own networks"),
    ]
    for wrong, what in problems:
        if wrong:
            raise BadServer(what, what)
    return found


def suspicious(tool: Tool) -> bool:
    """Whether a tool's description hides something from whoever reviews it, or is too large to be looked at."""
    text = tool.name + tool.description + msgspec.json.encode(tool.schema).decode()
    hidden = any(sign in text for sign in HIDDEN) or any(0xE0000 <= ord(sign) <= 0xE007F for sign in text)
    return hidden or len(msgspec.json.encode(tool.schema)) > SCHEMA_MAX_BYTES


def text_of(result: Any) -> str:
    """A tool's answer as a model reads it: texts as they are, other kinds by name, else the structured content."""
    parts = [
        getattr(part, "text", None) or f"[{getattr(part, 'type', 'content')}]" for part in result.content or ()
    ]  # fmt: skip
    if parts:
        return "\n".join(parts)
    return msgspec.json.encode(result.structured_content or {}).decode()
