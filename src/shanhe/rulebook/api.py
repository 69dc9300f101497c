"""The only door to the rulebook."""

from __future__ import annotations

from shanhe.rulebook.errors import (
    FactProblem,
    FormulaInvalid,
    ParameterNotFound,
    RuleFactsInvalid,
    RuleFileInvalid,
    RuleNotFound,
    RuleNotInForce,
)
from shanhe.rulebook.model import CheckReport, Decision, Rule, RuleAmendment
from shanhe.rulebook.service import Rulebook
from shanhe.rulebook.vector import VectorKernel

__all__ = [
    "CheckReport",
    "Decision",
    "FactProblem",
    "FormulaInvalid",
    "ParameterNotFound",
    "Rule",
    "RuleAmendment",
    "RuleFactsInvalid",
    "RuleFileInvalid",
    "RuleNotFound",
    "RuleNotInForce",
    "Rulebook",
    "VectorKernel",
]
