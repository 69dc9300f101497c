"""Bank transfers: messy statements, matching by reference and amount, suspense with a posting and an owner."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from hypothesis import example, given
from hypothesis import strategies as st

import shanhe
from shanhe.kernel import http
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Asset, Ledger, Posting, Transfer
from shanhe.payments import bank_csv, bank_model, routes
from shanhe.payments.api import (
    BankAccount,
    BankDesk,
    BankTransfer,
    BookAs,
    CannotBeBooked,
    ExplainsAnother,
    LineState,
    NotExplained,
    Order,
    OrderRequest,
    Payments,
    RefundState,
    Report,
    State,
    StatementIncomplete,
    StatementUnreadable,
    Suspense,
    SuspenseDecided,
    SuspenseKind,
    SuspenseState,
    SuspenseUnfit,
    SuspenseUnsettled,
    UnknownPayment,
    UnknownSuspense,
)
from stage.reading import asked

from .conftest import NOON

ACCOUNT = BankAccount("山河市", "6200 1234", "山河银行")
HEADER = "交易日期,交易时间,借方发生额,贷方发生额,对方户名,对方账号,摘要,附言,流水号"


class Branch:
    """A bank account, its desk and one customer."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self.db, self.clock = db, FixedClock(NOON)
        self.ledger = Ledger(db, self.clock)
        transfer = BankTransfer(db, self.clock, ACCOUNT, lambda: 15)
        self.payments = Payments(db, self.clock, {transfer.name: transfer})
        self.people: set[UUID] = set()
        self.desk = BankDesk(
            db, self.clock, ledger=self.ledger, payments=self.payments, vault=vault, personal=self.is_person
        )
        self.told: list[Order] = []
        self.payments.subscribe("test", self.hear)
        self.serial = 0

    async def is_person(self, org_id: UUID) -> bool:
        return org_id in self.people

    async def hear(self, order: Order) -> None:
        self.told.append(order)
        await self.payments.acknowledge(order)

    async def ordered(self, amount_fen: int = 500_000) -> Order:
        request = OrderRequest(uuid4(), uuid4().hex, "test", "bank_transfer", amount_fen, "积分充值")
        return await self.payments.create(request)

    def row(self, remark: str, credit: str = "", debit: str = "") -> str:
        self.serial += 1
        return f'2026-06-02,10:30:00,"{debit}","{credit}",市教育局,62001111222233334444,转账,{remark},L{self.serial}'

    async def upload(self, *rows: str, encoding: str = "utf-8", header: str = HEADER) -> Report:
        data = "\n".join([header, *rows]).encode(encoding)
        return await self.desk.statements.take(data, name="6月.csv", actor="person:1", second="person:2")

    async def suspended_fen(self) -> int:
        account = await self.ledger.system_account("suspense", Asset.CNY, "bank transfers")
        return (await self.ledger.balance(account.id)).balance

    async def cash_fen(self) -> int:
        account = await self.ledger.system_account("cash", Asset.CNY, "bank_transfer")
        return -(await self.ledger.balance(account.id)).balance

    async def waiting(self) -> list[Suspense]:
        return await self.desk.suspense()


@pytest.fixture
async def branch(database: Database, tmp_path: Path):
    made = Branch(database, Vault(tmp_path))
    yield made
    await made.ledger.stop()


class TestCashier:
    async def test_lets_a_payer_copy_the_transfer_without_the_page_reloading_under_it(self, branch: Branch) -> None:
        order = await branch.ordered()
        app = FastAPI()
        http.install(app)
        http.take(app, routes.router(branch.payments, None))
        async with AsyncClient(transport=ASGITransport(app), base_url="http://city") as client:
            answer = await client.get(f"/pay/bank_transfer/{order.id.hex}")
        page = answer.text
        assert order.provider_ref in page
        assert "收款账号" in page
        assert "Account number" not in page
        assert page.count("<button") == 5
        script = page.partition("<script>")[2].partition("</script>")[0]
        allowed = b64encode(sha256(script.encode()).digest()).decode()
        assert f"script-src 'sha256-{allowed}'" in answer.headers["content-security-policy"]
        assert 'http-equiv="refresh"' not in page


class TestReference:
    def test_is_found_whatever_stands_around_it(self) -> None:
        reference = bank_model.new_reference("H")
        spaced = f"{reference[:4]} {reference[4:7]}-{reference[7:]}".lower()
        for remark in (reference, f"教育局货款{reference}谢谢", spaced, f"XSH22{reference}9", f"ＳＨ{reference[2:]}"):
            assert reference in bank_model.references(remark), remark

    @given(st.integers(2, 9), st.sampled_from(bank_model.ALPHABET))
    def test_with_one_wrong_letter_is_none(self, place: int, letter: str) -> None:
        reference = bank_model.new_reference("H")
        wrong = reference[:place] + letter + reference[place + 1 :]
        assert (bank_model.references(wrong) == [wrong]) == (wrong == reference)


