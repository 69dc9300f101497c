"""Writing workflows down: drafts, versions, what is published."""

from __future__ import annotations

from collections.abc import Container
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.marks import mark_of
from shanhe.kernel.sealing import Seal, Seals
from shanhe.workflows import store
from shanhe.workflows.checking import problems, read, shaped
from shanhe.workflows.errors import (
    BadDefinition,
    BadTrigger,
    DraftChanged,
    SlugTaken,
    UnknownWork,
    UnknownWorkflow,
)
from shanhe.workflows.model import (
    SLUG,
    TITLE_MAX_CHARS,
    Definition,
    Knowledge,
    Version,
    Workflow,
)
from shanhe.workflows.ways import Problem

WORKFLOWS_MAX: Final = 200
TITLE, DEFINITION = "workflows.workflow.title", "workflows.version.definition"


class Writing:
    """An organisation's workflows as they are written down."""

    def __init__(self, db: Database, clock: Clock, seals: Seals | None = None) -> None:
        self._db = db
        self._clock = clock
        self._seals = seals or Seals()

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

    async def mine(self, org_id: UUID, *, most: int = store.PAGE_ROWS) -> list[Workflow]:
        """An organisation's workflows, newest first."""
        seal = await self._seals.of(org_id)
        found = await store.mine(self._db, org_id, most)
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

    async def versions(self, org_id: UUID, slug: str, *, most: int = store.PAGE_ROWS) -> list[Version]:
        """Its versions, newest first."""
        seal, workflow = await self._seals.of(org_id), await self.one(org_id, slug)
        return [self._opened(seal, one) for one in await store.versions(self._db, workflow.id, most)]

    async def looking_up(self, org_id: UUID, names: Container[str]) -> list[str]:
        """Workflows of an organisation that look things up in a base of one of these names."""
        return list(dict.fromkeys(
            one.slug for one, definition in await self._definitions(org_id)
            for node in definition.nodes if isinstance(node, Knowledge) and any(name in names for name in node.bases)
        ))  # fmt: skip

    async def _definitions(self, org_id: UUID) -> list[tuple[Workflow, Definition]]:
        """Every draft and what is published, of an organisation's own."""
        seal = await self._seals.of(org_id)
        return [
            (one, shaped(seal.open_json(DEFINITION, definition, {})))
            for one, definition in await store.definitions(self._db, org_id, WORKFLOWS_MAX)
        ]

    def _opened(self, seal: Seal, one: Version) -> Version:
        return msgspec.structs.replace(one, definition=seal.open_json(DEFINITION, one.definition, {}))


def _check_title(title: str) -> None:
    if not 1 <= len(title.strip()) <= TITLE_MAX_CHARS or any(ord(sign) < 32 for sign in title):
        raise BadDefinition([("", "title", f"标题须为 1–{TITLE_MAX_CHARS} 字",
                              f"the title has 1 to {TITLE_MAX_CHARS} signs")])  # fmt: skip
