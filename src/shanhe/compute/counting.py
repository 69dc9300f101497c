"""Engines' own token counters, read often and summed by day: a count that owes nothing to the gateway's meter.

llama.cpp, vLLM and SGLang publish them at `/metrics`; an engine without them is not counted, and that is said. A
counter that fell belongs to an engine that started again: what it counted before its last reading is kept, what it
counted between that and its end is lost and shows as a difference.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from shanhe.compute.target import Target
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database

LINE: Final = re.compile(r"^(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{[^}]*\})?\s+(?P<value>[0-9.eE+]+)\s*$")
PROMPT: Final = ("llamacpp:prompt_tokens_total", "vllm:prompt_tokens_total", "sglang:prompt_tokens_total")
MADE: Final = ("llamacpp:tokens_predicted_total", "vllm:generation_tokens_total", "sglang:generation_tokens_total")


@dataclass(frozen=True)
class EngineCount:
    """Tokens an engine says it processed on a day: prompt tokens it computed (cached ones left out), tokens it made."""

    day: date
    engine: str
    prompt: int
    completion: int
    restarts: int


def parse(text: str) -> tuple[int, int] | None:
    """(prompt, completion) of a Prometheus page, summed over models; None when it has no such counters."""
    sums = [0, 0]
    found = [False, False]
    for line in text.splitlines():
        match = LINE.match(line)
        for at, names in enumerate((PROMPT, MADE)):
            if match is not None and match["name"] in names:
                sums[at] += int(float(match["value"]))
                found[at] = True
    return (sums[0], sums[1]) if all(found) else None


Counters = Callable[[Target], Awaitable[tuple[int, int] | None]]


class EngineCounts:
    """The counts of a city's engines. One process reads the counters; any may ask for a day."""

    def __init__(self, db: Database, clock: Clock, counters: Counters, targets: Callable[[], Sequence[Target]]) -> None:
        self._db = db
        self._clock = clock
        self._counters = counters
        self._targets = targets

    async def read(self) -> int:
        """Read the counters of every engine that runs and publishes them; how many did. To be called often."""
        found = 0
        running = {target.engine_name: target for target in self._targets() if target.serves}
        for name, target in running.items():
            told = None if target.state.key_missing else await self._counters(target)
            if told is not None:
                await record(self._db, name, told, self._clock.today(), self._clock.now())
                found += 1
        return found

    async def of(self, day: date) -> list[EngineCount]:
        """What engines say they processed on a day; one that publishes no counters is not there."""
        rows = await self._db.fetch(
            "SELECT day, engine, prompt, completion, restarts FROM compute.engine_count WHERE day = $1 ORDER BY engine",
            day,
        )
        return [EngineCount(**dict(row)) for row in rows]


async def record(db: Database, engine: str, counters: tuple[int, int], day: date, now: datetime) -> None:
    """Add what was counted since the last reading to the day; the first reading is where counting begins."""
    prompt, completion = counters
    async with db.transaction() as conn:
        last = await conn.fetchrow(
            "SELECT prompt, completion FROM compute.engine_counter WHERE engine = $1 FOR UPDATE", engine
        )
        await conn.execute(
            """INSERT INTO compute.engine_counter (engine, prompt, completion, read_at) VALUES ($1, $2, $3, $4)
               ON CONFLICT (engine) DO UPDATE SET prompt = $2, completion = $3, read_at = $4""",
            engine,
            prompt,
            completion,
            now,
        )
        if last is None:
            return
        fell = prompt < last["prompt"] or completion < last["completion"]
        more = (prompt, completion) if fell else (prompt - last["prompt"], completion - last["completion"])
        await conn.execute(
            """INSERT INTO compute.engine_count AS c (day, engine, prompt, completion, restarts)
               VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (day, engine) DO UPDATE SET prompt = c.prompt + $3, completion = c.completion + $4,
                                                      restarts = c.restarts + $5""",
            day,
            engine,
            *more,
            int(fell),
        )