class TestStatement:
    async def test_keeps_no_more_of_a_person_who_pays_than_the_reference(self, branch: Branch) -> None:
        company, person = await branch.ordered(), await branch.ordered()
        branch.people.add(person.org_id)
        references = [str(one.details["reference"]) for one in (company, person)]
        report = await branch.upload(*(branch.row(f"货款 {one} 王小明", "5000.00") for one in references))
        assert [line.state for line in report.lines] == [LineState.MATCHED] * 2
        assert [(line.party, line.remark) for line in report.lines] == [
            ("市教育局", f"货款 {references[0]} 王小明 转账"), ("", references[1])
        ]  # fmt: skip

    def test_is_read_in_the_shapes_that_banks_write(self) -> None:
        shapes = [
            "账户：62001234,,,\n币种：人民币\n" + HEADER + "\n"
            '20260602,103000,,"￥5,000.00",教育局,6200,转账,SH附言,1\n合计,,,5000',
            "交易时间\t收/支\t金额(元)\t对方名称\t备注\n2026/06/02 10:30:00\t收入\t5000\t教育局\tSH附言",
            'date;amount;counterparty;remark\n="2026-06-02";" 5,000.00 ";教育局;SH附言',
            "交易日期,借贷标志,交易金额,对方户名,用途\n2026年06月02日,贷,５０００.００,教育局,SH附言",
        ]
        for text in shapes:
            for encoding in ("utf-8", "utf-8-sig", "gb18030"):
                _, (line,) = bank_csv.read(text.encode(encoding))
                assert (line.why, line.amount_fen, line.direction, line.party) == ("", 500_000, "in", "教育局"), text
                assert "SH附言" in line.remark
                assert line.at is not None
                assert line.at.isoformat()[:10] in ("2026-06-02", "2026-06-01")

    @pytest.mark.parametrize(("came", "left"), [("收入", "支出"), ("C", "D"), ("来账", "往账"), ("转入", "转出")])
    def test_tells_which_way_money_went_by_what_a_column_says_whatever_its_title_is(self, came: str, left: str) -> None:
        """Else all of it would have come in."""
        rows = [f"20260602,B01,{came},5,教育局,货款", f"20260602,B01,{left},6,教育局,货款", "合计,,2笔,11,,"]
        _, lines = bank_csv.read("\n".join(["日期,网点,收支标志,金额,对方户名,附言", *rows]).encode())
        assert [(line.direction, line.amount_fen) for line in lines] == [("in", 500), ("out", 600)]

    def test_takes_no_amount_that_its_own_commas_took_apart(self) -> None:
        """It would pay an order of one yuan, or be suspended as one."""
        text = "日期,贷方,对方户名,附言\n20260601,1,088.00,教育局,货款\n20260601,88.00,教育局,货款\n"
        _, (cut, whole) = bank_csv.read(text.encode())
        assert (cut.amount_fen, whole.amount_fen) == (None, 88_00)
        assert "needs quotes" in cut.why

    def test_takes_no_other_currency_for_yuan(self) -> None:
        text = "日期,币种,贷方,对方户名,附言\n20260601,USD,5,甲,货款\n20260601,人民币,6,乙,货款\n20260601,,7,丙,货款\n"
        _, lines = bank_csv.read(text.encode())
        assert [line.amount_fen for line in lines] == [None, 6_00, 7_00]
        assert "USD" in lines[0].why

    async def test_takes_no_line_of_a_day_to_come(self, branch: Branch) -> None:
        await branch.upload(branch.row("货款", "8"), branch.row("笔误", "9").replace("2026-06-02", "2062-06-02"))
        assert (await branch.desk.statements.last_day()).year == 2026  # type: ignore[union-attr]
        assert [item.amount_fen for item in await branch.waiting()] == [8_00]

    def test_takes_no_payment_for_a_sum_of_others_by_what_its_payer_writes(self) -> None:
        rows = [
            "20260602,,5,合计物流有限公司,货款",
            "20260602,,6,教育局,总计三月SH附言",
            "合计,,11,,",
            ",,11,,本页小计",
        ]
        _, lines = bank_csv.read("\n".join(["日期,借方,贷方,对方户名,附言", *rows]).encode())
        assert [(line.row, line.amount_fen) for line in lines] == [(2, 500), (3, 600)]

    @pytest.mark.parametrize(
        ("cells", "side", "fen"),
        [(",12.00", "in", 1_200), ("12.00,", "out", 1_200), (",-12.00", "out", 1_200), ("-12.00,", "in", 1_200)],
    )
    def test_takes_a_red_entry_for_the_other_side(self, cells: str, side: str, fen: int) -> None:
        _, (line,) = bank_csv.read(f"日期,借方,贷方,摘要\n20260602,{cells},x".encode())
        assert (line.direction, line.amount_fen) == (side, fen)

    @pytest.mark.parametrize(
        "row", ["20260602,1,2,x", "20260602,,,x", "soon,,5,x", "20260602,,5.001,x", "20260602,,five,x", "20260231,,5,x"]
    )
    def test_reports_a_row_that_cannot_be_read_and_guesses_nothing(self, row: str) -> None:
        _, (line,) = bank_csv.read(f"日期,借方,贷方,摘要\n{row}".encode())
        assert line.why
        assert line.amount_fen is None
        english, dot, chinese = line.why.partition(" · ")
        assert english
        assert dot
        assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese), "both readers are told"

    @pytest.mark.parametrize("data", [b"\xff\xfe\xff\xff\x80", b"a,b\n1,2", "日期,摘要\n1,2".encode()])
    def test_without_encoding_or_header_is_refused(self, data: bytes) -> None:
        with pytest.raises(StatementUnreadable):
            bank_csv.read(data)

    @given(st.binary(max_size=400))
    @example(b"\r\x00")
    @example(b'"' + b"x" * 200)
    def test_of_any_bytes_is_read_or_refused(self, data: bytes) -> None:
        try:
            bank_csv.read("日期,金额,摘要\n".encode() + data)
        except (StatementUnreadable, StatementIncomplete):
            return


