"""The door of filings."""

from __future__ import annotations

from shanhe.filings.errors import (
    AlgorithmConflict,
    AppealedSince,
    BadAlgorithm,
    BadComplaint,
    ComplaintClosed,
    ComplaintTaken,
    FiledOtherwise,
    FilingMove,
    NotFiled,
    NotYourComplaint,
    UnknownAlgorithm,
    UnknownComplaint,
)
from shanhe.filings.jobs import purge, tick
from shanhe.filings.model import (
    EVERYTHING,
    Algorithm,
    AlgorithmKind,
    Complaint,
    Decision,
    Event,
    Filing,
    Grievance,
    Intervention,
    Month,
    NewAlgorithm,
    NewComplaint,
    Subject,
    Verdict,
)
from shanhe.filings.service import Filings
from shanhe.filings.views import algorithm_view, complaint_view, event_view, month_view, months_csv

__all__ = [
    "EVERYTHING",
    "Algorithm",
    "AlgorithmConflict",
    "AlgorithmKind",
    "AppealedSince",
    "BadAlgorithm",
    "BadComplaint",
    "Complaint",
    "ComplaintClosed",
    "ComplaintTaken",
    "Decision",
    "Event",
    "FiledOtherwise",
    "Filing",
    "FilingMove",
    "Filings",
    "Grievance",
    "Intervention",
    "Month",
    "NewAlgorithm",
    "NewComplaint",
    "NotFiled",
    "NotYourComplaint",
    "Subject",
    "UnknownAlgorithm",
    "UnknownComplaint",
    "Verdict",
    "algorithm_view",
    "complaint_view",
    "event_view",
    "month_view",
    "months_csv",
    "purge",
    "tick",
]
