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


def _ordinal(years: Any, months: Any, days: Any) -> Any:
    years = years - (months <= 2)
    era = years // 400
    yoe = years - era * 400
    doy = (153 * np.where(months > 2, months - 3, months + 9) + 2) // 5 + days - 1
    return era * 146_097 + yoe * 365 + yoe // 4 - yoe // 100 + doy + _ERA_SHIFT


_MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)


def add_months_array(ordinals: Any, months: Any) -> Any:
    years, month_numbers, days = _civil(ordinals)
    index = years * 12 + month_numbers - 1 + months
    target_years = index // 12
    target_months = index - target_years * 12
    leap = (target_years % 4 == 0) & ((target_years % 100 != 0) | (target_years % 400 == 0))
    last = _MONTH_DAYS[target_months] + (leap & (target_months == 1))
    result = _ordinal(target_years, target_months + 1, np.minimum(days, last))
    return np.where(target_years < 1, FIRST_DAY, np.where(target_years > 9999, LAST_DAY, result))


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
