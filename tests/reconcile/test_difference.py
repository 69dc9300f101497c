"""Counts that should agree: each way to differ is planted once and must be found, posted and resolved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

import shanhe.approvals.store
import shanhe.payments.bank
import shanhe.reconcile.service
from shanhe.app import Services, open_services
from shanhe.approvals.api import SamePerson
from shanhe.compute import counting
from shanhe.gateway.meter import Buckets
from shanhe.gateway.model import Evidence, Timings
from shanhe.gateway.store import UsageKey, UsageStore
from shanhe.gateway.tariff import Prices
from shanhe.identity.api import NewOrganisation, OrgKind
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, Charge, Leg, NewLot, Posting, Provenance, Transfer
from shanhe.payments.api import OrderRequest, StatementUnreadable, UnknownProvider
from shanhe.payments.bills import read
from shanhe.reconcile.api import (
    DayNotOver,
    Difference,
    DifferenceResolved,
    Outcome,
    OutcomeUnfit,
    State,
    UnknownDifference,
)
from shanhe.settings import Settings
from stage.faults import lost_mark

MICRO = 1_000_000
USED = Buckets(input=60, output=40)


class Night:
    """A whole city with a clock that the test moves, and the day that is to be compared."""

    def __init__(self, services: Services, clock: FixedClock) -> None:
        self.services, self.clock, self.day = services, clock, clock.today()
        self.org, self.key = uuid4(), uuid4()
        self.meter = UsageStore(services.db)

    async def over(self) -> None:
        self.clock.advance(days=1)

    async def differences(self) -> list[Difference]:
        await self.services.reconciliation.run(self.day)
        return await self.services.reconciliation.differences(self.day)

    async def call(
        self, micro: int = 500, *, told: int | None = None, engine: str = "e1",
        buckets: Buckets = USED,
    ) -> None:  # fmt: skip
        """One paid call in the ledger; `told` is what its receipt says when it lies."""
        ledger = self.services.ledger
        wallet = await ledger.ensure_account(self.org, Asset.CREDIT, "wallet")
        revenue = await ledger.system_account("revenue", Asset.CREDIT)
        issuance = await ledger.system_account("issuance", Asset.CREDIT)
        lot = NewLot(account=wallet.id, provenance=Provenance.PURCHASED, amount=micro)
        granted = Transfer(new_id(), issuance.id, wallet.id, micro)
        await ledger.post(Posting(id=new_id(), kind="grant", transfers=(granted,), lots=(lot,)))
        reservation = await ledger.admit(wallet.id, micro, receipt_id=new_id())
        evidence = Evidence(
            v=1, face="openai", model="m", org_id=self.org, key_id=self.key, key_name="k", engine=engine,
            engine_kind="openai", upstream_model="m", stream=False, status="completed", finish_reason="stop",
            buckets=buckets, usage_source="engine", usage_clamped=False,
            prices=Prices(1, 1, 1, 1, 1, "p"), held_micro=micro, total_micro=micro if told is None else told,
            uncovered_micro=0, shares=(), rules={},
            timings=Timings(0, 0, 0), attempts=1,
        )  # fmt: skip
        charge = Charge(micro, (Leg(revenue.id, micro),), msgspec.json.encode(evidence))
        await ledger.settle(reservation, charge)

    async def metered(self, calls: int, micro: int) -> None:
        key = UsageKey(self.day, self.org, self.key, "m")
        await self.meter.add({key: [calls, 60 * calls, 0, 40 * calls, 0, 0, 0, micro]})

    async def purchase(self, value_fen: int = 10_000) -> UUID:
        """Credits bought and paid with the sandbox; the order's id."""
        credits, sandbox = self.services.credits, self.services.sandbox
        new = NewOrganisation(OrgKind.COMPANY, f"山河数据 {uuid4().hex[:6]}")
        org = await self.services.identity.orgs.create(new, by="test")
        bought = await credits.purchase(org.id, client_ref="r", value_fen=value_fen, actor="t")
        order = await self.services.payments.order(bought.order_id)
        await sandbox.pay(order.provider_ref)
        await self.deliver()
        return order.id

    async def deliver(self) -> None:
        async def receive(headers, body):
            return await self.services.payments.notify("sandbox", headers, body)

        await self.services.sandbox.deliver_due(receive)

    async def fen(self, kind: str, name: str) -> int:
        account = await self.services.ledger.system_account(kind, Asset.CNY, name)
        return (await self.services.ledger.balance(account.id)).balance


