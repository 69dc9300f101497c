"""Reads and rare writes: accounts, balances, lots, statements, postings, periods."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from shanhe.kernel.clock import CITY_TZ, DAY, midnight
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.errors import BadCursor, TooManyVouchers
from shanhe.ledger.model import (
    PLACE,
    Account,
    AccountView,
    Asset,
    Balance,
    Hold,
    HoldState,
    Lot,
    LotDelta,
    Moved,
    PeriodRow,
    PostingPage,
    PostingView,
    Provenance,
    Statement,
    StatementLine,
    Transfer,
    TrialRow,
    TrialSum,
    VoucherLine,
    woven,
)
from shanhe.ledger.reversing import CALL

PAGE_MAX: Final = 500
STREAM_ROWS: Final = 500
VOUCHER_LINES_MAX: Final = 100_000
PERIOD_LOCK: Final = 0x4C454447
CURSOR_SEPARATOR: Final = "~"
LOOKS: Final = (timedelta(minutes=5), timedelta(hours=6), timedelta(days=10))
"""How far back the newest postings are looked for before all are looked through."""
NO_CALL: Final = f"AND f.kind <> '{CALL}'"
"""Makes plain to the planner that the index of these can be used."""

_ACCOUNT: Final = "id, owner, asset, kind, name, floor, lots"
_BALANCE: Final = "a.balance + coalesce((SELECT sum(s.balance) FROM ledger.stripe s WHERE s.account = a.id), 0)::bigint"
_BURNS: Final = (
    "coalesce({0}.expires_at, 'infinity'), ledger.burn_rank($2::text[], {0}.provenance), {0}.issued_at, {0}.id"
)
"""Where a lot is in burn order."""
_EPOCH: Final = datetime.fromtimestamp(0, tz=CITY_TZ)
_END: Final = datetime(9999, 1, 1, tzinfo=CITY_TZ)


def account_of(row: Any) -> Account:
    return Account(row["id"], row["owner"], Asset(row["asset"]), row["kind"], row["name"], row["floor"], row["lots"])


def lot_of(row: Any) -> Lot:
    return Lot(
        row["id"], row["account"], Provenance(row["provenance"]), row["parent"], row["issued"], row["remaining"],
        row["held"], row["issued_at"], row["spendable_at"], row["unlock_at"], row["expires_at"], row["earmark"],
        row["cost_fen"],
    )  # fmt: skip


def _cursor(at: datetime, identifier: UUID) -> str:
    return f"{at.isoformat()}{CURSOR_SEPARATOR}{identifier}"


def _from_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Where a page ended; BadCursor for what none of our pages said."""
    at, _, identifier = cursor.partition(CURSOR_SEPARATOR)
    try:
        moment, last = datetime.fromisoformat(at), UUID(identifier)
    except ValueError as error:
        raise BadCursor() from error
    if moment.tzinfo is None:
        raise BadCursor()
    return moment, last


