"""The door of the sandbox for other modules."""

from __future__ import annotations

from shanhe.sandbox.errors import CageMissing, CodeRaised, CodeStopped
from shanhe.sandbox.model import CODE_MAX_BYTES, CPU_MAX_S, MEMORY_MAX_MB, MEMORY_MIN_MB, Limits
from shanhe.sandbox.service import Sandbox

__all__ = [
    "CODE_MAX_BYTES", "CPU_MAX_S", "MEMORY_MAX_MB", "MEMORY_MIN_MB", "CageMissing", "CodeRaised", "CodeStopped",
    "Limits", "Sandbox",
]  # fmt: skip
