"""What an asker is shown of facts."""

from __future__ import annotations

from typing import Any

from shanhe.facts.model import Fact
from shanhe.facts.reading import names


def fact_view(fact: Fact) -> dict[str, Any]:
    """A fact as JSON, with its title."""
    kind = names()[fact.name]
    return {
        "id": fact.id, "name": fact.name, "title": {"zh": kind.zh, "en": kind.en}, "key": fact.key, "value": fact.value,
        "unit": kind.unit, "valid_from": fact.valid_from, "valid_to": fact.valid_to, "known_at": fact.known_at,
        "standing": fact.standing, "source": fact.source, "evidence": fact.evidence,
    }  # fmt: skip
