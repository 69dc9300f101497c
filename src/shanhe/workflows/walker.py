"""One run on its way: steps that are due are done at once, a bounded number, each written down with the course after
it.

A run that fails begins nothing more; what is under way is finished, booked and paid, and then the run ends. So what a
run cost is what its steps cost, whichever of its branches failed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import msgspec
import structlog

from shanhe.gateway.api import CallError
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import FAILURES, Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seal
from shanhe.workflows import run_store
from shanhe.workflows.course import Lane, Way
from shanhe.workflows.deeds import WAITS_S, Deeds, Doer, Paid, Said, interrupted, kind_of
from shanhe.workflows.errors import StepFailed
from shanhe.workflows.language import filled, taken_all
from shanhe.workflows.model import AnyNode, Approval, Course, Definition, Flow, Over, Run, Step, Waiting

COURSE, RESULT, WHY = "workflows.run.course", "workflows.run.result", "workflows.run.why"
SHOWS, NOTE = "workflows.approval.shows", "workflows.approval.note"
AT_ONCE_MAX: Final = 4
"""Steps of one run that are under way at once."""
LOOK_S: Final = 2.0
"""How often a run that has something under way looks whether something it waits for has come."""
ERROR_MAX_CHARS: Final = 120
FINAL: Final = frozenset({"step_taken", "variables_too_large", "internal_error"})
"""Failures that are the run's, and lead nowhere."""
ONCE: Final = frozenset({
    "step_interrupted", "run_budget_exceeded", "insufficient_quota", "leaves_the_city", "http_refused",
})  # fmt: skip
"""Failures that another try doesn't mend, or that must not be tried again."""
Hold = Callable[[Any], Awaitable[bool]]
"""In a transaction: whether the run is still ours and nobody asked for its end, until the transaction ends."""
log = structlog.get_logger(__name__)


class Parts(Protocol):
    """Workflows that are steps of runs."""

    async def part(self, parent: Run, n: int) -> Run | None:
        """The run that is the n-th step of another one; None before it began."""
        ...

    async def begin_part(
        self, parent: Run, n: int, slug: str, given: Mapping[str, Any], hold: Hold, data_class: str
    ) -> None:
        """Begin it where `hold` allows; it is given data of this class."""
        ...

    async def end_part(self, part: Run) -> None:
        """Have it do nothing more."""
        ...


