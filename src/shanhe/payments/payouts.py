"""Income of makers turned into cash: asked for, checked, approved by two others, booked once, sent, confirmed or not.

The lots that pay and the amounts are fixed in the row by the second approval, before the one posting that burns the
lots and moves the cash; so a crash in between books the same posting again, which is once. A payout that the bank
refuses is reversed: the lots come back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import structlog

from shanhe.kernel.asking import Related
from shanhe.kernel.clock import Clock, midnight
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.kernel.texts import check_line
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import AlreadyReversed, InsufficientCredit, Ledger
from shanhe.payments import bank_store, payout_store
from shanhe.payments.bank_model import new_reference
from shanhe.payments.earnings import Earned
from shanhe.payments.errors import ProviderRefused, UnknownPayment
from shanhe.payments.payees import Payees
from shanhe.payments.payout_errors import (
    PayeeNotChecked,
    PayoutConflict,
    PayoutOutOfBounds,
    PayoutSamePerson,
    PayoutStateError,
    UnknownPayout,
)
from shanhe.payments.payout_files import PayoutFiles
from shanhe.payments.payout_model import (
    OPEN,
    READY,
    RETURNED,
    Earnings,
    Payee,
    PayeeCheck,
    PayeeKind,
    PayeeState,
    Payout,
    PayoutChannel,
    PayoutState,
)
from shanhe.payments.payout_posting import BANK_FILE, posting_of
from shanhe.rulebook.api import Decision, Rulebook

RULE: Final = "P10_payout"
BATCH_ROWS: Final = 200
PAGE_ROWS: Final = 100
TEXT_LIMIT_CHARS: Final = 200
REASON_FIELD: Final = "payout.reason"
FAILED: Final = "payout failed"
JOBS: Final = "payouts"
STATEMENT: Final = "bank"
"""Who ended a payout that no clerk did: the work behind it, or the bank's statement; else its channel."""
CAME_BACK: Final = "银行退汇 · returned by the bank"
WRONG: Final = "收款账户未通过核验 · the account did not pass its check"
USED: Final = "收入已另作他用 · the income was used in between"

log = structlog.get_logger(__name__)

Alone = Callable[[Any, Payout, int, str], Awaitable[UUID | None]]
"""(connection, payout, gross in fen, by): the opening of break-glass that one person used for the second approval."""
Told = Callable[[Any, Payout], Awaitable[None]]
"""(connection, payout as it is now)."""
Behind = Callable[[str], Awaitable[str]]
"""The person behind an actor: of a key, who made it; anybody else is who they are."""


