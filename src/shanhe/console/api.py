"""The door of the console: its pages over a desk, and the desk over the real modules."""

from __future__ import annotations

from shanhe.console.live import open_desk
from shanhe.console.ports import Desk
from shanhe.console.render import words
from shanhe.console.routes import pages

__all__ = ["Desk", "open_desk", "pages", "words"]
