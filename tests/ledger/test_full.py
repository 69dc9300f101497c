"""A database without room: callers are told so at once, nothing is booked, and nothing of it is booked later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Ledger, LedgerFull, Posting, Transfer

from .conftest import Books

REFUSE = """
CREATE FUNCTION ledger.no_room() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER no_room BEFORE INSERT ON ledger.posting FOR EACH STATEMENT EXECUTE FUNCTION ledger.no_room();
CREATE TRIGGER no_room BEFORE INSERT ON ledger.hold FOR EACH STATEMENT EXECUTE FUNCTION ledger.no_room();
"""
ROOM = "DROP FUNCTION IF EXISTS ledger.no_room() CASCADE"


@pytest.fixture
async def crowded(database: Database) -> AsyncIterator[Database]:
    """The database; `REFUSE` fills its disk, and it has room again afterwards."""
    yield database
    await database.execute(ROOM)


class TestFull:
    async def test_a_capture_is_refused_at_once_and_its_reservation_is_free_again(
        self, ledger: Ledger, books: Books, crowded: Database
    ) -> None:
        payer = await books.wallet(1_000_000)
        reservation = await ledger.admit(payer.id, 1000, receipt_id=new_id())
        await crowded.execute(REFUSE)
        with pytest.raises(LedgerFull) as refused:
            await ledger.settle(reservation, books.charge(700))
        assert (refused.value.code, refused.value.status) == ("disk_full", 503)
        assert ledger.refused_for_room()
        await crowded.execute(ROOM)
        everything = await ledger.admit(payer.id, 1000, receipt_id=new_id())
        await ledger.settle(everything, books.charge(300))
        assert not ledger.refused_for_room()
        assert (await ledger.balance(payer.id)).balance == 1_000_000 - 300
        assert (await ledger.verify()).findings == ()

    async def test_a_posting_and_a_hold_are_refused_and_can_be_sent_again(
        self, ledger: Ledger, books: Books, crowded: Database, clock: FixedClock
    ) -> None:
        payer = await books.wallet(1_000_000)
        posting = Posting(id=new_id(), kind="test", transfers=(Transfer(new_id(), books.cost.id, books.revenue.id, 1),))
        hold_id, until = new_id(), clock.now() + timedelta(days=1)
        await crowded.execute(REFUSE)
        with pytest.raises(LedgerFull):
            await ledger.post(posting)
        with pytest.raises(LedgerFull):
            await ledger.hold(payer.id, 500, hold_id=hold_id, purpose="escrow", expires_at=until)
        await crowded.execute(ROOM)
        assert not (await ledger.post(posting)).known
        await ledger.hold(payer.id, 500, hold_id=hold_id, purpose="escrow", expires_at=until)
        assert (await ledger.balance(payer.id)).held == 500
        assert (await ledger.verify()).findings == ()
