"""The door of the store for other modules."""

from __future__ import annotations

from shanhe.store.contest_model import Blind, Contest, Entry, Honour, NewContest, Phase, Winner
from shanhe.store.contests import Contests
from shanhe.store.earnings import Earned, Earnings, Paid, TokenDay, period
from shanhe.store.earnings import view as earnings_view
from shanhe.store.errors import (
    BadContest,
    BadListing,
    ChecksFailed,
    FourEyes,
    NameTaken,
    NotAJuror,
    NotAUser,
    NotJudged,
    NotThePhase,
    OwnListing,
    SaysItsName,
    UnknownContest,
    UnknownListing,
    WrongState,
)
from shanhe.store.finding import Order
from shanhe.store.model import (
    Card,
    Case,
    Check,
    IncomeDay,
    Kind,
    Listing,
    ListingState,
    Move,
    NewListing,
    Offer,
    Rating,
    Terms,
    Version,
    VersionState,
    Words,
)
from shanhe.store.ranks import Rank, Ranks
from shanhe.store.service import Store
from shanhe.store.terms import CATEGORIES
from shanhe.store.window import Checker, Readying

__all__ = [
    "CATEGORIES",
    "BadContest",
    "BadListing",
    "Blind",
    "Card",
    "Case",
    "Check",
    "Checker",
    "ChecksFailed",
    "Contest",
    "Contests",
    "Earned",
    "Earnings",
    "Entry",
    "FourEyes",
    "Honour",
    "IncomeDay",
    "Kind",
    "Listing",
    "ListingState",
    "Move",
    "NameTaken",
    "NewContest",
    "NewListing",
    "NotAJuror",
    "NotAUser",
    "NotJudged",
    "NotThePhase",
    "Offer",
    "Order",
    "OwnListing",
    "Paid",
    "Phase",
    "Rank",
    "Ranks",
    "Rating",
    "Readying",
    "SaysItsName",
    "Store",
    "Terms",
    "TokenDay",
    "UnknownContest",
    "UnknownListing",
    "Version",
    "VersionState",
    "Winner",
    "Words",
    "WrongState",
    "earnings_view",
    "period",
]
