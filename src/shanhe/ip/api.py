"""The door of the registry of rights."""

from __future__ import annotations

from shanhe.ip.errors import (
    BadEntry,
    EntryConflict,
    JudgesOwn,
    NotAlone,
    NotConsented,
    NothingOpen,
    NotYourOffice,
    NumberTaken,
    TermsOpen,
    UnknownEntry,
    WrongState,
)
from shanhe.ip.model import (
    NUMBERED,
    Entry,
    File,
    Happened,
    Kind,
    NewEntry,
    RightDay,
    State,
    Terms,
    TermsState,
    canonical,
    same_as,
    written,
)
from shanhe.ip.service import Rights
from shanhe.ip.views import line_views, own_view, public_view, public_views

__all__ = [
    "NUMBERED",
    "BadEntry",
    "Entry",
    "EntryConflict",
    "File",
    "Happened",
    "JudgesOwn",
    "Kind",
    "NewEntry",
    "NotAlone",
    "NotConsented",
    "NotYourOffice",
    "NothingOpen",
    "NumberTaken",
    "RightDay",
    "Rights",
    "State",
    "Terms",
    "TermsOpen",
    "TermsState",
    "UnknownEntry",
    "WrongState",
    "canonical",
    "line_views",
    "own_view",
    "public_view",
    "public_views",
    "same_as",
    "written",
]
