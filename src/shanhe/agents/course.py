"""The course of one run: look up, think, use tools, in bounded steps that are written down as they are made."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from shanhe.agents.errors import NoAnswer, ToolsLeaveTheCity
from shanhe.agents.guard import Guard, removed
from shanhe.agents.model import CITY_CLASSES, Message, Moderated, Outcome, Published, ToolSpec
from shanhe.agents.talk import Talk, Understood, Wish
from shanhe.agents.trace import Trace, message_of
from shanhe.gateway.api import CallError, Weigh
from shanhe.kernel.errors import ShanheError
from shanhe.retrieval.api import DECLINED_EN, DECLINED_ZH, Found, Hit, carried, kept_inside, shown, visible

if TYPE_CHECKING:
    from shanhe.agents.service import Agents
    from shanhe.identity.api import Caller

PASSAGES_SHOWN: Final = 4
QUESTION_MAX_CHARS: Final = 1_000
KNOWLEDGE: Final = "knowledge"
"""What a look-up is called in a trace: names of bases are their owners' words."""


@dataclass(frozen=True)
class Way:
    """How a run's calls of models are paid: the listings they come through, and who of their makers by which measure.

    `parent`: the run that this one is a part of; `number`: its id, where somebody has to know it beforehand.
    """

    through: tuple[str, ...] = ()
    weigh: Weigh | None = None
    parent: UUID | None = None
    number: UUID | None = None


class Course:
    """One run on its way."""

    def __init__(self, agents: Agents, agent: Published, caller: Caller, run_id: UUID, way: Way) -> None:
        self._agents = agents
        self._agent = agent
        self._definition = agent.definition
        self._way = way
        own = caller.data_class
        self._caller = caller if own != "general" else msgspec.structs.replace(
            caller, data_class=agent.definition.data_class
        )  # fmt: skip
        self._trace = Trace(agents.db, run_id)
        self._began = agents.now()
        self._read: list[str] = []  # listings whose tools the next step reads for the first time
        self._guard = Guard([], [], personal=agents.personal)

    async def go(self, asked: Sequence[Message]) -> Outcome:
        definition = self._definition
        found = await self._look_up(asked) if definition.knowledge else None
        if found is not None and definition.grounded and not found.supported:
            await self._told("unsupported", "declined", question_of(asked))
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
                return await self._answer(understood.answer, hits, tools, asked)
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
            await self._trace.note("knowledge", KNOWLEDGE, "refused", began, error=error.code)
            raise
        self._caller = kept_inside(self._caller, found)
        await self._trace.note(
            "knowledge", KNOWLEDGE, "done", began, paid=found.paid_micro,
            receipt=found.receipt_id, sent=len(question.encode()),
            got=sum(len(hit.passage.text.encode()) for hit in found.hits[:PASSAGES_SHOWN]),
        )  # fmt: skip
        return found

    async def _answer(
        self, text: str, hits: Sequence[Hit], tools: Sequence[ToolSpec], asked: Sequence[Message]
    ) -> Outcome:  # fmt: skip
        """The model's words as far as they may be said, with what they rest on. An agent that has nothing but its bases
        says only what these carry."""
        if self._definition.answer_schema is not None or not hits:
            return self._outcome(await self._guarded(text))
        kept, cited = carried(text, hits)
        if not tools and self._definition.grounded:
            if not cited:
                await self._told("not_carried", "declined", text)
                return self._outcome(declined_in(question_of(asked)), declined="not_carried")
            text = kept
        return self._outcome(await self._guarded(text), citations=tuple(cited))

    async def _guarded(self, text: str) -> str:
        """The answer as the guard lets it pass; what it took out is told."""
        said = self._guard.answer(text)
        for rule in removed(text, said):
            await self._told(rule, "removed", text)
        return said

    async def _told(self, rule: str, decision: str, text: str) -> None:
        """A record of what a guardrail did, for what the public is offered: drafts that makers try leave none."""
        if self._way.through or self._way.parent is not None:
            await self._agents.moderated(Moderated(
                self._agent.name, self._definition.model, rule, decision, self._caller.org_id, self._trace.run_id, text,
            ))  # fmt: skip

    async def _think(self, talk: Talk, *, first: bool, last: bool) -> Understood:
        """One call of the model: the agent's maker is due on every one, a tool's maker on the one that reads it."""
        fields = talk.fields(last=last)
        way = self._way
        through, self._read = [*way.through, *self._read], []
        asked = await self._trace.call(self._definition.model, fields, self._agents.gateway.ask(
            self._caller, fields, through=through, fees=way.through if first else (), weigh=way.weigh,
            inside=self._definition.clone is not None, since=self._began,
        ))  # fmt: skip
        return talk.understand(message_of(asked))

    async def _use(self, wish: Wish, allowed: Mapping[str, ToolSpec]) -> str:
        """Call a tool the model asks for, if it is on the list; what goes wrong is told to the model."""
        began = time.perf_counter()
        tool = allowed.get(wish.function)
        if tool is None:
            await self._trace.note("tool", wish.function[:80], "refused", began, error="tool_not_allowed")
            return "This tool is not available. 该工具不可用。"
        if wish.arguments is None:
            await self._trace.note("tool", tool.name, "refused", began, error="bad_arguments")
            return "The arguments are no JSON object. 参数不是 JSON 对象。"
        why = self._guard.refusal(wish.arguments)
        if why is not None:
            await self._trace.note("tool", tool.name, "refused", began, error=why)
            await self._told(why, "refused", msgspec.json.encode(wish.arguments).decode())
            return "These arguments may not be handed to a tool. 参数含有不得传出的内容，调用被拒绝。"
        try:
            said = await self._agents.toolbox.call(self._caller, tool.name, wish.arguments)
        except CallError as error:
            await self._trace.note("tool", tool.name, "refused", began, error=error.code)
            raise
        except ShanheError as error:
            await self._trace.note("tool", tool.name, "refused", began, error=error.code)
            return f"The tool could not be called: {error.message} {error.message_zh}"
        if tool.resource not in self._read and not said.failed:
            self._read.append(tool.resource)
        await self._trace.note(
            "tool", tool.name, "failed" if said.failed else "done", began, paid=said.paid_micro,
            receipt=said.receipt_id, sent=len(msgspec.json.encode(wish.arguments)), got=len(said.text.encode()),
        )  # fmt: skip
        return said.text

    def _outcome(self, text: str, *, citations: tuple[Hit, ...] = (), declined: str = "") -> Outcome:
        return self._trace.outcome(text, citations=citations, declined=declined, data_class=self._caller.data_class)


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
