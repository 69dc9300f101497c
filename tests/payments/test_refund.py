from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from shanhe.payments.api import (
    AmountOutOfBounds,
    Event,
    OrderConflict,
    OrderState,
    ProviderRefused,
    RefundState,
    State,
    UnknownPayment,
)


class TestRefund:
    async def test_of_everything_ends_the_order(self, counter):
        order = await counter.paid()
        await counter.payments.refund(order.id, 7_000, client_ref="a", reason="r", actor="t")
        assert (await counter.payments.order(order.id)).state is State.PAID
        await counter.deliver()
        order = await counter.payments.order(order.id)
        assert (order.state, order.refunded_fen) == (State.REFUNDED, 7_000)

    async def test_in_parts_never_exceeds_what_was_paid(self, counter):
        order = await counter.paid()
        results = await asyncio.gather(
            *(counter.payments.refund(order.id, 3_000, client_ref=str(n), reason="r", actor="t") for n in range(6)),
            return_exceptions=True,
        )
        assert sum(isinstance(result, AmountOutOfBounds) for result in results) == 4
        await counter.deliver()
        order = await counter.payments.order(order.id)
        assert (order.state, order.refunded_fen) == (State.PAID, 6_000)

    async def test_repeated_is_one_refund(self, counter):
        order = await counter.paid()
        for _ in range(3):
            await counter.payments.refund(order.id, 1_000, client_ref="a", reason="r", actor="t")
        await counter.deliver()
        assert (await counter.payments.order(order.id)).refunded_fen == 1_000
        with pytest.raises(OrderConflict):
            await counter.payments.refund(order.id, 1_001, client_ref="a", reason="r", actor="t")

    async def test_is_of_something_and_of_no_fen_more_than_is_left(self, counter):
        order = await counter.paid()
        await counter.payments.refund(order.id, 3_000, client_ref="a", reason="r", actor="t")
        for amount_fen in (-1, 0, 4_001):
            with pytest.raises(AmountOutOfBounds):
                await counter.payments.refund(order.id, amount_fen, client_ref="b", reason="r", actor="t")
        await counter.payments.refund(order.id, 4_000, client_ref="b", reason="r", actor="t")

    async def test_repeated_under_another_number_is_refused(self, counter):
        order = await counter.paid()
        asked = await counter.payments.refund(order.id, 1_000, client_ref="a", reason="r", actor="t")
        with pytest.raises(OrderConflict):
            await counter.payments.refund(order.id, 1_000, client_ref="a", reason="r", actor="t", refund_id=uuid4())
        assert [one.id for one in await counter.payments.refunds(order.id)] == [asked.id]

    async def test_that_was_told_of_and_shown_by_a_statement_leaves_once(self, counter):
        order = await counter.paid()
        asked = await counter.payments.refund(order.id, 3_000, client_ref="a", reason="r", actor="t")
        await counter.deliver()
        assert await counter.payments.end_refund(asked.id, RefundState.SUCCEEDED)
        assert not await counter.payments.end_refund(asked.id, RefundState.FAILED)
        assert (await counter.payments.order(order.id)).refunded_fen == 3_000
        with pytest.raises(AmountOutOfBounds):
            await counter.payments.refund(order.id, 4_001, client_ref="b", reason="r", actor="t")

    async def test_needs_a_paid_order(self, counter):
        order = await counter.ordered()
        with pytest.raises(OrderState):
            await counter.payments.refund(order.id, 1, client_ref="a", reason="r", actor="t")

    async def test_is_sent_again_when_a_crash_came_between(self, counter, monkeypatch):
        order = await counter.paid()

        async def crash(order, refund):
            raise OSError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(counter.sandbox, "refund", crash)
            with pytest.raises(OSError, match="gone"):
                await counter.payments.refund(order.id, 7_000, client_ref="a", reason="r", actor="t")
        await counter.payments.sweep()
        await counter.deliver()
        assert (await counter.payments.order(order.id)).state is State.REFUNDED


