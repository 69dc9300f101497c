"""A clerk's mistakes in a rule file: each is told with its file, line and field, and what to do."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import date, timedelta
from importlib import resources
from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rulebook.rulemaker import document, formula, numbers, parameter, text
from shanhe.rulebook.api import Mistake, Rulebook, mistakes, read_yaml
from stage.draws import draws

RULES = Rulebook.load()
FOLDER = resources.files("shanhe.rulebook") / "rules"
FILES = {entry.name: entry.read_text(encoding="utf-8") for entry in FOLDER.iterdir() if entry.name.endswith(".yaml")}
P1 = "P1_resident_discount.yaml"
JUNK = (None, "", -1, 10**30, True, 1, [], {}, "x", date(1, 1, 1), "enum", "bands", [1], ["a", "a"], {"a": {}}, "1/0")


def found_in(source: str, name: str = P1) -> list[Mistake]:
    return mistakes(RULES, {name: source})


def line_with(source: str, words: str) -> int:
    return next(number for number, line in enumerate(source.split("\n"), 1) if words in line)


class TestMistake:
    def test_is_none_in_a_file_as_it_stands(self) -> None:
        assert found_in(FILES[P1]) == []

    @pytest.mark.parametrize(
        ("before", "after", "words", "field", "said"),
        [
            ("discount if", "discoun if", "discoun if", "/formula/0/steps/rate/expr", "did you mean 'discount'?"),
            ("unit: bps", "unit: bpt", "unit: bpt", "/parameters/discount/unit", "must be one of"),
            ("value: 3000", "value: 30.5", "30.5", "", "as basis points or as a quoted decimal"),
            ("value: 3000", "value: 3 000", "3 000", "/parameters/discount/values/0/value", "must be a whole number"),
            ("review:", "reviews:", "reviews:", "/reviews", "'review' is missing; did you mean 'reviews'?"),
            ("kind: amount\n", "", "id:", "/kind", "the key 'kind' is missing"),
            (
                "announced: 2024-12-01",
                "announced: 2042-12-01",
                "discount:",
                "/parameters/discount",
                "announced only on",
            ),
            ("from: 2025-01-01", "from: 2026-01-01", "discount:", "/parameters/discount", "no value before 2026-01-01"),
            ("paid_fen: 7000", "paid_fen: 7001", "a citizen buys", "/examples/0", "paid_fen is 7000, the example says"),
            ("title: {", "title: {{", "article:", "", "look at indents, brackets, quotes"),
        ],
    )
    def test_says_where_it_is_and_what_to_do(self, before: str, after: str, words: str, field: str, said: str) -> None:
        source = FILES[P1].replace(before, after, 1)
        assert source != FILES[P1]
        (one, *_) = found_in(source)
        assert (one.file, one.field) == (P1, field)
        assert said in one.said.en
        assert one.line == line_with(source, words)
        assert one.said.zh != one.said.en

    @pytest.mark.parametrize("left", ["{", "[", "x", "!"])
    def test_at_the_very_end_of_a_file_is_on_its_last_line(self, left: str) -> None:
        source = FILES[P1] + left
        (one,) = found_in(source)
        assert one.line == source.count("\n") + 1

    def test_is_a_number_that_may_lie_below_the_first_band(self) -> None:
        bands = [{"from": 100, "to": None, "value": 5}]
        source = text(document(
            parameters={"k": parameter(bands, type="bands")}, formula=formula(y="band_whole(x, k)"),
            facts=numbers(x=("int", 0, 1_000)), examples=[{"name": "a", "on": date(2026, 3, 1), "facts": {"x": 100},
                                                            "outputs": {"y": 5}}],
        ))  # fmt: skip
        (one,) = found_in(source, "X1_test_rule.yaml")
        assert "k begins at 100, but the number may be 0" in one.said.en

    def test_is_an_example_that_says_nothing(self) -> None:
        example = {"name": "a", "on": date(2026, 3, 1), "facts": {"x": 100}, "outputs": {}}
        (one,) = found_in(text(document(examples=[example])), "X1_test_rule.yaml")
        assert (one.field, "name an output" in one.said.en) == ("/examples/0", True)

    def test_is_a_default_that_the_fact_could_not_have(self) -> None:
        facts = numbers(x=("fen", 0, 10)) | {"z": numbers(z=("int", 0, 5))["z"] | {"default": "many"}}
        (one,) = found_in(text(document(facts=facts)), "X1_test_rule.yaml")
        assert (one.field, "must be a whole number" in one.said.en) == ("/facts/z/default", True)

    def test_of_a_rule_that_shares_a_value_is_told_of_the_file_that_changes_it(self) -> None:
        source = FILES[P1].replace("  list_price_fen:", "  price_at_list:").replace("list_price_fen", "price_at_list")
        (one,) = found_in(source)
        assert "has no such parameter of its own" in one.said.en
        assert "list_price_fen" in one.said.en

    def test_of_files_that_change_together_is_looked_for_in_all_of_them(self) -> None:
        owner = text(document())
        other = document(id="X2_other_rule", parameters={"rate": {"of": "X1_test_rule"}})
        pair = {"X2_other_rule.yaml": text(other), "X1_test_rule.yaml": owner}
        assert mistakes(RULES, pair) == []
        (alone,) = mistakes(RULES, {"X2_other_rule.yaml": text(other)})
        assert (alone.field, "there is no rule X1_test_rule" in alone.said.en) == ("/parameters/rate", True)
        twice = mistakes(RULES, pair | {"copy/X1_test_rule.yaml": owner})
        assert [one.file for one in twice] == ["copy/X1_test_rule.yaml"]


def places(content: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    rows = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in rows:
        yield from places(value, (*path, key))


@st.composite
def clumsy(draw: st.DrawFn) -> tuple[str, str]:
    """A rule file that somebody changed without looking: its structure, or its letters."""
    name = draw(st.sampled_from(sorted(FILES)))
    if draw(st.booleans()):
        lines = FILES[name].split("\n")
        at = draw(st.integers(0, len(lines) - 1))
        cut = draw(st.integers(0, len(lines[at])))
        lines[at : at + 1] = draw(st.sampled_from([
            [], [lines[at]] * 2, [f" {lines[at]}"], [lines[at][:cut]],
            [lines[at][:cut] + draw(st.sampled_from("{}[]:,'\"&*!%@`\t\0#|>-0x")) + lines[at][cut:]],
        ]))  # fmt: skip
        return name, "\n".join(lines)
    content = copy.deepcopy(read_yaml(FILES[name], name))
    *way, last = draw(st.sampled_from(list(places(content))))
    parent: Any = content
    for key in way:
        parent = parent[key]
    old = parent.pop(last)
    match draw(st.integers(0, 3)):
        case 0:
            new = draw(st.sampled_from(JUNK))
        case 1 if isinstance(old, int) and not isinstance(old, bool):
            new = old + draw(st.sampled_from((-(10**6), -1, 1, 10**6)))
        case 1 if isinstance(old, date):
            new = old + timedelta(days=draw(st.sampled_from((-400, -1, 1, 3_000))))
        case 2:
            last = draw(st.sampled_from(("x", "if", "X", "a.b", "", "of"))) if isinstance(parent, dict) else last
            new = old
        case _:
            return name, yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    if isinstance(parent, list):
        parent.insert(last, new)
    else:
        parent[last] = new
    return name, yaml.safe_dump(content, allow_unicode=True, sort_keys=False)


class TestTitles:
    def test_changed_alone_are_no_mistake_and_checked_as_anything_else(self) -> None:
        """What was proved of a rule is kept where a change leaves its formula: so do the titles inside that formula."""
        name = "B14_conference.yaml"
        RULES.check("B14_conference")
        assert mistakes(RULES, {name: FILES[name].replace("en: Pool of the track", "en: What a track has")}) == []


class TestClumsyFile:
    @given(clumsy())
    @settings(max_examples=draws(400), deadline=None)
    def test_is_understood_or_refused_with_a_line_and_never_leaves_a_gap(self, changed: tuple[str, str]) -> None:
        name, source = changed
        found = mistakes(RULES, {name: source})
        for one in found:
            assert 1 <= one.line <= source.count("\n") + 1
            assert one.said.en
            assert one.said.zh != one.said.en
        if not found:
            book, rule = RULES.with_file(source, name)
            for schedule in (p for p in book.rule(rule).parameters if p.type == "bands"):
                for value in schedule.values:
                    assert all(low.upper == high.lower for low, high in pairwise(value.value))
                    assert value.value[-1].upper is None
            since = min((one.start for one in book.rule(rule).formulas), default=date.max)
            assert all(min(v.start for v in p.values) <= since for p in book.rule(rule).parameters)
