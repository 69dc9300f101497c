"""Loops through the rules that look profitable, walked step by step: none leaves its walker richer.

Whoever walks a loop starts with cash only. What counts at the end is cash: credits that can only be spent on compute,
or never be sold, are no profit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from shanhe.credits.api import NothingToRefund
from shanhe.exchange.api import NothingToSell, SelfTrade
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Account, Asset, Charge, InsufficientCredit, Leg, Posting, Provenance, Transfer

from .city import RealCity

FIRST = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
CREDIT = 1_000_000
CEILING = 10_000
LIST_FEN = 100
VALUE_FEN = 1_000_000
RICH_FEN = 100_000_000


class Street:
    """A walker who counts cash, and a buyer who takes whatever is offered at the ceiling."""

    def __init__(self, city: RealCity, clock: FixedClock) -> None:
        self.city = city
        self.clock = clock
        self.spent_fen = 0
        self.orders = 0

    async def buy(self, value_fen: int = VALUE_FEN) -> None:
        bought = await self.city.buy(f"buy {self.spent_fen}", "walker", value_fen)
        self.purchase = bought.id
        self.spent_fen += bought.priced.paid_fen

    async def sell_all(self, quantity: int, ticks: int = CEILING, buyer: str = "buyer") -> int:
        """Sell at the ceiling to somebody who pays it; what arrives, fen."""
        self.orders += 1
        before = (await self.city.cash()).get("walker", (0, 0))[0]
        await self.city.place(f"sell {self.orders}", "walker", True, ticks, quantity, False)
        await self.city.place(f"take {self.orders}", buyer, False, ticks, quantity, False)
        await self.city.auction(crash=False)
        return (await self.city.cash())["walker"][0] - before

    async def tradeable(self, owner: str = "walker") -> int:
        market = await self.city.exchange.market()
        return (await self.city.exchange.cash.purse(self.city.owners[owner], market)).tradeable_micro

    async def left(self, provenance: Provenance, owner: str = "walker") -> int:
        balance = await self.city.ledger.balance(self.city.wallets[owner].id)
        return balance.by_provenance.get(provenance, 0)

    async def income(self, owner: str) -> Account:
        return await self.city.ledger.ensure_account(self.city.owners[owner], Asset.CREDIT, "income")

    async def call(self, amount: int, *legs: Leg) -> None:
        """Spend credits on a call: the legs' owners get theirs, the platform the rest."""
        reservation = await self.city.ledger.admit(self.city.wallets["walker"].id, amount, receipt_id=new_id())
        rest = amount - sum(leg.amount_micro for leg in legs)
        await self.city.ledger.settle(reservation, Charge(amount, (*legs, Leg(self.city.platform.id, rest))))

    async def collect(self, owner: str = "walker") -> int:
        """Move everything earned into the owner's wallet; how much."""
        income = await self.income(owner)
        amount = (await self.city.ledger.balance(income.id)).available
        if amount:
            transfer = Transfer(new_id(), income.id, self.city.wallets[owner].id, amount)
            await self.city.ledger.post(Posting(id=new_id(), kind="collect", transfers=(transfer,)))
        return amount


@pytest.fixture
async def street(database: Database) -> AsyncIterator[Street]:
    clock = FixedClock(FIRST)
    city = RealCity(database, clock, ["walker", "buyer", "friend"])
    await city.begin()
    await city.open_exchange()
    await city.deposit("purse", "buyer", RICH_FEN)
    yield Street(city, clock)
    report = await city.ledger.verify()
    assert report.clean, report.findings
    await city.end()


class TestBuyingAtSeventyAndSellingAtTheCeiling:
    async def test_loses_the_fee_and_the_discount_stays_compute(self, street: Street) -> None:
        await street.buy()
        assert street.spent_fen == 700_000
        with pytest.raises(NothingToSell):  # locked for three months
            await street.sell_all(CREDIT * 7000)
        street.clock.advance(days=93)
        assert await street.tradeable() == 7000 * CREDIT  # what was paid for, and not one micro-credit of the discount
        with pytest.raises(NothingToSell):
            await street.sell_all(7000 * CREDIT + 1)
        received = await street.sell_all(7000 * CREDIT)
        assert received == 630_000 == street.spent_fen - street.spent_fen // 10
        assert await street.left(Provenance.SUBSIDY) == 3000 * CREDIT
        assert await street.tradeable() == 0


