"""What an operator says of money that left by hand: a payout arrived or, in a file for the bank, did not; a refund or
cash of an exchange account was paid.

Nobody but them has seen it, and it gives income back or ends what is owed. So another operator agrees: to every payout
that arrived or that somebody may have given to the bank, and to the others from the sum on at which a payout takes two.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.approvals.api import Deed, RequestConflict, RequestState
from shanhe.kernel.errors import Conflict
from shanhe.kernel.texts import check_line
from shanhe.payments.api import BANK_FILE, PayoutState
from shanhe.wiring.moves import OPEN_FOR, REASON_FIELD, numbers_of, reason_of
from shanhe.wiring.rulings import FORGOTTEN, Rulings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shanhe.approvals.api import Approvals, Request
    from shanhe.credits.api import Credits
    from shanhe.exchange.api import Exchange
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.sealing import Seals
    from shanhe.payments.api import Payouts

CONFIRMED: Final = "payments.payout_confirmed"
FAILED: Final = "payments.payout_failed"
PAID: Final = "credits.refund_paid"
WITHDRAWN: Final = "exchange.withdrawal_paid"


class SaidToBePaid(Conflict):
    """Whoever says so has seen it leave: what would give it back waits for what comes of that."""

    def __init__(self) -> None:
        super().__init__(
            "said_to_be_paid", "An operator says that it was paid; another one agrees to that or refuses it first.",
            message_zh="已有运营人员登记该款项已付出，须先由另一名运营人员同意或否决。",
            hint="See what waits for a second person.", hint_zh="请先处理待第二人办理的申请。",
        )  # fmt: skip


class ByHand:
    """What one operator says and another one agrees to; None where one was enough and it is done."""

    def __init__(
        self, clock: Clock, approvals: Approvals, seals: Seals, rulings: Rulings, *, payouts: Payouts,
        credits: Credits, exchange: Exchange,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._approvals = approvals
        self._seals = seals
        self._rulings = rulings
        self._payouts = payouts
        self._refunds = credits.refunds
        self._cash = exchange.cash
        self._said = partial(reason_of, seals)
        payouts.files.arrived = self.arrived
        approvals.deeds |= {
            CONFIRMED: Deed(self._confirm, "/city/payouts"),
            FAILED: Deed(self._fail, "/city/payouts", self._said),
            PAID: Deed(self._pay, "/city/credits/refunds", self._said),
            WITHDRAWN: Deed(self._withdrawn, "/city/exchange", self._said),
        }

    async def confirm_payout(self, payout_id: UUID, *, by: str) -> Request | None:
        """Say that a payout arrived, of which no statement says so yet. One request a payout stands at a time."""
        found = await self._payouts.get(payout_id)
        if found.state not in (PayoutState.APPROVED, PayoutState.SENT):
            await self._payouts.confirm(payout_id, by=by)  # it did, or can't
            return None
        payload = {"payout": str(payout_id), "amount_fen": found.net_fen}
        return await self._ask(f"{CONFIRMED}:{payout_id}", CONFIRMED, payout_id, payload, by=by, about=found.org_id)

    async def fail_payout(self, payout_id: UUID, *, reason: str, by: str) -> Request | None:
        """Say that a payout did not leave, or came back: its income returns. One request a payout stands at a time."""
        await self._unsaid(f"{CONFIRMED}:{payout_id}")
        found = await self._payouts.get(payout_id)
        if found.state is not PayoutState.SENT or found.channel != BANK_FILE:
            await self._payouts.fail(payout_id, by=by, reason=reason, seen=found.state)  # no file has it until then
            return None
        check_line("reason", reason)
        payload = {
            "payout": str(payout_id), "amount_fen": found.net_fen,
            "reason": await self._seals.seal(found.org_id, REASON_FIELD, reason),
        }  # fmt: skip
        return await self._ask(f"{FAILED}:{payout_id}", FAILED, payout_id, payload, by=by, about=found.org_id)

    async def pay_refund(
        self, refund_id: UUID, reference: str, *, by: str, method: str = "bank_transfer"
    ) -> Request | None:  # fmt: skip
        """Say that a refund was paid by transfer or at the cash desk. One request a payment stands at a time."""
        found = await self._refunds.check_by_hand(refund_id, reference, method)
        if found.payout_ref == reference or await self._rulings.alone(  # it was said before, or one is enough
            f"{PAID}:{refund_id}", found.refund_fen, by
        ):
            await self._refunds.pay_by_hand(refund_id, reference, by=by, method=method)
            return None
        payload = {
            "refund": str(refund_id), "method": method, "amount_fen": found.refund_fen,
            "reason": await self._seals.seal(found.org_id, REASON_FIELD, reference),
        }  # fmt: skip
        number = f"{PAID}:{refund_id}:{method}:{reference}"
        return await self._ask(number, PAID, refund_id, payload, by=by, about=found.org_id)

    async def decide_withdrawal(self, withdrawal_id: UUID, reference: str, *, paid: bool, by: str) -> Request | None:
        """Say that cash of an exchange account was paid by bank transfer, or refuse to; neither person is who asked for
        it. One request a withdrawal stands at a time, and meanwhile it is not refused."""
        found = await self._cash.check_withdrawal(withdrawal_id, reference=reference, actor=by)
        subject = f"{WITHDRAWN}:{withdrawal_id}"
        if not paid:
            await self._unsaid(subject)
        if not paid or found.state != "open" or await self._rulings.alone(subject, found.amount_fen, by):
            await self._cash.end_withdrawal(withdrawal_id, paid=paid, reference=reference, actor=by)
            return None
        payload = {
            "withdrawal": str(withdrawal_id), "amount_fen": found.amount_fen,
            "reason": await self._seals.seal(found.org_id, REASON_FIELD, reference),
            "not_by": [await self._approvals.person_behind(found.actor)],
        }  # fmt: skip
        asked = await self._ask(subject, WITHDRAWN, withdrawal_id, payload, by=by, about=found.org_id)
        if await self._said(asked) != reference:
            raise RequestConflict()
        return asked

    async def _ask(
        self, subject: str, kind: str, number: UUID, payload: Mapping[str, Any], *, by: str, about: UUID
    ) -> Request:
        """The request that stands about a subject, for what has this number."""
        return await self._approvals.standing(
            numbers_of(subject), kind, str(number), payload, by=by, about=about,
            expires_at=self._clock.now() + OPEN_FOR,
        )  # fmt: skip

    async def _unsaid(self, subject: str) -> None:
        """SaidToBePaid where a request stands that says so."""
        if await self._stands(subject):
            raise SaidToBePaid()

    async def _stands(self, subject: str) -> bool:
        for number in numbers_of(subject):
            known = await self._approvals.known(number)
            if known is None:
                break
            late = known.state is RequestState.OPEN and known.expires_at <= self._clock.now()
            if known.state in (RequestState.OPEN, RequestState.APPROVED) and not late:
                return True
        return False

    async def arrived(self, payout_id: UUID) -> bool:
        """Whether somebody says that a payout arrived, and nobody has decided on that yet."""
        return await self._stands(f"{CONFIRMED}:{payout_id}")

    async def _confirm(self, decided: Request) -> None:
        await self._payouts.confirm(UUID(str(decided.payload["payout"])), by=decided.signed)

    async def _fail(self, decided: Request) -> None:
        payout_id = UUID(str(decided.payload["payout"]))
        await self._payouts.fail(payout_id, by=decided.signed, reason=await self._said(decided) or FORGOTTEN)

    async def _pay(self, decided: Request) -> None:
        asked = decided.payload
        await self._refunds.pay_by_hand(
            UUID(str(asked["refund"])), await self._said(decided) or FORGOTTEN, by=decided.signed,
            method=str(asked["method"]),
        )  # fmt: skip

    async def _withdrawn(self, decided: Request) -> None:
        await self._cash.end_withdrawal(
            UUID(str(decided.payload["withdrawal"])), paid=True, reference=await self._said(decided) or FORGOTTEN,
            actor=decided.signed,
        )  # fmt: skip
