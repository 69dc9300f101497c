"""What repeats: requests that are late, records that need not be kept any longer."""

from __future__ import annotations

from shanhe.privacy.service import Privacy


async def daily(privacy: Privacy) -> int:
    """Escalate and forget; how many moved."""
    return await privacy.escalate() + await privacy.retain()
