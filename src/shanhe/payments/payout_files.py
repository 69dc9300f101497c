"""The bank's batch files: what was approved for them, and what came back and is sent again, once each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import structlog

from shanhe.kernel import acts
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.documents import csv_line
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.payments import payout_store
from shanhe.payments.payees import Payees
from shanhe.payments.payout_errors import NothingToPay, UnknownPayout
from shanhe.payments.payout_model import Batch, BatchFile, Payout, PayoutState
from shanhe.payments.payout_posting import BANK_FILE

BATCH_ROWS: Final = 200
PAGE_ROWS: Final = 100

log = structlog.get_logger(__name__)


async def _nobody(_: UUID) -> bool:
    return False


class PayoutFiles:
    """`move`: puts a payout into a state out of one of some, as `Payouts` does."""

    def __init__(self, db: Database, clock: Clock, payees: Payees, move: Callable[..., Awaitable[Payout]]) -> None:
        self._db = db
        self._clock = clock
        self._payees = payees
        self._move = move
        self.arrived: Callable[[UUID], Awaitable[bool]] = _nobody
        """Whether somebody says of a payout that it arrived, and nobody has decided on that yet."""

    async def export(self, batch_id: UUID | None = None, *, by: str) -> BatchFile:
        """A CSV for the bank's batch transfer of everything approved for it; where nothing is, of what came back and is
        sent again: a bank that debits a file in one sum is explained by its number. With `batch_id` that batch
        again, without what has ended since: it would be paid twice. Nor is what somebody says arrived in any. Who
        had it is on record.

        Raises NothingToPay where nothing waits, UnknownPayout for a batch that was never made.
        """
        if batch_id is None:
            batch_id = new_id()
            for payout in await payout_store.approved(self._db, BANK_FILE, BATCH_ROWS):
                if await self._can_pay(payout.payee_id, payout.id):
                    await self._move(payout.id, {PayoutState.APPROVED}, PayoutState.SENT, batch=batch_id, sent_by=by)
            booked = await payout_store.is_batch(self._db, batch_id)
            for row in () if booked else await payout_store.to_resend(self._db, BATCH_ROWS):
                if await self._can_pay(row["payee"]):
                    await payout_store.put_in_file(self._db, row["reference"], row["payee"], batch_id, by)
        elif not await payout_store.is_batch(self._db, batch_id):
            raise UnknownPayout
        rows = await payout_store.in_file(self._db, batch_id)
        found = [row for row in rows if await self._can_pay(row["payee"], row["payout"])]
        if not found:
            raise NothingToPay
        told = {"payouts": len(found), "net_fen": sum(row["fen"] for row in found)}
        await acts.note(self._db, by, "payout.file", f"payout_file:{batch_id}", told, self._clock.now())
        lines = [csv_line(("序号", "收款户名", "收款账号", "开户银行", "金额", "附言"))]
        for number, row in enumerate(found, 1):
            payee, fen = await self._payees.open(row["payee"]), row["fen"]
            amount = f"{fen // 100}.{fen % 100:02d}"
            lines.append(csv_line((number, payee.holder, payee.account, payee.bank, amount, row["reference"])))
        return BatchFile(batch_id, "".join(lines), len(found), told["net_fen"])

    async def batches(self) -> list[Batch]:
        """The bank's files that were made, newest first, a bounded page."""
        return await payout_store.batches(self._db, PAGE_ROWS)

    async def _can_pay(self, payee_id: UUID, payout_id: UUID | None = None) -> bool:
        """False where the account was found wrong since, or its person was erased: that payout has to fail, the others
        go on. Nor of what is said to have arrived."""
        if not await payout_store.passed(self._db, payee_id) or (payout_id and await self.arrived(payout_id)):
            return False
        try:
            await self._payees.open(payee_id)
        except ShanheError as error:
            log.warning("a payee cannot be read", payee=str(payee_id), error=error.code)
            return False
        return True
