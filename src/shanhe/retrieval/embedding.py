"""Texts as vectors, by ordinary paid calls; and the way a person's vectors are kept."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

from shanhe.gateway.api import CallError
from shanhe.kernel.errors import ShanheError

if TYPE_CHECKING:
    from shanhe.identity.api import Caller

BATCH: Final = 8
"""Passages in one call: small enough that others get their turn on the engine."""
PATIENT: Final = frozenset(
    {"no_engine", "engine_busy", "engine_failed", "ledger_unavailable", "too_many_calls", "identity_unavailable",
     "rate_limit_exceeded"}
)  # fmt: skip
"""Codes that say nothing about the text; it waits."""
E5: Final = ("query: ", "passage: ")
"""multilingual-e5 was trained with these before questions and passages (Wang et al. 2024)."""


class Made(Protocol):
    """A call's answer and price."""

    @property
    def answer(self) -> Mapping[str, Any]: ...
    @property
    def paid_micro(self) -> int: ...
    @property
    def receipt_id(self) -> UUID: ...


Embed = Callable[["Caller", str, Sequence[str]], Awaitable[Made]]


def prefixes(model: str) -> tuple[str, str]:
    """(before a question, before a passage)."""
    return E5 if "e5" in model.lower().split("-") else ("", "")


async def vectors(embed: Embed, caller: Caller, model: str, texts: Sequence[str]) -> tuple[list[list[float]], Made]:
    """(a vector of length 1 for each text, the call)."""
    asked = await embed(caller, model, texts)
    rows = sorted(asked.answer["data"], key=lambda row: row["index"])
    return [_unit(row["embedding"]) for row in rows], asked


def _unit(vector: Sequence[float]) -> list[float]:
    size = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / size for value in vector]


def as_text(vector: Sequence[float]) -> str:
    """pgvector's text form."""
    return "[" + ",".join(f"{value:.6g}" for value in vector) + "]"


def packed(vector: Sequence[float]) -> str:
    """For sealing: half precision, base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}e", *vector)).decode()


def unpacked(text: str) -> list[float]:
    """A vector out of that form."""
    data = base64.b64decode(text)
    return list(struct.unpack(f"<{len(data) // 2}e", data))


def near(packed_texts: Sequence[str], asked: Sequence[float]) -> list[float]:
    """The cosine of each packed vector with another."""
    import numpy as np  # only for what people keep for themselves

    held = np.stack([np.frombuffer(base64.b64decode(text), dtype="<f2") for text in packed_texts]).astype(np.float32)
    found: list[float] = (held @ np.asarray(asked, dtype=np.float32)).tolist()
    return found


def waits(error: Exception) -> bool:
    """Whether a call failed for a reason that passes."""
    return isinstance(error, CallError | ShanheError) and error.code in PATIENT
