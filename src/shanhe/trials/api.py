"""The door of evaluation sets for other modules."""

from __future__ import annotations

from shanhe.trials.model import Case, Report
from shanhe.trials.service import Asks, Finding, Trials

__all__ = ["Asks", "Case", "Finding", "Report", "Trials"]
