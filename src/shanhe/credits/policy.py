"""What the rulebook decides about a purchase; the only place of this module that knows rule ids and fact names."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from shanhe.credits import windows
from shanhe.credits.model import Payer, Priced
from shanhe.kernel.clock import city_date
from shanhe.kernel.money import MICRO
from shanhe.rulebook.api import Rulebook

DISCOUNT = "P1"
EXPIRY = "C11"
LOCK = "C6"
NO_CATEGORY = "none"


@dataclass(frozen=True)
class LotTerms:
    """When the lots of a purchase expire and unlock. None = never expires; a subsidy lot never unlocks."""

    purchased_expires_at: datetime | None
    purchased_unlock_at: datetime | None
    subsidy_expires_at: datetime | None
    rules: dict[str, Any]


def price(rulebook: Rulebook, payer: Payer, value_fen: int, *, used_fen: int, on: date) -> tuple[Priced, int]:
    """Decide what list value `value_fen` costs when `used_fen` of the year's benefit is used; also what is left of it.

    The decision is the rulebook's (P1); an organisation without a category pays list price by the same rule.
    """
    category = payer.categories[0] if payer.categories else NO_CATEGORY
    facts = {"value_fen": value_fen, "eligible": bool(payer.categories), "benefit_used_fen": used_fen, **payer.facts}
    decision = rulebook.evaluate(DISCOUNT, facts, on=on)
    outputs = decision.outputs
    priced = Priced(
        value_fen=value_fen,
        benefit_fen=outputs["benefit_fen"],
        paid_fen=outputs["paid_fen"],
        purchased_micro=outputs["purchased_micro"],
        subsidy_micro=outputs["subsidy_micro"],
        list_price_fen=list_price_fen(rulebook, on=on),
        category=category,
        rule_version=decision.version,
        trace=decision.trace,
    )
    return priced, max(int(rulebook.parameter(DISCOUNT, "cap_fen", on)) - used_fen, 0)


def at_list(rulebook: Rulebook, amount_micro: int, *, on: date) -> Priced:
    """An amount of credits at list price without any discount; the cash side half-even to the fen."""
    unit_fen = list_price_fen(rulebook, on=on)
    paid_fen = _half_even(amount_micro * unit_fen, MICRO)
    trace = {
        "method": "amount × list price, half-even to the fen; no discount",
        "amount_micro": amount_micro,
        "list_price_fen": unit_fen,
        "paid_fen": paid_fen,
    }
    return Priced(paid_fen, 0, paid_fen, amount_micro, 0, unit_fen, NO_CATEGORY, "list", trace)


def list_price_fen(rulebook: Rulebook, *, on: date) -> int:
    """The price of one credit."""
    return int(rulebook.parameter(DISCOUNT, "list_price_fen", on))


def quantity_micro(rulebook: Rulebook, value_fen: int, *, on: date) -> int:
    """Micro-credits that list value buys, rounded down."""
    return value_fen * MICRO // list_price_fen(rulebook, on=on)


def terms(rulebook: Rulebook, paid_at: datetime) -> LotTerms:
    """Expiry (C11) and lock (C6) of lots issued at an instant, in calendar months of the city.

    A lot is good through its last day and tradeable from the day its lock ends, both from midnight to midnight.
    """
    on = city_date(paid_at)
    subsidy_months = int(rulebook.parameter(EXPIRY, "subsidy_months", on))
    lock_months = int(rulebook.parameter(LOCK, "lock_months", on))
    return LotTerms(
        purchased_expires_at=None,
        purchased_unlock_at=windows.midnight(add_months(on, lock_months)),
        subsidy_expires_at=windows.midnight(add_months(on, subsidy_months) + timedelta(days=1)),
        rules={EXPIRY: {"subsidy_months": subsidy_months}, LOCK: {"lock_months": lock_months}},
    )


def add_months(on: date, months: int) -> date:
    """Calendar months later, clamped to the month's last day."""
    year, month = divmod(on.year * 12 + on.month - 1 + months, 12)
    return date(year, month + 1, min(on.day, calendar.monthrange(year, month + 1)[1]))


def _half_even(numerator: int, denominator: int) -> int:
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))
