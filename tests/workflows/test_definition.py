"""A definition that could run for ever, go nowhere or use what isn't there never starts."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shanhe.rulebook.api import FormulaInvalid
from shanhe.workflows.checking import problems, read, shaped
from shanhe.workflows.errors import BadDefinition, StepFailed
from shanhe.workflows.language import filled, holds, names_in, taken
from shanhe.workflows.model import Course
from shanhe.workflows.ways import known_at
from stage.draws import draws
from workflows.house import ask, flow, says


def codes(content: dict[str, Any]) -> set[str]:
    return {code for _, code, _, _ in problems(shaped(content))}


def loop(**more: Any) -> dict[str, Any]:
    return {"kind": "loop", "id": "each", "body": "work", "most": 5, "over": "list", **more}


LIST = {"kind": "set", "id": "begin", "values": {"list": "{{input.rows}}"}, "next": "each"}


class TestDefinition:
    def test_of_every_kind_may_run(self) -> None:
        read(flow(
            {"kind": "http", "id": "look", "url": "https://data.example.cn/x?q={{input.q}}", "save": "found",
             "next": "count"},
            {"kind": "code", "id": "count", "code": "def main(found):\n    return [1, 2]", "inputs": ["found"],
             "save": "list", "next": "each"},
            loop(gather="work", save="all", next="fork"), ask("work", "{{item}} {{round}}"),
            {"kind": "branch", "id": "fork", "when": "length(all) > 1", "then": "ok", "next": "out_a"},
            {"kind": "approval", "id": "ok", "who": "owner", "shows": "{{all}}", "next": "out_a"},
            says("a", "{{all}}"), hosts=["data.example.cn"], inputs=["q"],
        ))  # fmt: skip

    @pytest.mark.parametrize(("content", "code"), [
        (flow(ask("a", "x", "b"), ask("b", "x", "a")), "unbounded_loop"),
        (flow(LIST, loop(most=0), ask("work", "x")), "unbounded_loop"),
        (flow(LIST, loop(most=101), ask("work", "x")), "unbounded_loop"),
        (flow(ask("a", "x"), ask("b", "y")), "unreachable"),
        (flow(ask("a", "{{nothing}}")), "unknown_variable"),
        (flow(LIST, loop(next="work"), ask("work", "x")), "shared_body"),
        (flow(LIST, loop(next="after"), ask("work", "x"), ask("after", "{{work}}")), "unknown_variable"),
        (flow({"kind": "branch", "id": "fork", "when": "input['x'] > 1", "then": "a", "next": "b"},
              ask("a", "x", "b"), ask("b", "{{a}}")), "unknown_variable"),
        (flow(ask("a", "x", "nowhere")), "no_node"),
        (flow({"kind": "branch", "id": "fork", "when": "__import__('os')", "then": "a", "next": "a"},
              ask("a", "x")), "condition"),
        (flow({"kind": "branch", "id": "fork", "when": "input.x", "then": "a", "next": "a"}, ask("a", "x")),
         "condition"),
        (flow({"kind": "http", "id": "h", "url": "https://evil.cn/", "save": "x"}, hosts=["good.cn"]), "host"),
        (flow({"kind": "http", "id": "h", "url": "https://good.cn@evil.cn/", "save": "x"}, hosts=["good.cn"]), "url"),
        (flow({"kind": "http", "id": "h", "url": "https://{{input.host}}/", "save": "x"}, hosts=["good.cn"]), "url"),
        (flow({"kind": "approval", "id": "ok", "who": "anybody", "shows": "x"}), "who"),
        (flow(ask("a", "x"), steps_max=301), "bound"),
        (flow(ask("a", "x"), ask("a", "y")), "twice"),
        (flow(ask("input", "x")), "variable"),
    ])  # fmt: skip
    def test_that_can_not_run_says_why(self, content: dict[str, Any], code: str) -> None:
        assert code in codes(content)
        with pytest.raises(BadDefinition) as caught:
            read(content)
        assert all(one["zh"] and one["en"] for one in caught.value.details["problems"])

    def test_of_another_form_is_refused(self) -> None:
        for content in ({}, {"start": "a", "nodes": [{"kind": "shell", "id": "a"}]}, {"start": 1, "nodes": "x"}):
            with pytest.raises(BadDefinition, match="form"):
                read(content)

    @given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=6))
    @settings(max_examples=draws(150), deadline=None)
    def test_without_loops_never_holds_a_circle(self, edges: list[tuple[int, int, int]]) -> None:
        """Whatever is let through ends: no way through it is longer than it has nodes."""
        names = [f"n{at}" for at in range(len(edges))]
        to = [*names, "", "", "", "", "", ""]
        nodes: list[dict[str, Any]] = []
        for name, (kind, one, other) in zip(names, edges, strict=True):
            if kind < 2 and to[one] and to[other]:
                nodes.append({"kind": "branch", "id": name, "when": "1 > 0", "then": to[one], "next": to[other]})
            else:
                nodes.append(ask(name, "x", to[one]))
        if codes(flow(*nodes)):
            return
        exits = {node["id"]: [node["next"], node.get("then", "")] for node in nodes}

        def longest(name: str, left: int) -> int:
            assert left >= 0
            return 1 + max((longest(one, left - 1) for one in exits[name] if one), default=0)

        assert longest(names[0], len(names)) <= len(names)


class TestLanguage:
    @pytest.mark.parametrize(("condition", "right"), [
        ("x > 3", True), ("x >= 5 and not done", True), ("'是' in text", True), ("length(rows) == 2", True),
        ("rows[0]['n'] == 1", True), ("number(' 4.5 ') < 5", True), ("text == '否' or x == 5", True),
        ("x + 1 == 6 if x > 2 else false", True), ("x in [1, 2]", False), ("done", False),
    ])  # fmt: skip
    def test_is_exact_over_the_runs_values(self, condition: str, right: bool) -> None:
        known = {"x": 5, "done": False, "text": "是的", "rows": [{"n": 1}, {"n": 2}]}
        assert holds(condition, known) is right

    @pytest.mark.parametrize("condition", ["x.y", "open('f')", "x ** 9", "[i for i in x]", "lambda: 1", "length(1, 2)"])
    def test_lets_nothing_else_in(self, condition: str) -> None:
        with pytest.raises(FormulaInvalid):
            names_in(condition)

    @pytest.mark.parametrize("condition", ["missing['a'] > 1", "'a' * 9 > 1", "number('1e99999999') > 1", "x / 0 > 1"])
    def test_says_what_can_not_be_computed(self, condition: str) -> None:
        with pytest.raises(StepFailed):
            holds(condition, {"x": 1, "missing": {}})

    def test_fills_texts_and_keeps_values(self) -> None:
        known = {"row": {"name": "山河", "parts": [1, Fraction(1, 2)]}}
        assert filled("「{{ row.name }}」{{row.parts.0}}", known) == "「山河」1"
        assert taken("{{row.parts}}", known) == [1, Fraction(1, 2)]
        with pytest.raises(StepFailed):
            filled("{{row.other}}", known)
        with pytest.raises(StepFailed, match="beyond"):  # before a thousand times a long value were one text
            filled("{{row.name}}" * 1_000, {"row": {"name": "山" * 250_000}})
        assert Course("a").frames == []


class TestKnown:
    def test_is_what_every_way_to_a_node_has_written_with_the_fields_that_it_has(self) -> None:
        content = flow(
            {"kind": "http", "id": "look", "url": "https://x.cn/", "save": "seen", "next": "fork", "failed": "sorry"},
            {"kind": "branch", "id": "fork", "when": "true", "then": "a", "next": "b"},
            ask("a", "x", "each"), ask("b", "x", "each", save="other"),
            {"kind": "loop", "id": "each", "over": "rows", "most": 2, "body": "inside", "next": "out_end"},
            ask("inside", "x", schema={"type": "object", "properties": {"word": {}, "a b": {}}}),
            says("end", "x"), says("sorry", "x"), inputs=["q"], hosts=["x.cn"],
        )  # fmt: skip
        content["nodes"][-1]["id"] = "sorry"
        known = known_at(shaped(content))
        assert known["look"] == ["input.q"]
        assert known["sorry"] == ["failure.code", "failure.en", "failure.node", "failure.zh", "input.q"]
        assert known["each"] == known["out_end"] == ["input.q", "seen.body", "seen.status"]
        assert known["inside"] == ["input.q", "item", "round", "seen.body", "seen.status"]

    def test_of_a_loop_with_a_condition_has_what_its_body_wrote(self) -> None:
        loop = {"kind": "loop", "id": "try", "until": "a > 1", "most": 2, "body": "a", "next": "out_end"}
        known = known_at(shaped(flow(loop, ask("a", "x"), says("end", "{{a}}"))))
        assert known == {"try": ["a", "input", "round"], "a": ["input", "round"], "out_end": ["a", "input"]}

    @pytest.mark.parametrize("broken", [
        flow(ask("a", "x", "a")), flow(ask("a", "x", "gone")), {"start": "", "nodes": []},
        flow({"kind": "branch", "id": "a", "when": "1 +", "then": ""}),
    ])  # fmt: skip
    def test_is_told_of_a_definition_that_is_not_in_order_as_far_as_it_goes(self, broken: dict[str, Any]) -> None:
        assert known_at(shaped(broken)) in ({}, {"a": ["input"]})
