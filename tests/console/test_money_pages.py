"""Pages where money moves: the exchange, the treasury, receipts."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any, cast
from unittest.mock import AsyncMock
from uuid import UUID

import httpx
import pytest
from tests.console.double_ground import TOKEN, ident

from shanhe.console import model_city as mc
from shanhe.console import model_credits as c
from shanhe.console.model_treasury import BalanceView
from shanhe.console.ports import Desk


class TestExchange:
    @pytest.mark.parametrize("path", ["/exchange", "/exchange/trade", "/exchange/fund", "/city/exchange"])
    @pytest.mark.parametrize(
        ("mode", "words"), [("play", "模拟资金，无任何价值"), ("sample", "示例批文"), ("real", "依据批文运行")]
    )
    async def test_says_on_every_page_by_whose_leave_it_runs(
        self, member: httpx.AsyncClient, desk: Desk, path: str, mode: str, words: str
    ) -> None:
        desk.exchange.mode = mode  # type: ignore[attr-defined]
        assert words in (await member.get(path)).text

    async def test_keeps_what_was_typed_and_says_what_was_wrong(self, member: httpx.AsyncClient) -> None:
        form = {
            "order_id": str(ident(1)),
            "side": "sell",
            "price": "7.77",
            "quantity": "12",
            "validity": "day",
            **TOKEN,
        }
        answer = await member.post("/exchange/trade", data=form)
        assert answer.status_code == 422
        assert "报价不在价格通道内" in answer.text
        assert 'value="7.77"' in answer.text
        placed = await member.post("/exchange/trade", data={**form, "price": "0.65"})
        assert placed.headers["location"] == "/exchange/trade?done=order_placed"

    async def test_amends_an_order_and_says_what_was_wrong(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/exchange/trade")).text
        path = f"/exchange/orders/{ident(20)}/amend"
        assert f'action="{path}"' in page
        assert f'action="/exchange/orders/{ident(25)}/amend"' not in page  # it is filled
        wrong = await member.post(path, data={"price": "7.77", "quantity": "12", **TOKEN})
        assert wrong.status_code == 422
        assert "报价不在价格通道内" in wrong.text
        done = await member.post(path, data={"price": "0.65", "quantity": "12", **TOKEN})
        assert done.headers["location"] == "/exchange/trade?done=order_amended"

    async def test_says_where_the_orders_are_that_one_cannot_be_cancelled_any_more(
        self, member: httpx.AsyncClient
    ) -> None:
        done = await member.post(f"/exchange/orders/{ident(20)}/cancel", data=TOKEN)
        assert done.headers["location"] == "/exchange/trade?done=order_cancelled"
        late = await member.post(f"/exchange/orders/{ident(25)}/cancel", data=TOKEN)
        assert late.status_code == 409
        assert "该委托已结束（已成交）" in late.text
        assert 'id="orders"' in late.text

    async def test_lets_operators_end_an_order_that_stands(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/city/exchange")).text
        path = f"/city/exchange/orders/{ident(20)}"
        assert f'action="{path}"' in page
        assert (await member.post(path, data=TOKEN)).headers["location"] == "/city/exchange?done=order_stopped"
        late = await member.post(f"/city/exchange/orders/{ident(25)}", data=TOKEN)
        assert (late.status_code, "该委托已结束（已成交）" in late.text) == (409, True)

    async def test_shows_ones_own_trades_what_was_undone_of_them_and_until_when_orders_stand(
        self, member: httpx.AsyncClient
    ) -> None:
        page = (await member.get("/exchange/trade")).text
        trades = page[page.index("我的成交") : page.index("我的申诉")]
        for words in ("卖出", "0.6500", "26.00", "2.60", "23.40"):
            assert words in trades, words
        assert "每笔委托不少于 10.00 元" in page
        assert page.count("至 <") == 3, "of those that are open"

    async def test_gives_real_cash_back_though_the_market_is_play_now(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        desk.exchange.mode = "play"  # type: ignore[attr-defined]
        page = (await member.get("/exchange/trade")).text
        assert "真实资金 1,840.00 元仍可转出" in page
        assert 'action="/exchange/withdraw"' in page
        assert "流水 8821" in page, "and what became of earlier requests"
        assert 'action="/exchange/deposit"' not in page

    async def test_takes_cash_by_every_configured_way(
        self, member: httpx.AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(desk.till, "ways", ("wechat", "bank_transfer"))
        page = (await member.get("/exchange/trade")).text
        assert page.count('name="method"') == 2
        assert 'value="sandbox"' not in page
        form = {"yuan": "10", "ref": "r", **TOKEN}
        for method, where in (("bank_transfer", "bank_transfer"), ("", "wechat")):
            paid = await member.post("/exchange/deposit", data={**form, "method": method})
            assert paid.headers["location"] == f"/pay/{where}/x"
        monkeypatch.setattr(desk.till, "ways", ())
        assert (await member.post("/exchange/deposit", data=form)).status_code == 422

    async def test_asks_once_for_cash_however_often_the_form_is_sent(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = (await member.get("/exchange/trade")).text
        number = re.search(r'action="/exchange/withdraw".*?name="id" value="([^"]+)"', page)
        assert number is not None
        form = {"id": number.group(1), "out": "12.5", "payee": "山河银行 6222", **TOKEN}
        for _ in range(2):
            assert (await member.post("/exchange/withdraw", data=form)).status_code == 303
        assert set(map(str, desk.exchange.asked)) == {number.group(1)}  # type: ignore[attr-defined]
        wrong = await member.post("/exchange/withdraw", data={**form, "out": "12,5元"})
        assert wrong.status_code == 422
        assert 'value="12,5元"' in wrong.text
        assert 'value="山河银行 6222"' in wrong.text

    async def test_asks_once_for_a_payment_out_of_the_fund_however_often_the_form_is_sent(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = (await member.get("/city/exchange")).text
        number = re.search(r'action="/city/exchange/pay-out".*?name="id" value="([^"]+)"', page)
        assert number is not None
        form = {"id": number.group(1), "org": "云麓软件", "yuan": "12.5", "reason": "补偿", **TOKEN}
        for _ in range(2):
            assert (await member.post("/city/exchange/pay-out", data=form)).status_code == 303
        assert set(map(str, desk.exchange.asked)) == {number.group(1)}  # type: ignore[attr-defined]
        wrong = await member.post("/city/exchange/pay-out", data={**form, "yuan": "12,5元"})
        assert wrong.status_code == 422
        assert 'value="云麓软件"' in wrong.text

    async def test_shows_what_a_dispute_led_to_and_lets_operators_undo_trades(self, member: httpx.AsyncClient) -> None:
        mine = (await member.get("/exchange/trade")).text
        assert "积分已使用或转出" in mine
        desk = (await member.get("/city/exchange")).text
        for path in (f"/city/exchange/disputes/{ident(7)}/reversal", f"/city/exchange/reversals/{ident(6)}"):
            assert f'action="{path}"' in desk
            assert (await member.post(path, data={"reason": "x", "to": "yes"})).status_code == 403
            assert (await member.post(path, data={"reason": "x", "to": "yes", **TOKEN})).status_code == 303


class TestTreasury:
    """Forms about money in and out reach the desk, and say what was wrong."""

    async def test_of_payouts_shows_what_waits_or_everything(self, member: httpx.AsyncClient, desk: Desk) -> None:
        await member.get("/city/payouts")
        assert desk.treasury.queue == c.Queue()  # type: ignore[attr-defined]
        page = await member.get(f"/city/payouts?all=1&past={ident(3)}")
        assert desk.treasury.queue == c.Queue(True, ident(3))  # type: ignore[attr-defined]
        assert '<a href="/city/payouts?all=1" aria-current="page">' in page.text
        assert "第二人批准： 周敏" in page.text, "who did it stands beside it"

    async def test_says_what_a_payout_comes_to_before_it_is_asked_for_or_approved(
        self, member: httpx.AsyncClient
    ) -> None:
        whole = (await member.get("/income/quote?amount=4000")).text
        assert 'value="4000"' in whole  # what was typed stays
        form = whole[whole.index('action="/income"') : whole.index('formmethod="get"')]
        assert 'type="hidden" name="csrf"' not in form  # the token of a session stands in no address
        assert '<button class="btn primary wide" name="csrf" value="csrf-of-session' in form
        assert "暂扣，待运营方查清" in whole
        assert "3,360.00" in whole
        part = (await member.get("/income/quote?amount=4000", headers={"hx-request": "true"})).text
        assert "3,360.00" in part
        assert "<html" not in part
        assert "不是有效的积分" in (await member.get("/income/quote?amount=abc")).text
        waiting = (await member.get("/city/payouts")).text
        assert waiting.count("预计，批准日为准") == 3  # before the second approval
        assert "/city/ledger/postings/" in waiting

    async def test_of_money_that_waits_says_whose_it_is_and_which_orders_it_fits(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = (await member.get(f"/city/bank?find=青山&past={UUID(int=80)}")).text
        assert desk.treasury.looked == ("青山", UUID(int=80))  # type: ignore[attr-defined]
        for needed in (
            "青山机器人有限公司",
            "十一月服务费",
            '<option value="SH7K2M9PQ4">',
            "对账单第 7 行",
            "指定： 王审",
            "退款 · 启明智能",
            "启明 …4444",
            "来款见对账单第 7 行",
        ):
            assert needed in page, needed
        assert "已匹配 1 · 无法读取 1" in (await member.get("/city/bank?file=a")).text
        assert f"&amp;past={UUID(int=81)}#suspense" in page
        wrong = {"order": "?", "note": "回单 7", **TOKEN}
        answer = await member.post(f"/city/bank/{UUID(int=80)}/apply", data=wrong)
        assert answer.status_code == 422
        assert 'value="回单 7"' in answer.text, "what was typed stays"

    async def test_names_the_rows_of_a_bill_that_were_not_used(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/city/reconcile")).text
        assert "1120.csv" in page
        assert "第 14 行：" in page
        assert "缺少商户订单号" in page

    async def test_offers_a_file_for_the_bank_again(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get("/city/payouts")).text
        assert f'name="batch" value="{UUID(int=80)}"' in page
        await member.post("/city/payouts/file", data=TOKEN | {"batch": str(UUID(int=80))})
        assert desk.treasury.done[-1] == ("file", UUID(int=80))  # type: ignore[attr-defined]

    async def test_says_which_days_are_missing_and_what_came_back(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/city/bank")).text
        for said in ("的对账单不完整", "SP7K2M9PQ4", "付款人要求退回", "重新汇出", "收款人尚未填写账户"):
            assert said in page, said

    async def test_offers_a_payer_what_to_do_with_money_that_waits(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/topup")).text
        for said in ("等待您处理的款项", "支付 SH7K2M9PQ4", "要求退回", "已要求退回"):
            assert said in page, said

    async def test_says_that_it_is_done_also_where_it_leads_to_a_place_on_a_page(
        self, member: httpx.AsyncClient
    ) -> None:
        answer = await member.post(f"/topup/waiting/{ident(1)}/back", data=TOKEN)
        assert answer.headers["location"] == "/topup?done=wanted_back#waiting"

    async def test_shows_a_second_person_what_a_statement_would_do(self, member: httpx.AsyncClient, desk: Desk) -> None:
        held = f"/city/bank/held/{'b' * 64}"
        assert f'href="{held}"' in (await member.get("/city/bank")).text
        page = (await member.get(held)).text
        for needed in ("b" * 64, "期末余额", "¥ 510,000.00", "1 笔，共 ¥ 5,000.00", "付讫订单 1 · 无法读取 1", "王五",
                       f'action="/city/second/{UUID(int=83)}"', 'value="approve"', 'value="reject"'):  # fmt: skip
            assert needed in page, needed
        assert "只有一名管理员或运营人员" not in page
        desk.treasury.mine = desk.treasury.alone = True  # type: ignore[attr-defined]
        own = (await member.get(held)).text
        assert 'value="approve"' not in own
        for needed in ("由您上传，须由另一名运营人员核对。", 'value="withdraw"', "只有一名管理员或运营人员"):
            assert needed in own, needed
        assert "只有一名管理员或运营人员" in (await member.get("/city/bank")).text

    async def test_reads_a_statement_file(self, member: httpx.AsyncClient, desk: Desk) -> None:
        files = {"file": ("6月.csv", "日期,金额".encode(), "text/csv")}
        answer = await member.post("/city/bank", data=TOKEN, files=files)
        assert (answer.status_code, answer.headers["location"]) == (
            303, f"/city/bank/held/{'a' * 64}?done=statement_held"
        )  # fmt: skip
        assert desk.treasury.done == [("6月.csv", "日期,金额".encode())]  # type: ignore[attr-defined]
        again = await member.post("/city/bank", data=TOKEN, files=files)
        assert "done=statement_known" in again.headers["location"]
        refused = await member.post("/city/bank", data=TOKEN, files={"file": ("e.csv", b"", "text/csv")})
        assert refused.status_code == 422
        assert "文件为空" in refused.text
        stale = await member.post("/city/bank", data={"csrf": "x"}, files=files)
        assert stale.status_code == 403

    @pytest.mark.parametrize(
        ("path", "fields", "done"),
        [
            ("/income", {"amount": "120.5", "subsidy": "1"}, ("ask", (120_500_000, True))),
            ("/income/payee", {"kind": "person", "bank": "b"}, ("payee", "b")),
            (f"/income/{ident(1)}/cancel", {}, ("cancel", ident(1))),
            (f"/city/bank/{ident(1)}/return", {"note": "n"}, ("return", ident(1))),
            (f"/city/bank/{ident(1)}/resend", {"note": "n", "fee": "10"}, ("resend", ident(1))),
            (f"/city/bank/{ident(1)}/book", {"note": "n"}, ("book", ident(1))),
            ("/city/bank/balance", {"day": "2026-11-19"}, ("balance", date(2026, 11, 19))),
            (f"/topup/waiting/{ident(1)}/use", {"order": str(ident(2))}, ("use", ident(1))),
            (f"/topup/waiting/{ident(1)}/back", {}, ("want_back", ident(1))),
            (f"/city/payouts/{ident(1)}/approve", {"channel": "bank_file"}, ("approve", ident(1))),
            (f"/city/payouts/payees/{ident(1)}", {"passed": "0", "reference": "r"}, ("check", False)),
            ("/city/reconcile", {"day": ""}, ("run", None)),
            (f"/city/reconcile/{ident(1)}/resolve", {"outcome": "released", "note": "n"}, ("resolve", "released")),
        ],
    )
    async def test_asks_the_desk(
        self, member: httpx.AsyncClient, desk: Desk, path: str, fields: dict[str, str], done: object
    ) -> None:
        answer = await member.post(path, data=TOKEN | fields)
        assert answer.status_code == 303
        assert desk.treasury.done == [done]  # type: ignore[attr-defined]

    async def test_shows_the_first_of_very_many_items_in_transit(
        self, member: httpx.AsyncClient, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A bank whose lines match nothing has as many as there are lines; the files have them all."""
        few = await desk.treasury.balance(cast("Any", None), None, None)

        async def many(*_: object) -> BalanceView:
            return replace(few, items=[few.items[0]] * 1_234)

        monkeypatch.setattr(desk.treasury, "balance", many)
        page = (await member.get("/city/bank/balance?day=2026-11-20")).text
        assert page.count("SH7K2M9PQ4") == 200
        assert "共 1,234 项" in page

    async def test_shows_the_bank_against_the_books_with_what_explains_the_difference(
        self, member: httpx.AsyncClient
    ) -> None:
        page = (await member.get("/city/bank/balance?day=2026-11-20")).text
        for said in (
            "银行已收、企业未收",
            "企业已付、银行未付",
            "0 天",
            "差额全部有说明",
            "format=pdf",
            "已复核",
            "周敏",
        ):
            assert said in page, said
        unstated = (await member.get("/city/bank/balance?day=2026-11-01")).text
        assert ("尚未上传对账单" in unstated, "两方相符" in unstated) == (True, False)
        late = await member.get("/city/bank/balance?day=2026-12-20")
        assert (late.status_code, "尚未结束" in late.text) == (422, True)
        assert (await member.post("/city/bank/balance", data=TOKEN | {"day": "soon"})).status_code == 422

    async def test_says_what_was_wrong(self, member: httpx.AsyncClient) -> None:
        for amount in ("1501", "much"):
            answer = await member.post("/income", data=TOKEN | {"amount": amount})
            assert answer.status_code == 422
            assert 'role="alert"' in answer.text
        assert (await member.post(f"/city/payouts/{ident(1)}/nonsense", data=TOKEN)).status_code == 404
        assert (await member.post("/city/reconcile", data=TOKEN | {"day": "soon"})).status_code == 422

    async def test_offers_every_way_to_pay(self, member: httpx.AsyncClient) -> None:
        page = await member.get("/topup/quote?yuan=1000")
        for method in ("wechat", "alipay", "bank_transfer"):
            assert f'name="method" value="{method}"' in page.text

    async def test_keeps_the_way_to_pay_and_the_amount_that_were_chosen(self, member: httpx.AsyncClient) -> None:
        """Each change of the amount asks for another quote, and what can't be bought is shown again."""
        assert 'hx-include="#quote" hx-params="yuan,method"' in (await member.get("/topup")).text
        again = await member.get("/topup/quote?yuan=70&method=alipay", headers={"hx-request": "true"})
        refused = await member.post("/topup", data=TOKEN | {"quote": "gone", "asked": "70", "method": "alipay"})
        assert refused.status_code == 422
        assert re.findall(r'value="(\w+)"[^>]* checked', again.text) == ["alipay"]
        assert 'id="yuan" class="num" name="yuan" inputmode="decimal" value="70"' in refused.text
        first = await member.get("/topup/quote?yuan=70&method=gold", headers={"hx-request": "true"})
        assert len(re.findall(r" checked", first.text)) == 1

    async def test_leads_from_a_transfer_to_its_account_and_waits_for_days_in_peace(
        self, member: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, desk: Desk
    ) -> None:
        row = await desk.till.purchase_get(cast(Any, None), ident(200))
        waits = replace(row, method="bank_transfer", state="open", redirect_url="/pay/bank_transfer/1")
        monkeypatch.setattr(desk.till, "purchase_get", AsyncMock(return_value=waits))
        page = (await member.get(f"/topup/{ident(200)}")).text
        assert "查看账号与汇款识别码" in page
        assert 'hx-trigger="every 30s"' in page
        assert "<progress" not in page


