"""Workflows of organisations: writing them down, publishing, starting, deciding, and what starts them by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from shanhe.kernel.clock import Clock
from shanhe.kernel.days import checked_days, span
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seal, Seals
from shanhe.workflows import store
from shanhe.workflows.alone import alone, problems_alone, wants
from shanhe.workflows.checking import Problem, problems, read, shaped
from shanhe.workflows.course import COURSE, RESULT, SHOWS, WHY, ending, expired
from shanhe.workflows.errors import (
    AlreadyDecided,
    BadDefinition,
    BadTrigger,
    DraftChanged,
    HookTaken,
    NotPublished,
    NotYourApproval,
    SlugTaken,
    StepFailed,
    TooManyStarts,
    UnknownWork,
    UnknownWorkflow,
    WorkflowInUse,
)
from shanhe.workflows.model import (
    COSTS_MAX,
    DEPTH_MAX,
    INPUT,
    SLUG,
    STEPS_IN_ALL_MAX,
    TITLE_MAX_CHARS,
    Cost,
    Course,
    Definition,
    Flow,
    Hook,
    Knowledge,
    Run,
    Schedule,
    Step,
    Uses,
    Version,
    Waiting,
    Workflow,
)
from shanhe.workflows.triggers import next_time, schedule_of, secret_of, verified

WORKFLOWS_MAX: Final = 200
OPEN_MAX: Final = 100
"""Open runs of one organisation."""
HOOKS_MAX: Final = 5
CALLS_A_MINUTE: Final = 30
GIVEN_MAX_BYTES: Final = 64 * 1024
REF_MAX_CHARS: Final = 120
NOTE_MAX_CHARS: Final = 500
MARK_CHARS: Final = 16
KEEP: Final = timedelta(days=366)
TITLE, DEFINITION, GIVEN, NOTE = (
    "workflows.workflow.title", "workflows.version.definition", "workflows.schedule.given", "workflows.approval.note",
)  # fmt: skip
KeyOf = Callable[[UUID], Awaitable[UUID]]
"""The key by which an organisation pays for runs that nobody's own key started."""
log = structlog.get_logger(__name__)


