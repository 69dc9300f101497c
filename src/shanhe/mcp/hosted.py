"""Servers that the city runs for their publishers: code in the sandbox, a process a call, nothing kept in between."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from shanhe.kernel.errors import ShanheError
from shanhe.mcp.errors import BadServer
from shanhe.mcp.model import DESCRIPTION_MAX_CHARS, Server, Tool
from shanhe.mcp.suspicion import suspicious
from shanhe.sandbox.api import (
    CODE_MAX_BYTES,
    CPU_MAX_S,
    MEMORY_MAX_MB,
    MEMORY_MIN_MB,
    CageMissing,
    CodeRaised,
    CodeStopped,
    Limits,
)

if TYPE_CHECKING:
    from shanhe.sandbox.api import Sandbox

LOOK: Final = "shanhe_look"
LOOKING: Final = f"""

def {LOOK}(names):
    return [name for name in names if not callable(globals().get(name))]
"""
Finding = tuple[str, bool, str, str]


class Bench:
    """Runs hosted servers' tools."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def check(self, server: Server) -> list[Finding]:
        """Whether the code loads in the sandbox and has its tools, and hides nothing in their descriptions."""
        hosted = server.hosted
        assert hosted is not None
        try:
            missing = await self._sandbox.run(
                hosted.code + LOOKING, LOOK, {"names": list(server.tools)}, _limits(server)
            )
        except ShanheError as error:
            return [("conformance", False, error.message_zh, error.message)]
        found: list[Finding] = [
            ("conformance", True, "代码可在沙箱中加载", "it loads in the sandbox"),
            ("tools", not missing, f"缺少函数：{'、'.join(missing)}" if missing else "工具齐全",
             f"missing: {', '.join(missing)}" if missing else "the tools are there"),
        ]  # fmt: skip
        bad = [tool.name for tool in tools_of(server) if suspicious(tool)]
        found.append(("security", not bad, f"描述含隐藏字符或过大：{'、'.join(bad)}" if bad else "未发现隐藏内容",
                      f"hidden signs or too large: {', '.join(bad)}" if bad else "nothing hidden"))  # fmt: skip
        return found

    async def call(self, server: Server, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """A tool's result as the protocol has it; what the code itself raises is its answer. CageMissing."""
        hosted = server.hosted
        assert hosted is not None
        try:
            found = await self._sandbox.run(hosted.code, tool, arguments, _limits(server))
        except CageMissing:
            raise
        except (CodeRaised, CodeStopped) as error:
            return {"content": [{"type": "text", "text": f"{error.code}: {error.message}"}], "isError": True}
        text = found if isinstance(found, str) else msgspec.json.encode(found).decode()
        structured = {"structuredContent": found} if isinstance(found, dict) else {}
        return {"content": [{"type": "text", "text": text}], "isError": False, **structured}


def tools_of(server: Server) -> list[Tool]:
    """A hosted server's tools, as its listing describes them."""
    hosted = server.hosted
    assert hosted is not None
    return [Tool(name, hosted.described[name].description, hosted.described[name].schema) for name in server.tools]


def check_hosted(server: Server) -> None:
    """BadServer for what can't be hosted."""
    hosted = server.hosted
    assert hosted is not None
    problems = [
        (bool(server.url), "url: none, where the city hosts it"),
        (bool(server.secrets) or bool(server.passes), "secrets, passes: not for hosted tools"),
        (len(hosted.code.encode("utf-8", "replace")) > CODE_MAX_BYTES, f"code: at most {CODE_MAX_BYTES} bytes"),
        (set(hosted.described) != set(server.tools), "described: each of `tools`"),
        (any(not name.isidentifier() or name.startswith("_") or name == LOOK for name in server.tools),
         "tools: names of functions"),
        (any(len(one.description) > DESCRIPTION_MAX_CHARS for one in hosted.described.values()),
         f"described: at most {DESCRIPTION_MAX_CHARS} signs each"),
        (not MEMORY_MIN_MB <= hosted.memory_mb <= MEMORY_MAX_MB, f"memory_mb: {MEMORY_MIN_MB} to {MEMORY_MAX_MB}"),
        (not 1 <= hosted.cpu_s <= CPU_MAX_S, f"cpu_s: 1 to {CPU_MAX_S}"),
    ]  # fmt: skip
    for wrong, what in problems:
        if wrong:
            raise BadServer(what, what)


def _limits(server: Server) -> Limits:
    hosted = server.hosted
    assert hosted is not None
    return Limits(memory_mb=hosted.memory_mb, cpu_s=hosted.cpu_s, wall_s=server.timeout_ms / 1000)
