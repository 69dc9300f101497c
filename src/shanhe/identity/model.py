"""Frozen data of identity: people, organisations, roles and their permissions, keys, sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any, ClassVar
from uuid import UUID

import msgspec


class PersonState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ERASED = "erased"


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
PLAIN_KEY_PERMISSIONS = frozenset({"receipts"})
ALL_PERMISSIONS = frozenset().union(*ROLE_PERMISSIONS.values())


def permissions_of(roles: Sequence[Role] | frozenset[Role]) -> frozenset[str]:
    """What a set of roles may do."""
    return frozenset().union(*(ROLE_PERMISSIONS[role] for role in roles))


class Stage(StrEnum):
    """How far a sign-in has come."""

    SECOND_FACTOR = "second_factor"
    ENROL = "enrol"
    FULL = "full"


class SecondFactor(StrEnum):
    """Whether people with a role in the city must have a second factor."""

    REQUIRED = "required"
    OPTIONAL = "optional"


class Caller(msgspec.Struct, frozen=True):
    """Who calls a model, as the gateway needs it. Budgets in µ; `limit_scope` counts against budgets and rates and
    stays the same when a key is rotated; `models` None means every model; `tags`: what all that is called in this
    piece of work is counted under."""

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


@dataclass(frozen=True, slots=True)
class Issued:
    """A session just made. `token` goes into the cookie and is never seen again; `stage` says what is missing and
    `methods` what can complete it (`totp`, `recovery`, `passkey`)."""

    session_id: UUID
    person_id: UUID
    stage: Stage
    token: str = field(repr=False)
    csrf: str = field(repr=False)
    expires_at: datetime
    methods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A live session. `device` is what the person's browser called itself, and from where."""

    id: UUID
    person_id: UUID
    org_id: UUID | None
    stage: Stage
    methods: tuple[str, ...]
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    device: str = ""


@dataclass(frozen=True, slots=True)
class TotpEnrolment:
    """What an authenticator application needs; shown once."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Passkey:
    id: UUID
    name: str
    created_at: datetime
    used_at: datetime | None
    backed_up: bool


@dataclass(frozen=True, slots=True)
class Ceremony:
    """Options for `navigator.credentials`, and the id to send back with the browser's answer."""

    id: UUID
    options: Mapping[str, Any]


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


NETWORK_BITS = 64
"""How much of an IPv6 address providers give to one subscriber, at the least."""


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request comes from; used for lock-out (hashed) and for the person's own list of sessions (sealed)."""

    address: str = ""
    agent: str = ""

    @property
    def network(self) -> str:
        """What one subscriber has: the address, of IPv6 the 2^64 that begin alike; "" when unknown."""
        try:
            address = ip_address(self.address)
        except ValueError:
            return self.address
        if isinstance(address, IPv4Address):
            return str(address)
        mapped = address.ipv4_mapped
        return str(mapped) if mapped is not None else str(ip_network((int(address), NETWORK_BITS), strict=False))


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """An OpenID Connect provider. `sign_up`: whether people it knows and we don't get an account."""

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    name: str = "OpenID Connect"
    sign_up: bool = True


@dataclass(frozen=True, slots=True)
class Options:
    """How identity behaves. `url` is the address people use (passkeys and redirects are bound to it)."""

    url: str = "http://127.0.0.1:8600"
    city_name: str = "Shanhe"
    second_factor: SecondFactor = SecondFactor.REQUIRED
    oidc: OidcSettings | None = None
    registering: Registering = Registering.OFF

    @property
    def secure(self) -> bool:
        return self.url.startswith("https://")
