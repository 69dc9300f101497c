"""What pages show. Frozen, pure; amounts in µ (`_micro`) and fen (`_fen`), instants aware, days in the city."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

from shanhe.console.model_city import (
    AccountPage as AccountPage,
)
from shanhe.console.model_city import (
    AccountRow as AccountRow,
)
from shanhe.console.model_city import (
    ActsWanted as ActsWanted,
)
from shanhe.console.model_city import (
    AuditRow as AuditRow,
)
from shanhe.console.model_city import (
    Days as Days,
)
from shanhe.console.model_city import (
    EngineRow as EngineRow,
)
from shanhe.console.model_city import (
    EngineTest as EngineTest,
)
from shanhe.console.model_city import (
    OrgPeople as OrgPeople,
)
from shanhe.console.model_city import (
    OrgRow as OrgRow,
)
from shanhe.console.model_city import (
    PostingRow as PostingRow,
)
from shanhe.console.model_city import (
    SetupStep as SetupStep,
)
from shanhe.console.model_city import (
    StatementRow as StatementRow,
)
from shanhe.console.model_city import (
    StatusView as StatusView,
)
from shanhe.console.model_city import (
    TrialLine as TrialLine,
)
from shanhe.console.model_city import (
    UnfinishedRow as UnfinishedRow,
)
from shanhe.console.model_city import (
    VerifyView as VerifyView,
)
from shanhe.console.model_city import (
    Wanted as Wanted,
)

BUCKETS = ("input", "cached_input", "output", "reasoning", "tool")
Bilingual = tuple[str, str]
"""A text that comes from data, Chinese first."""


@dataclass(frozen=True)
class UnfitRow:
    """An amendment that was decided and is not in force, since this program's rule can't take it: from `since` on the
    rule decides nothing."""

    id: str
    rule: str
    why: Bilingual
    since: date | None


@dataclass(frozen=True)
class Who:
    """The person at the screen."""

    person_id: UUID
    org_id: UUID
    name: str
    org_name: str
    roles: frozenset[str]
    permissions: frozenset[str]
    csrf: str
    session_id: str
    second_factor: bool = True
    unread: int = 0
    alarms: Sequence[Mapping[str, Any]] = ()
    """Openings of break-glass in force, for whoever works for the city."""
    unfit: Sequence[UnfitRow] = ()
    """Amendments that are not in force, for whoever works for the city."""
    reviews: bool = False
    """Whether applications wait for this person's departments, or may."""
    actor: object = field(default=None, repr=False)
    """What the modules know this person by; pages do not look inside."""

    def may(self, permission: str) -> bool:
        return permission in self.permissions

    @property
    def operator(self) -> bool:
        return bool(self.permissions & {"accounts", "models", "engines", "ledger"})

    @property
    def has_org(self) -> bool:
        """Operators may act for the city only; then there is no balance to show."""
        return self.org_id.int != 0


@dataclass(frozen=True)
class LotRow:
    provenance: str
    issued_micro: int
    remaining_micro: int
    held_micro: int
    expires_at: datetime | None
    tradeable_at: datetime | None


@dataclass(frozen=True)
class WalletView:
    balance_micro: int
    available_micro: int
    held_micro: int
    by_provenance: Mapping[str, int]
    lots: Sequence[LotRow] = ()
    income_micro: int = 0


@dataclass(frozen=True)
class DaySpend:
    day: date
    micro: int
    calls: int


@dataclass(frozen=True)
class CallRow:
    id: UUID
    at: datetime
    model: str
    key_name: str
    tokens: int
    total_micro: int
    status: str
    took_ms: float | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class CostRow:
    """What agents or workflows cost: on a day, one of them, for one user; in sums a field is empty."""

    day: date | None
    name: str
    who: str
    runs: int
    micro: int


@dataclass(frozen=True)
class UsageRow:
    """One line of the usage page; `label` is the first day of a window, a model, a key or a tag."""

    label: str
    calls: int
    tokens: Mapping[str, int]
    micro: int

    @property
    def tokens_total(self) -> int:
        return sum(self.tokens.values())


@dataclass(frozen=True)
class KeyRow:
    id: UUID
    name: str
    hint: str
    state: str
    models: tuple[str, ...] | None
    budget_day_micro: int | None
    budget_month_micro: int | None
    rpm: int | None
    tpm: int | None
    created_at: datetime
    expires_at: datetime | None
    last_used_on: date | None


@dataclass(frozen=True)
class NewKey:
    """What a member asks for when making a key."""

    name: str
    models: tuple[str, ...] | None = None
    budget_day_micro: int | None = None
    budget_month_micro: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    expires_at: datetime | None = None
    id: UUID | None = None
    """The form's: the same form again makes no second key."""


