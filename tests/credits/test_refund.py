"""Money back by R3: what was used counts at list price, the rest of the lots goes, the cash returns once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.credits.conftest import City

from shanhe.credits import refunds as refunding
from shanhe.credits.api import (
    CreditsMoved,
    LotsHeld,
    NothingToRefund,
    Purchase,
    Refund,
    RefundClosed,
    RefundConflict,
    RefundState,
    UnknownPurchase,
)
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO
from shanhe.ledger.api import Asset, InsufficientCredit, LedgerUnavailable, Posting, PostingResult, Transfer
from shanhe.payments.api import Order, ProviderRefused, ProviderUnavailable
from shanhe.payments.api import Refund as Sending
from shanhe.payments.api import RefundState as Sent

CLERK = "person:clerk"


async def refund(city: City, purchase: Purchase, ref: str = "r1") -> Refund:
    return await city.credits.refunds.refund(
        city.org, purchase.id, client_ref=ref, reason="not needed", actor="person:t"
    )


async def cash(city: City) -> dict[str, int]:
    """Balances of the accounts that a refund moves, in fen."""
    found = {}
    for kind, name in (("cash", "sandbox"), ("revenue", "credits sold")):
        account = await city.ledger.system_account(kind, Asset.CNY, name)
        found[kind] = (await city.ledger.balance(account.id)).balance
    customer = await city.ledger.ensure_account(city.org, Asset.CNY, "wallet")
    return found | {"customer": (await city.ledger.balance(customer.id)).balance}


async def no_money(order: Order, sent: Sending) -> str:
    raise ProviderRefused("sandbox", "NOT_ENOUGH")


async def away(*_: object, **__: object) -> Sending:
    raise ProviderUnavailable("sandbox")


class TestRefund:
    async def test_gives_everything_back_when_nothing_was_used(self, city: City) -> None:
        bought = await city.buy(10_000)
        asked = await refund(city, bought)
        assert (asked.state, asked.refund_fen) == (RefundState.SENT, 7_000)
        assert await city.balance() == 0
        assert await city.benefit() == (0, 0)
        assert await cash(city) == {"cash": -7_000, "revenue": 0, "customer": 7_000}
        await city.deliver()
        assert (await city.credits.refunds.get(city.org, asked.id)).state is RefundState.PAID
        assert await cash(city) == {"cash": 0, "revenue": 0, "customer": 0}
        assert [one async for one in city.payments.outstanding_refunds("credits")] == []
        assert [one async for one in city.payments.outstanding("credits")] == []
        assert (await city.ledger.verify()).clean

    async def test_that_nobody_heard_of_is_told_of_again_so_that_its_posting_is_known(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The bank's line that shows it and its posting are tied by what payments knows."""
        asked = await refund(city, await city.buy(10_000))

        async def crash(*_: object, **__: object) -> None:
            raise OSError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(city.payments, "acknowledge_refund", crash)
            await city.deliver()
        assert (await city.credits.refunds.get(city.org, asked.id)).state is RefundState.PAID
        ((_, told),) = [one async for one in city.payments.outstanding_refunds("credits")]
        await city.credits.refunds.run()
        assert [one async for one in city.payments.outstanding_refunds("credits")] == []
        assert (await city.payments.refund_of(told.id)).settled_ref == asked.payout_posting_id

    async def test_that_can_t_be_settled_keeps_none_behind_it_waiting(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for ref in ("a", "b"):
            await refund(city, await city.buy(10_000, ref), ref)
            with monkeypatch.context() as patch:
                patch.setattr(city.payments, "acknowledge_refund", away)
                await city.deliver()
        first, _ = [order.id async for order, _ in city.payments.outstanding_refunds("credits")]
        settle = city.credits.refunds.settle

        async def all_but_the_first(order: Order, told: Sending) -> None:
            if order.id == first:
                raise ProviderUnavailable("sandbox")
            await settle(order, told)

        monkeypatch.setattr("shanhe.payments.service.BATCH_ROWS", 1)
        monkeypatch.setattr(city.credits.refunds, "settle", all_but_the_first)
        await city.credits.refunds.run()
        assert [order.id async for order, _ in city.payments.outstanding_refunds("credits")] == [first]

    async def test_a_discount_that_was_spent_does_not_become_cash(self, city: City) -> None:
        bought = await city.buy(10_000)
        await city.spend(30 * MICRO)  # the subsidy burns first
        asked = await refund(city, bought)
        assert asked.refund_fen == 4_000, "who used 30 paid 30: nothing was won by buying at 70 %"
        assert (asked.taken_micro, asked.cancelled_micro, asked.consumed_micro) == (70 * MICRO, 0, 30 * MICRO)
        assert await city.balance() == 0
        assert await city.benefit() == (0, 3_000), "the cap of what was used does not come back"

    async def test_cancels_the_subsidy_that_is_left_and_restores_only_its_part_of_the_cap(self, city: City) -> None:
        bought = await city.buy(10_000)
        await city.spend(10 * MICRO)
        asked = await refund(city, bought)
        assert (asked.refund_fen, asked.cancelled_micro, asked.restored_fen) == (6_000, 20 * MICRO, 2_000)
        assert await city.benefit() == (0, 1_000)

    async def test_is_refused_when_the_use_is_worth_the_payment(self, city: City) -> None:
        bought = await city.buy(10_000)
        await city.spend(70 * MICRO)
        with pytest.raises(NothingToRefund):
            await refund(city, bought)
        assert await city.balance() == 30 * MICRO, "and nothing was taken"

    async def test_expired_subsidy_was_not_used_and_restores_nothing(self, city: City) -> None:
        bought = await city.buy(10_000)
        city.clock.advance(days=366)
        await city.ledger.sweep()
        asked = await refund(city, bought)
        assert (asked.refund_fen, asked.consumed_micro, asked.cancelled_micro) == (7_000, 0, 0)
        assert await city.benefit() == (0, 3_000)

    async def test_what_was_passed_on_counts_as_used(self, city: City) -> None:
        bought = await city.buy(10_000)
        await city.spend(30 * MICRO)
        mine = await city.ledger.ensure_account(city.org, Asset.CREDIT, "wallet")
        other = await city.ledger.ensure_account(new_id(), Asset.CREDIT, "wallet")
        sold = Transfer(id=new_id(), debit=mine.id, credit=other.id, amount=30 * MICRO)
        await city.ledger.post(Posting(id=new_id(), kind="trade", transfers=(sold,), actor="t", memo="sold"))
        asked = await refund(city, bought)
        assert (asked.refund_fen, asked.taken_micro) == (1_000, 40 * MICRO)
        assert (await city.ledger.balance(other.id)).balance == 30 * MICRO, "the buyer keeps what was sold"

    async def test_waits_for_what_is_held(self, city: City) -> None:
        bought = await city.buy(10_000)
        wallet = await city.ledger.ensure_account(city.org, Asset.CREDIT, "wallet")
        soon = city.clock.now().replace(year=2027)
        held = await city.ledger.hold(wallet.id, 5 * MICRO, hold_id=new_id(), purpose="order", expires_at=soon)
        with pytest.raises(LotsHeld) as refused:
            await refund(city, bought)
        assert refused.value.details == {"held_micro": 5 * MICRO}
        await city.ledger.void(held)
        assert (await refund(city, bought)).refund_fen == 7_000

    async def test_takes_back_what_workers_lease(self, city: City) -> None:
        bought = await city.buy(10_000_000)
        wallet = await city.ledger.ensure_account(city.org, Asset.CREDIT, "wallet")
        call = await city.ledger.admit(wallet.id, MICRO, receipt_id=new_id())
        await city.ledger.release(call)
        assert (await city.ledger.balance(wallet.id)).leased > 0
        assert (await refund(city, bought)).refund_fen == 7_000_000


class TestOnce:
    async def test_of_what_was_refunded_says_so(self, city: City) -> None:
        bought = await city.buy(10_000)
        await refund(city, bought)
        with pytest.raises(NothingToRefund) as refused:
            await refund(city, bought, "r2")
        assert "已经退过款" in refused.value.message_zh

    async def test_the_same_reference_is_the_same_refund(self, city: City) -> None:
        bought = await city.buy(10_000)
        first = await refund(city, bought)
        again = await refund(city, bought)
        assert (again.id, again.posting_id) == (first.id, first.posting_id)
        with pytest.raises((RefundConflict, NothingToRefund)):
            await refund(city, bought, "r2")
        await city.deliver()
        assert len(await city.payments.refunds(bought.order_id)) == 1

    async def test_is_nobody_elses(self, city: City) -> None:
        bought = await city.buy(10_000)
        with pytest.raises(UnknownPurchase):
            await city.credits.refunds.refund(new_id(), bought.id, client_ref="r", reason="x", actor="t")

    async def test_a_crash_before_the_posting_is_repaired(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        bought = await city.buy(10_000)
        real = city.ledger.post

        async def away(posting: Posting) -> None:
            raise LedgerUnavailable("gone")

        monkeypatch.setattr(city.ledger, "post", away)
        with pytest.raises(LedgerUnavailable):
            await refund(city, bought)
        monkeypatch.setattr(city.ledger, "post", real)
        await city.tick()
        await city.deliver()
        (done,) = await city.credits.refunds.list(city.org)
        assert (done.state, await city.balance()) == (RefundState.PAID, 0)

    async def test_a_crash_between_posting_and_provider_is_repaired(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bought = await city.buy(10_000)
        real = city.payments.refund
        monkeypatch.setattr(city.payments, "refund", away)
        asked = await refund(city, bought)
        assert asked.state is RefundState.POSTED
        monkeypatch.setattr(city.payments, "refund", real)
        before = await city.postings()
        await city.tick()
        await city.deliver()
        await city.tick()
        assert (await city.credits.refunds.get(city.org, asked.id)).state is RefundState.PAID
        assert await city.postings() == before + 1, "only the payout was booked after it"

    async def test_credits_that_move_meanwhile_void_it(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        bought = await city.buy(10_000)
        decide = refunding.Refunds._decide

        async def then_spend(self: refunding.Refunds, *args: object) -> Refund:
            found = await decide(self, *args)  # type: ignore[arg-type]
            await city.spend(MICRO)
            return found

        monkeypatch.setattr(refunding.Refunds, "_decide", then_spend)
        with pytest.raises(CreditsMoved):
            await refund(city, bought)
        monkeypatch.undo()
        assert await city.balance() == 99 * MICRO
        assert await city.benefit() == (0, 3_000)
        assert (await refund(city, bought, "r2")).refund_fen == 6_900

    @pytest.mark.parametrize("first", ["taken", "void"])
    async def test_whose_credits_one_of_two_tries_took_is_posted(
        self, city: City, monkeypatch: pytest.MonkeyPatch, first: str
    ) -> None:
        """The jobs worker finds them lent for a moment while the request that asked takes them."""
        bought, real = await city.buy(10_000), city.ledger.post

        async def short(posting: Posting) -> PostingResult:
            raise InsufficientCredit(posting.transfers[-1].debit, 0, 1)

        async def worker() -> None:
            city.clock.advance(seconds=10)
            with monkeypatch.context() as patch:
                patch.setattr(city.ledger, "post", short)
                await city.credits.refunds.run()

        async def meanwhile(posting: Posting) -> PostingResult:
            monkeypatch.setattr(city.ledger, "post", real)
            if first == "void":
                await worker()
                return await real(posting)
            done = await real(posting)
            await worker()
            return done

        monkeypatch.setattr(city.ledger, "post", meanwhile)
        asked = await refund(city, bought)
        assert asked.state is RefundState.SENT
        await city.deliver()
        assert await cash(city) == {"cash": 0, "revenue": 0, "customer": 0}
        assert await city.balance() == 0


class TestRefused:
    async def test_by_the_provider_is_not_paid_by_it_later_and_may_be_asked_for_again(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The merchant's account was empty: whoever pays by hand then must not be followed by the provider."""
        bought = await city.buy(10_000)
        assert bought.order_id is not None
        with monkeypatch.context() as patch:
            patch.setattr(city.sandbox, "refund", no_money)
            asked = await refund(city, bought)
        assert asked.state is RefundState.FAILED
        for _ in range(2):
            await city.tick()
            await city.deliver()
        assert [one.state for one in await city.payments.refunds(bought.order_id)] == [Sent.FAILED]
        again = await city.credits.refunds.retry(asked.id, by=CLERK)
        await city.deliver()
        done = await city.credits.refunds.get(city.org, again.id)
        assert (done.state, done.retried_by, done.paid_by) == (RefundState.PAID, CLERK, "payments")
        assert [one.state for one in await city.payments.refunds(bought.order_id)] == [Sent.FAILED, Sent.SUCCEEDED]
        assert await cash(city) == {"cash": 0, "revenue": 0, "customer": 0}

    async def test_is_paid_by_hand_or_asked_for_again_but_not_both(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Two operators at the same moment."""
        bought, real = await city.buy(10_000), city.ledger.post
        with monkeypatch.context() as patch:
            patch.setattr(city.sandbox, "refund", no_money)
            asked = await refund(city, bought)
        others = list[asyncio.Task[Refund]]()

        async def meanwhile(posting: Posting) -> PostingResult:
            others.append(asyncio.create_task(city.credits.refunds.retry(asked.id, by=CLERK)))
            await asyncio.sleep(0.05)
            return await real(posting)

        monkeypatch.setattr(city.ledger, "post", meanwhile)
        assert (await city.credits.refunds.pay_by_hand(asked.id, "BANK-1", by=CLERK)).state is RefundState.PAID
        monkeypatch.setattr(city.ledger, "post", real)
        await asyncio.wait(others)
        await city.deliver()
        assert bought.order_id is not None
        assert [one.state for one in await city.payments.refunds(bought.order_id)] == [Sent.FAILED]

    @pytest.mark.parametrize("then", ["paid by hand", "asked for again"])
    async def test_stays_what_became_of_it_when_a_slower_worker_hears_of_the_refusal(
        self, city: City, monkeypatch: pytest.MonkeyPatch, then: str
    ) -> None:
        bought, real = await city.buy(10_000), city.payments.refund
        refunds = city.credits.refunds
        with monkeypatch.context() as patch:
            patch.setattr(city.payments, "refund", away)
            asked = await refund(city, bought)

        async def slow(*args: Any, **kwargs: Any) -> Sending:
            """Between its answer and what it makes of it another worker is refused, and an operator acts."""
            monkeypatch.setattr(city.payments, "refund", real)
            with monkeypatch.context() as patch:
                patch.setattr(city.sandbox, "refund", no_money)
                assert (await refund(city, bought)).state is RefundState.FAILED
            answer = await real(*args, **kwargs)
            if then == "paid by hand":
                await refunds.pay_by_hand(asked.id, "BANK-1", by=CLERK)
                return answer
            await refunds.retry(asked.id, by=CLERK)
            raise ProviderRefused("sandbox", "NOT_ENOUGH")

        monkeypatch.setattr(city.payments, "refund", slow)
        late = await refund(city, bought)
        assert late.state is {"paid by hand": RefundState.PAID, "asked for again": RefundState.SENT}[then]
        await city.deliver()
        done = await refunds.get(city.org, asked.id)
        assert (done.state, done.payout_ref == "BANK-1") == (RefundState.PAID, then == "paid by hand")
        assert await city.notices("refund_failed") == 1
        assert await cash(city) | {"cash": 0} == {"cash": 0, "revenue": 0, "customer": 0}

    async def test_though_the_provider_has_it_waits_and_is_paid_by_nobody_else(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An earlier answer was lost, and the second request is refused as a repetition."""
        bought, real = await city.buy(10_000), city.sandbox.refund

        async def taken_and_refused(order: Order, sent: Sending) -> str:
            await real(order, sent)
            raise ProviderRefused("sandbox", "REPEATED")

        with monkeypatch.context() as patch:
            patch.setattr(city.sandbox, "refund", taken_and_refused)
            asked = await refund(city, bought)
        assert asked.state is RefundState.POSTED
        with pytest.raises(RefundClosed):
            await city.credits.refunds.pay_by_hand(asked.id, "BANK-9", by=CLERK)
        await city.tick()
        await city.deliver()
        assert (await city.credits.refunds.get(city.org, asked.id)).state is RefundState.PAID
        assert await cash(city) == {"cash": 0, "revenue": 0, "customer": 0}


class TestByHand:
    async def test_a_bank_transfer_goes_back_by_bank_transfer(self, city: City) -> None:
        booked = await city.credits.top_up(city.org, 100 * MICRO, "invoice 7", "person:o", client_ref="b")
        asked = await refund(city, booked)
        assert (asked.state, asked.refund_fen) == (RefundState.POSTED, 10_000)
        paid = await city.credits.refunds.pay_by_hand(asked.id, "BANK-1", by=CLERK)
        assert (paid.state, paid.paid_by) == (RefundState.PAID, CLERK)
        assert (await city.ledger.posting(paid.payout_posting_id)).actor == CLERK
        assert (await city.credits.refunds.pay_by_hand(asked.id, "BANK-1", by="person:another")).paid_by == CLERK
        with pytest.raises(RefundClosed):
            await city.credits.refunds.pay_by_hand(asked.id, "BANK-2", by=CLERK)
        clearing = await city.ledger.system_account("cash", Asset.CNY, "bank_transfer")
        assert (await city.ledger.balance(clearing.id)).balance == 0

    async def test_is_booked_once_after_a_crash_at_either_step_and_by_the_way_that_was_said(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        booked = await city.credits.top_up(city.org, 100 * MICRO, "invoice 7", "person:o", client_ref="b")
        asked = await refund(city, booked)
        real, refunds = city.ledger.post, city.credits.refunds

        async def gone(posting: Posting) -> PostingResult:
            raise LedgerUnavailable("gone")

        async def lost(posting: Posting) -> PostingResult:
            await real(posting)
            raise LedgerUnavailable("gone after it")

        for away in (gone, lost):
            monkeypatch.setattr(city.ledger, "post", away)
            with pytest.raises(LedgerUnavailable):
                await refunds.pay_by_hand(asked.id, "BANK-1", by=CLERK)
            assert (await refunds.any(asked.id)).state is RefundState.PAYING
            with pytest.raises(RefundClosed):
                await refunds.pay_by_hand(asked.id, "BANK-2", by=CLERK)
            with pytest.raises(RefundClosed):
                await refunds.retry(asked.id, by=CLERK)
        monkeypatch.setattr(city.ledger, "post", real)
        before = await city.postings()
        city.clock.advance(seconds=10)
        await city.tick()
        done = await refunds.any(asked.id)
        assert (done.state, done.payout_ref, done.payout_method) == (RefundState.PAID, "BANK-1", "bank_transfer")
        assert await city.postings() == before
        clearing = await city.ledger.system_account("cash", Asset.CNY, "bank_transfer")
        assert (await city.ledger.balance(clearing.id)).balance == 0
