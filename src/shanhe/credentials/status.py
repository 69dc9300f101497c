"""Token Status List (draft-ietf-oauth-status-list): a bit a credential, signed, cacheable, the same for all. Pure.

A verifier fetches the whole list, so nobody learns which credential it looks at.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shanhe.credentials.errors import CredentialRefused
from shanhe.credentials.model import Jwk
from shanhe.credentials.sdjwt import b64, read_jws, sign, unb64

TYPE: Final = "statuslist+jwt"
SIZE: Final = 1 << 16
"""Credentials a list; places are drawn at random, so that neighbours say nothing."""
LIFE: Final = timedelta(days=7)
TTL: Final = timedelta(hours=1)


def sealed_list(revoked_indexes: Iterable[int], uri: str, key: Ed25519PrivateKey, kid: str, at: datetime) -> str:
    """The signed list as of an instant."""
    bits = bytearray(SIZE // 8)
    for index in revoked_indexes:
        bits[index // 8] |= 1 << (index % 8)
    payload: dict[str, Any] = {
        "sub": uri, "iat": int(at.timestamp()), "exp": int((at + LIFE).timestamp()), "ttl": int(TTL.total_seconds()),
        "status_list": {"bits": 1, "lst": b64(zlib.compress(bytes(bits), 9))},
    }  # fmt: skip
    return sign({"typ": TYPE, "kid": kid}, payload, key)


def revoked(token: str, uri: str, index: int, keys: Sequence[Jwk], *, at: datetime) -> bool:
    """Whether a list says that a credential was revoked; CredentialRefused when the list itself can't be relied on."""
    payload = read_jws(token.strip(), keys, TYPE)
    if payload.get("sub") != uri or int(payload.get("exp", 0)) < at.timestamp():
        raise CredentialRefused("status", "the status list is another one or too old", "状态列表不匹配或已过期")
    bits = zlib.decompressobj().decompress(unb64(str(payload["status_list"]["lst"])), SIZE // 8)
    if not 0 <= index < len(bits) * 8:
        raise CredentialRefused("status", "the status list does not reach it", "状态列表未覆盖该凭证")
    return bool(bits[index // 8] >> (index % 8) & 1)
