"""What an admitted call holds until it is settled or released, and the block of credit a worker lends it from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

import structlog

from shanhe.ledger.errors import NotBalanced
from shanhe.ledger.model import Charge, Limit, LotDelta, Provenance, Settled

log = structlog.get_logger(__name__)


class State(Enum):
    OPEN = 0
    MOVING = 1  # a lease is turning it into a hold
    SETTLING = 2
    SETTLED = 3
    RELEASED = 4
    LAPSED = 5  # its lease or hold is gone


class Piece:
    """Part of a lot that is set aside: in a lease the part nothing has been taken from yet."""

    __slots__ = ("amount", "expires_at", "lot", "provenance")

    def __init__(self, lot: UUID, amount: int, provenance: Provenance, expires_at: datetime | None) -> None:
        self.lot = lot
        self.amount = amount
        self.provenance = provenance
        self.expires_at = expires_at

    def split(self, amount: int) -> Piece:
        """Take `amount` off this piece into one of its own."""
        self.amount -= amount
        return Piece(self.lot, amount, self.provenance, self.expires_at)


class HeldLots:
    """The concrete lots of a database hold, in burn order; none for an account without lots."""

    __slots__ = ("amount", "id", "pieces")

    def __init__(self, identifier: UUID, amount: int, pieces: list[Piece]) -> None:
        self.id = identifier
        self.amount = amount
        self.pieces = pieces


class Lease:
    """A block of an account's lots lent to this worker. Σ pieces = free + Σ reserved by open or queued calls."""

    __slots__ = (
        "account", "epoch", "expires_at", "free", "gone", "granted_at_s", "growth", "largest", "low", "open", "pieces",
        "shrinking", "used_at",
    )  # fmt: skip

    def __init__(self, account: UUID, epoch: int, expires_at: datetime) -> None:
        self.account = account
        self.epoch = epoch
        self.expires_at = expires_at
        self.pieces: list[Piece] = []
        self.free = 0
        self.low = 0
        self.largest = 0
        self.open: set[Reservation] = set()
        self.gone = False
        self.shrinking = False
        self.growth = 1
        self.granted_at_s = 0.0
        self.used_at = expires_at

    def add(self, pieces: list[Piece]) -> None:
        """Append a grant; it continues a lot that the last piece comes from."""
        for piece in pieces:
            self.free += piece.amount
            if self.pieces and self.pieces[-1].lot == piece.lot:
                self.pieces[-1].amount += piece.amount
            else:
                self.pieces.append(piece)

    def take(self, amount: int) -> list[Piece]:
        """Pieces worth `amount` off the front: leases are granted in burn order, so the front burns first."""
        taken: list[Piece] = []
        while amount > 0:
            first = self.pieces[0]
            if first.amount > amount:
                taken.append(first.split(amount))
                break
            taken.append(self.pieces.pop(0))
            amount -= first.amount
        return taken

    def take_unsubsidised(self, amount: int) -> list[Piece] | None:
        """`take` where no subsidy is in front; None where there is, and nothing taken."""
        left = amount
        for piece in self.pieces:
            if left <= 0:
                break
            if piece.provenance is Provenance.SUBSIDY:
                return None
            left -= piece.amount
        return self.take(amount) if left <= 0 else None

    def put_back(self, pieces: list[Piece]) -> None:
        for piece in reversed(pieces):
            if self.pieces and self.pieces[0].lot == piece.lot:
                self.pieces[0].amount += piece.amount
            else:
                self.pieces.insert(0, piece)


def pick(pieces: list[Piece], total: int, subsidy_max: int | None) -> list[Piece]:
    """Which of a hold's pieces pay `total`: in burn order, of subsidy at most `subsidy_max`."""
    picked: list[Piece] = []
    for piece in pieces:
        part = min(total, piece.amount)
        if subsidy_max is not None and piece.provenance is Provenance.SUBSIDY:
            part = min(part, subsidy_max)
            subsidy_max -= part
        if part > 0:
            picked.append(Piece(piece.lot, part, piece.provenance, piece.expires_at))
            total -= part
    return picked


