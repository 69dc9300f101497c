"""Forecasts with intervals: exponential smoothing chosen by information criterion, through statsforecast.

Hyndman, Koehler, Snyder & Grose, "A state space framework for automatic forecasting using exponential smoothing
methods", 2002. A series too short for that is foretold by its last season, one of a single value by that value, with
an interval of no width where nothing is known of its spread.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

SEASONS_LEAST: Final = 2
POINTS_LEAST: Final = 8
"""Fewer points than this carry no trend that could be told from chance."""
SEASON_MAX: Final = 24
"""Longer seasons are taken out by their averages first: smoothing them would estimate a state for each hour."""


class Forecaster:
    """The algorithm behind `/v1/forecast`."""

    path = "/forecast"

    def __init__(self) -> None:
        from statsforecast.models import AutoETS

        self._smooth = AutoETS

    def run(self, asked: dict[str, Any]) -> dict[str, Any]:
        """`series`, `horizon`, `season_length`, `levels` → one forecast a series."""
        season, horizon = int(asked.get("season_length", 1)), int(asked["horizon"])
        levels = [int(level) for level in asked.get("levels", ())]
        rows = [self._one(series, horizon, season, levels) for series in asked["series"]]
        return {"object": "forecast", "forecasts": rows}

    def _one(self, series: Sequence[float], horizon: int, season: int, levels: list[int]) -> dict[str, Any]:
        values = np.asarray(series, dtype=np.float64)
        if not np.isfinite(values).all() or len(values) == 0:
            raise ValueError("a series of finite numbers is wanted")
        whole = season > 1 and len(values) >= SEASONS_LEAST * season
        pattern = _pattern(values, season, horizon) if whole and season > SEASON_MAX else None
        inside = values if pattern is None else values - pattern[: len(values)]
        length = season if whole and pattern is None else 1
        if len(values) < max(POINTS_LEAST, SEASONS_LEAST * length) or np.ptp(inside) == 0:
            return _still(inside, pattern, horizon, levels)
        found = self._smooth(season_length=length).forecast(y=inside, h=horizon, level=levels or None)
        shift = 0.0 if pattern is None else pattern[len(values) :]
        row: dict[str, Any] = {"mean": _plain(found["mean"] + shift), "method": "ets"}
        row["intervals"] = {
            str(level): {"low": _plain(found[f"lo-{level}"] + shift), "high": _plain(found[f"hi-{level}"] + shift)}
            for level in levels
        }
        return row


def _pattern(values: np.ndarray[Any, Any], season: int, horizon: int) -> np.ndarray[Any, Any]:
    """The average of each place in the season, over the series and the horizon."""
    means = np.array([values[at::season].mean() for at in range(season)])
    pattern: np.ndarray[Any, Any] = np.resize(means, len(values) + horizon) - means.mean()
    return pattern


def _still(inside: Any, pattern: Any, horizon: int, levels: list[int]) -> dict[str, Any]:
    """The average of what there is, with the spread that it had."""
    mean = float(np.mean(inside))
    spread = float(np.std(inside, ddof=1)) if len(inside) > 1 else 0.0
    shift = np.zeros(horizon) if pattern is None else pattern[len(inside) :]
    middle = mean + shift
    return {
        "mean": _plain(middle), "method": "mean",
        "intervals": {
            str(level): {"low": _plain(middle - _z(level) * spread), "high": _plain(middle + _z(level) * spread)}
            for level in levels
        },
    }  # fmt: skip


def _z(level: int) -> float:
    """The normal quantile of a two-sided level, by bisection of the error function."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle / math.sqrt(2)) < level / 100 else (low, middle)
    return low


def _plain(values: Any) -> list[float]:
    return [round(float(value), 6) for value in values]
