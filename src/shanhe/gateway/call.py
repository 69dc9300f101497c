"""A call while it is being made: what is known of it so far, and how it is told of afterwards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from time import perf_counter
from typing import Any, Final
from uuid import UUID

from shanhe.gateway.commission import Parted
from shanhe.gateway.errand import Errand, Keep
from shanhe.gateway.faces.base import Face, Parsed, StreamWriter
from shanhe.gateway.http import Headers
from shanhe.gateway.model import Admission, Timings
from shanhe.kernel.ids import new_id_and_text

CALL_MAX_S: Final = 1800.0
"""Longest time a call may take from its admission on; the reservation lives longer, see `admission.CALL_TTL_S`."""

ANSWER_MAX_BYTES: Final = 32 * 1024 * 1024
"""Longest answer, whole, or what can be read in a streamed one."""


class Call:
    """Working state of one call, alive for as long as it is."""

    __slots__ = (
        "admission", "admitted_at", "caller", "carried", "errand", "face", "fees", "inside", "keep", "paid_micro",
        "parsed", "parted", "rates", "receipt", "receipt_id", "reservation", "set_aside", "since", "started_at",
        "through", "traceparent", "weigh", "weights", "writer",
    )  # fmt: skip

    def seconds_left(self) -> float:
        """How long the call may still take; at least a second."""
        return max(1.0, self.admitted_at + CALL_MAX_S - perf_counter())

    def __init__(self, face: Face) -> None:
        self.face = face
        self.receipt_id, self.receipt = new_id_and_text()
        self.started_at = started_at = perf_counter()
        self.caller: Any = None
        self.errand: Errand | None = None
        self.keep: Keep | None = None  # gets a whole answer before it is charged
        self.parsed: Parsed
        self.traceparent: bytes | None  # where calls are traced
        self.admission: Admission
        self.reservation: Any = None
        self.rates: Sequence[tuple[bytes, bytes]] = ()  # what is left of the key's rates, where it has any
        self.admitted_at = started_at
        self.through: Sequence[str] = ()  # listings the call comes through
        self.since: datetime | None = None  # when the run began that the call is a step of
        self.weights: Mapping[str, Sequence[int]] | None = None
        self.fees: Collection[str] | None = None  # those of them whose fee is due with this call; None = all
        self.carried: Mapping[str, int] | None = None  # model cost of earlier calls whose markup is due with this one
        self.weigh: Callable[[bytes], tuple[str, Mapping[UUID, int]]] | None = None  # makers by what the answer holds
        self.inside = False  # may call models that only listings may
        self.set_aside = 0  # of its caller's purse
        self.paid_micro = 0
        self.parted: Parted | None = None
        self.writer: StreamWriter | None = None


def timings(call: Call, first_at: float, done_at: float) -> Timings:
    at = call.started_at
    done_ms = int((done_at - at) * 1e6) / 1000
    first_ms = done_ms if first_at == done_at else int((first_at - at) * 1e6) / 1000
    return Timings(int((call.admitted_at - at) * 1e6) / 1000, first_ms, done_ms)


def receipt_headers(call: Call, *first: tuple[bytes, bytes]) -> Headers:
    """The headers that name a call's receipt, and what is left of its key's rates."""
    receipt = call.receipt.encode()
    return [*first, (b"x-shanhe-receipt", receipt), (b"x-request-id", receipt), (b"request-id", receipt), *call.rates]
