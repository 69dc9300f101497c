"""What suppliers do that other servers of their protocol don't, by their domain: no registration has to say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shanhe.compute.model import BOUND, HIDDEN

KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "openai.com": frozenset({BOUND, HIDDEN}),
    "azure.com": frozenset({BOUND, HIDDEN}),
    "x.ai": frozenset({HIDDEN}),
    "googleapis.com": frozenset({HIDDEN}),
}


def features_of(host: str) -> frozenset[str]:
    """Features of whoever is reached at `host`; none for one that is not known."""
    return next((found for name, found in KNOWN.items() if f".{host}".endswith(f".{name}")), frozenset())
