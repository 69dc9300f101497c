"""What follows from an upheld dispute: its trades are undone by reversals, as far as what they gave is still there.

One person asks, another agrees. Each trade becomes at most one balanced posting: credits go back to the seller's own
lots, cash and fee to the buyer, in one proportion. What the buyer has used or the seller has withdrawn cannot come
back; that part of the trade stands at its price, and the record says what bounded it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from shanhe.approvals.api import Approvals, Deed, NotYet, Request, RequestConflict, RequestState
from shanhe.exchange import fund_store
from shanhe.exchange import remedy_store as store
from shanhe.exchange.disputes import Dispute, Disputes
from shanhe.exchange.errors import NothingToReverse, NotUpheld, ReversalWaits, SecondPersonNeeded, UnknownItem
from shanhe.exchange.fund import PAGE, Fund
from shanhe.exchange.model import Market
from shanhe.kernel.asking import Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.kernel.texts import check_line
from shanhe.ledger.api import (
    IdempotencyConflict,
    InsufficientCredit,
    Ledger,
    Lot,
    LotDelta,
    LotHistory,
    Posting,
    PostingView,
    Transfer,
    UnknownPosting,
)

REQUEST: Final = "exchange.reversal"
SUBJECT: Final = "撤销成交 · reversal of trades"
REASON_FIELD: Final = "exchange.remedy.reason"
KIND: Final = "trade_reversal"
RECORD: Final = "exchange.reversal"
SPACE: Final = UUID("7d0f6a52-2f0e-5c0b-9a41-6f6c1d1b7e32")
DECIDE_WITHIN: Final = timedelta(days=7)
TRADES_MAX: Final = 200
PAGE_ROWS: Final = 100
TRIES: Final = 3
CREDITS, CASH, FUND = "credits", "cash", "fund"


@dataclass(frozen=True)
class Undo:
    """Of one trade: what goes back (the fee is part of the cash), and what bounded it; empty when all of it does."""

    quantity_micro: int
    cash_fen: int
    fee_fen: int
    bound: str


def undo_of(quantity: int, cash_fen: int, fee_fen: int, *, credits: int, cash: int, fund: int) -> Undo:
    """As much of a trade as all three can still give: the buyer `credits`, the seller `cash`, the fund its fee. Pure.

    The seller's part and the fee are each rounded down to the fen; the whole trade goes back exactly.
    """
    net = cash_fen - fee_fen
    most = [(quantity, ""), (max(0, credits), CREDITS), (_payable(quantity, net, cash), CASH),
            (_payable(quantity, fee_fen, fund), FUND)]  # fmt: skip
    back, bound = min(most, key=lambda one: one[0])
    fee = fee_fen * back // quantity
    return Undo(back, net * back // quantity + fee, fee, bound)


def _payable(quantity: int, whole_fen: int, left_fen: int) -> int:
    """The largest part of a quantity whose share of `whole_fen`, rounded down, `left_fen` still pays."""
    if whole_fen <= left_fen:
        return quantity
    return min(quantity, ((max(0, left_fen) + 1) * quantity - 1) // whole_fen)


@dataclass(frozen=True)
class Reversal:
    """What became of one trade. `posting` None: nothing of it could go back."""

    trade_id: UUID
    posting: UUID | None
    traded_micro: int
    quantity_micro: int
    cash_fen: int
    fee_fen: int
    bound: str
    at: datetime


@dataclass(frozen=True)
class Remedy:
    id: UUID
    dispute_id: UUID
    order_id: UUID
    org_id: UUID
    trades: Sequence[UUID]
    reason: str
    asked_by: str
    asked_at: datetime
    state: str
    decided_by: str | None
    decided_at: datetime | None
    reversals: Sequence[Reversal] = ()


class Remedies:
    def __init__(
        self, db: Database, clock: Clock, ledger: Ledger, approvals: Approvals, fund: Fund, record: Record,
        disputes: Disputes, seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._seals = seals or Seals()
        self._disputes = disputes
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._approvals = approvals
        self._fund = fund
        self._record = record
        self._history = LotHistory(db)
        approvals.deeds[REQUEST] = Deed(self._carry_out, PAGE)

    # -- two people ---------------------------------------------------------------------------------------------------

    async def ask(
        self, dispute_id: UUID, reason: str, *, by: str, trades: Sequence[UUID] = (), remedy_id: UUID | None = None
    ) -> Remedy:
        """Ask to undo trades of the disputed order (default: all that settled); a second person decides. Idempotent.

        Raises NotUpheld, NothingToReverse, SecondPersonNeeded (who complained does not ask), ReversalWaits,
        RequestConflict.
        """
        check_line("reason", reason)
        if remedy_id is not None and (known := await store.remedy(self._db, remedy_id)) is not None:
            (made,) = await self._views([known])
            if (made.dispute_id, made.asked_by, made.reason) != (dispute_id, by, reason) or (
                trades and set(trades) != set(made.trades)
            ):
                raise RequestConflict()
            return made
        dispute = await fund_store.dispute(self._db, dispute_id)
        if dispute is None:
            raise UnknownItem("dispute", "申诉")
        if dispute["state"] != "upheld":
            raise NotUpheld(dispute["state"])
        if await self._approvals.same_person(dispute["actor"], by):
            raise SecondPersonNeeded()
        possible = await store.reversible(self._db, dispute["order_id"], TRADES_MAX)
        chosen = [trade for trade in possible if not trades or trade in trades]
        if not chosen or (trades and len(chosen) != len(set(trades))):
            raise NothingToReverse()
        identifier, now = remedy_id or new_id(), self._clock.now()
        complainant = await self._approvals.person_behind(dispute["actor"])
        payload = {
            "dispute_id": str(dispute_id), "trades": [str(one) for one in chosen], "not_by": [complainant]
        }  # fmt: skip
        sealed = await self._seals.seal(dispute["org_id"], REASON_FIELD, reason)
        async with self._db.transaction() as conn:
            await self._approvals.request(
                REQUEST, SUBJECT, payload, by=by, expires_at=now + DECIDE_WITHIN, request_id=identifier,
                about=dispute["org_id"], conn=conn,
            )  # fmt: skip
            if not await store.insert(conn, identifier, dispute_id, chosen, sealed, by, now):
                raise ReversalWaits()
        return await self.get(identifier)

    async def approve(self, remedy_id: UUID, *, by: str) -> Remedy:
        """The second person's word; the reversals are booked. Neither who asked nor who complained."""
        await self._second(remedy_id, by)
        with suppress(NotYet):  # the request says it, and it is tried again
            await self._approvals.agree(remedy_id, by=by)
        return await self.get(remedy_id)

    async def reject(self, remedy_id: UUID, *, by: str, reason: str) -> Remedy:
        await self._second(remedy_id, by)
        await self._approvals.reject(remedy_id, by=by, reason=reason)
        await self.run()
        return await self.get(remedy_id)

    async def _second(self, remedy_id: UUID, by: str) -> None:
        row = await store.remedy(self._db, remedy_id)
        if row is None:
            raise UnknownItem("reversal", "冲正申请")
        if await self._approvals.same_person(row["complainant"], by):
            raise SecondPersonNeeded()

    async def run(self) -> int:
        """Book what was agreed to and close what was not, wherever it was decided; how many."""
        done = 0
        for remedy in await self.list(open_only=True):
            request = await self._approvals.get(remedy.id)
            if request.state is RequestState.OPEN:
                continue
            if request.agreed:
                try:
                    await self._carry_out(request)
                except (NotYet, SecondPersonNeeded):  # the request says it: it waits, or ends and is closed then
                    continue
                await self._approvals.done(remedy.id)
            else:
                await store.close(self._db, remedy.id, "ended", request.decided_by, self._clock.now())
            done += 1
        return done

    async def _carry_out(self, request: Request) -> None:
        """Undo what was agreed to, each trade once; NotYet while something is on its way."""
        row = await store.remedy(self._db, request.id)
        if row["state"] != "open":
            return
        if request.decided_by == row["complainant"]:
            raise SecondPersonNeeded()
        if not await self._undo_all((await self._views([row]))[0], request):
            raise NotYet
        await store.close(self._db, request.id, "done", request.decided_by, self._clock.now())

    # -- reading ------------------------------------------------------------------------------------------------------

    async def get(self, remedy_id: UUID) -> Remedy:
        row = await store.remedy(self._db, remedy_id)
        if row is None:
            raise UnknownItem("reversal", "冲正申请")
        return (await self._views([row]))[0]

    async def list(self, org_id: UUID | None = None, *, open_only: bool = False) -> Sequence[Remedy]:
        """Newest first, a bounded page; of one complainant's organisation or of all."""
        return await self._views(await store.remedies(self._db, org_id, open_only, PAGE_ROWS))

    async def due(self) -> Sequence[Dispute]:
        """Upheld disputes that nobody has asked to reverse yet, or whose order has more trades than one reversal may
        undo; a bounded page."""
        return [await self._disputes.opened(row) for row in await store.due(self._db, TRADES_MAX, PAGE_ROWS)]

    async def of_trades(self, trade_ids: Sequence[UUID]) -> Mapping[UUID, Reversal]:
        """What became of those trades that were undone, by trade."""
        return {row["trade_id"]: _reversal(row) for row in await store.of_trades(self._db, trade_ids)}

    async def _views(self, rows: Sequence[Any]) -> Sequence[Remedy]:
        undone: dict[UUID, list[Reversal]] = {row["id"]: [] for row in rows}
        for one in await store.reversals(self._db, list(undone)):
            undone[one["remedy_id"]].append(_reversal(one))
        found = []
        for row in rows:
            values = {name: row[name] for name in Remedy.__dataclass_fields__ if name != "reversals"}
            values["reason"] = await self._seals.open(row["org_id"], REASON_FIELD, row["reason"])
            found.append(Remedy(**values, reversals=undone[row["id"]]))
        return found

    # -- booking ------------------------------------------------------------------------------------------------------

    async def _undo_all(self, remedy: Remedy, request: Request) -> bool:
        """False while something is on its way: the next run goes on where this one stopped."""
        actor = f"{request.requested_by} + {request.decided_by}"
        for trade_id in remedy.trades:
            if await store.reversal(self._db, trade_id) is not None:
                continue
            trade = await store.trade(self._db, trade_id)
            done = await self._undo(trade, remedy, actor)
            if done is None:
                return False
            number, undo = done
            async with self._db.transaction() as conn:
                values = (trade_id, remedy.id, number, undo.quantity_micro, undo.cash_fen, undo.fee_fen, undo.bound)
                if await store.insert_reversal(conn, (*values, self._clock.now())):
                    public = {
                        "market": trade["market"], "trade": str(trade_id), "traded_micro": trade["quantity"],
                        "returned_micro": undo.quantity_micro, "cash_fen": undo.cash_fen, "bound": undo.bound,
                    }  # fmt: skip
                    await self._record(conn, RECORD, public)
        return True

    async def _undo(self, trade: Any, remedy: Remedy, actor: str) -> tuple[UUID | None, Undo] | None:
        """One trade's reversal, booked once however often it is tried; None when lots moved at every try."""
        number = uuid5(SPACE, str(trade["id"]))
        booked = await self._ledger.posting(trade["id"])
        for _ in range(TRIES):
            if (known := await self._known(number, trade)) is not None:
                return number, known
            await self._history.recall(trade["buyer_credits"])
            undo, taken = await self._possible(trade, booked)
            if undo.quantity_micro == 0:  # or somebody else has just booked it, and nothing is left to give back
                known = await self._known(number, trade)
                return (None, undo) if known is None else (number, known)
            fund = await self._fund.account(Market(trade["market"]))
            legs = ((trade["buyer_credits"], trade["seller_credits"], undo.quantity_micro),
                    (trade["seller_cash"], trade["buyer_cash"], undo.cash_fen - undo.fee_fen),
                    (fund, trade["buyer_cash"], undo.fee_fen))  # fmt: skip
            posting = Posting(
                id=number, kind=KIND, actor=actor, memo=SUBJECT, reverses=trade["id"],
                transfers=tuple(
                    Transfer(UUID(int=number.int ^ n), *leg) for n, leg in enumerate(legs, 1) if leg[2] > 0
                ),
                deltas=tuple(LotDelta(lot, amount) for lot, amount in taken.items()),
                evidence=_evidence(trade, remedy, undo),
            )  # fmt: skip
            try:
                await self._ledger.post(posting)
            except (InsufficientCredit, IdempotencyConflict):  # the latter: by another plan, just now
                continue
            return number, undo
        return None

    async def _possible(self, trade: Any, booked: PostingView) -> tuple[Undo, Mapping[UUID, int]]:
        """What can go back now, and what that does to the lots of both sides."""
        now = self._clock.now()
        children = await self._history.find([delta.lot for delta in booked.lots if delta.amount > 0])
        free = {lot.id: _free(lot, now) for lot in children.values()}
        wallet = await self._ledger.balance(trade["buyer_credits"])
        seller = await self._ledger.balance(trade["seller_cash"])
        fund = await self._ledger.balance(await self._fund.account(Market(trade["market"])))
        undo = undo_of(
            trade["quantity"], trade["cash_fen"], trade["fee_fen"], credits=min(sum(free.values()), wallet.available),
            cash=seller.available, fund=fund.available,
        )  # fmt: skip
        taken: dict[UUID, int] = {}
        left = undo.quantity_micro
        for lot_id, amount in sorted(free.items()):
            part, parent = min(left, amount), children[lot_id].parent
            if part and parent is not None:
                taken[lot_id] = -part
                taken[parent] = taken.get(parent, 0) + part
                left -= part
        return undo, taken

    async def _known(self, number: UUID, trade: Any) -> Undo | None:
        """What an earlier try booked before it could be recorded."""
        try:
            found = await self._ledger.posting(number)
        except UnknownPosting:
            return None
        back = sum(leg.amount for leg in found.transfers if leg.debit == trade["buyer_credits"])
        cash = sum(leg.amount for leg in found.transfers if leg.credit == trade["buyer_cash"])
        fee = cash - sum(leg.amount for leg in found.transfers if leg.debit == trade["seller_cash"])
        bound = msgspec.json.decode(found.evidence or b"{}").get("bound", "")
        return Undo(back, cash, fee, bound)


def _free(lot: Lot, now: datetime) -> int:
    """What of a lot can still go back: neither used, set aside nor expired."""
    return 0 if lot.expires_at is not None and lot.expires_at <= now else lot.remaining - lot.held


def _evidence(trade: Any, remedy: Remedy, undo: Undo) -> bytes:
    return msgspec.json.encode({
        "version": 1, "trade": trade["id"], "dispute": remedy.dispute_id, "remedy": remedy.id,
        "traded_micro": trade["quantity"], "returned_micro": undo.quantity_micro, "cash_fen": undo.cash_fen,
        "fee_fen": undo.fee_fen, "bound": undo.bound,
    }, order="sorted")  # fmt: skip


def _reversal(row: Any) -> Reversal:
    return Reversal(
        row["trade_id"], row["posting"], row["traded"], row["quantity"], row["cash_fen"], row["fee_fen"], row["bound"],
        row["at"],
    )  # fmt: skip
