"""Running agents: bounded steps, each an ordinary paid call; only tools on the list, nothing beyond the budget."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

import msgspec
import structlog

from shanhe.agents import store
from shanhe.agents.errors import (
    BadRequest,
    NoAnswer,
    OutOfTime,
    ToolsLeaveTheCity,
    TooManyOfYours,
    TooManyRuns,
    UnknownAgent,
    UnknownRun,
)
from shanhe.agents.guard import Guard, Personal
from shanhe.agents.model import (
    BUDGET_MAX_MICRO,
    CITY_CLASSES,
    INSTRUCTIONS_MAX_CHARS,
    KNOWLEDGE_MAX,
    KNOWLEDGE_NAME_MAX_CHARS,
    SCHEMA_MAX_BYTES,
    STEP_TOKENS_MAX,
    STEPS_MAX,
    TOOL_NAME,
    TOOLS_MAX,
    Definition,
    Message,
    Outcome,
    Published,
    Run,
    RunState,
    Step,
    ToolAnswer,
    ToolSpec,
)
from shanhe.agents.talk import Talk, Understood, Wish
from shanhe.gateway.api import CallError, Gateway
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.retrieval.api import DECLINED_EN, DECLINED_ZH, Found, Hit, carried, kept_inside, shown, visible

if TYPE_CHECKING:
    from shanhe.compute.api import Compute
    from shanhe.identity.api import Caller

RUN_MAX_S: Final = 600.0
KEEP: Final = timedelta(days=366)
"""How long runs are kept: a year of questions about them."""
RUNS_MAX: Final = 256
"""Runs one process works on at once."""
RUNS_OF_ONE_MAX: Final = 64
"""Runs one organisation pays for at once, in one process: agents whose tools call agents again end here, and leave the
others their places. Nothing of a refused run is held or charged."""
MESSAGES_MAX: Final = 100
ASKED_MAX_BYTES: Final = 256 * 1024
ERROR_MAX_CHARS: Final = 300
PASSAGES_SHOWN: Final = 4
QUESTION_MAX_CHARS: Final = 1_000
KNOWLEDGE: Final = "knowledge"
"""What a look-up is called in a trace: names of bases are their owners' words."""
FACE_OPENAI, FACE_A2A, FACE_TRY = "openai", "a2a", "try"
Finding = tuple[str, bool, str, str]
"""(name, passed, zh, en) of one check of a definition."""
log = structlog.get_logger(__name__)


class Toolbox(Protocol):
    """Whoever knows tools and calls them; handed in by the composition root."""

    async def specs(self, names: Sequence[str]) -> Sequence[ToolSpec]:
        """Tools by `server/tool`; those that are not offered are left out."""
        ...

    async def call(
        self, caller: Caller, name: str, arguments: Mapping[str, Any], most_micro: int
    ) -> ToolAnswer:  # fmt: skip
        """Call one, at its fee, of at most `most_micro`. A tool that fails is an answer, not an error."""
        ...


class Shelves(Protocol):
    """Whoever looks things up in knowledge bases; handed in by the composition root."""

    async def missing(self, owner: UUID, names: Sequence[str]) -> list[str]:
        """Bases that an agent of this maker may not use."""
        ...

    async def find(self, owner: UUID, names: Sequence[str], question: str, caller: Caller) -> Found:
        """Passages for a question; UnknownBase where one of the bases may not be used."""
        ...


Find = Callable[[str], Awaitable[Published | None]]
"""An agent by the name callers use, as it is offered now."""


