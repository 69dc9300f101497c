"""Invoices over what was paid, and disputes on receipts that end in a reversal."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pypdf
import pytest
from tests.credits.conftest import City

from shanhe.credits.api import (
    DisputeClosed,
    DisputeConflict,
    Invoice,
    InvoiceConflict,
    InvoiceDecided,
    InvoiceTooMuch,
    NotYourReceipt,
    OwnDispute,
    RedLetterDone,
    RefundState,
    SheetMissing,
    TooMuchInvoiced,
    UnknownInvoice,
    invoice_paper,
)
from shanhe.kernel.documents import render
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import MICRO
from shanhe.ledger.api import LedgerUnavailable

TAX_NUMBER = "91330100MA27XYZ12Q"


async def request(city: City, amount_fen: int = 5_000, ref: str = "i1", **rest: str) -> Invoice:
    fields = {"kind": "special", "title": "山河数据有限公司", "tax_number": TAX_NUMBER, **rest}
    return await city.credits.invoices.request(
        city.org, client_ref=ref, amount_fen=amount_fen, actor="person:t", **fields
    )


class TestInvoice:
    async def test_covers_what_was_paid_and_no_more(self, city: City) -> None:
        with pytest.raises(TooMuchInvoiced):
            await request(city)
        bought = await city.buy(10_000)
        assert await city.credits.invoices.invoiceable_fen(city.org) == 7_000, "the discount was not paid"
        made = await request(city)
        assert (await request(city)).id == made.id
        with pytest.raises(InvoiceConflict):
            await request(city, 4_000)
        with pytest.raises(TooMuchInvoiced):
            await request(city, 2_001, "i2")
        await city.credits.invoices.reject(made.id, reason="抬头有误", by="person:o")
        await city.credits.refunds.refund(city.org, bought.id, client_ref="r", reason="x", actor="person:t")
        assert await city.credits.invoices.invoiceable_fen(city.org) == 0, "refunded money is not invoiced"

    async def test_is_not_issued_over_what_was_refunded_since(self, city: City) -> None:
        bought, _ = await city.buy(10_000), await city.buy(10_000, "b2")
        small, whole = await request(city, 3_000), await request(city, 11_000, "i2")
        await city.credits.refunds.refund(city.org, bought.id, client_ref="r", reason="x", actor="person:t")
        with pytest.raises(InvoiceTooMuch) as refused:
            await city.credits.invoices.issue(whole.id, number="25332000000012345679", by="person:o")
        assert refused.value.details == {"excess_fen": 4_000}
        assert (await city.credits.invoices.issue(small.id, number="25332000000012345678", by="person:o")).number
        with pytest.raises(InvoiceTooMuch) as refused:
            await city.credits.invoices.issue(whole.id, number="25332000000012345679", by="person:o")
        assert refused.value.details == {"excess_fen": 7_000}
        await city.credits.invoices.reject(whole.id, reason="已退款", by="person:o")
        assert await city.credits.invoices.invoiceable_fen(city.org) == 4_000

    async def test_two_issued_at_once_are_not_over_what_was_refunded_either(
        self, city: City, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bought, _ = await city.buy(10_000), await city.buy(10_000, "b2")
        first, second = await request(city, 7_000), await request(city, 7_000, "i2")
        await city.credits.refunds.refund(city.org, bought.id, client_ref="r", reason="x", actor="person:t")
        check = city.credits.invoices._check_covered

        async def dwells(*what: Any) -> None:
            await check(*what)
            await asyncio.sleep(0.1)

        monkeypatch.setattr(city.credits.invoices, "_check_covered", dwells)
        issued = await asyncio.gather(
            city.credits.invoices.issue(first.id, number="25332000000012345678", by="person:o"),
            city.credits.invoices.issue(second.id, number="25332000000012345679", by="person:o"),
            return_exceptions=True,
        )
        assert {type(one) for one in issued} == {Invoice, InvoiceTooMuch}

    async def test_two_at_once_do_not_exceed_it(self, city: City) -> None:
        await city.buy(10_000)
        made = await asyncio.gather(*(request(city, 4_000, f"i{n}") for n in range(4)), return_exceptions=True)
        assert [type(one) for one in made].count(Invoice) == 1

    async def test_is_decided_once(self, city: City) -> None:
        await city.buy(10_000)
        first, second = await request(city, 1_000), await request(city, 1_000, "i2")
        issued = await city.credits.invoices.issue(first.id, number="25332000000012345678", by="person:o")
        assert (await city.credits.invoices.issue(first.id, number=issued.number, by="person:o")).state == "issued"
        with pytest.raises(InvoiceDecided):
            await city.credits.invoices.reject(first.id, reason="x", by="person:o")
        with pytest.raises(InvoiceConflict):
            await city.credits.invoices.issue(second.id, number=issued.number, by="person:o")
        with pytest.raises(UnknownInvoice):
            await city.credits.invoices.get(new_id(), first.id)

    async def test_what_waits_is_listed_oldest_first(self, city: City) -> None:
        await city.buy(10_000)
        made = [await request(city, 1_000, f"i{n}") for n in range(3)]
        await city.credits.invoices.reject(made[1].id, reason="抬头有误", by="person:o")
        assert [one.id for one in await city.credits.invoices.list(waiting=True)] == [made[0].id, made[2].id]

    @pytest.mark.parametrize("wrong", [{"tax_number": ""}, {"tax_number": "123"}, {"title": ""}, {"kind": "other"}])
    async def test_refuses_what_the_tax_bureau_would(self, city: City, wrong: dict[str, str]) -> None:
        await city.buy(10_000)
        with pytest.raises(Invalid):
            await request(city, **wrong)

    async def test_prints_the_request_and_says_that_it_is_not_the_invoice(self, city: City) -> None:
        await city.buy(10_000)
        made = invoice_paper(await request(city), org_name="山河数据", city_name="山河市")
        text = "".join(p.extract_text() for p in pypdf.PdfReader(io.BytesIO(await render(made, "pdf"))).pages)
        for word in ("开票申请单", "增值税专用发票", TAX_NUMBER, "50.00", "本单不是发票"):
            assert word in text


class TestRedLetter:
    async def issued(self, city: City, amount_fen: int, ref: str, kind: str = "special") -> Invoice:
        asked = await request(city, amount_fen, ref, kind=kind)
        return await city.credits.invoices.issue(asked.id, number=f"2533200000001234{ref}", by="person:o")

    async def test_comes_before_the_money_of_a_refund_leaves(self, city: City) -> None:
        """The sheet first, for a special one; then the invoice; then the refund goes on by itself."""
        bought = await city.buy(10_000)
        invoice = await self.issued(city, 7_000, "a1")
        letters, refunds = city.credits.refunds.red_letters, city.credits.refunds
        made = await refunds.refund(city.org, bought.id, client_ref="r", reason="x", actor="person:t")
        assert made.state is RefundState.POSTED
        (due,) = await letters.list(city.org, waiting=True)
        assert (due.invoice_id, due.amount_fen, due.state, due.invoice) == (invoice.id, 7_000, "due", invoice.number)
        await refunds.run()
        assert (await refunds.any(made.id)).state is RefundState.POSTED, "it waits however often it is looked at"
        with pytest.raises(SheetMissing):
            await letters.issue(due.id, number="红 1", by="person:o")
        for _ in range(2):
            assert (await letters.confirm(due.id, sheet="3300012606001", by="person:o")).state == "confirmed"
        with pytest.raises(RedLetterDone):
            await letters.confirm(due.id, sheet="other", by="person:o")
        with pytest.raises(InvoiceConflict):
            await letters.issue(due.id, number=invoice.number, by="person:o")
        for _ in range(2):
            assert (await letters.issue(due.id, number="25332000000019999999", by="person:o")).state == "issued"
        city.clock.advance(minutes=1)
        await refunds.run()
        assert (await refunds.any(made.id)).state is not RefundState.POSTED
        assert await city.credits.invoices.invoiceable_fen(city.org) == 0

    async def test_has_a_number_that_no_invoice_has_nor_the_other_way_round(self, city: City) -> None:
        bought, _ = await city.buy(10_000), await city.buy(10_000, "b2")
        first = await request(city, 10_000, kind="ordinary")
        await city.credits.invoices.issue(first.id, number="1", by="person:o")
        await city.credits.refunds.refund(city.org, bought.id, client_ref="r", reason="x", actor="person:t")
        (letter,) = await city.credits.refunds.red_letters.list()
        with pytest.raises(InvoiceConflict):
            await city.credits.refunds.red_letters.issue(letter.id, number="1", by="person:o")
        await city.credits.refunds.red_letters.issue(letter.id, number="2", by="person:o")
        await city.buy(10_000, "b3")
        third = await request(city, 100, "i3", kind="ordinary")
        with pytest.raises(InvoiceConflict):
            await city.credits.invoices.issue(third.id, number="2", by="person:o")

    async def test_takes_back_the_newest_first_and_no_more_than_was_refunded(self, city: City) -> None:
        bought, _ = await city.buy(10_000), await city.buy(10_000, "b2")
        old, new = await self.issued(city, 9_000, "a1", "ordinary"), await self.issued(city, 3_000, "a2", "ordinary")
        refunds = city.credits.refunds
        await refunds.refund(city.org, bought.id, client_ref="r", reason="x", actor="person:t")
        found = {one.invoice_id: one.amount_fen for one in await refunds.red_letters.list(city.org)}
        assert found == {new.id: 3_000, old.id: 2_000}, "14,000 paid less 7,000 refunded leaves 12,000 − 7,000 over"
        for number, one in enumerate(await refunds.red_letters.list(city.org)):
            await refunds.red_letters.issue(one.id, number=f"红 {number}", by="person:o")
        assert await city.credits.invoices.invoiceable_fen(city.org) == 0

    async def test_makes_good_no_refund_of_before_there_were_any(self, city: City) -> None:
        """Those were put right by hand, whatever the books still say of them."""
        first, second, _ = [await city.buy(10_000, f"b{n}") for n in range(3)]
        for number, amount_fen in enumerate((9_000, 9_000, 3_000)):
            await self.issued(city, amount_fen, f"a{number}", "ordinary")
        refunds = city.credits.refunds
        await refunds.refund(city.org, first.id, client_ref="before", reason="x", actor="person:t")
        await city.db.execute("DELETE FROM credits.red_letter")
        await refunds.refund(city.org, second.id, client_ref="r", reason="x", actor="person:t")
        assert [one.amount_fen for one in await refunds.red_letters.list(city.org)] == [4_000, 3_000]

    async def test_is_due_for_nothing_that_was_not_invoiced(self, city: City) -> None:
        bought, _ = await city.buy(10_000), await city.buy(10_000, "b2")
        await self.issued(city, 7_000, "a1")
        await request(city, 6_000, "asked")
        await city.credits.refunds.refund(city.org, bought.id, client_ref="r", reason="x", actor="person:t")
        assert await city.credits.refunds.red_letters.list(city.org) == []


class TestDispute:
    async def test_a_granted_one_gives_the_charge_back_to_its_own_lots(self, city: City) -> None:
        await city.buy(10_000)
        receipt = await city.call()
        dispute = await city.credits.disputes.open(city.org, receipt, reason="重复计费", actor="person:t")
        assert await city.balance() == 95 * MICRO
        granted = await city.credits.disputes.grant(dispute.id, answer="属实", by="person:o")
        assert (granted.state, await city.balance()) == ("granted", 100 * MICRO)
        assert granted.reversal_id is not None
        assert (await city.ledger.posting(granted.reversal_id)).reverses == receipt
        assert (await city.credits.disputes.grant(dispute.id, answer="属实", by="person:o")).id == granted.id
        assert await city.balance() == 100 * MICRO
        assert (await city.ledger.verify()).clean

    async def test_a_refused_one_moves_nothing_and_is_final(self, city: City) -> None:
        await city.buy(10_000)
        receipt = await city.call()
        dispute = await city.credits.disputes.open(city.org, receipt, reason="x", actor="person:t")
        assert (await city.credits.disputes.refuse(dispute.id, answer="计量无误", by="person:o")).state == "refused"
        with pytest.raises(DisputeClosed):
            await city.credits.disputes.grant(dispute.id, answer="y", by="person:o")
        with pytest.raises(DisputeConflict):
            await city.credits.disputes.open(city.org, receipt, reason="again", actor="person:t")
        assert await city.balance() == 95 * MICRO

    async def test_is_decided_by_somebody_else(self, city: City) -> None:
        await city.buy(10_000)
        dispute = await city.credits.disputes.open(city.org, await city.call(), reason="x", actor="person:o")
        with pytest.raises(OwnDispute):
            await city.credits.disputes.grant(dispute.id, answer="mine", by="person:o")

    async def test_needs_a_receipt_of_ones_own_call(self, city: City) -> None:
        bought = await city.buy(10_000)
        receipt = await city.call()
        for org, posting in ((new_id(), receipt), (city.org, new_id()), (city.org, bought.posting_id)):
            with pytest.raises(NotYourReceipt):
                await city.credits.disputes.open(org, posting, reason="x", actor="person:t")

    async def test_a_crash_after_the_decision_is_repaired(self, city: City, monkeypatch: pytest.MonkeyPatch) -> None:
        await city.buy(10_000)
        dispute = await city.credits.disputes.open(city.org, await city.call(), reason="x", actor="person:t")
        real = city.ledger.reverse

        async def away(*_: object, **__: object) -> None:
            raise LedgerUnavailable("gone")

        monkeypatch.setattr(city.ledger, "reverse", away)
        with pytest.raises(LedgerUnavailable):
            await city.credits.disputes.grant(dispute.id, answer="属实", by="person:o")
        monkeypatch.setattr(city.ledger, "reverse", real)
        await city.tick()
        assert (await city.credits.disputes.get(city.org, dispute.id)).state == "granted"
        assert await city.balance() == 100 * MICRO

    async def test_a_withdrawn_one_may_come_again(self, city: City) -> None:
        await city.buy(10_000)
        receipt = await city.call()
        dispute = await city.credits.disputes.open(city.org, receipt, reason="x", actor="person:t")
        await city.credits.disputes.withdraw(city.org, dispute.id, by="person:t")
        again = await city.credits.disputes.open(city.org, receipt, reason="y", actor="person:t")
        assert again.id != dispute.id

    async def test_what_waits_is_listed_oldest_first_however_much_was_decided_since(self, city: City) -> None:
        await city.buy(10_000)
        opened = [
            await city.credits.disputes.open(city.org, await city.call(), reason=f"{n}", actor="person:t")
            for n in range(4)
        ]
        await city.credits.disputes.refuse(opened[1].id, answer="计量无误", by="person:o")
        assert await city.credits.disputes.charges(opened) == {one.receipt_id: 5 * MICRO for one in opened}
        first = await city.credits.disputes.list(waiting=True, limit=2)
        assert [one.id for one in first] == [opened[0].id, opened[2].id]
        rest = await city.credits.disputes.list(waiting=True, before=first[-1].id)
        assert [one.id for one in rest] == [opened[3].id]
