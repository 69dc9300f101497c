"""Servers in the words of the official registry (`server.json`, schema of 2025-12-11): price and share in its `_meta`.

Pure. What is exported points at this city's door, where calls are metered and paid; what is imported points at its
publisher's server and becomes a draft.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from shanhe.mcp.errors import BadServer

SCHEMA: Final = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
PUBLISHER: Final = "io.modelcontextprotocol.registry/publisher-provided"
NAME: Final = re.compile(r"^[a-zA-Z0-9.-]{1,100}/[a-zA-Z0-9._-]{1,99}$")
TEXT_MAX_CHARS: Final = 100
SLUG_MAX_CHARS: Final = 40
FEE_MAX_MICRO: Final = 1_000_000_000_000
BPS_MAX: Final = 1_000_000
HTTP: Final = "streamable-http"


@dataclass(frozen=True, slots=True)
class Entry:
    """A listing as the registry shows it."""

    slug: str
    version: int
    title: str
    summary: str
    maker: str
    tools: tuple[str, ...]
    fee_micro: int
    markup_bps: int
    developer_share_bps: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What a `server.json` comes to here. No tools = those that the server lists."""

    slug: str
    title: str
    summary: str
    url: str
    tools: tuple[str, ...]
    fee_micro: int
    markup_bps: int


def exported(entry: Entry, url: str) -> dict[str, Any]:
    """A listing as `server.json`."""
    host = (urlsplit(url).hostname or "localhost").replace(":", "-")
    namespace = ".".join(reversed(host.split(".")))
    return {
        "$schema": SCHEMA,
        "name": f"{namespace}/{entry.slug}",
        "title": entry.title[:TEXT_MAX_CHARS],
        "description": (entry.summary or entry.title)[:TEXT_MAX_CHARS],
        "version": f"{entry.version}.0.0",
        "websiteUrl": f"{url}/store/mcp/{entry.slug}",
        "remotes": [{"type": HTTP, "url": f"{url}/mcp/{entry.slug}"}],
        "_meta": {
            PUBLISHER: {
                "maker": entry.maker,
                "tools": list(entry.tools),
                "price": {"fee_micro": entry.fee_micro, "markup_bps": entry.markup_bps, "unit": "AI Credit / 1e6"},
                "share": {"developer_bps": entry.developer_share_bps, "of": "markup"},
            }
        },
    }


def taken(document: Mapping[str, Any]) -> Taken:
    """A `server.json` as what becomes a draft; BadServer names what is missing."""
    name, told = document.get("name"), document.get("description")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadServer("name: reverse-DNS, one slash", "name 须为反向域名加一个斜杠")
    if not isinstance(told, str) or not 1 <= len(told) <= TEXT_MAX_CHARS:
        raise BadServer(f"description: 1 to {TEXT_MAX_CHARS} characters", f"description 须为 1–{TEXT_MAX_CHARS} 字")
    version = document.get("version")
    if not isinstance(version, str) or not version or re.search(r"[\^~<>=*]|\.x", version):
        raise BadServer("version: one version, no range", "version 须为确定版本")
    remotes = document.get("remotes")
    found = [one for one in remotes if isinstance(one, dict)] if isinstance(remotes, list) else []
    urls = [one["url"] for one in found if one.get("type") == HTTP and isinstance(one.get("url"), str)]
    if not urls or "{" in urls[0]:
        raise BadServer(f"remotes: one of type {HTTP} with a plain url", f"remotes 须含 {HTTP} 类型且地址完整")
    meta = document.get("_meta")
    own = meta.get(PUBLISHER) if isinstance(meta, dict) else None
    own = own if isinstance(own, dict) else {}
    price = own.get("price") if isinstance(own.get("price"), dict) else {}
    listed = own.get("tools")
    tools = tuple(tool for tool in listed if isinstance(tool, str)) if isinstance(listed, list) else ()
    slug = re.sub(r"[^a-z0-9]+", "-", name.partition("/")[2].lower()).strip("-")[:SLUG_MAX_CHARS]
    title = document.get("title")
    return Taken(
        slug or "server", title[:60] if isinstance(title, str) and title else slug, told, urls[0], tools,
        _number(price, "fee_micro", FEE_MAX_MICRO), _number(price, "markup_bps", BPS_MAX),
    )  # fmt: skip


def _number(price: Any, name: str, most: int) -> int:
    found = price.get(name, 0)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found <= most:
        raise BadServer(f"{name}: 0 to {most}", f"{name} 须为 0–{most}")
    return found
