"""The files: read strictly, held against the rules, listed on their page with the test of their promise."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from shanhe.programmes.api import CatalogueInvalid, Programme, docs_page, docs_rows, load_catalogue
from shanhe.programmes.loading import problems
from shanhe.rulebook.api import Rulebook

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "src/shanhe/programmes/catalogue"


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    return Rulebook.load()


class TestCatalogue:
    def test_is_on_its_page(self, rulebook: Rulebook) -> None:
        for language, file in (("en", "docs/programmes.md"), ("zh", "docs/zh/programmes.md")):
            written = (ROOT / file).read_text(encoding="utf-8")
            assert written == docs_page(load_catalogue(rulebook), rulebook, language), (
                "run `shanhe programmes page --docs docs`"
            )

    def test_has_a_test_for_every_programme(self, rulebook: Rulebook) -> None:
        rows = docs_rows(load_catalogue(rulebook), rulebook)
        assert [row["test"] for row in rows if not (ROOT / row["test"]).exists()] == []

    @pytest.mark.parametrize(
        ("old", "new", "problem"),
        [
            ("summary:", "sumary:", "sumary"),
            ("rule: T15_ip_award", "rule: T15_ip_award\n  rate: 5", "rate"),
            ("is: software_copyright", "asked: nothing", "does not ask"),
            ("output: credit_micro", "output: gold", "no output 'gold'"),
            ("budget: ip_credit", "budget: nobody", "no budget 'nobody'"),
            ("budget: ip_credit, provenance: subsidy", "budget: ip_cash, provenance: subsidy", "provenance"),
            ("by: appeals", "by: the_mayor", "no department"),
            ("[registration_number]", "[shoe_size]", "shoe_size"),
        ],
    )
    def test_is_refused_with_its_place_when_a_file_is_wrong(
        self, rulebook: Rulebook, tmp_path: Path, old: str, new: str, problem: str
    ) -> None:
        (tmp_path / "programmes").mkdir()
        for name in ("departments.yaml", "budgets.yaml"):
            (tmp_path / name).write_text((FOLDER / name).read_text(encoding="utf-8"), encoding="utf-8")
        text = (FOLDER / "programmes/software_copyright.yaml").read_text(encoding="utf-8")
        assert old in text
        (tmp_path / "programmes/software_copyright.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(CatalogueInvalid, match=problem):
            load_catalogue(rulebook, tmp_path)

    def test_holds_no_number_but_deadlines_and_eyes(self, rulebook: Rulebook) -> None:
        """Rates, caps and terms are the rulebook's: a file that named one would outlive an amendment."""
        for programme in load_catalogue(rulebook).programmes.values():
            plain = msgspec.to_builtins(programme)
            for step in (*plain["review"], *plain["appeal"]):
                assert {step.pop("days"), step.pop("eyes")} - {None}
            for part in (plain["amount"], *plain["conditions"]):
                for source in part["facts"].values():
                    assert source.pop("otherwise", 0) in (0, False)
            for ask in plain["asks"].values():
                ask.pop("min"), ask.pop("max")
            assert [value for value in _leaves(plain) if type(value) is int] == [], programme.id

    def test_checks_sources(self, rulebook: Rulebook) -> None:
        catalogue = load_catalogue(rulebook)
        plain = msgspec.to_builtins(catalogue.programmes["role_grant"])
        plain["amount"]["facts"]["role"] = {"fact": "role", "asked": "role"}
        broken = msgspec.convert(plain | {"opens": "2025-01-01"}, Programme)
        assert any("exactly one place" in problem for problem in problems(broken, catalogue, rulebook))


def _leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for inner in value.values() for leaf in _leaves(inner)]
    if isinstance(value, list | tuple):
        return [leaf for inner in value for leaf in _leaves(inner)]
    return [value]
