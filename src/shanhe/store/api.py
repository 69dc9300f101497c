"""The door of the store for other modules."""

from __future__ import annotations

from shanhe.store.errors import (
    BadListing,
    ChecksFailed,
    NameTaken,
    NotAUser,
    OwnListing,
    UnknownListing,
    WrongState,
)
from shanhe.store.model import (
    Card,
    Check,
    IncomeDay,
    Kind,
    Listing,
    ListingState,
    NewListing,
    Offer,
    Rating,
    Terms,
    Version,
    VersionState,
)
from shanhe.store.service import CATEGORIES, Checker, Store

__all__ = [
    "CATEGORIES",
    "BadListing",
    "Card",
    "Check",
    "Checker",
    "ChecksFailed",
    "IncomeDay",
    "Kind",
    "Listing",
    "ListingState",
    "NameTaken",
    "NewListing",
    "NotAUser",
    "Offer",
    "OwnListing",
    "Rating",
    "Store",
    "Terms",
    "UnknownListing",
    "Version",
    "VersionState",
    "WrongState",
]
