"""The door of the studio for other modules."""

from __future__ import annotations

from shanhe.studio.errors import BadModelFile, BadRecipe, NotDeployable, UnknownJob, UnknownMade
from shanhe.studio.foreman import Foreman
from shanhe.studio.model import QUANTA, Job, Made, Recipe, Step
from shanhe.studio.ray_steps import RayJobs
from shanhe.studio.scoring import gain
from shanhe.studio.service import Rules, Studio
from shanhe.studio.steps import RunStep, run_step
from shanhe.studio.trades import sample_of, template, templates

__all__ = [
    "QUANTA",
    "BadModelFile",
    "BadRecipe",
    "Foreman",
    "Job",
    "Made",
    "NotDeployable",
    "RayJobs",
    "Recipe",
    "Rules",
    "RunStep",
    "Step",
    "Studio",
    "UnknownJob",
    "UnknownMade",
    "gain",
    "run_step",
    "sample_of",
    "template",
    "templates",
]
