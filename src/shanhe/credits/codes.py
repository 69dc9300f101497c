"""Redeem codes: a batch is funded from a budget, its codes are shown once, each gives its value to one organisation.

draft → funded → issued → ended. The money of a batch leaves its budget before a code exists and waits in an account of
its own; a redemption pays from there and mints the lot; what is not redeemed by the end goes back to the budget. A code
is 100 random bits, kept as a hash; failed tries are counted, so guessing stops long before it could succeed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog

from shanhe.credits import code_store, messages, policy
from shanhe.credits.errors import (
    BatchClosed,
    BatchConflict,
    BudgetShort,
    CodesShown,
    CodeUsed,
    OwnCodes,
    TooManyTries,
    UnknownBatch,
    UnknownCode,
)
from shanhe.credits.model import BatchState, ClaimedCode, CodeBatch
from shanhe.credits.statements import micro
from shanhe.kernel.clock import Clock, city_date
from shanhe.kernel.db import Database
from shanhe.kernel.documents import Column, Document, Table
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.ledger.api import (
    CITY_OWNER,
    Account,
    Asset,
    InsufficientCredit,
    Ledger,
    NewLot,
    Posting,
    Provenance,
    Transfer,
    UnknownPosting,
)
from shanhe.rulebook.api import Rulebook

JOBS = "codes"
"""Who ended a batch that no clerk did: its time."""
KIND, KIND_FUND, KIND_RETURN, KIND_BUDGET = "redeem", "codes_funded", "codes_returned", "budget"
BUDGET, ESCROW = "budget", "codes"
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_CHARS, GROUP_CHARS = 20, 5
CODES_MAX = 50_000
VALUE_MAX_MICRO = 10**13
FAILURES_MAX_PER_HOUR = 10
LIFE_MAX_DAYS = 3 * 366
REPAIR_AGE_S = 5
BATCH_ROWS = 100
TEXT_LIMIT_CHARS = 120

log = structlog.get_logger(__name__)


Same = Callable[[str, str], Awaitable[bool]]
"""Whether the same person acts, be it signed in or by a key."""


class Codes:
    """Batches for operators, redemption for members."""

    def __init__(
        self, db: Database, clock: Clock, *, ledger: Ledger, rulebook: Rulebook, notifier: Notifier, same: Same
    ) -> None:  # fmt: skip
        self._same = same
        self._db = db
        self._clock = clock
        self._ledger = ledger
        self._rulebook = rulebook
        self._notifier = notifier
        self.reserved: frozenset[str] = frozenset()
        """Budgets of programmes: what they hold is promised to applicants. Set once they are known."""

    # -- budgets ------------------------------------------------------------------------------------------------------

    async def budget(self, name: str) -> Account:
        """The credit account of a named budget; its floor is 0, so nothing promises what it has not."""
        if not 0 < len(name) <= TEXT_LIMIT_CHARS or not name.isprintable():
            raise Invalid("bad_budget", "A budget has a short name.", message_zh="请填写预算名称。")
        return await self._ledger.ensure_account(CITY_OWNER, Asset.CREDIT, BUDGET, name=name, floor=0, lots=False)

    async def fund(self, name: str, amount_micro: int, *, posting_id: UUID, reason: str, actor: str) -> int:
        """Issue credits into a budget; idempotent by `posting_id`. What the budget holds now."""
        self.check_fund(name, amount_micro)
        account = await self.budget(name)
        issuance = await self._ledger.system_account("issuance", Asset.CREDIT)
        transfer = Transfer(_leg(posting_id), issuance.id, account.id, amount_micro)
        await self._ledger.post(
            Posting(id=posting_id, kind=KIND_BUDGET, transfers=(transfer,), actor=actor, memo=f"{name}: {reason}")
        )
        return (await self._ledger.balance(account.id)).balance

    def check_fund(self, name: str, amount_micro: int) -> None:
        """Whether credits may be issued into a budget for codes: an amount, and no programme's budget."""
        if not 0 < amount_micro <= VALUE_MAX_MICRO * CODES_MAX:
            raise Invalid("bad_amount", "Give a positive amount.", message_zh="金额须为正数。")
        self._not_a_programmes(name)

    def _not_a_programmes(self, name: str) -> None:
        if name in self.reserved:
            raise Invalid(
                "budget_of_programme",
                f"The budget {name} belongs to a programme.",
                message_zh=f"预算 {name} 属于政策计划。",
                hint="Codes need a budget of their own; give it another name.",
                hint_zh="兑换码须使用单独的预算，请另取名称。",
            )  # fmt: skip

    # -- batches ------------------------------------------------------------------------------------------------------

    async def create(
        self,
        *,
        client_ref: str,
        name: str,
        budget: str,
        codes: int,
        value_micro: int,
        provenance: str,
        expires_at: datetime,
        earmark: Mapping[str, Any] | None = None,
        actor: str,
    ) -> CodeBatch:
        """Set the value of all codes aside. Idempotent by `client_ref`; BudgetShort leaves a draft, see `set_aside`."""
        now = self._clock.now()
        _check(client_ref, name, codes, value_micro, provenance, expires_at, now)
        self._not_a_programmes(budget)
        batch = await code_store.batch_by_ref(self._db, client_ref)
        if batch is None:
            batch = CodeBatch(
                id=new_id(), client_ref=client_ref, name=name, budget=budget, codes=codes, value_micro=value_micro,
                provenance=provenance, earmark=dict(earmark) if earmark else None, state=BatchState.DRAFT,
                expires_at=expires_at, funding_posting=new_id(), return_posting=new_id(), returned_micro=0,
                end_reason="", actor=actor, created_at=now, ended_at=None,
            )  # fmt: skip
            await code_store.insert_batch(self._db, batch)
            batch = await code_store.batch_by_ref(self._db, client_ref) or batch
        wanted = (name, budget, codes, value_micro, provenance, dict(earmark) if earmark else None)
        if wanted != (batch.name, batch.budget, batch.codes, batch.value_micro, batch.provenance, batch.earmark):
            raise BatchConflict(client_ref)
        return await self.set_aside(batch.id, by=actor)

    async def set_aside(self, batch_id: UUID, *, by: str) -> CodeBatch:
        """Set a draft's value aside that its budget did not hold before; nothing where that is done. BudgetShort;
        BatchClosed once its codes' time is over."""
        batch = await self.get(batch_id)
        if batch.state is BatchState.DRAFT and batch.expires_at <= self._clock.now():
            raise BatchClosed(BatchState.ENDED)
        return await self._fund_batch(batch, by) if batch.state is BatchState.DRAFT else batch

    async def _fund_batch(self, batch: CodeBatch, by: str) -> CodeBatch:
        source, escrow = await self.budget(batch.budget), await self._escrow(batch)
        transfer = Transfer(_leg(batch.funding_posting), source.id, escrow.id, batch.codes * batch.value_micro)
        posting = Posting(id=batch.funding_posting, kind=KIND_FUND, transfers=(transfer,), actor=by, memo=batch.name)
        try:
            await self._ledger.post(posting)
        except InsufficientCredit as error:
            raise BudgetShort(error) from error
        async with self._db.transaction() as conn:
            held = await code_store.batch(conn, batch.id, lock=True)
            if held is not None and held.state is BatchState.DRAFT:
                await code_store.move_batch(conn, batch.id, BatchState.FUNDED, by=by)
        return await self.get(batch.id)

    async def export(self, batch_id: UUID, *, by: str) -> tuple[CodeBatch, list[str]]:
        """Make the codes and show them, once: afterwards only their hashes exist. CodesShown the second time; OwnCodes
        for whoever made the batch, or one alone would give a budget's credits to themselves."""
        async with self._db.transaction() as conn:
            batch = await code_store.batch(conn, batch_id, lock=True)
            if batch is None:
                raise UnknownBatch
            for hand in {batch.actor, batch.funded_by or ""}:
                if by.startswith(("person:", "key:")) and await self._same(by, hand):
                    raise OwnCodes
            if batch.state is BatchState.ISSUED:
                raise CodesShown
            if batch.state is not BatchState.FUNDED:
                raise BatchClosed(batch.state)
            codes = [new_code() for _ in range(batch.codes)]
            await code_store.insert_codes(conn, batch_id, [digest_of(code) for code in codes])
            await code_store.move_batch(conn, batch_id, BatchState.ISSUED, by=by)
        return await self.get(batch_id), codes

    async def revoke(self, batch_id: UUID, *, by: str, reason: str) -> CodeBatch:
        """End a batch: codes that nobody redeemed are worth nothing from now on, their value returns to the budget."""
        return await self._end(batch_id, reason[:TEXT_LIMIT_CHARS] or "revoked", by)

    async def _end(self, batch_id: UUID, reason: str, by: str) -> CodeBatch:
        async with self._db.transaction() as conn:
            batch = await code_store.batch(conn, batch_id, lock=True)
            if batch is None:
                raise UnknownBatch
            if batch.state is BatchState.DRAFT:
                raise BatchClosed(batch.state)
            if batch.state is not BatchState.ENDED:
                left = (batch.codes - await code_store.claimed(conn, batch_id)) * batch.value_micro
                await code_store.move_batch(
                    conn, batch_id, BatchState.ENDED, now=self._clock.now(), returned_micro=left, reason=reason, by=by
                )
        return await self._return(await self.get(batch_id))

    async def _return(self, batch: CodeBatch) -> CodeBatch:
        if batch.returned_micro:
            source, escrow = await self.budget(batch.budget), await self._escrow(batch)
            transfer = Transfer(_leg(batch.return_posting), escrow.id, source.id, batch.returned_micro)
            await self._ledger.post(
                Posting(
                    id=batch.return_posting, kind=KIND_RETURN, transfers=(transfer,),
                    actor=batch.ended_by or batch.actor, memo=f"{batch.name}: {batch.end_reason}",
                )
            )  # fmt: skip
            await code_store.mark_returned(self._db, batch.id)
        return batch

    # -- redeeming ----------------------------------------------------------------------------------------------------

    async def redeem(self, org_id: UUID, code: str, *, actor: str) -> CodeBatch:
        """Give a code's value to an organisation; the batch says what it was. The same code again by the same
        organisation answers the same. UnknownCode, CodeUsed, BatchClosed, TooManyTries."""
        now = self._clock.now()
        hour = now.replace(minute=0, second=0, microsecond=0)
        if not await code_store.take_try(self._db, org_id, hour, FAILURES_MAX_PER_HOUR):
            raise TooManyTries(max(1, int((hour + timedelta(hours=1) - now).total_seconds())))
        digest = digest_of(code)
        found = await code_store.find_code(self._db, digest)
        if found is None:
            raise UnknownCode
        await code_store.give_try_back(self._db, org_id, hour)
        async with self._db.transaction() as conn:
            batch = await code_store.batch(conn, found.batch_id, lock=True)  # a batch that ends counts claims
            if batch is None:
                raise UnknownCode
            if found.org_id is None and (batch.state is not BatchState.ISSUED or batch.expires_at <= now):
                raise BatchClosed(batch.state)
            claimed = await code_store.claim(conn, digest, org_id, actor, new_id(), now)
            claimed = claimed or await code_store.find_code(conn, digest)
        if claimed is None or claimed.org_id != org_id:
            raise CodeUsed
        await self._book(batch, claimed)
        return batch

    async def _book(self, batch: CodeBatch, code: ClaimedCode) -> None:
        """The posting of a claimed code; its lot's terms are the rulebook's of the day it was claimed."""
        if code.booked_at is not None:
            return
        if code.org_id is None or code.posting_id is None or code.claimed_at is None:
            raise UnknownCode
        wallet = await self._ledger.ensure_account(code.org_id, Asset.CREDIT, "wallet")
        escrow = await self._escrow(batch)
        dates = policy.lot_dates(self._rulebook, batch.provenance, code.claimed_at)
        lot = NewLot(
            account=wallet.id, provenance=Provenance(batch.provenance), amount=batch.value_micro,
            expires_at=dates.expires_at, unlock_at=dates.unlock_at, earmark=batch.earmark, cost_fen=0,
        )  # fmt: skip
        evidence = {
            "version": 1, "batch_id": batch.id, "batch": batch.name, "budget": batch.budget, "number": code.number,
            "lot_rules": dates.rules,
        }  # fmt: skip
        await self._ledger.post(
            Posting(
                id=code.posting_id,
                kind=KIND,
                transfers=(Transfer(_leg(code.posting_id), escrow.id, wallet.id, batch.value_micro),),
                lots=(lot,),
                evidence=msgspec.json.encode(evidence, order="sorted"),
                actor=code.actor,
                memo=f"Code {code.number} of {batch.name}",
            )
        )
        async with self._db.transaction() as conn:
            if await code_store.book(conn, code.hash, self._clock.now()):
                await self._notifier.notify(messages.redeemed(batch, code.org_id, code.posting_id), conn)

    # -- reading and repair -------------------------------------------------------------------------------------------

    async def get(self, batch_id: UUID) -> CodeBatch:
        batch = await code_store.batch(self._db, batch_id)
        if batch is None:
            raise UnknownBatch
        return batch

    async def batches(self, *, before: UUID | None = None, limit: int = BATCH_ROWS) -> list[CodeBatch]:
        """Newest first, with how many codes were redeemed."""
        return await code_store.batches(self._db, before=before, limit=min(max(limit, 1), BATCH_ROWS))

    async def redeemed(self, org_id: UUID) -> list[dict[str, Any]]:
        """What an organisation redeemed, newest first."""
        return await code_store.redeemed_by(self._db, org_id, BATCH_ROWS)

    async def run(self) -> int:
        """Book what a crash left claimed, end what has expired, return what is left; how many moved."""
        now = self._clock.now()
        moved = 0
        for code in await code_store.unbooked(self._db, now - timedelta(seconds=REPAIR_AGE_S), BATCH_ROWS):
            moved += await self._tried(self._book(await self.get(code.batch_id), code))
        late = now - timedelta(hours=1)
        for batch in await code_store.drafts(
            self._db, now - timedelta(days=1), now - timedelta(seconds=REPAIR_AGE_S), late, BATCH_ROWS
        ):
            moved += await self._drafted(batch, ended=batch.expires_at <= late)
        for batch in await code_store.over(self._db, now, BATCH_ROWS):
            moved += await self._tried(self._end(batch.id, "expired", JOBS))
        for batch in await code_store.unreturned(self._db, BATCH_ROWS):
            moved += await self._tried(self._return(batch))
        await code_store.drop_tries(self._db, now - timedelta(days=1))
        return moved

    async def _drafted(self, batch: CodeBatch, *, ended: bool) -> int:
        """A draft whose money a crash left set aside has it; one that never had any ends with its codes' time."""
        funded, by = True, batch.actor
        try:
            by = (await self._ledger.posting(batch.funding_posting)).actor
        except UnknownPosting:
            funded = False
        if not funded and not ended:
            return 0
        async with self._db.transaction() as conn:
            held = await code_store.batch(conn, batch.id, lock=True)
            if held is None or held.state is not BatchState.DRAFT:
                return 0
            if funded:
                await code_store.move_batch(conn, batch.id, BatchState.FUNDED, by=by)
            else:
                await code_store.move_batch(
                    conn, batch.id, BatchState.ENDED, now=self._clock.now(), reason="never funded", by=JOBS
                )
        return 1

    async def _tried(self, work: Any) -> int:
        try:
            await work
        except ShanheError as error:  # one batch's trouble does not keep the others waiting
            log.warning("a redeem code does not move", error=error.code)
            return 0
        return 1

    async def _escrow(self, batch: CodeBatch) -> Account:
        return await self._ledger.ensure_account(
            CITY_OWNER, Asset.CREDIT, ESCROW, name=str(batch.id), floor=0, lots=False
        )


