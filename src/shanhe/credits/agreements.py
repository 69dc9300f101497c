"""Framework purchases (P2): a government body's agreement for a year, paid in instalments, each bought at list price.

An instalment's state follows from its purchase: due until there is one, ordered while it is open, paid once it is
posted. An order that ran out makes it due again. A transfer that an operator found at the bank pays it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.credits import messages, policy, store
from shanhe.credits.errors import AgreementConflict, InstalmentPaid, NotGovernment, UnknownAgreement
from shanhe.credits.model import KindOf, Purchase, PurchaseState
from shanhe.credits.purchases import Purchases
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.rulebook.api import Rulebook

RULE = "P2"
Rows = list
GOVERNMENT = ("government", "institution")
INSTALMENTS_MAX = 12
PAGE_ROWS = 100
DUE_ROWS = 10_000
"""Every instalment of a year that nobody paid: those that were told of stand in front of those that were not."""


@dataclass(frozen=True)
class Instalment:
    """`state`: due, ordered or paid."""

    number: int
    due_on: date
    amount_fen: int
    attempt: int
    purchase_id: UUID | None
    state: str


@dataclass(frozen=True)
class Agreement:
    id: UUID
    org_id: UUID
    year: int
    reference: str
    rule_version: str
    actor: str
    created_at: datetime
    instalments: Sequence[Instalment] = ()

    @property
    def total_fen(self) -> int:
        return sum(one.amount_fen for one in self.instalments)

    @property
    def paid_fen(self) -> int:
        return sum(one.amount_fen for one in self.instalments if one.state == "paid")


class Agreements:
    """Agreements and their instalments."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        rulebook: Rulebook,
        notifier: Notifier,
        purchases: Purchases,
        kind: KindOf,
    ) -> None:
        self._db = db
        self._clock = clock
        self._rulebook = rulebook
        self._notifier = notifier
        self._purchases = purchases
        self._kind = kind

    async def sign(self, org_id: UUID, year: int, *, reference: str, actor: str) -> Agreement:
        """Record a government body's agreement for a year; its instalments are the rule's. Once a body and year."""
        if not 0 < len(reference) <= 120 or not reference.isprintable():
            raise Invalid("bad_reference", "Give the agreement's number.", message_zh="请填写协议编号。")
        if await self._kind(org_id) not in GOVERNMENT:
            raise NotGovernment
        today = self._clock.today()
        plan: Rows[tuple[int, date, int]] = []
        version, traces = "", Rows[Any]()
        for number in range(1, INSTALMENTS_MAX + 1):
            decision = self._rulebook.evaluate(RULE, {"number": number}, on=today)
            amount_fen = decision.outputs["instalment_fen"]
            if not amount_fen:
                break
            plan.append((number, date(year, decision.outputs["starts_month"], 1), amount_fen))
            version, traces = decision.version, [*traces, decision.trace]
        async with self._db.transaction() as conn:
            agreement_id: UUID | None = await conn.fetchval(
                """INSERT INTO credits.agreement (id, org_id, year, reference, rule_version, trace, actor, created_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (org_id, year) DO NOTHING RETURNING id""",
                new_id(), org_id, year, reference, version, {"instalments": traces}, actor, self._clock.now(),
            )  # fmt: skip
            if agreement_id is not None:
                await conn.executemany(
                    """INSERT INTO credits.instalment (agreement_id, number, due_on, amount_fen)
                       VALUES ($1, $2, $3, $4)""",
                    [(agreement_id, *row) for row in plan],
                )
        made = next((one for one in await self.list(org_id) if one.year == year), None)
        if made is None or made.reference != reference:
            raise AgreementConflict(year)
        return made

    async def pay(
        self, org_id: UUID, agreement_id: UUID, number: int, *, method: str, actor: str, return_path: str | None = None
    ) -> Purchase:
        """Order an instalment at list price; the answer says where to pay. An open order is found again."""
        instalment = await self.payable(org_id, agreement_id, number)
        if instalment.state == "ordered" and instalment.purchase_id is not None:
            return await self._purchases.get(org_id, instalment.purchase_id)
        attempt = instalment.attempt + 1
        purchase = await self._purchases.order_at_list(
            org_id,
            instalment.amount_fen,
            client_ref=f"framework-{agreement_id}-{number}-{attempt}",
            method=method,
            actor=actor,
            return_path=return_path or "/credits/agreements",
        )
        await self._attach(agreement_id, number, attempt, purchase.id)
        return purchase

    async def book(self, org_id: UUID, agreement_id: UUID, number: int, *, reference: str, actor: str) -> Purchase:
        """An operator found the instalment's transfer at the bank: post it, once."""
        instalment = await self.payable(org_id, agreement_id, number)
        attempt, client_ref = instalment.attempt + 1, _bank_ref(agreement_id, number)
        known = await store.purchase_by_ref(self._db, org_id, client_ref)  # booked at the price of its day
        price = policy.quantity_micro(self._rulebook, instalment.amount_fen, on=self._clock.today())
        purchase = await self._purchases.top_up(
            org_id, price if known is None else known.priced.quantity_micro, f"framework {number}: {reference}"[:200],
            actor, client_ref=client_ref,
        )  # fmt: skip
        await self._attach(agreement_id, number, attempt, purchase.id)
        return purchase

    async def booked_by(self, org_id: UUID, agreement_id: UUID, number: int, actor: str) -> bool:
        """Whether it was they who booked the transfer that paid an instalment."""
        known = await store.purchase_by_ref(self._db, org_id, _bank_ref(agreement_id, number))
        return known is not None and known.state is PurchaseState.POSTED and known.actor == actor

    async def payable(self, org_id: UUID, agreement_id: UUID, number: int) -> Instalment:
        """An instalment that is not paid yet; InstalmentPaid, UnknownAgreement otherwise."""
        agreement = await self.get(org_id, agreement_id)
        instalment = next((one for one in agreement.instalments if one.number == number), None)
        if instalment is None:
            raise UnknownAgreement
        if instalment.state == "paid":
            raise InstalmentPaid(number)
        return instalment

    async def _attach(self, agreement_id: UUID, number: int, attempt: int, purchase_id: UUID) -> None:
        await self._db.execute(
            """UPDATE credits.instalment SET purchase_id = $4, attempt = $3
               WHERE agreement_id = $1 AND number = $2 AND attempt < $3""",
            agreement_id,
            number,
            attempt,
            purchase_id,
        )

    # -- reading ------------------------------------------------------------------------------------------------------

    async def get(self, org_id: UUID | None, agreement_id: UUID) -> Agreement:
        """UnknownAgreement when absent or, for an organisation, another's."""
        row = await self._db.fetchrow("SELECT * FROM credits.agreement WHERE id = $1", agreement_id)
        if row is None or (org_id is not None and row["org_id"] != org_id):
            raise UnknownAgreement
        return (await self._whole([row]))[0]

    async def list(self, org_id: UUID | None = None) -> Rows[Agreement]:
        """An organisation's agreements, or everybody's; newest first, a bounded page."""
        rows = await self._db.fetch(
            """SELECT * FROM credits.agreement WHERE ($1::uuid IS NULL OR org_id = $1)
               ORDER BY year DESC, id DESC LIMIT $2""",
            org_id,
            PAGE_ROWS,
        )
        return await self._whole(rows)

    async def _whole(self, rows: Sequence[Any]) -> Rows[Agreement]:
        parts = await self._db.fetch(
            """SELECT i.*, p.state AS purchase_state FROM credits.instalment i
               LEFT JOIN credits.purchase p ON p.id = i.purchase_id
               WHERE i.agreement_id = ANY($1) ORDER BY i.number""",
            [row["id"] for row in rows],
        )
        found = []
        for row in rows:
            agreement = Agreement(
                row["id"], row["org_id"], row["year"], row["reference"], row["rule_version"], row["actor"],
                row["created_at"],
            )  # fmt: skip
            own = tuple(_instalment(part) for part in parts if part["agreement_id"] == agreement.id)
            found.append(replace(agreement, instalments=own))
        return found

    async def run(self) -> int:
        """Tell a body once when an instalment falls due; how many notices were new."""
        today = self._clock.today()
        told = 0
        rows = await self._db.fetch(
            """SELECT a.id, a.org_id, i.number, i.amount_fen, i.due_on FROM credits.instalment i
               JOIN credits.agreement a ON a.id = i.agreement_id
               LEFT JOIN credits.purchase p ON p.id = i.purchase_id
               WHERE i.due_on <= $1 AND i.due_on > $1 - 366 AND p.state IS DISTINCT FROM 'posted'
               ORDER BY i.due_on LIMIT $2""",
            today,
            DUE_ROWS,
        )
        for row in rows:
            notice = messages.instalment_due(row["org_id"], row["id"], row["number"], row["amount_fen"], row["due_on"])
            told += await self._notifier.notify(notice)
        return told


def _instalment(row: Any) -> Instalment:
    state = {PurchaseState.POSTED: "paid", PurchaseState.OPEN: "ordered"}.get(row["purchase_state"], "due")
    return Instalment(row["number"], row["due_on"], row["amount_fen"], row["attempt"], row["purchase_id"], state)


def _bank_ref(agreement_id: UUID, number: int) -> str:
    """Under which a transfer found at the bank pays an instalment."""
    return f"framework-{agreement_id}-{number}-bank"
