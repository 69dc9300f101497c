"""Statements by lot: what a month opened with, what moved it, what it closes with and is worth, in three formats."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta

import openpyxl
import pypdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.credits.conftest import City

from shanhe.credits import statements
from shanhe.credits.api import BadMonth
from shanhe.kernel.documents import render
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO
from shanhe.ledger.api import Asset, NewLot, Posting, Provenance, Transfer

NOVEMBER, DECEMBER = date(2026, 11, 1), date(2026, 12, 1)


class TestStatement:
    async def test_shows_each_lot_with_its_movements_and_sums_to_the_balance(self, city: City) -> None:
        await city.buy(10_000)
        await city.spend(40 * MICRO)
        found = await city.credits.statements.month(city.org)
        by = {lot.provenance: lot for lot in found.lots}
        assert by["subsidy"].closing_micro == 0
        assert by["subsidy"].moves == {"purchase": 30 * MICRO, "test": -30 * MICRO}
        assert by["purchased"].moves == {"purchase": 70 * MICRO, "test": -10 * MICRO}
        assert (found.opening_micro, found.closing_micro) == (0, await city.balance())
        assert found.moves == {"purchase": 100 * MICRO, "test": -40 * MICRO}

    async def test_values_a_lot_at_the_lower_of_cost_and_the_middle_of_the_corridor(self, city: City) -> None:
        await city.buy(10_000)
        by = {lot.provenance: lot for lot in (await city.credits.statements.month(city.org)).lots}
        assert (by["purchased"].cost_fen, by["purchased"].value_fen) == (7_000, 4_550)
        assert (by["subsidy"].cost_fen, by["subsidy"].value_fen) == (0, 0)

    async def test_values_what_calls_earned_as_any_reward_and_what_subsidy_paid_at_nothing(self, city: City) -> None:
        income = await city.ledger.ensure_account(city.org, Asset.CREDIT, "income")
        issuance = await city.ledger.system_account("issuance", Asset.CREDIT)
        for provenance in (Provenance.REWARD, Provenance.SUBSIDY):
            earned = NewLot(account=income.id, provenance=provenance, amount=100 * MICRO)
            leg = Transfer(new_id(), issuance.id, income.id, 100 * MICRO)
            await city.ledger.post(Posting(id=new_id(), kind="call", transfers=(leg,), lots=(earned,)))
        by = {lot.provenance: lot for lot in (await city.credits.statements.month(city.org)).lots}
        assert (by["reward"].cost_fen, by["reward"].value_fen) == (10_000, 6_500)
        assert (by["subsidy"].cost_fen, by["subsidy"].value_fen) == (0, 0)

    async def test_what_closed_one_month_opens_the_next(self, city: City) -> None:
        await city.buy(10_000)
        await city.spend(5 * MICRO)
        city.clock.advance(days=10)
        await city.spend(7 * MICRO)
        november = await city.credits.statements.month(city.org, NOVEMBER)
        december = await city.credits.statements.month(city.org, DECEMBER)
        assert november.complete
        assert not december.complete
        assert november.closing_micro == december.opening_micro == 95 * MICRO
        assert december.closing_micro == 88 * MICRO
        assert november.moves == {"purchase": 100 * MICRO, "test": -5 * MICRO}

    async def test_the_last_instant_of_a_month_belongs_to_it(self, city: City) -> None:
        city.clock.set(datetime(2026, 11, 30, 15, 59, 59, 999999, tzinfo=UTC))
        await city.buy(10_000)
        city.clock.advance(seconds=1)
        november = await city.credits.statements.month(city.org, NOVEMBER)
        assert november.complete
        assert november.closing_micro == 100 * MICRO

    @given(paid=st.integers(200, 9_999), spent=st.lists(st.integers(1, 500_003), min_size=1, max_size=6))
    @settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_says_what_came_left_and_stayed_at_cost_to_the_fen(
        self, city: City, paid: int, spent: list[int]
    ) -> None:
        """In whatever pieces it was spent: the cost of what left and of what stayed is what was paid."""
        await city.buy(paid, ref=str(new_id()))
        for number, micro in enumerate(spent):
            city.clock.advance(days=15 if number == 0 else 0)
            await city.spend(micro)
        months = [await city.credits.statements.month(city.org, month) for month in (NOVEMBER, DECEMBER)]
        for found in months:
            assert found.opening_cost_fen + found.added_cost_fen - found.taken_cost_fen == found.cost_fen
            assert all(lot.taken_cost_fen >= 0 for lot in found.lots)
        assert months[0].cost_fen == months[1].opening_cost_fen

    async def test_is_refused_for_a_month_to_come(self, city: City) -> None:
        with pytest.raises(BadMonth):
            await city.credits.statements.month(city.org, DECEMBER)

    async def test_of_nobody_is_empty(self, city: City) -> None:
        found = await city.credits.statements.month(city.org)
        assert (found.lots, found.closing_micro) == ([], 0)

    @given(steps=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 30)), min_size=1, max_size=6))
    @settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    async def test_months_join_and_sum_to_the_balance_whatever_happened(
        self, city: City, steps: list[tuple[int, int]]
    ) -> None:
        for days, spent in steps:
            city.clock.advance(days=days)
            await city.buy(1_000 + spent, ref=f"{city.clock.now()}-{spent}")
            await city.spend(max(1, spent * MICRO // 5))
            await city.ledger.sweep()
        opening = 0
        month = NOVEMBER
        while month <= city.clock.today():
            found = await city.credits.statements.month(city.org, month)
            assert found.opening_micro == opening
            opening = found.closing_micro
            month = (month + timedelta(days=31)).replace(day=1)
        assert opening == await city.balance()


class TestFile:
    async def test_says_the_same_in_every_format(self, city: City) -> None:
        await city.buy(10_000)
        found = await city.credits.statements.month(city.org)
        made = statements.document(found, org_name="=HYPERLINK(1) 山河科技", city_name="山河市")
        pdf = "".join(p.extract_text() for p in pypdf.PdfReader(io.BytesIO(await render(made, "pdf"))).pages)
        sheet = openpyxl.load_workbook(io.BytesIO(await render(made, "xlsx")))["按批次"]
        rows = (await render(made, "csv")).decode("utf-8-sig")
        for word in ("AI 积分对账单", "山河科技", "100.000000", "45.50"):
            assert word in pdf
        assert [cell.value for cell in list(sheet.rows)[-1]][7:11] == [100, 0, 70, 45.5]
        assert "100.000000,0.00,70.00,45.50" in rows
