"""Calls of the pool's benches: streamed, timed, kept with their receipts."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from shanhe.bench.errors import BenchError
from shanhe.bench.pool_nodes import MODEL, REQUEST_LIMIT_S, Fleet

TOKEN_BYTES: Final = 4
SIGN: Final = "词"
MILLION: Final = 1_000_000
KEPT_ALIVE_MAX: Final = 64


@dataclass(frozen=True)
class Ended:
    """How a streamed call ended. `first_ms` 0 = it had no first token; `whole` = up to the closing event."""

    status: int
    first_ms: float
    whole: bool
    receipt: str
    said: str = ""


def client_of(fleet: Fleet) -> httpx.AsyncClient:
    """A client without a limit of its own on connections."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=KEPT_ALIVE_MAX)
    return httpx.AsyncClient(
        base_url=fleet.url, headers=fleet.headers, timeout=REQUEST_LIMIT_S, limits=limits, trust_env=False
    )


async def streamed(client: httpx.AsyncClient, body: Mapping[str, Any], begun: asyncio.Event | None = None) -> Ended:
    """One call, read to its end; `begun` is set at its first bytes."""
    sent, first_ms, tail = time.perf_counter(), 0.0, b""
    async with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as answer:
        if answer.status_code != 200:
            return Ended(answer.status_code, 0.0, False, "", (await answer.aread()).decode()[:300])
        async for piece in answer.aiter_bytes():
            first_ms = first_ms or (time.perf_counter() - sent) * 1000
            tail = (tail + piece)[-400:]
            if begun is not None:
                begun.set()
        whole = tail.rstrip().endswith(b"[DONE]")
        return Ended(200, first_ms, whole, answer.headers["x-shanhe-receipt"], "" if whole else tail.decode()[-300:])


async def replayed(
    fleet: Fleet, trace: Sequence[Mapping[str, Any]], real: str, rates: Mapping[str, Any]
) -> dict[str, Any]:
    """Every call of a recorded workload at its time: first tokens, cost, who served."""

    async def one(call: Mapping[str, Any]) -> Ended:
        await asyncio.sleep(max(0.0, call["at_ms"] / 1000 - (time.perf_counter() - began)))
        text = f"{call['at_ms']} " + SIGN * (call["prompt_tokens"] * TOKEN_BYTES // len(SIGN.encode()))
        model = real if call.get("real") else MODEL
        ended = await streamed(client, {
            "model": model, "messages": [{"role": "user", "content": text}], "max_tokens": call["output_tokens"],
        })  # fmt: skip
        if not ended.whole:
            raise BenchError(f"A call failed: {ended.status} {ended.said}")
        return ended

    async with client_of(fleet) as client:
        began = time.perf_counter()
        done = await asyncio.gather(*(one(call) for call in trace if real or not call.get("real")))
        receipts = [(await client.get(f"/api/receipts/{ended.receipt}")).json() for ended in done]
    return figures(done, receipts, rates)


def figures(done: Sequence[Ended], receipts: Sequence[Mapping[str, Any]], rates: Mapping[str, Any]) -> dict[str, Any]:
    """Times to the first token and reference cost of calls."""
    waits = sorted(ended.first_ms for ended in done)
    served: dict[str, int] = {}
    for receipt in receipts:
        served[receipt["evidence"]["engine"]] = served.get(receipt["evidence"]["engine"], 0) + 1
    tokens = sum(sum(receipt["evidence"]["buckets"].values()) for receipt in receipts)
    cost = sum(cost_micro(receipt["evidence"], rates) for receipt in receipts)
    return {
        "p50_ttft_ms": round(statistics.median(waits), 1),
        "p95_ttft_ms": round(waits[min(len(waits) - 1, int(len(waits) * 0.95))], 1),
        "cost_micro": cost,
        "cost_micro_per_mtok": cost * MILLION // tokens,
        "served": dict(sorted(served.items())),
    }


def cost_micro(evidence: Mapping[str, Any], rates: Mapping[str, Mapping[str, int]]) -> int:
    """Reference cost of a call on the chip that served it, µ."""
    own = rates[evidence["engine"]]
    return int(sum(evidence["buckets"][bucket] * rate for bucket, rate in own.items()) // MILLION)
