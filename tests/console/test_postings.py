"""From a posting to the application that it moves money for."""

from __future__ import annotations

from uuid import UUID

import pytest

from shanhe.console.live.books import application_of

AWARD = UUID(int=7)


class TestPosting:
    @pytest.mark.parametrize("memo", ["", ", tranche 2", ", tranche 2 cancelled", " clawed back"])
    def test_of_an_award_leads_to_its_application_whether_a_rule_decided_it_or_not(self, memo: str) -> None:
        assert application_of({}, f"Award {AWARD}{memo}") == str(AWARD)
        assert application_of({"application": str(AWARD)}, "anything") == str(AWARD)

    def test_of_anything_else_leads_to_none(self) -> None:
        assert application_of({}, f"Awards {AWARD}") == ""
        assert application_of({}, f"Award {AWARD}{AWARD}") == ""
        assert application_of({}, "Award of a prize") == ""
