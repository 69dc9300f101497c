"""Frozen data of identity: people, organisations, roles and their permissions, who acts, and acts on record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID


class PersonState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ERASED = "erased"


class CategoryName(StrEnum):
    """Grounds on which a person buys below market (P1)."""

    RESIDENT = "resident"
    LOCAL_WORKER = "local_worker"
    ASSOCIATED_CITY_RESIDENT = "associated_city_resident"
    NOMAD = "nomad"


class OrgKind(StrEnum):
    COMPANY = "company"
    GOVERNMENT = "government"
    INSTITUTION = "institution"
    PERSON = "person"


class OrgState(StrEnum):
    ACTIVE = "active"
    FROZEN = "frozen"


class DataClass(StrEnum):
    """What a key's data may touch: citizen and government data never leave local compute."""

    GENERAL = "general"
    CITIZEN = "citizen"
    GOVERNMENT = "government"


class Role(StrEnum):
    """Owner and member are of an organisation; operator, auditor and admin are of the city."""

    OWNER = "owner"
    MEMBER = "member"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


ORG_ROLES = frozenset({Role.OWNER, Role.MEMBER})
CITY_ROLES = frozenset({Role.OPERATOR, Role.AUDITOR, Role.ADMIN})
MEMBER_PERMISSIONS = frozenset({"keys", "usage", "topup", "chat", "receipts", "apply", "publish"})
OPERATOR_PERMISSIONS = frozenset(
    {"accounts", "models", "engines", "ledger", "rules", "receipts", "programmes", "store"}
)
ROLE_PERMISSIONS: Mapping[Role, frozenset[str]] = {
    Role.MEMBER: MEMBER_PERMISSIONS,
    Role.OWNER: MEMBER_PERMISSIONS | {"members"},
    Role.OPERATOR: OPERATOR_PERMISSIONS | {"people"},
    Role.AUDITOR: frozenset({"ledger", "audit", "receipts"}),
    Role.ADMIN: OPERATOR_PERMISSIONS | {"people", "audit", "roles"},
}
ALL_PERMISSIONS = frozenset().union(*ROLE_PERMISSIONS.values())


def permissions_of(roles: Sequence[Role] | frozenset[Role]) -> frozenset[str]:
    """What a set of roles may do."""
    return frozenset().union(*(ROLE_PERMISSIONS[role] for role in roles))


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts through the console or the administration API. `ref` names it in audit rows, without personal data."""

    person_id: UUID | None
    key_id: UUID | None
    org_id: UUID | None
    roles: frozenset[Role]
    permissions: frozenset[str]
    name: str = ""
    csrf: str = ""
    session_id: UUID | None = None
    language: str = "zh-CN"

    @property
    def ref(self) -> str:
        if self.person_id is not None:
            return f"person:{self.person_id}"
        return f"key:{self.key_id}" if self.key_id is not None else "system"


@dataclass(frozen=True, slots=True)
class Category:
    category: CategoryName
    verified: bool
    valid_from: date
    valid_to: date | None = None


@dataclass(frozen=True, slots=True)
class NewPerson:
    """What a person is made of; `login` or `email` is needed to sign in."""

    name: str
    login: str | None = None
    email: str | None = None
    phone: str | None = None
    password: str | None = field(default=None, repr=False)
    language: str = "zh-CN"
    email_verified: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """A person in plain text; of an erased one only the id is left."""

    id: UUID
    state: PersonState
    language: str
    name: str
    login: str | None
    email: str | None
    phone: str | None
    email_verified: bool
    created_at: datetime
    cap_group: UUID | None = None
    categories: tuple[Category, ...] = ()
    city_roles: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class NewOrganisation:
    kind: OrgKind
    name: str
    registration: str | None = None
    locally_registered: bool = False
    data_company: bool = False
    data_class: DataClass = DataClass.GENERAL


@dataclass(frozen=True, slots=True)
class Organisation:
    id: UUID
    kind: OrgKind
    name: str
    person_id: UUID | None
    registration: str | None
    locally_registered: bool
    local_verified: bool
    data_company: bool
    data_class: DataClass
    state: OrgState
    frozen_reason: str | None
    frozen_at: datetime | None
    created_at: datetime
    cap_group: UUID | None = None


@dataclass(frozen=True, slots=True)
class Department:
    id: UUID
    org_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    org_id: UUID
    person_id: UUID
    role: Role
    department_id: UUID | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class PayerFacts:
    """What a benefit rule asks of an organisation on a day. `beneficiary` shares one yearly cap (R0); `categories` are
    verified and in force: of the person, or `local_company`, `local_data_company`."""

    org_id: UUID
    kind: OrgKind
    beneficiary: UUID
    categories: tuple[str, ...]
    locally_registered: bool
    frozen: bool


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An act: who did what to what, through which door (`POST /api/…`, `shanhe …`; '' where none was told). `details`
    of a change: what was `before` and `after` by column, and the columns whose content is `hidden`."""

    id: UUID
    at: datetime
    actor: str
    action: str
    object: str
    org_id: UUID | None
    details: Mapping[str, Any]
    door: str = ""

    OF_CHANGES: ClassVar = ("before", "after", "hidden")

    def changes(self) -> Iterator[tuple[str, Any, Any]]:
        """(column, before, after) of what a change changed and may be shown, the state first; None for what wasn't or
        isn't there."""
        before, after = self.details.get("before", {}), self.details.get("after", {})
        for name in sorted({**before, **after}, key=lambda name: name != "state"):
            yield name, before.get(name), after.get(name)


@dataclass(frozen=True, slots=True)
class ActsAsked:
    """Which acts are asked for: of one `actor`, on one `object` (`kind:id`, or what bears the id), concerning one
    organisation, of one kind (`key.create`; `governance.seat` for whatever was done to seats), of [since, until)."""

    actor: str | None = None
    object: str | None = None
    org_id: UUID | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