class TestOutcome:
    """Whoever ordered is told how a refund ended, until it says that it has booked it."""

    async def heard(self, counter, *, failing: bool = False) -> list[tuple[str, int, str]]:
        told: list[tuple[str, int, str]] = []

        async def hear(order, refund):
            if failing and not told:
                told.append(("crashed", refund.amount_fen, refund.state))
                raise OSError("gone")
            told.append((order.state, refund.amount_fen, refund.state))
            await counter.payments.acknowledge_refund(refund)

        counter.payments.subscribe_refunds("test", hear)
        return told

    async def test_is_told_once_for_a_part(self, counter):
        told, order = await self.heard(counter), await counter.paid()
        refund_id = uuid4()
        asked = await counter.payments.refund(
            order.id, 2_000, client_ref="a", reason="r", actor="t", refund_id=refund_id
        )
        assert asked.id == refund_id
        await counter.deliver()
        assert told == [(State.PAID, 2_000, RefundState.SUCCEEDED)]
        assert [one async for one in counter.payments.outstanding_refunds("test")] == []

    async def test_is_offered_again_after_a_crash(self, counter):
        told, order = await self.heard(counter, failing=True), await counter.paid()
        await counter.payments.refund(order.id, 7_000, client_ref="a", reason="r", actor="t")
        await counter.deliver()
        ((held, refund),) = [one async for one in counter.payments.outstanding_refunds("test")]
        assert (held.state, refund.state, told[0][0]) == (State.REFUNDED, RefundState.SUCCEEDED, "crashed")

    async def test_is_found_by_asking_when_the_notification_is_lost(self, counter):
        told, order = await self.heard(counter), await counter.paid()
        await counter.payments.refund(order.id, 7_000, client_ref="a", reason="r", actor="t")
        await counter.db.execute("DELETE FROM payments.sandbox_notice")
        assert await counter.payments.sweep() == 0
        counter.clock.advance(seconds=61)
        assert await counter.payments.sweep() == 1
        assert told == [(State.REFUNDED, 7_000, RefundState.SUCCEEDED)]
        assert await counter.payments.sweep() == 0

    async def test_of_failure_leaves_the_money_to_be_refunded(self, counter):
        told, order = await self.heard(counter), await counter.paid()
        refund = await counter.payments.refund(order.id, 7_000, client_ref="a", reason="r", actor="t")
        await counter.db.execute("DELETE FROM payments.sandbox_notice")
        async with counter.db.transaction() as conn:
            await counter.sandbox._announce(conn, [(Event.REFUND_FAILED, refund.id, order.provider_ref, 7_000)])
        await counter.deliver()
        assert told == [(State.PAID, 7_000, RefundState.FAILED)]
        again = await counter.payments.refund(order.id, 7_000, client_ref="b", reason="r", actor="t")
        assert again.state is RefundState.REQUESTED

    async def test_that_the_institution_lost_and_now_refuses_has_failed(self, counter, monkeypatch):
        """Else it would be asked for again each minute, whoever pays it another way meanwhile."""
        told, order = await self.heard(counter), await counter.paid()
        refund = await counter.payments.refund(order.id, 7_000, client_ref="a", reason="r", actor="t")
        await counter.db.execute("DELETE FROM payments.sandbox_notice")

        async def unknown(*_: object) -> RefundState:
            raise UnknownPayment("refund")

        async def refuses(*_: object) -> str:
            raise ProviderRefused("sandbox", "NOT_ENOUGH")

        monkeypatch.setattr(counter.sandbox, "refund_state", unknown)
        monkeypatch.setattr(counter.sandbox, "refund", refuses)
        counter.clock.advance(seconds=61)
        await counter.payments.sweep()
        assert (await counter.payments.refund_of(refund.id)).state is RefundState.FAILED
        assert told == [(State.PAID, 7_000, RefundState.FAILED)]

    async def test_is_ended_by_nobody_but_its_own_institution(self, counter):
        order = await counter.paid()
        refund = await counter.payments.refund(order.id, 7_000, client_ref="a", reason="r", actor="t")
        await counter.db.execute("ALTER TABLE payments.pay_order DISABLE TRIGGER USER")
        await counter.db.execute("UPDATE payments.pay_order SET provider = 'wechat'")
        await counter.deliver()
        assert (await counter.payments.refund_of(refund.id)).state is RefundState.REQUESTED

    async def test_of_another_amount_than_was_asked_for_is_not_believed(self, counter):
        order = await counter.paid()
        refund = await counter.payments.refund(order.id, 7_000, client_ref="a", reason="r", actor="t")
        await counter.db.execute("DELETE FROM payments.sandbox_notice")
        async with counter.db.transaction() as conn:
            await counter.sandbox._announce(conn, [(Event.REFUND_SUCCEEDED, refund.id, order.provider_ref, 6_999)])
        await counter.deliver()
        assert (await counter.payments.refund_of(refund.id)).state is RefundState.REQUESTED
        assert (await counter.payments.order(order.id)).refunded_fen == 0

    async def test_never_changes_afterwards(self, counter):
        order = await counter.paid()
        refund = await counter.payments.refund(order.id, 1_000, client_ref="a", reason="r", actor="t")
        await counter.deliver()
        with pytest.raises(asyncpg.CheckViolationError):
            await counter.db.execute("UPDATE payments.refund SET state = 'failed' WHERE id = $1", refund.id)


