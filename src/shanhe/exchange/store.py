"""SQL of the exchange. Writers get a connection inside a transaction; readers take the pool."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from shanhe.exchange.book import Order
from shanhe.exchange.model import BUY, AuctionView, Level, Market, OrderView, TradeView, Validity
from shanhe.kernel.db import Database
from shanhe.kernel.literals import integers, texts, uuids

PAGE_ROWS: Final = 500
Connection = Any

ORDER_COLUMNS: Final = (
    "id", "market", "seq", "org_id", "party", "related", "side", "ticks", "quantity", "discount_bps",
    "validity", "until_us", "rank", "asked_ticks", "asked_quantity", "credit_account", "cash_account", "ordered_on",
    "placed_at", "actor",
)  # fmt: skip
_VIEW: Final = (
    "id, market, org_id, side, ticks, quantity, filled, cash_fen, fee_fen, validity, state, placed_at, ended_at, "
    "until_us, actor"
)
_TRADE: Final = (
    "t.id, t.market, t.seq, t.at, t.buy, t.sell, b.org_id AS buyer, s.org_id AS seller, t.quantity, t.ticks, "
    "t.cash_fen, t.fee_fen, t.settled_at, t.void_at"
)
_TRADES: Final = (
    f"SELECT {_TRADE} FROM exchange.trade t "
    "JOIN exchange.orders b ON b.id = t.buy JOIN exchange.orders s ON s.id = t.sell"
)

_AUCTIONS: Final = """
    SELECT a.slot, a.held_at, a.seq, CASE WHEN a.trades > v.trades THEN a.ticks END AS ticks,
           a.quantity - v.quantity AS quantity, a.trades - v.trades AS trades, a.forced_by
    FROM exchange.auction a, LATERAL (
      SELECT count(*) AS trades, coalesce(sum(t.quantity), 0)::bigint AS quantity FROM exchange.trade t
      WHERE t.market = a.market AND t.seq = a.seq AND t.void_at IS NOT NULL) v"""
"""Auctions as what stands of them: without the trades that are void."""


# -- acceptance -------------------------------------------------------------------------------------------------------


async def head(conn: Connection | Database, market: Market, *, lock: bool = False) -> Any:
    return await conn.fetchrow(
        f"SELECT * FROM exchange.market WHERE market = $1{' FOR UPDATE' if lock else ''}", market
    )


async def move_head(conn: Connection, market: Market, values: dict[str, Any]) -> None:
    await conn.execute(
        """UPDATE exchange.market SET seq = $2, at_us = $3, floor = $4, ceiling = $5, continuous = $6, paused = $7,
                                      reason = $8, actor = $9, resumed_us = $10 WHERE market = $1""",
        market, values["seq"], values["at_us"], values["floor"], values["ceiling"], values["continuous"],
        values["paused"], values["reason"], values["actor"], values["resumed_us"],
    )  # fmt: skip


async def known_orders(conn: Connection, identifiers: Sequence[UUID]) -> dict[UUID, Any]:
    rows = await conn.fetch(
        """SELECT id, market, org_id, party, related, side, ticks, quantity, filled, value, asked_ticks, asked_quantity,
                  state, validity, until_us, credit_account, cash_account
           FROM exchange.orders WHERE id = ANY($1)""",
        identifiers,
    )
    return {row["id"]: row for row in rows}


async def open_counts(conn: Connection, market: Market, org_ids: Sequence[UUID]) -> dict[UUID, int]:
    rows = await conn.fetch(
        """SELECT o.org_id, count(*) AS n FROM exchange.orders o
           WHERE o.org_id = ANY($1) AND o.state = 'open' AND o.market = $2 GROUP BY 1""",
        org_ids,
        market,
    )
    return {row["org_id"]: row["n"] for row in rows}


async def meeting_own(conn: Connection, market: Market, rows: Sequence[tuple[int, UUID, int, int]]) -> set[int]:
    """Of rows (number, party, side, ticks): the numbers that would meet an open order of that party."""
    if not rows:
        return set()
    numbers, parties, sides, ticks = zip(*rows, strict=True)
    found = await conn.fetch(
        """SELECT q.n FROM unnest($2::text::int[], $3::text::uuid[], $4::text::int[], $5::text::int[])
                           q(n, party, side, ticks)
           WHERE q.side = 0 AND EXISTS (SELECT FROM exchange.orders o WHERE o.party = q.party AND o.side = 1
                                          AND o.state = 'open' AND o.market = $1 AND o.ticks <= q.ticks)
              OR q.side = 1 AND EXISTS (SELECT FROM exchange.orders o WHERE o.party = q.party AND o.side = 0
                                          AND o.state = 'open' AND o.market = $1 AND o.ticks >= q.ticks)""",
        market, integers(numbers), uuids(parties), integers(sides), integers(ticks),
    )  # fmt: skip
    return {row["n"] for row in found}


async def due(conn: Connection | Database, market: Market, at_us: int) -> bool:
    """Whether an open order's time is over."""
    found = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM exchange.orders WHERE market = $1 AND state = 'open' AND until_us <= $2)",
        market, at_us,
    )  # fmt: skip
    return bool(found)