class TestMatching:
    async def test_pays_the_order_of_reference_and_amount(self, branch: Branch) -> None:
        order = await branch.ordered()
        assert order.expires_at - branch.clock.now() == timedelta(days=15)
        report = await branch.upload(branch.row(f"充值 {order.provider_ref}", "5,000.00"), encoding="gb18030")
        assert [line.state for line in report.lines] == [LineState.MATCHED]
        paid = await branch.payments.order(order.id)
        assert (paid.state, paid.paid_at) == (State.PAID, report.lines[0].at)
        assert [told.id for told in branch.told] == [order.id]
        assert await branch.suspended_fen() == 0

    async def test_of_the_same_file_or_line_again_changes_nothing(self, branch: Branch) -> None:
        order = await branch.ordered()
        row, stray = branch.row(order.provider_ref or "", "5000"), branch.row("什么都没写", "88")
        await branch.upload(row, stray)
        again = await branch.upload(row, stray)
        other = await branch.upload(stray, row, branch.row("又一笔", "1"))
        assert again.known
        assert [line.state for line in other.lines] == ["duplicate", "duplicate", "suspense"]
        assert (len(branch.told), await branch.suspended_fen()) == (1, 8_900)

    async def test_of_equal_lines_that_no_serial_tells_apart_counts_both(self, branch: Branch) -> None:
        row, zero = (branch.row("同一天两笔", "10").rsplit(",", 1)[0] + end for end in (",", ",0000"))
        report = await branch.upload(row, row, zero, zero, branch.row("别的", "1").rsplit(",", 1)[0] + ",0000")
        assert report.counts["suspense"] == 5
        assert await branch.suspended_fen() == 4_100

    async def test_of_one_transaction_listed_twice_counts_once(self, branch: Branch) -> None:
        row = branch.row("货款", "10")
        report = await branch.upload(row, row)
        assert [line.state for line in report.lines] == ["suspense", "duplicate"]
        assert "流水号重复" in report.lines[1].why
        assert await branch.suspended_fen() == 1_000

    async def test_of_one_transaction_listed_twice_is_not_missed_where_the_next_lists_it_once(
        self, branch: Branch
    ) -> None:
        first, row, last = (branch.row(remark, "80") for remark in ("甲", "乙", "丙"))
        await branch.upload(first.replace("10:30", "10:29"), row, row)
        report = await branch.upload(first.replace("10:30", "10:29"), row, last.replace("10:30", "10:31"))
        assert (report.counts["duplicate"], report.counts["suspense"]) == (2, 1)

    async def test_of_a_voucher_number_that_different_lines_share_takes_it_for_no_serial(self, branch: Branch) -> None:
        row, other = (branch.row("货款", amount).rsplit(",", 1)[0] + ",7" for amount in ("10", "20"))
        assert (await branch.upload(row, row, other)).counts["suspense"] == 3

    async def test_finds_what_waits_by_payer_remark_or_amount(self, branch: Branch) -> None:
        await branch.upload(branch.row("十一月服务费", "10"), branch.row("货款", "1,234.50"), branch.row("货款", "9"))
        assert [line.remark for _, line in await branch.desk.waiting("服务费")] == ["十一月服务费 转账"]
        assert [item.amount_fen for item, _ in await branch.desk.waiting("¥ 1,234.5")] == [123_450]
        assert len(await branch.desk.waiting("市教育局")) == 3
        assert await branch.desk.waiting("没有的") == []

    async def test_shows_everything_that_waits_page_by_page(self, branch: Branch) -> None:
        await branch.upload(*(branch.row(f"第{n}笔", "10") for n in range(5)))
        seen, past = [], None
        while page := await branch.desk.waiting(before=past, limit=2):
            seen += [line.remark for _, line in page]
            past = page[-1][0].id
        assert sorted(seen) == [f"第{n}笔 转账" for n in range(5)]

    async def test_offers_the_orders_that_wait_for_a_sum_by_their_reference(self, branch: Branch) -> None:
        order = await branch.ordered()
        assert [one.id for one in await branch.desk.awaited([order.amount_fen, 1])] == [order.id]
        assert await branch.desk.awaited([1]) == []
        assert await branch.desk.order_named(f" {order.provider_ref} ") == order.id
        assert await branch.desk.order_named(str(order.id)) == order.id
        with pytest.raises(UnknownPayment):
            await branch.desk.order_named("SH123")

    async def test_of_parts_waits_until_they_are_enough(self, branch: Branch) -> None:
        order = await branch.ordered()
        ref = order.provider_ref or ""
        first = await branch.upload(branch.row(ref, "2000"))
        assert first.lines[0].state is LineState.PARTIAL
        assert (await branch.payments.order(order.id)).state is State.PENDING
        assert await branch.suspended_fen() == 200_000
        await branch.upload(branch.row(ref, "3000.50"))
        assert (await branch.payments.order(order.id)).state is State.PAID
        (item,) = await branch.waiting()
        assert (item.kind, item.amount_fen, item.owner) == (SuspenseKind.OVER, 50, "treasury")
        assert await branch.suspended_fen() == 50

    async def test_of_a_second_payment_of_one_order_is_too_much(self, branch: Branch) -> None:
        order = await branch.ordered()
        ref = order.provider_ref or ""
        await branch.upload(branch.row(ref, "5000"), branch.row(ref, "5000"))
        (item,) = await branch.waiting()
        assert (item.kind, item.amount_fen, item.order_id) == (SuspenseKind.OVER, 500_000, order.id)
        assert len(branch.told) == 1

    async def test_of_money_for_an_expired_order_is_late(self, branch: Branch) -> None:
        order = await branch.ordered()
        branch.clock.advance(days=16)
        await branch.payments.sweep()
        await branch.upload(branch.row(order.provider_ref or "", "5000"))
        (item,) = await branch.waiting()
        assert item.kind is SuspenseKind.LATE
        assert (await branch.payments.order(order.id)).state is State.EXPIRED

    async def test_of_an_outgoing_line_ends_the_refund_it_names(self, branch: Branch) -> None:
        order = await branch.ordered()
        await branch.upload(branch.row(order.provider_ref or "", "5000"))
        refund = await branch.payments.refund(order.id, 100_000, client_ref="a", reason="r", actor="t")
        (sent,) = await branch.desk.outgoing()
        assert sent.reference == refund.provider_ref
        await branch.upload(branch.row(f"退款{sent.reference}", debit="999.99"))  # another amount: not this one
        assert (await branch.payments.refund_of(refund.id)).state is RefundState.REQUESTED
        await branch.upload(branch.row(f"退款{sent.reference}", debit="1000"))
        assert (await branch.payments.refund_of(refund.id)).state is RefundState.SUCCEEDED
        assert await branch.desk.outgoing() == []
        assert [item.kind for item in await branch.waiting()] == [SuspenseKind.OUTGOING]
        assert await branch.suspended_fen() == -99_999

    async def test_of_two_outgoing_lines_with_one_reference_takes_one_for_sent_twice(self, branch: Branch) -> None:
        """Also when one statement brings both: somebody paid the refund twice at the bank."""
        order = await branch.ordered()
        await branch.upload(branch.row(order.provider_ref or "", "5000"))
        await branch.payments.refund(order.id, 100_000, client_ref="a", reason="r", actor="t")
        (sent,) = await branch.desk.outgoing()
        await branch.upload(*[branch.row(f"退款{sent.reference}", debit="1000") for _ in range(2)])
        assert [(item.kind, item.amount_fen) for item in await branch.waiting()] == [(SuspenseKind.OUTGOING, 100_000)]
        assert await branch.suspended_fen() == -100_000

    async def test_of_one_row_that_does_not_move_keeps_no_other_waiting(self, branch: Branch, monkeypatch) -> None:
        orders, real = [await branch.ordered() for _ in range(2)], branch.payments.confirm

        async def refuse(order_id: UUID, **more: Any) -> Order:
            if order_id == orders[0].id:
                raise UnknownPayment("order")
            return await real(order_id, **more)

        monkeypatch.setattr(branch.payments, "confirm", refuse)
        await branch.upload(*[branch.row(order.provider_ref or "", "5000") for order in orders], branch.row("x", "7"))
        assert [(await branch.payments.order(one.id)).state for one in orders] == [State.PENDING, State.PAID]
        assert await branch.suspended_fen() == 700

    async def test_is_finished_after_a_crash_at_any_step(self, branch: Branch, monkeypatch) -> None:
        order = await branch.ordered()
        rows = branch.row(order.provider_ref or "", "6000"), branch.row("x", "7")

        async def crash(*_: object, **__: object) -> None:
            raise OSError("gone")

        for target, name in ((branch.payments, "confirm"), (branch.ledger, "post")):
            with monkeypatch.context() as patch:
                patch.setattr(target, name, crash)
                with pytest.raises(OSError, match="gone"):
                    await branch.upload(*rows)
        await branch.desk.matching.settle()
        assert (await branch.payments.order(order.id)).state is State.PAID
        assert (await branch.suspended_fen(), len(branch.told)) == (100_700, 1)
        assert await branch.desk.matching.settle() == 0


