"""A paid purchase as one balanced posting, built from stored facts only, so that repeating it gives the same bytes.

Cash: clearing of the method → the customer's CNY account → revenue from credits sold. Credits: issuance → the wallet,
minted as a purchased lot (what was paid) and a subsidy lot (what P1 gave).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from shanhe.credits.model import LotView, Purchase, Source, Wallet
from shanhe.credits.policy import LotTerms
from shanhe.kernel.paging import cut
from shanhe.kernel.sealing import sealed
from shanhe.ledger.api import Asset, Ledger, Lot, NewLot, Posting, Provenance, Transfer, UnknownPosting

LOTS_ROWS = 200
"""A page of a wallet's lots."""
KIND_PURCHASE = "purchase"
KIND_TOP_UP = "top_up"
CASH_IN, SALE, PURCHASED, SUBSIDY = 1, 2, 3, 4
MANUAL_TEXT = {"bank_transfer": "bank transfer 银行转账", "cash_desk": "cash desk 现金柜台"}


async def post(ledger: Ledger, purchase: Purchase, terms: LotTerms, *, paid_at: datetime, cash: str) -> None:
    """Book the purchase, once however often it is called. `cash` names the method's clearing account."""
    wallet = await ledger.ensure_account(purchase.org_id, Asset.CREDIT, "wallet")
    issuance = await ledger.system_account("issuance", Asset.CREDIT)
    priced = purchase.priced
    transfers: list[Transfer] = []
    if priced.paid_fen:
        customer = await ledger.ensure_account(purchase.org_id, Asset.CNY, "wallet")
        clearing = await ledger.system_account("cash", Asset.CNY, cash)
        revenue = await ledger.system_account("revenue", Asset.CNY, "credits sold")
        transfers.append(_transfer(purchase, CASH_IN, clearing.id, customer.id, priced.paid_fen))
        transfers.append(_transfer(purchase, SALE, customer.id, revenue.id, priced.paid_fen))
    lots: list[NewLot] = []
    if priced.purchased_micro:
        transfers.append(_transfer(purchase, PURCHASED, issuance.id, wallet.id, priced.purchased_micro))
        lots.append(
            NewLot(
                account=wallet.id,
                provenance=Provenance.PURCHASED,
                amount=priced.purchased_micro,
                expires_at=terms.purchased_expires_at,
                unlock_at=terms.purchased_unlock_at,
                cost_fen=priced.paid_fen,
            )
        )
    if priced.subsidy_micro:
        transfers.append(_transfer(purchase, SUBSIDY, issuance.id, wallet.id, priced.subsidy_micro))
        lots.append(
            NewLot(
                account=wallet.id,
                provenance=Provenance.SUBSIDY,
                amount=priced.subsidy_micro,
                expires_at=terms.subsidy_expires_at,
                unlock_at=terms.subsidy_unlock_at,
                cost_fen=0,
            )
        )
    await ledger.post(
        Posting(
            id=purchase.posting_id,
            kind=KIND_TOP_UP if purchase.source is Source.OPERATOR else KIND_PURCHASE,
            transfers=tuple(transfers),
            lots=tuple(lots),
            evidence=_evidence(purchase, terms, paid_at),
            actor=purchase.actor,
            memo=_memo(purchase),
        )
    )


def _transfer(purchase: Purchase, leg: int, debit: UUID, credit: UUID, amount: int) -> Transfer:
    """A transfer whose id follows from the posting's (its low bits changed), so that a repetition is recognised."""
    return Transfer(id=UUID(int=purchase.posting_id.int ^ leg), debit=debit, credit=credit, amount=amount)


def _memo(purchase: Purchase) -> str:
    if purchase.source is Source.OPERATOR:
        method = MANUAL_TEXT.get(purchase.method, purchase.method)
        return f"Operator top-up, paid by {method}, booked by hand{_said(purchase, ': ')}"
    return f"Purchase of credits, paid through {purchase.method} · 购买积分"


def _said(purchase: Purchase, before: str = "") -> str:
    """The reason, which the ledger never forgets: only where it is no person's, who may ask to be erased."""
    return "" if sealed(purchase.reason) else before + purchase.reason


def _evidence(purchase: Purchase, terms: LotTerms, paid_at: datetime) -> bytes:
    priced = purchase.priced
    return msgspec.json.encode(
        {
            "version": 1,
            "purchase_id": purchase.id,
            "source": purchase.source,
            "method": purchase.method,
            "reason": _said(purchase),
            "order_id": purchase.order_id,
            "paid_at": paid_at,
            "value_fen": priced.value_fen,
            "benefit_fen": priced.benefit_fen,
            "paid_fen": priced.paid_fen,
            "purchased_micro": priced.purchased_micro,
            "subsidy_micro": priced.subsidy_micro,
            "list_price_fen": priced.list_price_fen,
            "beneficiary": purchase.beneficiary,
            "year": purchase.year,
            "category": priced.category,
            "rule_version": priced.rule_version,
            "trace": priced.trace,
            "lot_rules": terms.rules,
        },
        order="sorted",
    )


async def wallet(ledger: Ledger, org_id: UUID, before: UUID | None = None) -> Wallet:
    """An organisation's credits and, in burn order, a page of its lots: the first, or the one after a lot."""
    account = await ledger.ensure_account(org_id, Asset.CREDIT, "wallet")
    balance = await ledger.balance(account.id)
    lots = cut(await ledger.lots(account.id, before=before, limit=LOTS_ROWS + 1), LOTS_ROWS)
    return Wallet(
        org_id=org_id,
        account_id=account.id,
        balance_micro=balance.balance,
        available_micro=balance.available,
        held_micro=balance.held,
        by_provenance={str(key): amount for key, amount in balance.by_provenance.items()},
        lots=[_lot(lot) for lot in lots.rows],
        next=lots.following,
    )


def _lot(lot: Lot) -> LotView:
    tradeable_at = None if lot.provenance is Provenance.SUBSIDY else lot.unlock_at
    return LotView(
        lot.id, lot.provenance, lot.issued, lot.remaining, lot.held, lot.issued_at, lot.expires_at, tradeable_at
    )


async def is_posted(ledger: Ledger, purchase: Purchase) -> bool:
    """Whether the ledger has the purchase's posting."""
    try:
        await ledger.posting(purchase.posting_id)
    except UnknownPosting:
        return False
    return True


async def posted(ledger: Ledger, purchase: Purchase) -> dict[str, Any] | None:
    """The purchase's posting as plain data, None before it is booked."""
    try:
        view = await ledger.posting(purchase.posting_id)
    except UnknownPosting:
        return None
    return {
        "id": view.id,
        "kind": view.kind,
        "at": view.at,
        "memo": view.memo,
        "transfers": [
            {"id": leg.id, "debit": leg.debit, "credit": leg.credit, "amount": leg.amount} for leg in view.transfers
        ],
        "lots": [{"lot": delta.lot, "amount_micro": delta.amount} for delta in view.lots],
    }
