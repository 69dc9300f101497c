"""What operators rule on by looking: what a register says, where stray money belongs, whether a call is given back.

One says so. From the sum on at which a payout takes two people, of one ruling or of what one rules alone in a day,
and of every checked fact, since rules pay by those without asking anybody, another agrees first; then it is done.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

import msgspec

from shanhe.approvals.api import Deed, RequestConflict
from shanhe.credits.errors import OwnDispute
from shanhe.facts.api import NewFact, checked, names
from shanhe.kernel.errors import NotFound, ShanheError
from shanhe.kernel.money import MICRO, format_fen
from shanhe.payments.api import BookAs, Ending, SuspenseState
from shanhe.wiring.moves import OPEN_FOR, REASON_FIELD, numbers_of, reason_of

if TYPE_CHECKING:
    from datetime import date

    from shanhe.approvals.api import Approvals, Request
    from shanhe.credits.api import Disputes
    from shanhe.facts.api import Facts, Kind
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.sealing import Seals
    from shanhe.payments.api import BankDesk
    from shanhe.rulebook.api import Rulebook

FACT, GRANT, BALANCE = "facts.checked", "credits.dispute", "payments.bank_balance"
CLOSING: Final = {
    SuspenseState.APPLIED: "payments.suspense_applied", SuspenseState.RETURNED: "payments.suspense_returned",
    SuspenseState.EXPLAINED: "payments.suspense_explained", SuspenseState.RESENT: "payments.suspense_resent",
    SuspenseState.BOOKED: "payments.suspense_booked",
}  # fmt: skip
ACCEPTED: Final = "payments.suspense_accepted"
"""What left for another account takes two people, however small."""
SUM_RULE, SUM = "P10_payout", "minimum"
"""No payout is smaller, and each takes two people: the sum from which on these rulings do, too, one or a day's."""
PRICE_RULE, PRICE = "P1_resident_discount", "list_price_fen"
SPACE: Final = UUID("8c1df5ba-7b0e-5f07-8f5c-2d0e6c0b7b4e")
FORGOTTEN: Final = "—"
"""Said instead of a note whose payer was forgotten before the second person agreed."""


class Forgotten(NotFound):
    def __init__(self) -> None:
        super().__init__(
            "forgotten", "Whom this is about was erased in between; nothing was recorded.",
            message_zh="该事项所涉个人已被注销，未作登记。",
        )  # fmt: skip


