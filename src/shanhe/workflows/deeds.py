"""What steps have done outside of a run: models, agents, tools, knowledge, code, addresses.

A step's life: begun under a fresh receipt → its answer is kept → it is charged under that receipt → it is booked with
the run's new course. Whoever takes up a run whose process died asks the ledger: with a posting the kept answer counts,
without one nothing was charged and the step is begun again. What can't be asked about (an agent's chain of calls, a
POST) is never done twice: the step fails and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol
from urllib.parse import quote
from uuid import UUID, uuid5

import msgspec

from shanhe.gateway.api import CallError
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.purse import Purse
from shanhe.kernel.sealing import Seal
from shanhe.workflows import run_store
from shanhe.workflows.course import Lane
from shanhe.workflows.errors import StepFailed
from shanhe.workflows.language import filled, filled_json, taken_all
from shanhe.workflows.model import (
    AGENTS,
    CITY_CLASSES,
    AnyNode,
    Ask,
    Code,
    Http,
    Knowledge,
    Run,
    Step,
    Tool,
)
from shanhe.workflows.purse import StepPurse

ANSWER: Final = "workflows.answer"
TRIES_MAX: Final = 3
WAITS_S: Final = (1.0, 4.0)
BODY_SHOWN_CHARS: Final = 64_000
HEADER_MAX_CHARS: Final = 4_096
REFUSED, BUSY, BROKEN = 400, 429, 500
PASSING: Final = frozenset({"no_engine", "engine_busy", "ledger_unavailable", "too_many_calls", "identity_unavailable"})
"""Refusals that say nothing about the step: tried again a few times."""


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


class Paid(StepFailed):
    """A step that failed after it was charged."""

    def __init__(self, error: StepFailed, said: Said) -> None:
        super().__init__(error.code, error.message.rstrip("."), error.message_zh.rstrip("。"))
        self.said = said


class Deeds(Protocol):
    """What a run can have done; handed in by the composition root."""

    async def ask(
        self, caller: Any, fields: Mapping[str, Any], receipt_id: UUID, keep: Callable[[bytes], Awaitable[None]]
    ) -> Said:  # fmt: skip
        """A call of a model under this receipt; `keep` gets the answer's body before it is charged. Value: the body."""
        ...

    async def agent(self, caller: Any, name: str, text: str, number: UUID, inputs: Mapping[str, Any]) -> Said:
        """An agent's answer as a text, as a run of its own with this id; `inputs`: what it is told first."""
        ...

    async def spent(self, number: UUID) -> int:
        """What a run of an agent has cost; nothing where it never began."""
        ...

    async def look_up(self, caller: Any, owner: UUID, bases: Sequence[str], question: str, passages: int) -> Said:
        """What knowledge bases that `owner` may read say to a question; see `model.Knowledge`."""
        ...

    async def code(self, code: str, inputs: Mapping[str, Any]) -> Any:
        """What `main(**inputs)` of the code returns."""
        ...

    async def tool(self, caller: Any, name: str, arguments: Mapping[str, Any]) -> Said:
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

    async def caller_of(self, key_id: UUID, data_class: str, purse: Purse) -> Any:
        """Who a key calls for, with what was read before: data of this class at least. All is paid out of `purse`."""
        ...


