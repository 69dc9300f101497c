"""What is stored is what is read."""

from __future__ import annotations

from shanhe.gateway.evidence import Course, Setting
from shanhe.gateway.model import Evidence


class TestParts:
    def test_are_the_whole_and_share_nothing(self) -> None:
        setting, course = Setting.__annotations__, Course.__annotations__
        assert setting | course == Evidence.__annotations__
        assert not setting.keys() & course.keys()
