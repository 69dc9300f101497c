"""The only door to the rulebook."""

from __future__ import annotations

from shanhe.rulebook.amendments import ASIDE as SET_ASIDE
from shanhe.rulebook.amendments import KIND as AMENDMENT
from shanhe.rulebook.amendments import Amendments, load_amended, open_rulebook, proved, record
from shanhe.rulebook.browsing import Valued, values
from shanhe.rulebook.cases import Case, Stream
from shanhe.rulebook.differences import Difference, differences
from shanhe.rulebook.documents import read_yaml
from shanhe.rulebook.effects import few, hidden
from shanhe.rulebook.errors import (
    FactProblem,
    FormulaInvalid,
    ParameterNotFound,
    RuleFactsInvalid,
    RuleFileInvalid,
    RuleNotFound,
    RuleNotInForce,
    RuleWithheld,
)
from shanhe.rulebook.language import number as number_of
from shanhe.rulebook.language import parse as parse_formula
from shanhe.rulebook.mistakes import Mistake, mistakes
from shanhe.rulebook.model import (
    CheckFinding,
    CheckReport,
    Decision,
    Parameter,
    Rule,
    RuleAmendment,
    Text,
    Unfit,
    content_hash,
)
from shanhe.rulebook.mutate import MutationReport, mutate_rules
from shanhe.rulebook.replay import Outcome, Replay, adds_up, replay, traces_in
from shanhe.rulebook.resolve import in_force, value_of
from shanhe.rulebook.service import Rulebook
from shanhe.rulebook.simulate import Section, Side, last_month, simulate
from shanhe.rulebook.table import CHAPTERS, rules_page
from shanhe.rulebook.trace import recompute
from shanhe.rulebook.vector import VectorKernel
from shanhe.rulebook.wording import display

__all__ = [
    "AMENDMENT",
    "CHAPTERS",
    "SET_ASIDE",
    "Amendments",
    "Case",
    "CheckFinding",
    "CheckReport",
    "Decision",
    "Difference",
    "FactProblem",
    "FormulaInvalid",
    "Mistake",
    "MutationReport",
    "Outcome",
    "Parameter",
    "ParameterNotFound",
    "Replay",
    "Rule",
    "RuleAmendment",
    "RuleFactsInvalid",
    "RuleFileInvalid",
    "RuleNotFound",
    "RuleNotInForce",
    "RuleWithheld",
    "Rulebook",
    "Section",
    "Side",
    "Stream",
    "Text",
    "Unfit",
    "Valued",
    "VectorKernel",
    "adds_up",
    "content_hash",
    "differences",
    "display",
    "few",
    "hidden",
    "in_force",
    "last_month",
    "load_amended",
    "mistakes",
    "mutate_rules",
    "number_of",
    "open_rulebook",
    "parse_formula",
    "proved",
    "read_yaml",
    "recompute",
    "record",
    "replay",
    "rules_page",
    "simulate",
    "traces_in",
    "value_of",
    "values",
]
