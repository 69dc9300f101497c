"""Model files are believed only once every count and offset is checked."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shanhe.studio.errors import BadModelFile
from shanhe.studio.gguf_check import check


def text(word: str) -> bytes:
    return struct.pack("<Q", len(word.encode())) + word.encode()


def pair(name: str, kind: int, body: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + body


def tensor(name: str, *shape: int, kind: int = 0, offset: int = 0) -> bytes:
    return (
        text(name)
        + struct.pack("<I", len(shape))
        + struct.pack(f"<{len(shape)}Q", *shape)
        + struct.pack("<IQ", kind, offset)
    )


def gguf(
    pairs: list[bytes], tensors: list[bytes], data: int = 4096, *, version: int = 3, claim: int | None = None
) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors) if claim is None else claim, len(pairs))
    body = head + b"".join(pairs) + b"".join(tensors)
    return body + b"\0" * (-len(body) % 32 + data)


FACTS = [pair("general.architecture", 8, text("qwen2")), pair("qwen2.block_count", 4, struct.pack("<I", 24))]
GOOD = gguf(FACTS, [tensor("a", 32, 4), tensor("b", 64, offset=512)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.gguf"


class TestFile:
    def test_that_is_whole_says_what_it_is(self, path: Path) -> None:
        path.write_bytes(GOOD)
        found = check(path)
        assert (found.architecture, found.blocks, found.tensors, found.values) == ("qwen2", 24, 2, 192)

    @pytest.mark.parametrize(
        ("bad", "why"),
        [
            (b"", "ends"),
            (b"\x80\x04\x95pickle", "no GGUF"),
            (gguf(FACTS, [], version=9), "version"),
            (gguf(FACTS, [], claim=2**60), "claims"),
            (GOOD[:60], "ends"),
            (gguf(FACTS, [tensor("a", 32, 2**40)]), "impossible"),
            (gguf(FACTS, [tensor("a", 2**30)]), "outside"),
            (gguf(FACTS, [tensor("a", 32, 4), tensor("b", 32, 4, offset=256)]), "over another"),
            (gguf(FACTS, [tensor("a", 32), tensor("a", 32, offset=128)]), "twice"),
            (gguf(FACTS, [tensor("a", 31, kind=8)]), "impossible"),
            (gguf(FACTS, [tensor("a", 32, kind=99)]), "unknown type"),
            (gguf(FACTS, [tensor("a", 32, offset=8)]), "impossible"),
            (gguf([pair("x", 9, struct.pack("<IQ", 9, 1))], []), "list of lists"),
            (gguf([pair("x", 9, struct.pack("<IQ", 4, 2**40))], []), "claims"),
            (gguf([pair("general.alignment", 4, struct.pack("<I", 7))], [tensor("a", 32)]), "alignment"),
        ],
    )
    def test_that_is_not_is_refused_with_the_reason(self, path: Path, bad: bytes, why: str) -> None:
        path.write_bytes(bad)
        with pytest.raises(BadModelFile, match=why):
            check(path)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(at=st.integers(0, len(GOOD) - 4097), value=st.integers(0, 255), cut=st.integers(0, len(GOOD)))
    def test_with_a_changed_byte_is_checked_without_harm(self, path: Path, at: int, value: int, cut: int) -> None:
        changed = bytearray(GOOD)
        changed[at] = value
        path.write_bytes(bytes(changed)[:cut])
        try:
            assert check(path).values >= 0
        except BadModelFile:
            return
