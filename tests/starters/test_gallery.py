"""What comes with the city: every starter can run as it is, and says the same in both languages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from shanhe.agents.api import definition_of
from shanhe.starters.api import AGENT, CHAT, LANGUAGES, Starter, starters
from shanhe.starters.model import filled, needs_of
from shanhe.store.model import SLUG as LISTING_SLUG
from shanhe.store.terms import check_words
from shanhe.workflows.checking import read
from shanhe.workflows.language import PLACE
from shanhe.workflows.model import SLUG, Ask

HAN = re.compile(r"[一-鿿]")
SUFFIX = "-abcdef"
SAYS = re.compile(r"failure\.(zh|en)")
WORDED = frozenset({
    "instructions", "opening", "questions", "knowledge", "bases", "label", "options", "title", "system", "prompt",
    "shows", "code", "enum",
})  # fmt: skip
"""Fields whose texts are each language's own."""
VALUES = "values"
both = pytest.mark.parametrize("language", LANGUAGES)
each = pytest.mark.parametrize("one", starters().values(), ids=starters())


def shape(value: Any, field: str = "") -> Any:
    """A definition without what is said in a language: what is left of a text is its places."""
    if isinstance(value, Mapping):
        return {name: shape(one, field if field == VALUES else name) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(one, field) for one in value]
    if isinstance(value, str) and field in {*WORDED, VALUES}:
        return sorted(SAYS.sub("failure", found[0]) for found in PLACE.finditer(value))
    return value


def texts(value: Any, field: str = "") -> list[str]:
    if isinstance(value, Mapping):
        return [text for name, one in value.items() for text in texts(one, field if field == VALUES else name)]
    if isinstance(value, list):
        return [text for one in value for text in texts(one, field)]
    said = isinstance(value, str) and field in {*WORDED, VALUES} and re.search(r"\w", PLACE.sub("", value))
    return [value] if said else []


class TestStarter:
    @each
    @both
    def test_stands_the_checks_that_ones_own_would(self, one: Starter, language: str) -> None:
        for content in (one.definitions[language], filled(one.card.kind, one.definitions[language], "m", ["b"])):
            if one.card.kind == AGENT:
                definition_of(content)
            else:
                read(content)

    @each
    @both
    def test_names_the_kind_of_its_model_and_a_copy_a_model(self, one: Starter, language: str) -> None:
        content = one.definitions[language]
        if one.card.kind == AGENT:
            asked, of_copy = [content["model"]], [filled(AGENT, content, "m", [])["model"]]
        else:
            asked, of_copy = (
                [node.target for node in read(made).nodes if isinstance(node, Ask)]
                for made in (content, filled(one.card.kind, content, "m", []))
            )
        assert set(asked) == {CHAT}
        assert set(of_copy) == {"m"}

    @each
    @both
    def test_takes_the_bases_that_one_chose_in_the_place_of_its_own(self, one: Starter, language: str) -> None:
        content = one.definitions[language]
        named = needs_of(one.card.kind, content).knowledge
        assert needs_of(one.card.kind, filled(one.card.kind, content, "m", [])).knowledge == named
        chosen = needs_of(one.card.kind, filled(one.card.kind, content, "m", ["b"])).knowledge
        assert chosen == (("b",) if named else ())

    @each
    def test_is_the_same_in_both_languages_but_for_its_words(self, one: Starter) -> None:
        zh, en = (shape(one.definitions[language]) for language in LANGUAGES)
        assert zh == en

    @each
    def test_speaks_each_language_everywhere(self, one: Starter) -> None:
        card = one.card
        assert [text for text in texts(one.definitions["en"]) if HAN.search(text)] == []
        assert [text for text in texts(one.definitions["zh"]) if not HAN.search(text)] == []
        assert all(HAN.search(text) for text in (card.title.zh, card.summary.zh))
        assert not any(HAN.search(text) for text in (card.title.en, card.summary.en))

    @each
    def test_can_be_called_and_described_as_what_is_offered_is(self, one: Starter) -> None:
        card = one.card
        check_words(card.title.zh, card.title.en, card.summary.zh, card.summary.en, card.category)
        assert (SLUG if card.kind != AGENT else LISTING_SLUG).fullmatch(one.name + SUFFIX)

    @each
    def test_is_no_larger_in_an_ordinary_run_than_one_can_be(self, one: Starter) -> None:
        content, usual = one.definitions["zh"], one.card.usual
        if one.card.kind == AGENT:
            most, lookups = content["steps_max"] * content["step_tokens"], int(bool(content["knowledge"]))
        else:
            nodes = read(content).nodes
            most = sum(node.tokens for node in nodes if isinstance(node, Ask))
            lookups = sum(node["kind"] == "knowledge" for node in content["nodes"])
        assert 0 < usual.output <= most
        assert usual.lookups == lookups
        said = sum(len(text) for text in texts(content))
        assert usual.input > 0.4 * said  # a Han sign is about 0.6 tokens


class TestGallery:
    def test_is_small_and_has_agents_and_workflows_that_a_person_signs(self) -> None:
        needs = [needs_of(one.card.kind, one.definitions["zh"]) for one in starters().values()]
        assert 8 <= len(needs) <= 12
        assert {one.card.kind for one in starters().values()} == {"agent", "workflow"}
        assert any(one.approval for one in needs)
        assert any(one.code for one in needs)
        assert any(one.tools for one in needs)
        assert {one.data_class for one in needs} == {"general", "citizen", "government"}
