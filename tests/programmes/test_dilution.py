"""The dilution index (P9_dilution): from grants on the ledger to a report, a trend, and work for a department."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.governance.api import Dilution, as_csv, report_view, spread_of, trend_view
from shanhe.rulebook.api import Rulebook
from shanhe.wiring.governance import budget_cards, programme_cards

from .conftest import CATALOGUE, City

YUAN = 100
DAY = date(2026, 11, 20)
RULES = Rulebook.load()
CRITICAL_FEN = RULES.parameter("P9_dilution", "critical_fen", DAY)
FEN = st.integers(1, 10**12)
UNITS = st.lists(st.tuples(st.integers(0, 5), FEN, st.integers(0, 10**9)), min_size=1, max_size=12)


@dataclass(frozen=True)
class Grant:
    budget: str
    programme: str
    recipient: UUID
    amount: int
    on: date


def person(number: int) -> UUID:
    return UUID(int=number + 1)


def measured(city: City, *grants: Grant) -> Dilution:
    """Over what the ledger has, or over grants that a test names."""

    async def named(since: date, until: date) -> list[Grant]:
        return [one for one in grants if since <= one.on < until]

    known = city.programmes.catalogue
    return Dilution(
        city.db, city.clock, RULES, paid=named if grants else city.programmes.budgets.paid,
        budgets=budget_cards(known), programmes=programme_cards(known),
    )  # fmt: skip


class TestIndex:
    def test_of_one_amount_is_what_the_rule_says(self) -> None:
        for fen in (1, 250_000, 499_999, 500_000, 10**9):
            said = RULES.evaluate("P9_dilution", {"programme": "other", "received_fen": fen}, on=DAY).outputs
            found = spread_of([(person(1), fen, CRITICAL_FEN["other"])])
            assert found.below == said["below"]
            assert abs(found.index_bps - said["diluted_fen"] * 10_000 / fen) <= 10_000 / fen + 0.5

    def test_of_equal_parts_grows_with_their_number(self) -> None:
        critical, total = 500_000, 2_000_000
        parts = {n: spread_of([(person(i), total // n, critical) for i in range(n)]) for n in (1, 4, 8, 40)}
        assert [one.index_bps for one in parts.values()] == [0, 0, 5_000, 9_000]
        assert [one.effective for one in parts.values()] == [100, 400, 800, 4_000]
        assert (parts[8].could_reach, parts[8].needs_fen, parts[8].median_fen) == (4, 2_000_000, 250_000)

    @given(UNITS)
    def test_is_between_none_and_all_and_no_number_exceeds_its_kind(self, units: list[tuple[int, int, int]]) -> None:
        found = spread_of((person(who), fen, critical) for who, fen, critical in units)
        assert 0 <= found.index_bps <= found.below_bps <= 10_000
        assert 100 <= found.effective <= 100 * found.recipients
        assert found.total_fen == sum(fen for _, fen, _ in units)

    @given(st.integers(2, 10**6), st.integers(2, 10), st.integers(1, 10**7))
    def test_never_falls_when_an_amount_is_split_among_more(self, part: int, parts: int, critical: int) -> None:
        whole = spread_of([(person(0), part * parts, critical)])
        split = spread_of([(person(n), part, critical) for n in range(parts)])
        assert whole.index_bps <= split.index_bps

    def test_knows_every_programme_that_the_rule_names(self) -> None:
        assert set(CRITICAL_FEN) - {"other"} <= set(CATALOGUE.programmes)


class TestReport:
    async def test_adds_up_what_the_ledger_booked_less_what_came_back(self, city: City) -> None:
        await city.fund("ip_credit")
        answers = {"registration_number": "2026SR1", "registered_on": "2026-02-10"}
        orgs = [await city.company(f"公司{n}") for n in range(6)]
        apps = []
        for n, org in enumerate(orgs):
            given = answers | {"registration_number": f"2026SR{n}"}
            apps.append(await city.approve(await city.apply("software_copyright", org, given)))
        await city.programmes.awards.claw_back(apps[0].id, "error", note="重复", actor="test")
        paid = [await city.balance(org) for org in orgs]
        report = await measured(city).report()
        (row,) = [one for one in report.budgets if one.spread.recipients]
        price = RULES.parameter("P1", "list_price_fen", DAY)
        assert (row.budget, row.spread.recipients) == ("ip_credit", 5)
        assert row.spread.total_fen == sum(paid) * price // 1_000_000
        (thin,) = report.thin
        assert (thin.programme, thin.spread.recipients) == ("software_copyright", 5)
        assert "临界规模" in report_view(report, whole=True)["programmes"][0]["said"]["zh"]
        assert as_csv(report, whole=True).count("\n") == 3

    async def test_shows_the_public_neither_sums_nor_small_cells(self, city: City) -> None:
        few = [Grant("ip_cash", "ai_patent_person", person(n), YUAN, city.clock.today()) for n in range(4)]
        many = [Grant("brand_cash", "brand_award", person(n), YUAN, city.clock.today()) for n in range(5)]
        dilution = measured(city, *few, *many)
        report = await dilution.report()
        public = {one["id"]: one for one in report_view(report, whole=False)["budgets"]}
        assert public["ip_cash"]["suppressed"]
        assert "index_bps" not in public["ip_cash"]
        assert public["brand_cash"]["recipients"] == 5
        assert not {"total_fen", "median_fen", "said"} & set(public["brand_cash"])
        assert "median_fen" in report_view(report, whole=True)["budgets"][0]
        points = {one["id"]: one["points"][-1]["index_bps"] for one in trend_view([report], whole=False)}
        assert points["ip_cash"] is None

    async def test_leaves_out_what_has_no_price_and_what_is_older_than_the_window(self, city: City) -> None:
        today = city.clock.today()
        grants = [Grant("office_rooms", "dao_support", person(1), 3, today),
                  Grant("ip_cash", "ai_patent_person", person(1), YUAN, today - timedelta(days=400)),
                  Grant("ip_cash", "ai_patent_person", person(2), YUAN, today)]  # fmt: skip
        report = await measured(city, *grants).report()
        assert [(one.budget, one.spread.total_fen) for one in report.budgets if one.spread.recipients] == [
            ("ip_cash", YUAN)
        ]

    async def test_has_a_trend_whose_last_point_is_the_report(self, city: City) -> None:
        today = city.clock.today()
        grants = [Grant("ip_cash", "ai_patent_person", person(n), YUAN, today - timedelta(days=40 * n))
                  for n in range(8)]  # fmt: skip
        dilution = measured(city, *grants)
        for by in ("month", "quarter"):
            found = await dilution.trend(by)
            assert len(found) > 4  # what lies before the rule's first day is left out
            assert found[-1] == await dilution.report()
            assert [one.on for one in found] == sorted(one.on for one in found)


class TestDuty:
    @pytest.mark.parametrize("count", [4, 5])
    async def test_waits_for_the_department_of_a_thin_programme_until_its_rule_is_reviewed(
        self, city: City, count: int
    ) -> None:
        await city.at(date(2026, 7, 10))
        grants = [Grant("ip_cash", "ai_patent_person", person(n), YUAN, date(2026, 5, 1)) for n in range(count)]
        dilution = measured(city, *grants)
        found = await dilution.duties()
        assert len(found) == (count == 5)  # of fewer nobody is told anything
        if found:
            assert (found[0].kind, found[0].due_on, found[0].overdue) == ("dilution", date(2026, 7, 30), False)
            await city.at(date(2026, 7, 31))
            assert (await dilution.duties())[0].overdue
            await city.db.execute(
                """INSERT INTO governance.review (id, rule_id, reviewed_on, finding, by, at)
                   VALUES ($1, 'T15_ip_award', '2026-07-31', '合并两项奖励', 'person:1', $2)""",
                uuid4(), city.clock.now(),
            )  # fmt: skip
            assert await dilution.duties() == []
