"""The stability fund (F8): on which side of its lines it trades, and how much of what."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shanhe.exchange.api import FUND, Market, Validity
from shanhe.exchange.cash import CREDIT_KIND
from shanhe.exchange.fund_store import float_micro, used_today
from shanhe.exchange.policy import Policy
from shanhe.kernel.clock import DAY
from shanhe.ledger.api import Asset, Provenance

from .conftest import CREDIT, NOON


async def traded(world, *prices: int) -> None:
    """One trade of 100 credits at each of these prices."""
    seller, buyer = await world.seller(100 * len(prices)), await world.buyer(100 * len(prices))
    for ticks in prices:
        await world.sell(seller, 100, ticks)
        await world.buy(buyer, 100, ticks)
        await world.auction()


def corridor(world, monkeypatch, floor: int, ceiling: int) -> None:
    """From now on prices are between these two."""
    real = Policy._day
    monkeypatch.setattr(
        Policy, "_day", lambda self, on: replace(real(self, on), floor_ticks=floor, ceiling_ticks=ceiling)
    )
    world.restart()


async def able(world) -> None:
    """Give the fund cash and credits enough for any order."""
    await world.lot(FUND, 10_000 * CREDIT)
    await world.exchange.cash.receive(FUND, 1_000_000, reference="means", actor="test")


class TestFund:
    async def test_never_buys_above_its_line_though_the_corridor_has_risen_beyond_it(self, world, monkeypatch):
        await traded(world, 6000, 3000)  # the average is 0.45, its line 0.405
        await able(world)
        corridor(world, monkeypatch, 4050, 15_000)
        placed = await world.exchange.stabilise()
        assert placed is not None
        assert placed.ticks == 4050
        await world.exchange.cancel(placed.id, org_id=None, actor="test")
        corridor(world, monkeypatch, 4051, 15_000)
        assert await world.exchange.stabilise() is None

    async def test_never_sells_below_its_line_though_the_corridor_has_fallen_below_it(self, world, monkeypatch):
        await traded(world, 6000, 10_000)  # the average is 0.80, its line 0.88
        await able(world)
        corridor(world, monkeypatch, 2400, 8800)
        placed = await world.exchange.stabilise()
        assert placed is not None
        assert placed.ticks == 8800
        await world.exchange.cancel(placed.id, org_id=None, actor="test")
        corridor(world, monkeypatch, 2400, 8799)
        assert await world.exchange.stabilise() is None

    async def test_looks_at_the_average_of_twenty_days_and_of_its_own_market(self, world):
        await traded(world, 10_000)
        world.clock.advance(days=20, seconds=1)
        await traded(world, 5000)
        await able(world)
        assert await world.exchange.stabilise() is None, "0.50 is the average, for all it remembers"

    async def test_acts_on_the_price_that_the_next_auction_would_give(self, world):
        await traded(world, 7000, 6000)  # the average is 0.65, its line 0.585
        await able(world)
        assert await world.exchange.stabilise() is None
        await world.sell(await world.seller(100), 100, 3000)
        await world.buy(await world.buyer(100), 100, 5849)
        placed = await world.exchange.stabilise()
        assert placed is not None
        assert placed.ticks == 5850

    async def test_does_nothing_while_trading_is_paused(self, world):
        await traded(world, 7000, 4000)
        await able(world)
        await world.exchange.pause("check", actor="test")
        assert await world.exchange.stabilise() is None
        await world.exchange.resume("go on", actor="test")
        assert await world.exchange.stabilise() is not None

    async def test_takes_up_a_fiftieth_of_the_float_a_day_and_counts_what_it_may_still_take(self, world):
        await world.seller(20_000)
        await traded(world, 7000, 4000)
        await able(world)  # 30,000 credits may trade: what was bought is locked again
        first = await world.exchange.stabilise()
        assert (first.quantity_micro, first.validity) == (600 * CREDIT, Validity.DAY)
        assert await world.exchange.stabilise() is None
        await world.exchange.cancel(first.id, org_id=None, actor="test")
        again = await world.exchange.stabilise()
        assert again.quantity_micro == 600 * CREDIT, "what was never taken is not used up"
        await world.sell(await world.seller(500), 500, 4000)
        await world.auction()
        await world.exchange.cancel(again.id, org_id=None, actor="test")
        today = world.clock.today()
        assert await used_today(world.db, FUND, Market.REAL, today) == 500 * CREDIT
        assert await used_today(world.db, FUND, Market.REAL, today + DAY) == 0, "another day, another fiftieth"

    async def test_is_not_held_to_what_it_did_with_play_money(self, world):
        await traded(world, 7000, 4000)
        await able(world)
        placed = await world.exchange.stabilise()
        today = world.clock.today()
        assert await used_today(world.db, FUND, Market.REAL, today) == placed.quantity_micro
        assert await used_today(world.db, FUND, Market.PLAY, today) == 0


class TestFloat:
    @pytest.mark.parametrize(
        "lot",
        [
            {"provenance": Provenance.SUBSIDY},
            {"unlock_at": NOON + timedelta(seconds=1)},
            {"expires_at": NOON},
            {"provenance": Provenance.REWARD, "spendable_at": NOON + timedelta(seconds=1)},
            {"provenance": Provenance.REWARD, "earmark": {"models": ["x"]}},
        ],
        ids=["subsidy", "locked", "expired", "pending", "earmarked"],
    )
    async def test_has_nothing_in_it_that_may_not_trade(self, world, lot):
        org = await world.seller(100)
        await world.lot(org, 50 * CREDIT, **lot)
        assert await float_micro(world.db, CREDIT_KIND[Market.REAL], world.clock.now()) == 100 * CREDIT
        assert await float_micro(world.db, CREDIT_KIND[Market.PLAY], world.clock.now()) == 0

    async def test_has_what_an_order_sets_aside_and_nothing_that_is_pledged(self, world):
        org = await world.seller(100)
        await world.sell(org, 40, 6000)
        assert await float_micro(world.db, CREDIT_KIND[Market.REAL], world.clock.now()) == 100 * CREDIT
        wallet = await world.ledger.ensure_account(org, Asset.CREDIT, "wallet")
        await world.ledger.set_floor(wallet.id, 30 * CREDIT)
        assert await float_micro(world.db, CREDIT_KIND[Market.REAL], world.clock.now()) == 70 * CREDIT
