"""The comparisons. Each reads two sides that were counted apart and says where they differ; none writes anything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from shanhe.compute.api import Compute
from shanhe.gateway.api import Gateway, LedgerDay, Sums, UsageKey
from shanhe.kernel.clock import midnight
from shanhe.ledger.api import Asset, Ledger, UnknownPosting
from shanhe.payments.api import BillLine, Bills, Order, Payments, Refund, RefundState, State, UnknownPayment
from shanhe.reconcile.model import Check, Checked, Finding

PLATFORM: Final = "platform operations"
TREASURY: Final = "treasury"
MEASURES: Final = (("calls", "call"), ("tokens", "token"), ("amount_micro", "micro"))
OWN_STATEMENT: Final = frozenset({"bank_transfer"})
"""Bank lines are matched one by one when they arrive; what does not match is in suspense already."""


def bounds(day: date) -> tuple[datetime, datetime]:
    """The instants between which a day of the city lies."""
    start = midnight(day)
    return start, start + timedelta(days=1)


class Checks:
    """Every comparison of a day."""

    def __init__(self, *, gateway: Gateway, compute: Compute, ledger: Ledger, payments: Payments, bills: Bills) -> None:
        self._gateway = gateway
        self._compute = compute
        self._ledger = ledger
        self._payments = payments
        self._bills = bills

    async def all(self, day: date, tolerance_ppm: int) -> list[Checked]:
        booked = await self._gateway.ledger_day(day)
        orders = await self._payments.paid_between(*bounds(day))
        refunds = await self._payments.refunded_between(*bounds(day))
        return [
            await self.meter(day, booked),
            receipts(booked),
            await self.engines(day, booked, tolerance_ppm),
            await self.postings(orders, refunds),
            await self.statements(day, orders, refunds),
        ]

    # -- usage --------------------------------------------------------------------------------------------------------

    async def meter(self, day: date, booked: LedgerDay) -> Checked:
        """The gateway's running sums against the call postings, by organisation, key and model."""
        rows = await self._gateway.usage_of_all(day, day, ("org", "key", "model"))
        metered = {
            UsageKey(day, row.org_id, row.key_id, row.model): Sums(row.calls, row.tokens, row.amount_micro)
            for row in rows
            if row.org_id is not None and row.key_id is not None and row.model is not None
        }
        keys = metered.keys() | booked.keys.keys()
        found = [one for key in keys for one in _usage(key, metered.get(key, Sums()), booked.keys.get(key, Sums()))]
        return Checked(Check.METER_LEDGER, len(keys), tuple(found))

    async def engines(self, day: date, booked: LedgerDay, tolerance_ppm: int) -> Checked:
        """What engines counted themselves against what was charged for their work."""
        counted = {row.engine: row for row in await self._compute.counts.of(day)}
        found: list[Finding] = []
        for engine, row in counted.items():
            charged = booked.engines.get(engine)
            sides = (
                ("prompt", row.prompt, charged.prompt if charged else 0),
                ("completion", row.completion, charged.completion if charged else 0),
            )
            for kind, left, right in sides:
                if abs(left - right) * 1_000_000 > tolerance_ppm * max(left, right):
                    found.append(
                        Finding(Check.ENGINE_LEDGER, engine, kind, "token", "engine", left, "ledger", right, PLATFORM)
                    )
        skipped = tuple(sorted(booked.engines.keys() - counted.keys()))
        return Checked(Check.ENGINE_LEDGER, len(counted), tuple(found), skipped)

    # -- money --------------------------------------------------------------------------------------------------------

    async def postings(self, orders: list[Order], refunds: list[Refund]) -> Checked:
        """Every paid order and every refund that succeeded against the cash leg of its posting."""
        found = []
        for order in orders:
            moved = await self._moved(order.settled_ref, order.provider)
            if moved != -order.amount_fen:
                found.append(_unbooked(f"order {order.id}", order.amount_fen, -(moved or 0), order.provider))
        for refund in refunds:
            order = await self._payments.order(refund.order_id)
            moved = await self._moved(refund.settled_ref, order.provider)
            if moved != refund.amount_fen:
                found.append(_unbooked(f"refund {refund.id}", -refund.amount_fen, -(moved or 0), order.provider))
        return Checked(Check.PAYMENTS_LEDGER, len(orders) + len(refunds), tuple(found))

    async def _moved(self, posting_id: UUID | None, cash: str) -> int | None:
        """What a posting did to a clearing account, fen; None when there is no such posting."""
        if posting_id is None:
            return None
        try:
            posting = await self._ledger.posting(posting_id)
        except UnknownPosting:
            return None
        account = (await self._ledger.system_account("cash", Asset.CNY, cash)).id
        return posting.moved(account)

    async def statements(self, day: date, orders: list[Order], refunds: list[Refund]) -> Checked:
        """What institutions say of the day against our orders and refunds, both ways; and money nobody could book."""
        since, until = bounds(day)
        found: list[Finding] = []
        compared, skipped = 0, []
        by_order = {order.id: order for order in orders}
        for provider in self._payments.methods():
            if provider in OWN_STATEMENT:
                continue
            lines = await self._bills.lines(provider, since, until)
            ours = {("payment", o.id): o.amount_fen for o in orders if o.provider == provider}
            for refund in refunds:
                order = by_order.get(refund.order_id) or await self._payments.order(refund.order_id)
                if order.provider == provider:
                    ours["refund", refund.id] = refund.amount_fen
            if lines is None:
                skipped += [provider] if ours else []
                continue
            compared += len(lines)
            found += await self._both_ways(provider, lines, ours)
        for stray in await self._payments.strays(since=since, until=until):
            one = _money("payment", stray.provider, stray.provider_ref, "missing_here", stray.amount_fen, 0)
            if one.subject not in {finding.subject for finding in found}:
                found.append(one)
        return Checked(Check.STATEMENT_PAYMENTS, compared, tuple(found), tuple(skipped))

    async def _both_ways(
        self, provider: str, lines: list[BillLine], ours: Mapping[tuple[str, UUID], int]
    ) -> list[Finding]:
        found, seen = [], set()
        for line in lines:
            if line.number is not None:
                seen.add((line.kind, line.number))
            known = await self._known(line)
            if known is None:
                found.append(_money(line.kind, provider, line.text, "missing_here", line.amount_fen, 0))
            elif known != line.amount_fen:
                found.append(_money(line.kind, provider, line.text, "other_amount", line.amount_fen, known))
        for (kind, number), amount_fen in ours.items():
            if (kind, number) not in seen:
                found.append(_money(kind, provider, str(number), "missing_there", 0, amount_fen))
        return found

    async def _known(self, line: BillLine) -> int | None:
        """Our amount of what a statement line names; None when we know of no such paid order or finished refund."""
        if line.number is None:
            return None
        try:
            if line.kind == "payment":
                order = await self._payments.order(line.number)
                return order.amount_fen if order.state in (State.PAID, State.REFUNDED) else None
            refund = await self._payments.refund_of(line.number)
            return refund.amount_fen if refund.state is RefundState.SUCCEEDED else None
        except UnknownPayment:
            return None


