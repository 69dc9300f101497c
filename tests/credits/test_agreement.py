"""Framework purchases (P2): a year in instalments, each paid once and posted as purchased credits."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import pytest
from tests.credits.conftest import City

from shanhe.credits.api import Agreement, AgreementConflict, InstalmentPaid, NotGovernment, UnknownAgreement, daily
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO

QUARTER_FEN = 125_000_000


async def signed(city: City) -> Agreement:
    async def government(org_id: UUID) -> str:
        return "government" if org_id == city.org else "company"

    city.credits.agreements._kind = government
    return await city.credits.agreements.sign(city.org, 2026, reference="山府采〔2026〕7 号", actor="person:o")


class TestAgreement:
    async def test_splits_the_year_into_the_rules_instalments(self, city: City) -> None:
        made = await signed(city)
        assert [(one.number, one.due_on, one.amount_fen, one.state) for one in made.instalments] == [
            (1, date(2026, 1, 1), QUARTER_FEN, "due"),
            (2, date(2026, 4, 1), QUARTER_FEN, "due"),
            (3, date(2026, 7, 1), QUARTER_FEN, "due"),
            (4, date(2026, 10, 1), QUARTER_FEN, "due"),
        ]
        assert made.total_fen == 500_000_000
        assert (await signed(city)).id == made.id
        with pytest.raises(AgreementConflict):
            await city.credits.agreements.sign(city.org, 2026, reference="other", actor="person:o")
        with pytest.raises(NotGovernment):
            await city.credits.agreements.sign(new_id(), 2026, reference="x", actor="person:o")

    async def test_an_instalment_is_paid_at_list_price_without_a_discount(self, city: City) -> None:
        made = await signed(city)
        ordered = await city.credits.agreements.pay(city.org, made.id, 1, method="sandbox", actor="person:t")
        again = await city.credits.agreements.pay(city.org, made.id, 1, method="sandbox", actor="person:t")
        assert again.id == ordered.id
        await city.pay(ordered)
        wallet = await city.credits.wallet(city.org)
        assert [(lot.provenance, lot.remaining_micro) for lot in wallet.lots] == [("purchased", 1_250_000 * MICRO)]
        assert await city.benefit() == (0, 0)
        found = await city.credits.agreements.get(city.org, made.id)
        assert (found.instalments[0].state, found.paid_fen) == ("paid", QUARTER_FEN)
        with pytest.raises(InstalmentPaid):
            await city.credits.agreements.pay(city.org, made.id, 1, method="sandbox", actor="person:t")

    async def test_an_order_that_ran_out_makes_it_due_again(self, city: City) -> None:
        made = await signed(city)
        first = await city.credits.agreements.pay(city.org, made.id, 1, method="sandbox", actor="person:t")
        city.clock.advance(hours=2)
        await city.tick()
        assert (await city.credits.agreements.get(city.org, made.id)).instalments[0].state == "due"
        second = await city.credits.agreements.pay(city.org, made.id, 1, method="sandbox", actor="person:t")
        assert second.id != first.id
        await city.pay(second)
        assert (await city.credits.agreements.get(city.org, made.id)).instalments[0].state == "paid"

    async def test_a_transfer_found_at_the_bank_pays_it_once(self, city: City) -> None:
        made = await signed(city)
        await city.credits.agreements.book(city.org, made.id, 2, reference="BANK-9", actor="person:o")
        with pytest.raises(InstalmentPaid):
            await city.credits.agreements.book(city.org, made.id, 2, reference="BANK-9", actor="person:o")
        assert await city.balance() == 1_250_000 * MICRO

    async def test_the_body_is_told_once_what_is_due(self, city: City) -> None:
        made = await signed(city)
        await city.credits.agreements.book(city.org, made.id, 1, reference="BANK-1", actor="person:o")
        assert (await daily(city.credits))["instalments"] == 3
        assert (await daily(city.credits))["instalments"] == 0

    async def test_the_body_is_told_however_many_others_have_not_paid_for_months(self, city: City) -> None:
        await city.db.execute(
            """INSERT INTO credits.agreement (id, org_id, year, reference, rule_version, trace, actor, created_at)
               SELECT gen_random_uuid(), gen_random_uuid(), 2026, 'r', 'v', '{}', 'person:o', $1
                 FROM generate_series(1, 110)""",
            city.clock.now(),
        )
        await city.db.execute(
            """INSERT INTO credits.instalment (agreement_id, number, due_on, amount_fen)
               SELECT id, 1, DATE '2026-01-01', 100 FROM credits.agreement"""
        )
        assert (await daily(city.credits))["instalments"] == 110
        await signed(city)
        assert (await daily(city.credits))["instalments"] == 4

    async def test_is_nobody_elses(self, city: City) -> None:
        made = await signed(city)
        with pytest.raises(UnknownAgreement):
            await city.credits.agreements.pay(new_id(), made.id, 1, method="sandbox", actor="person:t")
        with pytest.raises(UnknownAgreement):
            await city.credits.agreements.pay(city.org, made.id, 5, method="sandbox", actor="person:t")
