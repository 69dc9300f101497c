"""Ordering jobs, following them, and putting what came out into service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from shanhe.compute.api import Compute, ModelCard
from shanhe.gateway.api import PRIVATE
from shanhe.kernel.asking import Announce, Parameter
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import Asset, Charge, HoldClosed, HoldState, Ledger, Leg
from shanhe.studio import store
from shanhe.studio.errors import (
    BadRecipe,
    JobEnded,
    JobNotResumable,
    NameOfAnother,
    NotDeployable,
    TooFewLessons,
    TooManyJobs,
    UnknownJob,
    UnknownMade,
)
from shanhe.studio.gguf_check import check
from shanhe.studio.jury import FILE, KIND, verdicts_in
from shanhe.studio.model import Comparison, Job, Made, Point, Recipe, Step, StepPlan, checked, estimate_core_ms, plan
from shanhe.studio.standing import DEPLOYED_TOPIC, Standing
from shanhe.studio.steps import Shelf, tail

JOBS_MAX: Final = 5
"""Most jobs of one organisation that wait or run."""
LESSONS_MIN: Final = 8
LESSONS_MAX: Final = 20_000
QUESTIONS_MAX: Final = 1_000
PAGE_MAX: Final = 200
KEPT: Final = timedelta(days=14)
"""How long results of steps wait for somebody who needs them again."""
BUDGET_MAX_MICRO: Final = 10**15
PURPOSE: Final = "studio"
WHOLE_BPS: Final = 10_000
ANSWERS_MAX: Final = 1_000
RUBRIC_FIELD: Final = "studio.job.rubric"
MADE_SLOTS: Final = 2
MADE_CONTEXT: Final = 2_048

Lessons = Callable[[UUID, UUID | None], Awaitable[tuple[Sequence[Any], Sequence[Any], UUID]]]
"""(pairs to train on, questions to evaluate with, the data set) of a version that an organisation may use."""
Used = Callable[[UUID, str, str, str], Awaitable[None]]
"""Notes what became of a version: (version, purpose, ref, name)."""


Licensed = Callable[[str, UUID], Awaitable[None]]
"""Whether an organisation may make models of this name; raises what says why not."""


class Rules:
    """What the rulebook says of the studio."""

    def __init__(self, charge: Callable[[Mapping[str, object], date], int], parameter: Parameter) -> None:
        self.charge = charge
        self.parameter = parameter

    def price(self, core_ms: int, budget_micro: int, on: date) -> int:
        return self.charge({"core_ms": core_ms, "budget_micro": budget_micro}, on)


class Studio:
    """Jobs and models. What runs them is the foreman."""

    def __init__(
        self, db: Database, clock: Clock, *, folder: Path, compute: Compute, ledger: Ledger, rules: Rules,
        lessons: Lessons, used: Used, announce: Announce, seals: Seals | None = None,
    ) -> None:  # fmt: skip
        self.licensed: Licensed | None = None
        self.db = db
        self.clock = clock
        self.rules = rules
        self.lessons = lessons
        self.used = used
        self.shelf = Shelf(folder / "steps")
        self.standing = Standing(db, ledger)
        self._announce = announce
        self._seals = seals or Seals()
        self._compute = compute
        self._ledger = ledger

    # -- ordering -----------------------------------------------------------------------------------------------------

    async def estimate(self, org_id: UUID | None, version_id: UUID, recipe: Recipe) -> dict[str, Any]:
        """Steps, processor time and price of a recipe, and the budget that would be held."""
        train, questions, _ = await self.checked_lessons(version_id, org_id)
        steps = plan(recipe, len(train), len(questions))
        return {
            "steps": [{"kind": step.kind, "title": step.title, "core_s": round(step.core_s)} for step in steps],
            **self._cost(steps), "lessons": len(train), "questions": len(questions),
        }  # fmt: skip

    def _cost(self, steps: Sequence[StepPlan]) -> dict[str, int]:
        core_ms, today = estimate_core_ms(steps), self.clock.today()
        price = self.rules.price(core_ms, BUDGET_MAX_MICRO, today)
        reserve = int(self.rules.parameter("reserve", today))
        return {"core_ms": core_ms, "price_micro": price, "budget_micro": max(1, price * reserve // 10_000)}

    async def checked_lessons(self, version_id: UUID, org_id: UUID | None) -> tuple[Sequence[Any], Sequence[Any], UUID]:
        """What a version teaches and asks; TooFewLessons, and whatever the data set's own rules refuse."""
        train, questions, dataset_id = await self.lessons(version_id, org_id)
        if len(train) < LESSONS_MIN or not questions:
            raise TooFewLessons(LESSONS_MIN)
        return train[:LESSONS_MAX], questions[:QUESTIONS_MAX], dataset_id

    async def order(
        self, org_id: UUID, name: str, version_id: UUID, recipe: Recipe, *, by: str, budget_micro: int | None = None,
        request_key: str | None = None,
    ) -> Job:  # fmt: skip
        """Queue a job and hold its budget; the same `request_key` again gives the same job.

        BadRecipe, NameOfAnother, TooFewLessons, TooManyJobs, InsufficientCredit; PersonalDataInside of the data set.
        """
        if request_key is not None and (known := await store.job_by_key(self.db, org_id, request_key)) is not None:
            return known
        checked(recipe, name)
        if not any(card.id == recipe.base and card.kind == "chat" for card in self._compute.cards()):
            raise BadRecipe(f"{recipe.base!r} is no model that can be tuned here", f"{recipe.base!r} 不能在此微调")
        self._judge_there(recipe.judge)
        await self.opponent(name, org_id, recipe)
        await self._name_free(org_id, name)
        if self.licensed is not None:
            await self.licensed(name, org_id)
        train, questions, dataset_id = await self.checked_lessons(version_id, org_id)
        steps = plan(recipe, len(train), len(questions))
        now = self.clock.now()
        job_id = new_id() if request_key is None else uuid5(org_id, f"studio {request_key}")
        job = Job(
            id=job_id, org_id=org_id, name=name, dataset_id=dataset_id, version_id=version_id,
            recipe=msgspec.to_builtins(recipe) | {"rubric": ""}, rubric=recipe.rubric, state="waiting",
            steps=len(steps), budget_micro=budget_micro or self._cost(steps)["budget_micro"], spent_micro=0, core_ms=0,
            hold_id=new_id(), worker=None, cancel_asked=False, error=None, made_by=by, made_at=now,
            started_at=None, ended_at=None, settled_at=None,
        )  # fmt: skip
        if not 0 < job.budget_micro <= BUDGET_MAX_MICRO:
            raise BadRecipe("the budget is not positive, or far too large", "预算须为正数且不得过大")
        wallet = await self._ledger.ensure_account(org_id, Asset.CREDIT, "wallet")
        until = now + timedelta(days=int(self.rules.parameter("hold_days", self.clock.today())))
        hold = await self._ledger.hold(
            wallet.id, job.budget_micro, hold_id=job.hold_id, purpose=PURPOSE, expires_at=until
        )
        try:
            kept = await self._kept(job, request_key, steps)
        except BaseException:
            found = await store.job(self.db, job.id, org_id)
            if found is None or found.hold_id != job.hold_id:  # a connection may break just after it was kept
                await self._ledger.release(hold)
            raise
        if kept.hold_id != job.hold_id:  # of two that came at once under one key
            await self._ledger.release(hold)
        return kept

    async def _kept(self, job: Job, request_key: str | None, steps: Sequence[StepPlan]) -> Job:
        """The job, or the one that its key has by now."""
        seal = await self._seals.of(job.org_id)
        async with self.db.transaction() as conn:
            await store.lock_org(conn, job.org_id)
            if request_key is not None and (known := await store.job_by_key(conn, job.org_id, request_key)) is not None:
                return known
            if await store.open_count(conn, job.org_id) >= JOBS_MAX:
                raise TooManyJobs(JOBS_MAX)
            stored = msgspec.structs.replace(job, rubric=seal.text(RUBRIC_FIELD, job.rubric))
            await store.insert_job(conn, stored, request_key, steps)
        return job

    def _judge_there(self, name: str) -> None:
        found = self._compute.model(name) if name else None
        if name and (found is None or found.kind != "chat"):
            raise BadRecipe(f"{name!r} is no model here that can judge", f"{name!r} 不能在此担任裁判")

    async def opponent(self, name: str, org_id: UUID, recipe: Recipe) -> Made | None:
        """The version that a recipe compares with; BadRecipe where there is none that can answer."""
        if not recipe.against:
            return None
        found = await store.made(self.db, name, recipe.against, org_id)
        if found is None or found.state == "destroyed" or bool(found.card.get("adapters")) != recipe.adapter:
            en, zh = f"there is no version {recipe.against} of {name} to compare with", "没有可供对比的该版本"
            raise BadRecipe(en, zh)
        return found

    async def comparisons(self, one: Made) -> list[Comparison]:
        """What a model was compared with, on questions that neither learnt from."""
        return await store.comparisons(self.db, one.id)

    async def recipe_of(self, job: Job) -> Recipe:
        """What was ordered, the rubric with it."""
        return msgspec.convert(job.recipe | {"rubric": await self.rubric_of(job)}, Recipe)

    async def rubric_of(self, job: Job) -> str:
        """What the judge was told to look at, for whoever ordered it."""
        return (await self._seals.of(job.org_id)).open(RUBRIC_FIELD, job.rubric)

    async def _name_free(self, org_id: UUID, name: str) -> None:
        owner = await store.owner_of_name(self.db, name)
        if owner not in (None, org_id) or (owner is None and self._compute.model(name) is not None):
            raise NameOfAnother(name)

    # -- following ----------------------------------------------------------------------------------------------------

    async def job(self, job_id: UUID, org_id: UUID | None) -> Job:
        found = await store.job(self.db, job_id, org_id)
        if found is None:
            raise UnknownJob(str(job_id))
        return found

    async def jobs(self, org_id: UUID | None, limit: int = 50) -> list[Job]:
        """The newest first; None = of every organisation."""
        return await store.jobs(self.db, org_id, limit)

    async def steps(self, job: Job) -> list[Step]:
        return await store.steps(self.db, job.id)

    async def points(self, job: Job) -> list[Point]:
        """The loss curves of all steps."""
        return await store.points(self.db, job.id)

    async def log(self, job: Job) -> str:
        """The last words of the step that runs or ran last."""
        begun = [step.hash for step in await self.steps(job) if step.hash is not None]
        return await asyncio.to_thread(tail, self.shelf.folder(begun[-1])) if begun else ""

    async def cancel(self, job_id: UUID, org_id: UUID | None) -> Job:
        """End a job; what it used until then is charged. JobEnded."""
        job = await self.job(job_id, org_id)
        if job.ended_at is not None:
            raise JobEnded(job.state)
        async with self.db.transaction() as conn:
            await store.ask_cancel(conn, job_id)
            await store.changed(conn)
        return await self.job(job_id, org_id)

    async def resume(self, job_id: UUID, org_id: UUID | None, *, by: str) -> Job:
        """Order an ended job again: finished steps are on the shelf, the one that ran goes on from its checkpoint.

        Once for each job. JobNotResumable; whatever ordering refuses.
        """
        job = await self.job(job_id, org_id)
        if job.ended_at is None or job.state == "done":
            raise JobNotResumable(job.state)
        recipe = await self.recipe_of(job)
        return await self.order(job.org_id, job.name, job.version_id, recipe, by=by, request_key=f"resume {job.id}")

    async def compare(self, job_id: UUID, org_id: UUID | None) -> list[dict[str, Any]]:
        """What the base and the model answered to the same questions, and what the judge said; those first that one of
        them got wrong."""
        job = await self.job(job_id, org_id)
        steps = await self.steps(job)
        tests = [step for step in steps if step.kind == "evaluate" and step.state in ("done", "cached")]
        if len(tests) < 2 or tests[0].hash is None or tests[-1].hash is None:
            return []
        before, after = (self.shelf.file(hashed, "answers.jsonl") for hashed in (tests[0].hash, tests[-1].hash))
        judge = next((step for step in steps if step.kind == KIND), None)
        verdicts: dict[int, dict[str, Any]] = {}
        if judge is not None and judge.hash is not None:
            verdicts = await asyncio.to_thread(verdicts_in, self.shelf.file(judge.hash, FILE))
        return await asyncio.to_thread(side_by_side, before, after, verdicts)

    async def tidy(self) -> int:
        """Throw away results that nobody asked for lately and no model is made of; how many."""
        keep = await store.kept_hashes(self.db)
        before = (self.clock.now() - KEPT).timestamp()
        return await asyncio.to_thread(self.shelf.tidy, keep, before)

    async def forget(self, org_id: UUID) -> int:
        """Throw away what was made of the data of somebody who is no longer there, but for deployed models: their
        weights hold no text. How many folders."""
        hashes = await store.hashes_of(self.db, org_id)
        for digest in hashes:
            await asyncio.to_thread(self.shelf.drop, digest)
        return len(hashes)

    async def destroy(self, name: str, org_id: UUID, *, by: str) -> tuple[int, set[UUID]]:
        """End and delete everything of a name: its jobs, its models in service, their files and the steps they came out
        of. (files and folders deleted, data sets that it learnt from); what was measured and paid stays. Repeatable."""
        made, jobs = await store.under(self.db, name, org_id)
        async with self.db.transaction() as conn:
            for job in jobs:
                await store.ask_cancel(conn, job.id)
            await store.changed(conn)
        cards = [msgspec.convert(one.card, ModelCard) for one in made]
        files = [file for card in cards for file in (card.adapters or (card.file,))]
        gone = await self._compute.made.withdraw(name, files, actor=by) if made else 0
        for digest in [*await store.hashes_under(self.db, name, org_id), *(job.id.bytes for job in jobs)]:
            gone += await asyncio.to_thread(self.shelf.drop, digest)
        async with self.db.transaction() as conn:
            await store.destroyed(conn, name, org_id)
        return gone, {job.dataset_id for job in jobs}

    # -- paying -------------------------------------------------------------------------------------------------------

    async def settle(self) -> int:
        """Capture what ended jobs used and give the rest back; how many."""
        found = await store.unsettled(self.db)
        for job in found:
            await self._settle(job)
            await store.settled(self.db, job.id, self.clock.now())
        return len(found)

    async def _settle(self, job: Job) -> None:
        hold = await self._ledger.find_hold(job.hold_id)
        if hold.state is not HoldState.OPEN:
            return  # captured before a crash, or lapsed with the days it was held for
        try:
            if not job.spent_micro:
                await self._ledger.void(job.hold_id)
                return
            revenue = await self._ledger.system_account("revenue", Asset.CREDIT)
            steps = await self.steps(job)
            evidence = {
                "job": str(job.id), "name": job.name, "core_ms": job.core_ms, "budget_micro": job.budget_micro,
                "rule": "P11_studio",
                "steps": [{"kind": one.kind, "state": one.state, "core_ms": one.core_ms} for one in steps],
            }  # fmt: skip
            charge = Charge(job.spent_micro, (Leg(revenue.id, job.spent_micro),), msgspec.json.encode(evidence))
            await self._ledger.capture(job.hold_id, charge, kind=PURPOSE, actor=job.made_by)
        except HoldClosed:
            return

    # -- models -------------------------------------------------------------------------------------------------------

    async def models(self, org_id: UUID | None, *, most: int = store.PAGE_MAX) -> list[Made]:
        """What came out for an organisation or, None, for anybody, newest first."""
        return await store.every_made(self.db, org_id, most)

    async def made(self, name: str, org_id: UUID | None, number: int | None = None) -> Made:
        """By name and number; without a number the newest. UnknownMade."""
        found = await store.made(self.db, name, number, org_id)
        if found is None:
            raise UnknownMade(name if number is None else f"{name} {number}")
        return found

    async def made_by(self, job: Job) -> Made | None:
        """The model that came out of a job: its own, or the one that the job which it resumes had made."""
        return await store.made_by(self.db, job)

    async def deploy(
        self, name: str, org_id: UUID | None, number: int | None = None, *, by: str, share_bps: int = WHOLE_BPS,
        reviewed: bool = False,
    ) -> Made:  # fmt: skip
        """Let a model answer under its name, in the place of the one before; idempotent.

        With a share of less than all it is on trial: so many of the calls are its own, the one before answers the rest.
        A clone's model (`clone-…`) goes into service with its listing's review alone, which says `reviewed`.
        """
        if name.startswith(PRIVATE) and not reviewed:
            en = "a clone's model goes into service when its listing is approved"
            raise NotDeployable(en, "分身模型随上架审核启用")
        if not 1 <= share_bps <= WHOLE_BPS:
            raise BadRecipe("a share is from 1 to 10,000 basis points", "灰度比例须在 1 至 10000 基点之间")
        one = await self.made(name, org_id, number)
        if one.state == "deployed" or (one.state == "trial" and one.share_bps == share_bps):
            return one
        card = msgspec.convert(one.card, ModelCard)
        file = self.shelf.file(one.step_hash, "adapter.gguf" if card.adapters else "model.gguf")
        if not await asyncio.to_thread(file.is_file):
            raise NotDeployable("its file is gone", "文件已不存在")
        await asyncio.to_thread(check, file)
        before = await store.deployed(self.db, name)
        share_bps = WHOLE_BPS if before is None else share_bps
        served: dict[str, Any] = {"public": one.name, "actor": by, "share_bps": share_bps}
        if card.adapters:
            engine = await self._compute.made.serve_adapter(card, file, one.sha256.hex(), base=one.base, **served)
        else:
            engine = await self._compute.made.serve(card, file, **served)
        async with self.db.transaction() as conn:
            if share_bps < WHOLE_BPS:
                await store.set_trial(conn, one, engine.name, share_bps, self.clock.now())
            else:
                await store.set_deployed(conn, one, engine.name, self.clock.now())
                told = {"made_id": str(one.id), "org_id": str(one.org_id), "name": one.name, "number": one.number}
                await self._announce(conn, DEPLOYED_TOPIC, str(one.org_id), told)
        await self.used(one.version_id, "train", f"{one.name} {one.number}", one.name)
        return await self.made(name, org_id, one.number)

    async def roll_back(self, name: str, org_id: UUID | None, *, by: str) -> Made:
        """End a trial, or let the model answer that was deployed before; NotDeployable when there was none."""
        await self.made(name, org_id)
        trial, now = await store.on_trial(self.db, name), self.clock.now()
        before = await (store.deployed_before if trial is None else store.deployed)(self.db, name)
        if before is None or before.engine is None:
            raise NotDeployable("nothing was deployed before it", "此前没有部署过的版本")
        await self._compute.made.switch(name, before.engine, actor=by)
        async with self.db.transaction() as conn:
            await store.set_deployed(conn, before, before.engine, now)
        return await self.made(name, org_id, before.number)


