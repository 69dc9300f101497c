"""The door of facts."""

from __future__ import annotations

from shanhe.facts.errors import BadFact, FactConflict, UnknownName
from shanhe.facts.model import Fact, Kind, NewFact, Relation, RelationTerms, Standing, Value
from shanhe.facts.related import add_months
from shanhe.facts.service import Facts, names

__all__ = [
    "BadFact",
    "Fact",
    "FactConflict",
    "Facts",
    "Kind",
    "NewFact",
    "Relation",
    "RelationTerms",
    "Standing",
    "UnknownName",
    "Value",
    "add_months",
    "names",
]