class Doer:
    """Does steps of one run."""

    def __init__(self, db: Database, deeds: Deeds, seal: Seal, run: Run, before: Mapping[int, Step]) -> None:
        """`before`: steps that a process that has ended had begun, by their numbers."""
        self._db = db
        self._deeds = deeds
        self._seal = seal
        self._run = run
        self._before = before

    async def do(self, lane: Lane, node: AnyNode, now: datetime) -> Said:
        """What a node says; nothing of it is written into the run."""
        match node:
            case Ask():
                asked = self._agent if node.target.startswith(AGENTS) else self._ask
                return await asked(lane, node, now)
            case Tool():
                return await self._tool(lane, node, now)
            case Knowledge():
                return await self._look_up(lane, node, now)
            case Http():
                return await self._http(lane, node, now)
            case Code():
                return Said(await self._deeds.code(node.code, {name: lane.variables[name] for name in node.inputs}))
        return Said(None)

    async def kept(self, n: int) -> Said | None:
        """What a step was answered and charged before its process ended; None where it was not."""
        before = self._before.get(n)
        if before is None or before.receipt_id is None or before.answer is None:
            return None
        paid = await self._deeds.paid(before.receipt_id)
        if paid is None:
            return None
        kept = self._seal.open_json(ANSWER, before.answer, {"text": "", "tokens": 0})
        return Said(kept["text"], paid, before.receipt_id, kept["tokens"])

    async def _ask(self, lane: Lane, node: Ask, now: datetime) -> Said:
        said = await self.kept(lane.n)
        if said is None:
            prompt = filled(node.prompt, lane.variables)
            said = await self._asked(lane, node, prompt, now)
            text, tokens = text_of(said.value)
            said = replace(said, value=text, tokens=tokens)
        try:
            return replace(said, value=read_answer(node, said.value))
        except StepFailed as error:  # paid for all the same
            raise Paid(error, said) from error

    async def _asked(self, lane: Lane, node: Ask, prompt: str, now: datetime) -> Said:
        """The call itself; what passes is tried again, each time under another receipt."""
        system = filled(node.system, lane.variables)
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
            await self._begin(lane, node, receipt := new_id(), now)
            try:
                return await self._deeds.ask(await self._caller(lane), fields, receipt, self._keeper(lane.n, receipt))
            except (CallError, ShanheError) as error:
                if error.code not in PASSING or tried == TRIES_MAX:
                    raise
                await asyncio.sleep(WAITS_S[tried - 1])
        raise AssertionError("unreachable: the last try returns or raises")

    def _keeper(self, n: int, receipt: UUID) -> Callable[[bytes], Awaitable[None]]:
        async def keep(body: bytes) -> None:
            text, tokens = text_of(msgspec.json.decode(body))
            kept = self._seal.json(ANSWER, {"text": text, "tokens": tokens})
            if not await run_store.answered(self._db, self._run.id, n, receipt, kept):
                raise StepFailed("step_taken", "Another process works on this run", "该运行已由其他进程处理")

        return keep

    async def _agent(self, lane: Lane, node: Ask, now: datetime) -> Said:
        prompt, given = filled(node.prompt, lane.variables), taken_all(node.given, lane.variables)
        if (before := self._before.get(lane.n)) is not None:
            spent = 0 if before.agent_run is None else await self._deeds.spent(before.agent_run)
            raise Paid(interrupted(node), Said(None, spent))
        await self._begin(lane, node, None, now, agent_run=(number := new_id()))
        return await self._deeds.agent(await self._caller(lane), node.target, prompt, number, given)

    async def _tool(self, lane: Lane, node: Tool, now: datetime) -> Said:
        arguments = taken_all(node.arguments, lane.variables)
        await self._first(lane, node, now)
        said = await self._deeds.tool(await self._caller(lane), node.tool, arguments)
        return replace(said, value=as_value(said.value))

    async def _look_up(self, lane: Lane, node: Knowledge, now: datetime) -> Said:
        question = filled(node.question, lane.variables)
        await self._first(lane, node, now)
        return await self._deeds.look_up(
            await self._caller(lane), self._run.org_id, node.bases, question, node.passages
        )  # fmt: skip

    async def _http(self, lane: Lane, node: Http, now: datetime) -> Said:
        caller = await self._caller(lane)
        if getattr(caller, "data_class", "general") in CITY_CLASSES:
            raise StepFailed("leaves_the_city", f"{caller.data_class} data may not leave the city",
                             f"{caller.data_class} 类数据不得出域")  # fmt: skip
        url, body = filled(node.url, lane.variables, in_address), filled_json(node.body, lane.variables)
        if node.method == "POST":
            await self._first(lane, node, now)
        key = str(uuid5(self._run.id, str(lane.course.first)))  # one for all tries
        status, answer = await self._deeds.fetch(
            node.method, url, body.encode(), key, _headers(lane, node), node.secrets, self._run.org_id
        )
        if status >= REFUSED and (node.failed or node.tries > 1):
            code = "http_failed" if status == BUSY or status >= BROKEN else "http_refused"
            raise StepFailed(code, f"The address answered {status}", f"地址返回 {status}")
        return Said({"status": status, "body": as_value(answer.decode("utf-8", "replace")[:BODY_SHOWN_CHARS])})

    async def _first(self, lane: Lane, node: AnyNode, now: datetime) -> None:
        """Begin what may be done once only; StepFailed when a process that has ended had begun it."""
        if lane.n in self._before:
            raise interrupted(node)
        await self._begin(lane, node, None, now)

    async def _begin(
        self, lane: Lane, node: AnyNode, receipt: UUID | None, now: datetime, *, agent_run: UUID | None = None
    ) -> None:  # fmt: skip
        await run_store.settle_budget(self._db, self._run.id, lane.n, paid=0)  # of a try that was not charged
        await run_store.begin_step(self._db, Step(
            self._run.id, lane.n, node.id, kind_of(node), "begun", receipt, 0, 0, 0, "", now, branch=lane.branch,
            agent_run=agent_run,
        ))  # fmt: skip

    async def _caller(self, lane: Lane) -> Any:
        purse = StepPurse(self._db, self._run.id, lane.n)
        return await self._deeds.caller_of(self._run.key_id, lane.course.data_class, purse)


def interrupted(node: AnyNode) -> StepFailed:
    return StepFailed(
        "step_interrupted", f"{node.id!r} was interrupted, and whether it was done can't be known: it isn't repeated",
        f"节点“{node.id}”执行中断，无法确认是否已完成，不再重复执行",
    )  # fmt: skip


def kind_of(node: AnyNode) -> str:
    return str(type(node).__struct_config__.tag)


def _headers(lane: Lane, node: Http) -> dict[str, str]:
    """Headers with their places filled; StepFailed for what would not stay inside of one."""
    found = {name: filled(text, lane.variables) for name, text in node.headers.items()}
    for name, text in found.items():
        if not text.isascii() or not (text == "" or text.isprintable()) or len(text) > HEADER_MAX_CHARS:
            raise StepFailed("bad_header", f"{name} has up to {HEADER_MAX_CHARS} printable ASCII characters",
                             f"请求头“{name}”须为 {HEADER_MAX_CHARS} 位以内的可见 ASCII 字符")  # fmt: skip
    return found


def in_address(value: str) -> str:
    """A value as a part of an address: it can neither end the part that it stands in nor begin another."""
    if value in (".", ".."):
        raise StepFailed("bad_address", f"{value!r} can't be a part of an address", f"“{value}”不能作为地址的一部分")
    return quote(value, safe="")


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