@pytest.fixture
async def night(dsn: str, tmp_path: Path, clock: FixedClock) -> AsyncIterator[Night]:
    settings = Settings(data=tmp_path, database_url=dsn, with_model=False)
    async with open_services(settings, "cli", clock) as services:
        yield Night(services, clock)


class TestDay:
    async def test_that_agrees_has_no_difference(self, night: Night) -> None:
        for _ in range(3):
            await night.call()
        await night.metered(3, 1_500)
        await night.purchase()
        await night.over()
        run = await night.services.reconciliation.run(by="person:1")
        assert (run.day, run.differences) == (night.day, 0)
        assert {name: check["compared"] for name, check in run.checks.items()} == {
            "meter_ledger": 1, "receipt_ledger": 3, "engine_ledger": 0, "payments_ledger": 1, "statement_payments": 1
        }  # fmt: skip
        assert run.checks["engine_ledger"]["skipped"] == ["e1"]

    async def test_that_is_not_over_cannot_be_compared(self, night: Night) -> None:
        with pytest.raises(DayNotOver):
            await night.services.reconciliation.run(night.day)


class TestMeter:
    async def test_that_lost_calls_is_found_and_not_corrected(self, night: Night) -> None:
        await night.call()
        await night.call()
        await night.metered(1, 500)
        await night.over()
        found = await night.differences()
        assert {(d.kind, d.left, d.right) for d in found} == {
            ("calls", 1, 2), ("tokens", 100, 200), ("amount_micro", 500, 1_000)
        }  # fmt: skip
        assert {d.owner for d in found} == {"platform operations"}
        again = await night.differences()
        assert {d.id for d in again} == {d.id for d in found}
        assert await night.services.db.fetchval("SELECT calls FROM gateway.usage_day") == 1

    async def test_of_calls_that_nobody_paid_is_found(self, night: Night) -> None:
        await night.metered(5, 0)
        await night.over()
        assert {d.kind for d in await night.differences()} == {"calls", "tokens"}

    async def test_and_a_receipt_that_says_another_amount_are_found(self, night: Night) -> None:
        await night.call(500, told=400)
        await night.metered(1, 400)
        await night.over()
        (found,) = await night.differences()
        assert (found.check, found.left, found.right) == ("receipt_ledger", 400, 500)


class TestEngine:
    async def test_that_counted_more_than_was_charged_is_found(self, night: Night) -> None:
        await night.call()
        await night.metered(1, 500)
        for counters in ((1_000, 500), (1_060, 540), (1_160, 540)):
            await counting.record(night.services.db, "e1", counters, night.day, night.clock.now())
        await night.over()
        (found,) = await night.differences()
        assert (found.subject, found.kind, found.left, found.right) == ("e1", "prompt", 160, 60)

    async def test_that_wrote_to_its_cache_what_it_read_agrees(self, night: Night) -> None:
        await night.call(buckets=Buckets(input=10, cached_input=7, output=40, cache_write=50))
        for counters in ((1_000, 500), (1_060, 540)):
            await counting.record(night.services.db, "e1", counters, night.day, night.clock.now())
        await night.over()
        assert [one for one in await night.differences() if one.check == "engine_ledger"] == []

    async def test_that_started_again_goes_on_counting(self, night: Night) -> None:
        for counters in ((100, 100), (150, 130), (10, 10), (30, 20)):
            await counting.record(night.services.db, "e1", counters, night.day, night.clock.now())
        (count,) = await night.services.compute.counts.of(night.day)
        assert (count.prompt, count.completion, count.restarts) == (80, 50, 1)

    @pytest.mark.parametrize(
        ("page", "counted"),
        [
            ("# HELP x\nllamacpp:prompt_tokens_total 12\nllamacpp:tokens_predicted_total 3\n", (12, 3)),
            ('vllm:prompt_tokens_total{model_name="a"} 1e3\nvllm:prompt_tokens_total{model_name="b"} 5\n'
             'vllm:generation_tokens_total{model_name="a"} 7.0\n', (1_005, 7)),
            ("llamacpp:prompt_tokens_total 12\n", None),
            ("<html>no</html>", None),
        ],
    )  # fmt: skip
    def test_counters_are_read_from_its_metrics(self, page: str, counted: tuple[int, int] | None) -> None:
        assert counting.parse(page) == counted