class Reservation:
    """A call's largest price set aside. Settle or release it exactly once."""

    __slots__ = (
        "amount_micro", "at", "carved", "charge", "expires_at", "held", "lease", "limits", "moved", "payer", "pieces",
        "receipt_id", "sent", "state",
    )  # fmt: skip

    def __init__(
        self, receipt_id: UUID, payer: UUID, amount_micro: int, limits: tuple[Limit, ...], at: datetime,
        expires_at: datetime, *, lease: Lease | None = None, held: HeldLots | None = None,
    ) -> None:  # fmt: skip
        self.receipt_id = receipt_id
        self.payer = payer
        self.amount_micro = amount_micro
        self.limits = limits
        self.at = at
        self.expires_at = expires_at
        self.lease = lease
        self.held = held
        self.state = State.OPEN
        self.pieces: list[Piece] | None = None
        self.carved: list[Piece] | None = None  # of a lease, where which lots pay was settled at admission (R1)
        self.moved: asyncio.Future[None] | None = None
        self.sent = False
        self.charge: Charge | None = None

    def burning(self, total: int, subsidy_max: int | None = None) -> dict[Provenance, int]:
        """What a charge of `total` would burn, µ by provenance; where the lots are known: a lease decides later."""
        known = self.held.pieces if self.held is not None else self.carved
        assert known is not None
        sums: dict[Provenance, int] = {}
        for piece in pick(known, total, subsidy_max):
            sums[piece.provenance] = sums.get(piece.provenance, 0) + piece.amount
        return sums

    def settled(self, *, known: bool) -> Settled:
        """What it turned into."""
        assert self.charge is not None
        burned = tuple([LotDelta(piece.lot, -piece.amount) for piece in self.pieces or ()])
        return Settled(self.receipt_id, self.charge.total_micro, burned, known)

    def __repr__(self) -> str:
        where = "lease" if self.held is None else "hold"
        return f"<Reservation {self.receipt_id} {self.amount_micro} µ {self.state.name.lower()} in a {where}>"


class Landing:
    """Stands where a queued settlement has its future, for a caller that is called instead of waiting."""

    __slots__ = ("_landed", "_reservation")

    def __init__(self, reservation: Reservation, landed: Callable[[Exception | None], None]) -> None:
        self._reservation = reservation
        self._landed: Callable[[Exception | None], None] | None = landed

    def done(self) -> bool:
        return self._landed is None

    def set_result(self, _: object) -> None:
        self._land(None)

    def set_exception(self, error: Exception) -> None:
        if self._reservation.state is State.SETTLING:
            self._reservation.state = State.OPEN  # outcome unknown: to be asked again with the same charge
        self._land(error)

    def _land(self, error: Exception | None) -> None:
        landed, self._landed = self._landed, None
        assert landed is not None
        try:
            landed(error)
        except Exception:  # others were booked with it, and wait to be told
            log.exception("what follows a settlement failed", receipt=str(self._reservation.receipt_id))


class Row:
    """A queued settlement, capture or void."""

    __slots__ = ("actor", "charge", "deadline", "future", "income", "kind", "payer", "reservation")

    def __init__(
        self, reservation: Reservation, charge: Charge | None, future: asyncio.Future[Any] | Landing, deadline: float,
        kind: str, actor: str,
    ) -> None:  # fmt: skip
        self.reservation = reservation
        self.charge = charge
        self.future = future
        self.deadline = deadline
        self.kind = kind
        self.actor = actor
        self.payer = reservation.payer
        self.income: list[tuple[UUID, int]] = []


def check_charge(reservation: Reservation, charge: Charge) -> None:
    """`NotBalanced` for a charge that the reservation can't turn into."""
    total = 0
    for leg in charge.legs:
        if leg.amount_micro < 0 or leg.account == reservation.payer:
            raise NotBalanced("A leg pays someone else a non-negative amount.", "分账须付给他人且不为负。")
        total += leg.amount_micro
    if total != charge.total_micro:
        raise NotBalanced(f"The legs sum to {total}, the total is {charge.total_micro}.", "分账合计与总额不一致。")
    if total > reservation.amount_micro:
        raise NotBalanced(f"{total} is more than the {reservation.amount_micro} reserved.", "扣款金额超过预留金额。")
    if charge.subsidy_max_micro is not None and (
        (reservation.held is None and reservation.carved is None)
        or sum(reservation.burning(total, charge.subsidy_max_micro).values()) != total
    ):
        raise NotBalanced("The lots held can't pay this without more subsidy.", "所冻结的批次不足以在补贴上限内支付。")
