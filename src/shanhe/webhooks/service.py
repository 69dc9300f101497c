"""Webhooks of organisations: where they go, what goes there, and what is done when it isn't taken."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from shanhe.kernel.box import Box, BoxRefused
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import ShanheError
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notice, Notifier, Severity, Text
from shanhe.kernel.sealing import Seals
from shanhe.webhooks import store, wire
from shanhe.webhooks.errors import BadEndpoint, EndpointOff, EndpointTaken, UnknownDelivery, UnknownEndpoint
from shanhe.webhooks.model import ADDRESS, KIND, KINDS_MAX, OVERLAP, PAUSES_S, TEST, Delivery, Endpoint, Form

CHANNEL: Final = "webhooks"
"""What the way out is called among those that notices take."""
PAGE_MAX: Final = 100
KEEP: Final = timedelta(days=30)
GIVE_UP: Final = timedelta(seconds=sum(PAUSES_S))
"""An address that took nothing for so long is switched off."""
SECRET_MAX_CHARS: Final = 200
ERROR_MAX_CHARS: Final = 80
GONE: Final = 410
AT_ONCE: Final = 8
Post = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""Send to a public address: the answer's status and the beginning of its body. ShanheError where there is none."""
Check = Callable[[str], str]
"""An address as it is kept; ShanheError for one that is not https, or too long."""
log = structlog.get_logger(__name__)


