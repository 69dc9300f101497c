from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from shanhe.credits.api import (
    PurchaseClosed,
    PurchaseConflict,
    PurchaseState,
    QuoteChanged,
    UnknownPurchase,
    UnknownQuote,
    ValueOutOfBounds,
)
from shanhe.kernel.errors import ShanheError, Unavailable
from shanhe.payments.api import Faults, ProviderUnavailable, State

from .conftest import CAP_FEN


class TestQuote:
    async def test_gives_the_resident_discount_with_its_trace(self, city):
        quote = await city.credits.quote(city.org, 100_000)
        priced = quote.priced
        assert (priced.benefit_fen, priced.paid_fen) == (30_000, 70_000)
        assert (priced.purchased_micro, priced.subsidy_micro) == (700_000_000, 300_000_000)
        assert quote.benefit_left_fen == CAP_FEN
        assert priced.trace
        assert priced.rule_version

    async def test_gives_strangers_the_list_price(self, city):
        city.payers[city.org] = city.stranger(city.org)
        priced = (await city.credits.quote(city.org, 100_000)).priced
        assert (priced.benefit_fen, priced.paid_fen, priced.subsidy_micro) == (0, 100_000, 0)

    @pytest.mark.parametrize("value_fen", [0, -1, 10_000_000_001, 2**63])
    async def test_refuses_a_value_outside_its_bounds(self, city, value_fen):
        with pytest.raises(ValueOutOfBounds):
            await city.credits.quote(city.org, value_fen)

    async def test_promises_nothing(self, city):
        await city.credits.quote(city.org, 100_000)
        assert await city.benefit() == (0, 0)

    async def test_is_refused_when_another_purchase_changed_the_price(self, city):
        value_fen = CAP_FEN * 10 // 3
        quote = await city.credits.quote(city.org, value_fen)
        await city.order(value_fen, "other")
        with pytest.raises(QuoteChanged):
            await city.credits.purchase(city.org, client_ref="mine", quote_id=quote.id, actor="t")
        assert len(await city.credits.purchases(city.org)) == 1

    async def test_is_of_one_organisation_and_runs_out(self, city):
        quote = await city.credits.quote(city.org, 100_000)
        with pytest.raises(UnknownQuote):
            await city.credits.purchase(uuid4(), client_ref="x", quote_id=quote.id, actor="t")
        city.clock.advance(minutes=16)
        with pytest.raises(UnknownQuote):
            await city.credits.purchase(city.org, client_ref="x", quote_id=quote.id, actor="t")


class TestPurchase:
    async def test_mints_a_purchased_and_a_subsidy_lot_once_paid(self, city):
        purchase = await city.buy(100_000)
        assert purchase.state is PurchaseState.POSTED
        wallet = await city.credits.wallet(city.org)
        assert wallet.balance_micro == 1_000_000_000
        lots = {lot.provenance: lot for lot in wallet.lots}
        assert lots["purchased"].issued_micro == 700_000_000
        assert lots["purchased"].expires_at is None
        assert lots["purchased"].tradeable_at == datetime(2027, 2, 23, 16, tzinfo=UTC)
        assert lots["subsidy"].issued_micro == 300_000_000
        assert lots["subsidy"].expires_at == datetime(2027, 11, 23, 16, tzinfo=UTC)

    async def test_is_exactly_one_balanced_posting(self, city):
        purchase = await city.buy(100_000)
        rows = await city.db.fetch("SELECT * FROM ledger.posting")
        assert [row["id"] for row in rows] == [purchase.posting_id]
        report = await city.ledger.verify()
        assert report.clean

    async def test_gives_nothing_before_it_is_paid(self, city):
        await city.order()
        assert await city.balance() == 0
        assert await city.benefit() == (30_000, 0)

    async def test_books_the_benefit_when_paid(self, city):
        await city.buy()
        assert await city.benefit() == (0, 30_000)

    async def test_gives_the_promised_benefit_back_when_not_paid(self, city):
        purchase = await city.order()
        city.clock.advance(minutes=31)
        await city.tick()
        assert (await city.credits.get(city.org, purchase.id)).state is PurchaseState.CLOSED
        assert await city.benefit() == (0, 0)

    async def test_gives_the_promised_benefit_back_when_cancelled(self, city):
        purchase = await city.credits.cancel(city.org, (await city.order()).id)
        assert purchase.state is PurchaseState.CLOSED
        assert await city.benefit() == (0, 0)

    async def test_repeated_is_one_purchase(self, city):
        made = await asyncio.gather(*(city.order() for _ in range(6)))
        assert len({purchase.id for purchase in made}) == 1
        await city.pay(made[0])
        assert (await city.order()).state is PurchaseState.POSTED
        assert await city.benefit() == (0, 30_000)

    async def test_refuses_its_reference_for_other_content(self, city):
        await city.order(100_000)
        with pytest.raises(PurchaseConflict):
            await city.order(100_001)

    async def test_is_hidden_from_other_organisations(self, city):
        purchase = await city.order()
        with pytest.raises(UnknownPurchase):
            await city.credits.get(uuid4(), purchase.id)

    async def test_tells_the_organisation_that_credits_arrived(self, city):
        await city.buy()
        assert await city.notices("top_up") == 1

    @pytest.mark.parametrize("value_fen", [1, 2, 3, 99, 333, 100_001])
    async def test_adds_up_for_odd_values(self, city, value_fen):
        priced = (await city.buy(value_fen)).priced
        assert priced.paid_fen + priced.benefit_fen == value_fen
        assert priced.quantity_micro == value_fen * 10_000
        assert await city.balance() == value_fen * 10_000
        assert (await city.ledger.verify()).clean


