"""Statements that wait for a second person: what they would do, how many wait, and that one person is not enough."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from shanhe.kernel.db import Database
from shanhe.kernel.vault import Vault
from shanhe.payments import bank_held
from shanhe.payments.api import LineState, Outlook, State, StatementGone, StatementsWait, StatementUnreadable, Would

from .test_bank import HEADER, Branch


class Desk(Branch):
    """A branch at which statements are only uploaded."""

    vault_folder: Path

    async def upload_only(self, *rows: str) -> Outlook:
        return await self.desk.held.keep("\n".join([HEADER, *rows]).encode(), name="6月.csv", actor="person:1")

    async def agreed(self, outlook: Outlook, second: str = "person:2") -> list[LineState]:
        report = await self.desk.held.take(outlook.file.hash, actor="person:1", second=second)
        return [line.state for line in report.lines]


@pytest.fixture
async def desk(database: Database, tmp_path: Path):
    made = Desk(database, Vault(tmp_path))
    made.vault_folder = tmp_path
    yield made
    await made.ledger.stop()


class TestHeld:
    async def test_a_statement_of_one_person_pays_nothing(self, desk: Desk) -> None:
        order = await desk.ordered()
        outlook = await desk.upload_only(desk.row(str(order.provider_ref), "5000"))
        assert (outlook.pays, outlook.pays_fen) == (1, 500_000)
        assert await desk.desk.matching.settle() == 0
        assert (await desk.payments.order(order.id)).state is not State.PAID
        assert await desk.desk.statements.files() == []
        assert await desk.agreed(outlook) == [LineState.MATCHED]
        assert (await desk.payments.order(order.id)).state is State.PAID

    async def test_the_database_takes_no_statement_of_one_person(self, desk: Desk) -> None:
        outlook = await desk.upload_only(desk.row("货款", "1"))
        for second in ("person:1", ""):
            with pytest.raises(asyncpg.CheckViolationError):
                await desk.agreed(outlook, second)
        assert await desk.desk.statements.files() == []

    async def test_what_each_row_would_do_is_what_it_does(self, desk: Desk) -> None:
        whole, parts, late = [await desk.ordered(100_000) for _ in range(3)]
        paid = await desk.ordered(300_000)
        await desk.upload(desk.row(str(paid.provider_ref), "3000"))
        refund = await desk.payments.refund(paid.id, 100_000, client_ref="r", reason="x", actor="t")
        await desk.desk.statements.take(
            "\n".join([HEADER, known := desk.row("货款", "8")]).encode(), name="k", actor="person:1", second="person:2"
        )
        outlook = await desk.upload_only(
            desk.row(str(whole.provider_ref), "1000"), desk.row(str(whole.provider_ref), "1000"),
            desk.row(str(parts.provider_ref), "400"), desk.row(str(parts.provider_ref), "700"),
            desk.row(str(late.provider_ref), "1"), desk.row(f"退款{refund.provider_ref}", debit="1000"),
            desk.row(f"退款{refund.provider_ref}", debit="1000"), known, desk.row("货款", "错"), desk.row("无名", "2"),
        )  # fmt: skip
        assert [line.would for line in outlook.lines] == [
            Would.PAYS, Would.SUSPENSE, Would.PART, Would.PAYS, Would.PART, Would.SENT, Would.SUSPENSE,
            Would.DUPLICATE, Would.REFUSED, Would.SUSPENSE,
        ]  # fmt: skip
        assert (outlook.pays, outlook.pays_fen) == (2, 200_000)
        assert (outlook.in_fen, outlook.out_fen) == (310_300, 200_000)
        done = await desk.agreed(outlook)
        assert done == [
            LineState.MATCHED, LineState.SUSPENSE, LineState.PARTIAL, LineState.MATCHED, LineState.PARTIAL,
            LineState.MATCHED, LineState.SUSPENSE, LineState.DUPLICATE, LineState.REFUSED, LineState.SUSPENSE,
        ]  # fmt: skip

    async def test_what_can_not_be_read_is_said_to_who_uploads_it(self, desk: Desk) -> None:
        for data in (b"", b"no table", b"x" * 1_000_001):
            with pytest.raises(StatementUnreadable):
                await desk.desk.held.keep(data, name="x", actor="person:1")
        assert await desk.desk.held.all() == []

    async def test_no_more_wait_than_may(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(bank_held, "HELD_MAX", 2)
        rows = [desk.row("货款", f"{n}") for n in range(1, 4)]
        first = await desk.upload_only(rows[0])
        await desk.upload_only(rows[1])
        with pytest.raises(StatementsWait):
            await desk.upload_only(rows[2])
        await desk.upload_only(rows[1])  # it is there already
        await desk.desk.held.drop(first.file.hash)
        await desk.upload_only(rows[2])

    async def test_what_was_uploaded_again_is_not_dropped_for_what_was_decided_before(self, desk: Desk) -> None:
        outlook = await desk.upload_only(row := desk.row("货款", "1"))
        ((file_hash, held_at),) = await desk.desk.held.all()
        desk.clock.advance(minutes=1)
        await desk.upload_only(row)
        await desk.desk.held.drop(file_hash, held_at)
        assert (await desk.desk.held.outlook(outlook.file.hash, by="person:1")).file.lines == 1

    async def test_a_statement_whose_key_is_gone_is_gone(self, desk: Desk) -> None:
        outlook = await desk.upload_only(desk.row("货款", "1"))
        key = await desk.db.fetchval("SELECT key FROM payments.bank_held")
        Vault(desk.vault_folder).destroy(key)
        with pytest.raises(StatementGone):
            await desk.agreed(outlook)
        with pytest.raises(StatementGone):
            await desk.desk.held.outlook("0" * 64, by="person:1")
