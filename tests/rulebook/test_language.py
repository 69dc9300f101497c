"""The expression language lets in what it lists and nothing else."""

from __future__ import annotations

import ast
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rulebook.rulemaker import ON, book, formula, made, numbers, parameter
from shanhe.rulebook import language
from shanhe.rulebook.api import FormulaInvalid, Rulebook
from shanhe.rulebook.build import Builder
from shanhe.rulebook.evaluate import Evaluation
from shanhe.rulebook.functions import FUNCTIONS
from stage.draws import draws


def value(source: str) -> object:
    return Evaluation({}).value(Builder({}, FUNCTIONS).build(source))


TOKENS = ["(", ")", "[", "]", ",", "min", "band", "1", "0.5", "-", "*", "/", "if", "else", "not", "and"]
TOKENS += ["'a'", "in", "==", "<", "date", "__", ".", "x"]


class TestGate:
    @pytest.mark.parametrize(
        "source",
        [
            "().__class__",
            "x.real",
            "__import__('os')",
            "lambda: 1",
            "[y for y in x]",
            "{1: 2}",
            "f'{x}'",
            "x := 1",
            "2 ** 9999",
            "1 << 9999",
            "b'x'",
            "None",
            "...",
            "1j",
            "1e9",
            "0x10",
            "min(*x)",
            "min(a=1)",
            "(min)(1, 2)()",
            "x[1:2]",
            "await x",
            "print(1)",
            "_t1",
            "X",
            "1 if 1 else 2",
            "'a' * 9",
            "~1",
            "+1",
            "1 @ 2",
            "1 is 1",
            "",
            "x; y",
            "x = 1",
            "\x00",
        ],
    )
    def test_refuses(self, source: str) -> None:
        with pytest.raises(FormulaInvalid):
            value(source)

    @pytest.mark.parametrize("source", ["(" * 300 + "1" + ")" * 300, "-" * 1900 + "1", "1+" * 900 + "1", "9" * 31])
    def test_bounds_size_and_depth(self, source: str) -> None:
        with pytest.raises(FormulaInvalid):
            value(source)
        with pytest.raises(FormulaInvalid):
            value("1" + " " * 2000)

    @settings(deadline=None, max_examples=draws(80))
    @given(st.text(max_size=60))
    def test_survives_any_text(self, source: str) -> None:
        with pytest.raises(FormulaInvalid):
            value("nothing_known + " + source)

    @settings(deadline=None, max_examples=draws(80))
    @given(st.lists(st.sampled_from(TOKENS), max_size=25))
    def test_survives_any_tokens(self, tokens: list[str]) -> None:
        source = " ".join(tokens)
        try:
            result = value(source)
        except FormulaInvalid:
            return
        assert isinstance(result, int | Fraction | bool | str | tuple)

    def test_reads_decimals_without_a_float(self) -> None:
        assert value("0.1 + 0.2 == 0.3") is True
        assert value("0.1") == Fraction(1, 10)

    def test_what_is_let_in_is_python(self) -> None:
        tree = language.parse("1 if 2 > 1 else 3")
        assert isinstance(tree, ast.IfExp)


class TestUnits:
    @pytest.mark.parametrize(
        "expression",
        [
            "x + q",
            "min(x, q)",
            "x > q",
            "x + 1",
            "x if x > 0 else q",
            "x * x",
            "x / q",
            "d + x",
            "d + d",
            "d * 2",
            "min(d, x)",
            "x and 1",
            "not x",
            "e + 1",
            "e < 'p'",
            "e == 'unknown'",
            "sum(x)",
            "tab[x]",
            "tab",
            "rate[e]",
        ],
    )
    def test_refuses_what_does_not_fit(self, expression: str) -> None:
        with pytest.raises(FormulaInvalid):
            self.build(expression)

    @pytest.mark.parametrize(
        "expression", ["x + 0", "x * rate", "x + yuan(1)", "q * price", "max(x - fen(5), 0)", "tab[e] * x"]
    )
    def test_lets_pass_what_does(self, expression: str) -> None:
        self.build(expression)

    def build(self, expression: str) -> None:
        rule = made(
            facts={
                **numbers(x=("fen", 0, 100), q=("micro", 0, 100)),
                "d": {"type": "date", "zh": "d", "en": "d"},
                "e": {"type": "enum", "values": ["p", "q"], "zh": "e", "en": "e"},
            },
            parameters={
                "rate": parameter(1000, unit="bps"),
                "price": parameter(100, unit="fen_per_credit"),
                "tab": parameter({"p": 1, "q": 2}, type="table"),
            },
            formula=formula(y={"expr": expression, "unit": "fen"}),
        )
        Rulebook({rule.id: rule}).program(rule.id, ON)


class TestDivision:
    @pytest.mark.parametrize(
        "expression", ["x / y", "x // y", "x % y", "x / (y - 5)", "x / y if y >= 0 else 0", "x / 0"]
    )
    def test_by_what_may_be_zero_is_refused(self, expression: str) -> None:
        with pytest.raises(FormulaInvalid, match="may be zero"):
            self.rulebook(expression)

    @pytest.mark.parametrize(
        "expression",
        ["x / y if y > 0 else 0", "0 if y == 0 else x / y", "x / (y + 1)", "x / y if x > 3 and y >= 1 else 0",
         "1 if y < 1 or x / y > 2 else 0", "ratio(x, y, 0)", "x / max(y, 1)", "x / (0 - y - 1)"],
    )  # fmt: skip
    def test_by_what_is_guarded_passes(self, expression: str) -> None:
        rulebook = self.rulebook(expression)
        for y in (0, 1, 3):
            rulebook.evaluate("X1", {"x": 7, "y": y}, on=ON)

    def rulebook(self, expression: str) -> Rulebook:
        made_book = book(
            facts=numbers(x=("int", 0, 100), y=("int", 0, 100)), parameters=None, formula=formula(out=expression),
            examples=[{"name": "any", "on": ON, "facts": {"x": 0, "y": 0}, "outputs": {}}],
        )  # fmt: skip
        made_book.program("X1", ON)
        return made_book
