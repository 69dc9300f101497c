"""What a lease lends and a hold pays with, against the same laid out unit by unit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from shanhe.ledger.api import Provenance
from shanhe.ledger.reservation import Lease, Piece, pick
from stage.draws import draws

LOTS = {UUID(int=1): Provenance.PURCHASED, UUID(int=2): Provenance.SUBSIDY, UUID(int=3): Provenance.REWARD}
PIECE = st.tuples(st.sampled_from(sorted(LOTS)), st.integers(1, 9))
STEP = st.one_of(
    st.tuples(st.just("add"), st.lists(PIECE, max_size=4)),
    st.tuples(st.just("take"), st.integers(0, 20)),
    st.tuples(st.just("unsubsidised"), st.integers(0, 20)),
    st.tuples(st.just("put_back"), st.none()),
)


def pieces(wanted: list[tuple[UUID, int]]) -> list[Piece]:
    return [Piece(lot, amount, LOTS[lot], None) for lot, amount in wanted]


def units(found: list[Piece]) -> list[UUID]:
    assert all(piece.amount > 0 for piece in found)
    return [piece.lot for piece in found for _ in range(piece.amount)]


@settings(max_examples=draws(800))
@given(st.lists(STEP, max_size=12))
def test_a_lease_gives_from_the_front_takes_back_to_the_front_and_loses_nothing(steps: list[tuple[str, Any]]) -> None:
    lease, lent, taken = Lease(UUID(int=9), 1, datetime(2026, 1, 1, tzinfo=UTC)), list[UUID](), list[Piece]()
    free = lease.free
    for what, given_ in steps:
        if what == "add":
            lease.add(pieces(given_))
            lent += units(pieces(given_))
            free += len(units(pieces(given_)))
        elif what == "put_back":
            lease.put_back(taken)
            lent, taken = units(taken) + lent, []
        elif what == "take":
            taken = lease.take(min(given_, len(lent)))
            assert units(taken) == lent[: min(given_, len(lent))]
            lent = lent[len(units(taken)) :]
        else:
            found, front = lease.take_unsubsidised(given_), lent[:given_]
            if len(front) < given_ or any(LOTS[lot] is Provenance.SUBSIDY for lot in front):
                assert found is None
            else:
                assert found is not None
                assert units(found) == front
                lent, taken = lent[given_:], found
        assert (units(lease.pieces), lease.free) == (lent, free)
        assert all(one.lot != other.lot for one, other in zip(lease.pieces, lease.pieces[1:], strict=False))


@settings(max_examples=draws(1_200))
@given(st.lists(PIECE, max_size=6), st.integers(0, 40), st.none() | st.integers(0, 20))
def test_a_hold_pays_in_order_and_with_subsidy_up_to_its_bound(
    wanted: list[tuple[UUID, int]], total: int, most: int | None
) -> None:
    paid = list[UUID]()
    for lot in units(pieces(wanted)):
        subsidy = sum(LOTS[one] is Provenance.SUBSIDY for one in paid)
        if len(paid) < total and (LOTS[lot] is not Provenance.SUBSIDY or most is None or subsidy < most):
            paid.append(lot)
    assert units(pick(pieces(wanted), total, most)) == paid
