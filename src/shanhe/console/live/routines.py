"""Workflows over their module, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from shanhe.console import model as m
from shanhe.console.live.modules import actor_of
from shanhe.kernel.ids import new_id
from shanhe.workflows.api import Workflows, known_at, mark_of, shaped
from shanhe.workflows.routes import roles_of

if TYPE_CHECKING:
    from shanhe.console.live.modules import Modules

RUNS_SHOWN = 20
EMPTY: Mapping[str, Any] = {"start": "", "nodes": []}


class LiveRoutines:
    def __init__(self, modules: Modules) -> None:
        self._modules = modules

    @property
    def _workflows(self) -> Workflows:
        return self._modules.routines.workflows

    async def overview(self, who: m.Who) -> Mapping[str, Any]:
        runs = (await self._workflows.runs(who.org_id))[:RUNS_SHOWN]
        waiting = await self._workflows.inbox(who.org_id, who.person_id, roles_of(actor_of(who)))
        return {"workflows": await self._workflows.mine(who.org_id), "runs": runs, "waiting": len(waiting)}

    async def version(self, who: m.Who, slug: str, n: int) -> Mapping[str, Any]:
        content: Mapping[str, Any] = (await self._workflows.version(who.org_id, slug, n)).definition
        return content

    async def make(self, who: m.Who, slug: str, title: str, definition: Mapping[str, Any]) -> str:
        by = actor_of(who).ref
        shaped(definition)  # before anything is made
        made = await self._workflows.create(slug, title, org_id=who.org_id, by=by)
        await self._workflows.save(who.org_id, slug, definition, by=by)
        return made.slug

    async def one(self, who: m.Who, slug: str) -> Mapping[str, Any]:
        found = await self._workflows.one(who.org_id, slug)
        n = found.draft or found.published
        content = EMPTY if n is None else (await self._workflows.version(who.org_id, slug, n)).definition
        problems, given = self._workflows.check(content), ()
        if found.published is not None:
            given = (await self._workflows.version(who.org_id, slug, found.published)).definition["inputs"]
        return {
            "workflow": found, "definition": content, "mark": mark_of(content), "problems": problems, "given": given,
            "known": known_at(shaped(content)), "tools": await self._modules.tools.for_sale(),
            "uses": await self._workflows.uses(who.org_id, slug),
            "runs": (await self._workflows.runs(who.org_id, slug))[:RUNS_SHOWN],
            "versions": await self._workflows.versions(who.org_id, slug),
            "schedule": await self._workflows.schedule(who.org_id, slug),
            "hooks": [one for one in await self._workflows.hooks(who.org_id, slug) if one.revoked_at is None],
        }  # fmt: skip

    async def delete(self, who: m.Who, slug: str, *, anyway: bool) -> None:
        await self._workflows.delete(who.org_id, slug, by=actor_of(who).ref, anyway=anyway)

    async def save(self, who: m.Who, slug: str, definition: Mapping[str, Any], base: str | None) -> str:
        saved = await self._workflows.save(who.org_id, slug, definition, by=actor_of(who).ref, base=base)
        return mark_of(saved.definition)

    async def publish(self, who: m.Who, slug: str) -> None:
        await self._workflows.publish(who.org_id, slug)

    async def start(self, who: m.Who, slug: str, given: Mapping[str, Any], ref: str) -> UUID:
        found = await self._workflows.one(who.org_id, slug)
        draft = found.draft is not None
        return (await self._workflows.start(who.org_id, slug, given, ref=ref or str(new_id()), draft=draft)).id

    async def run(self, who: m.Who, run_id: UUID) -> Mapping[str, Any]:
        run, steps = await self._workflows.trace(run_id, who.org_id)
        parts = {one.parent_n: one.id for one in await self._workflows.parts(run_id, who.org_id)}
        return {"run": msgspec.structs.replace(run, course=None), "steps": steps, "parts": parts}

    async def wants(self, who: m.Who, slug: str, node: str) -> Mapping[str, Any]:
        return await self._workflows.wants(who.org_id, slug, node)

    async def try_node(self, who: m.Who, slug: str, node: str, variables: Mapping[str, Any], ref: str) -> UUID:
        return (await self._workflows.try_node(who.org_id, slug, node, variables, ref=ref or str(new_id()))).id

    async def cancel(self, who: m.Who, run_id: UUID) -> None:
        await self._workflows.cancel(run_id, who.org_id)

    async def inbox(self, who: m.Who) -> Any:
        return await self._workflows.inbox(who.org_id, who.person_id, roles_of(actor_of(who)))

    async def decide(self, who: m.Who, approval: UUID, *, approve: bool, note: str) -> None:
        await self._workflows.decide(
            approval, org_id=who.org_id, person=who.person_id, roles=roles_of(actor_of(who)), approve=approve, note=note
        )

    async def add_hook(self, who: m.Who, slug: str) -> tuple[UUID, str]:
        hook, secret = await self._workflows.add_hook(who.org_id, slug, by=actor_of(who).ref)
        return hook.id, secret

    async def revoke_hook(self, who: m.Who, slug: str, hook: UUID) -> None:
        await self._workflows.revoke_hook(who.org_id, slug, hook)

    async def schedule(self, who: m.Who, slug: str, form: Mapping[str, Any] | None, given: Mapping[str, Any]) -> None:
        if form is None:
            await self._workflows.stop_schedule(who.org_id, slug)
        else:
            await self._workflows.set_schedule(who.org_id, slug, form, given, by=actor_of(who).ref)

    # -- evaluation sets ----------------------------------------------------------------------------------------------

    async def evaluation(self, who: m.Who, agent: str) -> Mapping[str, Any]:
        trials = self._modules.routines.trials
        return {"cases": await trials.cases(who.org_id, agent), "reports": await trials.reports(who.org_id, agent)}

    async def set_cases(self, who: m.Who, agent: str, cases: Any) -> None:
        await self._modules.routines.trials.set_cases(who.org_id, agent, cases, by=actor_of(who).ref)

    async def evaluate(self, who: m.Who, agent: str) -> None:
        await self._modules.routines.trials.run(who.org_id, agent)

    async def excuse(self, who: m.Who, agent: str, reason: str) -> None:
        await self._modules.routines.trials.excuse(who.org_id, agent, reason, by=actor_of(who).ref)