class Webhooks:
    """Everything about webhooks. It is also the `Sender` by which notices come here: see `send`."""

    name = CHANNEL

    def __init__(
        self, db: Database, clock: Clock, *, notifier: Notifier, post: Post, check: Check, key: bytes, seals: Seals,
        city: str, url: str,
    ) -> None:  # fmt: skip
        self._db = db
        self._clock = clock
        self._notifier = notifier
        self._post = post
        self._check = check
        self._key = key
        self._box = Box(key)
        self._seals = seals
        self._city = city
        self._url = url

    # -- addresses ----------------------------------------------------------------------------------------------------

    async def add(
        self, org_id: UUID, *, url: str, form: str = Form.STANDARD, secret: str = "", kinds: Sequence[str] = (),
        by: str, endpoint_id: UUID | None = None,
    ) -> Endpoint:  # fmt: skip
        """Keep an address; the standing one for an id that is this organisation's. Of the standard form the secret is
        the city's to make, of a robot its owner's to bring."""
        shape, wanted = _form(form), tuple(dict.fromkeys(kinds))
        if len(wanted) > KINDS_MAX or not all(KIND.fullmatch(kind) for kind in wanted):
            raise BadEndpoint(
                f"at most {KINDS_MAX} kinds like credits.low", f"通知类别最多 {KINDS_MAX} 个，如 credits.low"
            )
        if shape is Form.STANDARD and secret:
            raise BadEndpoint("its secret is made here; leave it out", "密钥由系统生成，请勿填写")
        if len(secret) > SECRET_MAX_CHARS or not secret.isprintable() or not secret.isascii():
            raise BadEndpoint(f"a secret has at most {SECRET_MAX_CHARS} signs of ASCII",
                              f"密钥最多 {SECRET_MAX_CHARS} 个可见 ASCII 字符")  # fmt: skip
        try:
            place = self._check(url)
        except ShanheError as error:
            raise BadEndpoint(
                "its address must be https://, with a host and without a user name",
                "地址须以 https:// 开头，含主机名，且不含用户名",
            ) from error
        one = endpoint_id or new_id()
        sealed = await self._sealed(org_id, one, place, secret)
        async with self._db.transaction() as conn:
            row = (one, org_id, str(shape), sealed, list(wanted), by, self._clock.now())
            if not await store.add(conn, row, org_id):
                raise BadEndpoint("an organisation has at most 10", "每个机构最多 10 个")
        try:
            return await self.one(org_id, one)
        except UnknownEndpoint as error:
            raise EndpointTaken from error

    async def of(self, org_id: UUID) -> list[Endpoint]:
        """An organisation's addresses, oldest first."""
        return [await self._opened(row) for row in await store.endpoints(self._db, org_id)]

    async def one(self, org_id: UUID, endpoint_id: UUID) -> Endpoint:
        """One of an organisation's own; UnknownEndpoint."""
        row = await store.endpoint(self._db, endpoint_id)
        if row is None or row["org_id"] != org_id:
            raise UnknownEndpoint
        return await self._opened(row)

    async def remove(self, org_id: UUID, endpoint_id: UUID) -> None:
        """Send nothing there any more, and forget where it was."""
        await self.one(org_id, endpoint_id)
        await store.remove(self._db, endpoint_id)

    async def resume(self, org_id: UUID, endpoint_id: UUID) -> Endpoint:
        """Switch one on again; what waited meanwhile is sent."""
        await self.one(org_id, endpoint_id)
        await store.switch(self._db, endpoint_id, "active")
        return await self.one(org_id, endpoint_id)

    async def rotate(self, org_id: UUID, endpoint_id: UUID) -> Endpoint:
        """Sign with another secret from now on, and for a day with the one before, too. Asked again within that day it
        tells the same one: an answer that was lost is had again, and no receiver loses its day."""
        found = await self.one(org_id, endpoint_id)
        if found.form is not Form.STANDARD:
            raise BadEndpoint("a robot's secret is made where the robot is; remove it and add it again",
                              "机器人的密钥由其平台生成，请删除后重新添加")  # fmt: skip
        now = self._clock.now()
        await store.turn(self._db, endpoint_id, now, now - OVERLAP)
        return await self.one(org_id, endpoint_id)

    async def hand_over(self, org_id: UUID, endpoint_id: UUID, *, by: str) -> Endpoint:
        """Another answers for it from now on. Of the standard form its secret is another at once, whenever it was
        turned last: whoever had it before knows that one."""
        found = await self.one(org_id, endpoint_id)
        now = self._clock.now()
        async with self._db.transaction() as conn:
            if found.form is Form.STANDARD:
                await store.turn(conn, endpoint_id, now, now)
            await store.give(conn, endpoint_id, by)
        return await self.one(org_id, endpoint_id)

    # -- deliveries ---------------------------------------------------------------------------------------------------

    async def test(self, org_id: UUID, endpoint_id: UUID) -> Delivery:
        """Queue a message that says nothing but that it came."""
        found = await self._on(org_id, endpoint_id)
        notice = Notice(TEST, Text("测试消息", "A test message"),
                        Text("收到此消息说明地址可用。", "That you read this says that the address works."),
                        org_id=org_id, link="/webhooks")  # fmt: skip
        delivery_id = new_id()
        await self._queue([(delivery_id, found.id)], notice)
        delivery = await store.delivery(self._db, delivery_id)
        assert delivery is not None
        return delivery

    async def deliveries(self, org_id: UUID, endpoint_id: UUID, before: UUID | None = None) -> list[Delivery]:
        """What went or goes to an address, newest first, a page."""
        await self.one(org_id, endpoint_id)
        return await store.deliveries(self._db, endpoint_id, before, PAGE_MAX)

    async def again(self, org_id: UUID, delivery_id: UUID) -> Delivery:
        """Send one once more, whatever became of it; its id stays, so that a receiver knows it."""
        found = await store.delivery(self._db, delivery_id)
        if found is None:
            raise UnknownDelivery
        try:
            await self._on(org_id, found.endpoint)
        except UnknownEndpoint as error:
            raise UnknownDelivery from error
        await store.again(self._db, found.endpoint, delivery_id, self._clock.now())
        return await store.delivery(self._db, delivery_id) or found

    async def replay(self, org_id: UUID, endpoint_id: UUID) -> int:
        """Send once more whatever was given up; how many."""
        await self._on(org_id, endpoint_id)
        return await store.again(self._db, endpoint_id, None, self._clock.now())

    async def send(self, notice: Notice, address: str) -> None:
        """Take a notice of an organisation (its id is the `address`) for all of its addresses that want its kind."""
        rows = [row for row in await store.endpoints(self._db, UUID(address)) if row["state"] == "active"]
        wanting = [row["id"] for row in rows if _wants(row["kinds"], notice.kind)]
        if wanting:
            await self._queue([(new_id(), endpoint) for endpoint in wanting], notice)

    async def send_due(self) -> int:
        """Send one batch of what is due; how many were tried. One that hangs keeps no other waiting."""
        due = await store.claim(self._db, self._clock.now())
        limit = asyncio.Semaphore(AT_ONCE)

        async def each(one: Delivery) -> None:
            async with limit:
                await self._try(one)

        await asyncio.gather(*(each(one) for one in due))
        return len(due)

    async def purge(self) -> int:
        """Forget what is over for long."""
        return await store.purge(self._db, self._clock.now() - KEEP)

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _on(self, org_id: UUID, endpoint_id: UUID) -> Endpoint:
        found = await self.one(org_id, endpoint_id)
        if found.state != "active":
            raise EndpointOff
        return found

    async def _queue(self, rows: Sequence[tuple[UUID, UUID]], notice: Notice) -> None:
        said = {
            "id": str(notice.id), "severity": str(notice.severity),
            "title": {"zh": notice.title.zh, "en": notice.title.en},
            "body": {"zh": notice.body.zh, "en": notice.body.en}, "org_id": str(notice.org_id), "link": notice.link,
        }  # fmt: skip
        await store.queue(self._db, rows, notice.id, notice.kind, said, self._clock.now())

    async def _try(self, one: Delivery) -> None:
        row = await store.endpoint(self._db, one.endpoint)
        if row is None:
            return
        endpoint = await self._opened(row)
        if not endpoint.url:  # its person was erased, or the key is another
            await self._refused(endpoint, one, None, "sealed", last=True)
            return
        sent = wire.request(endpoint, one, self._clock.now(), self._city, self._url)
        try:
            status, body = await self._post(sent.url, sent.headers, sent.body)
        except ShanheError as error:
            await self._refused(endpoint, one, None, error.code)
            return
        if wire.taken(endpoint.form, status, body):
            await store.sent(self._db, one, status, self._clock.now())
            return
        await self._refused(endpoint, one, status, "refused" if status < 300 else "http_status", last=status == GONE)

    async def _refused(
        self, endpoint: Endpoint, one: Delivery, status: int | None, error: str, *, last: bool = False
    ) -> None:
        """Not taken: when it is tried again, and whether its address is still believed in."""
        now = self._clock.now()
        log.info("webhook not taken", delivery=str(one.id), status=status, error=error, attempts=one.attempts)
        over = last or one.attempts >= len(PAUSES_S)
        due = None if over else now + timedelta(seconds=PAUSES_S[one.attempts - 1])
        await store.failed(self._db, one, status, error[:ERROR_MAX_CHARS], due, now)
        too_long = endpoint.failing_since is not None and now - endpoint.failing_since > GIVE_UP
        if (last or too_long) and await store.switch(self._db, endpoint.id, "stopped"):
            await self._tell(endpoint, now)

    async def _tell(self, endpoint: Endpoint, now: datetime) -> None:
        await self._notifier.notify(
            Notice(
                "webhook.off",
                Text("一个 Webhook 已停用", "A webhook was switched off"),
                Text(
                    "它的地址持续不可用或表示已失效。修复后请在 Webhook 页面重新启用，并可重发未送达的消息。",
                    "Its address took nothing for days, or said that it is gone. Switch it on again on the page of "
                    "webhooks once it works, and send again what was given up.",
                ),
                Severity.WARNING,
                org_id=endpoint.org_id,
                link=f"/webhooks/{endpoint.id}",
                dedupe=f"webhook-off:{endpoint.id}:{now:%Y-%m-%d}",
            )
        )

    async def _sealed(self, org_id: UUID, endpoint_id: UUID, url: str, secret: str) -> Any:
        box = self._box.seal(f"{url}\n{secret}".encode(), endpoint_id.bytes)
        return (await self._seals.of(org_id)).json(ADDRESS, {"box": base64.b64encode(box).decode()})

    async def _opened(self, row: Any) -> Endpoint:
        """An address with what it is; without, where its key is gone."""
        seal, url, secret, before = await self._seals.of(row["org_id"]), "", "", ""
        kept = seal.open_json(ADDRESS, row["address"], {})
        if kept:
            try:
                plain = self._box.open(base64.b64decode(kept["box"]), row["id"].bytes).decode()
                url, _, secret = plain.partition("\n")
            except BoxRefused:
                log.warning("a webhook's address can't be opened", endpoint=str(row["id"]))
        form = Form(row["form"])
        if form is Form.STANDARD:
            secret = wire.secret_of(self._key, row["id"], row["turn"])
            before = wire.secret_of(self._key, row["id"], row["turn"] - 1) if row["turn"] else ""
        return Endpoint(
            row["id"], row["org_id"], form, url, secret, tuple(row["kinds"]), row["state"], row["made_by"],
            row["made_at"], row["failing_since"], row["turned_at"], before,
        )  # fmt: skip


def _wants(kinds: Sequence[str], kind: str) -> bool:
    return not kinds or any(kind == one or kind.startswith(one + ".") for one in kinds)


def _form(text: str) -> Form:
    try:
        return Form(text)
    except ValueError as error:
        known = ", ".join(Form)
        raise BadEndpoint(f"its form is one of {known}", f"形式须为 {known} 之一") from error
