"""SQL of API keys and leak reports."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.identity.key_model import Key, LeakReport
from shanhe.identity.model import DataClass

Connection = Any  # an asyncpg connection inside a transaction, or the Database for single statements

COLUMNS = (
    "id, org_id, department_id, name, prefix, last4, models, permissions, budget_day_micro, budget_month_micro, rpm,"
    " tpm, data_class, limit_scope, successor_id, created_by, created_at, expires_at, revoked_at, revoked_reason"
)
_CHECKED = (
    "k.token_sha256, k.id, k.org_id, CASE WHEN o.person_id IS NULL THEN k.name ELSE '…' || k.last4 END AS name,"
    " k.models, k.budget_day_micro, k.budget_month_micro, k.rpm, k.tpm,"
    " k.data_class, k.limit_scope, k.department_id, k.expires_at, k.revoked_at, o.state AS org_state,"
    " o.data_class AS org_data_class"
)


def _key(row: Any) -> Key:
    values = dict(row)
    models = values["models"]
    return Key(
        **{
            **values,
            "models": None if models is None else frozenset(models),
            "permissions": frozenset(values["permissions"]),
            "data_class": DataClass(values["data_class"]),
        }
    )


async def insert(conn: Connection, key: Key, token_sha256: bytes) -> None:
    await conn.execute(
        f"""INSERT INTO identity.api_key ({COLUMNS}, token_sha256)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)""",
        key.id,
        key.org_id,
        key.department_id,
        key.name,
        key.prefix,
        key.last4,
        None if key.models is None else sorted(key.models),
        sorted(key.permissions),
        key.budget_day_micro,
        key.budget_month_micro,
        key.rpm,
        key.tpm,
        key.data_class,
        key.limit_scope,
        key.successor_id,
        key.created_by,
        key.created_at,
        key.expires_at,
        key.revoked_at,
        key.revoked_reason,
        token_sha256,
    )


async def end_all(conn: Connection, org_id: UUID, reason: str, now: datetime) -> int:
    """End every live key of an organisation; how many there were."""
    rows = await conn.fetch(
        "UPDATE identity.api_key SET revoked_at = $2, revoked_reason = $3"
        " WHERE org_id = $1 AND revoked_at IS NULL RETURNING id",
        org_id,
        now,
        reason,
    )
    return len(rows)


async def update(conn: Connection, key: Key) -> None:
    await conn.execute(
        """UPDATE identity.api_key SET name = $2, models = $3, permissions = $4, budget_day_micro = $5,
                  budget_month_micro = $6, rpm = $7, tpm = $8, data_class = $9, department_id = $10,
                  successor_id = $11, expires_at = $12, revoked_at = $13, revoked_reason = $14
           WHERE id = $1""",
        key.id,
        key.name,
        None if key.models is None else sorted(key.models),
        sorted(key.permissions),
        key.budget_day_micro,
        key.budget_month_micro,
        key.rpm,
        key.tpm,
        key.data_class,
        key.department_id,
        key.successor_id,
        key.expires_at,
        key.revoked_at,
        key.revoked_reason,
    )


async def get(conn: Connection, key_id: UUID, org_id: UUID | None, *, lock: bool = False) -> Key | None:
    """The key, of this organisation unless `org_id` is None."""
    row = await conn.fetchrow(
        f"""SELECT {COLUMNS} FROM identity.api_key WHERE id = $1 AND ($2::uuid IS NULL OR org_id = $2)
            {"FOR UPDATE" if lock else ""}""",
        key_id,
        org_id,
    )
    return _key(row) if row else None


async def of_org(conn: Connection, org_id: UUID, *, before: UUID | None, limit: int) -> list[Key]:
    rows = await conn.fetch(
        f"""SELECT {COLUMNS} FROM identity.api_key WHERE org_id = $1 AND ($2::uuid IS NULL OR id < $2)
            ORDER BY id DESC LIMIT $3""",
        org_id,
        before,
        limit,
    )
    return [_key(row) for row in rows]


async def among(conn: Connection, org_id: UUID, ids: Collection[UUID]) -> list[Key]:
    rows = await conn.fetch(
        f"SELECT {COLUMNS} FROM identity.api_key WHERE org_id = $1 AND id = ANY($2)", org_id, list(ids)
    )
    return [_key(row) for row in rows]


async def told(conn: Connection, org_id: UUID, now: datetime) -> list[Key]:
    rows = await conn.fetch(
        f"""SELECT {COLUMNS} FROM identity.api_key k
             WHERE org_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
               AND created_by IS NOT NULL
               AND (successor_id IS NULL OR EXISTS (SELECT FROM identity.api_key s WHERE s.id = k.successor_id
                                                       AND s.created_by = k.created_by))
               AND NOT EXISTS (SELECT FROM identity.house_key h WHERE h.key_id = k.id)
             ORDER BY id""",
        org_id,
        now,
    )
    return [_key(row) for row in rows]


async def house(conn: Connection, org_id: UUID, purpose: str, now: datetime) -> UUID | None:
    """The live key of an organisation's for a purpose."""
    found: UUID | None = await conn.fetchval(
        """SELECT k.id FROM identity.house_key h JOIN identity.api_key k ON k.id = h.key_id
           WHERE h.org_id = $1 AND h.purpose = $2 AND k.revoked_at IS NULL
             AND (k.expires_at IS NULL OR k.expires_at > $3)""",
        org_id,
        purpose,
        now,
    )
    return found


