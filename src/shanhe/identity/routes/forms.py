"""Bodies of requests: bounded and closed. What a name or an address may be is decided deeper."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from shanhe.identity.api import CategoryName, DataClass, DeclineGround, Fate, OrgKind, Role
from shanhe.kernel import routing

Text = Annotated[str, Field(max_length=500)]
Long = Annotated[str, Field(max_length=4_000)]
Secret = Annotated[str, Field(max_length=1_024)]
Micro = Annotated[int, Field(ge=0, le=10**15)]
Rate = Annotated[int, Field(ge=1, le=10**9)]
GRACE_MAX_S = 30 * 86_400


class Body(routing.Body):
    def given(self) -> dict[str, Any]:
        """Only what the request named."""
        return self.model_dump(exclude_unset=True)


class SignInBody(Body):
    login: Text
    password: Secret


class DeclineBody(Body):
    ground: DeclineGround


class RegisterBody(Body):
    """`login` is the part of the sign-in name that one chooses; the answer says the whole."""

    id: UUID
    name: Text
    login: Text
    password: Secret
    notice_version: Text
    agreed: bool = False
    language: Text = "zh-CN"


class InviteBody(Body):
    """Whom an owner asks: by the name they sign in with, or by id."""

    id: UUID
    login: Text = ""
    person_id: UUID | None = None
    role: Role = Role.MEMBER
    department_id: UUID | None = None


class CodeBody(Body):
    code: Text


class PasskeyBody(Body):
    ceremony_id: UUID
    credential: dict[str, Any]
    name: Text = ""


class PersonChange(Body):
    name: Text | None = None
    login: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    language: Text | None = None


class PasswordChange(Body):
    current: Secret = ""
    new: Secret


class Confirmation(Body):
    password: Secret = ""


class FactorBody(Body):
    """The first code of a new authenticator, with the password once more where somebody is signed in already."""

    code: Text
    password: Secret = ""


class OrgChoice(Body):
    org_id: UUID


class ConsentBody(Body):
    """Consent to a purpose as the notice in force describes it; `apart` for sensitive data."""

    purpose: Text
    notice_version: Text
    apart: bool = False


class KeyChange(Body):
    name: Text = ""
    models: Annotated[list[Text], Field(max_length=200)] | None = None
    permissions: Annotated[list[Text], Field(max_length=50)] = Field(default_factory=list)
    budget_day_micro: Micro | None = None
    budget_month_micro: Micro | None = None
    rpm: Rate | None = None
    tpm: Rate | None = None
    expires_at: datetime | None = None
    data_class: DataClass = DataClass.GENERAL
    department_id: UUID | None = None


class KeyBody(KeyChange):
    """With an `id` of the client's the same request again makes no second key (409: its token was told once)."""

    id: UUID | None = None
    name: Text


class RotateBody(Body):
    grace_s: Annotated[int, Field(ge=0, le=30 * 86_400)] = 0


class LeakBody(Body):
    key: Text
    freeze: bool = False
    note: Long = ""


class OrgBody(Body):
    name: Text
    kind: OrgKind
    registration: Text | None = None
    locally_registered: bool = False
    data_company: bool = False
    data_class: DataClass = DataClass.GENERAL
    owner: UUID | None = None


class OrgChange(Body):
    name: Text = ""
    registration: Text | None = None
    locally_registered: bool = False
    local_verified: bool = False
    data_company: bool = False
    data_class: DataClass = DataClass.GENERAL
    cap_group: UUID | None = None


class ReasonBody(Body):
    reason: Long


class NameBody(Body):
    name: Text


class MemberBody(Body):
    role: Role = Role.MEMBER
    department_id: UUID | None = None


class FateBody(Body):
    fate: Fate
    grace_s: Annotated[int, Field(ge=0, le=GRACE_MAX_S)] = 0


class PersonBody(Body):
    name: Text
    login: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    password: Secret | None = None
    language: Text = "zh-CN"


class FindBody(Body):
    login: Text | None = None
    email: Text | None = None
    phone: Text | None = None


class CategoryBody(Body):
    category: CategoryName
    verified: bool
    valid_from: date
    valid_to: date | None = None
