"""Pages of credits: every table and form, in both languages, empty and full, and what the forms do."""

from __future__ import annotations

from itertools import product
from typing import cast
from unittest.mock import AsyncMock

import httpx
import pytest
from tests.console.double_counter import Counter, ident
from tests.console.double_ground import TOKEN

from shanhe.console import model as m
from shanhe.console import model_credits as c
from shanhe.console.ports import Desk

MINE = ("", "/refunds", f"/refunds/{ident(3)}", "/redeem", "/invoices", "/disputes", "/agreements")
CITY = ("", "/batches", "/agreements", "/invoices", "/disputes", "/refunds", "/estates")

WORK: tuple[tuple[str, dict[str, str], str], ...] = (
    (f"/credits/refunds/{ident(3)}", {"reason": "x"}, "refund"),
    ("/credits/redeem", {"code": "ABC"}, "redeem"),
    ("/credits/invoices", {"title": "抬头", "amount": "12.5", "kind": "ordinary"}, "invoice"),
    ("/credits/disputes", {"receipt": str(ident(7)), "reason": "x"}, "dispute"),
    (f"/credits/disputes/{ident(6)}/withdraw", {}, "withdraw"),
    ("/city/credits/batches", {"codes": "3"}, "batch"),
    ("/city/credits/budgets", {"budget": "b"}, "fund"),
    (f"/city/credits/batches/{ident(9)}/revoke", {"reason": "x"}, "revoke"),
    ("/city/credits/agreements", {"org": str(ident(1)), "year": "2026", "reference": "7"}, "sign"),
    (f"/city/credits/agreements/{ident(8)}/1/book", {"reference": "B"}, "book"),
    (f"/city/credits/invoices/{ident(5)}/decide", {"number": "2533"}, "invoice_decide"),
    (f"/city/credits/batches/{ident(9)}/fund", {}, "batch_fund"),
    (f"/city/credits/disputes/{ident(6)}/decide", {"decision": "grant", "answer": "ok"}, "dispute_decide"),
    ("/city/credits/estates", {"org": str(ident(1)), "successor": str(ident(2)), "kind": "inheritance"}, "estate"),
    (f"/city/credits/estates/{ident(10)}/decide", {"decision": "approve"}, "estate_decide"),
    (f"/city/credits/refunds/{ident(3)}/retry", {}, "retry"),
    (f"/city/credits/refunds/{ident(3)}/payout", {"reference": "B"}, "payout"),
)
WRONG = (
    ("/credits/redeem", {"code": "used"}, "该兑换码已被他人使用"),
    ("/credits/invoices", {"title": "抬头", "amount": "12,x"}, "“12,x”不是有效的金额"),
    ("/credits/disputes", {"receipt": "none", "reason": "x"}, 'value="none"'),
    ("/city/credits/batches", {"codes": "many"}, "note bad"),
    ("/city/credits/agreements", {"org": "?", "year": "2026", "reference": "7"}, "note bad"),
    ("/city/credits/estates", {"org": "?", "successor": "?", "end": "证明 1"}, "证明 1"),
)


@pytest.fixture
def counter(desk: Desk) -> Counter:
    assert isinstance(desk.counter, Counter)
    return desk.counter


