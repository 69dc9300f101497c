"""What is asked of a clone's versions is taught to none of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from shanhe.clones.model import Feedback, FeedbackState, hold_out


class TestHeldOut:
    def piece(self, n: int, question: str, state: FeedbackState, held: bool | None = None) -> Feedback:
        number = UUID(int=n)
        now = datetime(2026, 11, 26, tzinfo=UTC)
        return Feedback(number, "clone/x", number, number, number, number, False, question, "", "答", state, now, now,
                        None, held)  # fmt: skip

    def test_stays_held_out_whatever_comes(self) -> None:
        new = [self.piece(n, f"第{n}问？", FeedbackState.ACCEPTED) for n in range(1, 31)]
        first = hold_out(new, 1_000)
        assert sum(first.values()) == 3
        taken = [replace(one, state=FeedbackState.TAKEN, held=first[one.id]) for one in new]
        known = [one.question for one in taken if one.held]
        more = [self.piece(n, f"第{n}问？", FeedbackState.ACCEPTED) for n in range(31, 61)]
        again = [self.piece(61, f" {known[0]} ", FeedbackState.ACCEPTED)]  # asked a second time
        second = hold_out([*taken, *more, *again], 1_000)
        assert {one.id: second[one.id] for one in taken} == first
        assert second[UUID(int=61)] is True
        assert sum(second[one.id] for one in more) == 3

    def test_of_what_was_taught_before_it_was_decided_is_nothing(self) -> None:
        taught = [self.piece(n, f"第{n}问？", FeedbackState.TAKEN) for n in range(1, 31)]
        new = [self.piece(40 + n, f"新{n}？", FeedbackState.ACCEPTED) for n in range(2)]
        found = hold_out([*taught, *new], 1_000)
        assert not any(found[one.id] for one in taught)
        assert sum(found.values()) == 1  # of two new ones one still teaches
