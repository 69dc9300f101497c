"""Every constant of every rule is held by an example; and the mutations see what examples miss."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from rulebook.rulemaker import ON, book, document, formula, numbers, parameter, text
from shanhe.rulebook.api import Rulebook
from shanhe.rulebook.loader import linked, parse_rule
from shanhe.rulebook.mutate import mutants, mutate_rules

RULES = Rulebook.load()


def survivors(**changes: Any) -> set[str]:
    rulebook = book(**changes)
    return {mutant.change for mutant in mutate_rules(rulebook, ["X1_test_rule"]).survivors}


class TestPackagedRules:
    def test_hold_every_constant_of_a_sample(self) -> None:
        assert mutate_rules(RULES, RULES.ids()[::6]).survivors == ()

    @pytest.mark.prove
    def test_hold_every_constant(self) -> None:
        report = mutate_rules(RULES, RULES.ids())
        assert report.mutants > 1_000
        assert [(mutant.rule.id, mutant.change) for mutant in report.survivors] == []
        assert report.killed_ppm == 1_000_000


class TestMutants:
    def test_of_a_sound_rule_are_all_noticed(self) -> None:
        exact = [{"name": "exact", "on": ON, "facts": {"x": 10**6}, "outputs": {"y": 10**5}}]
        assert survivors(examples=exact) == set()

    def test_survive_where_rounding_hides_them(self) -> None:
        assert survivors() == {"rate from 2026-01-01: 1000 → 999", "rate from 2026-01-01: 1000 → 1001"}

    def test_survive_where_no_example_stands_at_the_edge(self) -> None:
        far = [{"name": "far", "on": ON, "facts": {"x": 1}, "outputs": {"y": 0}}]
        missed = survivors(
            facts=numbers(x=("int", 0, 100)), parameters={"k": parameter(50)}, formula=formula(y="1 if x > k else 0"),
            examples=far,
        )  # fmt: skip
        assert {"y: Gt → GtE", "y: 1 → 2", "k from 2026-01-01: 50 → 51"} <= missed

    def test_reach_bands_tables_lists_and_dates(self) -> None:
        bands = [{"from": 0, "to": 9, "value": 1}, {"from": 9, "to": None, "value": 2}]
        rule = parse_rule(
            text(
                document(
                    parameters={
                        "tiers": parameter(bands, type="bands"),
                        "table": parameter({"a": 1, "b": 3}, type="table"),
                        "names": parameter(["p", "q"], type="list", unit="enum"),
                        "day": parameter(date(2026, 1, 1), unit="date"),
                        "flag": parameter(True, unit="bool"),
                    },
                    formula=formula(y="x"),
                )
            ),
            "test.yaml",
        )  # fmt: skip
        changes = [mutant.change.split(": ", 1)[1] for mutant in mutants(rule)]
        assert {"edge 9 → 8", "edge 9 → 10", "band 2: value +1", "[a] 1 → 0", "without q", "True → False"} <= set(
            changes
        )
        assert "2026-01-01 +1 day" in changes


class TestSharedParameter:
    def test_holds_what_its_owner_says_and_is_mutated_there(self) -> None:
        owner = parse_rule(text(document()), "test.yaml")
        other = document(id="X2_other", parameters={"rate": {"of": "X1_test_rule"}})
        rules = linked({rule.id: rule for rule in (owner, parse_rule(text(other), "other.yaml"))})
        rulebook = Rulebook(rules)
        assert rulebook.parameter("X2", "rate", ON) == 1000
        assert rulebook.sharing("X1") == ["X2_other"]
        assert not [m for m in mutants(rulebook.rule("X2")) if m.change.startswith("rate")]
