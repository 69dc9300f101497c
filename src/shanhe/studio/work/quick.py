"""A GGUF read in a second instead of a minute.

The reader of the `gguf` package looks at every word of a vocabulary through a mapped array, a microsecond each time,
and the framework reads the file three times over. Here words are cut out of the bytes, weights are unpacked by ggml's
own code, and a file is read once. Results are the same; `check` has walked the file with bounds before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import gguf
import libgguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType

COUNT: Final = struct.Struct("<IQ")
LENGTH: Final = struct.Struct("<Q")
PLAIN: Final = frozenset({GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16})
slow_dequantize = gguf.dequantize


class Reader(GGUFReader):  # type: ignore[misc]
    """The package's reader, with lists read at once."""

    def _get(self, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
        if self.byte_order == "S" or override_order not in (None, "<"):
            return super()._get(offset, dtype, count, override_order)
        return np.frombuffer(self._bytes(), dtype, int(count), int(offset))

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[Any]]:
        if raw_type != GGUFValueType.ARRAY or self.byte_order == "S":
            found: tuple[int, list[Any], list[int], list[Any]] = super()._get_field_parts(orig_offs, raw_type)
            return found
        inner, count = COUNT.unpack_from(self._bytes(), orig_offs)
        kind, at = GGUFValueType(inner), int(orig_offs) + COUNT.size
        parts, end = self._words(at, count) if kind == GGUFValueType.STRING else self._numbers(at, count, kind)
        return end - int(orig_offs), parts, list(range(count)), [GGUFValueType.ARRAY, *([kind] if count else [])]

    def _words(self, at: int, count: int) -> tuple[list[Any], int]:
        data, parts = self._bytes(), []
        for _ in range(count):
            (length,) = LENGTH.unpack_from(data, at)
            at += LENGTH.size + length
            parts.append(np.frombuffer(data, np.uint8, length, at - length) if length else np.empty(0, np.uint8))
        return parts, at

    def _numbers(self, at: int, count: int, kind: Any) -> tuple[list[Any], int]:
        dtype = self.gguf_scalar_to_np[kind]
        found = np.frombuffer(self._bytes(), dtype, count, at) if count else np.empty(0, dtype)
        return [found[n : n + 1] for n in range(count)], at + found.nbytes

    def _bytes(self) -> memoryview:
        plain = getattr(self, "_plain", None)
        if plain is None:
            plain = self._plain = memoryview(self.data)
        return plain


def dequantize(data: Any, kind: Any) -> Any:
    """Weights as float32, unpacked by ggml."""
    if kind in PLAIN:
        return slow_dequantize(data, kind)
    return libgguf.dequantize_rows(data, kind)


@contextmanager
def quickly(path: Path) -> Iterator[None]:
    """While a model is loaded from `path`, the framework gets this reader and these weights from the package."""
    reader, before = Reader(path), (gguf.GGUFReader, gguf.dequantize, gguf.get_tensor_name_map)
    gguf.GGUFReader = lambda wanted, *_: reader if Path(wanted) == path else Reader(wanted)
    gguf.dequantize = dequantize
    gguf.get_tensor_name_map = cache(gguf.get_tensor_name_map)
    try:
        yield
    finally:
        gguf.GGUFReader, gguf.dequantize, gguf.get_tensor_name_map = before
