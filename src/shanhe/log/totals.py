"""Totals entries: the amounts of many postings, by type and flow. Pure.

A posting's own entry hides its amounts. Every so often one entry says what the postings since the last one came to, so
that anybody can add the city up from public entries alone; it waits until enough postings hide each other, or a day.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from shanhe.log.leaf import TOTALS, VERSION, Draft, Form, canonical

POSTINGS_MIN: Final = 16
"""Fewer postings are not summed up until a day has passed: they would tell single amounts (assumed)."""


class Totals:
    """What the postings since the last totals entry come to. `plain()` is stored with the log's head."""

    def __init__(self, stored: dict[str, Any], today: date) -> None:
        self.first = int(stored.get("first", 0))
        self.count = int(stored.get("count", 0))
        self.since = str(stored.get("since", today))
        self._sums: dict[tuple[str, str, str, str], list[int]] = {
            (row[0], row[1], row[2], row[3]): [row[4], row[5]] for row in stored.get("sums", ())
        }

    def add(self, drafts: Sequence[Draft], today: date) -> None:
        """Take in the postings among them."""
        moved: dict[Form, list[tuple[int, ...]]] = {}
        for draft in drafts:
            if draft.form is not None:
                moved.setdefault(draft.form, []).append(draft.moved)
        added = sum(map(len, moved.values()))
        if added and self.count == 0:
            self.since = str(today)
        self.count += added
        for form, amounts in moved.items():
            for flow, of_flow in zip(form.flows, zip(*amounts, strict=True), strict=True):
                sums = self._sums.setdefault((form.type, *flow), [0, 0])
                sums[0] += len(of_flow)
                sums[1] += sum(of_flow)

    def ripe(self, today: date) -> bool:
        return self.count >= POSTINGS_MIN or (self.count > 0 and self.since < str(today))

    def leaf(self, end: int, today: date) -> bytes:
        """The entry over postings with indices in [first, end)."""
        return canonical({
            "v": VERSION, "kind": TOTALS, "day": today, "first": self.first, "end": end, "count": self.count,
            "sums": self._rows(),
        })  # fmt: skip

    def restart(self, first: int) -> None:
        self.first, self.count, self._sums = first, 0, {}

    def plain(self) -> dict[str, Any]:
        return {"first": self.first, "count": self.count, "since": self.since, "sums": self._rows()}

    def _rows(self) -> Sequence[list[Any]]:
        return [[*key, *sums] for key, sums in sorted(self._sums.items())]
