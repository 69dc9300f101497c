"""The ledger of one process: its connections, queues, leases and counters, behind one class."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import Unavailable
from shanhe.kernel.ids import new_id
from shanhe.ledger import counters as counting
from shanhe.ledger import leases as leasing
from shanhe.ledger.commit import LOST_LIMIT_S, GroupCommit, Line
from shanhe.ledger.counters import CounterBook
from shanhe.ledger.errors import (
    ClosedBefore,
    HoldClosed,
    IdempotencyConflict,
    InsufficientCredit,
    LeaseReclaimed,
    NotBalanced,
    UnknownHold,
)
from shanhe.ledger.escrow import Escrow
from shanhe.ledger.holding import Holder
from shanhe.ledger.leases import LeaseBook
from shanhe.ledger.model import (
    CITY_OWNER,
    LOT_KINDS,
    Account,
    Asset,
    Charge,
    Hold,
    HoldState,
    Limit,
    Lot,
    LotDelta,
    LotTerms,
    NewLot,
    OpeningBalance,
    Posting,
    PostingResult,
    PostingView,
    Settled,
    Sweep,
    TermsOf,
    Transfer,
)
from shanhe.ledger.posting import Poster
from shanhe.ledger.reading import Reader
from shanhe.ledger.reservation import HeldLots, Landing, Piece, Reservation, Row, State, check_charge
from shanhe.ledger.reversing import CALL, mirror
from shanhe.ledger.settling import Settler

log = structlog.get_logger(__name__)

SWEEP_MAX: Final = 500
CALL_TTL: Final = timedelta(minutes=10)
FULL_FOR_S: Final = 15.0
"""How long a database that refused for want of room counts as full when it is not asked again."""
LOOSE_MAX: Final = 10_000
"""Holds that are kept in mind to be voided; those beyond lapse by themselves."""
LOOSE_TRIES: Final = 30
"""How often one is looked for that isn't there, at one a second: what makes it may be under way in the database."""
LOOSE_AT_ONCE: Final = 200
NO_LIMITS: Final[tuple[Limit, ...]] = ()
NO_TERMS: Final = LotTerms()