class TestPage:
    async def test_opens_full_and_empty_in_both_languages(self, member: httpx.AsyncClient, counter: Counter) -> None:
        paths = [*(f"/credits{end}" for end in MINE), *(f"/city/credits{end}" for end in CITY)]
        for path, counter.empty, language in product(paths, (False, True), ("zh-CN", "en")):
            answer = await member.get(path, headers={"accept-language": language})
            assert answer.status_code == 200, (path, counter.empty, language)
            assert " style=" not in answer.text
        assert "<b>" not in (await member.get("/credits/disputes")).text

    async def test_says_that_a_second_person_decides_on_a_handover_and_why_it_was_asked(
        self, member: httpx.AsyncClient
    ) -> None:
        form = {**TOKEN, "org": str(ident(1)), "successor": str(ident(2)), "kind": "dissolution"}
        asked = await member.post("/city/credits/estates", data=form)
        page = (await member.get(asked.headers["location"])).text
        assert "等待第二人审批" in page
        assert "企业注销" in page

    async def test_asks_for_an_invoice_of_what_was_paid_and_for_none_of_nothing(
        self, member: httpx.AsyncClient, counter: Counter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        page = (await member.get("/credits/invoices")).text
        assert 'name="amount" inputmode="decimal" value="70.00"' in page
        assert 'name="title" value=""' not in page
        _, sheet = await counter.invoices(cast(m.Who, None))
        monkeypatch.setattr(counter, "invoices", AsyncMock(return_value=(0, sheet)))
        page = (await member.get("/credits/invoices")).text
        assert 'name="amount"' not in page
        assert "没有可开票的金额" in page

    async def test_of_the_city_is_for_operators(self, member: httpx.AsyncClient, desk: Desk) -> None:
        desk.gate.member_only = True  # type: ignore[attr-defined]
        for end in CITY:
            assert (await member.get(f"/city/credits{end}")).status_code == 403

    async def test_offers_a_statement_in_three_formats(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/credits")).text
        for fmt in ("pdf", "xlsx", "csv"):
            assert f'href="/credits/statement.{fmt}?month=2026-11"' in page
        answer = await member.get("/credits/statement.pdf?month=2026-11")
        assert (answer.content, answer.headers["content-disposition"]) == (b"%PDF", "attachment")


class TestQueue:
    async def test_shows_what_a_decision_needs_and_the_way_on(
        self, member: httpx.AsyncClient, counter: Counter
    ) -> None:
        page = (await member.get("/city/credits/disputes")).text
        for needed in (f"/city/accounts/{ident(1)}", f"/receipts/{ident(7)}", "山河数据有限公司", "工单 88"):
            assert needed in page
        assert counter.queue == c.Queue()
        assert f'href="/city/credits/disputes?past={ident(6)}"' in page
        await member.get(f"/city/credits/disputes?all=1&past={ident(6)}")
        assert counter.queue == c.Queue(True, ident(6))
        assert (await member.get("/city/credits/disputes?past=none")).status_code == 200

    async def test_keeps_an_answer_that_was_refused_in_its_row(self, member: httpx.AsyncClient) -> None:
        fields = {"decision": "refuse", "answer": "?", **TOKEN}
        answer = await member.post(f"/city/credits/disputes/{ident(6)}/decide", data=fields)
        assert answer.status_code == 422
        assert '<details class="confirm" open>' in answer.text
        assert ">?</textarea>" in answer.text


class TestForm:
    async def test_does_its_work_once_with_its_token(self, member: httpx.AsyncClient, counter: Counter) -> None:
        for path, fields, kind in WORK:
            counter.sent.clear()
            assert (await member.post(path, data=fields)).status_code == 403
            assert counter.sent == []
            answer = await member.post(path, data={**fields, **TOKEN})
            assert answer.status_code == 303, path
            assert [name for name, _ in counter.sent] == [kind]

    async def test_says_what_was_wrong_and_keeps_what_was_typed(
        self, member: httpx.AsyncClient, counter: Counter
    ) -> None:
        for path, fields, words in WRONG:
            answer = await member.post(path, data={**fields, **TOKEN})
            assert answer.status_code in (409, 422), path
            assert words in answer.text
        assert counter.sent == []

    async def test_a_purchase_of_others_is_not_offered(self, member: httpx.AsyncClient) -> None:
        answer = await member.get(f"/credits/refunds/{ident(404)}")
        assert answer.status_code == 404
        assert "没有该购买" in answer.text

    async def test_codes_come_as_a_file(self, member: httpx.AsyncClient) -> None:
        answer = await member.post(f"/city/credits/batches/{ident(9)}/export", data=TOKEN)
        assert answer.content.startswith(b"1,ABCDE")
