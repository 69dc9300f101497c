"""What receipts and postings show: what a call cost and who was paid, line by line. Amounts in µ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.console.model import Bilingual


@dataclass(frozen=True)
class BucketLine:
    bucket: str
    tokens: int
    price_micro: int

    @property
    def exact(self) -> str:
        """µ before rounding, as a decimal text without a float."""
        whole, rest = divmod(self.tokens * self.price_micro, 1_000_000)
        return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")


@dataclass(frozen=True)
class PartyLine:
    role: str
    account: str
    micro: int


@dataclass(frozen=True)
class RuleLine:
    id: str
    title: Bilingual
    article: str
    version: str

    @property
    def short(self) -> str:
        return self.id.partition("_")[0]


@dataclass(frozen=True)
class BurnLine:
    provenance: str
    micro: int
    expires_at: datetime | None


@dataclass(frozen=True)
class TransferLine:
    id: UUID
    source: str
    target: str
    amount: int
    asset: str
    source_id: UUID | None = None
    target_id: UUID | None = None


@dataclass(frozen=True)
class MarkupLine:
    """What a listing added to a call: a part of the model cost and a fee; `exact` in µ as a decimal."""

    resource: str
    percent: str
    fee_micro: int
    exact: str


@dataclass(frozen=True)
class Receipt:
    id: UUID
    at: datetime
    state: str
    model: str
    upstream_model: str
    engine: str
    face: str
    key_name: str
    stream: bool
    finish_reason: str
    usage_source: str
    usage_clamped: bool
    buckets: Sequence[BucketLine]
    total_micro: int
    held_micro: int
    uncovered_micro: int
    parties: Sequence[PartyLine]
    rules: Sequence[RuleLine]
    burned: Sequence[BurnLine]
    transfers: Sequence[TransferLine]
    admitted_ms: float
    first_token_ms: float
    engine_done_ms: float
    attempts: int
    price_version: str
    org_id: UUID | None = None
    trace: Mapping[str, Any] = field(default_factory=dict)
    unit: str = "token"
    markups: Sequence[MarkupLine] = ()
    decisions: Sequence[Mapping[str, Any]] = ()
    """Traces of the rules that paid makers and rights."""
    tags: Sequence[str] = ()
    reversed_by: UUID | None = None

    @property
    def tokens(self) -> int:
        return sum(line.tokens for line in self.buckets)

    @property
    def tokens_per_s(self) -> float | None:
        took_ms = self.engine_done_ms - self.first_token_ms
        made = sum(line.tokens for line in self.buckets if line.bucket in ("output", "reasoning"))
        return made * 1000 / took_ms if took_ms > 0 and made > 1 else None


@dataclass(frozen=True)
class LotLine:
    """What a posting changed of a lot. What is known of a lot is empty where it is gone."""

    lot: UUID
    change: int
    provenance: str = ""
    expires_at: datetime | None = None
    account: UUID | None = None


@dataclass(frozen=True)
class PostingPage:
    id: UUID
    at: datetime
    day: date
    kind: str
    actor: str
    memo: str
    reverses: UUID | None
    transfers: Sequence[TransferLine]
    lots: Sequence[LotLine]
    evidence: Mapping[str, Any]
    """What it was made by, as it was kept."""
    rules: Sequence[RuleLine] = ()
    """The rules that decided it, each with the version that was in force."""
    reversed_by: UUID | None = None
    sealed: bool = False
    erased: bool = False
    """Whether somebody it is about was erased, so that no proof can be given any more."""
    application: str = ""
    """Of the award that it sets aside, pays or brings back; whoever reads the posting finds the reasons there."""
