"""What a lot cost, and its parts: in whatever order it is taken, the parts add up to the whole and none is negative."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.ledger.conftest import Books

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, Posting, Provenance, Transfer

ASKS = "SELECT ledger.cost_of($1, $2, $3)"


class TestCost:
    @given(cost=st.integers(0, 10**15), amounts=st.lists(st.integers(1, 10**12), min_size=1, max_size=20))
    @example(cost=1, amounts=[1, 1])
    @example(cost=3, amounts=[1, 1])
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    async def test_of_parts_adds_up_to_that_of_the_whole_and_none_is_negative(
        self, books: Books, clock: FixedClock, database: Database, cost: int, amounts: list[int]
    ) -> None:
        wallet = await books.wallet(sum(amounts), cost_fen=cost)
        (lot,) = await books.ledger.lots(wallet.id)
        left, parts = sum(amounts), []
        for amount in amounts:
            parts.append(lot.cost_of(left) - lot.cost_of(left - amount))
            left -= amount
        assert sum(parts) == cost
        assert min(parts) >= 0
        assert await database.fetchval(ASKS, cost, lot.issued, amounts[0]) == lot.cost_of(amounts[0])

    async def test_passes_on_with_what_is_handed_over_in_one_batch_and_in_several(
        self, books: Books, clock: FixedClock
    ) -> None:
        """1 fen for 3 µ: thirds of it cannot be rounded one by one."""
        wallet = await books.wallet(10, cost_fen=7)
        heirs = [await books.ledger.ensure_account(new_id(), Asset.CREDIT, "wallet") for _ in range(5)]
        first = tuple(Transfer(new_id(), wallet.id, heir.id, 2) for heir in heirs[:3])
        await books.ledger.post(Posting(id=new_id(), kind="handover", transfers=first))
        spent = Transfer(new_id(), wallet.id, books.revenue.id, 1)
        rest = Transfer(new_id(), wallet.id, heirs[3].id, 2)
        await books.ledger.post(Posting(id=new_id(), kind="handover", transfers=(spent, rest)))
        (old,) = await books.ledger.lots(wallet.id)
        taken = [lot.cost_fen for heir in heirs[:4] for lot in await books.ledger.lots(heir.id)]
        burned = old.cost_of(4) - old.cost_of(3)
        assert [old.cost_of(a) - old.cost_of(b) for a, b in pairwise((10, 8, 6, 4))] == taken[:3]
        assert sum(cost or 0 for cost in taken) + burned + old.cost_of(old.remaining) == 7

    async def test_that_nobody_said_stays_unsaid(self, books: Books, clock: FixedClock) -> None:
        wallet = await books.wallet(10, provenance=Provenance.REWARD)
        heir = await books.ledger.ensure_account(new_id(), Asset.CREDIT, "wallet")
        move = Transfer(new_id(), wallet.id, heir.id, 4)
        await books.ledger.post(Posting(id=new_id(), kind="handover", transfers=(move,)))
        (lot,) = await books.ledger.lots(heir.id)
        assert lot.cost_fen is None