class TestSuspense:
    async def suspended(self, branch: Branch, yuan: str = "5000") -> Suspense:
        await branch.upload(branch.row("忘了写识别码", yuan))
        return (await branch.waiting())[0]

    async def test_is_applied_to_an_order_by_an_operator(self, branch: Branch) -> None:
        order, item = await branch.ordered(), await self.suspended(branch, "5000.20")
        done = await branch.desk.apply(item.id, order.id, actor="person:2", note="付款单位来电确认")
        assert (done.state, done.decided_by) == (SuspenseState.APPLIED, "person:2")
        assert (await branch.payments.order(order.id)).state is State.PAID
        assert await branch.suspended_fen() == 20
        with pytest.raises(SuspenseDecided):
            await branch.desk.give_back(item.id, actor="person:2", note="again")

    async def test_keeps_the_one_fen_that_is_too_much(self, branch: Branch) -> None:
        order, item = await branch.ordered(), await self.suspended(branch, "5000.01")
        await branch.desk.apply(item.id, order.id, actor="person:2", note="付款单位来电确认")
        assert [rest.amount_fen for rest in await branch.waiting()] == [1]
        assert await branch.suspended_fen() == 1

    async def test_is_used_up_order_by_order_and_no_rest_is_lost(self, branch: Branch) -> None:
        paid, (item,) = [], [await self.suspended(branch, "1000")]
        for fen in (40_000, 30_000, 20_000, 5_000):
            order = await branch.ordered(fen)
            await branch.desk.apply(item.id, order.id, actor="person:2", note="合并汇款")
            assert (await branch.payments.order(order.id)).state is State.PAID
            paid.append(fen)
            (item,) = await branch.waiting()
            assert await branch.suspended_fen() == item.amount_fen == 100_000 - sum(paid)

    async def test_waits_until_what_its_row_paid_last_is_booked(self, branch: Branch, monkeypatch) -> None:
        """A crash came in between: the row knows one order at a time."""
        item, first = await self.suspended(branch, "1000"), await branch.ordered(40_000)

        async def crash(*_: object, **__: object) -> None:
            raise OSError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(branch.payments, "confirm", crash)
            with pytest.raises(OSError, match="gone"):
                await branch.desk.apply(item.id, first.id, actor="person:2", note="x")
        (rest,), second = await branch.waiting(), await branch.ordered(30_000)
        with pytest.raises(SuspenseUnsettled):
            await branch.desk.apply(rest.id, second.id, actor="person:2", note="x")
        await branch.desk.matching.settle()
        await branch.desk.apply(rest.id, second.id, actor="person:2", note="x")
        assert [(await branch.payments.order(one.id)).state for one in (first, second)] == [State.PAID] * 2
        assert await branch.suspended_fen() == 30_000

    async def test_is_not_used_for_an_order_that_a_statement_pays_just_now(self, branch: Branch, monkeypatch) -> None:
        order, item = await branch.ordered(), await self.suspended(branch, "5000")

        async def crash(*_: object, **__: object) -> None:
            raise OSError("gone")

        with monkeypatch.context() as patch:
            patch.setattr(branch.payments, "confirm", crash)
            with pytest.raises(OSError, match="gone"):
                await branch.upload(branch.row(order.provider_ref or "", "5000"))
        with pytest.raises(UnknownPayment):
            await branch.desk.apply(item.id, order.id, actor="person:2", note="x")
        await branch.desk.matching.settle()
        assert (len(branch.told), await branch.suspended_fen()) == (1, 500_000)

    async def test_of_an_order_that_closed_meanwhile_waits_again(self, branch: Branch, monkeypatch) -> None:
        item, order = await self.suspended(branch, "5000"), await branch.ordered()
        real = branch.payments.confirm

        async def late(order_id: UUID, **more: Any) -> Order:
            await branch.db.execute("UPDATE payments.pay_order SET state = 'expired' WHERE id = $1", order_id)
            return await real(order_id, **more)

        monkeypatch.setattr(branch.payments, "confirm", late)
        await branch.desk.apply(item.id, order.id, actor="person:2", note="x")
        (again,) = await branch.waiting()
        assert (again.kind, again.amount_fen) == (SuspenseKind.LATE, 500_000)
        second = await branch.ordered()
        await branch.desk.apply(again.id, second.id, actor="person:2", note="x")  # and closed again
        (last,) = await branch.waiting()
        assert (last.kind, last.amount_fen, await branch.suspended_fen()) == (SuspenseKind.LATE, 500_000, 500_000)
        assert [await branch.desk.statements.paid_by(one.id) for one in (order, second)] == [None, None]

    async def test_too_small_pays_nothing(self, branch: Branch) -> None:
        order, item = await branch.ordered(), await self.suspended(branch, "4999.99")
        with pytest.raises(SuspenseUnfit):
            await branch.desk.apply(item.id, order.id, actor="person:2", note="x")
        with pytest.raises(UnknownPayment):
            await branch.desk.apply(item.id, uuid4(), actor="person:2", note="x")
        assert (await branch.waiting())[0].state is SuspenseState.OPEN

    async def test_sent_back_leaves_the_account(self, branch: Branch) -> None:
        item = await self.suspended(branch)
        assert await branch.cash_fen() == 500_000
        await branch.desk.give_back(item.id, actor="person:2", note="银行流水 8841")
        assert (await branch.suspended_fen(), await branch.cash_fen()) == (0, 0)

    async def test_of_a_refund_that_the_bank_returned_is_sent_again(self, branch: Branch) -> None:
        order = await branch.ordered()
        await branch.upload(branch.row(order.provider_ref or "", "5000"))
        refund = await branch.payments.refund(order.id, 100_000, client_ref="a", reason="r", actor="t")
        await branch.upload(branch.row(f"退款{refund.provider_ref}", debit="1000"))
        before = await branch.cash_fen()
        await branch.upload(branch.row(f"退汇{refund.provider_ref}", "1000"))
        (item,) = await branch.waiting()
        assert item.kind is SuspenseKind.CAME_BACK
        await branch.desk.resend(item.id, actor="t", note="账户已更正")
        (owed,) = await branch.desk.outgoing()
        assert ((await branch.desk.origin(owed)).subject_id, owed.reference[:2]) == (refund.id, "SR")
        assert (await branch.cash_fen(), await branch.suspended_fen()) == (before + 100_000, 0)
        await branch.upload(branch.row(owed.reference, debit="1000"))
        assert (await branch.cash_fen(), await branch.waiting()) == (before, [])
        assert (await branch.ledger.verify()).clean

    async def test_of_the_banks_own_is_booked_as_charge_or_interest(self, branch: Branch) -> None:
        await branch.upload(branch.row("账户管理费", debit="15"), branch.row("结息", "3.20"))
        for item in await branch.waiting():
            await branch.desk.book(item.id, actor="t", note="六月")
        assert (await branch.cash_fen(), await branch.suspended_fen()) == (-1_180, 0)
        for kind, name, fen in (("expense", "bank charges", -1_500), ("revenue", "bank interest", 320)):
            account = await branch.ledger.system_account(kind, Asset.CNY, name)
            assert (await branch.ledger.balance(account.id)).balance == fen

    async def booked(self, branch: Branch, fen: int) -> UUID:
        """A posting that moves the bank's account."""
        cash = await branch.ledger.system_account("cash", Asset.CNY, "bank_transfer")
        other = await branch.ledger.system_account("revenue", Asset.CNY, "credits sold")
        sides = (cash.id, other.id) if fen > 0 else (other.id, cash.id)
        made = Posting(id=uuid4(), kind="top_up", transfers=(Transfer(uuid4(), *sides, abs(fen)),), actor="t")
        await branch.ledger.post(made)
        return made.id

    async def test_that_the_books_have_already_counts_once(self, branch: Branch) -> None:
        """Explained money leaves suspense and cash: the posting that is named has it."""
        await branch.upload(branch.row("手工充值", "80"))
        (item,) = await branch.waiting()
        posting = await self.booked(branch, 8_000)
        assert (await branch.desk.explain(item.id, [posting], actor="t", note="见充值")).explained_by == [posting]
        assert (await branch.cash_fen(), await branch.suspended_fen()) == (8_000, 0)

    async def test_is_not_explained_by_what_has_another_sum_went_the_other_way_or_is_nothing(
        self, branch: Branch
    ) -> None:
        """Else money that a clerk sent to himself would leave the books with a word."""
        await branch.upload(branch.row("货款", debit="80"))
        (item,) = await branch.waiting()
        reversed_one = await self.booked(branch, -8_000)
        await branch.ledger.reverse(reversed_one, actor="t", reason="twice")
        wrong = [await self.booked(branch, fen) for fen in (8_000, -7_999)]
        for postings in (*([one] for one in (*wrong, reversed_one, uuid4())), [], wrong):
            with pytest.raises(NotExplained):
                await branch.desk.explain(item.id, postings, actor="t", note="见分录")
        assert [one.id for one in await branch.waiting()] == [item.id]

    async def test_that_an_earlier_release_explained_and_left_in_the_books_is_open_again(
        self, branch: Branch, database: Database
    ) -> None:
        await branch.upload(*(branch.row(f"手工充值{n}", "80") for n in range(3)))
        stuck, undone, released = (item.id for item in await branch.waiting())
        await branch.ledger.reverse(undone, actor="t", reason="by hand")
        await branch.desk.explain(released, [await self.booked(branch, 8_000)], actor="t", note="见充值")
        await database.execute("ALTER TABLE payments.suspense ADD COLUMN explained_by uuid")  # as it was then
        await database.execute(
            """UPDATE payments.suspense SET state = 'explained', explained_by = NULL, decided_by = 't',
                      decided_at = created_at, released_at = created_at"""
        )
        await database.execute(
            (Path(shanhe.__file__).parent / "wiring/migrations/0713_explained_and_kept.sql").read_text("utf-8")
        )
        assert [item.id for item in await branch.waiting()] == [stuck]
        await branch.desk.book(stuck, actor="t", note="划转", booked_as=BookAs.OWN)
        assert await branch.suspended_fen() == 0

    async def test_is_explained_by_a_posting_once(self, branch: Branch) -> None:
        await branch.upload(branch.row("手工充值", "80"), branch.row("手工充值", "80"))
        one, other = await branch.waiting()
        posting = await self.booked(branch, 8_000)
        await branch.desk.explain(one.id, [posting], actor="t", note="见充值")
        with pytest.raises(ExplainsAnother):
            await branch.desk.explain(other.id, [posting], actor="t", note="见充值")

    async def test_is_explained_by_the_postings_that_it_is_the_sum_of_and_by_none_twice(self, branch: Branch) -> None:
        """The finance bureau pays for three bodies at once."""
        await branch.upload(branch.row("财政集中支付", "240"), branch.row("财政集中支付", "160"))
        small, large = sorted(await branch.waiting(), key=lambda item: item.amount_fen)
        parts = [await self.booked(branch, 8_000) for _ in range(3)]
        for some in (parts[:2], [*parts, await self.booked(branch, 1)]):
            with pytest.raises(NotExplained):
                await branch.desk.explain(large.id, some, actor="t", note="三家")
        done = await branch.desk.explain(large.id, [*parts, parts[0]], actor="t", note="三家")
        assert (done.explained_by, await branch.suspended_fen()) == (sorted(parts), 16_000)
        with pytest.raises(ExplainsAnother):
            await branch.desk.explain(small.id, [parts[0], await self.booked(branch, 8_000)], actor="t", note="两家")

    async def test_is_not_explained_by_what_another_line_has_booked(self, branch: Branch) -> None:
        """Two transfers of one sum that a clerk sent to himself would each be the other's reason."""
        await branch.upload(*(branch.row(f"货款{n}", debit="80") for n in range(2)))
        one, other = await branch.waiting()
        for posting in (one.id, other.id):
            with pytest.raises(ExplainsAnother):
                await branch.desk.explain(one.id, [posting], actor="t", note="见分录")
        await branch.desk.explain(one.id, [await self.booked(branch, -8_000)], actor="t", note="见分录")
        await branch.upload(branch.row("不明", "80"))
        came = next(item for item in await branch.waiting() if not item.outgoing)
        with pytest.raises(ExplainsAnother):  # that it left suspense is no money that came
            await branch.desk.explain(came.id, [one.release_id], actor="t", note="见分录")
        assert await branch.suspended_fen() == 0

    async def test_is_not_explained_by_the_order_that_another_line_paid(self, branch: Branch) -> None:
        async def hear(order: Order) -> None:
            await branch.payments.acknowledge(order, await self.booked(branch, order.amount_fen))

        branch.payments.subscribe("test", hear)
        order = await branch.ordered(40_000)
        await branch.upload(branch.row(order.provider_ref or "", "400.01"), branch.row("不明", "400"))
        rest, stray = sorted(await branch.waiting(), key=lambda item: item.amount_fen)
        await branch.desk.apply(rest.id, (await branch.ordered(1)).id, actor="t", note="余款")
        booked = (await branch.payments.order(order.id)).settled_ref
        assert booked is not None
        with pytest.raises(ExplainsAnother):
            await branch.desk.explain(stray.id, [booked], actor="t", note="见充值")

    async def test_that_is_used_for_another_order_leaves_the_first_one_its_payer(self, branch: Branch) -> None:
        """A refund goes back to whoever paid, however much of it was too much."""
        first, second = await branch.ordered(40_000), await branch.ordered(30_000)
        await branch.upload(branch.row(first.provider_ref or "", "1000"))
        for order in (second, await branch.ordered(30_000)):
            (rest,) = await branch.waiting()
            await branch.desk.apply(rest.id, order.id, actor="t", note="合并汇款")
            line = await branch.desk.statements.paid_by(order.id)
            assert line is not None
            assert line.party == "市教育局"
        line = await branch.desk.statements.paid_by(first.id)
        assert line is not None
        assert (line.party, line.amount_fen) == ("市教育局", 100_000)
        assert await branch.waiting() == []

    async def test_that_an_institution_settles_leaves_its_account_with_what_it_kept(self, branch: Branch) -> None:
        await branch.upload(branch.row("财付通结算", "497"), branch.row("缴纳个税", debit="64"))
        for item in await branch.waiting():
            booked_as, fee_fen = (BookAs.TAX, 0) if item.outgoing else (BookAs.WECHAT, 300)
            await branch.desk.book(item.id, actor="t", note="六月", booked_as=booked_as, fee_fen=fee_fen)
        await branch.upload(branch.row("现金缴存", "90"))
        (brought,) = await branch.waiting()
        await branch.desk.book(brought.id, actor="t", note="六月", booked_as=BookAs.CASH_DESK)
        assert (await branch.cash_fen(), await branch.suspended_fen()) == (52_300, 0)
        for kind, name, fen in (("cash", "wechat", 50_000), ("cash", "cash_desk", 9_000),
                                ("expense", "payment commission", -300),
                                ("payable", "withheld tax", -6_400)):  # fmt: skip
            account = await branch.ledger.system_account(kind, Asset.CNY, name)
            assert (await branch.ledger.balance(account.id)).balance == fen, name

    async def test_is_not_booked_as_what_goes_the_other_way(self, branch: Branch) -> None:
        await branch.upload(branch.row("货款", "497"))
        (item,) = await branch.waiting()
        for booked_as, fee_fen in ((BookAs.CHARGES, 0), (BookAs.TAX, 0), (BookAs.OWN, 5), (BookAs.WECHAT, -5)):
            with pytest.raises(CannotBeBooked):
                await branch.desk.book(item.id, actor="t", note="六月", booked_as=booked_as, fee_fen=fee_fen)

    async def test_is_its_payers_to_use_or_to_ask_back_and_nobody_elses(self, branch: Branch) -> None:
        order = await branch.ordered()
        await branch.upload(branch.row(order.provider_ref or "", "5100"))
        (item,) = await branch.desk.waiting_of(order.org_id)
        assert (item.kind, item.amount_fen) == (SuspenseKind.OVER, 10_000)
        own = await branch.payments.create(
            OrderRequest(order.org_id, "second", "test", "bank_transfer", 6_000, "积分充值")
        )
        other = await branch.ordered(6_000)
        assert [one.id for one in await branch.desk.payable_by(order.org_id)] == [own.id]
        with pytest.raises(UnknownSuspense):
            await branch.desk.want_back(item.id, other.org_id, actor="t")
        for target, org in ((other.id, order.org_id), (other.id, other.org_id), (own.id, other.org_id)):
            with pytest.raises((UnknownPayment, UnknownSuspense)):
                await branch.desk.use(item.id, target, org, actor="t")
        await branch.desk.use(item.id, own.id, order.org_id, actor="person:payer")
        assert (await branch.payments.order(own.id)).state is State.PAID
        (rest,) = await branch.desk.waiting_of(order.org_id)
        assert rest.amount_fen == 4_000
        asked = await branch.desk.want_back(rest.id, order.org_id, actor="person:payer")
        assert (await branch.desk.want_back(rest.id, order.org_id, actor="person:b")) == asked
        assert asked.wanted_back_by == "person:payer"
        await branch.desk.give_back(rest.id, actor="t", note="流水 1")
        with pytest.raises(SuspenseDecided):
            await branch.desk.want_back(rest.id, order.org_id, actor="person:payer")

    async def test_has_an_owner_that_can_be_changed_and_says_by_whom(self, branch: Branch) -> None:
        item = await self.suspended(branch)
        assigned = await branch.desk.assign(item.id, "国库科 王", actor="person:clerk")
        assert (assigned.owner, assigned.assigned_by) == ("国库科 王", "person:clerk")

    async def test_hides_the_payers_account(self, branch: Branch) -> None:
        item = await self.suspended(branch)
        line = (await branch.desk.statements.report(item.file_hash)).lines[0]
        assert line.party_account == "…4444"
        assert line.party
        stored = await branch.db.fetchrow("SELECT party, party_account, remark FROM payments.bank_line")
        assert all(text.startswith("\x1e") for text in stored.values())  # whose it is nobody knows yet

    @pytest.mark.parametrize("parts", [(1_00, 2_00, 4_99), (5_00, 5_00), (9_99,), (3_00, 7_00, 1)])
    async def test_and_orders_together_hold_what_came_in(self, branch: Branch, parts: tuple[int, ...]) -> None:
        order = await branch.ordered(10_00)
        for fen in parts:
            await branch.upload(branch.row(order.provider_ref or "", f"{fen / 100:.2f}"))
        paid = sum(told.amount_fen for told in branch.told)
        assert await branch.suspended_fen() + paid == sum(parts)
        report = await branch.ledger.verify()
        assert report.clean


THEIRS, ANOTHER = "6200111122223333", "6200999988887777"


class TestElsewhere:
    async def test_is_asked_of_all_lines_at_once_and_named_row_by_row(self, branch: Branch) -> None:
        ours = [bank_model.new_reference("P") for _ in range(30)]
        await branch.db.execute(
            """INSERT INTO payments.bank_outgoing (reference, kind, subject_id, amount_fen, created_at)
               SELECT r, 'payout', gen_random_uuid(), 100, $2 FROM unnest($1::text[]) r""",
            ours, NOON,
        )  # fmt: skip

        async def payee_of(_: object) -> tuple[str, str]:
            return "林晓", THEIRS

        statements = branch.desk.statements
        statements.know_payees(payee_of)
        lines = [
            bank_model.Parsed(row, bank_model.Direction.OUT, 100, NOON, "林晓", account, reference)
            for row, (reference, account) in enumerate(zip(ours, [THEIRS, ANOTHER] * 15, strict=True))
        ]
        counts = []
        for some in (lines[:2], lines):
            with asked() as said:
                assert await statements.elsewhere(some) == [line.row for line in some if line.party_account == ANOTHER]
            counts.append(len(said))
        assert counts == [1, 1]
