"""Publishers' tools through the city's door, with the official SDK's client on one side and its server on the other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from shanhe.ledger.api import Asset, Provenance
from shanhe.mcp.address import checked_url, refuse_own
from shanhe.mcp.api import BadServer, Tool, server_of
from shanhe.mcp.suspicion import suspicious
from shanhe.store.api import ChecksFailed
from stage.market import Market, Party
from stage.tools import Workshop, open_workshop

pytestmark = pytest.mark.asyncio(loop_scope="package")
FORECAST = {"city": "山河市"}


@contextlib.asynccontextmanager
async def sdk(market: Market, party: Party, slug: str = "", mode: Any = "auto") -> AsyncIterator[Any]:
    """The official client with a party's key."""
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    address = f"{market.url}/mcp/{slug}".rstrip("/")
    headers = {"authorization": f"Bearer {party.token}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=30, trust_env=False) as http,
        Client(streamable_http_client(address, http_client=http), mode=mode) as client,
    ):
        yield client


async def offer(market: Market, workshop: Workshop, slug: str, *, fee_micro: int = 0, **content: Any) -> Party:
    maker = await market.party(f"maker of {slug}")
    server = {"url": workshop.url, "tools": ["forecast", "echo", "fails", "breaks", "sleeps", "floods"], **content}
    await market.listed(maker.org, f"mcp/{slug}", server, fee_micro=fee_micro)
    return maker


class TestClient:
    @pytest.mark.parametrize("mode", ["auto", "legacy"])
    async def test_lists_and_calls_a_servers_tools(self, market: Market, workshop: Workshop, mode: str) -> None:
        slug = f"plain-{mode}"
        maker, payer = await offer(market, workshop, slug, fee_micro=5_000), await market.party(f"user of {slug}")
        before = await market.wallet(payer.org)
        async with sdk(market, payer, slug, mode) as client:
            tools = (await client.list_tools()).tools
            assert [tool.name for tool in tools] == ["forecast", "echo", "fails", "breaks", "sleeps", "floods"]
            assert "0.005" in (tools[0].description or "")
            assert (tools[0].title, tools[0].meta) == ("Forecast", {"shanhe/fee_micro": 5_000})
            assert tools[0].annotations.read_only_hint is True
            assert tools[1].annotations is None
            result = await client.call_tool("forecast", FORECAST)
        assert result.content[0].text == "晴，21 度"
        assert result.meta["shanhe/paid_micro"] == 5_000 == before - await market.wallet(payer.org)
        assert await market.income(maker.org) == 4_000
        receipt = await market.services.gateway.receipt(UUID(result.meta["shanhe/receipt"]), payer.org)
        assert receipt.evidence.model == f"mcp/{slug}/forecast"
        assert {share.role for share in receipt.evidence.shares} == {"mcp_developer", "platform"}

    async def test_finds_every_servers_tools_and_the_citys_in_one_list(
        self, market: Market, workshop: Workshop
    ) -> None:
        await offer(market, workshop, "listed-one")
        payer, names = await market.party("browser"), set[str]()
        async with sdk(market, payer) as client:
            async with asyncio.timeout(20):  # a list waits for no publisher; the next one has what was found
                while "listed-one__forecast" not in names:
                    tools = (await client.list_tools()).tools
                    names = {tool.name for tool in tools}
            assert {"shanhe_balance", "shanhe_rules"} <= names
            assert all(tool.annotations.read_only_hint for tool in tools if tool.name.startswith("shanhe_"))
            result = await client.call_tool("listed-one__forecast", FORECAST)
            assert result.content[0].text == "晴，21 度"

    async def test_without_a_key_is_refused(self, market: Market) -> None:
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"{market.url}/mcp", json={})
        assert answer.status_code == 401
        assert "www-authenticate" in answer.headers


