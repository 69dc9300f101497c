"""A sealed box: AES-256-GCM with its nonce in front, bound to what it belongs to."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES: Final = 12


class BoxRefused(ValueError):
    """Another key, another owner, or a byte that was changed."""


class Box:
    """Seals and opens with one key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, bound: bytes) -> bytes:
        """Nonce, ciphertext and tag; it opens for the same `bound` only."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, bound)

    def open(self, sealed: bytes, bound: bytes) -> bytes:
        """What `seal` was given; BoxRefused."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
        except (InvalidTag, ValueError) as error:  # ValueError: too short to hold a nonce
            raise BoxRefused from error
