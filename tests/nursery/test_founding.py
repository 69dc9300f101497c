"""What the process that prepares a city says to the one that asked for it."""

from __future__ import annotations

import msgspec
import pytest

from shanhe.founding import Demo, Outcome, Refusal
from shanhe.kernel.errors import Conflict, ShanheError, Unavailable

TEXTS = {"message_zh": "不行。", "hint": "Do this.", "hint_zh": "请这样做。"}


def sent(outcome: Outcome) -> Outcome:
    return msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome)


class TestOutcome:
    def test_arrives_as_it_was_sent(self) -> None:
        for outcome in (Outcome(), Outcome(demo=Demo("admin", "word", "sk-sh-x"))):
            assert sent(outcome) == outcome

    @pytest.mark.parametrize("error", [Unavailable("away", "No.", **TEXTS), Conflict("taken", "No.", **TEXTS)])
    def test_with_an_error_is_that_error_again(self, error: ShanheError) -> None:
        refusal = sent(Outcome(refusal=Refusal.of(error))).refusal
        assert refusal is not None
        again = refusal.error()
        assert vars(again) == vars(error)
        assert isinstance(again, Unavailable) == isinstance(error, Unavailable), "exit codes tell the two apart"