class TestCity:
    async def test_tells_balance_rules_and_what_a_rule_says(self, market: Market) -> None:
        payer = await market.party("asker")
        async with sdk(market, payer) as client:
            balance = (await client.call_tool("shanhe_balance", {})).structured_content
            assert balance["balance_micro"] == await market.wallet(payer.org)
            rules = (await client.call_tool("shanhe_rules", {"find": "developer share"})).structured_content
            assert [rule["id"] for rule in rules["items"]] == ["P6_developer_share"]
            facts = {"model_cost_micro": 1_000_000, "markup_bps": 2_000}
            said = await client.call_tool("shanhe_evaluate", {"rule": "P6", "facts": facts, "on": "2026-03-01"})
            assert said.structured_content["outputs"]["developer_micro"] == 160_000
            programmes = (await client.call_tool("shanhe_programmes", {})).structured_content["items"]
            assert programmes
            everything = (await client.call_tool("shanhe_store", {})).structured_content
            assert (everything["first"], everything["count"]) == (0, len(everything["items"]))
            rest = (await client.call_tool("shanhe_store", {"first": 1})).structured_content
            assert rest == {**everything, "first": 1, "items": everything["items"][1:]}
            wrong = await client.call_tool("shanhe_evaluate", {"rule": "P6", "facts": {}})
            assert wrong.is_error


class TestCall:
    @pytest.mark.parametrize(
        ("tool", "code"), [("fails", None), ("breaks", "tool_server_failed"), ("floods", "tool_answer_too_large"),
                           ("sleeps", "tool_timeout")]
    )  # fmt: skip
    async def test_that_goes_wrong_costs_nothing_and_says_why(
        self, market: Market, workshop: Workshop, tool: str, code: str | None
    ) -> None:
        slug = f"bad-{tool}"
        maker = await offer(market, workshop, slug, fee_micro=5_000, timeout_ms=1_000)
        payer = await market.party(f"payer of {slug}")
        before = await market.wallet(payer.org)
        async with sdk(market, payer, slug) as client:
            result = await client.call_tool(tool, FORECAST)
            assert result.is_error
            if code is not None:
                assert code in result.content[0].text
            good = await client.call_tool("forecast", FORECAST)  # the next call is none the worse for it
            assert not good.is_error
        assert before - await market.wallet(payer.org) == 5_000
        assert await market.income(maker.org) == 4_000
        rows = (await payer.http.get("/api/mcp/calls")).json()["data"]
        assert [(row["tool"], row["state"]) for row in rows] == [("forecast", "done"), (tool, "failed")]
        assert rows[1]["paid_micro"] == 0

    async def test_of_a_tool_off_the_list_is_refused(self, market: Market, workshop: Workshop) -> None:
        await offer(market, workshop, "narrow", tools=["forecast"])
        payer = await market.party("prober")
        before = len(workshop.seen)
        async with sdk(market, payer, "narrow") as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["forecast"]
            with pytest.raises(Exception, match="no tool"):
                await client.call_tool("secret", FORECAST)
        assert len(workshop.seen) == before

    async def test_beyond_the_quota_is_refused(self, market: Market, workshop: Workshop) -> None:
        await offer(market, workshop, "scarce", calls_per_minute=2)
        payer, other = await market.party("eager"), await market.party("second")
        async with sdk(market, payer, "scarce") as client:
            said = [await client.call_tool("forecast", FORECAST) for _ in range(3)]
        assert [bool(one.is_error) for one in said] == [False, False, True]
        assert "tool_quota" in said[2].content[0].text
        async with sdk(market, other, "scarce") as client:
            assert not (await client.call_tool("forecast", FORECAST)).is_error

    async def test_of_a_withdrawn_server_is_refused_at_once_and_free(self, market: Market, workshop: Workshop) -> None:
        maker, payer = await offer(market, workshop, "leaving", fee_micro=5_000), await market.party("late caller")
        async with sdk(market, payer, "leaving") as client:
            await client.call_tool("forecast", FORECAST)
            before = await market.wallet(payer.org)
            await market.services.store.withdraw("mcp/leaving", owner=maker.org, actor="tests")
            with pytest.raises(Exception, match="no MCP server"):
                await client.call_tool("forecast", FORECAST)
        assert await market.wallet(payer.org) == before

    async def test_is_seen_by_the_publisher_without_who_called(self, market: Market, workshop: Workshop) -> None:
        maker, payer = await offer(market, workshop, "watched"), await market.party("private caller")
        async with sdk(market, payer, "watched") as client:
            await client.call_tool("forecast", FORECAST)
        rows = (await maker.http.get("/api/mcp/calls?server=watched")).json()["data"]
        assert rows[0]["tool"] == "forecast"
        assert "org_id" not in rows[0]
        assert (await payer.http.get("/api/mcp/calls?server=watched")).status_code == 404


