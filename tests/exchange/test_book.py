"""The book alone: what it conserves, what it maximises, and whom it serves first."""

from __future__ import annotations

from collections import defaultdict
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanhe.exchange.book import Book, Order
from shanhe.exchange.clearing import VALUE_PER_FEN, cash_of, cash_of_all, fill, uniform_price
from shanhe.exchange.journal import decode, encode, trade_id
from shanhe.exchange.model import (
    BUY,
    SELL,
    Amend,
    Auction,
    Cancel,
    Corridor,
    Expire,
    Market,
    Mode,
    Pause,
    Place,
    Reason,
    Resume,
)
from stage.draws import draws

LOW, HIGH = 10, 30
LEVELS = st.lists(st.tuples(st.integers(LOW, HIGH), st.integers(1, 50)), max_size=12)


def volume_at(price, buys, sells):
    return min(sum(q for p, q in buys if p >= price), sum(q for p, q in sells if p <= price))


class TestUniformPrice:
    @given(LEVELS, LEVELS, st.integers(LOW - 5, HIGH + 5))
    def test_clears_the_most_and_then_is_nearest_to_the_reference(self, buys, sells, reference):
        found = uniform_price(sorted(buys, reverse=True), sorted(sells), reference)
        volumes = {price: volume_at(price, buys, sells) for price in range(LOW - 5, HIGH + 6)}
        most = max(volumes.values())
        if not most:
            assert found is None
            return
        assert found is not None
        price, volume = found
        best = [p for p, v in volumes.items() if v == most]
        assert volume == most
        assert volumes[price] == most
        assert abs(price - reference) == min(abs(p - reference) for p in best)


def one_by_one(buys, sells, price, volume):
    """What `fill` does, in the plainest way: state after, and the trades."""
    buys, sells, trades = [list(o) for o in buys], [list(o) for o in sells], []
    for n, buy in enumerate(buys):
        for m, sell in enumerate(sells):
            part = min(buy[0], sell[0], volume)
            if part:
                cash = cash_of(buy[1] + part * price) - buy[2]
                for order in (buy, sell):
                    order[0] -= part
                    order[1] += part * price
                    order[2] += cash
                volume -= part
                trades.append((n, m, part, price, cash))
    return buys, sells, trades


def until(side, volume):
    """The orders that the first `volume` falls on."""
    for n, order in enumerate(side):
        volume -= order.left
        if volume <= 0:
            return side[: n + 1]
    return side


HUGE = st.one_of(st.integers(1, 60), st.integers(1, 10**9), st.integers(1, 2**60))


class TestFill:
    @given(st.data(), st.integers(1, 10_000))
    def test_gives_each_order_its_share_and_each_buyer_the_cash_of_all_it_bought(self, data, price):
        """Earlier fills, quantities that 64 bits can't multiply, and a volume that ends within orders included."""
        sides = []
        for _ in range(2):
            lefts = data.draw(st.lists(HUGE, min_size=1, max_size=8))
            values = data.draw(st.lists(st.integers(0, 10**12), min_size=len(lefts), max_size=len(lefts)))
            sides.append([(left, value, cash_of(value)) for left, value in zip(lefts, values, strict=True)])
        volume = data.draw(st.integers(1, min(sum(one[0] for one in side) for side in sides)))
        orders = [
            [Order(UUID(int=n + 1), UUID(int=1), number, price, left, left, n, None, value, cash)
             for n, (left, value, cash) in enumerate(side)]
            for number, side in enumerate(sides)
        ]  # fmt: skip
        trades = fill(*(until(side, volume) for side in orders), price, volume)
        *states, expected = one_by_one(*sides, price, volume)
        place = {id(order): n for side in orders for n, order in enumerate(side)}
        assert [(place[id(t.buy)], place[id(t.sell)], t.quantity, t.ticks, t.cash_fen) for t in trades] == expected
        assert [[[o.left, o.value, o.cash] for o in side] for side in orders] == states
        assert all(type(t.quantity) is int and type(t.cash_fen) is int for t in trades)


