"""Tools that the city runs for their publishers: from a few lines of Python to income."""

from __future__ import annotations

from typing import Any

import pytest
from tests.mcp_gateway.test_gateway import sdk

from shanhe.mcp.api import BadServer, server_of
from shanhe.store.api import ChecksFailed
from stage.market import Market
from stage.namespaces import needs_namespaces

pytestmark = pytest.mark.asyncio(loop_scope="package")
CODE = """
def total(numbers):
    return {"sum": sum(numbers)}

def peek(path):
    return open(path).read()
"""
NUMBERS = {"type": "object", "properties": {"numbers": {"type": "array"}}, "required": ["numbers"]}
PATH = {"type": "object", "properties": {"path": {"type": "string"}}}
DESCRIBED = {"total": {"description": "Adds. 求和。", "schema": NUMBERS}, "peek": {"description": "", "schema": PATH}}


def content(**changes: Any) -> dict[str, Any]:
    hosted = {"code": CODE, "described": DESCRIBED, **changes}
    return {"tools": ["total", "peek"], "timeout_ms": 10_000, "hosted": hosted}


class TestHosted:
    @needs_namespaces
    async def test_tool_is_reviewed_called_and_paid(self, market: Market) -> None:
        maker, payer = await market.party("coder"), await market.party("user of code")
        await market.listed(maker.org, "mcp/adder", content(), fee_micro=5_000)
        before = await market.wallet(payer.org)
        async with sdk(market, payer, "adder") as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["total", "peek"]
            result = await client.call_tool("total", {"numbers": [1, 2, 3]})
            refused = await client.call_tool("peek", {"path": "/etc/passwd"})
        assert result.structured_content == {"sum": 6}
        assert refused.is_error
        assert before - await market.wallet(payer.org) == 5_000  # what failed costs nothing
        assert await market.income(maker.org) == 4_000
        async with sdk(market, payer) as client:
            assert "adder__total" in [tool.name for tool in (await client.list_tools()).tools]

    async def test_code_without_its_tools_is_not_offered(self, market: Market) -> None:
        maker = await market.party("careless coder")
        for slug, code in (("unwritten", "def other(): pass"), ("broken", "def ("), ("outside", "open('/etc/passwd')")):
            with pytest.raises(ChecksFailed):
                await market.listed(maker.org, f"mcp/{slug}", content(code=code))

    @pytest.mark.parametrize(
        "change",
        [{"url": "https://a.example/mcp"}, {"tools": ["total"]}, {"secrets": {"x-a": "b"}}, {"passes": ["prompts"]},
         {"hosted": {"code": "x" * 70_000, "described": DESCRIBED}}, {"hosted": {"code": CODE, "described": {}}},
         {"hosted": {"code": CODE, "described": DESCRIBED, "memory_mb": 9_999}}, {"hosted": {"code": CODE}}],
    )  # fmt: skip
    async def test_form_is_bounded(self, change: dict[str, Any]) -> None:
        with pytest.raises(BadServer):
            server_of({**content(), **change}, private=False)
