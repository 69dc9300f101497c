"""The batch that most batches are: calls that one lot of a lease each pays to striped accounts.

`ledger.settle_calls` books it. Everything else (holds, calls over two lots, legs that mint lots) is `settling.Batch`,
which can say it all.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.clock import city_date
from shanhe.kernel.literals import call, plain
from shanhe.ledger.model import Account
from shanhe.ledger.reservation import Lease, Row

SETTLE_CALLS: Final = call(
    "ledger.settle_calls",
    "timestamptz date text text uuid[] bytea[] uuid[] bigint[] uuid[] uuid[] uuid[] uuid[] bigint[] "
    "uuid[] bigint[] uuid[] bigint[] uuid[] bigint[]",
)
SETTLE_CALL: Final = SETTLE_CALLS.replace("$6::bytea[]", "ARRAY[$6::bytea]")
"""The same for one call, whose evidence needs no array: asyncpg asks a lot before it writes one."""
NAMES_MAX: Final = 100_000
Taken = tuple[UUID, Lease, UUID]


class Names(dict[UUID, str]):
    """How PostgreSQL is told the accounts and lots of every batch: each is written once."""

    def __missing__(self, identifier: UUID) -> str:
        if len(self) >= NAMES_MAX:
            self.clear()
        name = self[identifier] = f"{identifier.int:032x}"
        return name


def ordinary(
    rows: list[Row], worker: str, accounts: Mapping[UUID, Account], names: Names, now: datetime
) -> tuple[Any, ...] | None:
    """`SETTLE_CALL` for one row, else `SETTLE_CALLS`, and its arguments; None when a row asks for more than they do."""
    kind = rows[0].kind
    for row in rows:
        if row.kind != kind or not _is_ordinary(row, accounts):
            return None
    ids: list[str] = []
    evidence: list[bytes | None] = []
    lots: list[str] = []
    amounts: list[str] = []
    transfers: list[tuple[str, str, str, str, str]] = []
    taken: dict[Taken, int] = {}
    paid: dict[UUID, int] = {}
    for row in rows:
        reservation, charge = row.reservation, row.charge
        assert charge is not None
        assert reservation.lease is not None
        assert reservation.pieces is not None
        lot, total = reservation.pieces[0].lot, charge.total_micro
        receipt = reservation.receipt_id.int
        posting, debit, number = f"{receipt:032x}", names[row.payer], 0
        ids.append(posting)
        evidence.append(charge.evidence)
        lots.append(names[lot])
        amounts.append(str(total))
        source = (reservation.lease.account, reservation.lease, lot)
        taken[source] = taken.get(source, 0) + total
        for leg in charge.legs:
            amount, account = leg.amount_micro, leg.account
            if amount:
                # The first leg carries the posting's own id: a receipt with one leg needs no other index.
                identifier = f"{receipt ^ number:032x}" if number else posting
                transfers.append((identifier, posting, debit, names[account], str(amount)))
                number += 1
                paid[account] = paid.get(account, 0) + amount
    sources = sorted(taken, key=_account) if len(taken) > 1 else list(taken)
    striped = sorted(paid)
    return (
        SETTLE_CALL if len(rows) == 1 else SETTLE_CALLS, now, city_date(now), worker, kind,
        plain(ids), evidence[0] if len(rows) == 1 else evidence, plain(lots), plain(amounts),
        *map(plain, zip(*transfers, strict=True)),
        plain([names[account] for account, _, _ in sources]), plain([str(lease.epoch) for _, lease, _ in sources]),
        plain([names[lot] for _, _, lot in sources]), plain([str(taken[source]) for source in sources]),
        plain([names[account] for account in striped]), plain([str(paid[account]) for account in striped]),
    )  # fmt: skip


def _is_ordinary(row: Row, accounts: Mapping[UUID, Account]) -> bool:
    """Paid (so it has a leg) from one lot of a lease, to striped accounts; by nobody, as calls are."""
    reservation, charge = row.reservation, row.charge
    if charge is None or row.actor or reservation.lease is None or reservation.held is not None:
        return False
    pieces = reservation.pieces
    if pieces is None or len(pieces) != 1:
        return False
    return all(accounts[leg.account].striped for leg in charge.legs if leg.amount_micro)


def _account(source: Taken) -> UUID:
    return source[0]
