"""Credits as one door: purchases, automatic top-ups, alerts, and the receipt of a top-up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from shanhe.approvals.api import Approvals
from shanhe.credits import booking
from shanhe.credits.agreements import Agreements
from shanhe.credits.alerts import Alerts
from shanhe.credits.auto import AutoTopUps
from shanhe.credits.codes import Codes
from shanhe.credits.disputes import Disputes
from shanhe.credits.estates import EndOrders, Estates
from shanhe.credits.invoices import Invoices
from shanhe.credits.lapses import Lapses
from shanhe.credits.loyalty import Loyalty
from shanhe.credits.model import AffectedBy, KindOf, NameOf, PayerOf, SpentBy
from shanhe.credits.purchases import PURPOSE, Purchases
from shanhe.credits.recorded import Recorded
from shanhe.credits.refunds import Refunds
from shanhe.credits.statements import Statements
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import Ledger
from shanhe.payments.api import Order, Payments, State
from shanhe.rulebook.api import Rulebook


class Credits(Purchases):
    """Purchases themselves, with `auto` (automatic top-up) and `alerts` (spend alerts, price notices).

    `payer`, `spent` and `affected` are what credits must know from identity and usage; the composition root passes
    them. Subscribes to paid orders at `payments`.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        ledger: Ledger,
        rulebook: Rulebook,
        payments: Payments,
        notifier: Notifier,
        payer: PayerOf,
        spent: SpentBy,
        affected: AffectedBy,
        named: NameOf | None = None,
        kind: KindOf | None = None,
        city_name: str = "Shanhe",
        approvals: Approvals | None = None,
        end_orders: EndOrders | None = None,
        seals: Seals | None = None,
    ) -> None:
        super().__init__(
            db, clock, ledger=ledger, rulebook=rulebook, payments=payments, notifier=notifier, payer=payer, seals=seals
        )
        self.auto = AutoTopUps(db, clock, rulebook=rulebook, payments=payments, notifier=notifier, purchases=self)
        self.city_name = city_name
        self.named = named or _unnamed
        self.refunds = Refunds(
            db, clock, ledger=ledger, rulebook=rulebook, payments=payments, notifier=notifier, seals=seals
        )
        approvals = approvals or Approvals(db, clock)
        self.codes = Codes(
            db, clock, ledger=ledger, rulebook=rulebook, notifier=notifier, same=approvals.same_person
        )  # fmt: skip
        payments.subscribe_refunds(PURPOSE, self.refunds.settle)
        self.agreements = Agreements(
            db, clock, rulebook=rulebook, notifier=notifier, purchases=self, kind=kind or _no_kind
        )
        self.lapses = Lapses(db, clock, rulebook=rulebook, notifier=notifier)
        self.loyalty = Loyalty(clock, rulebook=rulebook, spent=spent)
        self.invoices = Invoices(db, clock, notifier=notifier, seals=seals)
        self.disputes = Disputes(db, clock, ledger=ledger, notifier=notifier, seals=seals)
        self.estates = Estates(
            db, clock, ledger=ledger, rulebook=rulebook, notifier=notifier,
            approvals=approvals, payer=payer, end_orders=end_orders, seals=seals,
        )  # fmt: skip
        self.statements = Statements(db, clock, rulebook)
        self.recorded = Recorded(db)
        self.alerts = Alerts(db, clock, notifier=notifier, spent=spent, affected=affected, seals=seals)

    async def settle(self, order: Order) -> None:
        """Paid and expired orders as `Purchases` does; one whose money all went back is done when R3 sent it."""
        if order.state is State.REFUNDED and await self.refunds.of_purchase(order.id) is not None:
            await self._payments.acknowledge(order)
            return
        await super().settle(order)

    async def receipt(self, org_id: UUID, purchase_id: UUID) -> dict[str, Any]:
        """The document of a top-up: facts → decision (trace) → payment → posting; integers with their unit."""
        purchase = await self.get(org_id, purchase_id)
        payment: dict[str, Any] | None = None
        if purchase.order_id is not None and purchase.order_state is not None:
            order = await self._payments.order(purchase.order_id)
            payment = {
                "order_id": str(order.id),
                "provider": order.provider,
                "provider_ref": order.provider_ref,
                "state": order.state,
                "paid_at": order.paid_at,
                "refunded_fen": order.refunded_fen,
                "history": await self._payments.history(order.id),
            }
        return {
            "purchase": purchase,
            "payment": payment,
            "posting": await booking.posted(self._ledger, purchase),
        }


async def _unnamed(org_id: UUID) -> str:
    return str(org_id)


async def _no_kind(org_id: UUID) -> str:
    return ""
