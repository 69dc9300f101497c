"""Postings by group commit: checked here for what no balance can change, booked by `ledger.post` in one call."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from shanhe.kernel.clock import Clock
from shanhe.kernel.literals import call, instants, integers, texts, uuids
from shanhe.kernel.money import AMOUNT_MAX
from shanhe.ledger.commit import (
    LOST_LIMIT_S,
    RETRY_WAIT_S,
    ConnectionLost,
    GroupCommit,
    Line,
    drop_late,
    refuse,
    unknown,
)
from shanhe.ledger.errors import (
    AlreadyReversed,
    IdempotencyConflict,
    InsufficientCredit,
    LedgerFull,
    LedgerUnavailable,
    NotBalanced,
    PeriodClosed,
    UnknownAccount,
)
from shanhe.ledger.holding import RECALL_WAITS_S
from shanhe.ledger.model import Account, NewLot, Posting, PostingResult, TermsOf

POST: Final = call(
    "ledger.post",
    "timestamptz text text[] bool bool uuid[] text[] date[] text[] text[] bytea[] uuid[] "
    "int[] uuid[] uuid[] uuid[] bigint[] "
    "int[] uuid[] uuid[] text[] uuid[] bigint[] bigint[] timestamptz[] timestamptz[] timestamptz[] jsonb[] "
    "int[] uuid[] bigint[]",
)
LOT_SPACE_SHIFT: Final = 32
TRANSFERS_MAX: Final = 10_000


class PostRow:
    """A queued posting."""

    __slots__ = ("again", "deadline", "future", "payer", "posting")

    def __init__(self, posting: Posting, *, again: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self.posting = posting
        self.again = again
        self.payer = posting.transfers[0].debit if posting.transfers else posting.id
        self.future: asyncio.Future[PostingResult] = loop.create_future()
        self.deadline = loop.time() + LOST_LIMIT_S


class Short(Exception):
    """Refused while workers still lease part of the account: they are asked to give it back."""

    def __init__(self, refusal: InsufficientCredit) -> None:
        super().__init__(refusal)
        self.refusal = refusal


def check(posting: Posting, accounts: Mapping[UUID, Account]) -> None:
    """`NotBalanced` or `UnknownAccount` for a posting that can never be right."""
    if not posting.transfers or len(posting.transfers) > TRANSFERS_MAX:
        raise NotBalanced(f"A posting has 1 to {TRANSFERS_MAX} transfers.", "入账没有转账或转账过多。")
    lots_due = 0
    bears_lots = bool(posting.lots or posting.deltas)
    for transfer in posting.transfers:
        debit, credit = accounts.get(transfer.debit), accounts.get(transfer.credit)
        if debit is None or credit is None:
            raise UnknownAccount(transfer.debit if debit is None else transfer.credit)
        if debit.asset is not credit.asset:
            raise NotBalanced(f"{debit.asset} cannot turn into {credit.asset}.", "转账双方的资产种类不同。")
        if not 0 < transfer.amount <= AMOUNT_MAX or transfer.debit == transfer.credit:
            raise NotBalanced("A transfer moves a positive amount between two accounts.", "转账须为两个账户间的正数。")
        bears_lots = bears_lots or debit.lots or credit.lots
        lots_due += (transfer.amount if credit.lots else 0) - (transfer.amount if debit.lots else 0)
    if bears_lots:
        _check_lots(posting, accounts, lots_due)


def _check_lots(posting: Posting, accounts: Mapping[UUID, Account], lots_due: int) -> None:
    if posting.deltas:
        named = sum(delta.amount for delta in posting.deltas) + sum(lot.amount for lot in posting.lots)
        if named != lots_due:
            raise NotBalanced(f"The named lots change by {named}, the balances by {lots_due}.", "批次与余额不一致。")
        return
    minted: dict[UUID, int] = defaultdict(int)
    for lot in posting.lots:
        if lot.amount <= 0:
            raise NotBalanced("A lot has a positive amount.", "批次数量须为正数。")
        minted[lot.account] += lot.amount
    for transfer in posting.transfers:
        if not accounts[transfer.credit].lots:
            continue
        if transfer.credit in minted:
            minted[transfer.credit] -= transfer.amount
        elif not accounts[transfer.debit].lots:
            raise NotBalanced(f"No lot is given for the credit to {transfer.credit}.", "记入批次账户时须给出批次。")
    if any(minted.values()):
        raise NotBalanced("The lots do not sum to what their accounts receive.", "批次合计与账户所得不一致。")


def lot_id(posting: Posting, index: int, lot: NewLot) -> UUID:
    """A new lot's id: given, or following from the posting's, so that a repetition is the same lot."""
    return lot.id or nth_lot(posting.id, index)


def nth_lot(posting: UUID, index: int) -> UUID:
    """The id of a posting's new lot at `index`, when none was given."""
    return UUID(int=posting.int ^ ((index + 1) << LOT_SPACE_SHIFT))