async def set_house(conn: Connection, org_id: UUID, purpose: str, key_id: UUID) -> None:
    await conn.execute(
        """INSERT INTO identity.house_key (org_id, purpose, key_id) VALUES ($1, $2, $3)
           ON CONFLICT (org_id, purpose) DO UPDATE SET key_id = $3""",
        org_id,
        purpose,
        key_id,
    )


async def counts(conn: Connection, org_ids: Collection[UUID], now: datetime) -> dict[UUID, int]:
    """How many active ones each of these has, where it has any."""
    rows = await conn.fetch(
        """SELECT org_id, count(*) AS n FROM identity.api_key
            WHERE org_id = ANY($1) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
            GROUP BY org_id""",
        list(org_ids),
        now,
    )
    return {row["org_id"]: row["n"] for row in rows}


async def by_sha256(conn: Connection, token_sha256: bytes) -> Key | None:
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM identity.api_key WHERE token_sha256 = $1", token_sha256)
    return _key(row) if row else None


async def by_prefix(conn: Connection, prefix: str) -> list[Key]:
    rows = await conn.fetch(f"SELECT {COLUMNS} FROM identity.api_key WHERE prefix = $1 ORDER BY id LIMIT 10", prefix)
    return [_key(row) for row in rows]


async def callers(conn: Connection, digests: Sequence[bytes]) -> list[Any]:
    """What the hot path must know of the keys with these hashes, with the state of their organisations."""
    rows: list[Any] = await conn.fetch(
        f"""SELECT {_CHECKED} FROM identity.api_key k JOIN identity.organisation o ON o.id = k.org_id
            WHERE k.token_sha256 = ANY($1)""",
        list(digests),
    )
    return rows


async def caller_of(conn: Connection, key_id: UUID) -> Any:
    """As `callers`, for one key by its id."""
    return await conn.fetchrow(
        f"""SELECT {_CHECKED} FROM identity.api_key k JOIN identity.organisation o ON o.id = k.org_id
            WHERE k.id = $1""",
        key_id,
    )


async def orgs_with_model(conn: Connection, model: str, now: datetime) -> list[UUID]:
    """Organisations with an active key that may call the model."""
    rows = await conn.fetch(
        """SELECT DISTINCT org_id FROM identity.api_key
           WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
             AND (models IS NULL OR $1 = ANY(models))""",
        model,
        now,
    )
    return [row["org_id"] for row in rows]


async def add_leak(conn: Connection, report: LeakReport, note: str) -> None:
    await conn.execute(
        "INSERT INTO identity.leak VALUES ($1, $2, $3, $4, $5, $6, $7)",
        report.id,
        report.key_id,
        report.reporter,
        note,
        report.frozen,
        [dict(row) for row in report.trace],
        report.reported_at,
    )
