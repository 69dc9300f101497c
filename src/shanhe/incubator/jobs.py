"""What the jobs worker repeats for the incubator; idempotent, so that several may run at once."""

from __future__ import annotations

from shanhe.incubator.service import Incubator


async def tick(incubator: Incubator) -> int:
    """Post what a crash left out, end bookings of companies that left; how many."""
    return await incubator.tick()
