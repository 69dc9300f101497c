"""The one posting of a payout: lots of income are burnt, cash leaves, tax is withheld."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from shanhe.ledger.api import Asset, Ledger, LotDelta, Posting, Transfer
from shanhe.payments.payout_model import Payout

KIND: Final = "payout"
BANK_FILE: Final = "bank_file"
BANK_CASH: Final = "bank_transfer"
EXPENSE: Final = "income of makers"
TAX: Final = "withheld tax"
BURN, CASH_OUT, WITHHELD = 1, 2, 3


async def posting_of(ledger: Ledger, payout: Payout) -> Posting:
    """The same, whoever makes it and however often: everything in it was fixed by the second approval."""
    income = await ledger.ensure_account(payout.org_id, Asset.CREDIT, "income")
    issuance = await ledger.system_account("issuance", Asset.CREDIT)
    expense = await ledger.system_account("expense", Asset.CNY, EXPENSE)
    cash = await ledger.system_account("cash", Asset.CNY, _cash(payout))
    tax = await ledger.system_account("payable", Asset.CNY, TAX)
    legs = [
        (BURN, income.id, issuance.id, payout.amount_micro),
        (CASH_OUT, expense.id, cash.id, payout.net_fen or 0),
        (WITHHELD, expense.id, tax.id, payout.withheld_fen or 0),
    ]
    return Posting(
        id=payout.posting_id,
        kind=KIND,
        transfers=tuple(
            Transfer(UUID(int=payout.posting_id.int ^ leg), debit, credit, amount)
            for leg, debit, credit, amount in legs
            if amount
        ),
        deltas=tuple(
            LotDelta(lot, -amount) for lot, amount in zip(payout.lots or (), payout.lot_amounts or (), strict=True)
        ),
        evidence=_evidence(payout),
        actor=f"{payout.second_by} + break-glass:{payout.glass}" if payout.glass else payout.second_by or "",
        memo=f"Payout of earned income, {payout.channel} {payout.reference}",
    )


def _cash(payout: Payout) -> str:
    return BANK_CASH if payout.channel == BANK_FILE else str(payout.channel)


def _evidence(payout: Payout) -> bytes:
    return msgspec.json.encode(
        {
            "version": 1,
            "payout_id": payout.id,
            "amount_micro": payout.amount_micro,
            "subsidy_micro": payout.subsidy_micro,
            "gross_fen": payout.gross_fen,
            "withheld_fen": payout.withheld_fen,
            "net_fen": payout.net_fen,
            "reviewed_by": payout.reviewed_by,
            "first_by": payout.first_by,
            "second_by": payout.second_by,
            "reference": payout.reference,
            "rule_version": payout.rule_version,
            "trace": payout.trace,
        }
        | ({"break_glass": payout.glass} if payout.glass else {}),
        order="sorted",
    )
