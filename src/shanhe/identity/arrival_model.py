"""Frozen data of arriving: registrations, and invitations that people answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from shanhe.identity.model import PersonState, Role


class Registering(StrEnum):
    """Whether residents open accounts themselves: not at all, at once, or after an officer looked."""

    OFF = "off"
    ON = "on"
    APPROVAL = "approval"


class RegistrationState(StrEnum):
    WAITING = "waiting"
    OPEN = "open"


class Outcome(StrEnum):
    """What became of a registration, for who sent it."""

    WAITING = "waiting"
    OPEN = "open"
    DECLINED = "declined"
    LAPSED = "lapsed"


class DeclineGround(StrEnum):
    """Why an officer declined a registration. Never a text: it stays on record when its person is erased."""

    KNOWN = "known"
    """They have an account already."""
    NAME = "name"
    """The name is nobody's."""
    COUNTER = "counter"
    """Who they are has to be seen at the service counter."""


class InvitationState(StrEnum):
    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class NewRegistration:
    """What a resident gives to open an account: `login` is the part of the sign-in name that they choose."""

    id: UUID
    name: str
    login: str
    password: str = field(repr=False)
    notice_version: str
    agreed: bool
    language: str = "zh-CN"


@dataclass(frozen=True, slots=True)
class Registration:
    id: UUID
    person_id: UUID
    state: RegistrationState
    person_state: PersonState
    login: str
    name: str
    notice_version: str
    created_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Invitation:
    """`called`: the name by which the asking person knows the other; the person's own is told by a membership."""

    id: UUID
    org_id: UUID
    org_name: str
    person_id: UUID
    role: Role
    department_id: UUID | None
    called: str
    state: InvitationState
    created_at: datetime
    expires_at: datetime
