"""Runs, findings and differences. Frozen, pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Check(StrEnum):
    METER_LEDGER = "meter_ledger"
    RECEIPT_LEDGER = "receipt_ledger"
    ENGINE_LEDGER = "engine_ledger"
    PAYMENTS_LEDGER = "payments_ledger"
    STATEMENT_PAYMENTS = "statement_payments"


class State(StrEnum):
    """open → assigned → resolved; an open one may be resolved at once."""

    OPEN = "open"
    ASSIGNED = "assigned"
    RESOLVED = "resolved"


class Outcome(StrEnum):
    """How a difference ended. Money is released (its cause was put right) or written off; the rest is explained."""

    RELEASED = "released"
    WRITTEN_OFF = "written_off"
    EXPLAINED = "explained"


@dataclass(frozen=True)
class Finding:
    """Two figures that should be one. `cash`: the clearing account (its name) whose balance the right figure is not in.

    `money_fen` is what the institution has and the books do not (negative: the other way round); 0 for anything that
    moves no money.
    """

    check: Check
    subject: str
    kind: str
    unit: str
    left_name: str
    left: int
    right_name: str
    right: int
    owner: str
    cash: str = ""
    money_fen: int = 0


@dataclass(frozen=True)
class Difference:
    id: UUID
    day: date
    check: Check
    subject: str
    kind: str
    unit: str
    left_name: str
    left: int
    right_name: str
    right: int
    owner: str
    cash: str
    money_fen: int
    state: State
    outcome: Outcome | None
    note: str
    decided_by: str | None
    posted_at: datetime | None
    settled_at: datetime | None
    first_seen_at: datetime
    last_seen_at: datetime
    decided_at: datetime | None
    assigned_by: str | None = None

    @property
    def posting_id(self) -> UUID | None:
        """The posting that shows the money, where there is one."""
        return self.id if self.posted_at is not None else None

    @property
    def release_id(self) -> UUID:
        return UUID(int=self.id.int ^ 1)


@dataclass(frozen=True)
class Run:
    """One comparison of a day: how many things each check compared and how many differed, and what could not be."""

    id: UUID
    day: date
    by: str
    started_at: datetime
    ended_at: datetime
    checks: dict[str, dict[str, Any]]

    @property
    def differences(self) -> int:
        return sum(int(check["differences"]) for check in self.checks.values())


@dataclass(frozen=True)
class Checked:
    """What one check found. `skipped` names what had nothing to be compared with."""

    check: Check
    compared: int
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()
