"""What operators' pages show. Frozen, pure; amounts in the asset's minor unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID


@dataclass(frozen=True)
class SetupStep:
    """One thing that a city needs before it serves, and where it is done: a page or a command."""

    key: str
    done: bool
    href: str = ""
    command: str = ""


@dataclass(frozen=True)
class OrgRow:
    id: UUID
    name: str
    kind: str
    state: str
    balance_micro: int
    keys: int
    created_at: datetime | None
    by_provenance: Mapping[str, int] = field(default_factory=dict)
    registration: str = ""
    wallet: UUID | None = None
    """The account that its calls are paid from."""
    frozen: tuple[date, str] | None = None
    """Since when, and why."""


@dataclass(frozen=True)
class OrgPeople:
    """How many act for an organisation, and who is asked to: (id, as they were called, role, until). `takes`: somebody
    may be asked to be its first owner."""

    owners: int
    members: int
    asked: Sequence[tuple[UUID, str, str, datetime]]
    takes: bool


@dataclass(frozen=True)
class EngineRow:
    id: UUID
    name: str
    kind: str
    url: str
    key_env: str
    models: tuple[tuple[str, str], ...]
    enabled: bool
    health: str
    circuit: str
    in_flight: int
    waiting: int
    slots: int
    error_rate_bps: int
    ttft_ms: float | None
    requests: int
    last_error: tuple[str, str] | None
    """In Chinese and in English."""
    checked_at: datetime | None
    local: bool


@dataclass(frozen=True)
class EngineTerms:
    """What can be changed of a registered engine. Times in milliseconds, costs in µ per million tokens."""

    id: UUID
    name: str
    local: bool
    data_classes: frozenset[str]
    features: frozenset[str]
    slots: int
    queue: int
    first_token_timeout_ms: int
    idle_timeout_ms: int
    cost_input: int
    cost_output: int
    cost_cache_write: int


@dataclass(frozen=True)
class EngineTest:
    engine: str
    model: str
    ok: bool
    latency_ms: float
    answer: str
    problems: tuple[tuple[str, str], ...]
    """In Chinese and in English."""
    thinks: tuple[str, ...]
    """By which fields it is told how much to think."""


@dataclass(frozen=True)
class AccountRow:
    id: UUID
    owner: str
    asset: str
    kind: str
    name: str | tuple[str, str]
    """A budget's in both languages."""
    balance: int
    held: int
    floor: int | None
    lots: bool


@dataclass(frozen=True)
class TrialLine:
    asset: str
    kind: str
    accounts: int
    debits: int
    credits: int
    balance: int


@dataclass(frozen=True)
class PostingRow:
    id: UUID
    at: datetime
    kind: str
    actor: str
    memo: str
    amount: int
    asset: str
    older: str = ""
    """Where the page after this row's page begins; empty on the last."""
    sides: Sequence[str] = ()
    """Whose money went to whom: labels of the accounts of the first transfer, payer and payee."""


@dataclass(frozen=True)
class UnfinishedRow:
    """Things of one kind that are open before a close, since the oldest, and where they are dealt with."""

    kind: str
    count: int
    since: date
    page: str


@dataclass(frozen=True)
class StatementRow:
    """A transfer seen from one account: `amount` is signed, `balance` is what stood after it."""

    posting: UUID
    at: datetime
    kind: str
    memo: str
    other: str
    other_id: UUID
    amount: int
    balance: int


@dataclass(frozen=True)
class AccountPage:
    """An account over some days, oldest first: opening + Σ amounts = closing of this page. `following`: where the next
    page begins; empty on the last."""

    account: AccountRow
    since: date
    until: date
    opening: int
    closing: int
    rows: Sequence[StatementRow]
    following: str = ""


@dataclass(frozen=True)
class Days:
    """The city's days [since, until]; None leaves a side open."""

    since: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class Wanted:
    """The requests for a second person that are looked for: what is said of them, their kind; `past` and `before`: the
    last row seen of those that wait, and of those that have ended."""

    find: str = ""
    kind: str = ""
    past: UUID | None = None
    before: UUID | None = None


@dataclass(frozen=True)
class VerifyView:
    """`state`: never, running, clean or broken."""

    state: str
    done: int = 0
    total: int = 0
    step: str = ""
    accounts: int = 0
    transfers: int = 0
    lots: int = 0
    took_ms: int = 0
    at: datetime | None = None
    findings: Sequence[tuple[str, str, int, int]] = ()


@dataclass(frozen=True)
class AuditRow:
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str
    id: UUID | None = None
    object: str = ""
    """What `subject` names, as the audit is asked about it."""
    details: Sequence[tuple[str, str]] = ()
    by: str = ""
    """Who `actor` names, as the audit is asked about it."""
    door: str = ""
    thing: str = ""
    """Of which kind the row is that was changed; '' for an act that has a word of its own."""
    done: str = ""
    changes: Sequence[tuple[str, str, str]] = ()
    """Column, what stood there, what stands there now."""
    hidden: Sequence[str] = ()
    """Columns that changed and whose content no record shows."""


@dataclass(frozen=True)
class ActsWanted:
    """Which acts a page of the audit is asked for; empty: all."""

    by: str = ""
    about: str = ""
    action: str = ""
    days: Days = Days()


@dataclass(frozen=True)
class StatusView:
    """The public state of the city; `state`: up, degraded or down."""

    state: str
    at: datetime
    parts: Sequence[tuple[str, str]]
    models: Sequence[tuple[str, str]]
