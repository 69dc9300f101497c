"""Many who act at once on the same things: a database that is slow by chance, and who dies between two transactions."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError

PAUSE_MOST_S = 0.004
PAUSES = 0.5
BROKEN = 500
"""From this status on a refusal tells of a fault of ours, not of what was asked."""

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

    async def round(self, at_once: int, *, dies: float = 0.0) -> None:
        """Up to so many acts at the same moment; each of them may die on its way."""
        acts, weights = [act for act, _ in self.draws], [weight for _, weight in self.draws]
        chosen = self.rng.choices(acts, weights, k=self.rng.randint(1, at_once))
        self.db.dies = dies
        try:
            found = await asyncio.gather(*(act() for act in chosen), return_exceptions=True)
        finally:
            self.db.dies = 0.0
        for act, one in zip(chosen, found, strict=True):
            if isinstance(one, ShanheError) and one.status < BROKEN:
                self.refused.append(f"{act.__name__}: {one.code}")
            elif isinstance(one, BaseException) and not isinstance(one, Dead):
                raise one
