"""Facts are checked strictly, and every bad one is named."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rulebook.rulemaker import ON, facts_of, some
from shanhe.rulebook.api import Rulebook, RuleFactsInvalid
from shanhe.rulebook.model import canonical

RULES = Rulebook.load()
GOOD = {"category": "resident", "value_fen": 100, "benefit_used_fen": 0}


def problems(rule: str, facts: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(RuleFactsInvalid) as caught:
        RULES.evaluate(rule, facts, on=ON)
    assert caught.value.status == 422
    assert {told["field"] for told in caught.value.details["fields"]} == {
        problem.field for problem in caught.value.problems
    }
    return {problem.field: problem.message for problem in caught.value.problems}


class TestFacts:
    @pytest.mark.parametrize("bad", [1.0, "100", True, None, -1, 10**13, 10**50, [1], float("nan")])
    def test_refuse_a_number_that_is_not_one(self, bad: Any) -> None:
        assert list(problems("P1", {**GOOD, "value_fen": bad})) == ["value_fen"]

    @pytest.mark.parametrize("bad", ["Resident", "", 0, None, "a" * 10_000])
    def test_refuse_an_unknown_category(self, bad: Any) -> None:
        assert list(problems("P1", {**GOOD, "category": bad})) == ["category"]

    @pytest.mark.parametrize("bad", ["2026-02-30", "soon", 20260101, datetime(2026, 1, 1), "1800-01-01", None])  # noqa: DTZ001
    def test_refuse_a_day_that_is_not_one(self, bad: Any) -> None:
        assert list(problems("C11", {"provenance": "reward", "issued_on": bad})) == ["issued_on"]

    def test_name_every_bad_field_at_once(self) -> None:
        found = problems("P1", {"category": "x", "benefit_used_fen": -1, "colour": "red"})
        assert set(found) == {"category", "value_fen", "benefit_used_fen", "colour"}

    def test_speak_both_languages(self) -> None:
        with pytest.raises(RuleFactsInvalid) as caught:
            RULES.evaluate("P1", {}, on=ON)
        assert "按标价计的购买额 (value_fen)：缺失" in caught.value.message_zh
        assert "shanhe rules schema" in caught.value.hint

    def test_take_defaults(self) -> None:
        assert RULES.evaluate("P1", {"value_fen": 100}, on=ON).amount == 0
        assert RULES.compiled("P1", ON)(value_fen=100) == RULES.evaluate("P1", {"value_fen": 100}, on=ON).outputs


class TestSchema:
    @pytest.mark.parametrize("rule_id", some(list(RULES.ids())))
    def test_admits_what_the_rule_admits(self, rule_id: str) -> None:
        schema = RULES.schema(rule_id, ON)
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = jsonschema.Draft202012Validator(schema)

        @settings(deadline=None, max_examples=2)
        @given(st.lists(facts_of(RULES.rule(rule_id)), min_size=10, max_size=10))
        def check(rows: list[dict[str, Any]]) -> None:
            assert all(validator.is_valid(canonical(facts)) for facts in rows)

        check()

    def test_refuses_what_the_rule_refuses(self) -> None:
        validator = jsonschema.Draft202012Validator(RULES.schema("P1", ON))
        for bad in (
            {},
            {**GOOD, "x": 1},
            {**GOOD, "value_fen": "1"},
            {**GOOD, "category": "x"},
            {**GOOD, "value_fen": -1},
        ):
            assert not validator.is_valid(bad)


class TestColumns:
    KERNEL = RULES.vector("P1", ON)

    def test_take_texts_or_indices_for_enums(self) -> None:
        values = np.array([1000, 1000, 1000])
        texts = self.KERNEL({"category": np.array(["none", "resident", "nomad"]), "value_fen": values})
        codes = self.KERNEL({"category": np.array([6, 2, 5]), "value_fen": values})
        assert texts["benefit_fen"].tolist() == codes["benefit_fen"].tolist() == [0, 300, 300]

    @pytest.mark.parametrize(
        ("column", "bad"),
        [
            ("value_fen", np.array([1.0, 2.0])),
            ("value_fen", np.array([1, -2])),
            ("value_fen", np.array([1, 10**13])),
            ("value_fen", np.array([1, 2, 3])),
            ("category", np.array(["resident", "martian"])),
            ("category", np.array([0, 7])),
            ("other", np.array([1, 2])),
        ],
    )
    def test_that_do_not_fit_are_named(self, column: str, bad: Any) -> None:
        good = {"category": np.array([0, 1]), "value_fen": np.array([1, 2])}
        with pytest.raises(RuleFactsInvalid) as caught:
            self.KERNEL({**good, column: bad})
        assert {problem.field for problem in caught.value.problems} <= {column, "columns"}

    def test_may_be_empty(self) -> None:
        empty = np.array([], dtype=np.int64)
        assert all(len(column) == 0 for column in self.KERNEL({"category": empty, "value_fen": empty}).values())

    def test_give_dates_as_dates(self) -> None:
        out = RULES.vector("C11", ON)(
            {"provenance": np.array(["subsidy"]), "issued_on": np.array(["2028-02-29"], dtype="datetime64[D]")}
        )
        assert out["expires_on"][0].astype(date) == date(2029, 2, 28)
        assert out["expires"].dtype == bool
