"""What something that several people may change is recognised by: who saves it says what they had read."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

CHARS: Final = 16


def mark_of(said: Any) -> str:
    """The same for the same content; what JSON has no form for counts as its text."""
    return hashlib.sha256(msgspec.json.encode(said, enc_hook=str, order="deterministic")).hexdigest()[:CHARS]