def receipts(booked: LedgerDay) -> Checked:
    """What a call's receipt says against what its transfers move."""
    found = tuple(
        Finding(Check.RECEIPT_LEDGER, str(posting), "amount", "micro", "receipt", told, "transfers", moved, PLATFORM)
        for posting, told, moved in booked.odd
    )
    return Checked(Check.RECEIPT_LEDGER, sum(sums.calls for sums in booked.keys.values()), found)


def _usage(key: UsageKey, metered: Sums, booked: Sums) -> list[Finding]:
    subject = f"{key.org_id}/{key.key_id}/{key.model}"
    return [
        Finding(Check.METER_LEDGER, subject, name, unit, "meter", getattr(metered, name), "ledger",
                getattr(booked, name), PLATFORM)
        for name, unit in MEASURES
        if getattr(metered, name) != getattr(booked, name)
    ]  # fmt: skip


def _unbooked(subject: str, paid_fen: int, booked_fen: int, cash: str) -> Finding:
    return Finding(Check.PAYMENTS_LEDGER, subject, "not_booked", "fen", "payments", paid_fen, "ledger", booked_fen,
                   TREASURY, cash, paid_fen - booked_fen)  # fmt: skip


def _money(kind: str, provider: str, number: str, what: str, there_fen: int, here_fen: int) -> Finding:
    """A statement line against ours. A refund is money that left, so its sign is the other one."""
    subject = f"{provider} {kind} {_canonical(number)}"
    sign = -1 if kind == "refund" else 1
    money_fen = sign * (there_fen - here_fen)
    return Finding(Check.STATEMENT_PAYMENTS, subject, what, "fen", "statement", there_fen, "payments", here_fen,
                   TREASURY, provider, money_fen)  # fmt: skip


def _canonical(number: str) -> str:
    try:
        return str(UUID(number))
    except ValueError:
        return number
