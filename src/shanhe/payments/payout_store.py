"""SQL of payees and payouts. Callers hold the transaction where one is needed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from shanhe.kernel.db import Database
from shanhe.payments.payout_model import ENDED, Batch, Payee, PayeeKind, PayeeState, Payout, PayoutState

PAYEE = "id, org_id, person_id, kind, last4, bank, state, checked_by, check_ref, checked_at, created_at"
PAYOUT = (
    "id, org_id, client_ref, payee_id, amount_micro, subsidy_micro, state, channel, gross_fen, withheld_fen, net_fen,"
    " trace, rule_version, lots, lot_amounts, posting_id, reference, batch, requested_by, reviewed_by, first_by,"
    " second_by, reason, created_at, decided_at, ended_at, glass, sent_by, ended_by"
)
CHANGEABLE = frozenset(
    {"channel", "gross_fen", "withheld_fen", "net_fen", "trace", "rule_version", "lots", "lot_amounts", "reference",
     "batch", "reviewed_by", "first_by", "second_by", "reason", "decided_at", "ended_at", "glass",
     "sent_by", "ended_by"}
)  # fmt: skip
RESENDS_MAX = 20
"""How often one payout is followed back from being sent again."""
Connection = Any


def _payee(row: Any) -> Payee:
    return Payee(**{**dict(row), "kind": PayeeKind(row["kind"]), "state": PayeeState(row["state"])})


def _payout(row: Any) -> Payout:
    return Payout(**{**dict(row), "state": PayoutState(row["state"])})


async def replace_payee(conn: Connection, payee: Payee, holder: bytes, account: bytes, index: bytes) -> None:
    """The newest account counts; the one before is kept for the payouts that went there."""
    await conn.execute(
        "UPDATE payments.payee SET state = 'retired' WHERE org_id = $1 AND state <> 'retired'", payee.org_id
    )
    await conn.execute(
        """INSERT INTO payments.payee (id, org_id, person_id, kind, holder, account, account_index, last4, bank, state,
                                       created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)""",
        payee.id,
        payee.org_id,
        payee.person_id,
        payee.kind,
        holder,
        account,
        index,
        payee.last4,
        payee.bank,
        payee.state,
        payee.created_at,
    )


async def payee_of(conn: Connection | Database, org_id: UUID) -> Payee | None:
    row = await conn.fetchrow(f"SELECT {PAYEE} FROM payments.payee WHERE org_id = $1 AND state <> 'retired'", org_id)
    return None if row is None else _payee(row)


async def payees_of(db: Database, org_ids: Collection[UUID]) -> list[Payee]:
    rows = await db.fetch(
        f"SELECT {PAYEE} FROM payments.payee WHERE org_id = ANY($1) AND state <> 'retired'", list(org_ids)
    )
    return [_payee(row) for row in rows]


async def payee(conn: Connection | Database, payee_id: UUID) -> Payee | None:
    row = await conn.fetchrow(f"SELECT {PAYEE} FROM payments.payee WHERE id = $1", payee_id)
    return None if row is None else _payee(row)


async def passed(db: Database, payee_id: UUID) -> bool:
    """Whether an account passed its last check, be it the one that counts now or one before."""
    found: bool = await db.fetchval("SELECT passed FROM payments.payee WHERE id = $1", payee_id)
    return found


async def sealed(db: Database, payees: Collection[UUID]) -> dict[UUID, tuple[UUID, bytes, bytes, str]]:
    rows = await db.fetch(
        "SELECT id, person_id, holder, account, bank FROM payments.payee WHERE id = ANY($1)", list(payees)
    )
    return {row["id"]: (row["person_id"], row["holder"], row["account"], row["bank"]) for row in rows}


async def set_check(
    db: Connection | Database, payee_id: UUID, state: PayeeState, by: str, reference: str, now: datetime
) -> bool:
    done = await db.execute(
        """UPDATE payments.payee SET state = $2, passed = $2 = 'passed', checked_by = $3, check_ref = $4,
                                     checked_at = $5
           WHERE id = $1 AND state <> 'retired'""",
        payee_id,
        state,
        by,
        reference,
        now,
    )
    return bool(done == "UPDATE 1")


async def lock_org(conn: Connection, org_id: UUID) -> None:
    """One payout of an organisation is decided at a time."""
    await conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", f"payout:{org_id}")


async def insert(conn: Connection, wanted: Payout) -> Payout:
    """Insert, or the payout that has the same (organisation, client reference)."""
    row = await conn.fetchrow(
        f"""INSERT INTO payments.payout (id, org_id, client_ref, payee_id, amount_micro, subsidy_micro, state,
                                         posting_id, requested_by, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (org_id, client_ref) DO NOTHING
            RETURNING {PAYOUT}""",
        wanted.id,
        wanted.org_id,
        wanted.client_ref,
        wanted.payee_id,
        wanted.amount_micro,
        wanted.subsidy_micro,
        wanted.state,
        wanted.posting_id,
        wanted.requested_by,
        wanted.created_at,
    )
    return wanted if row is None else _payout(row)


async def by_ref(conn: Connection | Database, org_id: UUID, client_ref: str) -> Payout | None:
    row = await conn.fetchrow(
        f"SELECT {PAYOUT} FROM payments.payout WHERE org_id = $1 AND client_ref = $2", org_id, client_ref
    )
    return None if row is None else _payout(row)


async def payout(conn: Connection | Database, payout_id: UUID, *, lock: bool = False) -> Payout | None:
    row = await conn.fetchrow(
        f"SELECT {PAYOUT} FROM payments.payout WHERE id = $1{' FOR UPDATE' if lock else ''}", payout_id
    )
    return None if row is None else _payout(row)


async def move(conn: Connection | Database, payout_id: UUID, to: PayoutState, **changes: Any) -> Payout:
    """Change the state and the named columns; the database refuses what the state machine does not know."""
    assert changes.keys() <= CHANGEABLE
    sets = "".join(f", {name} = ${place}" for place, name in enumerate(changes, 3))
    row = await conn.fetchrow(
        f"UPDATE payments.payout SET state = $2{sets} WHERE id = $1 RETURNING {PAYOUT}",
        payout_id,
        to,
        *changes.values(),
    )
    return _payout(row)


async def moving(db: Database, by_hand: str, limit: int) -> list[Payout]:
    """What goes on without anybody's word, oldest first; of what is sent `by_hand` only what is being booked."""
    rows = await db.fetch(
        f"""SELECT {PAYOUT} FROM payments.payout
            WHERE state IN ('approving', 'approved', 'sending', 'sent', 'returning')
              AND (state IN ('approving', 'returning') OR channel <> $1) ORDER BY id LIMIT $2""",
        by_hand, limit,
    )  # fmt: skip
    return [_payout(row) for row in rows]


async def booking(db: Database, org_id: UUID) -> list[Payout]:
    """What an organisation's second approvals fixed and the ledger may not have yet, oldest first."""
    rows = await db.fetch(
        f"SELECT {PAYOUT} FROM payments.payout WHERE org_id = $1 AND state = 'approving' ORDER BY id", org_id
    )
    return [_payout(row) for row in rows]


async def decided(conn: Connection | Database, org_id: UUID) -> int:
    """How many of an organisation's payouts had their second approval; it only grows."""
    found: int = await conn.fetchval(
        "SELECT count(*) FROM payments.payout WHERE org_id = $1 AND decided_at IS NOT NULL", org_id
    )
    return found


async def approved(db: Database, channel: str, limit: int) -> list[Payout]:
    """What is booked for a channel and not sent yet, oldest first."""
    rows = await db.fetch(
        f"SELECT {PAYOUT} FROM payments.payout WHERE state = 'approved' AND channel = $1 ORDER BY id LIMIT $2",
        channel, limit,
    )  # fmt: skip
    return [_payout(row) for row in rows]


async def listed(
    db: Database, org_id: UUID | None, state: PayoutState | None, limit: int, *, waiting: bool = False,
    before: UUID | None = None,
) -> list[Payout]:  # fmt: skip
    """Newest first; `waiting`: those that have not ended, oldest first. `before`: the last one seen."""
    beyond, order = (">", "ASC") if waiting else ("<", "DESC")
    rows = await db.fetch(
        f"""SELECT {PAYOUT} FROM payments.payout WHERE ($1::uuid IS NULL OR org_id = $1)
            AND ($2::text IS NULL OR state = $2) AND (NOT $4 OR state <> ALL($5))
            AND ($6::uuid IS NULL OR id {beyond} $6) ORDER BY id {order} LIMIT $3""",
        org_id,
        state,
        limit,
        waiting,
        list(ENDED),
        before,
    )
    return [_payout(row) for row in rows]


async def to_resend(db: Database, limit: int) -> list[Any]:
    """Payouts that came back and are to be sent again by a file: (reference, payee) with the account that their maker
    gives now; oldest first."""
    return await db.fetch(
        """WITH RECURSIVE back AS (
             SELECT reference AS again, created_at, kind, subject_id, 0 AS depth FROM payments.bank_outgoing
              WHERE kind = 'resend' AND done_at IS NULL AND batch IS NULL
             UNION ALL
             SELECT b.again, b.created_at, o.kind, o.subject_id, b.depth + 1 FROM back b
               JOIN payments.suspense s ON s.id = b.subject_id AND b.kind = 'resend'
               JOIN payments.bank_line l ON (l.file_hash, l.row) = (s.file_hash, s.row)
               JOIN payments.bank_outgoing o ON o.reference = l.reference WHERE b.depth < $2)
           SELECT b.again AS reference, y.id AS payee FROM back b
             JOIN payments.payout p ON p.id = b.subject_id AND b.kind = 'payout'
             JOIN payments.payee y ON y.org_id = p.org_id AND y.state <> 'retired'
            ORDER BY b.created_at LIMIT $1""",
        limit, RESENDS_MAX,
    )  # fmt: skip


async def put_in_file(db: Database, reference: str, payee_id: UUID, batch_id: UUID, by: str) -> None:
    """Once: whoever is first."""
    await db.execute(
        """UPDATE payments.bank_outgoing SET batch = $3, payee_id = $2, sent_by = $4
            WHERE reference = $1 AND kind = 'resend' AND batch IS NULL AND done_at IS NULL""",
        reference, payee_id, batch_id, by,
    )  # fmt: skip


async def is_batch(db: Database, batch_id: UUID) -> bool:
    found: bool = await db.fetchval(
        """SELECT EXISTS (SELECT FROM payments.payout WHERE batch = $1)
               OR EXISTS (SELECT FROM payments.bank_outgoing WHERE batch = $1)""",
        batch_id,
    )
    return found


async def in_file(db: Database, batch_id: UUID) -> list[Any]:
    """Everything in a file that is still to be sent: reference, payee, fen, and the payout, unless it is one that came
    back and is sent again; by reference."""
    return await db.fetch(
        """SELECT reference, payee_id AS payee, net_fen AS fen, id AS payout FROM payments.payout
            WHERE batch = $1 AND state = 'sent'
           UNION ALL SELECT reference, payee_id, amount_fen, NULL FROM payments.bank_outgoing
                      WHERE batch = $1 AND done_at IS NULL
           ORDER BY 1""",
        batch_id,
    )


async def batches(db: Database, limit: int) -> list[Batch]:
    """Newest first: ids grow with time."""
    rows = await db.fetch(
        """SELECT batch AS id, min(sent_by) AS by, count(*)::int AS payouts, sum(fen)::bigint AS net_fen,
                  count(*) FILTER (WHERE waits)::int AS waiting
             FROM (SELECT batch, sent_by, net_fen AS fen, state = 'sent' AS waits FROM payments.payout
                    WHERE batch IS NOT NULL
                   UNION ALL SELECT batch, sent_by, amount_fen, done_at IS NULL FROM payments.bank_outgoing
                    WHERE batch IS NOT NULL) each
            GROUP BY batch ORDER BY batch DESC LIMIT $1""",
        limit,
    )
    return [Batch(**dict(row)) for row in rows]


async def open_micro(conn: Connection | Database, org_id: UUID) -> int:
    """What is asked for and not booked yet."""
    found: int = await conn.fetchval(
        """SELECT coalesce(sum(amount_micro), 0)::bigint FROM payments.payout
           WHERE org_id = $1 AND state IN ('review', 'requested', 'first', 'approving')""",
        org_id,
    )
    return found


async def gross_fen(conn: Connection, org_id: UUID, since: datetime) -> int:
    """What was paid out (or is being) to an organisation since then."""
    found: int = await conn.fetchval(
        """SELECT coalesce(sum(gross_fen), 0)::bigint FROM payments.payout WHERE org_id = $1
           AND state IN ('approving', 'approved', 'sending', 'sent', 'confirmed') AND decided_at >= $2""",
        org_id,
        since,
    )
    return found