class Workflows:
    """Everything about workflows but running them: see `runner`."""

    def __init__(
        self, db: Database, clock: Clock, *, key_of: KeyOf, hook_key: bytes, seals: Seals | None = None
    ) -> None:
        self._db = db
        self._clock = clock
        self._key_of = key_of
        self._hook_key = hook_key
        self._seals = seals or Seals()

    # -- definitions --------------------------------------------------------------------------------------------------

    def check(self, content: Any) -> list[Problem]:
        """Every reason why a definition can't run; none when it can."""
        try:
            return problems(shaped(content))
        except BadDefinition as error:
            return [(one["node"], one["code"], one["zh"], one["en"]) for one in error.details["problems"]]

    async def create(
        self, slug: str, title: str, *, org_id: UUID, by: str, workflow_id: UUID | None = None
    ) -> Workflow:  # fmt: skip
        """A new workflow without a version; the standing one for an id that is known."""
        if not SLUG.fullmatch(slug):
            raise BadDefinition([("", "slug", "名称须为 2–40 位小写字母、数字或连字符",
                                  "the name has 2 to 40 of a–z, 0–9 and -")])  # fmt: skip
        _check_title(title)
        seal = await self._seals.of(org_id)
        one = Workflow(workflow_id or new_id(), org_id, slug, seal.text(TITLE, title), by, self._clock.now())
        try:
            async with self._db.transaction() as conn:
                if await store.count(conn, org_id) >= WORKFLOWS_MAX:
                    raise BadTrigger(f"At most {WORKFLOWS_MAX} workflows", f"最多 {WORKFLOWS_MAX} 个工作流")
                await store.add(conn, one)
        except asyncpg.UniqueViolationError as error:
            raise SlugTaken(slug) from error
        found = await self.one(org_id, slug)
        if found.id != one.id:
            raise SlugTaken(slug)
        return found

    async def one(self, org_id: UUID, slug: str) -> Workflow:
        """A workflow of one's own; UnknownWorkflow."""
        found = await store.find(self._db, org_id, slug)
        if found is None:
            raise UnknownWorkflow(slug)
        return msgspec.structs.replace(found, title=(await self._seals.of(org_id)).open(TITLE, found.title))

    async def mine(self, org_id: UUID) -> list[Workflow]:
        """An organisation's workflows, newest first."""
        seal = await self._seals.of(org_id)
        found = await store.mine(self._db, org_id)
        return [msgspec.structs.replace(one, title=seal.open(TITLE, one.title)) for one in found]

    async def rename(self, org_id: UUID, slug: str, title: str) -> Workflow:
        _check_title(title)
        found = await self.one(org_id, slug)
        await store.rename(self._db, found.id, (await self._seals.of(org_id)).text(TITLE, title))
        return await self.one(org_id, slug)

    async def save(self, org_id: UUID, slug: str, content: Any, *, by: str, base: str | None = None) -> Version:
        """Write the draft. It may still be wrong, but must have the form; BadDefinition. `base`: mark of what was read
        before it was changed; DraftChanged where something else stands there by now."""
        definition = msgspec.to_builtins(shaped(content))
        seal = await self._seals.of(org_id)
        async with self._db.transaction() as conn:
            found = await store.find(conn, org_id, slug, lock=True)
            if found is None:
                raise UnknownWorkflow(slug)
            if base is not None and (at := found.draft or found.published) is not None:
                stands = await store.version(conn, found.id, at)
                assert stands is not None
                if mark_of(seal.open_json(DEFINITION, stands.definition, {})) not in (base, mark_of(definition)):
                    raise DraftChanged(stands.made_by, stands.made_at)
            n = await store.save_draft(conn, found.id, seal.json(DEFINITION, definition), by, self._clock.now())
        return await self.version(org_id, slug, n)

    async def publish(self, org_id: UUID, slug: str, *, n: int | None = None) -> Version:
        """Make the draft what runs from now on; open runs go on with theirs. The same draft again is no change."""
        seal = await self._seals.of(org_id)
        async with self._db.transaction() as conn:
            found = await store.find(conn, org_id, slug, lock=True)
            if found is None:
                raise UnknownWorkflow(slug)
            if found.draft is None or (n is not None and n != found.draft):
                wanted = found.published if n is not None and n == found.published else None
            else:
                wanted = found.draft
            if wanted is None:
                raise UnknownWork("draft", "草稿")
            draft = await store.version(conn, found.id, wanted)
            assert draft is not None
            if wanted == found.draft:
                read(seal.open_json(DEFINITION, draft.definition, {}))
                await store.publish(conn, found.id, wanted, self._clock.now())
        return await self.version(org_id, slug, draft.n)

    async def version(self, org_id: UUID, slug: str, n: int) -> Version:
        """One version of a workflow of one's own."""
        workflow = await self.one(org_id, slug)
        found = await store.version(self._db, workflow.id, n)
        if found is None:
            raise UnknownWork("version", "版本")
        return self._opened(await self._seals.of(org_id), found)

    async def versions(self, org_id: UUID, slug: str) -> list[Version]:
        """Its versions, newest first."""
        seal, workflow = await self._seals.of(org_id), await self.one(org_id, slug)
        return [self._opened(seal, one) for one in await store.versions(self._db, workflow.id)]

    async def uses(self, org_id: UUID, slug: str) -> Uses:
        """What refers to a workflow, or goes on by it."""
        workflow = await self.one(org_id, slug)
        calls = [
            other.slug for other, definition in await self._definitions(org_id) if other.id != workflow.id
            and any(isinstance(node, Flow) and node.workflow == slug for node in definition.nodes)
        ]  # fmt: skip
        hooks = [one for one in await store.hooks(self._db, workflow.id) if one.revoked_at is None]
        scheduled = await self.schedule(org_id, slug) is not None
        return Uses(list(dict.fromkeys(calls)), scheduled, len(hooks), await store.open_of(self._db, workflow.id))

    async def looking_up(self, org_id: UUID, names: Container[str]) -> list[str]:
        """Workflows of an organisation that look things up in a base of one of these names."""
        return list(dict.fromkeys(
            one.slug for one, definition in await self._definitions(org_id)
            for node in definition.nodes if isinstance(node, Knowledge) and any(name in names for name in node.bases)
        ))  # fmt: skip

    async def _definitions(self, org_id: UUID) -> list[tuple[Workflow, Definition]]:
        """Every draft and what is published, of an organisation's own."""
        seal, found = await self._seals.of(org_id), []
        for one in await store.mine(self._db, org_id, WORKFLOWS_MAX):
            for n in filter(None, (one.draft, one.published)):
                version = await store.version(self._db, one.id, n)
                if version is not None:
                    found.append((one, shaped(seal.open_json(DEFINITION, version.definition, {}))))
        return found

    async def delete(self, org_id: UUID, slug: str, *, by: str, anyway: bool = False) -> None:
        """Take a workflow away: it starts no more, its name is free, its open runs are cancelled, and its runs stay as
        long as any. WorkflowInUse where something refers to it, unless `anyway`."""
        uses = await self.uses(org_id, slug)
        if uses.any and not anyway:
            raise WorkflowInUse(slug, uses)
        workflow = await self.one(org_id, slug)
        async with self._db.transaction() as conn:
            await store.delete(conn, workflow.id, by, self._clock.now())
        for run in await store.open_runs(self._db, workflow.id):
            await self.cancel(run, org_id)

    def _opened(self, seal: Seal, one: Version) -> Version:
        return msgspec.structs.replace(one, definition=seal.open_json(DEFINITION, one.definition, {}))

    # -- runs ---------------------------------------------------------------------------------------------------------

    async def start(
        self, org_id: UUID, slug: str, given: Mapping[str, Any], *, ref: str, key_id: UUID | None = None,
        draft: bool = False,
    ) -> Run:  # fmt: skip
        """Start a run by hand; the same `ref` again is the same run. `draft` runs what is not published yet."""
        if not 1 <= len(ref) <= REF_MAX_CHARS:
            raise BadTrigger(f"A reference has 1 to {REF_MAX_CHARS} signs", f"幂等编号须为 1–{REF_MAX_CHARS} 字符")
        workflow = await self.one(org_id, slug)
        return await self._start(
            workflow, given, "hand", f"hand:{ref}", key_id or await self._key_of(org_id), draft=draft
        )

    async def _start(
        self, workflow: Workflow, given: Mapping[str, Any], source: str, ref: str, key_id: UUID, *, draft: bool = False
    ) -> Run:
        seal = await self._seals.of(workflow.org_id)
        if (known := await store.by_ref(self._db, workflow.id, ref)) is not None:
            return self._opened_run(seal, known)
        n = workflow.draft if draft else workflow.published
        if n is None:
            raise NotPublished(workflow.slug)
        found = await store.version(self._db, workflow.id, n)
        assert found is not None
        definition = read(seal.open_json(DEFINITION, found.definition, {}))
        _check_given(definition, given)
        course = Course(definition.start, {INPUT: dict(given)})
        return await self._begin(workflow, n, definition, course, source, ref, key_id)

    async def _begin(
        self, workflow: Workflow, n: int, definition: Definition, course: Course, source: str, ref: str, key_id: UUID,
        *, node: str = "",
    ) -> Run:  # fmt: skip
        seal = await self._seals.of(workflow.org_id)
        if (known := await store.by_ref(self._db, workflow.id, ref)) is not None:
            return self._opened_run(seal, known)
        run = msgspec.structs.replace(
            await self._made(workflow, n, definition, course, source, key_id), node=node
        )  # fmt: skip
        async with self._db.transaction() as conn:
            begun = await store.begin(conn, run, ref)
        return self._opened_run(seal, begun)

    async def _made(
        self, workflow: Workflow, n: int, definition: Definition, course: Course, source: str, key_id: UUID
    ) -> Run:
        """A run that is not begun yet; TooManyStarts."""
        if await store.open_count(self._db, workflow.org_id) >= OPEN_MAX:
            raise TooManyStarts(OPEN_MAX, "of an organisation are open at once", "同一机构同时")
        now, seal = self._clock.now(), await self._seals.of(workflow.org_id)
        kept = seal.json(COURSE, msgspec.to_builtins(course))
        return Run(
            new_id(), workflow.id, n, workflow.org_id, key_id, source, "waiting", kept, None, None,
            "", 0, definition.budget_micro, 0, now, now, now + timedelta(hours=definition.hours_max),
        )  # fmt: skip

    async def part(self, parent: Run, n: int) -> Run | None:
        """The run that is the n-th step of another one; None before it began."""
        found = await store.part(self._db, parent.id, n)
        return None if found is None else self._opened_run(await self._seals.of(parent.org_id), found)

    async def begin_part(
        self, parent: Run, n: int, slug: str, given: Mapping[str, Any], most_micro: int,
        rest: Callable[[Any], Awaitable[bool]], data_class: str = "general",
    ) -> None:  # fmt: skip
        """Begin another workflow as the n-th step of a run, within what is left of its budget and time, by its key;
        its parent goes to `rest` in the same transaction."""
        if parent.depth >= DEPTH_MAX:
            raise StepFailed("too_deep", f"Workflows stand at most {DEPTH_MAX} deep in each other",
                             f"工作流最多嵌套 {DEPTH_MAX} 层")  # fmt: skip
        if await store.steps_in_all(self._db, parent.id) >= STEPS_IN_ALL_MAX:
            raise StepFailed(
                "too_many_steps", f"What one start sets going has at most {STEPS_IN_ALL_MAX} steps in all",
                f"一次启动连同其子工作流最多 {STEPS_IN_ALL_MAX} 步",
            )  # fmt: skip
        workflow = await self.one(parent.org_id, slug)
        if workflow.published is None:
            raise NotPublished(slug)
        definition = shaped((await self.version(parent.org_id, slug, workflow.published)).definition)
        _check_given(definition, given)
        run = await self._made(
            workflow, workflow.published, definition,
            Course(definition.start, {INPUT: dict(given)}, data_class=data_class), "workflow", parent.key_id,
        )  # fmt: skip
        run = msgspec.structs.replace(
            run, parent=parent.id, parent_n=n, depth=parent.depth + 1,
            budget_micro=min(run.budget_micro, most_micro), expires_at=min(run.expires_at, parent.expires_at),
        )  # fmt: skip
        async with self._db.transaction() as conn:
            if await rest(conn):
                await store.begin(conn, run, f"run:{parent.id}:{n}")

    async def try_node(
        self, org_id: UUID, slug: str, node: str, variables: Mapping[str, Any], *, ref: str, key_id: UUID | None = None
    ) -> Run:
        """Run one node of the draft (of what is published, where there is none) alone, on these variables: paid and
        bounded like any run. The same `ref` again is the same run."""
        if not 1 <= len(ref) <= REF_MAX_CHARS:
            raise BadTrigger(f"A reference has 1 to {REF_MAX_CHARS} signs", f"幂等编号须为 1–{REF_MAX_CHARS} 字符")
        workflow, definition, n = await self._written(org_id, slug)
        if _too_large(variables):
            raise BadTrigger(f"Variables have at most {GIVEN_MAX_BYTES} bytes", f"变量不超过 {GIVEN_MAX_BYTES} 字节")
        try:
            found = problems_alone(definition, node, set(variables))
        except KeyError as error:
            raise UnknownWork("node", "节点") from error
        if found:
            raise BadDefinition(found)
        course = Course(node, dict(variables))
        return await self._begin(
            workflow, n, definition, course, "hand", f"node:{ref}", key_id or await self._key_of(org_id), node=node
        )

    async def wants(self, org_id: UUID, slug: str, node: str) -> dict[str, Any]:
        """What a node needs to be tried, with what the newest run that had it left there; None where none had."""
        workflow, definition, _ = await self._written(org_id, slug)
        try:
            names = wants(definition, node)
        except KeyError as error:
            raise UnknownWork("node", "节点") from error
        seal, found = await self._seals.of(org_id), dict.fromkeys(names)
        for run in await store.runs(self._db, org_id, workflow.id, None):
            course = seal.open_json(COURSE, run.course, {})
            for name, value in course.get("variables", {}).items():
                if name in found and found[name] is None:
                    found[name] = value
        if INPUT in found and found[INPUT] is None:
            found[INPUT] = dict.fromkeys(definition.inputs, "")
        return found

    async def _written(self, org_id: UUID, slug: str) -> tuple[Workflow, Definition, int]:
        """A workflow with its draft, or with what is published where there is none."""
        workflow = await self.one(org_id, slug)
        n = workflow.draft or workflow.published
        if n is None:
            raise NotPublished(slug)
        return workflow, shaped((await self.version(org_id, slug, n)).definition), n

    async def runs(self, org_id: UUID, slug: str | None = None, before: UUID | None = None) -> list[Run]:
        """An organisation's runs, newest first, a page."""
        workflow = None if slug is None else (await self.one(org_id, slug)).id
        seal = await self._seals.of(org_id)
        return [self._opened_run(seal, one) for one in await store.runs(self._db, org_id, workflow, before)]

    async def costs(self, org_id: UUID, first: date, last: date) -> list[Cost]:
        """What an organisation paid for workflows by day, workflow and key, both days included; the newest COSTS_MAX.
        An agent that a workflow asks is in both."""
        return await store.costs(self._db, org_id, *span(*checked_days(first, last)), COSTS_MAX)

    async def trace(self, run_id: UUID, org_id: UUID) -> tuple[Run, list[Step]]:
        """A run and its steps with what each cost."""
        found = await store.run(self._db, run_id)
        if found is None or found.org_id != org_id:
            raise UnknownWork("run", "运行")
        return self._opened_run(await self._seals.of(org_id), found), [
            msgspec.structs.replace(step, answer=None) for step in await store.steps(self._db, run_id)
        ]

    async def parts(self, run_id: UUID, org_id: UUID) -> list[Run]:
        """The runs that are steps of one, in their order."""
        run, _ = await self.trace(run_id, org_id)
        seal = await self._seals.of(org_id)
        return [self._opened_run(seal, one) for one in await store.parts(self._db, run.id)]

    async def cancel(self, run_id: UUID, org_id: UUID) -> Run:
        """Do nothing more of a run; the step that is on its way is finished, and paid. Again is the same."""
        await self.trace(run_id, org_id)
        await store.cancel(self._db, run_id, self._clock.now())
        run, _ = await self.trace(run_id, org_id)  # from here on it can't begin to rest
        if run.state in ("waiting", "paused"):
            failure = StepFailed("cancelled", "The run was cancelled", "运行已取消")
            await self._end(await self._seals.of(org_id), run, "cancelled", failure)
        for part in await store.parts(self._db, run_id):
            if part.ended_at is None:
                await self.cancel(part.id, org_id)
        return (await self.trace(run_id, org_id))[0]

    async def _end(self, seal: Seal, run: Run, state: str, failure: ShanheError) -> None:
        async with self._db.transaction() as conn:
            await store.end(conn, run.id, state, ending(seal, {}, failure, self._clock.now()))

    def _opened_run(self, seal: Seal, one: Run) -> Run:
        course = seal.open_json(COURSE, one.course, {"at": ""})
        return msgspec.structs.replace(
            one, course=course, result=seal.open_json(RESULT, one.result, {}), why=seal.open_json(WHY, one.why, {})
        )

    async def seal_of(self, org_id: UUID) -> Seal:
        return await self._seals.of(org_id)

    async def definition_of(self, run: Run) -> Definition:
        """What a run goes by: the version it began with."""
        found = await store.version(self._db, run.workflow, run.version)
        assert found is not None
        definition = shaped((await self._seals.of(run.org_id)).open_json(DEFINITION, found.definition, {}))
        return alone(definition, run.node) if run.node else definition

    # -- approvals ----------------------------------------------------------------------------------------------------

    async def inbox(self, org_id: UUID, person: UUID, roles: Sequence[str]) -> list[Waiting]:
        """What waits for a person's word."""
        seal = await self._seals.of(org_id)
        return [
            msgspec.structs.replace(one, shows=seal.open(SHOWS, one.shows))
            for one in await store.inbox(self._db, org_id, [*roles, str(person)])
        ]

    async def decide(
        self, approval: UUID, *, org_id: UUID, person: UUID, roles: Sequence[str], approve: bool, note: str = ""
    ) -> Waiting:
        """Say yes or no; the run goes on. The same word of the same person again changes nothing."""
        if len(note) > NOTE_MAX_CHARS:
            raise BadTrigger(f"A note has at most {NOTE_MAX_CHARS} signs", f"意见不超过 {NOTE_MAX_CHARS} 字")
        seal, verdict, by = await self._seals.of(org_id), "approved" if approve else "refused", f"person:{person}"
        now = self._clock.now()
        async with self._db.transaction() as conn:
            found = await store.waiting(conn, approval, lock=True)
            if found is None or found.org_id != org_id:
                raise UnknownWork("approval", "审批")
            if found.who not in (*roles, str(person)):
                raise NotYourApproval()
            if found.verdict:
                if (found.verdict, found.decided_by) == (verdict, by):
                    return msgspec.structs.replace(found, shows=seal.open(SHOWS, found.shows))
                raise AlreadyDecided()
            if found.expires_at <= now:
                raise AlreadyDecided()
            await store.decide(conn, found, verdict, seal.text(NOTE, note), by, now)
            done = await store.waiting(conn, approval)
        assert done is not None
        return msgspec.structs.replace(done, shows=seal.open(SHOWS, done.shows), note=note)

    # -- what starts them by itself -----------------------------------------------------------------------------------

    async def set_schedule(
        self, org_id: UUID, slug: str, content: Any, given: Mapping[str, Any], *, by: str, key_id: UUID | None = None
    ) -> dict[str, Any]:
        """Start it at times from now on; the schedule that was before is replaced. `key_id` pays."""
        form, workflow, now = schedule_of(content), await self.one(org_id, slug), self._clock.now()
        if workflow.published is None:
            raise NotPublished(slug)
        seal = await self._seals.of(org_id)
        _check_given(shaped((await self.version(org_id, slug, workflow.published)).definition), given)
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
        if await store.by_ref(self._db, workflow.id, ref) is None:
            since = now - timedelta(minutes=1)
            if await store.started_since(self._db, workflow.id, "webhook", since) >= CALLS_A_MINUTE:
                raise TooManyStarts(CALLS_A_MINUTE, "a minute by webhooks", "Webhook 每分钟")
        return await self._start(workflow, given, "webhook", ref, key_id)

    async def tick(self) -> int:
        """Start what is due, end what is late; how many."""
        now, done = self._clock.now(), 0
        for row in await store.due(self._db, now):
            done += await self._started(row)
        for approval in await store.late(self._db, now):
            async with self._db.transaction() as conn:
                found = await store.waiting(conn, approval, lock=True)
                if found is not None and not found.verdict:
                    await store.decide(conn, found, "expired", "", "system", now)
                    done += 1
        for run in await store.overdue(self._db, now):
            await self._end(await self._seals.of(run.org_id), run, "failed", expired())
            done += 1
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

    async def purge(self) -> int:
        """Forget runs that nobody needs any more."""
        return await store.purge(self._db, self._clock.now() - KEEP)


