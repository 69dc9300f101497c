"""SQL of data sets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.datasets.model import Dataset, Use, Version
from shanhe.kernel.db import Database

PAGE_MAX: Final = 500
Connection = Any


def _dataset(row: Any) -> Dataset:
    return Dataset(**{name: row[name] for name in Dataset.__struct_fields__})


def _version(row: Any) -> Version:
    return Version(**{name: row[name] for name in Version.__struct_fields__})


async def lock_org(conn: Connection, org_id: UUID) -> None:
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('datasets:' || $1::text, 0))", str(org_id))


async def count(conn: Connection, org_id: UUID) -> int:
    found: int = await conn.fetchval(
        "SELECT count(*) FROM datasets.dataset WHERE org_id = $1 AND archived_at IS NULL", org_id
    )
    return found


async def insert_dataset(conn: Connection, one: Dataset) -> None:
    await conn.execute(
        """INSERT INTO datasets.dataset (id, org_id, name, form, licence, consent, note, made_by, made_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        one.id,
        one.org_id,
        one.name,
        one.form,
        one.licence,
        one.consent,
        one.note,
        one.made_by,
        one.made_at,
    )


async def dataset(db: Connection | Database, dataset_id: UUID, org_id: UUID | None) -> Dataset | None:
    row = await db.fetchrow(
        "SELECT * FROM datasets.dataset WHERE id = $1 AND ($2::uuid IS NULL OR org_id = $2)", dataset_id, org_id
    )
    return None if row is None else _dataset(row)


async def called(db: Connection | Database, org_id: UUID, name: str) -> Dataset | None:
    row = await db.fetchrow(
        "SELECT * FROM datasets.dataset WHERE org_id = $1 AND name = $2 AND archived_at IS NULL", org_id, name
    )
    return None if row is None else _dataset(row)


async def datasets(db: Connection | Database, org_id: UUID | None, most: int = PAGE_MAX) -> list[Dataset]:
    rows = await db.fetch(
        """SELECT * FROM datasets.dataset WHERE ($1::uuid IS NULL OR org_id = $1) AND archived_at IS NULL
            ORDER BY id DESC LIMIT $2""",
        org_id,
        most,
    )
    return [_dataset(row) for row in rows]


async def archive(conn: Connection, dataset_id: UUID, now: datetime) -> None:
    await conn.execute(
        "UPDATE datasets.dataset SET archived_at = $2 WHERE id = $1 AND archived_at IS NULL", dataset_id, now
    )


async def insert_version(conn: Connection, one: Version) -> Version:
    """Number it; a version of the same content in this data set is that version."""
    row = await conn.fetchrow(
        "SELECT * FROM datasets.version WHERE dataset_id = $1 AND sha256 = $2", one.dataset_id, one.sha256
    )
    if row is None:
        row = await conn.fetchrow(
            """INSERT INTO datasets.version (id, dataset_id, number, parent, sha256, rows, size_bytes, personal, recipe,
                                             report, made_by, made_at)
               VALUES ($1, $2, 1 + (SELECT count(*) FROM datasets.version WHERE dataset_id = $2), $3, $4, $5, $6, $7,
                       $8, $9, $10, $11) RETURNING *""",
            one.id,
            one.dataset_id,
            one.parent,
            one.sha256,
            one.rows,
            one.size_bytes,
            one.personal,
            one.recipe,
            one.report,
            one.made_by,
            one.made_at,
        )
    return _version(row)


async def versions(
    db: Connection | Database, dataset_id: UUID, most: int = PAGE_MAX, *, before: int | None = None
) -> list[Version]:
    """The newest of a data set's versions; numbered before one where it is given."""
    rows = await db.fetch(
        """SELECT * FROM datasets.version WHERE dataset_id = $1 AND ($3::int IS NULL OR number < $3)
            ORDER BY number DESC LIMIT $2""",
        dataset_id, most, before,
    )  # fmt: skip
    return [_version(row) for row in rows]


async def newest(db: Database, dataset_ids: Sequence[UUID]) -> list[Version]:
    """The newest version of each that has one."""
    rows = await db.fetch(
        """SELECT DISTINCT ON (dataset_id) * FROM datasets.version WHERE dataset_id = ANY($1)
            ORDER BY dataset_id, number DESC""",
        list(dataset_ids),
    )
    return [_version(row) for row in rows]


async def version(db: Connection | Database, version_id: UUID) -> Version | None:
    row = await db.fetchrow("SELECT * FROM datasets.version WHERE id = $1", version_id)
    return None if row is None else _version(row)


async def forget(conn: Connection, version_id: UUID, now: datetime) -> None:
    await conn.execute(
        "UPDATE datasets.version SET forgotten_at = coalesce(forgotten_at, $2) WHERE id = $1", version_id, now
    )


async def remember(conn: Connection, version_id: UUID) -> None:
    """Rows that were deleted are there again: they were imported anew."""
    await conn.execute("UPDATE datasets.version SET forgotten_at = NULL WHERE id = $1", version_id)


async def unsealed_versions(db: Database, limit: int) -> list[Any]:
    """Versions from before rows were sealed, which nobody has looked at yet."""
    return await db.fetch(
        """SELECT v.id, d.org_id, v.forgotten_at FROM datasets.version v JOIN datasets.dataset d ON d.id = v.dataset_id
            WHERE NOT v.looked_at LIMIT $1""",
        limit,
    )


async def note_sealed(db: Database, version_id: UUID) -> None:
    await db.execute("UPDATE datasets.version SET looked_at = true WHERE id = $1", version_id)


async def add_use(db: Connection | Database, one: Use) -> None:
    await db.execute(
        """INSERT INTO datasets.use (version_id, purpose, ref, name, at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT DO NOTHING""",
        one.version_id,
        one.purpose,
        one.ref,
        one.name,
        one.at,
    )


async def uses(db: Database, dataset_id: UUID) -> list[Use]:
    rows = await db.fetch(
        """SELECT u.* FROM datasets.use u JOIN datasets.version v ON v.id = u.version_id
            WHERE v.dataset_id = $1 ORDER BY u.at LIMIT $2""",
        dataset_id,
        PAGE_MAX,
    )
    return [Use(**dict(row)) for row in rows]
