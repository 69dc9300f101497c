"""Nouns of the tool gateway: a server as its publisher describes it, tools, calls. Frozen and pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

TOOL: Final = re.compile(r"^[A-Za-z0-9_.-]{1,64}$")
SECRET: Final = re.compile(r"^[a-z][a-z0-9_]{0,39}$")
HEADER: Final = re.compile(r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
FORBIDDEN_HEADERS: Final = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "mcp-protocol-version",
     "mcp-session-id", "accept"}
)  # fmt: skip
TOOLS_MAX: Final = 100
TIMEOUT_MAX_MS: Final = 60_000
CALLS_MAX: Final = 6_000
DESCRIPTION_MAX_CHARS: Final = 2_000
SCHEMA_MAX_BYTES: Final = 32 * 1024
FEATURES: Final = {
    "resources/list": "resources", "resources/read": "resources", "resources/templates/list": "resources",
    "resources/subscribe": "resources", "resources/unsubscribe": "resources", "subscriptions/listen": "resources",
    "prompts/list": "prompts", "prompts/get": "prompts", "completion/complete": "completions",
    "logging/setLevel": "logging",
}  # fmt: skip
"""What a client may ask of a server besides tools, and the feature a listing has to offer for it."""
ASKS_OF_CLIENT: Final = {
    "sampling/createMessage": "sampling", "elicitation/create": "elicitation", "roots/list": "roots",
}  # fmt: skip
"""What a server may ask of its client, and the feature a listing has to offer for it."""
PASSES: Final = frozenset(FEATURES.values()) | frozenset(ASKS_OF_CLIENT.values())
ALWAYS: Final = frozenset({"initialize", "ping", "server/discover"})
ABOUT: Final[dict[str, type]] = {"title": str, "annotations": dict, "outputSchema": dict}
"""What a tool is passed on with besides its description and the schema of its arguments."""
READS: Final = {"annotations": {"readOnlyHint": True, "openWorldHint": False}}
"""Of a tool that only reads what the city has."""
SEPARATOR: Final = "__"
"""Between a server's name and its tool's, where tools of several servers stand in one list."""


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a hosted tool says of itself."""

    description: str
    schema: dict[str, Any]


class Hosted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A server that the city runs itself: Python whose functions are the tools, in a sandbox, one process a call."""

    code: str
    described: dict[str, Described]
    memory_mb: int = 256
    cpu_s: int = 5


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A publisher's MCP server: at `url`, or `hosted` here. `tools`: the only ones that are offered.
    `secrets`: header → name of a stored secret.

    `calls_per_minute` bounds one payer. `passes`: what besides tools goes through (see `PASSES`).
    `local`: on the city's own machines (an operator says so when reviewing).
    """

    tools: tuple[str, ...]
    secrets: dict[str, str] = {}
    timeout_ms: int = 20_000
    calls_per_minute: int = 120
    local: bool = False
    passes: tuple[str, ...] = ()
    hosted: Hosted | None = None
    url: str = ""


@dataclass(frozen=True, slots=True)
class Offered:
    """A server as it is for sale: name without its kind, version, owner, fee of a call in µ."""

    slug: str
    version: int
    owner: UUID
    title: str
    server: Server
    fee_micro: int


class Tool(msgspec.Struct, frozen=True):
    """A tool as it was when its server's version was first looked at: a change needs a new version and its review."""

    name: str
    description: str
    schema: dict[str, Any]
    about: dict[str, Any] = {}
    """What else a list says of it, in the protocol's words: see `ABOUT`."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, for the audit: sizes and outcome, no contents."""

    id: UUID
    at: datetime
    org_id: UUID
    key_id: UUID
    server: str
    tool: str
    state: str
    error: str
    sent_bytes: int
    got_bytes: int
    took_ms: int
    paid_micro: int
    receipt_id: UUID | None
