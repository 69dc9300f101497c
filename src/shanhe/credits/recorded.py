"""Purchases and refunds that a rule decided in a time that has passed, as cases of that rule."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final
from uuid import UUID

from shanhe.credits import recorded_store
from shanhe.kernel.days import span
from shanhe.kernel.db import Database
from shanhe.rulebook.api import Case, Stream, Text

PURCHASES: Final = Text("积分购买", "Purchases of credits")
REFUNDS: Final = Text("退款", "Refunds")
BEST_ONLY: Final = Text(
    "一次购买只记录最优惠的那条规则；改动后若另一条规则更优惠，未推演",
    "Of a purchase only the best rule is recorded; whether another would be better then is not followed",
)
MONEY: Final = ("benefit_fen", "paid_fen")

Tell = Callable[[int], None]


class Recorded:
    """Reads the traces that purchases and refunds keep."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def cases(self, rule_id: str, first: date, last: date, most: int, tell: Tell) -> list[Stream]:
        """Of the city's days `first` to `last`; `tell` may raise."""
        since, until = span(first, last)
        found = []
        for key, title, paid, note in (("purchases", PURCHASES, MONEY, BEST_ONLY), ("refunds", REFUNDS, (), None)):
            cases = []
            async for row in recorded_store.decided(self._db, key, rule_id, since, until, most):
                tell(1)
                cases.append(_case(row["who"], row["trace"]))
            if cases:
                found.append(Stream(key, title, rule_id, cases, paid=paid, note=note))
        return found


def _case(who: UUID, trace: Any) -> Case:
    return Case(
        who, trace["version"], {one["name"]: one["value"] for one in trace["inputs"]},
        {one["name"]: one["value"] for one in trace["outputs"]},
    )  # fmt: skip
