"""A notice of an organisation goes to each of its addresses, is tried until it was taken, and can be sent again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid, Unavailable
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notice, Notifier, Text
from shanhe.kernel.sealing import Seals
from shanhe.webhooks.errors import BadEndpoint, EndpointOff, EndpointTaken, UnknownDelivery, UnknownEndpoint
from shanhe.webhooks.model import ENDPOINTS_MAX, PAUSES_S
from shanhe.webhooks.service import GIVE_UP, Webhooks
from shanhe.workflows.errors import BadSignature
from shanhe.workflows.triggers import verified

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
URL = "https://hooks.example.cn/in?token=geheim"


def https(url: str) -> str:
    if not url.startswith("https://"):
        raise Invalid("bad", "bad")
    return url


@dataclass
class Outside:
    """Whoever receives: answers as it is told, and keeps what came."""

    answers: list[Any] = field(default_factory=list)
    came: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        self.came.append((url, headers, body))
        answer = self.answers.pop(0) if self.answers else (200, b"{}")
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]


@dataclass
class Desk:
    webhooks: Webhooks
    notifier: Notifier
    outside: Outside
    clock: FixedClock
    db: Database
    org: UUID = field(default_factory=new_id)

    async def tell(self, kind: str = "credits.low", **about: Any) -> UUID:
        """A notice, as far as its way out."""
        notice = Notice(kind, Text("余额不足", "Balance is low"), Text("请充值。", "Top up."), link="/topup",
                        **{"org_id": self.org, **about})  # fmt: skip
        await self.notifier.notify(notice)
        await self.notifier.send_due()
        return notice.id

    def later(self, by: timedelta) -> None:
        self.clock.set(self.clock.now() + by)


def accepted(secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether a receiver that has this secret takes the message."""
    try:
        verified(secret, headers["webhook-id"], headers["webhook-timestamp"], headers["webhook-signature"], body, now)
    except BadSignature:
        return False
    return True


@pytest.fixture
def desk(database: Database) -> Desk:
    clock, outside = FixedClock(NOW), Outside()

    async def addresses(notice: Notice, channel: str) -> list[str]:
        return [str(notice.org_id)] if notice.org_id else []

    notifier = Notifier(database, clock, addresses=addresses)
    webhooks = Webhooks(
        database, clock, notifier=notifier, post=outside.post, check=https, key=bytes(32), seals=Seals(),
        city="山河", url="https://city.example.cn",
    )  # fmt: skip
    notifier.join(webhooks)
    return Desk(webhooks, notifier, outside, clock, database)


