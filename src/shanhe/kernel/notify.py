"""Notices: what an organisation, a person or the operators should know, in the console and by e-mail or webhook.

A notice is written once (by its `dedupe` word), in the caller's transaction if there is one, in Chinese and English.
Senders are pluggable; addresses are looked up at the moment of sending, so no contact data is stored here. Sending is
retried with growing pauses and gives up after a bounded number of attempts, visibly.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import smtplib
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from enum import StrEnum
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec
import structlog

from shanhe.kernel.calling import authorities
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id

ATTEMPTS_MAX = 8
BATCH = 32
BACKOFF_FIRST_S = 15
BACKOFF_MAX_S = 3600
CLAIM_S = 120
SEND_LIMIT_S = 20.0
KEEP_DAYS = 180
ERROR_CHARS = 200
MARK_CHARS = 8
TITLE_CHARS_MAX = 200
BODY_CHARS_MAX = 4000

_INBOX: Final = """
    WITH newest AS (
      (SELECT * FROM kernel.notice WHERE person_id = $1 AND expires_at > $2 ORDER BY created_at DESC, id DESC LIMIT $5)
      UNION ALL
      SELECT n.* FROM (SELECT DISTINCT unnest($3::uuid[])) AS o (id) CROSS JOIN LATERAL (
        SELECT * FROM kernel.notice WHERE org_id = o.id AND expires_at > $2
         ORDER BY created_at DESC, id DESC LIMIT $5) n
       WHERE n.person_id IS DISTINCT FROM $1
      UNION ALL
      (SELECT * FROM kernel.notice WHERE $4 AND person_id IS NULL AND org_id IS NULL AND expires_at > $2
        ORDER BY created_at DESC, id DESC LIMIT $5))
    SELECT n.*, r.read_at IS NOT NULL AS read FROM newest n
      LEFT JOIN kernel.notice_read r ON r.notice_id = n.id AND r.person_id = $1
     ORDER BY n.created_at DESC, n.id DESC LIMIT $5"""
"""The newest for each that a person reads for, each by its own index: one condition for all would read them all."""

log = structlog.get_logger(__name__)


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages."""

    zh: str
    en: str

    def within(self, limit: int) -> Text:
        return Text(self.zh[:limit], self.en[:limit])


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know. For everybody of `org_id`, or one `person_id`, or (both None) the operators."""

    kind: str
    title: Text
    body: Text
    severity: Severity = Severity.INFO
    org_id: UUID | None = None
    person_id: UUID | None = None
    link: str = ""
    dedupe: str | None = None
    id: UUID = field(default_factory=new_id)
    created_at: datetime | None = None
    read: bool = False


class Sender(Protocol):
    """A way out of the city. `name` is the channel's; `send` raises OSError (or TimeoutError) to be tried again."""

    @property
    def name(self) -> str: ...

    async def send(self, notice: Notice, address: str) -> None: ...


AddressBook = Callable[[Notice, str], Awaitable[Sequence[str]]]
"""Addresses of a notice's readers on a channel; empty when they have none."""


async def no_addresses(_: Notice, __: str) -> Sequence[str]:
    """An address book without entries."""
    return ()