def new_code() -> str:
    """A code as people type it: twenty signs without look-alikes, in groups."""
    signs = "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARS))
    return "-".join(signs[start : start + GROUP_CHARS] for start in range(0, CODE_CHARS, GROUP_CHARS))


def digest_of(code: str) -> bytes:
    """The hash a code is known by, however it was typed."""
    plain = "".join(sign for sign in code.upper() if sign.isalnum()).replace("O", "0").replace("I", "1")
    return hashlib.sha256(b"shanhe code " + plain.replace("L", "1").encode()).digest()


def sheet(batch: CodeBatch, codes: list[str]) -> Document:
    """The one export of a batch's codes."""
    titles = ("序号 number", "兑换码 code", "积分 credits", "有效期至 valid to")
    columns = tuple(Column(title) for title in titles)
    value, last = micro(batch.value_micro), city_date(batch.expires_at - timedelta(microseconds=1))
    rows = tuple((number, code, value, last) for number, code in enumerate(codes, 1))
    return Document(batch.name, city_date(batch.created_at), tables=(Table(batch.name, columns, rows),))


def _check(
    client_ref: str, name: str, codes: int, value_micro: int, provenance: str, expires_at: datetime, now: datetime
) -> None:
    for text in (client_ref, name):
        if not 0 < len(text) <= TEXT_LIMIT_CHARS or not text.isprintable():
            raise Invalid("bad_text", "Give a name and a reference.", message_zh="请填写名称与编号。")
    if not 0 < codes <= CODES_MAX or not 0 < value_micro <= VALUE_MAX_MICRO:
        raise Invalid(
            "bad_batch", f"A batch has 1 to {CODES_MAX} codes of a positive value.",
            message_zh=f"每批 1 至 {CODES_MAX} 个兑换码，面值须为正数。",
        )  # fmt: skip
    if provenance not in ("subsidy", "reward"):
        raise Invalid("bad_provenance", "Codes give subsidy or reward.", message_zh="兑换码只能发放补贴或奖励积分。")
    if not now < expires_at <= now + timedelta(days=LIFE_MAX_DAYS):
        raise Invalid("bad_expiry", "The codes must end in the future.", message_zh="兑换码有效期须晚于当前时间。")


def _leg(posting_id: UUID) -> UUID:
    return UUID(int=posting_id.int ^ 1)
