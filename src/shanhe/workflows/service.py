"""Everything about workflows but working on their runs: see `runner`."""

from __future__ import annotations

from uuid import UUID

from shanhe.workflows import run_store, store
from shanhe.workflows.deciding import Deciding
from shanhe.workflows.errors import (
    WorkflowInUse,
)
from shanhe.workflows.model import (
    Flow,
    Uses,
)
from shanhe.workflows.starting import Starting


class Workflows(Deciding, Starting):
    """Workflows of organisations: writing them down, running them, deciding, and what starts them by itself."""

    async def uses(self, org_id: UUID, slug: str) -> Uses:
        """What refers to a workflow, or goes on by it."""
        workflow = await self.one(org_id, slug)
        calls = [
            other.slug for other, definition in await self._definitions(org_id) if other.id != workflow.id
            and any(isinstance(node, Flow) and node.workflow == slug for node in definition.nodes)
        ]  # fmt: skip
        hooks = [one for one in await store.hooks(self._db, workflow.id) if one.revoked_at is None]
        scheduled = await self.schedule(org_id, slug) is not None
        return Uses(list(dict.fromkeys(calls)), scheduled, len(hooks), await run_store.open_of(self._db, workflow.id))

    async def delete(self, org_id: UUID, slug: str, *, by: str, anyway: bool = False) -> None:
        """Take a workflow away: it starts no more, its name is free, its open runs are cancelled, and its runs stay as
        long as any. WorkflowInUse where something refers to it, unless `anyway`."""
        uses = await self.uses(org_id, slug)
        if uses.any and not anyway:
            raise WorkflowInUse(slug, uses)
        workflow, seal = await self.one(org_id, slug), await self._seals.of(org_id)
        async with self._db.transaction() as conn:
            await store.delete(conn, workflow.id, by, self._clock.now())
            for run in await run_store.open_runs(conn, workflow.id):
                await self._cancel(conn, seal, run)
