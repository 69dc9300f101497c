from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from shanhe.credits import rule_store
from shanhe.credits.api import NoAutoTopUp, PurchaseState, Source
from shanhe.kernel.errors import Invalid
from shanhe.payments.api import ProviderRefused, ProviderUnavailable, UnknownProvider


async def rule(city, threshold_micro=10_000_000, value_fen=2_000, cap_fen=10_000, sign=True):
    made = await city.credits.auto.save(
        city.org, threshold_micro=threshold_micro, value_fen=value_fen, monthly_cap_fen=cap_fen, actor="person:t"
    )
    if sign:
        await city.sandbox.sign_mandate(made.mandate_url.rsplit("/", 1)[-1])
        await city.deliver()
    return await city.credits.auto.get(city.org)


async def reach_cap(city):
    """One top-up is bought, and its month has no room for the next."""
    await rule(city, cap_fen=2_000)
    await city.tick()
    await city.tick()
    await city.spend(20_000_000)
    await city.tick()
    assert len(await bought(city)) == 1


async def bought(city):
    return [purchase for purchase in await city.credits.purchases(city.org) if purchase.source is Source.AUTO]


class TestAutoTopUp:
    async def test_buys_when_the_balance_is_below_the_threshold(self, city):
        await rule(city)
        await city.tick()
        await city.deliver()
        assert await city.balance() == 20_000_000
        (purchase,) = await bought(city)
        assert purchase.priced.paid_fen == 1_400  # the resident discount applies to it as to any purchase

    async def test_does_nothing_at_or_above_the_threshold(self, city):
        await city.credits.top_up(city.org, 10_000_000, "r", "op")
        await rule(city)
        await city.tick()
        assert await bought(city) == []

    async def test_buys_once_for_a_dip_however_many_workers_look(self, city):
        await rule(city)
        city.clock.advance(seconds=10)
        await asyncio.gather(*(city.credits.auto.run() for _ in range(10)))
        assert len(await bought(city)) == 1
        for _ in range(3):
            await city.tick()
        assert len(await bought(city)) == 1
        assert await city.balance() == 20_000_000

    async def test_does_not_believe_a_balance_read_before_the_last_top_up(self, city, monkeypatch):
        old = await rule(city)
        stale = await city.credits.wallet(city.org)
        assert await city.credits.auto.check(old)
        await city.deliver()
        assert await city.balance() == 20_000_000

        async def remembered(org_id):
            return stale

        with monkeypatch.context() as patch:
            patch.setattr(city.credits, "wallet", remembered)
            assert not await city.credits.auto.check(old)
        assert len(await bought(city)) == 1

    async def test_buys_again_for_a_later_dip(self, city):
        await rule(city)
        await city.tick()
        await city.tick()
        await city.spend(15_000_000)
        await city.tick()
        await city.deliver()
        assert len(await bought(city)) == 2
        assert await city.balance() == 25_000_000

    async def test_stops_at_the_monthly_cap_and_says_so_once(self, city):
        await rule(city, cap_fen=3_999)
        await city.tick()
        await city.tick()
        await city.spend(20_000_000)
        for _ in range(3):
            await city.tick()
        # 1,400 paid + 2,000 fits 3,999 once more, a third does not
        await city.spend(20_000_000)
        for _ in range(3):
            await city.tick()
        assert len(await bought(city)) == 2
        assert await city.notices("auto_top_up_capped") == 1

    @pytest.mark.parametrize(("cap_fen", "times"), [(3_399, 1), (3_400, 2)])
    async def test_fits_the_cap_to_the_fen(self, city, cap_fen, times):
        """1,400 paid; 2,000 is what the next one may cost."""
        await rule(city, cap_fen=cap_fen)
        await city.tick()
        await city.tick()
        await city.spend(20_000_000)
        for _ in range(2):
            await city.tick()
        assert len(await bought(city)) == times

    async def test_goes_on_within_the_month_once_its_cap_is_raised(self, city):
        await reach_cap(city)
        await rule(city, cap_fen=10_000, sign=False)
        await city.tick()
        assert len(await bought(city)) == 2

    async def test_of_a_frozen_organisation_buys_nothing(self, city):
        made = await rule(city)
        city.payers[city.org] = replace(city.local(city.org), frozen=True)
        assert not await city.credits.auto.check(made)
        assert await bought(city) == []

    async def test_goes_by_the_rule_as_it_is_now(self, city):
        """A worker that read it before it was changed buys nothing by it."""
        old = await rule(city)
        await rule(city, threshold_micro=1, sign=False)
        assert not await city.credits.auto.check(old)
        assert await bought(city) == []

    async def test_that_is_switched_off_while_it_buys_stays_off(self, city):
        await rule(city)
        city.clock.advance(seconds=10)
        await city.credits.auto.run()
        assert len(await bought(city)) == 1
        await city.credits.auto.disable(city.org)
        await city.deliver()
        await city.tick()
        assert [one.state for one in await bought(city)] == [PurchaseState.POSTED]
        assert not (await city.credits.auto.get(city.org)).enabled

    async def test_counts_towards_the_cap_neither_what_was_bought_by_hand_nor_what_was_never_paid(self, city):
        await city.buy(30_000)
        await city.spend(300_000_000)
        await rule(city, cap_fen=3_000)
        await city.db.execute("UPDATE payments.sandbox_mandate SET state = 'revoked'")
        for _ in range(2):
            await city.tick()
            city.clock.advance(minutes=40)  # the order runs out
        await city.tick()
        assert [one.state for one in await bought(city)] == [PurchaseState.CLOSED]
        await city.db.execute("UPDATE payments.sandbox_mandate SET state = 'active'")
        city.clock.advance(hours=2)
        await city.tick()
        await city.deliver()
        assert [one.state for one in await bought(city)] == [PurchaseState.POSTED, PurchaseState.CLOSED]

    async def test_goes_on_in_the_next_month(self, city):
        await reach_cap(city)
        city.clock.advance(days=8)  # into December
        await city.tick()
        await city.deliver()
        assert len(await bought(city)) == 2

    async def test_needs_a_signed_mandate(self, city):
        made = await rule(city, sign=False)
        assert made.mandate_state == "pending"
        await city.tick()
        assert await bought(city) == []

    async def test_switched_off_buys_nothing(self, city):
        await rule(city)
        await city.credits.auto.disable(city.org)
        await city.tick()
        assert await bought(city) == []

    async def test_waits_after_a_failure_and_stops_after_three(self, city):
        made = await rule(city)
        await city.db.execute("UPDATE payments.sandbox_mandate SET state = 'revoked'")  # the bank withdrew it
        for _ in range(200):
            city.clock.advance(minutes=5)
            await city.tick()
        assert len(await bought(city)) == 3
        assert await city.balance() == 0
        assert not (await city.credits.auto.get(city.org)).enabled
        assert await city.notices("auto_top_up_failed") == 3
        assert made.enabled

    async def test_continues_after_a_crash_between_decision_and_charge(self, city, monkeypatch):
        await rule(city)

        async def away(request):
            raise ProviderUnavailable("sandbox")

        with monkeypatch.context() as patch:
            patch.setattr(city.payments, "create", away)
            await city.tick()
        assert len(await bought(city)) == 1
        assert await city.balance() == 0
        await city.tick()
        await city.deliver()
        assert len(await bought(city)) == 1
        assert await city.balance() == 20_000_000

    async def test_that_was_charged_before_a_crash_is_booked_though_the_rule_is_off_by_then(self, city, monkeypatch):
        """The provider has the money; that nothing more may be charged does not make the purchase void."""
        await rule(city)
        city.clock.advance(seconds=10)
        real = city.sandbox.charge

        async def lost(order, mandate):
            await real(order, mandate)
            raise OSError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(city.sandbox, "charge", lost)
            with pytest.raises(OSError, match="gone"):
                await city.credits.auto.run()
        await city.credits.auto.disable(city.org)
        city.clock.advance(minutes=2)
        await city.credits.auto.run()
        await city.deliver()
        await city.tick()
        (made,) = await bought(city)
        assert made.state is PurchaseState.POSTED
        assert await city.balance() > 0

    async def test_refuses_an_amount_that_would_not_lift_the_balance(self, city):
        with pytest.raises(Invalid):
            await rule(city, threshold_micro=20_000_001, value_fen=2_000)
        with pytest.raises(Invalid):
            await rule(city, cap_fen=1_999)
        await rule(city, threshold_micro=20_000_000, value_fen=2_000, cap_fen=2_000)

    async def test_asks_for_a_new_mandate_when_the_amount_changes(self, city):
        first = await rule(city)
        second = await rule(city, value_fen=3_000)
        assert first.mandate_id != second.mandate_id
        assert (await city.payments.mandate(first.mandate_id)).state == "revoked"

    @pytest.mark.parametrize("error", [UnknownProvider("gone"), ProviderRefused("sandbox", "no such mandate")])
    async def test_of_others_goes_on_where_a_provider_cannot_be_told_that_a_mandate_ended(
        self, city, monkeypatch, error
    ):
        """The sandbox is switched off when a city goes live, and an institution may say no for good."""
        await rule(city)

        async def refused(mandate):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(city.sandbox, "revoke", refused)
            assert not (await city.credits.auto.disable(city.org)).enabled
            city.org = uuid4()
            await rule(city)
            await city.tick()
        assert len(await bought(city)) == 1

    async def test_withdraws_what_a_process_asked_for_that_ended_before_the_rule_was_saved(self, city, monkeypatch):
        """Nobody is shown where to sign it, so it waits at the provider for ever."""
        known, org = await rule(city), city.org

        async def dies(*values, **named):
            raise ConnectionResetError

        with monkeypatch.context() as patch:
            patch.setattr(rule_store, "save_auto", dies)
            with pytest.raises(ConnectionResetError):
                await rule(city, value_fen=3_000)
        await city.db.execute("UPDATE payments.mandate SET state = 'pending', decided_at = NULL")
        left = await city.db.fetchval("SELECT id FROM payments.mandate WHERE limit_fen = 3000")
        await city.credits.auto.run()
        assert (await city.payments.mandate(left)).state == "pending", "it may be about to be saved"
        city.clock.advance(hours=2)
        await city.credits.auto.run()
        assert (await city.payments.mandate(left)).state == "revoked"
        assert (await city.payments.mandate(known.mandate_id)).state == "pending", "this one is shown to its payer"
        assert org == city.org

    async def test_forgets_a_mandate_whose_provider_is_used_no_more(self, city, monkeypatch):
        made = await rule(city)
        with monkeypatch.context() as patch:
            patch.setattr(city.payments, "_providers", {})
            await city.credits.auto.disable(city.org)
        assert (await city.payments.mandate(made.mandate_id)).state == "revoked"
        assert await city.db.fetchval("SELECT withdrawn FROM credits.auto_top_up") == []

    async def test_absent_is_said(self, city):
        with pytest.raises(NoAutoTopUp):
            await city.credits.auto.get(city.org)