class Store:
    """The ledger's tables."""

    def __init__(self, db: Database) -> None:
        self._db = db

    # ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def open_account(
        self, owner: UUID, asset: Asset, kind: str, name: str, floor: int | None, lots: bool, now: datetime
    ) -> Account:
        """Open it unless it is; the first opener's floor and lots stand."""
        key = (owner, asset.value, kind, name)
        where = "WHERE (owner, asset, kind, name) = ($1, $2, $3, $4)"
        row = await self._db.fetchrow(f"SELECT {_ACCOUNT} FROM ledger.account {where}", *key)
        if row is None:
            row = await self._db.writes.fetchrow(
                "INSERT INTO ledger.account (owner, asset, kind, name, id, floor, lots, opened_at) "
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (owner, asset, kind, name) DO NOTHING "
                f"RETURNING {_ACCOUNT}",
                *key, new_id(), floor, lots, now,
            )  # fmt: skip
        if row is None:  # somebody else has just opened it
            row = await self._db.fetchrow(f"SELECT {_ACCOUNT} FROM ledger.account {where}", *key)
        return account_of(row)

    async def accounts(self, identifiers: Iterable[UUID]) -> list[Account]:
        query = f"SELECT {_ACCOUNT} FROM ledger.account WHERE id = ANY($1)"
        return [account_of(row) for row in await self._db.fetch(query, list(identifiers))]

    async def list_accounts(
        self, owner: UUID | None, asset: Asset | None, kind: str | None, after: UUID | None, limit: int
    ) -> list[AccountView]:
        rows = await self._db.fetch(
            f"SELECT {_ACCOUNT}, {_BALANCE} AS total, held, opened_at FROM ledger.account a "
            "WHERE ($1::uuid IS NULL OR owner = $1) AND ($2::text IS NULL OR asset = $2) "
            "AND ($3::text IS NULL OR kind = $3) AND ($4::uuid IS NULL OR id > $4) ORDER BY id LIMIT $5",
            owner, asset.value if asset else None, kind, after, min(limit, PAGE_MAX),
        )  # fmt: skip
        return [AccountView(account_of(row), row["total"], row["held"], row["opened_at"]) for row in rows]

    async def sums(self, account: UUID, since: datetime, until: datetime) -> dict[str, int]:
        """What an account moved by in [since, until), by kind of posting."""
        return {row["kind"]: row["amount"] for row in await self._db.fetch(_SUMS, account, since, until)}

    async def wallets(self, owners: Collection[UUID]) -> dict[UUID, int]:
        """What is in each of these owners' first wallet of credits, where they have one."""
        rows = await self._db.fetch(
            f"SELECT DISTINCT ON (owner) owner, {_BALANCE} AS total FROM ledger.account a "
            "WHERE owner = ANY($1) AND asset = 'credit' AND kind = 'wallet' ORDER BY owner, id",
            list(owners),
        )
        return {row["owner"]: row["total"] for row in rows}

    async def set_floor(self, account: UUID, floor: int) -> bool:
        """False when the balance does not reach the floor."""
        try:
            done = await self._db.execute(
                "UPDATE ledger.account SET floor = $2 WHERE id = $1 AND floor IS NOT NULL", account, floor
            )
        except asyncpg.CheckViolationError:
            return False
        return done == "UPDATE 1"

    async def balance(self, account: UUID, now: datetime) -> Balance | None:
        row = await self._db.fetchrow(
            f"SELECT {_BALANCE} AS total, a.held, ledger.available(a.id, $2, NULL) AS available, "
            "coalesce((SELECT sum(ll.amount) FROM ledger.lease l JOIN ledger.lease_lot ll USING (epoch) "
            "WHERE l.account = a.id), 0)::bigint AS leased FROM ledger.account a WHERE a.id = $1",
            account, now,
        )  # fmt: skip
        if row is None:
            return None
        lots = await self._db.fetch(
            "SELECT provenance, sum(remaining)::bigint AS amount FROM ledger.lot "
            "WHERE account = $1 AND open GROUP BY 1",
            account,
        )
        leased = row["leased"]
        parts = {Provenance(lot["provenance"]): lot["amount"] for lot in lots}
        return Balance(row["total"], max(0, row["available"]) + leased, row["held"] - leased, leased, parts)

    async def lots(
        self, account: UUID, order: list[str], *, spent: bool, before: UUID | None, limit: int
    ) -> list[Lot]:  # fmt: skip
        """In burn order. The place of a lot that is spent meanwhile stays where it was."""
        rows = await self._db.fetch(
            f"""SELECT l.* FROM ledger.lot l WHERE l.account = $1 AND (l.open OR $3) AND ($4::uuid IS NULL OR
                  ($3 AND NOT l.open, {_BURNS.format("l")}) >
                  (SELECT $3 AND NOT b.open, {_BURNS.format("b")} FROM ledger.lot b WHERE b.id = $4))
                ORDER BY NOT l.open, {_BURNS.format("l")} LIMIT $5""",
            account, order, spent, before, min(limit, PAGE_MAX),
        )  # fmt: skip
        return [lot_of(row) for row in rows]

    async def lots_by_id(self, identifiers: list[UUID]) -> dict[UUID, Lot]:
        rows = await self._db.fetch("SELECT * FROM ledger.lot WHERE id = ANY($1)", identifiers)
        return {row["id"]: lot_of(row) for row in rows}

    async def burned(self, account: UUID, kind: str, since: datetime, until: datetime) -> dict[Provenance, int]:
        rows = await self._db.fetch(
            """SELECT l.provenance, sum(-d.delta)::bigint AS amount
               FROM (SELECT DISTINCT posting FROM ledger.transfer WHERE debit = $1 AND at >= $3 AND at < $4) t
               JOIN ledger.posting p ON p.id = t.posting AND p.kind = $2
                AND NOT EXISTS (SELECT FROM ledger.posting r WHERE r.reverses = p.id)
               CROSS JOIN LATERAL unnest(p.lots, p.lot_deltas) d(lot, delta)
               JOIN ledger.lot l ON l.id = d.lot AND l.account = $1 WHERE d.delta < 0 GROUP BY l.provenance""",
            account, kind, since, until,
        )  # fmt: skip
        return {Provenance(row["provenance"]): row["amount"] for row in rows}

    async def expired_lots(self, now: datetime, limit: int) -> list[Lot]:
        rows = await self._db.fetch(
            "SELECT * FROM ledger.lot WHERE open AND expires_at <= $1 AND remaining > held ORDER BY account LIMIT $2",
            now, limit,
        )  # fmt: skip
        return [lot_of(row) for row in rows]

    async def hold(self, identifier: UUID) -> Hold | None:
        row = await self._db.fetchrow("SELECT * FROM ledger.hold WHERE id = $1", identifier)
        if row is None:
            return None
        lots = tuple(LotDelta(lot, amount) for lot, amount in zip(row["lots"], row["lot_amounts"], strict=True))
        return Hold(
            row["id"], row["account"], row["amount"], row["purpose"], HoldState(row["state"]), row["expires_at"], lots
        )

    async def sweep(self, now: datetime, limit: int) -> tuple[int, int]:
        """Expired holds and leases."""
        holds = await self._db.writes.fetchval("SELECT ledger.sweep_holds($1, $2)", now, limit)
        leases = await self._db.writes.fetchval("SELECT ledger.sweep_leases($1, NULL, $2)", now, limit)
        return holds, leases

    async def reclaim_worker(self, worker: str, now: datetime, limit: int) -> int:
        return int(await self._db.writes.fetchval("SELECT ledger.sweep_leases($1, $2, $3)", now, worker, limit))

    # ── postings ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def posting(self, identifier: UUID) -> PostingView | None:
        found = await self.postings_by_id([identifier])
        return found[0] if found else None

    async def postings_by_id(self, identifiers: list[UUID]) -> list[PostingView]:
        """In the order asked for."""
        rows = await self._db.fetch(
            "SELECT p.*, b.text AS preamble_text FROM ledger.posting p "
            "LEFT JOIN ledger.preamble b ON b.id = p.preamble WHERE p.id = ANY($1)", identifiers,
        )  # fmt: skip
        transfers: dict[UUID, list[Transfer]] = {}
        query = "SELECT t.* FROM unnest($1::uuid[]) WITH ORDINALITY p(id, n), ledger.transfers_of(p.id) t"
        for row in await self._db.fetch(query, [row["id"] for row in rows]):
            one = Transfer(row["id"], row["debit"], row["credit"], row["amount"])
            transfers.setdefault(row["posting"], []).append(one)
        by_id = {row["id"]: row for row in rows}
        return [_posting_of(by_id[key], transfers.get(key, [])) for key in identifiers if key in by_id]

    async def reversed_among(self, identifiers: list[UUID], actor: str | None) -> dict[UUID, UUID]:
        rows = await self._db.fetch(
            "SELECT id, reverses FROM ledger.posting WHERE reverses = ANY($1) AND ($2::text IS NULL OR actor = $2)",
            identifiers, actor,
        )  # fmt: skip
        return {row["reverses"]: row["id"] for row in rows}

    async def postings(
        self, account: UUID | None, kind: str | None, since: datetime | None, until: datetime | None,
        cursor: str | None, limit: int, now: datetime,
    ) -> PostingPage:  # fmt: skip
        limit = min(limit, PAGE_MAX)
        at, last = _from_cursor(cursor) if cursor else (_END, UUID(int=2**128 - 1))
        begin, end = since or _EPOCH, until or _END
        bounds = "(f.at, {id}) < ($1, $2) AND f.at >= $3 AND f.at < $4"
        order = "ORDER BY f.at DESC, {id} DESC LIMIT $5"
        args: list[Any] = [kind] if kind else []
        if account is not None:
            of_kind = "JOIN ledger.posting k ON k.id = f.posting AND k.kind = $7" if kind else ""
            sides = [
                f"(SELECT DISTINCT f.posting, f.at FROM ledger.transfer f {of_kind} WHERE f.{side} = $6 "
                f"AND {bounds} {order})".format(id="f.posting")
                for side in ("debit", "credit")
            ]
            union = f"SELECT DISTINCT f.posting, f.at FROM ({' UNION ALL '.join(sides)}) f "
            query, starts = union + order.format(id="f.posting"), [begin]
            args = [account, *args]
        else:
            query = f"SELECT f.id AS posting, f.at FROM ledger.posting f WHERE {bounds} ".format(id="f.id")
            query += f"AND f.kind = $6 {'' if kind == CALL else NO_CALL} " if kind else ""
            query += order.format(id="f.id")
            # What is no call has an index; the others lie in order, and are mostly asked for where they are new.
            starts = [begin] if kind and kind != CALL else [*(min(at, end, now) - far for far in LOOKS), begin]
        rows: list[Any] = []
        for start in starts:
            if len(rows) < limit:
                rows = await self._db.fetch(query, at, last, max(start, begin), end, limit, *args)
        items = await self.postings_by_id([row["posting"] for row in rows])
        more = _cursor(rows[-1]["at"], rows[-1]["posting"]) if len(rows) == limit else None
        return PostingPage(tuple(items), more)

    async def statement(
        self, account: UUID, since: datetime, until: datetime, cursor: str | None, limit: int,
        opening: int | None = None,
    ) -> Statement:  # fmt: skip
        """`opening`: the balance at the cursor, where it is known."""
        limit = min(limit, PAGE_MAX)
        at, last = _from_cursor(cursor) if cursor else (since, UUID(int=0))
        async with self._db.snapshot() as connection:
            if opening is None:
                opening = await _balance_at(connection, account, at, last)
            rows = await connection.fetch(_LINES, account, at, last, until, limit)
        lines, balance = [], opening
        for row in rows:
            balance += row["amount"]
            lines.append(_line_of(row, balance))
        more = _cursor(rows[-1]["at"], rows[-1]["id"]) if len(rows) == limit else None
        return Statement(account, opening, balance, tuple(lines), more)

    async def stream_statement(self, account: UUID, since: datetime, until: datetime) -> AsyncIterator[StatementLine]:
        """Every line of a period, page by page: no transaction stays open while the reader is slow."""
        cursor: str | None = None
        balance: int | None = None
        while True:
            page = await self.statement(account, since, until, cursor, STREAM_ROWS, balance)
            for line in page.lines:
                yield line
            if page.next is None:
                return
            cursor, balance = page.next, page.closing

    async def period(self, since: date, until: date, asset: Asset | None) -> list[PeriodRow]:
        """What the last close before it counted, and what came since."""
        async with self._db.snapshot() as connection:
            counted: date | None = await connection.fetchval(_CLOSED_BEFORE, since)
            begun = _EPOCH if counted is None else midnight(counted + DAY)
            rows = await connection.fetch(_PERIOD, since, until, asset, counted, begun)
        return [PeriodRow(account_of(row), row["opening"], row["debits"], row["credits"]) for row in rows]

    async def vouchers(self, since: date, until: date, asset: Asset) -> list[VoucherLine]:
        first = since.replace(day=1)
        between = (midnight(first - DAY), midnight(until + 2 * DAY))  # of a posting, `day` decides
        rows = await self._db.fetch(_VOUCHERS, asset, first, until, *between, VOUCHER_LINES_MAX + 1)
        if len(rows) > VOUCHER_LINES_MAX:
            raise TooManyVouchers(VOUCHER_LINES_MAX)
        found, number, last = list[VoucherLine](), 0, None
        for row in rows:
            month = row["day"].replace(day=1)
            if last != (row["posting"], month):
                number = 1 if last is None or last[1] != month else number + 1
                last = (row["posting"], month)
            if row["day"] >= since:
                found.append(VoucherLine(number, *row))
        return found

    async def moved(self, account: UUID, since: datetime, until: datetime) -> list[Moved]:
        rows = await self._db.fetch(_MOVED, account, since, until)
        return [Moved(row["id"], row["matter"], row["day"], row["kind"], row["amount"]) for row in rows]

    async def moved_by(self, account: UUID, day: date) -> int:
        return int(await self._db.fetchval(_MOVED_BY, account, day))

    async def first_moved(self, account: UUID) -> datetime | None:
        found: datetime | None = await self._db.fetchval(_FIRST_MOVED, account)
        return found

    async def trial_balance(self) -> list[TrialRow]:
        """What the last close counted, and what came since."""
        async with self._db.snapshot() as connection:
            moves, args, more = await _uncounted(connection)
            moved = await _turnover(connection, moves, *args, more=more)
            rows = await connection.fetch(
                f"SELECT {_ACCOUNT}, {_BALANCE} AS total FROM ledger.account a WHERE a.id = ANY($1) "
                "ORDER BY asset, kind, name, id", list(moved),
            )  # fmt: skip
        return [TrialRow(account_of(row), *moved[row["id"]], row["total"]) for row in rows]

    async def trial_sums(self) -> list[TrialSum]:
        """What the last close counted, and what came since."""
        async with self._db.snapshot() as connection:
            moves, args, more = await _uncounted(connection)
            rows = await connection.fetch(_TRIAL_SUMS.format(moves=moves, turnover=_TURNOVER.format(more=more)), *args)
        return [TrialSum(Asset(row[0]), *row[1:]) for row in map(tuple, rows)]

    # ── periods ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def closed_through(self) -> date | None:
        found: date | None = await self._db.fetchval("SELECT max(closed_through) FROM ledger.period")
        return found

    async def close_period(self, through: date, actor: str, now: datetime) -> bool:
        """False when it is closed that far already. Keeps what moved on every account until that evening, all counted
        anew."""
        async with self._db.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", PERIOD_LOCK)
            last = await connection.fetchval("SELECT max(closed_through) FROM ledger.period")
            if last is not None and last >= through:
                return False
            moved = await _turnover(connection, _UNTIL, through)
            await connection.execute("INSERT INTO ledger.period VALUES ($1, $2, $3)", through, now, actor)
            await connection.executemany(
                "INSERT INTO ledger.period_balance (closed_through, account, balance, debits, credits) "
                "VALUES ($1, $2, $4::bigint - $3::bigint, $3, $4)",
                [(through, account, *sums) for account, sums in moved.items()],
            )
            return True

    async def period_balances(self, through: date) -> dict[UUID, int]:
        query = "SELECT account, balance FROM ledger.period_balance WHERE closed_through = $1"
        return {row["account"]: row["balance"] for row in await self._db.fetch(query, through)}


