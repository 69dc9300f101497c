"""Every rule of the city's promises has a carrier and a test; grants mint the class of lot that R2 says; I9."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from shanhe.programmes.api import docs_rows, mechanisms

from .conftest import CATALOGUE, RULEBOOK

ROOT = Path(__file__).parents[2]
ON = date(2026, 3, 2)
PROMISED = re.findall(
    r"\w+",
    """R0 R1 R2 R3 R4 C1 C2 C9 P3 P4 P5 P9 P12 P13 N1 N2 N3 N4 N5 N6 N7 N8 I1 I2 I3 I4 I5 I6 I7 I8 I9 I11
       T4 T5 T6 T8 T9 T10 T11 T12 T13 T14 T15 T16 T17 B9 B11 S1 S2 S3""",
)
"""I10 is a budget that anybody may look at: I4 is paid from it."""
SOURCES = {"software_copyright": "software_copyright", "invention_patent": "patent"}
ADDRESSES = re.compile("address|district|zone|street")


class TestPromise:
    def test_of_every_rule_has_a_carrier(self) -> None:
        carried = {rule for row in docs_rows(CATALOGUE, RULEBOOK) for rule in row["rules"]} | set(mechanisms(RULEBOOK))
        short = {rule.partition("_")[0] for rule in carried}
        assert [rule for rule in PROMISED if rule not in short] == []

    def test_is_read_by_a_test_that_is_there(self) -> None:
        missing = []
        for rule, row in mechanisms(RULEBOOK).items():
            path, _, name = row["test"].partition("::")
            text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).exists() else ""
            if not text or (name and not re.search(rf"^class {name}\b", text, re.MULTILINE)):
                missing.append((rule, row["test"]))
        assert missing == []

    def test_of_public_good_is_paid_from_a_fund_that_anybody_may_look_at(self) -> None:
        grants = CATALOGUE.programmes["public_good"].grants
        assert [CATALOGUE.budgets[grant.budget].public for grant in grants] == [True]


class TestLotClass:
    @pytest.mark.parametrize("name", sorted(CATALOGUE.programmes))
    def test_of_every_grant_is_what_r2_says(self, name: str) -> None:
        programme = CATALOGUE.programmes[name]
        source = SOURCES.get(name, programme.amount.rule.partition("_")[0].lower())
        for grant in programme.grants:
            if grant.provenance is not None:
                said = RULEBOOK.evaluate("R2_lot_class", {"source": source}, on=ON).outputs["subsidy_lot"]
                assert (grant.provenance == "subsidy") is said


class TestZone:
    def test_covers_the_whole_city_so_no_programme_asks_where_in_it_a_company_is(self) -> None:
        assert RULEBOOK.evaluate("I9_virtual_zone", {"registered_in_city": True}, on=ON).outputs["in_zone"]
        assert not RULEBOOK.evaluate("I9_virtual_zone", {"registered_in_city": False}, on=ON).outputs["in_zone"]
        for programme in CATALOGUE.programmes.values():
            asked = [*programme.asks, *programme.evidence]
            parts = (programme.amount, *programme.conditions)
            facts = [source.fact for part in parts for source in part.facts.values()]
            assert [name for name in (*asked, *facts) if ADDRESSES.search(name)] == [], programme.id
