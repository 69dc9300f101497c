"""The door of starters for other modules."""

from __future__ import annotations

from shanhe.starters.errors import NoModelHere, NotAModelForIt, NotYourBase, UnknownStarter
from shanhe.starters.gallery import starters
from shanhe.starters.model import AGENT, CHAT, LANGUAGES, Card, Copied, Missing, Needs, Shown, Starter, Usual
from shanhe.starters.service import City, Starters

__all__ = [
    "AGENT", "CHAT", "LANGUAGES", "Card", "City", "Copied", "Missing", "Needs", "NoModelHere", "NotAModelForIt",
    "NotYourBase", "Shown", "Starter", "Starters", "UnknownStarter", "Usual", "starters",
]  # fmt: skip
