"""Servers in the official registry's words, out and in."""

from __future__ import annotations

from typing import Any

import pytest
from tests.mcp_gateway.test_gateway import offer

from shanhe.mcp.api import BadServer, Entry, exported, taken
from stage.market import Market
from stage.tools import Workshop

pytestmark = pytest.mark.asyncio(loop_scope="package")
OWN = "io.modelcontextprotocol.registry/publisher-provided"
PLAIN = {
    "name": "cn.example.tools/Weather_Tool", "description": "Tells the weather", "version": "1.2.3",
    "remotes": [{"type": "streamable-http", "url": "https://tools.example.cn/mcp"}],
}  # fmt: skip


class TestServer:
    async def test_goes_out_with_its_price_and_share(self, market: Market, workshop: Workshop) -> None:
        await offer(market, workshop, "exported", fee_micro=5_000)
        visitor = await market.party("visitor of the registry")
        told = (await visitor.http.get("/api/mcp/registry/servers/exported")).json()
        assert told["remotes"] == [{"type": "streamable-http", "url": f"{market.url}/mcp/exported"}]
        assert told["_meta"][OWN]["price"]["fee_micro"] == 5_000
        assert told["_meta"][OWN]["share"]["developer_bps"] == 8_000
        listed = (await visitor.http.get("/api/mcp/registry/servers")).json()
        assert told in [one["server"] for one in listed["servers"]]
        assert (await visitor.http.get("/api/mcp/registry/servers/nothing-here")).status_code == 404

    async def test_comes_in_as_a_draft_with_the_tools_it_lists(self, market: Market, workshop: Workshop) -> None:
        maker = await market.party("importer")
        remotes = [{"type": "streamable-http", "url": workshop.url}]
        document = {**PLAIN, "name": "cn.example/imported", "remotes": remotes}
        answer = await maker.http.post("/api/mcp/registry/servers", json=document)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert made["name"] == "mcp/imported"
        assert "forecast" in made["tools"]
        mine = (await maker.http.get("/api/store/mine")).json()["data"]
        assert [one["name"] for one in mine] == ["mcp/imported"]
        assert (await maker.http.get("/api/mcp/registry/servers/imported")).status_code == 404  # not reviewed yet

    async def test_comes_back_as_it_went_out(self) -> None:
        entry = Entry("weather", 3, "Weather", "Tells it", "Maker", ("a", "b"), 5_000, 2_000, 8_000)
        found = taken(exported(entry, "https://ai.example.cn"))
        assert (found.slug, found.tools, found.fee_micro, found.markup_bps) == ("weather", ("a", "b"), 5_000, 2_000)
        assert taken(PLAIN).slug == "weather-tool"

    @pytest.mark.parametrize(
        "change",
        [{"name": "weather"}, {"name": "a/b/c"}, {"description": ""}, {"description": "x" * 101}, {"version": "^1.0"},
         {"version": ""}, {"remotes": []}, {"remotes": [{"type": "sse", "url": "https://a.example"}]},
         {"remotes": [{"type": "streamable-http", "url": "https://{host}/mcp"}]}, {"remotes": "x"},
         {"_meta": {OWN: {"price": {"fee_micro": -1}}}}, {"_meta": {OWN: {"price": {"fee_micro": "1"}}}}],
    )  # fmt: skip
    async def test_that_is_not_in_order_is_refused(self, change: dict[str, Any]) -> None:
        with pytest.raises(BadServer):
            taken({**PLAIN, **change})
