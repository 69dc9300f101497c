"""One run on its way: node by node, each step written down, a call of a model paid once whatever ends in between.

A step's life: begun under a fresh receipt → its answer is kept → it is charged under that receipt → it is booked with
the run's new course. Whoever takes up a run whose process died asks the ledger: with a posting the kept answer counts,
without one nothing was charged and the step is begun again. What can't be asked about (an agent's chain of calls, a
POST) is never done twice: the run ends and says so.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol
from uuid import UUID, uuid5

import msgspec

from shanhe.gateway.api import CallError
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seal
from shanhe.workflows import store
from shanhe.workflows.checking import ROUND
from shanhe.workflows.errors import StepFailed
from shanhe.workflows.language import filled, holds, taken, taken_all
from shanhe.workflows.model import (
    AGENTS,
    COURSE_MAX_BYTES,
    FAILURE,
    VARIABLES_MAX_BYTES,
    AnyNode,
    Approval,
    Ask,
    Attempt,
    Branch,
    Code,
    Course,
    Definition,
    Flow,
    Frame,
    Http,
    Knowledge,
    Loop,
    Output,
    Run,
    Set,
    Step,
    Tool,
    Waiting,
)

COURSE, RESULT, WHY, ANSWER = "workflows.run.course", "workflows.run.result", "workflows.run.why", "workflows.answer"
SHOWS: Final = "workflows.approval.shows"
TRIES_MAX: Final = 3
WAITS_S: Final = (1.0, 4.0)
DATA_CLASSES: Final = ("general", "citizen", "government")
CITY_CLASSES: Final = frozenset(DATA_CLASSES[1:])
BODY_SHOWN_CHARS: Final = 64_000
ERROR_MAX_CHARS: Final = 120
PASSING: Final = frozenset({"no_engine", "engine_busy", "ledger_unavailable", "too_many_calls", "identity_unavailable"})
"""Refusals that say nothing about the step: tried again a few times."""
FINAL: Final = frozenset({"step_taken", "variables_too_large"})
"""Failures that are the run's, and lead nowhere."""
ONCE: Final = frozenset({"step_interrupted", "run_budget", "insufficient_quota", "leaves_the_city", "http_refused"})
"""Failures that another try doesn't mend, or that must not be tried again."""
HEADER_MAX_CHARS: Final = 4_096
REFUSED, BUSY, BROKEN = 400, 429, 500


@dataclass(frozen=True, slots=True)
class Said:
    """What a step's call said and cost."""

    value: Any
    paid_micro: int = 0
    receipt_id: UUID | None = None
    tokens: int = 0
    took_ms: int | None = None
    """Where it is not the time that the step took here."""
    data_class: str = "general"
    """Of what was read for it."""


class Deeds(Protocol):
    """What a run can have done; handed in by the composition root."""

    async def ask(
        self, caller: Any, fields: Mapping[str, Any], most_micro: int, receipt_id: UUID,
        keep: Callable[[bytes], Awaitable[None]],
    ) -> Said:  # fmt: skip
        """A call of a model under this receipt; `keep` gets the answer's body before it is charged. Value: the body."""
        ...

    async def agent(
        self, caller: Any, name: str, text: str, most_micro: int, inputs: Mapping[str, Any]
    ) -> Said:  # fmt: skip
        """An agent's answer as a text; `inputs`: what it is told first."""
        ...

    async def look_up(self, caller: Any, owner: UUID, bases: Sequence[str], question: str, passages: int) -> Said:
        """What knowledge bases that `owner` may read say to a question; see `model.Knowledge`."""
        ...

    async def code(self, code: str, inputs: Mapping[str, Any]) -> Any:
        """What `main(**inputs)` of the code returns."""
        ...

    async def tool(self, caller: Any, name: str, arguments: Mapping[str, Any], most_micro: int) -> Said:
        """What a tool said, as a text, at its fee; StepFailed when it failed."""
        ...

    async def fetch(
        self, method: str, url: str, body: bytes, key: str, headers: Mapping[str, str], secrets: Mapping[str, str],
        owner: UUID,
    ) -> tuple[int, bytes]:  # fmt: skip
        """(status, body) of a public address. `secrets`: headers that are filled with the owner's secrets, by name."""
        ...

    async def paid(self, receipt_id: UUID) -> int | None:
        """What was charged under a receipt; None when nothing was."""
        ...

    async def caller_of(self, key_id: UUID, data_class: str) -> Any:
        """Who a key calls for, with what was read before: data of this class at least."""
        ...


