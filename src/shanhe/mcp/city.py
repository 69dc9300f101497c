"""The city itself as an MCP server: what any MCP client can ask it. Reads only; nothing here costs anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shanhe.mcp.errors import UnknownTool
from shanhe.mcp.model import READS, Tool

if TYPE_CHECKING:
    from shanhe.identity.api import Caller

NAME: Final = "shanhe"
Answer = Callable[["Caller", Mapping[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class CityTool:
    """One thing that can be asked, and who answers it."""

    tool: Tool
    answer: Answer


def schema(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """JSON Schema of arguments; a text stands for a described string."""
    described = {
        name: {"type": "string", "description": about} if isinstance(about, str) else about
        for name, about in properties.items()
    }
    return {"type": "object", "properties": described, "required": list(required), "additionalProperties": False}


class CityTools:
    """What the composition root lets be asked, by name."""

    def __init__(self, tools: Mapping[str, CityTool]) -> None:
        self._tools = tools

    def tools(self) -> list[Tool]:
        return [msgspec.structs.replace(one.tool, about=READS) for one in self._tools.values()]

    async def call(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any:
        """Plain data; UnknownTool, or whatever the module that answers raises."""
        found = self._tools.get(name)
        if found is None:
            raise UnknownTool(name)
        known = found.tool.schema["properties"]
        return await found.answer(caller, {key: value for key, value in arguments.items() if key in known})
