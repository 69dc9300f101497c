"""The bank's balance against the books': what is in transit explains the difference to the fen."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.kernel.clock import midnight
from shanhe.kernel.db import Database
from shanhe.kernel.money import format_fen
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import LATEST, Asset, OpeningBalance, Posting, Transfer
from shanhe.payments import balance_store
from shanhe.payments.api import BalanceTooEarly, Order, Side
from shanhe.payments.balance import Balances
from shanhe.payments.balance_model import Entry, Kept, Walk

from .test_bank import Branch
from .test_sheet import TITLES

FIRST, SECOND, THIRD = date(2026, 6, 1), date(2026, 6, 2), date(2026, 6, 3)


class Office(Branch):
    """A branch with an accountant: its statements say balances."""

    def __init__(self, db: Database, vault: Vault) -> None:
        super().__init__(db, vault)
        self.balances = Balances(db, self.clock, self.ledger)
        self.fen, self.rows = 0, list[str]()

    async def hear(self, order: Order) -> None:
        made = await self.books(order.amount_fen, "purchase")
        await self.payments.acknowledge(order, made.id)

    def moves(self, day: date, fen: int, remark: str) -> None:
        self.fen += fen
        sides = ("", format_fen(fen)) if fen > 0 else (format_fen(-fen), "")
        self.serial += 1
        cells = (str(day), "10:00:00", *sides, format_fen(self.fen), "市教育局", remark, f"L{self.serial}")
        self.rows.append(",".join(f'"{cell}"' for cell in cells))

    async def statement(self) -> None:
        data = "\n".join([TITLES, *self.rows, ""]).encode()
        self.rows = []
        await self.desk.statements.take(data, name=f"{self.serial}.csv", actor="person:1", second="person:2")

    async def books(self, fen: int, kind: str = "top_up") -> Posting:
        """A movement of cash that no statement brought."""
        cash = await self.ledger.system_account("cash", Asset.CNY, "bank_transfer")
        other = await self.ledger.system_account("revenue", Asset.CNY, "credits sold")
        sides = (cash.id, other.id) if fen > 0 else (other.id, cash.id)
        made = Posting(id=uuid4(), kind=kind, transfers=(Transfer(uuid4(), *sides, abs(fen)),), actor="person:1")
        await self.ledger.post(made)
        return made

    async def sign(self, day: date) -> Kept:
        kept = await self.balances.prepare(day, by="person:1")
        return await self.balances.sign(kept.id, by="person:1 + person:2")

    def on(self, day: date) -> None:
        self.clock.set(datetime(day.year, day.month, day.day, 4, tzinfo=UTC))


@pytest.fixture
async def office(database: Database, tmp_path: Path):
    made = Office(database, Vault(tmp_path))
    yield made
    await made.ledger.stop()


class TestBalance:
    async def test_of_a_day_whose_money_the_books_got_later_names_it_with_its_age_and_when_it_was_cleared(
        self, office: Office
    ) -> None:
        office.moves(FIRST, 88_00, "货款")
        office.on(THIRD)
        await office.statement()
        sheet = await office.balances.on(SECOND)
        assert (sheet.bank_fen, sheet.ledger_fen, sheet.unexplained_fen) == (88_00, 0, 0)
        (item,) = sheet.items
        assert (item.side, item.amount_fen, item.since, item.age_days) == (Side.BANK_IN, 88_00, FIRST, 1)
        assert item.cleared == THIRD
        later = await office.balances.on(THIRD)
        assert (later.bank_fen, later.ledger_fen, later.items) == (88_00, 88_00, ())

    async def test_names_what_only_the_books_have(self, office: Office) -> None:
        office.moves(FIRST, 88_00, "货款")
        await office.statement()
        made = await office.books(30_00)
        await office.books(-12_00)
        sheet = await office.balances.on(FIRST)
        assert {(one.side, one.amount_fen, one.what) for one in sheet.items} == {
            (Side.BOOKS_IN, 30_00, "top_up"), (Side.BOOKS_OUT, 12_00, "top_up")
        }  # fmt: skip
        assert made.id in {one.posting for one in sheet.items}
        assert (sheet.adjusted_bank_fen, sheet.adjusted_ledger_fen, sheet.unexplained_fen) == (106_00, 106_00, 0)

    async def test_says_that_the_account_had_money_before_and_no_more_once_the_books_took_it_over(
        self, office: Office
    ) -> None:
        office.fen = 1_000_00
        office.moves(FIRST, 88_00, "货款")
        await office.statement()
        sheet = await office.balances.on(FIRST)
        assert [(one.side, one.what, one.amount_fen) for one in sheet.items] == [(Side.BANK_IN, "opening", 1_000_00)]
        cash = await office.ledger.system_account("cash", Asset.CNY, "bank_transfer")
        await office.ledger.open_books([OpeningBalance(cash.id, -1_000_00, ())], posting_id=uuid4(), actor="person:1")
        sheet = await office.balances.on(FIRST)
        assert (sheet.bank_fen, sheet.ledger_fen, sheet.items) == (1_088_00, 1_088_00, ())

    async def test_names_the_days_that_are_missing_as_what_nothing_explains(self, office: Office) -> None:
        office.moves(FIRST, 88_00, "货款")
        await office.statement()
        office.fen += 7_00
        office.on(THIRD)
        office.moves(THIRD, 1_00, "货款")
        await office.statement()
        sheet = await office.balances.on(THIRD)
        assert (sheet.bank_fen, sheet.unexplained_fen) == (96_00, 7_00)
        assert [gap.missing_fen for gap in sheet.gaps] == [7_00]
        assert (await office.balances.on(FIRST)).unexplained_fen == 0

    async def test_within_a_statement_is_the_one_of_that_evening(self, office: Office) -> None:
        for day, fen in ((FIRST, 88_00), (SECOND, -3_00), (THIRD, 5_00)):
            office.moves(day, fen, "货款")
        office.on(THIRD)
        await office.statement()
        assert [(await office.balances.on(day)).bank_fen for day in (FIRST, SECOND, THIRD)] == [88_00, 85_00, 90_00]
        assert (await office.balances.on(SECOND)).until == SECOND

    async def test_without_a_balance_in_any_statement_says_so(self, office: Office) -> None:
        await office.upload(office.row("货款", credit="88.00"))
        office.on(THIRD)
        sheet = await office.balances.on(SECOND)
        assert (sheet.stated, sheet.bank_fen) == (False, 88_00)

    async def test_of_an_order_that_was_paid_in_two_parts_and_too_much_has_nothing_in_transit(
        self, office: Office
    ) -> None:
        order = await office.ordered(100_00)
        office.moves(FIRST, 60_00, order.provider_ref or "")
        await office.statement()
        office.moves(FIRST, 55_00, order.provider_ref or "")
        await office.statement()
        sheet = await office.balances.on(FIRST)
        assert (sheet.bank_fen, sheet.ledger_fen, sheet.items) == (115_00, 115_00, ())

    async def test_of_a_reversed_posting_has_nothing_in_transit(self, office: Office) -> None:
        made = await office.books(30_00)
        await office.ledger.reverse(made.id, actor="person:1", reason="twice")
        assert (await office.balances.on(FIRST)).items == ()

    async def test_of_what_was_sent_back_waits_for_the_bank_until_its_line_is_explained_by_it(
        self, office: Office
    ) -> None:
        office.moves(FIRST, 30_00, "货款")
        await office.statement()
        (item,) = await office.waiting()
        await office.desk.give_back(item.id, actor="t", note="流水 1")
        sheet = await office.balances.on(FIRST)
        assert [(one.side, one.amount_fen) for one in sheet.items] == [(Side.BOOKS_OUT, 30_00)]
        office.moves(FIRST, -30_00, "退回货款")
        await office.statement()
        (left,) = await office.waiting()
        await office.desk.explain(left.id, [item.release_id], actor="t", note="已退回")
        sheet = await office.balances.on(FIRST)
        assert (sheet.bank_fen, sheet.ledger_fen, sheet.items) == (0, 0, ())

    async def test_of_a_day_to_come_is_refused(self, office: Office) -> None:
        with pytest.raises(BalanceTooEarly):
            await office.balances.on(office.clock.today() + timedelta(days=1))

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 3), st.integers(-9, 9))))
    def test_is_explained_to_the_fen_whatever_hangs_together(self, drawn: list[tuple[bool, int, int, int]]) -> None:
        bank, books, ties = [], [], []
        for number, (theirs, days, tie, fen) in enumerate(drawn):
            entry = Entry(("e", number), FIRST + timedelta(days=days), fen)
            (bank if theirs else books).append(entry)
            ties.append((entry.node, ("tie", tie)))
        day = FIRST + timedelta(days=2)
        walk = Walk(day)
        walk.add(bank, books, ties)
        items = walk.in_transit()
        said = sum((1 if one.side in (Side.BANK_IN, Side.BOOKS_OUT) else -1) * one.amount_fen for one in items)
        sums = [sum(e.fen for e in side if e.day <= day) for side in (bank, books)]
        assert sums[0] - sums[1] == said
        assert all(one.amount_fen > 0 and one.since <= day for one in items)

    @given(
        st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 3), st.integers(-9, 9))), st.integers(0, 9)
    )
    def test_explains_as_much_where_it_goes_day_by_day_and_forgets_what_was_settled(
        self, drawn: list[tuple[bool, int, int, int]], last: int
    ) -> None:
        day, walk, fen = FIRST + timedelta(days=last), Walk(FIRST + timedelta(days=last)), 0
        for step in range(10):
            at = FIRST + timedelta(days=step)
            now = [(n, one) for n, one in enumerate(drawn) if one[1] == step]
            bank = [Entry(("e", n), at, one[3]) for n, one in now if one[0]]
            books = [Entry(("e", n), at, one[3]) for n, one in now if not one[0]]
            walk.add(bank, books, [(("e", n), ("tie", one[2])) for n, one in now])
            walk.forget()
            fen += (sum(e.fen for e in bank) - sum(e.fen for e in books)) if at <= day else 0
        items = walk.in_transit()
        assert fen == sum((1 if one.side in (Side.BANK_IN, Side.BOOKS_OUT) else -1) * one.amount_fen for one in items)


class TestOpening:
    async def test_is_that_of_the_statement_from_which_another_of_the_same_first_moment_goes_on(
        self, office: Office
    ) -> None:
        """As where a bank's lines have a day and no hour."""
        office.fen = 100_00
        office.moves(FIRST, 88_00, "货款")
        office.on(SECOND)
        await office.statement()
        office.moves(FIRST, -90_00, "付款")
        office.clock.advance(seconds=1)
        await office.statement()
        office.on(THIRD)
        found = await office.balances.on(SECOND)
        assert (found.bank_fen, found.unexplained_fen, found.gaps) == (98_00, 0, ())


