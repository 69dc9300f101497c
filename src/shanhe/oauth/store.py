"""SQL of connected apps. Tokens are looked up by their hash."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.oauth.model import CLIENTS_MAX, Asking, Client

PURGE_ROWS = 10_000
PAGE_ROWS = 200


async def add_client(db: Database, client: Client, now: datetime) -> bool:
    """Keep a registered app; False when there are too many."""
    made = await db.writes.fetchval(
        """INSERT INTO oauth.client (id, name, redirect_uris, made_at)
           SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM oauth.client) < $5 RETURNING true""",
        client.id, client.name, list(client.redirect_uris), now, CLIENTS_MAX,
    )  # fmt: skip
    return bool(made)


async def client(db: Database, client_id: str) -> Client | None:
    rows = await db.fetch("SELECT id, name, redirect_uris FROM oauth.client WHERE id = $1", client_id)
    return Client(rows[0]["id"], rows[0]["name"], tuple(rows[0]["redirect_uris"])) if rows else None


async def ask(db: Database, asking: Asking) -> None:
    await db.execute(
        """INSERT INTO oauth.request (id, client_id, client_name, redirect_uri, state, challenge, resource, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        asking.id, asking.client_id, asking.client_name, asking.redirect_uri, asking.state, asking.challenge,
        asking.resource, asking.expires_at,
    )  # fmt: skip


async def asked(db: Database, request_id: UUID, now: datetime) -> Asking | None:
    rows = await db.fetch(
        """SELECT id, client_id, client_name, redirect_uri, state, challenge, resource, expires_at FROM oauth.request
            WHERE id = $1 AND answered_at IS NULL AND expires_at > $2""",
        request_id, now,
    )  # fmt: skip
    return Asking(**dict(rows[0])) if rows else None


async def answer(db: Database, request_id: UUID, now: datetime) -> bool:
    """Take a request for answering; False when somebody did, or it is too old."""
    taken = await db.writes.fetchval(
        """UPDATE oauth.request SET answered_at = $2 WHERE id = $1 AND answered_at IS NULL AND expires_at > $2
           RETURNING true""",
        request_id, now,
    )  # fmt: skip
    return bool(taken)