class Notifier:
    """Writes notices, lists them for their readers and sends them out."""

    def __init__(
        self, db: Database, clock: Clock, *, senders: Sequence[Sender] = (), addresses: AddressBook = no_addresses
    ) -> None:
        self._db = db
        self._clock = clock
        self._senders = {sender.name: sender for sender in senders}
        self._addresses = addresses

    def join(self, sender: Sender) -> None:
        """One more way out, for notices from now on."""
        self._senders[sender.name] = sender

    async def notify(self, notice: Notice, connection: Any = None) -> bool:
        """Write `notice`; False when one with the same `dedupe` exists. With `connection`: in its transaction."""
        if connection is not None:
            return await self._write(notice, connection)
        async with self._db.transaction() as own:
            return await self._write(notice, own)

    async def _write(self, notice: Notice, connection: Any) -> bool:
        now = self._clock.now()
        title, body = notice.title.within(TITLE_CHARS_MAX), notice.body.within(BODY_CHARS_MAX)
        written = await connection.fetchval(
            """INSERT INTO kernel.notice (id, org_id, person_id, kind, severity, title_zh, title_en, body_zh, body_en,
                                          link, dedupe, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
               ON CONFLICT (dedupe) DO NOTHING RETURNING id""",
            notice.id,
            notice.org_id,
            notice.person_id,
            notice.kind,
            str(notice.severity),
            title.zh,
            title.en,
            body.zh,
            body.en,
            notice.link,
            notice.dedupe,
            now,
            now + timedelta(days=KEEP_DAYS),
        )
        if written is None:
            return False
        for channel in self._senders:
            await connection.execute(
                "INSERT INTO kernel.dispatch (notice_id, channel, due_at) VALUES ($1, $2, $3)", notice.id, channel, now
            )
        return True

    async def inbox(
        self, person_id: UUID, org_ids: Sequence[UUID], *, operator: bool = False, limit: int = 50
    ) -> list[Notice]:
        """The newest notices a person may read, with whether they have."""
        rows = await self._db.fetch(
            _INBOX,
            person_id,
            self._clock.now(),
            list(org_ids),
            operator,
            limit,
        )
        return [_notice(row) for row in rows]

    async def mark_read(self, person_id: UUID, notice_ids: Sequence[UUID]) -> None:
        await self._db.execute(
            """INSERT INTO kernel.notice_read (notice_id, person_id, read_at)
               SELECT n.id, $1, $3 FROM kernel.notice n WHERE n.id = ANY($2) ON CONFLICT DO NOTHING""",
            person_id,
            list(notice_ids),
            self._clock.now(),
        )

    async def settled(self, dedupe: str) -> None:
        """What the notice asked of a person is done; they need not read it any more."""
        await self._db.execute(
            """INSERT INTO kernel.notice_read (notice_id, person_id, read_at)
               SELECT n.id, n.person_id, $2 FROM kernel.notice n WHERE n.dedupe = $1 AND n.person_id IS NOT NULL
               ON CONFLICT DO NOTHING""",
            dedupe,
            self._clock.now(),
        )

    async def send_due(self) -> int:
        """Send one batch of what waits; how many dispatches were tried."""
        now = self._clock.now()
        rows = await self._db.writes.fetch(
            """WITH due AS (SELECT notice_id, channel FROM kernel.dispatch WHERE state = 'pending' AND due_at <= $1
                            ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)
               UPDATE kernel.dispatch d SET attempts = d.attempts + 1, due_at = $3 FROM due
               WHERE d.notice_id = due.notice_id AND d.channel = due.channel
               RETURNING d.notice_id, d.channel, d.attempts, d.reached""",
            now,
            BATCH,
            now + timedelta(seconds=CLAIM_S),
        )
        for row in rows:
            await self._send(row["notice_id"], row["channel"], row["attempts"], set(row["reached"]))
        return len(rows)

    async def _send(self, notice_id: UUID, channel: str, attempts: int, reached: set[str]) -> None:
        notice = _notice(await self._db.fetchrow("SELECT *, false AS read FROM kernel.notice WHERE id = $1", notice_id))
        addresses = await self._addresses(notice, channel) if channel in self._senders else ()
        state, error = "sent" if addresses else "none", None
        for address in addresses:
            if (mark := _mark(notice_id, address)) in reached:
                continue
            try:
                async with asyncio.timeout(SEND_LIMIT_S):
                    await self._senders[channel].send(notice, address)
                reached.add(mark)
            except (OSError, smtplib.SMTPException, TimeoutError) as failure:
                # Only the kind of failure: its text may carry the address.
                state, error = ("failed" if attempts >= ATTEMPTS_MAX else "pending"), type(failure).__name__
                log.warning("notice not sent", channel=channel, notice_id=str(notice_id), error=error)
        pause_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (attempts - 1))
        await self._db.execute(
            """UPDATE kernel.dispatch SET state = $3, error = $4, due_at = $5, reached = $6
                WHERE notice_id = $1 AND channel = $2""",
            notice_id,
            channel,
            state,
            error,
            self._clock.now() + timedelta(seconds=pause_s),
            sorted(reached) if state == "pending" else [],
        )

    async def purge(self) -> int:
        """Forget notices past their time; how many."""
        done = await self._db.execute("DELETE FROM kernel.notice WHERE expires_at <= $1", self._clock.now())
        return int(done.rsplit(" ", 1)[-1])


