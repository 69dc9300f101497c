"""What repeats: late complaints, texts and records whose time is over."""

from __future__ import annotations

from shanhe.filings.service import Filings


async def tick(filings: Filings) -> int:
    """Tell of late complaints; how many."""
    return await filings.complaints.escalate()


async def purge(filings: Filings) -> int:
    """Forget what need not be kept any more; how many."""
    return await filings.moderation.purge()
