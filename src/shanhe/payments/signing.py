"""Ed25519 over `timestamp\\nnonce\\nbody\\n`, the envelope that signed payment notifications share."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shanhe.payments.errors import NotificationForged, NotificationLate

WINDOW_S = 300
"""How far a notification's timestamp may be from our clock, both ways."""
NONCE_LIMIT_CHARS = 64

TIMESTAMP = "shanhe-pay-timestamp"
NONCE = "shanhe-pay-nonce"
SERIAL = "shanhe-pay-serial"
SIGNATURE = "shanhe-pay-signature"


def derive_key(secret: bytes, label: str) -> Ed25519PrivateKey:
    """A signing key that every process with the same secret derives alike; ValueError for a secret below 16 bytes."""
    if len(secret) < 16:
        raise ValueError("the payment secret needs at least 16 bytes")
    return Ed25519PrivateKey.from_private_bytes(hmac.new(secret, label.encode(), hashlib.sha256).digest())


def serial(key: Ed25519PublicKey) -> str:
    """A short name of a public key, so that keys can be rotated."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def sign(key: Ed25519PrivateKey, body: bytes, *, nonce: str, now: datetime) -> dict[str, str]:
    """The headers of a signed message."""
    timestamp = str(int(now.timestamp()))
    return {
        TIMESTAMP: timestamp,
        NONCE: nonce,
        SERIAL: serial(key.public_key()),
        SIGNATURE: base64.b64encode(key.sign(_message(timestamp, nonce, body))).decode(),
    }


def verify(keys: Mapping[str, Ed25519PublicKey], headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """Check signature, then age, and return the nonce; NotificationForged or NotificationLate. `keys` by serial."""
    plain = {name.lower(): value for name, value in headers.items()}
    timestamp, nonce = plain.get(TIMESTAMP, ""), plain.get(NONCE, "")
    key = keys.get(plain.get(SERIAL, ""))
    if key is None:
        raise NotificationForged("it is not signed with a known key")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise NotificationForged("it has no timestamp")
    if not (0 < len(nonce) <= NONCE_LIMIT_CHARS and nonce.isascii() and nonce.isprintable()):
        raise NotificationForged("it has no nonce")
    try:
        key.verify(base64.b64decode(plain.get(SIGNATURE, ""), validate=True), _message(timestamp, nonce, body))
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise NotificationForged("the signature does not match") from error
    age_s = now.timestamp() - int(timestamp)
    if abs(age_s) > WINDOW_S:
        raise NotificationLate(f"it was signed {int(age_s)} s ago")
    return nonce


def from_iso(text: object) -> datetime:
    """An aware instant in UTC; ValueError otherwise."""
    if not isinstance(text, str):
        raise ValueError("an instant is a text")
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant carries its time zone")
    return instant.astimezone(UTC)


def _message(timestamp: str, nonce: str, body: bytes) -> bytes:
    return f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
