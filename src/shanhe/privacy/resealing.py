"""Seals, place by place, what people wrote before their columns were sealed; each place is gone through once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.resealing import Place, reseal_page, rewrite
from shanhe.kernel.sealing import Seals
from shanhe.privacy import store

PAGES_MAX: Final = 400
"""Pages in one run; the next run goes on."""


class Resealing:
    """`places` is the composition root's list."""

    def __init__(self, db: Database, clock: Clock, seals: Seals, places: Sequence[Place]) -> None:
        self._db = db
        self._clock = clock
        self._seals = seals
        self._places = places

    async def run(self) -> int:
        """Go on where the last run stopped; how many rows were sealed."""
        known, pages, sealed = await store.resealed(self._db), 0, 0
        for place in self._places:
            row = known.get(place.table)
            if row is not None and row["done_at"] is not None:
                continue
            after, count = (row["go_on"], row["rows"]) if row is not None else (None, 0)
            while pages < PAGES_MAX:
                pages += 1
                changed, after = await reseal_page(self._db, self._seals, place, after)
                count, sealed = count + changed, sealed + changed
                if after is None:
                    if count:
                        await rewrite(self._db, place.table)
                    await store.note_resealed(self._db, place.table, None, count, self._clock.now())
                    break
                await store.note_resealed(self._db, place.table, list(after), count, None)
        return sealed
