"""SQL of the pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from shanhe.compute.api import Speed
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.pool.model import Demand, Hour, Node, NodeEvent, NodeState, Report, Token, Verdict

CHANNEL: Final = "pool_changed"
"""Payload: id of a node whose row changed."""
EVENTS_MAX: Final = 200
HOURS_MAX: Final = 50_000
NODES_MAX: Final = 1_000
WITHHELD_MAX: Final = 2_000
COMMANDS: Final = "pool_command"
"""Payload: node, load or unload, model."""
GIVEN_BACK: Final = {"restored": True}
"""Detail of a release that gave withheld income back."""
Connection = Any


def _node(row: Any) -> Node:
    fields = {name: row[name] for name in Node.__struct_fields__}
    fields["report"] = msgspec.convert(row["report"], Report)
    fields["state"] = NodeState(row["state"])
    return Node(**fields)


async def nodes(db: Connection | Database, owner: UUID | None = None) -> list[Node]:
    """All nodes, or an organisation's, by name."""
    rows = await db.fetch(
        "SELECT * FROM pool.node WHERE $1::uuid IS NULL OR owner = $1 ORDER BY name LIMIT $2", owner, NODES_MAX
    )
    return [_node(row) for row in rows]


async def node(db: Connection | Database, node_id: UUID) -> Node | None:
    row = await db.fetchrow("SELECT * FROM pool.node WHERE id = $1", node_id)
    return None if row is None else _node(row)


async def node_called(db: Connection | Database, name: str) -> Node | None:
    row = await db.fetchrow("SELECT * FROM pool.node WHERE name = $1", name)
    return None if row is None else _node(row)


async def locked(conn: Connection, node_id: UUID) -> Node | None:
    row = await conn.fetchrow("SELECT * FROM pool.node WHERE id = $1 FOR UPDATE", node_id)
    return None if row is None else _node(row)


async def insert_node(conn: Connection, one: Node) -> bool:
    """False when its name or key is taken."""
    done = await conn.fetchval(
        """INSERT INTO pool.node (id, name, owner, local, new_models, city_owned, public_key, state, report, joined_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING true""",
        one.id,
        one.name,
        one.owner,
        one.local,
        one.new_models,
        one.city_owned,
        one.public_key,
        one.state.value,
        msgspec.to_builtins(one.report),
        one.joined_at,
    )
    return bool(done)


async def set_state(conn: Connection, node_id: UUID, state: NodeState, cause: str, *, own_drain: bool = False) -> None:
    await conn.execute(
        "UPDATE pool.node SET state = $2, cause = $3, own_drain = $4 WHERE id = $1",
        node_id, state.value, cause, own_drain,
    )  # fmt: skip
    await changed(conn, node_id)


async def set_flag(conn: Connection, node_id: UUID, flag: str) -> None:
    await conn.execute("UPDATE pool.node SET flag = $2 WHERE id = $1", node_id, flag)


async def set_session(
    conn: Connection, node_id: UUID, session: UUID, instance: str, worker: str, report: Report, now: datetime
) -> None:
    await conn.execute(
        """UPDATE pool.node SET session = $2, instance = $3, worker = $4, report = $5, seen_at = $6 WHERE id = $1""",
        node_id,
        session,
        instance,
        worker,
        msgspec.to_builtins(report),
        now,
    )
    await changed(conn, node_id)


async def set_report(db: Database, node_id: UUID, session: UUID, report: Report, now: datetime) -> bool:
    """Keep what the node says now; False when another session holds it."""
    done = await db.writes.fetchval(
        "UPDATE pool.node SET report = $3, seen_at = $4 WHERE id = $1 AND session = $2 RETURNING true",
        node_id,
        session,
        msgspec.to_builtins(report),
        now,
    )
    return bool(done)


async def seen(db: Database, node_id: UUID, session: UUID, now: datetime) -> bool:
    """A heartbeat; False when another session holds the node."""
    done = await db.writes.fetchval(
        "UPDATE pool.node SET seen_at = $3 WHERE id = $1 AND session = $2 RETURNING true", node_id, session, now
    )
    return bool(done)


async def end_session(db: Database, node_id: UUID, session: UUID) -> None:
    await db.execute(
        "UPDATE pool.node SET session = NULL, worker = '' WHERE id = $1 AND session = $2", node_id, session
    )


