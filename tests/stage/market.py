"""A whole city in this process with a scripted engine: what the tests of the store, of agents and of tools share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest_asyncio

from shanhe.compute.api import Rates
from stage.papers import vector_of

if TYPE_CHECKING:
    from pathlib import Path

    from shanhe.app import Services
    from shanhe.store.api import Listing

MODEL = "market-chat"
CREDITS = 1_000_000_000
YEAR_DAYS = 365
COST = Rates(3_000_000, 1_000_000, 12_000_000, 12_000_000, 3_000_000)
"""So that a small part of a small call is still some micro-credits."""
Reply = Callable[[dict[str, Any]], dict[str, Any]]


def says(text: str) -> Reply:
    """The engine's plain answer."""
    return lambda request: {"role": "assistant", "content": text}


def calls(name: str, arguments: dict[str, Any], number: str = "call_1") -> Reply:
    """The engine asks for a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    message = {"role": "assistant", "content": None,
               "tool_calls": [{"id": number, "type": "function", "function": function}]}  # fmt: skip
    return lambda request: message


class TalkingEngine:
    """An OpenAI-compatible engine that says what a test tells it to, in order, then the default; keeps what it saw."""

    def __init__(self) -> None:
        self.default: Reply = says("Hello there")
        self.replies: list[Reply] = []
        self.requests: list[dict[str, Any]] = []
        self.looked: list[bytes] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                request = json.loads(await reader.readexactly(length)) if length else {}
                body = json.dumps(self._answer(head, request)).encode()
                kind = b"content-type: application/json"
                writer.write(b"HTTP/1.1 200 OK\r\n%b\r\ncontent-length: %d\r\n\r\n" % (kind, len(body)))
                writer.write(body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, head: bytes, request: dict[str, Any]) -> dict[str, Any]:
        if head.startswith(b"GET"):
            self.looked.append(head)
            return {"object": "list", "data": [{"id": MODEL, "object": "model"}]}
        if "input" in request:
            rows = [{"object": "embedding", "index": at, "embedding": vector_of(text)}
                    for at, text in enumerate(request["input"])]  # fmt: skip
            usage = {"prompt_tokens": 10 * len(rows), "total_tokens": 10 * len(rows)}
            return {"object": "list", "data": rows, "model": request["model"], "usage": usage}
        self.requests.append(request)
        message = (self.replies.pop(0) if self.replies else self.default)(request)
        finish = "tool_calls" if message.get("tool_calls") else "stop"
        usage = {"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 40}
        return {"id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "usage": usage,
                "choices": [{"index": 0, "message": message, "finish_reason": finish}]}  # fmt: skip


@dataclass
class Party:
    """An organisation with a wallet and one key; `http` carries it."""

    org: UUID
    token: str
    http: httpx.AsyncClient


@dataclass
class Market:
    """The city and its helpers."""

    services: Services
    url: str
    engine: TalkingEngine

    async def party(self, name: str, *, permissions: frozenset[str] = frozenset(), subsidy: int = 0) -> Party:
        from shanhe.identity.api import NewKey, NewOrganisation, OrgKind

        org = await self.services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, name), by="tests")
        await self.services.credits.top_up(org.id, CREDITS, "for tests", "tests", method="cash_desk")
        if subsidy:
            await self.grant(org.id, subsidy)
        key = NewKey(name, permissions=permissions | {"chat", "publish", "receipts", "usage"})
        _, token = await self.services.identity.keys.create(org.id, key, by="tests")
        client = httpx.AsyncClient(
            base_url=self.url, headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )
        return Party(org.id, token, client)

    async def grant(self, org: UUID, micro: int) -> None:
        from shanhe.kernel.ids import new_id
        from shanhe.ledger.api import Asset, NewLot, Posting, Provenance, Transfer

        ledger = self.services.ledger
        wallet = await ledger.ensure_account(org, Asset.CREDIT, "wallet")
        issuance = await ledger.system_account("issuance", Asset.CREDIT)
        lot = NewLot(account=wallet.id, provenance=Provenance.SUBSIDY, amount=micro)
        transfer = Transfer(new_id(), issuance.id, wallet.id, micro)
        await ledger.post(Posting(id=new_id(), kind="test", transfers=(transfer,), lots=(lot,)))

    async def wallet(self, org: UUID, kind: str = "wallet") -> int:
        from shanhe.ledger.api import Asset

        account = await self.services.ledger.ensure_account(org, Asset.CREDIT, kind)
        return (await self.services.ledger.balance(account.id)).balance

    async def income(self, org: UUID) -> int:
        return await self.wallet(org, "income")

    async def indexed(self) -> None:
        """Every document handed in has been read."""
        waiting = "SELECT count(*) FROM retrieval.document WHERE state IN ('waiting', 'reading', 'embedding')"
        for _ in range(1_200):
            if not await self.services.db.fetchval(waiting):
                return
            await asyncio.sleep(0.05)
        raise AssertionError("documents wait to be read")

    async def listed(self, maker: UUID, name: str, content: dict[str, Any], **terms: Any) -> Listing:
        """A listing that went the whole way: opened, drafted, submitted, approved."""
        from shanhe.kernel.ids import new_id
        from shanhe.store.api import Kind, NewListing, Terms

        kind, _, slug = name.partition("/")
        store = self.services.store
        listing = await store.open(
            NewListing(new_id(), Kind(kind), slug, "测试项", "Test listing", "用于测试"), owner=maker, actor="tests"
        )
        await self.publish(maker, name, content, Terms(**{"markup_bps": 2_000, **terms}))
        return listing

    async def publish(self, maker: UUID, name: str, content: dict[str, Any], terms: Any) -> None:
        """The next version of a listing, approved."""
        store = self.services.store
        await store.draft(name, content, terms, owner=maker, actor="tests")
        version = await store.submit(name, owner=maker)
        await store.review(name, version.n, approve=True, note="fine", reviewer="tests", reviewer_org=None)

    async def reprice(self, maker: UUID, name: str, content: dict[str, Any], terms: Any) -> None:
        """The same, with the notice over that a higher price has."""
        from datetime import timedelta

        from shanhe.kernel.clock import FixedClock

        await self.publish(maker, name, content, terms)
        store, clock = self.services.store, self.services.clock
        store._clock = FixedClock(clock.now() + timedelta(days=YEAR_DAYS))
        try:
            await store.start_due()
        finally:
            store._clock = clock


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def market(template: Any, tmp_path_factory: Any) -> AsyncIterator[Market]:
    """The city that the tests of a module share."""
    async with open_market(template, tmp_path_factory) as opened:
        yield opened


@contextlib.asynccontextmanager
async def open_market(template: Any, tmp_path_factory: Any) -> AsyncIterator[Market]:
    """A city with an engine that says what it is told, for as long as somebody needs it."""
    from shanhe.app import open_services
    from shanhe.compute.api import NewEngine
    from shanhe.serving import build
    from shanhe.settings import Settings
    from shanhe.web import create_app

    name, folder = template.clone(), tmp_path_factory.mktemp("market")
    data: Path = folder / "city"
    data.mkdir()  # noqa: ASYNC240 - once, before anything runs
    engine = TalkingEngine()
    await engine.start()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        port = listener.getsockname()[1]
        settings = Settings(
            data=data,
            database_url=template.dsn(name),
            with_model=False,
            worker="w0",
            port=port,
            demo=False,
            private_tools=True,
        )
        async with open_services(settings, "gateway") as services:
            made = NewEngine(
                "market", f"http://127.0.0.1:{engine.port}/v1", {MODEL: MODEL}, COST, "",
                context_tokens=8_192, price_class="large",
            )  # fmt: skip
            await services.compute.add_engine(made, actor="tests")
            server = build(create_app(services), services.gateway.app)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            yield Market(services, f"http://127.0.0.1:{port}", engine)
            server.should_exit = True
            await serving
    await engine.stop()
    template.drop(name)