class Parts(Protocol):
    """Workflows that are steps of runs."""

    async def part(self, parent: Run, n: int) -> Run | None:
        """The run that is the n-th step of another one; None before it began."""
        ...

    async def begin_part(
        self, parent: Run, n: int, slug: str, given: Mapping[str, Any], most_micro: int,
        rest: Callable[[Any], Awaitable[bool]], data_class: str,
    ) -> None:  # fmt: skip
        """Begin it, while its parent goes to `rest` in the same transaction; it is given data of this class."""
        ...


class Walker:
    """Runs one run until it ends, waits for somebody, or is somebody else's."""

    def __init__(
        self, db: Database, clock: Clock, deeds: Deeds, parts: Parts, seal: Seal, run: Run, definition: Definition,
        worker: str,
    ) -> None:  # fmt: skip
        self._db = db
        self._parts = parts
        self._clock = clock
        self._deeds = deeds
        self._seal = seal
        self._run = run
        self._definition = definition
        self._worker = worker
        self._n = run.steps
        self._spent = run.paid_micro
        self._rests = False
        self._course = msgspec.convert(seal.open_json(COURSE, run.course, {"at": ""}), type=Course)

    async def go(self) -> None:
        """On from where the run stands."""
        while True:
            now = self._clock.now()
            asked = await store.touch(self._db, self._run.id, self._worker, now)
            if asked is False:
                return None
            if asked is not None:
                return await self._end("cancelled", StepFailed("cancelled", "The run was cancelled", "运行已取消"))
            if now >= self._run.expires_at:
                return await self._end("failed", expired())
            if not self._course.at:
                return await self._end("done", None)
            if self._n >= self._definition.steps_max:
                most = self._definition.steps_max
                return await self._end("failed", StepFailed(
                    "too_many_steps", f"The run would go beyond its {most} steps", f"运行将超过 {most} 步的上限"
                ))  # fmt: skip
            if not await self._step(now):
                return None

    async def _step(self, now: datetime) -> bool:
        """One node; False when the run rests or has ended."""
        node, began = self._definition.node(self._course.at), time.perf_counter()
        said, state, failure = Said(None), "running", None
        try:
            if isinstance(node, Approval):
                verdict = await self._word(node, now)
                if verdict is None:
                    return not self._rests
                state = verdict
            elif isinstance(node, Flow):
                part = await self._part(node)
                if part is None:
                    return not self._rests
                said = part
                self._read(said)
                self._course.variables[node.save] = said.value
                self._move(node.next)
            else:
                said = await self._done(node, now)
            self._bounded()
        except (ShanheError, CallError) as error:
            failure = error
            state = "running" if self._goes_on(node, error) else "failed"
            said = error.said if isinstance(error, Paid) else said
        took_ms = int((time.perf_counter() - began) * 1000) if said.took_ms is None else said.took_ms
        code = "" if failure is None else failure.code[:ERROR_MAX_CHARS]
        step = Step(
            self._run.id, self._n + 1, node.id, str(type(node).__struct_config__.tag), "failed" if failure else "done",
            said.receipt_id, said.paid_micro, said.tokens, took_ms, code, now,
        )  # fmt: skip
        if not await self._booked(step, state, failure):
            return False
        if failure is not None and self._course.at == node.id:
            await asyncio.sleep(WAITS_S[min(self._course.tried, len(WAITS_S)) - 1])
        return True

    def _goes_on(self, node: AnyNode, error: ShanheError | CallError) -> bool:
        """Whether the run goes on after a step that failed: to another try, or where the node says."""
        if not isinstance(node, Attempt) or error.code in FINAL:
            return False
        if self._course.tried + 1 < node.tries and error.code not in ONCE:
            self._course.tried += 1
            return True
        if not node.failed:
            return False
        self._course.variables[FAILURE] = {"node": node.id, "code": error.code, **told(error)}
        self._move(node.failed)
        return True

    def _bounded(self) -> None:
        """StepFailed when the run keeps more than it may: its variables, or all with loops and result."""
        for what, most in ((self._course.variables, VARIABLES_MAX_BYTES), (self._course, COURSE_MAX_BYTES)):
            if len(msgspec.json.encode(what, enc_hook=str)) > most:
                raise StepFailed("variables_too_large", f"The run's values grew beyond {most} bytes",
                                 f"运行的变量超过 {most} 字节")  # fmt: skip

    async def _booked(self, step: Step, state: str, failure: Exception | None) -> bool:
        """The step and the run's course, in one transaction."""
        ended = None
        if state in ("failed", "refused"):
            ended = self._ending(failure if state == "failed" else StepFailed(
                "approval_refused", "Somebody said no", "审批未通过"
            ))  # fmt: skip
        async with self._db.transaction() as conn:
            ours = await store.book(conn, step, self._worker, state, self._sealed_course(), ended)
        self._n += 1
        self._spent += step.paid_micro
        return ours and ended is None

    async def _done(self, node: AnyNode, now: datetime) -> Said:
        """Do what a node says, and move on."""
        variables = self._course.variables
        match node:
            case Branch():
                self._move(node.then if holds(node.when, variables) else node.next)
                return Said(None)
            case Loop():
                self._loop(node)
                return Said(None)
            case Set():
                variables |= {name: taken(text, variables) for name, text in node.values.items()}
                said = Said(None)
            case Output():
                self._course.result |= {name: taken(text, variables) for name, text in node.values.items()}
                said = Said(None)
            case Code():
                said = Said(await self._deeds.code(node.code, {name: variables[name] for name in node.inputs}))
                variables[node.save] = said.value
            case Http():
                said = await self._http(node, now)
                variables[node.save] = said.value
            case Ask():
                said = await self._ask(node, now)
                variables[node.save] = said.value
            case Tool():
                said = await self._tool(node, now)
                variables[node.save] = said.value
            case Knowledge():
                said = await self._look_up(node, now)
                variables[node.save] = said.value
                self._read(said)
            case Approval() | Flow():
                raise AssertionError("it is waited for, not done")
        self._move(node.next)
        return said

    # -- moving -------------------------------------------------------------------------------------------------------

    def _move(self, to: str) -> None:
        """To the next node; at a chain's end back to its loop, or to the end of the run."""
        frames, self._course.tried = self._course.frames, 0
        self._course.at = to or (frames[-1].loop if frames else "")

    def _loop(self, node: Loop) -> None:
        """Begin a loop, begin its next round, or leave it."""
        course = self._course
        if not course.frames or course.frames[-1].loop != node.id:
            items = self._items(node) if node.over else None
            course.frames.append(Frame(node.id, -1, items))
        frame = course.frames[-1]
        if frame.round >= 0:
            if node.gather:
                frame.gathered.append(course.variables[node.gather])
            if node.until and holds(node.until, course.variables):
                return self._leave(node, frame)
        frame.round += 1
        if frame.items is not None and frame.round >= len(frame.items):
            return self._leave(node, frame)
        if frame.round >= node.most:
            raise StepFailed("loop_bound", f"The condition of {node.id!r} did not hold in {node.most} rounds",
                             f"循环“{node.id}”在 {node.most} 次内未满足条件")  # fmt: skip
        self._names(frame)
        course.at = node.body
        return None

    def _items(self, node: Loop) -> list[Any]:
        found = self._course.variables[node.over]
        if not isinstance(found, list):
            raise StepFailed("not_a_list", f"{node.over!r} is no list", f"“{node.over}”不是列表")
        if len(found) > node.most:
            raise StepFailed("loop_bound", f"{node.over!r} has {len(found)} entries, more than {node.most}",
                             f"“{node.over}”有 {len(found)} 项，超过上限 {node.most}")  # fmt: skip
        return list(found)

    def _leave(self, node: Loop, frame: Frame) -> None:
        self._course.frames.pop()
        if node.save:
            self._course.variables[node.save] = frame.gathered
        if self._course.frames:  # the round around it has its names again
            self._names(self._course.frames[-1])
        self._move(node.next)

    def _names(self, frame: Frame) -> None:
        self._course.variables[ROUND] = frame.round + 1
        loop = self._definition.node(frame.loop)
        if frame.items is not None and isinstance(loop, Loop):
            self._course.variables[loop.item] = frame.items[frame.round]

    # -- what is done -------------------------------------------------------------------------------------------------

    async def _ask(self, node: Ask, now: datetime) -> Said:
        left = self._left()
        prompt = filled(node.prompt, self._course.variables)
        before = await store.step(self._db, self._run.id, self._n + 1)
        if node.target.startswith(AGENTS):
            await self._first(node, before, now)
            given = taken_all(node.given, self._course.variables)
            return await self._deeds.agent(await self._caller(), node.target, prompt, left, given)
        if before is not None and before.receipt_id is not None and before.answer is not None:
            paid = await self._deeds.paid(before.receipt_id)
            if paid is not None:
                kept = self._seal.open_json(ANSWER, before.answer, {"text": "", "tokens": 0})
                return Said(read_answer(node, kept["text"]), paid, before.receipt_id, kept["tokens"])
        said = await self._asked(node, prompt, left, now)
        text, tokens = text_of(said.value)
        try:
            return Said(read_answer(node, text), said.paid_micro, said.receipt_id, tokens)
        except StepFailed as error:  # paid for all the same
            raise Paid(error, said) from error

    def _left(self) -> int:
        left = self._run.budget_micro - self._spent
        if left <= 0:
            raise StepFailed("run_budget", "The run's budget is used up", "运行预算已用完")
        return left

    async def _tool(self, node: Tool, now: datetime) -> Said:
        left, arguments = self._left(), taken_all(node.arguments, self._course.variables)
        await self._first(node, await store.step(self._db, self._run.id, self._n + 1), now)
        said = await self._deeds.tool(await self._caller(), node.tool, arguments, left)
        return replace(said, value=as_value(said.value))

    async def _look_up(self, node: Knowledge, now: datetime) -> Said:
        self._left()
        question = filled(node.question, self._course.variables)
        await self._first(node, await store.step(self._db, self._run.id, self._n + 1), now)
        return await self._deeds.look_up(
            await self._caller(), self._run.org_id, node.bases, question, node.passages
        )  # fmt: skip

    def _read(self, said: Said) -> None:
        """From here on the run carries what was read."""
        self._course.data_class = max(self._course.data_class, said.data_class, key=DATA_CLASSES.index)

    async def _part(self, node: Flow) -> Said | None:
        """What another workflow returned; None while the run waits for it."""
        n, part = self._n + 1, await self._parts.part(self._run, self._n + 1)
        if part is None:
            given = taken_all(node.given, self._course.variables)
            await self._parts.begin_part(
                self._run, n, node.workflow, given, self._left(), self._rest, self._course.data_class
            )
            return None
        if part.ended_at is None:
            async with self._db.transaction() as conn:
                await self._rest(conn)
            return None
        took = int((part.ended_at - part.made_at).total_seconds() * 1000)
        said = Said(part.result, part.paid_micro, took_ms=took, data_class=part.course.get("data_class", "general"))
        if part.state != "done":
            why = part.why or {}
            zh, en = why.get("zh") or part.error, why.get("en") or part.error
            raise Paid(StepFailed("workflow_failed", f"{node.workflow} ended without a result: {en}",
                                  f"工作流“{node.workflow}”未完成：{zh}"), said)  # fmt: skip
        return said

    async def _rest(self, conn: Any) -> bool:
        self._rests = await store.pause(conn, self._run.id, self._worker, self._sealed_course())
        return self._rests

    async def _asked(self, node: Ask, prompt: str, left: int, now: datetime) -> Said:
        """The call itself; what passes is tried again, each time under another receipt."""
        system = filled(node.system, self._course.variables)
        messages = [{"role": "system", "content": system}] if system else []
        fields: dict[str, Any] = {
            "model": node.target, "messages": [*messages, {"role": "user", "content": prompt}],
            "max_tokens": node.tokens,
        }  # fmt: skip
        if node.temperature is not None:
            fields["temperature"] = node.temperature
        if node.schema is not None:
            shape = {"name": node.id, "schema": node.schema, "strict": True}
            fields["response_format"] = {"type": "json_schema", "json_schema": shape}
        for tried in range(1, TRIES_MAX + 1):
            receipt = new_id()
            await self._begin(node, receipt, now)
            try:
                return await self._deeds.ask(await self._caller(), fields, left, receipt, self._keeper(receipt))
            except (CallError, ShanheError) as error:
                if error.code not in PASSING or tried == TRIES_MAX:
                    raise
                await asyncio.sleep(WAITS_S[tried - 1])
        raise AssertionError("unreachable: the last try returns or raises")

    def _keeper(self, receipt: UUID) -> Callable[[bytes], Awaitable[None]]:
        async def keep(body: bytes) -> None:
            text, tokens = text_of(msgspec.json.decode(body))
            kept = self._seal.json(ANSWER, {"text": text, "tokens": tokens})
            if not await store.answered(self._db, self._run.id, self._n + 1, receipt, kept):
                raise StepFailed("step_taken", "Another process works on this run", "该运行已由其他进程处理")

        return keep

    async def _http(self, node: Http, now: datetime) -> Said:
        caller = await self._caller()
        if getattr(caller, "data_class", "general") in CITY_CLASSES:
            raise StepFailed("leaves_the_city", f"{caller.data_class} data may not leave the city",
                             f"{caller.data_class} 类数据不得出域")  # fmt: skip
        url, body = filled(node.url, self._course.variables), filled(node.body, self._course.variables)
        if node.method == "POST":
            await self._first(node, await store.step(self._db, self._run.id, self._n + 1), now)
        key = str(uuid5(self._run.id, str(self._n + 1 - self._course.tried)))  # one for all tries
        status, answer = await self._deeds.fetch(
            node.method, url, body.encode(), key, self._headers(node), node.secrets, self._run.org_id
        )
        if status >= REFUSED and (node.failed or node.tries > 1):
            code = "http_failed" if status == BUSY or status >= BROKEN else "http_refused"
            raise StepFailed(code, f"The address answered {status}", f"地址返回 {status}")
        return Said({"status": status, "body": as_value(answer.decode("utf-8", "replace")[:BODY_SHOWN_CHARS])})

    def _headers(self, node: Http) -> dict[str, str]:
        """Headers with their places filled; StepFailed for what would not stay inside of one."""
        found = {name: filled(text, self._course.variables) for name, text in node.headers.items()}
        for name, text in found.items():
            if not text.isascii() or not (text == "" or text.isprintable()) or len(text) > HEADER_MAX_CHARS:
                raise StepFailed("bad_header", f"{name} has up to {HEADER_MAX_CHARS} printable ASCII characters",
                                 f"请求头“{name}”须为 {HEADER_MAX_CHARS} 位以内的可见 ASCII 字符")  # fmt: skip
        return found

    async def _first(self, node: AnyNode, before: Step | None, now: datetime) -> None:
        """Begin what may be done once only; StepFailed when a process that has ended had begun it."""
        if before is not None:
            raise StepFailed(
                "step_interrupted",
                f"{node.id!r} was interrupted, and whether it was done can't be known: it isn't repeated",
                f"节点“{node.id}”执行中断，无法确认是否已完成，不再重复执行",
            )  # fmt: skip
        await self._begin(node, None, now)

    async def _begin(self, node: AnyNode, receipt: UUID | None, now: datetime) -> None:
        tag = str(type(node).__struct_config__.tag)
        await store.begin_step(self._db, Step(
            self._run.id, self._n + 1, node.id, tag, "begun", receipt, 0, 0, 0, "", now
        ))  # fmt: skip

    async def _caller(self) -> Any:
        return await self._deeds.caller_of(self._run.key_id, self._course.data_class)

    async def _word(self, node: Approval, now: datetime) -> str | None:
        """Somebody's word on an approval: how the run goes on, or None while it waits."""
        found = await store.asked(self._db, self._run.id, self._n + 1)
        if found is None or not found.verdict:
            shows = self._seal.text(SHOWS, filled(node.shows, self._course.variables))
            until = min(now + timedelta(hours=node.hours), self._run.expires_at)
            one = Waiting(new_id(), self._run.id, self._n + 1, node.id, self._run.org_id, node.who, shows, now, until)
            async with self._db.transaction() as conn:
                if await self._rest(conn):
                    await store.wait_for(conn, one)
            return None
        if found.verdict == "expired":
            raise StepFailed("approval_expired", f"Nobody decided {node.id!r} in time", f"审批“{node.id}”逾期未处理")
        if node.save:
            note = self._seal.open("workflows.approval.note", found.note)
            self._course.variables[node.save] = {"verdict": found.verdict, "note": note}
        if found.verdict == "refused" and not node.refused:
            return "refused"
        self._move(node.next if found.verdict == "approved" else node.refused)
        return "running"

    # -- ends ---------------------------------------------------------------------------------------------------------

    def _sealed_course(self) -> Any:
        return self._seal.json(COURSE, msgspec.to_builtins(self._course, enc_hook=str))

    def _ending(self, failure: Any) -> store.Ending:
        return ending(self._seal, self._course.result, failure, self._clock.now())

    async def _end(self, state: str, failure: ShanheError | None) -> None:
        async with self._db.transaction() as conn:
            await store.end(conn, self._run.id, state, self._ending(failure))


