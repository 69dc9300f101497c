"""An auditor makes last year's decisions again: the same to the last digit, whatever was announced since."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from rulebook.rulemaker import facts_of, some
from shanhe.cli.rules import app
from shanhe.kernel.errors import Invalid
from shanhe.rulebook.api import Outcome, RuleAmendment, Rulebook, RuleNotFound, adds_up, replay, traces_in

RULES = Rulebook.load()
ON = date(2026, 3, 1)
LATER = {"from": "2025-06-01", "announced": "2026-09-01", "value": 2500, "given": True}
"""A correction in retrospect: it changes what a decision of before would be today."""


def recorded(rule: str = "P1", **facts: Any) -> dict[str, Any]:
    """A decision as it lies in a database: JSON."""
    known = facts or {"category": "resident", "value_fen": 10_001}
    found: dict[str, Any] = json.loads(msgspec.json.encode(RULES.evaluate(rule, known, on=ON).trace))
    return found


class TestReplay:
    @pytest.mark.parametrize("rule", some([one for one in RULES.ids() if RULES.rule(one).formulas]))
    @given(data=st.data())
    def test_is_the_same_for_any_facts_of_any_rule(self, rule: str, data: st.DataObject) -> None:
        facts = data.draw(facts_of(RULES.rule(rule)))
        trace = json.loads(msgspec.json.encode(RULES.evaluate(rule, facts, on=ON).trace))
        found = replay(RULES, trace)
        assert (found.outcome, found.parts) == (Outcome.SAME, ())

    def test_finds_the_version_that_decided_though_another_would_decide_that_day_now(self) -> None:
        trace = recorded()
        change = {"parameters": {"discount": [LATER]}}
        amended = RULES.amended([RuleAmendment("a", "P1_resident_discount", change, "council")])
        assert amended.evaluate("P1", {"category": "resident", "value_fen": 10_001}, on=ON).amount == 2_500
        found = replay(amended, trace)
        assert found.outcome is Outcome.SAME
        assert found.now != found.version == trace["version"]

    @pytest.mark.parametrize("part", ["outputs", "inputs", "parameters"])
    def test_shows_what_was_altered(self, part: str) -> None:
        trace = recorded()
        changed = copy.deepcopy(trace)
        where = next(one for one in changed[part] if isinstance(one["value"], int) and one["value"])
        where["value"] += 1
        found = replay(RULES, changed)
        assert found.outcome is Outcome.DIFFERS
        assert found.parts

    def test_of_a_version_that_no_rule_here_had_is_unknown_and_its_arithmetic_still_adds_up(self) -> None:
        trace = recorded() | {"version": "0" * 64}
        assert replay(RULES, trace).outcome is Outcome.UNKNOWN
        assert adds_up(trace)
        trace["outputs"][0]["value"] += 1
        assert not adds_up(trace)

    def test_of_what_is_no_trace_is_refused(self) -> None:
        with pytest.raises(Invalid, match="no trace"):
            replay(RULES, {"rule": "P1"})
        with pytest.raises(RuleNotFound):
            replay(RULES, recorded() | {"rule": "Z9_nothing"})

    def test_finds_traces_wherever_a_document_holds_them(self) -> None:
        document = {"data": [{"outcome": {"traces": {"P1": recorded()}}}, {"trace": recorded()}]}
        assert len(list(traces_in(document))) == 2


class TestCommand:
    def test_makes_every_decision_of_a_file_again_and_fails_when_one_is_otherwise(self, tmp_path: Path) -> None:
        file = tmp_path / "cases.json"
        file.write_text(json.dumps([recorded(), recorded("C11", provenance="reward", issued_on="2026-01-31")]), "utf-8")
        said = CliRunner().invoke(app, ["replay", str(file), "--json"])
        assert said.exit_code == 0, said.output
        assert {one["outcome"] for one in json.loads(said.stdout)} == {"same"}
        wrong = recorded()
        wrong["outputs"][0]["value"] += 1
        file.write_text(json.dumps(wrong), "utf-8")
        said = CliRunner().invoke(app, ["replay", str(file)])
        assert said.exit_code == 1
        assert "differs" in said.output

    def test_answers_as_of_what_was_known(self) -> None:
        asked = ["eval", "P1", "--facts", '{"category": "resident", "value_fen": 10000}', "--on", "2026-03-01"]
        said = CliRunner().invoke(app, [*asked, "--known", "2020-01-01"])
        assert said.exit_code != 0
        assert CliRunner().invoke(app, [*asked, "--known", "2026-03-01"]).exit_code == 0
