"""What repeats: proposals whose day has come, votes that are late, experiments that are over."""

from __future__ import annotations

from shanhe.governance.service import Governance


async def tick(governance: Governance) -> int:
    """Open votes, announce, adopt, escalate, draw the samples of experiments that are over; how many moved."""
    return await governance.deciding.tick() + await governance.trials.draw()


async def simulate(governance: Governance) -> int:
    """Work out the simulation that waits longest; how many ended."""
    return await governance.simulating.tick()
