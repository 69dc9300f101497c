"""What the rulebook decides about a purchase; the only place of this module that knows rule ids and fact names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from shanhe.credits.model import Payer, Priced
from shanhe.kernel.clock import CITY_TZ
from shanhe.kernel.money import MICRO
from shanhe.rulebook.api import Rulebook

DISCOUNT = "P1"
EXPIRY = "C11"
LOCK = "C6"


@dataclass(frozen=True)
class LotTerms:
    """When the lots of a purchase expire and unlock. None = never expires, never tradeable."""

    purchased_expires_at: datetime | None
    purchased_unlock_at: datetime | None
    subsidy_expires_at: datetime | None


def price(rulebook: Rulebook, payer: Payer, value_fen: int, *, used_fen: int, on: date) -> Priced:
    """Decide what a purchase of list value `value_fen` costs when `used_fen` of this year's benefit is used up."""
    raise NotImplementedError


def terms(rulebook: Rulebook, paid_at: datetime) -> LotTerms:
    raise NotImplementedError
