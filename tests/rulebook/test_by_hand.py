"""Each rule says of random facts, its edges among them, what its words say when they are worked out by hand."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rulebook.by_hand import HAND, Facts
from shanhe.rulebook.api import Rulebook
from shanhe.rulebook.model import Band, Fact, Rule
from stage.draws import LENIENT, draws

RULES = Rulebook.load()
ON = date(2027, 1, 4)
OURS = {
    "B9_award", "C2_detection", "C7_session", "I11_enclave", "I7_incubator_services", "I8_call", "N1_presence",
    "N8_living", "P10_node_audit", "P10_payout", "P11_batch", "P11_scene_cost", "P11_studio", "P1_bank_transfer",
    "P4_break_glass", "P4_decision_terms", "P7_rank_reward", "P9_dilution", "P9_filing", "P9_reconciliation",
    "P9_retention", "R1_estate", "S1_scorecard", "S2_five_years", "T11_authors", "T13_benefits", "T15_registered",
    "T5_earning",
}  # fmt: skip
"""Rules whose every number and condition is the house's own, or that are targets and decide nothing: the city's words
say that there is such a thing and not how much of it, so there is nothing to tell a second time."""


def numbers_in(value: Any) -> set[int]:
    """Every whole number of a parameter's value, band edges among them."""
    if isinstance(value, dict):
        return {number for entry in value.values() for number in numbers_in(entry)}
    if isinstance(value, tuple | list):
        return {number for entry in value for number in numbers_in(entry)}
    if isinstance(value, Band):
        return {value.lower, *numbers_in(value.upper)}
    return {value} if isinstance(value, int) and not isinstance(value, bool) else set()


def edges(rule: Rule) -> set[int]:
    """What a rule's own numbers may stand for, in yuan, credits, percent or as they are; and one beside each."""
    own = {n for parameter in rule.parameters for row in parameter.values for n in numbers_in(row.value)}
    scaled = {n * by for n in own for by in (1, 100, 1_000_000)}
    return {n + beside for n in scaled for beside in (-1, 0, 1)}


def around(fact: Fact, marks: set[int]) -> st.SearchStrategy[Any]:
    if fact.type == "bool":
        return st.booleans()
    if fact.type == "enum":
        return st.sampled_from(fact.values)
    if fact.type == "date":
        first, last = date(2023, 12, 1), date(2028, 3, 31)
        leap = st.sampled_from([date(2024, 2, 29), date(2028, 2, 29), date(2027, 2, 28), date(2026, 12, 31)])
        return leap | st.dates(first, last)
    here = sorted({mark for mark in marks if fact.lo <= mark <= fact.hi} | {fact.lo, fact.hi})
    most = min(fact.hi, max(here[-2] * 2 if len(here) > 1 else fact.hi, fact.lo))
    number = st.sampled_from(here) | st.integers(fact.lo, most)
    return number if fact.type == "number" else st.lists(number, min_size=1, max_size=4).map(tuple)


@st.composite
def cases(draw: st.DrawFn, rule: Rule) -> dict[str, Any]:
    """Facts near the edges: a number often a share of another, a date some months after another; lists equally long."""
    marks = edges(rule) | {0, 1, 10_000}
    facts = {fact.name: draw(around(fact, marks)) for fact in rule.facts}
    dates = [fact.name for fact in rule.facts if fact.type == "date"]
    for earlier, later in pairwise(dates):
        if draw(st.booleans()):
            months = draw(st.sampled_from([0, 3, 6, 12, 18, 24, 36]))
            facts[later] = step(facts[earlier], months) + timedelta(draw(st.integers(-2, 2)))
    numbers = [fact for fact in rule.facts if fact.type == "number"]
    for other, fact in pairwise(numbers):
        if draw(st.integers(0, 2)) == 0:
            rate = draw(st.sampled_from(sorted(mark for mark in marks if 0 <= mark <= 10_000)))
            near = facts[other.name] * (10_000 + draw(st.sampled_from([-rate, 0, rate, rate - 10_000]))) // 10_000
            facts[fact.name] = min(max(near + draw(st.integers(-1, 1)), fact.lo), fact.hi)
    lists = [fact.name for fact in rule.facts if fact.type == "list"]
    for name in lists[1:]:
        facts[name] = (facts[name] * 4)[: len(facts[lists[0]])]
    return facts


def step(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, 28))


def test_every_rule_is_told_again_or_is_the_house_s_own() -> None:
    assert set(RULES.ids()) == OURS | set(HAND)
    assert not OURS & set(HAND)


class TestRule:
    @pytest.mark.parametrize("rule_id", sorted(HAND))
    def test_says_what_its_words_say(self, rule_id: str) -> None:
        rule = RULES.rule(rule_id)
        compiled = RULES.compiled(rule_id, ON)

        def own(name: str) -> Any:
            return RULES.parameter(rule_id, name, ON)

        @settings(max_examples=draws(60), **LENIENT)
        @given(cases(rule))
        def check(facts: dict[str, Any]) -> None:
            ours, theirs = compiled(**facts), HAND[rule_id](Facts(facts), own)
            assert {name: plain(ours[name]) for name in theirs} == {n: plain(v) for n, v in theirs.items()}

        check()


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
