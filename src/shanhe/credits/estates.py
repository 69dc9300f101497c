"""Inheritance and dissolution: what a person or organisation leaves behind goes to its successors in one posting.

The organisation is frozen first, so that nothing moves meanwhile; documents prove its end and its successors' right;
one operator asks, another agrees. What rule R1_estate lets pass keeps provenance, expiry, lock and earmark; the rest
lapses with its reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec
import structlog

from shanhe.approvals.api import Approvals, Deed, NotYet, Request, RequestState
from shanhe.credits import estate_store as store
from shanhe.credits import messages
from shanhe.credits.estate_errors import EstateConflict, EstateHeld, EstatePledged, NotFrozen, UnknownEstate
from shanhe.credits.estate_model import Estate, EstateDocument, EstateLine, Successor, check, shared
from shanhe.credits.model import PayerOf
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import (
    Account,
    AccountView,
    Asset,
    IdempotencyConflict,
    InsufficientCredit,
    Ledger,
    Lot,
    LotDelta,
    LotHistory,
    NewLot,
    Posting,
    Provenance,
    Transfer,
    UnknownPosting,
)
from shanhe.rulebook.api import Rulebook

RULE: Final = "R1_estate"
REQUEST: Final = "credits.estate"
KIND: Final = "estate"
SPACE: Final = UUID("2b6d3f0c-6e59-5e0a-8b1d-5b9f0f3f7c41")
PAGE: Final = "/city/credits/estates"
DECIDE_WITHIN: Final = timedelta(days=30)
SUBJECTS: Final = {"inheritance": "遗产承继 · inheritance", "dissolution": "清算移交 · dissolution"}
Rows = list
ACCOUNTS_ROWS: Final = 100
ACCOUNTS_MAX: Final = 2_000
LOTS_MAX: Final = 5_000
"""Of one account: years of a maker's income are two lots a day."""
PAGE_ROWS: Final = 100
TRIES: Final = 3
REASON_CHARS: Final = 200
CREDIT_KINDS: Final = frozenset({"wallet", "income"})
CASH_KINDS: Final = frozenset({"exchange_cash"})
ENDING: Final = frozenset({Asset.VOUCHER, Asset.TICKET, Asset.POINT})

EndOrders = Callable[[UUID], Awaitable[None]]
"""Ends whatever of an organisation waits elsewhere (orders), so that its escrow is free again."""

log = structlog.get_logger(__name__)


@dataclass
class Plan:
    """One posting in the making."""

    number: UUID
    lines: list[EstateLine] = field(default_factory=list)
    transfers: list[Transfer] = field(default_factory=list)
    lots: list[NewLot] = field(default_factory=list)
    deltas: list[LotDelta] = field(default_factory=list)

    def move(self, source: UUID, target: UUID, amount: int) -> None:
        if amount:
            self.transfers.append(
                Transfer(UUID(int=self.number.int ^ (len(self.transfers) + 1)), source, target, amount)
            )