class TestSubsidyThroughOnesOwnAgent:
    async def test_comes_out_as_subsidy_that_nobody_can_sell(self, street: Street) -> None:
        """R1, P6: pay one's own agent out of subsidy, collect the developer's share, try to sell it."""
        await street.city.grant("support", "walker", "subsidy", 1000 * CREDIT)
        income = await street.income("walker")
        rule = street.city.rulebook.evaluate(
            "P6", {"model_cost_micro": 100 * CREDIT, "markup_bps": 2000}, on=street.clock.today()
        )
        due, price = rule.outputs["developer_micro"], rule.outputs["price_micro"]
        for _ in range(8):
            await street.call(price, Leg(income.id, due))
        street.clock.advance(days=120)
        assert 0 < await street.collect() < 8 * price
        assert await street.left(Provenance.REWARD) == 0
        assert await street.tradeable() == 0
        with pytest.raises(NothingToSell):
            await street.sell_all(20 * CREDIT)

    async def test_mixed_with_paid_credits_brings_back_less_than_was_paid(self, street: Street) -> None:
        await street.buy()
        income = await street.income("walker")
        rule = street.city.rulebook.evaluate(
            "P6", {"model_cost_micro": 100 * CREDIT, "markup_bps": 10_000}, on=street.clock.today()
        )
        due, price = rule.outputs["developer_micro"], rule.outputs["price_micro"]
        for _ in range(10_000 * CREDIT // price):
            await street.call(price, Leg(income.id, due))
        street.clock.advance(days=120)
        await street.collect()
        sold = await street.sell_all(await street.tradeable())
        assert sold < street.spent_fen // 2


class TestOnesOwnNode:
    async def test_pays_back_seventy_of_a_hundred(self, street: Street) -> None:
        """P10: call a model on one's own contributed node."""
        await street.buy()
        income = await street.income("walker")
        share = street.city.rulebook.evaluate("P10", {"list_cost_micro": 100 * CREDIT}, on=street.clock.today())
        earned = share.outputs["contributor_micro"]
        for _ in range(100):
            await street.call(100 * CREDIT, Leg(income.id, earned))
        street.clock.advance(days=120)
        await street.collect()
        # 70 % came back, of which the tradeable part is at most what was burned of paid credits
        assert await street.tradeable() <= 7000 * CREDIT
        assert await street.sell_all(await street.tradeable()) < street.spent_fen


class TestOwningEverythingInTheCall:
    @pytest.mark.parametrize("markup_bps", [0, 100, 2_000, 10_000, 1_000_000])
    async def test_brings_back_less_than_the_call_cost(self, street: Street, markup_bps: int) -> None:
        """P6, P10, T16 and B2 at once: the agent, the node, the patent and the referral are all the payer's own."""
        city, on = street.city, street.clock.today()
        await street.buy()

        def due(rule: str, output: str, **facts: object) -> int:
            return int(city.rulebook.evaluate(rule, facts, on=on).outputs[output])

        cost = CREDIT
        price = due("P6", "price_micro", model_cost_micro=cost, markup_bps=markup_bps)
        back = (
            due("P6", "developer_micro", model_cost_micro=cost, markup_bps=markup_bps)
            + due("P10", "contributor_micro", list_cost_micro=cost)
            + due("T16", "holder_micro", price_micro=price, rate=100_000)
            + due("B2", "creator_micro", paid_micro=price, signed_up_on=on, paid_on=on)
        )
        assert back < price
        income = await street.income("walker")
        for _ in range(10):
            await street.call(price, Leg(income.id, back))
        street.clock.advance(days=120)
        await street.collect()
        sellable = await street.tradeable()
        received = await street.sell_all(sellable) if sellable else 0
        assert received < street.spent_fen


class TestSpendingTheDiscountAndThenTheRefund:
    @pytest.mark.parametrize("used_credits", [0, 1, 2999, 3000, 6999, 7000, 10_000])
    async def test_pays_back_what_was_paid_less_what_was_used(self, street: Street, used_credits: int) -> None:
        """R3: the discount is spent first, and what was used counts at list price."""
        await street.buy()
        if used_credits:
            await street.call(used_credits * CREDIT)
        owed = street.spent_fen - used_credits * LIST_FEN
        if owed <= 0:
            with pytest.raises(NothingToRefund):
                await street.city.refund("1", "walker", street.purchase)
            return
        assert await street.city.refund("1", "walker", street.purchase) == owed
        assert (await street.city.ledger.balance(street.city.wallets["walker"].id)).balance == 0
        with pytest.raises(NothingToRefund):
            await street.city.refund("2", "walker", street.purchase)

    async def test_after_selling_what_was_paid_for_brings_nothing(self, street: Street) -> None:
        await street.buy()
        street.clock.advance(days=93)
        sold = await street.sell_all(7000 * CREDIT)
        with pytest.raises(NothingToRefund):
            await street.city.refund("1", "walker", street.purchase)
        assert sold < street.spent_fen


class TestManySmallFills:
    async def test_owe_the_same_fee_as_one_large_fill(self, street: Street) -> None:
        """C8: ten percent of 0.05 yuan rounds to nothing, ten percent of what the order has brought so far does not."""
        await street.city.grant("prize", "walker", "reward", 100 * CREDIT)
        street.clock.advance(days=100)
        city = street.city
        before = (await city.sums())[2]
        await city.place("many", "walker", True, 5_000, 20 * CREDIT, False)
        for number in range(4):  # each auction fills a part; the buyer's order can't be smaller than CNY 10
            await city.place(f"small {number}", "buyer", False, 5_000, 20 * CREDIT, False)
            await city.auction(crash=False)
        order = (await city.exchange.orders(city.owners["walker"]))[0]
        assert order.cash_fen == 1000
        assert order.fee_fen == 100 == (await city.sums())[2] - before

    async def test_of_five_fen_each_owe_a_tenth_in_the_end(self, street: Street) -> None:
        fee, brought = 0, 0
        for _ in range(200):
            brought += 5
            fee = street.city.exchange.policy.fee_fen(brought, 0, street.clock.today())
        assert fee == 100


class TestSelfTrade:
    async def test_is_refused(self, street: Street) -> None:
        await street.city.grant("prize", "walker", "reward", 100 * CREDIT)
        street.clock.advance(days=100)
        await street.city.deposit("purse", "walker", 100_000)
        await street.city.place("sell", "walker", True, 6_000, 50 * CREDIT, False)
        with pytest.raises(SelfTrade):
            await street.city.place("buy", "walker", False, 6_000, 50 * CREDIT, False)

    async def test_through_a_friend_keeps_the_expiry_and_locks_anew(self, street: Street) -> None:
        """C6: what was bought expires when the seller's would have, so no detour renews it."""
        city = street.city
        await city.grant("prize", "walker", "reward", 100 * CREDIT)
        (lot,) = await city.ledger.lots(city.wallets["walker"].id)
        street.clock.advance(days=100)
        await city.deposit("purse", "friend", RICH_FEN)
        await street.sell_all(100 * CREDIT, 5_000, buyer="friend")
        (bought,) = await city.ledger.lots(city.wallets["friend"].id)
        assert bought.expires_at == lot.expires_at
        assert await street.tradeable("friend") == 0
        assert bought.unlock_at is not None
        assert bought.unlock_at > street.clock.now()
        street.clock.set(lot.expires_at)
        await city.ledger.sweep()
        with pytest.raises(InsufficientCredit):
            await city.call("late", "friend", CREDIT, CREDIT)
