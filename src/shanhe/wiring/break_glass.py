"""Wiring of break-glass: what it asks of the rulebook and of identity, and what each class of act would move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.approvals.api import Approvals, BreakGlass, GlassNoFactor, NotYet, Proof, Request, Undoing, Worth
from shanhe.exchange.api import FUND_PAYMENT
from shanhe.identity.api import Role, SignInFailed
from shanhe.ledger.api import AlreadyReversed, Asset, UnknownPosting
from shanhe.programmes.api import FUNDING

if TYPE_CHECKING:
    from shanhe.identity.api import Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.kernel.notify import Notifier
    from shanhe.ledger.api import Ledger
    from shanhe.log.api import Log
    from shanhe.payments.api import Payout, Payouts
    from shanhe.programmes.api import Programmes
    from shanhe.rulebook.api import Decision, Rulebook
    from shanhe.wiring.relatives import Relatives

RULE: Final = "P4_break_glass"
VETO_RULE: Final = "P4_major_veto"
PAYOUT: Final = "payments.payout"
WATCHERS: Final = (Role.OPERATOR, Role.AUDITOR, Role.ADMIN)


@dataclass(frozen=True)
class Emergency:
    glass: BreakGlass
    undoing: Undoing


class GlassRules:
    """P4_break_glass and P4_major_veto, as break-glass asks them."""

    def __init__(self, rulebook: Rulebook) -> None:
        self._rulebook = rulebook

    def parameter(self, name: str, on: date) -> Any:
        return self._rulebook.parameter(RULE, name, on)

    def evaluate(self, facts: Mapping[str, Any], on: date) -> Decision:
        return self._rulebook.evaluate(RULE, facts, on=on)

    def veto(self, matter: str, on: date) -> bool:
        change = 10_000 if matter == "pricing_change" else 0
        return bool(self._rulebook.evaluate(VETO_RULE, {"matter": matter, "change": change}, on=on)
                    .outputs["veto_applies"])  # fmt: skip


class StepUp:
    """A fresh proof that the person is there: a code that was not used before, or a passkey; guessed no more often
    than at sign-in."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def __call__(self, person_id: UUID, proof: Proof) -> str:
        if not {"totp", "passkey"} & set(await self._identity.factors.of(person_id)):
            raise GlassNoFactor
        bucket = [self._identity.attempts.bucket("factor", str(person_id))]
        await self._identity.attempts.begin(bucket)
        if proof.ceremony is not None and isinstance(proof.answer, Mapping):
            factor = "passkey"
            right = await self._identity.passkeys.authenticate(proof.ceremony, proof.answer) == person_id
        else:
            factor, right = "totp", await self._identity.factors.use_totp(person_id, proof.code)
        if not right:
            raise SignInFailed
        await self._identity.attempts.succeeded(bucket)
        return factor


class Weighing:
    """What a request would move, and whose it would be."""

    def __init__(self, programmes: Programmes) -> None:
        self._programmes = programmes

    async def funding(self, request: Request) -> Worth:
        """Money into a budget; the opening names the budget. Tickets and points have no price, so no opening covers
        them: an amount beyond any cap says so."""
        name, amount = str(request.payload["budget"]), int(request.payload["amount"])
        asset = Asset(self._programmes.catalogue.budgets[name].asset)
        objects = frozenset({name})
        if asset is Asset.CREDIT:
            return Worth(objects, credit_micro=amount, posting=request.id)
        if asset in (Asset.CNY, Asset.VOUCHER):
            return Worth(objects, cash_fen=amount, posting=request.id)
        return Worth(objects, cash_fen=10**15, posting=request.id)

    async def fund_payment(self, request: Request) -> Worth:
        """A payment out of the ecosystem fund; the opening names the organisation."""
        org = UUID(str(request.payload["org_id"]))
        return Worth(frozenset({str(org)}), cash_fen=int(request.payload["amount_fen"]), beneficiary=org,
                     posting=request.id)  # fmt: skip


def open_emergency(
    db: Database, clock: Clock, *, rulebook: Rulebook, identity: Identity, notifier: Notifier, log: Log,
    approvals: Approvals, relatives: Relatives, programmes: Programmes, payouts: Payouts, ledger: Ledger,
) -> Emergency:  # fmt: skip
    """Connect it; nothing runs yet."""
    glass = BreakGlass(
        db, clock, rules=GlassRules(rulebook), notifier=notifier, step_up=StepUp(identity),
        concerned=relatives.akin, entry=log.record, seals=identity.seals,
    )  # fmt: skip
    weighing = Weighing(programmes)
    glass.weighs |= {FUNDING: weighing.funding, FUND_PAYMENT: weighing.fund_payment}
    glass.others.add(PAYOUT)  # two approvals of its own, without a request

    async def alone(conn: Any, payout: Payout, gross_fen: int, by: str) -> UUID | None:
        worth = Worth(frozenset({str(payout.org_id)}), cash_fen=gross_fen, beneficiary=payout.org_id,
                      posting=payout.posting_id)  # fmt: skip
        return await glass.act(conn, PAYOUT, worth, act_id=payout.id, by=by)

    async def reverse(posting: UUID, actor: str, reason: str) -> None:
        try:
            await ledger.reverse(posting, actor=actor, reason=reason)
        except AlreadyReversed:
            return
        except UnknownPosting:  # what was agreed to waits itself, and may still be booked
            raise NotYet from None

    async def behind(by: str) -> str:
        kind, _, number = by.partition(":")
        if kind != "key":
            return by
        made_by = (await identity.keys.get(UUID(number))).created_by
        return by if made_by is None else f"person:{made_by}"

    payouts.alone, payouts.person_behind = alone, behind
    approvals.glass, approvals.person_behind = glass, behind
    return Emergency(glass, Undoing(db, clock, approvals, glass, reverse, (FUNDING, FUND_PAYMENT)))
