"""What was made in this city and answers here: under one public name one making answers, or two share its calls."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from shanhe.compute import store
from shanhe.compute.adapters import arrange, delete_made, keep_adapter
from shanhe.compute.made import keep_made
from shanhe.compute.model import Engine, ModelCard
from shanhe.compute.price_desk import PriceDesk
from shanhe.compute.registration import made_engine
from shanhe.compute.routing import WHOLE_BPS
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database

LOCAL_CHIP: Final = "cpu"
"""Class of the chip that llama.cpp children of this machine run on."""
Insert = Callable[[Any, Engine, str, datetime], Awaitable[None]]
"""(connection, engine, actor, now): a new engine with its event and its first prices."""


class MadeDesk:
    """Engines of models that the studio made. `reload` reads the registry again, `engine` finds one in it by name."""

    def __init__(
        self, db: Database, clock: Clock, data: Path, desk: PriceDesk, *, insert: Insert,
        reload: Callable[[], Awaitable[None]], engine: Callable[[str], Engine],
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._data = data
        self._desk = desk
        self._insert = insert
        self._reload = reload
        self._engine = engine

    async def serve(
        self, card: ModelCard, file: Path, *, public: str, actor: str, share_bps: int = WHOLE_BPS
    ) -> Engine:
        """Serve a model that was made here under a public name, in the place of what was made before under it.

        The card's id names this making and its child, `public` stays the same over all of them. BadEngine when the name
        is another model's.
        """
        await asyncio.to_thread(keep_made, self._data, card, file)
        return await self._put(card, public, None, actor, share_bps)

    async def serve_adapter(
        self, card: ModelCard, file: Path, sha256: str, *, base: str, public: str, actor: str,
        share_bps: int = WHOLE_BPS,
    ) -> Engine:  # fmt: skip
        """`serve` for an adapter on a packaged model: `card` is the base's, with the adapter's file and a name.

        All adapters that answer on a base are held by one child. Invalid when they are too many.
        """
        await asyncio.to_thread(keep_adapter, self._data, card.adapters[0], file, sha256)
        return await self._put(card, public, base, actor, share_bps)

    async def _put(self, card: ModelCard, public: str, base: str | None, actor: str, share_bps: int) -> Engine:
        now = self._clock.now()
        cost = self._desk.reference_cost(LOCAL_CHIP, card.price_class) or card.cost
        engine = made_engine(card, public, cost, now)
        async with self._db.transaction() as conn:
            await store.add_model(
                conn, public, kind=card.kind, title_zh=card.title_zh, title_en=card.title_en, licence=card.licence,
                made_by=card.made_by, price_class=card.price_class, now=now,
            )  # fmt: skip
            if not await store.engine_named(conn, engine.name):
                await self._insert(conn, engine, actor, now)
                if base is not None:
                    await store.add_adapter(conn, engine.name, base, card.adapters[0])
            await self._switch(conn, public, engine.name, actor, share_bps)
        await self._reload()
        return self._engine(engine.name)

    async def switch(self, public: str, name: str, *, actor: str, share_bps: int = WHOLE_BPS) -> Engine:
        """Let one of the engines made under a public name answer, and no other; calls in flight are finished.

        A `share_bps` of less than all: it answers so many of the calls, and whoever answered before answers the rest.
        """
        async with self._db.transaction() as conn:
            await self._switch(conn, public, name, actor, share_bps)
        await self._reload()
        return self._engine(name)

    async def withdraw(self, public: str, files: Sequence[str], *, actor: str) -> int:
        """Forget everything that was made under a public name: engines, the children that hold it, cards and files.

        `files`: of what was made, beside the models. Receipts and prices stay. How many files were deleted; again: 0.
        """
        async with self._db.transaction() as conn:
            made, now = await store.made_engines(conn, public), self._clock.now()
            for one in made:
                await store.delete_engine(conn, one.name)
                await store.add_event(conn, one.name, "removed", f"{public} is gone", actor, now)
                await conn.execute("SELECT pg_notify($1, $2)", store.WANTED_CHANNEL, store.UNWANTED + one.upstream)
            for base in sorted({one.base for one in made if one.base is not None}):
                await arrange(conn, self._data, base)
            await store.changed(conn)
        await self._reload()
        return await asyncio.to_thread(delete_made, self._data, files)

    async def _switch(self, conn: Any, public: str, name: str, actor: str, share_bps: int) -> None:
        bases, made = set(), await store.made_engines(conn, public)
        trial = share_bps < WHOLE_BPS and any(one.enabled and one.whole and one.name != name for one in made)
        for one in made:
            enabled = one.name == name or (trial and one.enabled and one.whole)
            if enabled != one.enabled:
                await store.set_enabled(conn, one.name, enabled)
                event = "enabled" if enabled else "disabled"
                await store.add_event(conn, one.name, event, f"{public} is {name}", actor, self._clock.now())
            if one.name == name:
                await store.set_share(conn, name, share_bps if trial else WHOLE_BPS)
            if one.base is not None:
                bases.add(one.base)
                continue
            payload = one.upstream if enabled else store.UNWANTED + one.upstream
            await conn.execute("SELECT pg_notify($1, $2)", store.WANTED_CHANNEL, payload)
        for base in sorted(bases):
            await arrange(conn, self._data, base)
        await store.changed(conn)
