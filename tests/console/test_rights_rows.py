"""Who read what of me: readings of one minute for one purpose are one line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from shanhe.console.live.rights import _gathered

AT = datetime(2026, 11, 27, 5, 29, 10, tzinfo=UTC)


def reading(seconds: int, *names: str, purpose: str = "programmes") -> SimpleNamespace:
    at = AT - timedelta(seconds=seconds)
    return SimpleNamespace(at=at, purpose=purpose, by="system", names=names, ground="duty:x")


class TestReadings:
    def test_gathers_what_one_look_read(self) -> None:
        titles = {"programmes": {"zh": "办理", "en": "Deciding"}, "minors": {"zh": "未成年", "en": "Minors"}}
        minors = reading(3, purpose="minors")
        found = [reading(0, "residence"), reading(2, "household", "residence"), minors, reading(90)]
        rows = _gathered(found, titles, "person:1")
        assert [(row["purpose"]["en"], row["times"], len(row["names"])) for row in rows] == [
            ("Deciding", 2, 2), ("Minors", 1, 0), ("Deciding", 1, 0),
        ]  # fmt: skip
        assert rows[0]["at"] == AT
