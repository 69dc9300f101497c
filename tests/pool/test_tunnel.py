"""Nodes that join over a real tunnel, serve real calls and earn; two that claim one identity; bad passports."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from shanhe.identity.api import NewKey
from shanhe.kernel.errors import ShanheError
from shanhe.pool import passport
from shanhe.pool.agent import link
from shanhe.pool.agent.link import Link, Refused, remembered
from shanhe.pool.agent.main import Setup, joined, report_of
from shanhe.pool.errors import BadToken
from shanhe.pool.model import NodeState, Offer
from shanhe.pool.routes import node_page
from shanhe.pool.suspicion import Check
from shanhe.pool.synthetic import Character, tokens_of

from .conftest import MODEL, Machine, Town, ask, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


class TestNode:
    async def test_serves_a_call_through_its_tunnel_and_its_owner_earns(self, town: Town) -> None:
        machine = await town.machine("qing")
        payer, client = await town.tenant()
        answer = await client.post("/v1/chat/completions", json=ask())
        assert answer.status_code == 200, answer.text
        text = answer.json()["choices"][0]["message"]["content"]
        assert answer.json()["usage"]["completion_tokens"] == tokens_of(text) == 16
        receipt = await town.services.gateway.receipt(UUID(answer.headers["x-shanhe-receipt"]), None)
        assert receipt.evidence.engine == "node-qing"
        earned = await town.income(machine.owner)
        shares = {share.role: share.amount_micro for share in receipt.evidence.shares}
        assert shares["node_contributor"] == earned > 0
        assert await town.spent(payer) == sum(shares.values())

    async def test_streams_token_by_token(self, town: Town) -> None:
        await town.machine("lan", Character(decode_tps=40))
        _, client = await town.tenant()
        body = ask(stream=True, max_tokens=32)
        pieces = []
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            async for piece in answer.aiter_bytes():
                pieces.append(piece)
        assert b"".join(pieces).rstrip().endswith(b"data: [DONE]")
        assert len(pieces) > 1

    async def test_is_measured_by_the_city_before_it_serves(self, town: Town) -> None:
        await town.machine("mo", Character(decode_tps=200))
        node = await town.services.pool.node("mo")
        speed = (await town.services.pool.speeds())[node.id, MODEL]
        assert 0 < speed.decode_tps < 2_000  # a busy machine may lump what came in time; unmeasured it says 10,000s
        assert speed.prefill_tps > 0

    @pytest.mark.prove
    async def test_takes_a_large_body_in_both_directions(self, town: Town) -> None:
        await town.machine("da")
        _, client = await town.tenant("large", credits=100_000_000_000)
        answer = await client.post("/v1/chat/completions", json=ask("山河" * 300_000))
        assert answer.status_code == 200, answer.text
        assert answer.json()["usage"]["total_tokens"] > 0

    async def test_returns_after_the_tunnel_broke(self, town: Town) -> None:
        machine = await town.machine("hui")
        old = town.services.pool.tunnels.sessions
        first = next(iter(old.values()))
        machine.link._socket.transport.abort()  # type: ignore[union-attr]

        async def back() -> bool:
            now = next(iter(town.services.pool.tunnels.sessions.values()), None)
            return now is not None and now is not first and await town.serves("hui")

        await until(back)
        _, client = await town.tenant()
        assert (await client.post("/v1/chat/completions", json=ask())).status_code == 200

    @pytest.mark.prove
    async def test_finishes_what_runs_when_it_leaves(self, town: Town) -> None:
        machine = await town.machine("man", Character(decode_tps=20))
        _, client = await town.tenant()
        call = asyncio.create_task(client.post("/v1/chat/completions", json=ask(stream=True)))
        await until(lambda: _running(town))
        await machine.link.leave()
        answer = await call
        assert answer.text.rstrip().endswith("data: [DONE]")
        again = await client.post("/v1/chat/completions", json=ask())
        assert again.status_code in (404, 503)


class TestDrain:
    async def test_gives_a_node_nothing_new_until_it_is_released(self, town: Town) -> None:
        await town.machine("ting")
        _, client = await town.tenant()
        await town.services.pool.drain("ting", actor="tests", reason="maintenance")
        assert (await client.post("/v1/chat/completions", json=ask())).status_code in (404, 503)
        await town.services.pool.release("ting", actor="tests")

        async def answered() -> bool:
            return (await client.post("/v1/chat/completions", json=ask())).status_code == 200

        await until(answered)
        events = [e.event for e in await town.services.pool.events(await town.services.pool.node("ting"))]
        assert events == ["active", "joining", "draining", "active", "joined"]


class TestOwner:
    """Who lends a machine stops it, starts it again and takes it out, over HTTP with a key of their own."""

    async def test_ends_a_drain_of_their_own_and_what_was_found_before_still_counts(self, town: Town) -> None:
        machine = await town.machine("zhu")
        client, pool = await keyed(town, machine.owner), town.services.pool
        node = await pool.node("zhu")
        pool.inspector.know(node, {"count": (40, 3, 1.5)})
        async with town.services.db.transaction() as conn:
            await conn.execute("INSERT INTO pool.suspicion VALUES ($1, 'count', 40, 3, 1.5)", node.id)
        assert (await client.post("/api/pool/nodes/zhu/drain", json={"reason": "搬机房"})).json()["own_drain"] is True
        assert (await client.post("/api/pool/nodes/zhu/release", json={})).json()["state"] == "joining"
        await until(lambda: town.serves("zhu"))
        assert (await pool.suspicions(node))["count"] == (40, 3, 1.5)
        assert pool.inspector._wards[node.id].tests[Check.COUNT].checks == 40

    async def test_does_not_undo_what_the_city_decided(self, town: Town) -> None:
        machine = await town.machine("ren")
        client, pool = await keyed(town, machine.owner), town.services.pool
        assert (await client.post("/api/pool/nodes/ren/drain", json={})).status_code == 200
        await pool.drain("ren", actor="tests", reason="maintenance")  # over the owner's own
        held = await client.post("/api/pool/nodes/ren/release", json={})
        assert (held.status_code, held.json()["error"]["code"]) == (409, "node_held")
        await pool.quarantine("ren", actor="tests", reason="seen cheating")
        assert (await client.post("/api/pool/nodes/ren/release", json={})).status_code == 409
        assert (await client.delete("/api/pool/nodes/ren")).status_code == 409
        assert (await client.post("/api/pool/nodes/ren/release", json={"restore": True})).status_code == 403
        assert (await pool.node("ren")).state == "quarantined"
        told = await town.services.notifier.inbox(uuid4(), [machine.owner])
        assert [(one.link, one.title.zh) for one in reversed(told)] == [
            ("/nodes/ren", "您的机器 ren 已由运营方停止接单"),
            ("/nodes/ren", "您的机器 ren 已被隔离"),
        ]
        assert told[0].body.zh.startswith("seen cheating ")

    async def test_takes_the_machine_out_and_its_agent_ends_when_its_call_is_done(self, town: Town) -> None:
        machine = await town.machine("tui", Character(decode_tps=40))
        client = await keyed(town, machine.owner)
        _, payer = await town.tenant("last caller")
        running = asyncio.create_task(payer.post("/v1/chat/completions", json=ask(max_tokens=16)))
        await until(lambda: busy(machine))
        assert (await client.delete("/api/pool/nodes/tui")).json()["state"] == "gone"
        assert (await running).json()["usage"]["completion_tokens"] == 16
        async with asyncio.timeout(20):
            await machine.running
        assert await town.income(machine.owner) > 0

    async def test_changes_nothing_of_others_and_nothing_with_a_key_that_only_reads(self, town: Town) -> None:
        machine = await town.machine("bie")
        stranger = await keyed(town, await town.org("stranger"))
        reader = await keyed(town, machine.owner, "usage")
        assert (await stranger.delete("/api/pool/nodes/bie")).status_code == 404
        assert (await reader.get("/api/pool/nodes/bie")).status_code == 200
        for client in (stranger, reader):
            assert (await client.post("/api/pool/nodes/bie/drain", json={})).status_code in (403, 404)
        assert await town.serves("bie")


async def keyed(town: Town, org: UUID, *permissions: str) -> httpx.AsyncClient:
    new = NewKey("machines", permissions=frozenset(permissions or ("keys", "usage")))
    _, token = await town.services.identity.keys.create(org, new, by="tests")
    return httpx.AsyncClient(base_url=town.url, headers={"authorization": f"Bearer {token}"}, trust_env=False)


class TestRestart:
    async def test_finishes_what_runs_and_then_asks_to_be_started_again(self, town: Town) -> None:
        machine = await town.machine("jiu", Character(decode_tps=40))
        _, client = await town.tenant("restarter")
        running = asyncio.create_task(client.post("/v1/chat/completions", json=ask(max_tokens=16)))
        await until(lambda: busy(machine))
        await town.services.pool.restart("jiu", actor="tests")
        answer = await running
        assert answer.status_code == 200
        assert answer.json()["usage"]["completion_tokens"] == 16
        async with asyncio.timeout(20):
            await machine.running
        assert machine.link.again


async def busy(machine: Machine) -> bool:
    its: Any = machine.link
    return bool(its._calls)


class TestFigures:
    async def test_are_on_the_page_and_among_the_metrics(self, town: Town) -> None:
        machine = await town.machine("gui")
        _, client = await town.tenant("counter")
        assert (await client.post("/v1/chat/completions", json=ask())).status_code == 200
        node = await town.services.pool.node("gui")
        page = await node_page(town.services.pool, node)
        cost = page["costs"][MODEL]
        prompt, completion = page["figures"].prompt_tokens, page["figures"].completion_tokens
        assert completion == 16
        assert page["figures"].cost_micro_per_mtok == round(
            (prompt * cost.input + completion * cost.output) / (prompt + completion)
        )
        await until(lambda: told(town))
        assert machine.owner == node.owner
        assert page["unserved"] == []

    async def test_say_which_models_of_a_node_get_no_calls(self, town: Town) -> None:
        await town.machine("stranger")
        node = await town.services.pool.node("stranger")
        offers = (*node.report.offers, Offer("nobody-knows", 8_192))
        node = msgspec.structs.replace(node, report=msgspec.structs.replace(node.report, offers=offers))
        assert (await node_page(town.services.pool, node))["unserved"] == ["nobody-knows"]
        drained = msgspec.structs.replace(node, state=NodeState.DRAINING)
        assert town.services.pool.unserved(drained) == []  # it gets none at all, and its page says that


async def told(town: Town) -> bool:
    registry = town.services.metrics.registry
    found = [
        registry.get_sample_value(f"shanhe_node_{name}", {"node": "gui", **labels})
        for name, labels in (
            ("waiting", {}),
            ("tokens_per_second", {"model": MODEL, "phase": "decode"}),
            ("cost_micro_per_mtok", {"model": MODEL, "kind": "completion"}),
        )
    ]
    return None not in found


class TestIdentity:
    async def test_with_a_clock_that_is_years_off_joins_and_serves(
        self, town: Town, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(link, "time", SimpleNamespace(time=lambda: 86_400.0, monotonic=time.monotonic))
        await town.machine("xin")
        _, client = await town.tenant("skewed")
        assert (await client.post("/v1/chat/completions", json=ask())).status_code == 200

    async def test_claimed_twice_refuses_the_second_and_flags_the_node(self, town: Town) -> None:
        machine = await town.machine("shuang")
        membership = remembered(machine.folder)
        assert membership is not None
        copy = Link(membership, passport.load_key(machine.folder), [machine.host], machine.link.report())
        with pytest.raises(Refused):
            await copy.run()
        node = await town.services.pool.node("shuang")
        assert node.flag == "duplicate_identity"
        assert node.session is not None
        assert (await town.services.pool.events(node))[0].event == "flagged"
        assert await town.serves("shuang")

    @pytest.mark.prove
    async def test_is_free_again_once_its_machine_is_gone(self, town: Town) -> None:
        machine = await town.machine("zou")
        machine.cut()
        membership = remembered(machine.folder)
        assert membership is not None
        again = Link(membership, passport.load_key(machine.folder), [machine.host], machine.link.report())
        running = asyncio.create_task(again.run())
        await asyncio.wait_for(again.connected.wait(), 10)
        assert (await town.services.pool.node("zou")).flag == ""
        await again.leave()
        await running

    async def test_of_another_key_is_refused(self, town: Town) -> None:
        machine = await town.machine("jia")
        membership = remembered(machine.folder)
        assert membership is not None
        stranger = passport.load_key(town.folder / "stranger")
        with pytest.raises(Refused):
            await Link(membership, stranger, [machine.host], machine.link.report()).run()


class TestToken:
    async def test_lets_one_machine_join(self, town: Town) -> None:
        owner = await town.org("owner")
        secret, _ = await town.services.pool.make_token("yi", owner, actor="tests")
        machine = await town.machine("er")
        setup = Setup(town.url, town.folder / "yi", secret)
        report = report_of(setup, [machine.host])
        one, other = (passport.load_key(town.folder / name).public_key().public_bytes_raw() for name in ("yi", "san"))
        first = await joined(setup, one, report)
        assert (await joined(setup, one, report)).node == first.node  # the same machine may ask again
        with pytest.raises(ShanheError, match="已被使用"):
            await joined(setup, other, report)

    async def test_that_nobody_made_is_refused(self, town: Town) -> None:
        with pytest.raises(BadToken):
            await town.services.pool.join("shn-none", bytes(32), (await town.machine("si")).link.report())


async def _running(town: Town) -> bool:
    return any(session.running for session in town.services.pool.tunnels.sessions.values())
