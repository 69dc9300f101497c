"""SQL of people, their categories and their roles in the city. Sees ciphertexts and blind indexes only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.identity.model import Category, CategoryName, Role

Connection = Any  # an asyncpg connection inside a transaction, or the Database for single statements

FIELDS = ("name", "login", "email", "phone")
INDEXED = ("login", "email", "phone")


async def insert(
    conn: Connection,
    person_id: UUID,
    sealed: Mapping[str, bytes | None],
    indexes: Mapping[str, bytes | None],
    *,
    state: str,
    language: str,
    email_verified: bool,
    now: datetime,
) -> None:
    await conn.execute(
        """INSERT INTO identity.person (id, state, language, name_sealed, login_sealed, email_sealed, phone_sealed,
                                        login_index, email_index, phone_index, email_verified, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)""",
        person_id,
        state,
        language,
        *(sealed.get(field) for field in FIELDS),
        *(indexes.get(field) for field in INDEXED),
        email_verified,
        now,
    )


async def set_field(conn: Connection, person_id: UUID, field: str, sealed: bytes | None, index: bytes | None) -> None:
    """Replace one sealed field and its blind index; `field` is one of FIELDS."""
    if field not in FIELDS:
        raise ValueError(field)
    if field in INDEXED:
        unverify = ", email_verified = false" if field == "email" else ""
        await conn.execute(
            f"UPDATE identity.person SET {field}_sealed = $2, {field}_index = $3{unverify} WHERE id = $1",
            person_id,
            sealed,
            index,
        )
    else:
        await conn.execute("UPDATE identity.person SET name_sealed = $2 WHERE id = $1", person_id, sealed)


async def set_language(conn: Connection, person_id: UUID, language: str) -> None:
    await conn.execute("UPDATE identity.person SET language = $2 WHERE id = $1", person_id, language)


async def set_state(conn: Connection, person_id: UUID, state: str) -> bool:
    row = await conn.fetchval(
        "UPDATE identity.person SET state = $2 WHERE id = $1 AND state <> 'erased' RETURNING 1", person_id, state
    )
    return row is not None


async def set_cap_group(conn: Connection, person_id: UUID, group: UUID | None) -> None:
    await conn.execute("UPDATE identity.person SET cap_group = $2 WHERE id = $1", person_id, group)


async def get(conn: Connection, person_id: UUID, *, lock: bool = False) -> Any:
    return await conn.fetchrow(f"SELECT * FROM identity.person WHERE id = $1{' FOR UPDATE' if lock else ''}", person_id)


async def by_index(conn: Connection, field: str, index: bytes) -> list[UUID]:
    """People who aren't erased with this blind index; `field` is one of INDEXED."""
    if field not in INDEXED:
        raise ValueError(field)
    rows = await conn.fetch(
        f"SELECT id FROM identity.person WHERE {field}_index = $1 AND state <> 'erased' ORDER BY id LIMIT 20", index
    )
    return [row["id"] for row in rows]


async def page(conn: Connection, *, before: UUID | None, limit: int) -> list[Any]:
    rows: list[Any] = await conn.fetch(
        "SELECT * FROM identity.person WHERE ($1::uuid IS NULL OR id < $1) ORDER BY id DESC LIMIT $2", before, limit
    )
    return rows


async def names(conn: Connection, person_ids: Sequence[UUID]) -> dict[UUID, bytes]:
    rows = await conn.fetch(
        "SELECT id, name_sealed FROM identity.person WHERE id = ANY($1) AND name_sealed IS NOT NULL", list(person_ids)
    )
    return {row["id"]: row["name_sealed"] for row in rows}


async def categories(conn: Connection, person_id: UUID) -> tuple[Category, ...]:
    rows = await conn.fetch(
        """SELECT category, verified, valid_from, valid_to FROM identity.category
           WHERE person_id = $1 ORDER BY category, valid_from""",
        person_id,
    )
    return tuple(
        Category(CategoryName(row["category"]), row["verified"], row["valid_from"], row["valid_to"]) for row in rows
    )


async def standing_categories(conn: Connection, person_id: UUID, on: date) -> tuple[str, ...]:
    """Categories verified and in force on a day."""
    rows = await conn.fetch(
        """SELECT DISTINCT category FROM identity.category
           WHERE person_id = $1 AND verified AND valid_from <= $2 AND (valid_to IS NULL OR valid_to >= $2)
           ORDER BY category""",
        person_id,
        on,
    )
    return tuple(row["category"] for row in rows)


