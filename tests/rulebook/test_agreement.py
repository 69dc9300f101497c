"""The evaluator, the compiled function, the vector kernel and the printed arithmetic say the same, to the unit."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rulebook.rulemaker import ON, book, facts_of, formula, made, numbers, parameter, some
from shanhe.rulebook.api import FormulaInvalid, Rulebook, VectorKernel, recompute
from shanhe.rulebook.check import columns
from shanhe.rulebook.model import Rule, canonical
from shanhe.rulebook.resolve import resolve
from stage.draws import draws

RULES = Rulebook.load()
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])


def plain(value: Any) -> Any:
    if isinstance(value, np.datetime64):
        return value.astype(date)
    if isinstance(value, np.ndarray | tuple | list):
        return [int(item) for item in value]
    return bool(value) if isinstance(value, bool | np.bool_) else value if isinstance(value, date) else int(value)


def assert_agree(rulebook: Rulebook, rule: Rule, rows: list[dict[str, Any]]) -> None:
    vector = rulebook.vector(rule.id, ON)(columns(rows))
    compiled = rulebook.compiled(rule.id, ON)
    for index, row in enumerate(rows):
        decision = rulebook.evaluate(rule.id, row, on=ON)
        fast = compiled(**row)
        for name, value in decision.outputs.items():
            assert plain(fast[name]) == plain(value), (name, row)
            assert plain(vector[name][index]) == plain(value), (name, row)
        assert recompute(decision.trace) == canonical(decision.outputs)
        exact = rulebook.exact(rule.id, ON)(**row)
        assert exact == decision.exact


class TestPackagedRules:
    @pytest.mark.parametrize("rule_id", some([rule_id for rule_id in RULES.ids() if RULES.rule(rule_id).formulas]))
    def test_agree_on_random_facts(self, rule_id: str) -> None:
        """Some facts each, many to an example: drawing costs most; `shanhe bench rules` compares ten thousand."""
        rule = RULES.rule(rule_id)

        @settings(relaxed, max_examples=2)
        @given(st.lists(facts_of(rule), min_size=8, max_size=8))
        def check(rows: list[dict[str, Any]]) -> None:
            assert_agree(RULES, rule, rows)

        check()

    def test_split_a_purchase_without_losing_a_unit(self) -> None:
        @settings(relaxed, max_examples=100)
        @given(facts_of(RULES.rule("P1")))
        def check(facts: dict[str, Any]) -> None:
            out = RULES.compiled("P1", ON)(**facts)
            assert out["benefit_fen"] + out["paid_fen"] == facts["value_fen"]
            assert out["purchased_micro"] + out["subsidy_micro"] == out["quantity_micro"]
            assert 0 <= out["benefit_fen"] <= max(100_000_000 - facts["benefit_used_fen"], 0)
            assert min(out.values()) >= 0

        check()


ROUNDINGS = ("half_even", "half_up", "floor", "ceiling", "truncate")
NUMBER = st.sampled_from(["a", "b", "c", "r", "k", "0", "1", "3", "7.5", "half", "tiers", "grade"])


def leaf(name: str) -> str:
    return {"tiers": "band(a, tiers)", "grade": "grade[e]", "half": "band_whole(b, tiers)"}.get(name, name)


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
    pick = st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})")
    divide = st.tuples(inner, st.sampled_from(["3", "a + 1", "c + 2", "r + 1", "7"])).map(
        lambda t: f"({t[0]}) / ({t[1]})"
    )
    guarded = inner.map(lambda x: f"ratio({x}, c, 5)")
    test = st.tuples(inner, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), inner).map(
        lambda t: f"{t[0]} {t[1]} {t[2]}"
    )
    both = st.tuples(test, st.sampled_from(["and", "or"]), test).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})")
    condition = st.one_of(
        test, both, test.map(lambda t: f"not ({t})"), st.sampled_from(["e == 'p'", "e in ('p', 'q')", "f", "b > c"])
    )
    choose = st.tuples(inner, condition, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})")
    rounding = st.tuples(st.sampled_from(["floor", "ceil", "round", "round_half_up", "truncate", "abs"]), inner).map(
        lambda t: f"{t[0]}({t[1]})"
    )
    modulo = st.tuples(inner, st.sampled_from(["7", "c + 1"])).map(lambda t: f"(({t[0]}) % ({t[1]}))")
    clamp = inner.map(lambda x: f"clamp({x}, 1, 100)")
    ramp = inner.map(lambda x: f"ramp({x}, 10, 90, 1, 7)")
    calendar = st.sampled_from(
        ["number(days(d, add_months(d, a % 30)))", "number(months_between(d, d + b % 900))", "year(d)"]
    )
    named = st.sampled_from(["item(split(b, xs), 1)", "item(waterfall(a, xs), 0)", "sum(xs)", "cohort_rank(a, xs)"])
    return st.one_of(binary, pick, divide, guarded, choose, rounding, modulo, clamp, ramp, calendar, named)


EXPRESSIONS = st.recursive(NUMBER.map(leaf), grow, max_leaves=8)


def random_rule(expression: str, rounding: str) -> dict[str, Any]:
    bands = [
        {"from": 0, "to": 50, "value": 20},
        {"from": 50, "to": 1000, "value": 15},
        {"from": 1000, "to": None, "value": 10},
    ]
    facts = numbers(a=("int", 0, 10**6), b=("int", 0, 5000), c=("int", 0, 9), r=("bps", 0, 20_000))
    facts |= {
        "e": {"type": "enum", "values": ["p", "q", "z"], "zh": "e", "en": "e"},
        "f": {"type": "bool", "zh": "f", "en": "f"},
        "d": {"type": "date", "min": date(2000, 1, 1), "max": date(2040, 1, 1), "zh": "d", "en": "d"},
        "xs": {"type": "list", "min": 0, "max": 10**6, "max_items": 3, "zh": "xs", "en": "xs"},
    }
    return {
        "facts": facts,
        "parameters": {
            "k": parameter(2500, unit="bps"),
            "tiers": parameter(bands, type="bands", unit="bps"),
            "grade": parameter({"p": 3, "q": 5, "z": -1}, type="table"),
        },
        "formula": formula(
            {"s": expression}, y={"expr": "s", "round": rounding}, z={"expr": "s > y"} | {"type": "bool"}
        ),
        "examples": [{"name": "any", "on": ON, "facts": {}, "outputs": {}}],
    }


class TestRandomFormulas:
    @settings(relaxed, max_examples=draws(50))
    @given(EXPRESSIONS, st.sampled_from(ROUNDINGS), st.data())
    def test_agree(self, expression: str, rounding: str, data: st.DataObject) -> None:
        rule = made(**random_rule(expression, rounding))
        rulebook = Rulebook({rule.id: rule})
        try:
            rulebook.program(rule.id, ON)
        except FormulaInvalid as error:
            assume("nodes" not in error.problem)
            raise
        rows = data.draw(st.lists(facts_of(rule), min_size=1, max_size=3))
        vector = rulebook.vector(rule.id, ON)(columns(rows))
        program = rulebook.program(rule.id, ON)
        for index, row in enumerate(rows):
            decision = rulebook.evaluate(rule.id, row, on=ON)
            fast = rulebook.compiled(rule.id, ON)(**row)
            assert fast == decision.outputs
            assert {name: plain(column[index]) for name, column in vector.items()} == decision.outputs
            assert program.outputs[0].rounded.lo <= decision.outputs["y"] <= program.outputs[0].rounded.hi

    @settings(relaxed, max_examples=25)
    @given(EXPRESSIONS, st.data())
    def test_can_be_worked_out_again_from_the_trace(self, expression: str, data: st.DataObject) -> None:
        rule = made(**random_rule(expression, "half_even"))
        decision = Rulebook({rule.id: rule}).evaluate(rule.id, data.draw(facts_of(rule)), on=ON)
        assume(all(len(entry["arithmetic"]) < 1500 for entry in decision.trace["steps"]))
        assert recompute(decision.trace) == decision.outputs


AWKWARD = [
    "a / 3 + b / 7",
    "a / 3 - r / 7 + k",
    "min(a / 3, b / 7)",
    "max(a / (c + 1), b / (c + 2))",
    "a / (c + 1) - b / (a + 1)",
    "a / (0 - c - 1)",
    "(a / 3) / (r + 1)",
    "1 if a / 3 < b / 7 else 0",
    "1 if a / (c + 1) >= b / (a + 1) else 0",
    "a / 3 if f else b / 7",
    "a / (c + 1) if f else b / 7",
    "round(a / 3) * k + floor(0 - b / 7) + truncate(0 - b / 7)",
    "(a / 3 if b > 100 else 0 - b / (c + 1)) * r",
    "ratio(a, c, 7) + share(b, c, a)",
    "band(a, tiers) / 3 + band_whole(b, tiers) + grade[e] / 7",
    "sum(xs) / 3 + item(split(b, xs), 2) + cohort_rank(a, xs)",
]


class TestAwkwardFormulas:
    @pytest.mark.parametrize("expression", AWKWARD)
    def test_agree_in_every_rounding(self, expression: str) -> None:
        outputs = {f"y_{rounding}": {"expr": "s", "round": rounding} for rounding in ROUNDINGS}
        rule = made(**random_rule(expression, "half_even") | {"formula": formula({"s": expression}, **outputs)})
        rulebook = Rulebook({rule.id: rule})

        @settings(relaxed, max_examples=10)
        @given(st.lists(facts_of(rule), min_size=6, max_size=8))
        def check(rows: list[dict[str, Any]]) -> None:
            assert_agree(rulebook, rule, rows)

        check()


class TestOverflow:
    def test_only_rows_outside_the_safe_box_take_the_slow_way(self) -> None:
        box = RULES.vector("P6", ON)._safe_box()
        assert box is not None
        assert box[1].fits
        assert box[0]["model_cost_micro"][1] >= 2**24

    def test_columns_that_would_wrap_are_exact(self) -> None:
        kernel = RULES.vector("P6", ON)
        assert not kernel.proved
        cost = np.array([1, 922_337_203_685_477, 922_337_203_685_478, 10**15], dtype=np.int64)
        markup = np.array([1_000_000] * 4, dtype=np.int64)
        out = kernel({"model_cost_micro": cost, "markup_bps": markup})
        one = RULES.compiled("P6", ON)
        for index in range(4):
            expected = one(model_cost_micro=int(cost[index]), markup_bps=1_000_000)
            assert {name: int(column[index]) for name, column in out.items()} == expected

    def test_micro_credits_times_basis_points_beyond_922_million_credits(self) -> None:
        rulebook = book(
            facts=numbers(x=("micro", 0, 10**18), r=("bps", 0, 10_000)),
            parameters=None,
            formula=formula(y={"expr": "x * r", "unit": "micro"}),
            examples=[{"name": "any", "on": ON, "facts": {"x": 0, "r": 0}, "outputs": {"y": 0}}],
        )
        kernel = rulebook.vector("X1", ON)
        xs = np.array([922_337_203_685_477, 922_337_203_685_478, 922_337_203_685_478_000, 10**18], dtype=np.int64)
        out = kernel({"x": xs, "r": np.full(4, 10_000)})["y"]
        assert [int(value) for value in out] == [int(x) for x in xs]
        wrapped = xs * 10_000 // 10_000
        assert list(wrapped) != list(xs), "numpy wraps silently here: the proof is what protects"

    def test_results_beyond_64_bits_come_as_objects(self) -> None:
        rulebook = book(
            facts=numbers(x=("int", 0, 10**18)), parameters=None, formula=formula(y="x * x"),
            examples=[{"name": "any", "on": ON, "facts": {"x": 2}, "outputs": {"y": 4}}],
        )  # fmt: skip
        out = rulebook.vector("X1", ON)({"x": np.array([3, 10**18])})["y"]
        assert out.dtype == object
        assert list(out) == [9, 10**36]

    def test_the_bound_covers_every_intermediate(self) -> None:
        kernel = VectorKernel(resolve(RULES.rule("P10"), ON, None))
        assert kernel.largest >= 10**15 * 7
        assert kernel.proved