class TestProgress:
    @pytest.mark.parametrize("mode", ["auto", "legacy"])
    @pytest.mark.parametrize("own", [True, False])
    async def test_is_told_to_the_caller_at_a_servers_door_and_at_everybodys(
        self, market: Market, mode: str, own: bool
    ) -> None:
        slug, told = f"tells-{mode}-{own}".lower(), list[tuple[float, float | None, str | None]]()
        payer = await market.party(f"listener of {slug}")

        async def heard(progress: float, total: float | None, message: str | None) -> None:
            told.append((progress, total, message))

        async with open_workshop(streams=True) as workshop:
            maker = await offer(market, workshop, slug, fee_micro=5_000, tools=["tells"])
            before = await market.wallet(payer.org)
            async with sdk(market, payer, slug if own else "", mode) as client:
                name = "tells" if own else f"{slug}__tells"
                result = await client.call_tool(name, FORECAST, progress_callback=heard)
        assert told == [(1, 2, "step 1"), (2, 2, "step 2")]
        assert result.content[0].text == "晴，21 度"
        assert result.meta["shanhe/paid_micro"] == 5_000 == before - await market.wallet(payer.org)
        assert await market.income(maker.org) == 4_000

    async def test_is_told_to_nobody_who_did_not_ask(self, market: Market) -> None:
        payer = await market.party("one who waits")
        asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                 "params": {"name": "quiet__tells", "arguments": FORECAST}}  # fmt: skip
        headers = {"authorization": f"Bearer {payer.token}", "accept": "application/json, text/event-stream"}
        async with open_workshop(streams=True) as workshop, httpx.AsyncClient(trust_env=False) as http:
            await offer(market, workshop, "quiet", tools=["tells"])
            answer = await http.post(f"{market.url}/mcp", json=asked, headers=headers)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["result"]["content"][0]["text"] == "晴，21 度"


