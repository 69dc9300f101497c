"""A paid purchase as one balanced posting. Built from stored facts only, so that repeating it gives the same bytes."""

from __future__ import annotations
