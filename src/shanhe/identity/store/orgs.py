"""SQL of organisations, departments and memberships."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.identity.model import DataClass, Department, Member, NewOrganisation, Organisation, OrgKind, OrgState, Role

Connection = Any  # an asyncpg connection inside a transaction, or the Database for single statements

COLUMNS = (
    "id, kind, name, person_id, registration, locally_registered, local_verified, data_company, data_class, state,"
    " frozen_reason, frozen_at, created_at, cap_group"
)


def _organisation(row: Any) -> Organisation:
    values = dict(row)
    return Organisation(
        **{
            **values,
            "kind": OrgKind(values["kind"]),
            "data_class": DataClass(values["data_class"]),
            "state": OrgState(values["state"]),
        }
    )


async def insert(
    conn: Connection, org_id: UUID, new: NewOrganisation, *, person_id: UUID | None, now: datetime
) -> Organisation:
    row = await conn.fetchrow(
        f"""INSERT INTO identity.organisation (id, kind, name, person_id, registration, locally_registered,
                                               data_company, data_class, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING {COLUMNS}""",
        org_id,
        new.kind,
        new.name,
        person_id,
        new.registration,
        new.locally_registered,
        new.data_company,
        new.data_class,
        now,
    )
    return _organisation(row)


async def get(conn: Connection, org_id: UUID, *, lock: bool = False) -> Organisation | None:
    row = await conn.fetchrow(
        f"SELECT {COLUMNS} FROM identity.organisation WHERE id = $1{' FOR UPDATE' if lock else ''}", org_id
    )
    return _organisation(row) if row else None


async def of_ids(conn: Connection, org_ids: Collection[UUID]) -> list[Organisation]:
    rows = await conn.fetch(f"SELECT {COLUMNS} FROM identity.organisation WHERE id = ANY($1)", list(org_ids))
    return [_organisation(row) for row in rows]


async def of_kind(conn: Connection, org_ids: Sequence[UUID], kind: OrgKind) -> set[UUID]:
    rows = await conn.fetch(
        "SELECT id FROM identity.organisation WHERE id = ANY($1) AND kind = $2", list(org_ids), kind
    )
    return {row["id"] for row in rows}


async def of_person(conn: Connection, person_id: UUID) -> Organisation | None:
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM identity.organisation WHERE person_id = $1", person_id)
    return _organisation(row) if row else None


async def by_registration(conn: Connection, number: str) -> Organisation | None:
    row = await conn.fetchrow(f"SELECT {COLUMNS} FROM identity.organisation WHERE registration = $1", number)
    return _organisation(row) if row else None


async def page(
    conn: Connection, *, kind: str | None, find: str | None, before: UUID | None, limit: int
) -> list[Organisation]:
    rows = await conn.fetch(
        f"""SELECT {COLUMNS} FROM identity.organisation
            WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR strpos(lower(name), lower($2)) > 0)
              AND ($3::uuid IS NULL OR id < $3)
            ORDER BY id DESC LIMIT $4""",
        kind,
        find,
        before,
        limit,
    )
    return [_organisation(row) for row in rows]


async def update(conn: Connection, org: Organisation) -> Organisation:
    row = await conn.fetchrow(
        f"""UPDATE identity.organisation SET name = $2, registration = $3, locally_registered = $4,
                   local_verified = $5, data_company = $6, data_class = $7, cap_group = $8, state = $9,
                   frozen_reason = $10, frozen_at = $11
            WHERE id = $1 RETURNING {COLUMNS}""",
        org.id,
        org.name,
        org.registration,
        org.locally_registered,
        org.local_verified,
        org.data_company,
        org.data_class,
        org.cap_group,
        org.state,
        org.frozen_reason,
        org.frozen_at,
    )
    return _organisation(row)


async def add_department(conn: Connection, department: Department, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO identity.department VALUES ($1, $2, $3, $4)",
        department.id,
        department.org_id,
        department.name,
        now,
    )


async def departments(conn: Connection, org_id: UUID) -> list[Department]:
    rows = await conn.fetch("SELECT id, org_id, name FROM identity.department WHERE org_id = $1 ORDER BY name", org_id)
    return [Department(**dict(row)) for row in rows]


async def department(conn: Connection, org_id: UUID, department_id: UUID) -> Department | None:
    row = await conn.fetchrow(
        "SELECT id, org_id, name FROM identity.department WHERE org_id = $1 AND id = $2", org_id, department_id
    )
    return Department(**dict(row)) if row else None


def _member(row: Any) -> Member:
    return Member(row["org_id"], row["person_id"], Role(row["role"]), row["department_id"])


async def put_member(conn: Connection, member: Member, now: datetime) -> None:
    await conn.execute(
        """INSERT INTO identity.membership VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (org_id, person_id) DO UPDATE SET role = EXCLUDED.role,
                                                         department_id = EXCLUDED.department_id""",
        member.org_id,
        member.person_id,
        member.role,
        member.department_id,
        now,
    )


async def remove_member(conn: Connection, org_id: UUID, person_id: UUID) -> None:
    await conn.execute("DELETE FROM identity.membership WHERE org_id = $1 AND person_id = $2", org_id, person_id)


async def members(conn: Connection, org_id: UUID) -> list[Member]:
    rows = await conn.fetch("SELECT * FROM identity.membership WHERE org_id = $1 ORDER BY person_id", org_id)
    return [_member(row) for row in rows]


async def share_a_member(conn: Connection, one: UUID, other: UUID) -> bool:
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM identity.membership a JOIN identity.membership b USING (person_id)"
        " WHERE a.org_id = $1 AND b.org_id = $2)",
        one, other,
    )  # fmt: skip
    return found


async def member(conn: Connection, org_id: UUID, person_id: UUID) -> Member | None:
    row = await conn.fetchrow(
        "SELECT * FROM identity.membership WHERE org_id = $1 AND person_id = $2", org_id, person_id
    )
    return _member(row) if row else None


async def begun(conn: Connection) -> Any:
    """Of organisations of several people: the `newest`, and the newest that is `owned`; None for none."""
    return await conn.fetchrow(
        """SELECT (SELECT id FROM identity.organisation WHERE kind <> 'person' ORDER BY id DESC LIMIT 1) AS newest,
                  (SELECT o.id FROM identity.organisation o JOIN identity.membership m ON m.org_id = o.id
                    WHERE o.kind <> 'person' AND m.role = 'owner' ORDER BY o.id DESC LIMIT 1) AS owned"""
    )


async def owned_alone(conn: Connection, person_id: UUID) -> list[Any]:
    """Organisations of several people that nobody else owns: `id`, `name`, and `others`, whether somebody else is a
    member and could. Ask under `lock_owned`."""
    rows: list[Any] = await conn.fetch(
        """SELECT o.id, o.name, EXISTS (SELECT FROM identity.membership m JOIN identity.person p ON p.id = m.person_id
                                         WHERE m.org_id = o.id AND m.person_id <> $1 AND p.state = 'active') AS others
             FROM identity.organisation o
            WHERE o.kind <> 'person'
              AND EXISTS (SELECT FROM identity.membership m
                           WHERE (m.org_id, m.person_id, m.role) = (o.id, $1, 'owner'))
              AND NOT EXISTS (SELECT FROM identity.membership m
                               WHERE m.org_id = o.id AND m.person_id <> $1 AND m.role = 'owner')
            ORDER BY o.id""",
        person_id,
    )  # fmt: skip
    return rows


async def lock_owned(conn: Connection, person_id: UUID) -> None:
    """Nobody changes the members of what a person owns until the transaction ends."""
    await conn.execute(
        """SELECT FROM identity.organisation WHERE kind <> 'person'
              AND id IN (SELECT org_id FROM identity.membership WHERE person_id = $1 AND role = 'owner')
            ORDER BY id FOR UPDATE""",
        person_id,
    )  # fmt: skip


async def memberships(conn: Connection, person_id: UUID) -> list[Member]:
    """Oldest first: the first one is where a person's sessions start."""
    rows = await conn.fetch(
        "SELECT * FROM identity.membership WHERE person_id = $1 ORDER BY created_at, org_id", person_id
    )
    return [_member(row) for row in rows]
