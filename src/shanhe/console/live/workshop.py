"""Data sets, studio jobs and models over the modules, as plain data: what their own HTTP views say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from shanhe.batches.api import batch_view
from shanhe.compute.api import Compute
from shanhe.console import model as m
from shanhe.console.live.modules import Workshop, actor_of
from shanhe.datasets.api import Cleaning, NewDataset
from shanhe.datasets.routes import dataset_view, page, version_view
from shanhe.gateway.api import PRIVATE
from shanhe.identity.api import PermissionMissing
from shanhe.studio.api import QUANTA, RUBRIC, sample_of, template, templates
from shanhe.studio.routes import job_page, job_view, made_view, recipe_of

PREVIEW_ROWS = 10
BATCHES_SHOWN = 20
ANSWERS_SHOWN = 24
NUMBERS = ("epochs", "drop_layers", "heal_epochs", "layers", "rate_ppm", "align_epochs", "judge_questions")


class LiveWorkshop:
    def __init__(self, workshop: Workshop, compute: Compute) -> None:
        self._datasets = workshop.datasets
        self._studio = workshop.studio
        self._batches = workshop.batches
        self._compute = compute
        self._bases = [card.id for card in compute.cards() if card.kind == "chat"]

    async def overview(self, who: m.Who) -> Mapping[str, Any]:
        org = seen_by(who)
        batches, _ = await self._batches.batches(org, limit=BATCHES_SHOWN)
        datasets = await self._datasets.datasets(org)
        newest = await self._datasets.newest(datasets)
        return {
            "datasets": [
                dataset_view(one) | {"newest": version_view(newest[one.id]) if one.id in newest else None}
                for one in datasets
            ],
            "jobs": [job_view(one) for one in await self._studio.jobs(org)],
            "models": [made_view(one) for one in await self._studio.models(org)],
            "batches": [batch_view(one) for one in batches],
        }

    async def bring(self, who: m.Who, fields: Mapping[str, str], name: str, data: bytes) -> UUID:
        wanted = {field: fields.get(field, "") for field in ("name", "form", "licence", "consent", "note")}
        return (await self._datasets.bring(paying(who), NewDataset(**wanted), name, data, by=by(who))).id

    async def version(self, who: m.Who, version_id: UUID) -> Mapping[str, Any]:
        dataset, found = await self._datasets.version(version_id, seen_by(who))
        rows = [] if found.forgotten_at else await self._datasets.preview(found, most=PREVIEW_ROWS)
        return version_view(found) | {
            "dataset": await page(self._datasets, dataset), "preview": rows, "bases": self._bases
        }  # fmt: skip

    async def clean(self, who: m.Who, version_id: UUID, fields: Mapping[str, str]) -> UUID:
        wishes = Cleaning(personal=fields.get("personal", "mask"))
        if fields.get("similar") != "1":
            wishes = Cleaning(wishes.personal, 0)
        return (await self._datasets.clean(version_id, seen_by(who), wishes, by=by(who))).id

    async def forget(self, who: m.Who, version_id: UUID) -> None:
        await self._datasets.forget(version_id, seen_by(who))

    async def order(self, who: m.Who, version_id: UUID, fields: Mapping[str, str]) -> UUID:
        numbers = {name: int(fields[name]) for name in NUMBERS if fields.get(name)}
        choices = {name: True for name in ("adapter", "deploy", "imatrix") if fields.get(name) == "1"}
        quantum = {"quantum": fields["quantum"]} if fields.get("quantum") else {}
        judge = {"judge": fields["judge"], "rubric": fields.get("rubric", "")} if fields.get("judge") else {}
        recipe = recipe_of({"base": fields.get("base", ""), **quantum, **numbers, **choices, **judge})
        job = await self._studio.order(
            paying(who), fields.get("name", ""), version_id, recipe, by=by(who),
            request_key=fields.get("client_ref") or None,
        )  # fmt: skip
        return job.id

    async def job(self, who: m.Who, job_id: UUID) -> Mapping[str, Any]:
        job = await self._studio.job(job_id, seen_by(who))
        found = await job_page(self._studio, job)
        if job.ended_at is None:
            return found | {"answers": [], "made": None}
        made = await self._studio.made_by(job)
        answers = await self._studio.compare(job_id, seen_by(who))
        return found | {"answers": answers[:ANSWERS_SHOWN], "made": None if made is None else made_view(made)}

    def templates(self) -> Mapping[str, Mapping[str, str]]:
        return {name: one.title for name, one in templates().items()}

    async def begin(self, who: m.Who, name: str) -> tuple[UUID, Mapping[str, Any]]:
        one = template(name)
        new = NewDataset(one.title["zh"], one.form, "CC0-1.0", "own")
        return (await self._datasets.bring(paying(who), new, one.file, sample_of(one), by=by(who))).id, one.recipe

    async def flow(self, who: m.Who) -> Mapping[str, Any]:
        datasets = await self._datasets.datasets(seen_by(who))
        newest = await self._datasets.newest(datasets)
        versions = [
            (str(last.id), f"{one.name} · {last.number}")
            for one in datasets
            if (last := newest.get(one.id)) is not None and last.forgotten_at is None
        ]
        return {
            "versions": versions, "bases": [(base, base) for base in self._bases],
            "quanta": [(quantum, quantum) for quantum in QUANTA], "rubric": RUBRIC,
            "judges": [
                (model.id, model.id)
                for model in self._compute.models()
                if model.kind == "chat" and not model.id.startswith(PRIVATE)
            ],
        }  # fmt: skip

    async def resume(self, who: m.Who, job_id: UUID) -> UUID:
        paying(who)
        return (await self._studio.resume(job_id, seen_by(who), by=by(who))).id

    async def cancel(self, who: m.Who, job_id: UUID) -> None:
        await self._studio.cancel(job_id, seen_by(who))

    async def deploy(self, who: m.Who, name: str, number: int, share: int) -> None:
        await self._studio.deploy(name, seen_by(who), number, by=by(who), share_bps=share * 100)

    async def roll_back(self, who: m.Who, name: str) -> None:
        await self._studio.roll_back(name, seen_by(who), by=by(who))


def seen_by(who: m.Who) -> UUID | None:
    """None for operators, who see everything."""
    return None if who.may("models") else who.org_id


def paying(who: m.Who) -> UUID:
    if not who.has_org:
        raise PermissionMissing("keys")
    return who.org_id


def by(who: m.Who) -> str:
    return actor_of(who).ref
