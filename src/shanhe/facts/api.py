"""The door of facts."""

from __future__ import annotations

from shanhe.facts.errors import BadFact, FactConflict, UnknownName
from shanhe.facts.model import (
    Fact,
    Guard,
    Kind,
    NewFact,
    Reading,
    Relation,
    RelationTerms,
    Standing,
    Unguarded,
    Use,
    Value,
)
from shanhe.facts.reading import Reader, names
from shanhe.facts.service import Facts, checked
from shanhe.facts.views import fact_view

__all__ = [
    "BadFact",
    "Fact",
    "FactConflict",
    "Facts",
    "Guard",
    "Kind",
    "NewFact",
    "Reader",
    "Reading",
    "Relation",
    "RelationTerms",
    "Standing",
    "Unguarded",
    "UnknownName",
    "Use",
    "Value",
    "checked",
    "fact_view",
    "names",
]
