"""The gate, the corridor, the hours, and money in and out."""

from __future__ import annotations

import asyncio
import gc
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from shanhe import exchange
from shanhe.exchange import cash as cash_module
from shanhe.exchange import cash_store, service, timing
from shanhe.exchange.api import (
    ItemClosed,
    Market,
    MarketChanged,
    NotEnoughCash,
    OrderConflict,
    OutsideCorridor,
    PlayOnly,
    RealOnly,
    SecondPersonNeeded,
)
from shanhe.exchange.journal import decode
from shanhe.kernel.errors import Invalid
from shanhe.ledger.api import Asset
from shanhe.rulebook.api import RuleAmendment, Rulebook

from .conftest import CREDIT, LICENCE, later

DATED = {"from": "2026-11-01", "announced": "2026-10-01", "assumed": True, "reason": {"zh": "试", "en": "a test"}}
MIGRATIONS = Path(exchange.__file__).parent / "migrations"


class TestGate:
    async def test_without_an_approval_trades_play_money_only(self, bare):
        seller = await bare.seller(100)
        with pytest.raises(NotEnoughCash) as refused:
            await bare.buy(await bare.buyer(100), 50, 6000)
        assert refused.value.details["play"]
        buyer = uuid4()
        for org in (seller, buyer):
            for _ in range(2):  # granted once
                await bare.exchange.cash.grant_play(org, Market.PLAY, bare.exchange.day(), actor="test")
        assert await bare.cash(buyer, Market.PLAY) == (1_000_000, 1_000_000)
        await bare.sell(seller, 100, 6000)
        await bare.buy(buyer, 100, 6000)
        assert (await bare.auction()).trades == 1
        assert (await bare.exchange.status()).market is Market.PLAY
        assert await bare.credits(seller) == 100 * CREDIT
        assert await bare.credits(buyer, "play_wallet") == 10_100 * CREDIT
        assert await bare.fund() == 0
        await bare.verify()

    async def test_is_asked_ahead_of_time_and_nobody_hears_when_that_fails(self, world, monkeypatch):
        troubles = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: troubles.append(told["message"]))
        assert await world.exchange.market() is Market.REAL
        asked_s, gate = world.exchange._gate
        monkeypatch.setattr(service, "GATE_KEPT_S", 3_600)  # however slow this machine is, the answer is kept

        async def away(*_):
            raise ConnectionResetError("the database is away")

        monkeypatch.setattr(world.approvals, "gate", away)
        world.exchange._gate = (asked_s - 3_600 * 0.6, gate)
        assert await world.exchange.market() is Market.REAL
        await world.exchange.stop()
        assert world.exchange._asking.done()
        world.exchange._asking = None
        gc.collect()
        assert troubles == []

    async def test_moves_real_cash_by_the_approval_only(self, bare):
        with pytest.raises(RealOnly):
            await bare.exchange.cash.deposit(
                uuid4(), await bare.exchange.market(), 100, client_ref="x", method="sandbox", actor="test"
            )
        await bare.approvals.record(LICENCE, by="test")
        exchange = bare.restart()
        assert await exchange.market() is Market.REAL
        with pytest.raises(PlayOnly):
            await exchange.cash.grant_play(uuid4(), await exchange.market(), exchange.day(), actor="test")

    async def test_that_shuts_ends_the_open_orders_of_its_market(self, world):
        buyer = await world.buyer(100)
        order = await world.buy(buyer, 100, 6000)
        (licence,) = await world.approvals.licences()
        await world.approvals.revoke(licence.id, reason="withdrawn", by="test")
        world.restart()
        await world.exchange.sweep()
        assert (await world.exchange.order(order.id)).state == "market_closed"
        assert await world.cash(buyer) == (10_000, 10_000)
        await world.verify()

    async def test_that_shuts_leaves_an_order_to_be_cancelled_only(self, world):
        """An amendment sets more aside, and where orders match as they come it would trade."""
        buyer = await world.buyer(200)
        order = await world.buy(buyer, 100, 6000)
        (licence,) = await world.approvals.licences()
        await world.approvals.revoke(licence.id, reason="withdrawn", by="test")
        world.restart()
        with pytest.raises(MarketChanged):
            await world.exchange.amend(order.id, org_id=buyer, ticks=6000, quantity_micro=200 * CREDIT, actor="test")
        assert await world.cash(buyer) == (20_000, 14_000)
        done = await world.exchange.cancel(order.id, org_id=buyer, actor="test")
        assert done.state == "cancelled"
        assert await world.cash(buyer) == (20_000, 20_000)


