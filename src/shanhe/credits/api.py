"""The door of credits: `Credits`, its records and errors, and `tick` for the jobs worker."""

from __future__ import annotations

from shanhe.credits.errors import (
    BadMonth,
    NoAutoTopUp,
    PurchaseClosed,
    PurchaseConflict,
    QuoteChanged,
    TooManyAlerts,
    UnknownAlert,
    UnknownPurchase,
    UnknownQuote,
    ValueOutOfBounds,
)
from shanhe.credits.jobs import tick
from shanhe.credits.model import (
    Affected,
    AffectedBy,
    Alert,
    AutoTopUp,
    LotView,
    NameOf,
    Payer,
    PayerOf,
    PriceChange,
    Priced,
    Purchase,
    PurchaseState,
    Quote,
    Source,
    SpentBy,
    Wallet,
    Window,
)
from shanhe.credits.service import Credits
from shanhe.credits.statements import LotStatement, StatementLot

__all__ = [
    "Affected",
    "AffectedBy",
    "Alert",
    "AutoTopUp",
    "BadMonth",
    "Credits",
    "LotStatement",
    "LotView",
    "NameOf",
    "NoAutoTopUp",
    "Payer",
    "PayerOf",
    "PriceChange",
    "Priced",
    "Purchase",
    "PurchaseClosed",
    "PurchaseConflict",
    "PurchaseState",
    "Quote",
    "QuoteChanged",
    "Source",
    "SpentBy",
    "StatementLot",
    "TooManyAlerts",
    "UnknownAlert",
    "UnknownPurchase",
    "UnknownQuote",
    "ValueOutOfBounds",
    "Wallet",
    "Window",
    "tick",
]