class Ledger(Reader):
    """One per process. `worker` names it among `workers` that share the database; each admits from leases of its own.

    Every write is idempotent by its id and durable on return. With the server away callers wait, bounded, and then get
    `LedgerUnavailable`: repeat with the same id.
    """

    def __init__(
        self, db: Database, clock: Clock, *, worker: str = "main", workers: int = 1, terms: TermsOf | None = None,
        lent: Path | None = None,
    ) -> None:  # fmt: skip
        """`lent`: a folder of this machine's processes, to note what is left of borrowed budgets."""
        super().__init__(db, clock, terms or (lambda _: NO_TERMS))
        self._worker = worker
        # Settlement has a connection of its own; postings, holds and leases do not wait behind each other either.
        self._lines = [Line(db.dsn) for _ in range(6)]
        settle, hold, lease, count, *post = self._lines
        self._counters = CounterBook(count, clock, max(1, workers), lent)
        self._settler = Settler(settle, clock, worker, self._terms, self._accounts, self._counters)
        self._settling: GroupCommit[Row] = GroupCommit(self._settler.flush)
        self._poster = Poster(post, clock, worker, self._terms, self._accounts)
        self._holder = Holder(hold, clock, self._terms)
        self.escrow = Escrow(clock, self._terms)
        self._book = LeaseBook(
            lease, clock, self._holder, self._counters, self._terms, worker=worker, workers=max(1, workers),
            void=self._void,
        )  # fmt: skip
        self._loose: dict[UUID, int] = {}
        """Holds of calls that came to nothing while the database was away, and how often each may still be missing."""
        self._keeper: asyncio.Task[None] | None = None
        self._recalls: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen for recalls and keep leases fresh. A ledger that is not started admits all the same, by one worker."""
        self._db.listen(leasing.CHANNEL, self._book.recall)
        self._db.listen(counting.CHANNEL, self._recall_counter)
        self._keeper = asyncio.create_task(self._housekeep())
        self._soon(self._counters.start())

    def refused_for_room(self) -> bool:
        """Whether the database said lately that its disk is full, and has taken nothing since."""
        since_s = time.monotonic() - FULL_FOR_S
        return any(line.full_at_s is not None and line.full_at_s > since_s for line in self._lines)

    async def stop(self) -> None:
        """Flush, give leases and counters back, close."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._void_loose()
        await self._settling.stop()
        await self._poster.queue.stop()
        await self._holder.queue.stop()
        await self._book.stop()
        await asyncio.gather(*self._recalls, return_exceptions=True)
        await self._counters.stop()
        for line in self._lines:
            await line.close()

    def _recall_counter(self, payload: str) -> None:
        self._soon(self._counters.recall(payload))

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._recalls.add(task)
        task.add_done_callback(self._recalls.discard)

    async def _housekeep(self) -> None:
        while True:
            await asyncio.sleep(leasing.HOUSEKEEP_S)
            for keep in (self._book.housekeep, self._counters.housekeep, self._void_loose):
                try:
                    await keep()
                except Exception:
                    log.error("housekeeping failed", exc_info=True)

    # ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def ensure_account(
        self, owner: UUID, asset: Asset, kind: str, *, name: str = "", floor: int | None = 0, lots: bool | None = None
    ) -> Account:
        """Open the account unless it exists; idempotent by (owner, asset, kind, name), the first opener decides.

        `floor` None = may fall without bound. `lots` default: credit wallets and income accounts have them.
        """
        known = self._by_name.get((owner, asset, kind, name))
        if known is not None:
            return known
        bears = (asset is Asset.CREDIT and kind in LOT_KINDS) if lots is None else lots
        return self._remember(await self._store.open_account(owner, asset, kind, name, floor, bears, self._clock.now()))

    async def system_account(self, kind: str, asset: Asset, name: str = "") -> Account:
        """An unbounded account of the city, without lots."""
        return await self.ensure_account(CITY_OWNER, asset, kind, name=name, floor=None, lots=False)

    async def set_floor(self, account: UUID, floor: int) -> None:
        """Pledge: what lies below `floor` can't be spent (C4, R4). `InsufficientCredit` when the balance is lower."""
        await self._know((account,))
        if not await self._store.set_floor(account, floor):
            balance = await self.balance(account)
            raise InsufficientCredit(account, balance.available, floor, self._accounts[account].asset)

    # ── postings ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def post(self, posting: Posting) -> PostingResult:
        """Book it, durably.

        Raises `InsufficientCredit`, `IdempotencyConflict`, `PeriodClosed`, `NotBalanced`, `UnknownAccount`,
        `LedgerUnavailable`.
        """
        known = self._accounts
        for transfer in posting.transfers:
            if transfer.debit not in known or transfer.credit not in known:
                await self._know([a for t in posting.transfers for a in (t.debit, t.credit)])
                break
        return await self._poster.post(posting)

    async def reverse(self, posting_id: UUID, *, actor: str, reason: str) -> PostingResult:
        """Undo a posting by its mirror image; burned lots are restored, minted ones taken back.

        Of a call, income that its maker has spent already becomes a receivable; of anything else that is
        `InsufficientCredit`. `AlreadyReversed` the second time.
        """
        view = await self.posting(posting_id)
        await self._know([a for t in view.transfers for a in (t.debit, t.credit)])
        lots = await self._store.lots_by_id([delta.lot for delta in view.lots])

        async def receivable(account: UUID) -> UUID:
            owing = await self.system_account("receivable", self._accounts[account].asset, str(account))
            return owing.id

        return await self.post(await mirror(view, lots, receivable, actor=actor, reason=reason))

    async def open_books(self, entries: Sequence[OpeningBalance], *, posting_id: UUID, actor: str) -> PostingResult:
        """Take over opening balances in one posting, against the equity account `opening` of each asset."""
        transfers, lots = list[Transfer](), list[NewLot]()
        for entry in entries:
            account = await self.account(entry.account)
            opening = await self.system_account("opening", account.asset)
            number = UUID(int=posting_id.int ^ (len(transfers) + 1))
            sides = (opening.id, account.id) if entry.amount > 0 else (account.id, opening.id)
            transfers.append(Transfer(number, *sides, abs(entry.amount)))
            lots += entry.lots
        posting = Posting(id=posting_id, kind="opening", transfers=tuple(transfers), lots=tuple(lots), actor=actor)
        return await self.post(posting)

    # ── calls and holds ──────────────────────────────────────────────────────────────────────────────────────────

    def left(self, limit: Limit) -> int | None:
        """What a counter's window has room for, as far as this worker knows; None where it knows nothing of it."""
        return self._book.left(limit)

    def try_admit(
        self, payer: UUID, amount_micro: int, *, receipt_id: UUID, limits: tuple[Limit, ...] = NO_LIMITS,
        ttl: timedelta = CALL_TTL, now: datetime | None = None, unsubsidised: bool = False,
    ) -> Reservation | None:  # fmt: skip
        """Reserve from this worker's lease and counters, without I/O; None when that takes the database.

        `unsubsidised`: of lots that are no subsidy (R1), as `admit` with `subsidy_max_micro` 0.
        """
        if amount_micro <= 0:
            return None
        if unsubsidised:
            now = now or self._clock.now()
            return self._book.try_admit_unsubsidised(payer, amount_micro, receipt_id, limits, ttl, now)
        return self._book.try_admit(payer, amount_micro, receipt_id, limits, ttl, now or self._clock.now())

    async def admit(
        self, payer: UUID, amount_micro: int, *, receipt_id: UUID, limits: tuple[Limit, ...] = NO_LIMITS,
        earmark: Mapping[str, Any] | None = None, ttl_s: float = 600, subsidy_max_micro: int | None = None,
    ) -> Reservation:  # fmt: skip
        """Reserve a call's largest price: from a lease, else by a database hold.

        `earmark` = the call's facts; a lot with an earmark pays when the facts contain it. With `subsidy_max_micro` its
        lots are known at once, and of them subsidy lots are at most that much (R1): a hold, or for 0 also of a lease.
        Raises `InsufficientCredit`,
        `LimitExceeded`, `IdempotencyConflict` (receipt id in use), `UnknownAccount`, `LedgerUnavailable`.
        """
        if payer not in self._accounts:
            await self._know((payer,))
        ttl = timedelta(seconds=ttl_s)
        if amount_micro <= 0:
            if amount_micro < 0:
                raise NotBalanced("A reservation is not negative.", "预留金额不能为负。")
            return await self._admit_nothing(payer, receipt_id, limits, ttl)
        if subsidy_max_micro is not None and self._accounts[payer].lots:
            with self._loosening(receipt_id):
                return await self._book.admit_bounded(
                    payer, amount_micro, receipt_id, limits, earmark, ttl, subsidy_max_micro
                )
        reservation = self._book.try_admit(payer, amount_micro, receipt_id, limits, ttl, self._clock.now())
        if reservation is not None:
            return reservation
        with self._loosening(receipt_id):
            return await self._book.admit(payer, amount_micro, receipt_id, limits, earmark, ttl)

    def try_count(self, limits: tuple[Limit, ...]) -> bool:
        """`count` from this worker's blocks, without I/O; False when that takes the database."""
        return self._counters.try_take(limits)

    async def count(self, limits: tuple[Limit, ...]) -> None:
        """Count against limits of something that has no price; `LimitExceeded`, `LedgerUnavailable`."""
        await self._counters.take(limits)

    async def forgo(self, reservation: Reservation) -> None:
        """Have it count and hold nothing more, where its posting was reversed or is not to be had; once."""
        if reservation.state is State.SETTLED and reservation.charge is not None:
            pairs = zip(reservation.limits, reservation.charge.limit_actuals, strict=True)
            self._counters.give_back([msgspec.structs.replace(limit, amount=used) for limit, used in pairs])
        else:
            await self.release(reservation)

    async def _admit_nothing(
        self, payer: UUID, receipt_id: UUID, limits: tuple[Limit, ...], ttl: timedelta
    ) -> Reservation:
        """A free call: only its limits count; an empty hold carries it."""
        if limits:
            await self._counters.take(limits)
        now = self._clock.now()
        try:
            with self._loosening(receipt_id):
                held = await self._holder.hold(receipt_id, payer, 0, CALL, now + ttl, None)
        except BaseException:
            self._counters.give_back(limits)
            raise
        return Reservation(receipt_id, payer, 0, limits, now, now + ttl, held=held)

    async def settle(
        self, reservation: Reservation, charge: Charge, *, kind: str = CALL, actor: str = ""
    ) -> Settled:  # fmt: skip
        """Capture: burn the payer's lots, pay the legs, release the rest; durable on return, idempotent by receipt id.

        `LeaseReclaimed` / `HoldClosed` when the reservation lapsed, `LedgerUnavailable` when the outcome is unknown:
        settle the same reservation with the same charge again. After `LedgerFull` nothing was booked and it stands:
        release it, or settle it again.
        """
        if reservation.moved is not None:
            await asyncio.shield(reservation.moved)
        if reservation.state is not State.OPEN:
            return self._again(reservation, charge)
        check_charge(reservation, charge)
        accounts = self._accounts
        for leg in charge.legs:
            if leg.account not in accounts:
                await self._know([one.account for one in charge.legs])
                return await self.settle(reservation, charge, kind=kind, actor=actor)
        if reservation.charge is not None and reservation.charge != charge:
            raise IdempotencyConflict(reservation.receipt_id)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Settled] = loop.create_future()
        self._settling.submit(Row(reservation, charge, future, loop.time() + LOST_LIMIT_S, kind, actor))
        reservation.state = State.SETTLING
        reservation.charge = charge
        if reservation.lease is not None:
            reservation.lease.open.discard(reservation)
        try:
            return await future
        except asyncio.CancelledError:
            raise  # the row stays queued: what was delivered is charged even if the caller has left
        finally:
            if reservation.state is State.SETTLING and future.done() and not future.cancelled():
                reservation.state = State.OPEN  # outcome unknown: to be asked again with the same charge

    def settle_soon(self, reservation: Reservation, charge: Charge, landed: Callable[[Exception | None], None]) -> bool:
        """`settle` for a caller that cannot wait: `landed` is called with None once it is durable, else with the error.

        False, and nothing done, where `settle` would have to wait first, or has been tried before.
        """
        if reservation.state is not State.OPEN or reservation.charge is not None:
            return False
        accounts = self._accounts
        for leg in charge.legs:
            if leg.account not in accounts:
                return False
        check_charge(reservation, charge)
        deadline = time.monotonic() + LOST_LIMIT_S
        self._settling.submit(Row(reservation, charge, Landing(reservation, landed), deadline, CALL, ""))
        reservation.state = State.SETTLING
        reservation.charge = charge
        if reservation.lease is not None:
            reservation.lease.open.discard(reservation)
        return True

    def _again(self, reservation: Reservation, charge: Charge) -> Settled:
        """A reservation that is not open: settled before, or gone."""
        if reservation.state is State.SETTLED and reservation.charge == charge:
            return reservation.settled(known=True)
        if reservation.state is State.LAPSED:
            raise LeaseReclaimed(reservation.receipt_id)
        raise IdempotencyConflict(reservation.receipt_id)

    async def release(self, reservation: Reservation) -> None:
        """Charge nothing. Costs nothing for a leased reservation; a second release, or one after settling, is no-op.
        A hold that the database can't void now is voided once it can."""
        with contextlib.suppress(Unavailable), self._loosening(reservation.receipt_id):
            await self._book.release(reservation)

    @contextlib.contextmanager
    def _loosening(self, receipt_id: UUID) -> Iterator[None]:
        """What the database can't be asked now may leave a hold there that nobody has: it is voided later."""
        try:
            yield
        except Unavailable:
            if len(self._loose) < LOOSE_MAX:
                self._loose[receipt_id] = LOOSE_TRIES
            raise

    async def _void_loose(self) -> None:
        """Void holds that nobody has any more."""
        for receipt_id, tries in list(self._loose.items())[:LOOSE_AT_ONCE]:
            try:
                await self.void(receipt_id)
            except UnknownHold:  # there is none, or what makes it is under way still
                if tries > 1:
                    self._loose[receipt_id] = tries - 1
                    continue
            except HoldClosed:
                pass
            except (Unavailable, *FAILURES):
                return
            self._loose.pop(receipt_id, None)  # whoever else looks after them may have been quicker

    async def hold(
        self, account: UUID, amount: int, *, hold_id: UUID, purpose: str, expires_at: datetime,
        facts: Mapping[str, Any] | None = None,
    ) -> Reservation:  # fmt: skip
        """Set concrete lots aside until `expires_at`; durable on return, idempotent by `hold_id`."""
        if account not in self._accounts:
            await self._know((account,))
        if amount <= 0:
            raise NotBalanced("A hold sets a positive amount aside.", "冻结金额须为正数。")
        text = msgspec.json.encode(facts).decode() if facts else None
        held = await self._holder.hold(hold_id, account, amount, purpose, expires_at, text)
        return Reservation(hold_id, account, amount, NO_LIMITS, self._clock.now(), expires_at, held=held)

    async def find_hold(self, hold_id: UUID) -> Hold:
        """`UnknownHold` when there is none."""
        found = await self._store.hold(hold_id)
        if found is None:
            raise UnknownHold(hold_id)
        return found

    async def capture(
        self, hold: UUID | Reservation, charge: Charge, *, kind: str = "capture", actor: str = ""
    ) -> Settled:
        """Turn a hold into a posting that carries the hold's id; what is not captured is free again.

        `HoldClosed` when it is captured, voided or expired, `NotBalanced` for more than it holds.
        """
        reservation = hold if isinstance(hold, Reservation) else await self._open_hold(hold)
        return await self.settle(reservation, charge, kind=kind, actor=actor)

    async def void(self, hold: UUID | Reservation) -> None:
        """Give a hold back; durable on return."""
        await self._book.release(hold if isinstance(hold, Reservation) else await self._open_hold(hold))

    async def fate(self, receipt_id: UUID) -> PostingView:
        """The posting of a call whose process has ended; UnknownPosting when there is none, and then none comes any
        more: what it held is given back first, and what it leased `reclaim_worker` took."""
        with contextlib.suppress(UnknownHold, HoldClosed):
            await self.void(receipt_id)
        return await self.posting(receipt_id)

    async def _open_hold(self, hold_id: UUID) -> Reservation:
        found = await self.find_hold(hold_id)
        if found.state is not HoldState.OPEN:
            raise HoldClosed(hold_id)
        await self._know((found.account,))
        lots = await self._store.lots_by_id([lot.lot for lot in found.lots])
        pieces = [Piece(lot.lot, lot.amount, lots[lot.lot].provenance, lots[lot.lot].expires_at) for lot in found.lots]
        held = HeldLots(hold_id, found.amount, pieces)
        now = self._clock.now()
        return Reservation(hold_id, found.account, found.amount, NO_LIMITS, now, found.expires_at, held=held)

    async def _void(self, reservation: Reservation) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._settling.submit(Row(reservation, None, future, loop.time() + LOST_LIMIT_S, "void", ""))
        await future

    # ── periods and sweeping ─────────────────────────────────────────────────────────────────────────────────────

    async def close_period(self, through: date, *, actor: str) -> None:
        """Refuse postings dated up to `through` from now on; `ClosedBefore` when that is closed already."""
        await self.check_close(through)
        if not await self._store.close_period(through, actor, self._clock.now()):
            raise ClosedBefore(through, await self._store.closed_through() or through)

    async def reclaim_worker(self, worker: str) -> int:
        """Take back at once what a dead worker had leased; only for whoever knows that its process has ended."""
        return await self._store.reclaim_worker(worker, self._clock.now(), SWEEP_MAX)

    async def sweep(self) -> Sweep:
        """End expired holds and leases; the free rest of expired lots goes to breakage. Bounded; call it often."""
        now = self._clock.now()
        holds, leases = await self._store.sweep(now, SWEEP_MAX)
        expired = await self._store.expired_lots(now, SWEEP_MAX)
        by_account: dict[UUID, list[Lot]] = {}
        for lot in expired:
            by_account.setdefault(lot.account, []).append(lot)
        for account, lots in by_account.items():
            await self._expire(account, lots)
        return Sweep(holds, leases, len(expired))

    async def _expire(self, account: UUID, lots: list[Lot]) -> None:
        asset = (await self.account(account)).asset
        breakage = await self.system_account("breakage", asset)
        amount = sum(lot.remaining - lot.held for lot in lots)
        posting = Posting(
            id=new_id(), kind="expiry", transfers=(Transfer(new_id(), account, breakage.id, amount),),
            deltas=tuple(LotDelta(lot.id, lot.held - lot.remaining) for lot in lots), actor="system",
            memo="Credits expired · 积分到期",
        )  # fmt: skip
        try:
            await self.post(posting)
        except InsufficientCredit:
            log.info("a lot moved while it expired; the next sweep takes it", account=str(account))