class TestFee:
    async def test_is_reserved_from_memory_where_no_subsidy_stands_in_front(
        self, market: Market, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await offer(market, workshop, "swift", fee_micro=5_000)
        payer = await market.party("regular")
        asked: list[UUID] = []
        real = market.services.ledger.admit

        async def admit(account: UUID, *args: Any, **kwargs: Any) -> Any:
            asked.append(account)
            return await real(account, *args, **kwargs)

        async with sdk(market, payer, "swift") as client:
            await client.call_tool("forecast", FORECAST)
            monkeypatch.setattr(market.services.ledger, "admit", admit)
            before = await market.wallet(payer.org)
            for _ in range(3):
                assert not (await client.call_tool("forecast", FORECAST)).is_error
        assert asked == []
        assert before - await market.wallet(payer.org) == 15_000

    async def test_is_never_paid_with_subsidy(self, market: Market, workshop: Workshop) -> None:
        await offer(market, workshop, "unsubsidised", fee_micro=5_000)
        payer = await market.party("mixed", subsidy=50_000_000)
        async with sdk(market, payer, "unsubsidised") as client:
            for _ in range(2):
                assert not (await client.call_tool("forecast", FORECAST)).is_error
        account = await market.services.ledger.ensure_account(payer.org, Asset.CREDIT, "wallet")
        left = (await market.services.ledger.balance(account.id)).by_provenance
        assert left[Provenance.SUBSIDY] == 50_000_000


class TestTags:
    async def test_of_a_header_count_a_tools_fee(self, market: Market, workshop: Workshop) -> None:
        await offer(market, workshop, "tagged", fee_micro=5_000)
        payer = await market.party("tagger")
        headers = {"accept": "application/json, text/event-stream", "x-shanhe-tags": "team=blue, %E8%AF%95%E7%82%B9"}
        for path, name in (("/mcp/tagged", "forecast"), ("/mcp", "tagged__forecast")):
            asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": FORECAST}}
            answer = await payer.http.post(path, json=asked, headers=headers)
            text = answer.text[answer.text.index("{") :]
            receipt_id = UUID(msgspec.json.decode(text.splitlines()[0])["result"]["_meta"]["shanhe/receipt"])
            assert (await market.services.gateway.receipt(receipt_id, payer.org)).tags == ("team=blue", "试点")
        refused = await payer.http.post("/mcp", json={}, headers=headers | {"x-shanhe-tags": "x" * 65})
        assert refused.status_code == 400


class TestSecret:
    async def test_reaches_the_server_and_nobody_else(self, market: Market, workshop: Workshop) -> None:
        maker, payer = await market.party("secretive"), await market.party("secret user")
        assert (await maker.http.put("/api/mcp/secrets/token", json={"value": "s3cret-value"})).status_code == 200
        content = {"url": workshop.url, "tools": ["echo"], "secrets": {"x-api-token": "token"}}
        await market.listed(maker.org, "mcp/secretive", content)
        async with sdk(market, payer, "secretive") as client:
            result = await client.call_tool("echo", FORECAST)
        assert workshop.headers[-1]["x-api-token"] == "s3cret-value"
        assert "s3cret" not in result.model_dump_json()
        assert (await maker.http.get("/api/mcp/secrets")).json() == {"data": ["token"]}
        sealed = await market.services.db.fetchval("SELECT sealed FROM mcp.secret WHERE owner = $1", maker.org)
        assert b"s3cret" not in sealed


class TestServer:
    async def test_is_checked_before_it_is_offered(self, market: Market, workshop: Workshop) -> None:
        maker = await market.party("unready")
        for slug, content in (
            ("absent", {"url": "http://127.0.0.1:9/mcp", "tools": ["forecast"]}),
            ("lacking", {"url": workshop.url, "tools": ["nothing-like-it"]}),
            ("hiding", {"url": workshop.url, "tools": ["hidden"]}),
            ("formless", {"url": workshop.url}),
        ):
            with pytest.raises(ChecksFailed):
                await market.listed(maker.org, f"mcp/{slug}", content)

    @pytest.mark.parametrize(
        "url",
        ["http://example.com/mcp", "https://user:pw@example.com/", "ftp://example.com", "https:///x", "https://a b/"],
    )
    async def test_has_an_https_address(self, url: str) -> None:
        with pytest.raises(BadServer):
            checked_url(url, private=False)

    @pytest.mark.parametrize(
        "number",
        ["127.0.0.1", "10.0.0.8", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "fe80::1",
         "fd00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe", "224.0.0.1", "::7f00:1", "fec0::1",
         "64:ff9b:1::7f00:1", "5f00::1", "168.63.129.16"],
    )  # fmt: skip
    async def test_in_the_citys_own_networks_is_refused(self, number: str) -> None:
        with pytest.raises(BadServer):
            refuse_own("rebinding.example", ["93.184.216.34", number])

    async def test_may_be_public(self) -> None:
        refuse_own("example.com", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])

    @pytest.mark.parametrize(
        "change",
        [{"tools": []}, {"tools": ["a b"]}, {"timeout_ms": 1}, {"timeout_ms": 90_000}, {"calls_per_minute": 0},
         {"secrets": {"host": "x"}}, {"secrets": {"a b": "x"}}, {"unknown": 1}, {"local": True}],
    )  # fmt: skip
    async def test_form_is_bounded(self, change: dict[str, Any]) -> None:
        with pytest.raises(BadServer):
            server_of({"url": "https://example.com/mcp", "tools": ["one"], **change}, private=False)

    async def test_that_hides_signs_is_suspicious(self) -> None:
        plain = {"type": "object"}
        assert not suspicious(Tool("a", "Ordinary words. 普通描述。", plain))
        assert suspicious(Tool("a", "Ordinary\u202e words", plain))
        assert suspicious(Tool("a", "tag " + chr(0xE0041), plain))
        assert suspicious(Tool("a", "Ordinary words", plain, {"title": "Ordinary\u202e words"}))
        assert suspicious(Tool("a", "Ordinary words", plain, {"outputSchema": {"description": "x" * 40_000}}))
        assert suspicious(Tool("a", "", {"x": "y" * 40_000}))

    @pytest.mark.parametrize(
        "sign", ["\u200b", "\u2066", "\u00ad", "\u2063", "\u180e", "\u3164", "\ufe01", "\U000e0100", "\ue000", "\x1b"]
    )
    async def test_that_nobody_sees_and_a_model_reads_are_suspicious(self, sign: str) -> None:
        assert suspicious(Tool("a", f"Ordinary{sign} words", {}))
        assert suspicious(Tool("a", "Ordinary words", {"description": sign})) or sign == "\x1b"  # JSON spells that out
        assert not suspicious(Tool("a", "Two lines,\n一个表情 ☀️。\t\u3000Ça", {}))
