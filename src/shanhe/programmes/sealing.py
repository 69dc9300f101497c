"""What people write in forms and what was decided about them, unreadable without their key."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.kernel.vault import PersonErased, Vault

FIELD: Final = "programmes"
PLAIN_MAX_BYTES: Final = 1_000_000
Stored = tuple[Any, bytes | None]
"""The columns `content` and `sealed`: exactly one is used."""


def seal(vault: Vault, person_id: UUID | None, content: Mapping[str, Any]) -> Stored:
    """Plain for an organisation; compressed and sealed for a person."""
    plain = msgspec.json.encode(content, order="sorted")
    if person_id is None:
        return msgspec.json.decode(plain), None
    return None, vault.encrypt(person_id, FIELD, base64.b64encode(zlib.compress(plain)).decode())


def unseal(vault: Vault, person_id: UUID | None, content: Any, sealed: bytes | None) -> Mapping[str, Any]:
    """What `seal` was given; empty when the person was erased."""
    if sealed is None or person_id is None:
        found: Mapping[str, Any] = content or {}
        return found
    try:
        text = vault.decrypt(person_id, FIELD, sealed)
    except PersonErased:
        return {}
    opened: Mapping[str, Any] = msgspec.json.decode(
        zlib.decompressobj().decompress(base64.b64decode(text), PLAIN_MAX_BYTES)
    )
    return opened
