"""Pictures drawn on the server as SVG geometry: fewer bytes than a chart library, sharp, readable without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shanhe.console.model import DaySpend
from shanhe.console.model_exchange import CandleChart, CandleMark
from shanhe.kernel.clock import CITY_TZ
from shanhe.kernel.money import MICRO

PROVENANCE_ORDER = ("subsidy", "reward", "exchange", "purchased")
TICKS = 4
NICE = (1, 2, 5, 10)


@dataclass(frozen=True)
class Column:
    x: float
    y: float
    width: float
    height: float
    label: str
    spend: DaySpend


@dataclass(frozen=True)
class Tick:
    y: float
    label: str


@dataclass(frozen=True)
class Columns:
    """A column chart in a `width` × `height` box; `labels` = (x, text) below the axis."""

    width: int
    height: int
    left: int
    base: float
    columns: Sequence[Column]
    ticks: Sequence[Tick]
    labels: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Part:
    """One piece of a strip, in hundredths of a percent from the left."""

    name: str
    start: int
    width: int
    micro: int


def nice_ceiling(micro: int) -> int:
    """The smallest 1, 2 or 5 times a power of ten that is at least `micro`."""
    power = 1
    while True:
        for factor in NICE:
            if factor * power >= micro:
                return max(factor * power, 1)
        power *= 10


def tick_label(micro: int) -> str:
    """A short figure for an axis: credits with as many digits as it needs."""
    if micro == 0:
        return "0"
    whole, rest = divmod(micro, MICRO)
    if rest == 0:
        return f"{whole:,}"
    return f"{whole:,}.{rest:06d}".rstrip("0")


def columns(days: Sequence[DaySpend], *, width: int, height: int, every: int) -> Columns:
    """Spend by day as columns; `every` n-th day gets a label, the last one always."""
    top, bottom, right = 10, 24, 4
    # Without any spending the axis shows one credit, not one millionth.
    ceiling = nice_ceiling(max((day.micro for day in days), default=0) or MICRO)
    marks = [ceiling * step // TICKS for step in range(TICKS + 1)]
    texts = [tick_label(mark) for mark in marks]
    left = 10 + 7 * max(len(text) for text in texts)
    base = height - bottom
    span = base - top
    pitch = (width - left - right) / max(len(days), 1)
    bar = min(pitch * 0.62, 28)
    drawn, labels = [], []
    for index, day in enumerate(days):
        tall = span * day.micro / ceiling
        x = left + pitch * index
        drawn.append(Column(x + (pitch - bar) / 2, base - tall, bar, tall, f"{day.day:%m-%d}", day))
        if (len(days) - 1 - index) % every == 0:
            labels.append((x + pitch / 2, f"{day.day:%m-%d}"))
    ticks = [Tick(base - span * step / TICKS, text) for step, text in enumerate(texts)]
    return Columns(width, height, left, base, drawn, ticks, labels)


def strip(amounts: Mapping[str, int], order: Sequence[str] = PROVENANCE_ORDER) -> Sequence[Part]:
    """Shares of a whole as pieces of a strip that together are exactly 10,000 wide; nothing for an empty whole."""
    known = [(name, amounts[name]) for name in order if amounts.get(name, 0) > 0]
    known += [(name, value) for name, value in amounts.items() if name not in order and value > 0]
    total = sum(value for _, value in known)
    parts, before, start = [], 0, 0
    for name, value in known:
        before += value
        end = before * 10_000 // total
        parts.append(Part(name, start, end - start, value))
        start = end
    return parts


CANDLE_LEFT = 52
CANDLES: Final = (("broad", 760, 220, 60), ("narrow", 330, 180, 24))
"""What a chart is for, its width and height, and how many candles it has room for."""


def candles(found: Sequence[tuple[datetime, int, int, int, int]], floor: int, ceiling: int) -> Sequence[CandleChart]:
    """(start, open, high, low, close) in ticks as candles, the newest at the right; for a desk and for a phone."""
    return [_candles(kind, width, height, list(found)[-most:], floor, ceiling) for kind, width, height, most in CANDLES]


def _candles(
    kind: str, width: int, height: int, shown: Sequence[tuple[datetime, int, int, int, int]], floor: int, ceiling: int
) -> CandleChart:
    low = min((row[3] for row in shown), default=floor)
    high = max((row[2] for row in shown), default=ceiling)
    margin = max((high - low) // 10, 20)
    low, high = max(low - margin, 0), high + margin

    def y(ticks: int) -> float:
        return 10 + (high - ticks) * (height - 24) / (high - low)

    step = (width - CANDLE_LEFT) / max(len(shown), 12)
    marks = []
    for number, (start, first, top, bottom, last) in enumerate(shown):
        up = last >= first
        head, foot = y(max(first, last)), y(min(first, last))
        label = f"{start.astimezone(CITY_TZ):%m-%d %H:%M} · {first / 10_000:.4f} → {last / 10_000:.4f}"
        marks.append(
            CandleMark(CANDLE_LEFT + step * (number + 0.5), y(top), y(bottom), head, max(foot - head, 1.5), up, label)
        )
    grid = [low + (high - low) * part // TICKS for part in range(TICKS + 1)]
    return CandleChart(kind, width, height, CANDLE_LEFT, marks, [(y(t), f"{t / 10_000:.4f}") for t in grid])