class TestCorridor:
    async def test_that_moves_leaves_orders_at_rest_until_it_comes_back(self, world, monkeypatch):
        from shanhe.exchange.policy import Policy

        seller, buyer = await world.seller(100), await world.buyer(200)
        sold, bought = await world.sell(seller, 100, 9000), await world.buy(buyer, 100, 9500)
        real = Policy._day

        def cheaper(self, on):
            from dataclasses import replace

            day = real(self, on)
            return (
                replace(day, list_price_fen=80, floor_ticks=2400, ceiling_ticks=8000)
                if on > date(2026, 11, 24)
                else day
            )

        monkeypatch.setattr(Policy, "_day", cheaper)
        world.restart()
        world.clock.advance(days=1)
        assert (await world.auction()).trades == 0
        assert {(await world.exchange.order(o.id)).state for o in (sold, bought)} == {"open"}
        assert (await world.exchange.book()).buys == []
        with pytest.raises(OutsideCorridor):
            await world.buy(buyer, 50, 9000)
        monkeypatch.setattr(Policy, "_day", real)
        world.restart()
        assert (await world.auction()).trades == 1
        await world.verify()

    async def test_follows_an_amendment_on_the_day_it_is_taken_over(self, world):
        """Every process has the rules as they are, those that were asked before too; so do fees."""
        exchange, day = world.exchange, world.clock.today()
        assert exchange.day().ceiling_ticks == 10_000
        assert exchange.policy.fee_fen(10_000, 0, day) == 1_000
        changes = (("P1_resident_discount", "list_price_fen", 80), ("C8_trade_fee", "rate", 500))
        amendments = [
            RuleAmendment(rule, rule, {"parameters": {name: [DATED | {"value": value}]}}, "council")
            for rule, name, value in changes
        ]
        world.rulebook.adopt(Rulebook.load(amendments))
        assert exchange.day().ceiling_ticks == 8_000
        assert exchange.policy.fee_fen(10_000, 0, day) == 500
        with pytest.raises(OutsideCorridor):
            await world.buy(await world.buyer(100), 50, 8_001)


