"""What somebody who leaves an organisation leaves behind there, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from shanhe.identity.model import Actor

By = Actor | str


class LeftKind(StrEnum):
    """What goes on without whoever made it: a `key`, a `webhook` out of the city, a `hook` into a workflow, and a
    workflow's `schedule` (its id is the workflow's)."""

    KEY = "key"
    WEBHOOK = "webhook"
    HOOK = "hook"
    SCHEDULE = "schedule"


class Fate(StrEnum):
    """`take`: whoever says so has it from now on, with a secret of its own; `end`; `later`: it stays listed."""

    TAKE = "take"
    END = "end"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Left:
    """One thing that somebody made who is gone, or is about to be. `name`: a key's, an address's host, a workflow's."""

    kind: LeftKind
    id: UUID
    name: str
    person_id: UUID
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of one. `secret`: the new one, told once, and empty where there is none; `id` is its own from now
    on. `problem`: why nothing became of it, which leaves it listed."""

    left: Left
    fate: Fate
    id: UUID
    secret: str = ""
    problem: str = ""


class Leaving(Protocol):
    """What is left behind, wherever it lies."""

    async def of(self, org_id: UUID, person_id: UUID | None = None) -> Sequence[Left]:
        """What a person made there that would go on without them; None: of everybody who is no member any more."""
        ...

    async def leavers(self, org_id: UUID) -> set[UUID]:
        """Whoever made something there that would go on, or goes on, without them: members, and those who are gone."""
        ...

    async def settle(
        self, org_id: UUID, kind: LeftKind, left_id: UUID, fate: Fate, *, grace_s: int = 0, by: By
    ) -> Settled:
        """Take over or end one thing of somebody who is gone; Unknown for anything else. `grace_s`: how long a key's
        old secret still works."""
        ...

    async def remove(
        self, org_id: UUID, person_id: UUID, fate: Fate | None, *, grace_s: int = 0, by: By
    ) -> Sequence[Settled]:
        """End a membership, and say what becomes of all that is left; LeavesBehind where there is something and nobody
        says."""
        ...
