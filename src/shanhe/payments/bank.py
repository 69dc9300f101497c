"""Bank transfers: an order with a remittance reference, statements that are matched to it, suspense for the rest.

Nothing is decided by hand that a reference and an amount decide; everything else waits in suspense, on a named account
of the ledger, with an owner, until an operator applies it, sends it back or explains it. Each step is a row first and a
posting after, under an id that follows from the row, so whatever a crash leaves is done by `settle`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import format_fen, parse_yuan
from shanhe.kernel.texts import check_line
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Asset, Ledger, Posting, Transfer
from shanhe.payments import bank_csv, bank_store, store
from shanhe.payments.bank_model import (
    BankAccount,
    BankFile,
    BankLine,
    Direction,
    LineState,
    Outgoing,
    Parsed,
    Report,
    Suspense,
    SuspenseKind,
    SuspenseState,
    masked,
    new_reference,
    references,
)
from shanhe.payments.bank_slips import Slips
from shanhe.payments.errors import (
    NotificationForged,
    StatementUnreadable,
    SuspenseChanged,
    SuspenseDecided,
    SuspenseUnfit,
    SuspenseUnsettled,
    UnknownPayment,
    UnknownSuspense,
)
from shanhe.payments.model import (
    AmountLimits,
    Created,
    Notification,
    Order,
    ProviderPayment,
    Refund,
    RefundState,
    Reply,
    State,
    Verdict,
)
from shanhe.payments.present import PayerPresent
from shanhe.payments.service import Payments

NAME: Final = "bank_transfer"
CASH: Final = NAME
SUSPENSE_ACCOUNT: Final = "bank transfers"
OWNER: Final = "treasury"
LIMITS: Final = AmountLimits(least_fen=1, most_fen=100_000_000_000)
FILE_LIMIT_BYTES: Final = 1_000_000
BATCH_ROWS: Final = 500
PAGE_ROWS: Final = 200
FIND_ROWS: Final = 2_000
"""How many open items are looked through for a word: payers are sealed, so the database can't search them."""
REPORT_ROWS: Final = bank_csv.ROWS_MAX
TEXT_LIMIT_CHARS: Final = 200
KIND: Final = "bank_suspense"
WAITING: Final = (State.CREATED, State.PENDING, State.FAILED)
DAY_S: Final = 86_400
PARTY_AT, REMARK_AT = 6, 8
"""Where a line's row has the name of whoever paid, and the remark."""
TWICE: Final = "the same serial again in this statement · 本对账单内流水号重复"
BY_HAND: Final = "applied by hand · 人工核销"

log = structlog.get_logger(__name__)

Personal = Callable[[UUID], Awaitable[bool]]
"""Whether an organisation is one person."""
Sent = Callable[[str, UUID, int, datetime], Awaitable[bool]]
"""(kind, subject, amount, when) of an outgoing line that carries one of our references; False when it does not fit."""