class TestAuction:
    async def test_is_held_once_an_hour_at_a_secret_second_of_the_last_minute(self, world):
        seller, buyer = await world.seller(100), await world.buyer(100)
        first = (await world.exchange.run_auction()).auction  # the one missed before anybody was there
        assert first.slot == datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
        await world.sell(seller, 100, 6000)
        await world.buy(buyer, 100, 6000)
        assert (await world.exchange.run_auction()).auction is None
        slot = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
        close = timing.close_of(slot, b"of the auctions", 60)
        assert slot - timedelta(seconds=60) < close <= slot
        world.clock.set(close - timedelta(milliseconds=1))
        assert (await world.exchange.run_auction()).auction is None
        world.clock.set(close)
        ran = await world.exchange.run_auction()
        assert (ran.auction.slot, ran.trades) == (slot, 1)

    @pytest.mark.parametrize("minutes", [7 * 60, 50, 1_440, 1])
    def test_times_begin_anew_with_each_day_and_are_close_to_the_last_secret(self, minutes):
        """Also where the day is no multiple of the interval: midnight's closes early too, and people are told of it."""
        interval, secret = timedelta(minutes=minutes), b"secret"
        midnight = datetime(2026, 11, 24, 16, tzinfo=UTC)
        before = midnight - timedelta(seconds=1)
        assert timing.next_slot(before, interval, None) == midnight
        close = timing.close_of(midnight, secret, 60)
        assert midnight - timedelta(seconds=60) < close <= midnight
        assert timing.due_slot(close, interval, secret, 60) == midnight
        assert timing.due_slot(close - timedelta(milliseconds=1), interval, secret, 60) < midnight
        assert timing.next_slot(close, interval, midnight) == midnight + interval

    async def test_that_closed_in_a_pause_is_not_held_when_trading_goes_on(self, world):
        """Whoever had no chance to answer what made them pause gets one: the next auction is the one that is told."""
        exchange, secret = world.exchange, b"of the auctions"
        seller, buyer = await world.seller(100), await world.buyer(100)
        await exchange.run_auction()
        await world.sell(seller, 100, 6000)
        await world.buy(buyer, 100, 6000)
        five, six = (datetime(2026, 11, 24, hour, tzinfo=UTC) for hour in (5, 6))
        world.clock.set(timing.close_of(five, secret, 60) - timedelta(seconds=1))
        await exchange.pause("wrong list price", actor="test")
        world.clock.advance(seconds=1)
        assert (await exchange.tick()).auction is None
        assert (await exchange.resume("set right", actor="test")).next_auction_at == six
        assert (await exchange.tick()).auction is None
        world.clock.set(six - timedelta(minutes=2))
        assert (await exchange.tick()).auction is None
        assert (await exchange.status()).next_auction_at == six
        world.clock.set(six)
        ran = await exchange.tick()
        assert (ran.auction.slot, ran.auction.trades) == (six, 1)

    async def test_that_closes_after_a_pause_is_held(self, world):
        exchange = world.exchange
        await exchange.run_auction()
        five = datetime(2026, 11, 24, 5, tzinfo=UTC)
        await exchange.pause("a look", actor="test")
        world.clock.set(timing.close_of(five, b"of the auctions", 60) - timedelta(milliseconds=1))
        assert (await exchange.resume("all is well", actor="test")).next_auction_at == five
        world.clock.set(five)
        assert (await exchange.tick()).auction.slot == five

    async def test_is_not_repeated_by_a_clock_that_jumps(self, world):
        seller, buyer = await world.seller(100), await world.buyer(100)
        await world.exchange.run_auction()
        world.clock.advance(hours=5)
        assert (await world.exchange.run_auction()).auction is not None
        await world.sell(seller, 100, 6000)
        await world.buy(buyer, 100, 6000)
        for jump in (-5, -1, 3, 2):  # back, and forth to where it was before
            world.clock.advance(hours=jump)
            before = len(await world.exchange.auctions())
            ran = await world.exchange.run_auction()
            assert ran.auction is None or world.clock.now() > datetime(2026, 11, 24, 9, 10, tzinfo=UTC)
            assert len(await world.exchange.auctions()) - before == int(ran.auction is not None)
        slots = [auction.slot for auction in await world.exchange.auctions()]
        assert len(set(slots)) == len(slots)
        rows = await world.db.fetch("SELECT body FROM exchange.event WHERE market = 'real' ORDER BY seq")
        times = [decode(row["body"]).at_us for row in rows]
        assert times == sorted(times), "time never goes back in the journal"
        await world.verify()

    async def test_is_nothing_where_nothing_was_due(self, world):
        assert await world.exchange.tick(), "the auction of the day's first slot"
        assert not await world.exchange.tick()

    async def test_is_held_though_the_market_that_is_shut_is_in_trouble(self, world, monkeypatch):
        seller, buyer = await world.seller(100), await world.buyer(100)
        await world.sell(seller, 50, 6000)
        await world.buy(buyer, 50, 6000)

        async def broken():
            raise ConnectionResetError

        monkeypatch.setattr(world.exchange._engines[Market.PLAY], "advance", broken)
        with pytest.raises(ConnectionResetError):
            await world.exchange.tick()
        assert len(await world.exchange.trades()) == 1
        (trade,) = await world.exchange.trades()
        assert trade.settled_at is not None

    async def test_shows_beforehand_what_it_would_give(self, world):
        seller, buyer = await world.seller(100), await world.buyer(100)
        await world.sell(seller, 60, 6000)
        await world.buy(buyer, 50, 7000)
        book = await world.exchange.book()
        assert (book.indicative_ticks, book.indicative_micro) == (6500, 50 * CREDIT)
        assert [(level.ticks, level.quantity) for level in book.sells] == [(6000, 60 * CREDIT)]
        ran = await world.auction()
        assert (ran.auction.ticks, ran.auction.quantity_micro) == (6500, 50 * CREDIT)
        (candle,) = await world.exchange.candles()
        assert (candle.open, candle.high, candle.low, candle.close) == (6500, 6500, 6500, 6500)


