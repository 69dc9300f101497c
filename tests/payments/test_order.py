from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest

from shanhe.kernel.errors import Invalid
from shanhe.payments.api import (
    AmountOutOfBounds,
    OrderConflict,
    OrderRequest,
    OrderState,
    ProviderUnavailable,
    State,
    UnknownPayment,
    UnknownProvider,
)
from shanhe.payments.model import NEXT


class TestOrder:
    async def test_sends_the_payer_to_the_providers_page(self, counter):
        order = await counter.ordered()
        assert order.state is State.PENDING
        assert order.redirect_url == f"/pay/sandbox/{order.provider_ref}"

    async def test_is_one_order_however_often_the_request_is_repeated(self, counter):
        orders = await asyncio.gather(*(counter.ordered() for _ in range(8)))
        assert len({order.id for order in orders}) == 1
        assert await counter.db.fetchval("SELECT count(*) FROM payments.sandbox_payment") == 1
        assert all(order.redirect_url for order in orders)

    async def test_is_one_order_when_its_maker_numbers_it_and_asks_many_times_at_once(self, counter):
        for _ in range(20):
            request = replace(counter.request(ref=str(uuid4())), id=uuid4())
            orders = await asyncio.gather(*(counter.payments.create(request) for _ in range(6)))
            assert {order.id for order in orders} == {request.id}

    async def test_refuses_the_number_of_another_order(self, counter):
        first = await counter.ordered()
        with pytest.raises(OrderConflict):
            await counter.payments.create(replace(counter.request(ref="another"), id=first.id))

    async def test_refuses_its_reference_for_other_content(self, counter):
        await counter.ordered(7_000)
        with pytest.raises(OrderConflict):
            await counter.ordered(7_001)

    async def test_lets_two_organisations_use_the_same_reference(self, counter):
        first = await counter.ordered()
        second = await counter.payments.create(counter.request(org=uuid4()))
        assert first.id != second.id

    @pytest.mark.parametrize("amount_fen", [0, -1, 10_000_000_001, 2**63])
    async def test_refuses_an_amount_outside_the_providers_bounds(self, counter, amount_fen):
        with pytest.raises(AmountOutOfBounds):
            await counter.ordered(amount_fen)

    @pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "/\\evil", "/a\r\nx: y", "topup"])
    async def test_returns_only_to_this_site(self, counter, path):
        with pytest.raises(Invalid):
            await counter.payments.create(OrderRequest(counter.org, "r", "test", "sandbox", 1, "x", return_path=path))

    async def test_refuses_an_unknown_provider(self, counter):
        with pytest.raises(UnknownProvider):
            await counter.payments.create(OrderRequest(counter.org, "r", "test", "gold", 1, "x"))

    async def test_is_hidden_from_other_organisations(self, counter):
        order = await counter.ordered()
        with pytest.raises(UnknownPayment):
            await counter.payments.order(order.id, org_id=uuid4())

    async def test_continues_after_the_provider_was_away(self, counter, monkeypatch):
        async def away(order):
            raise ProviderUnavailable("sandbox")

        with monkeypatch.context() as patch:
            patch.setattr(counter.sandbox, "create", away)
            with pytest.raises(ProviderUnavailable):
                await counter.ordered()
        order = await counter.ordered()
        assert order.state is State.PENDING
        assert order.redirect_url

    async def test_writes_every_change_with_its_cause(self, counter):
        order = await counter.paid()
        changes = [(event["state_from"], event["state_to"]) for event in await counter.payments.history(order.id)]
        assert changes == [(None, "created"), ("created", "pending"), ("pending", "paid")]

    async def test_cannot_leave_the_state_machine_even_by_hand(self, counter):
        order = await counter.ordered()
        for start, end in itertools.product(State, State):
            if start is end or end in NEXT[start]:
                continue
            async with counter.db.pool.acquire() as conn:
                transaction = conn.transaction()
                await transaction.start()
                await conn.execute("SET LOCAL session_replication_role = replica")
                await conn.execute(
                    """UPDATE payments.pay_order SET state = $2, refunded_fen = CASE $2 WHEN 'refunded' THEN amount_fen
                       ELSE 0 END, paid_at = CASE WHEN $2 IN ('paid', 'refunded') THEN created_at END WHERE id = $1""",
                    order.id,
                    start,
                )
                await conn.execute("SET LOCAL session_replication_role = origin")
                with pytest.raises(asyncpg.CheckViolationError, match="cannot go"):
                    await conn.execute("UPDATE payments.pay_order SET state = $2 WHERE id = $1", order.id, end)
                await transaction.rollback()


