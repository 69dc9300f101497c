"""Publishers' secrets: sealed with a key that lies outside of the database, opened only to be sent to their server."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from shanhe.kernel.box import Box, BoxRefused
from shanhe.kernel.vault import Vault
from shanhe.mcp.errors import BadSecret
from shanhe.mcp.model import SECRET

KEY_NAME: Final = "mcp-secrets"
VALUE_MAX_CHARS: Final = 4_096


class Sealer:
    """Seals and opens; a value is bound to its owner and name."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, owner: UUID, name: str, value: str) -> bytes:
        """BadSecret for a name or value that can't be a header's."""
        if not SECRET.fullmatch(name):
            raise BadSecret("its name takes a–z, 0–9 and _, at most 40", "名称只含小写字母、数字与下划线，最多 40 位")
        if not 1 <= len(value) <= VALUE_MAX_CHARS or not value.isascii() or not value.isprintable():
            raise BadSecret(
                f"1 to {VALUE_MAX_CHARS} printable ASCII characters", f"1–{VALUE_MAX_CHARS} 个可见 ASCII 字符"
            )
        return self._box().seal(value.encode(), _bound(owner, name))

    def open(self, owner: UUID, name: str, sealed: bytes) -> str:
        """The value; BadSecret when the key has changed or the row was tampered with."""
        try:
            return self._box().open(sealed, _bound(owner, name)).decode()
        except BoxRefused as error:
            raise BadSecret(f"{name} can't be opened; store it again", f"{name} 无法解封，请重新保存") from error

    def _box(self) -> Box:
        return Box(self._vault.secret(KEY_NAME))


def _bound(owner: UUID, name: str) -> bytes:
    return owner.bytes + name.encode()
