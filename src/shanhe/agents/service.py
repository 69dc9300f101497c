"""Running agents: bounded steps, each an ordinary paid call; only tools on the list, nothing beyond the budget."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

import msgspec
import structlog

from shanhe.agents import store
from shanhe.agents.alliance import AllianceCourse
from shanhe.agents.asked import ASKED_MAX_BYTES, CONSULTATION, checked
from shanhe.agents.course import Course, Way
from shanhe.agents.definitions import as_clone, definition_of
from shanhe.agents.errors import BadRequest, OutOfTime, TooManyOfYours, TooManyRuns, UnknownAgent, UnknownRun
from shanhe.agents.guard import Personal
from shanhe.agents.inputs import filled, given
from shanhe.agents.model import (
    CITY_CLASSES,
    COSTS_MAX,
    Cost,
    Definition,
    Depicted,
    Message,
    Moderated,
    Outcome,
    Published,
    Run,
    RunState,
    Step,
    ToolAnswer,
    ToolSpec,
)
from shanhe.agents.thumbs import Thumbs
from shanhe.agents.trace import ERROR_MAX_CHARS
from shanhe.gateway.api import CallError, Gateway, Spoken
from shanhe.kernel.clock import Clock
from shanhe.kernel.days import checked_days, span
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.labelling import Labels
from shanhe.kernel.provenance import Provenance
from shanhe.kernel.purse import Budget
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import AlreadyReversed, Ledger
from shanhe.retrieval.api import Found

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
FACE_OPENAI, FACE_A2A, FACE_TRY = "openai", "a2a", "try"
ALLIANCE, VOICE = "alliance", "voice"
"""Means that a person's consent names beside purposes."""
SPOKEN: Final = "以上由人工智能生成，{}的数字分身播报。"
CLONE_BY, ALLIANCE_BY = "{}的数字分身", "数字分身联盟“{}”"
Finding = tuple[str, bool, str, str]
"""(name, passed, zh, en) of one check of a definition."""
log = structlog.get_logger(__name__)


