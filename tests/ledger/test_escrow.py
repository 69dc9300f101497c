"""What is set aside for orders: each has lots behind all of it, or is refused."""

from __future__ import annotations

from datetime import timedelta

from tests.ledger.conftest import Books

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import EscrowRequest, EscrowVerdict
from shanhe.ledger.holding import HoldRow


async def set_aside(books: Books, database: Database, *requests: EscrowRequest) -> list[EscrowVerdict]:
    async with database.transaction() as conn:
        return await books.ledger.escrow.hold(conn, requests)


class TestEscrow:
    async def test_refuses_what_does_not_fit_beside_what_does(self, books: Books, database: Database) -> None:
        wallet = await books.wallet(100)
        asked = [EscrowRequest(new_id(), wallet.id, amount) for amount in (50, 80, 30)]
        verdicts = await set_aside(books, database, *asked)
        assert [(one.verdict, one.available) for one in verdicts] == [("held", 0), ("short", 50), ("held", 0)]
        assert (await books.ledger.balance(wallet.id)).held == 80
        assert await books.clean()

    async def test_knows_what_it_set_aside_beside_what_it_has_not(self, books: Books, database: Database) -> None:
        wallet = await books.wallet(100)
        first, second = EscrowRequest(new_id(), wallet.id, 40), EscrowRequest(new_id(), wallet.id, 50)
        await set_aside(books, database, first)
        verdicts = await set_aside(books, database, second, first)
        assert [one.verdict for one in verdicts] == ["held", "known"]
        assert await books.clean()


class TestHold:
    async def test_of_a_free_call_names_no_lot_beside_others(self, books: Books, clock: FixedClock) -> None:
        """Three at once, as a queue sends them."""
        wallet, until = await books.wallet(100), clock.now() + timedelta(minutes=10)
        rows = [HoldRow(new_id(), wallet.id, amount, "call", until, None) for amount in (30, 0, 40)]
        await books.ledger._holder._flush(rows)
        held = [await row.future for row in rows]
        assert [[piece.amount for piece in one.pieces] for one in held] == [[30], [], [40]]
        assert await books.clean()