def mark_of(definition: Mapping[str, Any]) -> str:
    """What a definition is recognised by; the same for the same content."""
    return hashlib.sha256(msgspec.json.encode(definition, order="deterministic")).hexdigest()[:MARK_CHARS]


def _check_title(title: str) -> None:
    if not 1 <= len(title.strip()) <= TITLE_MAX_CHARS or any(ord(sign) < 32 for sign in title):
        raise BadDefinition([("", "title", f"标题须为 1–{TITLE_MAX_CHARS} 字",
                              f"the title has 1 to {TITLE_MAX_CHARS} signs")])  # fmt: skip


def _check_given(definition: Definition, given: Mapping[str, Any]) -> None:
    """What a run is given must be there; more may be, as webhooks send what they send."""
    missing = [name for name in definition.inputs if name not in given]
    if missing:
        raise BadTrigger(f"The run needs {', '.join(missing)}", f"缺少输入：{'、'.join(missing)}")
    if _too_large(given):
        raise BadTrigger(f"What a run is given has at most {GIVEN_MAX_BYTES} bytes",
                         f"输入不超过 {GIVEN_MAX_BYTES} 字节")  # fmt: skip


def _too_large(given: Mapping[str, Any]) -> bool:
    return len(msgspec.json.encode(given, enc_hook=str)) > GIVEN_MAX_BYTES