class Toolbox(Protocol):
    """Whoever knows tools and calls them; handed in by the composition root."""

    async def specs(self, names: Sequence[str]) -> Sequence[ToolSpec]:
        """Tools by `server/tool`; those that are not offered are left out."""
        ...

    async def call(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        """Call one, at its fee. A tool that fails is an answer, not an error."""
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
Permit = Callable[[Published, str, Sequence[str]], Awaitable[Depicted]]
"""Whether a clone may answer now for a purpose, by these means; raises what says why not."""


Moderates = Callable[[Moderated], Awaitable[None]]
"""Keeps a record of what a guardrail did."""


async def nobody_told(done: Moderated) -> None:
    """Without a place for records none is kept."""


async def nobody_permits(clone: Published, purpose: str, means: Sequence[str]) -> Depicted:
    """Without a ledger of consents no clone answers."""
    raise UnknownAgent(clone.name)


class Agents:
    """Runs the agents of one process."""

    def __init__(
        self, db: Database, clock: Clock, *, gateway: Gateway, compute: Compute, tools: Toolbox, find: Find,
        ledger: Ledger, shelves: Shelves, personal: Personal, labels: Labels, provenance: Provenance,
        seals: Seals, permit: Permit = nobody_permits, least_bps: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._gateway = gateway
        self._ledger = ledger
        self._compute = compute
        self._tools = tools
        self._find = find
        self._shelves = shelves
        self.personal = personal
        self.labels = labels
        self.provenance = provenance
        self.least_bps = least_bps
        """Of a sentence's words, for it to be a clone's (T3)."""
        self._permit = permit
        self.thumbs = Thumbs(db, clock, seals)
        self.moderated: Moderates = nobody_told
        """Who keeps records of what guardrails did; set by the composition root."""
        self._running: Counter[UUID] = Counter()

    # -- definitions --------------------------------------------------------------------------------------------------

    async def check(self, content: Mapping[str, Any], owner: UUID | None = None, kind: str = "agent") -> list[Finding]:
        """What is wrong and right with a definition before it is offered by `owner` (None: nobody yet)."""
        try:
            definition = definition_of(content, kind)
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
        if definition.alliance is not None:
            absent = [one for one in definition.alliance.members if await self._find(one) is None]
            found.append(("members", not absent, f"分身未上架：{'、'.join(absent)}" if absent else "分身均已上架",
                          f"not offered: {', '.join(absent)}" if absent else "all clones are offered"))  # fmt: skip
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

    def today(self) -> date:
        """The city's day."""
        return self._clock.today()

    def now(self) -> datetime:
        """The city's instant."""
        return self._clock.now()

    async def permit(self, clone: Published, purpose: str, *means: str) -> Depicted:
        """Whose clone it is and on which consent, if it may answer for this purpose now; else what says why not."""
        return await self._permit(clone, purpose, means)

    async def speak(self, clone: Published, caller: Caller, text: str, *, purpose: str = "") -> tuple[bytes, Spoken]:
        """A text in a clone's voice, as a WAV file with its label inside: a run of one step."""
        likeness = clone.definition.clone
        if likeness is None or not likeness.voice:
            raise BadRequest(f"{clone.name} has no voice", f"{clone.name} 没有语音")
        if len(text.encode()) > ASKED_MAX_BYTES:
            raise BadRequest(f"The text is longer than {ASKED_MAX_BYTES} bytes", f"文本超过 {ASKED_MAX_BYTES} 字节")
        whose = await self.permit(clone, purpose or CONSULTATION, VOICE)
        run = Run(
            new_id(), clone.name, clone.version, caller.org_id, caller.key_id, FACE_OPENAI, RunState.RUNNING,
            clone.definition.budget_micro, 0, self._clock.now(), None, "",
        )  # fmt: skip
        await store.begin(self._db, run)
        fields = {"model": likeness.voice, "input": f"{text}\n{SPOKEN.format(whose.called)}",
                  "voice": likeness.voice_name, "response_format": "wav"}  # fmt: skip
        try:
            said = await self._gateway.speak(caller, fields, through=(clone.name,))
            sound = self.labels.sound(str(run.id), said.sound)
            sound = await asyncio.to_thread(self.provenance.sign, sound, f"{clone.name} {run.id}")
        except (ShanheError, CallError, ValueError) as error:
            await self._ended(run.id, RunState.FAILED, getattr(error, "code", "no_wav"))
            raise
        step = Step(1, "model", likeness.voice, "done", said.paid_micro, said.receipt_id, 0, len(text.encode()),
                    len(sound), 0, "")  # fmt: skip
        await store.add_step(self._db, run.id, step)
        await self._ended(run.id, RunState.DONE, "")
        await self._told_label(clone, caller, run.id)
        return sound, said

    # -- runs ---------------------------------------------------------------------------------------------------------

    async def run(
        self, agent: Published, caller: Caller, asked: Sequence[Message], *, face: str, charged: bool = True,
        purpose: str = "", way: Way | None = None, inputs: Any = None,
    ) -> Outcome:  # fmt: skip
        """Run it to its answer. Every step is charged as it is made; errors end the run and say why.

        `charged` False: a maker tries a draft; the model is paid for at list price, no markup is due. `purpose`: what a
        clone is asked for; its person's consent decides, before anything is spent. `way`: see `Way`.
        `inputs`: what the asker filled in; BadInputs before anything is begun.
        """
        told = given(agent.definition.inputs, inputs)
        if self._running.total() >= RUNS_MAX:
            raise TooManyRuns()
        if self._running[caller.org_id] >= RUNS_OF_ONE_MAX:
            raise TooManyOfYours(RUNS_OF_ONE_MAX)
        way = way or Way((agent.name,) if charged else ())
        whose = None
        if agent.definition.clone is not None:
            whose = await self.permit(agent, purpose or CONSULTATION, *((ALLIANCE,) if way.parent is not None else ()))
            agent = as_clone(agent, whose)
        agent = replace(agent, definition=filled(agent.definition, told))
        caller = msgspec.structs.replace(caller, purse=Budget(agent.definition.budget_micro, caller.purse))
        run = Run(
            way.number or new_id(), agent.name, agent.version, caller.org_id, caller.key_id, face, RunState.RUNNING,
            agent.definition.budget_micro, 0, self._clock.now(), None, "", way.parent,
            not CITY_CLASSES.intersection((caller.data_class, agent.definition.data_class)),
        )  # fmt: skip
        self._running[caller.org_id] += 1
        try:
            await store.begin(self._db, run)
            try:
                async with asyncio.timeout(RUN_MAX_S):
                    outcome = await self._course(run, agent, caller, checked(asked), purpose or CONSULTATION, way)
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
            if way.parent is not None:
                return outcome
            if agent.definition.clone is not None or agent.definition.alliance is not None:
                await self._told_label(agent, caller, run.id, charged=charged)
            return self._labelled(agent, outcome, whose)
        finally:
            self._running[caller.org_id] -= 1
            if not self._running[caller.org_id]:
                del self._running[caller.org_id]

    async def _course(
        self, run: Run, agent: Published, caller: Caller, asked: list[dict[str, Any]], purpose: str, way: Way
    ) -> Outcome:
        if agent.definition.alliance is not None:
            return await AllianceCourse(self, agent, caller, run.id, run.face, way).go(asked, purpose)
        return await Course(self, agent, caller, run.id, way).go(asked)

    async def _told_label(self, agent: Published, caller: Caller, run_id: UUID, *, charged: bool = True) -> None:
        if charged:
            await self.moderated(Moderated(
                agent.name, agent.definition.model, "ai_label", "labelled", caller.org_id, run_id
            ))  # fmt: skip

    def _labelled(self, agent: Published, outcome: Outcome, whose: Depicted | None) -> Outcome:
        """What clones say says that a model made it: in the text, and in metadata that can be checked."""
        if whose is None and agent.definition.alliance is None:
            return outcome
        by = ALLIANCE_BY.format(agent.title_zh) if whose is None else CLONE_BY.format(whose.called)
        text = self.labels.marked(outcome.text, by, str(outcome.run_id))
        return replace(outcome, text=text, label=self.labels.of_text(str(outcome.run_id), text))

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

    async def costs(self, org_id: UUID, first: date, last: date) -> list[Cost]:
        """What an organisation paid for agents by day, agent and key, both days included; the newest COSTS_MAX."""
        return await store.costs(self._db, org_id, *span(*checked_days(first, last)), COSTS_MAX)

    async def trace(self, run_id: UUID, org_id: UUID | None) -> tuple[Run, list[Step]]:
        """A run and its steps; `org_id` None: an operator asks."""
        found = await store.run(self._db, run_id)
        if found is None or (org_id is not None and found.org_id != org_id):
            raise UnknownRun()
        return found, await store.steps(self._db, run_id)

    async def refund(self, run_id: UUID, *, actor: str, reason: str) -> list[UUID]:
        """Take back everything that was booked in a run and in the runs that are part of it, newest first; what was
        taken back before stays so. The postings reversed now."""
        await self.trace(run_id, None)
        done = []
        for receipt in await store.receipts(self._db, run_id):
            try:
                await self._ledger.reverse(receipt, actor=actor, reason=reason)
            except AlreadyReversed:
                continue
            done.append(receipt)
        return done

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
