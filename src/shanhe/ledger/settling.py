"""Settlement: what each call burns and who gets it, summed per row of the database before it is sent.

Client-side sums: the worker knows which lots pay, so one row of each account, lot and stripe is written per batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg

from shanhe.kernel.clock import Clock, add_months, city_date, midnight
from shanhe.kernel.literals import call, instants, integers, plain, texts, uuids
from shanhe.ledger.commit import RETRY_WAIT_S, ConnectionLost, Line, drop_late, refuse, unknown
from shanhe.ledger.counters import CounterBook
from shanhe.ledger.errors import HoldClosed, IdempotencyConflict, LeaseReclaimed, LedgerFull, LedgerUnavailable
from shanhe.ledger.model import PLACE, Account, Charge, Leg, LotTerms, Provenance, TermsOf, woven
from shanhe.ledger.ordinary import Names, ordinary
from shanhe.ledger.reservation import Landing, Lease, Piece, Reservation, Row, State, pick

SETTLE: Final = call(
    "ledger.settle",
    "timestamptz date text uuid[] text[] text[] bytea[] int[] uuid[] bigint[] uuid[] uuid[] uuid[] uuid[] bigint[] "
    "uuid[] bigint[] bigint[] uuid[] bigint[] bigint[] uuid[] bigint[] uuid[] bigint[] bigint[] "
    "uuid[] text[] bigint[] uuid[] uuid[] uuid[] text[] uuid[] bigint[] timestamptz[] timestamptz[] timestamptz[]",
)
CHECK: Final = "SELECT * FROM ledger.settle_check($1, $2, $3)"
BOOKED: Final = "SELECT debit, credit, amount FROM unnest($1::uuid[]) p(id), ledger.transfers_of(p.id)"
WRITE_PREAMBLES: Final = (
    "INSERT INTO ledger.preamble SELECT * FROM unnest($1::uuid[], $2::bytea[]) ON CONFLICT DO NOTHING"
)
NO_PREAMBLE: Final = "SH006"
WRITTEN_MAX: Final = 100_000
NO_HOLDS: Final = ("{}",) * 4
NO_INCOME: Final = ("{}",) * 8
ENDS: Final = frozenset({State.SETTLED, State.RELEASED, State.LAPSED})
INCOME_SPACE: Final = UUID("6f1a3c52-6b1e-5d0e-9a57-3f0d1c7b2e11")


class IncomeLot:
    """One lot per (owner, root provenance, expiry, day), accrued over a batch."""

    __slots__ = ("account", "amount", "expires_at", "id", "parent", "provenance", "spendable_at", "unlock_at")

    def __init__(self, account: UUID, provenance: Provenance, expires_at: datetime | None, day: date, terms: LotTerms):
        self.id = uuid5(INCOME_SPACE, f"{account}{provenance}{expires_at}{day}")
        self.account = account
        self.provenance = provenance
        self.expires_at = expires_at
        self.parent: UUID | None = None
        pending = terms.income_pending_days
        self.spendable_at = midnight(day + timedelta(days=pending)) if pending else None
        locked = terms.income_lock_months
        self.unlock_at = midnight(add_months(day, locked)) if locked else None
        self.amount = 0


class Batch:
    """The arguments of `ledger.settle`, accumulated row by row."""

    def __init__(
        self, worker: str, accounts: Mapping[UUID, Account], names: Names, terms: LotTerms, now: datetime, day: date
    ) -> None:
        self._worker = worker
        self._accounts = accounts
        self._names = names
        self._terms = terms
        self._now = now
        self._day = day
        self.ids: list[str] = []
        self.kinds: list[str] = []
        self.actors: list[str] = []
        self.evidence: list[bytes | None] = []
        self.ends: list[int] = []
        self.lots: list[UUID] = []
        self.deltas: list[int] = []
        self.t_id: list[str] = []
        self.t_posting: list[str] = []
        self.t_debit: list[str] = []
        self.t_credit: list[str] = []
        self.t_amount: list[int] = []
        self.balances: dict[UUID, int] = {}
        self.helds: dict[UUID, int] = {}
        self.stripes: dict[UUID, int] = {}
        self.taken: dict[Lease, dict[UUID, int]] = {}  # from each lease, by lot
        self.burned: dict[UUID, int] = {}
        self.unheld: dict[UUID, int] = {}
        self.holds: list[tuple[UUID, str, int, UUID | None]] = []
        self.income: dict[tuple[UUID, Provenance, datetime | None], IncomeLot] = {}

    def add(self, row: Row) -> None:
        reservation, charge = row.reservation, row.charge
        if charge is None:
            self._release_hold(reservation, "voided", 0, None)
            return
        receipt, payer, total = reservation.receipt_id, row.payer, charge.total_micro
        pieces = reservation.pieces
        assert pieces is not None
        self.ids.append(f"{receipt.int:032x}")
        self.kinds.append(row.kind)
        self.actors.append(row.actor)
        own, preamble = charge.evidence, charge.preamble
        self.evidence.append(own if own is None or preamble is None else woven(preamble.text.split(PLACE), own))
        if reservation.held is None:
            assert reservation.lease is not None  # whose lots are an account's that is not striped
            taken = self.taken.get(reservation.lease)
            if taken is None:
                taken = self.taken[reservation.lease] = {}
        else:
            taken = self.burned
            if self._accounts[payer].striped:
                self.stripes[payer] = self.stripes.get(payer, 0) - total
            else:
                self.balances[payer] = self.balances.get(payer, 0) - total
            self._release_hold(reservation, "captured", total, receipt)
        for piece in pieces:
            lot, amount = piece.lot, piece.amount
            self.lots.append(lot)
            self.deltas.append(-amount)
            taken[lot] = taken.get(lot, 0) + amount
        self._legs(receipt, payer, charge.legs, pieces)
        self.ends.append(len(self.lots))

    def _legs(self, receipt: UUID, payer: UUID, legs: tuple[Leg, ...], pieces: list[Piece]) -> None:
        number = 0
        earners: list[Leg] | None = None
        posting, debit = self.ids[-1], self._names[payer]
        for leg in legs:
            amount, account = leg.amount_micro, leg.account
            if not amount:
                continue
            # The first leg carries the posting's own id: a receipt with one leg needs no other index.
            self.t_id.append(f"{receipt.int ^ number:032x}" if number else posting)
            number += 1
            self.t_posting.append(posting)
            self.t_debit.append(debit)
            self.t_credit.append(self._names[account])
            self.t_amount.append(amount)
            known = self._accounts[account]
            if known.striped:
                self.stripes[account] = self.stripes.get(account, 0) + amount
                continue
            self.balances[account] = self.balances.get(account, 0) + amount
            if known.lots:
                earners = [leg] if earners is None else [*earners, leg]
        if earners:
            self._earn(earners, pieces)

    def _earn(self, earners: list[Leg], pieces: list[Piece]) -> None:
        """R1: the platform and cost accounts absorb subsidy first; makers get tradeable value as far as it was burned.

        Pieces are laid end to end with tradeable ones first, and makers take from that end.
        """
        subsidy = [piece for piece in reversed(pieces) if piece.provenance is Provenance.SUBSIDY]
        tradeable = [piece for piece in pieces if piece.provenance is not Provenance.SUBSIDY]
        queue = [(piece, piece.amount) for piece in tradeable + subsidy]
        for leg in earners:
            left = leg.amount_micro
            while left and queue:
                piece, amount = queue[0]
                part = min(left, amount)
                self._accrue(leg.account, piece, part)
                left -= part
                queue[0] = (piece, amount - part)
                if part == amount:
                    queue.pop(0)
            if left:  # the payer has no lots: plain value earns as a reward
                self._accrue(leg.account, None, left)

    def _accrue(self, account: UUID, piece: Piece | None, amount: int) -> None:
        subsidy = piece is not None and piece.provenance is Provenance.SUBSIDY
        provenance = Provenance.SUBSIDY if subsidy else Provenance.REWARD
        if piece is not None and subsidy:
            expires_at = piece.expires_at
        else:
            months = self._terms.income_expiry_months.get(provenance)
            expires_at = midnight(add_months(self._day, months)) if months else None
        key = (account, provenance, expires_at)
        lot = self.income.get(key)
        if lot is None:
            lot = self.income[key] = IncomeLot(account, provenance, expires_at, self._day, self._terms)
        lot.amount += amount
        if piece is not None and subsidy and lot.parent is None:
            lot.parent = piece.lot
        self.lots.append(lot.id)
        self.deltas.append(amount)

    def _release_hold(self, reservation: Reservation, state: str, captured: int, posting: UUID | None) -> None:
        held = reservation.held
        assert held is not None
        self.holds.append((held.id, state, captured, posting))
        payer = reservation.payer
        self.helds[payer] = self.helds.get(payer, 0) + held.amount
        for piece in held.pieces:
            self.unheld[piece.lot] = self.unheld.get(piece.lot, 0) + piece.amount

    def _fold_leases(self) -> None:
        """What came from leases leaves the account, its lots, and what both set aside."""
        for lease, lots in self.taken.items():
            total = sum(lots.values())
            self.balances[lease.account] = self.balances.get(lease.account, 0) - total
            self.helds[lease.account] = self.helds.get(lease.account, 0) + total
            for lot, amount in lots.items():
                self.burned[lot] = self.burned.get(lot, 0) + amount
                self.unheld[lot] = self.unheld.get(lot, 0) + amount

    def arguments(self) -> tuple[Any, ...]:
        """In the order of `ledger.settle`."""
        self._fold_leases()
        accounts = sorted(self.balances.keys() | self.helds.keys())
        balances, helds, unheld, burned = self.balances, self.helds, self.unheld, self.burned
        stripes = sorted(self.stripes)
        touched = sorted(burned.keys() | unheld.keys())
        return (
            self._now, self._day, self._worker,
            plain(self.ids), texts(self.kinds), texts(self.actors), self.evidence, integers(self.ends),
            uuids(self.lots), integers(self.deltas),
            plain(self.t_id), plain(self.t_posting), plain(self.t_debit), plain(self.t_credit),
            integers(self.t_amount),
            uuids(accounts), integers([balances.get(a, 0) for a in accounts]),
            integers([-helds.get(a, 0) for a in accounts]),
            uuids(stripes), integers([self.stripes[a] for a in stripes]),
            integers([lease.epoch for lease, lots in self.taken.items() for _ in lots]),
            uuids([lot for lots in self.taken.values() for lot in lots]),
            integers([amount for lots in self.taken.values() for amount in lots.values()]),
            uuids(touched), integers([burned.get(lot, 0) for lot in touched]),
            integers([unheld.get(lot, 0) for lot in touched]),
            *self._hold_columns(), *self._income_columns(),
        )  # fmt: skip

    def _hold_columns(self) -> tuple[str, ...]:
        holds = self.holds
        if not holds:
            return NO_HOLDS
        return (
            uuids([h[0] for h in holds]), texts([h[1] for h in holds]), integers([h[2] for h in holds]),
            uuids([h[3] for h in holds]),
        )  # fmt: skip

    def _income_columns(self) -> tuple[str, ...]:
        if not self.income:
            return NO_INCOME
        income = list(self.income.values())
        return (
            uuids([m.id for m in income]), uuids([m.account for m in income]),
            texts([m.provenance.value for m in income]), uuids([m.parent for m in income]),
            integers([m.amount for m in income]), instants([m.spendable_at for m in income]),
            instants([m.unlock_at for m in income]), instants([m.expires_at for m in income]),
        )  # fmt: skip


class Settler:
    """Flushes batches of settlements; explains and retries the ones that do not go through at once."""

    def __init__(
        self, line: Line, clock: Clock, worker: str, terms: TermsOf, accounts: Mapping[UUID, Account],
        counters: CounterBook,
    ) -> None:  # fmt: skip
        self._line = line
        self._clock = clock
        self._worker = worker
        self._terms = terms
        self._accounts = accounts
        self._counters = counters
        self._names = Names()
        self._written: set[UUID] = set()  # preambles that the database is taken to have

    async def flush(self, rows: list[Row]) -> None:
        """Book a batch. Optimistic: one call; only when that is refused are the rows asked about one by one."""
        for row in rows:
            if row.charge is not None and row.reservation.pieces is None:
                _allocate(row.reservation, row.charge)
        while rows:
            try:
                await self._book(rows)
            except ConnectionLost as lost:
                for row in rows:
                    row.reservation.sent = row.reservation.sent or lost.sent
                rows = await self._explain(rows)
            except LedgerFull as error:
                self._no_room(rows, error)
                return
            except asyncpg.PostgresError as error:
                explained = await self._explain(rows)
                if error.sqlstate == NO_PREAMBLE:  # another server took over, and has not all that was written
                    self._written.clear()
                    rows = explained
                else:
                    rows = explained if len(explained) < len(rows) else await self._bisect(rows, error)
            else:
                for row in rows:
                    self._done(row, known=False)
                return

    async def _book(self, rows: list[Row]) -> None:
        now = self._clock.now()
        calls = ordinary(rows, self._worker, self._accounts, self._names, now)
        if calls is not None:
            await self._write_preambles(rows)
            await self._line.fetch(*calls)
        else:
            await self._line.fetch(SETTLE, *self._batch(rows, now).arguments())

    async def _write_preambles(self, rows: list[Row]) -> None:
        """What these share of their evidence, unless it is written. Before them, so never missing beside them."""
        written = self._written
        missing = {
            preamble.id: preamble.text
            for row in rows
            if row.charge is not None and (preamble := row.charge.preamble) is not None and preamble.id not in written
        }
        if missing:
            in_order = sorted(missing)  # others may be writing the same ones
            await self._line.fetch(WRITE_PREAMBLES, in_order, [missing[one] for one in in_order])
            if len(written) > WRITTEN_MAX:
                written.clear()
            written.update(missing)

    def _batch(self, rows: list[Row], now: datetime) -> Batch:
        day = city_date(now)
        batch = Batch(self._worker, self._accounts, self._names, self._terms(day), now, day)
        for row in rows:
            batch.add(row)
        return batch

    async def _bisect(self, rows: list[Row], error: asyncpg.PostgresError) -> list[Row]:
        """An unexpected refusal: halve until the row that causes it stands alone."""
        if len(rows) == 1:
            self._fail(rows[0], error)
            return []
        middle = len(rows) // 2
        await self.flush(rows[:middle])
        return rows[middle:]

    async def _explain(self, rows: list[Row]) -> list[Row]:
        """Resolve the rows that are booked or can't be; return the others. Waits, bounded, for a lost server."""
        loop = asyncio.get_running_loop()
        while rows := drop_late(rows, loop.time()):
            try:
                found = await self._line.fetch(
                    CHECK,
                    [row.reservation.receipt_id for row in rows],
                    [row.reservation.lease.epoch if row.reservation.lease else None for row in rows],
                    [row.reservation.held.id if row.reservation.held else None for row in rows],
                )
                left: list[Row] = []
                later: list[Row] = []
                seen: set[UUID] = set()
                for row, verdict in zip(rows, found, strict=True):
                    receipt = row.reservation.receipt_id
                    if verdict["booked"] and row.charge is not None:
                        await self._settle_known(row)
                    elif not verdict["stands"]:
                        self._lapse(row)
                    elif receipt in seen:
                        later.append(row)  # the same receipt twice in one batch: the first one decides
                    else:
                        seen.add(receipt)
                        left.append(row)
                if later:
                    await self.flush(left)
                return later or left
            except ConnectionLost:
                rows = [row for row in rows if row.reservation.state not in ENDS]  # those are resolved
                await asyncio.sleep(RETRY_WAIT_S)
        return []

    def _no_room(self, rows: list[Row], error: LedgerFull) -> None:
        """Nothing of these was booked, so what they reserved stands; unless an earlier answer was lost."""
        known = [row for row in rows if not row.reservation.sent]
        for row in known:
            _stand(row)
        refuse(known, error)
        refuse(rows, unknown())

    async def _settle_known(self, row: Row) -> None:
        """The receipt is booked: by this reservation (an answer was lost), or earlier."""
        assert row.charge is not None
        booked = await self._line.fetch(BOOKED, [row.reservation.receipt_id])
        same = sorted((b["debit"], b["credit"], b["amount"]) for b in booked) == sorted(
            (row.payer, leg.account, leg.amount_micro) for leg in row.charge.legs if leg.amount_micro
        )
        if same:
            self._done(row, known=True)
        else:
            self._conflict(row)

    def _conflict(self, row: Row) -> None:
        self._undo(row)
        self._counters.give_back(row.reservation.limits)
        if not row.future.done():
            row.future.set_exception(IdempotencyConflict(row.reservation.receipt_id))

    def _done(self, row: Row, *, known: bool) -> None:
        reservation, charge = row.reservation, row.charge
        if charge is None:
            reservation.state = State.RELEASED
            if not row.future.done():
                row.future.set_result(None)
            return
        used = charge.limit_actuals
        if known and not reservation.sent:
            self._undo(row)  # booked by an earlier reservation: this one paid nothing
            used = ()
        elif reservation.lease is not None and reservation.held is None:
            reservation.lease.free += reservation.amount_micro - charge.total_micro
        reservation.state = State.SETTLED
        reservation.charge = charge
        if reservation.limits:
            self._counters.give_back(reservation.limits, used)
        verdict = row.future
        if not verdict.done():
            verdict.set_result(None if isinstance(verdict, Landing) else reservation.settled(known=known))

    def _undo(self, row: Row) -> None:
        reservation = row.reservation
        if reservation.lease is not None and reservation.held is None and reservation.pieces is not None:
            reservation.lease.put_back(reservation.pieces)
            reservation.lease.free += reservation.amount_micro
            reservation.pieces = None
        reservation.state = State.RELEASED

    def _uncount(self, row: Row) -> None:
        """Nothing was used; whoever voids has returned that already."""
        if row.charge is not None:
            self._counters.give_back(row.reservation.limits)

    def _lapse(self, row: Row) -> None:
        reservation = row.reservation
        reservation.state = State.LAPSED
        if reservation.lease is not None and reservation.held is None:
            reservation.lease.gone = True
        self._uncount(row)
        if row.future.done():
            return
        if row.charge is None:
            row.future.set_result(None)
        elif reservation.held is not None:
            row.future.set_exception(HoldClosed(reservation.held.id))
        else:
            row.future.set_exception(LeaseReclaimed(reservation.receipt_id))

    def _fail(self, row: Row, error: asyncpg.PostgresError) -> None:
        self._undo(row)
        self._uncount(row)
        if not row.future.done():
            failure = LedgerUnavailable(f"It refused the posting: {error}")
            failure.__cause__ = error
            row.future.set_exception(failure)


def _stand(row: Row) -> None:
    """As before it was asked for: to be released, or settled again with the same charge."""
    reservation, lease = row.reservation, row.reservation.lease
    if row.charge is None:
        return
    reservation.state = State.OPEN
    if lease is not None and reservation.held is None and reservation.pieces is not None:
        lease.put_back(reservation.pieces)  # in front, so what is taken next is what was to pay
        reservation.pieces = None
        if row.charge.subsidy_max_micro is not None:
            reservation.carved = lease.take(reservation.amount_micro)
        lease.open.add(reservation)


def _allocate(reservation: Reservation, charge: Charge) -> None:
    """Fix which lots pay, in burn order."""
    if reservation.held is None:
        assert reservation.lease is not None
        if reservation.carved is not None:
            reservation.lease.put_back(reservation.carved)  # in front, so what is taken next is what was carved
            reservation.carved = None
        reservation.pieces = reservation.lease.take(charge.total_micro)
    else:
        reservation.pieces = pick(reservation.held.pieces, charge.total_micro, charge.subsidy_max_micro)
