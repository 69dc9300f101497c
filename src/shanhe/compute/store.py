"""SQL of engines, models and prices."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from shanhe.compute.model import (
    BUCKETS,
    Engine,
    EngineKind,
    EngineModel,
    Kind,
    Prices,
    Rates,
)
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id

CHANNEL = "compute_changed"
"""Notified on every change of the registry or of prices."""
WANTED_CHANNEL = "compute_wanted"
UNWANTED = "-"
"""Before a model's name: its child may end."""
"""Payload: id of a local model whose engine sleeps and has a request."""

Connection = Any  # an asyncpg connection inside a transaction, or the Database for reads

_COSTS = ", ".join(f"m.cost_{bucket}" for bucket in BUCKETS)


async def changed(conn: Connection) -> None:
    """Tell every process to read the registry again, once this transaction commits."""
    await conn.execute("SELECT pg_notify($1, '')", CHANNEL)


# -- further names ----------------------------------------------------------------------------------------------------


async def aliases(conn: Connection | Database) -> dict[str, str]:
    rows = await conn.fetch("SELECT name, model FROM compute.alias WHERE model IS NOT NULL ORDER BY name")
    return {row["name"]: row["model"] for row in rows}


async def point(conn: Connection, name: str, model: str, actor: str, now: datetime, most: int) -> bool:
    """Let a name mean a model; False when there are too many."""
    await conn.execute("LOCK TABLE compute.alias IN SHARE ROW EXCLUSIVE MODE")
    there = await conn.fetchval("SELECT count(*) FROM compute.alias WHERE model IS NOT NULL AND name <> $1", name)
    if there >= most:
        return False
    await conn.execute(
        """INSERT INTO compute.alias (name, model, changed_by, changed_at) VALUES ($1, $2, $3, $4)
           ON CONFLICT (name) DO UPDATE SET model = $2, changed_by = $3, changed_at = $4""",
        name, model, actor, now,
    )  # fmt: skip
    return True


async def drop_alias(conn: Connection, name: str, actor: str, now: datetime) -> bool:
    done = await conn.fetchval(
        """UPDATE compute.alias SET model = NULL, changed_by = $2, changed_at = $3
            WHERE name = $1 AND model IS NOT NULL RETURNING true""",
        name, actor, now,
    )  # fmt: skip
    return bool(done)


# -- engines ----------------------------------------------------------------------------------------------------------


async def engines(conn: Connection | Database) -> list[Engine]:
    """All engines with their models, by name."""
    rows = await conn.fetch("SELECT * FROM compute.engine ORDER BY name")
    served = await conn.fetch(
        f"""SELECT m.engine_id, m.model, m.upstream, m.context_tokens, m.adapter, {_COSTS}, d.kind, d.price_class
            FROM compute.engine_model m JOIN compute.model d ON d.id = m.model ORDER BY m.model"""
    )
    by_engine: dict[UUID, list[EngineModel]] = {}
    for row in served:
        by_engine.setdefault(row["engine_id"], []).append(_served(row))
    return [_engine(row, tuple(by_engine.get(row["id"], ()))) for row in rows]


def _served(row: Any) -> EngineModel:
    cost, kind = Rates(*(row[f"cost_{bucket}"] for bucket in BUCKETS)), Kind(row["kind"])
    return EngineModel(
        row["model"], row["upstream"], kind, row["context_tokens"], cost, row["price_class"], row["adapter"]
    )


def _engine(row: Any, models: tuple[EngineModel, ...]) -> Engine:
    return Engine(
        id=row["id"],
        name=row["name"],
        kind=EngineKind(row["kind"]),
        url=row["url"],
        key_env=row["key_env"],
        contributor=row["contributor"],
        local=row["local"],
        data_classes=frozenset(row["data_classes"]),
        features=frozenset(row["features"]),
        enabled=row["enabled"],
        lazy=row["lazy"],
        slots=row["slots"],
        queue=row["queue"],
        first_token_timeout_ms=row["first_token_timeout_ms"],
        idle_timeout_ms=row["idle_timeout_ms"],
        created_at=row["created_at"],
        models=models,
        share_bps=row["share_bps"],
    )


