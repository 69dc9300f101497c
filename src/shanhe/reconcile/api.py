"""The door of reconciliation."""

from __future__ import annotations

from shanhe.reconcile.checks import Checks
from shanhe.reconcile.errors import DayNotOver, DifferenceResolved, OutcomeUnfit, UnknownDifference
from shanhe.reconcile.model import Check, Difference, Outcome, Run, State
from shanhe.reconcile.service import Reconciliation, plain

__all__ = [
    "Check",
    "Checks",
    "DayNotOver",
    "Difference",
    "DifferenceResolved",
    "Outcome",
    "OutcomeUnfit",
    "Reconciliation",
    "Run",
    "State",
    "UnknownDifference",
    "plain",
]