class TestMoney:
    async def test_paid_but_not_booked_is_posted_to_suspense(self, night: Night) -> None:
        request = OrderRequest(night.org, "r", "nobody", "sandbox", 7_000, "测试")
        order = await night.services.payments.create(request)
        await night.services.sandbox.pay(order.provider_ref)
        await night.deliver()
        await night.over()
        (found,) = await night.differences()
        assert (found.check, found.left, found.right, found.owner) == ("payments_ledger", 7_000, 0, "treasury")
        assert await night.fen("suspense", "reconciliation") == 7_000
        assert await night.fen("cash", "sandbox") == -7_000
        await night.differences()
        assert await night.fen("suspense", "reconciliation") == 7_000

    async def test_that_the_institution_has_and_we_lack_is_posted(self, night: Night) -> None:
        request = OrderRequest(night.org, "r", "credits", "sandbox", 7_000, "测试")
        order = await night.services.payments.create(request)
        await night.services.sandbox.pay(order.provider_ref)  # and its notification is lost for good
        await night.services.db.execute("DELETE FROM payments.sandbox_notice")
        await night.over()
        (found,) = await night.differences()
        assert (found.kind, found.left, found.right, found.money_fen) == ("missing_here", 7_000, 0, 7_000)
        assert await night.fen("suspense", "reconciliation") == 7_000

    async def test_that_we_have_and_the_institution_lacks_is_posted(self, night: Night) -> None:
        order_id = await night.purchase(10_000)
        await night.services.db.execute("DELETE FROM payments.sandbox_payment WHERE order_id = $1", order_id)
        await night.over()
        (found,) = await night.differences()
        assert (found.kind, found.money_fen) == ("missing_there", -10_000)
        assert await night.fen("suspense", "reconciliation") == -10_000
        assert await night.fen("cash", "sandbox") == 0

    async def test_of_another_amount_is_posted(self, night: Night) -> None:
        order_id = await night.purchase(10_000)
        await night.services.db.execute(
            "UPDATE payments.sandbox_payment SET amount_fen = 10500 WHERE order_id = $1", order_id
        )
        await night.over()
        (found,) = await night.differences()
        assert (found.kind, found.money_fen) == ("other_amount", 500)
        assert (await night.services.ledger.verify()).clean

    async def test_refunded_agrees_too(self, night: Night) -> None:
        order_id = await night.purchase(10_000)
        refund = await night.services.payments.refund(order_id, 4_000, client_ref="x", reason="r", actor="t")
        await night.deliver()
        await night.over()
        found = await night.differences()
        # nobody here booked it: that one is found, and the institution's word about it is no difference
        assert [(d.check, d.subject) for d in found] == [("payments_ledger", f"refund {refund.id}")]
        assert await night.fen("suspense", "reconciliation") == -4_000


