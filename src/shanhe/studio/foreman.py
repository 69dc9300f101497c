"""Running jobs, one at a time on a machine: steps in their own processes, results on the shelf, costs by the clock.

A job whose foreman ended is taken up again by the next one: finished steps are on the shelf, the one that ran goes on
from its checkpoint.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Mapping, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import structlog

from shanhe.compute.api import Compute, ModelCard
from shanhe.kernel.blobs import FULL, disk_full
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.waking import keep_working
from shanhe.studio import store
from shanhe.studio.errors import StepFailed
from shanhe.studio.jury import KIND, Asks, judge
from shanhe.studio.model import Comparison, Job, Made, Point, Recipe, StepPlan, plan, step_hash
from shanhe.studio.scoring import asked_as
from shanhe.studio.service import Studio, card_of
from shanhe.studio.steps import COMMAND, Result, RunStep, run_step

POLL_S: Final = 15.0
LOOK_EVERY_S: Final = 2.0
"""How often a running job is looked at for having been cancelled or having used up its budget."""
REASON_MAX_CHARS: Final = 300
INTERNAL: Final = {
    "code": "internal_error", "message": "Something went wrong on our side; the step that ran is not charged.",
    "message_zh": "系统内部出错，未完成的步骤不计费。",
}  # fmt: skip
log = structlog.get_logger(__name__)


class Halt(Exception):
    """The job ends here: `state` and why."""

    def __init__(self, state: str, error: dict[str, Any] | None = None) -> None:
        super().__init__(state)
        self.state = state
        self.error = error


class Foreman:
    """Works on the studio's queue in the jobs process."""

    def __init__(
        self, studio: Studio, compute: Compute, *, worker: str, environment: Mapping[str, str],
        command: Sequence[str] = COMMAND, run_step: RunStep = run_step, asks: Asks | None = None,
    ) -> None:  # fmt: skip
        self._asks = asks
        self._run_step = run_step
        self._studio = studio
        self._compute = compute
        self._worker = worker
        self._environment = environment
        self._command = command
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; a running step is ended then, and goes on at the next start."""
        self._studio.db.wake(store.CHANNEL, self._wake)
        working = asyncio.create_task(keep_working(self.work_once, self._wake, poll_s=POLL_S, what="the studio"))
        await stop.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)

    async def work_once(self) -> bool:
        """Take one job to its end; False when there is none."""
        studio = self._studio
        job = await store.take(studio.db, self._worker, studio.clock.now())
        if job is None:
            return False
        state, error = "done", None
        try:
            await self._job(job)
        except Halt as halt:
            state, error = halt.state, halt.error
        except ShanheError as failure:
            state, error = "failed", failure.to_dict("en")["error"] | {"message_zh": failure.message_zh}
        except OSError as failure:
            if failure.errno not in FULL:
                raise  # the database is away: the job is taken up again
            full = disk_full()
            state, error = "failed", full.to_dict("en")["error"] | {"message_zh": full.message_zh}
        except (asyncpg.PostgresError, asyncpg.InterfaceError):
            raise
        except Exception:
            log.exception("a studio job failed", job=str(job.id))
            state, error = "failed", dict(INTERNAL)
        await asyncio.to_thread(studio.shelf.drop, job.id.bytes)  # the lessons: a copy of somebody's data
        await store.end(studio.db, job.id, state, error, studio.clock.now())
        await studio.settle()
        return True

    async def _job(self, job: Job) -> None:
        studio, recipe = self._studio, await self._studio.recipe_of(job)
        train, questions, _ = await studio.checked_lessons(job.version_id, job.org_id)
        base = await self._compute.model_file(recipe.base)
        card = next(one for one in self._compute.cards() if one.id == recipe.base)
        files = {
            "base": (card.sha256, base),
            "train": _written(studio.shelf.folder(job.id.bytes) / "train.jsonl", train),
            "questions": _written(studio.shelf.folder(job.id.bytes) / "questions.jsonl", questions),
        }
        other = await self._opponent(job, recipe, files)
        meter = Meter(studio, job)
        results: list[tuple[bytes, Result]] = []
        steps = plan(recipe, len(train), len(questions))
        for at, step in enumerate(steps):
            if step.kind == KIND:
                await self._finished(job, recipe, card, results, other)  # a judge that is silent costs nobody the model
            inputs = {name: _source(source, files, results, studio) for name, source in step.inputs.items()}
            digest = step_hash(step, {name: sha256 for name, (sha256, _) in inputs.items()})
            paths = {name: str(path) for name, (_, path) in inputs.items()}
            if step.kind == KIND:
                await self._judged(job, at, step, digest, paths, recipe.rubric, meter)
            else:
                results.append((digest, await self._step(job, at, step, digest, paths, meter)))
        if steps[-1].kind != KIND:
            await self._finished(job, recipe, card, results, other)

    async def _opponent(self, job: Job, recipe: Recipe, files: dict[str, tuple[str, Path]]) -> Made | None:
        """The version that is compared, its files added to those that steps may use."""
        other = await self._studio.opponent(job.name, job.org_id, recipe)
        if other is not None:
            file = self._studio.shelf.file(other.step_hash, "adapter.gguf" if recipe.adapter else "model.gguf")
            files["against"] = other.sha256.hex(), file
            base = next((one for one in self._compute.cards() if one.id == other.base), None)
            if base is not None and recipe.adapter:
                files["against_base"] = base.sha256, await self._compute.model_file(other.base)
        return other

    async def _step(
        self, job: Job, at: int, step: StepPlan, digest: bytes, inputs: dict[str, str], meter: Meter
    ) -> Result:
        studio = self._studio
        known = await asyncio.to_thread(studio.shelf.find, digest)
        await store.begin_step(studio.db, job.id, at, digest, studio.clock.now())
        if known is not None:
            await store.end_step(studio.db, job.id, at, "cached", 0, known.metrics, studio.clock.now())
            return known
        cores = int(studio.rules.parameter("chip_cores", studio.clock.today()))
        body = {"kind": step.kind, "parameters": step.parameters, "inputs": inputs, "chip_cores": cores}
        folder = await asyncio.to_thread(studio.shelf.prepare, digest, body)
        try:
            whole = await self._run_step(
                folder, lambda told: meter.said(at, told), environment=self._environment, command=self._command
            )
        except StepFailed:
            await store.end_step(studio.db, job.id, at, "failed", 0, {}, studio.clock.now())
            meter.forget()
            raise
        if not whole:
            await store.end_step(studio.db, job.id, at, "failed", meter.step_ms, {}, studio.clock.now())
            await meter.keep()
            raise meter.halt or Halt("cancelled")
        result = await asyncio.to_thread(studio.shelf.find, digest)
        if result is None:
            raise StepFailed("step_without_result", "its files are not there")
        await meter.keep(result.core_ms)
        await store.end_step(studio.db, job.id, at, "done", result.core_ms, result.metrics, studio.clock.now())
        return result

    async def _judged(
        self, job: Job, at: int, step: StepPlan, digest: bytes, inputs: dict[str, str], rubric: str, meter: Meter
    ) -> None:
        """Have the answers judged by calls of the job's organisation; what goes wrong there ends this step alone."""
        studio, asks, ref = self._studio, self._asks, f"judge {digest.hex()}"
        known = await asyncio.to_thread(studio.shelf.find, digest)
        await store.begin_step(studio.db, job.id, at, digest, studio.clock.now())
        if known is not None:
            await store.end_step(studio.db, job.id, at, "cached", 0, known.metrics, studio.clock.now())
            return
        body = {"kind": step.kind, "parameters": step.parameters, "inputs": inputs}
        folder = await asyncio.to_thread(studio.shelf.prepare, digest, body)
        state, metrics = "failed", dict[str, Any]()
        try:
            if asks is not None and not await judge(
                asks, job.org_id, ref, folder, inputs, step.parameters, rubric, partial(meter.said, at, {})
            ):
                raise meter.halt or Halt("cancelled")
            found = await asyncio.to_thread(studio.shelf.find, digest)
            if found is not None:
                state, metrics = "done", found.metrics
        except ShanheError as error:
            log.warning("a judge did not judge", job=str(job.id), reason=error.message)
            metrics = {"reason": error.message[:REASON_MAX_CHARS]}
        finally:
            await store.end_step(studio.db, job.id, at, state, 0, metrics, studio.clock.now())

    async def _finished(
        self, job: Job, recipe: Recipe, base: ModelCard, results: list[tuple[bytes, Result]], other: Made | None
    ) -> None:
        """Write down the model that came out, with what it was measured at before and after; one that a job before this
        one made already (cancelled while it was judged, then resumed) is not made again."""
        studio = self._studio
        before, after = results[0][1].metrics, results[-1][1].metrics
        digest, packed = results[-2]
        file = "adapter.gguf" if recipe.adapter else "model.gguf"
        size = (await asyncio.to_thread(studio.shelf.file(digest, file).stat)).st_size
        sha256 = packed.files[file]
        newest = await store.made(studio.db, job.name, None, None)
        number = 1 if newest is None else newest.number + (newest.job_id != job.id)
        made = Made(
            id=new_id(), org_id=job.org_id, name=job.name, number=number, job_id=job.id, version_id=job.version_id,
            base=recipe.base, step_hash=digest, sha256=bytes.fromhex(sha256), size_bytes=size,
            score_bps=after["right"] * 10_000 // after["asked"], base_bps=before["right"] * 10_000 // before["asked"],
            card=card_of(job, number, base, sha256, size, recipe), engine=None, state="ready",
            made_at=studio.clock.now(), deployed_at=None,
        )  # fmt: skip
        async with studio.db.transaction() as conn:
            made = await store.insert_made(conn, made)
        if other is not None and other.id != made.id:
            await self._compared(job, made, other, [digest for digest, _ in (results[0], results[1], results[-1])])
        await studio.used(job.version_id, "train", str(job.id), job.name)
        await studio.used(job.version_id, "evaluate", str(job.id), job.name)
        if recipe.deploy and made.score_bps > made.base_bps:
            try:
                await studio.deploy(job.name, job.org_id, made.number, by=job.made_by)
            except ShanheError as error:  # the model is there, and can be deployed by hand
                log.warning("a model could not be deployed", model=job.name, reason=error.message)

    async def _compared(self, job: Job, made: Made, other: Made, tests: Sequence[bytes]) -> None:
        """Write down how both versions answer the questions that neither of them learnt from."""
        studio, learnt = self._studio, set[str]()
        for version_id in (job.version_id, other.version_id):
            with contextlib.suppress(ShanheError):  # its rows were forgotten: nothing can be left out for them
                learnt |= {asked_as(one.question) for one in (await studio.checked_lessons(version_id, job.org_id))[0]}
        files = [studio.shelf.file(digest, "answers.jsonl") for digest in tests]
        base, against, own = await asyncio.to_thread(_marks, files, learnt)
        if not own:
            return
        both = list(zip(against, own, strict=True))
        found = Comparison(
            made.id, other.id, job.id, len(own), sum(base), sum(own), sum(against),
            sum(now and not then for then, now in both), sum(then and not now for then, now in both),
            studio.clock.now(),
        )  # fmt: skip
        async with studio.db.transaction() as conn:
            await store.compared(conn, found)