class TestFromTheLastSignedSheet:
    async def test_says_the_same_as_from_the_first_day(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of an opening balance, an order in parts, what was given back and explained later, and a reversed top-up."""
        office.fen = 500_00
        order = await office.ordered(100_00)
        office.moves(FIRST, 40_00, str(order.provider_ref))
        office.moves(FIRST, 7_00, "不明")
        undone, waiting = await office.books(30_00), await office.books(-12_00)
        office.on(FIRST)
        await office.statement()
        office.on(SECOND)
        await office.sign(FIRST)
        (stray,) = [item for item in await office.waiting() if item.amount_fen == 7_00]
        await office.desk.give_back(stray.id, actor="t", note="已退回")
        await office.ledger.reverse(undone.id, actor="person:1", reason="误记")
        for fen, remark in ((60_00, str(order.provider_ref)), (-12_00, "手工"), (-7_00, "退回")):
            office.moves(SECOND, fen, remark)
        await office.statement()
        back, by_hand = sorted((i for i in await office.waiting() if i.outgoing), key=lambda item: item.amount_fen)
        await office.desk.explain(back.id, [stray.release_id], actor="t", note="已退回")
        await office.desk.explain(by_hand.id, [waiting.id], actor="t", note="手工")
        office.on(THIRD)
        office.moves(THIRD, 3_00, "货款")
        await office.statement()
        await office.books(1_00)
        begun = [await office.balances.on(day) for day in (SECOND, THIRD)]
        asked = []
        monkeypatch.setattr(balance_store, "last_signed", _nothing(asked))
        assert [await office.balances.on(day) for day in (SECOND, THIRD)] == begun
        assert asked == [SECOND, THIRD]
        assert begun[1].unexplained_fen == 0
        assert {one.what for one in begun[1].items} >= {"opening", "top_up"}

    async def test_reads_nothing_of_before(self, office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
        office.moves(FIRST, 88_00, "货款")
        office.on(FIRST)
        await office.statement()
        office.on(THIRD)
        await office.sign(FIRST)
        read, whole = [], balance_store.lines

        async def lines(db: Database, since: datetime, until: datetime) -> list[object]:
            read.append(since)
            return await whole(db, since, until)

        monkeypatch.setattr(balance_store, "lines", lines)
        assert (await office.balances.on(SECOND)).ledger_fen == 88_00
        assert min(read) == midnight(SECOND)
        read.clear()
        office.moves(FIRST, 2_00, "迟到")  # a statement that reaches back
        await office.statement()
        assert (await office.balances.on(SECOND)).bank_fen == 90_00
        assert min(read) < midnight(SECOND)

    @pytest.mark.parametrize("first", ["the sheet is drawn", "the statement is read"])
    async def test_begins_at_no_sheet_that_a_statement_crossed(
        self, office: Office, monkeypatch: pytest.MonkeyPatch, first: str
    ) -> None:
        """One is taken in while the other one is made."""
        office.moves(FIRST, 88_00, "货款")
        office.on(FIRST)
        await office.statement()
        office.on(THIRD)
        office.moves(SECOND, 2_00, "货款")
        owner, name, other = {
            "the sheet is drawn": (office.balances, "on", office.statement),
            "the statement is read": (office.desk.statements, "elsewhere", lambda: office.sign(SECOND)),
        }[first]
        begin = getattr(owner, name)

        async def crossed(said: object) -> object:
            monkeypatch.setattr(owner, name, begin)
            found = await begin(said)
            office.clock.advance(seconds=1)
            await other()
            office.clock.advance(seconds=1)
            return found

        monkeypatch.setattr(owner, name, crossed)
        await (office.sign(SECOND) if owner is office.balances else office.statement())
        office.on(THIRD + timedelta(days=1))
        found = await office.balances.on(THIRD)
        assert (found.bank_fen, found.unexplained_fen) == (90_00, 0)

    async def test_begins_at_no_sheet_that_left_something_unexplained_or_was_made_too_early(
        self, office: Office
    ) -> None:
        office.moves(FIRST, 88_00, "货款")
        office.on(FIRST)
        await office.statement()
        office.clock.set(midnight(SECOND) + timedelta(minutes=1))
        await office.sign(FIRST)
        assert await balance_store.last_signed(office.db, THIRD, LATEST) is None
        office.on(THIRD)
        office.fen += 7_00
        office.moves(SECOND, 1_00, "货款")
        await office.statement()
        assert (await office.sign(SECOND)).unexplained_fen == 7_00
        assert await balance_store.last_signed(office.db, THIRD, LATEST) is None


def _nothing(asked: list[date]) -> object:
    async def last_signed(_: object, day: date, __: object) -> None:
        asked.append(day)

    return last_signed


class TestSheet:
    async def test_that_was_signed_stays_as_it_was_and_a_changed_one_is_another(
        self, office: Office, database: Database
    ) -> None:
        office.moves(FIRST, 88_00, "货款")
        office.on(THIRD)
        await office.statement()
        kept = await office.balances.prepare(SECOND, by="person:1")
        assert (await office.balances.prepare(SECOND, by="person:2")) == kept
        signed = await office.balances.sign(kept.id, by="person:1 + person:2")
        assert (signed.signed_by, signed.sheet["bank_fen"]) == ("person:1 + person:2", 88_00)
        await office.balances.sign(kept.id, by="person:3")
        assert (await office.balances.get(kept.id)).signed_by == "person:1 + person:2"
        with pytest.raises(Exception, match="stays"):
            await database.execute("UPDATE payments.bank_balance SET bank_fen = 1")
        office.moves(SECOND, 2_00, "迟到")
        await office.statement()
        office.clock.advance(seconds=1)
        other = await office.balances.prepare(SECOND, by="person:1")
        assert [one.id for one in await office.balances.kept()] == [other.id, kept.id]

    async def test_of_a_day_that_is_not_over_is_not_signed(self, office: Office) -> None:
        with pytest.raises(BalanceTooEarly):
            await office.balances.prepare(office.clock.today(), by="person:1")
