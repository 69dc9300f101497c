"""The door of approvals: `Approvals`, its records and errors."""

from __future__ import annotations

from shanhe.approvals.errors import (
    BadApproval,
    LicenceConflict,
    RequestClosed,
    RequestConflict,
    SamePerson,
    SampleRefused,
    UnknownLicence,
    UnknownRequest,
)
from shanhe.approvals.model import Gate, Licence, Mode, NewLicence, Request, RequestState, Scope
from shanhe.approvals.service import Approvals

__all__ = [
    "Approvals",
    "BadApproval",
    "Gate",
    "Licence",
    "LicenceConflict",
    "Mode",
    "NewLicence",
    "Request",
    "RequestClosed",
    "RequestConflict",
    "RequestState",
    "SamePerson",
    "SampleRefused",
    "Scope",
    "UnknownLicence",
    "UnknownRequest",
]
