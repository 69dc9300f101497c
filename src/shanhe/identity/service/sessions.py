"""Sessions: random tokens stored as hashes, two clocks (idle and absolute), a CSRF token each, and who acts in one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from shanhe.identity.entry_model import Client, Issued, Session, Stage
from shanhe.identity.errors import (
    InvalidKey,
    KeyExpired,
    KeyRevoked,
    OrgFrozen,
    SecondFactorNeeded,
    SessionMissing,
    Unknown,
)
from shanhe.identity.key_model import PLAIN_KEY_PERMISSIONS
from shanhe.identity.model import MEMBER_PERMISSIONS, Actor, OrgState, PersonState, Role, permissions_of
from shanhe.identity.service.base import Ground
from shanhe.identity.service.callers import TOKEN
from shanhe.identity.store import keys, orgs, people
from shanhe.identity.store import sessions as store
from shanhe.kernel.ids import new_id

TOKEN_BYTES = 32
TOKEN_CHARS = 43
IDLE_S = 8 * 3_600
ABSOLUTE_S = 72 * 3_600
UNFINISHED_S = 10 * 60
TOUCH_EVERY_S = 60
CSRF_SECRET = "csrf"
DEVICE_MAX = 300


class Sessions:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def open(
        self, person_id: UUID, stage: Stage, methods: Sequence[str], client: Client, *, replaces: UUID | None = None,
        can: Sequence[str] = (),
    ) -> Issued:  # fmt: skip
        """A fresh session and token; the one it replaces ends, so a token never survives a change of rights."""
        now, session_id, token = self._ground.now(), new_id(), secrets.token_urlsafe(TOKEN_BYTES)
        life_s = ABSOLUTE_S if stage == Stage.FULL else UNFINISHED_S
        expires_at = now + timedelta(seconds=life_s)
        device = self._ground.vault.encrypt(
            person_id, f"session.{session_id}", f"{client.agent} · {client.address}"[:DEVICE_MAX]
        )
        async with self._ground.db.transaction() as conn:
            org_id = None
            if replaces is not None:
                await store.revoke_session(conn, person_id, replaces, now)
            for member in await orgs.memberships(conn, person_id):
                org_id = member.org_id
                break
            await store.add_session(
                conn,
                session_id,
                _digest(token),
                person_id,
                org_id=org_id,
                stage=stage,
                methods=methods,
                device=device,
                now=now,
                expires_at=expires_at,
            )
        return Issued(session_id, person_id, stage, token, self.csrf(session_id), expires_at, tuple(can))

    def csrf(self, session_id: UUID) -> str:
        """The session's CSRF token: a keyed hash of its id, so that nothing need be stored."""
        mac = hmac.digest(self._ground.vault.secret(CSRF_SECRET), session_id.bytes, hashlib.sha256)
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")

    def csrf_matches(self, session_id: UUID, given: str) -> bool:
        return hmac.compare_digest(self.csrf(session_id).encode(), given.encode("utf-8", "replace"))

    async def row(self, token: str) -> Any:
        """The live session of a cookie, with its person; SessionMissing otherwise."""
        if len(token) != TOKEN_CHARS or not token.isascii():
            raise SessionMissing()
        row = await store.session_by_token(self._ground.db, _digest(token))
        now = self._ground.now()
        if (
            row is None
            or row["person_state"] != PersonState.ACTIVE
            or row["expires_at"] <= now
            or row["seen_at"] <= now - timedelta(seconds=IDLE_S)
        ):
            raise SessionMissing()
        if row["seen_at"] <= now - timedelta(seconds=TOUCH_EVERY_S):
            await store.touch_session(self._ground.db, row["id"], now)
        return row

    async def actor(self, token: str) -> Actor:
        """Who acts in a session; SecondFactorNeeded while its sign-in is incomplete."""
        row = await self.row(token)
        if row["stage"] != Stage.FULL:
            raise SecondFactorNeeded(row["stage"])
        return await self._actor(row)

    async def _actor(self, row: Any) -> Actor:
        person_id, org_id = row["person_id"], row["org_id"]
        roles = set(await people.city_roles(self._ground.db, person_id))
        if org_id is not None:
            member = await orgs.member(self._ground.db, org_id, person_id)
            if member is None:
                org_id = None  # no longer a member there
            else:
                roles.add(member.role)
        return Actor(
            person_id=person_id,
            key_id=None,
            org_id=org_id,
            roles=frozenset(roles),
            permissions=permissions_of(frozenset(roles)),
            name=self._ground.open(person_id, "name", row["name_sealed"]) or "",
            csrf=self.csrf(row["id"]),
            session_id=row["id"],
            language=row["language"],
        )

    async def key_actor(self, token: str) -> Actor:
        """Who acts with an API key: its own permissions, at most what whoever made it may still do."""
        if not TOKEN.match(token):
            raise InvalidKey()
        key = await keys.by_sha256(self._ground.db, _digest(token))
        if key is None:
            raise InvalidKey()
        state = key.state(self._ground.now())
        if state != "active":
            raise KeyRevoked() if state == "revoked" else KeyExpired(key.expires_at)
        org = await orgs.get(self._ground.db, key.org_id)
        if org is None or org.state == OrgState.FROZEN:
            raise OrgFrozen()
        permissions = key.permissions
        if permissions and key.created_by is not None:
            permissions &= await self.permissions_in(key.created_by, key.org_id)
        return Actor(
            person_id=None,
            key_id=key.id,
            org_id=key.org_id,
            roles=frozenset(),
            permissions=permissions | PLAIN_KEY_PERMISSIONS,
            name=key.name,
        )

    async def permissions_in(self, person_id: UUID, org_id: UUID) -> frozenset[str]:
        """What a person may do in an organisation today; nothing when suspended or erased."""
        row = await people.get(self._ground.db, person_id)
        if row is None or row["state"] != PersonState.ACTIVE:
            return frozenset()
        roles: set[Role] = set(await people.city_roles(self._ground.db, person_id))
        member = await orgs.member(self._ground.db, org_id, person_id)
        if member is not None:
            roles.add(member.role)
        elif "accounts" in permissions_of(frozenset(roles)):
            return permissions_of(frozenset(roles)) | MEMBER_PERMISSIONS  # operators make keys for others
        return permissions_of(frozenset(roles))

    async def switch(self, actor: Actor, org_id: UUID) -> None:
        """Act for another organisation that the person is a member of; Unknown otherwise."""
        if actor.person_id is None or actor.session_id is None:
            raise SessionMissing()
        if await orgs.member(self._ground.db, org_id, actor.person_id) is None:
            raise Unknown("organisation", "机构")
        await store.set_session_org(self._ground.db, actor.session_id, org_id)

    async def list(self, person_id: UUID) -> Sequence[Session]:
        """A person's live sessions, the latest first."""
        now = self._ground.now()
        rows = await store.live_sessions(self._ground.db, person_id, now, now - timedelta(seconds=IDLE_S))
        return [
            Session(
                id=row["id"],
                person_id=person_id,
                org_id=row["org_id"],
                stage=Stage(row["stage"]),
                methods=tuple(row["methods"]),
                created_at=row["created_at"],
                seen_at=row["seen_at"],
                expires_at=row["expires_at"],
                device=self._ground.vault.decrypt(person_id, f"session.{row['id']}", row["device_sealed"])
                if row["device_sealed"]
                else "",
            )
            for row in rows
        ]

    async def revoke(self, person_id: UUID, session_id: UUID) -> None:
        """End one of a person's sessions; Unknown when it isn't the person's, or ended."""
        if not await store.revoke_session(self._ground.db.writes, person_id, session_id, self._ground.now()):
            raise Unknown("session", "会话")

    async def sign_out(self, token: str) -> None:
        """End the session of a cookie, whatever its stage; nothing when there is none."""
        row = await store.session_by_token(self._ground.db, _digest(token))
        if row is not None:
            await store.revoke_session(self._ground.db.writes, row["person_id"], row["id"], self._ground.now())


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
