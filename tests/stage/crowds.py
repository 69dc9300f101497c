"""Many who act at once on the same things: a database that is slow by chance, and who dies between two transactions.

Whatever they change in a round, all of it is written down once (`stage.witness`), also by those who died.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from shanhe.kernel import acts
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from stage.witness import Witness

PAUSE_MOST_S = 0.004
PAUSES = 0.5
BROKEN = 500
"""From this status on a refusal tells of a fault of ours, not of what was asked."""

ACTED_AT = datetime(2026, 1, 1, tzinfo=UTC)

Act = Callable[[], Awaitable[object]]


class Dead(BaseException):
    """The process ended here; nothing of it handles that."""


class Jostled(Database):
    """The connections of another one: whoever asks waits a little, by chance, before it, after it and before a
    transaction ends; while `dies` is set, now and then for ever."""

    def __init__(self, db: Database, rng: random.Random) -> None:
        super().__init__(db.dsn, db._reading, db.pool)
        self._rng = rng
        self.dies = 0.0

    async def pause(self) -> None:
        if self._rng.random() < self.dies:
            raise Dead
        if self._rng.random() < PAUSES:
            await asyncio.sleep(self._rng.random() * PAUSE_MOST_S)

    @contextlib.asynccontextmanager
    async def _read(self) -> AsyncIterator[Any]:
        await self.pause()
        async with super()._read() as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        await self.pause()
        async with super().transaction() as connection:
            yield connection
            await self.pause()
        await self.pause()

    @contextlib.asynccontextmanager
    async def _write(self) -> AsyncIterator[Any]:
        await self.pause()
        async with super()._write() as connection:
            yield connection
        await self.pause()


class Crowd:
    """Acts drawn at random from `draws`, several at once. What is refused is refused with a typed error, and nothing
    of it is a fault of ours."""

    draws: Sequence[tuple[Act, int]]

    def __init__(self, db: Database, seed: int) -> None:
        self.rng = random.Random(seed)
        self.db = Jostled(db, random.Random(-1 - seed))
        self.refused: list[str] = []
        self._witness = Witness(db)
        self._round = 0

    async def round(self, at_once: int, *, dies: float = 0.0) -> None:
        """Up to so many acts at the same moment; each of them may die on its way."""
        draws, weights = [act for act, _ in self.draws], [weight for _, weight in self.draws]
        chosen = self.rng.choices(draws, weights, k=self.rng.randint(1, at_once))
        self._round += 1
        who, before = f"crowd:{self._round}", await self._witness.look()
        self.db.dies = dies
        try:
            found = await asyncio.gather(*(_acted(act, who) for act in chosen), return_exceptions=True)
        finally:
            self.db.dies = 0.0
        for act, one in zip(chosen, found, strict=True):
            if isinstance(one, ShanheError) and one.status < BROKEN:
                self.refused.append(f"{act.__name__}: {one.code}")
            elif isinstance(one, BaseException) and not isinstance(one, Dead):
                raise one
        assert await self._witness.wrong(before, who) == []


async def _acted(act: Act, who: str) -> None:
    acts.begin(who, f"crowd {act.__name__}", ACTED_AT)
    await act()