class Poster:
    """Group commit of postings."""

    def __init__(
        self, lines: Sequence[Line], clock: Clock, worker: str, terms: TermsOf, accounts: Mapping[UUID, Account]
    ) -> None:
        self._clock = clock
        self._worker = worker
        self._terms = terms
        self._accounts = accounts
        self.queue: GroupCommit[PostRow] = GroupCommit(*(partial(self._flush, line) for line in lines))

    async def post(self, posting: Posting) -> PostingResult:
        """Durable on return; every account must be known already.

        A refusal is looked at twice: the same posting may have been booked before, and what it moved be spent since.
        """
        check(posting, self._accounts)
        try:
            return await self._post(posting)
        except InsufficientCredit:
            row = PostRow(posting, again=True)
            self.queue.submit(row)
            try:
                return await row.future
            except Short as short:
                raise short.refusal from None

    async def _post(self, posting: Posting) -> PostingResult:
        for wait_s in (*RECALL_WAITS_S, None):
            row = PostRow(posting)
            self.queue.submit(row)
            try:
                return await row.future
            except Short as short:
                if wait_s is None:
                    raise short.refusal from None
                await asyncio.sleep(wait_s)
        raise AssertionError("unreachable: the last wait is None")

    async def _flush(self, line: Line, rows: list[PostRow], *, retry: bool = False, lost: bool = False) -> None:
        while rows := drop_late(rows, asyncio.get_running_loop().time()):
            retry = retry or any(row.again for row in rows)
            if retry and len({row.posting.id for row in rows}) < len(rows):
                first = {row.posting.id: row for row in reversed(rows)}
                again = [row for row in rows if first[row.posting.id] is not row]
                await self._flush(line, list(first.values()), retry=True, lost=lost)
                rows = again
                continue
            try:
                (answer,) = await line.fetch(POST, *self._arguments(rows, retry))
            except LedgerFull as full:
                refuse(rows, unknown() if lost else full)
                return
            except ConnectionLost:
                retry = lost = True
                await asyncio.sleep(RETRY_WAIT_S)
                continue
            except asyncpg.PostgresError as error:
                if not retry:
                    retry = True
                    continue
                if len(rows) == 1:
                    _fail(rows[0], error, self._accounts)
                    return
                middle = len(rows) // 2
                await self._flush(line, rows[:middle], retry=True, lost=lost)
                rows = rows[middle:]
                continue
            for row, verdict in zip(rows, answer[0], strict=True):
                _resolve(row, verdict, self._accounts)
            return

    def _arguments(self, rows: list[PostRow], retry: bool) -> tuple[Any, ...]:
        today: date = self._clock.today()
        accounts = self._accounts
        postings = [row.posting for row in rows]
        transfers = [(n, t) for n, p in enumerate(postings, 1) for t in p.transfers]
        lots = [(n, lot_id(p, i, lot), lot) for n, p in enumerate(postings, 1) for i, lot in enumerate(p.lots)]
        deltas = [(n, d) for n, p in enumerate(postings, 1) for d in p.deltas]
        bears = bool(lots or deltas) or any(accounts[t.debit].lots or accounts[t.credit].lots for _, t in transfers)
        return (
            self._clock.now(), self._worker, texts(self._terms(today).order), retry, bears,
            uuids([p.id for p in postings]), texts([p.kind for p in postings]),
            texts([str(p.day or today) for p in postings]), texts([p.actor for p in postings]),
            texts([p.memo for p in postings]), [p.evidence for p in postings],
            uuids([p.reverses for p in postings]),
            integers([n for n, _ in transfers]), uuids([t.id for _, t in transfers]),
            uuids([t.debit for _, t in transfers]), uuids([t.credit for _, t in transfers]),
            integers([t.amount for _, t in transfers]),
            integers([n for n, _, _ in lots]), uuids([key for _, key, _ in lots]),
            uuids([lot.account for *_, lot in lots]), texts([lot.provenance.value for *_, lot in lots]),
            uuids([lot.parent for *_, lot in lots]), integers([lot.amount for *_, lot in lots]),
            integers([lot.cost_fen for *_, lot in lots]),
            instants([lot.spendable_at for *_, lot in lots]), instants([lot.unlock_at for *_, lot in lots]),
            instants([lot.expires_at for *_, lot in lots]),
            texts([msgspec.json.encode(lot.earmark).decode() if lot.earmark else None for *_, lot in lots]),
            integers([n for n, _ in deltas]), uuids([d.lot for _, d in deltas]),
            integers([d.amount for _, d in deltas]),
        )  # fmt: skip


def _resolve(row: PostRow, verdict: str, accounts: Mapping[UUID, Account]) -> None:
    if row.future.done():
        return
    if verdict in ("ok", "known"):
        row.future.set_result(PostingResult(row.posting.id, verdict == "known"))
        return
    kind, _, rest = verdict.partition(":")
    if kind == "short":
        account, available, needed, leased = rest.split(":")
        refusal = InsufficientCredit(UUID(account), max(0, int(available)), int(needed), accounts[UUID(account)].asset)
        row.future.set_exception(Short(refusal) if int(leased) else refusal)
    elif kind == "closed":
        row.future.set_exception(PeriodClosed(row.posting.day, rest))
    elif kind == "reversed" and row.posting.reverses is not None:
        row.future.set_exception(AlreadyReversed(row.posting.reverses))
    else:
        row.future.set_exception(IdempotencyConflict(row.posting.id))


def _fail(row: PostRow, error: asyncpg.PostgresError, accounts: Mapping[UUID, Account]) -> None:
    """An error of a single posting: named lots that do not have it, or a broken guard."""
    if row.future.done():
        return
    failure: Exception
    if isinstance(error, asyncpg.CheckViolationError):
        transfer = row.posting.transfers[0]
        failure = InsufficientCredit(transfer.debit, 0, transfer.amount, accounts[transfer.debit].asset)
    elif getattr(error, "sqlstate", "") == "SH004":
        failure = NotBalanced(str(error))
    else:
        failure = LedgerUnavailable(f"It refused the posting: {error}")
    failure.__cause__ = error
    row.future.set_exception(failure)
