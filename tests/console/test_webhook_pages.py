"""Pages of webhooks: a secret is shown once, what was typed is kept, each step reaches the desk."""

from __future__ import annotations

import httpx
from tests.console.double_ground import TOKEN
from tests.console.double_webhooks import OFF, ON

from shanhe.console.ports import Desk
from shanhe.webhooks.errors import BadEndpoint


class TestWebhook:
    async def test_is_added_and_its_secret_shown_once(self, member: httpx.AsyncClient) -> None:
        sent = {"url": "https://hooks.example.cn/in", "form": "standard", "kinds": "credits, key.leaked"}
        answer = await member.post("/webhooks", data=TOKEN | sent)
        place = answer.headers["location"]
        assert place == f"/webhooks/{ON}"
        assert "whsec_c2VjcmV0" in (await member.get(place)).text
        assert "whsec_c2VjcmV0" not in (await member.get(place)).text

    async def test_has_another_secret_that_is_shown_once(self, member: httpx.AsyncClient) -> None:
        assert f"/webhooks/{ON}/rotate" in (await member.get(f"/webhooks/{ON}")).text
        assert f"/webhooks/{OFF}/rotate" not in (await member.get(f"/webhooks/{OFF}")).text  # a robot's is its maker's
        place = (await member.post(f"/webhooks/{ON}/rotate", data=TOKEN)).headers["location"]
        assert "whsec_YW5vdGhlcg" in (await member.get(place)).text
        assert "whsec_YW5vdGhlcg" not in (await member.get(place)).text

    async def test_that_is_refused_keeps_what_was_typed_but_no_secret(
        self, member: httpx.AsyncClient, desk: Desk
    ) -> None:
        async def refused(*_: object) -> None:
            raise BadEndpoint("its address must be https://", "地址须以 https:// 开头")

        desk.webhooks.add = refused  # type: ignore[method-assign, assignment]
        sent = {"url": "http://hooks.example.cn", "form": "feishu", "secret": "geheim"}
        answer = await member.post("/webhooks", data=TOKEN | sent)
        assert answer.status_code == 422 or answer.status_code == 400
        assert "地址须以 https:// 开头" in answer.text
        assert 'value="http://hooks.example.cn"' in answer.text
        assert "geheim" not in answer.text

    async def test_is_tried_sent_again_switched_on_and_removed(self, member: httpx.AsyncClient, desk: Desk) -> None:
        for step in ("test", "replay", "resume"):
            answer = await member.post(f"/webhooks/{OFF}/{step}", data=TOKEN)
            assert answer.headers["location"] == f"/webhooks/{OFF}?done=webhook_{step}"
        assert (await member.post(f"/webhooks/{ON}/remove", data=TOKEN)).headers["location"].startswith("/webhooks?")
        again = await member.post(f"/webhooks/{ON}/deliveries/{OFF}/again", data=TOKEN)
        assert again.headers["location"].startswith(f"/webhooks/{ON}?")
        done = [step for step, _ in desk.webhooks.done]  # type: ignore[attr-defined]
        assert done == ["test", "replay", "resume", "remove", "again"]
