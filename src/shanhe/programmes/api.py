"""The door of programmes."""

from __future__ import annotations

from shanhe.programmes.cases import (
    Application,
    BudgetView,
    Entitlement,
    Evidence,
    File,
    Outcome,
    Party,
    Payment,
    Reason,
    State,
    Tranche,
    TrancheState,
    Verdict,
)
from shanhe.programmes.docs import docs_page, docs_rows
from shanhe.programmes.errors import (
    AlreadyClaimed,
    AlreadyJudged,
    ApplicationConflict,
    AskAgain,
    BadAnswers,
    CatalogueInvalid,
    ImportRefused,
    JudgesItself,
    NeedsReason,
    NotDecidable,
    NotForYou,
    NothingToConvert,
    NotYourDesk,
    UnknownApplication,
    UnknownBudget,
    UnknownProgramme,
    WrongState,
)
from shanhe.programmes.forms import from_text as answer_from_text
from shanhe.programmes.importing import ImportReport, RowReport
from shanhe.programmes.jobs import tick
from shanhe.programmes.judging import Measure
from shanhe.programmes.loading import load_catalogue
from shanhe.programmes.messages import amount_text
from shanhe.programmes.model import Ask, Catalogue, Programme, Text
from shanhe.programmes.paying import RELEASED_TOPIC
from shanhe.programmes.service import Programmes
from shanhe.programmes.views import (
    application_view,
    budget_view,
    entitlement_view,
    file_view,
    import_view,
    outcome_view,
    programme_view,
    request_view,
)

__all__ = [
    "RELEASED_TOPIC",
    "AlreadyClaimed",
    "AlreadyJudged",
    "Application",
    "ApplicationConflict",
    "Ask",
    "AskAgain",
    "BadAnswers",
    "BudgetView",
    "Catalogue",
    "CatalogueInvalid",
    "Entitlement",
    "Evidence",
    "File",
    "ImportRefused",
    "ImportReport",
    "JudgesItself",
    "Measure",
    "NeedsReason",
    "NotDecidable",
    "NotForYou",
    "NotYourDesk",
    "NothingToConvert",
    "Outcome",
    "Party",
    "Payment",
    "Programme",
    "Programmes",
    "Reason",
    "RowReport",
    "State",
    "Text",
    "Tranche",
    "TrancheState",
    "UnknownApplication",
    "UnknownBudget",
    "UnknownProgramme",
    "Verdict",
    "WrongState",
    "amount_text",
    "answer_from_text",
    "application_view",
    "budget_view",
    "docs_page",
    "docs_rows",
    "entitlement_view",
    "file_view",
    "import_view",
    "load_catalogue",
    "outcome_view",
    "programme_view",
    "request_view",
    "tick",
]
