"""An alliance, its members, what they share. Frozen, pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class MemberState(StrEnum):
    INVITED = "invited"
    MEMBER = "member"
    DECLINED = "declined"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Alliance:
    id: UUID
    name: str
    purpose: str
    founder: UUID
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """`name` is the organisation's; `decided_by` whose consent or refusal it was."""

    org_id: UUID
    state: MemberState
    invited_by: UUID
    invited_at: datetime
    decided_by: str
    decided_at: datetime | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Shared:
    """A data set (by id) or a model (by name) that its owner lets the others use."""

    kind: str
    ref: str
    title: str
    org_id: UUID
    shared_at: datetime


@dataclass(frozen=True, slots=True)
class View:
    """An alliance as its members see it. `parties` counts members that are strangers to each other (R0); from `needed`
    on the discount is `extra_bps` on top of whatever each member has."""

    alliance: Alliance
    members: tuple[Member, ...]
    shared: tuple[Shared, ...]
    parties: int
    needed: int
    extra_bps: int
    mine: MemberState

    @property
    def open(self) -> bool:
        """Whether the discount is given now."""
        return self.parties >= self.needed


Company = Callable[[UUID], Awaitable[tuple[str, bool]]]
"""(name, whether it may be a member: a company that is not frozen)."""
Title = Callable[[UUID, str], Awaitable[str | None]]
"""What an organisation's data set or model is called; None when it has none of that reference."""
