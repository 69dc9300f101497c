"""The store of one city, put together."""

from __future__ import annotations

from shanhe.store.deciding import Deciding
from shanhe.store.making import Making
from shanhe.store.voices import Voices


class Store(Making, Deciding, Voices):
    """Its window, read by everybody; what makers, the city and users do about what is in it."""
