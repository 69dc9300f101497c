"""The door of workflows for other modules."""

from __future__ import annotations

from shanhe.kernel.marks import mark_of
from shanhe.workflows.checking import shaped
from shanhe.workflows.deeds import Deeds, Paid, Said
from shanhe.workflows.errors import BadDefinition, DraftChanged, StepFailed, WorkflowInUse
from shanhe.workflows.model import (
    BRANCHES_MAX,
    CITY_CLASSES,
    KINDS,
    Definition,
    Hook,
    Run,
    Step,
    Uses,
    Version,
    Waiting,
    Workflow,
)
from shanhe.workflows.runner import Runner
from shanhe.workflows.service import Workflows
from shanhe.workflows.triggers import signature
from shanhe.workflows.ways import known_at

__all__ = [
    "BRANCHES_MAX", "CITY_CLASSES", "KINDS", "BadDefinition", "Deeds", "Definition", "DraftChanged", "Hook", "Paid",
    "Run", "Runner", "Said", "Step", "StepFailed", "Uses", "Version", "Waiting", "Workflow", "WorkflowInUse",
    "Workflows", "known_at", "mark_of", "shaped", "signature",
]  # fmt: skip