async def insert_engine(conn: Connection, engine: Engine, actor: str) -> bool:
    """Write an engine and its models (which must exist); False when the name is taken."""
    done = await conn.fetchval(
        """INSERT INTO compute.engine (id, name, kind, url, key_env, contributor, local, data_classes, features,
             enabled, lazy, slots, queue, first_token_timeout_ms, idle_timeout_ms, created_at, created_by)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
           ON CONFLICT (name) DO NOTHING RETURNING true""",
        engine.id,
        engine.name,
        engine.kind.value,
        engine.url,
        engine.key_env,
        engine.contributor,
        engine.local,
        sorted(engine.data_classes),
        sorted(engine.features),
        engine.enabled,
        engine.lazy,
        engine.slots,
        engine.queue,
        engine.first_token_timeout_ms,
        engine.idle_timeout_ms,
        engine.created_at,
        actor,
    )
    if not done:
        return False
    await _insert_served(conn, engine.id, engine.models)
    return True


async def _insert_served(conn: Connection, engine_id: UUID, models: Sequence[EngineModel]) -> None:
    for served in models:
        await conn.execute(
            """INSERT INTO compute.engine_model (engine_id, model, upstream, context_tokens, cost_input,
                 cost_cached_input, cost_output, cost_reasoning, cost_tool, cost_cache_write)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)""",
            engine_id,
            served.model,
            served.upstream,
            served.context_tokens,
            *(getattr(served.cost, bucket) for bucket in BUCKETS),
        )


async def follow_node(conn: Connection, engine_id: UUID, engine: Engine) -> None:
    """A node's engine follows what the node offers now."""
    await conn.execute(
        """UPDATE compute.engine SET url = $2, contributor = $3, local = $4, data_classes = $5, enabled = $6,
             slots = $7, queue = $8 WHERE id = $1""",
        engine_id,
        engine.url,
        engine.contributor,
        engine.local,
        sorted(engine.data_classes),
        engine.enabled,
        engine.slots,
        engine.queue,
    )
    await conn.execute("DELETE FROM compute.engine_model WHERE engine_id = $1", engine_id)
    await _insert_served(conn, engine_id, engine.models)


async def engine_locked(conn: Connection, name: str) -> Engine | None:
    """An engine, held against other changes until the transaction ends."""
    await conn.execute("SELECT FROM compute.engine WHERE name = $1 FOR UPDATE", name)
    return next((engine for engine in await engines(conn) if engine.name == name), None)


async def change_engine(conn: Connection, engine: Engine) -> None:
    """Write what may be changed of a registered engine: its terms, and what its models cost."""
    await conn.execute(
        """UPDATE compute.engine SET local = $2, data_classes = $3, features = $4, slots = $5, queue = $6,
             first_token_timeout_ms = $7, idle_timeout_ms = $8 WHERE id = $1""",
        engine.id,
        engine.local,
        sorted(engine.data_classes),
        sorted(engine.features),
        engine.slots,
        engine.queue,
        engine.first_token_timeout_ms,
        engine.idle_timeout_ms,
    )
    for served in engine.models:
        await conn.execute(
            """UPDATE compute.engine_model SET cost_input = $3, cost_cached_input = $4, cost_output = $5,
                 cost_reasoning = $6, cost_tool = $7, cost_cache_write = $8 WHERE engine_id = $1 AND model = $2""",
            engine.id,
            served.model,
            *(getattr(served.cost, bucket) for bucket in BUCKETS),
        )


async def set_enabled(conn: Connection, name: str, enabled: bool) -> bool:
    """False when there is no such engine."""
    done = await conn.fetchval("UPDATE compute.engine SET enabled = $2 WHERE name = $1 RETURNING true", name, enabled)
    return bool(done)


