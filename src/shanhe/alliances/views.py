"""Alliances as plain data: for HTTP, CLI and pages alike."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from shanhe.alliances.model import View


def alliance_view(view: View) -> dict[str, Any]:
    """An alliance with its members, what is shared, and whether the discount is open."""
    return {
        **asdict(view.alliance), "mine": view.mine, "parties": view.parties, "needed": view.needed,
        "extra_bps": view.extra_bps, "open": view.open, "members": [asdict(one) for one in view.members],
        "shared": [asdict(one) for one in view.shared],
    }  # fmt: skip
