"""Every row of the city's catalogue is a rule file, or is named here as no amount, with the reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from shanhe.rulebook.api import Rulebook, Text, rules_page

CATALOGUE = yaml.safe_load((Path(__file__).parent / "data" / "catalogue.yaml").read_text(encoding="utf-8"))
RULES = Rulebook.load()
FILES = {rule_id.split("_", 1)[0] for rule_id in RULES.ids()}


class TestCatalogue:
    def test_has_a_rule_for_every_row_that_is_an_amount(self) -> None:
        assert set(CATALOGUE["rows"]) - FILES - set(CATALOGUE["not_an_amount"]) == set()

    def test_has_no_rule_that_it_does_not_know(self) -> None:
        assert FILES - set(CATALOGUE["rows"]) == set()

    def test_says_why_a_row_is_no_amount(self) -> None:
        reasons = CATALOGUE["not_an_amount"]
        assert all(len(reason) > 20 for reason in reasons.values())
        assert set(reasons) <= set(CATALOGUE["rows"])
        assert set(reasons) & FILES == set()


class TestRuleFile:
    def test_names_its_article_department_and_review(self) -> None:
        for rule_id in RULES.ids():
            rule = RULES.rule(rule_id)
            assert rule.article, rule_id
            assert rule.department.zh.startswith("市"), rule_id
            assert rule.review > max(f.start for f in rule.formulas) if rule.formulas else True, rule_id

    def test_gives_a_reason_in_both_languages_for_what_is_assumed(self) -> None:
        for rule_id in RULES.ids():
            for parameter in RULES.rule(rule_id).parameters:
                for value in parameter.values:
                    assert value.origin == "given" or (value.reason and value.reason.zh and value.reason.en), rule_id

    def test_says_what_every_choice_is_called_and_names_nothing_else(self) -> None:
        for rule_id in RULES.ids():
            rule = RULES.rule(rule_id)
            choices = {value for fact in rule.facts for value in fact.values}
            own = [parameter for parameter in rule.parameters if not parameter.of]
            choices |= {name for parameter in own for row in parameter.values for name in names_in(row.value)}
            assert choices == set(rule.labels), rule_id

    def test_calls_a_choice_the_same_in_every_rule(self) -> None:
        called: dict[str, set[Text]] = {}
        for rule_id in RULES.ids():
            for name, label in RULES.rule(rule_id).labels.items():
                called.setdefault(name, set()).add(label)
        assert {name for name, labels in called.items() if len(labels) > 1} == set()


def names_in(value: Any) -> set[str]:
    """Names in a list or a table, as deep as it goes."""
    if isinstance(value, dict):
        return {*value, *(name for entry in value.values() for name in names_in(entry))}
    return {item for item in value if isinstance(item, str)} if isinstance(value, tuple) else set()


class TestTable:
    def test_in_the_documentation_is_what_the_files_say(self) -> None:
        docs = Path(__file__).parents[2] / "docs"
        for language, page in (("en", docs / "rules.md"), ("zh", docs / "zh" / "rules.md")):
            written = page.read_text(encoding="utf-8")
            assert written == rules_page(RULES, language), "write them again: shanhe rules table"
