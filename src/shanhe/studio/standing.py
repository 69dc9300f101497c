"""What the studio's books say of a model under its name, for whoever decides about its maker."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from shanhe.ledger.api import HoldState, Ledger
from shanhe.studio import store

if TYPE_CHECKING:
    from shanhe.kernel.db import Database

DEPLOYED_TOPIC: Final = "studio.deployed"
"""A model answers all calls to its name: {made_id, org_id, name, number}."""


class Before(msgspec.Struct, frozen=True):
    """The model that an organisation put into service before another: since when it answers."""

    name: str
    since: datetime


class Standing:
    """Reads only."""

    def __init__(self, db: Database, ledger: Ledger) -> None:
        self._db = db
        self._ledger = ledger

    async def captured_micro(self, org_id: UUID, name: str) -> int:
        """Credits captured for all jobs of an organisation under a name, those that ended without a model included."""
        found = 0
        for job in await store.jobs_named(self._db, org_id, name):
            if job.spent_micro and (await self._ledger.find_hold(job.hold_id)).state is HoldState.CAPTURED:
                found += job.spent_micro
        return found

    async def deployed(self, org_id: UUID, name: str) -> bool:
        """Whether a model of the organisation answers all calls to the name."""
        found = await store.deployed(self._db, name)
        return found is not None and found.org_id == org_id

    async def score_bps(self, org_id: UUID, name: str) -> int | None:
        """Held-out score of the model that answers, else of the newest; None without one."""
        found = await store.deployed(self._db, name) or await store.made(self._db, name, None, org_id)
        return found.score_bps if found is not None and found.org_id == org_id else None

    async def before(self, org_id: UUID, name: str) -> Before | None:
        """The organisation's model of another name that was first put into service last before this one was."""
        first = dict(await store.first_deployed(self._db, org_id))
        since = first.pop(name, None)
        earlier = [Before(other, at) for other, at in first.items() if since is None or at < since]
        return max(earlier, key=lambda one: one.since, default=None)
