"""A gateway on a real socket with a real ledger and rulebook; callers and engines are the test's."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from prometheus_client import CollectorRegistry

from shanhe.compute.address import parse_url
from shanhe.compute.model import Engine, EngineKind, EngineModel, Kind, ModelInfo, Rates
from shanhe.compute.routing import RoutingTable
from shanhe.compute.target import EngineState, Target
from shanhe.gateway.api import Gateway, protocol_for
from shanhe.identity.api import Caller, InvalidKey
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, Ledger, NewLot, Posting, Provenance, Transfer
from shanhe.rulebook.api import Rulebook

from .engine import ScriptedEngine

TOKEN = "sk-sh-test"
CONTEXT = 4096
OPENED_AT = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
REGISTERED_AT = datetime(2026, 1, 1, tzinfo=UTC)
RATES = Rates(2_000_000, 1_000_000, 4_000_000, 4_000_000, 4_000_000)


@dataclass
class Prices:
    input: int = RATES.input
    cached_input: int = RATES.cached_input
    output: int = RATES.output
    reasoning: int = RATES.reasoning
    tool: int = RATES.tool
    cache_write: int = RATES.cache_write
    version: str = "p1"
    thin: bool = False
    loss: bool = False


class Keys:
    """Stands for identity: tokens and who they are."""

    def __init__(self) -> None:
        self.known: dict[str, Caller] = {}

    def caller_cached(self, token: str) -> Caller | None:
        return self.known.get(token)

    async def caller(self, token: str) -> Caller:
        raise InvalidKey()


@dataclass
class Engines:
    """Stands for compute: a routing table over scripted engines."""

    targets: tuple[Target, ...] = ()
    price_revision: int = 1
    prices_now: Prices = field(default_factory=Prices)
    tokens_per_text: int | None = 7
    kind: str = "chat"
    price_class: str = "small"
    aliases: dict[str, str] = field(default_factory=dict)

    def _table(self) -> RoutingTable:
        info = ModelInfo(
            "syn",
            self.kind,
            "测试",
            "Test",
            CONTEXT,
            "none",
            "tests",
            REGISTERED_AT,
            ("e",),
            frozenset({"tools"}),
            self.price_class,
            True,
        )
        return RoutingTable((info,), {"syn": self.targets}, aliases=self.aliases)

    def models(self) -> list[ModelInfo]:
        return list(self._table().models)

    def model(self, name: str) -> ModelInfo | None:
        return self._table().by_id.get(name)

    def route(self, model: str, **rest: Any) -> Target | None:
        return self._table().choose(model, **rest)

    def prices(self, model: str, on: date) -> Prices:
        return self.prices_now

    async def tokenize(self, target: Target, text: str) -> int | None:
        return self.tokens_per_text

    async def count_chat(self, target: Target, messages: Any, tools: Any = ()) -> int | None:
        return self.tokens_per_text


def target_for(
    engine: ScriptedEngine, name: str, *, contributor: uuid.UUID | None, idle_ms: int, price_class: str = "small",
    features: frozenset[str] = frozenset({"tools"}),
) -> Target:  # fmt: skip
    url = f"http://127.0.0.1:{engine.port}/v1"
    served = EngineModel("syn", "syn", Kind.CHAT, CONTEXT, Rates(1_000_000, 0, 2_000_000, 0, 0), price_class)
    registered = Engine(
        new_id(),
        name,
        EngineKind.OPENAI,
        url,
        "",
        contributor,
        True,
        frozenset({"general"}),
        features,
        True,
        False,
        256,
        1024,
        2_000,
        idle_ms,
        REGISTERED_AT,
        (served,),
    )
    return Target(registered, served, parse_url(url), EngineState(name, 256, 1024), None)


class Desk:
    """Everything a test of calls needs at hand."""

    def __init__(self, gateway: Gateway, ledger: Ledger, engines: Engines, keys: Keys, port: int) -> None:
        self.gateway, self.ledger, self.engines, self.keys = gateway, ledger, engines, keys
        self.port = port
        self.org = new_id()
        self.engine = ScriptedEngine()
        self.second = ScriptedEngine()
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"authorization": f"Bearer {TOKEN}"}, timeout=20
        )

    def caller(self, **changes: Any) -> Caller:
        fields: dict[str, Any] = {
            "key_id": new_id(),
            "limit_scope": new_id(),
            "org_id": self.org,
            "key_name": "test",
            "models": None,
            "budget_day_micro": None,
            "budget_month_micro": None,
            "rpm": None,
            "tpm": None,
            "expires_at": None,
            "data_class": "general",
        }
        return Caller(**{**fields, **changes})

    async def fund(self, micro: int, **lot_terms: Any) -> None:
        wallet = await self.ledger.ensure_account(self.org, Asset.CREDIT, "wallet")
        issuance = await self.ledger.system_account("issuance", Asset.CREDIT)
        lot = NewLot(account=wallet.id, provenance=Provenance.PURCHASED, amount=micro, **lot_terms)
        await self.ledger.post(
            Posting(
                id=new_id(), kind="test", transfers=(Transfer(new_id(), issuance.id, wallet.id, micro),), lots=(lot,)
            )
        )

    async def balance(self) -> int:
        wallet = await self.ledger.ensure_account(self.org, Asset.CREDIT, "wallet")
        return (await self.ledger.balance(wallet.id)).balance

    async def chat(self, **changes: Any) -> httpx.Response:
        body = {"model": "syn", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 64}
        return await self.http.post("/v1/chat/completions", json={**body, **changes})

    async def heard(self) -> None:
        """Until the engine was asked for all that it has a script for."""
        async with asyncio.timeout(20):
            while self.engine.scripts:  # noqa: ASYNC110 - nothing tells when it takes one
                await asyncio.sleep(0.005)

    async def idle(self) -> None:
        """Until no call is in flight."""
        async with asyncio.timeout(20):
            while self.gateway.in_flight:  # noqa: ASYNC110 - nothing tells when the last call ends
                await asyncio.sleep(0.005)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(template: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """A gateway that the tests of a module share; each gets an organisation and engines of its own (`desk`)."""
    clock = FixedClock(OPENED_AT)
    name = template.clone()
    database = await Database.open(template.dsn(name))
    ledger = Ledger(database, clock, worker="w0", workers=1)
    await ledger.start()
    keys, engines = Keys(), Engines()
    gateway = Gateway(
        db=database,
        clock=clock,
        ledger=ledger,
        rulebook=Rulebook.load(),
        identity=keys,  # type: ignore[arg-type]
        compute=engines,  # type: ignore[arg-type]
        registry=CollectorRegistry(),
        slates=tmp_path_factory.mktemp("fees"),
    )
    await gateway.start()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1024)
    config = uvicorn.Config(
        gateway.app, http=protocol_for(gateway.app), lifespan="off", interface="asgi3", log_level="warning"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    made = Desk(gateway, ledger, engines, keys, listener.getsockname()[1])
    yield made
    await made.http.aclose()
    server.should_exit = True
    await serving
    await gateway.stop()
    await ledger.stop()
    await database.close()
    template.drop(name)


@pytest_asyncio.fixture(loop_scope="module")
async def desk(house: Desk) -> AsyncIterator[Desk]:
    """An organisation with 1,000 credits, one scripted engine with a contributor, and a second for fallback."""
    house.org = new_id()
    house.engine, house.second = ScriptedEngine(), ScriptedEngine()
    await house.engine.start()
    await house.second.start()
    house.engines.targets = (target_for(house.engine, "first", contributor=new_id(), idle_ms=300),)
    house.engines.kind, house.engines.price_class, house.engines.prices_now = "chat", "small", Prices()
    house.engines.price_revision += 1
    house.engines.aliases = {}
    house.keys.known[TOKEN] = house.caller()
    await house.fund(1_000_000_000)
    yield house
    await house.engine.stop()
    await house.second.stop()