class TestDelivery:
    async def test_is_signed_and_names_its_notice(self, desk: Desk) -> None:
        endpoint = await desk.webhooks.add(desk.org, url=URL, by="t")
        notice = await desk.tell()
        assert await desk.webhooks.send_due() == 1
        ((url, headers, body),) = desk.outside.came
        said = msgspec.json.decode(body)
        assert (url, said["type"], said["data"]["id"]) == (URL, "credits.low", str(notice))
        assert said["data"]["link"] == "https://city.example.cn/topup"
        at, signature = headers["webhook-timestamp"], headers["webhook-signature"]
        assert verified(endpoint.secret, headers["webhook-id"], at, signature, body, NOW)
        (delivery,) = await desk.webhooks.deliveries(desk.org, endpoint.id)
        assert (delivery.state, delivery.status, delivery.attempts) == ("sent", 200, 1)
        assert str(delivery.id) == headers["webhook-id"]

    async def test_is_signed_with_the_secret_before_too_for_a_day_after_a_rotation(self, desk: Desk) -> None:
        before = await desk.webhooks.add(desk.org, url=URL, by="t")
        after = await desk.webhooks.rotate(desk.org, before.id)
        desk.later(timedelta(hours=23))
        again = await desk.webhooks.rotate(desk.org, before.id)  # asked twice: a lost answer
        assert before.secret != after.secret == again.secret
        good = []
        for _ in range(2):
            await desk.tell()
            await desk.webhooks.send_due()
            _, headers, body = desk.outside.came[-1]
            good.append([accepted(one.secret, headers, body, desk.clock.now()) for one in (before, after)])
            desk.later(timedelta(hours=2))
        assert good == [[True, True], [False, True]]
        assert (await desk.webhooks.rotate(desk.org, before.id)).secret not in (before.secret, after.secret)
        with pytest.raises(UnknownEndpoint):
            await desk.webhooks.rotate(new_id(), before.id)
        robot = await desk.webhooks.add(desk.org, url=URL, form="feishu", secret="s", by="t")
        with pytest.raises(BadEndpoint):
            await desk.webhooks.rotate(desk.org, robot.id)

    async def test_is_made_once_for_a_notice_and_an_address(self, desk: Desk) -> None:
        await desk.webhooks.add(desk.org, url=URL, by="t")
        await desk.webhooks.add(desk.org, url=URL, by="t", kinds=["key"])
        notice = Notice("credits.low", Text("a", "a"), Text("b", "b"), org_id=desk.org)
        for _ in range(2):
            await desk.webhooks.send(notice, str(desk.org))
        assert await desk.webhooks.send_due() == 1

    async def test_is_only_of_the_kinds_that_an_address_wants(self, desk: Desk) -> None:
        await desk.webhooks.add(desk.org, url=URL, by="t", kinds=["credits", "key.leaked"])
        for kind in ("credits.low", "creditsx.low", "key.leaked", "key.rotated"):
            await desk.tell(kind)
        await desk.tell("credits.low", org_id=None, person_id=new_id())
        await desk.webhooks.send_due()
        assert sorted(msgspec.json.decode(body)["type"] for _, _, body in desk.outside.came) == [
            "credits.low", "key.leaked"
        ]  # fmt: skip

    async def test_is_tried_again_with_growing_pauses_and_given_up(self, desk: Desk) -> None:
        endpoint = await desk.webhooks.add(desk.org, url=URL, by="t")
        await desk.tell()
        desk.outside.answers = [Unavailable("away", "away"), *[(500, b"")] * len(PAUSES_S)]
        for pause in PAUSES_S:
            assert await desk.webhooks.send_due() == 1
            assert await desk.webhooks.send_due() == 0
            desk.later(timedelta(seconds=pause))
        assert await desk.webhooks.send_due() == 0
        (delivery,) = await desk.webhooks.deliveries(desk.org, endpoint.id)
        assert (delivery.state, delivery.attempts, delivery.error) == ("failed", len(PAUSES_S), "http_status")
        assert len({headers["webhook-id"] for _, headers, _ in desk.outside.came}) == 1
        assert await desk.webhooks.replay(desk.org, endpoint.id) == 1
        desk.outside.answers = []
        assert await desk.webhooks.send_due() == 1
        assert (await desk.webhooks.deliveries(desk.org, endpoint.id))[0].state == "sent"

    async def test_that_was_taken_can_be_sent_again_under_its_id(self, desk: Desk) -> None:
        endpoint = await desk.webhooks.add(desk.org, url=URL, by="t")
        test = await desk.webhooks.test(desk.org, endpoint.id)
        await desk.webhooks.send_due()
        await desk.webhooks.again(desk.org, test.id)
        await desk.webhooks.send_due()
        assert [headers["webhook-id"] for _, headers, _ in desk.outside.came] == [str(test.id)] * 2

    async def test_is_nobody_elses(self, desk: Desk) -> None:
        endpoint = await desk.webhooks.add(desk.org, url=URL, by="t")
        test, other = await desk.webhooks.test(desk.org, endpoint.id), new_id()
        with pytest.raises(UnknownDelivery):
            await desk.webhooks.again(other, test.id)
        with pytest.raises(UnknownEndpoint):
            await desk.webhooks.deliveries(other, endpoint.id)
        with pytest.raises(EndpointTaken):
            await desk.webhooks.add(other, url=URL, by="t", endpoint_id=endpoint.id)
        assert await desk.webhooks.of(other) == []

    async def test_is_forgotten_after_a_while(self, desk: Desk) -> None:
        endpoint = await desk.webhooks.add(desk.org, url=URL, by="t")
        await desk.webhooks.test(desk.org, endpoint.id)
        await desk.webhooks.send_due()
        desk.later(timedelta(days=31))
        assert await desk.webhooks.purge() == 1


