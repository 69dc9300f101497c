"""What repeats: proposals whose day has come, votes that are late."""

from __future__ import annotations

from shanhe.governance.service import Governance


async def tick(governance: Governance) -> int:
    """Open votes, announce, adopt, escalate; how many moved."""
    return await governance.deciding.tick()
