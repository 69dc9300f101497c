"""Wiring of metrics: what wakes an administrator and no module counts by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Gauge

from shanhe.identity.api import ActsAsked

if TYPE_CHECKING:
    from shanhe.identity.api import Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.outbox import Outbox
    from shanhe.reconcile.api import Reconciliation
    from shanhe.rulebook.api import Rulebook

BACKUP: Final = "backup.make"
LOOKED_BACK: Final = timedelta(days=92)


class Watch:
    """Figures of the whole city, looked up by the jobs process."""

    def __init__(
        self, clock: Clock, registry: CollectorRegistry, *, identity: Identity, reconciliation: Reconciliation,
        outbox: Outbox, rulebook: Rulebook,
    ) -> None:  # fmt: skip
        self._clock = clock
        self._identity = identity
        self._reconciliation = reconciliation
        self._outbox = outbox
        self._rulebook = rulebook
        self.backed_up_at = Gauge(
            "shanhe_backup_timestamp_seconds", "When `shanhe backup` last made one; 0 = not in three months.",
            registry=registry,
        )  # fmt: skip
        self.differences = Gauge(
            "shanhe_differences_open", "Differences found by reconciliation that nobody resolved.", registry=registry
        )
        self.undelivered = Gauge(
            "shanhe_events_failed", "Events that were given up, of the newest hundred.", registry=registry
        )

        self.unfit = Gauge(
            "shanhe_amendments_unfit", "Recorded amendments of rules that this release can't take: not in force.",
            registry=registry,
        )  # fmt: skip

    async def look(self) -> None:
        """Bring the figures up to date."""
        asked = ActsAsked(action=BACKUP, since=self._clock.now() - LOOKED_BACK)
        newest = await self._identity.audit(asked, limit=1)
        self.backed_up_at.set(newest[0].at.timestamp() if newest else 0)
        self.differences.set(len(await self._reconciliation.differences()))
        self.undelivered.set(len(await self._outbox.failed()))
        self.unfit.set(len(self._rulebook.unfit))
