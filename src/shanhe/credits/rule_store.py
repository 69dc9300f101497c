"""SQL of automatic top-up rules and spend alerts."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from shanhe.credits.model import Alert, AutoTopUp, Window
from shanhe.kernel.db import Database

AUTO = (
    "org_id, threshold_micro, value_fen, monthly_cap_fen, provider, mandate_id, enabled, epoch, purchase_id, failures,"
    " not_before, actor"
)
ALERT = "id, org_id, name, time_window, amount_micro, percent, key_id, enabled, created_at"

Connection = Any  # an asyncpg connection inside a transaction, or the Database itself


# -- automatic top-up -------------------------------------------------------------------------------------------------


async def save_auto(db: Database, rule: AutoTopUp, now: datetime, *, after: int | None) -> AutoTopUp | None:
    """Insert the organisation's rule, or replace the one of epoch `after`; None when it is another one by now. An
    automatic purchase under way stays attached; a mandate that is not used any more is to be withdrawn."""
    row = await db.writes.fetchrow(
        f"""INSERT INTO credits.auto_top_up (org_id, threshold_micro, value_fen, monthly_cap_fen, provider, mandate_id,
                                             enabled, actor, checked_at, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $9)
            ON CONFLICT (org_id) DO UPDATE SET threshold_micro = $2, value_fen = $3, monthly_cap_fen = $4,
              provider = $5, mandate_id = $6, enabled = $7, actor = $8, updated_at = $9, failures = 0,
              not_before = NULL, epoch = credits.auto_top_up.epoch + 1,
              withdrawn = auto_top_up.withdrawn || array_remove(ARRAY[auto_top_up.mandate_id], $6)
              WHERE auto_top_up.epoch = $10
            RETURNING {AUTO}""",
        rule.org_id,
        rule.threshold_micro,
        rule.value_fen,
        rule.monthly_cap_fen,
        rule.provider,
        rule.mandate_id,
        rule.enabled,
        rule.actor,
        now,
        after,
    )
    return None if row is None else AutoTopUp(**dict(row))


async def auto(conn: Connection, org_id: UUID, *, lock: bool = False) -> AutoTopUp | None:
    row = await conn.fetchrow(
        f"SELECT {AUTO} FROM credits.auto_top_up WHERE org_id = $1{' FOR UPDATE' if lock else ''}", org_id
    )
    return None if row is None else AutoTopUp(**dict(row))


async def due_autos(db: Database, *, now: datetime, checked_before: datetime, limit: int) -> list[AutoTopUp]:
    """Rules that may act, longest unchecked first; marked as checked."""
    rows = await db.writes.fetch(
        f"""UPDATE credits.auto_top_up SET checked_at = $1 WHERE org_id IN (
              SELECT org_id FROM credits.auto_top_up
              WHERE enabled AND purchase_id IS NULL AND checked_at < $2 AND (not_before IS NULL OR not_before <= $1)
              ORDER BY checked_at LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING {AUTO}""",
        now,
        checked_before,
        limit,
    )
    return [AutoTopUp(**dict(row)) for row in rows]


async def start_auto(conn: Connection, org_id: UUID, purchase_id: UUID) -> None:
    await conn.execute(
        "UPDATE credits.auto_top_up SET purchase_id = $2, epoch = epoch + 1 WHERE org_id = $1", org_id, purchase_id
    )


async def end_auto(
    conn: Connection, org_id: UUID, purchase_id: UUID, *, failures: int, not_before: datetime | None, enabled: bool
) -> None:
    """Detach a finished purchase and begin a new epoch: a balance read before it counts no more."""
    await conn.execute(
        """UPDATE credits.auto_top_up SET purchase_id = NULL, epoch = epoch + 1, failures = $3, not_before = $4,
                  enabled = enabled AND $5 WHERE org_id = $1 AND purchase_id = $2""",
        org_id,
        purchase_id,
        failures,
        not_before,
        enabled,
    )


async def pause_auto(conn: Connection, org_id: UUID, not_before: datetime) -> None:
    await conn.execute("UPDATE credits.auto_top_up SET not_before = $2 WHERE org_id = $1", org_id, not_before)


async def disable_auto(db: Database, org_id: UUID, now: datetime) -> AutoTopUp | None:
    row = await db.writes.fetchrow(
        f"""UPDATE credits.auto_top_up SET enabled = false, epoch = epoch + 1, updated_at = $2,
                   withdrawn = array_remove(withdrawn, mandate_id) || mandate_id WHERE org_id = $1
            RETURNING {AUTO}""",
        org_id,
        now,
    )
    return None if row is None else AutoTopUp(**dict(row))


async def withdrawn(db: Database, org_id: UUID) -> list[UUID]:
    """Mandates that an organisation's rule has no use for, and whose provider may not know that yet."""
    return list(await db.fetchval("SELECT withdrawn FROM credits.auto_top_up WHERE org_id = $1", org_id) or ())


async def with_withdrawn(db: Database, limit: int) -> list[UUID]:
    """Organisations that have such."""
    rows = await db.fetch("SELECT org_id FROM credits.auto_top_up WHERE withdrawn <> '{}' LIMIT $1", limit)
    return [row["org_id"] for row in rows]


async def used(db: Database, org_id: UUID, mandate_id: UUID) -> bool:
    """Whether an organisation's rule knows a mandate: it uses it, or withdraws it."""
    value: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM credits.auto_top_up WHERE org_id = $1 AND $2 = ANY(withdrawn || mandate_id))",
        org_id, mandate_id,
    )  # fmt: skip
    return value


