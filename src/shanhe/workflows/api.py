"""The door of workflows for other modules."""

from __future__ import annotations

from shanhe.workflows.course import Deeds, Said
from shanhe.workflows.errors import BadDefinition, StepFailed
from shanhe.workflows.model import KINDS, Definition, Hook, Run, Step, Version, Waiting, Workflow
from shanhe.workflows.runner import Runner
from shanhe.workflows.service import Workflows
from shanhe.workflows.triggers import signature

__all__ = [
    "KINDS", "BadDefinition", "Deeds", "Definition", "Hook", "Run", "Runner", "Said", "Step", "StepFailed", "Version",
    "Waiting", "Workflow", "Workflows", "signature",
]  # fmt: skip