class Model:
    """A slow book, kept in plain lists, to compare with."""

    def __init__(self, continuous: bool) -> None:
        self.continuous = continuous
        self.open: list[dict] = []
        self.fills: dict[int, int] = defaultdict(int)

    def queue(self, side):
        best = (lambda o: (-o["ticks"], o["rank"])) if side == BUY else (lambda o: (o["ticks"], o["rank"]))
        return sorted((o for o in self.open if o["side"] == side and LOW <= o["ticks"] <= HIGH), key=best)

    def place(self, number, rank, party, side, ticks, quantity):
        crossing = [
            o for o in self.open if o["party"] == party and o["side"] != side
            and (o["ticks"] <= ticks if side == BUY else o["ticks"] >= ticks)
        ]  # fmt: skip
        if crossing:
            return
        order = {"id": number, "rank": rank, "party": party, "side": side, "ticks": ticks, "left": quantity}
        self.open.append(order)
        if self.continuous and LOW <= ticks <= HIGH:
            for other in self.queue(1 - side):
                if order["left"] and (other["ticks"] <= ticks if side == BUY else other["ticks"] >= ticks):
                    self.fill(order, other)
        self.open = [o for o in self.open if o["left"]]

    def fill(self, one, other, most=10**9):
        part = min(one["left"], other["left"], most)
        one["left"] -= part
        other["left"] -= part
        self.fills[one["id"]] += part
        self.fills[other["id"]] += part
        return part

    def auction(self, reference):
        buys, sells = self.queue(BUY), self.queue(SELL)
        found = uniform_price(
            [(o["ticks"], o["left"]) for o in buys], [(o["ticks"], o["left"]) for o in sells], reference
        )
        if found is None:
            return
        volume = found[1]
        for buy in buys:
            for sell in sells:
                if volume and buy["left"] and sell["left"]:
                    volume -= self.fill(buy, sell, volume)
        self.open = [o for o in self.open if o["left"]]


STEP = st.one_of(
    st.tuples(
        st.just("place"), st.integers(0, 3), st.integers(0, 1), st.integers(LOW - 2, HIGH + 2), st.integers(1, 40)
    ),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("auction"), st.integers(LOW, HIGH)),
)


def fold(steps, continuous):
    """The same steps through the book and the slow model; checks what must hold after every step."""
    book, model = Book(), Model(continuous)
    events, parties, placed = [], {}, 0

    def apply(event):
        events.append(event)
        effects = book.apply(event)
        check(effects, parties)
        return effects

    apply(Corridor(seq=1, at_us=0, floor=LOW, ceiling=HIGH))
    apply(Mode(seq=2, at_us=0, continuous=continuous))
    for seq, (kind, *rest) in enumerate(steps, 3):
        at = {"seq": seq, "at_us": seq}
        if kind == "place":
            placed += 1
            party, side, ticks, quantity = rest
            parties[UUID(int=placed)] = party
            apply(Place(**at, order=UUID(int=placed), party=UUID(int=1000 + party), side=side, ticks=ticks,
                        quantity=quantity))  # fmt: skip
            model.place(placed, seq, party, side, ticks, quantity)
        elif kind == "cancel":
            apply(Cancel(**at, order=UUID(int=rest[0])))
            model.open = [o for o in model.open if o["id"] != rest[0]]
        else:
            effects = apply(Auction(**at, slot_us=seq, reference=rest[0]))
            assert len({trade.ticks for trade in effects.trades}) <= 1
            model.auction(rest[0])
        kept = {order.id.int: order.left for order in book.orders.values()}
        assert kept == {o["id"]: o["left"] for o in model.open}
        for side in (BUY, SELL):
            shown = {level.ticks: (level.quantity, level.orders) for level in book.levels(side, 100)}
            assert shown == {
                ticks: (sum(lefts), len(lefts))
                for ticks in range(LOW, HIGH + 1)
                if (lefts := [o["left"] for o in model.open if o["side"] == side and o["ticks"] == ticks])
            }
    return book, events


def check(effects, parties):
    for trade in effects.trades:
        assert trade.quantity > 0
        assert trade.sell.ticks <= trade.ticks <= trade.buy.ticks
        assert LOW <= trade.ticks <= HIGH
        assert parties[trade.buy.id] != parties[trade.sell.id]
    for gone in effects.ended:
        order, reason = gone.order, gone.reason
        assert (order.left == 0) == (reason is Reason.FILLED)


