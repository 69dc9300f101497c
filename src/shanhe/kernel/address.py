"""A database's address without what nobody else may read: command lines are public on a machine."""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import unquote, unquote_plus, urlsplit

from shanhe.kernel.errors import Invalid

PASSWORD: Final = "password"
NO_OTHER_WAY: Final = frozenset({"sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
"""Secrets that PostgreSQL's own programs take in an address alone."""


def without_secrets(dsn: str) -> tuple[str, dict[str, str]]:
    """The address for a program of PostgreSQL, and the environment that has the password: from before the @, else from
    `?password=`. Invalid (`secret_in_address`) where another secret could reach the program in public only."""
    parts = urlsplit(dsn)
    user, _, place = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    secret, kept = unquote(password), []
    for piece in filter(None, parts.query.split("&")):
        key, _, value = piece.partition("=")
        if unquote_plus(key) in NO_OTHER_WAY:
            raise _public(unquote_plus(key))
        if unquote_plus(key) == PASSWORD:
            secret = secret or unquote_plus(value)
        else:
            kept.append(piece)
    query = f"?{'&'.join(kept)}" if kept else ""
    # urlunsplit would leave out the slashes of an address that names no server
    bare = f"{parts.scheme}://{f'{name}@' if name else ''}{place}{parts.path}{query}"
    return bare, {**os.environ, **({"PGPASSWORD": secret} if secret else {})}


def _public(key: str) -> Invalid:
    return Invalid(
        "secret_in_address", f"{key} in DATABASE_URL would be readable by everybody on this machine.",
        message_zh=f"DATABASE_URL 中的 {key} 会被本机所有人看到。",
        hint="Take it out for this command: name a key file that needs no passphrase, readable by its owner only.",
        hint_zh="请在执行此命令时去掉它：改用仅所有者可读、无口令的密钥文件。",
    )  # fmt: skip
