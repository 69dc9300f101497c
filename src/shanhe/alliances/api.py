"""The door of alliances."""

from __future__ import annotations

from shanhe.alliances.errors import (
    AlreadyAllied,
    AlreadyInvited,
    NotACompany,
    NotInvited,
    NotYours,
    TooMany,
    UnknownAlliance,
)
from shanhe.alliances.model import Alliance, Member, MemberState, Shared, View
from shanhe.alliances.service import Alliances
from shanhe.alliances.views import alliance_view

__all__ = [
    "Alliance",
    "Alliances",
    "AlreadyAllied",
    "AlreadyInvited",
    "Member",
    "MemberState",
    "NotACompany",
    "NotInvited",
    "NotYours",
    "Shared",
    "TooMany",
    "UnknownAlliance",
    "View",
    "alliance_view",
]
