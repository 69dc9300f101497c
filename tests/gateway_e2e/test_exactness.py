"""A balance that covers exactly fifty calls answers exactly fifty of a thousand at once, over any number of workers."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal

import httpx
import pytest

from stage.fixtures import Stage, Tenant, chat, open_stage

CALLS = 1_000
PAID = 50
CONNECTIONS = 200
MICRO = 1_000_000


async def storm(stage: Stage, tenant: Tenant) -> Counter[tuple[int, str]]:
    """All calls at once; counts (status, error code)."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    headers = {"authorization": f"Bearer {tenant.token}"}
    seen: Counter[tuple[int, str]] = Counter()
    async with httpx.AsyncClient(
        base_url=stage.url, headers=headers, limits=limits, timeout=120.0, trust_env=False
    ) as client:

        async def call() -> None:
            answer = await client.post("/v1/chat/completions", json=chat("exact"))
            seen[answer.status_code, "" if answer.is_success else answer.json()["error"]["code"]] += 1

        await asyncio.gather(*(call() for _ in range(CALLS)))
    return seen


def price_micro(stage: Stage) -> int:
    """What one call costs, learnt from a receipt; its reservation must be the same amount."""
    probe = stage.tenant("Probe")
    with stage.client(probe) as client:
        answer = client.post("/v1/chat/completions", json=chat("exact"))
    answer.raise_for_status()
    evidence = stage.receipt(probe, answer.headers["x-shanhe-receipt"])["evidence"]
    assert evidence["held_micro"] - evidence["total_micro"] in (0, 1)
    return int(evidence["held_micro"])


class TestExactness:
    @pytest.mark.parametrize("workers", [2, 1])
    def test_fifty_of_a_thousand_are_answered(self, workers: int) -> None:
        with open_stage(workers=workers) as stage:
            price = price_micro(stage)
            tenant = stage.tenant("Fifty", credits=str(Decimal(price * PAID) / MICRO))
            assert stage.balance_micro(tenant) == price * PAID
            seen = asyncio.run(storm(stage, tenant))
            assert seen == {(200, ""): PAID, (402, "insufficient_quota"): CALLS - PAID}
            assert stage.balance_micro(tenant) == 0
            assert stage.verify()["clean"] is True