class TestBook:
    @settings(max_examples=draws(150), deadline=None)
    @given(st.lists(STEP, max_size=30))
    def test_agrees_with_a_slow_one_in_call_auctions(self, steps):
        fold(steps, continuous=False)

    @settings(max_examples=draws(150), deadline=None)
    @given(st.lists(STEP, max_size=30))
    def test_agrees_with_a_slow_one_when_it_matches_continuously(self, steps):
        fold(steps, continuous=True)

    @settings(max_examples=draws(50), deadline=None)
    @given(st.lists(STEP, max_size=30), st.booleans())
    def test_is_the_same_byte_for_byte_when_its_journal_is_replayed(self, steps, continuous):
        book, events = fold(steps, continuous)
        again = Book()
        for event in events:
            again.apply(decode(encode(event)))
        assert again.snapshot() == book.snapshot()
        assert again.digest() == book.digest()

    @settings(max_examples=draws(50), deadline=None)
    @given(st.lists(STEP, max_size=30), st.booleans())
    def test_goes_on_alike_when_it_is_taken_up_from_its_open_orders(self, steps, continuous):
        book, _ = fold(steps, continuous)
        taken = Book()
        for name in ("seq", "floor", "ceiling", "continuous", "paused", "last_ticks"):
            setattr(taken, name, getattr(book, name))
        orders = sorted(book.orders.values(), key=lambda order: order.rank)
        taken.restore(
            Order(o.id, o.party, o.side, o.ticks, o.quantity, o.left, o.rank, o.until_us, o.value, o.cash)
            for o in orders
        )
        assert taken.snapshot() == book.snapshot()
        following = Auction(seq=book.seq + 1, at_us=10**6, slot_us=1, reference=20)
        one, other = ([(t.quantity, t.ticks, t.cash_fen) for t in b.apply(following).trades] for b in (taken, book))
        assert one == other
        assert taken.snapshot() == book.snapshot()

    def test_leaves_orders_outside_a_moved_corridor_at_rest_and_takes_them_up_again(self):
        book = Book()
        book.apply(Corridor(seq=1, at_us=0, floor=10, ceiling=30))
        book.apply(Place(seq=2, at_us=0, order=UUID(int=1), party=UUID(int=1), side=BUY, ticks=30, quantity=5))
        book.apply(Place(seq=3, at_us=0, order=UUID(int=2), party=UUID(int=2), side=SELL, ticks=12, quantity=5))
        book.apply(Corridor(seq=4, at_us=0, floor=10, ceiling=29))
        assert book.apply(Auction(seq=5, at_us=0, slot_us=1, reference=20)).trades == []
        assert len(book.orders) == 2
        assert book.levels(BUY, 5) == []
        book.apply(Corridor(seq=6, at_us=0, floor=10, ceiling=30))
        assert len(book.apply(Auction(seq=7, at_us=0, slot_us=2, reference=20)).trades) == 1

    def test_uncrosses_at_one_price_when_it_begins_to_match_continuously(self):
        book = Book()
        book.apply(Corridor(seq=1, at_us=0, floor=10, ceiling=30))
        book.apply(Place(seq=2, at_us=0, order=UUID(int=1), party=UUID(int=1), side=BUY, ticks=25, quantity=5))
        book.apply(Place(seq=3, at_us=0, order=UUID(int=2), party=UUID(int=2), side=SELL, ticks=12, quantity=5))
        assert [trade.ticks for trade in book.apply(Mode(seq=4, at_us=0, continuous=True)).trades] == [20]

    def test_does_not_match_while_it_is_paused(self):
        book = Book()
        book.apply(Corridor(seq=1, at_us=0, floor=10, ceiling=30))
        book.apply(Mode(seq=2, at_us=0, continuous=True))
        book.apply(Pause(seq=3, at_us=0, reason="x", actor="y"))
        for number, side in ((1, BUY), (2, SELL)):
            placed = Place(seq=3 + number, at_us=0, order=UUID(int=number), party=UUID(int=number), side=side, ticks=20,
                           quantity=5)  # fmt: skip
            assert book.apply(placed).trades == []
        assert len(book.apply(Resume(seq=6, at_us=0, reason="x", actor="y")).trades) == 1

    def test_lets_orders_go_when_their_time_is_over(self):
        book = Book()
        book.apply(Corridor(seq=1, at_us=0, floor=10, ceiling=30))
        book.apply(Place(seq=2, at_us=0, order=UUID(int=1), party=UUID(int=1), side=BUY, ticks=20, quantity=5,
                         until_us=9))  # fmt: skip
        book.apply(Amend(seq=3, at_us=5, order=UUID(int=1), ticks=20, quantity=4))
        assert book.apply(Expire(seq=4, at_us=8)).ended == []
        (gone,) = book.apply(Expire(seq=5, at_us=9)).ended
        order, reason = gone.order, gone.reason
        assert (order.left, reason) == (4, Reason.EXPIRED)


