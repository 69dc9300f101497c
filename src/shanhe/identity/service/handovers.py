"""What a form leaves for the page that follows it, so that a reload of that page sends nothing again.

It is sealed with a token that only the browser gets; the row holds a hash of it. Reading takes the token, the holder (a
session, or a visitor's form token) and the page: who signs in after another on the same browser reads nothing, neither
does who has a copy of the cookie after its session ended, or of the database.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from shanhe.identity.service.base import Ground
from shanhe.identity.store import handovers as store
from shanhe.kernel.box import Box, BoxRefused
from shanhe.kernel.errors import Invalid

TOKEN_BYTES: Final = 32
TOKEN_CHARS: Final = 43
BYTES_MAX: Final = 262_144
KEPT_MAX: Final = 20
"""For one holder; what runs out first goes first."""
LIFE_MAX_S: Final = 3_600


class Handovers:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def leave(self, holder: str, path: str, said: Mapping[str, Any], *, life_s: int) -> str:
        """Keep what can be said in JSON for the page at `path`; the token that the browser reads it with."""
        plain = msgspec.json.encode(said)
        if len(plain) > BYTES_MAX:
            raise Invalid("handover_too_large", f"A page can't be handed more than {BYTES_MAX} bytes.",
                          message_zh="内容过长，无法在下一页显示。", status=413)  # fmt: skip
        token = secrets.token_urlsafe(TOKEN_BYTES)
        sealed = Box(_key(token)).seal(plain, _bound(holder, path))
        now = self._ground.now()
        ends = now + timedelta(seconds=min(life_s, LIFE_MAX_S))
        async with self._ground.db.transaction() as conn:
            await store.make_room(conn, _digest(holder), now, KEPT_MAX - 1)
            await store.put(conn, _digest(token), _digest(holder), sealed, ends)
        return token

    async def take(self, holder: str, path: str, token: str) -> dict[str, Any]:
        """What was left, for the only time; nothing when it was taken, ran out or is another's."""
        found = await self.see(holder, path, token)
        return found if found and await store.drop(self._ground.db.writes, _digest(token)) else {}

    async def see(self, holder: str, path: str, token: str) -> dict[str, Any]:
        """The same, and it stays until it runs out."""
        if len(token) != TOKEN_CHARS or not token.isascii():
            return {}
        sealed = await store.get(self._ground.db, _digest(token), self._ground.now())
        if sealed is None:
            return {}
        try:
            plain = Box(_key(token)).open(sealed, _bound(holder, path))
        except BoxRefused:
            return {}
        return msgspec.json.decode(plain, type=dict[str, Any])


def _key(token: str) -> bytes:
    return hmac.digest(token.encode(), b"shanhe.handover.key", hashlib.sha256)


def _digest(text: str) -> bytes:
    return hashlib.sha256(b"shanhe.handover\n" + text.encode()).digest()


def _bound(holder: str, path: str) -> bytes:
    return f"{holder}\n{path}".encode()