class TestResolution:
    async def planted(self, night: Night) -> Difference:
        request = OrderRequest(night.org, "r", "nobody", "sandbox", 7_000, "测试")
        order = await night.services.payments.create(request)
        await night.services.sandbox.pay(order.provider_ref)
        await night.deliver()
        await night.over()
        (found,) = await night.differences()
        return found

    async def test_releases_money_whose_cause_was_put_right(self, night: Night) -> None:
        found, desk = await self.planted(night), night.services.reconciliation
        assert (await desk.assign(found.id, "国库科 李", by="person:clerk")).state is State.ASSIGNED
        done = await desk.resolve(found.id, Outcome.RELEASED, by="person:2", note="已补记")
        assert (done.state, done.decided_by, done.owner) == (State.RESOLVED, "person:2", "国库科 李")
        assert done.assigned_by == "person:clerk"
        assert (await night.fen("suspense", "reconciliation"), await night.fen("cash", "sandbox")) == (0, 0)
        assert await desk.differences() == []
        with pytest.raises(DifferenceResolved):
            await desk.resolve(found.id, Outcome.RELEASED, by="person:2", note="x")

    async def test_writes_money_off_to_a_named_account(self, night: Night) -> None:
        found, desk = await self.planted(night), night.services.reconciliation
        moves, approvals = night.services.moves, night.services.approvals
        asked = [await moves.ask_write_off(found.id, "付款人放弃", by="person:1") for _ in range(2)]
        assert asked[0].id == asked[1].id
        with pytest.raises(SamePerson):
            await approvals.agree(asked[0].id, by="person:1")
        assert await night.fen("suspense", "reconciliation") == 7_000
        with lost_mark():
            await approvals.agree(asked[0].id, by="person:2")
        assert (await approvals.agree(asked[0].id, by="person:2")).state == "done"
        assert (await desk.get(found.id)).decided_by == "person:1 + person:2"
        with pytest.raises(DifferenceResolved):
            await moves.ask_write_off(found.id, "x", by="person:1")
        assert await night.fen("suspense", "reconciliation") == 0
        assert await night.fen("revenue", "reconciliation") == 7_000
        assert (await night.services.ledger.verify()).clean

    async def test_of_money_is_no_mere_explanation(self, night: Night) -> None:
        found, desk = await self.planted(night), night.services.reconciliation
        with pytest.raises(OutcomeUnfit):
            await desk.resolve(found.id, Outcome.EXPLAINED, by="person:2", note="x")
        with pytest.raises(UnknownDifference):
            await desk.resolve(uuid4(), Outcome.EXPLAINED, by="person:2", note="x")

    async def test_is_finished_after_a_crash(self, night: Night, monkeypatch) -> None:
        async def crash(*_: object) -> None:
            raise OSError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(night.services.ledger, "post", crash)
            with pytest.raises(OSError, match="gone"):
                await self.planted(night)
        await night.services.reconciliation.settle()
        assert await night.fen("suspense", "reconciliation") == 7_000
        assert await night.services.reconciliation.settle() == 0


WECHAT = (
    "交易时间,公众账号ID,商户号,微信订单号,商户订单号,交易状态,货币种类,应结订单金额,微信退款单号,商户退款单号,退款金额\n"
    "`2026-11-20 11:00:00,`wx,`190,`42000,`{order},`SUCCESS,`CNY,`70.00,`0,`0,`0.00\n"
    "`2026-11-20 12:00:00,`wx,`190,`42000,`{order},`REFUND,`CNY,`0.00,`5000,`{refund},`20.00\n"
    "总交易单数,应结订单总金额,退款总金额\n`2,`70.00,`20.00\n"
)
ALIPAY = (
    "#支付宝业务明细查询\n#账号：[2088]\n"
    "支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,订单金额（元）,商家实收（元）,退款批次号/请求号\n"
    "2026\t,{order}\t,交易,积分,2026-11-20 10:59:00,2026-11-20 11:00:00,70.00,70.00,\n"
    "2026\t,{order}\t,退款,积分,2026-11-20 10:59:00,2026-11-20 12:00:00,-20.00,-20.00,{refund}\n"
    "#交易合计：1笔\n"
)