class Rulings:
    """What operators of one city rule on, and what is done when a second one agreed."""

    def __init__(
        self, clock: Clock, approvals: Approvals, seals: Seals, rulebook: Rulebook, *, bank: BankDesk,
        disputes: Disputes, facts: Facts,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._approvals = approvals
        self._seals = seals
        self._rulebook = rulebook
        self._bank = bank
        self._disputes = disputes
        self._facts = facts
        self._said = partial(reason_of, seals)
        approvals.deeds |= {
            FACT: Deed(self._record, why=self._fact_said, right="programmes"),
            BALANCE: Deed(self._sign, "/city/bank/balance/{sheet}"),
            GRANT: Deed(self._grant, "/city/credits/disputes", self._said),
            **{kind: Deed(self._close, "/city/bank", self._note) for kind in (ACCEPTED, *CLOSING.values())},
        }  # fmt: skip

    async def alone(self, subject: str, fen: int, by: str) -> bool:
        """Whether one is enough: neither this nor what they did alone today comes to the sum that takes two."""
        below = int(self._rulebook.parameter(SUM_RULE, SUM, self._clock.today()))
        return await self._approvals.alone(subject, fen, by=by, below_fen=below)

    async def alone_micro(self, subject: str, micro: int, by: str) -> bool:
        """As `alone`, of credits at the list price."""
        price_fen = int(self._rulebook.parameter(PRICE_RULE, PRICE, self._clock.today()))
        return await self.alone(subject, micro * price_fen // MICRO, by)

    # -- stray money --------------------------------------------------------------------------------------------------

    async def close(self, item_id: UUID, ending: Ending, *, by: str) -> Request | None:
        """End an item in suspense; None when that is done, else what waits for a second person. One request an ending
        stands at a time."""
        item, moved_fen = await self._bank.check(item_id, ending)
        accepted = ending.to is SuspenseState.APPLIED and ending.order_id is None
        if not accepted and await self.alone(f"{item_id}:{ending.to}:{ending.order_id or ''}", moved_fen, by):
            await self._bank.end(item_id, ending, actor=by, decided_fen=moved_fen)
            return None
        kind, order = ACCEPTED if accepted else CLOSING[ending.to], str(ending.order_id or "")
        subject = f"{item_id}:{order}" if order else str(item_id)
        payload = {
            "item": str(item_id), "to": str(ending.to), "order": order,
            "reason": self._bank.seal_note(item, ending.note), "amount_fen": moved_fen, "fee_fen": ending.fee_fen,
            "posting": " ".join(sorted(map(str, ending.postings))), "booked_as": str(ending.booked_as or ""),
        }  # fmt: skip
        about = ":".join(map(str, filter(None, (  # another sum, posting or account is another decision
            subject, moved_fen if order or ending.fee_fen else 0, payload["posting"], payload["booked_as"],
        ))))  # fmt: skip
        return await self._approvals.standing(
            numbers_of(f"{kind}:{about}"), kind, subject, payload, by=by, expires_at=self._clock.now() + OPEN_FOR
        )

    async def _close(self, decided: Request) -> None:
        asked, item_id = decided.payload, UUID(str(decided.payload["item"]))
        order, posting, as_ = (str(asked.get(name) or "") for name in ("order", "posting", "booked_as"))
        ending = Ending(
            SuspenseState(str(asked["to"])), await self._note(decided) or FORGOTTEN, UUID(order) if order else None,
            tuple(map(UUID, posting.split())), BookAs(as_) if as_ else None, int(asked.get("fee_fen", 0)),
        )  # fmt: skip
        try:
            await self._bank.end(item_id, ending, actor=decided.signed, decided_fen=int(asked["amount_fen"]))
        except ShanheError:
            found = await self._bank.get(item_id)
            if (found.state, found.decided_by) != (ending.to, decided.signed):
                raise  # else it was done: by an earlier try, or now, and settling another item failed

    async def _note(self, asked: Request) -> str:
        return await self._bank.open_note(UUID(str(asked.payload["item"])), str(asked.payload["reason"]))

    # -- the bank's balance -------------------------------------------------------------------------------------------

    async def sign_balance(self, day: date, *, by: str) -> Request:
        """Keep the sheet of a day and ask a second person to sign it. One request stands about a sheet at a time."""
        kept = await self._bank.balances.prepare(day, by=by)
        payload = {
            "sheet": str(kept.id), "bank_fen": kept.bank_fen, "ledger_fen": kept.ledger_fen,
            "unexplained_fen": kept.unexplained_fen,
        }  # fmt: skip
        return await self._approvals.standing(
            numbers_of(f"{BALANCE}:{kept.id}"), BALANCE, str(day), payload, by=by,
            expires_at=self._clock.now() + OPEN_FOR,
        )  # fmt: skip

    async def _sign(self, decided: Request) -> None:
        await self._bank.balances.sign(UUID(str(decided.payload["sheet"])), by=decided.signed)

    # -- disputed calls -----------------------------------------------------------------------------------------------

    async def grant(self, dispute_id: UUID, *, answer: str, by: str) -> Request | None:
        """Give a disputed call's charge back; None when that is done, else what waits for a second person, who is not
        the one that disputed it. One request a dispute stands at a time."""
        dispute, charged_micro = await self._disputes.check_grant(dispute_id, answer=answer, by=by)
        behind = self._approvals.person_behind
        if await behind(by) == (disputing := await behind(dispute.actor)):
            raise OwnDispute
        if await self.alone_micro(f"{GRANT}:{dispute_id}", charged_micro, by):
            await self._disputes.grant(dispute_id, answer=answer, by=by)
            return None
        payload = {
            "dispute": str(dispute_id), "amount_micro": charged_micro,
            "reason": await self._seals.seal(dispute.org_id, REASON_FIELD, answer),
            "not_by": [disputing],
        }  # fmt: skip
        return await self._approvals.standing(
            numbers_of(f"{GRANT}:{dispute_id}"), GRANT, str(dispute_id), payload, by=by, about=dispute.org_id,
            expires_at=self._clock.now() + OPEN_FOR,
        )  # fmt: skip

    async def _grant(self, decided: Request) -> None:
        dispute_id = UUID(str(decided.payload["dispute"]))
        await self._disputes.grant(dispute_id, answer=await self._said(decided) or FORGOTTEN, by=decided.signed)

    # -- checked facts ------------------------------------------------------------------------------------------------

    async def record(self, org_id: UUID, new: NewFact, *, by: str) -> Request:
        """Ask that a fact be recorded which a register or a document shows of an organisation or its person; idempotent
        by the fact's id."""
        checked(new)
        number = uuid5(SPACE, str(new.id))
        known = await self._approvals.known(number)
        if known is not None:
            if known.about != org_id or await self._fact(known) != new:
                raise RequestConflict
            return known
        sealed = await self._seals.seal(org_id, REASON_FIELD, msgspec.json.encode(new).decode())
        payload = {"org_id": str(org_id), "name": new.name, "fact": sealed}
        return await self._approvals.request(
            FACT, new.name, payload, by=by, request_id=number, about=org_id, expires_at=self._clock.now() + OPEN_FOR
        )

    async def _record(self, decided: Request) -> None:
        fact = await self._fact(decided)
        if fact is None:
            raise Forgotten
        await self._facts.publish(fact, actor=decided.signed)

    async def _fact(self, asked: Request) -> NewFact | None:
        org_id = UUID(str(asked.payload["org_id"]))
        text = await self._seals.open(org_id, REASON_FIELD, str(asked.payload["fact"]))
        return msgspec.json.decode(text, type=NewFact) if text else None

    async def _fact_said(self, asked: Request) -> str:
        """The fact as one line, for whoever is to agree."""
        fact = await self._fact(asked)
        if fact is None:
            return ""
        kind = names()[fact.name]
        days = str(fact.valid_from) if fact.valid_to is None else f"{fact.valid_from} – {fact.valid_to}"
        parts = (f"{kind.zh} {kind.en}", fact.key, _said_of(kind, fact.value), days, fact.source, fact.evidence)
        return " · ".join(part for part in parts if part)


def _said_of(kind: Kind, value: object) -> str:
    """A fact's value as people say it: in yuan and percent, in words."""
    if value is None:
        return "撤回 withdrawn"
    if isinstance(value, bool):
        return "是 yes" if value else "否 no"
    if isinstance(value, int) and kind.unit == "fen":
        return f"¥ {format_fen(value)}"
    if isinstance(value, int) and kind.unit == "bps":
        return f"{format_fen(value)} %"  # hundredths, as fen are of a yuan
    return str(value)
