"""The door of content for other modules."""

from __future__ import annotations

from shanhe.content.checking import words
from shanhe.content.errors import BadForm, FreeUsedUp, NotAPayer, Overtaken, UnknownContent, Unusable
from shanhe.content.kinds import cleaned, everything, form_of, kind_of, required
from shanhe.content.labels import FORMATS, exported
from shanhe.content.model import DRAFTS_MAX, FREE_RULE, Draft, Field, Finding, Job, Kind, Own, Profile, Standing, Terms
from shanhe.content.runner import Deeds, Failed, Runner
from shanhe.content.service import Content, Town
from shanhe.content.views import draft_view, job_view, kinds_view, profile_view, standing_view

__all__ = [
    "DRAFTS_MAX", "FORMATS", "FREE_RULE", "BadForm", "Content", "Deeds", "Draft", "Failed", "Field", "Finding",
    "FreeUsedUp", "Job", "Kind", "NotAPayer", "Overtaken", "Own", "Profile", "Runner", "Standing", "Terms", "Town",
    "UnknownContent", "Unusable", "cleaned", "draft_view", "everything", "exported", "form_of", "job_view", "kind_of",
    "kinds_view", "profile_view", "required", "standing_view", "words",
]  # fmt: skip