class Floor:
    """A book with a sequence of its own, for stories of a few steps; orders are known by small numbers."""

    def __init__(self, *, continuous: bool = False) -> None:
        self.book, self.seq = Book(), 0
        self.do(Corridor, floor=10, ceiling=30)
        self.do(Mode, continuous=continuous)

    def do(self, kind, at=0, **more):
        self.seq += 1
        return self.book.apply(kind(seq=self.seq, at_us=at, **more))

    def place(self, number, side, ticks, quantity, *, at=0, party=None, until_us=None):
        return self.do(Place, at, order=UUID(int=number), party=UUID(int=party or number), side=side, ticks=ticks,
                       quantity=quantity, until_us=until_us)  # fmt: skip

    def amend(self, number, ticks, quantity, *, at=0, until_us=None):
        return self.do(Amend, at, order=UUID(int=number), ticks=ticks, quantity=quantity, until_us=until_us)

    def filled(self, effects):
        return [(trade.buy.id.int, trade.sell.id.int, trade.quantity) for trade in effects.trades]


class TestStories:
    def test_an_order_whose_time_is_over_as_it_comes_trades_with_nobody(self):
        floor = Floor(continuous=True)
        floor.place(1, SELL, 20, 5)
        effects = floor.place(2, BUY, 20, 5, at=9, until_us=9)
        assert effects.trades == []
        assert [gone.reason for gone in effects.ended] == [Reason.EXPIRED]
        assert len(floor.book.orders) == 1

    @pytest.mark.parametrize(("ticks", "quantity"), [(20, 6), (21, 5), (20, 5)])
    def test_an_amendment_by_lots_that_expire_sooner_ends_the_order_with_them(self, ticks, quantity):
        floor = Floor()
        floor.place(1, SELL, 20, 5, until_us=50)
        floor.amend(1, ticks, quantity, until_us=9)
        floor.amend(1, ticks, quantity, until_us=30)  # later ones lengthen nothing
        assert floor.do(Expire, 8).ended == []
        assert [gone.reason for gone in floor.do(Expire, 9).ended] == [Reason.EXPIRED]
        assert floor.do(Expire, 50).ended == []

    def test_an_amendment_that_changes_nothing_keeps_its_place(self):
        floor = Floor()
        floor.place(1, BUY, 20, 5)
        floor.place(2, BUY, 20, 5)
        floor.amend(1, 20, 5)
        floor.place(3, SELL, 20, 5)
        assert floor.filled(floor.do(Auction, slot_us=1, reference=20)) == [(1, 3, 5)]

    def test_an_amendment_to_what_was_filled_meanwhile_ends_the_order(self):
        floor = Floor(continuous=True)
        floor.place(1, BUY, 20, 9)
        floor.place(2, SELL, 20, 4)
        effects = floor.amend(1, 20, 4)
        assert [gone.reason for gone in effects.ended] == [Reason.CANCELLED]
        assert floor.book.orders == {}
        assert floor.book.levels(BUY, 5) == []

    def test_what_is_left_of_an_order_that_was_met_in_part_is_shown(self):
        floor = Floor(continuous=True)
        floor.place(1, BUY, 20, 9)
        floor.place(2, SELL, 20, 4)
        assert floor.book.levels(BUY, 5) == [(20, 5, 1)]

    def test_parties_whose_orders_an_auction_filled_may_turn_round_and_are_forgotten(self):
        """More of them than one event looks through."""
        floor = Floor()
        for number in range(1, 41):
            floor.place(number, BUY, 20, 1)
            floor.place(100 + number, SELL, 20, 1)
        assert len(floor.do(Auction, slot_us=1, reference=20).trades) == 40
        assert floor.place(201, SELL, 15, 1, party=1).ended == []
        assert floor.place(202, BUY, 14, 1, party=101).ended == []
        for _ in range(10):
            floor.do(Expire)
        assert {key for key, party in floor.book._parties.items() if party.buys or party.sells} == {1, 101}
        assert len(floor.book._parties) == 2

    def test_a_paused_market_does_not_match_though_its_corridor_or_mode_changes(self):
        floor = Floor()
        floor.place(1, BUY, 30, 5)
        floor.place(2, SELL, 12, 5)
        floor.do(Pause, reason="x", actor="y")
        assert floor.do(Mode, continuous=True).trades == []
        assert floor.do(Corridor, floor=10, ceiling=29).trades == []
        assert floor.do(Corridor, floor=10, ceiling=30).trades == []
        assert floor.do(Auction, slot_us=1, reference=20).trades == []
        assert floor.filled(floor.do(Resume, reason="x", actor="y")) == [(1, 2, 5)]

    def test_sums_that_64_bits_cannot_hold_are_exact(self):
        """Each order's value fits, what an auction comes to does not."""
        quantity, price = 5 * 10**14, 9_000
        orders = [[Order(UUID(int=10 * side + n), UUID(int=1), side, price, quantity, quantity, n) for n in range(4)]
                  for side in (BUY, SELL)]  # fmt: skip
        trades = fill(*orders, price, 4 * quantity)
        assert 4 * quantity * price > 2**63 - 1
        assert [trade.cash_fen for trade in trades] == [cash_of(quantity * price)] * 4

    @pytest.mark.parametrize(("halves", "fen"), [(1, 0), (3, 2), (5, 2), (7, 4)])
    def test_half_a_fen_goes_to_the_even_neighbour(self, halves, fen):
        half = VALUE_PER_FEN // 2
        assert cash_of(halves * half) == fen == cash_of_all(np.array([halves * half]))[0]
        assert cash_of(halves * half - 1) == halves // 2
        assert cash_of(halves * half + 1) == halves // 2 + 1


