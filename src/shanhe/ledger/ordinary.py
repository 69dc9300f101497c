"""The batch that most batches are: calls that one lot of a lease each pays to striped accounts.

`ledger.settle_calls` books it. Everything else (holds, calls over two lots, legs that mint lots) is `settling.Batch`,
which can say it all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.clock import city_date
from shanhe.kernel.literals import call, plain
from shanhe.ledger.model import Account
from shanhe.ledger.reservation import Lease, Row

SETTLE_CALLS: Final = call(
    "ledger.settle_calls",
    "timestamptz date text text uuid[] bytea[] int[] bigint[] int[] uuid[] int[] int[] bigint[] "
    "uuid[] bigint[] uuid[] bigint[] uuid[] bigint[] uuid[] int[]",
)
SETTLE_CALL: Final = SETTLE_CALLS.replace("$6::bytea[]", "ARRAY[$6::bytea]")
"""The same for one call, whose evidence needs no array: asyncpg asks a lot before it writes one."""
NAMES_MAX: Final = 100_000
LEGS_MAX: Final = 256
"""A leg's number fits into the last byte of its id."""
Taken = tuple[UUID, Lease, UUID]


class Names(dict[UUID, str]):
    """How PostgreSQL is told the accounts, lots and preambles of every batch: each is written once."""

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
    payers: list[Taken] = []
    amounts: list[str] = []
    further: list[str] = []
    transfers: list[tuple[str, str, UUID, str]] = []
    begun: list[UUID | None] = []
    taken: dict[Taken, int] = {}
    paid: dict[UUID, int] = {}
    for place, row in enumerate(rows, 1):
        reservation, charge = row.reservation, row.charge
        assert charge is not None
        assert reservation.lease is not None
        assert reservation.pieces is not None
        total = charge.total_micro
        receipt = reservation.receipt_id.int
        identifier, posting, number = f"{receipt:032x}", str(place), 0
        ids.append(identifier)
        evidence.append(charge.evidence)
        amounts.append(str(total))
        begun.append(charge.preamble.id if charge.preamble is not None else None)
        source = (reservation.lease.account, reservation.lease, reservation.pieces[0].lot)
        payers.append(source)
        taken[source] = taken.get(source, 0) + total
        for leg in charge.legs:
            amount, account = leg.amount_micro, leg.account
            if amount:
                # The first leg carries the posting's own id, the n-th after it that id with n on its last bits.
                transfers.append((f"{receipt ^ number:032x}" if number else identifier, posting, account, str(amount)))
                number += 1
                paid[account] = paid.get(account, 0) + amount
        further.append(str(number - 1))
    sources = sorted(taken, key=_account) if len(taken) > 1 else list(taken)
    striped = sorted(paid)
    t_id, t_call, t_account, t_amount = zip(*transfers, strict=True)
    return (
        SETTLE_CALL if len(rows) == 1 else SETTLE_CALLS, now, city_date(now), worker, kind,
        plain(ids), evidence[0] if len(rows) == 1 else evidence, _places(payers, sources), plain(amounts),
        plain(further),
        plain(t_id), plain(t_call), _places(t_account, striped), plain(t_amount),
        plain([names[account] for account, _, _ in sources]), plain([str(lease.epoch) for _, lease, _ in sources]),
        plain([names[lot] for _, _, lot in sources]), plain([str(taken[source]) for source in sources]),
        plain([names[account] for account in striped]), plain([str(paid[account]) for account in striped]),
        *_preambles(begun, names),
    )  # fmt: skip


def _places(values: Sequence[Any], among: Sequence[Any]) -> str:
    """Which of some each is, counted from one as PostgreSQL does."""
    if len(among) == 1:
        return plain(["1"] * len(values))
    places = {value: str(place) for place, value in enumerate(among, 1)}
    return plain([places[value] for value in values])


def _preambles(begun: list[UUID | None], names: Names) -> tuple[str, str]:
    """Those of a batch, and which one each call has: nothing when all have the only one."""
    known = dict.fromkeys(begun)
    if len(known) == 1 and begun[0] is not None:
        return plain([names[begun[0]]]), plain(())
    distinct = [one for one in known if one is not None]
    places = {one: str(place) for place, one in enumerate(distinct, 1)}
    return plain([names[one] for one in distinct]), plain(["0" if one is None else places[one] for one in begun])


def _is_ordinary(row: Row, accounts: Mapping[UUID, Account]) -> bool:
    """Paid (so it has a leg) from one lot of a lease, to striped accounts; by nobody, as calls are."""
    reservation, charge = row.reservation, row.charge
    if charge is None or row.actor or reservation.lease is None or reservation.held is not None:
        return False
    pieces = reservation.pieces
    if pieces is None or len(pieces) != 1:
        return False
    return len(charge.legs) <= LEGS_MAX and all(
        accounts[leg.account].striped for leg in charge.legs if leg.amount_micro
    )


def _account(source: Taken) -> UUID:
    return source[0]