class TestMandate:
    async def signed(self, counter, limit_fen=10_000):
        mandate = await counter.payments.authorise(counter.org, client_ref="m", provider="sandbox", limit_fen=limit_fen)
        await counter.sandbox.sign_mandate(mandate.provider_ref)
        await counter.deliver()
        return await counter.payments.mandate(mandate.id)

    def request(self, counter, mandate, amount_fen=7_000, ref="auto"):
        from dataclasses import replace

        return replace(counter.request(amount_fen, ref), mandate_id=mandate.id)

    async def test_charges_without_the_payer(self, counter):
        mandate = await self.signed(counter)
        order = await counter.payments.create(self.request(counter, mandate))
        await counter.deliver()
        assert (await counter.payments.order(order.id)).state is State.PAID

    async def test_unsigned_charges_nothing(self, counter):
        mandate = await counter.payments.authorise(counter.org, client_ref="m", provider="sandbox", limit_fen=10_000)
        with pytest.raises(Exception, match="active mandate"):
            await counter.payments.create(self.request(counter, mandate))

    async def test_revoked_charges_nothing(self, counter):
        mandate = await self.signed(counter)
        await counter.payments.revoke(mandate.id)
        with pytest.raises(Exception, match="active mandate"):
            await counter.payments.create(self.request(counter, mandate))

    async def test_is_signed_by_its_own_number_and_stays_revoked(self, counter):
        mandate = await counter.payments.authorise(counter.org, client_ref="m", provider="sandbox", limit_fen=10_000)

        async def told(ref: str) -> str:
            async with counter.db.transaction() as conn:
                await counter.sandbox._announce(conn, [(Event.MANDATE_SIGNED, mandate.id, ref, None)])
            await counter.deliver()
            return str((await counter.payments.mandate(mandate.id)).state)

        assert await told("another") == "pending"
        assert await told(mandate.provider_ref) == "active"
        await counter.payments.revoke(mandate.id)
        assert await told(mandate.provider_ref) == "revoked"

    async def test_charges_by_no_other_institution_than_the_one_it_was_signed_at(self, counter):
        from dataclasses import replace

        mandate = await self.signed(counter)
        counter.payments._providers["other"] = counter.sandbox
        with pytest.raises(Exception, match="active mandate"):
            await counter.payments.create(replace(self.request(counter, mandate), provider="other"))

    async def test_charges_no_more_than_its_limit(self, counter):
        mandate = await self.signed(counter)
        with pytest.raises(AmountOutOfBounds):
            await counter.payments.create(self.request(counter, mandate, 10_001))
