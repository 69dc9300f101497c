"""`check()` proves what it says, and finds what is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import z3
from hypothesis import given, settings
from hypothesis import strategies as st

from rulebook.rulemaker import ON, book, formula, made, numbers, parameter
from shanhe.rulebook.api import FormulaInvalid, Rulebook
from shanhe.rulebook.loader import band_problem
from shanhe.rulebook.model import Band
from stage.draws import draws

RULES = Rulebook.load()


class TestCheck:
    def test_passes_every_packaged_rule(self) -> None:
        report = RULES.check()
        assert report.ok, report.failed()
        assert {finding.rule_id for finding in report.findings} == set(RULES.ids())

    def test_of_one_rule_speaks_of_it_alone(self) -> None:
        assert {finding.rule_id for finding in RULES.check("P1").findings} == {"P1_resident_discount"}

    def test_finds_a_wrong_example(self) -> None:
        wrong = book(examples=[{"name": "wrong", "on": ON, "facts": {"x": 100}, "outputs": {"y": 11}}]).check()
        assert [finding.check for finding in wrong.failed()] == ["example"]
        assert "the example says 11" in wrong.failed()[0].message

    def test_finds_an_example_that_is_no_fact(self) -> None:
        assert not book(examples=[{"name": "bad", "on": ON, "facts": {"x": -1}, "outputs": {"y": 0}}]).check().ok

    def test_finds_an_output_out_of_range(self) -> None:
        report = book(
            formula=formula(y={"expr": "x * rate - fen(1)", "unit": "fen", "min": 0}),
            examples=[{"name": "any", "on": ON, "facts": {"x": 100}, "outputs": {"y": 9}}],
        ).check()
        assert [finding.check for finding in report.failed()] == ["range"]

    def test_finds_two_versions_in_force(self) -> None:
        rule = made()
        twice = replace(rule.parameters[0], values=rule.parameters[0].values * 2)
        report = Rulebook({rule.id: replace(rule, parameters=(twice,))}).check()
        assert [finding.check for finding in report.failed()] == ["versions"]

    def test_finds_a_later_value_that_breaks_the_formula(self) -> None:
        rows = [{"from": date(2026, 1, 1), "announced": date(2025, 12, 1), "value": 5, "given": True},
                {"from": date(2027, 1, 1), "announced": date(2026, 12, 1), "value": 0, "given": True}]  # fmt: skip
        rulebook = book(
            parameters={"k": parameter(5) | {"values": rows}}, formula=formula(y={"expr": "x / k", "unit": "fen"}),
            examples=[{"name": "any", "on": ON, "facts": {"x": 100}, "outputs": {"y": 20}}],
        )  # fmt: skip
        failed = rulebook.check().failed()
        assert [finding.check for finding in failed] == ["types"]
        with pytest.raises(FormulaInvalid):
            rulebook.compiled("X1", date(2027, 1, 1))

    def test_finds_an_overdue_review_when_asked(self) -> None:
        assert book().check(today=date(2026, 12, 31)).ok
        assert [finding.check for finding in book().check(today=date(2027, 1, 2)).failed()] == ["review"]

    def test_says_when_64_bits_do_not_suffice(self) -> None:
        findings = (*RULES.check("P1").findings, *RULES.check("P6").findings)
        messages = {f.rule_id: f.message for f in findings if f.check == "overflow"}
        assert "proved safe" in messages["P1_resident_discount"]
        assert "are split" in messages["P6_developer_share"]


BANDS = st.lists(st.tuples(st.integers(0, 20), st.one_of(st.none(), st.integers(0, 20))), min_size=1, max_size=5).map(
    lambda rows: [Band(lower, upper, 1) for lower, upper in rows]
)
CHAINS = st.lists(st.integers(0, 50), min_size=1, max_size=6, unique=True).map(
    lambda cuts: [Band(lower, upper, 1) for lower, upper in zip(sorted(cuts), [*sorted(cuts)[1:], None], strict=True)]
)


class TestBandProof:
    @settings(deadline=None, max_examples=draws(150))
    @given(st.one_of(BANDS, CHAINS))
    def test_agrees_with_z3(self, bands: list[Band]) -> None:
        """z3 looks for any x ≥ the first edge that lies in no band or in two."""
        x = z3.Int("x")
        inside = [
            z3.And(x >= band.lower, x < band.upper) if band.upper is not None else x >= band.lower for band in bands
        ]
        solver = z3.Solver()
        solver.add(x >= bands[0].lower, z3.Not(z3.PbEq([(one, 1) for one in inside], 1)))
        broken = solver.check() == z3.sat
        if broken:
            assert band_problem(bands)
        elif band_problem(bands):  # covered, but written out of order or with empty bands: refused all the same
            ordered = sorted(bands, key=lambda band: (band.lower, band.upper is None))
            assert (
                ordered != bands
                or any(band.upper is not None and band.upper <= band.lower for band in bands)
                or any(band.lower < bands[0].lower for band in bands)
            )

    def test_marginal_bands_add_up(self) -> None:
        bands = [{"from": 0, "to": 50_000, "value": 2000}, {"from": 50_000, "to": 100_000, "value": 1500},
                 {"from": 100_000, "to": None, "value": 1000}]  # fmt: skip
        rulebook = book(
            facts=numbers(x=("fen", 0, 10**7)),
            parameters={"tiers": parameter(bands, type="bands", unit="bps", edge_unit="fen")},
            formula=formula(y={"expr": "band(x, tiers)", "unit": "fen"}),
            examples=[
                {"name": name, "on": ON, "facts": {"x": x}, "outputs": {"y": y}}
                for name, x, y in (("edge", 50_000, 10_000), ("second", 100_000, 17_500), ("third", 100_010, 17_501))
            ],
        )
        assert rulebook.check().ok, rulebook.check().failed()

    @pytest.mark.parametrize(("closed", "at_edge"), [("left", 2), ("right", 1)])
    def test_whole_bands_close_where_the_rule_says(self, closed: str, at_edge: int) -> None:
        bands: list[dict[str, Any]] = [{"from": 0, "to": 10, "value": 1}, {"from": 10, "to": None, "value": 2}]
        rulebook = book(
            facts=numbers(x=("int", 0, 100)),
            parameters={"tiers": parameter(bands, type="bands", closed=closed)},
            formula=formula(y="band_whole(x, tiers)"),
            examples=[{"name": "edge", "on": ON, "facts": {"x": 10}, "outputs": {"y": at_edge}}],
        )
        assert rulebook.check().ok


class TestRangesBySolver:
    def test_p1_never_pays_less_than_nothing(self) -> None:
        """z3, over all facts at once and not only their corners: 0 ≤ benefit ≤ value, whatever rounding does."""
        value, used, benefit = z3.Ints("value used benefit")
        left = z3.If(100_000_000 - used > 0, 100_000_000 - used, 0)
        solver = z3.Solver()
        solver.add(value >= 0, used >= 0)
        solver.add(z3.Or(benefit == left, z3.And(10 * benefit - 3 * value <= 5, 3 * value - 10 * benefit <= 5)))
        solver.add(
            z3.If(
                3 * value <= 10 * left,
                z3.And(10 * benefit - 3 * value <= 5, 3 * value - 10 * benefit <= 5),
                benefit == left,
            )
        )
        solver.add(z3.Or(benefit > value, benefit < 0))
        assert solver.check() == z3.unsat
