"""The door of credits: `Credits`, its records and errors, and `tick` for the jobs worker."""

from __future__ import annotations

from shanhe.credits.errors import (
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

__all__ = [
    "Affected",
    "AffectedBy",
    "Alert",
    "AutoTopUp",
    "Credits",
    "LotView",
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
    "TooManyAlerts",
    "UnknownAlert",
    "UnknownPurchase",
    "UnknownQuote",
    "ValueOutOfBounds",
    "Wallet",
    "Window",
    "tick",
]
