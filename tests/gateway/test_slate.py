"""What a process has open, where its death can't take it."""

from __future__ import annotations

from pathlib import Path

from shanhe.gateway.pipeline import IN_FLIGHT_MAX
from shanhe.gateway.slate import SLOT_BYTES, SUFFIX, Slate, left_behind
from shanhe.kernel.ids import new_id


class TestSlate:
    def test_holds_as_many_calls_as_may_be_in_flight(self, tmp_path: Path) -> None:
        slate, numbers = Slate.make(tmp_path), [new_id() for _ in range(IN_FLIGHT_MAX)]
        slots = [slate.note(number) for number in numbers]
        assert None not in slots
        assert {number for _, number in slate.open()} == set(numbers)
        slate.close()

    def test_of_another_length_is_read_as_well(self, tmp_path: Path) -> None:
        """One that an older version left behind."""
        number = new_id()
        data = bytes(SLOT_BYTES) + b"\1" + number.bytes + bytes(SLOT_BYTES * 1022)
        (tmp_path / f"{new_id()}{SUFFIX}").write_bytes(data)
        with left_behind(tmp_path) as (slate,):
            assert slate.open() == [(1, number)]
