"""The door of privacy."""

from __future__ import annotations

from shanhe.privacy.errors import BadText, NotTheGuardian, RequestClosed, RequestConflict, UnknownRequest
from shanhe.privacy.jobs import daily
from shanhe.privacy.model import (
    GROUNDS,
    Assessment,
    Conclusion,
    Copy,
    NewAssessment,
    ReadingRow,
    Request,
    RequestKind,
    RequestState,
    Standing,
)
from shanhe.privacy.paper import copy_json, copy_paper
from shanhe.privacy.resealing import Resealing
from shanhe.privacy.service import Drawer, Privacy

__all__ = [
    "GROUNDS",
    "Assessment",
    "BadText",
    "Conclusion",
    "Copy",
    "Drawer",
    "NewAssessment",
    "NotTheGuardian",
    "Privacy",
    "ReadingRow",
    "Request",
    "RequestClosed",
    "RequestConflict",
    "RequestKind",
    "RequestState",
    "Resealing",
    "Standing",
    "UnknownRequest",
    "copy_json",
    "copy_paper",
    "daily",
]
