"""A trace says why this amount, in numbers that give the amount again, and what would change it."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rulebook.rulemaker import ON, book, facts_of, formula, numbers, parameter, some
from shanhe.rulebook.api import Rulebook, recompute
from shanhe.rulebook.model import canonical

RULES = Rulebook.load()
FORMULAS = [rule_id for rule_id in RULES.ids() if RULES.rule(rule_id).formulas]
STRADDLE = {"category": "nomad", "value_fen": 1_000_000, "benefit_used_fen": 99_900_000}


def trace(rule: str, facts: dict[str, Any]) -> dict[str, Any]:
    return RULES.evaluate(rule, facts, on=ON).trace


class TestTrace:
    def test_is_json_with_its_version(self) -> None:
        seen = trace("P1", STRADDLE)
        assert json.loads(json.dumps(seen)) == seen
        assert seen["trace_version"] == 1
        assert seen["version"] == RULES.version("P1", ON)
        assert seen["article"] == "四·1.3"

    def test_names_inputs_and_parameters_with_their_sources(self) -> None:
        seen = trace("P1", STRADDLE)
        assert [entry["name"] for entry in seen["inputs"]] == ["category", "value_fen", "benefit_used_fen"]
        price = next(entry for entry in seen["parameters"] if entry["name"] == "list_price_fen")
        assert price["origin"] == "assumed"
        assert set(price["reason"]) == {"zh", "en"}
        assert price["from"] == "2025-01-01"
        assert price["article"] == "四·1.3"

    def test_shows_each_steps_arithmetic(self) -> None:
        steps = {entry["name"]: entry for entry in trace("P1", STRADDLE)["steps"]}
        assert steps["by_rate"]["arithmetic"] == "1000000 * (3/10)"
        assert steps["by_rate"]["exact"] == "300000"
        assert steps["rate"]["tests"][0]["holds"] is True

    def test_names_the_binding_constraint_in_both_languages(self) -> None:
        binding = trace("P1", STRADDLE)["binding"]
        assert "Cap left this year (¥1,000.00) ≤ Benefit by rate (¥3,000.00)" in binding[0]["text"]["en"]
        assert "本年剩余额度（¥1,000.00）" in binding[0]["text"]["zh"]

    def test_says_how_many_more_days(self) -> None:
        facts = {"provenance": "purchased", "acquired_on": "2026-01-01", "asked_on": "2026-03-20"}
        nearest = trace("C6", facts)["nearest"][0]
        assert nearest["to"] == "2026-04-01"
        assert nearest["outputs"]["may_trade"] is True
        assert nearest["text"]["en"].startswith("12 more days")
        assert nearest["text"]["zh"].startswith("再过 12 天")

    def test_says_how_much_more_benefit_would_use_up_the_cap(self) -> None:
        nearest = trace("P1", {"category": "nomad", "value_fen": 1_000_000, "benefit_used_fen": 99_000_000})["nearest"]
        change = next(entry for entry in nearest if entry["fact"] == "benefit_used_fen")
        assert change["to"] == 99_700_001
        assert change["outputs"]["benefit_fen"] == 299_999

    def test_says_which_other_category_would_differ(self) -> None:
        others = trace("P1", STRADDLE)["alternatives"]
        assert [(other["fact"], other["to"]) for other in others] == [("category", "none")]

    def test_a_price_tells_the_cost_at_which_it_turns_thin(self) -> None:
        nearest = trace("P11", {"cost": 400_000, "model_class": "small", "bucket": "input"})["nearest"]
        assert (nearest[0]["fact"], nearest[0]["to"]) == ("cost", 434_783)
        assert nearest[0]["outputs"] == {"list": 500_000, "thin": True, "loss": False}

    def test_reads_as_people_write_it(self) -> None:
        facts = {"category": "local_data_company", "value_fen": 10_000_000, "benefit_used_fen": 99_000_000}
        told = trace("P1", facts)
        said = {one["name"]: one["reading"]["zh"] for one in (*told["steps"], *told["outputs"])}
        assert said["rate"] == "30%"
        assert said["benefit_fen"] == "取小（¥30,000.00，¥10,000.00）"
        assert said["quantity_micro"] == "¥100,000.00 ÷ ¥1.00/积分"
        assert told["inputs"][0]["said"] == {"zh": "本地数据企业", "en": "Local data company"}
        assert "若购买人类别为“无”" in " ".join(one["text"]["zh"] for one in told["alternatives"])

    def test_tampered_arithmetic_is_found_out(self) -> None:
        decision = RULES.evaluate("P1", STRADDLE, on=ON)
        decision.trace["outputs"][0]["arithmetic"] = "min(300000, 200000)"
        assert recompute(decision.trace) != decision.outputs


class TestRandomFacts:
    @pytest.mark.parametrize("rule_id", some(FORMULAS))
    def test_printed_steps_give_the_amount_and_changes_really_change_it(self, rule_id: str) -> None:
        """Several facts to an example: drawing one costs more than deciding on it."""

        @settings(deadline=None, max_examples=2)
        @given(st.lists(facts_of(RULES.rule(rule_id)), min_size=8, max_size=8))
        def check(rows: list[dict[str, Any]]) -> None:
            for facts in rows:
                decision = RULES.evaluate(rule_id, facts, on=ON)
                assert recompute(decision.trace) == canonical(decision.outputs)
                for change in (*decision.trace["nearest"], *decision.trace["alternatives"]):
                    changed = RULES.evaluate(rule_id, {**canonical(facts), change["fact"]: change["to"]}, on=ON)
                    assert changed.outputs != decision.outputs
                    assert canonical(changed.outputs) == change["outputs"]

        check()


class TestNearestChange:
    def test_is_the_nearest(self) -> None:
        """A step function: nothing nearer than the reported change alters it."""
        bands = [
            {"from": 0, "to": 50, "value": 20},
            {"from": 50, "to": 100, "value": 15},
            {"from": 100, "to": None, "value": 10},
        ]
        rulebook = book(
            facts=numbers(x=("int", 0, 10_000)),
            parameters={"tiers": parameter(bands, type="bands")},
            formula=formula(y="band_whole(x, tiers)"),
            examples=[{"name": "low", "on": ON, "facts": {"x": 0}, "outputs": {"y": 20}}],
        )
        for x in (0, 1, 49, 50, 51, 60, 99, 100, 140, 9_999):
            decision = rulebook.evaluate("X1", {"x": x}, on=ON)
            found = decision.trace["nearest"][0]
            distance = abs(found["to"] - x)
            for near in range(max(x - distance + 1, 0), x + distance):
                assert rulebook.compiled("X1", ON)(x=near)["y"] == decision.amount

    def test_that_alters_the_decision_comes_before_what_alters_only_what_is_said_beside_it(self) -> None:
        facts = {"insured_here": False, "resident": False, "days_present": 78, "valid_until": "2026-12-01"}
        first, *_ = trace("N3", facts | {"applied_on": "2026-11-27"})["nearest"]
        assert (first["fact"], first["to"], first["outputs"]["renews"]) == ("days_present", 90, True)

    def test_of_a_date_is_the_first_day_that_differs(self) -> None:
        for day in (date(2026, 1, 2), date(2026, 2, 28), date(2026, 3, 31)):
            seen = trace("C6", {"provenance": "reward", "acquired_on": date(2026, 1, 1), "asked_on": day})
            change = next(c for c in seen["nearest"] if c["fact"] == "asked_on")
            assert change["to"] == "2026-04-01"
