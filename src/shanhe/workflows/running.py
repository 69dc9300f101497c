"""Runs: beginning them, as somebody's start or as a step of another, looking at them, ending them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.clock import Clock
from shanhe.kernel.days import checked_days, span
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seal, Seals
from shanhe.workflows import run_store, store
from shanhe.workflows.alone import alone, problems_alone, wants
from shanhe.workflows.checking import read, shaped
from shanhe.workflows.errors import (
    BadDefinition,
    BadTrigger,
    NotPublished,
    StepFailed,
    TooManyStarts,
    UnknownWork,
    UnknownWorkflow,
)
from shanhe.workflows.model import (
    COSTS_MAX,
    DEPTH_MAX,
    INPUT,
    STEPS_IN_ALL_MAX,
    Cost,
    Course,
    Definition,
    Run,
    Step,
    Workflow,
)
from shanhe.workflows.walker import COURSE, RESULT, WHY, cancelled, ended_by, ending
from shanhe.workflows.writing import DEFINITION, Writing

OPEN_MAX: Final = 100
"""Open runs of one organisation."""
GIVEN_MAX_BYTES: Final = 64 * 1024
REF_MAX_CHARS: Final = 120
KEEP: Final = timedelta(days=366)
KeyOf = Callable[[UUID], Awaitable[UUID]]
"""The key by which an organisation pays for runs that nobody's own key started."""
IsMember = Callable[[UUID, UUID], Awaitable[bool]]
"""Whether an organisation has this person."""


