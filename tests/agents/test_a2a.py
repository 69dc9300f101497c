"""A2A 1.0 with the official SDK's client: discovery, a message, a task."""

from __future__ import annotations

import httpx
import pytest

from stage.market import MODEL, Market, says

pytestmark = pytest.mark.asyncio(loop_scope="module")
GREETER = {"model": MODEL, "instructions": "You greet.", "calling": "tools"}


class TestClient:
    async def test_discovers_an_agent_and_talks_to_it(self, market: Market) -> None:
        from a2a.client.card_resolver import A2ACardResolver
        from a2a.client.client import ClientConfig
        from a2a.client.client_factory import ClientFactory
        from a2a.types.a2a_pb2 import GetTaskRequest, Message, Part, Role, SendMessageRequest, TaskState

        maker, payer = await market.party("greeter's maker"), await market.party("another agent")
        await market.listed(maker.org, "agent/greeter", GREETER)
        market.engine.replies = [says("你好，朋友。")]
        headers = {"authorization": f"Bearer {payer.token}"}
        async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=30) as http:
            city = await A2ACardResolver(http, market.url).get_agent_card()
            assert "agent/greeter" in [skill.id for skill in city.skills]
            card = await A2ACardResolver(http, f"{market.url}/a2a/greeter").get_agent_card()
            assert card.provider.organization == "greeter's maker"
            client = ClientFactory(ClientConfig(httpx_client=http)).create(card)
            message = Message(message_id="m1", role=Role.ROLE_USER, parts=[Part(text="打个招呼")])
            events = [event async for event in client.send_message(SendMessageRequest(message=message))]
            task = events[-1].task
            assert task.status.state == TaskState.TASK_STATE_COMPLETED
            assert task.artifacts[0].parts[0].text == "你好，朋友。"
            assert task.metadata["paid_micro"] > 0
            again = await client.get_task(GetTaskRequest(id=task.id))
            assert again.status.state == TaskState.TASK_STATE_COMPLETED
            assert not again.artifacts  # answers are not kept
        assert await market.income(maker.org) > 0

    async def test_without_a_key_learns_nothing_but_the_card(self, market: Market) -> None:
        maker = await market.party("shy maker")
        await market.listed(maker.org, "agent/shy", GREETER)
        async with httpx.AsyncClient(base_url=market.url, trust_env=False) as http:
            assert (await http.get("/a2a/shy/.well-known/agent-card.json")).status_code == 200
            assert (await http.post("/a2a/shy", json={})).status_code == 401


class TestRequest:
    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"jsonrpc": "1.0", "id": 1, "method": "SendMessage", "params": {}}, -32600),
            ({"jsonrpc": "2.0", "id": 1, "method": "Nothing", "params": {}}, -32601),
            ({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": []}, -32602),
            ({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": {"parts": []}}}, -32602),
            ({"jsonrpc": "2.0", "id": 1, "method": "SendMessage",
              "params": {"message": {"parts": [{"url": "http://x"}]}}}, -32602),
            ({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "none"}}, -32001),
            ({"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": {}}, -32004),
        ],
    )  # fmt: skip
    async def test_that_is_wrong_is_told_so(self, market: Market, body: object, code: int) -> None:
        payer = await market.party(f"wrong {code} {len(str(body))}")
        answer = (await payer.http.post("/a2a", json=body)).json()
        assert answer["error"]["code"] == code
