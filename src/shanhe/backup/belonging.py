"""Whether the keys under DATA/keys are those of the database: with others, nobody's data opens, and what is written now
would be sealed with keys that no backup and no other machine has."""

from __future__ import annotations

from typing import Final

from shanhe.kernel.db import Database
from shanhe.kernel.errors import Conflict
from shanhe.kernel.vault import Vault
from shanhe.settings import Settings

FIELD: Final = "vault"
TEXT: Final = "the keys of this city"
MARK_BYTES: Final = 16


async def belong(settings: Settings) -> None:
    """Note the mark of the keys at the first start, compare it at every other; Conflict (`keys_foreign`)."""
    vault = Vault(settings.data / "keys", root_key=settings.vault_root_key)
    db = await Database.open(settings.database_url, size=1)
    try:
        mark = vault.blind_index(FIELD, TEXT)[:MARK_BYTES]
        known = await db.fetchval("SELECT mark FROM identity.vault_mark")
        if known is None:
            await db.execute("INSERT INTO identity.vault_mark (mark) VALUES ($1) ON CONFLICT DO NOTHING", mark)
        elif known != mark:
            raise _foreign(settings)
    finally:
        await db.close()


async def adopt(settings: Settings) -> int:
    """Take the keys that are here for the city's from now on; how many people's data nobody can read any more."""
    vault = Vault(settings.data / "keys", root_key=settings.vault_root_key)
    db = await Database.open(settings.database_url, size=1)
    try:
        mark = vault.blind_index(FIELD, TEXT)[:MARK_BYTES]
        await db.execute(
            "INSERT INTO identity.vault_mark (mark) VALUES ($1) ON CONFLICT (one) DO UPDATE SET mark = excluded.mark",
            mark,
        )
        rows = await db.fetch("SELECT id FROM identity.person")
        return sum(not vault.exists(row["id"]) for row in rows)
    finally:
        await db.close()


def _foreign(settings: Settings) -> Conflict:
    return Conflict(
        "keys_foreign",
        f"The keys in {settings.data / 'keys'} are not those that this database's personal data is sealed with.",
        message_zh=f"{settings.data / 'keys'} 中的密钥不属于此数据库，无法解密其中的个人信息。",
        hint="Put the city's own folder of keys there: from its backup, or on a second machine from the first one. "
        "Where they are lost for good, `shanhe vault adopt` goes on without what they opened.",
        hint_zh="请把本城的密钥目录放到此处：来自备份，或从第一台机器复制。"
        "若已彻底丢失，`shanhe vault adopt` 可放弃其保护的内容继续运行。",
    )
