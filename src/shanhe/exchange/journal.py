"""The journal's encoding, and ids that follow from it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from shanhe.exchange.model import AnyEvent, Market

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
MARKETS: Final = (Market.REAL, Market.PLAY)

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


def encode(event: AnyEvent) -> bytes:
    return _encoder.encode(event)


def decode(body: bytes) -> AnyEvent:
    return _decoder.decode(body)


def micros(at: datetime) -> int:
    """An aware instant as microseconds since the epoch."""
    return (at - EPOCH) // MICROSECOND


def instant(at_us: int) -> datetime:
    return EPOCH + at_us * MICROSECOND


def trade_id(market: Market, at_us: int, seq: int, n: int) -> UUID:
    """The id of the n-th trade of an event: a UUIDv7 whose random part is (market, sequence, place).

    The last four bits are left for ids that follow from it, such as those of its transfers.
    """
    tail = (MARKETS.index(market) << 60) | (seq << 24 & (1 << 60) - 1) | n << 4
    return UUID(int=(at_us // 1000) << 80 | 7 << 76 | (at_us % 1000) << 64 | 2 << 62 | tail)
