"""Measuring an engine: a short and a long prompt through the same door as any call. Used by agents and by the city."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx
import msgspec

from shanhe.compute.api import Speed
from shanhe.pool.answers import answer_of, guess_tokens

LONG_WORDS: Final = (60, 300)
"""Of a prompt that takes long enough to be told from the short one; a slow engine shows it with the first of them."""
CLEAR_MS: Final = 500.0
TOKENS: Final = 16
LIMIT_S: Final = 60.0
ANSWER_MAX_BYTES: Final = 256 * 1024
SPEED_MAX: Final = 1_000_000.0
PROBE: Final = {"x-shanhe-probe": "1"}


async def measure(client: httpx.AsyncClient, base: str, model: str, *, salt: str = "") -> Speed | None:
    """Speed of a chat model behind `base` (…/v1); None when it does not answer as it should.

    The difference between the two prompts is prefill, what is left of the short one is fixed, the rest is decode.
    `salt` makes the prompt new, so that no cache answers for the engine.
    """
    short = await _timed(client, base, model, f"{salt} Say one word.")
    if short is None:
        return None
    long = short
    for count in LONG_WORDS:
        words = " ".join(f"{salt}{number % 97}" for number in range(count))
        longer = await _timed(client, base, model, f"Read this and then say one word: {words}")
        if longer is None:
            return None
        long = longer
        if long[0] - short[0] >= CLEAR_MS:
            break
    more = max(1, long[2] - short[2])
    prefill_tps = min(SPEED_MAX, 1000 * more / max(1.0, long[0] - short[0]))
    base_ms = max(0.0, short[0] - 1000 * short[2] / prefill_tps)
    decode_ms = max(0.01, long[1] - long[0]) / max(1, long[3] - 1)
    return Speed(prefill_tps, min(SPEED_MAX, 1000 / decode_ms), base_ms, max(1.0, long[1]))


async def _timed(client: httpx.AsyncClient, base: str, model: str, text: str) -> tuple[float, float, int, int] | None:
    """Ms to the first and to the last token, prompt and completion tokens."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began = time.perf_counter()
    first_ms = 0.0
    data = bytearray()
    try:
        async with client.stream(
            "POST", f"{base}/chat/completions", content=msgspec.json.encode(body), timeout=LIMIT_S,
            headers={**PROBE, "content-type": "application/json"},
        ) as answer:  # fmt: skip
            if answer.status_code != 200:
                return None
            async for piece in answer.aiter_bytes():
                first_ms = first_ms or (time.perf_counter() - began) * 1000
                data += piece
                if len(data) > ANSWER_MAX_BYTES:
                    return None
    except httpx.HTTPError:
        return None
    read = answer_of(bytes(data))
    if read is None or not read.text:
        return None
    done_ms = (time.perf_counter() - began) * 1000
    prompt = guess_tokens(len(text.encode()))
    return first_ms, done_ms, prompt, max(read.chunks, 1)