async def set_category(conn: Connection, person_id: UUID, category: Category, by: str, now: datetime) -> None:
    await conn.execute(
        """INSERT INTO identity.category (person_id, category, verified, valid_from, valid_to, decided_by, decided_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7)
           ON CONFLICT (person_id, category, valid_from) DO UPDATE
           SET verified = EXCLUDED.verified, valid_to = EXCLUDED.valid_to, decided_by = EXCLUDED.decided_by,
               decided_at = EXCLUDED.decided_at""",
        person_id,
        category.category,
        category.verified,
        category.valid_from,
        category.valid_to,
        by,
        now,
    )


async def city_roles(conn: Connection, person_id: UUID) -> frozenset[Role]:
    rows = await conn.fetch("SELECT role FROM identity.city_role WHERE person_id = $1", person_id)
    return frozenset(Role(row["role"]) for row in rows)


async def officers_of(conn: Connection, person_ids: Sequence[UUID]) -> list[UUID]:
    """Which of these hold a role in the city."""
    rows = await conn.fetch(
        "SELECT DISTINCT person_id FROM identity.city_role WHERE person_id = ANY($1)", list(person_ids)
    )
    return [row["person_id"] for row in rows]


async def grant(conn: Connection, person_id: UUID, role: str, by: str, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO identity.city_role VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", person_id, role, by, now
    )


async def withdraw(conn: Connection, person_id: UUID, role: str) -> None:
    await conn.execute("DELETE FROM identity.city_role WHERE person_id = $1 AND role = $2", person_id, role)


async def holders(conn: Connection, role: str) -> list[UUID]:
    """Active people with a role in the city; locks the rows, so that two can't both be the last to go."""
    rows = await conn.fetch(
        """SELECT r.person_id FROM identity.city_role r JOIN identity.person p ON p.id = r.person_id
           WHERE r.role = $1 AND p.state = 'active' ORDER BY r.person_id FOR UPDATE OF r""",
        role,
    )
    return [row["person_id"] for row in rows]


async def with_roles(conn: Connection, roles: Sequence[str]) -> list[UUID]:
    rows = await conn.fetch(
        """SELECT DISTINCT r.person_id FROM identity.city_role r JOIN identity.person p ON p.id = r.person_id
           WHERE r.role = ANY($1) AND p.state = 'active' ORDER BY r.person_id LIMIT 500""",
        list(roles),
    )
    return [row["person_id"] for row in rows]


async def erase(conn: Connection, person_id: UUID, now: datetime) -> None:
    """Anonymise the row and drop everything that hangs on it but memberships' history in audit."""
    for table in (
        "password",
        "totp",
        "recovery_code",
        "passkey",
        "challenge",
        "oidc_subject",
        "session",
        "city_role",
        "category",
        "membership",
        "registration",
        "invitation",
    ):
        await conn.execute(f"DELETE FROM identity.{table} WHERE person_id = $1", person_id)
    await conn.execute(
        """UPDATE identity.consent SET withdrawn_at = $2 WHERE person_id = $1 AND withdrawn_at IS NULL""",
        person_id,
        now,
    )
    await conn.execute(
        "UPDATE identity.objection SET ended_at = $2 WHERE person_id = $1 AND ended_at IS NULL", person_id, now
    )
    await conn.execute(
        """UPDATE identity.person SET state = 'erased', erased_at = $2, name_sealed = NULL, login_sealed = NULL,
                  email_sealed = NULL, phone_sealed = NULL, login_index = NULL, email_index = NULL,
                  phone_index = NULL, email_verified = false, cap_group = NULL
           WHERE id = $1""",
        person_id,
        now,
    )


async def people_of(conn: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Which of these ids are people, erased ones too."""
    rows = await conn.fetch("SELECT id FROM identity.person WHERE id = ANY($1)", list(ids))
    return {row["id"] for row in rows}


async def key_destroyed(conn: Connection, person_id: UUID, now: datetime) -> None:
    await conn.execute("UPDATE identity.person SET key_destroyed_at = $2 WHERE id = $1", person_id, now)


async def brought_back(conn: Connection, people: Sequence[UUID]) -> list[UUID]:
    """Who of these is not erased: the rows are older than the erasure, as of a restored database."""
    rows = await conn.fetch(
        "SELECT id FROM identity.person WHERE id = ANY($1) AND state <> 'erased' ORDER BY id", list(people)
    )
    return [row["id"] for row in rows]


async def keys_left(conn: Connection, limit: int) -> list[UUID]:
    """Erased people whose key may still exist: the process died in between."""
    rows = await conn.fetch(
        "SELECT id FROM identity.person WHERE state = 'erased' AND key_destroyed_at IS NULL LIMIT $1", limit
    )
    return [row["id"] for row in rows]
