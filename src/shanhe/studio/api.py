"""The door of the studio for other modules."""

from __future__ import annotations

from shanhe.studio.errors import BadModelFile, BadRecipe, NotDeployable, UnknownJob, UnknownMade
from shanhe.studio.foreman import Foreman
from shanhe.studio.model import QUANTA, Job, Made, Recipe, Step
from shanhe.studio.scoring import gain
from shanhe.studio.service import Rules, Studio

__all__ = [
    "QUANTA",
    "BadModelFile",
    "BadRecipe",
    "Foreman",
    "Job",
    "Made",
    "NotDeployable",
    "Recipe",
    "Rules",
    "Step",
    "Studio",
    "UnknownJob",
    "UnknownMade",
    "gain",
]