class TestCash:
    @given(st.integers(1, 10**6), st.integers(3000, 10000), st.integers(1, 30))
    def test_of_many_small_fills_is_that_of_one_large_fill(self, quantity, ticks, count):
        book = Book()
        book.apply(Corridor(seq=1, at_us=0, floor=3000, ceiling=10000))
        book.apply(Mode(seq=2, at_us=0, continuous=True))
        for number in range(count):
            book.apply(Place(seq=3 + number, at_us=0, order=UUID(int=number), party=UUID(int=number), side=SELL,
                             ticks=ticks, quantity=quantity))  # fmt: skip
        effects = book.apply(Place(seq=100, at_us=0, order=UUID(int=99), party=UUID(int=99), side=BUY, ticks=10000,
                                   quantity=quantity * count))  # fmt: skip
        assert sum(trade.cash_fen for trade in effects.trades) == cash_of(quantity * count * ticks)
        assert [trade.sell.cash for trade in effects.trades] == [trade.cash_fen for trade in effects.trades]
        assert all(trade.buy.cash == cash_of(quantity * count * ticks) for trade in effects.trades)

    @given(st.lists(st.integers(1, 10**8), min_size=1, max_size=20), st.integers(3000, 10000))
    def test_that_a_seller_brought_in_is_what_all_its_buyers_paid(self, quantities, ticks):
        book = Book()
        book.apply(Corridor(seq=1, at_us=0, floor=3000, ceiling=10000))
        book.apply(Mode(seq=2, at_us=0, continuous=True))
        book.apply(Place(seq=3, at_us=0, order=UUID(int=99), party=UUID(int=99), side=SELL, ticks=ticks,
                         quantity=sum(quantities)))  # fmt: skip
        paid = 0
        for number, quantity in enumerate(quantities):
            (trade,) = book.apply(Place(seq=4 + number, at_us=0, order=UUID(int=number), party=UUID(int=number),
                                        side=BUY, ticks=ticks, quantity=quantity)).trades  # fmt: skip
            paid += trade.cash_fen
            assert trade.sell.cash == paid


class TestTradeId:
    @given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(1, 2**36), st.integers(0, 10**6))
    def test_follows_from_the_event_and_grows_with_time(self, at_us, later_us, seq, n):
        first = trade_id(Market.REAL, at_us, seq, n)
        assert first.version == 7
        assert first != trade_id(Market.PLAY, at_us, seq, n)
        assert first < trade_id(Market.REAL, at_us, seq, n + 1)
        if later_us > at_us:
            assert first < trade_id(Market.REAL, later_us, 1, 0)
