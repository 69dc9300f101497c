"""Demand by hour: season, trend and error bars, from the sums that the pool keeps. Pure numpy.

Method: y = log(1 + calls). Season = mean of y by hour of the week (by hour of the day until there are two weeks),
trend = least squares on what is left of the last four weeks, damped by 0.9 a day so that no line runs away. Error
bars are empirical: the method is run again from earlier days, a day ahead, and the 10 % and 90 % quantiles of its own
errors are added. With less than two days there is no season: the mean of what there is, and bars of its own spread.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

DAY: Final = 24
WEEK: Final = 168
TREND_HOURS: Final = 28 * DAY
DAMPING: Final = 0.9
BACKTEST_DAYS_MAX: Final = 14
HISTORY_MAX_HOURS: Final = 92 * DAY
Series = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Expected:
    """Calls expected in an hour: middle, and what 10 % and 90 % of the hours stay below."""

    hour: datetime
    calls: float
    low: float
    high: float


def forecast(calls: list[float], last: datetime, hours: int = DAY) -> list[Expected]:
    """The next hours of a series of calls by hour that ends with the hour `last`."""
    series = np.log1p(np.asarray(calls[-HISTORY_MAX_HOURS:], dtype=np.float64))
    if series.size == 0:
        series = np.zeros(1)
    middle = _ahead(series, hours)
    low, high = _bars(series, hours)
    return [
        Expected(
            last + timedelta(hours=at + 1),
            float(np.expm1(max(0.0, middle[at]))),
            float(np.expm1(max(0.0, middle[at] + low))),
            float(np.expm1(max(0.0, middle[at] + high))),
        )
        for at in range(hours)
    ]


def _ahead(series: Series, hours: int) -> Series:
    """The method itself, in logs."""
    size = series.size
    if size < 2 * DAY:
        return np.full(hours, float(series.mean()))
    period = WEEK if size >= 2 * WEEK else DAY
    places = (np.arange(size) - size) % period
    season = np.array([series[places == place].mean() for place in range(period)])
    rest = (series - season[places])[-TREND_HOURS:]
    at = np.arange(rest.size) - (rest.size - 1)
    slope, level = np.polyfit(at, rest, 1) if rest.size >= 2 * DAY else (0.0, float(rest.mean()))
    ahead = np.arange(1, hours + 1)
    damped = (1 - DAMPING ** (ahead / DAY)) / (1 - DAMPING) * DAY
    return np.asarray(season[(ahead - 1) % period] + level + slope * damped)


def _bars(series: Series, hours: int) -> tuple[float, float]:
    """Quantiles of the method's own errors a day ahead."""
    errors: list[float] = []
    for day in range(1, BACKTEST_DAYS_MAX + 1):
        end = series.size - day * DAY
        if end < 2 * DAY:
            break
        errors += (series[end : end + DAY] - _ahead(series[:end], DAY)).tolist()
    if not errors:
        errors = (series - series.mean()).tolist()
    low, high = np.quantile(np.asarray(errors), [0.1, 0.9])
    return min(0.0, float(low)), max(0.0, float(high))
