"""Workflows in a whole city: over HTTP, through the gateway, paid on the ledger, in the real sandbox."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from shanhe.identity.api import NewKey
from shanhe.mcp.errors import BadServer
from shanhe.mcp.upstream import Links
from shanhe.wiring.workflows import _Deeds
from shanhe.workflows.api import StepFailed
from stage.market import MODEL, Market, Party, says
from stage.namespaces import needs_namespaces
from workflows.house import ask, flow
from workflows.house import says as output

pytestmark = pytest.mark.asyncio(loop_scope="module")
LETTERS = {"model": MODEL, "instructions": "You write letters.", "calling": "tools"}


async def ended(party: Party, run_id: str) -> dict[str, Any]:
    for _ in range(1_200):
        run: dict[str, Any] = (await party.http.get(f"/api/workflows/runs/{run_id}")).json()
        if run["ended_at"] is not None:
            return run
        await asyncio.sleep(0.05)
    raise AssertionError(f"the run did not end: {run}")


class TestWorkflow:
    @needs_namespaces
    async def test_asks_models_and_agents_and_its_steps_are_postings(self, market: Market) -> None:
        maker, payer = await market.party("flow maker"), await market.party("flow payer")
        await market.listed(maker.org, "agent/writer", LETTERS, fee_micro=1_000)
        content = flow(
            ask("idea", "{{input.topic}}", "letter", target=MODEL),
            ask("letter", "{{idea}}", "count", target="agent/writer"),
            {"kind": "code", "id": "count", "inputs": ["letter"], "save": "n", "next": "out_n",
             "code": "def main(letter):\n    return len(letter)"},
            output("n", "{{letter}} {{n}}"), inputs=["topic"],
        )  # fmt: skip
        made = await payer.http.post("/api/workflows", json={"slug": "letters", "title": "写信"})
        assert made.status_code == 201, made.text
        saved = await payer.http.put("/api/workflows/letters/draft", json={"definition": content})
        assert saved.json()["n"] == 1, saved.text
        assert (await payer.http.post("/api/workflows/letters/publish", json={})).json()["state"] == "published"
        market.engine.replies = [says("主意"), says("尊敬的")]
        before = await market.wallet(payer.org)
        started = await payer.http.post("/api/workflows/letters/runs", json={"ref": "1", "input": {"topic": "春天"}})
        assert started.status_code == 202, started.text
        run = await ended(payer, started.json()["id"])
        assert (run["state"], run["error"]) == ("done", "")
        assert run["result"] == {"n": "尊敬的 3"}
        steps = run["step_list"]
        assert run["paid_micro"] == sum(one["paid_micro"] for one in steps) == before - await market.wallet(payer.org)
        receipts = [await market.services.gateway.receipt(UUID(one["receipt_id"]), payer.org) for one in steps[:2]]
        assert [one.amount_micro for one in receipts] == [one["paid_micro"] for one in steps[:2]]
        assert await market.income(maker.org) > 0
        day = date.fromisoformat(run["made_at"][:10])  # the city's may be the next one
        days = {"from": f"{day}", "to": f"{day + timedelta(days=1)}"}
        (cost,) = (await payer.http.get("/api/workflows/costs", params=days)).json()["data"]
        assert (cost["name"], cost["runs"], cost["paid_micro"]) == ("letters", 1, run["paid_micro"])
        (agents,) = (await payer.http.get("/api/agents/costs", params=days)).json()["data"]
        assert (agents["name"], agents["paid_micro"]) == ("agent/writer", steps[1]["paid_micro"])
        far = {"from": "2020-01-01", "to": "2026-01-01"}
        assert (await payer.http.get("/api/workflows/costs", params=far)).status_code == 422
        assert (await payer.http.get("/api/agents/costs", params=far)).status_code == 422
        other = await market.party("flow stranger")
        assert (await other.http.get("/api/workflows/costs", params=days)).json()["data"] == []
        assert (await other.http.get(f"/api/workflows/runs/{run['id']}")).status_code == 404
        assert (await other.http.post("/api/workflows/letters/runs", json={"ref": "1"})).status_code == 404

    @needs_namespaces
    async def test_calls_a_tool_at_its_fee_and_says_when_it_fails(self, market: Market) -> None:
        maker, payer = await market.party("tool maker"), await market.party("tool payer")
        code = "def total(numbers):\n    return {'sum': sum(numbers)}"
        schema = {"type": "object", "properties": {"numbers": {"type": "array"}}, "required": ["numbers"]}
        server = {"tools": ["total"], "timeout_ms": 10_000, "hosted": {
            "code": code, "described": {"total": {"description": "Adds. 求和。", "schema": schema}},
            "memory_mb": 256, "cpu_s": 5,
        }}  # fmt: skip
        await market.listed(maker.org, "mcp/sums", server, fee_micro=2_000)
        flows = market.services.routines.workflows
        content = flow(
            {"kind": "tool", "id": "add", "tool": "sums/total", "arguments": {"numbers": "{{input.rows}}"},
             "save": "said", "failed": "out_bad", "next": "out_sum"},
            output("sum", "{{said.sum}}"), output("bad", "{{failure.code}}"),
        )  # fmt: skip
        await flows.create("sums", "合计", org_id=payer.org, by="tests")
        await flows.save(payer.org, "sums", content, by="tests")
        before = await market.wallet(payer.org)
        good = await ended(payer, str((await flows.start(payer.org, "sums", {"rows": [1, 2]}, ref="1", draft=True)).id))
        assert (good["result"], good["paid_micro"]) == ({"sum": 3}, 2_000), good
        receipt = await market.services.gateway.receipt(UUID(good["step_list"][0]["receipt_id"]), payer.org)
        assert receipt.amount_micro == before - await market.wallet(payer.org) == 2_000
        bad = await ended(payer, str((await flows.start(payer.org, "sums", {"rows": ["x"]}, ref="2", draft=True)).id))
        assert (bad["result"], bad["paid_micro"]) == ({"bad": "tool_failed"}, 0)
        assert before - await market.wallet(payer.org) == 2_000

    async def test_counts_what_an_agent_cost_that_gave_no_answer(self, market: Market) -> None:
        maker, payer = await market.party("silent maker"), await market.party("silent payer")
        await market.listed(maker.org, "agent/silent", LETTERS, fee_micro=1_000)
        flows = market.services.routines.workflows
        content = flow(ask("a", "x", "out_ok", target="agent/silent", tries=2, failed="out_bad"), output("ok", "{{a}}"),
                       output("bad", "{{failure.code}}"))  # fmt: skip
        await flows.create("silent", "默", org_id=payer.org, by="tests")
        await flows.save(payer.org, "silent", content, by="tests")
        before, market.engine.replies = await market.wallet(payer.org), [says(""), says("")]
        run = await ended(payer, str((await flows.start(payer.org, "silent", {}, ref="1", draft=True)).id))
        assert run["result"] == {"bad": "agent_no_answer"}
        assert [one["state"] for one in run["step_list"]] == ["failed", "failed", "done"]
        assert run["paid_micro"] == before - await market.wallet(payer.org) > 2_000

    async def test_asks_nothing_that_its_key_may_not(self, market: Market) -> None:
        maker, payer = await market.party("kept maker"), await market.party("kept payer")
        await market.listed(maker.org, "agent/kept", LETTERS)
        new = NewKey("kept", models=frozenset({MODEL}), permissions=frozenset({"chat", "publish"}))
        key, _ = await market.services.identity.keys.create(payer.org, new, by="tests")
        flows, before = market.services.routines.workflows, await market.wallet(payer.org)
        await flows.create("kept", "限", org_id=payer.org, by="tests")
        await flows.save(payer.org, "kept", flow(ask("a", "x", target="agent/kept")), by="tests")
        run = await flows.start(payer.org, "kept", {}, ref="1", key_id=key.id, draft=True)
        done = await ended(payer, str(run.id))
        assert (done["error"], done["paid_micro"]) == ("model_not_found", 0)
        assert await market.wallet(payer.org) == before

    async def test_says_every_reason_why_it_can_not_run(self, market: Market) -> None:
        payer = await market.party("flow checker")
        wrong = flow(ask("a", "{{x}}", "b"), ask("b", "y", "a"))
        found = (await payer.http.post("/api/workflows/check", json={"definition": wrong})).json()["data"]
        assert [(one["node"], one["code"]) for one in found] == [("b", "unbounded_loop")]
        await payer.http.post("/api/workflows", json={"slug": "wrong", "title": "错"})
        await payer.http.put("/api/workflows/wrong/draft", json={"definition": wrong})
        refused = await payer.http.post("/api/workflows/wrong/publish", json={}, headers={"accept-language": "zh-CN"})
        assert refused.status_code == 422
        assert "循环" in refused.json()["error"]["message"]

    async def test_reads_an_address_on_its_list(self, market: Market) -> None:
        payer = await market.party("flow reader")
        await payer.http.post("/api/workflows", json={"slug": "reads", "title": "读"})
        assert (await payer.http.put("/api/mcp/secrets/weather_key", json={"value": "Bearer 12345"})).status_code == 200
        node = {"kind": "http", "id": "look", "url": f"http://127.0.0.1:{market.engine.port}/", "save": "x",
                "headers": {"x-city": "shanhe"}, "secrets": {"Authorization": "weather_key"},
                "next": "out_n"}  # fmt: skip
        content = flow(node, output("n", "{{x.status}} {{x.body.object}}"), hosts=["127.0.0.1"])
        await payer.http.put("/api/workflows/reads/draft", json={"definition": content})
        run = (await payer.http.post("/api/workflows/reads/runs", json={"ref": "1", "draft": True})).json()
        done = await ended(payer, run["id"])
        assert done["result"] == {"n": "200 list"}
        head = market.engine.looked[-1].lower()
        assert b"\r\nauthorization: bearer 12345\r\n" in head
        assert b"\r\nx-city: shanhe\r\n" in head
        assert "12345" not in str(done)
        stranger = await market.party("flow thief")
        await stranger.http.post("/api/workflows", json={"slug": "reads", "title": "读"})
        await stranger.http.put("/api/workflows/reads/draft", json={"definition": content})
        tried = (await stranger.http.post("/api/workflows/reads/runs", json={"ref": "1", "draft": True})).json()
        assert (await ended(stranger, tried["id"]))["state"] == "failed"
        assert len([one for one in market.engine.looked if b"12345" in one]) == 1

    async def test_keeps_no_secret_that_an_address_says_back(self, market: Market) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            said = b"wrong key 12345 in " + head
            writer.write(b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said))
            await writer.drain()
            writer.close()

        payer = await market.party("flow echo")
        await payer.http.put("/api/mcp/secrets/weather_key", json={"value": "Bearer 12345"})
        await payer.http.post("/api/workflows", json={"slug": "echo", "title": "回声"})
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            node = {"kind": "http", "id": "look", "url": f"http://127.0.0.1:{port}/", "save": "x",
                    "secrets": {"Authorization": "weather_key"}, "next": "out_n"}  # fmt: skip
            content = flow(node, output("n", "{{x.body}}"), hosts=["127.0.0.1"])
            await payer.http.put("/api/workflows/echo/draft", json={"definition": content})
            run = (await payer.http.post("/api/workflows/echo/runs", json={"ref": "1", "draft": True})).json()
            done = await ended(payer, run["id"])
        assert "wrong key *** in" in done["result"]["n"]
        assert "authorization: ***" in done["result"]["n"]
        assert "12345" not in str(done)


class TestLookUp:
    async def test_finds_in_a_base_that_the_organisation_may_read(self, market: Market) -> None:
        payer = await market.party("looking payer")
        base = (await payer.http.post("/api/knowledge", json={"name": "指南", "model": ""})).json()["id"]
        text = "# 数字游民\n\n非本地人员停留满九十天可以申请数字游民身份。\n"
        await payer.http.post(
            "/api/knowledge/documents", params={"base": base, "file": "指南.md"}, content=text.encode()
        )
        await market.indexed()
        await payer.http.patch(f"/api/knowledge/{base}", json={"support_bps": 100})
        content = flow(
            {"kind": "knowledge", "id": "look", "bases": ["指南"], "question": "{{input.q}}", "save": "found",
             "next": "tell"},
            {"kind": "branch", "id": "tell", "when": "found['supported']", "then": "out_yes", "next": "out_no"},
            output("yes", "{{found.passages.0.text}} {{found.passages.0.document}}"), output("no", "?"), inputs=["q"],
        )  # fmt: skip
        await payer.http.post("/api/workflows", json={"slug": "looks", "title": "检索"})
        saved = await payer.http.put("/api/workflows/looks/draft", json={"definition": content})
        assert saved.status_code == 200, saved.text
        await payer.http.post("/api/workflows/looks/publish", json={})
        at = "/api/workflows/looks/runs"
        started = await payer.http.post(at, json={"ref": "1", "input": {"q": "数字游民停留几天"}})
        run = await ended(payer, started.json()["id"])
        assert "九十天" in run["result"]["yes"], run
        assert (await payer.http.get(f"/api/knowledge/{base}")).json()["users"] == ["workflow looks"]
        stranger = await market.party("looking stranger")
        await stranger.http.post("/api/workflows", json={"slug": "looks", "title": "检索"})
        await stranger.http.put("/api/workflows/looks/draft", json={"definition": content})
        await stranger.http.post("/api/workflows/looks/publish", json={})
        started = await stranger.http.post(at, json={"ref": "1", "input": {"q": "数字游民"}})
        assert (await ended(stranger, started.json()["id"]))["error"] == "unknown_knowledge_base"
        assert (await payer.http.delete("/api/workflows/looks")).status_code == 200
        assert (await payer.http.get("/api/workflows/looks")).status_code == 404


class TestAddress:
    async def test_of_the_citys_own_is_refused_where_publishers_are_strangers(self) -> None:
        links = Links(private=False)
        for url in ("https://127.0.0.1/", "https://169.254.169.254/latest", "https://localhost/", "http://1.1.1.1/"):
            with pytest.raises(BadServer):
                await links.place(url)

    async def test_that_can_not_be_asked_fails_as_an_address(self) -> None:
        async def none(owner: UUID, secrets: Any) -> dict[str, str]:
            return {}

        tools: Any = SimpleNamespace(headers_of=none, links=Links(private=False))
        deeds = _Deeds(*(SimpleNamespace(tools=tools),) * 4)  # type: ignore[arg-type]
        with pytest.raises(StepFailed) as refused:
            await deeds.fetch("GET", "https://127.0.0.1/", b"", "key", {}, {}, UUID(int=1))
        assert refused.value.code == "http_failed"
        assert refused.value.message_zh.startswith("无法访问该地址：")