class Agents:
    """Runs the agents of one process."""

    def __init__(
        self, db: Database, clock: Clock, *, gateway: Gateway, compute: Compute, tools: Toolbox, find: Find,
        shelves: Shelves, personal: Personal,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._gateway = gateway
        self._compute = compute
        self._tools = tools
        self._find = find
        self._shelves = shelves
        self.personal = personal
        self._running: Counter[UUID] = Counter()

    # -- definitions --------------------------------------------------------------------------------------------------

    async def check(self, content: Mapping[str, Any], owner: UUID | None = None) -> list[Finding]:
        """What is wrong and right with a definition before it is offered by `owner` (None: nobody yet)."""
        try:
            definition = definition_of(content)
        except BadRequest as error:
            return [("definition", False, error.message_zh, error.message)]
        found = [("definition", True, "格式正确", "the form is right")]
        model = self._compute.model(definition.model)
        ok = model is not None and model.kind == "chat"
        found.append(("model", ok, "模型可用" if ok else f"没有对话模型 {definition.model}",
                      "the model is there" if ok else f"there is no chat model {definition.model}"))  # fmt: skip
        known = {spec.name for spec in await self._tools.specs(definition.tools)}
        missing = [name for name in definition.tools if name not in known]
        found.append(("tools", not missing, f"工具未上架：{'、'.join(missing)}" if missing else "工具均已上架",
                      f"not offered: {', '.join(missing)}" if missing else "all tools are offered"))  # fmt: skip
        if definition.knowledge and owner is not None:
            gone = await self._shelves.missing(owner, definition.knowledge)
            found.append(("knowledge", not gone, f"知识库不可用：{'、'.join(gone)}" if gone else "知识库可用",
                          f"not usable: {', '.join(gone)}" if gone else "all knowledge bases are usable"))  # fmt: skip
        return found

    async def published(self, name: str) -> Published:
        """An agent as callers get it; UnknownAgent."""
        found = await self._find(name)
        if found is None:
            raise UnknownAgent(name)
        return found

    # -- runs ---------------------------------------------------------------------------------------------------------

    async def run(
        self, agent: Published, caller: Caller, asked: Sequence[Message], *, face: str, charged: bool = True
    ) -> Outcome:
        """Run it to its answer. Every step is charged as it is made; errors end the run and say why.

        `charged` False: a maker tries a draft; the model is paid for at list price, no markup is due.
        """
        if self._running.total() >= RUNS_MAX:
            raise TooManyRuns()
        if self._running[caller.org_id] >= RUNS_OF_ONE_MAX:
            raise TooManyOfYours(RUNS_OF_ONE_MAX)
        run = Run(
            new_id(), agent.name, agent.version, caller.org_id, caller.key_id, face, RunState.RUNNING,
            agent.definition.budget_micro, 0, self._clock.now(), None, "",
        )  # fmt: skip
        self._running[caller.org_id] += 1
        try:
            await store.begin(self._db, run)
            try:
                async with asyncio.timeout(RUN_MAX_S):
                    outcome = await Course(self, agent, caller, run.id, charged=charged).go(checked(asked))
            except TimeoutError as error:
                await self._ended(run.id, RunState.FAILED, "run_too_long")
                raise OutOfTime(RUN_MAX_S) from error
            except (ShanheError, CallError) as error:
                await self._ended(run.id, RunState.FAILED, error.code)
                raise
            except BaseException as error:
                await asyncio.shield(self._ended(run.id, RunState.FAILED, type(error).__name__))
                raise
            await self._ended(run.id, RunState.DONE, "")
            return outcome
        finally:
            self._running[caller.org_id] -= 1
            if not self._running[caller.org_id]:
                del self._running[caller.org_id]

    async def _ended(self, run_id: UUID, state: RunState, error: str) -> None:
        await store.end(self._db, run_id, state, error[:ERROR_MAX_CHARS], self._clock.now())

    async def sweep(self) -> int:
        """End the records of runs whose process died."""
        now = self._clock.now()
        return await store.end_stale(self._db, now - timedelta(seconds=2 * RUN_MAX_S), now)

    async def purge(self) -> int:
        """Forget runs that nobody needs any more; receipts stay on the ledger."""
        return await store.purge(self._db, self._clock.now() - KEEP)

    async def runs(self, org_id: UUID, before: UUID | None = None) -> list[Run]:
        """An organisation's runs, newest first, a page."""
        return await store.runs(self._db, org_id, before)

    async def trace(self, run_id: UUID, org_id: UUID | None) -> tuple[Run, list[Step]]:
        """A run and its steps; `org_id` None: an operator asks."""
        found = await store.run(self._db, run_id)
        if found is None or (org_id is not None and found.org_id != org_id):
            raise UnknownRun()
        return found, await store.steps(self._db, run_id)

    # -- for a run's course -------------------------------------------------------------------------------------------

    @property
    def db(self) -> Database:
        return self._db

    @property
    def gateway(self) -> Gateway:
        return self._gateway

    @property
    def shelves(self) -> Shelves:
        return self._shelves

    @property
    def toolbox(self) -> Toolbox:
        return self._tools

    def has_grammar(self, definition: Definition) -> bool:
        """Whether this agent's model asks for tools by JSON under a grammar."""
        if definition.calling != "auto":
            return definition.calling == "grammar"
        model = self._compute.model(definition.model)
        return model is not None and "json_schema" in model.features


class Course:
    """One run on its way."""

    def __init__(self, agents: Agents, agent: Published, caller: Caller, run_id: UUID, *, charged: bool) -> None:
        self._agents = agents
        self._agent = agent
        self._definition = agent.definition
        self._run_id = run_id
        self._charged = charged
        own = caller.data_class
        self._caller = caller if own != "general" else msgspec.structs.replace(
            caller, data_class=agent.definition.data_class
        )  # fmt: skip
        self._steps: list[Step] = []
        self._read: list[str] = []  # listings whose tools the next step reads for the first time
        self._guard = Guard([], [], personal=agents.personal)
        self._spent = self._prompt = self._completion = 0
        self._receipt: UUID | None = None

    async def go(self, asked: Sequence[Message]) -> Outcome:
        definition = self._definition
        found = await self._look_up(asked) if definition.knowledge else None
        if found is not None and definition.grounded and not found.supported:
            return self._outcome(declined_in(question_of(asked)), declined="unsupported")
        hits = () if found is None or not found.supported else found.hits[:PASSAGES_SHOWN]
        self._guard = Guard(
            [definition.instructions, *(str(one["content"]) for one in asked)], [hit.passage.text for hit in hits],
            personal=self._agents.personal, open_egress=definition.egress == "open",
        )  # fmt: skip
        tools = list(await self._agents.toolbox.specs(definition.tools)) if definition.tools else []
        if self._caller.data_class in CITY_CLASSES:
            for tool in tools:
                if not tool.local:
                    raise ToolsLeaveTheCity(tool.name, self._caller.data_class)
        talk = Talk(definition, tools, with_passages(asked, hits), grammar=self._agents.has_grammar(definition))
        by_function = {tool.function: tool for tool in tools}
        for number in range(1, definition.steps_max + 1):
            last = number == definition.steps_max
            understood = await self._think(talk, first=number == 1, last=last)
            if understood.answer is not None:
                if not understood.answer.strip():
                    raise NoAnswer(
                        "the model gave neither an answer nor a wish for a tool", "模型既未作答，也未请求工具"
                    )
                return self._answer(understood.answer, hits, tools, asked)
            if last:
                break
            talk.heard(understood)
            for wish in understood.wishes:
                talk.told(wish, await self._use(wish, by_function))
        raise NoAnswer(
            f"after {definition.steps_max} steps it still asked for tools",
            f"经过 {definition.steps_max} 步仍在请求工具",
        )

    async def _look_up(self, asked: Sequence[Message]) -> Found:
        """The question in the agent's bases, paid by the caller; what is found keeps its data class."""
        began = time.perf_counter()
        names, question = self._definition.knowledge, question_of(asked)
        try:
            found = await self._agents.shelves.find(self._agent.owner, names, question, self._caller)
        except (ShanheError, CallError) as error:
            await self._note("knowledge", KNOWLEDGE, "refused", began, error=error.code)
            raise
        self._caller = kept_inside(self._caller, found)
        await self._note(
            "knowledge", KNOWLEDGE, "done", began, paid=found.paid_micro,
            receipt=found.receipt_id, sent=len(question.encode()),
            got=sum(len(hit.passage.text.encode()) for hit in found.hits[:PASSAGES_SHOWN]),
        )  # fmt: skip
        return found

    def _answer(
        self, text: str, hits: Sequence[Hit], tools: Sequence[ToolSpec], asked: Sequence[Message]
    ) -> Outcome:  # fmt: skip
        """The model's words as far as they may be said, with what they rest on. An agent that has nothing but its bases
        says only what these carry."""
        if self._definition.answer_schema is not None or not hits:
            return self._outcome(self._guard.answer(text))
        kept, cited = carried(text, hits)
        if not tools and self._definition.grounded:
            if not cited:
                return self._outcome(declined_in(question_of(asked)), declined="not_carried")
            text = kept
        return self._outcome(self._guard.answer(text), citations=tuple(cited))

    async def _think(self, talk: Talk, *, first: bool, last: bool) -> Understood:
        """One call of the model: the agent's maker is due on every one, a tool's maker on the one that reads it."""
        fields = talk.fields(last=last)
        through = [self._agent.name, *self._read] if self._charged else list(self._read)
        self._read = []
        began = time.perf_counter()
        try:
            asked = await self._agents.gateway.ask(
                self._caller, fields, through=through, fees=(self._agent.name,) if first else (),
                most_micro=self._definition.budget_micro - self._spent,
            )  # fmt: skip
        except (ShanheError, CallError) as error:
            await self._note("model", self._definition.model, "refused", began, error=error.code)
            raise
        usage = asked.answer.get("usage") or {}
        prompt, completion = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        self._prompt += prompt
        self._completion += completion
        message = asked.answer["choices"][0]["message"]
        await self._note(
            "model", self._definition.model, "done", began, paid=asked.paid_micro, receipt=asked.receipt_id,
            tokens=prompt + completion, sent=len(msgspec.json.encode(fields["messages"])),
            got=len(msgspec.json.encode(message)),
        )  # fmt: skip
        return talk.understand(message)

    async def _use(self, wish: Wish, allowed: Mapping[str, ToolSpec]) -> str:
        """Call a tool the model asks for, if it is on the list; what goes wrong is told to the model."""
        began = time.perf_counter()
        tool = allowed.get(wish.function)
        if tool is None:
            await self._note("tool", wish.function[:80], "refused", began, error="tool_not_allowed")
            return "This tool is not available. 该工具不可用。"
        if wish.arguments is None:
            await self._note("tool", tool.name, "refused", began, error="bad_arguments")
            return "The arguments are no JSON object. 参数不是 JSON 对象。"
        why = self._guard.refusal(wish.arguments)
        if why is not None:
            await self._note("tool", tool.name, "refused", began, error=why)
            return "These arguments may not be handed to a tool. 参数含有不得传出的内容，调用被拒绝。"
        left = self._definition.budget_micro - self._spent
        try:
            said = await self._agents.toolbox.call(self._caller, tool.name, wish.arguments, left)
        except CallError as error:
            await self._note("tool", tool.name, "refused", began, error=error.code)
            raise
        except ShanheError as error:
            await self._note("tool", tool.name, "refused", began, error=error.code)
            return f"The tool could not be called: {error.message} {error.message_zh}"
        if tool.resource not in self._read and not said.failed:
            self._read.append(tool.resource)
        await self._note(
            "tool", tool.name, "failed" if said.failed else "done", began, paid=said.paid_micro,
            receipt=said.receipt_id, sent=len(msgspec.json.encode(wish.arguments)), got=len(said.text.encode()),
        )  # fmt: skip
        return said.text

    async def _note(
        self, kind: str, name: str, state: str, began: float, *, paid: int = 0, receipt: UUID | None = None,
        tokens: int = 0, sent: int = 0, got: int = 0, error: str = "",
    ) -> None:  # fmt: skip
        """Write a step down, with what it cost."""
        took_ms = int((time.perf_counter() - began) * 1000)
        step = Step(len(self._steps) + 1, kind, name, state, paid, receipt, tokens, sent, got, took_ms,
                    error[:ERROR_MAX_CHARS])  # fmt: skip
        self._steps.append(step)
        self._spent += paid
        self._receipt = receipt or self._receipt
        await store.add_step(self._agents.db, self._run_id, step)

    def _outcome(self, text: str, *, citations: tuple[Hit, ...] = (), declined: str = "") -> Outcome:
        return Outcome(
            self._run_id, text, self._prompt, self._completion, self._spent, self._receipt, tuple(self._steps),
            citations, declined,
        )  # fmt: skip


def question_of(asked: Sequence[Message]) -> str:
    """What is looked up: the last words of the user."""
    said = [str(one["content"]) for one in asked if one["role"] == "user"]
    return visible(said[-1] if said else "").strip()[-QUESTION_MAX_CHARS:]


def with_passages(asked: Sequence[Message], hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """The conversation with passages before its last question."""
    messages = [dict(one) for one in asked]
    last = next((one for one in reversed(messages) if one["role"] == "user"), None)
    if hits and last is not None:
        last["content"] = f"{shown(hits)}\n\n问题 Question：{last['content']}"
    return messages


def declined_in(question: str) -> str:
    """The refusal in the asker's language."""
    return DECLINED_EN if question.isascii() else DECLINED_ZH


def definition_of(content: Mapping[str, Any]) -> Definition:
    """A definition out of what a maker wrote; BadRequest names what is wrong."""
    try:
        found = msgspec.convert(dict(content), Definition)
    except msgspec.ValidationError as error:
        raise BadRequest(f"The definition is not in order: {error}", f"定义有误：{error}") from error
    told, schema_bytes = len(found.instructions), len(msgspec.json.encode(found.answer_schema))
    problems = [
        (not 1 <= told <= INSTRUCTIONS_MAX_CHARS, f"instructions: 1 to {INSTRUCTIONS_MAX_CHARS} characters"),
        (not 1 <= found.steps_max <= STEPS_MAX, f"steps_max: 1 to {STEPS_MAX}"),
        (not 1 <= found.step_tokens <= STEP_TOKENS_MAX, f"step_tokens: 1 to {STEP_TOKENS_MAX}"),
        (not 1 <= found.budget_micro <= BUDGET_MAX_MICRO, f"budget_micro: 1 to {BUDGET_MAX_MICRO}"),
        (len(found.tools) > TOOLS_MAX, f"tools: at most {TOOLS_MAX}"),
        (len(set(found.tools)) < len(found.tools), "tools: each once"),
        (any(not TOOL_NAME.fullmatch(tool) for tool in found.tools), "tools: server/tool each"),
        (found.temperature is not None and not 0 <= found.temperature <= 2, "temperature: 0 to 2"),
        (schema_bytes > SCHEMA_MAX_BYTES, f"answer_schema: at most {SCHEMA_MAX_BYTES} bytes"),
        (len(found.knowledge) > KNOWLEDGE_MAX, f"knowledge: at most {KNOWLEDGE_MAX}"),
        (len(set(found.knowledge)) < len(found.knowledge), "knowledge: each once"),
        (any(not 1 <= len(name) <= KNOWLEDGE_NAME_MAX_CHARS for name in found.knowledge), "knowledge: names of bases"),
        (bool(found.tools) and found.steps_max < 2, "steps_max: at least 2 with tools"),
    ]  # fmt: skip
    for wrong, what in problems:
        if wrong:
            raise BadRequest(f"The definition is not in order: {what}", f"定义有误：{what}")
    return found


def checked(asked: Sequence[Message]) -> list[dict[str, Any]]:
    """What a caller may say to an agent: texts of user and assistant; a caller's system text is the user's."""
    if not 1 <= len(asked) <= MESSAGES_MAX:
        raise BadRequest(f"Send 1 to {MESSAGES_MAX} messages", f"消息条数须为 1–{MESSAGES_MAX}")
    found, size = [], 0
    for message in asked:
        role, content = message.get("role"), message.get("content")
        if isinstance(content, list):
            parts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
            content = "".join(part for part in parts if isinstance(part, str)) if len(parts) == len(content) else None
        if role not in ("user", "assistant", "system", "developer") or not isinstance(content, str):
            raise BadRequest(
                "Agents take texts of the roles user and assistant", "智能体只接受 user 与 assistant 的文本"
            )
        size += len(content.encode())
        found.append({"role": "assistant" if role == "assistant" else "user", "content": content})
    if size > ASKED_MAX_BYTES:
        raise BadRequest(f"The messages are longer than {ASKED_MAX_BYTES} bytes", f"消息超过 {ASKED_MAX_BYTES} 字节")
    return found