async def open_ids(conn: Connection | Database, market: Market, limit: int) -> list[UUID]:
    rows = await conn.fetch(
        "SELECT id FROM exchange.orders WHERE market = $1 AND state = 'open' ORDER BY seq LIMIT $2", market, limit
    )
    return [row["id"] for row in rows]


async def needs(conn: Connection, market: Market, after: UUID, limit: int) -> list[Any]:
    """Of open orders behind an id: what tells how much each may still take."""
    return list(
        await conn.fetch(
            """SELECT id, side, ticks, quantity - filled AS left, value, cash_fen FROM exchange.orders
               WHERE market = $1 AND state = 'open' AND id > $2 ORDER BY id LIMIT $3""",
            market, after, limit,
        )
    )  # fmt: skip


async def last_slot(conn: Connection | Database, market: Market) -> datetime | None:
    slot: datetime | None = await conn.fetchval("SELECT max(slot) FROM exchange.auction WHERE market = $1", market)
    return slot


async def insert_orders(conn: Connection, records: Iterable[tuple[Any, ...]]) -> None:
    await conn.copy_records_to_table("orders", schema_name="exchange", columns=ORDER_COLUMNS, records=records)


async def insert_events(conn: Connection, records: Iterable[tuple[str, int, bytes]]) -> None:
    await conn.copy_records_to_table(
        "event", schema_name="exchange", columns=("market", "seq", "body"), records=records
    )


# -- matching ---------------------------------------------------------------------------------------------------------


async def matcher(conn: Connection | Database, market: Market, *, lock: bool = False) -> Any:
    return await conn.fetchrow(
        f"SELECT * FROM exchange.matcher WHERE market = $1{' FOR UPDATE' if lock else ''}", market
    )


async def move_matcher(conn: Connection, market: Market, values: tuple[Any, ...]) -> None:
    await conn.execute(
        """UPDATE exchange.matcher SET seq = $2, floor = $3, ceiling = $4, continuous = $5, paused = $6,
                                       last_ticks = $7 WHERE market = $1""",
        market, *values,
    )  # fmt: skip


async def events(conn: Connection | Database, market: Market, after: int, through: int, limit: int) -> list[bytes]:
    rows = await conn.fetch(
        "SELECT body FROM exchange.event WHERE market = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4",
        market, after, through, limit,
    )  # fmt: skip
    return [row["body"] for row in rows]


