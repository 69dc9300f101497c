"""Files are read strictly: what is unknown, doubled, missing or vague is fatal."""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from typing import Any

import pytest

from rulebook.rulemaker import ON, document, made, parameter, text
from shanhe.rulebook.api import RuleAmendment, Rulebook, RuleFileInvalid, RuleNotFound
from shanhe.rulebook.loader import parse_rule

DAY, BEFORE = date(2026, 1, 1), date(2025, 12, 1)


def text_of(name: str) -> str:
    return (files("shanhe.rulebook") / "rules" / f"{name}.yaml").read_text("utf-8")


def row(value: Any = 1000, **more: Any) -> dict[str, Any]:
    return {"from": DAY, "announced": BEFORE, "value": value, "given": True} | more


class TestFile:
    def test_refuses_a_value_below_its_parameters_least(self) -> None:
        """An interval between auctions of no minutes is divided by."""
        source = text_of("C7_session")
        for wrong in (0, -60):
            with pytest.raises(RuleFileInvalid, match="at least 1"):
                parse_rule(source.replace("        value: 60", f"        value: {wrong}", 1), "x.yaml")

    def test_reads_a_sound_rule(self) -> None:
        assert made().id == "X1_test_rule"
        assert made().content_hash == made().content_hash != made(article="四·2.1").content_hash

    def test_refuses_duplicate_keys_on_any_level(self) -> None:
        source = text(document())
        with pytest.raises(RuleFileInvalid, match="twice"):
            parse_rule(source + "\nkind: amount\n", "x.yaml")
        with pytest.raises(RuleFileInvalid, match="twice"):
            parse_rule(source.replace("unit: bps", "unit: bps\n    unit: fen"), "x.yaml")

    @pytest.mark.parametrize("key", ["id", "kind", "title", "article", "department", "event", "review"])
    def test_refuses_a_missing_key(self, key: str) -> None:
        with pytest.raises(RuleFileInvalid, match=key):
            made(**{key: None})

    @pytest.mark.parametrize(
        "changes",
        [
            {"colour": "red"},
            {"kind": "wish"},
            {"id": "p1"},
            {"review": "soon"},
            {"title": {"zh": "只有中文"}},
            {"title": {"zh": "中", "en": "en", "fr": "fr"}},
            {"facts": {"X": {"min": 0, "max": 1, "zh": "x", "en": "x"}}},
            {"facts": {"if": {"min": 0, "max": 1, "zh": "x", "en": "x"}}},
            {"facts": {"x": {"min": 2, "max": 1, "zh": "x", "en": "x"}}},
            {"facts": {"x": {"min": 0, "zh": "x", "en": "x"}}},
            {"facts": {"x": {"min": 0, "max": 10**19, "zh": "x", "en": "x"}}},
            {"facts": {"rate": {"min": 0, "max": 1, "zh": "x", "en": "x"}}},
            {"facts": {"x": {"type": "enum", "values": ["a", "a"], "zh": "x", "en": "x"}}},
            {"parameters": {"rate": parameter(1) | {"values": []}}},
            {"parameters": {"rate": parameter(1) | {"values": [row(), row()]}}},
            {"parameters": {"rate": parameter(1) | {"values": [row(given=False)]}}},
            {"parameters": {"rate": parameter(1) | {"values": [row(assumed=True)]}}},
            {"parameters": {"rate": parameter(1) | {"values": [row(given=False, assumed=True)]}}},
            {"parameters": {"rate": parameter(1) | {"values": [row(note="?")]}}},
            {"parameters": {"rate": parameter(1.5)}},
            {"parameters": {"rate": parameter(0) | {"min": 1}}},
            {"parameters": {"rate": parameter(1) | {"min": "1"}}},
            {"parameters": {"rate": parameter(True)}},
            {"parameters": {"rate": parameter({"a": 1, "b": {"c": 1}}, type="table")}},
            {"parameters": {"rate": parameter(1, unit="parsec")}},
            {"examples": []},
            {"formula": []},
        ],
    )
    def test_refuses(self, changes: dict[str, Any]) -> None:
        with pytest.raises(RuleFileInvalid) as caught:
            made(**changes)
        assert caught.value.message_zh != caught.value.message

    def test_refuses_floats_anchors_and_garbage(self) -> None:
        source = text(document())
        for bad in (
            source + "\nnote: 1.5\n",
            source + "\nnote: &a {zh: b, en: c}\nx: *a\n",
            "[",
            "- 1",
            "\x07",
            "!!python/none x",
        ):
            with pytest.raises(RuleFileInvalid):
                parse_rule(bad, "x.yaml")

    def test_keeps_on_and_no_as_words(self) -> None:
        rule = parse_rule(text(document()).replace("name: ten percent", "name: no"), "x.yaml")
        assert rule.examples[0].name == "no"
        assert rule.examples[0].on == ON


class TestBands:
    @pytest.mark.parametrize(
        ("edges", "problem"),
        [
            ([(0, 10), (11, None)], "gap"),
            ([(0, 10), (9, None)], "overlap"),
            ([(0, 10)], "no end"),
            ([(0, None), (10, None)], "others follow"),
            ([(10, 10), (10, None)], "empty"),
            ([(0, 10), (20, 30), (10, None)], "gap"),
        ],
    )
    def test_that_gap_or_overlap_are_refused(self, edges: list[tuple[int, int | None]], problem: str) -> None:
        bands = [{"from": lower, "to": upper, "value": 1} for lower, upper in edges]
        with pytest.raises(RuleFileInvalid, match=problem):
            made(parameters={"rate": parameter(bands, type="bands")})


class TestAmendment:
    def amendment(self, **content: Any) -> RuleAmendment:
        return RuleAmendment("a1", "P1_resident_discount", content, "council")

    def test_adds_a_dated_value_in_the_form_of_the_file(self) -> None:
        change = {"from": "2027-01-01", "announced": "2026-11-01", "value": 2500, "given": True}
        rulebook = Rulebook.load([self.amendment(parameters={"discount": [change]})])
        facts = {"category": "resident", "value_fen": 10_000}
        assert rulebook.evaluate("P1", facts, on=date(2026, 12, 31)).amount == 3000
        later = rulebook.evaluate("P1", facts, on=date(2027, 1, 1))
        assert later.amount == 2500
        assert next(p for p in later.trace["parameters"] if p["name"] == "discount")["amendment"] == "a1"
        assert rulebook.rule("P1").content_hash != Rulebook.load().rule("P1").content_hash

    @pytest.mark.parametrize(
        "content",
        [
            {"title": {"zh": "x", "en": "y"}},
            {"parameters": {"nothing": []}},
            {
                "parameters": {
                    "discount": [{"from": "2025-01-01", "announced": "2024-12-01", "value": 1, "given": True}]
                }
            },
            {"parameters": {"discount": [{"from": "2027-01-01", "announced": "2026-12-01", "value": 1}]}},
            {
                "parameters": {
                    "discount": [{"from": "2027-13-01", "announced": "2026-12-01", "value": 1, "given": True}]
                }
            },
        ],
    )
    def test_refuses(self, content: dict[str, Any]) -> None:
        with pytest.raises(RuleFileInvalid):
            Rulebook.load().amended([self.amendment(**content)])

    def test_of_an_unknown_rule_is_refused(self) -> None:
        with pytest.raises(RuleNotFound):
            Rulebook.load().amended([RuleAmendment("a", "Z9_nothing_here", {}, "council")])
