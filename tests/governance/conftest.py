"""Governance over a fresh database with the real rulebook, amendments and approvals; seats and days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shanhe.approvals.api import Approvals
from shanhe.governance.api import Dilution, Governance, NewProposal, Proposal, Vote
from shanhe.identity.api import Identity, NewPerson, Options
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.vault import Vault
from shanhe.rulebook.api import Amendments, load_amended

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
ANNOUNCED = date(2026, 4, 1)
STARTS = date(2026, 5, 1)


@dataclass
class Hall:
    """`counted` is what the city would have measured; `entries` what went into the transparency log,
    `used` what companies used before and from June on, `members` who takes part in an experiment."""

    db: Database
    clock: FixedClock
    vault: Vault
    identity: Identity
    rulebook: Any
    amendments: Amendments
    governance: Governance
    counted: dict[str, int] = field(default_factory=dict)
    entries: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    used: dict[bool, dict[UUID, int]] = field(default_factory=dict)
    members: set[UUID] = field(default_factory=set)
    adopted: list[Any] = field(default_factory=list)

    async def person(self, *departments: str) -> UUID:
        made = await self.identity.people.create(NewPerson("委员", login=f"p{new_id().hex[-12:]}"), by="test")
        for department in departments:
            await self.governance.deciding.seat(made.id, department, by="test")
        return made.id

    def later(self, **parts: float) -> None:
        self.clock.advance(**parts)

    async def until(self, day: date) -> None:
        """The days pass, and the jobs worker does its round on each."""
        while self.clock.today() < day:
            self.clock.advance(days=1)
            await self.governance.deciding.tick()

    async def adopt(self, made: Proposal, voters: list[UUID]) -> Proposal:
        """Discussed, voted by these, announced, unvetoed, adopted."""
        await self.until(made.discuss_until + timedelta(days=1))
        for voter in voters:
            await self.governance.deciding.vote(made.id, voter, Vote.FOR)
        await self.until(made.veto_until + timedelta(days=1))
        return await self.governance.deciding.get(made.id)


def discount(value: int = 2500, *, announced: date = ANNOUNCED, start: date = STARTS) -> dict[str, Any]:
    row = {"from": start.isoformat(), "announced": announced.isoformat(), "value": value, "given": True}
    return {"parameters": {"discount": [row]}}


def change(content: Mapping[str, Any] | None = None, **given: Any) -> NewProposal:
    values: dict[str, Any] = {
        "id": new_id(), "matter": "rulebook_change", "title": "优惠降为 25%", "why": "控制支出",
        "announced_on": ANNOUNCED, "content": discount() if content is None else content, "rule_id": "P1",
    }  # fmt: skip
    return NewProposal(**values | given)


@pytest.fixture
async def hall(database: Database, tmp_path: Path) -> Hall:
    clock, vault = FixedClock(NOON), Vault(tmp_path / "keys")
    rulebook = await load_amended(database)
    amendments = Amendments(database, clock, rulebook, Approvals(database, clock))
    counted: dict[str, int] = {}
    entries: list[tuple[str, Mapping[str, Any]]] = []

    def measure(name: str) -> Any:
        async def count(on: date) -> int:
            return counted.get(name, 0)

        return count

    async def record(conn: Any, kind: str, public: Mapping[str, Any], private: Mapping[str, Any]) -> None:
        entries.append((kind, public))

    used: dict[bool, dict[UUID, int]] = {True: {}, False: {}}
    members: set[UUID] = set()
    adopted: list[Any] = []

    async def captured(first: date, last: date) -> Mapping[UUID, int]:
        return used[first >= date(2026, 6, 1)]

    async def taking_part(proposal: UUID, on: date) -> frozenset[UUID]:
        return frozenset(members)

    async def followed(conn: Any, proposal: Proposal) -> None:
        adopted.append(proposal)

    async def unpaid(since: date, until: date) -> list[Any]:
        return []

    governance = Governance(
        database, clock, vault, rulebook=rulebook, amendments=amendments, notifier=Notifier(database, clock),
        record=record, measures={name: measure(name) for name in ("nomads", "active_orgs", "served_credit_micro")},
        work={}, outcomes={"captured_micro": captured}, treated=taking_part,
        follow={"infeasibility": followed},
        dilution=Dilution(database, clock, rulebook, paid=unpaid, budgets={}, programmes={}),
    )  # fmt: skip
    identity = Identity(database, clock, vault, Options())
    return Hall(database, clock, vault, identity, rulebook, amendments, governance, counted, entries, used, members,
                adopted)  # fmt: skip
