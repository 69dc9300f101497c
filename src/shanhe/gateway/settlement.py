"""From measured use to one durable posting; the receipt is that posting."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import date
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import structlog

from shanhe.gateway.admission import actuals, database_away
from shanhe.gateway.commission import Divide, Parted, part
from shanhe.gateway.errors import ChargedLater
from shanhe.gateway.evidence import EvidenceWriter, fee_evidence
from shanhe.gateway.meter import Buckets, Metered
from shanhe.gateway.model import Terms, Timings
from shanhe.gateway.returns import ENDED, waits
from shanhe.gateway.tags import tags_in
from shanhe.gateway.tariff import charge
from shanhe.kernel.db import FAILURES
from shanhe.kernel.errors import ShanheError, Unavailable
from shanhe.ledger.api import Charge, Ledger, LedgerFull, LedgerUnavailable, Leg

if TYPE_CHECKING:
    from shanhe.gateway.call import Call
    from shanhe.gateway.commission import Commission
    from shanhe.gateway.dispatch import Exchange
    from shanhe.gateway.returns import Returns
    from shanhe.gateway.tags import TagBook
    from shanhe.gateway.terms import TermsBook
    from shanhe.gateway.usage import UsageBook

RETRIES_MAX: Final = 6
RETRY_WAIT_S: Final = 2.0
RETRY_MOST_S: Final = 30.0
PATIENT_TRIES: Final = 90
"""Of what was delivered, or nobody waits for at a socket: over 40 minutes, in which a reservation lapses."""
LATER: Final = "This call can't be booked now. What was delivered is charged once it can."
FEES_MAX: Final = 1_000
FEE_METER: Final = Metered(Buckets(), "fee")
Landed = Callable[[Exception | None], None]
log = structlog.get_logger(__name__)


class Unsettled(OSError):
    """Whether a kept answer was charged isn't known: who kept it asks for its posting, later."""


class Outcome(msgspec.Struct, frozen=True):
    """How a call ended: completed, disconnected (client) or broken (engine)."""

    metered: Metered
    status: str
    finish_reason: str | None
    timings: Timings


class Fee:
    """A fee as it is charged. `on`: the day that its posting has."""

    __slots__ = ("call", "charge", "on", "outcome", "parted", "reservation")

    def __init__(
        self, call: Call, reservation: Any, charge: Charge, parted: Parted, outcome: Outcome, on: date
    ) -> None:
        self.call = call
        self.reservation = reservation
        self.charge = charge
        self.parted = parted
        self.outcome = outcome
        self.on = on

    @property
    def receipt_id(self) -> UUID:
        return self.call.receipt_id


