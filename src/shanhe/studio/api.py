"""The door of the studio for other modules."""

from __future__ import annotations

from shanhe.studio.errors import BadModelFile, BadRecipe, NotDeployable, StepFailed, UnknownJob, UnknownMade
from shanhe.studio.foreman import Foreman
from shanhe.studio.judging import RUBRIC, Heard
from shanhe.studio.jury import Going
from shanhe.studio.model import QUANTA, Comparison, Job, Made, Recipe, Step
from shanhe.studio.ray_steps import RayJobs
from shanhe.studio.scoring import gain, gain_of
from shanhe.studio.service import Rules, Studio
from shanhe.studio.standing import DEPLOYED_TOPIC, Standing
from shanhe.studio.steps import RunStep, run_step
from shanhe.studio.trades import sample_of, template, templates

__all__ = [
    "DEPLOYED_TOPIC",
    "QUANTA",
    "RUBRIC",
    "BadModelFile",
    "BadRecipe",
    "Comparison",
    "Foreman",
    "Going",
    "Heard",
    "Job",
    "Made",
    "NotDeployable",
    "RayJobs",
    "Recipe",
    "Rules",
    "RunStep",
    "Standing",
    "Step",
    "StepFailed",
    "Studio",
    "UnknownJob",
    "UnknownMade",
    "gain",
    "gain_of",
    "run_step",
    "sample_of",
    "template",
    "templates",
]
