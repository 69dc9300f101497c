"""Runs the checks, keeps what differs, posts the money of it, and closes what an operator resolves."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date, timedelta
from typing import Final
from uuid import UUID

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.texts import check_line
from shanhe.ledger.api import Asset, Ledger, Posting, Transfer
from shanhe.reconcile import store
from shanhe.reconcile.checks import Checks
from shanhe.reconcile.errors import DayNotOver, DifferenceResolved, OutcomeUnfit, UnknownDifference
from shanhe.reconcile.model import Difference, Outcome, Run, State
from shanhe.rulebook.api import Rulebook

RULE: Final = "P9_reconciliation"
KIND: Final = "reconciliation"
SUSPENSE_ACCOUNT: Final = "reconciliation"
PAGE_ROWS: Final = 200
BATCH_ROWS: Final = 500
JOBS: Final = "nightly"


class Reconciliation:
    """Differences between counts that should agree."""

    def __init__(self, db: Database, clock: Clock, *, ledger: Ledger, rulebook: Rulebook, checks: Checks) -> None:
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._rulebook = rulebook
        self._checks = checks

    async def run(self, day: date | None = None, *, by: str = JOBS) -> Run:
        """Compare a day that is over (default yesterday). Running it again finds the same differences, not new ones."""
        day = day or self._clock.today() - timedelta(days=1)
        if day >= self._clock.today():
            raise DayNotOver
        started = self._clock.now()
        tolerance_ppm = int(self._rulebook.parameter(RULE, "engine_tolerance", self._clock.today()))
        checked = await self._checks.all(day, tolerance_ppm)
        told = {
            str(one.check): {
                "compared": one.compared, "differences": len(one.findings), "skipped": list(one.skipped)
            }
            for one in checked
        }  # fmt: skip
        run = Run(new_id(), day, by, started, self._clock.now(), told)
        async with self._db.transaction() as conn:
            for one in checked:
                for found in one.findings:
                    await store.see(conn, new_id(), day, found, self._clock.now())
            await store.insert_run(conn, run)
        await self.settle()
        return run

    async def settle(self) -> int:
        """Post the money of new differences, and of resolved ones; how many postings. Bounded; idempotent."""
        done = 0
        for one in await store.unbooked(self._db, BATCH_ROWS):
            done += await self._book(one)
        return done

    async def _book(self, one: Difference) -> int:
        cash = await self._ledger.system_account("cash", Asset.CNY, one.cash)
        waiting = await self._ledger.system_account("suspense", Asset.CNY, SUSPENSE_ACCOUNT)
        memo = f"{one.check} {one.kind}: {one.subject}, {one.left_name} {one.left}, {one.right_name} {one.right}"
        # Positive: the institution has what the books lack, so cash (debit) grows against suspense.
        into = (cash.id, waiting.id) if one.money_fen > 0 else (waiting.id, cash.id)
        done = 0
        if one.posted_at is None:
            await self._post(one.id, into, abs(one.money_fen), memo, JOBS)
            await store.mark(self._db, one.id, "posted_at", self._clock.now())
            done += 1
        if one.state is State.RESOLVED and one.settled_at is None:
            away = into[::-1]
            if one.outcome is Outcome.WRITTEN_OFF:
                kind = "revenue" if one.money_fen > 0 else "expense"
                off = await self._ledger.system_account(kind, Asset.CNY, "reconciliation")
                away = (waiting.id, off.id) if one.money_fen > 0 else (off.id, waiting.id)
            await self._post(one.release_id, away, abs(one.money_fen), f"{one.outcome}: {memo}", one.decided_by or "")
            await store.mark(self._db, one.id, "settled_at", self._clock.now())
            done += 1
        return done

    async def _post(self, posting_id: UUID, sides: tuple[UUID, UUID], amount_fen: int, memo: str, by: str) -> None:
        transfer = Transfer(posting_id, *sides, amount_fen)
        await self._ledger.post(Posting(id=posting_id, kind=KIND, transfers=(transfer,), actor=by, memo=memo[:400]))

    # -- an operator's side -------------------------------------------------------------------------------------------

    async def runs(self) -> list[Run]:
        """Newest first."""
        return await store.runs(self._db, PAGE_ROWS)

    async def compared(self, since: date, through: date) -> set[date]:
        """The days from one to another, both included, that a run compared."""
        return await store.compared(self._db, since, through)

    async def differences(self, day: date | None = None, *, everything: bool = False) -> list[Difference]:
        """Open and assigned ones, oldest first; with `everything` the resolved ones too, newest first."""
        return await store.differences(self._db, day, everything=everything, limit=PAGE_ROWS)

    async def get(self, difference_id: UUID) -> Difference:
        found = await store.difference(self._db, difference_id)
        if found is None:
            raise UnknownDifference
        return found

    async def assign(self, difference_id: UUID, owner: str, *, by: str) -> Difference:
        """Name who looks into it."""
        check_line("owner", owner)
        async with self._db.transaction() as conn:
            found = await store.difference(conn, difference_id, lock=True)
            if found is None:
                raise UnknownDifference
            if found.state is State.RESOLVED:
                raise DifferenceResolved
            await store.assign(conn, difference_id, owner, by)
        return await self.get(difference_id)

    async def check_write_off(self, difference_id: UUID, note: str) -> Difference:
        """A difference that may be written off: open, and of money."""
        check_line("note", note)
        found = await self.get(difference_id)
        if found.state is State.RESOLVED:
            raise DifferenceResolved
        if not found.money_fen:
            raise OutcomeUnfit(False)
        return found

    async def resolve(self, difference_id: UUID, outcome: Outcome, *, by: str, note: str) -> Difference:
        """Close it. Money is released (its cause was put right, the suspense posting goes back) or written off."""
        check_line("note", note)
        async with self._db.transaction() as conn:
            found = await store.difference(conn, difference_id, lock=True)
            if found is None:
                raise UnknownDifference
            if found.state is State.RESOLVED:
                raise DifferenceResolved
            if (outcome is Outcome.EXPLAINED) == bool(found.money_fen):
                raise OutcomeUnfit(bool(found.money_fen))
            await store.resolve(conn, difference_id, outcome, note, by, self._clock.now())
        await self.settle()
        return await self.get(difference_id)


def plain(item: Difference) -> dict[str, object]:
    """A difference as plain data, with its postings."""
    return {
        **asdict(item),
        "posting_id": item.posting_id,
        "release_id": item.release_id if item.settled_at is not None else None,
    }