class TestBill:
    @pytest.mark.parametrize(("provider", "text"), [("wechat", WECHAT), ("alipay", ALIPAY)])
    @pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
    def test_of_an_institution_is_read(self, provider: str, text: str, encoding: str) -> None:
        order, refund = uuid4(), uuid4()
        rows, problems = read(provider, text.format(order=order.hex, refund=refund.hex).encode(encoding))
        assert problems == []
        lines = list(rows.values())
        found = [(line.kind, line.number, line.amount_fen) for line in lines]
        assert found == [("payment", order, 7_000), ("refund", refund, 2_000)]
        assert lines[0].at.isoformat() == "2026-11-20T03:00:00+00:00"

    async def test_counts_once_and_is_compared(self, night: Night) -> None:
        bills = night.services.bills
        data = WECHAT.format(order=uuid4().hex, refund=uuid4().hex).encode()
        assert not (await bills.upload("wechat", data, name="b", actor="t")).known
        assert (await bills.upload("wechat", data, name="b", actor="t")).known
        day = night.clock.now() - timedelta(days=1)
        assert len(await bills.lines("wechat", day, day + timedelta(days=2)) or ()) == 2
        assert await bills.lines("alipay", day, day + timedelta(days=2)) is None
        with pytest.raises(UnknownProvider):
            await bills.upload("nobody", data, name="b", actor="t")
        with pytest.raises(StatementUnreadable):
            await bills.upload("wechat", b"a,b\n1,2", name="b", actor="t")

    async def test_names_each_row_that_it_could_not_use_and_why(self, night: Night) -> None:
        order, refund = uuid4().hex, uuid4().hex
        whole = ALIPAY.format(order=order, refund=refund)
        await night.services.bills.upload("alipay", whole.encode(), name="a", actor="t")
        first = whole.splitlines()[: whole.splitlines().index(next(x for x in whole.splitlines() if order in x))]
        number = len(first) + 1
        good = whole.splitlines()[number - 1]
        rows = [
            good.replace("70.00", "71.00"), good.replace(order, uuid4().hex).replace("70.00", "seventy"),
            good.replace(order, ""), good.replace(order, uuid4().hex), "2026\t,abc",
        ]  # fmt: skip
        night.clock.advance(minutes=1)
        report = await night.services.bills.upload("alipay", "\n".join([*first, *rows]).encode(), name="b", actor="t")
        assert (report.lines, report.refused) == (2, 4)
        assert [one.row - number for one in report.problems] == [0, 1, 2, 4]
        words = ("70.00", "seventy", "缺少", "列")
        assert all(word in one.why for one, word in zip(report.problems, words, strict=True))
        assert [(one.name, one.refused) for one in await night.services.bills.reports()] == [("b", 4), ("a", 0)]


class TestClose:
    async def test_is_asked_for_with_what_is_still_open_before_one(self, night: Night) -> None:
        services, day = night.services, night.day
        statement = f"日期,贷方,附言\n{day:%Y%m%d},321.50,谢谢"
        await services.bank.statements.take(statement.encode(), name="s", actor="t", second="person:2")
        await services.reconciliation.run(day - timedelta(days=2))
        await night.over()
        found = {one.kind: (one.count, one.since) for one in await services.moves.unfinished(day)}
        assert found == {"suspense": (1, day), "uncompared": (2, day - timedelta(days=1)), "unsigned": (1, day)}
        before = [one.kind for one in await services.moves.unfinished(day - timedelta(days=1))]
        assert before == ["uncompared", "unsigned"]
        assert "unread" in [one.kind for one in await services.moves.unfinished(services.clock.today())]
        for one in (day - timedelta(days=1), day):
            await services.reconciliation.run(one)
        (item,) = await services.bank.suspense()
        await services.bank.book(item.id, actor="t", note="利息")
        await services.bank.balances.sign((await services.bank.balances.prepare(day, by="t")).id, by="t + u")
        assert [one.kind for one in await services.moves.unfinished(day)] == []

    async def test_hears_of_what_lies_behind_the_first_page(
        self, night: Night, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Newer money, newer requests and newer comparisons than a page holds hide none of an older day."""
        for module in (shanhe.payments.bank, shanhe.approvals.store, shanhe.reconcile.service):
            monkeypatch.setattr(module, "PAGE_ROWS", 1)
        services, day = night.services, night.day
        first = day - timedelta(days=1)
        for one in (first, day):
            statement = f"日期,贷方,附言\n{one:%Y%m%d},321.50,谢谢"
            await services.bank.statements.take(statement.encode(), name="s", actor="t", second="person:2")
        await night.over()
        for one in (first, day):
            await services.reconciliation.run(one)
        found = {one.kind: (one.count, one.since) for one in await services.moves.unfinished(first)}
        assert found == {"suspense": (1, first), "unsigned": (1, first)}

    async def test_asks_of_no_day_too_much(self, night: Night) -> None:
        for day in (date.min, date.max):
            await night.services.moves.unfinished(day)


def test_day_of_the_tests_is_a_day_of_the_city(clock: FixedClock) -> None:
    assert clock.today() == date(2026, 11, 20)