async def open_orders(conn: Connection | Database, market: Market, through: int) -> list[Order]:
    """Open orders as of a sequence number that was folded in, oldest rank first."""
    rows = await conn.fetch(
        """SELECT id, party, side, ticks, quantity, filled, rank, until_us, value, cash_fen, related
           FROM exchange.orders WHERE market = $1 AND state = 'open' AND seq <= $2 ORDER BY rank""",
        market, through,
    )  # fmt: skip
    return [
        Order(
            row["id"], row["party"], row["side"], row["ticks"], row["quantity"], row["quantity"] - row["filled"],
            row["rank"], row["until_us"], row["value"], row["cash_fen"], tuple(row["related"]),
        )
        for row in rows
    ]  # fmt: skip


async def fee_bases(conn: Connection, identifiers: Sequence[UUID]) -> dict[UUID, tuple[int, int, int, date]]:
    """Of selling orders: cash and fee so far, discount, day of the order."""
    rows = await conn.fetch(
        "SELECT id, cash_fen, fee_fen, discount_bps, ordered_on FROM exchange.orders WHERE id = ANY($1)", identifiers
    )
    return {row["id"]: (row["cash_fen"], row["fee_fen"], row["discount_bps"], row["ordered_on"]) for row in rows}


async def insert_trades(conn: Connection, records: Iterable[tuple[Any, ...]]) -> None:
    columns = ("id", "market", "seq", "n", "at", "buy", "sell", "quantity", "ticks", "cash_fen", "fee_fen")
    await conn.copy_records_to_table("trade", schema_name="exchange", columns=columns, records=records)


