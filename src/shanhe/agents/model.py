"""Nouns of agents: definitions, tools as agents see them, runs and steps. Frozen and pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
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
CITY_CLASSES: Final = frozenset({"citizen", "government"})
"""Data that never leaves the city's own machines."""


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An agent as its maker writes it down.

    `tools`: allowed tools as `server/tool`, nothing else is ever called. `budget_micro` bounds one run. `calling`: how
    the model asks for tools: natively, or by JSON under a grammar (for small models); `auto` takes the grammar where
    the engine has one. `answer_schema`: JSON Schema of the answer. `knowledge`: bases that questions are looked up in,
    the maker's own or the city's; `grounded`: what they don't support is not answered. `egress`: `strict` keeps pieces
    of bases and addresses that nobody gave out of tools' arguments, `open` hands them on.
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


Message = Mapping[str, Any]
