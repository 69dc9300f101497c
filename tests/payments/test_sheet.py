"""What a statement says of itself, and whether one goes on from the one before: cut files, other accounts, lost
days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.kernel.db import Database
from shanhe.kernel.money import format_fen
from shanhe.kernel.vault import Vault
from shanhe.payments import bank_csv, bank_sheet
from shanhe.payments.api import (
    BankDesk,
    Report,
    StatementContradicts,
    StatementIncomplete,
    StatementOfAnother,
    StatementUnreadable,
)

from .test_bank import ACCOUNT, Branch

TITLES = "交易日期,交易时间,借方发生额,贷方发生额,余额,对方户名,摘要,流水号"


class Book:
    """A bank's own book of one account: every movement with the balance after it."""

    def __init__(self, opening_fen: int = 100_000) -> None:
        self.rows: list[tuple[int, str]] = []
        self.balance_fen, self.opening_fen = opening_fen, opening_fen

    def move(self, day: int, fen: int, hour: int = 10) -> None:
        self.balance_fen += fen
        sides = ("", format_fen(fen)) if fen > 0 else (format_fen(-fen), "")
        cells = [f"2026-06-{day:02d}", f"{hour:02d}:00:00", *sides, format_fen(self.balance_fen)]
        number = len(self.rows) + 1
        self.rows.append((day, ",".join(f'"{cell}"' for cell in (*cells, "市教育局", f"货款{number}", f"L{number}"))))

    def lines(self, first: int, last: int) -> list[str]:
        return [row for day, row in self.rows if first <= day <= last]


def sheet(lines: Sequence[str], head: Sequence[str] = (), foot: Sequence[str] = (), titles: str = TITLES) -> bytes:
    return "\n".join([*head, titles, *lines, *foot, ""]).encode()


def week() -> Book:
    book = Book()
    for day in range(1, 8):
        book.move(day, 1_000 * day, 9)
        book.move(day, -300, 15)
    return book


def balances(data: bytes) -> tuple[int | None, int | None]:
    said, lines = bank_csv.read(data)
    found = bank_sheet.way(lines, said)
    return found.opening_fen, found.closing_fen


