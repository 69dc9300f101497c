"""What the ledger says: balances, lots, postings, statements, periods; nothing here writes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.days import span
from shanhe.kernel.db import Database
from shanhe.ledger import verify as verifying
from shanhe.ledger.errors import ClosedBefore, PeriodNotOver, UnknownAccount, UnknownPosting
from shanhe.ledger.model import (
    Account,
    AccountView,
    Asset,
    Balance,
    Lot,
    Moved,
    PeriodRow,
    PostingPage,
    PostingView,
    Provenance,
    Statement,
    StatementLine,
    TermsOf,
    TrialRow,
    TrialSum,
    VerifyReport,
    VoucherLine,
)
from shanhe.ledger.reversing import CALL
from shanhe.ledger.store import Store

LATEST: Final = timedelta(minutes=5)
"""After midnight, in which what is dated by the day before may still be on its way to the database."""


class Reader:
    """The half of a `Ledger` that needs no worker: every answer is out of the tables."""

    def __init__(self, db: Database, clock: Clock, terms: TermsOf) -> None:
        self._db = db
        self._clock = clock
        self._store = Store(db)
        self._terms = terms
        self._accounts: dict[UUID, Account] = {}
        self._by_name: dict[tuple[UUID, Asset, str, str], Account] = {}

    async def account(self, identifier: UUID) -> Account:
        """`UnknownAccount` when there is none."""
        await self._know((identifier,))
        return self._accounts[identifier]

    async def accounts_of(self, identifiers: Collection[UUID]) -> dict[UUID, Account]:
        """Many accounts by id, in one read; `UnknownAccount` when one isn't there."""
        await self._know(identifiers)
        return {identifier: self._accounts[identifier] for identifier in identifiers}

    async def accounts(
        self, *, owner: UUID | None = None, asset: Asset | None = None, kind: str | None = None,
        after: UUID | None = None, limit: int = 100,
    ) -> list[AccountView]:  # fmt: skip
        """Accounts in id order, a bounded page; `after` continues."""
        return await self._store.list_accounts(owner, asset, kind, after, limit)

    async def wallets(self, owners: Collection[UUID]) -> dict[UUID, int]:
        """What is in each of these owners' wallet of credits, where they have one; one question."""
        return await self._store.wallets(owners)

    def _remember(self, account: Account) -> Account:
        self._accounts[account.id] = account
        self._by_name[account.owner, account.asset, account.kind, account.name] = account
        return account

    async def _know(self, identifiers: Iterable[UUID]) -> None:
        missing = {identifier for identifier in identifiers if identifier not in self._accounts}
        if not missing:
            return
        for account in await self._store.accounts(missing):
            self._remember(account)
            missing.discard(account.id)
        if missing:
            raise UnknownAccount(missing.pop())

    async def balance(self, account: UUID) -> Balance:
        found = await self._store.balance(account, self._clock.now())
        if found is None:
            raise UnknownAccount(account)
        return found

    async def lots(
        self, account: UUID, *, spent: bool = False, before: UUID | None = None, limit: int = 200
    ) -> list[Lot]:  # fmt: skip
        """Lots in burn order (C12), at most a page; `before` continues after the last one seen."""
        order = self._terms(self._clock.today()).order
        return await self._store.lots(account, order, spent=spent, before=before, limit=limit)

    async def lots_by_id(self, identifiers: Sequence[UUID]) -> dict[UUID, Lot]:
        """Lots as they stand now, spent ones too; unknown ids are left out."""
        return await self._store.lots_by_id(list(identifiers))

    async def burned(self, account: UUID, since: date, until: date) -> dict[Provenance, int]:
        """What calls burned of an account's lots on the city's days [since, until], by provenance."""
        return await self._store.burned(account, CALL, *span(since, until))

    async def posting(self, posting_id: UUID) -> PostingView:
        """With transfers, lots and evidence; `UnknownPosting` when there is none."""
        found = await self._store.posting(posting_id)
        if found is None:
            raise UnknownPosting(posting_id)
        return found

    async def reversed_among(self, postings: Sequence[UUID], actor: str | None = None) -> dict[UUID, UUID]:
        """Those of these postings that are reversed (by `actor`, if one is named), each with what reversed it."""
        return await self._store.reversed_among(list(postings), actor) if postings else {}

    async def postings(
        self, *, account: UUID | None = None, kind: str | None = None, since: datetime | None = None,
        until: datetime | None = None, cursor: str | None = None, limit: int = 50,
    ) -> PostingPage:  # fmt: skip
        """Newest first, a bounded page."""
        return await self._store.postings(account, kind, since, until, cursor, limit, self._clock.now())

    async def statement(
        self, account: UUID, since: date, until: date, *, cursor: str | None = None, limit: int = 200
    ) -> Statement:
        """One page of the transfers of the city's days [since, until], oldest first, with running balance."""
        await self._know((account,))
        return await self._store.statement(account, *span(since, until), cursor, limit)

    def stream_statement(self, account: UUID, since: date, until: date) -> AsyncIterator[StatementLine]:
        """Every line of the days [since, until], in bounded memory."""
        return self._store.stream_statement(account, *span(since, until))

    async def sums(self, account: UUID, since: date, until: date) -> dict[str, int]:
        """What an account moved by on the city's days [since, until], by kind of posting."""
        await self._know((account,))
        return await self._store.sums(account, *span(since, until))

    async def period(self, since: date, until: date, asset: Asset | None = None) -> list[PeriodRow]:
        """Every account that has a balance or moved, over the city's days [since, until] (科目余额表)."""
        return await self._store.period(since, until, asset)

    async def vouchers(self, since: date, until: date, asset: Asset) -> list[VoucherLine]:
        """What was booked in an asset on the city's days [since, until], oldest first, numbered by month (记账凭证).
        Raises TooManyVouchers."""
        return await self._store.vouchers(since, until, asset)

    async def moved(self, account: UUID, since: datetime, until: datetime) -> list[Moved]:
        """What each posting did to an account that was booked in [since, until), oldest first; all of them, so ask for
        as many days as are to be held at once."""
        await self._know((account,))
        return await self._store.moved(account, since, until)

    async def moved_by(self, account: UUID, day: date) -> int:
        """What all postings dated by a day did to an account: credits less debits."""
        await self._know((account,))
        return await self._store.moved_by(account, day)

    async def first_moved(self, account: UUID) -> datetime | None:
        """When the first posting was booked on an account; None before it."""
        await self._know((account,))
        return await self._store.first_moved(account)

    async def trial_balance(self) -> list[TrialRow]:
        """Debits, credits and balance of every account that moved."""
        return await self._store.trial_balance()

    async def trial_sums(self) -> list[TrialSum]:
        """The same added up by asset and kind of account."""
        return await self._store.trial_sums()

    async def verify(self) -> VerifyReport:
        """Recompute every invariant from the transfers; reads only."""
        return await verifying.verify(self._db, self._clock.now())

    async def closed_through(self) -> date | None:
        """The last day of the last closed period; None before the first close."""
        return await self._store.closed_through()

    async def check_close(self, through: date) -> None:
        """Whether a period may be closed through a day: it is over, all that was dated by it is booked, and it is not
        closed yet."""
        if through >= (open_day := city_date(self._clock.now() - LATEST)):
            raise PeriodNotOver(through, open_day)
        if (closed := await self._store.closed_through()) is not None and closed >= through:
            raise ClosedBefore(through, closed)

    async def opening_balances(self, closed_through: date | None = None) -> dict[UUID, int]:
        """Balances carried over from the last close (or from that of `closed_through`) by account."""
        through = closed_through or await self._store.closed_through()
        return await self._store.period_balances(through) if through else {}