class TestCap:
    """P1: at most CNY 1,000,000 of benefit a beneficiary and calendar year; what straddles it is split."""

    @pytest.mark.parametrize("off_fen", [-1, 0, 1])
    async def test_binds_to_the_fen(self, city, off_fen):
        city.payers[city.org] = city.local(city.org)
        await city.db.execute(
            "INSERT INTO credits.benefit VALUES ($1, 2026, 0, $2)", city.org, CAP_FEN - 30_000 + off_fen
        )
        purchase = await city.buy(100_000)
        assert purchase.priced.benefit_fen == 30_000 - max(off_fen, 0)
        assert (await city.benefit())[1] == min(CAP_FEN, CAP_FEN + off_fen)

    async def test_splits_a_purchase_that_straddles_it(self, city):
        value_fen = CAP_FEN * 10 // 3 + 100_000
        priced = (await city.buy(value_fen)).priced
        assert priced.benefit_fen == CAP_FEN
        assert priced.paid_fen == value_fen - CAP_FEN
        assert priced.subsidy_micro == CAP_FEN * 10_000

    async def test_leaves_the_list_price_above_it(self, city):
        await city.db.execute("INSERT INTO credits.benefit VALUES ($1, 2026, 0, $2)", city.org, CAP_FEN)
        priced = (await city.buy(100_000)).priced
        assert (priced.benefit_fen, priced.paid_fen, priced.subsidy_micro) == (0, 100_000, 0)

    async def test_begins_anew_with_the_citys_new_year(self, city):
        await city.db.execute("INSERT INTO credits.benefit VALUES ($1, 2026, 0, $2)", city.org, CAP_FEN)
        city.clock.set(datetime(2026, 12, 31, 15, 59, 59, tzinfo=UTC))
        assert (await city.order(100_000, "old")).priced.benefit_fen == 0
        city.clock.set(datetime(2026, 12, 31, 16, 0, 0, tzinfo=UTC))
        assert (await city.order(100_000, "new")).priced.benefit_fen == 30_000
        assert await city.benefit(year=2027) == (30_000, 0)

    async def test_counts_for_the_year_of_the_promise_when_paid_after_midnight(self, city):
        city.clock.set(datetime(2026, 12, 31, 15, 59, 0, tzinfo=UTC))
        purchase = await city.order()
        city.clock.advance(minutes=5)
        await city.pay(purchase)
        assert await city.benefit(year=2026) == (0, 30_000)
        assert await city.benefit(year=2027) == (0, 0)

    async def test_holds_for_concurrent_purchases_of_one_beneficiary(self, city):
        value_fen = CAP_FEN  # 30 % of it each, so the fourth is split and the rest get nothing
        bought = await asyncio.gather(*(city.order(value_fen, f"p{n}") for n in range(8)))
        benefits = sorted(purchase.priced.benefit_fen for purchase in bought)
        assert sum(benefits) == CAP_FEN
        assert benefits == [0, 0, 0, 0, 10_000_000, 30_000_000, 30_000_000, 30_000_000]
        await asyncio.gather(*(city.sandbox.pay(purchase.redirect_url.rsplit("/", 1)[-1]) for purchase in bought))
        await city.deliver()
        assert await city.benefit() == (0, CAP_FEN)
        wallet = await city.credits.wallet(city.org)
        assert wallet.by_provenance["subsidy"] == CAP_FEN * 10_000

    async def test_is_shared_by_organisations_of_one_beneficiary(self, city):
        first, second, group = uuid4(), uuid4(), uuid4()
        city.payers |= {org: city.local(org, group) for org in (first, second)}
        bought = await asyncio.gather(
            *(city.order(CAP_FEN * 2, "p", org) for org in (first, second)),
        )
        assert sum(purchase.priced.benefit_fen for purchase in bought) == CAP_FEN
        assert await city.benefit(group) == (CAP_FEN, 0)

    async def test_lets_an_abandoned_promise_be_used_again(self, city):
        first = await city.order(CAP_FEN * 10 // 3, "a")
        assert (await city.order(100_000, "b")).priced.benefit_fen < 30_000
        await city.credits.cancel(city.org, first.id)
        assert (await city.order(100_000, "c")).priced.benefit_fen == 30_000


class TestNotifications:
    async def test_in_many_copies_and_out_of_order_post_once(self, city):
        city.behave(Faults(copies=3, reorder=True))
        await city.buy()
        assert await city.balance() == 1_000_000_000
        assert await city.postings() == 1

    async def test_forged_change_nothing(self, city):
        purchase = await city.order()
        with pytest.raises(ShanheError):
            await city.payments.notify("sandbox", {}, b'{"event":"payment.succeeded"}')
        await city.tick()
        assert (await city.credits.get(city.org, purchase.id)).state is PurchaseState.OPEN
        assert await city.balance() == 0


class TestCrash:
    """A crash at each step between money and credits is repaired by the jobs worker, once."""

    async def test_between_payment_and_posting(self, city, monkeypatch):
        purchase = await city.order()

        async def crash(posting):
            raise Unavailable("ledger_unavailable", "gone")

        with monkeypatch.context() as patch:
            patch.setattr(city.ledger, "post", crash)
            await city.pay(purchase)
            assert (await city.payments.order(purchase.order_id)).state is State.PAID
        assert await city.balance() == 0
        city.behave()
        await city.tick()
        assert await city.balance() == 1_000_000_000
        assert await city.benefit() == (0, 30_000)

    async def test_between_posting_and_its_mark(self, city, monkeypatch):
        purchase = await city.order()

        async def crash(purchase):
            raise OSError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(city.credits, "_posted", crash)
            await city.pay(purchase)
        assert await city.benefit() == (30_000, 0)
        city.behave()
        for _ in range(3):
            await city.tick()
        assert await city.balance() == 1_000_000_000
        assert await city.postings() == 1
        assert await city.benefit() == (0, 30_000)

    async def test_between_mark_and_acknowledgement(self, city, monkeypatch):
        purchase = await city.order()

        async def crash(order, reference=None):
            raise OSError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(city.payments, "acknowledge", crash)
            await city.pay(purchase)
        city.behave()
        await city.tick()
        assert await city.postings() == 1
        assert [one async for one in city.payments.outstanding("credits")] == []

    async def test_between_promise_and_order_gives_the_benefit_back(self, city, monkeypatch):
        async def away(request):
            raise ProviderUnavailable("sandbox")

        with monkeypatch.context() as patch:
            patch.setattr(city.payments, "create", away)
            with pytest.raises(ProviderUnavailable):
                await city.order()
        assert await city.benefit() == (30_000, 0)
        city.clock.advance(minutes=61)
        await city.tick()
        assert await city.benefit() == (0, 0)

    async def test_between_promise_and_order_continues_when_asked_again(self, city, monkeypatch):
        async def away(request):
            raise ProviderUnavailable("sandbox")

        with monkeypatch.context() as patch:
            patch.setattr(city.payments, "create", away)
            with pytest.raises(ProviderUnavailable):
                await city.order()
        await city.buy()
        assert await city.balance() == 1_000_000_000
        assert await city.benefit() == (0, 30_000)

    async def test_by_many_workers_at_once_posts_once(self, city, monkeypatch):
        purchase = await city.order()

        async def crash(posting):
            raise Unavailable("ledger_unavailable", "gone")

        with monkeypatch.context() as patch:
            patch.setattr(city.ledger, "post", crash)
            await city.pay(purchase)
        await asyncio.gather(*(city.credits.reconcile() for _ in range(5)))
        assert await city.balance() == 1_000_000_000
        assert await city.benefit() == (0, 30_000)
        assert await city.notices("top_up") == 1

    async def test_of_a_purchase_nobody_came_back_to_refuses_a_late_order(self, city, monkeypatch):
        async def away(request):
            raise ProviderUnavailable("sandbox")

        with monkeypatch.context() as patch:
            patch.setattr(city.payments, "create", away)
            with pytest.raises(ProviderUnavailable):
                await city.order()
        city.clock.advance(minutes=31)
        with pytest.raises(PurchaseClosed):
            await city.order()

    async def test_of_one_purchase_does_not_keep_the_others_waiting(self, city, monkeypatch):
        bad, good = await city.order(ref="bad"), await city.order(ref="good")
        post = city.ledger.post

        async def picky(posting):
            if posting.id == bad.posting_id:
                raise ShanheError("odd", "this one never works")
            return await post(posting)

        monkeypatch.setattr(city.ledger, "post", picky)
        await city.pay(bad)
        await city.sandbox.pay(good.redirect_url.rsplit("/", 1)[-1])
        await city.tick()
        assert (await city.credits.get(city.org, good.id)).state is PurchaseState.POSTED
        assert (await city.credits.get(city.org, bad.id)).state is PurchaseState.OPEN


class TestReceipt:
    async def test_says_why_this_amount(self, city):
        purchase = await city.buy()
        receipt = await city.credits.receipt(city.org, purchase.id)
        assert receipt["payment"]["state"] == "paid"
        assert [step["state_to"] for step in receipt["payment"]["history"]] == ["created", "pending", "paid"]
        assert receipt["posting"]["id"] == purchase.posting_id
        assert receipt["purchase"].priced.trace

    async def test_of_an_unpaid_purchase_has_no_posting(self, city):
        purchase = await city.order()
        assert (await city.credits.receipt(city.org, purchase.id))["posting"] is None
