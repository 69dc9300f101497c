"""What the rulebook decides about a purchase; the only place of this module that knows rule ids and fact names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from shanhe.credits import windows
from shanhe.credits.model import Payer, Priced
from shanhe.kernel.clock import city_date
from shanhe.kernel.money import MICRO, round_half_even
from shanhe.rulebook.api import Decision, Rulebook

DISCOUNT = "P1"
INCUBATEE = "I6"
ALLIANCE = "T14"
INCUBATED, ALLIED = "incubated", "alliance"
WHOLE_BPS = 10_000
"""A purchase of as many fen has a benefit of as many fen as its rate has basis points."""
EXPIRY = "C11"
LOCK = "C6"
NO_CATEGORY = "none"
NEVER = date.max


@dataclass(frozen=True)
class LotTerms:
    """When the lots of a purchase expire and unlock. None = never; a subsidy lot never unlocks."""

    purchased_expires_at: datetime | None
    purchased_unlock_at: datetime | None
    subsidy_expires_at: datetime | None
    subsidy_unlock_at: datetime | None
    rules: dict[str, Any]


def price(rulebook: Rulebook, payer: Payer, value_fen: int, *, used_fen: int, on: date) -> tuple[Priced, int]:
    """Decide what list value `value_fen` costs when `used_fen` of the year's benefit is used; also what is left of it.

    The best single rule decides (P1, I6), never two; an alliance's extra (T14) comes on top of the best rate, and all
    share P1's cap. An organisation without a ground pays list price by P1.
    """
    grounds = _grounds(rulebook, payer, value_fen, used_fen, on)
    ground, decision = max(grounds, key=lambda one: one[1].outputs["benefit_fen"])
    outputs = decision.outputs
    priced = Priced(
        value_fen=value_fen,
        benefit_fen=outputs["benefit_fen"],
        paid_fen=outputs["paid_fen"],
        purchased_micro=outputs["purchased_micro"],
        subsidy_micro=outputs["subsidy_micro"],
        list_price_fen=list_price_fen(rulebook, on=on),
        category=ground,
        rule_version=decision.version,
        trace=decision.trace,
    )
    return priced, max(int(rulebook.parameter(DISCOUNT, "cap_fen", on)) - used_fen, 0)


def _grounds(rulebook: Rulebook, payer: Payer, value_fen: int, used_fen: int, on: date) -> list[tuple[str, Decision]]:
    """(ground, decision) of every rule that may price a purchase; the first wins among equals."""
    asked = {"value_fen": value_fen, "benefit_used_fen": used_fen}
    category, best = category_of(rulebook, payer, on=on), 0
    found = [(category, rulebook.evaluate(DISCOUNT, {"category": category, **asked}, on=on))]
    if category != NO_CATEGORY:
        best = int(rulebook.parameter(DISCOUNT, "discount", on))
    if payer.incubation is not None:
        facts = {"ended_on": payer.incubation.ends_on, "bought_on": on, "other_token": payer.incubation.other_token}
        found.append((INCUBATED, rulebook.evaluate(INCUBATEE, {**facts, **asked}, on=on)))
        whole = rulebook.evaluate(INCUBATEE, {**facts, "value_fen": WHOLE_BPS}, on=on)
        best = max(best, int(whole.outputs["benefit_fen"]))
    if payer.allies:
        facts = {"members": payer.allies, "best_rate": best}
        found.append((ALLIED, rulebook.evaluate(ALLIANCE, {**facts, **asked}, on=on)))
    return found


def category_of(rulebook: Rulebook, payer: Payer, *, on: date) -> str:
    """The first ground of a payer that entitles to the discount; one is enough, the rate is the same for all."""
    eligible = rulebook.parameter(DISCOUNT, "eligible", on)
    return next((name for name in payer.categories if name in eligible), NO_CATEGORY)


def at_list(rulebook: Rulebook, amount_micro: int, *, on: date) -> Priced:
    """An amount of credits at list price without any discount; the cash side half-even to the fen."""
    unit_fen = list_price_fen(rulebook, on=on)
    paid_fen = round_half_even(amount_micro * unit_fen, MICRO)
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
    """Expiry (C11) and lock (C6) of lots issued at an instant.

    A day of expiry or of unlocking begins at midnight in the city.
    """
    on = city_date(paid_at)
    decisions = {
        (rule, provenance): _lot_decision(rulebook, rule, provenance, on)
        for rule in (EXPIRY, LOCK)
        for provenance in ("purchased", "subsidy")
    }
    return LotTerms(
        purchased_expires_at=_start(decisions[EXPIRY, "purchased"].outputs["expires_on"]),
        purchased_unlock_at=_start(decisions[LOCK, "purchased"].outputs["unlocks_on"]),
        subsidy_expires_at=_start(decisions[EXPIRY, "subsidy"].outputs["expires_on"]),
        subsidy_unlock_at=_start(decisions[LOCK, "subsidy"].outputs["unlocks_on"]),
        rules={rule: decision.version for (rule, _), decision in decisions.items()},
    )


@dataclass(frozen=True)
class LotDates:
    """When one lot expires (C11) and unlocks (C6); None = never. `rules`: the versions that said so."""

    expires_at: datetime | None
    unlock_at: datetime | None
    rules: dict[str, Any]


def lot_dates(rulebook: Rulebook, provenance: str, at: datetime) -> LotDates:
    """The terms of a lot of this provenance issued at an instant."""
    on = city_date(at)
    expiry, lock = (_lot_decision(rulebook, rule, provenance, on) for rule in (EXPIRY, LOCK))
    return LotDates(
        _start(expiry.outputs["expires_on"]),
        _start(lock.outputs["unlocks_on"]),
        {EXPIRY: expiry.version, LOCK: lock.version},
    )


def _lot_decision(rulebook: Rulebook, rule: str, provenance: str, on: date) -> Decision:
    facts: dict[str, object] = {"provenance": provenance}
    facts |= {"issued_on": on} if rule == EXPIRY else {"acquired_on": on, "asked_on": on}
    return rulebook.evaluate(rule, facts, on=on)


def _start(on: date) -> datetime | None:
    return None if on == NEVER else windows.midnight(on)
