"""What repeats."""

from __future__ import annotations

from shanhe.nomads.service import Nomads


async def tick(nomads: Nomads) -> int:
    """One round; how much was done."""
    return sum((await nomads.tick()).values())
