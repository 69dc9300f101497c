"""Nouns of the pool: nodes, what they report, what the city measured. Frozen and pure."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

NAME: Final = re.compile(r"^[a-z0-9][a-z0-9-]{0,39}$")
OFFERS_MAX: Final = 32
CHIPS_MAX: Final = 64
TEXT_MAX: Final = 120
SLOTS_MAX: Final = 1_024
CHIP_CLASSES: Final = ("cpu", "consumer_gpu", "datacentre_gpu", "npu")


class NodeState(StrEnum):
    JOINING = "joining"
    """Registered; it serves once it is connected and its speed is measured."""
    ACTIVE = "active"
    DRAINING = "draining"
    """Finishes what runs and gets nothing new."""
    QUARANTINED = "quarantined"
    """Failed the checks: gets nothing and its recent income is withheld."""
    GONE = "gone"


class Chip(msgspec.Struct, frozen=True):
    """Accelerators of one kind; `kind` is cpu, nvidia, ascend, or what a plug-in calls it."""

    kind: str
    name: str
    count: int = 1
    memory_mb: int = 0


OfferKind = Literal["chat", "embedding", "rerank", "transcription", "speech", "ocr", "forecast"]
"""Kinds that nodes serve; no card of this city's makes pictures."""


class Offer(msgspec.Struct, frozen=True):
    """A model that a node can serve. Speeds are the node's own measurement; the city measures for itself."""

    model: str
    context_tokens: int = 8_192
    kind: OfferKind = "chat"
    price_class: str = "small"
    memory_mb: int = 0
    loaded: bool = True
    movable: bool = False
    """The agent can load and unload it when told."""
    prefill_tps: float = 0.0
    decode_tps: float = 0.0


class Report(msgspec.Struct, frozen=True):
    """What a node says of itself. Power: fen a kWh and watts under load."""

    version: str
    platform: str = ""
    chips: tuple[Chip, ...] = ()
    chip_class: str = "cpu"
    memory_mb: int = 0
    slots: int = 4
    power_fen_kwh: int = 0
    power_watts: int = 0
    location: str = ""
    offers: tuple[Offer, ...] = ()

    def problem(self) -> str:
        """Why it is out of bounds; empty when it is not."""
        if len(self.offers) > OFFERS_MAX or len(self.chips) > CHIPS_MAX:
            return f"at most {OFFERS_MAX} models and {CHIPS_MAX} kinds of chips"
        if not 1 <= self.slots <= SLOTS_MAX:
            return f"slots are 1 to {SLOTS_MAX}"
        if self.chip_class not in CHIP_CLASSES:
            return f"the chip's class is one of {', '.join(CHIP_CLASSES)}"
        texts = [self.version, self.platform, self.location, *(chip.name for chip in self.chips)]
        if any(len(text) > TEXT_MAX or not text.isprintable() for text in texts):
            return f"texts have at most {TEXT_MAX} printable signs"
        numbers = (self.memory_mb, self.power_fen_kwh, self.power_watts)
        if any(not 0 <= number < 2**31 for number in numbers):
            return "numbers are not negative and below 2^31"
        if any(not 1 <= offer.context_tokens <= 100_000_000 for offer in self.offers):
            return "a context has at least one token"
        return ""


class Node(msgspec.Struct, frozen=True):
    """A node as the registry has it."""

    id: UUID
    name: str
    owner: UUID
    local: bool
    new_models: bool
    city_owned: bool
    public_key: bytes
    state: NodeState
    cause: str
    flag: str
    report: Report
    joined_at: datetime
    seen_at: datetime | None
    session: UUID | None
    instance: str
    worker: str
    own_drain: bool = False
    """It is draining because its owner wants it so: then its owner may end that."""
    cleared: int = 0
    """How often it was let out of quarantine."""

    @property
    def owner_may_release(self) -> bool:
        """What its owner stopped, its owner starts again; what the city stopped, only the city."""
        return self.own_drain

    @property
    def owner_may_remove(self) -> bool:
        """Not out of quarantine: what becomes of the income that is withheld there is decided first."""
        return self.state not in (NodeState.QUARANTINED, NodeState.GONE)

    @property
    def engine(self) -> str:
        """Name of its engine, on receipts too."""
        return f"node-{self.name}"

    @property
    def contributor(self) -> UUID | None:
        """Who is paid for its tokens; None for a node of the city itself."""
        return None if self.city_owned else self.owner


class Token(msgspec.Struct, frozen=True):
    """Leave to join once, as `name`, for an organisation."""

    name: str
    owner: UUID
    local: bool
    new_models: bool
    city_owned: bool
    expires_at: datetime
    used_by: UUID | None = None


class Hour(msgspec.Struct, frozen=True):
    """What a node did in an hour with one model."""

    node_id: UUID
    hour: datetime
    model: str
    calls: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    busy_ms: int
    ttft_ms: int


class Demand(msgspec.Struct, frozen=True):
    """What was asked of a model in an hour, whichever nodes answered."""

    hour: datetime
    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int


class Verdict(msgspec.Struct, frozen=True):
    """What the inspector condemned a node for: failures in so many checks of a kind."""

    check: str
    checks: int
    failures: int


class NodeEvent(msgspec.Struct, frozen=True):
    """Something that happened to a node."""

    event: str
    cause: str
    actor: str
    at: datetime
    detail: dict[str, Any] | None = None
