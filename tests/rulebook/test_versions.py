"""Event date and knowledge date: which version counts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rulebook.rulemaker import book, document, made, parameter
from shanhe.rulebook.api import (
    ParameterNotFound,
    RuleAmendment,
    Rulebook,
    RuleNotFound,
    RuleNotInForce,
    values,
)
from shanhe.rulebook.resolve import in_force


def row(start: str, announced: str, value: int) -> dict[str, Any]:
    return {
        "from": date.fromisoformat(start),
        "announced": date.fromisoformat(announced),
        "value": value,
        "given": True,
    }


def rates(*rows: dict[str, Any]) -> Rulebook:
    return book(parameters={"rate": parameter(0, unit="bps") | {"values": list(rows)}})


class TestResolution:
    BOOK = rates(
        row("2026-01-01", "2025-12-01", 1000),
        row("2026-06-01", "2026-05-01", 2000),
        row("2026-06-01", "2026-07-15", 1500),  # corrected afterwards, backdated
        row("2027-01-01", "2026-08-01", 3000),
        row("2026-06-01", "2026-09-01", 1600),  # corrected again; it does not outlive the later start
    )

    @pytest.mark.parametrize(
        ("on", "known", "value"),
        [
            ("2026-05-31", None, 1000),
            ("2026-06-01", None, 1600),
            ("2026-06-01", "2026-07-14", 2000),
            ("2026-06-01", "2026-07-15", 1500),
            ("2026-06-01", "2026-04-30", 1000),
            ("2027-06-01", "2026-07-31", 1500),
            ("2027-06-01", "2026-08-01", 3000),
            ("2027-06-01", None, 3000),
        ],
    )
    def test_takes_the_latest_start_then_the_latest_announcement(self, on: str, known: str | None, value: int) -> None:
        when = datetime.fromisoformat(known + "T12:00:00+08:00") if known else None
        assert self.BOOK.parameter("X1", "rate", date.fromisoformat(on), when) == value
        decision = self.BOOK.evaluate("X1", {"x": 10_000}, on=date.fromisoformat(on), known=when)
        assert decision.amount == value

    def test_reads_a_knowledge_instant_in_the_city(self) -> None:
        instant = datetime(2026, 7, 14, 16, 0, tzinfo=UTC)  # already the 15th in the city
        assert self.BOOK.parameter("X1", "rate", date(2026, 6, 1), instant) == 1500

    def test_refuses_a_knowledge_instant_without_a_zone(self) -> None:
        with pytest.raises(ValueError, match="time zone"):
            self.BOOK.parameter("X1", "rate", date(2026, 6, 1), datetime(2026, 7, 14))  # noqa: DTZ001

    def test_says_when_nothing_is_in_force(self) -> None:
        with pytest.raises(RuleNotInForce):
            self.BOOK.evaluate("X1", {"x": 1}, on=date(2025, 12, 31))
        with pytest.raises(RuleNotInForce):
            self.BOOK.parameter("X1", "rate", date(2026, 6, 1), date(2025, 1, 1))

    def test_names_what_is_unknown(self) -> None:
        with pytest.raises(RuleNotFound):
            self.BOOK.rule("P99")
        with pytest.raises(ParameterNotFound, match="nothing"):
            self.BOOK.parameter("X1", "nothing", date(2026, 6, 1))

    def test_the_version_hash_changes_exactly_with_the_content(self) -> None:
        days = [date(2026, 2, 1), date(2026, 3, 1), date(2026, 7, 1), date(2027, 2, 1)]
        hashes = [self.BOOK.version("X1", on) for on in days]
        assert hashes[0] == hashes[1]
        assert len(set(hashes)) == 3

    def test_formulas_are_dated_too(self) -> None:
        content = document()
        later = {**content["formula"][0], "from": date(2027, 1, 1), "announced": date(2026, 12, 1)}
        later["outputs"] = {"y": {"unit": "fen", "zh": "额", "en": "y", "expr": "x * rate + fen(1)"}}
        rulebook = book(formula=[content["formula"][0], later])
        assert rulebook.evaluate("X1", {"x": 100}, on=date(2026, 12, 31)).amount == 10
        assert rulebook.evaluate("X1", {"x": 100}, on=date(2027, 1, 1)).amount == 11

    @given(st.dates(date(2024, 1, 1), date(2028, 1, 1)), st.dates(date(2024, 1, 1), date(2028, 1, 1)))
    def test_at_most_one_version_is_in_force(self, on: date, known: date) -> None:
        versions = self.BOOK.rule("X1").parameters[0].values
        chosen = in_force(versions, on, known)
        better = [
            v
            for v in versions
            if v.start <= on
            and v.announced <= known
            and chosen
            and (v.start, v.announced) > (chosen.start, chosen.announced)
        ]
        assert not better


class TestPackagedNumbers:
    ON = date(2026, 11, 20)
    BOOK = Rulebook.load()

    @pytest.mark.parametrize(
        ("rule", "name", "value"),
        [
            ("P1", "discount", 3000),
            ("P1", "cap_fen", 100_000_000),
            ("P1", "list_price_fen", 100),
            ("P6", "developer_share", 8000),
            ("P6", "income_pending_days", 7),
            ("P10", "contributor_share", 7000),
            ("P11", "margin", 1500),
            ("C6", "lock_months", 3),
            ("C11", "subsidy_months", 12),
            ("C11", "reward_months", 24),
            ("C12", "keys", ["expires_at", "provenance", "issued_at"]),
            ("C12", "order", ["subsidy", "reward", "purchased"]),
        ],
    )
    def test_are_those_of_the_source(self, rule: str, name: str, value: object) -> None:
        assert self.BOOK.parameter(rule, name, self.ON) == value

    def test_given_and_assumed_are_told_apart(self) -> None:
        assert self.BOOK.dated_parameter("P1", "discount", self.ON).origin == "given"
        assumed = self.BOOK.dated_parameter("P6", "developer_share", self.ON)
        assert assumed.origin == "assumed"
        assert assumed.reason is not None

    def test_short_names_mean_the_main_rule(self) -> None:
        assert self.BOOK.rule("P11").id == "P11_pricing"
        assert self.BOOK.rule("P11_call_charge").part_of == "P11_pricing"

    def test_made_rule_is_frozen(self) -> None:
        with pytest.raises(AttributeError):
            made().id = "other"  # type: ignore[misc]


class TestValues:
    def test_are_listed_where_they_are_owned_with_what_succeeds_them(self) -> None:
        later = {"from": "2027-01-01", "announced": "2026-11-01", "value": 2500, "given": True}
        change = {"parameters": {"discount": [later]}}
        book = Rulebook.load([RuleAmendment("a", "P1_resident_discount", change, "council")])
        (only,) = values(book, date(2026, 12, 1), coming=True)
        assert only.now is not None
        assert only.then is not None
        assert (only.rule.id, only.now.value, only.then.value) == ("P1_resident_discount", 3000, 2500)
        assert values(book, date(2027, 1, 1), coming=True) == []
        every = values(book, date(2026, 12, 1))
        assert len({(one.rule.id, one.parameter.name) for one in every}) == len(every) > 300
        assert {one.rule.id for one in values(book, date(2026, 12, 1), "优惠 resident")} >= {"P1_resident_discount"}
