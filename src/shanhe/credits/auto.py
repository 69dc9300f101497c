"""Automatic top-up: one purchase for a dip of the balance, never two, within a monthly cap.

A dip is over when a top-up has been posted: the rule demands that one top-up lifts an empty balance to the threshold.
A balance is only believed when the rule's epoch, read before the balance, still holds under the rule's lock; a purchase
that began or ended in between has moved the epoch on, so a stale balance never buys. A rule is replaced as it was read,
or not at all, and what it had a mandate for before is withdrawn, also by whoever comes after one that ended too early:
a payer's permission stands as long as a rule that they can see.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog

from shanhe.credits import messages, policy, rule_store, store, windows
from shanhe.credits.errors import NoAutoTopUp, PurchaseClosed, RuleChanged, ValueOutOfBounds
from shanhe.credits.model import AutoTopUp, Purchase, Source
from shanhe.credits.purchases import VALUE_LIMIT_FEN, Purchases
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid, ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.payments.api import MandateState, Payments, UnknownPayment, UnknownProvider
from shanhe.rulebook.api import Rulebook

CHECK_AGE_S = 5
RESUME_AGE_S = 60
RULES_PER_TICK = 100
TRIES = 5
"""Who saves a rule at the same moment as others reads it again as often."""
THRESHOLD_LIMIT_MICRO = 10**15

CLIENT_REF = "auto-"
FORGOTTEN_AFTER, FORGOTTEN_FOR = timedelta(hours=1), timedelta(days=30)
"""Of a mandate that no rule uses: for so long it may be about to be saved, and until then it is looked for."""

log = structlog.get_logger(__name__)


class AutoTopUps:
    """The rules of organisations and what they trigger."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        rulebook: Rulebook,
        payments: Payments,
        notifier: Notifier,
        purchases: Purchases,
    ) -> None:
        self._db = db
        self._clock = clock
        self._rulebook = rulebook
        self._payments = payments
        self._notifier = notifier
        self._purchases = purchases

    # -- the rule -----------------------------------------------------------------------------------------------------

    async def save(
        self,
        org_id: UUID,
        *,
        threshold_micro: int,
        value_fen: int,
        monthly_cap_fen: int,
        actor: str,
        provider: str = "sandbox",
        enabled: bool = True,
    ) -> AutoTopUp:
        """Set the rule. `mandate_url` is where the payer permits charges when `mandate_state` is pending.

        Raises ValueOutOfBounds; Invalid when one top-up would not lift an empty balance to the threshold, or when the
        cap is below one top-up; RuleChanged while others save it all the time.
        """
        self._check(threshold_micro, value_fen, monthly_cap_fen)
        for _ in range(TRIES):
            known = await rule_store.auto(self._db, org_id)
            mandate_id = await self._mandate(known, provider, value_fen) or await self._authorised(
                org_id, provider, value_fen
            )
            wanted = AutoTopUp(
                org_id, threshold_micro, value_fen, monthly_cap_fen, provider, mandate_id, enabled, 0, None, 0, None,
                actor,
            )  # fmt: skip
            after = None if known is None else known.epoch
            saved = await rule_store.save_auto(self._db, wanted, self._clock.now(), after=after)
            if saved is not None:
                await self._withdraw(org_id)
                return await self._shown(saved)
            if known is None or mandate_id != known.mandate_id:  # nobody was told of it
                await self._payments.revoke(mandate_id)
        raise RuleChanged

    async def get(self, org_id: UUID) -> AutoTopUp:
        rule = await rule_store.auto(self._db, org_id)
        if rule is None:
            raise NoAutoTopUp
        return await self._shown(rule)

    async def disable(self, org_id: UUID) -> AutoTopUp:
        """Switch the rule off and withdraw its mandate; a purchase under way still ends properly."""
        rule = await rule_store.disable_auto(self._db, org_id, self._clock.now())
        if rule is None:
            raise NoAutoTopUp
        await self._withdraw(org_id)
        return await self._shown(rule)

    async def _withdraw(self, org_id: UUID) -> None:
        """End the mandates that the rule does not use; a provider that is away or says no is told by `run`, one that is
        used no more is not: nothing is charged there."""
        for mandate_id in await rule_store.withdrawn(self._db, org_id):
            try:
                with contextlib.suppress(UnknownProvider):
                    await self._payments.revoke(mandate_id)
                await rule_store.has_ended(self._db, org_id, mandate_id)
            except ShanheError as error:
                log.warning("a mandate's end is told later", organisation=str(org_id), error=error.code)

    def _check(self, threshold_micro: int, value_fen: int, monthly_cap_fen: int) -> None:
        if not 0 < threshold_micro <= THRESHOLD_LIMIT_MICRO:
            raise ValueOutOfBounds(1, THRESHOLD_LIMIT_MICRO, "µ")
        for fen in (value_fen, monthly_cap_fen):
            if not 0 < fen <= VALUE_LIMIT_FEN:
                raise ValueOutOfBounds(1, VALUE_LIMIT_FEN, "fen")
        if policy.quantity_micro(self._rulebook, value_fen, on=self._clock.today()) < threshold_micro:
            raise Invalid(
                "amount_below_threshold",
                "One top-up must be at least the threshold, or it would not lift the balance above it.",
                message_zh="每次充值额不得低于阈值，否则充值后余额仍低于阈值。",
                hint="Raise the amount or lower the threshold.",
                hint_zh="请提高充值额或降低阈值。",
            )
        if monthly_cap_fen < value_fen:
            raise Invalid(
                "cap_below_amount",
                "The monthly cap is below one top-up, so nothing would ever be bought.",
                message_zh="每月上限低于单次充值额，将无法充值。",
                hint="Raise the cap or lower the amount.",
                hint_zh="请提高上限或降低单次金额。",
            )

    async def _mandate(self, rule: AutoTopUp | None, provider: str, value_fen: int) -> UUID | None:
        """The mandate in use, if it still covers the amount."""
        if rule is None or rule.provider != provider:
            return None
        mandate = await self._payments.mandate(rule.mandate_id)
        ended = mandate.state is MandateState.REVOKED or mandate.id in await rule_store.withdrawn(self._db, rule.org_id)
        return None if ended or mandate.limit_fen != value_fen else mandate.id

    async def _authorised(self, org_id: UUID, provider: str, value_fen: int) -> UUID:
        """A new one, to be signed."""
        mandate = await self._payments.authorise(
            org_id, client_ref=f"{CLIENT_REF}{new_id()}", provider=provider, limit_fen=value_fen
        )
        return mandate.id

    async def _shown(self, rule: AutoTopUp) -> AutoTopUp:
        mandate = await self._payments.mandate(rule.mandate_id)
        return replace(rule, mandate_state=mandate.state, mandate_url=mandate.redirect_url)

    # -- what it triggers ---------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Look at the balances of organisations with a rule, longest unchecked first; purchases begun or continued."""
        now = self._clock.now()
        begun = 0
        due = await rule_store.due_autos(
            self._db, now=now, checked_before=now - timedelta(seconds=CHECK_AGE_S), limit=RULES_PER_TICK
        )
        for rule in due:
            begun += await self._safely(rule)
        begun += await self._resume()
        for org_id in await rule_store.with_withdrawn(self._db, RULES_PER_TICK):  # last: who is away takes its time
            await self._withdraw(org_id)
        await self._forgotten(now)
        return begun

    async def _forgotten(self, now: datetime) -> None:
        """Withdraw what was asked of a provider by a process that ended before the rule was saved: nobody is shown it,
        so nobody signs it."""
        async for mandate in self._payments.unsigned(CLIENT_REF, now - FORGOTTEN_AFTER, now - FORGOTTEN_FOR):
            if not await rule_store.used(self._db, mandate.org_id, mandate.id):
                try:
                    await self._payments.revoke(mandate.id)
                except ShanheError as error:
                    log.warning("a mandate's provider was not told", mandate=str(mandate.id), error=error.code)

    async def _safely(self, rule: AutoTopUp) -> bool:
        try:
            return await self.check(rule)
        except ShanheError as error:  # one organisation's trouble (frozen, provider away) is not the others'
            log.warning("automatic top-up was not possible", organisation=str(rule.org_id), error=error.code)
            return False

    async def check(self, rule: AutoTopUp) -> bool:
        """Buy once if the balance is below the threshold. `rule` must be read before: its epoch guards the balance."""
        now = self._clock.now()
        if not rule.enabled or rule.purchase_id is not None or (rule.not_before is not None and rule.not_before > now):
            return False
        mandate = await self._payments.mandate(rule.mandate_id)
        if mandate.state is not MandateState.ACTIVE:
            return False
        wallet = await self._purchases.wallet(rule.org_id)
        if wallet.balance_micro >= rule.threshold_micro:
            return False
        payer = await self._purchases.payer(rule.org_id)
        if payer.frozen:
            return False
        async with self._db.transaction() as conn:
            held = await rule_store.auto(conn, rule.org_id, lock=True)
            if held is None or held.epoch != rule.epoch or not held.enabled or held.purchase_id is not None:
                return False
            if await self._over_cap(conn, held, now):
                return False
            purchase = await self._purchases.reserve(
                conn,
                payer,
                held.value_fen,
                client_ref=f"auto-{held.epoch}",
                method=held.provider,
                actor=f"auto-top-up ({held.actor})",
                source=Source.AUTO,
            )
            await rule_store.start_auto(conn, held.org_id, purchase.id)
        await self._place(purchase, rule.mandate_id)
        return True

    async def _over_cap(self, conn: Any, rule: AutoTopUp, now: datetime) -> bool:
        """Whether one more top-up could pass this month's cap; if so pause until the month ends and say so once."""
        month = windows.month(now)
        spent_fen = await store.auto_paid_fen(conn, rule.org_id, month.start, month.end)
        if spent_fen + rule.value_fen <= rule.monthly_cap_fen:
            return False
        await rule_store.pause_auto(conn, rule.org_id, month.end)
        await self._notifier.notify(messages.auto_capped(rule, month.day), conn)
        return True

    async def _place(self, purchase: Purchase, mandate_id: UUID) -> None:
        try:
            await self._purchases.place(purchase, mandate_id=mandate_id)
        except (UnknownPayment, PurchaseClosed):  # the mandate was withdrawn, or nobody came back in time
            await self._purchases.end(purchase)

    async def _resume(self) -> int:
        """Continue automatic purchases that a crash left without an order."""
        resumed = 0
        now = self._clock.now()
        stale = await store.stale_purchases(
            self._db, auto=True, checked_before=now - timedelta(seconds=RESUME_AGE_S), limit=RULES_PER_TICK
        )
        for purchase in stale:
            await store.touch_purchase(self._db, purchase.id, now)
            rule = await rule_store.auto(self._db, purchase.org_id)
            if rule is None:
                continue
            try:
                await self._place(purchase, rule.mandate_id)
                resumed += 1
            except ShanheError as error:
                log.warning("automatic top-up was not placed", purchase=str(purchase.id), error=error.code)
        return resumed
