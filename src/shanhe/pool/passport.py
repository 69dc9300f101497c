"""A node's identity: an Ed25519 key that never leaves its machine, and tokens it signs to open a tunnel.

The city sends a fresh challenge; the node's token names itself, the challenge and this process, lives a minute and
works once. Because the challenge makes it fresh, a node's clock may be wrong.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shanhe.pool.errors import BadPassport

CONTEXT: Final = b"shanhe node tunnel v1\n"
TOKEN_MAX_CHARS: Final = 2_000
TOKEN_LIFE_S: Final = 60
KEY_BYTES: Final = 32


class Claim(msgspec.Struct, frozen=True):
    """What a node signs. `instance` is random for each process of the agent: a copied key has another one."""

    node: UUID
    city: str
    challenge: str
    instance: str
    issued_at: int
    expires_at: int


def load_key(folder: Path) -> Ed25519PrivateKey:
    """The node's key, made on first use (0600)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "node.key"
    if not path.exists():
        part = path.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(Ed25519PrivateKey.generate().private_bytes_raw())
        part.replace(path)
    return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def sign(key: Ed25519PrivateKey, claim: Claim) -> str:
    """A token: payload and signature, base64url, with a dot between."""
    payload = msgspec.json.encode(claim)
    return f"{_text(payload)}.{_text(key.sign(CONTEXT + payload))}"


def read(token: str) -> tuple[Claim, bytes, bytes]:
    """A token taken apart, not yet believed: claim, signed bytes, signature."""
    payload_text, _, signature_text = token[:TOKEN_MAX_CHARS].partition(".")
    try:
        payload, signature = _bytes(payload_text), _bytes(signature_text)
        claim = msgspec.json.decode(payload, type=Claim)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise BadPassport("its token can't be read") from error
    return claim, CONTEXT + payload, signature


def verify(token: str, public_key: bytes, *, challenge: str, city: str) -> Claim:
    """The claim of a token that this key signed for this challenge and city; BadPassport otherwise."""
    claim, signed, signature = read(token)
    if claim.challenge != challenge or claim.city != city:
        raise BadPassport("its token is for another challenge")
    if not 0 < claim.expires_at - claim.issued_at <= TOKEN_LIFE_S:
        raise BadPassport(f"its token lives longer than {TOKEN_LIFE_S} s")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError) as error:
        raise BadPassport("the signature is not that of the node's key") from error
    return claim


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
