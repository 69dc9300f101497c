"""Frozen data of signing in: from where, how far, by which factors, and the session that comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any
from uuid import UUID

from shanhe.identity.arrival_model import Registering


class Stage(StrEnum):
    """How far a sign-in has come."""

    SECOND_FACTOR = "second_factor"
    ENROL = "enrol"
    FULL = "full"


class SecondFactor(StrEnum):
    """Whether people with a role in the city must have a second factor."""

    REQUIRED = "required"
    OPTIONAL = "optional"


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
