"""What calls cost by another price: metered sums of each payer at the list price that was in force on the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from shanhe.compute.api import NoPrice
from shanhe.rulebook.api import RuleAmendment, Rulebook, Side, simulate
from shanhe.wiring.foresight import Foresight

BOOK, ON, STARTS = Rulebook.load(), date(2026, 3, 1), date(2026, 5, 1)
FIRST, LAST = date(2026, 2, 1), date(2026, 2, 28)


@dataclass
class Meter:
    """Stands for gateway, compute, programmes and credits: calls of a month, and one published price."""

    async def usage_of_all(self, first: date, last: date, group: Any) -> list[Any]:
        assert FIRST <= first == last <= LAST
        if first != FIRST:
            return []
        day = SimpleNamespace(model="m", cached_input=0, reasoning=0, tool=0, cache_write=0)
        rows = [SimpleNamespace(**vars(day) | {"org_id": UUID(int=n), "input": 1_000_000 * n, "output": 2}) for n in
                range(1, 8)]  # fmt: skip
        return [*rows, SimpleNamespace(**vars(rows[0]) | {"model": "gone"})]

    def prices(self, model: str, on: date) -> Any:
        if model == "gone":
            raise NoPrice(model)
        return SimpleNamespace(version=str(UUID(int=9)))

    async def price_traces(self, version: UUID) -> dict[str, Any]:
        facts = {"cost": 150_000, "model_class": "small"}
        return {bucket: BOOK.evaluate("P11", facts | {"bucket": bucket}, on=ON).trace for bucket in ("input", "output")}

    async def cases(self, *_: Any) -> list[Any]:
        return []


def foresight() -> Foresight:
    meter: Any = Meter()
    meter.recorded = meter
    return Foresight(BOOK, programmes=meter, nomads=meter, credits=meter, gateway=meter, compute=meter)


class TestMeter:
    async def test_is_charged_by_both_prices_and_a_lower_one_is_a_gain(self) -> None:
        read: list[int] = []
        (stream,) = await foresight().gather("P11_pricing", FIRST, LAST, 1_000, read.append)
        rows = {"parameters": {"margin": [{"from": "2026-05-01", "announced": "2026-04-01", "value": 1_000,
                                           "given": True}]}}  # fmt: skip
        book = BOOK.amended([RuleAmendment("x", "P11_pricing", rows, "t")])
        found = simulate(stream, Side.of(BOOK.in_force("P11", ON), ON), Side.of(book.in_force("P11", STARTS), STARTS),
                         least=5, salt="", span="", tell=lambda _: None)  # fmt: skip
        tokens = sum(range(1, 8))
        assert (found.amounts[0].unit, found.cases, read) == ("micro", 14, [14])
        assert (found.amounts[0].before, found.amounts[0].after) == (172_500 * tokens + 2, 165_000 * tokens + 2)
        assert (found.gain, found.lose) == (7, 0)
        assert found.missing == {"list_price": 1}

    async def test_says_nothing_of_rules_that_price_no_calls(self) -> None:
        assert await foresight().gather("P1_resident_discount", FIRST, LAST, 1_000, lambda _: None) == []