class TestCandles:
    async def test_of_a_day_are_of_the_day_in_the_city(self, world):
        """Eight hours ahead of UTC: what is traded at 00:30 and at 23:30 is one day's."""
        world.clock.advance(hours=11, minutes=20)  # 23:30
        for hours in (0, 1, 23):  # 23:30, 00:30, 23:30
            world.clock.advance(hours=hours)
            await world.sell(await world.seller(20), 20, 6000 + hours)
            await world.buy(await world.buyer(20), 20, 6000 + hours)
            await world.auction()
        days = await world.exchange.candles(step_s=86_400)
        assert [(one.start, one.open, one.close) for one in days] == [
            (datetime(2026, 11, 23, 16, tzinfo=UTC), 6000, 6000),
            (datetime(2026, 11, 24, 16, tzinfo=UTC), 6001, 6023),
        ]

    async def test_begin_with_a_whole_one(self, world):
        """A chart of two days shows the first one from its beginning on, however late it is looked at."""
        for hours in (0, 3, 45):  # 12:10, 15:10, and 12:10 two days later
            world.clock.advance(hours=hours)
            await world.sell(await world.seller(20), 20, 6000 + hours)
            await world.buy(await world.buyer(20), 20, 6000 + hours)
            await world.auction()
        first, last = await world.exchange.candles(step_s=86_400, days=2)
        assert (first.start, first.open, first.close) == (datetime(2026, 11, 23, 16, tzinfo=UTC), 6000, 6003)
        assert first.quantity_micro == 40 * CREDIT
        assert last.quantity_micro == 20 * CREDIT
        world.clock.advance(hours=2)
        assert (await world.exchange.candles(step_s=86_400, days=2))[0] == first
        assert len(await world.exchange.candles(step_s=86_400, days=1)) == 1


