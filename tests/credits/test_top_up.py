from __future__ import annotations

import asyncio

import pytest

from shanhe.credits.api import PurchaseConflict, PurchaseState, Source, ValueOutOfBounds
from shanhe.kernel.errors import Invalid, Unavailable


class TestTopUp:
    async def test_books_a_purchased_lot_and_says_how_it_was_paid(self, city):
        purchase = await city.credits.top_up(city.org, 5_000_000, "invoice 7", "person:op", method="cash_desk")
        assert (purchase.source, purchase.state) == (Source.OPERATOR, PurchaseState.POSTED)
        wallet = await city.credits.wallet(city.org)
        assert [(lot.provenance, lot.remaining_micro) for lot in wallet.lots] == [("purchased", 5_000_000)]
        memo = await city.db.fetchval("SELECT memo FROM ledger.posting")
        assert "cash desk" in memo
        assert "invoice 7" in memo

    async def test_gives_no_discount(self, city):
        purchase = await city.credits.top_up(city.org, 5_000_000, "invoice 7", "person:op")
        assert (purchase.priced.paid_fen, purchase.priced.benefit_fen) == (500, 0)
        assert await city.benefit() == (0, 0)

    @pytest.mark.parametrize("amount_micro", [1, 4_999, 5_000, 123_456_789])
    async def test_takes_any_number_of_micro_credits(self, city, amount_micro):
        await city.credits.top_up(city.org, amount_micro, "test", "person:op")
        assert await city.balance() == amount_micro
        assert (await city.ledger.verify()).clean

    async def test_repeated_with_its_reference_books_once(self, city):
        await asyncio.gather(
            *(city.credits.top_up(city.org, 5_000_000, "r", "op", client_ref="bank-1") for _ in range(5))
        )
        assert await city.balance() == 5_000_000
        with pytest.raises(PurchaseConflict):
            await city.credits.top_up(city.org, 5_000_001, "r", "op", client_ref="bank-1")

    @pytest.mark.parametrize("amount_micro", [0, -1, 10**15 + 1])
    async def test_refuses_an_amount_outside_its_bounds(self, city, amount_micro):
        with pytest.raises(ValueOutOfBounds):
            await city.credits.top_up(city.org, amount_micro, "r", "op")

    async def test_refuses_a_payers_method_and_an_empty_reason(self, city):
        with pytest.raises(Invalid):
            await city.credits.top_up(city.org, 1, "r", "op", method="sandbox")
        with pytest.raises(Invalid):
            await city.credits.top_up(city.org, 1, "", "op")

    async def test_left_by_a_crash_before_the_posting_is_ended_without_credits(self, city, monkeypatch):
        async def crash(posting):
            raise Unavailable("ledger_unavailable", "gone")

        with monkeypatch.context() as patch:
            patch.setattr(city.ledger, "post", crash)
            with pytest.raises(Unavailable):
                await city.credits.top_up(city.org, 5_000_000, "r", "op")
        city.clock.advance(minutes=61)
        await city.tick()
        (purchase,) = await city.credits.purchases(city.org)
        assert purchase.state is PurchaseState.CLOSED
        assert await city.balance() == 0

    async def test_left_by_a_crash_after_the_posting_stands(self, city, monkeypatch):
        async def crash(purchase):
            raise OSError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(city.credits, "_posted", crash)
            with pytest.raises(OSError, match="gone"):
                await city.credits.top_up(city.org, 5_000_000, "r", "op")
        city.clock.advance(minutes=61)
        await city.tick()
        (purchase,) = await city.credits.purchases(city.org)
        assert purchase.state is PurchaseState.POSTED
        assert await city.balance() == 5_000_000