class Walker:
    """Works on one run until it ends, rests until somebody or another run is done, or is somebody else's."""

    def __init__(
        self, db: Database, clock: Clock, deeds: Deeds, parts: Parts, seal: Seal, run: Run, definition: Definition,
        worker: str,
    ) -> None:  # fmt: skip
        self._db = db
        self._parts = parts
        self._clock = clock
        self._seal = seal
        self._run = run
        self._steps_max = definition.steps_max
        self._worker = worker
        course = msgspec.convert(seal.open_json(COURSE, run.course, {"at": ""}), type=Course)
        self._way = Way(definition, course, run.steps)
        self._before: dict[int, Step] = {}
        self._doer = Doer(db, deeds, seal, run, self._before)
        self._under: dict[int, asyncio.Task[None]] = {}
        """Steps that are under way, by their numbers."""
        self._open = set[int]()
        """Steps that are runs which have not ended."""
        self._booking = asyncio.Lock()
        self._ended = False

    async def go(self) -> None:
        """On from where the run stands."""
        for step in await run_store.open_steps(self._db, self._run.id):
            self._before[step.n] = step
        for n in self._before:  # what it held beyond what was charged is everybody's again
            if (kept := await self._doer.kept(n)) is not None:
                await run_store.settle_budget(self._db, self._run.id, n, paid=kept.paid_micro)
        for lane in self._way.lanes():
            if isinstance(self._way.node(lane), Flow) and await self._parts.part(self._run, lane.n) is not None:
                self._open.add(lane.n)
        try:
            while await self._on():
                pass
        finally:
            for task in self._under.values():
                task.cancel()
            await asyncio.gather(*self._under.values(), return_exceptions=True)

    async def _on(self) -> bool:
        """Begin what is due and see what came of what is under way; False when there is nothing more to do here."""
        now = self._clock.now()
        asked = await run_store.touch(self._db, self._run.id, self._worker, now)
        if asked is False:
            return False
        if asked is not None:
            self._close("cancelled", cancelled())
        elif now >= self._run.expires_at:
            self._close("failed", expired())
        for lane in [one for one in self._way.lanes() if self._waits(one)]:  # nothing else moves these
            await self._step(lane, now)
        self._begin(now)
        if self._under:
            await self._some(idle=len(self._under) < len(self._way.lanes()))
        elif not self._ended and self._over is not None and (asked is not None or not self._open):
            await self._end(self._over)
        elif not self._ended and not self._way.lanes():
            await self._end(None)
        elif not self._ended:
            return not await self._rest()
        return not self._ended

    @property
    def _over(self) -> Over | None:
        return self._way.course.over

    def _begin(self, now: datetime) -> None:
        """Begin what is due, in its order; of a run that is over only what a process that has ended had begun."""
        for lane in self._way.lanes():
            if len(self._under) >= AT_ONCE_MAX or self._ended:
                return
            if lane.n in self._under or self._waits(lane):
                continue
            if lane.n > self._steps_max:
                most = self._steps_max
                self._close("failed", StepFailed(
                    "too_many_steps", f"The run would go beyond its {most} steps", f"运行将超过 {most} 步的上限"
                ))  # fmt: skip
            settle = self._over is not None
            if not settle or lane.n in self._before:
                self._under[lane.n] = asyncio.create_task(self._step(lane, now, settle=settle))

    def _waits(self, lane: Lane) -> bool:
        """Whether there is nothing to do for a step but to see whether it has come."""
        return lane.n in self._open or isinstance(self._way.node(lane), Approval)

    async def _some(self, *, idle: bool) -> None:
        """Until something that is under way is done; where something else waits, a short while."""
        await asyncio.wait(
            self._under.values(), timeout=LOOK_S if idle else None, return_when=asyncio.FIRST_COMPLETED
        )  # fmt: skip
        for n, task in list(self._under.items()):
            if task.done():
                del self._under[n]
                task.result()

    # -- one step -----------------------------------------------------------------------------------------------------

    async def _step(self, lane: Lane, now: datetime, *, settle: bool = False) -> None:
        """Do a step and book it; nothing where it has to be waited for. `settle`: see only what came of it before."""
        node, began, n = self._way.node(lane), time.perf_counter(), lane.n
        failure: ShanheError | CallError | None = None
        try:
            said = await self._said(lane, node, now, settle=settle)
            if said is None:
                return
        except (ShanheError, CallError) as error:
            failure, said = error, error.said if isinstance(error, Paid) else Said(None)
        except FAILURES:
            raise  # the database: what is booked stays, the rest is taken up again
        except Exception:
            log.exception("a step failed on our side", run=str(self._run.id), node=node.id)
            failure, said = internal(), Said(None)
        async with self._booking:
            took_ms = int((time.perf_counter() - began) * 1000) if said.took_ms is None else said.took_ms
            failure = self._took(lane, said) if failure is None else failure
            if failure is not None:
                self._failed(lane, failure)
            code = "" if failure is None else failure.code[:ERROR_MAX_CHARS]
            await self._book(Step(
                self._run.id, n, node.id, kind_of(node), "failed" if failure else "done", said.receipt_id,
                said.paid_micro, said.tokens, took_ms, code, now, branch=lane.branch,
            ))  # fmt: skip

    async def _said(self, lane: Lane, node: AnyNode, now: datetime, *, settle: bool) -> Said | None:
        """What came of a step; None while it has to be waited for."""
        if isinstance(node, Approval):
            return None if self._over is not None else await self._word(lane, node, now)
        if lane.n in self._open:
            return await self._came(lane)
        if settle:
            if (kept := await self._doer.kept(lane.n)) is None:
                raise interrupted(node)
            return kept
        if lane.course.tried:
            await asyncio.sleep(WAITS_S[min(lane.course.tried, len(WAITS_S)) - 1])
        if isinstance(node, Flow):
            await self._part(lane, node)
            return None
        return await self._doer.do(lane, node, now)

    def _took(self, lane: Lane, said: Said) -> ShanheError | None:
        """Where a step that was done leads; why it leads nowhere."""
        self._way.read(lane, said.data_class)
        try:
            if not self._way.took(lane, said.value):
                self._close("refused", StepFailed("approval_refused", "Somebody said no", "审批未通过"))
            self._way.bounded()
        except ShanheError as error:
            return error
        except Exception:
            log.exception("a step failed on our side", run=str(self._run.id))
            return internal()
        return None

    def _failed(self, lane: Lane, failure: ShanheError | CallError) -> None:
        if isinstance(failure, Paid):
            self._way.read(lane, failure.said.data_class)
        told_of = {"code": failure.code, **told(failure)}
        if failure.code in FINAL or not self._way.tried(lane, again=failure.code not in ONCE, failure=told_of):
            self._close("failed", failure)

    def _close(self, state: str, failure: ShanheError | CallError) -> None:
        self._way.close(ended_by(state, failure))

    async def _book(self, step: Step) -> None:
        """The step and the run's course, in one transaction, and with nothing else under way also its end."""
        ended, over, state = None, self._over, "running"
        if over is not None and not ({*self._under, *self._open} - {step.n}):
            ended, state = self._ending(over), over.state
        async with self._db.transaction() as conn:
            ours = await run_store.book(conn, step, self._worker, state, self._sealed_course(), ended)
        self._ended = not ours or ended is not None
        self._open.discard(step.n)
        self._before.pop(step.n, None)

    # -- what is waited for -------------------------------------------------------------------------------------------

    async def _hold(self, conn: Any) -> bool:
        return await run_store.hold(conn, self._run.id, self._worker)

    async def _part(self, lane: Lane, node: Flow) -> None:
        """Begin another workflow."""
        given = taken_all(node.given, lane.variables)
        await self._parts.begin_part(self._run, lane.n, node.workflow, given, self._hold, lane.course.data_class)
        self._open.add(lane.n)

    async def _came(self, lane: Lane) -> Said | None:
        """What another workflow returned; None while the run waits for it."""
        part = await self._parts.part(self._run, lane.n)
        if part is None:  # the end of this run was asked for when it was to begin
            return None
        if part.ended_at is None:
            if self._over is not None:
                await self._parts.end_part(part)
            return None
        took = int((part.ended_at - part.made_at).total_seconds() * 1000)
        said = Said(part.result, part.paid_micro, took_ms=took, data_class=part.course.get("data_class", "general"))
        if part.state != "done":
            why = part.why or {}
            zh, en = why.get("zh") or part.error, why.get("en") or part.error
            raise Paid(StepFailed("workflow_failed", f"{part.slug} ended without a result: {en}",
                                  f"工作流“{part.slug}”未完成：{zh}"), said)  # fmt: skip
        return said

    async def _word(self, lane: Lane, node: Approval, now: datetime) -> Said | None:
        """Somebody's word on an approval; None while the run waits for it."""
        found = await run_store.asked(self._db, self._run.id, lane.n)
        if found is None:
            shows = self._seal.text(SHOWS, filled(node.shows, lane.variables))
            until = min(now + timedelta(hours=node.hours), self._run.expires_at)
            one = Waiting(new_id(), self._run.id, lane.n, node.id, self._run.org_id, node.who, shows, now, until)
            async with self._db.transaction() as conn:
                if await self._hold(conn):
                    await run_store.wait_for(conn, one)
            return None
        if not found.verdict:
            return None
        if found.verdict == "expired":
            raise StepFailed("approval_expired", f"Nobody decided {node.id!r} in time", f"审批“{node.id}”逾期未处理")
        return Said({"verdict": found.verdict, "note": self._seal.open(NOTE, found.note)})

    async def _rest(self) -> bool:
        """Leave the run until what it waits for has come; False when it has meanwhile."""
        awaited = [lane.n for lane in self._way.lanes()] if self._over is None else list(self._open)
        async with self._db.transaction() as conn:
            return await run_store.pause(conn, self._run.id, self._worker, self._sealed_course(), awaited)

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _sealed_course(self) -> Any:
        return self._seal.json(COURSE, msgspec.to_builtins(self._way.course, enc_hook=str))

    def _ending(self, over: Over | None) -> run_store.Ending:
        return ending(self._seal, self._way.result(), over, self._clock.now())

    async def _end(self, over: Over | None) -> None:
        async with self._db.transaction() as conn:
            await run_store.end(conn, self._run.id, "done" if over is None else over.state, self._ending(over))
        self._ended = True


def expired() -> StepFailed:
    return StepFailed("run_expired", "The run's time is over", "运行已超过时限")


def cancelled() -> StepFailed:
    return StepFailed("cancelled", "The run was cancelled", "运行已取消")


def internal() -> StepFailed:
    return StepFailed("internal_error", "Something went wrong on our side", "系统内部错误")


def ended_by(state: str, failure: ShanheError | CallError) -> Over:
    """An end that is none, as it is kept."""
    return Over(state, failure.code[:ERROR_MAX_CHARS], **told(failure))


def ending(seal: Seal, result: Mapping[str, Any], over: Over | None, now: datetime) -> run_store.Ending:
    """How a run ended, as it is kept."""
    why = None if over is None else {"zh": over.zh, "en": over.en}
    return seal.json(RESULT, dict(result)), "" if over is None else over.code, seal.json(WHY, why), now


def told(failure: ShanheError | CallError) -> dict[str, str]:
    """What went wrong, in both languages."""
    return {"zh": getattr(failure, "message_zh", "") or failure.message, "en": failure.message}
