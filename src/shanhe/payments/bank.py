"""The operator's side of bank transfers: statements in, suspense out.

Nothing is decided by hand that a reference and an amount decide; everything else waits in suspense, on a named account
of the ledger, with an owner, until an operator applies it, sends it back or explains it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.money import parse_yuan
from shanhe.kernel.texts import check_line
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Asset, Ledger, UnknownPosting
from shanhe.payments import bank_store, store, suspense_store
from shanhe.payments.balance import Balances
from shanhe.payments.bank_errors import (
    CannotBeBooked,
    ExplainsAnother,
    MoreThanSent,
    NotElsewhere,
    NotExplained,
    NotReturned,
    SuspenseChanged,
    SuspenseDecided,
    SuspenseUnfit,
    SuspenseUnsettled,
    UnknownSuspense,
)
from shanhe.payments.bank_held import HeldStatements
from shanhe.payments.bank_matching import CASH, RESEND, Matching
from shanhe.payments.bank_model import (
    COMING,
    LEAVING,
    SETTLED,
    BankAccount,
    BankLine,
    BookAs,
    Direction,
    Ending,
    LineState,
    Outgoing,
    Suspense,
    SuspenseKind,
    SuspenseState,
    new_reference,
    references,
)
from shanhe.payments.bank_slips import Slips
from shanhe.payments.bank_statements import Personal, Statements
from shanhe.payments.bank_transfer import NAME, WAITING
from shanhe.payments.errors import UnknownPayment
from shanhe.payments.model import Order
from shanhe.payments.service import Payments

PAGE_ROWS: Final = 200
FIND_ROWS: Final = 2_000
"""How many open items are looked through for a word: payers are sealed, so the database can't search them."""
EXPLAIN_MAX: Final = 200
"""How many postings one line may be the sum of."""
RESENDS_MAX: Final = 20
"""How often one transfer is followed back from being sent again."""
Shown = tuple[UUID, UUID | None]
"""A posting that a line shows, and what it reverses."""
BY_PAYER: Final = "used by its payer · 由付款人用于订单"
BY_HAND: Final = "applied by hand · 人工核销"