class TestModels:
    async def test_says_what_writing_to_a_cache_is_charged_where_that_is_not_the_price_of_input(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        assert "缓存写入" not in (await member.get("/models")).text
        first, *others = await desk.member.models()
        prices = {**first.prices, "cache_write": 35_000_000}
        desk.member.models = AsyncMock(return_value=[replace(first, prices=prices), *others])  # type: ignore[method-assign]
        page = (await member.get("/models")).text
        assert re.search(r"缓存写入 <span class=\"num\">35\.00", page)
        same = {**first.prices, "cache_write": first.prices["input"]}
        desk.member.models.return_value = [replace(first, prices=same)]
        assert "缓存写入" not in (await member.get("/models")).text


class TestReceipt:
    async def test_names_no_bucket_that_had_no_price_yet(self, member: httpx.AsyncClient, desk: Desk) -> None:
        """Nothing was written to a cache for 0 credits before that had a price."""
        found = await desk.member.receipt(cast(Any, None), ident(3))
        lines = [*found.buckets, replace(found.buckets[0], bucket="cache_write", tokens=0, price_micro=0)]
        desk.member.receipt = AsyncMock(return_value=replace(found, buckets=lines))  # type: ignore[method-assign]
        page = (await member.get(f"/receipts/{ident(3)}")).text
        assert "缓存写入" not in page
        assert "推理" in page

    async def test_leads_to_the_form_of_a_dispute(self, member: httpx.AsyncClient) -> None:
        page = (await member.get(f"/receipts/{ident(3)}")).text
        link = f"/credits/disputes?receipt={ident(3)}"
        assert f'href="{link}"' in page
        assert f'value="{ident(3)}"' in (await member.get(link)).text


class TestRecords:
    """The ledger, the audit and applications are looked into by whose, what and when."""

    async def test_stand_before_an_operators_own_business(self, member: httpx.AsyncClient) -> None:
        page = (await member.get("/city/ledger")).text
        assert page.index('href="/city/accounts"') < page.index('href="/keys"')

    async def test_of_the_ledger_are_found_by_owner_and_days(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = await member.get("/city/ledger?kind=call&account=启明&since=2026-11-01&until=2026-11-20")
        days = mc.Days(date(2026, 11, 1), date(2026, 11, 20))
        assert desk.books.asked == ("call", ident(40), days, "")  # type: ignore[attr-defined]
        assert f'href="/city/ledger?account={ident(40)}"' in page.text
        assert 'name="since" type="date" value="2026-11-01"' in page.text

    async def test_of_an_account_add_up_to_its_balance(self, member: httpx.AsyncClient, desk: Desk) -> None:
        page = (await member.get(f"/city/ledger?account={ident(40)}&since=2026-11-01&until=2026-11-20")).text
        days = mc.Days(date(2026, 11, 1), date(2026, 11, 20))
        assert desk.books.asked == (ident(40), days, "")  # type: ignore[attr-defined]
        for needed in (
            "知识产权奖励", "2026-11-01 以前的余额", "15.00", "−2.50", "12.50", "发放 7",
            f"/city/ledger/postings/{ident(4)}",
            f"/api/ledger/accounts/{ident(40)}/statement.csv?since=2026-11-01&amp;until=2026-11-20", "after=next%7C1",
        ):  # fmt: skip
            assert needed in page, needed

    async def test_of_a_posting_lead_to_its_accounts_and_rules_and_back_to_the_amount(
        self, member: httpx.AsyncClient
    ) -> None:
        page = (await member.get(f"/city/ledger/postings/{ident(4)}")).text
        for needed in (
            "P11 平台定价", "四·1.2",
            f'href="/city/ledger?account={ident(40)}"', f'/api/ledger/postings/{ident(4)}" download',
            "/rules/P1_resident_discount?on=2026-11-20&amp;fact_value_fen=1000#try", "分配", "自购", "正式市场",
            f"<code class=\"xs wrap\">{ident(7)}</code>",
        ):  # fmt: skip
            assert needed in page, needed
        assert "{&#34;" not in page, "no raw data where people read"

    async def test_of_the_ledger_keep_the_question_when_the_owner_is_unknown(self, member: httpx.AsyncClient) -> None:
        answer = await member.get("/city/ledger?account=?&since=2026-11-01")
        assert answer.status_code == 422
        assert "没有该机构" in answer.text
        assert 'value="2026-11-01"' in answer.text

    async def test_of_payouts_are_a_sheet_of_what_waits_or_of_all(self, member: httpx.AsyncClient) -> None:
        assert 'href="/city/payouts.csv?all=1"' in (await member.get("/city/payouts?all=1")).text
        sheets = [(await member.get(f"/city/payouts.csv{query}")).text for query in ("", "?all=1")]
        assert sheets == [f"\ufeff编号,收益人,状态\r\n,青山机器人,{every}\r\n" for every in (False, True)]

    async def test_of_applications_are_found_by_programme_and_applicant(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = await member.get("/city/programmes?programme=software_copyright&find=青山&state=refused")
        asked = ("refused", "software_copyright", "青山", None)
        assert desk.promises.looked == asked  # type: ignore[attr-defined]
        assert '<option value="software_copyright" selected>' in page.text
        assert 'href="/city/programmes.csv?' in page.text
        sheet = await member.get("/city/programmes.csv?programme=software_copyright&state=other&find=机器人")
        assert sheet.text == "\ufeff编号,计划,申请方\r\n,software_copyright,机器人\r\n"
        await member.get(f"/city/programmes?programme=other&state=other&before={ident(1)}")
        assert desk.promises.looked == ("", "", "", ident(1))  # type: ignore[attr-defined]

    async def test_of_applications_are_imported_from_a_list_that_was_looked_through_first(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        form = await member.get("/city/programmes/import?programme=software_copyright")
        csrf = re.findall('name="csrf" value="([^"]+)"', form.text)[0]
        about = {"csrf": csrf, "programme": "software_copyright", "batch": "三月"}
        post = partial(member.post, "/city/programmes/import")
        wrong = await post(data=about, files={"file": ("list.csv", b"party\nx\nnobody\n")})
        assert wrong.status_code == 422
        assert "没有该主体" in wrong.text
        assert 'value="record"' not in wrong.text
        seen = await post(data=about, files={"file": ("list.csv", b"party\nx\n")})
        assert (seen.status_code, "登记日超过一年" in seen.text) == (200, True)
        table = re.findall('name="table" value="([^"]+)"', seen.text)[0]
        done = await post(data={**about, "table": table, "do": "record"})
        assert (done.status_code, done.headers["location"]) == (
            303, "/city/programmes?programme=software_copyright&done=imported"
        )  # fmt: skip
        sent = [one[1:] for one in desk.promises.done if one[0] == "imported"]  # type: ignore[attr-defined]
        assert sent[1:] == [("software_copyright", "三月", b"party\nx\n", check) for check in (True, False)]
        assert (await post(data={**about, "table": "?", "do": "record"})).status_code == 422

    async def test_of_the_audit_are_found_by_actor_subject_action_and_days(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = await member.get("/city/audit?by=chen&about=启明&action=key_create&since=2026-11-01&until=soon")
        asked = mc.ActsWanted("chen", "启明", "key_create", mc.Days(date(2026, 11, 1), None))
        assert desk.books.asked == (asked, "")  # type: ignore[attr-defined]
        assert '<option value="key_create" selected>' in page.text
        assert "密钥 …14bc7ab5" in page.text  # and not `key`, as the record has it
        await member.get("/city/audit?action=' OR 1")
        assert desk.books.asked == (mc.ActsWanted(), "")  # type: ignore[attr-defined]

    async def test_of_the_audit_are_found_by_what_was_changed_and_go_with_a_page_and_a_sheet(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        page = await member.get(f"/city/audit?action=governance_seat&before={ident(1)}")
        assert desk.books.asked == (mc.ActsWanted(action="governance.seat"), str(ident(1)))  # type: ignore[attr-defined]
        assert '<option value="governance_seat" selected>' in page.text
        assert 'href="/city/audit.csv?by=&amp;about=&amp;action=governance.seat&amp;since=&amp;until="' in page.text
        assert "<s>finance</s> → science" in page.text
        assert "DELETE /api/governance/seats/{person_id}/{department}" in page.text
        sheet = await member.get("/city/audit.csv?by=chen&action=governance.seat")
        assert sheet.text == "\ufeff时间,编号\r\nchen,1\r\n"
        assert sheet.headers["content-disposition"] == 'attachment; filename="audit.csv"'
