"""A balance that covers exactly fifty calls answers exactly fifty of a thousand at once, over any number of workers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from decimal import Decimal

import pytest

from stage.fixtures import Stage, Tenant, chat, open_stage

CALLS, CALLS_QUICK = 1_000, 300
PAID = 50
STORM_LIMIT_S = 120
MICRO = 1_000_000


async def storm(stage: Stage, tenant: Tenant, calls: int) -> Counter[tuple[int, str]]:
    """All calls at once, each on a connection of its own; counts (status, error code)."""
    body = json.dumps(chat("exact")).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: city\r\nAuthorization: Bearer {tenant.token}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    async def call() -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.city.port)
        writer.write(head.encode() + body)
        said, _, content = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        status = int(said.split(b" ", 2)[1])
        return status, "" if status == 200 else json.loads(content)["error"]["code"]

    async with asyncio.timeout(STORM_LIMIT_S):
        return Counter(await asyncio.gather(*(call() for _ in range(calls))))


def price_micro(stage: Stage) -> int:
    """What one call costs, learnt from a receipt; its reservation must be the same amount."""
    probe = stage.tenant("Probe")
    with stage.client(probe) as client:
        answer = client.post("/v1/chat/completions", json=chat("exact"))
    answer.raise_for_status()
    evidence = stage.receipt(probe, answer.headers["x-shanhe-receipt"])["evidence"]
    assert evidence["held_micro"] - evidence["total_micro"] in (0, 1)
    return int(evidence["held_micro"])


def fifty_are_answered(stage: Stage, calls: int) -> None:
    price = price_micro(stage)
    tenant = stage.tenant("Fifty", credits=str(Decimal(price * PAID) / MICRO))
    assert stage.balance_micro(tenant) == price * PAID
    seen = asyncio.run(storm(stage, tenant, calls))
    assert seen == {(200, ""): PAID, (402, "insufficient_quota"): calls - PAID}
    assert stage.balance_micro(tenant) == 0
    assert stage.verify()["clean"] is True


class TestExactness:
    @pytest.mark.parametrize("calls", [CALLS_QUICK, pytest.param(CALLS, marks=pytest.mark.prove)])
    def test_fifty_of_many_are_answered_by_two_workers(self, stage: Stage, calls: int) -> None:
        assert len(stage.city.worker_pids()) == 2
        fifty_are_answered(stage, calls)

    @pytest.mark.prove
    def test_fifty_of_a_thousand_are_answered_by_one(self) -> None:
        with open_stage(workers=1) as stage:
            fifty_are_answered(stage, CALLS)