def side_by_side(before: Path, after: Path, verdicts: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Two files of answers to the same questions as one list; empty when they are gone."""
    try:
        both = [
            [msgspec.json.decode(line) for line in path.read_bytes().splitlines()[:ANSWERS_MAX]]
            for path in (before, after)
        ]
    except (OSError, msgspec.DecodeError):
        return []
    found = [
        {
            "question": one["question"], "answer": one["answer"], "before": one["said"], "after": other["said"],
            "right_before": one["right"], "right_after": other["right"], "judge": verdicts.get(n),
        }
        for n, (one, other) in enumerate(zip(*both, strict=False))
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one["right_before"] == one["right_after"], one["right_before"]))


def card_of(job: Job, number: int, base: ModelCard, sha256: str, size_bytes: int, recipe: Recipe) -> dict[str, Any]:
    """The card under which a job's model is served: like its base, with a name and a file of its own, or an adapter."""
    name = f"{job.name}.{number}"
    file = f"{name}-{sha256[:16]}.gguf"
    fields: dict[str, Any] = msgspec.to_builtins(base)
    own: dict[str, Any] = {"adapters": [file]}
    if not recipe.adapter:
        own = {"file": file, "sha256": sha256, "size_bytes": size_bytes, "quantisation": recipe.quantum}
    return fields | own | {
        "id": name, "title_zh": f"{job.name}（{base.title_zh} 微调）",
        "title_en": f"{job.name} (tuned {base.title_en})", "about_zh": "在本市模型工坊微调。",
        "about_en": "Tuned in this city's studio.", "made_by": "studio", "sources": [],
        "slots": MADE_SLOTS, "context_tokens": MADE_CONTEXT, "lazy": True,
    }  # fmt: skip
