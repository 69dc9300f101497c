"""The door of the tool gateway for other modules."""

from __future__ import annotations

from shanhe.mcp.address import checked_url
from shanhe.mcp.city import Answer, CityTool, CityTools, schema
from shanhe.mcp.errors import (
    AnswerTooLarge,
    BadSecret,
    BadServer,
    OverQuota,
    ServerFailed,
    ServerLate,
    UnknownServer,
    UnknownTool,
)
from shanhe.mcp.face import McpFace
from shanhe.mcp.model import CallRecord, Offered, Server, Tool
from shanhe.mcp.registry import Entry, Taken, exported, taken
from shanhe.mcp.service import ToolGateway, server_of, text_of

__all__ = [
    "Answer",
    "AnswerTooLarge",
    "BadSecret",
    "BadServer",
    "CallRecord",
    "CityTool",
    "CityTools",
    "Entry",
    "McpFace",
    "Offered",
    "OverQuota",
    "Server",
    "ServerFailed",
    "ServerLate",
    "Taken",
    "Tool",
    "ToolGateway",
    "UnknownServer",
    "UnknownTool",
    "checked_url",
    "exported",
    "schema",
    "server_of",
    "taken",
    "text_of",
]
