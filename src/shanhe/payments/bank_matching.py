"""What a statement's lines lead to: matched with what they pay, or suspended; then booked, and payments told.

Each step is a row first and a posting after, under an id that follows from the row, so whatever a crash leaves is done
by `settle`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import format_fen
from shanhe.ledger.api import Asset, Ledger, Posting, Transfer
from shanhe.payments import bank_store, store, suspense_store
from shanhe.payments.bank_model import (
    BankLine,
    BookAs,
    Direction,
    LineState,
    Outgoing,
    Suspense,
    SuspenseKind,
    SuspenseState,
    new_reference,
    references,
)
from shanhe.payments.bank_slips import Slips
from shanhe.payments.bank_transfer import NAME, WAITING
from shanhe.payments.model import Order, RefundState, State
from shanhe.payments.payout_posting import TAX
from shanhe.payments.service import Payments

CASH: Final = NAME
CAME_BACK: Final = "returned by the bank · 银行退汇"
SUSPENSE_ACCOUNT: Final = "bank transfers"
OWNER: Final = "treasury"
BATCH_ROWS: Final = 500
KIND: Final = "bank_suspense"
RESEND: Final = "resend"
KIND_RESEND: Final = "bank_resend"
CHARGES, TO_RESEND, COMMISSION = "bank charges", "returned transfers", "payment commission"
"""Accounts: what the bank charges, what came back and is to be sent again, and what institutions keep."""
BOOKED: Final = {
    BookAs.CHARGES: ("expense", CHARGES), BookAs.INTEREST: ("revenue", "bank interest"), BookAs.TAX: ("payable", TAX),
    BookAs.WECHAT: ("cash", "wechat"), BookAs.ALIPAY: ("cash", "alipay"), BookAs.CASH_DESK: ("cash", "cash_desk"),
    BookAs.OWN: ("cash", "other accounts"),
}  # fmt: skip
"""The account (kind, name) of what is no order, refund or payout."""
FEE_LEG: Final = 4

log = structlog.get_logger(__name__)

Tell = Callable[[Any, Suspense, Outgoing | None], Awaitable[None]]
Sent = Callable[[str, UUID, int, datetime], Awaitable[bool]]
"""(kind, subject, amount, when) of an outgoing line that carries one of our references; False when it does not fit."""


class Matching:
    """Decides new lines and does what follows from them."""

    def __init__(self, db: Database, clock: Clock, ledger: Ledger, payments: Payments, slips: Slips) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._payments = payments
        self._slips = slips
        self._sent: dict[str, Sent] = {"refund": self._refund_sent, RESEND: self._sent_again}
        self._back_again: dict[str, Sent] = {}
        self._tell: Tell | None = None

    def on_sent(self, kind: str, handler: Sent) -> None:
        """Have `handler` called when a statement shows that money with one of our references has left."""
        self._sent[kind] = handler

    def on_returned(self, kind: str, handler: Sent) -> None:
        """Have `handler` called when a statement shows that what left with one of our references came back whole."""
        self._back_again[kind] = handler

    def on_waiting(self, handler: Tell) -> None:
        """Have `handler` called, in the transaction, with each item that waits and what it came back from."""
        self._tell = handler

    async def settle(self) -> int:
        """Decide new lines, book what was decided, confirm what was matched; how many steps. Bounded; idempotent."""
        done = 0
        while lines := await bank_store.new_lines(self._db, BATCH_ROWS):
            for line in lines:
                await self._decide(line)
            done += len(lines)
        for line in await bank_store.unconfirmed(self._db, BATCH_ROWS):
            done += await self._tried(self._confirm(line), file=line.file_hash, row=line.row)
        for item in await suspense_store.unposted(self._db, BATCH_ROWS):
            done += await self._tried(self._book(item), suspense=str(item.id))
        return done

    async def _tried(self, step: Awaitable[None], **what: object) -> int:
        try:
            await step
        except ShanheError as error:  # one row's trouble does not keep the others waiting
            log.warning("a bank statement's row does not move", error=error.code, **what)
            return 0
        return 1

    # -- deciding a line ----------------------------------------------------------------------------------------------

    async def _decide(self, seen: BankLine) -> None:
        async with self._db.transaction() as conn:
            line = self._slips.opened(await bank_store.line(conn, seen.file_hash, seen.row))
            if line.state is not LineState.NEW or line.amount_fen is None:
                return
            found = references(line.remark)
            if line.direction is Direction.OUT:
                await self._decide_out(conn, line, found)
            else:
                await self._decide_in(conn, line, found)

    async def _decide_out(self, conn: object, line: BankLine, found: list[str]) -> None:
        for reference in found:
            sent = await bank_store.outgoing(conn, reference=reference)
            fits = sent is not None and sent.amount_fen == line.amount_fen
            if sent is not None and fits and not await bank_store.shown(conn, reference):
                if line.elsewhere:
                    kind = SuspenseKind.ELSEWHERE
                    await self._suspend(conn, line, kind, line.amount_fen or 0, None, reference)
                    return
                await bank_store.decide_line(conn, line, LineState.MATCHED, f"{sent.kind} sent", None, reference)
                await self._came_before(conn, sent)
                return
        await self._suspend(conn, line, SuspenseKind.OUTGOING, line.amount_fen or 0, None, None)

    async def _decide_in(self, conn: object, line: BankLine, found: list[str]) -> None:
        amount_fen = line.amount_fen or 0
        for reference in found:
            order_id = await bank_store.order_of(conn, reference)
            order = await store.order(conn, order_id, lock=True) if order_id is not None else None
            if order is None:
                continue
            if order.state not in WAITING or await bank_store.completing(conn, order.id) is not None:
                late = order.state is State.EXPIRED
                kind = SuspenseKind.LATE if late else SuspenseKind.OVER
                await self._suspend(conn, line, kind, amount_fen, order, reference)
                return
            await self._toward(conn, line, amount_fen, order, reference)
            return
        for reference in found:
            sent = await bank_store.outgoing(conn, reference=reference)
            if sent is None:
                continue
            seen = await bank_store.shown(conn, reference)  # the statement that shows how it left may be read later
            if seen and await self._comes_back(conn, amount_fen, sent):
                await bank_store.decide_line(conn, line, LineState.MATCHED, CAME_BACK, None, reference)
            else:
                await self._suspend(conn, line, SuspenseKind.CAME_BACK, amount_fen, None, reference)
            return
        await self._suspend(conn, line, SuspenseKind.UNKNOWN_REFERENCE, amount_fen, None, None)

    async def _comes_back(self, conn: object, amount_fen: int, sent: Outgoing) -> bool:
        """Whether a line undoes what we sent: once, and all of it."""
        if sent.kind not in self._back_again or sent.amount_fen != amount_fen:
            return False
        if await suspense_store.resent_fen(conn, sent.reference):
            return False
        return not await bank_store.shown(conn, sent.reference, Direction.IN)

    async def _came_before(self, conn: object, sent: Outgoing) -> None:
        """A return that was read before what it returns leaves suspense."""
        item = await suspense_store.returning(conn, sent.reference)
        if item is not None and await self._comes_back(conn, item.amount_fen, sent):
            await suspense_store.decide(conn, item.id, SuspenseState.APPLIED, CAME_BACK, "matching", self._clock.now())
            line = await bank_store.line(conn, item.file_hash, item.row)
            await bank_store.decide_line(conn, line, LineState.MATCHED, CAME_BACK, None, sent.reference)

    async def _toward(self, conn: object, line: BankLine, amount_fen: int, order: Order, reference: str) -> None:
        """Money for a waiting order: with earlier parts it completes it, or waits; what is too much is suspended."""
        parts = await suspense_store.waiting_for(conn, order.id)
        excess_fen = amount_fen + sum(part.amount_fen for part in parts) - order.amount_fen
        if excess_fen < 0:
            await self._suspend(conn, line, SuspenseKind.UNDER, amount_fen, order, reference)
            return
        now = self._clock.now()
        for part in parts:
            note = f"completed by row {line.row}"
            await suspense_store.decide(conn, part.id, SuspenseState.APPLIED, note, "matching", now)
        why = "" if excess_fen == 0 else f"CNY {format_fen(excess_fen)} too much · 多付 {format_fen(excess_fen)} 元"
        await self.pay(conn, line, order, why, reference)
        if excess_fen:
            await self.wait(conn, line, SuspenseKind.OVER, excess_fen, order.id)

    async def pay(self, conn: object, line: BankLine, order: Order, why: str, reference: str | None) -> None:
        """Have a line, which is locked, complete the payment of an order."""
        await bank_store.decide_line(conn, line, LineState.MATCHED, why, order.id, reference)
        await bank_store.complete(conn, order, line, new_reference("H"), self._clock.now())

    async def _suspend(
        self,
        conn: object,
        line: BankLine,
        kind: SuspenseKind,
        amount_fen: int,
        order: Order | None,
        reference: str | None,
    ) -> None:
        order_id = order.id if order is not None else None
        state = LineState.PARTIAL if kind is SuspenseKind.UNDER else LineState.SUSPENSE
        await bank_store.decide_line(conn, line, state, str(kind), order_id, reference)
        await self.wait(conn, line, kind, amount_fen, order_id, reference=reference)

    async def wait(
        self, conn: object, line: BankLine, kind: SuspenseKind, amount_fen: int, order_id: UUID | None, *,
        owner: str = OWNER, reference: str | None = None,
    ) -> None:  # fmt: skip
        """Put money of a line, which is locked, into suspense, and tell whose it is."""
        item_id = new_id()
        await suspense_store.insert(conn, item_id, line, kind, amount_fen, order_id, owner, self._clock.now())
        item = await suspense_store.item(conn, item_id)
        if self._tell is not None and item is not None:
            sent = await bank_store.outgoing(conn, reference=reference) if reference and order_id is None else None
            await self._tell(conn, item, sent if kind is SuspenseKind.CAME_BACK else None)

    # -- what follows from it -----------------------------------------------------------------------------------------

    async def _confirm(self, line: BankLine) -> None:
        """Tell payments that the money of a matched line is there, or has left."""
        now, at = self._clock.now(), line.at or self._clock.now()
        if line.direction is Direction.OUT:
            sent = await bank_store.outgoing(self._db, reference=line.reference)
            if sent is None or not await self._sent[sent.kind](sent.kind, sent.subject_id, sent.amount_fen, at):
                await self._back(line, SuspenseKind.OUTGOING, line.amount_fen or 0, None)
                return
            await bank_store.end_outgoing(self._db, sent.reference, now)
        elif line.order_id is not None:
            order = await self._payments.confirm(
                line.order_id, provider=NAME, paid_at=at, cause=f"statement row {line.row}"
            )
            if order.state not in (State.PAID, State.REFUNDED):  # it was closed in between: the money waits instead
                await self._back(line, SuspenseKind.LATE, order.amount_fen, order)
                return
        elif line.reference is not None:
            came = await bank_store.outgoing(self._db, reference=line.reference)
            if came is None or not await self._back_again[came.kind](came.kind, came.subject_id, came.amount_fen, at):
                await self._back(line, SuspenseKind.UNKNOWN_REFERENCE, line.amount_fen or 0, None)
                return
        await bank_store.confirm_line(self._db, line, now)

    async def _back(self, line: BankLine, kind: SuspenseKind, amount_fen: int, order: Order | None) -> None:
        """What a line was matched to ended otherwise in between: its money waits; once, whoever finds it."""
        async with self._db.transaction() as conn:
            held = await bank_store.line(conn, line.file_hash, line.row)
            if (held.state, held.order_id, held.confirmed_at) == (LineState.MATCHED, line.order_id, None):
                await self._suspend(conn, held, kind, amount_fen, order, line.reference)
                if order is not None:
                    await bank_store.complete(conn, order, None, new_reference("H"), self._clock.now())

    async def _refund_sent(self, _: str, refund_id: UUID, amount_fen: int, at: datetime) -> bool:
        return await self._payments.end_refund(refund_id, RefundState.SUCCEEDED)

    async def _book(self, item: Suspense) -> None:
        """The posting that puts an item into suspense, and the one that takes it out again."""
        cash = await self._ledger.system_account("cash", Asset.CNY, CASH)
        waiting = await self._ledger.system_account("suspense", Asset.CNY, SUSPENSE_ACCOUNT)
        into = (waiting.id, cash.id) if item.outgoing else (cash.id, waiting.id)
        memo = f"bank {item.kind}, statement {item.file_hash[:12]} row {item.row}"
        if item.posted_at is None:
            await self._post(item.posting_id, [Transfer(item.posting_id, *into, item.amount_fen)], memo)
            await suspense_store.mark(self._db, item.id, "posted_at", self._clock.now())
        if item.state is not SuspenseState.OPEN:
            for sent in await suspense_store.sent_by(self._db, item.explained_by):
                if await self._sent[sent.kind](sent.kind, sent.subject_id, sent.amount_fen, self._clock.now()):
                    await bank_store.end_outgoing(self._db, sent.reference, self._clock.now())
            legs = await self._out_of(item, waiting.id, cash.id)
            await self._post(item.release_id, legs, f"{item.state}: {memo}")
            await suspense_store.mark(self._db, item.id, "released_at", self._clock.now())

    async def _out_of(self, item: Suspense, waiting: UUID, cash: UUID) -> list[Transfer]:
        """Where the money of a decided item goes: back to cash, from where it is booked as what it was; or on."""
        leg = item.release_id
        if item.state is SuspenseState.RESENT:
            owed = (await self._ledger.system_account("payable", Asset.CNY, TO_RESEND)).id
            charges = (await self._ledger.system_account("expense", Asset.CNY, CHARGES)).id
            fee = [Transfer(UUID(int=leg.int ^ FEE_LEG), charges, owed, item.fee_fen)] if item.fee_fen else []
            return [Transfer(leg, waiting, owed, item.amount_fen), *fee]
        if item.booked_as is not None:
            kind, name = BOOKED[item.booked_as]
            booked = (await self._ledger.system_account(kind, Asset.CNY, name)).id
            kept = (await self._ledger.system_account("expense", Asset.CNY, COMMISSION)).id if item.fee_fen else None
            fee = [] if kept is None else [Transfer(UUID(int=leg.int ^ FEE_LEG), kept, booked, item.fee_fen)]
            return [Transfer(leg, *((booked, waiting) if item.outgoing else (waiting, booked)), item.amount_fen), *fee]
        sides = (cash, waiting) if item.outgoing else (waiting, cash)
        return [Transfer(leg, *sides, item.amount_fen)]

    async def _sent_again(self, _: str, item_id: UUID, amount_fen: int, at: datetime) -> bool:
        """A statement shows that what came back was sent again: it is owed no more."""
        item = await suspense_store.item(self._db, item_id)
        if item is None or item.state is not SuspenseState.RESENT:
            return False
        owed = await self._ledger.system_account("payable", Asset.CNY, TO_RESEND)
        cash = await self._ledger.system_account("cash", Asset.CNY, CASH)
        leg = Transfer(item.resend_id, owed.id, cash.id, amount_fen)
        await self._post(item.resend_id, [leg], f"bank transfer sent again, item {item.id}", kind=KIND_RESEND)
        return True

    async def _post(self, posting_id: UUID, legs: list[Transfer], memo: str, *, kind: str = KIND) -> None:
        await self._ledger.post(Posting(id=posting_id, kind=kind, transfers=tuple(legs), actor=NAME, memo=memo[:400]))