class Estates:
    def __init__(
        self, db: Database, clock: Clock, *, ledger: Ledger, rulebook: Rulebook, notifier: Notifier,
        approvals: Approvals, payer: PayerOf, end_orders: EndOrders | None = None, seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self._db = db
        self._seals = seals or Seals()
        self._clock = clock
        self._ledger = ledger
        self._rulebook = rulebook
        self._notifier = notifier
        self._approvals = approvals
        self._payer = payer
        self._end_orders = end_orders
        self._history = LotHistory(db)
        approvals.deeds[REQUEST] = Deed(
            self._hand_over, PAGE, self._why, waits=(NotFrozen, EstateHeld, EstatePledged)
        )  # fmt: skip

    # -- asking and deciding ------------------------------------------------------------------------------------------

    async def offer(self, org_id: UUID) -> Sequence[EstateLine]:
        """What would pass and what would lapse, and why, if it were handed over now."""
        plan = Plan(new_id())
        for view in await self._accounts(org_id):
            await self._plan(plan, view, ())
        return plan.lines

    async def ask(
        self, org_id: UUID, *, kind: str, successors: Sequence[Successor], documents: Sequence[EstateDocument],
        reason: str, by: str, estate_id: UUID | None = None,
    ) -> Estate:  # fmt: skip
        """Ask for a handover; a second person decides within a month. Idempotent by `estate_id`.

        Raises BadEstate, NotFrozen, EstateConflict (another one of this organisation is open).
        """
        check(org_id, kind, successors, documents)
        if not 0 < len(reason.strip()) <= REASON_CHARS or not reason.isprintable():
            raise Invalid("bad_text", "Give a reason.", message_zh="请填写原因。")
        for one in successors:
            await self._payer(one.org_id)  # exists
        await self._frozen(org_id)
        now, wanted = self._clock.now(), estate_id or new_id()
        estate = Estate(
            wanted, org_id, kind, tuple(successors), tuple(documents), reason, by, now, "open", None, None, None, (), ""
        )
        payload = {
            "org_id": str(org_id), "kind": kind,
            "successors": [{"org_id": str(one.org_id), "share_bps": one.share_bps} for one in successors],
            "documents_sha256": hashlib.sha256(msgspec.json.encode([asdict(one) for one in documents])).hexdigest(),
        }  # fmt: skip
        async with self._db.transaction() as conn:
            written = await store.insert(conn, estate, await self._seals.of(org_id))
            made = None if written is None else await self._opened(written)
            if made is None or not _same(made, estate):
                raise EstateConflict
            await self._approvals.request(
                REQUEST, SUBJECTS[kind], payload, by=by, expires_at=now + DECIDE_WITHIN, request_id=wanted,
                about=org_id, conn=conn,
            )  # fmt: skip
        return made

    async def approve(self, estate_id: UUID, *, by: str) -> Estate:
        """The second person's word; the handover is booked. Raises what stands in its way: NotFrozen, EstateHeld,
        EstatePledged; once that is gone the jobs worker books it."""
        await self.get(estate_id)
        with suppress(NotYet):  # the request says it, and it is tried again
            await self._approvals.agree(estate_id, by=by)
        return await self.get(estate_id)

    async def reject(self, estate_id: UUID, *, by: str, reason: str) -> Estate:
        await self.get(estate_id)
        await self._approvals.reject(estate_id, by=by, reason=reason)
        return await self._finish(await self.get(estate_id))

    async def get(self, estate_id: UUID) -> Estate:
        found = await store.get(self._db, estate_id)
        if found is None:
            raise UnknownEstate
        return await self._opened(found)

    async def _why(self, request: Request) -> str:
        return (await self.get(request.id)).reason

    async def _opened(self, row: Mapping[str, Any]) -> Estate:
        return store.estate(row, await self._seals.of(row["org_id"]))

    async def list(
        self, org_id: UUID | None = None, *, open_only: bool = False, limit: int = PAGE_ROWS
    ) -> Sequence[Estate]:
        """Newest first, a bounded page."""
        return [await self._opened(row) for row in await store.page(self._db, org_id, open_only, limit)]

    async def run(self) -> int:
        """Book what was agreed to and end what was not, wherever it was decided, the oldest first; how many."""
        done, after = 0, None
        while rows := await store.open_after(self._db, after, PAGE_ROWS):
            for row in rows:
                try:
                    done += (await self._finish(await self._opened(row))).state != "open"
                except ShanheError as error:  # one's trouble does not keep the others waiting
                    log.warning("an estate waits", estate=str(row["id"]), error=error.code)
            after = rows[-1]["id"]
        return done

    async def _finish(self, estate: Estate) -> Estate:
        request = await self._approvals.get(estate.id)
        if estate.state != "open" or request.state is RequestState.OPEN:
            return estate
        if not request.agreed:
            await store.end(self._db.writes, estate.id, "ended", request.decided_by, self._clock.now())
            return await self.get(estate.id)
        await self._hand_over(request)
        await self._approvals.done(request.id)
        return await self.get(estate.id)

    async def _hand_over(self, request: Request) -> None:
        """Book it, once; NotYet, NotFrozen, EstateHeld or EstatePledged while something stands in its way."""
        estate = await self.get(request.id)
        if estate.state != "open":
            return
        booked = await self._book(estate, f"{request.requested_by} + {request.decided_by}")
        if booked is None:
            raise NotYet
        posting, lines, version = booked
        async with self._db.transaction() as conn:
            ended = await store.end(
                conn, estate.id, "booked", request.decided_by, self._clock.now(), posting_id=posting, lines=lines,
                rule_version=version,
            )  # fmt: skip
            if ended and posting is not None:
                for one in estate.successors:
                    await self._notifier.notify(messages.estate_booked(one.org_id, estate.id), conn)
                await self._notifier.notify(messages.estate_left(estate.org_id, estate.id), conn)

    async def _frozen(self, org_id: UUID) -> None:
        if not (await self._payer(org_id)).frozen:
            raise NotFrozen

    # -- booking ------------------------------------------------------------------------------------------------------

    async def _book(self, estate: Estate, actor: str) -> tuple[UUID | None, Rows[EstateLine], str] | None:
        """The posting, once however often it is tried; None when something moved at every try."""
        number = uuid5(SPACE, str(estate.id))
        for _ in range(TRIES):
            if (known := await self._known(number)) is not None:
                return number, *known
            await self._frozen(estate.org_id)
            if self._end_orders is not None:
                await self._end_orders(estate.org_id)
            plan, version = Plan(number), self._rulebook.version(RULE, self._clock.today())
            for view in await self._accounts(estate.org_id):
                _unhindered(view)
                await self._plan(plan, view, estate.successors)
            if not plan.transfers:  # or somebody else has just booked it, and nothing is left to plan with
                known = await self._known(number)
                return (None, plan.lines, version) if known is None else (number, *known)
            posting = Posting(
                id=number, kind=KIND, transfers=tuple(plan.transfers), lots=tuple(plan.lots), deltas=tuple(plan.deltas),
                evidence=_evidence(estate, plan, version), actor=actor, memo=estate.kind,
            )  # fmt: skip
            try:
                await self._ledger.post(posting)
            except (InsufficientCredit, IdempotencyConflict):  # the latter: by another plan, just now
                continue
            return number, plan.lines, version
        return None

    async def _accounts(self, org_id: UUID) -> Rows[AccountView]:
        """The organisation's accounts that hold something of value, with nothing lent to workers any more."""
        for account in await self._history.accounts(org_id):
            await self._history.recall(account)
        found = Rows[AccountView]()
        while len(found) < ACCOUNTS_MAX:
            after = found[-1].account.id if found else None
            page = await self._ledger.accounts(owner=org_id, after=after, limit=ACCOUNTS_ROWS)
            found += page
            if len(page) < ACCOUNTS_ROWS:
                break
        return [view for view in found if view.balance and _what(view.account)]

    async def _plan(self, plan: Plan, view: AccountView, successors: Sequence[Successor]) -> None:
        account = view.account
        if account.lots:
            lots = await self._history.standing(account.id, LOTS_MAX)
            if sum(lot.remaining for lot in lots) != view.balance:
                raise EstateHeld(str(account.id))  # more lots than one posting takes, or one has just moved
            await self._plan_lots(plan, account, lots, successors)
            return
        what = _what(account)
        if self._passes(what):
            for one, amount in zip(successors, shared(view.balance, successors), strict=True):
                plan.move(account.id, (await self._same_account(one.org_id, account)).id, amount)
            plan.lines.append(EstateLine(account.asset, account.kind, what, view.balance, 0))
            return
        breakage = await self._ledger.system_account("breakage", account.asset)
        plan.move(account.id, breakage.id, view.balance)
        plan.lines.append(EstateLine(account.asset, account.kind, what, 0, view.balance, "by_rule"))

    async def _plan_lots(
        self, plan: Plan, account: Account, lots: Sequence[Lot], successors: Sequence[Successor]
    ) -> None:
        now = self._clock.now()
        targets = [(await self._same_account(one.org_id, account)).id for one in successors]
        received = dict.fromkeys(targets, 0)
        sums: dict[tuple[str, str], int] = {}
        for lot in lots:
            expired = lot.expires_at is not None and lot.expires_at <= now
            why = "expired" if expired else "" if self._passes(lot.provenance) else "by_rule"
            sums[lot.provenance, why] = sums.get((lot.provenance, why), 0) + lot.remaining
            plan.deltas.append(LotDelta(lot.id, -lot.remaining))
            if why:
                continue
            left = lot.remaining
            for target, amount in zip(targets, shared(lot.remaining, successors), strict=True):
                if amount:
                    received[target] += amount
                    plan.lots.append(_child(lot, target, amount, left))
                    left -= amount
        for target, amount in received.items():
            plan.move(account.id, target, amount)
        lapsed = sum(amount for (_, why), amount in sums.items() if why)
        plan.move(account.id, (await self._ledger.system_account("breakage", account.asset)).id, lapsed)
        plan.lines += [
            EstateLine(account.asset, account.kind, what, 0 if why else amount, amount if why else 0, why)
            for (what, why), amount in sums.items()
        ]

    async def _same_account(self, owner: UUID, like: Account) -> Account:
        return await self._ledger.ensure_account(owner, like.asset, like.kind, name=like.name, lots=like.lots)

    def _passes(self, what: str) -> bool:
        return bool(self._rulebook.evaluate(RULE, {"what": what}, on=self._clock.today()).outputs["passes"])

    async def _known(self, number: UUID) -> tuple[Rows[EstateLine], str] | None:
        """What an earlier try booked before it could be recorded."""
        try:
            found = await self._ledger.posting(number)
        except UnknownPosting:
            return None
        seen: Mapping[str, Any] = msgspec.json.decode(found.evidence or b"{}")
        return [EstateLine(**line) for line in seen["lines"]], seen["rules"][RULE]


def _what(account: Account) -> str:
    """What rule R1_estate calls an account's content; empty for what is nobody's to hand over (play, clearing)."""
    if account.asset is Asset.CREDIT and account.kind in CREDIT_KINDS:
        return "lots"
    if account.asset is Asset.CNY and account.kind in CASH_KINDS:
        return "cash"
    return str(account.asset) if account.asset in ENDING else ""


def _unhindered(view: AccountView) -> None:
    if view.account.floor:
        raise EstatePledged(view.account.floor)
    if view.held:
        raise EstateHeld(str(view.account.id))


def _child(lot: Lot, target: UUID, amount: int, left: int) -> NewLot:
    """A part of what is `left` of a lot, in other hands. What was bought on the exchange keeps the parent it was bought
    from, or the guard of sales would take the handover for another sale."""
    cost = None if lot.cost_fen is None else lot.cost_of(left) - lot.cost_of(left - amount)
    return NewLot(
        account=target, provenance=lot.provenance, amount=amount, expires_at=lot.expires_at, unlock_at=lot.unlock_at,
        spendable_at=lot.spendable_at, earmark=lot.earmark, cost_fen=cost,
        parent=lot.parent if lot.provenance is Provenance.EXCHANGE else lot.id,
    )  # fmt: skip


def _evidence(estate: Estate, plan: Plan, version: str) -> bytes:
    """No document and no name: those are the office's, and what the ledger keeps can't be erased."""
    return msgspec.json.encode({
        "version": 1, "estate": estate.id, "kind": estate.kind, "rules": {RULE: version},
        "successors": [asdict(one) for one in estate.successors], "lines": [asdict(line) for line in plan.lines],
    }, order="sorted")  # fmt: skip


def _same(one: Estate, other: Estate) -> bool:
    names = ("org_id", "kind", "successors", "documents", "reason", "asked_by")
    return all(_plain(getattr(one, name)) == _plain(getattr(other, name)) for name in names)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value