class TestEndpoint:
    async def test_that_took_nothing_for_days_is_switched_off_and_its_owners_are_told(self, desk: Desk) -> None:
        endpoint = await desk.webhooks.add(desk.org, url=URL, by="t")
        desk.outside.answers = [(500, b"")] * 2
        await desk.webhooks.test(desk.org, endpoint.id)
        await desk.webhooks.send_due()
        desk.later(GIVE_UP + timedelta(seconds=1))
        await desk.webhooks.send_due()
        assert (await desk.webhooks.one(desk.org, endpoint.id)).state == "stopped"
        with pytest.raises(EndpointOff):
            await desk.webhooks.test(desk.org, endpoint.id)
        notices = await desk.notifier.inbox(new_id(), [desk.org])
        assert [one.kind for one in notices] == ["webhook.off"]
        assert (await desk.webhooks.resume(desk.org, endpoint.id)).failing_since is None

    async def test_that_says_it_is_gone_is_switched_off_at_once(self, desk: Desk) -> None:
        endpoint = await desk.webhooks.add(desk.org, url=URL, by="t")
        desk.outside.answers = [(410, b"")]
        await desk.webhooks.test(desk.org, endpoint.id)
        await desk.webhooks.send_due()
        assert (await desk.webhooks.one(desk.org, endpoint.id)).state == "stopped"

    async def test_that_is_removed_gets_nothing_more_and_is_not_remembered(self, desk: Desk) -> None:
        endpoint = await desk.webhooks.add(desk.org, url=URL, by="t")
        await desk.webhooks.test(desk.org, endpoint.id)
        await desk.webhooks.remove(desk.org, endpoint.id)
        await desk.tell()
        assert await desk.webhooks.send_due() == 0
        assert await desk.db.fetchval("SELECT address FROM webhooks.endpoint WHERE id = $1", endpoint.id) == {}

    async def test_can_not_be_read_in_the_database(self, desk: Desk) -> None:
        endpoint = await desk.webhooks.add(desk.org, url=URL, form="feishu", secret="robot-secret", by="t")
        kept = str(await desk.db.fetchval("SELECT address::text FROM webhooks.endpoint WHERE id = $1", endpoint.id))
        assert "example" not in kept
        assert (endpoint.url, endpoint.secret) == (URL, "robot-secret")

    async def test_is_made_once_for_an_id_and_bounded_in_number(self, desk: Desk) -> None:
        one = await desk.webhooks.add(desk.org, url=URL, by="t")
        assert await desk.webhooks.add(desk.org, url=URL, by="t", endpoint_id=one.id) == one
        for _ in range(ENDPOINTS_MAX - 1):
            await desk.webhooks.add(desk.org, url=URL, by="t")
        with pytest.raises(BadEndpoint):
            await desk.webhooks.add(desk.org, url=URL, by="t")

    @pytest.mark.parametrize(
        "wrong",
        [{"url": "http://x"}, {"form": "telegram"}, {"kinds": ["A B"]}, {"secret": "x"}, {"kinds": ["a"] * 3 + ["?"]}],
    )
    async def test_is_refused_where_it_can_not_work(self, desk: Desk, wrong: dict[str, Any]) -> None:
        with pytest.raises(BadEndpoint):
            await desk.webhooks.add(desk.org, **{"url": URL, "by": "t", **wrong})