async def grant(
    db: Database, grant_id: UUID, asking: Asking, key_id: UUID, org_id: UUID, person_id: UUID, digest: bytes,
    now: datetime, expires_at: datetime,
) -> None:  # fmt: skip
    """A grant and the code that fetches its tokens."""
    async with db.transaction() as conn:
        await conn.execute(
            """INSERT INTO oauth.grant (id, client_id, key_id, org_id, person_id, resource, made_at, client_name)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
            grant_id, asking.client_id, key_id, org_id, person_id, asking.resource, now, asking.client_name[:80],
        )  # fmt: skip
        await conn.execute("UPDATE oauth.client SET used_at = $2 WHERE id = $1", asking.client_id, now)
        await conn.execute(
            """INSERT INTO oauth.token (digest, kind, grant_id, redirect_uri, challenge, expires_at)
               VALUES ($1, 'code', $2, $3, $4, $5)""",
            digest, grant_id, asking.redirect_uri, asking.challenge, expires_at,
        )  # fmt: skip


async def token(conn: Any, digest: bytes) -> Any:
    """A token with its grant, locked until the transaction ends; None for an unknown one."""
    return await conn.fetchrow(
        """SELECT t.*, g.client_id, g.key_id, g.org_id, g.resource, g.ended_at FROM oauth.token t
             JOIN oauth.grant g ON g.id = t.grant_id WHERE t.digest = $1 FOR UPDATE""",
        digest,
    )


async def access(db: Database, digest: bytes, now: datetime) -> Any:
    """The key, address and end of a good access token, and who allowed it for which organisation."""
    rows = await db.fetch(
        """SELECT g.key_id, g.person_id, g.org_id, g.resource, t.expires_at
             FROM oauth.token t JOIN oauth.grant g ON g.id = t.grant_id
            WHERE t.digest = $1 AND t.kind = 'access' AND t.expires_at > $2 AND g.ended_at IS NULL""",
        digest, now,
    )  # fmt: skip
    return rows[0] if rows else None


async def allowed(db: Database, person_id: UUID) -> list[Any]:
    """What a person allowed, newest first, a page: apps with their key, their organisation and their last token."""
    return await db.fetch(
        """SELECT g.id, g.client_id, g.client_name, g.key_id, g.org_id, g.resource, g.made_at, g.ended_at,
                  (SELECT max(t.expires_at) FROM oauth.token t WHERE t.grant_id = g.id AND t.kind = 'refresh'
                      AND t.used_at IS NULL) AS good_until
             FROM oauth.grant g WHERE g.person_id = $1 ORDER BY g.made_at DESC LIMIT $2""",
        person_id, PAGE_ROWS,
    )  # fmt: skip


async def allowed_in(db: Database, org_id: UUID | None, most: int) -> list[Any]:
    """What was allowed for an organisation, or for any, ended ones too; the newest."""
    return await db.fetch(
        """SELECT key_id, client_id, client_name, org_id, person_id FROM oauth.grant
            WHERE $1::uuid IS NULL OR org_id = $1 ORDER BY made_at DESC LIMIT $2""",
        org_id, most,
    )  # fmt: skip


async def granted(db: Database, grant_id: UUID, person_id: UUID) -> Any:
    """One grant of a person; None for anybody else's."""
    rows = await db.fetch(
        """SELECT id AS grant_id, key_id, org_id, ended_at FROM oauth.grant WHERE id = $1 AND person_id = $2""",
        grant_id, person_id,
    )  # fmt: skip
    return rows[0] if rows else None


async def granted_in(db: Database, person_id: UUID, org_id: UUID) -> list[Any]:
    """What of a person's grants for an organisation still stands."""
    return await db.fetch(
        """SELECT id AS grant_id, key_id, org_id, ended_at FROM oauth.grant
            WHERE person_id = $1 AND org_id = $2 AND ended_at IS NULL""",
        person_id, org_id,
    )  # fmt: skip


async def use(conn: Any, digest: bytes, now: datetime) -> None:
    await conn.execute("UPDATE oauth.token SET used_at = $2 WHERE digest = $1", digest, now)


async def add_token(conn: Any, digest: bytes, kind: str, grant_id: UUID, expires_at: datetime) -> None:
    await conn.execute(
        "INSERT INTO oauth.token (digest, kind, grant_id, expires_at) VALUES ($1, $2, $3, $4)",
        digest, kind, grant_id, expires_at,
    )  # fmt: skip


async def end(conn: Any, grant_id: UUID, now: datetime) -> None:
    """Nothing of this grant is good any more."""
    await conn.execute("UPDATE oauth.grant SET ended_at = coalesce(ended_at, $2) WHERE id = $1", grant_id, now)


async def purge(db: Database, now: datetime, *, tokens_before: datetime, unused_before: datetime) -> int:
    """Forget what is over, a bounded number; how many."""
    tokens = await db.writes.fetch(
        "DELETE FROM oauth.token WHERE digest IN (SELECT digest FROM oauth.token WHERE expires_at < $1 LIMIT $2) "
        "RETURNING 1", tokens_before, PURGE_ROWS,
    )  # fmt: skip
    asked = await db.writes.fetch(
        "DELETE FROM oauth.request WHERE id IN (SELECT id FROM oauth.request WHERE expires_at < $1 LIMIT $2) "
        "RETURNING 1", now, PURGE_ROWS,
    )  # fmt: skip
    clients = await db.writes.fetch(
        "DELETE FROM oauth.client WHERE id IN (SELECT id FROM oauth.client WHERE used_at IS NULL AND made_at < $1 "
        "LIMIT $2) RETURNING 1", unused_before, PURGE_ROWS,
    )  # fmt: skip
    return len(tokens) + len(asked) + len(clients)
