"""Admission: from a leased block without I/O, else by a database hold. Only the database says insufficient.

Rules of a lease: a worker borrows at most available ÷ (2 × workers); below 2 × workers × its largest estimate nothing
is lent, outstanding leases are recalled (NOTIFY; the borrower turns running calls into holds and gives the rest back)
and calls are admitted by database holds. A call older than half a lease becomes a hold. A crash strands at most one
lease until it expires; whoever needs the account then reclaims it, and the epoch fence refuses late captures.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from shanhe.kernel.clock import Clock, city_date
from shanhe.ledger.commit import LOST_LIMIT_S, RETRY_WAIT_S, ConnectionLost, Line
from shanhe.ledger.counters import CounterBook
from shanhe.ledger.errors import LedgerFull
from shanhe.ledger.holding import Holder, pieces_of
from shanhe.ledger.model import Limit, TermsOf
from shanhe.ledger.reservation import HeldLots, Lease, Piece, Reservation, State

log = structlog.get_logger(__name__)

GRANT: Final = "SELECT (g).* FROM ledger.lease_grant($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) g"
SHRINK: Final = "SELECT ledger.lease_shrink($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS stands"
STANDS: Final = "SELECT id FROM ledger.hold WHERE id = ANY($1) AND (state = 'open') IS NOT FALSE"
CHANNEL: Final = "ledger_recall"
LEASE_TTL: Final = timedelta(seconds=30)
SOON: Final = timedelta(minutes=10)
"""Lots that expire sooner are spent by holds, not lent."""
LEASE_CALLS: Final = 256
"""First block, in calls of the largest estimate; doubled while it lasts less than `GROW_WITHIN_S`."""
GROWTH_MAX: Final = 64
GROW_WITHIN_S: Final = 1.0
DIRECT_FOR_S: Final = 1.0
"""How long an account that may not be leased goes straight to holds before a lease is tried again."""
GRANT_TRIES: Final = 3
HOUSEKEEP_S: Final = 1.0


class LeaseBook:
    """This worker's leases, one an account, and the admission that draws on them."""

    def __init__(
        self, line: Line, clock: Clock, holder: Holder, counters: CounterBook, terms: TermsOf, *, worker: str,
        workers: int, void: Callable[[Reservation], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._line = line
        self._clock = clock
        self._holder = holder
        self._counters = counters
        self._terms = terms
        self._worker = worker
        self._workers = workers
        self._void = void
        self._leases: dict[UUID, Lease] = {}
        self._retired: set[Lease] = set()
        self._largest: dict[UUID, int] = {}
        self._direct_until_s: dict[UUID, float] = {}
        self._locks: dict[UUID, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    # ── admission ────────────────────────────────────────────────────────────────────────────────────────────────

    def left(self, limit: Limit) -> int | None:
        """See `CounterBook.left`."""
        return self._counters.left(limit)

    def try_admit(
        self, payer: UUID, amount: int, receipt_id: UUID, limits: tuple[Limit, ...], ttl: timedelta, now: datetime
    ) -> Reservation | None:
        """From memory, or None. Costs about 3 µs."""
        lease = self._leases.get(payer)
        if lease is None or lease.free < amount or lease.gone or lease.shrinking:
            return None
        if now >= lease.expires_at or (limits and not self._counters.try_take(limits)):
            return None
        return self._from_lease(lease, amount, receipt_id, limits, now, ttl)

    def try_admit_unsubsidised(
        self, payer: UUID, amount: int, receipt_id: UUID, limits: tuple[Limit, ...], ttl: timedelta, now: datetime
    ) -> Reservation | None:
        """`try_admit` of a call that no subsidy may pay (R1): its lots are set apart at once. None where a lease has
        subsidy in front, which only a hold can step over."""
        lease = self._leases.get(payer)
        if lease is None or lease.free < amount or lease.gone or lease.shrinking or now >= lease.expires_at:
            return None
        if limits and not self._counters.try_take(limits):
            return None
        found = self._carved(lease, amount, receipt_id, limits, now, ttl)
        if found is None:
            self._counters.give_back(limits)
        return found

    def _carved(
        self, lease: Lease, amount: int, receipt_id: UUID, limits: tuple[Limit, ...], now: datetime, ttl: timedelta
    ) -> Reservation | None:
        pieces = lease.take_unsubsidised(amount)
        if pieces is None:
            return None
        reservation = self._from_lease(lease, amount, receipt_id, limits, now, ttl)
        reservation.carved = pieces
        return reservation

    def _from_lease(
        self, lease: Lease, amount: int, receipt_id: UUID, limits: tuple[Limit, ...], now: datetime, ttl: timedelta
    ) -> Reservation:
        lease.free -= amount
        lease.used_at = now
        reservation = Reservation(receipt_id, lease.account, amount, limits, now, now + ttl, lease=lease)
        lease.open.add(reservation)
        if amount > lease.largest:
            lease.largest = self._largest[lease.account] = max(amount, self._largest.get(lease.account, 0))
        if lease.free < lease.low:
            lease.low = 0  # until the grant sets it again: one request at a time
            self._background(self._top_up(lease.account))
        return reservation

    async def admit(
        self, payer: UUID, amount: int, receipt_id: UUID, limits: tuple[Limit, ...], facts: Mapping[str, Any] | None,
        ttl: timedelta,
    ) -> Reservation:  # fmt: skip
        """Lease, else hold. `InsufficientCredit`, `LimitExceeded`, `IdempotencyConflict`, `LedgerUnavailable`."""
        if limits:
            await self._counters.take(limits)
        try:
            if amount > self._largest.get(payer, 0):
                self._largest[payer] = amount
            for _ in range(GRANT_TRIES):
                lease = self._leases.get(payer)
                now = self._clock.now()
                usable = lease is not None and not lease.gone and not lease.shrinking and now < lease.expires_at
                if lease is not None and usable and lease.free >= amount:
                    return self._from_lease(lease, amount, receipt_id, limits, now, ttl)
                if self._direct_until_s.get(payer, 0.0) > time.monotonic():
                    break
                if not await self._grant(payer, amount):
                    break
            text = msgspec.json.encode(facts).decode() if facts else None
            expires_at = self._clock.now() + ttl
            held = await self._holder.hold(receipt_id, payer, amount, "call", expires_at, text)
            return Reservation(receipt_id, payer, amount, limits, self._clock.now(), expires_at, held=held)
        except BaseException:
            self._counters.give_back(limits)
            raise

    async def admit_bounded(
        self, payer: UUID, amount: int, receipt_id: UUID, limits: tuple[Limit, ...], facts: Mapping[str, Any] | None,
        ttl: timedelta, subsidy_max: int,
    ) -> Reservation:  # fmt: skip
        """A hold at once, with at most so much subsidy in it; from a lease where that is none. Raises as `admit`."""
        if limits:
            await self._counters.take(limits)
        try:
            if subsidy_max == 0 and (found := await self._unsubsidised(payer, amount, receipt_id, limits, ttl)):
                return found
            text = msgspec.json.encode(facts).decode() if facts else None
            expires_at = self._clock.now() + ttl
            held = await self._holder.hold_bounded(receipt_id, payer, amount, expires_at, text, subsidy_max)
            return Reservation(receipt_id, payer, amount, limits, self._clock.now(), expires_at, held=held)
        except BaseException:
            self._counters.give_back(limits)
            raise

    async def _unsubsidised(
        self, payer: UUID, amount: int, receipt_id: UUID, limits: tuple[Limit, ...], ttl: timedelta
    ) -> Reservation | None:
        if amount > self._largest.get(payer, 0):
            self._largest[payer] = amount
        for _ in range(GRANT_TRIES):
            lease, now = self._leases.get(payer), self._clock.now()
            usable = lease is not None and not lease.gone and not lease.shrinking and now < lease.expires_at
            if lease is not None and usable and lease.free >= amount:
                return self._carved(lease, amount, receipt_id, limits, now, ttl)
            if self._direct_until_s.get(payer, 0.0) > time.monotonic() or not await self._grant(payer, amount):
                return None
        return None

    async def _top_up(self, payer: UUID) -> None:
        with contextlib.suppress(LedgerFull):  # whoever has to have it is told
            await self._grant(payer, self._largest.get(payer, 0))

    async def _grant(self, payer: UUID, amount: int) -> bool:
        """Borrow a block unless someone just did; False when the account is not to be leased now."""
        async with self._locks.setdefault(payer, asyncio.Lock()):
            if self._direct_until_s.get(payer, 0.0) > time.monotonic():
                return False
            lease = self._leases.get(payer)
            if lease is not None and (lease.gone or lease.shrinking or self._clock.now() >= lease.expires_at):
                self._retire(lease)
                lease = None
            if lease is not None and lease.low and lease.free >= max(amount, lease.low):
                return True
            largest = max(amount, self._largest.get(payer, 0), 1)
            parts = 2 * self._workers
            growth = self._growth(lease)
            now = self._clock.now()
            try:
                (answer,) = await self._line.fetch(
                    GRANT, now, payer, self._worker, lease.epoch if lease else None, LEASE_CALLS * largest * growth,
                    parts * largest, parts, now + LEASE_TTL, now + SOON,
                    self._terms(city_date(now)).order,
                )  # fmt: skip
            except ConnectionLost as lost:
                if lost.sent and lease is not None:  # it may have more than is known here: that ends with it
                    self._retire(lease)
                return False  # the hold that follows waits for the server, with a bound
            return self._granted(payer, lease, answer, now, growth)

    def _growth(self, lease: Lease | None) -> int:
        if lease is None:
            return 1
        fast = time.monotonic() - lease.granted_at_s < GROW_WITHIN_S
        return min(GROWTH_MAX, lease.growth * 2) if fast else max(1, lease.growth // 2)

    def _granted(self, payer: UUID, lease: Lease | None, answer: Any, now: datetime, growth: int) -> bool:
        verdict = answer["verdict"]
        if verdict == "reclaimed":
            if lease is not None:
                lease.gone = True
                self._retire(lease)
            return True
        if verdict == "direct":
            self._direct_until_s[payer] = time.monotonic() + DIRECT_FOR_S
            return False
        if lease is None:
            lease = self._leases[payer] = Lease(payer, answer["epoch"], now + LEASE_TTL)
        lease.expires_at = max(lease.expires_at, now + LEASE_TTL)
        lease.used_at = now
        pieces = pieces_of(answer)
        lease.add(pieces)
        lease.low = sum(piece.amount for piece in pieces) // 2
        lease.growth = growth
        lease.granted_at_s = time.monotonic()
        return True

    def _retire(self, lease: Lease) -> None:
        if self._leases.get(lease.account) is lease:
            del self._leases[lease.account]
        if not lease.gone:
            self._retired.add(lease)

    # ── giving back ──────────────────────────────────────────────────────────────────────────────────────────────

    async def release(self, reservation: Reservation) -> None:
        """Nothing is charged. Free for leases; a hold is voided."""
        if reservation.moved is not None:
            await asyncio.shield(reservation.moved)  # a waiter that is cancelled must not cancel the move
        if reservation.state is not State.OPEN:
            return
        self._counters.give_back(reservation.limits)
        if reservation.held is not None:
            reservation.state = State.SETTLING
            await self._void(reservation)
            return
        reservation.state = State.RELEASED
        lease = reservation.lease
        assert lease is not None
        lease.open.discard(reservation)
        lease.free += reservation.amount_micro
        if reservation.pieces is not None and reservation.sent:  # booked or not, nobody knows: the lease's end tells
            lease.free -= sum(piece.amount for piece in reservation.pieces)
        elif reservation.pieces is not None:
            lease.put_back(reservation.pieces)
            reservation.pieces = None
        elif reservation.carved is not None:
            lease.put_back(reservation.carved)
            reservation.carved = None

    def recall(self, payload: str) -> None:
        """The database is short on an account: give back what is free, make holds of what is running."""
        payer = UUID(payload)
        self._direct_until_s[payer] = time.monotonic() + DIRECT_FOR_S
        lease = self._leases.get(payer)
        if lease is not None and not lease.shrinking:
            self._background(self.shrink(lease, list(lease.open), everything=True))

    async def shrink(self, lease: Lease, moving: list[Reservation], *, everything: bool) -> None:
        """Turn reservations into holds; with `everything` also give the free rest back."""
        async with self._locks.setdefault(lease.account, asyncio.Lock()):
            if lease.gone:
                return
            moving = [r for r in moving if r.state is State.OPEN and r.lease is lease and r.held is None]
            lease.shrinking = everything
            held = [self._move_out(lease, r) for r in moving]
            back = lease.take(lease.free) if everything else []
            if everything:
                lease.free = 0
            stands: set[UUID] | None = set()
            try:
                stands = await self._send_shrink(lease, moving, held, back)
            finally:  # whatever went wrong: who moves is waited for
                for reservation, lots in zip(moving, held, strict=True):
                    self._moved(lease, reservation, lots, stands)
                lease.shrinking = False
            if everything and not any(piece.amount for piece in lease.pieces):
                lease.gone = True
            if everything:
                self._retire(lease)

    def _move_out(self, lease: Lease, reservation: Reservation) -> HeldLots:
        reservation.state = State.MOVING
        reservation.moved = asyncio.get_running_loop().create_future()
        lease.open.discard(reservation)
        pieces = reservation.carved if reservation.carved is not None else lease.take(reservation.amount_micro)
        return HeldLots(reservation.receipt_id, reservation.amount_micro, pieces)

    def _moved(self, lease: Lease, reservation: Reservation, lots: HeldLots, stands: set[UUID] | None) -> None:
        if stands is None:
            lease.gone = True
            reservation.state = State.LAPSED
            self._counters.give_back(reservation.limits)
        elif lots.id in stands:
            reservation.held, reservation.carved = lots, None
            reservation.state = State.OPEN
        else:  # the move did not happen: the lease still carries it
            if reservation.carved is None:
                lease.put_back(lots.pieces)
            lease.open.add(reservation)
            reservation.state = State.OPEN
        moved, reservation.moved = reservation.moved, None
        if moved is not None and not moved.done():
            moved.set_result(None)

    async def _send_shrink(
        self, lease: Lease, moving: list[Reservation], held: list[HeldLots], back: list[Piece]
    ) -> set[UUID] | None:
        """Ids of the holds that exist now; None when the epoch was reclaimed."""
        now = self._clock.now()
        pieces = [piece for lots in held for piece in lots.pieces]
        ends, end = [], 0
        for lots in held:
            end += len(lots.pieces)
            ends.append(end)
        try:
            (answer,) = await self._line.fetch(
                SHRINK, now, lease.account, lease.epoch, now + LEASE_TTL,
                [piece.lot for piece in back], [piece.amount for piece in back],
                [lots.id for lots in held], [lots.amount for lots in held], [r.expires_at for r in moving], ends,
                [piece.lot for piece in pieces], [piece.amount for piece in pieces],
            )  # fmt: skip
        except (ConnectionLost, LedgerFull) as error:
            if isinstance(error, ConnectionLost) and error.sent:
                return await self._stands([lots.id for lots in held])
            lease.put_back(back)
            lease.free += sum(piece.amount for piece in back)
            return set()
        except asyncpg.PostgresError as error:
            # After an outage the database knows better what this lease has left: stop lending, let it expire.
            log.warning("a lease disagrees with the database", account=str(lease.account), error=str(error))
            lease.gone = True
            return set()
        lease.expires_at = max(lease.expires_at, now + LEASE_TTL)
        return {lots.id for lots in held} if answer["stands"] else None

    async def _stands(self, identifiers: list[UUID]) -> set[UUID]:
        deadline = time.monotonic() + LOST_LIMIT_S
        while identifiers and time.monotonic() < deadline:
            try:
                return {row["id"] for row in await self._line.fetch(STANDS, identifiers)}
            except ConnectionLost:
                await asyncio.sleep(RETRY_WAIT_S)
        return set()

    async def housekeep(self) -> None:
        """Renew leases in use, give back idle ones and those of lots that expire soon, turn calls older than half a
        lease into holds."""
        now = self._clock.now()
        for lease in [*self._leases.values(), *self._retired]:
            half = LEASE_TTL / 2
            if lease.gone:
                self._retired.discard(lease)
                self._leases.pop(lease.account, None) if self._leases.get(lease.account) is lease else None
                continue
            retired = lease in self._retired
            if retired and not lease.open and not lease.free and any(piece.amount for piece in lease.pieces):
                # What is left belongs to captures of unknown outcome. Renewing would lend it for ever: let it expire.
                if now >= lease.expires_at:
                    self._retired.discard(lease)
                continue
            old = [r for r in lease.open if retired or now - r.at > half]
            idle = not lease.open and now - lease.used_at > half
            ends = any(one.expires_at is not None and one.expires_at <= now + SOON for one in lease.pieces)
            if retired or idle or ends:
                await self.shrink(lease, old, everything=True)
                if not any(piece.amount for piece in lease.pieces):
                    self._retired.discard(lease)
            elif old or lease.expires_at - now < half:
                await self.shrink(lease, old, everything=False)

    async def stop(self) -> None:
        """Give every lease back; running calls become holds."""
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lease in [*self._leases.values(), *self._retired]:
            await self.shrink(lease, list(lease.open), everything=True)

    def _background(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
