"""Money that operators move by hand: one asks, another agrees, then it is done.

Top-ups and instalments for money that came in otherwise, credits into budgets of codes, reversals of postings, closed
periods, opening balances, what runs booked and differences written off: those modules know nothing of approvals.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

import msgspec

from shanhe.approvals.api import Deed, RequestConflict, RequestState, numbers
from shanhe.credits.api import InstalmentPaid
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.ledger.api import AlreadyReversed, PeriodClosed, read_opening
from shanhe.reconcile.api import Outcome

if TYPE_CHECKING:
    from shanhe.approvals.api import Approvals, Request
    from shanhe.credits.api import Credits
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.sealing import Seals
    from shanhe.ledger.api import Ledger
    from shanhe.reconcile.api import Reconciliation
    from shanhe.wiring.closing import Closing, Unfinished

TOP_UP, REVERSAL, CLOSE, OPENING = "credits.top_up", "ledger.reversal", "ledger.period_close", "ledger.opening"
BUDGET, INSTALMENT, RUN, WRITE_OFF = "credits.budget", "credits.instalment", "agents.run", "reconcile.write_off"
SPACE: Final = UUID("5b0f9c0e-6d0d-5f55-8a4f-2f2f7c9f3c61")
OPEN_FOR: Final = timedelta(days=30)
REASON_FIELD: Final = "moves.reason"
LEFT: Final = (RequestState.OPEN, RequestState.APPROVED)
"""States in which something is left to do."""
UNDONE_ROWS: Final = 200
PAGE_ROWS: Final = 50
OPENING_BYTES_MAX: Final = 128 * 1024
"""What both people looked at is in the transparency log, whose entries are small."""

Page = tuple[Sequence[tuple["Request", str]], UUID | None]
"""Requests, newest first, with why each was asked; and where the next page begins."""
TakeBack = Callable[..., Awaitable[Any]]
"""(run, actor, reason): everything that was booked in a run, reversed."""


class Moves:
    """What operators of one city ask for, and what is done when another one agreed."""

    def __init__(
        self, clock: Clock, approvals: Approvals, credits: Credits, ledger: Ledger, seals: Seals,
        take_back: TakeBack | None = None, reconciliation: Reconciliation | None = None, closing: Closing | None = None,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._approvals = approvals
        self._credits = credits
        self._ledger = ledger
        self._seals = seals
        self._closing = closing
        approvals.deeds |= {
            TOP_UP: Deed(self._top_up, why=self._top_up_reason),
            REVERSAL: Deed(self._reverse, "/city/ledger/postings/{posting}"),
            CLOSE: Deed(self._close, "/city/ledger/trial?through={through}#close"),
            OPENING: Deed(self._open_books), BUDGET: Deed(self._fund), INSTALMENT: Deed(self._book),
        }  # fmt: skip
        if take_back is not None:
            self._take_back = take_back
            approvals.deeds[RUN] = Deed(self._refund_run)
        if reconciliation is not None:
            self._reconciliation = reconciliation
            approvals.deeds[WRITE_OFF] = Deed(self._write_off, "/city/reconcile?all=1")

    # -- asking -------------------------------------------------------------------------------------------------------

    async def ask_top_up(
        self, org_id: UUID, amount_micro: int, reason: str, *, method: str, client_ref: str, by: str
    ) -> Request:
        """Ask for credits that were paid for outside. Idempotent by (organisation, client_ref)."""
        self._credits.check_top_up(amount_micro, reason, method, client_ref)
        number = uuid5(SPACE, f"{org_id}:{client_ref}")
        payload = {"org_id": str(org_id), "amount_micro": amount_micro, "method": method, "client_ref": client_ref}
        known = await self._approvals.known(number)
        if known is not None:
            if {**known.payload, "reason": ""} != {**payload, "reason": ""}:
                raise RequestConflict
            return known
        sealed = await self._seals.seal(org_id, REASON_FIELD, reason)
        return await self._approvals.request(
            TOP_UP, str(org_id), {**payload, "reason": sealed}, by=by, request_id=number, about=org_id,
            expires_at=self._clock.now() + OPEN_FOR,
        )  # fmt: skip

    async def ask_reversal(self, posting: UUID, reason: str, *, by: str) -> Request:
        """Ask for a posting's mirror image. One request a posting stands at a time."""
        await self._ledger.posting(posting)
        payload = {"posting": str(posting), "reason": reason}
        return await self._once(REVERSAL, str(posting), payload, by=by)

    async def ask_run_refund(self, run_id: UUID, reason: str, *, by: str) -> Request:
        """Ask that all a run booked be taken back. One request a run stands at a time."""
        return await self._once(RUN, str(run_id), {"run": str(run_id), "reason": reason}, by=by)

    async def ask_write_off(self, difference: UUID, note: str, *, by: str) -> Request:
        """Ask that a difference of money be written off. One request a difference stands at a time."""
        found = await self._reconciliation.check_write_off(difference, note)
        payload = {"difference": str(difference), "reason": note, "amount_fen": abs(found.money_fen)}
        return await self._once(WRITE_OFF, str(difference), payload, by=by)

    async def ask_budget(self, name: str, amount_micro: int, reason: str, *, posting_id: UUID, by: str) -> Request:
        """Ask for credits into a budget that codes are drawn from. Idempotent by `posting_id`."""
        self._credits.codes.check_fund(name, amount_micro)
        payload = {"budget": name, "amount_micro": amount_micro, "reason": reason}
        return await self._approvals.request(
            BUDGET, name, payload, by=by, request_id=posting_id, expires_at=self._clock.now() + OPEN_FOR
        )

    async def ask_instalment(self, agreement: UUID, number: int, *, reference: str, by: str) -> Request:
        """Ask that an instalment be booked which was found at the bank. One request an instalment stands at a time."""
        org_id = (await self._credits.agreements.get(None, agreement)).org_id
        instalment = await self._credits.agreements.payable(org_id, agreement, number)
        payload = {
            "agreement": str(agreement), "number": number, "reason": reference, "amount_fen": instalment.amount_fen
        }  # fmt: skip
        return await self._once(INSTALMENT, f"{agreement}:{number}", payload, by=by, about=org_id)

    async def ask_close(self, through: date, *, by: str) -> Request:
        """Ask that nothing be booked any more up to a day. One request a day stands at a time."""
        await self._ledger.check_close(through)
        return await self._once(CLOSE, through.isoformat(), {"through": through.isoformat()}, by=by)

    async def unfinished(self, through: date) -> Sequence[Unfinished]:
        """What of the days up to `through` is still open, to be looked at before a close."""
        return () if self._closing is None else await self._closing.unfinished(through)

    async def ask_opening(self, raw: bytes, *, by: str) -> Request:
        """Ask to take opening balances over, as `read_opening` reads them. Idempotent by their `id`."""
        posting, entries = read_opening(raw)
        if len(raw) > OPENING_BYTES_MAX:
            raise Invalid(
                "opening_too_large",
                f"Opening balances of more than {OPENING_BYTES_MAX // 1024} KiB can't be asked for.",
                message_zh=f"期初余额文件超过 {OPENING_BYTES_MAX // 1024} KiB，无法提交审批。",
                hint="Split them, each part with an id of its own.", hint_zh="请拆分后分别提交，每份用各自的 id。",
            )  # fmt: skip
        for entry in entries:
            await self._ledger.account(entry.account)
        payload = {"books": msgspec.json.decode(raw)}
        asked = await self._once(OPENING, str(posting), payload, by=by)
        if asked.payload != payload:
            raise RequestConflict
        return asked

    async def _once(
        self, kind: str, subject: str, payload: Mapping[str, Any], *, by: str, about: UUID | None = None
    ) -> Request:
        """The request that stands about a subject, else a new one."""
        named = subject if kind == REVERSAL else f"{kind}:{subject}"
        return await self._approvals.standing(
            numbers_of(named), kind, subject, payload, by=by, about=about, expires_at=self._clock.now() + OPEN_FOR
        )

    # -- doing --------------------------------------------------------------------------------------------------------

    async def _top_up(self, decided: Request) -> None:
        asked, org_id = decided.payload, UUID(str(decided.payload["org_id"]))
        await self._credits.top_up(
            org_id, int(asked["amount_micro"]), await self._top_up_reason(decided), decided.signed,
            method=str(asked["method"]), client_ref=str(asked["client_ref"]),
        )  # fmt: skip

    async def _top_up_reason(self, asked: Request) -> str:
        return await self._seals.open(UUID(str(asked.payload["org_id"])), REASON_FIELD, str(asked.payload["reason"]))

    async def _reverse(self, decided: Request) -> None:
        with contextlib.suppress(AlreadyReversed):
            await self._ledger.reverse(
                UUID(str(decided.payload["posting"])), actor=decided.signed, reason=str(decided.payload["reason"])
            )

    async def _write_off(self, decided: Request) -> None:
        asked = decided.payload
        difference = UUID(str(asked["difference"]))
        try:
            await self._reconciliation.resolve(
                difference, Outcome.WRITTEN_OFF, by=decided.signed, note=str(asked["reason"])
            )
        except ShanheError:
            if (await self._reconciliation.get(difference)).outcome is not Outcome.WRITTEN_OFF:
                raise  # where it was put right in between, there is nothing to write off

    async def _refund_run(self, decided: Request) -> None:
        asked = decided.payload
        await self._take_back(UUID(str(asked["run"])), actor=decided.signed, reason=str(asked["reason"]))

    async def _fund(self, decided: Request) -> None:
        asked = decided.payload
        await self._credits.codes.fund(
            str(asked["budget"]), int(asked["amount_micro"]), posting_id=decided.id, reason=str(asked["reason"]),
            actor=decided.signed,
        )  # fmt: skip

    async def _book(self, decided: Request) -> None:
        asked, agreement = decided.payload, UUID(str(decided.payload["agreement"]))
        org_id = (await self._credits.agreements.get(None, agreement)).org_id
        number, agreements = int(asked["number"]), self._credits.agreements
        try:
            await agreements.book(org_id, agreement, number, reference=str(asked["reason"]), actor=decided.signed)
        except InstalmentPaid:
            if not await agreements.booked_by(org_id, agreement, number, decided.signed):
                raise  # it was paid otherwise in between: the transfer at the bank is something else

    async def _close(self, decided: Request) -> None:
        through = date.fromisoformat(str(decided.payload["through"]))
        with contextlib.suppress(PeriodClosed):  # up to this day or a later one: what was wanted is so
            await self._ledger.close_period(through, actor=decided.signed)

    async def _open_books(self, decided: Request) -> None:
        posting, entries = read_opening(msgspec.json.encode(decided.payload["books"]))
        await self._ledger.open_books(entries, posting_id=posting, actor=decided.signed)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def waiting(self, before: UUID | None = None, kind: str | None = None) -> Page:
        """What waits for a second person, whichever module asked."""
        return await self._page(before, kind, RequestState.OPEN)

    async def undone(self) -> Sequence[tuple[Request, str]]:
        """What was agreed to and is not done, newest first, with why it was asked; a bounded page."""
        found = await self._approvals.requests(state=RequestState.APPROVED, limit=UNDONE_ROWS)
        return [await self._with_reason(one) for one in found]

    async def decided(self, before: UUID | None = None, kind: str | None = None) -> Page:
        """What has ended."""
        return await self._page(before, kind, None)

    async def chosen(self, numbers: Sequence[UUID]) -> Sequence[tuple[Request, str]]:
        """These requests in their order, without those that nobody knows."""
        found = [await self._approvals.known(number) for number in numbers]
        return [await self._with_reason(one) for one in found if one is not None]

    async def _page(self, before: UUID | None, kind: str | None, state: RequestState | None) -> Page:
        """Of one state, or of those that have ended."""
        found = await self._approvals.requests(before=before, kind=kind, state=state, limit=PAGE_ROWS)
        shown = [one for one in found if one.state is state or (state is None and one.state not in LEFT)]
        return [await self._with_reason(one) for one in shown], found[-1].id if len(found) == PAGE_ROWS else None

    async def _with_reason(self, one: Request) -> tuple[Request, str]:
        return one, await self._approvals.why(one)


def numbers_of(subject: str) -> Iterator[UUID]:
    """The numbers that requests about a subject have, one after the other."""
    return numbers(SPACE, subject)


async def reason_of(seals: Seals, asked: Request) -> str:
    """Why something was asked for, sealed with whom it is about; empty where it is about nobody."""
    return "" if asked.about is None else await seals.open(asked.about, REASON_FIELD, asked.payload["reason"])