async def changed(conn: Connection, node_id: UUID) -> None:
    await conn.execute("SELECT pg_notify($1, $2)", CHANNEL, str(node_id))


async def command(conn: Connection, node_id: UUID, word: str, model: str = "-") -> None:
    """Tell the process that holds a node's tunnel to pass a command on, once this transaction commits."""
    await conn.execute("SELECT pg_notify($1, $2)", COMMANDS, f"{node_id} {word} {model}")


# -- tokens -----------------------------------------------------------------------------------------------------------


async def insert_token(conn: Connection, digest: bytes, token: Token, made_by: str, now: datetime) -> None:
    await conn.execute(
        """INSERT INTO pool.token (hash, name, owner, local, new_models, city_owned, made_by, made_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
        digest,
        token.name,
        token.owner,
        token.local,
        token.new_models,
        token.city_owned,
        made_by,
        now,
        token.expires_at,
    )


async def token(conn: Connection, digest: bytes) -> Token | None:
    row = await conn.fetchrow("SELECT * FROM pool.token WHERE hash = $1 FOR UPDATE", digest)
    return None if row is None else Token(**{name: row[name] for name in Token.__struct_fields__})


async def use_token(conn: Connection, digest: bytes, node_id: UUID) -> None:
    await conn.execute("UPDATE pool.token SET used_by = $2 WHERE hash = $1", digest, node_id)


# -- events, speeds, hours --------------------------------------------------------------------------------------------


async def add_event(
    conn: Connection | Database,
    node_id: UUID,
    event: str,
    actor: str,
    now: datetime,
    cause: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    await conn.execute(
        "INSERT INTO pool.event VALUES ($1, $2, $3, $4, $5, $6, $7)",
        new_id(),
        node_id,
        event,
        cause[:500],
        actor,
        now,
        None if detail is None else dict(detail),
    )


async def happened(db: Database, node_id: UUID, event: str, cause: str) -> bool:
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM pool.event WHERE node_id = $1 AND event = $2 AND cause = $3)",
        node_id, event, cause,
    )  # fmt: skip
    return found


async def events(db: Database, node_id: UUID, limit: int = 50) -> list[NodeEvent]:
    rows = await db.fetch(
        """SELECT event, cause, actor, at, detail FROM pool.event WHERE node_id = $1 ORDER BY at DESC, id DESC
           LIMIT $2""",
        node_id,
        min(limit, EVENTS_MAX),
    )
    return [NodeEvent(**dict(row)) for row in rows]


async def verdicts(db: Database, nodes: Sequence[UUID]) -> dict[UUID, Verdict]:
    """What the latest quarantine of each node was for, where the inspector said it."""
    rows = await db.fetch(
        """SELECT DISTINCT ON (node_id) node_id, detail FROM pool.event
           WHERE node_id = ANY($1::uuid[]) AND event = 'quarantined' ORDER BY node_id, at DESC, id DESC""",
        list(nodes),
    )
    return {row["node_id"]: msgspec.convert(row["detail"], Verdict) for row in rows if row["detail"]}


async def put_speed(db: Database, node_id: UUID, model: str, speed: Speed, now: datetime) -> None:
    await db.execute(
        """INSERT INTO pool.speed VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (node_id, model) DO UPDATE
           SET prefill_tps = excluded.prefill_tps, decode_tps = excluded.decode_tps, base_ms = excluded.base_ms,
               call_ms = excluded.call_ms, at = excluded.at""",
        node_id,
        model,
        speed.prefill_tps,
        speed.decode_tps,
        speed.base_ms,
        speed.call_ms,
        now,
    )


async def speeds(db: Database) -> dict[tuple[UUID, str], Speed]:
    """Measured speeds by node and model."""
    rows = await db.fetch("SELECT * FROM pool.speed")
    return {
        (row["node_id"], row["model"]): Speed(row["prefill_tps"], row["decode_tps"], row["base_ms"], row["call_ms"])
        for row in rows
    }


async def add_hours(db: Database, sums: Mapping[tuple[UUID, datetime, str], Sequence[int]]) -> None:
    """Add sums: calls, failed, prompt and completion tokens, busy ms, ms to the first token."""
    async with db.transaction() as conn:
        await conn.executemany(
            """INSERT INTO pool.hour VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
               ON CONFLICT (node_id, hour, model) DO UPDATE SET calls = hour.calls + excluded.calls,
                 failed = hour.failed + excluded.failed, prompt_tokens = hour.prompt_tokens + excluded.prompt_tokens,
                 completion_tokens = hour.completion_tokens + excluded.completion_tokens,
                 busy_ms = hour.busy_ms + excluded.busy_ms, ttft_ms = hour.ttft_ms + excluded.ttft_ms""",
            [(*key, *values) for key, values in sorted(sums.items(), key=lambda item: str(item[0]))],
        )


async def hours(db: Database, since: datetime, node_id: UUID) -> list[Hour]:
    """What a node did, oldest hour first."""
    rows = await db.fetch(
        "SELECT * FROM pool.hour WHERE hour >= $1 AND node_id = $2 ORDER BY hour, model LIMIT $3",
        since, node_id, HOURS_MAX,
    )  # fmt: skip
    return [Hour(**dict(row)) for row in rows]


async def demand(db: Database, since: datetime) -> list[Demand]:
    """What all nodes did together, by hour and model."""
    rows = await db.fetch(
        """SELECT hour, model, sum(calls)::bigint AS calls, sum(prompt_tokens)::bigint AS prompt_tokens,
                  sum(completion_tokens)::bigint AS completion_tokens
             FROM pool.hour WHERE hour >= $1 GROUP BY hour, model ORDER BY hour, model""",
        since,
    )
    return [Demand(**dict(row)) for row in rows]


# -- suspicion and withheld income ------------------------------------------------------------------------------------


async def suspicion(db: Connection | Database, node_id: UUID) -> dict[str, tuple[int, int, float]]:
    """Checks, failures and score by kind."""
    rows = await db.fetch("SELECT kind, checks, failures, score FROM pool.suspicion WHERE node_id = $1", node_id)
    return {row["kind"]: (row["checks"], row["failures"], row["score"]) for row in rows}


async def put_suspicion(db: Database, node_id: UUID, cleared: int, found: Mapping[str, tuple[int, int, float]]) -> None:
    """Of a node that was cleared since, nothing: what is found from then on counts."""
    async with db.transaction() as conn:
        wanted = "SELECT true FROM pool.node WHERE id = $1 AND cleared = $2 FOR SHARE"
        if not await conn.fetchval(wanted, node_id, cleared):
            return
        await conn.executemany(
            """INSERT INTO pool.suspicion VALUES ($1, $2, $3, $4, $5) ON CONFLICT (node_id, kind) DO UPDATE
               SET checks = excluded.checks, failures = excluded.failures, score = excluded.score""",
            [(node_id, kind, *values) for kind, values in found.items()],
        )


async def clear_suspicion(conn: Connection, node_id: UUID) -> None:
    """Forget what was found, and what another process found and did not write down yet."""
    await conn.execute("DELETE FROM pool.suspicion WHERE node_id = $1", node_id)
    await conn.execute("UPDATE pool.node SET cleared = cleared + 1 WHERE id = $1", node_id)


async def quarantined_since(db: Database, since: datetime) -> list[Node]:
    """Nodes that entered quarantine after an instant and were not let out of it; removed ones are still in it."""
    rows = await db.fetch(
        """SELECT n.* FROM pool.node n WHERE n.state IN ('quarantined', 'gone') AND EXISTS (
             SELECT FROM pool.event e WHERE e.node_id = n.id AND e.event = 'quarantined' AND e.at >= $1
               AND NOT EXISTS (SELECT FROM pool.event l WHERE l.node_id = n.id AND (l.at, l.id) > (e.at, e.id)
                                AND l.event IN ('joining', 'active', 'draining')))
           ORDER BY n.name LIMIT $2""",
        since,
        NODES_MAX,
    )
    return [_node(row) for row in rows]


async def cleared_since(db: Database, since: datetime) -> list[Node]:
    """Nodes that were let out of quarantine after an instant and whose withheld income was to be given back."""
    rows = await db.fetch(
        """SELECT n.* FROM pool.node n, LATERAL (SELECT e.event, e.detail, e.at FROM pool.event e
             WHERE e.node_id = n.id AND e.event IN ('joining', 'quarantined') ORDER BY e.at DESC, e.id DESC LIMIT 1) l
            WHERE l.event = 'joining' AND l.detail @> $2 AND l.at >= $1 ORDER BY n.name LIMIT $3""",
        since, GIVEN_BACK, NODES_MAX,
    )  # fmt: skip
    return [_node(row) for row in rows]


async def add_withheld(
    db: Database, receipt: UUID, node_id: UUID, posting: UUID, amount_micro: int, now: datetime
) -> None:
    await db.execute(
        """INSERT INTO pool.withheld (receipt_id, node_id, posting_id, amount_micro, at) VALUES ($1, $2, $3, $4, $5)
           ON CONFLICT DO NOTHING""",
        receipt,
        node_id,
        posting,
        amount_micro,
        now,
    )


async def withheld(
    db: Database, node_id: UUID, *, open_only: bool = False, before: UUID | None = None
) -> list[dict[str, Any]]:  # fmt: skip
    """What was withheld of a node, a page, the newest receipts first; `open_only`: what was not given back, the city's
    part too."""
    rows = await db.fetch(
        """SELECT receipt_id, posting_id, amount_micro, at, decided, kept_by, restored_by FROM pool.withheld
           WHERE node_id = $1 AND (NOT $2 OR restored_by IS NULL) AND ($4::uuid IS NULL OR receipt_id < $4)
           ORDER BY receipt_id DESC LIMIT $3""",
        node_id,
        open_only,
        WITHHELD_MAX,
        before,
    )
    return [dict(row) for row in rows]


async def withholding(db: Database) -> list[Node]:
    """Nodes of which something was withheld and not given back."""
    rows = await db.fetch(
        """SELECT n.* FROM pool.node n
           WHERE n.id IN (SELECT w.node_id FROM pool.withheld w WHERE w.restored_by IS NULL)
           ORDER BY n.name LIMIT $1""",
        NODES_MAX,
    )
    return [_node(row) for row in rows]


async def waiting(db: Database, node_id: UUID, decision: str) -> tuple[int, UUID | None]:
    """How much of a node would be ended by a decision, and the newest receipt of it."""
    row = await db.fetchrow(
        """SELECT coalesce(sum(amount_micro), 0)::bigint AS micro,
                  (array_agg(receipt_id ORDER BY receipt_id DESC))[1] AS newest FROM pool.withheld
           WHERE node_id = $1 AND (decided IS NULL OR decided = $2) AND restored_by IS NULL AND kept_by IS NULL""",
        node_id,
        decision,
    )
    return row["micro"], row["newest"]


async def decide(
    db: Database, node_id: UUID, decision: str, *, in_quarantine: bool = True, through: datetime | None = None
) -> list[dict[str, Any]]:
    """Of a node, what is to be ended as decided: nobody decided otherwise before, and it was not done. Without
    `in_quarantine` nothing of one that is in it by now; nothing that was withheld after `through`."""
    rows = await db.writes.fetch(
        """UPDATE pool.withheld SET decided = $2
           WHERE node_id = $1 AND (decided IS NULL OR decided = $2) AND restored_by IS NULL AND kept_by IS NULL
             AND ($3 OR EXISTS (SELECT FROM pool.node WHERE id = $1 AND state <> 'quarantined'))
             AND ($4::timestamptz IS NULL OR at <= $4)
           RETURNING receipt_id, posting_id, amount_micro""",
        node_id,
        decision,
        in_quarantine,
        through,
    )
    return [dict(row) for row in rows]


async def decision(db: Database, receipt: UUID, otherwise: str) -> str:
    """What is decided on a receipt's income: from now on `otherwise`, where nothing was."""
    found: str = await db.writes.fetchval(
        "UPDATE pool.withheld SET decided = coalesce(decided, $2) WHERE receipt_id = $1 RETURNING decided",
        receipt,
        otherwise,
    )
    return found


async def mark_kept(db: Database, receipt: UUID, posting: UUID) -> None:
    await db.execute("UPDATE pool.withheld SET kept_by = $2 WHERE receipt_id = $1", receipt, posting)


async def held_back(db: Database, owner: UUID) -> int:
    value: int = await db.fetchval(
        """SELECT coalesce(sum(w.amount_micro), 0)::bigint FROM pool.withheld w JOIN pool.node n ON n.id = w.node_id
           WHERE n.owner = $1 AND w.restored_by IS NULL AND coalesce(w.decided, 'restored') = 'restored'""",
        owner,
    )
    return value


async def mark_restored(db: Database, receipt: UUID, posting: UUID) -> None:
    await db.execute(
        "UPDATE pool.withheld SET restored_by = $2 WHERE receipt_id = $1 AND restored_by IS NULL", receipt, posting
    )