class Paid(StepFailed):
    """A step that failed after it was charged."""

    def __init__(self, error: StepFailed, said: Said) -> None:
        super().__init__(error.code, error.message.rstrip("."), error.message_zh.rstrip("。"))
        self.said = said


def expired() -> StepFailed:
    return StepFailed("run_expired", "The run's time is over", "运行已超过时限")


def ending(seal: Seal, result: Mapping[str, Any], failure: Any, now: datetime) -> store.Ending:
    """How a run ended, as it is kept."""
    why = None if failure is None else told(failure)
    code = "" if failure is None else str(failure.code)[:ERROR_MAX_CHARS]
    return seal.json(RESULT, dict(result)), code, seal.json(WHY, why), now


def told(failure: Any) -> dict[str, str]:
    """What went wrong, in both languages."""
    return {"zh": getattr(failure, "message_zh", "") or failure.message, "en": failure.message}


def as_value(text: str) -> Any:
    """What was answered: JSON where it is that, else the text."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


def text_of(answer: Mapping[str, Any]) -> tuple[str, int]:
    """(text, tokens) of a model's answer."""
    try:
        text = answer["choices"][0]["message"]["content"]
        usage = answer.get("usage") or {}
        return str(text or ""), int(usage.get("prompt_tokens") or 0) + int(usage.get("completion_tokens") or 0)
    except (KeyError, IndexError, TypeError, ValueError):
        return "", 0


def read_answer(node: Ask, text: str) -> Any:
    """What an answer's variable holds; StepFailed where JSON was wanted and something else came."""
    if node.schema is None:
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise StepFailed(
            "bad_json", f"{node.id!r} answered something that is no JSON", f"节点“{node.id}”的回答不是 JSON"
        ) from error
