"""Nouns of connected apps, and what is pure about them: an app's addresses, and what a token is for."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from shanhe.kernel.texts import parts_of

CODE_TTL: Final = timedelta(seconds=60)
ACCESS_TTL: Final = timedelta(minutes=15)
REFRESH_TTL: Final = timedelta(days=30)
REQUEST_TTL: Final = timedelta(minutes=10)
KEPT_AFTER: Final = timedelta(days=1)
"""How long a code or a token that is over is still known, to see that it is used again."""
UNUSED_CLIENT_TTL: Final = timedelta(days=2)
CLIENTS_MAX: Final = 20_000
REDIRECTS_MAX: Final = 10
URI_MAX_CHARS: Final = 500
NAME_MAX_CHARS: Final = 80
COSTS_MAX: Final = 5_000
"""Rows of what apps cost, the newest."""
STATE_MAX_CHARS: Final = 1_000
ACCESS_PREFIX: Final = "at-sh-"
REFRESH_PREFIX: Final = "rt-sh-"
SCOPE: Final = "tools"
RESOURCE_PATH: Final = "/mcp"
NEVER: Final = frozenset({"javascript", "data", "file", "vbscript", "blob", "about", "ftp", "ws", "wss", "http"})
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SIGNS: Final = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class Client:
    """An app: registered here, or described by a document at the address that is its id."""

    id: str
    name: str
    redirect_uris: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asking:
    """What an app asks a person for."""

    id: UUID
    client_id: str
    client_name: str
    redirect_uri: str
    state: str | None
    challenge: str
    resource: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class App:
    """An app that a person let act for an organisation. `good_until`: its refresh token's end, if it has one left."""

    id: UUID
    client_id: str
    name: str
    org_id: UUID
    resource: str
    made_at: datetime
    ended_at: datetime | None
    good_until: datetime | None
    budget_day_micro: int | None

    def acts(self, now: datetime) -> bool:
        """Whether it may still act."""
        return self.ended_at is None and self.good_until is not None and self.good_until > now


@dataclass(frozen=True, slots=True)
class AppCost:
    """What an app cost an organisation on a day; `person_id` let it act."""

    day: date
    name: str
    client_id: str
    org_id: UUID
    person_id: UUID
    calls: int
    paid_micro: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """What an app is given; shown once."""

    access: str
    refresh: str
    expires_in_s: int


def redirect_problem(uri: str) -> str | None:
    """Why an address may not be returned to; None when it may."""
    if not uri or len(uri) > URI_MAX_CHARS or not uri.isascii() or _SIGNS.search(uri):
        return "too long, or signs an address may not hold"
    parts = parts_of(uri)
    if parts.fragment or not parts.scheme or parts.username is not None:
        return "no fragment, no user name, a scheme"
    if parts.scheme == "https":
        return None if parts.hostname else "a host"
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return None
    return "https, an app's own scheme, or http on the person's own machine" if parts.scheme in NEVER else None


def same_redirect(registered: str, asked: str) -> bool:
    """Exactly the same; on the person's own machine the port is whatever was free (RFC 8252).

    An address that may not be registered is none to ask for: `http://evil.example\\@localhost/` has this machine's name
    for whoever reads it by the standard, and another's for a browser.
    """
    if registered == asked:
        return True
    if redirect_problem(asked) is not None:
        return False
    one, other = parts_of(registered), parts_of(asked)
    return (
        one.scheme == other.scheme == "http"
        and one.hostname == other.hostname
        and one.hostname in LOOPBACK
        and (one.path, one.query) == (other.path, other.query)
    )


def resource_of(asked: str | None, url: str) -> str | None:
    """The address a token is to be for, below this city's `/mcp`; None for another's."""
    root = url + RESOURCE_PATH
    if not asked:
        return root
    found = asked.rstrip("/")
    inside = found == root or (
        found.startswith(root + "/") and re.fullmatch(r"[a-z0-9-]{1,64}", found[len(root) + 1 :])
    )
    return found if inside else None


def covers(resource: str, at: str) -> bool:
    """Whether a token for one address is good at another: the same, or below it."""
    return at == resource or at.startswith(resource + "/")


def is_document(client_id: str) -> bool:
    """Whether an app's id is the address of a document about it: https, a path, no query, a name and not a number."""
    if len(client_id) > URI_MAX_CHARS or _SIGNS.search(client_id):
        return False
    parts = parts_of(client_id)
    if parts.scheme != "https" or not parts.hostname or parts.path in ("", "/") or parts.query or parts.fragment:
        return False
    try:
        ipaddress.ip_address(parts.hostname)
    except ValueError:
        return "/../" not in client_id and "/./" not in client_id
    return False