class Settler:
    """Prices what was used, splits it and captures it."""

    def __init__(
        self, ledger: Ledger, terms: TermsBook, usage: UsageBook, divide: Divide, returns: Returns, tags: TagBook,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._returns = returns
        self._divide = divide
        self._terms = terms
        self._usage = usage
        self._tags = tags
        self._evidence = EvidenceWriter(tags)
        self._fees: dict[Commission, Parted] = {}
        self._open: set[asyncio.Task[None]] = set()
        self._ending = asyncio.Event()

    async def prepare(self, exchange: Exchange) -> None:
        """Know who is paid before anything is delivered; CallError 503 when the database can't say."""
        if self._terms.of(exchange.target) is None:
            with database_away():
                await self._terms.load(exchange.target)

    def expect_room(self) -> None:
        """LedgerFull before anything is delivered that couldn't be charged."""
        if self._ledger.refused_for_room():
            raise LedgerFull

    async def settle(self, call: Call, exchange: Exchange, outcome: Outcome) -> None:
        """Capture; returns when the posting is durable."""
        terms = self._terms.of(exchange.target) or await self._terms.load(exchange.target)
        settled = self._charge(call, exchange, outcome, terms)
        if call.parsed.stream:
            await self._book_delivered(call, settled)
        elif call.keep is not None:
            await self._book_kept(call, settled)
        else:
            await self._book(call, settled)
        call.paid_micro = settled.total_micro
        self._usage.count(call, outcome, settled.total_micro)
        if call.parted is not None:
            self._usage.count_parted(call, outcome.metered.buckets.total, call.parted.charged, call.parted.through)

    def settle_soon(self, call: Call, exchange: Exchange, outcome: Outcome, landed: Landed) -> bool:
        """`settle` without a wait: `landed` is called with None when the posting is durable, else with the error.

        False, and nothing done, when something has to be looked up or waited for first.
        """
        terms = self._terms.of(exchange.target)
        if terms is None or call.admission.commission is not None:
            return False
        reservation = call.reservation
        settled = self._charge(call, exchange, outcome, terms)
        slot: int | None = None

        def verdict(error: Exception | None) -> None:
            if isinstance(error, LedgerUnavailable):
                self._returns.take_back(slot, reservation)
            elif not self._returns.wipe(slot):
                error = error or LedgerUnavailable(ENDED)
            if error is not None and not isinstance(error, LedgerUnavailable):
                call.reservation = reservation  # not booked, so it may still stand
            if error is None:
                call.paid_micro = settled.total_micro
                self._usage.count(call, outcome, settled.total_micro)
            landed(error)

        if not self._ledger.settle_soon(reservation, settled, verdict):
            return False
        slot = self._returns.note(call.receipt_id)  # queued, and not sent before this callback has ended
        call.reservation = None
        return True

    async def _book(self, call: Call, charge: Charge) -> None:
        """Capture what is answered once it is paid; given back where it can't be answered after all."""
        slot = self._returns.note(call.receipt_id)
        try:
            await self._ledger.settle(call.reservation, charge)
        except (LedgerUnavailable, asyncio.CancelledError):  # it may be booked, or be so yet
            self._returns.take_back(slot, call.reservation)
            call.reservation = None
            raise
        except BaseException:  # it is not booked: a full disk, say, or what was held has lapsed
            self._returns.wipe(slot)
            raise
        call.reservation = None
        if not self._returns.wipe(slot):
            raise LedgerUnavailable(ENDED)

    async def _book_delivered(self, call: Call, charge: Charge) -> None:
        """Capture what was answered already: it is charged, if not now then later."""
        reservation, call.reservation = call.reservation, None
        try:
            await self._ledger.settle(reservation, charge)
        except (Unavailable, *FAILURES) as error:
            task = asyncio.create_task(self._later(reservation, charge))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
            raise ChargedLater(503, getattr(error, "code", "ledger_unavailable"), LATER, retry_after_s=2) from error
        except BaseException:
            call.reservation = reservation
            raise

    async def _book_kept(self, call: Call, charge: Charge) -> None:
        """Capture what its asker has kept, and will have if it finds the posting: nobody else gives it back. Nobody
        waits for it at a socket either, so what isn't known is asked for until it is."""
        reservation, call.reservation = call.reservation, None
        try:
            try:
                await self._ledger.settle(reservation, charge)
            except LedgerUnavailable:
                tries = RETRIES_MAX if call.errand is None else PATIENT_TRIES
                await self._again(reservation, charge, tries, LedgerUnavailable)
        except (Unsettled, asyncio.CancelledError):
            raise
        except BaseException:  # it is not booked
            call.reservation = reservation
            raise

    def _charge(self, call: Call, exchange: Exchange, outcome: Outcome, terms: Terms) -> Charge:
        """What a call costs, who gets it, and the evidence for both."""
        if call.errand is not None and terms.deferred is not None:
            terms = terms.deferred
        buckets = outcome.metered.buckets
        if call.admission.commission is not None:
            return self._parted(call, exchange, outcome, terms, call.admission.commission)
        prices, platform = call.admission.prices, self._terms.platform
        charged = charge(prices, buckets, terms.parties, platform, call.receipt_id)
        preamble, evidence = self._evidence.write(call, exchange, outcome, charged, terms)
        legs = tuple([Leg(share.account, share.amount_micro) for share in charged.shares])
        used = actuals(call.reservation.limits, buckets.total, charged.total_micro)
        return Charge(charged.total_micro, legs, evidence, used, preamble=preamble)

    def _parted(self, call: Call, exchange: Exchange, outcome: Outcome, terms: Terms, commission: Commission) -> Charge:
        """The same for a call that others are paid from, too: one posting, whatever the number of parties."""
        buckets, reservation = outcome.metered.buckets, call.reservation
        parted = part(
            call.admission.prices, buckets, terms.parties, commission, self._terms.platform, call.receipt_id,
            reservation.burning, self._divide,
        )  # fmt: skip
        call.parted, charged = parted, parted.charged
        preamble, evidence = self._evidence.write(call, exchange, outcome, charged, terms, parted.through)
        legs = tuple([Leg(share.account, share.amount_micro) for share in charged.shares])
        used = actuals(reservation.limits, buckets.total, charged.total_micro)
        return Charge(charged.total_micro, legs, evidence, used,
                      parted.through.subsidy_max_micro if commission.bounded else None, preamble)  # fmt: skip

    async def settle_fee(self, call: Call) -> None:
        """Capture a fee that no engine has a part in; returns when the posting is durable."""
        fee = self.fee_of(call)
        await self._book(call, fee.charge)
        self.count_fee(fee)

    def fee_soon(self, fee: Fee, landed: Landed) -> bool:
        """Capture it without a wait: see `Ledger.settle_soon`. Nothing is counted yet, nothing asked again."""
        return self._ledger.settle_soon(fee.reservation, fee.charge, landed)

    async def fee_again(self, fee: Fee) -> None:
        """Ask again for one whose outcome is unknown; it is booked at most once."""
        await self._ledger.settle(fee.reservation, fee.charge)

    def count_fee(self, fee: Fee) -> None:
        """It was paid, and for something: one more in the sums, on the day that its posting has."""
        fee.call.paid_micro = fee.charge.total_micro
        self._usage.count(fee.call, fee.outcome, fee.charge.total_micro, fee.on)
        self._usage.count_parted(fee.call, 0, fee.parted.charged, fee.parted.through, fee.on)

    def fee_of(self, call: Call) -> Fee:
        """What a call that costs its fee alone is charged, as of now, and the evidence for it."""
        commission, reservation = call.admission.commission, call.reservation
        assert commission is not None
        taken_ms = int((perf_counter() - call.started_at) * 1e6) / 1000
        admitted_ms = int((call.admitted_at - call.started_at) * 1e6) / 1000
        outcome = Outcome(FEE_METER, "completed", None, Timings(admitted_ms, taken_ms, taken_ms))
        parted = self._fee_parted(call, commission, outcome)
        charged = parted.charged
        tags = self._tags.ids(call.caller.org_id, tags_in(call))
        evidence = fee_evidence(call, outcome, charged, parted.through, commission.rules, tags)
        legs = tuple([Leg(share.account, share.amount_micro) for share in charged.shares])
        used = actuals(reservation.limits, 0, charged.total_micro)
        charge = Charge(charged.total_micro, legs, evidence, used, parted.through.subsidy_max_micro)
        return Fee(call, reservation, charge, parted, outcome, self._usage.today())

    def _fee_parted(self, call: Call, commission: Commission, outcome: Outcome) -> Parted:
        """The split of a fee, of which no subsidy pays any (R1); of one that divides into whole µ always the same."""
        if (known := self._fees.get(commission)) is not None:
            return known
        parted = part(
            call.admission.prices, outcome.metered.buckets, (), commission, self._terms.platform, call.receipt_id,
            call.reservation.burning, self._divide,
        )  # fmt: skip
        if commission.whole:
            if len(self._fees) >= FEES_MAX:
                self._fees.clear()
            self._fees[commission] = parted
        return parted

    async def _later(self, reservation: Any, charge: Charge) -> None:
        """For as long as what was reserved can stand; then it is the platform's loss."""
        try:
            await self._again(reservation, charge, PATIENT_TRIES, Unavailable, *FAILURES)
        except (Unsettled, ShanheError) as error:
            log.error("what was delivered is not charged", receipt=str(reservation.receipt_id),
                      micro=charge.total_micro, error=str(error)[:200])  # fmt: skip
            await self._ledger.release(reservation)

    async def _again(self, reservation: Any, charge: Charge, tries: int, *unknown: type[Exception]) -> None:
        """Ask again with the same charge, which is booked at most once, while the answer is `unknown`. Unsettled."""
        for tried, wait_s in enumerate(waits(RETRY_WAIT_S, RETRY_MOST_S), 1):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), wait_s)
            try:
                await self._ledger.settle(reservation, charge)
                return
            except unknown as error:
                if tried >= tries or self._ending.is_set():
                    raise Unsettled(f"the outcome of {reservation.receipt_id} stays unknown: {error}") from error

    async def stop(self) -> None:
        """Ask for the last time for what was delivered and is not charged yet."""
        self._ending.set()
        await asyncio.gather(*self._open, return_exceptions=True)
