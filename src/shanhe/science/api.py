"""The door of open science."""

from __future__ import annotations

from shanhe.science.cite import FILES, FORMATS, Cited, cite
from shanhe.science.errors import (
    AlreadyDeclared,
    BadDeposit,
    DepositConflict,
    DraftChanged,
    JudgesOwn,
    NotAgreed,
    NotYours,
    OwnDeposit,
    UnknownDeposit,
    UnknownReuse,
    WrongState,
)
from shanhe.science.model import (
    LICENCES,
    Award,
    Counted,
    Deposit,
    How,
    Kind,
    NewVersion,
    Reuse,
    ReuseState,
    State,
    Title,
    Uses,
    Version,
)
from shanhe.science.service import Science
from shanhe.science.views import cited, deposit_views, own_view, own_views, reuse_view, reuse_views

__all__ = [
    "FILES",
    "FORMATS",
    "LICENCES",
    "AlreadyDeclared",
    "Award",
    "BadDeposit",
    "Cited",
    "Counted",
    "Deposit",
    "DepositConflict",
    "DraftChanged",
    "How",
    "JudgesOwn",
    "Kind",
    "NewVersion",
    "NotAgreed",
    "NotYours",
    "OwnDeposit",
    "Reuse",
    "ReuseState",
    "Science",
    "State",
    "Title",
    "UnknownDeposit",
    "UnknownReuse",
    "Uses",
    "Version",
    "WrongState",
    "cite",
    "cited",
    "deposit_views",
    "own_view",
    "own_views",
    "reuse_view",
    "reuse_views",
]
