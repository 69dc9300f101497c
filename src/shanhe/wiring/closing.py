"""What is still open when a period is to be closed: found where it lies, told beside the question, never a bar.

A close can't be undone, and what is booked afterwards stands in the next period. Whoever asks for one, and whoever
agrees, sees first what would then come too late.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from shanhe.approvals.api import RequestState
from shanhe.kernel.clock import city_date

if TYPE_CHECKING:
    from shanhe.approvals.api import Approvals
    from shanhe.ledger.api import Ledger
    from shanhe.payments.api import BankDesk, Payouts
    from shanhe.reconcile.api import Reconciliation

DAY: Final = timedelta(days=1)
DAYS_MAX: Final = 400
"""How far back days that nobody compared are looked for."""
CLOSE: Final = "ledger.period_close"


@dataclass(frozen=True)
class Unfinished:
    """Things of one kind that are open. `count`: how many, at least, where there are more than a page of them; `since`:
    the oldest; `page`: where they are dealt with."""

    kind: str
    count: int
    since: date
    page: str


class Closing:
    """Looks through what books later, or waits for somebody."""

    def __init__(
        self, ledger: Ledger, approvals: Approvals, bank: BankDesk, payouts: Payouts, reconciliation: Reconciliation
    ) -> None:
        self._ledger = ledger
        self._approvals = approvals
        self._bank = bank
        self._payouts = payouts
        self._reconciliation = reconciliation

    async def unfinished(self, through: date) -> list[Unfinished]:
        """What of the days up to `through` is open, each kind once; empty when nothing is."""
        found = [
            _open("suspense", "/city/bank#suspense", through, await self._suspense()),
            _open("outgoing", "/city/bank#outgoing", through, [one.created_at for one in await self._bank.outgoing()]),
            _open(
                "payouts", "/city/payouts", through, [one.created_at for one in await self._payouts.list(waiting=True)]
            ),
            _days("differences", "/city/reconcile", through, await self._differences()),
            _days("uncompared", "/city/reconcile", through, await self._uncompared(through)),
            _days("unread", "/city/bank", through, await self._unread(through)),
            _days("missing", "/city/bank", through, [gap.since for gap in await self._bank.statements.gaps()]),
            _days("unsigned", f"/city/bank/balance?day={through}", through, await self._unsigned(through)),
            _open("requests", "/city/second", through, await self._requests()),
        ]
        return [one for one in found if one is not None]

    async def _suspense(self) -> list[datetime]:
        """Of all pages: the newest come first, and the oldest are asked for."""
        found: list[datetime] = []
        before: UUID | None = None
        while page := await self._bank.waiting(before=before):
            found += [line.at or item.created_at for item, line in page]
            before = page[-1][0].id
        return found

    async def _differences(self) -> list[date]:
        return [one.day for one in await self._reconciliation.differences()]

    async def _requests(self) -> list[datetime]:
        """Of all pages, as above."""
        found: list[datetime] = []
        for state in (RequestState.OPEN, RequestState.APPROVED):
            before: UUID | None = None
            while page := await self._approvals.requests(state=state, before=before):
                found += [one.requested_at for one in page if one.kind != CLOSE]
                before = page[-1].id
        return found

    async def _uncompared(self, through: date) -> list[date]:
        """Days since the last close, or since the first run, that no run compared."""
        since = date.fromordinal(max(1, through.toordinal() - DAYS_MAX))
        compared = await self._reconciliation.compared(since, through)
        closed = await self._ledger.closed_through()
        first = closed + DAY if closed is not None else min(compared, default=through)
        return [day for day in _from(first, through) if day not in compared]

    async def _unread(self, through: date) -> list[date]:
        """Days after the last one that a statement of the bank has; none where the bank isn't used."""
        last = await self._bank.statements.last_day()
        return [] if last is None else list(_from(last + DAY, through))

    async def _unsigned(self, through: date) -> list[date]:
        """The day itself where nobody signed its balance against the bank's; none where the bank isn't used."""
        if await self._bank.statements.last_day() is None:
            return []
        signed = {one.day for one in await self._bank.balances.kept() if one.signed_by is not None}
        return [] if through in signed else [through]


def _open(kind: str, page: str, through: date, instants: Iterable[datetime]) -> Unfinished | None:
    return _days(kind, page, through, map(city_date, instants))


def _days(kind: str, page: str, through: date, days: Iterable[date]) -> Unfinished | None:
    found = [day for day in days if day <= through]
    return Unfinished(kind, len(found), min(found), page) if found else None


def _from(first: date, last: date) -> Iterable[date]:
    """The days [first, last], the last ones where there are too many."""
    count = min((last - first).days + 1, DAYS_MAX)
    return (last - n * DAY for n in range(count))
