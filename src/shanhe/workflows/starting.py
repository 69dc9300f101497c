"""What starts runs by itself, and ends those whose time is over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.workflows import run_store, store
from shanhe.workflows.checking import shaped
from shanhe.workflows.errors import (
    BadTrigger,
    HookTaken,
    NotPublished,
    TooManyStarts,
    UnknownWork,
)
from shanhe.workflows.model import (
    Hook,
    Run,
    Schedule,
    Trigger,
)
from shanhe.workflows.running import IsMember, KeyOf, Running, check_given
from shanhe.workflows.triggers import next_time, schedule_of, secret_of, verified
from shanhe.workflows.walker import expired

HOOKS_MAX: Final = 5
CALLS_A_MINUTE: Final = 30
SCHEDULE: Final = "schedule"
GIVEN: Final = "workflows.schedule.given"
log = structlog.get_logger(__name__)


class Starting(Running):
    """Schedules and webhooks."""

    def __init__(
        self, db: Database, clock: Clock, *, key_of: KeyOf, is_member: IsMember, hook_key: bytes,
        seals: Seals | None = None,
    ) -> None:  # fmt: skip
        super().__init__(db, clock, key_of=key_of, is_member=is_member, seals=seals)
        self._hook_key = hook_key

    async def set_schedule(
        self, org_id: UUID, slug: str, content: Any, given: Mapping[str, Any], *, by: str, key_id: UUID | None = None
    ) -> dict[str, Any]:
        """Start it at times from now on; the schedule that was before is replaced. `key_id` pays."""
        form, workflow, now = schedule_of(content), await self.one(org_id, slug), self._clock.now()
        if workflow.published is None:
            raise NotPublished(slug)
        seal = await self._seals.of(org_id)
        check_given(shaped((await self.version(org_id, slug, workflow.published)).definition), given)
        await store.set_schedule(
            self._db, workflow.id, msgspec.to_builtins(form), seal.json(GIVEN, dict(given)),
            key_id or await self._key_of(org_id), next_time(form, now), by, now,
        )  # fmt: skip
        return await self.schedule(org_id, slug) or {}

    async def stop_schedule(self, org_id: UUID, slug: str) -> None:
        await store.stop_schedule(self._db, (await self.one(org_id, slug)).id)

    async def schedule(self, org_id: UUID, slug: str) -> dict[str, Any] | None:
        """When it starts by itself; None when it doesn't."""
        row = await store.schedule(self._db, (await self.one(org_id, slug)).id)
        if row is None or row["next_at"] is None:
            return None
        given = (await self._seals.of(org_id)).open_json(GIVEN, row["given"], {})
        return {"form": row["form"], "input": given, "next_at": row["next_at"], "error": row["error"]}

    async def add_hook(
        self, org_id: UUID, slug: str, *, by: str, hook_id: UUID | None = None, key_id: UUID | None = None
    ) -> tuple[Hook, str]:
        """A webhook and its secret; the standing one for an id that is this workflow's. HookTaken for another's: ids
        stand in addresses that are handed out, and whoever knows one must not be told its secret."""
        workflow = await self.one(org_id, slug)
        one = Hook(hook_id or new_id(), workflow.id, by, self._clock.now())
        kept = [known for known in await store.hooks(self._db, workflow.id) if known.revoked_at is None]
        if len(kept) >= HOOKS_MAX and one.id not in {known.id for known in kept}:
            raise BadTrigger(f"At most {HOOKS_MAX} webhooks", f"最多 {HOOKS_MAX} 个 Webhook")
        await store.add_hook(self._db, one, key_id or await self._key_of(org_id))
        made = await store.hook(self._db, one.id)
        if made is None or made[0].workflow != workflow.id:
            raise HookTaken()
        return made[0], secret_of(self._hook_key, one.id)

    async def hooks(self, org_id: UUID, slug: str) -> list[Hook]:
        return await store.hooks(self._db, (await self.one(org_id, slug)).id)

    async def revoke_hook(self, org_id: UUID, slug: str, hook_id: UUID) -> None:
        if hook_id not in {one.id for one in await self.hooks(org_id, slug)}:
            raise UnknownWork("webhook", "Webhook")
        await store.revoke_hook(self._db, hook_id, self._clock.now())

    async def triggers(self, org_id: UUID) -> list[Trigger]:
        """Whatever starts an organisation's runs by itself."""
        return await store.triggers(self._db, org_id)

    async def hand_over(self, org_id: UUID, kind: str, trigger: UUID, *, by: str) -> tuple[UUID, str]:
        """Another answers for what starts runs, and the organisation's own key pays for them: nothing of whoever had it
        is in it any more. A webhook gets an id and a secret of its own, which is told; the one before ends."""
        found, now = await self._trigger(org_id, kind, trigger), self._clock.now()
        key_id = await self._key_of(org_id)
        if kind == SCHEDULE:
            await store.give_schedule(self._db, found.id, key_id, by)
            return found.id, ""
        one = Hook(new_id(), found.workflow, by, now)
        async with self._db.transaction() as conn:
            if not await store.revoke_hook(conn, found.id, now):
                raise UnknownWork("trigger", "触发器")  # somebody else has just taken it over
            await store.add_hook(conn, one, key_id)
        return one.id, secret_of(self._hook_key, one.id)

    async def end_trigger(self, org_id: UUID, kind: str, trigger: UUID) -> None:
        """Let it start no more runs."""
        found = await self._trigger(org_id, kind, trigger)
        if kind == SCHEDULE:
            await store.stop_schedule(self._db, found.id)
        else:
            await store.revoke_hook(self._db, found.id, self._clock.now())

    async def _trigger(self, org_id: UUID, kind: str, trigger: UUID) -> Trigger:
        for one in await self.triggers(org_id):
            if (one.kind, one.id) == (kind, trigger):
                return one
        raise UnknownWork("trigger", "触发器")

    async def receive(self, hook_id: UUID, message_id: str, at: str, signature: str, body: bytes) -> Run:
        """A call of a webhook: the run it started, the same one for a message that came before."""
        found, now = await store.hook(self._db, hook_id), self._clock.now()
        verified(secret_of(self._hook_key, hook_id), message_id, at, signature, body, now)
        if found is None or found[0].revoked_at is not None:
            raise UnknownWork("webhook", "Webhook")
        hook, key_id = found
        try:
            given = msgspec.json.decode(body or b"{}", type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BadTrigger("The body must be a JSON object", "正文须为 JSON 对象") from error
        workflow, ref = await store.by_id(self._db, hook.workflow), f"hook:{hook_id}:{message_id}"
        assert workflow is not None
        if await run_store.by_ref(self._db, workflow.id, ref) is None:
            since = now - timedelta(minutes=1)
            if await run_store.started_since(self._db, workflow.id, "webhook", since) >= CALLS_A_MINUTE:
                raise TooManyStarts(CALLS_A_MINUTE, "a minute by webhooks", "Webhook 每分钟")
        return await self._start(workflow, given, "webhook", ref, key_id)

    async def tick(self) -> int:
        """Start what is due, end what is late; how many."""
        now, done = self._clock.now(), 0
        for row in await store.due(self._db, now):
            done += await self._started(row)
        for approval in await run_store.late(self._db, now):
            async with self._db.transaction() as conn:
                found = await run_store.waiting(conn, approval, lock=True)
                if found is not None and not found.verdict:
                    await run_store.decide(conn, found, "expired", "", "system", now)
                    done += 1
        for run in await run_store.overdue(self._db, now):
            seal = await self._seals.of(run.org_id)
            async with self._db.transaction() as conn:
                done += await self._end(conn, seal, run.id, "failed", expired())
        return done

    async def _started(self, row: Any) -> int:
        """A schedule's run; what can't be started is said beside the schedule and left out this time."""
        form, now = msgspec.convert(row["form"], type=Schedule), self._clock.now()
        workflow, error = await store.by_id(self._db, row["workflow"]), ""
        assert workflow is not None
        seal = await self._seals.of(workflow.org_id)
        try:
            given = seal.open_json(GIVEN, row["given"], {})
            await self._start(workflow, given, "schedule", f"at:{row['next_at'].isoformat()}", row["key_id"])
        except ShanheError as failed:
            error = failed.code
            log.warning("a scheduled run was not started", workflow=str(workflow.id), error=error)
        await store.move_on(self._db, workflow.id, row["next_at"], next_time(form, now), error)
        return 0 if error else 1