class Priced(Protocol):
    """A price with its flags, as compute has it."""

    @property
    def thin(self) -> bool: ...
    @property
    def loss(self) -> bool: ...
    @property
    def valid_from(self) -> date: ...
    @property
    def version(self) -> str: ...


@dataclass(frozen=True)
class ModelRow:
    """A model with its prices (µ per million tokens) and flags."""

    id: str
    title: Bilingual
    kind: str
    context_tokens: int
    licence: str
    engines: tuple[str, ...]
    prices: Mapping[str, int] = field(default_factory=dict)
    thin: bool = False
    loss: bool = False
    valid_from: date | None = None
    price_version: str = ""
    local: bool = True
    aliases: tuple[str, ...] = ()

    def priced(self, prices: Mapping[str, int], source: Priced) -> ModelRow:
        """The same model with its prices and what is to be said about them."""
        return replace(
            self,
            prices=prices,
            thin=source.thin,
            loss=source.loss,
            valid_from=source.valid_from,
            price_version=source.version,
        )


@dataclass(frozen=True)
class CardRow:
    """A model that can be fetched, with the state of its download."""

    id: str
    title: Bilingual
    licence: str
    size_bytes: int
    here: bool
    runnable: bool = True
    state: str = ""
    done_bytes: int = 0
    total_bytes: int = 0
    message: str = ""


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
class QuoteView:
    id: UUID
    value_fen: int
    paid_fen: int
    benefit_fen: int
    benefit_left_fen: int
    purchased_micro: int
    subsidy_micro: int
    category: str
    trace: Mapping[str, Any]
    expires_at: datetime


@dataclass(frozen=True)
class PurchaseRow:
    id: UUID
    at: datetime
    source: str
    method: str
    paid_fen: int
    benefit_fen: int
    quantity_micro: int
    state: str
    redirect_url: str | None
    ref: str = ""


@dataclass(frozen=True)
class NoticeRow:
    id: UUID
    at: datetime
    severity: str
    title: Bilingual
    body: Bilingual
    link: str
    read: bool


@dataclass(frozen=True)
class SessionRow:
    id: str
    created_at: datetime
    seen_at: datetime | None
    device: str
    current: bool


@dataclass(frozen=True)
class PasskeyRow:
    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True)
class AlertRow:
    id: UUID
    name: str
    window: str
    amount_micro: int
    percent: int
    enabled: bool


@dataclass(frozen=True)
class AutoRow:
    threshold_micro: int
    value_fen: int
    monthly_cap_fen: int
    enabled: bool
    state: str
    url: str | None


@dataclass(frozen=True)
class RuleRow:
    id: str
    title: Bilingual
    article: str
    department: Bilingual
    kind: str
    review: date
    assumed: int

    @property
    def short(self) -> str:
        """The catalogue's number; a part of a rule keeps its whole name elsewhere."""
        return self.id.partition("_")[0]


@dataclass(frozen=True)
class ParameterRow:
    name: str
    title: Bilingual
    since: date
    announced: date
    value: str
    origin: str
    reason: Bilingual
    article: str
    in_force: bool
    unit: str = ""
    """Of a single number; "" where the value says it, or has none."""
    amendment: str = ""
    """The proposal that decided it."""


@dataclass(frozen=True)
class FactField:
    name: str
    title: Bilingual
    type: str
    unit: str
    values: Sequence[tuple[str, Bilingual]]
    default: str
    required: bool


@dataclass(frozen=True)
class FormulaLine:
    title: Bilingual
    name: str
    expression: str
    rounding: str


@dataclass(frozen=True)
class ValueRow:
    """A value of a rule as it stands on a day, and the one that succeeds it, where there are such."""

    rule: RuleRow
    title: Bilingual
    now: ParameterRow | None
    then: ParameterRow | None


@dataclass(frozen=True)
class RuleChange:
    """One value succeeded by another: in words, from when, and since when it was known."""

    words: Bilingual
    since: date
    announced: date


@dataclass(frozen=True)
class RulePage:
    row: RuleRow
    note: Bilingual
    event: Bilingual
    version: str
    parameters: Sequence[ParameterRow]
    facts: Sequence[FactField]
    formula: Sequence[FormulaLine]
    examples: Sequence[tuple[str, Sequence[tuple[Bilingual, str]], Sequence[tuple[Bilingual, str]]]]
    """Name (in English, for who reads the files), what is given, what comes out."""
    changes: Sequence[RuleChange] = ()
    unfit: Sequence[UnfitRow] = ()


@dataclass(frozen=True)
class DecisionView:
    amount: str
    unit: str
    version: str
    article: str
    trace: Mapping[str, Any]


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
