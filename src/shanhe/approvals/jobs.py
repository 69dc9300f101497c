"""What repeats of break-glass: ends, late reviews, reversals, figures."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from shanhe.approvals.glass import BreakGlass
from shanhe.approvals.undoing import Undoing


class GlassGauges:
    """How many openings are in use, wait for a review, and wait too long."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open = Gauge("shanhe_break_glass_open", "Openings of break-glass in force now.", registry=registry)
        self.unreviewed = Gauge("shanhe_break_glass_unreviewed", "Openings that nobody reviewed yet.",
                                registry=registry)  # fmt: skip
        self.overdue = Gauge("shanhe_break_glass_overdue", "Openings whose review is overdue.", registry=registry)


async def tick(glass: BreakGlass, undoing: Undoing, gauges: GlassGauges) -> int:
    """End, escalate and undo what is due; how many moved."""
    moved = await glass.tick() + await undoing.run()
    counts = await glass.counts()
    gauges.open.set(counts.open)
    gauges.unreviewed.set(counts.unreviewed)
    gauges.overdue.set(counts.overdue)
    return moved
