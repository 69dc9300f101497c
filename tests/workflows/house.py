"""Workflows over a real database; models, agents, code and addresses are a script, the ledger a set of receipts."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from shanhe.gateway.api import CallError
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.purse import OverBudget, Purse
from shanhe.workflows.api import Run, Runner, Said, Step, Workflows

PRICE = 100
KEY = b"k" * 32


class Crash(BaseException):
    """The process ends here."""


class House:
    def __init__(self, database: Database, clock: FixedClock) -> None:
        self.db, self.clock, self.org, self.key = database, clock, new_id(), new_id()
        self.workflows = Workflows(database, clock, key_of=self.key_of, is_member=self.is_member, hook_key=KEY)
        self.charged: dict[UUID, int] = {}
        self.asked: list[str] = []
        self.may = PRICE
        """What a call may cost at most; it costs PRICE."""
        self.agents: dict[UUID, int] = {}
        self.fetched: list[tuple[str, str, bytes]] = []
        self.keys: list[str] = []
        self.heads: list[dict[str, str]] = []
        self.plan: list[Any] = []
        self.left: set[UUID] = set()
        """People who are no longer members."""
        self.answer: Callable[[str], str] = lambda prompt: f"<{prompt}>"
        self.data_class = "general"

    async def is_member(self, org: UUID, person: UUID) -> bool:
        return person not in self.left

    async def key_of(self, org: UUID) -> UUID:
        return self.key

    async def caller_of(self, key: UUID, data_class: str, purse: Purse) -> Any:
        return SimpleNamespace(data_class=self.data_class if data_class == "general" else data_class, purse=purse)

    @asynccontextmanager
    async def paying(self, caller: Any, receipt: UUID) -> AsyncIterator[None]:
        """As the gateway does: what a call may cost is set aside while it is made; a process that ends does nothing
        more."""
        try:
            await caller.purse.hold(self.may)
        except OverBudget as error:
            raise CallError(402, "run_budget_exceeded", "Too little.") from error
        try:
            yield
        except Exception:
            await caller.purse.settle(self.may, 0)
            raise
        await caller.purse.settle(self.may, self.charged[receipt])

    async def ask(
        self, caller: Any, fields: Mapping[str, Any], receipt_id: UUID, keep: Callable[[bytes], Awaitable[None]]
    ) -> Said:
        """What `plan` says, else an answer: keep, charge, tell."""
        async with self.paying(caller, receipt_id):
            return await self._answered(fields, receipt_id, keep)

    async def _answered(
        self, fields: Mapping[str, Any], receipt_id: UUID, keep: Callable[[bytes], Awaitable[None]]
    ) -> Said:
        prompt = fields["messages"][-1]["content"]
        self.asked.append(prompt)
        step = self.plan.pop(0) if self.plan else "answer"
        if isinstance(step, Exception):
            raise step
        if step == "crash first":
            raise Crash
        body = {"choices": [{"message": {"content": self.answer(prompt)}}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 4}}  # fmt: skip
        await keep(json.dumps(body).encode())
        if step == "crash kept":
            raise Crash
        assert receipt_id not in self.charged
        self.charged[receipt_id] = PRICE
        if step == "crash charged":
            raise Crash
        return Said(body, PRICE, receipt_id)

    async def agent(self, caller: Any, name: str, text: str, number: UUID, inputs: Mapping[str, Any]) -> Said:
        """One call of a model, or one and the begin of another where the process ends then."""
        self.asked.append(f"{name}: {text}")
        step = self.plan.pop(0) if self.plan else "answer"
        if step == "crash first":
            raise Crash
        async with self.paying(caller, receipt := new_id()):
            self.charged[receipt] = self.agents[number] = PRICE
        if step == "crash later":
            await caller.purse.hold(self.may)
            raise Crash
        return Said(f"{name} says", PRICE, receipt, 7)

    async def look_up(self, caller: Any, owner: UUID, bases: Sequence[str], question: str, passages: int) -> Said:
        self.asked.append(f"{','.join(bases)}: {question}")
        if self.plan and self.plan.pop(0) == "crash first":
            raise Crash
        async with self.paying(caller, receipt := new_id()):
            self.charged[receipt] = PRICE
        found = {"supported": True, "text": "<资料>九十天</资料>", "passages": [{"document": "指南.md", "page": 1}]}
        return Said(found, PRICE, receipt, data_class="citizen" if "people" in bases else "general")

    async def code(self, code: str, inputs: Mapping[str, Any]) -> Any:
        scope: dict[str, Any] = {}
        exec(code, scope)  # the sandbox has tests of its own
        return scope["main"](**inputs)

    async def spent(self, number: UUID) -> int:
        return self.agents.get(number, 0)

    async def tool(self, caller: Any, name: str, arguments: Mapping[str, Any]) -> Said:
        self.asked.append(f"{name}: {json.dumps(arguments, ensure_ascii=False, sort_keys=True)}")
        step = self.plan.pop(0) if self.plan else "answer"
        if isinstance(step, Exception):
            raise step
        if step == "crash first":
            raise Crash
        async with self.paying(caller, receipt := new_id()):
            self.charged[receipt] = PRICE
        return Said('{"sky": "rain"}', PRICE, receipt)

    async def fetch(
        self, method: str, url: str, body: bytes, key: str, headers: Mapping[str, str], secrets: Mapping[str, str],
        owner: UUID,
    ) -> tuple[int, bytes]:  # fmt: skip
        self.heads.append({**headers, **{name: f"secret {secret} of {owner}" for name, secret in secrets.items()}})
        self.fetched.append((method, url, body))
        self.keys.append(key)
        step = self.plan.pop(0) if self.plan else 200
        if step == "crash first":
            raise Crash
        return step if isinstance(step, int) else 200, b'{"ok": true}'

    async def paid(self, receipt_id: UUID) -> int | None:
        return self.charged.get(receipt_id)

    # -- what tests do ------------------------------------------------------------------------------------------------

    def runner(self, worker: str = "w0") -> Runner:
        return Runner(self.db, self.clock, self.workflows, self, worker=worker)

    async def published(self, content: dict[str, Any], slug: str = "flow") -> None:
        await self.workflows.create(slug, "流程", org_id=self.org, by="tests")
        await self.workflows.save(self.org, slug, content, by="tests")
        await self.workflows.publish(self.org, slug)

    async def run(
        self, content: dict[str, Any], given: Mapping[str, Any] | None = None, *plan: Any
    ) -> tuple[Run, list[Step]]:
        """Publish, start, and work until nothing is due; a crash is followed by the next start of the process."""
        await self.published(content)
        self.plan = list(plan)
        run = await self.workflows.start(self.org, "flow", given or {}, ref="1")
        return await self.on(run)

    async def on(self, run: Run) -> tuple[Run, list[Step]]:
        for _ in range(4):
            runner = self.runner()
            try:
                await runner.start()
                await runner.drain()
            finally:
                await runner.stop()
        return await self.workflows.trace(run.id, self.org)


def flow(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A definition whose nodes follow each other as they say, beginning with the first."""
    return {"start": nodes[0]["id"], "nodes": list(nodes), **more}


def ask(name: str, prompt: str, to: str = "", **more: Any) -> dict[str, Any]:
    return {"kind": "ask", "id": name, "target": "m", "prompt": prompt, "save": name, "next": to, **more}


def says(name: str, text: str, to: str = "") -> dict[str, Any]:
    return {"kind": "output", "id": f"out_{name}", "values": {name: text}, "next": to}
