"""The door of the bulletin."""

from __future__ import annotations

from shanhe.bulletin.errors import NotDue, UnknownIssue
from shanhe.bulletin.model import Issue, Item, Kind, Source, Words
from shanhe.bulletin.service import Bulletin
from shanhe.bulletin.talk import SECTIONS, as_markdown
from shanhe.bulletin.views import feed, issue_view, row_view

__all__ = [
    "SECTIONS",
    "Bulletin",
    "Issue",
    "Item",
    "Kind",
    "NotDue",
    "Source",
    "UnknownIssue",
    "Words",
    "as_markdown",
    "feed",
    "issue_view",
    "row_view",
]
