"""A whole city in this process, on a real port, with nodes that join it over their tunnels."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest_asyncio

from shanhe.app import Services, open_services
from shanhe.identity.api import NewKey, NewOrganisation, OrgKind
from shanhe.ledger.api import Asset
from shanhe.pool import passport
from shanhe.pool.agent.hosts import UrlHost
from shanhe.pool.agent.link import Link
from shanhe.pool.agent.main import Setup, joined, report_of
from shanhe.pool.errors import UnknownNode
from shanhe.pool.model import Offer
from shanhe.pool.synthetic import Character, Engine
from shanhe.serving import build
from shanhe.settings import Settings
from shanhe.web import create_app

MODEL = "pool-chat"


@dataclass
class Machine:
    """A joined machine: its engine, its agent, who lends it."""

    name: str
    owner: UUID
    engine: Engine
    link: Link
    running: asyncio.Task[None]
    host: UrlHost
    folder: Path

    async def stop(self) -> None:
        if not self.running.done():
            await self.link.leave()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.host.stop()
        await self.engine.stop()

    def cut(self) -> None:
        """As if the machine lost its power: the tunnel's socket dies in the middle of whatever it does."""
        self.running.cancel()
        link: Any = self.link
        if link._socket is not None:
            link._socket.transport.abort()


@dataclass
class Town:
    """The city and its helpers."""

    services: Services
    url: str
    folder: Path
    machines: list[Machine] = field(default_factory=list)

    async def org(self, name: str) -> UUID:
        made = await self.services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, name), by="tests")
        return made.id

    async def tenant(self, name: str = "payer", credits: int = 1_000_000_000) -> tuple[UUID, httpx.AsyncClient]:
        """An organisation with credits and a client that carries its key."""
        org = await self.org(name)
        await self.services.credits.top_up(org, credits, "for tests", "tests", method="cash_desk")
        _, token = await self.services.identity.keys.create(org, NewKey(name), by="tests")
        client = httpx.AsyncClient(
            base_url=self.url, headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False
        )
        return org, client

    async def machine(
        self, name: str, character: Character | None = None, *, owner: UUID | None = None, slots: int = 8, **token: Any
    ) -> Machine:
        """Let a machine join; returns when it serves."""
        owner = owner or await self.org(f"owner of {name}")
        secret, _ = await self.services.pool.make_token(name, owner, new_models=True, actor="tests", **token)
        engine = Engine(character or Character())
        url = await engine.start()
        host = UrlHost(Offer(MODEL, 8_192, movable=True), url)
        folder = self.folder / name
        setup = Setup(self.url, folder, secret, slots=slots)
        key = passport.load_key(folder)
        report = report_of(setup, [host])
        membership = await joined(setup, key.public_key().public_bytes_raw(), report)
        link = Link(membership, key, [host], report)
        machine = Machine(name, owner, engine, link, asyncio.create_task(link.run()), host, folder)
        self.machines.append(machine)
        await until(lambda: self.serves(name))
        return machine

    async def serves(self, name: str) -> bool:
        try:
            node = await self.services.pool.node(name)
        except UnknownNode:
            return False
        return node.state == "active" and any(
            status.name == node.engine and status.health == "up" for status in self.services.compute.statuses()
        )

    async def income(self, owner: UUID) -> int:
        account = await self.services.ledger.ensure_account(owner, Asset.CREDIT, "income")
        return (await self.services.ledger.balance(account.id)).balance

    async def spent(self, org: UUID, before: int = 1_000_000_000) -> int:
        account = await self.services.ledger.ensure_account(org, Asset.CREDIT, "wallet")
        return before - (await self.services.ledger.balance(account.id)).balance


def ask(text: str = "你好", **changes: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 16, **changes}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(template: Any, tmp_path_factory: Any) -> AsyncIterator[Town]:
    """The city that the tests of a module share."""
    name, folder = template.clone(), tmp_path_factory.mktemp("pool")
    settings = Settings(data=folder / "city", database_url=template.dsn(name), with_model=False, worker="w0")
    settings.data.mkdir()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(512)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with open_services(settings, "gateway") as services:
            server = build(create_app(services), services.gateway.app)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            yield Town(services, url, folder / "machines")
            server.should_exit = True
            await serving
    template.drop(name)


@pytest_asyncio.fixture(loop_scope="module")
async def town(house: Town) -> AsyncIterator[Town]:
    """The city without nodes; those that a test lets join are gone after it."""
    yield house
    await asyncio.gather(*(machine.stop() for machine in house.machines))
    for machine in house.machines:
        await house.services.pool.remove(machine.name, actor="tests")
    house.machines.clear()


async def until(check: Callable[[], Awaitable[bool]], limit_s: float = 20.0) -> None:
    """Wait for something that another task brings about."""
    async with asyncio.timeout(limit_s):
        while not await check():  # noqa: ASYNC110 - what is waited for has no event of ours
            await asyncio.sleep(0.02)
