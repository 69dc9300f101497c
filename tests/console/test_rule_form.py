"""What people type into a rule's form: yuan, credits and percent, not the units of the books."""

from __future__ import annotations

from datetime import date

import pytest

from shanhe.console.explain import explain
from shanhe.console.units import form_of
from shanhe.rulebook.api import Rulebook


class TestForm:
    @pytest.mark.parametrize(
        ("unit", "typed", "value", "shown"),
        [
            ("fen", "1,000.5", 100_050, "1000.5"),
            ("fen", "-3", -300, "-3"),
            ("micro", "0.000001", 1, "0.000001"),
            ("bps", "12.34", 1_234, "12.34"),
            ("ppm", "100", 1_000_000, "100"),
            ("day", "90", 90, "90"),
            ("int", "0", 0, "0"),
        ],
    )
    def test_reads_and_shows_the_unit_of_people(self, unit: str, typed: str, value: int, shown: str) -> None:
        assert form_of(unit).read(typed) == value
        assert form_of(unit).show(value) == shown

    @pytest.mark.parametrize(
        ("unit", "typed"),
        [("fen", "1.005"), ("day", "1.5"), ("fen", "1e9"), ("fen", ""), ("bps", "很多"), ("fen", "9" * 40)],
    )
    def test_refuses_what_is_finer_or_no_number(self, unit: str, typed: str) -> None:
        with pytest.raises(ValueError, match=r".*"):
            form_of(unit).read(typed)


class TestExplained:
    def test_says_prices_as_people_write_them(self) -> None:
        decision = Rulebook.load().evaluate(
            "P1", {"category": "resident", "value_fen": 100_000, "benefit_used_fen": 0}, on=date(2026, 11, 20)
        )
        shown = {line.title[0]: line.value for line in explain(decision.trace).parameters}
        assert (shown["积分标价"], shown["优惠率"]) == ("¥1.00", "30%")
