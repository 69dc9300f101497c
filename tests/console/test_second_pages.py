"""The desk of the second person, closing the books, reversing: what the forms do, and what an auditor sees of them."""

from __future__ import annotations

from datetime import date
from uuid import UUID

import httpx
import pytest
from tests.console import double
from tests.console.double_bulletin import SecondDesk
from tests.console.double_ground import TOKEN

from shanhe.console.live.second import fits
from shanhe.console.ports import Desk

HERS, MINE, UNDONE, OTHERS, POSTING = *(UUID(int=n) for n in (91, 92, 94, 95)), double.ident(4)


@pytest.fixture
def second(desk: Desk) -> SecondDesk:
    assert isinstance(desk.second, SecondDesk)
    return desk.second


class TestSecondPerson:
    async def test_agrees_refuses_with_a_reason_and_takes_back_what_is_their_own(
        self, member: httpx.AsyncClient, second: SecondDesk
    ) -> None:
        page = (await member.get("/city/second")).text
        for word in ("李青", "汇款 7", "未同意", "回单金额不符", "周敏", "待审批", "尚未办结", "余额不足"):
            assert word in page
        assert page.count('value="withdraw"') == 1
        for number, do, reason in ((HERS, "approve", ""), (HERS, "reject", "金额不符"), (MINE, "withdraw", ""),
                                   (UNDONE, "again", "")):  # fmt: skip
            fields = TOKEN | {"do": do, "reason": reason}
            assert (await member.post(f"/city/second/{number}", data=fields)).status_code == 303
        assert second.done == [(HERS, "approve", ""), (HERS, "reject", "金额不符"), (MINE, "withdraw", ""),
                               (UNDONE, "again", "")]  # fmt: skip
        assert (await member.post(f"/city/second/{HERS}", data=TOKEN | {"do": "?"})).status_code == 422

    async def test_looks_over_what_was_chosen_with_its_sum_before_deciding_each_by_itself(
        self, member: httpx.AsyncClient, second: SecondDesk
    ) -> None:
        chosen = {"pick": [str(HERS), str(MINE), str(OTHERS), "?"], "do": "approve"}
        page = (await member.get("/city/second/chosen", params=chosen)).text
        assert (page.count('name="pick"'), "2,000.00" in page, second.done) == (2, True, [])  # not what is one's own
        second.refused = {HERS}
        sent = await member.post("/city/second/chosen", data=TOKEN | chosen)
        assert (sent.status_code, second.done) == (303, [(OTHERS, "approve", "")])
        page = (await member.get(sent.headers["location"])).text
        for said in ("已同意并办结 1 项", "另有 2 项未办成", "预算不足。", "该事项已不待您审批。"):
            assert said in page

    async def test_refuses_several_for_a_reason_that_each_of_them_keeps(
        self, member: httpx.AsyncClient, second: SecondDesk
    ) -> None:
        chosen = TOKEN | {"pick": [str(HERS), str(OTHERS)], "do": "reject"}
        without = await member.post("/city/second/chosen", data=chosen)
        assert (without.status_code, "请写明理由" in without.text, second.done) == (422, True, [])
        assert (await member.post("/city/second/chosen", data=chosen | {"reason": "重复"})).status_code == 303
        assert second.done == [(HERS, "reject", "重复"), (OTHERS, "reject", "重复")]

    async def test_is_searched_by_what_a_row_says_and_by_its_kind(
        self, member: httpx.AsyncClient, second: SecondDesk
    ) -> None:
        page = (await member.get("/city/second?find= 汇款 &kind=credits.top_up")).text
        assert (second.wanted.find, second.wanted.kind) == ("汇款", "credits.top_up")
        assert f"past={UUID(int=90)}&amp;find=%E6%B1%87%E6%AC%BE&amp;kind=credits.top_up" in page
        await member.get(f"/city/second?kind=nothing&past={HERS}")
        assert (second.wanted.kind, second.wanted.past) == ("", HERS)

    @pytest.mark.parametrize("find", ["", "青山", "汇款", "李青", "1,000.0", "1000.00", "05b"])
    def test_is_found_by_name_reason_person_amount_and_number(self, second: SecondDesk, find: str) -> None:
        row = second.row(91, mine=False)
        assert (fits(row, find), fits(row, f"{find}?")) == (True, False)

    async def test_shows_an_auditor_everything_and_no_button(self, member: httpx.AsyncClient, desk: Desk) -> None:
        assert isinstance(desk.gate, double.Gate)
        desk.gate.rights = frozenset({"ledger", "audit"})
        for path in ("/city/second", "/city/bank", "/city/payouts", "/city/reconcile", "/city/ledger/trial",
                     "/city/exchange",
                     f"/city/ledger/postings/{POSTING}"):  # fmt: skip
            page = await member.get(path)
            assert page.status_code == 200, path
            assert 'method="post" action="/city' not in page.text, path
        for path in (str(HERS), "chosen"):
            answer = await member.post(f"/city/second/{path}", data=TOKEN | {"do": "approve", "pick": str(HERS)})
            assert answer.status_code == 403

    async def test_shows_who_may_not_read_it_nothing_after_a_post_either(
        self, member: httpx.AsyncClient, desk: Desk, second: SecondDesk
    ) -> None:
        assert isinstance(desk.gate, double.Gate)
        desk.gate.rights = frozenset({"accounts", "programmes"})
        for do in ("approve", "?"):
            refused = await member.post(f"/city/second/{HERS}", data=TOKEN | {"do": do})
            assert (refused.status_code, "汇款 7" in refused.text, second.done) == (403, False, [])


class TestBooks:
    async def test_are_closed_and_reversed_by_asking(self, member: httpx.AsyncClient, second: SecondDesk) -> None:
        assert "2026-10-31" in (await member.get("/city/ledger/trial")).text
        looked = (await member.get("/city/ledger/trial?through=2026-11-19")).text
        for needed in (
            "/city/bank#suspense",
            "待处理的银行款项",
            "最早 2026-10-07",
            'name="through" value="2026-11-19"',
        ):
            assert needed in looked, needed
        assert "截至 2026-09-30 没有未了事项" in (await member.get("/city/ledger/trial?through=2026-09-30")).text
        closing = await member.post("/city/ledger/close", data=TOKEN | {"through": "2026-10-31"})
        assert closing.headers["location"] == "/city/second?done=payment_asked"
        path = f"/city/ledger/postings/{POSTING}/reverse"
        assert (await member.post(path, data=TOKEN | {"reason": "记错账户"})).status_code == 303
        assert second.asked == [date(2026, 10, 31), (POSTING, "记错账户")]
        for wrong in (("/city/ledger/close", {"through": "never"}), (path, {"reason": ""})):
            assert (await member.post(wrong[0], data=TOKEN | wrong[1])).status_code == 422
