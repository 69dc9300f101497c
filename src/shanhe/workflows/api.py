"""The door of workflows for other modules."""

from __future__ import annotations

from shanhe.workflows.checking import shaped
from shanhe.workflows.course import CITY_CLASSES, Deeds, Paid, Said
from shanhe.workflows.errors import BadDefinition, DraftChanged, StepFailed, WorkflowInUse
from shanhe.workflows.model import KINDS, Definition, Hook, Run, Step, Uses, Version, Waiting, Workflow
from shanhe.workflows.runner import Runner
from shanhe.workflows.service import Workflows, mark_of
from shanhe.workflows.triggers import signature

__all__ = [
    "CITY_CLASSES", "KINDS", "BadDefinition", "Deeds", "Definition", "DraftChanged", "Hook", "Paid", "Run", "Runner",
    "Said", "Step", "StepFailed", "Uses", "Version", "Waiting", "Workflow", "WorkflowInUse", "Workflows", "mark_of",
    "shaped", "signature",
]  # fmt: skip
