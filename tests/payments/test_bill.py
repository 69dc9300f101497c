"""An institution's bill: which day a line belongs to, and which number stands already."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.payments.bills import Bills

MIDNIGHT = datetime(2026, 11, 23, 16, tzinfo=UTC)
"""At which the city's 24 November begins."""
HEAD = "交易时间,商户订单号,交易状态,应结订单金额,商户退款单号,退款金额"


def paid(at: str, number: UUID, yuan: str) -> str:
    return f"`{at},`{number},`SUCCESS,`{yuan},`0,`0.00"


def returned(at: str, number: UUID, yuan: str) -> str:
    return f"`{at},`{uuid4()},`REFUND,`0.00,`{number},`{yuan}"


def bill(*rows: str) -> bytes:
    return "\n".join([HEAD, *rows, "总交易单数,", "`9"]).encode()


async def upload(bills: Bills, *rows: str) -> list[int]:
    """Rows of the file that could not be used."""
    return [one.row for one in (await bills.upload("wechat", bill(*rows), name="b", actor="t")).problems]


class TestLine:
    async def test_at_midnight_belongs_to_the_day_that_begins(self, database: Database) -> None:
        bills, numbers = Bills(database, FixedClock(MIDNIGHT)), [uuid4() for _ in range(3)]
        times = ("2026-11-23 23:59:59", "2026-11-24 00:00:00", "2026-11-24 23:59:59")
        assert not await upload(bills, *(paid(at, number, "1.00") for at, number in zip(times, numbers, strict=True)))
        found = []
        for day in range(-1, 2):
            since = MIDNIGHT + timedelta(days=day)
            lines = await bills.lines("wechat", since, since + timedelta(days=1))
            found.append([line.number for line in lines or ()])
        assert found == [numbers[:1], numbers[1:], []]

    async def test_of_a_refund_that_moved_no_money_counts_for_nothing_until_a_bill_says_that_it_did(
        self, database: Database
    ) -> None:
        bills, number, at = Bills(database, FixedClock(MIDNIGHT)), uuid4(), "2026-11-24 10:00:00"

        async def told(state: str) -> list[int]:
            text = "\n".join([f"{HEAD},退款状态", f"{returned(at, number, '3.00')},`{state}"]).encode()
            return [one.row for one in (await bills.upload("wechat", text, name="b", actor="t")).problems]

        for state in ("PROCESSING", "CHANGE", "FAIL", "REFUNDCLOSE"):
            assert await told(state) == [2], state
        assert await bills.lines("wechat", MIDNIGHT, MIDNIGHT + timedelta(days=1)) is None
        assert await told("SUCCESS") == []
        (line,) = await bills.lines("wechat", MIDNIGHT, MIDNIGHT + timedelta(days=1)) or ()
        assert (line.kind, line.number, line.amount_fen) == ("refund", number, 300)

    async def test_of_a_payment_says_nothing_of_a_refund_with_the_same_number(self, database: Database) -> None:
        bills, number, at = Bills(database, FixedClock(MIDNIGHT)), uuid4(), "2026-11-24 10:00:00"
        assert not await upload(bills, paid(at, number, "8.00"), returned(at, number, "3.00"))
        assert await upload(bills, paid(at, number, "8.00"), returned(at, number, "4.00")) == [3]
        assert await upload(bills, paid(at, number, "3.00"), returned(at, number, "3.00")) == [2]
        lines = await bills.lines("wechat", MIDNIGHT, MIDNIGHT + timedelta(days=1))
        assert {(line.kind, line.amount_fen) for line in lines or ()} == {("payment", 800), ("refund", 300)}
