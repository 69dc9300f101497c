"""Frozen data of keys: what one may do, what one is told to be, and who calls with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from shanhe.identity.model import DataClass
from shanhe.kernel.purse import Purse

PLAIN_KEY_PERMISSIONS = frozenset({"receipts"})


class Caller(msgspec.Struct, frozen=True):
    """Who calls a model, as the gateway needs it. Budgets in µ; `limit_scope` counts against budgets and rates and
    stays the same when a key is rotated; `models` None means every model; `tags`: what all that is called in this
    piece of work is counted under, `purse`: what all of it is paid out of."""

    key_id: UUID
    org_id: UUID
    key_name: str
    models: frozenset[str] | None
    budget_day_micro: int | None
    budget_month_micro: int | None
    rpm: int | None
    tpm: int | None
    expires_at: datetime | None
    data_class: str
    limit_scope: UUID
    department_id: UUID | None = None
    tags: tuple[str, ...] = ()
    purse: Purse | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """Scope of a key. Budgets in µ; `permissions` are of the administration API and at most its maker's own."""

    name: str
    models: frozenset[str] | None = None
    permissions: frozenset[str] = frozenset()
    budget_day_micro: int | None = None
    budget_month_micro: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    expires_at: datetime | None = None
    data_class: DataClass = DataClass.GENERAL
    department_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as it may be shown: never the token itself."""

    id: UUID
    org_id: UUID
    department_id: UUID | None
    name: str
    prefix: str
    last4: str
    models: frozenset[str] | None
    permissions: frozenset[str]
    budget_day_micro: int | None
    budget_month_micro: int | None
    rpm: int | None
    tpm: int | None
    data_class: DataClass
    limit_scope: UUID
    successor_id: UUID | None
    created_by: UUID | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    revoked_reason: str | None

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What was done about a leaked key; `trace` is its recent use as the injected callable tells it."""

    id: UUID
    key_id: UUID
    org_id: UUID
    key_name: str
    reporter: str
    reported_at: datetime
    frozen: bool
    trace: tuple[Mapping[str, Any], ...]


TraceUse = Callable[[UUID], Awaitable[Sequence[Mapping[str, Any]]]]
TellLeak = Callable[[LeakReport], Awaitable[None]]