class TestSheet:
    @given(st.permutations(range(14)))
    def test_leads_from_the_first_balance_to_the_last_in_whatever_order_it_is_listed(self, order: list[int]) -> None:
        book = week()
        assert balances(sheet([book.rows[place][1] for place in order])) == (100_000, book.balance_fen)

    @pytest.mark.parametrize("place", range(1, 13))
    def test_that_lacks_a_line_in_its_middle_is_refused_and_names_the_row(self, place: int) -> None:
        lines = week().lines(1, 7)
        del lines[place]
        with pytest.raises(StatementIncomplete, match=f"row {place + 2} begins"):
            balances(sheet(lines))

    @pytest.mark.parametrize("cut", [0, 13])
    def test_that_lacks_its_first_or_last_line_is_refused_by_the_balances_around_it(self, cut: int) -> None:
        book = week()
        lines = book.lines(1, 7)
        del lines[cut]
        head = ["账号,6200 1234", "期初余额：1,000.00"]
        with pytest.raises(StatementIncomplete, match=r"first line" if cut == 0 else r"last line"):
            balances(sheet(lines, head, [f"期末余额,,,,{book.balance_fen / 100:,.2f}"]))

    def test_whose_total_is_another_than_its_lines_is_refused(self) -> None:
        rows = ["20260602,,5,市教育局,甲", "20260602,,6,市教育局,乙"]
        titles = "日期,借方,贷方,对方户名,附言"
        assert len(bank_csv.read(sheet(rows, foot=["合计,,11.00,,"], titles=titles))[1]) == 2
        with pytest.raises(StatementIncomplete, match="total"):
            bank_csv.read(sheet(rows[:1], foot=["合计,,11.00,,"], titles=titles))

    def test_that_is_cut_within_its_last_line_is_refused_and_pays_no_smaller_sum(self) -> None:
        whole = sheet(week().lines(1, 3))
        whole_rows = len(bank_csv.read(whole)[1])
        for end in range(len(whole) - 120, len(whole) - 1):
            try:
                _, lines = bank_csv.read(whole[:end])
            except StatementIncomplete:
                continue
            assert [line.amount_fen for line in lines] == [100_000 // 100, 300, 2_000, 300, 3_000, 300][: len(lines)]
            assert len(lines) in (whole_rows, whole_rows - 1)

    def test_in_another_format_says_which(self) -> None:
        for data, named in ((b"PK\x03\x04rest", "Excel"), (b"%PDF-1.7", "PDF")):
            with pytest.raises(StatementUnreadable, match=named):
                bank_csv.read(data)
        text = sheet(week().lines(1, 1)).decode().replace('"', "").replace(",", "\t")
        assert len(bank_csv.read(text.encode("utf-16"))[1]) == 2

    @pytest.mark.parametrize(
        ("named", "ours"),
        [("6200 1234", True), ("6200****", True), ("62****34", True), ("6200 9999", False), ("6200****9999", False)],
    )
    def test_names_its_account_some_digits_hidden(self, named: str, ours: bool) -> None:
        said, _ = bank_csv.read(
            sheet(week().lines(1, 1), [f"账号：{named}", "起止日期：20260601-20260607,打印日期：20260608"])
        )
        assert (said.since, said.until) == (date(2026, 6, 1), date(2026, 6, 7))
        assert bank_sheet.is_ours(said.account, ACCOUNT.account) is ours


@pytest.fixture
async def branch(database: Database, tmp_path: Path):
    made = Branch(database, vault := Vault(tmp_path))
    made.clock.advance(days=40)
    made.desk = BankDesk(
        database, made.clock, ledger=made.ledger, payments=made.payments, vault=vault, account=ACCOUNT
    )  # fmt: skip
    yield made
    await made.ledger.stop()


async def read(branch: Branch, data: bytes, name: str = "6月.csv") -> Report:
    return await branch.desk.statements.take(data, name=name, actor="person:1", second="person:2")


async def days(branch: Branch) -> list[tuple[int, int, int]]:
    return [(gap.since.day, gap.until.day, gap.missing_fen) for gap in await branch.desk.statements.gaps()]


class TestStatements:
    async def test_of_following_days_go_on_from_each_other_whatever_comes_first(self, branch: Branch) -> None:
        book = week()
        for first, last in ((5, 7), (1, 2), (3, 4)):
            await read(branch, sheet(book.lines(first, last)))
        assert await days(branch) == []

    async def test_say_which_days_are_missing_and_what_they_come_to(self, branch: Branch) -> None:
        book = week()
        await read(branch, sheet(book.lines(1, 2)), "first.csv")
        report = await read(branch, sheet(book.lines(5, 7)), "second.csv")
        assert await days(branch) == [(3, 4, 6_400)]
        assert [(gap.before.name, gap.after.name) for gap in report.gaps] == [("first.csv", "second.csv")]
        await read(branch, sheet(book.lines(3, 3)))
        assert await days(branch) == [(4, 4, 3_700)]
        await read(branch, sheet(book.lines(4, 4)))
        assert await days(branch) == []

    async def test_without_lines_between_them_miss_nothing_on_days_when_nothing_moved(self, branch: Branch) -> None:
        book = Book()
        book.move(1, 500)
        book.move(5, 500)
        await read(branch, sheet(book.lines(1, 1)))
        await read(branch, sheet(book.lines(5, 5)))
        assert await days(branch) == []

    async def test_that_overlap_go_on_and_count_each_line_once(self, branch: Branch) -> None:
        book = week()
        for first, last in ((1, 4), (3, 6), (2, 7), (1, 7)):
            await read(branch, sheet(book.lines(first, last)))
        assert await days(branch) == []
        assert await branch.cash_fen() == book.balance_fen - book.opening_fen

    async def test_of_one_day_without_hours_go_on_in_the_order_of_their_balances(self, branch: Branch) -> None:
        book = Book()
        book.move(1, 50)
        await read(branch, sheet(book.lines(1, 1)))
        for fen in (100, 200, 300):
            book.move(2, fen)
        lines = [line.replace('"10:00:00"', "") for line in book.lines(2, 2)]
        for line in (lines[2], lines[0]):
            await read(branch, sheet([line]))
        assert await days(branch) == [(2, 2, 200)]
        await read(branch, sheet([lines[1]]))
        assert await days(branch) == []

    async def test_of_the_same_hours_that_share_no_line_do_not_go_on_from_each_other(self, branch: Branch) -> None:
        """Of another account that names itself nowhere: nothing can be refused, and somebody has to look."""
        for opening_fen in (100_000, 250_000):
            book = Book(opening_fen)
            book.move(2, 1_400 + opening_fen // 1_000, 9)
            book.move(2, -150 - opening_fen // 1_000, 17)
            await read(branch, sheet(book.lines(2, 2)))
        assert [(since, until) for since, until, _ in await days(branch)] == [(2, 2)]

    async def test_without_balances_say_nothing_of_what_is_missing(self, branch: Branch) -> None:
        for day in (1, 5):
            line = f"2026-06-0{day},,5.00,市教育局,货款{day}"
            await read(branch, sheet([line], titles="日期,借方,贷方,对方户名,摘要"))
        assert await days(branch) == []

    async def test_of_another_account_take_nothing(self, branch: Branch) -> None:
        with pytest.raises(StatementOfAnother):
            await read(branch, sheet(week().lines(1, 7), ["账号：6200 9999"]))
        assert await branch.desk.statements.files() == []
        assert await branch.cash_fen() == 0

    async def test_that_lack_what_was_read_of_their_days_take_nothing(self, branch: Branch) -> None:
        """The same week in another form, or of another account that doesn't name itself: nothing counts twice."""
        book = week()
        await read(branch, sheet(book.lines(1, 7)), "week.csv")
        before = await branch.cash_fen()
        other = sheet([line.replace("货款", "转账 货款") for line in book.lines(1, 7)])
        with pytest.raises(StatementContradicts, match=r"week\.csv.*12 of its lines"):
            await read(branch, other)
        assert await branch.cash_fen() == before
        assert len(await branch.desk.statements.files()) == 1

    async def test_with_a_row_that_cannot_be_read_are_taken_again_once_it_is_put_right(self, branch: Branch) -> None:
        book = week()
        lines = book.lines(1, 7)
        broken = [*lines[:4], lines[4].replace("30.00", "three"), *lines[5:]]
        report = await read(branch, sheet(broken))
        assert report.counts["refused"] == 1
        again = await read(branch, sheet(lines))
        assert (again.counts["duplicate"], again.counts["suspense"]) == (13, 1)
        assert await branch.cash_fen() == book.balance_fen - book.opening_fen

    async def test_reach_as_far_as_they_say_even_where_nothing_moved(self, branch: Branch) -> None:
        await read(branch, sheet(week().lines(1, 3), ["查询期间：2026-06-01 至 2026-06-07"]))
        assert await branch.desk.statements.last_day() == date(2026, 6, 7)
