"""Purchases, alerts and automatic top-up from credits."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shanhe.console import model as m
from shanhe.console import model_credits as c
from shanhe.console.live.modules import actor_of
from shanhe.credits.api import AutoTopUp, Credits, NoAutoTopUp, Purchase
from shanhe.payments.api import Payments

USUAL = ("wechat", "alipay", "sandbox", "bank_transfer")
"""Ways to pay in the order in which they are offered."""


class LiveTill:
    """See `ports.Till`."""

    def __init__(self, credits: Credits, payments: Payments) -> None:
        self._credits = credits
        self._payments = payments

    def methods(self) -> Sequence[str]:
        known = self._payments.methods()
        return [*(name for name in USUAL if name in known), *(name for name in known if name not in USUAL)]

    async def quote(self, who: m.Who, value_fen: int) -> c.QuoteView:
        quote = await self._credits.quote(who.org_id, value_fen)
        priced = quote.priced
        return c.QuoteView(
            id=quote.id,
            value_fen=priced.value_fen,
            paid_fen=priced.paid_fen,
            benefit_fen=priced.benefit_fen,
            benefit_left_fen=quote.benefit_left_fen,
            purchased_micro=priced.purchased_micro,
            subsidy_micro=priced.subsidy_micro,
            category=priced.category,
            trace=priced.trace,
            expires_at=quote.expires_at,
        )

    async def purchase(self, who: m.Who, quote_id: UUID, client_ref: str, method: str) -> c.PurchaseRow:
        bought = await self._credits.purchase(
            who.org_id,
            client_ref=client_ref,
            quote_id=quote_id,
            method=method or self.methods()[0],
            actor=actor_of(who).ref,
            return_path=f"/topup?paid={client_ref}",
        )
        return _purchase(bought)

    async def purchase_get(self, who: m.Who, purchase_id: UUID) -> c.PurchaseRow:
        return _purchase(await self._credits.get(who.org_id, purchase_id))

    async def purchases(self, who: m.Who) -> Sequence[c.PurchaseRow]:
        return [_purchase(row) for row in await self._credits.purchases(who.org_id, limit=20)]

    async def alerts(self, who: m.Who) -> Sequence[m.AlertRow]:
        return [
            m.AlertRow(row.id, row.name, str(row.window), row.amount_micro, row.percent, row.enabled)
            for row in await self._credits.alerts.of(who.org_id)
        ]

    async def alert_add(self, who: m.Who, name: str, window: str, amount_micro: int, percent: int) -> None:
        await self._credits.alerts.create(
            who.org_id, name=name, window=window, amount_micro=amount_micro, percent=percent, actor=actor_of(who).ref
        )

    async def alert_remove(self, who: m.Who, alert_id: UUID) -> None:
        await self._credits.alerts.delete(who.org_id, alert_id)

    async def auto(self, who: m.Who) -> c.AutoRow | None:
        try:
            return _auto(await self._credits.auto.get(who.org_id))
        except NoAutoTopUp:
            return None

    async def auto_save(self, who: m.Who, threshold_micro: int, value_fen: int, cap_fen: int) -> c.AutoRow:
        rule = await self._credits.auto.save(
            who.org_id,
            threshold_micro=threshold_micro,
            value_fen=value_fen,
            monthly_cap_fen=cap_fen,
            actor=actor_of(who).ref,
        )
        return _auto(rule)

    async def auto_stop(self, who: m.Who) -> None:
        await self._credits.auto.disable(who.org_id)


def _purchase(row: Purchase) -> c.PurchaseRow:
    priced = row.priced
    return c.PurchaseRow(
        id=row.id,
        at=row.created_at,
        source=str(row.source),
        method=row.method,
        paid_fen=priced.paid_fen,
        benefit_fen=priced.benefit_fen,
        quantity_micro=priced.quantity_micro,
        state=str(row.state),
        redirect_url=row.redirect_url if row.state == "open" else None,
        ref=row.client_ref,
    )


def _auto(rule: AutoTopUp) -> c.AutoRow:
    pending = rule.mandate_state == "pending"
    return c.AutoRow(
        rule.threshold_micro,
        rule.value_fen,
        rule.monthly_cap_fen,
        rule.enabled,
        rule.mandate_state if rule.enabled else "",
        rule.mandate_url if pending else None,
    )
