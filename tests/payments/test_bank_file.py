"""Payouts by files for the bank: once each, and what comes back of them."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shanhe.ledger.api import (
    Provenance,
)
from shanhe.payments import bank_store, payout_store
from shanhe.payments.api import (
    BANK_FILE,
    ExplainsAnother,
    MoreThanSent,
    NotElsewhere,
    NotExplained,
    NothingToPay,
    NotReturned,
    PayeeKind,
    Payout,
    PayoutState,
    Report,
    Suspense,
    SuspenseDecided,
    SuspenseKind,
    SuspenseState,
    UnknownPayout,
)
from shanhe.payments.bank_model import LineState
from stage.rows import all_rows, changed

from .treasury import CLERK, MICRO, Works


class TestBankFile:
    async def test_lists_what_was_approved_and_the_statement_confirms_it(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        assert done.state is PayoutState.APPROVED
        file = await works.payouts.files.export(by=CLERK)
        batch = file.id
        (_, row) = csv.reader(io.StringIO(file.text))
        assert row == ["1", "青山机器人", "6200000011112222", "山河银行", "300.00", done.reference]
        assert (file.payouts, file.net_fen) == (1, 30_000)
        assert (await works.payouts.get(done.id)).sent_by == CLERK
        assert await works.payouts.files.export(batch, by="person:other") == file
        with pytest.raises(NothingToPay):  # no second file, and no empty one
            await works.payouts.files.export(by=CLERK)
        (made,) = await works.payouts.files.batches()
        assert (made.id, made.by, made.payouts, made.net_fen, made.waiting) == (batch, CLERK, 1, 30_000, 1)
        with pytest.raises(UnknownPayout):
            await works.payouts.files.export(uuid4(), by=CLERK)
        desk = works.desk()
        statement = f"日期,借方,贷方,对方户名,附言\n20260608,300.00,,青山机器人,{done.reference}"
        report = await desk.statements.take(statement.encode(), name="s", actor="person:o1", second="person:2")
        assert report.counts["matched"] == 1
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        assert await works.fen("cash", "bank_transfer") == 30_000

    async def test_leaves_out_whose_account_was_found_wrong_after_the_approvals(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        await works.approved(300, channel=BANK_FILE)
        payee = await works.payouts.payees.of(works.maker)
        assert payee is not None
        await works.payouts.payees.record_check(payee.id, passed=False, reference="户名不符", by="person:o1")
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(by=CLERK)
        await works.payee("6200 0000 3333 4444")  # and stays wrong when its maker names another one
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(by=CLERK)

    async def test_has_whose_maker_named_another_account_after_the_approvals(self, works: Works) -> None:
        """Whoever took over an account of the city gets nothing that was approved before."""
        await works.ripe(500)
        await works.payee()
        await works.approved(300, channel=BANK_FILE)
        await works.payouts.payees.set(
            works.maker, person_id=works.person, kind=PayeeKind.ORGANISATION, holder="贼", account="6200000099998888",
            bank="x",
        )  # fmt: skip
        assert "6200000011112222" in (await works.payouts.files.export(by=CLERK)).text

    async def test_leaves_out_when_it_is_downloaded_again_what_has_ended_since_and_says_who_had_it(
        self, works: Works
    ) -> None:
        """A file that went to the bank twice would pay what failed, whose maker has the income back."""
        await works.ripe(1_000)
        await works.payee()
        done = [await works.approved(150, channel=BANK_FILE, ref=f"p{n}") for n in range(4)]
        file = await works.payouts.files.export(by=CLERK)
        assert file.payouts == 4
        await works.payouts.fail(done[0].id, by=CLERK, reason="账户已销户")
        await works.payouts.confirm(done[1].id, by=CLERK)
        text = f"日期,借方,贷方,附言\n20260608,150.00,,{done[2].reference}\n"
        await works.desk().statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        again = await works.payouts.files.export(file.id, by="person:other")
        assert [row[-1] for row in csv.reader(io.StringIO(again.text))][1:] == [done[3].reference]
        await works.payouts.fail(done[3].id, by=CLERK, reason="账户已销户")
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(file.id, by=CLERK)
        noted = await works.db.fetch(
            "SELECT actor, object, details FROM kernel.act WHERE action = 'payout.file' ORDER BY id"
        )
        assert [(row["actor"], row["object"], row["details"]["net_fen"]) for row in noted] == [
            (CLERK, f"payout_file:{file.id}", 60_000), ("person:other", f"payout_file:{file.id}", 15_000),
        ]  # fmt: skip

    async def test_that_the_bank_sends_in_one_sum_is_explained_by_its_number(self, works: Works) -> None:
        """A bank's payroll service debits the file, not its rows; what comes back of one of them is sent again."""
        await works.ripe(1_000)
        await works.payee()
        done = [await works.approved(150, channel=BANK_FILE, ref=f"p{n}") for n in range(3)]
        file = await works.payouts.files.export(by=CLERK)
        await works.payouts.fail(done[2].id, by=CLERK, reason="银行未受理")
        desk = works.desk()
        await desk.statements.take(
            "日期,借方,贷方,附言\n20260608,300.00,,代发2笔\n".encode(), name="s", actor="person:o1", second="person:2"
        )
        (item,) = await desk.suspense()
        await desk.explain(item.id, [file.id], actor=CLERK, note="代发")
        states = [(await works.payouts.get(one.id)).state for one in done]
        assert states == [PayoutState.CONFIRMED, PayoutState.CONFIRMED, PayoutState.FAILED]
        assert (await desk.outgoing(), await works.fen("suspense", "bank transfers")) == ([], 0)
        assert await works.fen("cash", "bank_transfer") == 30_000
        sheet = await desk.balances.on(works.clock.today())
        assert (sheet.bank_fen, sheet.ledger_fen, sheet.items) == (-30_000, -30_000, ())
        works.clock.advance(days=14)
        text = f"日期,借方,贷方,附言\n20260609,150.00,,{done[0].reference}\n20260609,,150.00,退汇{done[1].reference}\n"
        await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        (twice,) = await desk.suspense()  # it was sent before
        assert (twice.kind, twice.amount_fen) == (SuspenseKind.OUTGOING, 15_000)
        back = await works.payouts.get(done[1].id)
        assert (back.state, back.ended_by) == (PayoutState.FAILED, "bank")
        reversal = (await works.ledger.reversed_among([back.posting_id]))[back.posting_id]
        await desk.statements.take(
            "日期,借方,贷方,附言\n20260610,,150.00,不明\n".encode(), name="s", actor="person:o1", second="person:2"
        )
        stray = next(item for item in await desk.suspense() if not item.outgoing)
        with pytest.raises(ExplainsAnother):  # the return's own line has shown it
            await desk.explain(stray.id, [reversal], actor=CLERK, note="退汇")

    async def test_of_what_is_sent_again_that_the_bank_sends_in_one_sum_is_explained_by_its_number(
        self, works: Works
    ) -> None:
        await works.ripe(1_000)
        await works.payee()
        done = [await works.approved(150, channel=BANK_FILE, ref=f"p{n}") for n in range(2)]
        await works.payouts.files.export(by=CLERK)
        desk = works.desk()
        works.clock.advance(days=14)

        async def upload(day: int, *rows: str) -> list[Suspense]:
            text = "\n".join(["日期,借方,贷方,附言", *(f"202606{day:02d},{row}" for row in rows)])
            await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
            return await desk.suspense()

        assert not await upload(8, *(f"150.00,,{one.reference}" for one in done))
        for item in await upload(9, *(f",140.00,退汇{one.reference}" for one in done)):
            await desk.resend(item.id, actor=CLERK, note="户名有误", fee_fen=1_000)
        file = await works.payouts.files.export(by=CLERK)
        assert (file.payouts, file.net_fen) == (2, 30_000)
        large, small = sorted(await upload(10, "300.00,,代发2笔", "150.00,,代发"), key=lambda item: -item.amount_fen)
        with pytest.raises(NotExplained):
            await desk.explain(small.id, [file.id], actor=CLERK, note="代发")
        await desk.explain(large.id, [file.id], actor=CLERK, note="代发")
        assert await desk.outgoing() == []
        assert await works.fen("payable", "returned transfers") == 0
        for again in (file.id, *(item.resend_id for item in [large, small])):
            with pytest.raises((ExplainsAnother, NotExplained)):
                await desk.explain(small.id, [again], actor=CLERK, note="代发")
        await desk.book(small.id, actor=CLERK, note="手续费")
        sheet = await desk.balances.on(works.clock.today())
        assert (sheet.bank_fen, sheet.ledger_fen, sheet.unexplained_fen, sheet.items) == (-47_000, -47_000, 0, ())
        named = [row[-1] for row in csv.reader(io.StringIO(file.text))][1:]
        (twice,) = await upload(11, f"150.00,,{named[0]}")  # it was sent before
        assert (twice.kind, twice.amount_fen) == (SuspenseKind.OUTGOING, 15_000)
        assert (await works.ledger.verify()).clean

    async def test_that_a_line_shows_just_now_explains_no_other_line(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        desk, reference = works.desk(), done.reference or ""
        text = "日期,借方,贷方,附言\n20260608,300.00,,代发\n20260608,300.00,,代付\n"
        await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        one, other = await desk.suspense()
        async with works.db.transaction() as conn:
            assert not await bank_store.shown(conn, reference)
            explaining = asyncio.create_task(desk.explain(one.id, [done.posting_id], actor=CLERK, note="代发"))
            await asyncio.wait({explaining}, timeout=0.5)
            line = await bank_store.line(conn, other.file_hash, other.row)
            await bank_store.decide_line(conn, line, LineState.MATCHED, "payout sent", None, reference)
        with pytest.raises(ExplainsAnother):
            await explaining

    async def test_that_somebody_confirmed_is_still_shown_by_its_line_and_by_its_return(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        await works.payouts.confirm(done.id, by=CLERK)
        desk = works.desk()
        text = f"日期,借方,贷方,附言\n20260608,300.00,,{done.reference}\n20260609,,300.00,退汇{done.reference}\n"
        works.clock.advance(days=14)
        report = await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        assert report.counts["matched"] == 2
        assert (await works.payouts.get(done.id)).state is PayoutState.FAILED
        assert (await works.income_micro(), await works.fen("cash", "bank_transfer")) == (500 * MICRO, 0)

    async def test_that_failed_or_went_another_way_is_not_what_the_bank_sent(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        failed = await works.approved(200, channel=BANK_FILE, ref="a")
        await works.payouts.fail(failed.id, by=CLERK, reason="账户已销户")
        other = await works.approved(300, ref="b")
        desk = works.desk()
        text = f"日期,借方,贷方,附言\n20260608,200.00,,{failed.reference}\n20260608,300.00,,{other.reference}\n"
        await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        assert sorted((item.kind, item.amount_fen) for item in await desk.suspense()) == [
            (SuspenseKind.OUTGOING, 20_000), (SuspenseKind.OUTGOING, 30_000),
        ]  # fmt: skip
        assert await works.fen("cash", "bank_transfer") == 50_000

    async def test_that_names_two_of_ours_has_to_go_to_both_their_payees(self, works: Works) -> None:
        """A thief at the bank, himself a maker, writes his own reference beside somebody else's."""
        done = await self.sent(works, "6200000011112222")
        works.maker, works.person = uuid4(), uuid4()
        works.vault.create(works.person)
        await works.ripe(500)
        await works.payee("6200 0000 9999 8888")
        theirs = await works.approved(150, channel=BANK_FILE, ref="theirs")
        await works.payouts.files.export(by=CLERK)
        remark = f"{done.reference} {theirs.reference}"
        text = f"日期,借方,贷方,对方户名,对方账号,附言\n20260620,150.00,,青山机器人,6200000011112222,{remark}\n"
        works.clock.advance(days=14)
        await works.desk().statements.take(text.encode(), name="t", actor="person:o1", second="person:2")
        assert (await works.payouts.get(theirs.id)).state is PayoutState.SENT

    @pytest.mark.parametrize("account", ["6200000011112222", "6200 **** **** 2222", ""])
    async def test_is_confirmed_where_the_bank_names_its_payee(self, works: Works, account: str) -> None:
        done = await self.sent(works, account)
        assert done.state is PayoutState.CONFIRMED

    async def sent(self, works: Works, account: str, holder: str = "青山机器人") -> Payout:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        text = f"日期,借方,贷方,对方户名,对方账号,附言\n20260608,300.00,,{holder},{account},{done.reference}\n"
        works.clock.advance(days=14)
        await works.desk().statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        return await works.payouts.get(done.id)

    @pytest.mark.parametrize(("account", "holder"), [("6217000099998888", "青山机器人"), ("", "张三")])
    async def test_that_went_to_another_account_counts_as_sent_only_when_somebody_accepts_it(
        self, works: Works, account: str, holder: str
    ) -> None:
        """Whoever sends by hand at the bank may write another account beside our reference."""
        done = await self.sent(works, account, holder)
        assert done.state is PayoutState.SENT
        desk = works.desk()
        (item,) = await desk.suspense()
        assert (item.kind, item.amount_fen) == (SuspenseKind.ELSEWHERE, 30_000)
        assert [one.reference for one in await desk.outgoing()] == [done.reference]
        await desk.accept(item.id, actor="person:a + person:b", note="代收账户，已核实")
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        assert (await works.fen("suspense", "bank transfers"), await desk.outgoing()) == (0, [])

    async def test_that_went_to_another_account_is_not_accepted_once_it_has_been_sent(self, works: Works) -> None:
        done = await self.sent(works, "6217000099998888")
        desk = works.desk()
        (item,) = await desk.suspense()
        text = f"日期,借方,贷方,对方户名,对方账号,附言\n20260609,300.00,,,6200000011112222,{done.reference}\n"
        await desk.statements.take(text.encode(), name="t", actor="person:o1", second="person:2")
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        with pytest.raises(NotElsewhere):
            await desk.accept(item.id, actor="person:a + person:b", note="代收")

    @pytest.mark.parametrize("read", ["at once", "one by one", "the return first"])
    async def test_came_back_where_the_bank_returns_what_it_sent(self, works: Works, read: str) -> None:
        """The account was closed: the bank debits, and credits the same sum again, in one statement or days later."""
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        desk = works.desk()
        came = f"20260608,,300.00,青山机器人,退汇{done.reference}"
        left = f"20260608,300.00,,青山机器人,{done.reference}"
        files = {"at once": [[came, left]], "one by one": [[left], [came]], "the return first": [[came], [left]]}
        for rows in files[read]:
            await desk.statements.take(
                "\n".join(["日期,借方,贷方,对方户名,附言", *rows]).encode(),
                name="s",
                actor="person:o1",
                second="person:2",
            )
        ended = await works.payouts.get(done.id)
        assert (ended.state, ended.ended_by, "退汇" in ended.reason) == (PayoutState.FAILED, "bank", True)
        assert (await works.income_micro(), await works.fen("cash", "bank_transfer")) == (500 * MICRO, 0)
        assert await works.fen("suspense", "bank transfers") == 0
        again = await desk.statements.take(
            f"日期,贷方,附言\n20260609,300,{done.reference}".encode(), name="t", actor="person:o1", second="person:2"
        )
        assert again.counts["suspense"] == 1
        (item,) = await desk.suspense()
        with pytest.raises(MoreThanSent):  # the maker has the income back already
            await desk.resend(item.id, actor=CLERK, note="n")
        assert (await works.ledger.verify()).clean

    @pytest.mark.parametrize("read", ["at once", "the return first"])
    async def test_came_back_in_part_waits_for_somebody(self, works: Works, read: str) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        desk, left, came = works.desk(), f"20260608,300.00,,{done.reference}", f"20260608,,299.00,{done.reference}"
        for rows in {"at once": [[left, came]], "the return first": [[came], [left]]}[read]:
            await desk.statements.take(
                "\n".join(["日期,借方,贷方,附言", *rows]).encode(), name="s", actor="person:o1", second="person:2"
            )
        assert [(item.kind, item.amount_fen) for item in await desk.suspense()] == [(SuspenseKind.CAME_BACK, 29_900)]
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        assert await works.income_micro() == 200 * MICRO

    async def test_came_back_in_part_is_sent_again_with_what_the_bank_kept(self, works: Works) -> None:
        """The maker gets the whole; the city bears the bank's charge; every step balances, and none goes twice."""
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        desk = works.desk()
        works.clock.advance(days=14)

        async def upload(day: int, out: str, back: str, remark: str) -> Report:
            text = f"日期,借方,贷方,附言\n202606{day:02d},{out},{back},{remark}\n"
            return await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")

        async def fens() -> tuple[int, ...]:
            named = (("cash", "bank_transfer"), ("suspense", "bank transfers"), ("payable", "returned transfers"),
                     ("expense", "bank charges"))  # fmt: skip
            return tuple([await works.fen(kind, name) for kind, name in named])

        await upload(8, "300.00", "", done.reference or "")
        await upload(9, "", "290.00", f"退汇 {done.reference}")
        (item,) = await desk.suspense()
        assert item.kind is SuspenseKind.CAME_BACK
        for fee_fen in (-1, 1_001):
            with pytest.raises(MoreThanSent):
                await desk.resend(item.id, actor=CLERK, note="n", fee_fen=fee_fen)
        again = await desk.resend(item.id, actor=CLERK, note="户名有误，已更正", fee_fen=1_000)
        assert (again.state, again.fee_fen) == (SuspenseState.RESENT, 1_000)
        assert await fens() == (1_000, 0, 30_000, -1_000)
        (owed,) = await desk.outgoing()
        assert (owed.kind, owed.amount_fen, owed.reference == done.reference) == ("resend", 30_000, False)
        assert (await desk.origin(owed)).subject_id == done.id
        with pytest.raises(SuspenseDecided):
            await desk.resend(item.id, actor=CLERK, note="n")
        made = await works.payouts.payees.set(
            works.maker, person_id=works.person, kind=PayeeKind.ORGANISATION, holder="青山机器人",
            account="6200 0000 3333 4444", bank="山河银行",
        )  # fmt: skip
        for passed in (None, False):  # not while nobody has checked it, nor when it was found wrong
            if passed is not None:
                await works.payouts.payees.record_check(made.id, passed=passed, reference="n", by="person:o1")
            with pytest.raises(NothingToPay):
                await works.payouts.files.export(by=CLERK)
        await works.payouts.payees.record_check(made.id, passed=True, reference="证件核对 0422", by="person:o1")
        new = await works.approved(150, channel=BANK_FILE, ref="new")
        assert new.reference in (first := await works.payouts.files.export(by=CLERK)).text
        assert (first.payouts, first.net_fen) == (1, 15_000)  # without what is sent again
        await works.payouts.fail(new.id, by=CLERK, reason="账户已销户")
        file = await works.payouts.files.export(by="person:o3")
        assert [row[1:] for row in csv.reader(io.StringIO(file.text))][1:] == [
            ["青山机器人", "6200000033334444", "山河银行", "300.00", owed.reference]
        ]
        assert [one.batch for one in await desk.outgoing()] == [file.id]
        await works.payee("6200 0000 5555 6666")  # what is in a file stays as it is there
        assert await works.payouts.files.export(file.id, by=CLERK) == file
        await payout_store.put_in_file(
            works.db, owed.reference, made.id, uuid4(), CLERK
        )  # by a second file made at once
        assert [one.batch for one in await desk.outgoing()] == [file.id]
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(by=CLERK)
        made = (await works.payouts.files.batches())[0]
        assert (made.id, made.by, made.payouts, made.net_fen, made.waiting) == (file.id, "person:o3", 1, 30_000, 1)
        await upload(10, "300.00", "", owed.reference)
        assert await fens() == (31_000, 0, 0, -1_000)
        assert await desk.outgoing() == []
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(file.id, by=CLERK)
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        await upload(11, "", "300.00", owed.reference)  # once more: the bank returns what was sent again
        (item,) = await desk.suspense()
        await desk.resend(item.id, actor=CLERK, note="再次汇出")
        (owed,) = await desk.outgoing()
        assert (await desk.origin(owed)).subject_id == done.id
        await upload(12, "", "300.00", done.reference or "")  # nothing of it is out any more
        (stray,) = await desk.suspense()
        with pytest.raises(MoreThanSent):
            await desk.resend(stray.id, actor=CLERK, note="n")
        assert (await works.payouts.get(done.id)).state is PayoutState.CONFIRMED
        assert (await works.ledger.verify()).clean

    async def test_that_no_statement_shows_to_have_left_is_not_sent_again(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        await works.payouts.files.export(by=CLERK)
        desk = works.desk()
        text = f"日期,借方,贷方,附言\n20260609,,299.00,{done.reference}\n20260609,,5.00,不明\n"
        await desk.statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
        for item in await desk.suspense():
            with pytest.raises(NotReturned):
                await desk.resend(item.id, actor=CLERK, note="n")

    async def test_leaves_out_whoever_was_erased(self, works: Works) -> None:
        await works.ripe(500)
        await works.payee()
        done = await works.approved(300, channel=BANK_FILE)
        works.vault.destroy(works.person)
        with pytest.raises(NothingToPay):
            await works.payouts.files.export(by=CLERK)
        assert (await works.payouts.fail(done.id, by=CLERK, reason="erased")).state is PayoutState.FAILED
        works.clock.advance(seconds=timedelta(minutes=1).seconds)
        assert await works.income_micro() == 500 * MICRO


class TestNeighbour:
    async def test_asks_approves_and_is_paid_as_if_the_other_maker_were_not_there(self, works: Works) -> None:
        """Both use the same references, and leave some of it half done."""

        async def live() -> list[Any]:
            works.maker, works.person, payouts = uuid4(), uuid4(), works.payouts
            works.vault.create(works.person)
            await works.earn(200, Provenance.SUBSIDY)
            await works.ripe(2_000)
            await works.payee()

            async def asked(ref: str) -> UUID:
                made = await payouts.request(works.maker, 150 * MICRO, client_ref=ref, actor="person:maker")
                assert made.org_id == works.maker
                return made.id

            await payouts.cancel(works.maker, await asked("cancelled"), by="person:maker")
            await payouts.refuse(await asked("refused"), by="person:o1", reason="资料不全")
            await payouts.approve(await asked("first"), by="person:o1")
            sent = await works.approved(150, channel=BANK_FILE, ref="sent")
            await payouts.files.export(by=CLERK)
            kept = await works.approved(150, channel=BANK_FILE, ref="kept")
            await payouts.files.export(by=CLERK)
            await payouts.confirm((await works.approved(150, ref="paid")).id, by="sandbox")
            await payouts.fail((await works.approved(150, ref="failed")).id, by=CLERK, reason="账户已销户")
            text = f"日期,借方,贷方,附言\n20260608,150.00,,{sent.reference}"
            await works.desk().statements.take(text.encode(), name="s", actor="person:o1", second="person:2")
            await asked("open")
            earnings = await payouts.earnings(works.maker)
            found = [(one.client_ref, one.state, one.net_fen) for one in await payouts.list(org_id=works.maker)]
            assert (kept.reference or "") > ""
            return [earnings, found, await works.income_micro()]

        alone = await live()
        before = await all_rows(works.db, "payments")
        assert await live() == alone
        assert changed(before, await all_rows(works.db, "payments")) == []
        assert (await works.ledger.verify()).clean
