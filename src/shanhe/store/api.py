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
    ListingChanged,
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
from shanhe.store.making import mark_of
from shanhe.store.model import (
    RATING,
    REPLY,
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
    Utterance,
    Version,
    VersionState,
    Words,
)
from shanhe.store.ranks import Rank, Ranks
from shanhe.store.service import Store
from shanhe.store.store import RANKED_ROWS
from shanhe.store.terms import CATEGORIES
from shanhe.store.window import LEAF_ROWS, Checker, Readying

__all__ = [
    "CATEGORIES",
    "LEAF_ROWS",
    "RANKED_ROWS",
    "RATING",
    "REPLY",
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
    "ListingChanged",
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
    "Utterance",
    "Version",
    "VersionState",
    "Winner",
    "Words",
    "WrongState",
    "earnings_view",
    "mark_of",
    "period",
]
