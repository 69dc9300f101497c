"""Every invariant recomputed from the transfers and postings, in one snapshot."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from shanhe.kernel.db import Database
from shanhe.ledger.model import Finding, VerifyReport

FINDINGS_MAX: Final = 20
"""Listed per invariant."""
SWEEP_GRACE: Final = timedelta(seconds=15)
"""A hold may be this much older than its expiry: the sweep runs every few seconds."""
COMMAND_LIMIT_S: Final = 600.0

_TOTAL: Final = (
    "SELECT a.id, a.asset, a.lots, a.held, (a.balance + coalesce(s.balance, 0))::bigint AS balance "
    "FROM ledger.account a LEFT JOIN (SELECT account, sum(balance) AS balance FROM ledger.stripe GROUP BY 1) s "
    "ON s.account = a.id"
)

CHECKS: Final[dict[str, str]] = {
    "each asset sums to zero": f"""
        SELECT asset AS subject, 0::bigint AS expected, sum(balance)::bigint AS found
        FROM ({_TOTAL}) t GROUP BY asset HAVING sum(balance) <> 0""",
    "both sides of a transfer have the same asset": """
        SELECT t.id::text AS subject, 1::bigint AS expected, 0::bigint AS found FROM ledger.transfer t
        LEFT JOIN ledger.account d ON d.id = t.debit LEFT JOIN ledger.account c ON c.id = t.credit
        WHERE d.asset IS DISTINCT FROM c.asset OR d.asset IS NULL""",
    "a transfer belongs to a posting": """
        SELECT t.id::text AS subject, 1::bigint AS expected, 0::bigint AS found
        FROM ledger.transfer t LEFT JOIN ledger.posting p ON p.id = t.posting WHERE p.id IS NULL""",
    "what evidence shares with others is there": """
        SELECT p.id::text AS subject, 1::bigint AS expected, 0::bigint AS found FROM ledger.posting p
        LEFT JOIN ledger.preamble b ON b.id = p.preamble WHERE p.preamble IS NOT NULL AND b.id IS NULL""",
    "balance = fold of transfers": f"""
        SELECT t.id::text AS subject, coalesce(f.amount, 0)::bigint AS expected, t.balance AS found
        FROM ({_TOTAL}) t LEFT JOIN (
          SELECT account, sum(amount) AS amount FROM (
            SELECT debit AS account, -amount AS amount FROM ledger.transfer
            UNION ALL SELECT credit, amount FROM ledger.transfer) u GROUP BY account) f ON f.account = t.id
        WHERE t.balance <> coalesce(f.amount, 0)""",
    "a close counted all that is dated by it": """
        WITH last AS (SELECT max(closed_through) AS through FROM ledger.period p WHERE NOT EXISTS (
          SELECT FROM ledger.period_balance b WHERE b.closed_through = p.closed_through AND b.debits IS NULL))
        SELECT coalesce(b.account, f.account)::text AS subject, coalesce(f.amount, 0)::bigint AS expected,
          coalesce(b.balance, 0) AS found
        FROM (SELECT account, balance FROM ledger.period_balance JOIN last ON closed_through = through) b
        FULL JOIN (
          SELECT u.account, sum(u.amount) AS amount
          FROM last JOIN ledger.posting p ON p.day <= last.through JOIN ledger.transfer t ON t.posting = p.id
          CROSS JOIN LATERAL (VALUES (t.debit, -t.amount), (t.credit, t.amount)) u(account, amount)
          GROUP BY u.account) f ON f.account = b.account
        WHERE coalesce(b.balance, 0) <> coalesce(f.amount, 0)""",
    "lots sum to their account's balance": f"""
        SELECT t.id::text AS subject, t.balance AS expected, coalesce(l.amount, 0)::bigint AS found
        FROM ({_TOTAL}) t LEFT JOIN (SELECT account, sum(remaining) AS amount FROM ledger.lot GROUP BY 1) l
          ON l.account = t.id
        WHERE coalesce(l.amount, 0) <> CASE WHEN t.lots THEN t.balance ELSE 0 END""",
    "a lot's remainder = fold of what postings did to it": """
        SELECT l.id::text AS subject, coalesce(f.amount, 0)::bigint AS expected, l.remaining AS found
        FROM ledger.lot l FULL JOIN (
          SELECT u.lot, sum(u.delta) AS amount FROM ledger.posting p, unnest(p.lots, p.lot_deltas) u(lot, delta)
          GROUP BY u.lot) f ON f.lot = l.id
        WHERE l.remaining IS DISTINCT FROM coalesce(f.amount, 0)::bigint""",
    "holds and leases sum to what lots hold": """
        SELECT l.id::text AS subject, coalesce(s.amount, 0)::bigint AS expected, l.held AS found
        FROM ledger.lot l LEFT JOIN ledger.set_aside s ON s.lot = l.id WHERE l.held <> coalesce(s.amount, 0)""",
    "holds and leases sum to what accounts hold": """
        SELECT a.id::text AS subject, coalesce(h.amount, 0)::bigint AS expected, a.held AS found
        FROM ledger.account a LEFT JOIN (
          SELECT account, sum(amount) AS amount FROM (
            SELECT account, amount FROM ledger.hold WHERE state = 'open'
            UNION ALL SELECT l.account, ll.amount FROM ledger.lease l JOIN ledger.lease_lot ll USING (epoch)) u
          GROUP BY account) h ON h.account = a.id
        WHERE a.held <> coalesce(h.amount, 0)""",
    "a hold's lots sum to it": """
        SELECT h.id::text AS subject, h.amount AS expected, coalesce(s.amount, 0)::bigint AS found
        FROM ledger.hold h JOIN ledger.account a ON a.id = h.account AND a.lots
        LEFT JOIN LATERAL (SELECT sum(u) AS amount FROM unnest(h.lot_amounts) u) s ON true
        WHERE h.amount <> coalesce(s.amount, 0)""",
    "no open hold is older than its expiry": """
        SELECT id::text AS subject, 0::bigint AS expected, amount AS found FROM ledger.hold
        WHERE state = 'open' AND expires_at < $1""",
    "what a subsidy lot paid stays subsidy": """
        SELECT c.id::text AS subject, 0::bigint AS expected, c.issued AS found
        FROM ledger.lot c JOIN ledger.lot p ON p.id = c.parent
        WHERE p.provenance = 'subsidy' AND c.provenance <> 'subsidy'""",
    "no sold lot has a subsidy ancestor": """
        WITH RECURSIVE line AS (
          SELECT id, parent, issued FROM ledger.lot WHERE provenance = 'exchange'
          UNION SELECT l.id, p.parent, l.issued FROM line l JOIN ledger.lot p ON p.id = l.parent)
        SELECT DISTINCT l.id::text AS subject, 0::bigint AS expected, l.issued AS found
        FROM line l JOIN ledger.lot a ON a.id = l.parent WHERE a.provenance = 'subsidy'""",
    "play money stays play money": r"""
        SELECT t.id::text AS subject, 0::bigint AS expected, t.amount AS found FROM ledger.transfer t
        JOIN ledger.account d ON d.id = t.debit JOIN ledger.account c ON c.id = t.credit
        WHERE (d.kind LIKE 'play\_%') <> (c.kind LIKE 'play\_%')""",
    "a call pays tradeable value only as far as it burned some": """
        SELECT p.id::text AS subject,
          -coalesce(sum(u.delta) FILTER (WHERE u.delta < 0 AND l.provenance <> 'subsidy'), 0)::bigint AS expected,
          sum(u.delta) FILTER (WHERE u.delta > 0 AND l.provenance <> 'subsidy')::bigint AS found
        FROM ledger.posting p, unnest(p.lots, p.lot_deltas) u(lot, delta) JOIN ledger.lot l ON l.id = u.lot
        WHERE p.kind = 'call' AND EXISTS (SELECT FROM unnest(p.lot_deltas) d WHERE d > 0)
        GROUP BY p.id HAVING coalesce(sum(u.delta) FILTER (WHERE l.provenance <> 'subsidy'), 0) > 0
          AND bool_or(u.delta < 0)""",
}


async def verify(db: Database, now: datetime) -> VerifyReport:
    """Recompute everything; reads only."""
    findings: list[Finding] = []
    async with db.snapshot() as connection:
        for name, query in CHECKS.items():
            args = [now - SWEEP_GRACE] if "$1" in query else []
            rows = await connection.fetch(f"{query} LIMIT {FINDINGS_MAX}", *args, timeout=COMMAND_LIMIT_S)
            findings += [Finding(name, str(row["subject"]), row["expected"], row["found"] or 0) for row in rows]
        counts = [
            await connection.fetchval(f"SELECT count(*) FROM ledger.{table}", timeout=COMMAND_LIMIT_S)
            for table in ("account", "transfer", "lot")
        ]
    return VerifyReport(counts[0], counts[1], counts[2], tuple(findings))