async def learn(conn: Connection, engine_id: UUID, feature: str, unless: Collection[str]) -> bool:
    """Add a feature to an engine that has none of `unless`; False where it has one, or is gone."""
    done = await conn.fetchval(
        """UPDATE compute.engine SET features = array_append(features, $2)
            WHERE id = $1 AND NOT features && $3 RETURNING true""",
        engine_id,
        feature,
        sorted(unless),
    )
    return bool(done)


async def set_share(conn: Connection, name: str, share_bps: int) -> None:
    await conn.execute("UPDATE compute.engine SET share_bps = $2 WHERE name = $1", name, share_bps)


async def engine_named(conn: Connection, name: str) -> bool:
    return bool(await conn.fetchval("SELECT true FROM compute.engine WHERE name = $1", name))


class MadeEngine(NamedTuple):
    """One of what was made under a public name. `base`: of an adapter; `whole`: not on trial."""

    name: str
    upstream: str
    enabled: bool
    whole: bool
    base: str | None


async def made_engines(conn: Connection, public: str) -> list[MadeEngine]:
    """All that was made under a public name, by engine."""
    rows = await conn.fetch(
        """SELECT e.name, m.upstream, e.enabled, e.share_bps = 10000, a.base
             FROM compute.engine e JOIN compute.engine_model m ON m.engine_id = e.id
             LEFT JOIN compute.adapter a ON a.engine = e.name
            WHERE m.model = $1 AND e.kind = 'llama' AND m.upstream <> m.model ORDER BY e.name FOR UPDATE OF e""",
        public,
    )
    return [MadeEngine(*row) for row in rows]


async def add_adapter(conn: Connection, engine: str, base: str, file: str) -> None:
    """Say that an engine is an adapter on a base."""
    await conn.execute("INSERT INTO compute.adapter VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", engine, base, file)


async def adapters(conn: Connection, base: str) -> list[Any]:
    """(engine, file, enabled, upstream, adapter) of everything made on a base, by engine."""
    found: list[Any] = await conn.fetch(
        """SELECT a.engine, a.file, e.enabled, m.upstream, m.adapter FROM compute.adapter a
             JOIN compute.engine e ON e.name = a.engine JOIN compute.engine_model m ON m.engine_id = e.id
            WHERE a.base = $1 ORDER BY e.created_at, a.engine""",
        base,
    )
    return found


async def lead_to(conn: Connection, engine: str, url: str, upstream: str, adapter: int) -> None:
    """An engine's calls go to a child that holds its adapter under this number."""
    engine_id = await conn.fetchval("UPDATE compute.engine SET url = $2 WHERE name = $1 RETURNING id", engine, url)
    await conn.execute(
        "UPDATE compute.engine_model SET upstream = $2, adapter = $3 WHERE engine_id = $1", engine_id, upstream, adapter
    )


async def set_limits(conn: Connection, engine_id: UUID, slots: int, context_tokens: int) -> None:
    """A local engine follows its card."""
    await conn.execute("UPDATE compute.engine SET slots = $2 WHERE id = $1 AND slots <> $2", engine_id, slots)
    await conn.execute(
        "UPDATE compute.engine_model SET context_tokens = $2 WHERE engine_id = $1 AND context_tokens <> $2",
        engine_id,
        context_tokens,
    )


async def delete_engine(conn: Connection, name: str) -> bool:
    """False when there is no such engine. Receipts keep its name; prices of its models stay."""
    return bool(await conn.fetchval("DELETE FROM compute.engine WHERE name = $1 RETURNING true", name))


async def add_event(conn: Connection, engine: str, event: str, cause: str, actor: str, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO compute.engine_event VALUES ($1, $2, $3, $4, $5, $6)", new_id(), engine, event, cause, actor, now
    )


async def events(db: Database, limit: int) -> list[dict[str, Any]]:
    rows = await db.fetch(
        "SELECT engine, event, cause, actor, at FROM compute.engine_event ORDER BY at DESC, id DESC LIMIT $1", limit
    )
    return [dict(row) for row in rows]


# -- models -----------------------------------------------------------------------------------------------------------


async def models(conn: Connection | Database) -> list[dict[str, Any]]:
    return [dict(row) for row in await conn.fetch("SELECT * FROM compute.model ORDER BY id")]