_FOLD: Final = (
    "SELECT coalesce(sum(f.amount), 0)::bigint FROM (SELECT id, at, -amount AS amount FROM ledger.transfer "
    "WHERE debit = $1 UNION ALL SELECT id, at, amount FROM ledger.transfer WHERE credit = $1) f WHERE (f.at, f.id) "
)
_SUMS: Final = """
SELECT p.kind, sum(f.amount)::bigint AS amount FROM (
  SELECT posting, -amount AS amount FROM ledger.transfer WHERE debit = $1 AND at >= $2 AND at < $3
  UNION ALL SELECT posting, amount FROM ledger.transfer WHERE credit = $1 AND at >= $2 AND at < $3
) f JOIN ledger.posting p ON p.id = f.posting GROUP BY p.kind
"""
_IS_LATE: Final = """
SELECT $2::timestamptz - min(e.at) > max(e.at) - $2 FROM (
  (SELECT at FROM ledger.transfer WHERE debit = $1 ORDER BY at LIMIT 1)
  UNION ALL (SELECT at FROM ledger.transfer WHERE debit = $1 ORDER BY at DESC LIMIT 1)
  UNION ALL (SELECT at FROM ledger.transfer WHERE credit = $1 ORDER BY at LIMIT 1)
  UNION ALL (SELECT at FROM ledger.transfer WHERE credit = $1 ORDER BY at DESC LIMIT 1)) e
"""
_LINES: Final = """
SELECT f.*, p.kind, p.memo FROM (
  (SELECT id, posting, at, credit AS other, -amount AS amount FROM ledger.transfer
   WHERE debit = $1 AND (at, id) > ($2, $3) AND at < $4 ORDER BY at, id LIMIT $5)
  UNION ALL
  (SELECT id, posting, at, debit AS other, amount FROM ledger.transfer
   WHERE credit = $1 AND (at, id) > ($2, $3) AND at < $4 ORDER BY at, id LIMIT $5)
) f JOIN ledger.posting p ON p.id = f.posting ORDER BY f.at, f.id LIMIT $5
"""
_CLOSED_BEFORE: Final = "SELECT max(closed_through) FROM ledger.period WHERE closed_through < $1"
_PERIOD: Final = f"""
WITH moved AS (
  SELECT f.account, coalesce(sum(f.credit - f.debit) FILTER (WHERE p.day < $1), 0)::bigint AS before,
         coalesce(sum(f.debit) FILTER (WHERE p.day >= $1), 0)::bigint AS debits,
         coalesce(sum(f.credit) FILTER (WHERE p.day >= $1), 0)::bigint AS credits
    FROM (SELECT posting, debit AS account, amount AS debit, 0::bigint AS credit FROM ledger.transfer WHERE at >= $5
          UNION ALL SELECT posting, credit, 0, amount FROM ledger.transfer WHERE at >= $5) f
    JOIN ledger.posting p ON p.id = f.posting AND p.at >= $5
   WHERE p.day <= $2 AND p.day > coalesce($4::date, '-infinity') GROUP BY 1)
SELECT {_ACCOUNT}, coalesce(b.balance, 0) + coalesce(m.before, 0) AS opening, coalesce(m.debits, 0) AS debits,
       coalesce(m.credits, 0) AS credits
  FROM ledger.account a
  LEFT JOIN ledger.period_balance b ON b.account = a.id AND b.closed_through = $4::date
  LEFT JOIN moved m ON m.account = a.id
 WHERE ($3::text IS NULL OR a.asset = $3) AND (coalesce(b.balance, 0) <> 0 OR m.account IS NOT NULL)
 ORDER BY asset, kind, name, id
"""
_VOUCHERS: Final = """
SELECT p.id AS posting, p.day, p.kind, p.memo, p.actor, t.debit, t.credit, t.amount
  FROM ledger.account a JOIN ledger.transfer t ON t.debit = a.id AND t.at >= $4 AND t.at < $5
  JOIN ledger.posting p ON p.id = t.posting
 WHERE a.asset = $1 AND p.day BETWEEN $2 AND $3 ORDER BY p.day, p.at, p.id, t.id LIMIT $6
"""
_MOVED: Final = """
SELECT p.id, coalesce(p.reverses, p.id) AS matter, p.day, p.kind, sum(f.amount)::bigint AS amount FROM (
  SELECT posting, -amount AS amount FROM ledger.transfer WHERE debit = $1 AND at >= $2 AND at < $3
  UNION ALL SELECT posting, amount FROM ledger.transfer WHERE credit = $1 AND at >= $2 AND at < $3) f
JOIN ledger.posting p ON p.id = f.posting GROUP BY p.id ORDER BY p.day, p.id
"""
_MOVED_BY: Final = """
SELECT coalesce(sum(f.amount), 0)::bigint FROM (
  SELECT posting, -amount AS amount FROM ledger.transfer WHERE debit = $1
  UNION ALL SELECT posting, amount FROM ledger.transfer WHERE credit = $1) f
JOIN ledger.posting p ON p.id = f.posting WHERE p.day <= $2
"""
_FIRST_MOVED: Final = """
SELECT least((SELECT min(at) FROM ledger.transfer WHERE debit = $1),
             (SELECT min(at) FROM ledger.transfer WHERE credit = $1))
"""
_COUNTED: Final = """
SELECT max(p.closed_through) FROM ledger.period p
WHERE NOT EXISTS (SELECT FROM ledger.period_balance b WHERE b.closed_through = p.closed_through AND b.debits IS NULL)
"""
_ALL: Final = "SELECT debit, credit, amount FROM ledger.transfer"
_UNTIL: Final = """
SELECT t.debit, t.credit, t.amount FROM ledger.transfer t JOIN ledger.posting p ON p.id = t.posting WHERE p.day <= $1
"""
_SINCE: Final = """
SELECT t.debit, t.credit, t.amount FROM ledger.transfer t JOIN ledger.posting p ON p.id = t.posting
WHERE t.at >= $1 AND p.at >= $1 AND p.day > $2
"""
_TURNOVER: Final = """
SELECT u.account, sum(u.debits)::bigint AS debits, sum(u.credits)::bigint AS credits FROM (
  SELECT debit, sum(amount), 0 FROM moved GROUP BY 1 UNION ALL SELECT credit, 0, sum(amount) FROM moved GROUP BY 1{more}
) u(account, debits, credits) GROUP BY 1
"""
_TRIAL_SUMS: Final = f"""
WITH moved AS MATERIALIZED ({{moves}}), turned AS ({{turnover}})
SELECT a.asset, a.kind, count(*)::int, sum(u.debits)::bigint, sum(u.credits)::bigint, sum({_BALANCE})::bigint
FROM turned u JOIN ledger.account a ON a.id = u.account GROUP BY 1, 2 ORDER BY 1, 2
"""
_COUNTED_THEN: Final = " UNION ALL SELECT account, debits, credits FROM ledger.period_balance WHERE closed_through = $2"