class Running(Writing):
    """Runs of an organisation's workflows; who works on them is `runner`."""

    def __init__(
        self, db: Database, clock: Clock, *, key_of: KeyOf, is_member: IsMember, seals: Seals | None = None
    ) -> None:  # fmt: skip
        super().__init__(db, clock, seals)
        self._key_of = key_of
        self._is_member = is_member

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
        if (known := await run_store.by_ref(self._db, workflow.id, ref)) is not None:
            return self._opened_run(seal, known)
        n = workflow.draft if draft else workflow.published
        if n is None:
            raise NotPublished(workflow.slug)
        found = await store.version(self._db, workflow.id, n)
        assert found is not None
        definition = read(seal.open_json(DEFINITION, found.definition, {}))
        check_given(definition, given)
        course = Course(definition.start, {INPUT: dict(given)})
        return await self._begin(workflow, n, definition, course, source, ref, key_id)

    async def _begin(
        self, workflow: Workflow, n: int, definition: Definition, course: Course, source: str, ref: str, key_id: UUID,
        *, node: str = "",
    ) -> Run:  # fmt: skip
        seal = await self._seals.of(workflow.org_id)
        if (known := await run_store.by_ref(self._db, workflow.id, ref)) is not None:
            return self._opened_run(seal, known)
        run = msgspec.structs.replace(
            await self._made(workflow, n, definition, course, source, key_id), node=node
        )  # fmt: skip
        async with self._db.transaction() as conn:
            begun = await run_store.begin(conn, run, ref)
        if begun is None:
            raise UnknownWorkflow(workflow.slug)
        return self._opened_run(seal, begun)

    async def _made(
        self, workflow: Workflow, n: int, definition: Definition, course: Course, source: str, key_id: UUID
    ) -> Run:
        """A run that is not begun yet; TooManyStarts."""
        if await run_store.open_count(self._db, workflow.org_id) >= OPEN_MAX:
            raise TooManyStarts(OPEN_MAX, "of an organisation are open at once", "同一机构同时")
        now, seal = self._clock.now(), await self._seals.of(workflow.org_id)
        kept = seal.json(COURSE, msgspec.to_builtins(course))
        return Run(
            new_id(), workflow.id, n, workflow.org_id, key_id, source, "waiting", kept, None, None,
            "", 0, definition.budget_micro, 0, now, now, now + timedelta(hours=definition.hours_max),
        )  # fmt: skip

    async def part(self, parent: Run, n: int) -> Run | None:
        """The run that is the n-th step of another one; None before it began."""
        found = await run_store.part(self._db, parent.id, n)
        return None if found is None else self._opened_run(await self._seals.of(parent.org_id), found)

    async def end_part(self, part: Run) -> None:
        """Do nothing more of a run that is a step of another one."""
        await self.cancel(part.id, part.org_id)

    async def _published(self, org_id: UUID, slug: str) -> tuple[Workflow, int, Definition]:
        """A workflow as it runs now; NotPublished."""
        workflow = await self.one(org_id, slug)
        if workflow.published is None:
            raise NotPublished(slug)
        found = await self.version(org_id, slug, workflow.published)
        return workflow, found.n, shaped(found.definition)

    async def begin_part(
        self, parent: Run, n: int, slug: str, given: Mapping[str, Any], hold: Callable[[Any], Awaitable[bool]],
        data_class: str = "general",
    ) -> None:  # fmt: skip
        """Begin another workflow as the n-th step of a run, within its budget and the time that is left, by its key;
        `hold` says whether its parent still goes on."""
        if parent.depth >= DEPTH_MAX:
            raise StepFailed("too_deep", f"Workflows stand at most {DEPTH_MAX} deep in each other",
                             f"工作流最多嵌套 {DEPTH_MAX} 层")  # fmt: skip
        if await run_store.steps_in_all(self._db, parent.id) >= STEPS_IN_ALL_MAX:
            raise StepFailed(
                "too_many_steps", f"What one start sets going has at most {STEPS_IN_ALL_MAX} steps in all",
                f"一次启动连同其子工作流最多 {STEPS_IN_ALL_MAX} 步",
            )  # fmt: skip
        workflow, n_published, definition = await self._published(parent.org_id, slug)
        check_given(definition, given)
        course = Course(definition.start, {INPUT: dict(given)}, data_class=data_class)
        run = await self._made(workflow, n_published, definition, course, "workflow", parent.key_id)
        run = msgspec.structs.replace(
            run, parent=parent.id, parent_n=n, depth=parent.depth + 1,
            budget_micro=min(run.budget_micro, parent.budget_micro), expires_at=min(run.expires_at, parent.expires_at),
        )  # fmt: skip
        async with self._db.transaction() as conn:
            # the workflow before the run: whoever takes it away locks them in this order, and this may be a run of it
            if await store.stands(conn, workflow.id) and await hold(conn):
                await run_store.begin(conn, run, f"run:{parent.id}:{n}")

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
        for run in await run_store.runs(self._db, org_id, workflow.id, None):
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
        return [self._opened_run(seal, one) for one in await run_store.runs(self._db, org_id, workflow, before)]

    async def costs(self, org_id: UUID, first: date, last: date) -> list[Cost]:
        """What an organisation paid for workflows by day, workflow and key, both days included; the newest COSTS_MAX.
        An agent that a workflow asks is in both."""
        return await run_store.costs(self._db, org_id, *span(*checked_days(first, last)), COSTS_MAX)

    async def trace(self, run_id: UUID, org_id: UUID) -> tuple[Run, list[Step]]:
        """A run and its steps with what each cost."""
        found = await run_store.run(self._db, run_id)
        if found is None or found.org_id != org_id:
            raise UnknownWork("run", "运行")
        return self._opened_run(await self._seals.of(org_id), found), [
            msgspec.structs.replace(step, answer=None) for step in await run_store.steps(self._db, run_id)
        ]

    async def parts(self, run_id: UUID, org_id: UUID) -> list[Run]:
        """The runs that are steps of one, in their order."""
        run, _ = await self.trace(run_id, org_id)
        seal = await self._seals.of(org_id)
        return [self._opened_run(seal, one) for one in await run_store.parts(self._db, run.id)]

    async def cancel(self, run_id: UUID, org_id: UUID) -> Run:
        """Do nothing more of a run; the step that is on its way is finished, and paid. Again is the same."""
        await self.trace(run_id, org_id)
        seal = await self._seals.of(org_id)
        async with self._db.transaction() as conn:
            await self._cancel(conn, seal, run_id)
        return (await self.trace(run_id, org_id))[0]

    async def _cancel(self, conn: Any, seal: Seal, run_id: UUID) -> None:
        """End a run and its parts, or have those who work on them end them; all of it or nothing."""
        for one in await run_store.cancel(conn, run_id, self._clock.now()):
            await self._end(conn, seal, one, "cancelled", cancelled())

    async def _end(self, conn: Any, seal: Seal, run_id: UUID, state: str, failure: ShanheError) -> bool:
        """End a run that nobody works on; False where somebody does."""
        over = ending(seal, {}, ended_by(state, failure), self._clock.now())
        return await run_store.end(conn, run_id, state, over, at_rest=True)

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

    async def purge(self) -> int:
        """Forget runs that nobody needs any more."""
        return await run_store.purge(self._db, self._clock.now() - KEEP)


def check_given(definition: Definition, given: Mapping[str, Any]) -> None:
    """What a run is given must be there; more may be, as webhooks send what they send."""
    missing = [name for name in definition.inputs if name not in given]
    if missing:
        raise BadTrigger(f"The run needs {', '.join(missing)}", f"缺少输入：{'、'.join(missing)}")
    if _too_large(given):
        raise BadTrigger(f"What a run is given has at most {GIVEN_MAX_BYTES} bytes",
                         f"输入不超过 {GIVEN_MAX_BYTES} 字节")  # fmt: skip


def _too_large(given: Mapping[str, Any]) -> bool:
    return len(msgspec.json.encode(given, enc_hook=str)) > GIVEN_MAX_BYTES