async def add_model(
    conn: Connection,
    model: str,
    *,
    kind: Kind,
    title_zh: str,
    title_en: str,
    licence: str,
    made_by: str,
    price_class: str,
    now: datetime,
) -> str | None:
    """Make a model known; the kind that it has already when that differs, else None."""
    await conn.execute(
        """INSERT INTO compute.model (id, kind, title_zh, title_en, licence, made_by, price_class, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO NOTHING""",
        model,
        kind.value,
        title_zh,
        title_en,
        licence,
        made_by,
        price_class,
        now,
    )
    known = await conn.fetchval("SELECT kind FROM compute.model WHERE id = $1", model)
    return None if known == kind.value else str(known)


# -- prices -----------------------------------------------------------------------------------------------------------


async def lock_prices(conn: Connection, model: str) -> None:
    """One publisher at a time for a model."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 4004))", model)


async def prices(conn: Connection | Database) -> list[Prices]:
    """Every price version: by model, newest validity first, then newest announcement."""
    rows = await conn.fetch(
        """SELECT v.id, v.model, v.valid_from, v.announced_at, v.rule_version, p.bucket, p.list_micro, p.thin, p.loss,
                  p.facts, p.outputs
           FROM compute.price_version v JOIN compute.price p ON p.version_id = v.id
           ORDER BY v.model, v.valid_from DESC, v.announced_at DESC, v.id DESC"""
    )
    grouped: dict[UUID, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row["id"], []).append(row)
    return [_prices(version, parts) for version, parts in grouped.items()]


def _prices(version: UUID, rows: Sequence[Any]) -> Prices:
    first = rows[0]
    amounts = {row["bucket"]: int(row["list_micro"]) for row in rows}
    amounts.setdefault("cache_write", amounts["input"])  # published before it was a bucket
    return Prices(
        model=first["model"],
        input=amounts["input"],
        cached_input=amounts["cached_input"],
        output=amounts["output"],
        reasoning=amounts["reasoning"],
        tool=amounts["tool"],
        cache_write=amounts["cache_write"],
        version=str(version),
        valid_from=first["valid_from"],
        announced_at=first["announced_at"],
        thin=any(row["thin"] for row in rows),
        loss=any(row["loss"] for row in rows),
        rule_version=first["rule_version"],
        facts=_as_input({row["bucket"]: row["facts"] for row in rows}),
        outputs=_as_input({row["bucket"]: row["outputs"] for row in rows}),
    )


async def insert_price(
    conn: Connection,
    model: str,
    valid_from: date,
    announced_at: datetime,
    rule_version: str,
    actor: str,
    parts: Sequence[dict[str, Any]],
) -> UUID:
    """Write a price version with its buckets; its id."""
    version = new_id()
    await conn.execute(
        "INSERT INTO compute.price_version VALUES ($1, $2, $3, $4, $5, $6)",
        version,
        model,
        valid_from,
        announced_at,
        rule_version,
        actor,
    )
    await conn.executemany(
        """INSERT INTO compute.price (version_id, bucket, cost_micro, list_micro, thin, loss, facts, outputs, trace)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        [
            (
                version,
                part["bucket"],
                part["cost_micro"],
                part["list_micro"],
                part["thin"],
                part["loss"],
                part["facts"],
                part["outputs"],
                part["trace"],
            )
            for part in parts
        ],
    )
    return version


async def price_traces(db: Database, version: UUID) -> dict[str, Any]:
    """The pricing rule's traces of one price version, by bucket."""
    rows = await db.fetch("SELECT bucket, trace FROM compute.price WHERE version_id = $1", version)
    return _as_input({row["bucket"]: row["trace"] for row in rows})


def _as_input(by_bucket: dict[str, Any]) -> dict[str, Any]:
    """What was published before `cache_write` was a bucket says of it what it says of input."""
    if "input" in by_bucket:
        by_bucket.setdefault("cache_write", by_bucket["input"])
    return by_bucket
