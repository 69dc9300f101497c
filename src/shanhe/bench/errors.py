"""What can go wrong in a bench run."""

from __future__ import annotations


class BenchError(RuntimeError):
    """A contender or a tool is missing or does not answer; the message says what to do."""