class Meter:
    """What a job has used, what that costs, and whether it may go on."""

    def __init__(self, studio: Studio, job: Job) -> None:
        self._studio = studio
        self._job = job
        self._core_ms = job.core_ms
        self._looked_at = 0.0
        self.step_ms = 0
        self.halt: Halt | None = None

    async def said(self, at: int, told: Mapping[str, Any]) -> bool:
        """Take a step's line; False when the job has to end."""
        self.step_ms = max(self.step_ms, int(told.get("core_ms", 0)))
        if "loss" in told:
            point = Point(at, int(told["n"]), int(told["of"]), float(told["loss"]))
            await store.add_point(self._studio.db, self._job.id, point)
        now = asyncio.get_running_loop().time()
        if now - self._looked_at < LOOK_EVERY_S:
            return True
        self._looked_at = now
        if await store.cancel_asked(self._studio.db, self._job.id):
            self.halt = Halt("cancelled")
        elif self._price(self._core_ms + self.step_ms) >= self._job.budget_micro:
            text, text_zh = "The budget was used up.", "预算已用完。"
            self.halt = Halt("failed", {"code": "budget_used_up", "message": text, "message_zh": text_zh})
        return self.halt is None

    async def keep(self, step_ms: int | None = None) -> None:
        """Write down what a step used."""
        self._core_ms += self.step_ms if step_ms is None else step_ms
        self.step_ms = 0
        await store.used(self._studio.db, self._job.id, self._core_ms, self._price(self._core_ms))

    def forget(self) -> None:
        """A step that failed costs nothing."""
        self.step_ms = 0

    def _price(self, core_ms: int) -> int:
        return self._studio.rules.price(core_ms, self._job.budget_micro, self._studio.clock.today())


def _marks(files: Sequence[Path], learnt: Set[str]) -> list[list[bool]]:
    """Whether each question was answered rightly, by file, but for those that were learnt."""
    rows = [[msgspec.json.decode(line) for line in path.read_bytes().splitlines()] for path in files]
    kept = [at for at, row in enumerate(rows[0]) if asked_as(row["question"]) not in learnt]
    return [[bool(answers[at]["right"]) for at in kept] for answers in rows]


def _written(path: Path, pairs: Sequence[Any]) -> tuple[str, Path]:
    """(hash, path) of pairs as a file."""
    body = b"".join(msgspec.json.encode(pair) + b"\n" for pair in pairs)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_bytes(body)
    return hashlib.sha256(body).hexdigest(), path


def _source(
    source: str, files: Mapping[str, tuple[str, Path]], results: list[tuple[bytes, Result]], studio: Studio
) -> tuple[str, Path]:
    """(hash, path) of a step's input."""
    if source in files:
        return files[source]
    number, _, name = source.partition(".")
    digest, result = results[int(number)]
    return result.files[name], studio.shelf.file(digest, name)