class BankTransfer(PayerPresent):
    """The provider side (see `model.Provider`): its institution is whoever uploads the bank's statements."""

    name, limits = NAME, LIMITS

    def __init__(self, db: Database, clock: Clock, account: BankAccount, days: Callable[[], int]) -> None:
        self._db = db
        self._clock = clock
        self._account = account
        self._days = days

    @property
    def order_life_s(self) -> int:
        return self._days() * DAY_S

    async def create(self, order: Order) -> Created:
        now = self._clock.now()
        reference = await bank_store.reference_of(self._db, order.id, new_reference("H"), order.amount_fen, now)
        account = self._account
        details = {"holder": account.holder, "account": account.account, "bank": account.bank, "reference": reference}
        return Created(reference, f"/pay/{NAME}/{order.id.hex}", details)

    async def query(self, order: Order) -> ProviderPayment:
        reference = await bank_store.reference_of(
            self._db, order.id, new_reference("H"), order.amount_fen, self._clock.now()
        )
        line = await bank_store.completing(self._db, order.id)
        if line is None:
            return ProviderPayment(reference, State.PENDING, order.amount_fen, None)
        return ProviderPayment(reference, State.PAID, order.amount_fen, line.at)

    async def close(self, order: Order) -> ProviderPayment:
        told = await self.query(order)
        if told.state is State.PAID:
            return told
        return ProviderPayment(told.provider_ref, State.EXPIRED, order.amount_fen, None)

    async def refund(self, order: Order, refund: Refund) -> str:
        """Put the refund on the list of what is to be sent; the statement that shows it ends it."""
        made = await bank_store.insert_outgoing(
            self._db, new_reference("R"), "refund", refund.id, refund.amount_fen, self._clock.now()
        )
        return made.reference

    async def refund_state(self, order: Order, refund: Refund) -> RefundState:
        found = await bank_store.outgoing(self._db, subject_id=refund.id)
        if found is None:
            raise UnknownPayment("refund")
        return RefundState.REQUESTED if found.done_at is None else RefundState.SUCCEEDED

    def verify(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notification:
        raise NotificationForged("a bank sends none")

    def reply(self, verdict: Verdict | None, error: ShanheError | None) -> Reply:
        return Reply(error.status if error else 200, "application/json", b"{}")


class BankDesk:
    """The operator's side: statements in, matches and suspense out."""

    def __init__(
        self, db: Database, clock: Clock, *, ledger: Ledger, payments: Payments, vault: Vault,
        personal: Personal | None = None,
    ) -> None:  # fmt: skip
        self._db = db
        self._slips = Slips(vault)
        self._clock = clock
        self._ledger = ledger
        self._payments = payments
        self._personal = personal or _nobody
        self._sent: dict[str, Sent] = {"refund": self._refund_sent}

    def on_sent(self, kind: str, handler: Sent) -> None:
        """Have `handler` called when a statement shows that money with one of our references has left."""
        self._sent[kind] = handler

    # -- statements ---------------------------------------------------------------------------------------------------

    async def upload(self, data: bytes, *, name: str, actor: str) -> Report:
        """Read a statement, match what matches, suspend the rest; the same file again reports what it did then.

        A line that an earlier file brought is a duplicate, whatever the file. Raises StatementUnreadable.
        """
        if not 0 < len(data) <= FILE_LIMIT_BYTES:
            raise StatementUnreadable(
                f"it has {len(data)} bytes, at most {FILE_LIMIT_BYTES} are read", "文件过大或为空"
            )
        file_hash = hashlib.sha256(data).hexdigest()
        known = await bank_store.file(self._db, file_hash)
        if known is None:
            encoding, parsed = bank_csv.read(data)
            made = BankFile(file_hash, name[:TEXT_LIMIT_CHARS], encoding, len(parsed), actor, self._clock.now())
            async with self._db.transaction() as conn:
                if await bank_store.insert_file(conn, made):
                    rows = [self._slips.sealed(await self._less(conn, row)) for row in _lines(file_hash, parsed)]
                    await bank_store.insert_lines(conn, rows)
        await self.settle()
        report = await self.report(file_hash)
        return Report(report.file, known is not None, report.lines)

    async def _less(self, conn: object, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A line without what it says of people where our own reference tells who it is: the bank keeps the rest."""
        for reference in (found := references(row[REMARK_AT])):
            order_id = await bank_store.order_of(conn, reference)
            order = await store.order(conn, order_id) if order_id is not None else None
            ours = order is None and await bank_store.outgoing(conn, reference=reference) is not None
            if ours or (order is not None and await self._personal(order.org_id)):
                kept = " ".join(found)
                return (*row[:PARTY_AT], "", "", kept, *row[REMARK_AT + 1 :])
        return row

    async def report(self, file_hash: str) -> Report:
        """What a statement did, row by row; UnknownPayment when there was none."""
        file = await bank_store.file(self._db, file_hash)
        if file is None:
            raise UnknownPayment("statement")
        lines = await bank_store.lines(self._db, file_hash, REPORT_ROWS)
        return Report(file, True, tuple(map(self._slips.opened, lines)))

    async def files(self) -> list[BankFile]:
        return await bank_store.files(self._db, PAGE_ROWS)

    async def outgoing(self) -> list[Outgoing]:
        """What somebody still has to send at the bank, with the reference to write in the remark."""
        return await bank_store.open_outgoing(self._db, PAGE_ROWS)

    async def settle(self) -> int:
        """Decide new lines, book what was decided, confirm what was matched; how many steps. Bounded; idempotent."""
        done = 0
        while lines := await bank_store.new_lines(self._db, BATCH_ROWS):
            for line in lines:
                await self._decide(line)
            done += len(lines)
        for line in await bank_store.unconfirmed(self._db, BATCH_ROWS):
            done += await self._tried(self._confirm(line), file=line.file_hash, row=line.row)
        for item in await bank_store.unposted(self._db, BATCH_ROWS):
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
            fits = sent is not None and sent.amount_fen == line.amount_fen and sent.done_at is None
            if sent is not None and fits and not await bank_store.shown(conn, reference):
                await bank_store.decide_line(conn, line, LineState.MATCHED, f"{sent.kind} sent", None, reference)
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
        await self._suspend(conn, line, SuspenseKind.UNKNOWN_REFERENCE, amount_fen, None, None)

    async def _toward(self, conn: object, line: BankLine, amount_fen: int, order: Order, reference: str) -> None:
        """Money for a waiting order: with earlier parts it completes it, or waits; what is too much is suspended."""
        parts = await bank_store.waiting_for(conn, order.id)
        excess_fen = amount_fen + sum(part.amount_fen for part in parts) - order.amount_fen
        if excess_fen < 0:
            await self._suspend(conn, line, SuspenseKind.UNDER, amount_fen, order, reference)
            return
        now = self._clock.now()
        for part in parts:
            note = f"completed by row {line.row}"
            await bank_store.decide(conn, part.id, SuspenseState.APPLIED, note, "matching", now)
        why = "" if excess_fen == 0 else f"CNY {format_fen(excess_fen)} too much · 多付 {format_fen(excess_fen)} 元"
        await bank_store.decide_line(conn, line, LineState.MATCHED, why, order.id, reference)
        if excess_fen:
            await bank_store.insert_suspense(conn, new_id(), line, SuspenseKind.OVER, excess_fen, order.id, OWNER, now)

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
        await bank_store.insert_suspense(conn, new_id(), line, kind, amount_fen, order_id, OWNER, self._clock.now())

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
        await bank_store.confirm_line(self._db, line, now)

    async def _back(self, line: BankLine, kind: SuspenseKind, amount_fen: int, order: Order | None) -> None:
        """What a line was matched to ended otherwise in between: its money waits; once, whoever finds it."""
        async with self._db.transaction() as conn:
            held = await bank_store.line(conn, line.file_hash, line.row)
            if (held.state, held.order_id, held.confirmed_at) == (LineState.MATCHED, line.order_id, None):
                await self._suspend(conn, held, kind, amount_fen, order, line.reference)

    async def _refund_sent(self, _: str, refund_id: UUID, amount_fen: int, at: datetime) -> bool:
        return await self._payments.end_refund(refund_id, RefundState.SUCCEEDED)

    async def _book(self, item: Suspense) -> None:
        """The posting that puts an item into suspense, and the one that takes it out again."""
        cash = await self._ledger.system_account("cash", Asset.CNY, CASH)
        waiting = await self._ledger.system_account("suspense", Asset.CNY, SUSPENSE_ACCOUNT)
        into = (waiting.id, cash.id) if item.outgoing else (cash.id, waiting.id)
        memo = f"bank {item.kind}, statement {item.file_hash[:12]} row {item.row}"
        if item.posted_at is None:
            await self._post(item.posting_id, into, item.amount_fen, memo)
            await bank_store.mark(self._db, item.id, "posted_at", self._clock.now())
        if item.state is SuspenseState.EXPLAINED:  # the money stays where it is booked; the note says why
            await bank_store.mark(self._db, item.id, "released_at", self._clock.now())
        elif item.state is not SuspenseState.OPEN:
            await self._post(item.release_id, into[::-1], item.amount_fen, f"{item.state}: {memo}")
            await bank_store.mark(self._db, item.id, "released_at", self._clock.now())

    async def _post(self, posting_id: UUID, sides: tuple[UUID, UUID], amount_fen: int, memo: str) -> None:
        transfer = Transfer(posting_id, *sides, amount_fen)
        await self._ledger.post(Posting(id=posting_id, kind=KIND, transfers=(transfer,), actor=NAME, memo=memo[:400]))

    # -- an operator's decisions --------------------------------------------------------------------------------------

    async def suspense(
        self, state: SuspenseState | None = SuspenseState.OPEN, *, before: UUID | None = None
    ) -> list[Suspense]:
        """Newest first; None for every state. `before`: the last one seen."""
        found = await bank_store.suspenses(self._db, state, PAGE_ROWS, before=before)
        return [self._slips.noted(item) for item in found]

    async def waiting(
        self, find: str = "", *, before: UUID | None = None, limit: int = PAGE_ROWS
    ) -> list[tuple[Suspense, BankLine]]:
        """Open items with the line that brought each, newest first. `find`: only those whose payer or remark has it, or
        whose amount it is."""
        wanted, amount = find.strip().casefold(), _fen_of(find)
        most = FIND_ROWS if wanted else min(limit, PAGE_ROWS)
        items = await bank_store.suspenses(self._db, SuspenseState.OPEN, most, before=before)
        lines = await bank_store.lines_at(self._db, [(item.file_hash, item.row) for item in items])
        found = []
        for item in items:
            line = self._slips.opened(lines[item.file_hash, item.row])
            if not wanted or item.amount_fen == amount or wanted in f"{line.party}\n{line.remark}".casefold():
                found.append((item, line))
            if len(found) == min(limit, PAGE_ROWS):
                break
        return found

    async def awaited(self, amounts_fen: Collection[int]) -> list[Order]:
        """Orders that wait for a transfer of one of these amounts, newest first, a bounded page."""
        return await bank_store.awaited(self._db, NAME, tuple(WAITING), list(set(amounts_fen)), PAGE_ROWS)

    async def order_named(self, text: str) -> UUID:
        """The order of a reference or an order's number; UnknownPayment for neither."""
        for reference in references(text):
            if (found := await bank_store.order_of(self._db, reference)) is not None:
                return found
        try:
            return UUID(text.strip())
        except ValueError:
            raise UnknownPayment("waiting bank order") from None

    async def assign(self, suspense_id: UUID, owner: str, *, actor: str) -> Suspense:
        """Name who looks after an item."""
        check_line("owner", owner)
        if not await bank_store.set_owner(self._db, suspense_id, owner, actor):
            raise SuspenseDecided((await self.get(suspense_id)).state)
        return await self.get(suspense_id)

    async def apply(
        self, suspense_id: UUID, order_id: UUID, *, actor: str, note: str, decided_fen: int | None = None
    ) -> Suspense:
        """Use an item (with the order's earlier parts) to pay a waiting order; what is too much stays in suspense.

        `decided_fen`: what `check` said that it moves, where somebody decided on that; SuspenseChanged for another sum.
        """
        check_line("note", note)
        now = self._clock.now()
        async with self._db.transaction() as conn:
            order, item, parts = await self._fitting(conn, suspense_id, order_id)
            line = await bank_store.line(conn, item.file_hash, item.row)
            if line.state is LineState.MATCHED and line.confirmed_at is None:
                raise SuspenseUnsettled
            given_fen = _sum(item, parts)
            if decided_fen not in (None, given_fen):
                raise SuspenseChanged(decided_fen or 0, given_fen)
            for part in (item, *parts):
                said = self._slips.note(part, note)
                await bank_store.decide(conn, part.id, SuspenseState.APPLIED, said, actor, now)
            await bank_store.decide_line(conn, line, LineState.MATCHED, BY_HAND, order_id, order.provider_ref)
            if given_fen > order.amount_fen:
                excess_fen = given_fen - order.amount_fen
                await bank_store.insert_suspense(
                    conn, new_id(), line, SuspenseKind.OVER, excess_fen, order_id, item.owner, now
                )
        await self.settle()
        return await self.get(suspense_id)

    async def give_back(self, suspense_id: UUID, *, actor: str, note: str) -> Suspense:
        """Say that the money was sent back to its payer; `note` names the bank's reference of that transfer."""
        return await self._end(suspense_id, SuspenseState.RETURNED, actor, note)

    async def explain(self, suspense_id: UUID, *, actor: str, note: str) -> Suspense:
        """Close an item whose money is accounted for elsewhere in the books; `note` names the posting."""
        return await self._end(suspense_id, SuspenseState.EXPLAINED, actor, note)

    async def check(
        self, suspense_id: UUID, *, note: str, order_id: UUID | None = None
    ) -> tuple[Suspense, int]:  # fmt: skip
        """An item that may be closed now, open, and enough for the order that it is to pay, if it is to pay one; and
        how many fen that moves: an order's earlier parts move with it."""
        check_line("note", note)
        async with self._db.transaction() as conn:
            if order_id is not None:
                _, item, parts = await self._fitting(conn, suspense_id, order_id)
                return item, _sum(item, parts)
            item = await self._open(conn, suspense_id)
            return item, item.amount_fen

    def seal_note(self, item: Suspense, note: str) -> str:
        """What is said of an item, to keep elsewhere: unreadable once its payer is forgotten."""
        return self._slips.note(item, note)

    async def open_note(self, suspense_id: UUID, sealed: str) -> str:
        """The note again; empty once its payer is forgotten."""
        return self._slips.noted(replace(await self.get(suspense_id), note=sealed)).note

    async def _fitting(self, conn: object, suspense_id: UUID, order_id: UUID) -> tuple[Order, Suspense, list[Suspense]]:
        """A waiting order, the item, and the order's earlier parts, which together pay it."""
        order = await store.order(conn, order_id, lock=True)
        if order is None or order.provider != NAME or order.state not in WAITING:
            raise UnknownPayment("waiting bank order")
        if await bank_store.completing(conn, order_id) is not None:  # a statement pays it just now
            raise UnknownPayment("waiting bank order")
        item = await self._open(conn, suspense_id)
        parts = [part for part in await bank_store.waiting_for(conn, order_id) if part.id != item.id]
        given_fen = _sum(item, parts)
        if item.outgoing or given_fen < order.amount_fen:
            raise SuspenseUnfit(order.amount_fen, 0 if item.outgoing else given_fen)
        return order, item, parts

    async def _end(self, suspense_id: UUID, to: SuspenseState, actor: str, note: str) -> Suspense:
        check_line("note", note)
        async with self._db.transaction() as conn:
            item = await self._open(conn, suspense_id)
            said = self._slips.note(item, note)
            await bank_store.decide(conn, suspense_id, to, said, actor, self._clock.now())
        await self.settle()
        return await self.get(suspense_id)

    async def _open(self, conn: object, suspense_id: UUID) -> Suspense:
        found = await bank_store.suspense(conn, suspense_id, lock=True)
        if found is None:
            raise UnknownSuspense
        if found.state is not SuspenseState.OPEN:
            raise SuspenseDecided(found.state)
        return found

    async def get(self, suspense_id: UUID) -> Suspense:
        """An item in suspense; UnknownSuspense."""
        found = await bank_store.suspense(self._db, suspense_id)
        if found is None:
            raise UnknownSuspense
        return self._slips.noted(found)

    async def reseal(self) -> int:
        """Seal lines that were written before they were sealed, a bounded number; how many."""
        found = await bank_store.plain_lines(self._db, BATCH_ROWS)
        for row in found:
            await bank_store.seal_line(self._db, self._slips.sealed(tuple(row)))
        return len(found)

    # -- forgetting ---------------------------------------------------------------------------------------------------

    async def forget(self, payer: bytes) -> int:
        """What statements say of a payer who was erased can be read by nobody any more; how many lines. Amount, day and
        the bank's own serial stay, so the bank can still say whose money it is."""
        gone = await bank_store.lines_of(self._db, payer)
        for file_hash, row in gone:
            self._slips.destroy(file_hash, row)
        return len(gone)


async def _nobody(_: UUID) -> bool:
    return False


def _sum(item: Suspense, parts: list[Suspense]) -> int:
    return item.amount_fen + sum(part.amount_fen for part in parts)


def _lines(file_hash: str, parsed: list[Parsed]) -> list[tuple[object, ...]]:
    """Rows for the store. A line that is there twice under the bank's own serial is one transaction; equal lines that
    no serial tells apart are told apart by their number among each other."""
    serials = _serials(parsed)
    seen: dict[str, int] = {}
    rows: list[tuple[object, ...]] = []
    for one in parsed:
        mark, state, why = None, LineState.REFUSED if one.why else LineState.NEW, one.why
        if not one.why:
            text = _said(one)
            seen[text] = seen.get(text, 0) + 1
            if seen[text] > 1 and one.serial in serials:
                state, why = LineState.DUPLICATE, TWICE
            mark = hashlib.sha256(f"{text}\x1f{seen[text]}".encode()).hexdigest()
        rows.append((file_hash, one.row, mark, one.direction, one.amount_fen, one.at, one.party[:TEXT_LIMIT_CHARS],
                     masked(one.party_account), one.remark[:TEXT_LIMIT_CHARS], state, why))  # fmt: skip
    return rows


def _said(one: Parsed) -> str:
    parts = (one.serial, one.at, one.direction, one.amount_fen, one.party, one.party_account, one.remark)
    return "\x1f".join(map(str, parts))


def _serials(parsed: list[Parsed]) -> set[str]:
    """Serials that name one transaction: not empty or zero, and not on lines that differ otherwise."""
    named: dict[str, set[str]] = {}
    for one in parsed:
        if not one.why and one.serial.strip("0-"):
            named.setdefault(one.serial, set()).add(_said(one))
    return {serial for serial, said in named.items() if len(said) == 1}


def _fen_of(text: str) -> int | None:
    try:
        return parse_yuan(text.strip().removeprefix("¥").replace(",", "").strip())
    except ValueError:
        return None
