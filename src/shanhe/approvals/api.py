"""The door of approvals: `Approvals`, its records and errors."""

from __future__ import annotations

from shanhe.approvals.errors import (
    BadApproval,
    BadGlass,
    GlassEnded,
    GlassNoFactor,
    GlassNotEnded,
    GlassOverCap,
    GlassRefused,
    GlassReviewed,
    GlassReviewer,
    GlassUnreviewed,
    LicenceConflict,
    RequestClosed,
    RequestConflict,
    SamePerson,
    SampleRefused,
    UnknownGlass,
    UnknownLicence,
    UnknownRequest,
)
from shanhe.approvals.glass import BreakGlass
from shanhe.approvals.glass_model import (
    READING,
    Act,
    Counts,
    FollowUp,
    Glass,
    GlassState,
    NewGlass,
    Proof,
    Review,
    Worth,
)
from shanhe.approvals.jobs import GlassGauges, tick
from shanhe.approvals.model import Deed, Gate, Licence, Mode, NewLicence, Request, RequestState, Scope
from shanhe.approvals.service import Approvals
from shanhe.approvals.undoing import Undoing
from shanhe.approvals.views import glass_view

__all__ = [
    "READING",
    "Act",
    "Approvals",
    "BadApproval",
    "BadGlass",
    "BreakGlass",
    "Counts",
    "Deed",
    "FollowUp",
    "Gate",
    "Glass",
    "GlassEnded",
    "GlassGauges",
    "GlassNoFactor",
    "GlassNotEnded",
    "GlassOverCap",
    "GlassRefused",
    "GlassReviewed",
    "GlassReviewer",
    "GlassState",
    "GlassUnreviewed",
    "Licence",
    "LicenceConflict",
    "Mode",
    "NewGlass",
    "NewLicence",
    "Proof",
    "Request",
    "RequestClosed",
    "RequestConflict",
    "RequestState",
    "Review",
    "SamePerson",
    "SampleRefused",
    "Scope",
    "Undoing",
    "UnknownGlass",
    "UnknownLicence",
    "UnknownRequest",
    "Worth",
    "glass_view",
    "tick",
]
