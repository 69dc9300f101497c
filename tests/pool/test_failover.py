"""A machine that dies under load: another serves what had not begun, and what was delivered is charged."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any
from uuid import UUID

import httpx
import pytest

from shanhe.pool.synthetic import Character, Engine

from .conftest import MODEL, Town, ask, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
CALLS = 40


async def killed_under_load(town: Town, client: httpx.AsyncClient, pid: int) -> list[tuple[UUID, str]]:
    """Many streams at once, a `kill -9` in the middle: (receipt, how it ended) of each."""
    started = asyncio.Event()

    async def one(number: int) -> tuple[UUID, str]:
        ended = "broken"
        async with client.stream("POST", "/v1/chat/completions", json=ask(f"call {number}", stream=True)) as answer:
            assert answer.status_code == 200, (await answer.aread()).decode()
            async for line in answer.aiter_lines():
                started.set()
                if line == "data: [DONE]":
                    ended = "done"
            return UUID(answer.headers["x-shanhe-receipt"]), ended

    calls = [asyncio.create_task(one(number)) for number in range(CALLS)]
    await started.wait()
    os.kill(pid, signal.SIGKILL)
    return await asyncio.gather(*calls)


class TestKilledNode:
    @pytest.mark.prove
    async def test_fails_no_call_before_its_first_token_and_charges_what_was_delivered(self, town: Town) -> None:
        steady = await town.machine("steady", Character(decode_tps=60), slots=64)
        engine = Engine(Character(decode_tps=60, slots=64))
        url = await engine.start()
        owner = await town.org("owner of doomed")
        secret, _ = await town.services.pool.make_token("doomed", owner, actor="tests")
        agent = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "shanhe", "node", "join", town.url, "--token", secret, "--model", f"{MODEL}={url}",
            "--slots", "64", "--state", str(town.folder / "doomed"), "--json",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            await until(lambda: town.serves("doomed"), 60)
            payer, client = await town.tenant("under load")
            ended = await killed_under_load(town, client, agent.pid)
            receipts = [await town.services.gateway.receipt(receipt, payer) for receipt, _ in ended]
        finally:
            if agent.returncode is None:
                agent.kill()
            await agent.wait()
            await engine.stop()
        broken = [receipt for receipt in receipts if receipt.status == "broken"]
        assert {how for _, how in ended} <= {"done", "broken"}
        assert len(broken) == sum(how == "broken" for _, how in ended)
        assert all(receipt.evidence.engine == "node-doomed" for receipt in broken)
        assert all(receipt.evidence.buckets.input == 0 < receipt.evidence.buckets.output <= 16 for receipt in broken)
        whole = [receipt for receipt in receipts if receipt.status == "completed"]
        assert all(receipt.evidence.buckets.output == 16 for receipt in whole)
        assert await town.spent(payer) == sum(receipt.amount_micro for receipt in receipts)
        assert await town.income(owner) == earned(receipts, "node-doomed")
        assert await town.income(steady.owner) == earned(receipts, "node-steady")
        assert (await town.services.ledger.verify()).clean


def earned(receipts: list[Any], engine: str) -> int:
    shares = [s for r in receipts if r.evidence.engine == engine for s in r.evidence.shares]
    return sum(share.amount_micro for share in shares if share.role == "node_contributor")