class Payouts:
    """`channels` send by themselves; without one (or with `bank_file`) an operator sends a batch file to the bank.
    `payees` are who is paid; see `Payees` for `check`."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        ledger: Ledger,
        rulebook: Rulebook,
        vault: Vault,
        related: Related,
        channels: Mapping[str, PayoutChannel],
        check: PayeeCheck | None = None,
        seals: Seals | None = None,
    ) -> None:
        self._db = db
        self._seals = seals or Seals()
        self._clock = clock
        self._ledger = ledger
        self._rulebook = rulebook
        self._channels = dict(channels)
        self.payees = Payees(db, clock, vault, self._seals, check)
        self.files = PayoutFiles(db, clock, self.payees, self._moved)
        self._earned = Earned(clock, ledger, related)
        self.alone: Alone | None = None
        """By which one person may give both approvals (break-glass); set once it is there."""
        self.person_behind: Behind = _itself
        """Set with it."""
        self.told: Told | None = None
        """Who hears what became of a payout, in the transaction that says so."""

    # -- asking -------------------------------------------------------------------------------------------------------

    async def earnings(self, org_id: UUID) -> Earnings:
        """What an organisation may turn into cash."""
        earned = await self._earned.of(org_id)
        return earned.sums(await payout_store.open_micro(self._db, org_id))

    async def request(
        self, org_id: UUID, amount_micro: int, *, client_ref: str, actor: str, with_subsidy: bool = False
    ) -> Payout:
        """Ask for cash. Idempotent by (organisation, client_ref). Subsidy income waits for a review first (R1).

        Raises PayeeNotChecked, PayoutOutOfBounds (more than earned, below the minimum, above the maximum).
        """
        check_line("client_ref", client_ref)
        known = await payout_store.by_ref(self._db, org_id, client_ref)
        if known is None:
            earned = await self._earned.of(org_id)
            known = await self._insert(org_id, amount_micro, client_ref, actor, with_subsidy, earned.sums(0))
        if known.amount_micro != amount_micro:
            raise PayoutConflict(client_ref)
        return known

    async def _insert(
        self, org_id: UUID, amount_micro: int, client_ref: str, actor: str, with_subsidy: bool, sums: Earnings
    ) -> Payout:
        async with self._db.transaction() as conn:
            await payout_store.lock_org(conn, org_id)
            payee = await payout_store.payee_of(conn, org_id)
            if payee is None or payee.state is PayeeState.FAILED:
                raise PayeeNotChecked
            asked = await payout_store.open_micro(conn, org_id)
            reward = max(0, sums.reward_micro - asked)
            most = reward + (max(0, sums.subsidy_micro - max(0, asked - sums.reward_micro)) if with_subsidy else 0)
            self._check_bounds(amount_micro, most)
            subsidy = max(0, amount_micro - reward)
            state = PayoutState.REVIEW if subsidy else PayoutState.REQUESTED
            wanted = Payout(
                id=new_id(),
                org_id=org_id,
                client_ref=client_ref,
                payee_id=payee.id,
                amount_micro=amount_micro,
                subsidy_micro=subsidy,
                state=state,
                posting_id=new_id(),
                requested_by=actor,
                created_at=self._clock.now(),
            )
            return await payout_store.insert(conn, wanted)

    def _check_bounds(self, amount_micro: int, most_micro: int) -> None:
        today = self._clock.today()
        price, least, most = (
            int(self._rulebook.parameter(RULE, name, today)) for name in ("settlement_price", "minimum", "maximum")
        )
        gross_fen = amount_micro * price // 1_000_000 if amount_micro > 0 else 0
        if amount_micro > most_micro or not least <= gross_fen <= most:
            raise PayoutOutOfBounds(amount_micro, most_micro, least, most)

    async def cancel(self, org_id: UUID, payout_id: UUID, *, by: str) -> Payout:
        """Its maker takes a request back before the second approval."""
        await self.get(payout_id, org_id=org_id)  # before its state says anything to strangers
        async with self._db.transaction() as conn:
            held = await self._held(conn, payout_id, OPEN)
            return await self._put(conn, held.id, PayoutState.CANCELLED, ended_by=by, ended_at=self._clock.now())

    # -- deciding -----------------------------------------------------------------------------------------------------

    async def review(self, payout_id: UUID, *, by: str, note: str) -> Payout:
        """Say that the subsidy income in it comes from unrelated payers and real use (R1)."""
        check_line("note", note)
        async with self._db.transaction() as conn:
            held = await self._held(conn, payout_id, {PayoutState.REVIEW})
            await self._other_than(by, held.requested_by)
            said = await self._seals.seal(held.org_id, REASON_FIELD, note)
            done = await self._put(conn, held.id, PayoutState.REQUESTED, reviewed_by=by, reason=said)
        return await self._opened(done)

    async def refuse(self, payout_id: UUID, *, by: str, reason: str) -> Payout:
        """Say no before the second approval."""
        check_line("reason", reason)
        async with self._db.transaction() as conn:
            held = await self._held(conn, payout_id, OPEN)
            said = await self._seals.seal(held.org_id, REASON_FIELD, reason)
            ending = {"reason": said, "ended_by": by, "ended_at": self._clock.now()}
            done = await self._put(conn, held.id, PayoutState.REFUSED, **ending)
        return await self._opened(done)

    async def approve(self, payout_id: UUID, *, by: str, channel: str = "") -> Payout:
        """The first approval, or the second, which books it. Raises PayoutSamePerson, PayeeNotChecked.

        `channel` of the second: one of `channels`, or `bank_file`; default the only channel there is, else the file.
        """
        chosen = channel or next(iter(self._channels), BANK_FILE)
        if chosen != BANK_FILE and chosen not in self._channels:
            raise Invalid("unknown_channel", f"There is no channel {chosen!r}.", message_zh="没有该付款渠道。")
        found = await self.get(payout_id)
        payee = await payout_store.payee(self._db, found.payee_id)
        if payee is None or payee.state is not PayeeState.PASSED:
            raise PayeeNotChecked
        if found.state is PayoutState.REQUESTED:
            async with self._db.transaction() as conn:
                held = await self._held(conn, payout_id, {PayoutState.REQUESTED})
                await self._other_than(by, held.requested_by)
                return await self._put(conn, held.id, PayoutState.FIRST, first_by=by)
        while not await self._second(found, payee, chosen, by):
            pass  # another payout of this maker was approved in between: what it takes is out first
        await self.settle()
        return await self.get(payout_id)

    async def _second(self, found: Payout, payee: Payee, channel: str, by: str) -> bool:
        """The second approval, out of what nothing approved before it takes; False where that changed meanwhile."""
        known = await payout_store.decided(self._db, found.org_id)
        for before in await payout_store.booking(self._db, found.org_id):
            with suppress(PayoutStateError):  # somebody else has just booked it
                await self._book(before)
        earned = await self._earned.of(found.org_id)
        async with self._db.transaction() as conn:
            await payout_store.lock_org(conn, found.org_id)
            held = await self._held(conn, found.id, {PayoutState.FIRST})
            if await payout_store.decided(conn, found.org_id) != known:
                return False
            await self._other_than(by, held.requested_by)
            oneself = await self._same(by, held.first_by or "")
            if oneself and self.alone is None:
                raise PayoutSamePerson
            fixed = await self._fixed(conn, held, payee, channel, earned.pick(held.amount_micro, held.subsidy_micro))
            if oneself:
                fixed["glass"] = await self._by_oneself(conn, held, int(fixed["gross_fen"]), by)
            await self._put(conn, held.id, PayoutState.APPROVING, second_by=by, **fixed)
        return True

    async def _same(self, one: str, other: str) -> bool:
        """Whether the same person acts, be it signed in or by a key."""
        return one == other or await self.person_behind(one) == await self.person_behind(other)

    async def _other_than(self, by: str, asked_by: str) -> None:
        if await self._same(by, asked_by):
            raise PayoutSamePerson

    async def _by_oneself(self, conn: Any, held: Payout, gross_fen: int, by: str) -> UUID:
        """The opening of break-glass that stands for the second person; PayoutSamePerson without one."""
        used = None if self.alone is None else await self.alone(conn, held, gross_fen, by)
        if used is None:
            raise PayoutSamePerson
        return used

    async def _fixed(
        self, conn: Any, held: Payout, payee: Payee, channel: str, lots: list[tuple[UUID, int]]
    ) -> dict[str, Any]:
        """Everything the posting is made of: amounts by the rule with its trace, lots, reference."""
        now, decision = self._clock.now(), await self._decide(conn, held.org_id, payee.kind, held.amount_micro)
        out = decision.outputs
        made = await bank_store.insert_outgoing(conn, new_reference("P"), "payout", held.id, int(out["net_fen"]), now)
        if channel != BANK_FILE:
            await bank_store.end_outgoing(conn, made.reference, now)  # nobody has to send it at the bank
        return {
            "channel": channel,
            "gross_fen": int(out["gross_fen"]),
            "withheld_fen": int(out["withheld_fen"]),
            "net_fen": int(out["net_fen"]),
            "trace": decision.trace,
            "rule_version": decision.version,
            "lots": [lot for lot, _ in lots],
            "lot_amounts": [amount for _, amount in lots],
            "reference": made.reference,
            "decided_at": now,
        }

    async def _decide(self, conn: Any, org_id: UUID, kind: PayeeKind, amount_micro: int) -> Decision:
        """What an amount comes to today, by what was paid out before in this month."""
        today = self._clock.today()
        month = midnight(today.replace(day=1)).astimezone(UTC)
        before_fen = await payout_store.gross_fen(conn, org_id, month)
        facts = {"payee": str(kind), "amount_micro": amount_micro, "before_fen": before_fen}
        return self._rulebook.evaluate(RULE, facts, on=today)

    async def quote(self, org_id: UUID, amount_micro: int, kind: PayeeKind) -> Decision:
        """What an amount would come to if it was approved today: `gross_fen`, `withheld_fen`, `net_fen`, and why."""
        return await self._decide(self._db, org_id, kind, amount_micro)

    # -- booking and sending ------------------------------------------------------------------------------------------

    async def settle(self) -> int:
        """Book what was approved, send it, ask what became of it; how many moved. Bounded; idempotent."""
        moved = 0
        for payout in await payout_store.moving(self._db, BANK_FILE, BATCH_ROWS):
            try:
                moved += await self._further(payout)
            except ShanheError as error:  # one payout's trouble does not keep the others waiting
                log.warning("a payout did not move", payout=str(payout.id), state=payout.state, error=error.code)
        return moved

    async def _further(self, payout: Payout) -> bool:
        if payout.state is PayoutState.RETURNING:
            await self._return(payout)
            return True
        if payout.state is PayoutState.APPROVING:
            await self._book(payout)
            payout = await self.get(payout.id)
        channel = self._channels.get(payout.channel or "")
        if channel is None or payout.state is PayoutState.REFUSED:
            return False
        if payout.state in (PayoutState.APPROVED, PayoutState.SENDING):
            await self._send(payout, channel)
            return True
        outcome = await channel.outcome(payout)
        if outcome is None:
            return False
        if outcome:
            await self.confirm(payout.id, by=channel.name)
        else:
            refused = f"{channel.name} 拒绝付款 · refused by {channel.name}"
            await self._come_back(payout.id, READY, refused, by=channel.name)
        return True

    async def _send(self, payout: Payout, channel: PayoutChannel) -> None:
        """Have it sent, once; what nobody can send comes back, and so does what is for an account found wrong since."""
        if not await payout_store.passed(self._db, payout.payee_id):
            if payout.state is PayoutState.APPROVED or not await self._has(channel, payout):
                await self._come_back(payout.id, {payout.state}, WRONG, by=JOBS)
            else:
                await self._moved(payout.id, {PayoutState.SENDING}, PayoutState.SENT)
            return
        payee = await self.payees.open(payout.payee_id)
        await self._moved(payout.id, {PayoutState.APPROVED}, PayoutState.SENDING)
        try:
            await channel.send(payout, payee)
        except ProviderRefused as error:
            if not await self._has(channel, payout):
                refused = f"{channel.name}: {error.details['institution_code']}"
                await self._come_back(payout.id, {PayoutState.SENDING}, refused, by=channel.name)
                return
        await self._moved(payout.id, {PayoutState.SENDING}, PayoutState.SENT)

    async def _has(self, channel: PayoutChannel, payout: Payout) -> bool:
        """Whether a channel may have paid it or may still: an earlier try may have reached it, its answer lost."""
        with suppress(UnknownPayment):
            return await channel.outcome(payout) is not False
        return False

    async def _book(self, payout: Payout) -> None:
        posting = await posting_of(self._ledger, payout)
        try:
            await self._ledger.post(posting)
        except InsufficientCredit:  # the income was used in between: nothing was booked
            now = self._clock.now()
            async with self._db.transaction() as conn:
                held = await self._held(conn, payout.id, {PayoutState.APPROVING})
                said = await self._seals.seal(held.org_id, REASON_FIELD, USED)
                await self._put(conn, held.id, PayoutState.REFUSED, reason=said, ended_by=JOBS, ended_at=now)
                await bank_store.end_outgoing(conn, held.reference or "", now)
            return
        await self._moved(payout.id, {PayoutState.APPROVING}, PayoutState.APPROVED)

    async def confirm(self, payout_id: UUID, *, by: str) -> Payout:
        """The money arrived. Idempotent."""
        async with self._db.transaction() as conn:
            held = await self._held(conn, payout_id, READY | {PayoutState.CONFIRMED})
            if held.state is not PayoutState.CONFIRMED:
                now = self._clock.now()
                held = await self._put(conn, payout_id, PayoutState.CONFIRMED, ended_by=by, ended_at=now)
                await bank_store.end_outgoing(conn, held.reference or "", now)
        return await self._opened(held)

    async def fail(
        self, payout_id: UUID, *, by: str, reason: str, seen: PayoutState | None = None
    ) -> Payout:  # fmt: skip
        """The money did not leave, or came back: the posting is reversed and the lots return. Idempotent.

        What its channel knows of it counts more; what shows that it was sent is refused from the first of two steps on.
        `seen`: the state in which one person's word is enough; PayoutStateError where it has left it.
        """
        check_line("reason", reason)
        found = await self.get(payout_id)
        if found.state is PayoutState.SENT:
            with suppress(UnknownPayment):
                await self._further(found)
        return await self._come_back(payout_id, READY if seen is None else READY & {seen}, reason, by=by)

    async def _come_back(self, payout_id: UUID, states: Collection[PayoutState], reason: str, *, by: str) -> Payout:
        async with self._db.transaction() as conn:
            held = await self._held(conn, payout_id, RETURNED.union(states))
            if held.state not in RETURNED:
                said = await self._seals.seal(held.org_id, REASON_FIELD, reason)
                held = await self._put(conn, payout_id, PayoutState.RETURNING, reason=said, ended_by=by)
                await bank_store.end_outgoing(conn, held.reference or "", self._clock.now())
        await self._return(held)
        return await self.get(payout_id)

    async def _return(self, payout: Payout) -> None:
        """Reverse the posting of what came back, once."""
        if payout.state is not PayoutState.RETURNING:
            return
        with suppress(AlreadyReversed):
            await self._ledger.reverse(payout.posting_id, actor=payout.ended_by or JOBS, reason=FAILED)
        await self._moved(payout.id, {PayoutState.RETURNING}, PayoutState.FAILED, ended_at=self._clock.now())

    async def on_statement(self, _: str, payout_id: UUID, amount_fen: int, at: datetime) -> bool:
        """A bank statement shows that it was sent; False when it was undone before, or sent another way."""
        found = await self.get(payout_id)
        if found.channel != BANK_FILE or found.state not in READY | {PayoutState.CONFIRMED}:
            return False
        return (await self.confirm(payout_id, by=STATEMENT)).state is PayoutState.CONFIRMED

    async def on_return(self, _: str, payout_id: UUID, amount_fen: int, at: datetime) -> bool:
        """A bank statement shows that it came back after it had left; False when it was undone before."""
        found = await self.get(payout_id)
        if found.state in RETURNED:
            return found.ended_by == STATEMENT
        if found.state not in READY | {PayoutState.CONFIRMED}:
            return False
        done = await self._come_back(payout_id, READY | {PayoutState.CONFIRMED}, CAME_BACK, by=STATEMENT)
        return done.ended_by == STATEMENT

    # -- reading ------------------------------------------------------------------------------------------------------

    async def get(self, payout_id: UUID, *, org_id: UUID | None = None) -> Payout:
        found = await payout_store.payout(self._db, payout_id)
        if found is None or org_id not in (None, found.org_id):
            raise UnknownPayout
        return await self._opened(found)

    async def list(
        self, *, org_id: UUID | None = None, state: PayoutState | None = None, waiting: bool = False,
        before: UUID | None = None, limit: int = PAGE_ROWS,
    ) -> list[Payout]:  # fmt: skip
        """Newest first, a bounded page; `waiting`: only those that have not ended, oldest first.

        `before`: the last one seen, in the order of the list."""
        limit = min(max(limit, 1), PAGE_ROWS)
        found = await payout_store.listed(self._db, org_id, state, limit, waiting=waiting, before=before)
        return [await self._opened(one) for one in found]

    async def _opened(self, payout: Payout) -> Payout:
        return replace(payout, reason=await self._seals.open(payout.org_id, REASON_FIELD, payout.reason))

    async def _held(self, conn: Any, payout_id: UUID, states: Any) -> Payout:
        held = await payout_store.payout(conn, payout_id, lock=True)
        if held is None:
            raise UnknownPayout
        if held.state not in states:
            raise PayoutStateError(held.state)
        return held

    async def _put(self, conn: Any, payout_id: UUID, to: PayoutState, **changes: Any) -> Payout:
        """Into a state; whom it concerns hears of it with the same transaction."""
        done = await payout_store.move(conn, payout_id, to, **changes)
        if self.told is not None:
            await self.told(conn, done)
        return done

    async def _moved(self, payout_id: UUID, states: Any, to: PayoutState, **changes: Any) -> Payout:
        async with self._db.transaction() as conn:
            held = await payout_store.payout(conn, payout_id, lock=True)
            if held is None:
                raise UnknownPayout
            if held.state is to:
                return held
            if held.state not in states:
                raise PayoutStateError(held.state)
            return await self._put(conn, payout_id, to, **changes)


async def _itself(by: str) -> str:
    return by
