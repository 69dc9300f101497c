"""A real city on a free port with the scripted engine behind it, started once for each pytest process."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import httpx
import pytest

from shanhe.bench.city import City, launch
from shanhe.bench.processes import Child, free_port, running, spawn
from shanhe.kernel.money import parse_credits
from stage.nursery import allow_files, program

if TYPE_CHECKING:
    from shanhe.app import Services

UPSTREAM = Path(__file__).parent / "upstream.py"
ACTOR = "tests"
CONTEXT_TOKENS = 32_768
T = TypeVar("T")
ENGINE_KEY = "STAGE_ENGINE_KEY"
MODELS = (
    "good", "exact", "slow", "too-long", "busy", "broken", "hangup", "garbage", "stall", "silent", "negative", "liar",
    "cut", "error-inside", "stall-inside",
)  # fmt: skip
UP_WITHIN_S = 120.0
BOOKED_WITHIN_S = 60.0


@dataclass(frozen=True)
class Tenant:
    """An organisation with credits and one key."""

    org_id: UUID
    key_id: UUID
    token: str


@dataclass
class Stage:
    """A running city whose engines are the scripted one, one engine for each model."""

    city: City
    upstream_port: int
    end: Callable[[], None] = lambda: None
    """Stop it before whoever opened it does: a city that nobody needs any more still takes its share of a CPU."""

    @property
    def url(self) -> str:
        return self.city.url

    def tenant(self, name: str, credits: str = "100", **key: Any) -> Tenant:
        """An organisation of its own, so that no test sees another's balance; `key` are fields of `NewKey`."""
        from shanhe.identity.api import NewKey, NewOrganisation, OrgKind

        async def work(services: Services) -> Tenant:
            org = await services.identity.orgs.create(NewOrganisation(OrgKind.COMPANY, name), by=ACTOR)
            amount_micro = parse_credits(credits)
            if amount_micro:
                await services.credits.top_up(org.id, amount_micro, "for tests", ACTOR, method="cash_desk")
            made, token = await services.identity.keys.create(org.id, NewKey(name, **key), by=ACTOR)
            return Tenant(org.id, made.id, token)

        return self.run(work)

    def run(self, work: Callable[[Services], Awaitable[T]]) -> T:
        """Do something in the city's own services, beside the running server, as its commands do."""
        from shanhe.app import open_services
        from shanhe.cli.common import database, settings_for

        async def opened() -> T:
            async with (
                database(settings_for(self.city.data)) as settings,
                open_services(settings, "cli") as services,
            ):
                return await work(services)

        return asyncio.run(opened())

    def balance_micro(self, tenant: Tenant) -> int:
        """What the ledger says the organisation has."""

        async def work(services: Services) -> int:
            return (await services.credits.wallet(tenant.org_id)).balance_micro

        return self.run(work)

    def verify(self) -> dict[str, Any]:
        """`shanhe ledger verify`; fails the caller when anything is off."""
        report: dict[str, Any] = self.city.command("ledger", "verify")
        return report

    def client(self, tenant: Tenant, **options: Any) -> httpx.Client:
        """A plain HTTP client with the tenant's key."""
        headers = {"authorization": f"Bearer {tenant.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30.0, trust_env=False, **options)

    def receipt(self, tenant: Tenant, receipt_id: str) -> dict[str, Any]:
        """The receipt of a call; waits a moment for a stream that is still being drained."""
        until = time.monotonic() + BOOKED_WITHIN_S
        with self.client(tenant) as client:
            while True:
                answer = client.get(f"/api/receipts/{receipt_id}")
                if answer.status_code == 200 or time.monotonic() > until:
                    answer.raise_for_status()
                    body: dict[str, Any] = answer.json()
                    return body
                time.sleep(0.05)


def chat(model: str = "good", **fields: Any) -> dict[str, Any]:
    """A small chat request."""
    return {"model": model, "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 32, **fields}


def start_upstream(folder: Path) -> tuple[Child, int]:
    """The scripted engine as a process of its own."""
    port = free_port()
    child = spawn("upstream", [sys.executable, str(UPSTREAM), str(port)], folder)
    until = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{port}/v1/models", trust_env=False)
            return child, port
        time.sleep(0.05)
    raise AssertionError(f"the scripted engine did not start:\n{child.tail()}")


def furnish(stage: Stage) -> Stage:
    """Register the scripted engine once for each model, so that one model's circuit never opens another's."""
    from shanhe.compute.api import NewEngine, card

    async def work(services: Services) -> None:
        own = card(services.settings.model).cost
        url = f"http://127.0.0.1:{stage.upstream_port}/v1"
        for model in MODELS:
            engine = NewEngine(f"stage-{model}", url, {model: model}, own, ENGINE_KEY, context_tokens=CONTEXT_TOKENS)
            await services.compute.add_engine(engine, actor=ACTOR)

    stage.run(work)
    return stage


@contextlib.contextmanager
def open_stage(*, workers: int = 1, environment: dict[str, str] | None = None) -> Iterator[Stage]:
    """A city of its own for a test that breaks or drains it."""
    allow_files()
    folder = Path(tempfile.mkdtemp(prefix="shanhe-stage-"))
    with running([]) as children:
        try:
            upstream, port = start_upstream(folder)
            children.append(upstream)
            settings = {ENGINE_KEY: "unused", "SHANHE_DEMO": "false", **(environment or {})}
            city = launch(folder / "city", workers=workers, environment=settings, program=program())
            children.append(city.child)
            city.wait_until_ready()
            yield furnish(Stage(city, port))
        finally:
            for child in reversed(children):
                child.stop()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The common city of the end-to-end tests, with two gateway workers."""
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(open_stage(workers=2))
        opened.end = stack.close
        yield opened