async def _uncounted(connection: Any) -> tuple[str, tuple[Any, ...], str]:
    """Which moves no close has counted, their arguments, and what the last close counted."""
    counted: date | None = await connection.fetchval(_COUNTED)
    if counted is None:
        return _ALL, (), ""
    return _SINCE, (midnight(counted + DAY), counted), _COUNTED_THEN  # a day that is closed takes no more postings


async def _turnover(connection: Any, moves: str, *args: Any, more: str = "") -> dict[UUID, tuple[int, int]]:
    """Debits and credits by account of these moves, and of what was counted before them."""
    rows = await connection.fetch(f"WITH moved AS MATERIALIZED ({moves}) {_TURNOVER.format(more=more)}", *args)
    return {row["account"]: (row["debits"], row["credits"]) for row in rows}


async def _balance_at(connection: Any, account: UUID, at: datetime, last: UUID) -> int:
    """The balance once a transfer at that time with that id was booked, from the nearer end of the account's life."""
    if not await connection.fetchval(_IS_LATE, account, at):
        return int(await connection.fetchval(_FOLD + "<= ($2, $3)", account, at, last))
    now = await connection.fetchval(f"SELECT {_BALANCE} FROM ledger.account a WHERE a.id = $1", account)
    return int(now - await connection.fetchval(_FOLD + "> ($2, $3)", account, at, last))


def _posting_of(row: Any, transfers: list[Transfer]) -> PostingView:
    deltas = zip(row["lots"] or (), row["lot_deltas"] or (), strict=True)
    return PostingView(
        row["id"], row["kind"], row["at"], row["day"], row["actor"], row["memo"], row["reverses"],
        row["evidence"] if row["preamble"] is None else woven(row["preamble_text"].split(PLACE), row["evidence"]),
        tuple(transfers), tuple(LotDelta(lot, amount) for lot, amount in deltas),
    )  # fmt: skip


def _line_of(row: Any, balance: int) -> StatementLine:
    return StatementLine(
        row["id"], row["posting"], row["at"], row["kind"], row["memo"], row["other"], row["amount"], balance
    )
