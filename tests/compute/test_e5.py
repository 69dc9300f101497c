from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shanhe.compute import e5

SIGNS = st.characters(exclude_categories=("Cs",), min_codepoint=1)


def look_up(units: list[int], text: bytes) -> tuple[int, int] | None:
    """(length, value) of the longest key that starts `text`, the way llama.cpp walks the array."""

    def base(unit: int) -> int:
        return (unit >> 10) << ((unit & (1 << 9)) >> 6)

    node = base(units[0])
    found = None
    for at, byte in enumerate(text):
        if byte == 0:
            break
        node ^= byte
        if node >= len(units) or units[node] & ((1 << 31) | 0xFF) != byte:
            break
        ends = (units[node] >> 8) & 1
        node ^= base(units[node])
        if ends:
            found = (at + 1, units[node] & ((1 << 31) - 1))
    return found


class TestDoubleArray:
    @given(st.dictionaries(SIGNS.map(str.encode), st.integers(0, 2**31 - 1), max_size=60), st.text(SIGNS, max_size=5))
    def test_finds_what_a_dictionary_finds(self, values: dict[bytes, int], text: str) -> None:
        units = e5.double_array(values)
        for probe in [*values, text.encode(), *(key + b"tail" for key in values)]:
            best = max((key for key in values if probe.startswith(key)), key=len, default=None)
            assert look_up(units, probe) == (None if best is None else (len(best), values[best]))

    def test_of_all_full_width_forms_stays_small(self) -> None:
        values = {chr(sign).encode(): sign for sign in range(0xFF01, 0xFF5F)}
        units = e5.double_array(values)
        assert len(units) < 4_096
        assert all(look_up(units, key) == (3, value) for key, value in values.items())


class TestConversion:
    def test_refuses_other_files(self, tmp_path: Path) -> None:
        for data in (b"", b"GGUF" + bytes(100), b"E5S1" + struct.pack("<I", 1), b"E5S1" + bytes(200)):
            carrier = tmp_path / "carrier"
            carrier.write_bytes(data)
            with pytest.raises(ValueError, match="carrier"):
                e5.convert(carrier, tmp_path / "target")
