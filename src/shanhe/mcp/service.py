"""The tool gateway's decisions: which tools there are, who may call them, what it costs, what is kept of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID, uuid5

import msgspec

from shanhe.gateway.api import CallError, Gateway, Toll
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seal, Seals
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Ledger, Limit, LimitExceeded
from shanhe.mcp import store
from shanhe.mcp.address import checked_url
from shanhe.mcp.errors import BadSecret, BadServer, CallerLeft, OverQuota, UnknownServer
from shanhe.mcp.hosted import Bench, check_hosted, tools_of
from shanhe.mcp.listing import Listing
from shanhe.mcp.metering import LEFT_WAIT_S, Metered, size_of
from shanhe.mcp.model import (
    CALLS_MAX,
    FORBIDDEN_HEADERS,
    HEADER,
    PASSES,
    TIMEOUT_MAX_MS,
    TOOL,
    TOOLS_MAX,
    CallRecord,
    Offered,
    Server,
    Tool,
)
from shanhe.mcp.records import Records
from shanhe.mcp.secrets import Sealer
from shanhe.mcp.suspicion import suspicious
from shanhe.mcp.upstream import Heard, Links

if TYPE_CHECKING:
    from shanhe.identity.api import Caller
    from shanhe.sandbox.api import Sandbox

KEEP: Final = timedelta(days=366)
"""How long records of calls are kept: a year of questions about them."""
LOOK_MS: Final = 20_000
LOOKS_MAX: Final = 16
"""Most servers looked at for one list."""
CALLS_LIMIT: Final = "tool_calls_per_minute"
OFFERED_TTL_S: Final = 5.0
"""How long an offer is remembered; a withdrawn listing is refused by its price at once."""
OFFERS_MAX: Final = 2_000
WARM_AFTER_S: Final = 0.1
QUOTAS_MAX: Final = 10_000
SECRET_FIELD, TOOL_FIELD = "mcp.secret", "mcp.tool"
Find = Callable[[str], Awaitable[Offered | None]]
Finding = tuple[str, bool, str, str]
Left = Callable[[], Awaitable[None]]
"""Returns when whoever called has gone."""
T = TypeVar("T")


class ToolGateway:
    """Tools of publishers, for one process. `private`: servers in private networks are allowed (for a city's own)."""

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, *, gateway: Gateway, ledger: Ledger, find: Find,
        everything: Callable[[], Awaitable[Sequence[Offered]]], sandbox: Sandbox, private: bool,
        seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._db = db
        self._seals = seals or Seals()
        self._clock = clock
        self._gateway = gateway
        self._ledger = ledger
        self._find = find
        self._private = private
        self._sealer = Sealer(vault)
        self._bench = Bench(sandbox)
        self._records = Records(db)
        self.links = Links(private=private)
        self._everything = everything
        self.listing = Listing(everything, self._looked_at)
        self._offers: dict[str, tuple[float, Offered]] = {}
        self._secrets: dict[tuple[str, int], tuple[float, dict[str, str]]] = {}
        self._quotas: dict[tuple[UUID, str, int], tuple[datetime, tuple[Limit, ...]]] = {}
        """What counts a payer's requests to a server, until the minute is over."""
        self._keeps_warm = False
        self._warming: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        gateway.charges.heed(self._forget)

    async def stop(self) -> None:
        """Write the last records and close the connections to publishers' servers."""
        for task in (self._warming, self._looking):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._records.stop()
        await self.links.stop()

    def _forget(self) -> None:
        """What is for sale may have changed."""
        self._offers.clear()
        self._secrets.clear()
        self.listing.forget()
        if self._keeps_warm and self._warming is None:
            self._warming = asyncio.create_task(self._warm_soon())

    async def _warm_soon(self) -> None:
        """Make the list anew once a change is complete, so that nobody who asks has to wait for it."""
        await asyncio.sleep(WARM_AFTER_S)
        self._warming = None  # a change from now on is another one
        with contextlib.suppress(*FAILURES, ShanheError):
            await self.warm()

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
        if server.hosted is not None:
            return [*found, *await self._bench.check(server)]
        try:
            headers = await self.headers_of(owner, server.secrets)
            tools = await self.links.tools(("check", 0, new_id()), server.url, headers, server.timeout_ms)
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

    async def tools_at(self, url: str) -> list[str]:
        """What a server at an address lists, by name; nothing of it is kept."""
        found = await self.links.tools(("look", 0, new_id()), url, {}, LOOK_MS)
        return [tool.name for tool in found if TOOL.fullmatch(tool.name)][:TOOLS_MAX]

    async def put_secret(self, owner: UUID, name: str, value: str, *, actor: str) -> None:
        """Keep a secret; it is never shown again."""
        sealed = self._sealer.seal(owner, name, value)
        if len(await store.secret_names(self._db, owner)) > store.SECRETS_MAX:
            raise BadSecret(f"at most {store.SECRETS_MAX} an organisation", f"每个机构最多 {store.SECRETS_MAX} 个")
        kept = b"".join((await self._seals.of(owner)).pieces(SECRET_FIELD, (sealed,)))
        await store.put_secret(self._db, owner, name, kept, self._clock.now(), actor)
        self._secrets.clear()

    async def drop_secret(self, owner: UUID, name: str) -> bool:
        """Forget a secret; whether there was one."""
        self._secrets.clear()
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

    async def for_sale(self) -> list[tuple[str, str, int]]:
        """Tools of every server that is for sale: (`server/tool`, its server's title, the fee of a call in µ)."""
        offers = await self._everything()
        return [(f"{one.slug}/{tool}", one.title, one.fee_micro) for one in offers for tool in one.server.tools]

    async def tools(self, slug: str) -> list[Tool]:
        """A server's allowed tools, as they were when this version was first looked at."""
        return await self._tools_of(await self.offered(slug))

    async def _tools_of(self, offer: Offered) -> list[Tool]:
        if offer.server.hosted is not None:
            return tools_of(offer.server)
        known = await store.tools(self._db, offer.slug, offer.version)
        if not known:
            headers = await self.secrets_of(offer)
            key = (offer.slug, offer.version, offer.owner)
            seen = await self.links.tools(key, offer.server.url, headers, offer.server.timeout_ms)
            allowed = [tool for tool in seen if tool.name in offer.server.tools and not suspicious(tool)]
            seal = await self._seals.of(offer.owner)
            kept = [_sealed(seal, tool) for tool in allowed]
            await store.keep_tools(self._db, offer.slug, offer.version, kept, self._clock.now())
            self.listing.forget()
            known = await store.tools(self._db, offer.slug, offer.version)
        seal = await self._seals.of(offer.owner)
        return [_opened(seal, tool) for tool in known if tool.name in offer.server.tools]

    async def _looked_at(self, offers: Sequence[Offered]) -> dict[str, list[Tool]]:
        """Allowed tools of servers that somebody has looked at, in one question."""
        away = [offer for offer in offers if offer.server.hosted is None]
        known = await store.all_tools(self._db, [(offer.slug, offer.version) for offer in away])
        found = {offer.slug: tools_of(offer.server) for offer in offers if offer.server.hosted is not None}
        for offer in away:
            if offer.slug in known:
                seal, tools = await self._seals.of(offer.owner), known[offer.slug]
                found[offer.slug] = [_opened(seal, tool) for tool in tools if tool.name in offer.server.tools]
        strange = [offer for offer in away if offer.slug not in known]
        if strange and self._looking is None:
            self._looking = asyncio.create_task(self._look(strange[:LOOKS_MAX]))
        return found

    async def _look(self, offers: Sequence[Offered]) -> None:
        """Look at servers that nobody has looked at, so that the next list has their tools; one that is away is looked
        at again when a list is made anew."""
        try:
            for offer in offers:
                with contextlib.suppress(*FAILURES, ShanheError):
                    await self._tools_of(offer)
        finally:
            self._looking = None

    async def list_of(self, offer: Offered, *, modern: bool) -> bytes:
        """The encoded result of `tools/list` of one server."""
        return await self.listing.of_server(offer, self._tools_of, modern=modern)

    async def warm(self) -> None:
        """Read and encode what everybody's list holds, so that nobody needs to wait for it; again when it changes."""
        self._keeps_warm = True
        await self.listing.of_all(None, 0, modern=True)

    async def calls(
        self, *, org_id: UUID | None = None, server: str | None = None, before: UUID | None = None
    ) -> list[CallRecord]:
        """What was called, newest first, a page."""
        await self._records.flush()
        return await store.calls(self._db, org_id, server, before)

    # -- calling ------------------------------------------------------------------------------------------------------

    async def call(
        self,
        caller: Caller,
        slug: str,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        left: Left | None = None,
        heard: Heard | None = None,
    ) -> tuple[dict[str, Any], int, UUID | None]:
        """Call a tool: (its result as the protocol has it, what it cost in µ, the receipt).

        The fee is held before and booked after the server answered; a call that fails costs nothing. Every call is
        recorded, refused ones too. `left` returns when nobody waits for the answer any more: what is not soon done is
        cancelled, and costs nothing. `heard` is told how far the tool has got, where its server says so.
        """
        metered = Metered(self, caller, slug, tool, size_of(arguments))
        try:
            offer = await self.admitted(caller, slug)
            await metered.begin(offer)
            metered.under_way()
            if offer.server.hosted is not None:
                result = await self._bench.call(offer.server, tool, arguments)
            else:
                result = await unless(left, slug, self._reach(offer, caller, tool, arguments, heard))
            result = await metered.finish(result, size_of(result))
            return result, metered.paid_micro, metered.receipt_id
        except (ShanheError, CallError) as failure:
            await metered.fail(failure)
            raise
        except BaseException:
            await metered.fail(UnknownServer(slug))
            raise

    async def _reach(
        self, offer: Offered, caller: Caller, tool: str, arguments: Mapping[str, Any], heard: Heard | None
    ) -> dict[str, Any]:
        key = (offer.slug, offer.version, caller.org_id)
        headers, server = await self.secrets_of(offer), offer.server
        return await self.links.call(key, server.url, headers, tool, arguments, server.timeout_ms, heard)

    async def admitted(self, caller: Caller, slug: str) -> Offered:
        """A server that this caller's key may use; UnknownServer."""
        offer = await self.offered(slug)
        if caller.models is not None and f"mcp/{slug}" not in caller.models:
            raise UnknownServer(slug)
        return offer

    async def count(self, caller: Caller, offer: Offered) -> None:
        """One more request of this payer to this server; OverQuota."""
        now, key = self._clock.now(), (caller.org_id, offer.slug, offer.version)
        known = self._quotas.get(key)
        if known is None or now >= known[0]:
            if len(self._quotas) >= QUOTAS_MAX:
                self._quotas.clear()
            minute = now.replace(second=0, microsecond=0)
            scope, window = uuid5(caller.org_id, offer.slug), minute.strftime("%Y-%m-%dT%H:%M")
            limit = Limit(scope, CALLS_LIMIT, window, offer.server.calls_per_minute, 1)
            known = self._quotas[key] = minute + timedelta(minutes=1), (limit,)
        try:
            if not self._ledger.try_count(known[1]):
                await self._ledger.count(known[1])
        except LimitExceeded as error:
            raise OverQuota(offer.slug, offer.server.calls_per_minute) from error

    def metered(self, caller: Caller, slug: str, tool: str, sent: int) -> Metered:
        """A call about to be made."""
        return Metered(self, caller, slug, tool, sent)

    async def toll(self, caller: Caller, slug: str, tool: str) -> Toll:
        """The fee of a call, held: see `Gateway.toll`."""
        return await self._gateway.toll(caller, f"mcp/{slug}", f"mcp/{slug}/{tool}")

    def record(self, record: CallRecord) -> None:
        """Keep what was called, for the audit."""
        self._records.add(record)

    def now(self) -> datetime:
        return self._clock.now()

    async def secrets_of(self, offer: Offered) -> dict[str, str]:
        """A server's secrets as headers, from memory for a moment."""
        if not offer.server.secrets:
            return {}
        key, now = (offer.slug, offer.version), time.monotonic()
        known = self._secrets.get(key)
        if known is None or now - known[0] > OFFERED_TTL_S:
            known = self._secrets[key] = now, await self.headers_of(offer.owner, offer.server.secrets)
        return known[1]

    async def headers_of(self, owner: UUID, secrets: Mapping[str, str]) -> dict[str, str]:
        """Headers with an organisation's secrets, out of header and name; BadSecret for one that is not there."""
        headers = {}
        for header, name in secrets.items():
            sealed = await store.secret(self._db, owner, name)
            if sealed is None:
                raise BadSecret(f"there is no secret {name}", f"没有名为 {name} 的密钥")
            headers[header] = self._sealer.open(owner, name, self._kept(await self._seals.of(owner), sealed))
        return headers

    def _kept(self, seal: Seal, stored: bytes) -> bytes:
        return seal.part(SECRET_FIELD, lambda at, size: stored[at:] if size < 0 else stored[at : at + size])


async def unless(left: Left | None, slug: str, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; CallerLeft where its caller has left and it is not soon done."""
    if left is None:
        return await work
    tasks = asyncio.ensure_future(work), asyncio.ensure_future(left())
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(tasks[:1], timeout=LEFT_WAIT_S)
        if tasks[0].done():
            return tasks[0].result()
        raise CallerLeft(slug)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _sealed(seal: Seal, tool: Tool) -> Tool:
    """A tool to keep: what a person's server says of it is theirs."""
    if not seal.personal:
        return tool
    return Tool(tool.name, seal.text(f"{TOOL_FIELD}.description", tool.description),
                seal.json(f"{TOOL_FIELD}.schema", tool.schema),
                seal.json(f"{TOOL_FIELD}.about", tool.about))  # fmt: skip


def _opened(seal: Seal, tool: Tool) -> Tool:
    if not seal.personal:
        return tool
    return Tool(tool.name, seal.open(f"{TOOL_FIELD}.description", tool.description),
                seal.open_json(f"{TOOL_FIELD}.schema", tool.schema, {}),
                seal.open_json(f"{TOOL_FIELD}.about", tool.about, {}))  # fmt: skip


def server_of(content: Mapping[str, Any], *, private: bool) -> Server:
    """A server out of what a publisher wrote; BadServer names what is wrong."""
    try:
        found = msgspec.convert(dict(content), Server)
    except msgspec.ValidationError as error:
        raise BadServer(str(error), str(error)) from error
    if found.hosted is None:
        checked_url(found.url, private=private)
    else:
        check_hosted(found)
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
        (not set(found.passes) <= PASSES, f"passes: {', '.join(sorted(PASSES))}"),
        (
            found.local and not private and found.hosted is None,
            "local: only in a city that allows tools in its own networks",
        ),
    ]
    for wrong, what in problems:
        if wrong:
            raise BadServer(what, what)
    return found


def text_of(result: Mapping[str, Any]) -> str:
    """A tool's answer as a model reads it: texts as they are, other kinds by name, else the structured content."""
    parts = [
        str(part.get("text") or f"[{part.get('type', 'content')}]")
        for part in result.get("content") or ()
        if isinstance(part, dict)
    ]
    if parts:
        return "\n".join(parts)
    return msgspec.json.encode(result.get("structuredContent") or {}).decode()