class TestCash:
    async def test_comes_in_by_a_payment_order(self, world):
        org = uuid4()
        deposit = await world.exchange.cash.deposit(
            org, Market.REAL, 5_000, client_ref="d1", method="sandbox", actor="person:x"
        )
        again = await world.exchange.cash.deposit(
            org, Market.REAL, 5_000, client_ref="d1", method="sandbox", actor="person:x"
        )
        assert again.id == deposit.id
        for change in ({"amount_fen": 6_000}, {"method": "bank_transfer"}):
            asked = {"amount_fen": 5_000, "method": "sandbox"} | change
            with pytest.raises(OrderConflict):
                await world.exchange.cash.deposit(org, Market.REAL, client_ref="d1", actor="person:x", **asked)
        assert await world.cash(org) == (0, 0)
        await world.sandbox.pay(deposit.redirect_url.rsplit("/", 1)[-1])

        async def receive(headers, body):
            return await world.payments.notify("sandbox", headers, body)

        await world.sandbox.deliver_due(receive)
        assert await world.exchange.cash.reconcile() == 0, "it is booked as it is heard of"
        assert await world.cash(org) == (5_000, 5_000)
        booked = await world.exchange.cash.deposit(
            org, Market.REAL, 5_000, client_ref="d1", method="sandbox", actor="person:x"
        )
        assert booked.state == "posted"
        paid = await world.payments.order(deposit.id)
        assert (await world.ledger.posting(paid.settled_ref)).kind == "exchange_deposit"
        await world.verify()

    async def test_that_is_never_paid_is_closed(self, world):
        org = uuid4()
        asked = {"client_ref": "d1", "method": "sandbox", "actor": "person:x"}
        await world.exchange.cash.deposit(org, Market.REAL, 5_000, **asked)
        world.clock.advance(hours=2)
        await world.payments.sweep()
        assert (await world.exchange.cash.deposit(org, Market.REAL, 5_000, **asked)).state == "closed"
        assert await world.cash(org) == (0, 0)

    async def test_comes_in_though_another_deposit_is_in_trouble(self, world, monkeypatch):
        cash, orgs = world.exchange.cash, [uuid4(), uuid4()]
        for org in orgs:
            made = await cash.deposit(org, Market.REAL, 5_000, client_ref="d", method="sandbox", actor="person:x")
            await world.sandbox.pay(made.redirect_url.rsplit("/", 1)[-1])

        async def receive(headers, body):
            return await world.payments.notify("sandbox", headers, body)

        async def nobody(order):
            raise Invalid("away", "Nobody is there to hear of it.")

        world.payments.subscribe(cash_module.PURPOSE, nobody)
        await world.sandbox.deliver_due(receive)
        assert [(await world.cash(org))[0] for org in orgs] == [0, 0]
        book_in = cash._book_in

        async def not_the_first(number, org, *rest):
            if org == orgs[0]:
                raise Invalid("trouble", "Its account is in trouble.")
            return await book_in(number, org, *rest)

        monkeypatch.setattr(cash, "_book_in", not_the_first)
        assert await cash.reconcile() == 1
        assert [(await world.cash(org))[0] for org in orgs] == [0, 5_000]

    async def test_goes_out_when_a_second_person_says_it_was_paid(self, world):
        org, first, second = await world.buyer(100), uuid4(), uuid4()
        cash = world.exchange.cash
        with pytest.raises(NotEnoughCash):
            await cash.withdraw(org, 10_001, withdrawal_id=first, payee="山河银行 6222", actor="person:owner")
        await cash.withdraw(org, 4_000, withdrawal_id=first, payee="山河银行 6222", actor="person:owner")
        for change in ({"payee": "another bank"}, {"amount_fen": 3_000}, {"org_id": uuid4()}):
            asked = {"org_id": org, "amount_fen": 4_000, "payee": "山河银行 6222"} | change
            with pytest.raises(OrderConflict):
                await cash.withdraw(withdrawal_id=first, actor="person:owner", **asked)
        world.clock.advance(minutes=1)
        await cash.withdraw(org, 1_000, withdrawal_id=second, payee="山河银行 6222", actor="person:owner")
        assert await world.cash(org) == (10_000, 5_000)
        with pytest.raises(SecondPersonNeeded):
            await cash.decide_withdrawal(first, paid=True, reference="bank 1", actor="person:owner")
        waiting = await cash.withdrawals(None, open_only=True)
        assert [one.id for one in waiting] == [first, second], "what waits longest stands first"
        assert [one.id for one in await cash.withdrawals(None)] == [second, first]
        await cash.decide_withdrawal(first, paid=True, reference="bank 1", actor="person:operator")
        await cash.decide_withdrawal(first, paid=True, reference="bank 1", actor="person:operator")
        await cash.decide_withdrawal(second, paid=False, reference="wrong account", actor="person:operator")
        assert await world.cash(org) == (6_000, 6_000)
        clearing = await world.ledger.system_account("cash", Asset.CNY, "bank_transfer")
        assert (await world.ledger.balance(clearing.id)).balance == -6_000
        await world.verify()

    @pytest.mark.parametrize("step", ["insert_withdrawal", "withdrawal"])
    async def test_is_asked_for_and_set_aside_together_or_not_at_all(self, world, monkeypatch, step):
        """The process ends after the money was set aside, before or after the request was written down."""
        org, asked = await world.buyer(100), uuid4()
        cash, left = world.exchange.cash, getattr(cash_store, step)
        calls = []

        async def dies(*args):
            calls.append(args)
            if step == "insert_withdrawal" or len(calls) == 2:
                assert await world.db.fetchval("SELECT count(*) FROM ledger.hold") == 0, "not seen by others yet"
                raise ConnectionResetError("the process ends here")
            return await left(*args)

        with monkeypatch.context() as patch:
            patch.setattr(cash_store, step, dies)
            with pytest.raises(ConnectionResetError):
                await cash.withdraw(org, 4_000, withdrawal_id=asked, payee="山河银行 6222", actor="person:owner")
        assert await world.cash(org) == (10_000, 10_000)
        assert list(await cash.withdrawals(None)) == []
        again = [
            cash.withdraw(org, 4_000, withdrawal_id=asked, payee="山河银行 6222", actor="person:owner")
            for _ in range(3)
        ]
        made = await asyncio.gather(*again)
        assert {one.id for one in made} == {asked}
        assert await world.cash(org) == (10_000, 6_000), "sent three times at once, it is asked for once"
        await world.verify()

    async def test_that_an_interrupted_request_left_set_aside_is_free_after_the_upgrade(self, world):
        org, asked = await world.buyer(100), uuid4()
        _, cash = await world.exchange.cash.accounts(org, Market.REAL)
        await world.exchange.cash.withdraw(org, 1_000, withdrawal_id=asked, payee="山河银行", actor="person:owner")
        left = uuid4()
        await world.ledger.hold(
            cash.id, 4_000, hold_id=left, purpose="withdrawal", expires_at=later(world.clock, days=9_000)
        )
        assert await world.cash(org) == (10_000, 5_000)
        await world.db.execute((MIGRATIONS / "0800_withdrawal_and_its_hold.sql").read_text())
        assert await world.cash(org) == (10_000, 9_000)
        with pytest.raises(OrderConflict):
            await world.exchange.cash.withdraw(org, 4_000, withdrawal_id=left, payee="山河银行", actor="person:owner")
        await world.verify()

    async def test_is_not_set_aside_by_the_id_of_an_order(self, world):
        org = await world.buyer(100)
        order = await world.buy(org, 100, 4000)
        with pytest.raises(OrderConflict):
            await world.exchange.cash.withdraw(
                org, 4_000, withdrawal_id=order.id, payee="山河银行", actor="person:owner"
            )
        await world.exchange.cash.withdraw(org, 1_000, withdrawal_id=uuid4(), payee="山河银行", actor="person:owner")
        assert await world.cash(org) == (10_000, 5_000)

    @pytest.mark.parametrize("first", [True, False])
    async def test_is_paid_or_refused_as_was_booked_though_that_was_not_written_down(self, world, monkeypatch, first):
        """One operator's process ends between the books and the list; another decides otherwise."""
        org, asked = await world.buyer(100), uuid4()
        cash = world.exchange.cash
        await cash.withdraw(org, 4_000, withdrawal_id=asked, payee="山河银行 6222", actor="person:owner")

        async def dies(*_):
            raise ConnectionResetError("the process ends here")

        with monkeypatch.context() as patch:
            patch.setattr(cash_store, "decide_withdrawal", dies)
            with pytest.raises(ConnectionResetError):
                await cash.decide_withdrawal(asked, paid=first, reference="bank 1", actor="person:operator")
        with pytest.raises(ItemClosed):
            await cash.decide_withdrawal(asked, paid=not first, reference="bank 2", actor="person:another")
        done = await cash.decide_withdrawal(asked, paid=first, reference="bank 1", actor="person:another")
        assert done.state == ("paid" if first else "refused")
        assert await world.cash(org) == ((6_000, 6_000) if first else (10_000, 10_000))
        await world.verify()

    @pytest.mark.parametrize("amount_fen", [-1, 0, 10**12 + 1])
    async def test_of_no_amount_or_too_large_a_one_neither_comes_nor_goes(self, world, amount_fen):
        org, cash = await world.buyer(100), world.exchange.cash
        with pytest.raises(Invalid):
            await cash.receive(org, amount_fen, reference="bank 9", actor="test")
        with pytest.raises(Invalid):
            await cash.withdraw(org, amount_fen, withdrawal_id=uuid4(), payee="山河银行", actor="person:owner")
        with pytest.raises(Invalid):
            await cash.deposit(org, Market.REAL, amount_fen, client_ref="d", method="sandbox", actor="person:owner")
        assert await world.cash(org) == (10_000, 10_000)

    async def test_is_decided_by_a_second_person_and_not_by_the_first_ones_key(self, world):
        async def behind(by):
            return by.replace("key:", "person:")

        world.approvals.person_behind = behind
        asked, cash = uuid4(), world.exchange.cash
        org = await world.buyer(100)
        await cash.withdraw(org, 4_000, withdrawal_id=asked, payee="山河银行 6222", actor="person:owner")
        with pytest.raises(SecondPersonNeeded):
            await cash.decide_withdrawal(asked, paid=True, reference="bank 1", actor="key:owner")
        order, dispute = await world.buy(org, 20, 6000), uuid4()
        await world.exchange.dispute(order.id, org, "价格有误", dispute_id=dispute, actor="person:owner")
        with pytest.raises(SecondPersonNeeded):
            await world.exchange.disputes.decide(dispute, upheld=True, answer="是", actor="key:owner")
        await world.exchange.disputes.decide(dispute, upheld=True, answer="是", actor="key:another")
        with pytest.raises(SecondPersonNeeded):
            await world.exchange.remedies.ask(dispute, "报价有误", by="key:owner")
