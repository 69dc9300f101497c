"""Holds by the database, and what ends them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Reservation

from .conftest import Books

READ = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = 'ledger' AND indexrelname = $1"


class TestHold:
    async def test_is_found_by_its_id_however_many_others_are_open(
        self, books: Books, database: Database, clock: FixedClock
    ) -> None:
        ledger, wallet, until = books.ledger, await books.wallet(1_000_000), clock.now() + timedelta(hours=1)

        async def hold() -> Reservation:
            return await ledger.hold(wallet.id, 100, hold_id=new_id(), purpose="test", expires_at=until)

        async def read(index: str) -> int:
            for line in ledger._lines:  # each tells at the end of the transaction after
                await line.fetch("SELECT pg_stat_force_next_flush()")
                await line.fetch("SELECT 1")
            return int(await database.fetchval(READ, index))

        held = await asyncio.gather(*(hold() for _ in range(200)))
        found, due = await read("hold_pkey"), await read("hold_due")
        await ledger.capture(held[0], books.charge(90))
        await asyncio.gather(*(ledger.void(one) for one in held[1:20]))
        assert await read("hold_pkey") - found >= 20
        assert await read("hold_due") == due
