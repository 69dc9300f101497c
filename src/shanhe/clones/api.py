"""The door of clones for other modules."""

from __future__ import annotations

from shanhe.clones.errors import (
    AlreadyAsked,
    BadFeedback,
    BadMandate,
    CloneRefused,
    GateClosed,
    NothingToTeach,
    UnknownFeedback,
    UnknownMandate,
    WrongMandateState,
)
from shanhe.clones.model import MEANS, PURPOSES, USES, Compared, Feedback, FeedbackState, Gate, Mandate, State
from shanhe.clones.service import ALLIANCE, TRAINING, VOICE, Clones, Remove
from shanhe.clones.teaching import School, Teaching, Trained

__all__ = [
    "ALLIANCE",
    "MEANS",
    "PURPOSES",
    "TRAINING",
    "USES",
    "VOICE",
    "AlreadyAsked",
    "BadFeedback",
    "BadMandate",
    "CloneRefused",
    "Clones",
    "Compared",
    "Feedback",
    "FeedbackState",
    "Gate",
    "GateClosed",
    "Mandate",
    "NothingToTeach",
    "Remove",
    "School",
    "State",
    "Teaching",
    "Trained",
    "UnknownFeedback",
    "UnknownMandate",
    "WrongMandateState",
]
