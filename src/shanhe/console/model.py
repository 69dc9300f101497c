"""What pages show. Frozen, pure; amounts in µ (`_micro`) and fen (`_fen`), instants aware, days in the city."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Protocol
from uuid import UUID

BUCKETS = ("input", "cached_input", "output", "reasoning", "tool", "cache_write")
UNITS = {"ocr": "tile", "transcription": "tick", "speech": "sign", "forecast": "number", "image": "picture"}
"""What models of a price class count that is no token."""
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
    frozen_on: date | None = None
    """Since when the organisation can spend nothing."""
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
    more: bool = False
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
    price_class: str = ""

    @property
    def unit(self) -> str:
        """What its prices are of, a million each; a `unit_of`."""
        return UNITS.get(self.price_class, "token")

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
