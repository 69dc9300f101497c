"""SQL of what is made: workflows, their versions, and what starts runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.workflows.model import Hook, Trigger, Version, Workflow

PAGE_ROWS: Final = 100
SWEEP_ROWS: Final = 200
Connection = Any
T = TypeVar("T")
_WORKFLOW: Final = """SELECT w.*, (SELECT n FROM workflows.version v WHERE v.workflow = w.id AND v.state = 'draft')
    AS draft, (SELECT n FROM workflows.version v WHERE v.workflow = w.id AND v.state = 'published') AS published
  FROM workflows.workflow w"""


def of_row(kind: type[T], row: Any) -> T:
    keys = set(row.keys())
    fields: Sequence[str] = kind.__struct_fields__  # type: ignore[attr-defined]
    return kind(**{name: row[name] for name in fields if name in keys})


# -- definitions ------------------------------------------------------------------------------------------------------


async def add(conn: Connection, one: Workflow) -> None:
    await conn.execute(
        """INSERT INTO workflows.workflow (id, org_id, slug, title, made_by, made_at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (id) DO NOTHING""",
        one.id, one.org_id, one.slug, one.title, one.made_by, one.made_at,
    )  # fmt: skip


async def rename(db: Database, workflow: UUID, title: str) -> None:
    await db.execute("UPDATE workflows.workflow SET title = $2 WHERE id = $1", workflow, title)


async def find(db: Connection | Database, org_id: UUID, slug: str, *, lock: bool = False) -> Workflow | None:
    row = await db.fetchrow(
        f"{_WORKFLOW} WHERE w.org_id = $1 AND w.slug = $2 AND w.deleted_at IS NULL"
        + (" FOR UPDATE OF w" if lock else ""),
        org_id,
        slug,
    )
    return None if row is None else of_row(Workflow, row)


async def by_id(db: Connection | Database, workflow: UUID) -> Workflow | None:
    row = await db.fetchrow(f"{_WORKFLOW} WHERE w.id = $1", workflow)
    return None if row is None else of_row(Workflow, row)


async def mine(db: Database, org_id: UUID, most: int = PAGE_ROWS) -> list[Workflow]:
    rows = await db.fetch(
        f"{_WORKFLOW} WHERE w.org_id = $1 AND w.deleted_at IS NULL ORDER BY w.id DESC LIMIT $2", org_id, most
    )
    return [of_row(Workflow, row) for row in rows]


async def count(conn: Connection, org_id: UUID) -> int:
    found: int = await conn.fetchval(
        "SELECT count(*) FROM workflows.workflow WHERE org_id = $1 AND deleted_at IS NULL", org_id
    )
    return found


async def stands(conn: Connection, workflow: UUID) -> bool:
    """Whether it was not taken away; nobody does until the transaction ends."""
    found = await conn.fetchval(
        "SELECT true FROM workflows.workflow WHERE id = $1 AND deleted_at IS NULL FOR SHARE", workflow
    )
    return bool(found)


async def delete(conn: Connection, workflow: UUID, by: str, now: datetime) -> None:
    """Take it off every list, and end what starts it."""
    await conn.execute(
        "UPDATE workflows.workflow SET deleted_at = $2, deleted_by = $3 WHERE id = $1 AND deleted_at IS NULL",
        workflow, now, by,
    )  # fmt: skip
    await conn.execute("DELETE FROM workflows.schedule WHERE workflow = $1", workflow)
    await conn.execute(
        "UPDATE workflows.hook SET revoked_at = coalesce(revoked_at, $2) WHERE workflow = $1", workflow, now
    )


async def save_draft(conn: Connection, workflow: UUID, definition: Any, by: str, now: datetime) -> int:
    """Change the open draft, or begin the next version; its number."""
    n: int = await conn.fetchval(
        """INSERT INTO workflows.version (workflow, n, state, definition, made_by, made_at)
           VALUES ($1, (SELECT coalesce(max(n), 0) + 1 FROM workflows.version WHERE workflow = $1), 'draft', $2, $3, $4)
           ON CONFLICT (workflow) WHERE state = 'draft'
           DO UPDATE SET definition = excluded.definition, made_by = excluded.made_by, made_at = excluded.made_at
           RETURNING n""",
        workflow, definition, by, now,
    )  # fmt: skip
    return n


async def publish(conn: Connection, workflow: UUID, n: int, now: datetime) -> None:
    await conn.execute(
        "UPDATE workflows.version SET state = 'retired' WHERE workflow = $1 AND state = 'published'", workflow
    )
    await conn.execute(
        "UPDATE workflows.version SET state = 'published', published_at = $3 WHERE workflow = $1 AND n = $2",
        workflow, n, now,
    )  # fmt: skip


async def version(db: Connection | Database, workflow: UUID, n: int) -> Version | None:
    row = await db.fetchrow("SELECT * FROM workflows.version WHERE workflow = $1 AND n = $2", workflow, n)
    return None if row is None else of_row(Version, row)


async def definitions(db: Database, org_id: UUID, most: int) -> list[tuple[Workflow, dict[str, Any]]]:
    """The draft and what is published of each of an organisation's own."""
    known = {one.id: one for one in await mine(db, org_id, most)}
    rows = await db.fetch(
        """SELECT workflow, definition FROM workflows.version
            WHERE workflow = ANY($1) AND state IN ('draft', 'published') ORDER BY workflow DESC, n DESC""",
        list(known),
    )
    return [(known[row["workflow"]], row["definition"]) for row in rows]


async def versions(db: Database, workflow: UUID, most: int = PAGE_ROWS) -> list[Version]:
    rows = await db.fetch(
        "SELECT * FROM workflows.version WHERE workflow = $1 ORDER BY n DESC LIMIT $2", workflow, most
    )
    return [of_row(Version, row) for row in rows]


# -- what starts runs -------------------------------------------------------------------------------------------------


async def set_schedule(
    db: Database, workflow: UUID, form: Any, given: Any, key_id: UUID, next_at: datetime | None, by: str, now: datetime
) -> None:
    await db.execute(
        """INSERT INTO workflows.schedule (workflow, form, given, key_id, next_at, made_by, made_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (workflow) DO UPDATE SET form = $2, given = $3, key_id = $4,
             next_at = $5, made_by = $6, made_at = $7, error = ''""",
        workflow, form, given, key_id, next_at, by, now,
    )  # fmt: skip


async def stop_schedule(db: Database, workflow: UUID) -> None:
    await db.execute("UPDATE workflows.schedule SET next_at = NULL WHERE workflow = $1", workflow)


async def schedule(db: Database, workflow: UUID) -> Any:
    return await db.fetchrow("SELECT * FROM workflows.schedule WHERE workflow = $1", workflow)


async def due(db: Database, now: datetime) -> list[Any]:
    rows: list[Any] = await db.fetch(
        "SELECT * FROM workflows.schedule WHERE next_at <= $1 ORDER BY next_at LIMIT $2", now, SWEEP_ROWS
    )
    return rows


async def move_on(db: Database, workflow: UUID, was: datetime, to: datetime, error: str) -> None:
    await db.execute(
        "UPDATE workflows.schedule SET next_at = $3, error = $4 WHERE workflow = $1 AND next_at = $2",
        workflow, was, to, error,
    )  # fmt: skip


async def give_schedule(db: Database, workflow: UUID, key_id: UUID, by: str) -> None:
    """Another answers for a schedule, and another key pays."""
    await db.execute(
        "UPDATE workflows.schedule SET made_by = $3, key_id = $2 WHERE workflow = $1", workflow, key_id, by
    )


async def triggers(db: Database, org_id: UUID) -> list[Trigger]:
    rows = await db.fetch(
        """SELECT 'hook' AS kind, h.id, w.id AS workflow, w.slug, h.made_by, h.made_at
             FROM workflows.hook h JOIN workflows.workflow w ON w.id = h.workflow
            WHERE w.org_id = $1 AND h.revoked_at IS NULL
            UNION ALL
           SELECT 'schedule', w.id, w.id, w.slug, s.made_by, s.made_at
             FROM workflows.schedule s JOIN workflows.workflow w ON w.id = s.workflow
            WHERE w.org_id = $1 AND s.next_at IS NOT NULL
            ORDER BY made_at, id""",
        org_id,
    )
    return [of_row(Trigger, row) for row in rows]


async def add_hook(db: Any, one: Hook, key_id: UUID) -> None:
    await db.execute(
        """INSERT INTO workflows.hook (id, workflow, key_id, made_by, made_at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT (id) DO NOTHING""",
        one.id, one.workflow, key_id, one.made_by, one.made_at,
    )  # fmt: skip


async def hook(db: Database, hook_id: UUID) -> tuple[Hook, UUID] | None:
    row = await db.fetchrow("SELECT * FROM workflows.hook WHERE id = $1", hook_id)
    return None if row is None else (of_row(Hook, row), row["key_id"])


async def hooks(db: Database, workflow: UUID) -> list[Hook]:
    rows = await db.fetch("SELECT * FROM workflows.hook WHERE workflow = $1 ORDER BY id LIMIT $2", workflow, PAGE_ROWS)
    return [of_row(Hook, row) for row in rows]


async def revoke_hook(db: Any, hook_id: UUID, now: datetime) -> bool:
    """False where it has been revoked."""
    done = await db.execute(
        "UPDATE workflows.hook SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", hook_id, now
    )
    return bool(done == "UPDATE 1")
