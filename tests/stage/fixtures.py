"""A real city on a free port with the scripted engine behind it, started once for each pytest process."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from shanhe.bench.city import City, launch
from shanhe.bench.processes import Child, free_port, running, spawn

UPSTREAM = Path(__file__).parent / "upstream.py"
ENGINE_KEY = "STAGE_ENGINE_KEY"
MODELS = (
    "good", "exact", "slow", "too-long", "busy", "broken", "hangup", "garbage", "stall", "silent", "negative", "liar",
    "cut", "error-inside", "stall-inside",
)  # fmt: skip
UP_WITHIN_S = 20.0


@dataclass(frozen=True)
class Tenant:
    """An organisation with credits and one key."""

    org_id: str
    key_id: str
    token: str


@dataclass
class Stage:
    """A running city whose engines are the scripted one, one engine for each model."""

    city: City
    upstream_port: int

    @property
    def url(self) -> str:
        return self.city.url

    def tenant(self, name: str, credits: str = "100", options: Sequence[str] = ()) -> Tenant:
        """An organisation of its own, so that no test sees another's balance."""
        org = str(self.city.command("orgs", "create", name)["id"])
        if credits != "0":
            self.city.command("credits", "top-up", org, credits)
        key = self.city.command("keys", "create", "--org", org, *options)
        return Tenant(org, str(key["id"]), str(key["token"]))

    def balance_micro(self, tenant: Tenant) -> int:
        """What the ledger says the organisation has."""
        return int(self.city.command("credits", "balance", tenant.org_id)["balance_micro"])

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
        until = time.monotonic() + 5.0
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


def furnish(city: City, upstream_port: int) -> Stage:
    """Register the scripted engine once for each model, so that one model's circuit never opens another's."""
    for model in MODELS:
        city.command(
            "engines", "add", f"stage-{model}", "--url", f"http://127.0.0.1:{upstream_port}/v1",
            "--key-env", ENGINE_KEY, "--model", f"{model}={model}",
        )  # fmt: skip
    return Stage(city, upstream_port)


@contextlib.contextmanager
def open_stage(*, workers: int = 1, environment: dict[str, str] | None = None) -> Iterator[Stage]:
    """A city of its own for a test that breaks or drains it."""
    folder = Path(tempfile.mkdtemp(prefix="shanhe-stage-"))
    with running([]) as children:
        try:
            upstream, port = start_upstream(folder)
            children.append(upstream)
            settings = {ENGINE_KEY: "unused", "SHANHE_DEMO": "false", **(environment or {})}
            city = launch(folder / "city", workers=workers, environment=settings)
            children.append(city.child)
            city.wait_until_ready()
            yield furnish(city, port)
        finally:
            for child in reversed(children):
                child.stop()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The common city of the end-to-end tests."""
    with open_stage() as opened:
        yield opened
