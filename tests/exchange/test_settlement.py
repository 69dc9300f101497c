"""From trade to posting: what is conserved, what the fee is, and that a crash between changes nothing."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanhe.exchange import intake, settlement, store
from shanhe.exchange.api import BUY, Market, NewOrder
from shanhe.exchange.clearing import VALUE_PER_FEN, cash_of, more_cash
from shanhe.exchange.fund_store import average
from shanhe.kernel.clock import DAY
from shanhe.kernel.ids import new_id
from shanhe.kernel.migrations import discover
from shanhe.ledger.api import Asset, Provenance
from stage.draws import draws

from .conftest import CREDIT


class TestTrade:
    async def test_pays_the_seller_what_the_buyer_paid_less_the_fee(self, world):
        seller, buyer = await world.seller(100), await world.buyer(100)
        await world.sell(seller, 100, 5000)
        await world.buy(buyer, 100, 7000)
        ran = await world.auction()
        assert (ran.trades, ran.settled, ran.auction.ticks) == (1, 1, 6500)
        assert await world.cash(buyer) == (3_500, 3_500)
        assert await world.cash(seller) == (5_850, 5_850)
        assert await world.fund() == 650
        assert (await world.credits(seller), await world.credits(buyer)) == (0, 100 * CREDIT)
        await world.verify()

    async def test_gives_the_buyer_a_lot_of_the_exchange_with_its_parent_and_a_new_lock(self, world):
        expires_at = world.clock.now().replace(year=2028)
        org, buyer = uuid4(), await world.buyer(100)
        parent = await world.lot(org, 100 * CREDIT, Provenance.REWARD, expires_at=expires_at)
        await world.sell(org, 100, 6500)
        await world.buy(buyer, 100, 6500)
        await world.auction()
        wallet = await world.ledger.ensure_account(buyer, Asset.CREDIT, "wallet")
        (lot,) = await world.ledger.lots(wallet.id)
        assert (lot.provenance, lot.parent, lot.expires_at) == (Provenance.EXCHANGE, parent, expires_at)
        assert lot.unlock_at.isoformat() == "2027-02-23T16:00:00+00:00"  # 24 February in the city: three months
        assert lot.cost_fen == 6_500
        assert (await world.exchange.cash.purse(buyer, Market.REAL)).tradeable_micro == 0

    async def test_is_one_posting_with_its_rules_as_evidence(self, world):
        seller, buyer = await world.seller(100), await world.buyer(100)
        await world.sell(seller, 50, 6000)
        await world.buy(buyer, 50, 6000)
        await world.auction()
        (trade,) = await world.exchange.trades()
        posting = await world.ledger.posting(trade.id)
        assert posting.kind == "trade"
        assert [leg.amount for leg in posting.transfers] == [50 * CREDIT, 3_000, 300]
        assert b'"rules"' in posting.evidence
        assert [kind for kind, _ in world.recorded] == ["exchange.auction"]

    async def test_takes_the_loyalty_discount_off_the_fee(self, world):
        seller, buyer = await world.seller(100), await world.buyer(100)
        world.discounts[seller] = 3000
        await world.sell(seller, 100, 6000)
        await world.buy(buyer, 100, 6000)
        await world.auction()
        assert await world.fund() == 420

    async def test_fills_in_parts_until_the_order_is_done(self, world):
        seller, buyers = await world.seller(100), [await world.buyer(100) for _ in range(3)]
        order = await world.sell(seller, 100, 6000)
        for number, buyer in enumerate(buyers, 1):
            await world.buy(buyer, 30, 6000)
            await world.auction()
            assert (await world.exchange.order(order.id)).filled_micro == number * 30 * CREDIT
        assert (await world.exchange.order(order.id)).state == "open"
        await world.exchange.cancel(order.id, org_id=seller, actor="test")
        assert (await world.exchange.cash.purse(seller, Market.REAL)).tradeable_micro == 10 * CREDIT
        assert await world.fund() == 540
        await world.verify()

    async def test_drawn_from_several_lots_keeps_the_lineage_of_each(self, world):
        org, buyer = uuid4(), await world.buyer(100)
        parents = {await world.lot(org, 30 * CREDIT) for _ in range(3)}
        await world.sell(org, 80, 6000)
        await world.buy(buyer, 80, 6000)
        await world.auction()
        wallet = await world.ledger.ensure_account(buyer, Asset.CREDIT, "wallet")
        lots = await world.ledger.lots(wallet.id)
        assert {lot.parent for lot in lots} == parents
        assert sum(lot.remaining for lot in lots) == 80 * CREDIT
        await world.verify()

    @pytest.mark.parametrize("ticks", [6_001, 4_567])
    async def test_costs_the_buyer_what_was_paid_to_the_fen_over_all_its_lots(self, world, ticks):
        """Fills of a third of a fen and lots of thirds: what was paid is what the lots cost, however it was cut."""
        org, other, buyer = uuid4(), uuid4(), await world.buyer(100)
        for micro in (10_000_001, 333_333, 36_666_666):
            await world.lot(org, micro)
        await world.lot(other, 30 * CREDIT)
        await world.sell(org, 47, ticks)
        await world.sell(other, 30, ticks)
        await world.buy(buyer, 46.12, ticks)
        await world.buy(buyer, 30.88, ticks)
        await world.auction()
        balance, _ = await world.cash(buyer)
        wallet = await world.ledger.ensure_account(buyer, Asset.CREDIT, "wallet")
        lots = await world.ledger.lots(wallet.id)
        assert len(lots) > 3
        assert sum(lot.cost_fen for lot in lots) == 10_000 - balance
        assert all(lot.cost_fen >= 0 for lot in lots)
        as_before = await self.upgraded(world)
        assert as_before == {lot.id: lot.cost_fen for lot in lots}

    async def upgraded(self, world) -> dict:
        """What the migration makes of lots that only know what one credit of them cost, rounded to the fen."""
        (step,) = [migration for migration in discover() if migration.name == "lot_cost_of_old"]
        await world.db.execute(f"""
            ALTER TABLE ledger.lot ADD COLUMN unit_cost_fen bigint;
            UPDATE ledger.lot SET unit_cost_fen = cost_fen * {CREDIT} / issued, cost_fen = NULL;
            {step.sql}
            ALTER TABLE ledger.lot DROP COLUMN unit_cost_fen""")
        rows = await world.db.fetch("SELECT id, cost_fen FROM ledger.lot WHERE provenance = 'exchange'")
        return {row["id"]: row["cost_fen"] for row in rows}


class TestFee:
    async def test_cannot_be_dodged_by_many_fills_of_five_fen(self, world):
        """A fill of 0.05 yuan owes half a fen, which rounds to nothing; the order owes on all of them together."""
        seller, friend, buyer = await world.seller(100), await world.seller(200), await world.buyer(1_000)
        order = await world.sell(seller, 100, 5000)
        for fills in range(1, 9):
            await world.sell(friend, 21, 4900)  # goes first, so that 0.1 credits are left for the order
            await world.buy(buyer, 21.1, 5000)
            await world.auction()
            found = await world.exchange.order(order.id)
            assert (found.cash_fen, found.fee_fen) == (5 * fills, round(Fraction(5 * fills, 10)))
        assert found.fee_fen == 4
        await world.verify()

    async def test_is_due_on_what_an_order_has_brought_in_so_far(self, world):
        seller = await world.seller(1_000)
        order = await world.sell(seller, 1_000, 5000)
        for yuan in (10, 11, 12, 13):
            buyer = await world.buyer(100)
            await world.exchange.place(NewOrder(new_id(), buyer, BUY, 5000, yuan * 2_000_010), actor="test")
            await world.auction()
        found = await world.exchange.order(order.id)
        assert found.fee_fen == await world.fund() == round(Fraction(found.cash_fen, 10))
        trades = await world.exchange.trades()
        assert sum(trade.fee_fen for trade in trades) == found.fee_fen


class TestEscrow:
    @settings(max_examples=draws(1_000))
    @given(data=st.data(), filled=st.integers(0, 3), lefts=st.lists(st.integers(1, 5), min_size=2, max_size=5))
    def test_of_a_buying_order_covers_it_however_it_is_amended_and_filled(self, data, filled, lefts):
        """Amendments are accepted against what the tables say, and take effect one after the other, with fills in
        between and each cut to what is needed in the end. Prices are shares of a fen here, to round at every step."""
        price = st.sampled_from([part * VALUE_PER_FEN // 4 for part in range(1, 6)])
        ticks, left = data.draw(price), lefts[0]
        value = filled * data.draw(price)
        cash = cash_of(value)
        held = cash_of(value + ticks * left) - cash

        def fill(quantity):
            nonlocal value, cash, held, left
            left -= quantity
            value += quantity * data.draw(price.filter(lambda one: one <= ticks))
            held -= cash_of(value) - cash
            cash = cash_of(value)
            assert held >= 0

        while len(lefts) > 1:
            pending = data.draw(st.integers(1, len(lefts) - 1))
            asked = [(data.draw(price), lefts.pop()) for _ in range(pending)]
            held += sum(more_cash(value, ticks * left, max(ticks, dear) * max(left, more)) for dear, more in asked)
            done = 0
            for dear, more in asked:
                part = data.draw(st.integers(0, left))
                fill(part)
                done += part
                if more <= done or not left:
                    return  # ended: what it has is given back
                ticks, left = dear, more - done
            held = min(held, settlement.still_needed(
                {"side": BUY, "value": value, "ticks": ticks, "left": left, "cash_fen": cash}
            ))  # fmt: skip
        fill(left)

    @settings(max_examples=draws(2_000))
    @given(st.lists(st.integers(0, 16).map(lambda part: part * VALUE_PER_FEN // 8), min_size=4, max_size=4))
    def test_for_two_amendments_covers_what_both_come_to(self, parts):
        spent, before, one, other = parts
        more = more_cash(spent, before, before + one) + more_cash(spent, before, before + other)
        assert more >= cash_of(spent + before + one + other) - cash_of(spent + before)

    async def test_of_an_order_that_was_filled_in_part_for_less_pays_for_what_it_is_amended_to(self, world):
        seller, buyer = await world.seller(100), await world.buyer(1_000)
        await world.sell(seller, 20.7, 6000)
        bought = await world.buy(buyer, 40, 6600)
        await world.auction()
        (first,) = await world.exchange.trades()
        for tenths in (208, 407):
            await world.exchange.amend(
                bought.id, org_id=buyer, ticks=6600, quantity_micro=tenths * CREDIT // 10, actor="test"
            )
        await world.sell(seller, 20, 6600)
        await world.auction()
        assert first.ticks < 6600
        assert (await world.exchange.order(bought.id)).state == "filled"
        await world.verify()

    async def test_stays_when_an_amendment_is_accepted_while_it_is_cut(self, world, monkeypatch):
        seller, buyer = await world.seller(100), await world.buyer(1_000)
        bought = await world.buy(buyer, 20, 6000)
        look, more = store.pending_amends, []

        async def amended_meanwhile(*args):
            found = await look(*args)
            if not more:
                more.append(asyncio.create_task(world.exchange.amend(
                    bought.id, org_id=buyer, ticks=6000, quantity_micro=50 * CREDIT, actor="test"
                )))  # fmt: skip
                await asyncio.wait(more, timeout=1)  # as far as it gets
            return found

        monkeypatch.setattr(store, "pending_amends", amended_meanwhile)
        await world.exchange.amend(bought.id, org_id=buyer, ticks=6000, quantity_micro=18 * CREDIT, actor="test")
        await more[0]
        await world.sell(seller, 50, 6000)
        await world.auction()
        assert (await world.exchange.order(bought.id)).state == "filled"
        assert await world.credits(buyer) == 50 * CREDIT
        await world.verify()


class TestFeeOfAnyRule:
    @pytest.mark.parametrize("dues", [(0, 3_000, 4_000), (500, 100, 100), (9_999, 9_999, 9_999)])
    async def test_neither_takes_more_than_a_trade_brings_in_nor_gives_back(self, world, monkeypatch, dues):
        """Whatever an amended rule makes due on the proceeds so far: the market goes on and settles."""
        due = dict(zip((1_200, 2_400, 3_600), dues, strict=True))
        monkeypatch.setattr(world.exchange.policy, "fee_fen", lambda proceeds_fen, *_: due[proceeds_fen])
        seller = await world.seller(60)
        order = await world.sell(seller, 60, 6000)
        charged = 0
        for most in due.values():
            await world.buy(await world.buyer(100), 20, 6000)
            assert (await world.auction()).settled == 1
            charged = max(charged, min(most, charged + 1_200))
            assert (await world.exchange.order(order.id)).fee_fen == charged
        assert (await world.cash(seller))[0] == 3_600 - charged
        await world.verify()


class TestCrash:
    async def test_between_match_and_settlement_loses_and_doubles_nothing(self, world, monkeypatch):
        seller, buyer = await world.seller(100), await world.buyer(100)
        await world.sell(seller, 50, 6000)
        await world.buy(buyer, 50, 6000)
        deliver = world.ledger.escrow.deliver

        async def dies(*_, **__):
            raise ConnectionResetError("the process ends here")

        monkeypatch.setattr(world.ledger.escrow, "deliver", dies)
        with pytest.raises(ConnectionResetError):
            await world.auction()
        (trade,) = await world.exchange.trades()
        assert trade.settled_at is None
        assert await world.cash(buyer) == (10_000, 7_000)

        monkeypatch.setattr(world.ledger.escrow, "deliver", deliver)
        world.restart()
        assert (await world.exchange.sweep()).settled == 1
        assert (await world.exchange.sweep()).settled == 0
        assert await world.cash(buyer) == (7_000, 7_000)
        assert await world.cash(seller) == (2_700, 2_700)
        await world.verify()

    async def test_of_a_settlement_leaves_its_trades_where_they_are_looked_for(self, world, monkeypatch):
        await world.sell(await world.seller(100), 50, 6000)
        await world.buy(await world.buyer(100), 50, 6000)

        async def dies(*_, **__):
            raise ConnectionResetError("the process ends here")

        with monkeypatch.context() as crash:
            crash.setattr(world.ledger.escrow, "deliver", dies)
            with pytest.raises(ConnectionResetError):
                await world.auction()
        async with world.db.transaction() as conn:
            await store.move_settled(conn, Market.REAL)
        (trade,) = await world.db.fetch("SELECT seq FROM exchange.trade")
        before = await store.matcher(world.db, Market.REAL)
        assert before["settled"] < trade["seq"] <= before["seq"]
        assert (await world.exchange.sweep()).settled == 1
        after = await store.matcher(world.db, Market.REAL)
        assert after["settled"] == after["seq"] >= trade["seq"]

    async def test_before_the_match_was_recorded_repeats_it_alike(self, world, monkeypatch):
        seller, buyer = await world.seller(100), await world.buyer(100)
        await world.sell(seller, 50, 6000)
        await world.buy(buyer, 50, 6000)
        from shanhe.exchange import store

        insert = store.insert_trades

        async def dies(*_):
            raise ConnectionResetError("the process ends here")

        monkeypatch.setattr(store, "insert_trades", dies)
        with pytest.raises(ConnectionResetError):
            await world.auction()
        assert list(await world.exchange.trades()) == []
        monkeypatch.setattr(store, "insert_trades", insert)
        assert (await world.exchange.sweep()).trades == 1
        (trade,) = await world.exchange.trades()
        assert trade.settled_at is not None
        assert (await world.auction()).trades == 0
        await world.verify()

    async def test_in_another_process_is_taken_up_from_the_tables(self, world):
        seller, buyer = await world.seller(100), await world.buyer(100)
        await world.sell(seller, 50, 6000)
        world.restart()
        await world.buy(buyer, 50, 6000)
        await world.auction()
        world.restart()
        await world.buy(buyer, 20, 6000)
        await world.verify()

    @pytest.mark.parametrize("together", [1, 2, 3, 100])
    async def test_by_two_processes_at_once_books_each_trade_once(self, world, monkeypatch, together):
        """Batches of any size, with trades that the other has taken and trades that it has not."""
        monkeypatch.setattr(settlement, "TRADES_MAX", together)
        seller = await world.seller(1_000)
        for n in range(7):
            await world.sell(seller, 20 + n, 6000)
            await world.buy(await world.buyer(100), 20 + n, 6000)
        here, there = (exchange._settlements[Market.REAL] for exchange in (world.exchange, world.restart()))
        settle = here.run

        async def later():
            return 0

        for one in (here, there):
            monkeypatch.setattr(one, "run", later)
        assert (await world.auction()).trades == 7
        monkeypatch.undo()
        monkeypatch.setattr(settlement, "TRADES_MAX", together)
        assert sum(await asyncio.gather(settle(), there.run(), settle())) == 7
        assert all(trade.settled_at is not None for trade in await world.exchange.trades())
        assert await world.credits(seller) == (1_000 - sum(range(20, 27))) * CREDIT
        await world.verify()

    @pytest.mark.parametrize("fails", [1, 2, 3])
    async def test_of_one_batch_beside_the_next_leaves_what_is_not_booked_for_later(self, world, monkeypatch, fails):
        monkeypatch.setattr(settlement, "TRADES_MAX", 1)
        seller, deliver, calls = await world.seller(1_000), world.ledger.escrow.deliver, []
        for n in range(4):
            await world.sell(seller, 20 + n, 6000)
            await world.buy(await world.buyer(100), 20 + n, 6000)

        async def dies_once(*args, **kwargs):
            calls.append(1)
            if len(calls) == fails:
                raise ConnectionResetError("the connection ends here")
            await deliver(*args, **kwargs)

        monkeypatch.setattr(world.ledger.escrow, "deliver", dies_once)
        with pytest.raises(ConnectionResetError):
            await world.auction()
        booked = sum(trade.settled_at is not None for trade in await world.exchange.trades())
        assert booked < 4
        assert (await world.exchange.sweep()).settled == 4 - booked
        assert await world.credits(seller) == (1_000 - sum(range(20, 24))) * CREDIT
        await world.verify()


async def lose(world, order, left=None):
    """Take away what is set aside behind an order, as an old fault did: all of it, or all but so much."""
    async with world.db.transaction() as conn:
        await world.ledger.escrow.trim(conn, {order.id: left or 0})


def lose_when_settled(world, monkeypatch, order):
    """The same while the next settlement is on its way, before it has delivered anything."""
    deliver = world.ledger.escrow.deliver

    async def lost(*args, **more):
        monkeypatch.setattr(world.ledger.escrow, "deliver", deliver)
        await lose(world, order)
        await deliver(*args, **more)

    monkeypatch.setattr(world.ledger.escrow, "deliver", lost)


class TestUnbacked:
    """Orders behind which an old fault left too little; a process begins after it."""

    @pytest.mark.parametrize("left", [None, 1_000])
    @pytest.mark.parametrize("side", ["buy", "sell"])
    async def test_order_is_ended_before_it_meets_anybody_and_the_market_goes_on(self, world, side, left):
        seller, other, buyer, another = [
            await world.seller(100),
            await world.seller(100),
            await world.buyer(),
            await world.buyer(),
        ]
        bad = await (world.sell(seller, 50, 6000) if side == "sell" else world.buy(buyer, 50, 6000))
        await lose(world, bad, left)
        world.restart()
        good = await (world.sell(other, 50, 6000) if side == "buy" else world.buy(another, 50, 6000))
        assert (await world.auction()).trades == 0
        found = await world.exchange.order(bad.id)
        assert (found.state, found.filled_micro) == ("unbacked", 0)
        await (world.sell(other, 50, 6000) if side == "sell" else world.buy(another, 50, 6000))
        assert (await world.auction()).settled == 1
        assert (await world.exchange.order(good.id)).state == "filled"
        assert (await world.cash(buyer))[1] == 100_000
        assert (await world.exchange.cash.purse(seller, Market.REAL)).tradeable_micro == 100 * CREDIT
        await world.verify()

    async def test_order_is_ended_by_the_sweep_whatever_page_it_is_on(self, world, monkeypatch):
        monkeypatch.setattr(intake, "LOOKED_AT_ONCE", 2)
        orders = [await world.sell(await world.seller(100), 50, 6000 + n) for n in range(5)]
        filled_in_part = await world.sell(await world.seller(100), 50, 5000)
        await world.buy(await world.buyer(), 20, 5000)
        await world.auction()
        for order in orders[1::3]:
            await lose(world, order)
        world.restart()
        assert (await world.exchange.sweep()).ended == 2
        states = [(await world.exchange.order(order.id)).state for order in orders]
        assert states == ["open", "unbacked", "open", "open", "unbacked"]
        assert (await world.exchange.order(filled_in_part.id)).state == "open"
        await world.verify()

    async def test_orders_meet_nobody_while_somebody_still_looks_through_them(self, world, monkeypatch):
        """An auction and a sweep begin in the same moment."""
        bad = await world.sell(await world.seller(100), 50, 6000)
        await lose(world, bad)
        world.restart()
        await world.buy(await world.buyer(), 50, 6000)
        found = world.exchange._intakes[Market.REAL]
        look, begun, go = found._unbacked, asyncio.Event(), asyncio.Event()

        async def slowly():
            begun.set()
            await go.wait()
            return await look()

        monkeypatch.setattr(found, "_unbacked", slowly)
        sweep = asyncio.create_task(world.exchange.sweep())
        await begun.wait()
        auction = asyncio.create_task(found.end_unbacked())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not auction.done()
        go.set()
        await asyncio.gather(sweep, auction)
        assert (await world.exchange.order(bad.id)).state == "unbacked"

    async def test_order_that_was_amended_to_more_and_bought_for_less_keeps_its_place(self, world):
        buyer, seller = await world.buyer(), await world.seller(100)
        order = await world.buy(buyer, 30, 6000)
        await world.sell(seller, 20.7, 5500)
        await world.auction()
        await world.exchange.amend(order.id, org_id=buyer, ticks=6600, quantity_micro=50 * CREDIT, actor="test")
        world.restart()
        assert (await world.exchange.sweep()).ended == 0
        await world.verify()

    @pytest.mark.parametrize("side", ["buy", "sell"])
    async def test_trade_is_void_and_keeps_no_other_from_its_posting(self, world, monkeypatch, side):
        """It was made before anybody knew."""
        seller, buyer = await world.seller(100), await world.buyer()
        await world.sell(await world.seller(100), 20, 5000)
        asked = {"sell": (60, 70), "buy": (50, 80)}[side]
        bad = [await world.sell(seller, asked[0], 6000), await world.buy(buyer, asked[1], 6000)][side == "buy"]
        lose_when_settled(world, monkeypatch, bad)
        ran = await world.auction()
        trades = await world.exchange.trades(org_id=buyer)
        void = [trade for trade in trades if trade.void_at is not None]
        assert (ran.trades, ran.settled, len(void)) == ((1, 1, 1) if side == "sell" else (0, 0, 2))
        assert all((trade.settled_at is None) == (trade in void) for trade in trades)
        settled_fen = sum(trade.cash_fen for trade in trades if trade not in void)
        assert (await world.exchange.sweep()).ended == 1
        assert (await world.exchange.order(bad.id)).state == "unbacked"
        assert await world.cash(buyer) == (100_000 - settled_fen, 100_000 - settled_fen)
        assert (await world.credits(seller), await world.credits(buyer)) == (100 * CREDIT, ran.settled * 20 * CREDIT)
        await world.sell(seller, 30, 6000)
        await world.buy(buyer, 30, 6000)
        assert (await world.auction()).settled == 1
        await world.exchange.fund.run()
        found = await world.exchange.fund.view(Market.REAL)
        assert found.fees_fen == await world.fund() == sum(trade.fee_fen for trade in trades if trade not in void) + 180
        await world.verify()

    async def test_void_trade_is_in_no_figure_of_the_market(self, world, monkeypatch):
        seller, buyer = await world.seller(100), await world.buyer()
        await world.sell(seller, 20, 5000)
        await world.buy(buyer, 20, 5000)
        await world.auction()
        before = await world.exchange.status()
        bad = await world.sell(seller, 50, 6000)
        await world.buy(buyer, 50, 6000)
        lose_when_settled(world, monkeypatch, bad)
        assert (await world.auction()).auction.trades == 0
        exchange = world.exchange
        assert [trade.void_at is None for trade in await exchange.trades(org_id=seller)] == [False, True]
        assert [trade.ticks for trade in await exchange.trades()] == [5000]
        held = [(one.ticks, one.quantity_micro, one.trades) for one in await exchange.auctions()]
        assert held == [(None, 0, 0), (5000, 20 * CREDIT, 1)]
        assert [(c.open, c.high, c.close, c.quantity_micro) for c in await exchange.candles()] == [
            (5000, 5000, 5000, 20 * CREDIT)
        ]
        after = await exchange.status()
        assert (after.last_ticks, after.reference_ticks) == (5000, 5000) == (before.last_ticks, before.reference_ticks)
        assert await average(world.db, Market.REAL, world.clock.now() - DAY) == 5000
        assert (await exchange.replay()).same


class TestLock:
    async def test_of_what_was_bought_begins_on_the_day_of_the_trade_however_late_it_is_settled(
        self, world, monkeypatch
    ):
        world.clock.advance(hours=11, minutes=49)  # a minute before midnight
        seller, buyer = await world.seller(100), await world.buyer()
        settle = world.exchange._settlements[Market.REAL].run

        async def later():
            return 0

        monkeypatch.setattr(world.exchange._settlements[Market.REAL], "run", later)
        for minutes in (0, 2):
            world.clock.advance(minutes=minutes)
            await world.sell(seller, 20, 6000)
            await world.buy(buyer, 20, 6000)
            assert (await world.auction()).trades == 1
        assert await settle() == 2
        wallet = await world.ledger.ensure_account(buyer, Asset.CREDIT, "wallet")
        unlocks = [lot.unlock_at.isoformat() for lot in await world.ledger.lots(wallet.id)]
        assert unlocks == ["2027-02-23T16:00:00+00:00", "2027-02-24T16:00:00+00:00"]
        await world.verify()


class TestDatabase:
    async def test_settles_a_trade_once_and_keeps_it(self, world):
        seller, buyer = await world.seller(100), await world.buyer(100)
        await world.sell(seller, 50, 6000)
        await world.buy(buyer, 50, 6000)
        await world.auction()
        for statement in (
            "UPDATE exchange.trade SET settled_at = NULL",
            "UPDATE exchange.trade SET cash_fen = 0",
            "UPDATE exchange.trade SET void_at = settled_at",
            "UPDATE exchange.trade SET void_at = settled_at, settled_at = NULL",
            "DELETE FROM exchange.trade",
            "UPDATE exchange.event SET body = 'x'",
            "DELETE FROM exchange.event",
        ):
            with pytest.raises(asyncpg.PostgresError):
                await world.db.execute(statement)

    async def test_shows_a_tampered_journal_or_book_in_a_replay(self, world):
        seller = await world.seller(100)
        await world.sell(seller, 50, 6000)
        assert (await world.exchange.replay()).same
        await world.db.execute("UPDATE exchange.orders SET ticks = 6001")
        assert not (await world.exchange.replay()).same
