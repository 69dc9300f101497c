"""Calendar arithmetic on proleptic Gregorian ordinals, once for Python integers and once for numpy arrays.

The array twins use the civil-from-days method of Howard Hinnant ("chrono-Compatible Low-Level Date Algorithms").
Every function is total: a result past the calendar's ends is clamped to them.
"""

from __future__ import annotations

import calendar
from datetime import date
from typing import Any

import numpy as np

FIRST_DAY = date.min.toordinal()
LAST_DAY = date.max.toordinal()
EPOCH = date(1970, 1, 1).toordinal()
_FIRST_MONTH, _LAST_MONTH = (1 - 1970) * 12, (9999 - 1970) * 12 + 11  # months since 1970-01
_ERA_SHIFT = EPOCH - 719_468  # ordinal of 0000-03-01, where era 0 begins


def clamp_day(ordinal: int) -> int:
    return FIRST_DAY if ordinal < FIRST_DAY else LAST_DAY if ordinal > LAST_DAY else ordinal


def add_months(ordinal: int, months: int) -> int:
    """The same day `months` later (earlier if negative); a day the month lacks becomes its last day."""
    day = date.fromordinal(clamp_day(ordinal))
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    if year < 1:
        return FIRST_DAY
    if year > 9999:
        return LAST_DAY
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1])).toordinal()


def months_between(start: int, end: int) -> int:
    """Whole calendar months from `start` to `end`: the largest n with add_months(start, n) ≤ end."""
    first, last = date.fromordinal(clamp_day(start)), date.fromordinal(clamp_day(end))
    months = (last.year - first.year) * 12 + last.month - first.month
    return months - 1 if add_months(start, months) > clamp_day(end) else months


def year(ordinal: int) -> int:
    return date.fromordinal(clamp_day(ordinal)).year


def month(ordinal: int) -> int:
    return date.fromordinal(clamp_day(ordinal)).month


def quarter(ordinal: int) -> int:
    return (month(ordinal) + 2) // 3


def day_of_month(ordinal: int) -> int:
    return date.fromordinal(clamp_day(ordinal)).day


def _civil(ordinals: Any) -> tuple[Any, Any, Any]:
    days = np.clip(ordinals, FIRST_DAY, LAST_DAY) - _ERA_SHIFT
    era = days // 146_097
    doe = days - era * 146_097
    yoe = (doe - doe // 1_460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    shifted = (5 * doy + 2) // 153
    months = np.where(shifted < 10, shifted + 3, shifted - 9)
    return yoe + era * 400 + (months <= 2), months, doy - (153 * shifted + 2) // 5 + 1


def add_months_array(ordinals: Any, months: Any) -> Any:
    dates = (np.clip(ordinals, FIRST_DAY, LAST_DAY) - EPOCH).astype("datetime64[D]")
    of_month = dates.astype("datetime64[M]")
    target = np.clip(of_month.astype(np.int64) + months, _FIRST_MONTH - 1, _LAST_MONTH + 1)
    month = target.astype("datetime64[M]")
    first = month.astype("datetime64[D]").astype(np.int64)
    last = (month + np.timedelta64(1, "M")).astype("datetime64[D]").astype(np.int64) - 1
    day = dates.astype(np.int64) - of_month.astype("datetime64[D]").astype(np.int64)
    result = np.minimum(first + day, last) + EPOCH
    return np.where(target < _FIRST_MONTH, FIRST_DAY, np.where(target > _LAST_MONTH, LAST_DAY, result))


def months_between_array(start: Any, end: Any) -> Any:
    first_years, first_months, _ = _civil(start)
    last_years, last_months, _ = _civil(end)
    months = (last_years - first_years) * 12 + last_months - first_months
    return months - (add_months_array(start, months) > np.clip(end, FIRST_DAY, LAST_DAY))


def year_array(ordinals: Any) -> Any:
    return _civil(ordinals)[0]


def month_array(ordinals: Any) -> Any:
    return _civil(ordinals)[1]


def quarter_array(ordinals: Any) -> Any:
    return (_civil(ordinals)[1] + 2) // 3


def day_of_month_array(ordinals: Any) -> Any:
    return _civil(ordinals)[2]
