"""A credential as the city keeps it, and as somebody else reads it. Frozen, pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

Jwk = Mapping[str, Any]
"""A public key as JSON (RFC 7517): kty OKP, crv Ed25519, x, kid."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What the city issued. The token itself is sealed; `expires_on` is the last day it is valid."""

    id: UUID
    person_id: UUID
    vct: str
    kid: str
    list_no: int
    list_index: int
    issued_at: datetime
    expires_on: date
    revoked_at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What a verified presentation says. `bound`: its holder proved to hold the key it was issued to."""

    issuer: str
    vct: str
    kid: str
    claims: Mapping[str, Any]
    not_before: datetime | None
    expires: datetime | None
    status: tuple[str, int] | None
    bound: bool
