"""SQL of audit rows and consents."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.identity.consent_model import Consent
from shanhe.identity.model import ActsAsked, AuditRow
from shanhe.kernel.ids import new_id

Connection = Any  # an asyncpg connection inside a transaction, or the Database for single statements

OBJECTION_ROWS: Final = 200
AUDIT_COLUMNS = "id, at, actor, action, object, org_id, details, door"
_ACTION: Final = """replace(action, '.', '_') COLLATE "C\""""
_ASKED: Final = {
    "object": "substr(object, strpos(object, ':') + 1) = substr($n, strpos($n, ':') + 1)"
              " AND (strpos($n, ':') = 0 OR object = $n)",
    "org": "org_id = $n",
    "before": "id < $n",
    "action": f"{_ACTION} >= replace($n, '.', '_') AND {_ACTION} < replace($n, '.', '_') || '`'"
              " AND (replace(action, '.', '_') = replace($n, '.', '_') OR starts_with(action, $n || '.'))",
    "since": "at >= $n",
    "until": "at < $n",
    "actor": "actor = $n",
}  # fmt: skip
"""A condition for each thing that may be asked for; only those that are stand in a statement, so that each finds its
index. The acts of a name and of what is below it (`a.b`, and `a.b.c`) lie between it and it with the sign after `_`."""
CONSENT_COLUMNS = "id, purpose, basis, article, notice_version, given_at, withdrawn_at, apart, given_by, about"


async def rows(conn: Connection, asked: ActsAsked, before: UUID | None, limit: int) -> list[AuditRow]:
    given = {
        "object": asked.object, "org": asked.org_id, "before": before, "action": asked.action, "since": asked.since,
        "until": asked.until, "actor": asked.actor,
    }  # fmt: skip
    values = [limit, *(value for value in given.values() if value is not None)]
    named = [name for name, value in given.items() if value is not None]
    where = " AND ".join(f"({_ASKED[name].replace('$n', f'${at}')})" for at, name in enumerate(named, 2)) or "true"
    found = await conn.fetch(f"SELECT {AUDIT_COLUMNS} FROM kernel.act WHERE {where} ORDER BY id DESC LIMIT $1", *values)
    return [AuditRow(**dict(row)) for row in found]


async def of_actor(conn: Connection, actor: str, limit: int) -> list[AuditRow]:
    found = await conn.fetch(
        f"""SELECT {AUDIT_COLUMNS} FROM kernel.act WHERE actor = $1 OR object = $1 ORDER BY id DESC LIMIT $2""",
        actor,
        limit,
    )
    return [AuditRow(**dict(row)) for row in found]


async def add_consent(
    conn: Connection, person_id: UUID, purpose: str, basis: str, article: str, notice_version: str, now: datetime,
    apart: bool, given_by: UUID | None, about: str,
) -> Consent:  # fmt: skip
    """A new row; the caller holds the person's lock and has seen that none stands for the purpose."""
    row = await conn.fetchrow(
        f"""INSERT INTO identity.consent (id, person_id, purpose, basis, article, notice_version, given_at, apart,
                                          given_by, about)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING {CONSENT_COLUMNS}""",
        new_id(), person_id, purpose, basis, article, notice_version, now, apart, given_by, about,
    )  # fmt: skip
    return Consent(**dict(row))


async def withdraw_consent(
    conn: Connection, person_id: UUID, purpose: str, now: datetime, about: str | None
) -> Consent | None:
    """End the consent about one thing, or (None) to the purpose as a whole; the first of what was ended."""
    row = await conn.fetchrow(
        f"""UPDATE identity.consent SET withdrawn_at = $3
            WHERE person_id = $1 AND purpose = $2 AND withdrawn_at IS NULL AND ($4::text IS NULL OR about = $4)
        RETURNING {CONSENT_COLUMNS}""",
        person_id,
        purpose,
        now,
        about,
    )
    return Consent(**dict(row)) if row else None


async def consents(conn: Connection, person_id: UUID) -> list[Consent]:
    found = await conn.fetch(
        f"SELECT {CONSENT_COLUMNS} FROM identity.consent WHERE person_id = $1 ORDER BY id", person_id
    )
    return [Consent(**dict(row)) for row in found]


async def add_objection(conn: Connection, person_id: UUID, purpose: str, now: datetime) -> None:
    await conn.execute(
        """INSERT INTO identity.objection (id, person_id, purpose, made_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (person_id, purpose) WHERE ended_at IS NULL DO NOTHING""",
        new_id(), person_id, purpose, now,
    )  # fmt: skip


async def end_objection(conn: Connection, person_id: UUID, purpose: str, now: datetime) -> None:
    await conn.execute(
        "UPDATE identity.objection SET ended_at = $3 WHERE person_id = $1 AND purpose = $2 AND ended_at IS NULL",
        person_id, purpose, now,
    )  # fmt: skip


async def objections(conn: Connection, person_id: UUID, purpose: str | None, most: int = OBJECTION_ROWS) -> list[Any]:
    """Newest first."""
    rows: list[Any] = await conn.fetch(
        """SELECT purpose, made_at, ended_at FROM identity.objection
           WHERE person_id = $1 AND ($2::text IS NULL OR purpose = $2) ORDER BY id DESC LIMIT $3""",
        person_id, purpose, most,
    )  # fmt: skip
    return rows
