"""What the jobs worker repeats for programmes; idempotent, so that several may run at once."""

from __future__ import annotations

from shanhe.programmes.service import Programmes


async def tick(programmes: Programmes) -> dict[str, int]:
    """Escalate deadlines that passed, pay and renew what is due; how many of each."""
    return await programmes.tick()
