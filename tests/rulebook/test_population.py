"""Every amount rule over a population: equal to the evaluators, and fast."""

from __future__ import annotations

import numpy as np
import pytest

from shanhe.rulebook.api import Rulebook
from shanhe.rulebook.population import ON, THREADS, Task, bench_rules, facts_at, generate


class TestPopulation:
    def test_holds_facts_that_every_rule_takes(self) -> None:
        rulebook = Rulebook.load()
        for rule_id in rulebook.ids()[::9]:
            rule = rulebook.rule(rule_id)
            if rule.formulas:
                task = Task(rule, rulebook.vector(rule_id, ON), generate(rule, 50), np.arange(50))
                assert rulebook.evaluate(rule_id, facts_at(task, 7), on=ON).rule_id == rule_id

    @pytest.mark.prove
    def test_of_a_million_is_decided_in_seconds_and_to_the_unit(self) -> None:
        figures = bench_rules()
        assert figures["rules"] >= 75
        assert figures["equal_rows"]["evaluator"] >= 10_000
        assert figures["vector_cpu_s"] / THREADS <= 3  # time on the processor, whoever else uses the machine
        assert figures["times_scalar"] >= 1_000