async def update_orders(conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Rows of (id, ticks, quantity, filled, value, cash, fee added, rank, state, ended_at, amended, until)."""
    if not rows:
        return
    columns = list(zip(*rows, strict=True))
    await conn.execute(
        """UPDATE exchange.orders o SET ticks = u.ticks, quantity = u.quantity, filled = u.filled, value = u.value,
             cash_fen = u.cash, fee_fen = o.fee_fen + u.fee, rank = u.rank, state = u.state, ended_at = u.ended_at,
             amended = o.amended OR u.amended, until_us = u.until
           FROM unnest($1::text::uuid[], $2::text::int[], $3::text::bigint[], $4::text::bigint[], $5::text::bigint[],
                       $6::text::bigint[], $7::text::bigint[], $8::text::bigint[], $9::text::text[],
                       $10::timestamptz[], $11::boolean[], $12::text::bigint[])
                u(id, ticks, quantity, filled, value, cash, fee, rank, state, ended_at, amended, until)
           WHERE o.id = u.id""",
        uuids(columns[0]), *(integers(column) for column in columns[1:8]), texts(columns[8]), columns[9], columns[10],
        integers(columns[11]),
    )  # fmt: skip


async def insert_auction(
    conn: Connection, market: Market, slot: datetime, seq: int, held_at: datetime, forced_by: str | None
) -> bool:
    """False when that auction, or a later one, was held before: the clock may have jumped back."""
    row = await conn.fetchrow(
        """INSERT INTO exchange.auction (market, slot, seq, held_at, forced_by)
           SELECT $1, $2, $3, $4, $5
           WHERE NOT EXISTS (SELECT FROM exchange.auction WHERE market = $1 AND slot >= $2) RETURNING slot""",
        market, slot, seq, held_at, forced_by,
    )  # fmt: skip
    return row is not None


async def finish_auction(
    conn: Connection, market: Market, seq: int, ticks: int | None, quantity: int, trades: int
) -> None:
    await conn.execute(
        "UPDATE exchange.auction SET ticks = $3, quantity = $4, trades = $5 WHERE market = $1 AND seq = $2",
        market, seq, ticks, quantity, trades,
    )  # fmt: skip


# -- settlement -------------------------------------------------------------------------------------------------------


_UNSETTLED: Final = """exchange.trade WHERE market = $1 AND settled_at IS NULL AND void_at IS NULL
                   AND seq > (SELECT settled FROM exchange.matcher WHERE market = $1)"""


async def unsettled(db: Database, market: Market, after: tuple[int, int], limit: int) -> list[Any]:
    """The oldest trades without a posting after a place (seq, n), with the accounts they move."""
    return await db.fetch(
        f"""SELECT t.id, t.seq, t.n, t.buy, t.sell, t.at, t.quantity, t.ticks, t.cash_fen, t.fee_fen, s.discount_bps,
                  s.ordered_on, b.credit_account AS receiver, s.cash_account AS payee
           FROM (SELECT * FROM {_UNSETTLED} AND (seq, n) > ($3, $4) ORDER BY seq, n LIMIT $2) t
           JOIN exchange.orders b ON b.id = t.buy JOIN exchange.orders s ON s.id = t.sell ORDER BY t.seq, t.n""",
        market, limit, *after,
    )  # fmt: skip


async def mark_settled(conn: Connection, identifiers: Sequence[UUID], now: datetime) -> int:
    """Of trades, how many were not settled before and are now; waits for whoever is settling the same ones."""
    done: str = await conn.execute(
        "UPDATE exchange.trade t SET settled_at = $2 FROM unnest($1::text::uuid[]) u(id) "
        "WHERE t.id = u.id AND t.settled_at IS NULL AND t.void_at IS NULL",
        uuids(identifiers), now,
    )  # fmt: skip
    return int(done.rsplit(" ", 1)[-1])


async def lock_unsettled(conn: Connection, identifiers: Sequence[UUID]) -> int:
    """How many of these trades neither have a posting nor are void; nobody else settles them before we are done."""
    rows = await conn.fetch(
        "SELECT id FROM exchange.trade WHERE id = ANY($1) AND settled_at IS NULL AND void_at IS NULL FOR UPDATE",
        identifiers,
    )
    return len(rows)


async def mark_void(conn: Connection, identifiers: Sequence[UUID], now: datetime) -> None:
    await conn.execute("UPDATE exchange.trade SET void_at = $2 WHERE id = ANY($1)", identifiers, now)


async def move_settled(conn: Connection, market: Market) -> None:
    """Note up to where every trade is settled. Needs a transaction: nothing is folded in between look and note."""
    row = await conn.fetchrow("SELECT seq FROM exchange.matcher WHERE market = $1 AND settled < seq FOR UPDATE", market)
    if row is not None:
        await conn.execute(
            f"UPDATE exchange.matcher SET settled = seq WHERE market = $1 AND NOT EXISTS (SELECT FROM {_UNSETTLED})",
            market,
        )


async def to_release(conn: Connection, market: Market, side: int, limit: int) -> list[Any]:
    """Ended orders of a side whose escrow still stands, once every trade is settled; locked."""
    return list(
        await conn.fetch(
            f"""SELECT id FROM exchange.orders WHERE market = $1 AND state <> 'open' AND NOT released AND side = $2
                 AND NOT EXISTS (SELECT FROM {_UNSETTLED})
               ORDER BY id LIMIT $3 FOR UPDATE""",
            market, side, limit,
        )
    )  # fmt: skip


async def mark_released(conn: Connection, identifiers: Sequence[UUID]) -> None:
    await conn.execute(
        "UPDATE exchange.orders o SET released = true, amended = false FROM unnest($1::text::uuid[]) u(id)"
        " WHERE o.id = u.id",
        uuids(identifiers),
    )


async def to_trim(conn: Connection, market: Market, limit: int) -> list[Any]:
    """Amended open orders whose escrow may be larger than needed, once every trade is settled; locked."""
    return list(
        await conn.fetch(
            f"""SELECT id, side, ticks, quantity - filled AS left, value, cash_fen FROM exchange.orders
               WHERE market = $1 AND amended AND state = 'open'
                 AND NOT EXISTS (SELECT FROM {_UNSETTLED})
               ORDER BY id LIMIT $2 FOR UPDATE""",
            market, limit,
        )
    )  # fmt: skip


async def pending_amends(conn: Connection, market: Market, after: int, identifiers: Sequence[UUID]) -> set[UUID]:
    """Orders with an accepted event that is not folded in yet: their escrow must stay as it is."""
    rows = await conn.fetch("SELECT body FROM exchange.event WHERE market = $1 AND seq > $2", market, after)
    text = b"".join(row["body"] for row in rows)
    return {one for one in identifiers if str(one).encode() in text}


async def mark_trimmed(conn: Connection, identifiers: Sequence[UUID]) -> None:
    await conn.execute("UPDATE exchange.orders SET amended = false WHERE id = ANY($1)", identifiers)


# -- reading ----------------------------------------------------------------------------------------------------------


def order_view(row: Any) -> OrderView:
    from shanhe.exchange.journal import instant

    until = None if row["until_us"] is None else instant(row["until_us"])
    return OrderView(
        row["id"], Market(row["market"]), row["org_id"], row["side"], row["ticks"], row["quantity"], row["filled"],
        row["cash_fen"], row["fee_fen"], Validity(row["validity"]), row["state"], row["placed_at"], row["ended_at"],
        until, row["actor"],
    )  # fmt: skip


def trade_view(row: Any) -> TradeView:
    return TradeView(
        row["id"], Market(row["market"]), row["seq"], row["at"], row["buy"], row["sell"], row["buyer"], row["seller"],
        row["quantity"], row["ticks"], row["cash_fen"], row["fee_fen"], row["settled_at"], row["void_at"],
    )  # fmt: skip


async def order(db: Database, order_id: UUID, org_id: UUID | None) -> OrderView | None:
    row = await db.fetchrow(
        f"SELECT {_VIEW} FROM exchange.orders WHERE id = $1 AND ($2::uuid IS NULL OR org_id = $2)", order_id, org_id
    )
    return None if row is None else order_view(row)


async def orders(
    db: Database, org_id: UUID | None, *, open_only: bool, before: UUID | None, limit: int
) -> list[OrderView]:
    """Newest first."""
    rows = await db.fetch(
        f"""SELECT {_VIEW} FROM exchange.orders
            WHERE ($1::uuid IS NULL OR org_id = $1) AND (NOT $2 OR state = 'open') AND ($3::uuid IS NULL OR id < $3)
            ORDER BY id DESC LIMIT $4""",
        org_id, open_only, before, min(limit, PAGE_ROWS),
    )  # fmt: skip
    return [order_view(row) for row in rows]


async def levels(db: Database, market: Market, side: int, floor: int, ceiling: int, limit: int) -> list[Level]:
    """Totals by price inside the corridor, best first."""
    direction = "DESC" if side == BUY else "ASC"
    rows = await db.fetch(
        f"""SELECT ticks, sum(quantity - filled)::bigint AS quantity, count(*) AS orders FROM exchange.orders
            WHERE market = $1 AND state = 'open' AND side = $2 AND ticks BETWEEN $3 AND $4
            GROUP BY ticks ORDER BY ticks {direction} LIMIT $5""",
        market, side, floor, ceiling, limit,
    )  # fmt: skip
    return [Level(row["ticks"], row["quantity"], row["orders"]) for row in rows]


async def trades(
    db: Database, market: Market | None, *, org_id: UUID | None = None, before: UUID | None = None, limit: int
) -> list[TradeView]:
    """Newest first: of a market those that stand, of an organisation the void ones too."""
    rows = await db.fetch(
        f"""{_TRADES} WHERE ($1::text IS NULL OR t.market = $1 AND t.void_at IS NULL)
            AND ($2::uuid IS NULL OR $2 IN (b.org_id, s.org_id))
            AND ($3::uuid IS NULL OR t.id < $3) ORDER BY t.id DESC LIMIT $4""",
        market, org_id, before, min(limit, PAGE_ROWS),
    )  # fmt: skip
    return [trade_view(row) for row in rows]


async def trade(db: Database, trade_id: UUID) -> TradeView | None:
    row = await db.fetchrow(f"{_TRADES} WHERE t.id = $1", trade_id)
    return None if row is None else trade_view(row)


async def last_ticks(db: Connection | Database, market: Market) -> int | None:
    """The price of the newest trade that stands."""
    ticks: int | None = await db.fetchval(
        "SELECT ticks FROM exchange.trade WHERE market = $1 AND void_at IS NULL ORDER BY seq DESC, n DESC LIMIT 1",
        market,
    )
    return ticks


async def auctions(db: Database, market: Market, limit: int) -> list[AuctionView]:
    rows = await db.fetch(
        f"{_AUCTIONS} WHERE a.market = $1 ORDER BY a.slot DESC LIMIT $2", market, min(limit, PAGE_ROWS)
    )
    return [auction_view(row) for row in rows]


async def auction(db: Connection | Database, market: Market, seq: int) -> AuctionView | None:
    row = await db.fetchrow(f"{_AUCTIONS} WHERE a.market = $1 AND a.seq = $2", market, seq)
    return None if row is None else auction_view(row)


def auction_view(row: Any) -> AuctionView:
    return AuctionView(
        row["slot"], row["held_at"], row["seq"], row["ticks"], row["quantity"], row["trades"], row["forced_by"]
    )


async def candles(
    db: Database, market: Market, step_s: int, origin: datetime, since: datetime, limit: int
) -> list[Any]:
    """(start, open, high, low, close, quantity) by step, whole steps counted from an origin, newest first."""
    return await db.fetch(
        """SELECT date_bin($2 * interval '1 second', at, $5) AS start,
                  (array_agg(ticks ORDER BY seq, n))[1] AS open, max(ticks) AS high, min(ticks) AS low,
                  (array_agg(ticks ORDER BY seq DESC, n DESC))[1] AS close, sum(quantity)::bigint AS quantity_micro
           FROM exchange.trade
           WHERE market = $1 AND at >= date_bin($2 * interval '1 second', $3, $5) AND void_at IS NULL
           GROUP BY 1 ORDER BY 1 DESC LIMIT $4""",
        market, step_s, since, limit, origin,
    )  # fmt: skip


# -- replay -----------------------------------------------------------------------------------------------------------


async def count_same_trades(conn: Connection, made: Sequence[tuple[UUID, UUID, UUID, int, int, int]]) -> int:
    """How many of these trades are kept exactly so."""
    if not made:
        return 0
    columns = list(zip(*made, strict=True))
    count: int = await conn.fetchval(
        """SELECT count(*) FROM unnest($1::text::uuid[], $2::text::uuid[], $3::text::uuid[], $4::text::bigint[],
                                       $5::text::int[], $6::text::bigint[]) u(id, buy, sell, quantity, ticks, cash)
           JOIN exchange.trade t ON t.id = u.id
           WHERE (t.buy, t.sell, t.quantity, t.ticks, t.cash_fen) = (u.buy, u.sell, u.quantity, u.ticks, u.cash)""",
        *(uuids(column) for column in columns[:3]), *(integers(column) for column in columns[3:]),
    )  # fmt: skip
    return count


async def count_trades(conn: Connection | Database, market: Market) -> int:
    count: int = await conn.fetchval("SELECT count(*) FROM exchange.trade WHERE market = $1", market)
    return count


async def fee_basis(db: Database, sell: UUID, seq: int) -> Any:
    """A selling order's proceeds through an event, with what its fee depends on."""
    return await db.fetchrow(
        """SELECT o.discount_bps, o.ordered_on,
                  (SELECT sum(cash_fen)::bigint FROM exchange.trade WHERE sell = o.id AND seq <= $2) AS proceeds
           FROM exchange.orders o WHERE o.id = $1""",
        sell, seq,
    )  # fmt: skip