async def has_ended(db: Database, org_id: UUID, mandate_id: UUID) -> None:
    """The provider knows that a mandate is withdrawn."""
    await db.execute(
        "UPDATE credits.auto_top_up SET withdrawn = array_remove(withdrawn, $2) WHERE org_id = $1", org_id, mandate_id
    )


# -- alerts -----------------------------------------------------------------------------------------------------------


def _alert(row: Any) -> Alert:
    values = dict(row)
    return Alert(window=Window(values.pop("time_window")), **values)


async def insert_alert(conn: Connection, alert: Alert, actor: str, limit: int) -> bool:
    """False when the organisation already has `limit` alerts."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 60))", str(alert.org_id))
    count = await conn.fetchval("SELECT count(*) FROM credits.alert WHERE org_id = $1", alert.org_id)
    if int(count) >= limit:
        return False
    await conn.execute(
        f"""INSERT INTO credits.alert ({ALERT}, checked_at, actor)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
        alert.id,
        alert.org_id,
        alert.name,
        alert.window,
        alert.amount_micro,
        alert.percent,
        alert.key_id,
        alert.enabled,
        alert.created_at,
        datetime.fromtimestamp(0, alert.created_at.tzinfo),
        actor,
    )
    return True


async def alerts_of(db: Database, org_id: UUID) -> list[Alert]:
    rows = await db.fetch(f"SELECT {ALERT} FROM credits.alert WHERE org_id = $1 ORDER BY id", org_id)
    return [_alert(row) for row in rows]


async def alert(db: Database, org_id: UUID, alert_id: UUID) -> Alert | None:
    row = await db.fetchrow(f"SELECT {ALERT} FROM credits.alert WHERE id = $1 AND org_id = $2", alert_id, org_id)
    return None if row is None else _alert(row)


async def update_alert(db: Database, alert: Alert) -> None:
    """Change an alert; a new threshold may fire in the window where the old one has not."""
    await db.execute(
        """UPDATE credits.alert SET name = $3, time_window = $4, amount_micro = $5, percent = $6, key_id = $7,
                  enabled = $8 WHERE id = $1 AND org_id = $2""",
        alert.id,
        alert.org_id,
        alert.name,
        alert.window,
        alert.amount_micro,
        alert.percent,
        alert.key_id,
        alert.enabled,
    )


async def delete_alert(db: Database, org_id: UUID, alert_id: UUID) -> bool:
    done: str = await db.execute("DELETE FROM credits.alert WHERE id = $1 AND org_id = $2", alert_id, org_id)
    return done.endswith("1")


async def due_alerts(
    db: Database, *, now: datetime, day: date, month: date, checked_before: datetime, limit: int
) -> list[Alert]:
    """Alerts that have not fired in their present window, longest unchecked first; marked as checked."""
    rows = await db.writes.fetch(
        f"""UPDATE credits.alert SET checked_at = $1 WHERE id IN (
              SELECT id FROM credits.alert
              WHERE enabled AND checked_at < $4
                AND fired_for IS DISTINCT FROM CASE time_window WHEN 'day' THEN $2::date ELSE $3::date END
              ORDER BY checked_at LIMIT $5 FOR UPDATE SKIP LOCKED)
            RETURNING {ALERT}""",
        now,
        day,
        month,
        checked_before,
        limit,
    )
    return [_alert(row) for row in rows]


async def fire_alert(conn: Connection, alert: Alert, window_start: date, spent_micro: int, now: datetime) -> bool:
    """Claim this window's only firing; False when another worker was first or the alert is gone."""
    row = await conn.fetchrow("SELECT id FROM credits.alert WHERE id = $1 FOR UPDATE", alert.id)
    if row is None:
        return False
    row = await conn.fetchrow(
        """INSERT INTO credits.alert_firing VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING alert_id""",
        alert.id,
        window_start,
        alert.threshold_micro,
        spent_micro,
        now,
    )
    await conn.execute("UPDATE credits.alert SET fired_for = $2 WHERE id = $1", alert.id, window_start)
    return row is not None