def _mark(notice_id: UUID, address: str) -> str:
    """By what it is known that an address has the notice: no address is kept."""
    return hashlib.sha256(notice_id.bytes + address.encode()).hexdigest()[:MARK_CHARS]


def _notice(row: Any) -> Notice:
    return Notice(
        kind=row["kind"],
        title=Text(row["title_zh"], row["title_en"]),
        body=Text(row["body_zh"], row["body_en"]),
        severity=Severity(row["severity"]),
        org_id=row["org_id"],
        person_id=row["person_id"],
        link=row["link"],
        dedupe=row["dedupe"],
        id=row["id"],
        created_at=row["created_at"],
        read=row["read"],
    )


class EmailSender:
    """SMTP with TLS. `url`: `smtp://user:password@host:587` (STARTTLS) or `smtps://user:password@host:465`."""

    name = "email"

    def __init__(self, url: str, sender: str, link_base: str = "") -> None:
        self._url = urlsplit(url)
        self._from = sender
        self._link_base = link_base

    async def send(self, notice: Notice, address: str) -> None:
        message = EmailMessage()
        message["From"] = self._from
        message["To"] = address
        message["Subject"] = f"{notice.title.zh} · {notice.title.en}".replace("\n", " ")
        link = f"\n\n{self._link_base}{notice.link}" if notice.link else ""
        message.set_content(f"{notice.body.zh}\n\n{notice.body.en}{link}\n")
        await asyncio.to_thread(self._submit, message)

    def _submit(self, message: EmailMessage) -> None:
        host, port = self._url.hostname or "localhost", self._url.port
        context = ssl.create_default_context()
        if self._url.scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port or 465, timeout=SEND_LIMIT_S, context=context)
        else:
            server = smtplib.SMTP(host, port or 587, timeout=SEND_LIMIT_S)
        with server:
            if self._url.scheme != "smtps" and server.has_extn("starttls"):
                server.starttls(context=context)
            if self._url.username:
                server.login(unquote(self._url.username), unquote(self._url.password or ""))
            server.send_message(message)


class WebhookSender:
    """POSTs a notice as JSON, signed the way Standard Webhooks 1.0 says (HMAC-SHA256 over id.timestamp.body)."""

    name = "webhook"

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret = secret.encode()
        self._clock = clock

    async def send(self, notice: Notice, address: str) -> None:
        body = msgspec.json.encode(
            {
                "type": notice.kind,
                "severity": str(notice.severity),
                "title": {"zh": notice.title.zh, "en": notice.title.en},
                "body": {"zh": notice.body.zh, "en": notice.body.en},
                "org_id": notice.org_id,
                "link": notice.link,
            }
        )
        stamp = str(int(self._clock.now().timestamp()))
        signed = f"{notice.id}.{stamp}.".encode() + body
        signature = base64.b64encode(hmac.new(self._secret, signed, hashlib.sha256).digest()).decode()
        headers = {"content-type": "application/json", "webhook-id": str(notice.id), "webhook-timestamp": stamp}
        headers["webhook-signature"] = f"v1,{signature}"
        import httpx  # half a second of start-up that most processes never need

        try:
            async with httpx.AsyncClient(timeout=SEND_LIMIT_S, verify=authorities(), follow_redirects=False) as client:
                (await client.post(address, content=body, headers=headers)).raise_for_status()
        except httpx.HTTPError as error:
            raise OSError(type(error).__name__) from error
