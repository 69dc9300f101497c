"""Signed codes for cameras: a venue's screen, a nomad's pass, a ticket. Small, verified without a network. Pure.

    SH1.<base64url(msgpack [kind, id, at, extra])>.<base64url(Ed25519 signature)>

The signature covers a domain, so that no other thing signed with the key is a code. A venue signs with its own key, a
pass and a ticket are signed by the city.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shanhe.nomads.errors import BadCode

PREFIX: Final = "SH1"
DOMAIN: Final = b"shanhe-nomad-code/1\n"
TEXT_MAX_CHARS: Final = 600
VENUE, PASS, TICKET = "v", "p", "t"
WORDS: Final = {VENUE: ("场所码", "venue code"), PASS: ("身份码", "pass"), TICKET: ("门票", "ticket")}
NUMBER_WITHIN: Final = 1_000


class Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is signed. `at` is Unix seconds; `extra` belongs to the kind."""

    kind: str
    id: bytes
    at: int
    extra: list[int | str]


@dataclass(frozen=True, slots=True)
class Code:
    """A code that can be read; whether its signature holds is asked with a key."""

    kind: str
    id: UUID
    at: datetime
    extra: tuple[int | str, ...]
    signed: bytes
    signature: bytes

    def by(self, public: bytes) -> bool:
        """Whether the owner of a public key made it."""
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(self.signature, DOMAIN + self.signed)
        except (InvalidSignature, ValueError):
            return False
        return True

    @property
    def mark(self) -> bytes:
        """What tells this code from every other."""
        return self.signature[:16]


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket says of itself: enough for a gate without a network."""

    id: UUID
    number: int
    valid_from: date
    valid_until: date
    companions_max: int
    holder: str


def make(kind: str, identifier: UUID, at: datetime, key: Ed25519PrivateKey, *extra: int | str) -> str:
    """A code's text."""
    signed = msgspec.msgpack.encode(Wire(kind, identifier.bytes, int(at.timestamp()), list(extra)))
    return ".".join((PREFIX, _b64(signed), _b64(key.sign(DOMAIN + signed))))


def read(text: str, kind: str = "") -> Code:
    """A code out of what a camera or a person gave: the code, or an address that carries it as `c`. BadCode."""
    text = text.strip()
    if "c=" in text and PREFIX + "." not in text[: len(PREFIX) + 1]:
        text = text.rpartition("c=")[2].partition("&")[0]
    parts = text.split(".")
    if len(text) > TEXT_MAX_CHARS or len(parts) != 3 or parts[0] != PREFIX:
        raise BadCode("unreadable", "it is no code of this city", "不是本市的码")
    try:
        signed, signature = _unb64(parts[1]), _unb64(parts[2])
        wire = msgspec.msgpack.decode(signed, type=Wire)
        code = Code(wire.kind, UUID(bytes=wire.id), datetime.fromtimestamp(wire.at, UTC), tuple(wire.extra), signed,
                    signature)  # fmt: skip
    except (binascii.Error, msgspec.MsgspecError, ValueError, OverflowError, OSError):
        raise BadCode("unreadable", "it can't be read", "无法识别") from None
    if kind and code.kind != kind:
        is_, wanted = WORDS.get(code.kind, ("未知的码", "unknown code")), WORDS[kind]
        raise BadCode("other_kind", f"it is a {is_[1]}, not a {wanted[1]}", f"这是{is_[0]}，不是{wanted[0]}")
    return code


def make_ticket(ticket: Ticket, at: datetime, key: Ed25519PrivateKey) -> str:
    first, last = ticket.valid_from.toordinal(), ticket.valid_until.toordinal()
    extra = (ticket.number, first, last, ticket.companions_max, ticket.holder)
    return make(TICKET, ticket.id, at, key, *extra)


def ticket_of(code: Code) -> Ticket:
    """The ticket that a code carries."""
    match code.extra:
        case (int(number), int(first), int(last), int(companions), str(holder)) if 0 < number < NUMBER_WITHIN:
            return Ticket(code.id, number, date.fromordinal(first), date.fromordinal(last), companions, holder)
    raise BadCode("unreadable", "it is no ticket", "不是门票")


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