class BankDesk:
    """The operator's side: statements `held` until two agree, then in; `matching`, suspense out; `balances`."""

    def __init__(
        self, db: Database, clock: Clock, *, ledger: Ledger, payments: Payments, vault: Vault,
        personal: Personal | None = None, account: BankAccount | None = None,
    ) -> None:  # fmt: skip
        self._db = db
        self._slips = Slips(vault)
        self._clock = clock
        self._ledger = ledger
        self.balances = Balances(db, clock, ledger)
        self.matching = Matching(db, clock, ledger, payments, self._slips)
        self.statements = Statements(db, clock, self._slips, self.matching, personal=personal, account=account)
        self.held = HeldStatements(db, clock, vault, self.statements)

    async def outgoing(self) -> list[Outgoing]:
        """What somebody still has to send at the bank, with the reference to write in the remark."""
        return await bank_store.open_outgoing(self._db, PAGE_ROWS)

    async def sending(self) -> list[tuple[Outgoing, UUID | None, BankLine | None]]:
        """The same with whose refund or payout each is, None of what is sent again; and of a refund the line that shows
        who paid."""
        found = await bank_store.sending(self._db, PAGE_ROWS)
        lines = await bank_store.lines_at(self._db, [place for _, _, place in found if place is not None])
        return [
            (sent, org_id, None if place is None else self._slips.opened(lines[place])) for sent, org_id, place in found
        ]

    # -- an operator's decisions --------------------------------------------------------------------------------------

    async def suspense(
        self, state: SuspenseState | None = SuspenseState.OPEN, *, before: UUID | None = None
    ) -> list[Suspense]:
        """Newest first; None for every state. `before`: the last one seen."""
        found = await suspense_store.items(self._db, state, PAGE_ROWS, before=before)
        return [self._slips.noted(item) for item in found]

    async def waiting(
        self, find: str = "", *, before: UUID | None = None, limit: int = PAGE_ROWS
    ) -> list[tuple[Suspense, BankLine]]:
        """Open items with the line that brought each, newest first. `find`: only those whose payer or remark has it, or
        whose amount it is."""
        wanted, amount = find.strip().casefold(), _fen_of(find)
        most = FIND_ROWS if wanted else min(limit, PAGE_ROWS)
        items = await suspense_store.items(self._db, SuspenseState.OPEN, most, before=before)
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
        if not await suspense_store.set_owner(self._db, suspense_id, owner, actor):
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
                await suspense_store.decide(conn, part.id, SuspenseState.APPLIED, said, actor, now)
            await self.matching.pay(conn, line, order, BY_HAND, order.provider_ref)
            if given_fen > order.amount_fen:
                excess_fen = given_fen - order.amount_fen
                await self.matching.wait(conn, line, SuspenseKind.OVER, excess_fen, order_id, owner=item.owner)
        await self.matching.settle()
        return await self.get(suspense_id)

    async def give_back(self, suspense_id: UUID, *, actor: str, note: str) -> Suspense:
        """Say that the money was sent back to its payer; `note` names the bank's reference of that transfer."""
        return await self._end(suspense_id, SuspenseState.RETURNED, actor, note)

    async def book(
        self, suspense_id: UUID, *, actor: str, note: str, booked_as: BookAs | None = None, fee_fen: int = 0
    ) -> Suspense:
        """Say what it is where no order, refund or payout is behind it; default: the bank's charge or interest.

        `fee_fen`: what an institution kept of what it settled. Raises CannotBeBooked."""
        check_line("note", note)
        async with self._db.transaction() as conn:
            item = await self._open(conn, suspense_id)
            as_ = _bookable(item, booked_as, fee_fen)
            said, now = self._slips.note(item, note), self._clock.now()
            state = SuspenseState.BOOKED
            await suspense_store.decide(conn, item.id, state, said, actor, now, fee_fen=fee_fen, booked_as=as_)
        await self.matching.settle()
        return await self.get(suspense_id)

    async def end(self, suspense_id: UUID, ending: Ending, *, actor: str, decided_fen: int | None = None) -> Suspense:
        """End an item as somebody decided; `decided_fen` as in `apply`."""
        note, fee_fen = ending.note, ending.fee_fen
        if ending.order_id is not None:
            return await self.apply(suspense_id, ending.order_id, actor=actor, note=note, decided_fen=decided_fen)
        if ending.to is SuspenseState.APPLIED:
            return await self.accept(suspense_id, actor=actor, note=note)
        if ending.to is SuspenseState.RETURNED:
            return await self.give_back(suspense_id, actor=actor, note=note)
        if ending.to is SuspenseState.RESENT:
            return await self.resend(suspense_id, actor=actor, note=note, fee_fen=fee_fen)
        if ending.to is SuspenseState.BOOKED:
            return await self.book(suspense_id, actor=actor, note=note, booked_as=ending.booked_as, fee_fen=fee_fen)
        return await self.explain(suspense_id, ending.postings, actor=actor, note=note)

    async def resend(self, suspense_id: UUID, *, actor: str, note: str, fee_fen: int = 0) -> Suspense:
        """Send what the bank returned of a refund or payout once more, under a new reference, to whom it is due.

        `fee_fen`: what the bank kept of it; the city bears it. Without it the rest had arrived. Raises NotReturned,
        MoreThanSent.
        """
        check_line("note", note)
        async with self._db.transaction() as conn:
            item, sent, line = await self._returned(conn, suspense_id, fee_fen)
            said, now = self._slips.note(item, note), self._clock.now()
            await bank_store.set_line_reference(conn, line, sent.reference)
            await suspense_store.decide(conn, item.id, SuspenseState.RESENT, said, actor, now, fee_fen=fee_fen)
            again = new_reference(sent.reference[1])
            await bank_store.insert_outgoing(conn, again, RESEND, item.id, item.amount_fen + fee_fen, now)
        await self.matching.settle()
        return await self.get(suspense_id)

    async def accept(self, suspense_id: UUID, *, actor: str, note: str) -> Suspense:
        """Say that what left for another account did go to its payee: it counts as sent. Raises NotElsewhere."""
        check_line("note", note)
        async with self._db.transaction() as conn:
            item = await self._elsewhere(conn, suspense_id)
            line = await bank_store.line(conn, item.file_hash, item.row)
            said, now = self._slips.note(item, note), self._clock.now()
            await suspense_store.decide(conn, item.id, SuspenseState.APPLIED, said, actor, now)
            await bank_store.decide_line(conn, line, LineState.MATCHED, BY_HAND, None, line.reference)
        await self.matching.settle()
        return await self.get(suspense_id)

    async def _elsewhere(self, conn: object, suspense_id: UUID) -> Suspense:
        """An open item that left for another account, of what nothing else has shown to be sent."""
        item = await self._open(conn, suspense_id)
        line = await bank_store.line(conn, item.file_hash, item.row)
        if item.kind is not SuspenseKind.ELSEWHERE or await bank_store.shown(conn, line.reference or ""):
            raise NotElsewhere
        return item

    async def _returned(self, conn: object, suspense_id: UUID, fee_fen: int) -> tuple[Suspense, Outgoing, BankLine]:
        """An open item that came back from a transfer of ours, that transfer, and the line that shows the return."""
        item = await self._open(conn, suspense_id)
        line = await bank_store.line(conn, item.file_hash, item.row)
        sent = None if item.outgoing else await self._sent(conn, line)
        if sent is None or not await bank_store.shown(conn, sent.reference):
            raise NotReturned
        left_fen = sent.amount_fen - await suspense_store.resent_fen(conn, sent.reference)
        if await bank_store.shown(conn, sent.reference, Direction.IN):  # all of it came back before
            left_fen = 0
        if fee_fen < 0 or item.amount_fen + fee_fen > left_fen:
            raise MoreThanSent(left_fen, item.amount_fen, fee_fen)
        return item, sent, line

    async def _sent(self, conn: object, line: BankLine) -> Outgoing | None:
        """The transfer of ours that a line names."""
        named = [line.reference] if line.reference else references(self._slips.opened(line).remark)
        for reference in named:
            if (sent := await bank_store.outgoing(conn, reference=reference)) is not None:
                return sent
        return None

    async def came_from(self, line: BankLine) -> Outgoing | None:
        """The transfer of ours that a line names, if any."""
        return await self._sent(self._db, line)

    async def origin(self, sent: Outgoing) -> Outgoing:
        """The refund or payout that something sent again goes back to."""
        for _ in range(RESENDS_MAX):
            if sent.kind != RESEND:
                break
            item = await self.get(sent.subject_id)
            lines = await bank_store.lines_at(self._db, [(item.file_hash, item.row)])
            before = await self._sent(self._db, lines[item.file_hash, item.row])
            if before is None:
                break
            sent = before
        return sent

    # -- for whoever paid ---------------------------------------------------------------------------------------------

    async def waiting_of(self, org_id: UUID) -> list[Suspense]:
        """Money that came for an organisation's orders and waits, newest first."""
        return await suspense_store.open_of(self._db, org_id, PAGE_ROWS)

    async def payable_by(self, org_id: UUID) -> list[Order]:
        """An organisation's own orders that wait for a transfer, newest first."""
        return await bank_store.awaited_of(self._db, org_id, NAME, tuple(WAITING), self._clock.now(), PAGE_ROWS)

    async def want_back(self, suspense_id: UUID, org_id: UUID, *, actor: str) -> Suspense:
        """Its payer asks for it back; an operator sends it. UnknownSuspense for another's."""
        async with self._db.transaction() as conn:
            await self._own(conn, suspense_id, org_id)
            await suspense_store.want_back(conn, suspense_id, actor, self._clock.now())
        return await self.get(suspense_id)

    async def use(self, suspense_id: UUID, order_id: UUID, org_id: UUID, *, actor: str) -> Suspense:
        """Its payer pays a waiting order of their own with it: nobody else's money, and nobody else's order."""
        order = await store.order(self._db, order_id)
        if order is None or order.org_id != org_id:
            raise UnknownPayment("waiting bank order")
        async with self._db.transaction() as conn:
            await self._own(conn, suspense_id, org_id)
        return await self.apply(suspense_id, order_id, actor=actor, note=BY_PAYER)

    async def _own(self, conn: object, suspense_id: UUID, org_id: UUID) -> None:
        item = await suspense_store.item(conn, suspense_id)
        order = await store.order(conn, item.order_id) if item is not None and item.order_id is not None else None
        if order is None or order.org_id != org_id:
            raise UnknownSuspense
        await self._open(conn, suspense_id)

    async def explain(self, suspense_id: UUID, postings: Collection[UUID], *, actor: str, note: str) -> Suspense:
        """Take an item out of the books because postings have its money already; what they paid out has been sent.

        Raises NotExplained where they moved another sum of the account, or one the other way, or is reversed;
        ExplainsAnother where another line has shown one."""
        check_line("note", note)
        found = await self._moving_it(await self.get(suspense_id), postings)
        async with self._db.transaction() as conn:
            item = await self._open(conn, suspense_id)
            await self._unused(conn, found)
            said, now = self._slips.note(item, note), self._clock.now()
            await suspense_store.decide(conn, item.id, SuspenseState.EXPLAINED, said, actor, now)
            await suspense_store.explain(conn, item.id, [posting for posting, _ in found])
        await self.matching.settle()
        return await self.get(suspense_id)

    async def _moving_it(self, item: Suspense, postings: Collection[UUID]) -> list[Shown]:
        """Postings that together moved the bank's account as an item did, each the same way, and stand; of what a file
        sent again those that this will book. In the order of their ids."""
        if item.state is not SuspenseState.OPEN:
            raise SuspenseDecided(item.state)
        cash = await self._ledger.system_account("cash", Asset.CNY, CASH)
        item_fen = -item.amount_fen if item.outgoing else item.amount_fen
        wanted, again = await suspense_store.whole_files(self._db, set(postings))
        try:
            found = [await self._ledger.posting(one) for one in wanted[:EXPLAIN_MAX]]
        except UnknownPosting:
            found = []
        moved = [-one.moved(cash.id) for one in found] + [-fen for fen in again.values()]
        if len(found) != len(wanted) or any(fen * item_fen <= 0 for fen in moved) or sum(moved) != item_fen:
            raise NotExplained(item_fen, sum(moved) if moved else None)
        if await self._ledger.reversed_among(wanted):
            raise NotExplained(item_fen, 0)
        return sorted([*((one.id, one.reverses) for one in found), *((one, None) for one in again)])

    async def _unused(self, conn: object, postings: Sequence[Shown]) -> None:
        """That no line has shown any of these, which come in the order of their ids: whoever names the same waits."""
        for posting, reverses in postings:
            await suspense_store.turn(conn, posting)
            await suspense_store.hold_outgoing(conn, posting)
            if await suspense_store.shown_otherwise(conn, posting, reverses):
                raise ExplainsAnother

    async def check(self, suspense_id: UUID, ending: Ending) -> tuple[Suspense, int]:
        """An item that may end so now; and how many fen that moves: an order's earlier parts move with it."""
        check_line("note", ending.note)
        explains = ending.to is SuspenseState.EXPLAINED
        found = await self._moving_it(await self.get(suspense_id), ending.postings) if explains else []
        async with self._db.transaction() as conn:
            if ending.to is SuspenseState.RESENT:
                item, *_ = await self._returned(conn, suspense_id, ending.fee_fen)
                return item, item.amount_fen + ending.fee_fen
            if ending.order_id is not None:
                _, item, parts = await self._fitting(conn, suspense_id, ending.order_id)
                return item, _sum(item, parts)
            if ending.to is SuspenseState.APPLIED:
                item = await self._elsewhere(conn, suspense_id)
                return item, item.amount_fen
            item = await self._open(conn, suspense_id)
            if ending.to is SuspenseState.BOOKED:
                _bookable(item, ending.booked_as, ending.fee_fen)
            await self._unused(conn, found)
        return item, item.amount_fen + ending.fee_fen

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
        parts = [part for part in await suspense_store.waiting_for(conn, order_id) if part.id != item.id]
        given_fen = _sum(item, parts)
        if item.outgoing or given_fen < order.amount_fen:
            raise SuspenseUnfit(order.amount_fen, 0 if item.outgoing else given_fen)
        return order, item, parts

    async def _end(self, suspense_id: UUID, to: SuspenseState, actor: str, note: str) -> Suspense:
        check_line("note", note)
        async with self._db.transaction() as conn:
            item = await self._open(conn, suspense_id)
            said = self._slips.note(item, note)
            await suspense_store.decide(conn, suspense_id, to, said, actor, self._clock.now())
        await self.matching.settle()
        return await self.get(suspense_id)

    async def _open(self, conn: object, suspense_id: UUID) -> Suspense:
        found = await suspense_store.item(conn, suspense_id, lock=True)
        if found is None:
            raise UnknownSuspense
        if found.state is not SuspenseState.OPEN:
            raise SuspenseDecided(found.state)
        return found

    async def get(self, suspense_id: UUID) -> Suspense:
        """An item in suspense; UnknownSuspense."""
        found = await suspense_store.item(self._db, suspense_id)
        if found is None:
            raise UnknownSuspense
        return self._slips.noted(found)


def _bookable(item: Suspense, booked_as: BookAs | None, fee_fen: int) -> BookAs:
    """As what an item is booked; CannotBeBooked where that comes or leaves the other way."""
    as_ = booked_as or (BookAs.CHARGES if item.outgoing else BookAs.INTEREST)
    if as_ in (COMING if item.outgoing else LEAVING):
        raise CannotBeBooked(as_, item.outgoing)
    if fee_fen < 0 or (fee_fen and (item.outgoing or as_ not in SETTLED)):
        raise CannotBeBooked(as_, item.outgoing, fee_fen)
    return as_


def _sum(item: Suspense, parts: list[Suspense]) -> int:
    return item.amount_fen + sum(part.amount_fen for part in parts)


def _fen_of(text: str) -> int | None:
    try:
        return parse_yuan(text.strip().removeprefix("¥").replace(",", "").strip())
    except ValueError:
        return None
