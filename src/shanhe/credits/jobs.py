"""What the jobs worker repeats for credits. Every step is idempotent, so several workers may run it at once."""

from __future__ import annotations

from shanhe.credits.service import Credits


async def tick(credits: Credits) -> dict[str, int]:
    """Settle what is outstanding, check spend alerts and automatic top-ups; how many of each moved."""
    return {
        "settled": await credits.reconcile(),
        "refunds": await credits.refunds.run(),
        "codes": await credits.codes.run(),
        "disputes": await credits.disputes.run(),
        "estates": await credits.estates.run(),
        "alerts": await credits.alerts.run(),
        "auto_top_ups": await credits.auto.run(),
    }


async def daily(credits: Credits) -> dict[str, int]:
    """Tell of what lapses and what falls due; called more than once a day it tells nothing twice."""
    return {"lapses": await credits.lapses.run(), "instalments": await credits.agreements.run()}
