"""Holds by the database, and what ends them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any
from uuid import UUID

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Account, IdempotencyConflict, InsufficientCredit, Reservation

from .conftest import Books

READ = "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = 'ledger' AND indexrelname = $1"


class TestHold:
    async def test_that_is_asked_for_twice_at_once_is_one_and_fails_nobody_else(
        self, books: Books, clock: FixedClock
    ) -> None:
        """Requests that come at once go to the database together."""
        ledger, until, one = books.ledger, clock.now() + timedelta(hours=1), new_id()
        payer, other = await books.wallet(1_000), await books.wallet(1_000)

        def hold(identifier: UUID, amount: int, account: Account = payer) -> Coroutine[Any, Any, Reservation]:
            return ledger.hold(account.id, amount, hold_id=identifier, purpose="test", expires_at=until)

        first, again, more, stranger = await asyncio.gather(
            hold(one, 100), hold(one, 100), hold(one, 200), hold(new_id(), 300, other), return_exceptions=True
        )
        assert isinstance(more, IdempotencyConflict)
        held = [[(piece.lot, piece.amount) for piece in each.held.pieces] for each in (first, again, stranger)]
        assert held[0] == held[1]
        assert [(await ledger.balance(account.id)).held for account in (payer, other)] == [100, 300]
        short = await asyncio.gather(*(hold(one, 2_000) for one in [new_id()] * 3), return_exceptions=True)
        assert [type(each) for each in short] == [InsufficientCredit] * 3
        assert await books.clean()

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
