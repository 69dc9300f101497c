"""The protocol's TypeScript SDKs, older and newer, from npm: a paid tool, an unknown one, a call given up."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import pytest
from tests.mcp_gateway.test_gateway import offer

from stage.market import Market
from stage.npm import installed, told
from stage.tools import Workshop

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.prove]
FEE_MICRO: Final = 5_000
SDK: Final = {"@modelcontextprotocol/sdk": "1.32.2", "@modelcontextprotocol/client": "2.4.0"}
OLDER: Final = """
import {Client} from '@modelcontextprotocol/sdk/client/index.js';
import {StreamableHTTPClientTransport} from '@modelcontextprotocol/sdk/client/streamableHttp.js';
const call = (client, asked, options) => client.callTool(asked, undefined, options);
"""
NEWER: Final = """
import {Client, StreamableHTTPClientTransport} from '@modelcontextprotocol/client';
const call = (client, asked, options) => client.callTool(asked, options);
"""
SCRIPT: Final = """
const [url, key, prefix] = process.argv.slice(2);
const client = new Client({name: 'ts', version: '1'});
await client.connect(new StreamableHTTPClientTransport(new URL(url),
  {requestInit: {headers: {authorization: `Bearer ${key}`}}}));
const tools = (await client.listTools()).tools;
const forecast = tools.find(tool => tool.name === `${prefix}forecast`);
const asked = name => ({name: prefix + name, arguments: {city: 'Shanhe'}});
const paid = await call(client, asked('forecast'));
const unknown = await call(client, asked('nope')).catch(error => error);
const late = await call(client, asked('sleeps'), {timeout: 500}).catch(error => error);
await client.close();
console.log(JSON.stringify({forecast, meta: paid._meta, text: paid.content[0].text, unknown: unknown.code,
                            late: String(late.message)}));
process.exit(0);
"""


class TestTypescript:
    @pytest.mark.parametrize("door", ["its own", "everybody's"])
    @pytest.mark.parametrize("imports", [OLDER, NEWER], ids=["older", "newer"])
    async def test_lists_pays_and_gives_up(self, market: Market, workshop: Workshop, imports: str, door: str) -> None:
        slug = f"ts-{'old' if imports is OLDER else 'new'}-{door[:3]}"
        await offer(market, workshop, slug, fee_micro=FEE_MICRO)
        await market.services.tools.tools(slug)
        payer, prefix = await market.party(f"payer of {slug}"), "" if door == "its own" else f"{slug}__"
        url = f"{market.url}/mcp" + ("" if prefix else f"/{slug}")
        before = await market.wallet(payer.org)
        home = await asyncio.to_thread(installed, "mcp-1.32.2-2.4.0", **SDK)
        seen: dict[str, Any] = await asyncio.to_thread(told, home, imports + SCRIPT, url, payer.token, prefix)
        assert seen["text"] == "晴，21 度"
        assert seen["forecast"]["title"] == "Forecast"
        assert seen["forecast"]["annotations"] == {"readOnlyHint": True}
        assert seen["forecast"]["_meta"] == {"shanhe/fee_micro": FEE_MICRO}
        assert seen["meta"]["shanhe/paid_micro"] == FEE_MICRO == before - await market.wallet(payer.org)
        assert seen["unknown"] == -32602
        assert "timed out" in seen["late"].lower()