class TestExpiry:
    async def test_closes_an_unpaid_order_at_the_provider_and_here(self, counter):
        order = await counter.ordered()
        counter.clock.advance(minutes=31)
        assert await counter.payments.sweep() == 1
        assert (await counter.payments.order(order.id)).state is State.EXPIRED
        with pytest.raises(OrderState):
            await counter.sandbox.pay(order.provider_ref)
        assert [told.state for told in counter.told] == [State.EXPIRED]

    async def test_finds_the_payment_whose_notification_was_lost(self, counter):
        order = await counter.ordered()
        await counter.sandbox.pay(order.provider_ref)
        counter.clock.advance(seconds=61)
        await counter.payments.sweep()
        assert (await counter.payments.order(order.id)).state is State.PAID
        assert [told.state for told in counter.told] == [State.PAID]

    async def test_takes_the_money_that_arrived_just_before_closing(self, counter):
        order = await counter.ordered()
        counter.clock.advance(minutes=29)
        await counter.sandbox.pay(order.provider_ref)
        counter.clock.advance(minutes=29)
        await counter.payments.sweep()
        assert (await counter.payments.order(order.id)).state is State.PAID

    async def test_lets_the_payer_cancel(self, counter):
        order = await counter.ordered()
        assert (await counter.payments.cancel(order.id)).state is State.EXPIRED
        assert (await counter.payments.cancel(order.id)).state is State.EXPIRED

    async def test_does_not_cancel_what_is_paid(self, counter):
        order = await counter.paid()
        with pytest.raises(OrderState):
            await counter.payments.cancel(order.id)

    async def test_expires_an_order_that_never_reached_the_provider(self, counter, monkeypatch):
        async def away(order):
            raise ProviderUnavailable("sandbox")

        with monkeypatch.context() as patch:
            patch.setattr(counter.sandbox, "create", away)
            with pytest.raises(ProviderUnavailable):
                await counter.ordered()
        counter.clock.advance(minutes=31)
        await counter.payments.sweep()
        (order,) = await counter.payments.orders(counter.org)
        assert order.state is State.EXPIRED


class TestSweep:
    async def test_lets_no_order_keep_the_others_waiting(self, counter):
        odd, lost = await counter.ordered(7_000, "odd"), await counter.ordered(7_000, "lost")
        await counter.db.execute("UPDATE payments.sandbox_payment SET amount_fen = 1 WHERE order_id = $1", odd.id)
        for order in (odd, lost):
            await counter.sandbox.pay(order.provider_ref)
        counter.clock.advance(seconds=61)
        assert await counter.payments.sweep() == 1
        assert (await counter.payments.order(odd.id)).state is State.PENDING
        assert (await counter.payments.order(lost.id)).state is State.PAID


class TestOutstanding:
    async def test_offers_a_paid_order_until_it_is_acknowledged(self, counter):
        async def crash(order):
            raise OSError("the machine went away")

        counter.payments.subscribe("test", crash)
        order = await counter.paid()
        assert [left.id async for left in counter.payments.outstanding("test")] == [order.id]
        await counter.payments.acknowledge(order)
        assert [one async for one in counter.payments.outstanding("test")] == []

    async def test_offers_what_comes_after_more_than_a_page_of_what_stays(self, counter, monkeypatch):
        async def crash(order):
            raise OSError("the machine went away")

        monkeypatch.setattr("shanhe.payments.service.BATCH_ROWS", 1)
        counter.payments.subscribe("test", crash)
        paid = [await counter.paid(ref=ref) for ref in ("a", "b", "c")]
        assert [left.id async for left in counter.payments.outstanding("test")] == [order.id for order in paid]
