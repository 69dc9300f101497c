"""Nouns of agents: definitions, tools as agents see them, runs and steps. Frozen and pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from shanhe.retrieval.api import Hit

TOOL_NAME: Final = re.compile(r"^[a-z0-9][a-z0-9-]{1,62}/[A-Za-z0-9_.-]{1,64}$")
INSTRUCTIONS_MAX_CHARS: Final = 16_000
TOOLS_MAX: Final = 16
KNOWLEDGE_MAX: Final = 8
KNOWLEDGE_NAME_MAX_CHARS: Final = 80
STEPS_MAX: Final = 16
STEP_TOKENS_MAX: Final = 8_192
BUDGET_MAX_MICRO: Final = 1_000_000_000
SCHEMA_MAX_BYTES: Final = 16 * 1024
OPENING_MAX_CHARS: Final = 500
QUESTIONS_MAX: Final = 6
QUESTION_MAX_CHARS: Final = 100
INPUTS_MAX: Final = 10
INPUT_NAME: Final = re.compile(r"^[a-z][a-z0-9_]{0,31}$")
LABEL_MAX_CHARS: Final = 60
OPTIONS_MAX: Final = 30
OPTION_MAX_CHARS: Final = 80
TOPICS_MAX: Final = 20
TOPIC_MAX_CHARS: Final = 40
MEMBERS_MAX: Final = 8
COSTS_MAX: Final = 5_000
"""Rows of what runs cost, the newest."""
CLONE: Final = re.compile(r"^clone/[a-z0-9][a-z0-9-]{1,33}$")
"""A model's name has 40 characters, and a clone's begins with `clone-`."""
PURPOSE: Final = re.compile(r"^[a-z][a-z_]{1,31}$")
CITY_CLASSES: Final = frozenset({"citizen", "government"})
"""Data that never leaves the city's own machines."""


class Likeness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes an agent a person's digital clone: the person's consent, and what was made of them.

    `adapter`: number of the model `clone-<slug>` that answers in the place of the base, 0 = none. `topics`: what it is
    asked about, for alliances. `voice`: a speech model that speaks for it, with one of its voices.
    """

    mandate: UUID
    adapter: int = 0
    topics: tuple[str, ...] = ()
    voice: str = ""
    voice_name: str = ""


class Alliance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes an agent an alliance of clones: who may answer, and how many are asked at once."""

    members: tuple[str, ...]
    answers_max: int = 3


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent is told before a conversation begins, filled in where its instructions say `{{name}}`.

    `text` is one line, `paragraph` several, `choice` one of `options`, `number` a plain decimal. One that is not
    `required` may be left out and is empty then.
    """

    name: str
    label: str
    kind: Literal["text", "paragraph", "choice", "number"] = "text"
    required: bool = True
    options: tuple[str, ...] = ()


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An agent as its maker writes it down.

    `tools`: allowed tools as `server/tool`, nothing else is ever called. `budget_micro` bounds one run. `calling`: how
    the model asks for tools: natively, or by JSON under a grammar (for small models); `auto` takes the grammar where
    the engine has one. `answer_schema`: JSON Schema of the answer. `knowledge`: bases that questions are looked up in,
    the maker's own or the city's; `grounded`: what they don't support is not answered. `egress`: `strict` keeps pieces
    of bases and addresses that nobody gave out of tools' arguments, `open` hands them on. `clone` and `alliance` make
    it one of these; an alliance's model and instructions put the answers of its clones together. `opening` and
    `questions` are what its page says before anybody asked; no model reads them. `inputs` are asked for before a
    conversation begins.
    """

    model: str
    instructions: str
    tools: tuple[str, ...] = ()
    budget_micro: int = 1_000_000
    steps_max: int = 6
    step_tokens: int = 512
    temperature: float | None = None
    data_class: Literal["general", "citizen", "government"] = "general"
    calling: Literal["auto", "tools", "grammar"] = "auto"
    answer_schema: dict[str, Any] | None = None
    knowledge: tuple[str, ...] = ()
    grounded: bool = True
    egress: Literal["strict", "open"] = "strict"
    clone: Likeness | None = None
    alliance: Alliance | None = None
    opening: str = ""
    questions: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = ()


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as a model is told of it; `name` is `server/tool`, `local` = it runs on the city's own machines."""

    name: str
    description: str
    schema: dict[str, Any]
    local: bool = False

    @property
    def function(self) -> str:
        """Its name in the words of model protocols, which know no slash."""
        return self.name.replace("/", "__").replace(".", "_")

    @property
    def resource(self) -> str:
        """The listing it belongs to."""
        return "mcp/" + self.name.partition("/")[0]


class ToolAnswer(msgspec.Struct, frozen=True):
    """What a tool said, as text; `failed` = the tool or its server refused or broke."""

    text: str
    failed: bool = False
    paid_micro: int = 0
    receipt_id: UUID | None = None


class RunState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Published:
    """An agent as callers get it."""

    name: str
    version: int
    owner: UUID
    title_zh: str
    title_en: str
    summary_zh: str
    summary_en: str
    definition: Definition

    @property
    def kind(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run: a call of the model or of a tool, what it cost, how it went. No texts, only their sizes."""

    n: int
    kind: str
    name: str
    state: str
    paid_micro: int
    receipt_id: UUID | None
    tokens: int
    sent_bytes: int
    got_bytes: int
    took_ms: int
    error: str


@dataclass(frozen=True, slots=True)
class Run:
    id: UUID
    agent: str
    version: int
    org_id: UUID
    key_id: UUID
    face: str
    state: RunState
    budget_micro: int
    paid_micro: int
    started_at: datetime
    ended_at: datetime | None
    error: str
    parent: UUID | None = None
    shareable: bool = False
    """Whether its texts may be handed to the maker, if the asker agrees: not those of citizens or government."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What runs of an agent by one key cost on a day: the sum of their receipts."""

    day: date
    name: str
    key_id: UUID
    runs: int
    paid_micro: int


@dataclass(frozen=True, slots=True)
class Depicted:
    """A clone that may answer: how the person is called, and the consent it rests on."""

    called: str
    mandate: UUID


@dataclass(frozen=True, slots=True)
class Contribution:
    """A clone's part in an alliance's answer: why it was asked, what it did, how many tokens of the answer are its own.

    `words`: of the question that fit it; `state`: asked and answered, failed, or left out and why.
    """

    clone: str
    called: str
    owner: UUID
    score: int
    words: tuple[str, ...]
    state: str
    tokens: int = 0
    paid_micro: int = 0
    run_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run: the answer, what was used (prompt, completion tokens), what it cost, its last receipt, what the
    answer rests on, or why there is none (`declined`)."""

    run_id: UUID
    text: str
    prompt_tokens: int
    completion_tokens: int
    paid_micro: int
    receipt_id: UUID | None
    steps: tuple[Step, ...]
    citations: tuple[Hit, ...] = ()
    declined: str = ""
    data_class: str = "general"
    label: Mapping[str, str] | None = None
    parts: tuple[Contribution, ...] = ()


@dataclass(frozen=True, slots=True)
class Moderated:
    """What a guardrail did in a run that came through a listing. `decision`: refused, removed, declined or labelled;
    `text`: what it met, of a label nothing."""

    surface: str
    model: str
    rule: str
    decision: str
    org_id: UUID
    run_id: UUID
    text: str = ""


Message = Mapping[str, Any]
