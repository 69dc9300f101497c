"""Orders: what is accepted, what is set aside for it, and what is refused with nothing changed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from shanhe.exchange import intake, store
from shanhe.exchange.api import (
    BUY,
    SELL,
    BadPrice,
    BadQuantity,
    BelowFilled,
    ExchangeUnavailable,
    Market,
    MarketPaused,
    NewOrder,
    NotEnoughCash,
    NothingToSell,
    OrderConflict,
    OrderEnded,
    OrderTooSmall,
    OutsideCorridor,
    SelfTrade,
    Trader,
    TraderFrozen,
    UnknownOrder,
    Validity,
)
from shanhe.exchange.errors import TooManyOrders
from shanhe.exchange.journal import decode
from shanhe.exchange.model import Auction
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, Provenance

from .conftest import CREDIT, later

WAITED_FOR = "SELECT EXISTS (SELECT FROM pg_locks l WHERE pg_backend_pid() = ANY(pg_blocking_pids(l.pid)))"


class TestEscrow:
    async def test_of_a_sale_is_a_hold_on_concrete_lots(self, world):
        seller = await world.seller(100)
        order = await world.sell(seller, 60, 6000)
        hold = await world.ledger.find_hold(order.id)
        assert hold.amount == sum(part.amount for part in hold.lots) == 60 * CREDIT
        with pytest.raises(NothingToSell):
            await world.sell(seller, 41, 6000)
        await world.sell(seller, 40, 6000)

    async def test_of_a_purchase_is_the_most_it_can_cost(self, world):
        buyer = await world.buyer(60)
        await world.buy(buyer, 100, 6000)
        assert await world.cash(buyer) == (6000, 0)
        with pytest.raises(NotEnoughCash):
            await world.buy(buyer, 20, 6000)

    @pytest.mark.parametrize(
        "lot",
        [
            {"provenance": Provenance.SUBSIDY},
            {"unlock": timedelta(microseconds=1)},
            {"spendable": timedelta(days=1)},
            {"earmark": {"department": "x"}},
        ],
        ids=["subsidy", "locked", "pending", "earmarked"],
    )
    async def test_never_takes_a_lot_that_may_not_trade(self, world, lot):
        now = world.clock.now()
        terms = {f"{name}_at": now + lot.pop(name) for name in ("unlock", "spendable") if name in lot}
        seller = await world.seller(100, **lot, **terms)
        with pytest.raises(NothingToSell):
            await world.sell(seller, 50, 6000)
        assert await world.exchange.orders(seller) == []

    async def test_takes_a_lot_from_the_moment_its_lock_ends(self, world):
        seller = await world.seller(100, unlock_at=world.clock.now() + timedelta(hours=1))
        world.clock.advance(hours=1)
        assert (await world.sell(seller, 50, 6000)).state == "open"

    async def test_is_refused_by_the_database_itself_for_a_subsidy(self, world):
        """Even a hold made around the exchange sells no subsidy: the child lot is refused."""
        seller = await world.seller(100, provenance=Provenance.SUBSIDY)
        wallet = await world.ledger.ensure_account(seller, Asset.CREDIT, "wallet")
        (lot,) = await world.ledger.lots(wallet.id)
        with pytest.raises(asyncpg.PostgresError, match="stays subsidy"):
            await world.db.execute(
                """INSERT INTO ledger.lot (id, account, provenance, parent, issued, remaining, issued_at, open)
                   VALUES ($1, $2, 'exchange', $3, 1, 1, $4, true)""",
                uuid4(), wallet.id, lot.id, world.clock.now(),
            )  # fmt: skip

    async def test_ends_with_the_order(self, world):
        buyer, seller = await world.buyer(60), await world.seller(100)
        bought, sold = await world.buy(buyer, 100, 6000), await world.sell(seller, 100, 7000)
        await world.exchange.cancel(bought.id, org_id=buyer, actor="test")
        await world.exchange.cancel(sold.id, org_id=seller, actor="test")
        assert await world.cash(buyer) == (6000, 6000)
        assert (await world.exchange.cash.purse(seller, Market.REAL)).tradeable_micro == 100 * CREDIT
        await world.verify()


class TestOrder:
    @pytest.mark.parametrize("ticks", [0, -1, 2**63, 10_000_001, 0.5, True])
    async def test_with_a_bad_price_is_refused(self, world, ticks):
        with pytest.raises(BadPrice):
            await world.exchange.place(NewOrder(new_id(), uuid4(), BUY, ticks, 100 * CREDIT), actor="test")

    @pytest.mark.parametrize("quantity", [0, -1, 2**63, 5 * 10**14 + 1, 1.5])
    async def test_with_a_bad_quantity_is_refused(self, world, quantity):
        with pytest.raises(BadQuantity):
            await world.exchange.place(NewOrder(new_id(), uuid4(), SELL, 6000, quantity), actor="test")

    @pytest.mark.parametrize("ticks", [2999, 10001])
    async def test_outside_the_corridor_is_refused(self, world, ticks):
        buyer = await world.buyer()
        with pytest.raises(OutsideCorridor):
            await world.buy(buyer, 100, ticks)
        assert await world.cash(buyer) == (100_000, 100_000)

    async def test_is_worth_ten_yuan_at_least(self, world):
        buyer = await world.buyer()
        with pytest.raises(OrderTooSmall):
            await world.exchange.place(NewOrder(new_id(), buyer, BUY, 10_000, 9_994_999), actor="test")
        await world.exchange.place(NewOrder(new_id(), buyer, BUY, 10_000, 10 * CREDIT), actor="test")

    async def test_is_accepted_once_however_often_it_is_sent(self, world):
        buyer, order_id = await world.buyer(60), new_id()
        first = await world.buy(buyer, 50, 6000, order_id=order_id)
        assert await world.buy(buyer, 50, 6000, order_id=order_id) == first
        for change in ({"credits": 51, "ticks": 6000}, {"credits": 50, "ticks": 6001}):
            with pytest.raises(OrderConflict):
                await world.buy(buyer, **change, order_id=order_id)
        assert await world.cash(buyer) == (6000, 3000)

    async def test_of_another_organisation_is_unknown(self, world):
        order = await world.buy(await world.buyer(), 50, 6000)
        with pytest.raises(UnknownOrder):
            await world.exchange.cancel(order.id, org_id=uuid4(), actor="test")

    async def test_that_an_operator_ends_says_so_and_the_journal_says_who(self, world):
        order = await world.buy(await world.buyer(100), 50, 6000)
        done = await world.exchange.cancel(order.id, org_id=None, actor="person:operator")
        assert done.state == "stopped"
        (body,) = await world.db.fetch("SELECT body FROM exchange.event ORDER BY seq DESC LIMIT 1")
        assert decode(body["body"]).actor == "person:operator"
        await world.verify()

    async def test_that_ended_cannot_be_cancelled_again(self, world):
        buyer = await world.buyer()
        order = await world.buy(buyer, 50, 6000)
        assert (await world.exchange.cancel(order.id, org_id=buyer, actor="test")).state == "cancelled"
        with pytest.raises(OrderEnded):
            await world.exchange.cancel(order.id, org_id=buyer, actor="test")

    async def test_of_a_frozen_organisation_is_refused(self, world):
        buyer = await world.buyer()
        world.traders[buyer] = Trader(buyer, buyer, frozen=True)
        with pytest.raises(TraderFrozen):
            await world.buy(buyer, 50, 6000)

    async def test_for_a_day_ends_with_the_day_in_the_city(self, world):
        buyer = await world.buyer()
        order = await world.buy(buyer, 50, 6000, validity=Validity.DAY)
        world.clock.advance(hours=11, minutes=49)
        await world.exchange.sweep()
        assert (await world.exchange.order(order.id)).state == "open"
        world.clock.advance(minutes=1)  # midnight in the city
        await world.exchange.sweep()
        assert (await world.exchange.order(order.id)).state == "expired"
        assert await world.cash(buyer) == (100_000, 100_000)
        world.clock.advance(days=-1)  # a clock that jumps back revives nothing
        await world.exchange.sweep()
        assert (await world.exchange.order(order.id)).state == "expired"

    async def test_for_a_day_ends_earlier_with_its_lots(self, world):
        soon = later(world.clock, hours=2)
        seller = await world.seller(50, expires_at=soon)
        assert (await world.sell(seller, 50, 6000, validity=Validity.DAY)).until == soon

    async def test_to_sell_ends_when_its_lots_expire(self, world):
        expires_at = world.clock.now() + timedelta(days=2)
        seller, buyer = await world.seller(100, expires_at=expires_at), await world.buyer()
        order = await world.sell(seller, 50, 6000)
        assert order.until == expires_at
        world.clock.advance(days=2)
        await world.buy(buyer, 50, 6000)
        await world.auction()
        assert (await world.exchange.order(order.id)).state == "expired"
        assert await world.credits(buyer) == 0


class TestSelfTrade:
    async def test_is_refused_on_entry(self, world):
        org = await world.seller(100)
        await world.exchange.cash.receive(org, 10_000, reference="x", actor="test")
        await world.sell(org, 50, 6000)
        with pytest.raises(SelfTrade):
            await world.buy(org, 50, 6000)
        await world.buy(org, 50, 5999)

    async def test_is_no_matter_of_orders_that_ended_or_of_the_other_market(self, world):
        org = await world.seller(200)
        await world.exchange.cash.receive(org, 100_000, reference="x", actor="test")
        sold = await world.sell(org, 50, 6000)
        await world.exchange.cancel(sold.id, org_id=org, actor="test")
        bought = await world.buy(org, 50, 6000)
        await world.exchange.cancel(bought.id, org_id=org, actor="test")
        await world.sell(org, 50, 6000)
        await world.db.execute("UPDATE exchange.orders SET market = 'play' WHERE state = 'open'")  # its own book
        world.restart()
        await world.buy(org, 50, 6000)
        await world.db.execute("UPDATE exchange.orders SET market = 'play' WHERE state = 'open'")
        world.restart()
        await world.sell(org, 50, 6000)

    async def test_of_related_parties_is_refused_too(self, world):
        """Organisations of one beneficiary, and parties that facts relate, are one in this."""
        seller, buyer, friend = await world.seller(100), await world.buyer(), await world.buyer()
        owner = uuid4()
        world.traders = {
            seller: Trader(seller, owner), buyer: Trader(buyer, owner), friend: Trader(friend, friend, related=(owner,))
        }  # fmt: skip
        await world.sell(seller, 50, 6000)
        for org in (buyer, friend):
            with pytest.raises(SelfTrade):
                await world.buy(org, 50, 6000)


class TestAmendment:
    async def test_moves_escrow_with_it(self, world):
        buyer, seller = await world.buyer(100), await world.seller(100)
        bought, sold = await world.buy(buyer, 100, 5000), await world.sell(seller, 50, 7000)
        amend = world.exchange.amend
        await amend(bought.id, org_id=buyer, ticks=6000, quantity_micro=150 * CREDIT, actor="test")
        assert await world.cash(buyer) == (10_000, 1_000)
        await amend(bought.id, org_id=buyer, ticks=4000, quantity_micro=100 * CREDIT, actor="test")
        assert await world.cash(buyer) == (10_000, 6_000)
        await amend(sold.id, org_id=seller, ticks=6500, quantity_micro=90 * CREDIT, actor="test")
        assert (await world.exchange.cash.purse(seller, Market.REAL)).tradeable_micro == 10 * CREDIT
        with pytest.raises(NothingToSell):
            await amend(sold.id, org_id=seller, ticks=6500, quantity_micro=101 * CREDIT, actor="test")
        await amend(sold.id, org_id=seller, ticks=6500, quantity_micro=20 * CREDIT, actor="test")
        assert (await world.exchange.cash.purse(seller, Market.REAL)).tradeable_micro == 80 * CREDIT
        await world.verify()

    async def test_to_more_loses_its_place_and_to_less_keeps_it(self, world):
        first, second, seller = await world.buyer(), await world.buyer(), await world.seller(50)
        one, two = await world.buy(first, 100, 6000), await world.buy(second, 50, 6000)
        await world.exchange.amend(one.id, org_id=first, ticks=6000, quantity_micro=50 * CREDIT, actor="test")
        await world.sell(seller, 20, 6000)
        await world.auction()
        assert (await world.exchange.order(one.id)).filled_micro == 20 * CREDIT
        await world.exchange.amend(one.id, org_id=first, ticks=6000, quantity_micro=60 * CREDIT, actor="test")
        await world.sell(seller, 30, 6000)
        await world.auction()
        assert (await world.exchange.order(one.id)).filled_micro == 20 * CREDIT
        assert (await world.exchange.order(two.id)).filled_micro == 30 * CREDIT
        await world.verify()

    async def test_below_what_is_filled_is_refused(self, world):
        buyer, seller = await world.buyer(), await world.seller(50)
        order = await world.buy(buyer, 100, 6000)
        await world.sell(seller, 50, 6000)
        await world.auction()
        with pytest.raises(BelowFilled):
            await world.exchange.amend(order.id, org_id=buyer, ticks=6000, quantity_micro=50 * CREDIT, actor="test")

    async def test_of_an_order_that_is_filled_in_part_asks_for_what_is_left_of_it(self, world):
        buyer, seller = await world.buyer(72), await world.seller(40)
        order = await world.buy(buyer, 100, 6000)
        await world.sell(seller, 40, 6000)
        await world.auction()
        assert await world.cash(buyer) == (4_800, 1_200)
        await world.exchange.amend(order.id, org_id=buyer, ticks=6000, quantity_micro=120 * CREDIT, actor="test")
        assert await world.cash(buyer) == (4_800, 0)
        await world.verify()

    async def test_of_what_could_not_be_placed_is_refused(self, world):
        buyer = await world.buyer()
        order = await world.buy(buyer, 50, 6000)

        async def amend(ticks, micro):
            await world.exchange.amend(order.id, org_id=buyer, ticks=ticks, quantity_micro=micro, actor="test")

        with pytest.raises(OutsideCorridor):
            await amend(2_999, 50 * CREDIT)
        with pytest.raises(OrderTooSmall):
            await amend(6_000, 16 * CREDIT)
        await world.exchange.pause("rumours", actor="person:operator")
        with pytest.raises(MarketPaused):
            await amend(6_000, 40 * CREDIT)
        kept = await world.exchange.order(order.id)
        assert (kept.ticks, kept.quantity_micro) == (6_000, 50 * CREDIT)
        assert await world.cash(buyer) == (100_000, 97_000)

    async def test_by_lots_that_expire_sooner_ends_the_order_with_them(self, world):
        late, soon = later(world.clock, days=20), later(world.clock, hours=2)
        seller = await world.seller(50, expires_at=late)
        order = await world.sell(seller, 50, 6000)
        assert order.until == late
        await world.lot(seller, 10 * CREDIT, expires_at=soon)
        done = await world.exchange.amend(order.id, org_id=seller, ticks=6000, quantity_micro=60 * CREDIT, actor="test")
        assert done.until == soon
        world.clock.advance(hours=2)
        await world.exchange.sweep()
        assert (await world.exchange.order(order.id)).state == "expired"
        assert (await world.exchange.cash.purse(seller, Market.REAL)).tradeable_micro == 50 * CREDIT

    async def test_that_would_meet_an_order_of_ones_own_is_refused_and_said_so(self, world):
        org = await world.seller(100)
        await world.exchange.cash.receive(org, 100_000, reference="x", actor="test")
        sold, bought = await world.sell(org, 50, 6000), await world.buy(org, 50, 5000)
        for order, ticks in ((sold, 5000), (bought, 6000)):
            with pytest.raises(SelfTrade):
                await world.exchange.amend(order.id, org_id=org, ticks=ticks, quantity_micro=60 * CREDIT, actor="test")
        assert await world.cash(org) == (100_000, 97_500), "nothing more is set aside"
        done = await world.exchange.amend(bought.id, org_id=org, ticks=5999, quantity_micro=50 * CREDIT, actor="test")
        assert done.ticks == 5999

    async def test_does_not_meet_a_party_that_became_related_since(self, world):
        seller, buyer = await world.seller(100), await world.buyer()
        sold = await world.sell(seller, 50, 6000)
        await world.buy(buyer, 50, 5000)
        world.traders[seller] = Trader(seller, seller, related=(buyer,))
        with pytest.raises(SelfTrade):
            await world.exchange.amend(sold.id, org_id=seller, ticks=5000, quantity_micro=50 * CREDIT, actor="test")

    async def test_of_a_frozen_organisation_is_refused(self, world):
        buyer = await world.buyer()
        order = await world.buy(buyer, 50, 5000)
        world.traders[buyer] = Trader(buyer, buyer, frozen=True)
        with pytest.raises(TraderFrozen):
            await world.exchange.amend(order.id, org_id=buyer, ticks=9000, quantity_micro=50 * CREDIT, actor="test")
        await world.exchange.cancel(order.id, org_id=buyer, actor="test")

    async def test_waits_for_a_wallet_without_keeping_one_that_comes_after_it(self, world):
        """Two of one batch. Calls of both wallets are settled meanwhile, which have the first and take the second."""
        intake, sellers, buyer = world.exchange._intakes[Market.REAL], list[UUID](), await world.buyer()
        orders, wallet = dict[UUID, UUID](), dict[UUID, UUID]()
        for _ in range(2):
            sellers.append(org := await world.seller(100))
            orders[org] = (await world.sell(org, 50, 6000)).id
            wallet[org] = (await world.ledger.ensure_account(org, Asset.CREDIT, "wallet")).id
        first, second = sorted(sellers, key=wallet.__getitem__)

        async def amend(org):
            await world.exchange.amend(orders[org], org_id=org, ticks=6000, quantity_micro=60 * CREDIT, actor="test")

        async def until(true):
            while not await true():  # noqa: ASYNC110 - nothing tells when
                await asyncio.sleep(0.01)

        take = "SELECT FROM ledger.account WHERE id = $1 FOR UPDATE NOWAIT"
        async with world.db.transaction() as calls, asyncio.timeout(30):
            await calls.execute(take, wallet[first])
            async with world.db.transaction() as head:
                await store.head(head, Market.REAL, lock=True)
                before = asyncio.create_task(world.buy(buyer, 50, 5000))
                await until(lambda: head.fetchval(WAITED_FOR))
                amending = asyncio.gather(amend(second), amend(first))
                await until(lambda: asyncio.sleep(0, len(intake._queue) == 2))
            await until(lambda: calls.fetchval(WAITED_FOR))
            await calls.execute(take, wallet[second])
        await asyncio.gather(before, amending)
        await world.verify()

    async def test_that_comes_too_late_disturbs_nobody_else(self, world, monkeypatch):
        """The order is filled, settled and released between the look at it and the amendment of its escrow."""
        buyer, seller, other = await world.buyer(), await world.seller(50), await world.buyer()
        order = await world.buy(buyer, 50, 6000)
        await world.sell(seller, 50, 6000)
        look = store.known_orders

        async def meanwhile(conn, identifiers):
            found = await look(conn, identifiers)
            if order.id not in identifiers:
                return found
            monkeypatch.setattr(store, "known_orders", look)
            assert found[order.id]["state"] == "open"
            for market in world.exchange._engines.values():
                await market.advance()
            await world.exchange._settlements[Market.REAL].run()
            return found

        async with world.db.transaction() as conn:
            batch = await world.exchange._intakes[Market.REAL].begin(conn)
            batch.events.append(Auction(**batch.next(), slot_us=1, reference=6000))
            await world.exchange._intakes[Market.REAL].finish(conn, batch)
        monkeypatch.setattr(store, "known_orders", meanwhile)
        late = world.exchange.amend(order.id, org_id=buyer, ticks=6000, quantity_micro=90 * CREDIT, actor="test")
        outcome = await asyncio.gather(late, world.buy(other, 50, 5000), return_exceptions=True)
        assert isinstance(outcome[0], OrderEnded)
        assert outcome[0].details["state"] == "filled"
        assert outcome[1].state == "open"
        assert await world.cash(buyer) == (97_000, 97_000)
        await world.verify()


class TestPause:
    async def test_stops_orders_and_auctions_but_not_cancelling(self, world):
        buyer, seller = await world.buyer(), await world.seller()
        order = await world.buy(buyer, 50, 6000)
        await world.sell(seller, 50, 6000)
        status = await world.exchange.pause("rumours 传言", actor="person:operator")
        assert (status.paused, status.pause_reason) == (True, "rumours 传言")
        with pytest.raises(MarketPaused):
            await world.buy(buyer, 50, 6000)
        assert (await world.auction()).auction is None
        await world.exchange.cancel(order.id, org_id=buyer, actor="test")
        assert not (await world.exchange.resume("denied 已澄清", actor="person:operator")).paused
        await world.buy(buyer, 50, 6000)
        assert (await world.auction()).trades == 1
        await world.verify()


class TestAcceptance:
    async def test_of_those_behind_goes_on_when_one_batch_cannot_be_booked(self, world, monkeypatch):
        monkeypatch.setattr(intake, "BATCH_MAX", 1)
        buyers = [await world.buyer() for _ in range(3)]
        here, days = world.exchange._intakes[Market.REAL], []

        def withheld(on):
            days.append(on)
            if len(days) == 1:
                raise KeyError("a rule that cannot be read")
            return world.exchange.policy.day(on)

        monkeypatch.setattr(here, "_day", withheld)
        async with asyncio.timeout(20):
            done = await asyncio.gather(*(world.buy(buyer, 50, 6000) for buyer in buyers), return_exceptions=True)
        (refused,) = [one for one in done if isinstance(one, BaseException)]
        assert isinstance(refused, ExchangeUnavailable)
        assert [order.state for order in done if order is not refused] == ["open", "open"]


class TestSellingOrders:
    async def test_sent_at_once_sell_together_no_more_than_there_is(self, world):
        seller, buyer = await world.seller(100), await world.buyer()
        orders = (world.sell(seller, credits, 6000) for credits in (50, 80, 30))
        half, most, rest = await asyncio.gather(*orders, return_exceptions=True)
        refused, taken = ([most], [half, rest]) if isinstance(most, NothingToSell) else ([half, rest], [most])
        assert all(isinstance(order, NothingToSell) for order in refused), "whichever came first, 80 of 100 are offered"
        assert all(order.state == "open" for order in taken)
        await world.buy(buyer, 160, 6000)
        assert (await world.auction()).trades == len(taken)
        assert await world.credits(buyer) == 80 * CREDIT
        await world.verify()


class TestOpenOrders:
    async def test_that_another_process_accepted_count_before_the_bound_is_near(self, world, monkeypatch):
        monkeypatch.setattr(intake, "OPEN_ORDERS_MAX", 3)
        seller = await world.seller(1_000)
        await world.sell(seller, 20, 6000)
        here, other = world.exchange, world.restart()
        for _ in range(2):
            await other.place(NewOrder(new_id(), seller, SELL, 6000, 20 * CREDIT), actor="test")
        with pytest.raises(TooManyOrders):
            await here.place(NewOrder(new_id(), seller, SELL, 6000, 20 * CREDIT), actor="test")

    async def test_of_one_organisation_are_bounded_whoever_accepts_them(self, world, monkeypatch):
        """Ended orders make room again, and what another process accepts counts."""
        monkeypatch.setattr(intake, "OPEN_ORDERS_MAX", 3)
        seller = await world.seller(1_000)
        first, *_ = [await world.sell(seller, 20, 6000) for _ in range(3)]
        with pytest.raises(TooManyOrders):
            await world.sell(seller, 20, 6000)
        await world.exchange.cancel(first.id, org_id=seller, actor="test")
        second = await world.sell(seller, 20, 6000)
        await world.exchange.cancel(second.id, org_id=seller, actor="test")
        here = world.exchange
        other = world.restart()
        await other.place(NewOrder(new_id(), seller, SELL, 6000, 20 * CREDIT), actor="test")
        with pytest.raises(TooManyOrders):
            await here.place(NewOrder(new_id(), seller, SELL, 6000, 20 * CREDIT), actor="test")
