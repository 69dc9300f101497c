"""When call auctions are held: at regular times of the city's day, each closing at a secret second of its last minute.

The second follows from a secret and the auction's time, so that nobody can know it beforehand and every process agrees.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta

from shanhe.kernel.clock import DAY, city_date, midnight


def slot_before(at: datetime, interval: timedelta) -> datetime:
    """The latest regular time at or before an instant."""
    start = midnight(city_date(at))
    return start + (at - start) // interval * interval


def slot_after(at: datetime, interval: timedelta) -> datetime:
    """The first regular time after an instant; each day of the city begins with one."""
    return min(slot_before(at, interval) + interval, midnight(city_date(at) + DAY))


def close_of(slot: datetime, secret: bytes, window_s: int) -> datetime:
    """The instant from which an auction may be held: at most `window_s` seconds before the time it is named after."""
    if window_s <= 0:
        return slot
    digest = hmac.new(secret, str(int(slot.timestamp())).encode(), hashlib.sha256).digest()
    return slot - timedelta(milliseconds=int.from_bytes(digest[:8], "big") % (window_s * 1000))


def due_slot(at: datetime, interval: timedelta, secret: bytes, window_s: int) -> datetime:
    """The latest auction that may be held by now; no earlier one is."""
    following = slot_after(at, interval)
    return following if close_of(following, secret, window_s) <= at else slot_before(at, interval)


def next_slot(at: datetime, interval: timedelta, last: datetime | None) -> datetime:
    """The next auction's time, for people."""
    following = slot_after(at, interval)
    return slot_after(following, interval) if last is not None and last >= following else following
