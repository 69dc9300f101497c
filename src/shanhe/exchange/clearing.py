"""What a call auction comes to: the price of the largest volume, who trades how much with whom, and the cash of it."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shanhe.exchange.model import Trade

if TYPE_CHECKING:
    from shanhe.exchange.book import Order

VALUE_PER_FEN: Final = 10**8
"""Ticks × micro-credits in a fen."""
HALF_FEN: Final = VALUE_PER_FEN // 2
INT64_MAX: Final = 2**63 - 1


def cash_of(value: int) -> int:
    """Ticks × micro-credits as fen, half to even."""
    fen, rest = divmod(value, VALUE_PER_FEN)
    return fen + (rest > HALF_FEN or (rest == HALF_FEN and fen & 1))


def more_cash(spent: int, before: int, after: int) -> int:
    """Fen that a buying order's escrow needs besides, when what is left may cost `after` instead of `before`; all three
    are ticks × micro-credits, `spent` is what was bought already.

    Never less than the value grows by: several amendments may take effect one after the other, and each rounds for
    itself.
    """
    growth = after - before
    return max(cash_of(spent + after) - cash_of(spent + before), -(-growth // VALUE_PER_FEN))


def uniform_price(buys: list[tuple[int, int]], sells: list[tuple[int, int]], reference: int) -> tuple[int, int] | None:
    """(price, volume) of an auction over (ticks, quantity) levels, each side best first; None when none cross."""
    i = j = volume = 0
    want = have = 0
    low = high = 0
    while True:
        if not want:
            if i == len(buys):
                break
            want = buys[i][1]
        if not have:
            if j == len(sells):
                break
            have = sells[j][1]
        if buys[i][0] < sells[j][0]:
            break
        part = min(want, have)
        volume += part
        high, low = buys[i][0], sells[j][0]
        want -= part
        have -= part
        i += not want
        j += not have
    if not volume:
        return None
    return min(max(reference, low), high), volume


def fill(buys: list[Order], sells: list[Order], price: int, volume: int) -> list[Trade]:
    """Share `volume` out over both sides in their order, which it reaches to the last.

    Laid end to end, each side's orders cut [0, volume] into pieces. A trade is a piece that neither side cuts further:
    the two lists of cuts, merged. What an order has cost so far is what is rounded, as in `Book._trade`.
    """
    had = [[order.value for order in side] for side in (buys, sells)]
    kind: Any = np.int64 if price * volume + max(map(max, had)) <= INT64_MAX else object  # exact either way
    (bought, buy_left), (sold, sell_left) = (_cuts(side, volume, kind) for side in (buys, sells))
    buy_before, sell_before = (np.array(values, kind) for values in had)
    buy_values = buy_before + price * np.diff(bought, prepend=0)
    sell_values = sell_before + price * np.diff(sold, prepend=0)

    ends = np.union1d(bought, sold)
    buyer, seller = np.searchsorted(bought, ends), np.searchsorted(sold, ends)
    opens_buy, opens_sell = (np.diff(of, prepend=-1) > 0 for of in (buyer, seller))
    costs = cash_of_all(buy_values[buyer] - price * (bought[buyer] - ends))
    cash = np.diff(costs, prepend=0)
    cash[opens_buy] = costs[opens_buy] - cash_of_all(buy_before)  # what was paid before is not of this auction
    trades = list(
        map(Trade, _objects(buys)[buyer].tolist(), _objects(sells)[seller].tolist(), np.diff(ends, prepend=0).tolist(),
            repeat(price), cash.tolist())
    )  # fmt: skip
    _book(buys, buy_left, buy_values, np.add.reduceat(cash, np.flatnonzero(opens_buy)))
    _book(sells, sell_left, sell_values, np.add.reduceat(cash, np.flatnonzero(opens_sell)))
    return trades


def _cuts(orders: list[Order], volume: int, kind: Any) -> tuple[Any, int]:
    """Where each order ends when they are laid end to end, the last one at `volume`; and what that one has beyond."""
    ends = np.cumsum(np.array([order.left for order in orders], kind))
    beyond = int(ends[-1]) - volume
    ends[-1] = volume
    return ends, beyond


def _objects(orders: list[Order]) -> Any:
    """An array of them, to be picked from by their places."""
    found = np.empty(len(orders), object)
    found[:] = orders
    return found


def _book(orders: list[Order], left: int, values: Any, cash: Any) -> None:
    """Write down what each order has traded: only the last one has something left."""
    for order, value, paid in zip(orders, values.tolist(), cash.tolist(), strict=True):
        order.left = 0
        order.value = value
        order.cash += paid
    orders[-1].left = left


def cash_of_all(values: Any) -> Any:
    """`cash_of` for an array."""
    fen, rest = values // VALUE_PER_FEN, values % VALUE_PER_FEN
    return fen + ((rest > HALF_FEN) | ((rest == HALF_FEN) & (fen % 2 == 1)))
