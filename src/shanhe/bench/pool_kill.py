"""`kill -9` of a node under load: what callers saw, what was charged, and whether the books agree."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shanhe.bench.city import City
from shanhe.bench.pool_calls import Ended, client_of, streamed
from shanhe.bench.pool_nodes import MODEL, Fleet

VICTIM: Final = "gpu"
"""The node that serves most."""
CALLS: Final = 60
PROMPT_SIGNS: Final = 1_200
OUTPUT_TOKENS: Final = 64
UNDER_WAY_S: Final = 0.4
"""After the first bytes of any answer: streams of the victim are under way then, and more wait for it."""
CALL_KINDS: Final = "call"
PAGE: Final = 500
PAGES_MAX: Final = 20


def killed_under_load(city: City, fleet: Fleet) -> dict[str, Any]:
    """Many streams at once, `kill -9` of the busiest node in their middle; what came of each."""
    before = city.command("credits", "balance", fleet.org)["balance_micro"]
    ended = asyncio.run(_loaded(fleet))
    receipts = [fleet.get(f"/api/receipts/{one.receipt}") for one in ended if one.receipt]
    after = city.command("credits", "balance", fleet.org)["balance_micro"]
    postings = _posted(city, {receipt["id"] for receipt in receipts})
    verified = city.command("ledger", "verify")
    return judged(ended, receipts, postings, before - after, clean=bool(verified["clean"]))


def _posted(city: City, wanted: set[str]) -> list[dict[str, Any]]:
    """The newest postings of calls, as far back as it takes to meet all that are wanted; bounded."""
    found: list[dict[str, Any]] = []
    cursor: tuple[str, ...] = ()
    for _ in range(PAGES_MAX):
        page = city.command("ledger", "postings", "--kind", CALL_KINDS, "--limit", str(PAGE), *cursor)
        found += page["items"]
        if wanted <= {posting["id"] for posting in found} or not page["next"]:
            break
        cursor = ("--cursor", page["next"])
    return found


async def _loaded(fleet: Fleet) -> list[Ended]:
    begun = asyncio.Event()
    async with client_of(fleet) as client:
        calls = [
            asyncio.create_task(streamed(client, {
                "model": MODEL, "max_tokens": OUTPUT_TOKENS,
                "messages": [{"role": "user", "content": f"call {number} " + "字" * PROMPT_SIGNS}],
            }, begun))
            for number in range(CALLS)
        ]  # fmt: skip
        await begun.wait()
        await asyncio.sleep(UNDER_WAY_S)
        os.killpg(fleet.agents[VICTIM].process.pid, signal.SIGKILL)
        return await asyncio.gather(*calls)


def judged(
    ended: Sequence[Ended], receipts: Sequence[Mapping[str, Any]], postings: Sequence[Mapping[str, Any]],
    paid_micro: int, *, clean: bool,
) -> dict[str, Any]:  # fmt: skip
    """The counts that matter; `wrong_charges` has to be 0.

    A charge is wrong where a receipt has no posting, where an answer that broke off was charged for more than was
    delivered, where a whole one was charged for other than its tokens, and where what was paid is not their sum.
    """
    posted = {posting["id"] for posting in postings}
    wrong = sum(receipt["id"] not in posted for receipt in receipts)
    for receipt in receipts:
        output = receipt["evidence"]["buckets"]["output"]
        whole = receipt["status"] == "completed"
        wrong += output != OUTPUT_TOKENS if whole else not 0 < output <= OUTPUT_TOKENS
    wrong += paid_micro != sum(receipt["amount_micro"] for receipt in receipts)
    return {
        "calls": len(ended),
        "whole": sum(one.whole for one in ended),
        "broken_inside": sum(not one.whole and one.first_ms > 0 for one in ended),
        "failed_before_first_token": sum(one.first_ms == 0 for one in ended),
        "served_by_the_killed": sum(receipt["evidence"]["engine"] == f"node-{VICTIM}" for receipt in receipts),
        "receipts": len(receipts),
        "paid_micro": paid_micro,
        "wrong_charges": wrong,
        "ledger_clean": clean,
    }
