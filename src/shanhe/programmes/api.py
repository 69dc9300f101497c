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
from shanhe.programmes.checking import Checked, Standing
from shanhe.programmes.docs import docs_page, docs_rows, mechanisms
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
    NothingToCall,
    NothingToConvert,
    NotYourDesk,
    UnknownApplication,
    UnknownBudget,
    UnknownProgramme,
    UnknownSite,
    WrongState,
)
from shanhe.programmes.forms import from_text as answer_from_text
from shanhe.programmes.forms import plan_text
from shanhe.programmes.guarantees import Guarantee
from shanhe.programmes.importing import ImportReport, RowReport
from shanhe.programmes.jobs import tick
from shanhe.programmes.judging import Measure
from shanhe.programmes.loading import load_catalogue
from shanhe.programmes.messages import amount_text
from shanhe.programmes.model import Ask, Catalogue, Programme, Text
from shanhe.programmes.paying import RELEASED_TOPIC
from shanhe.programmes.second import FUNDING
from shanhe.programmes.service import Programmes
from shanhe.programmes.sheet import applications_csv
from shanhe.programmes.sites import Flow, Report
from shanhe.programmes.standings import Count, Counted, Index, Standings, first_of, quarter_end
from shanhe.programmes.views import (
    application_view,
    budget_view,
    checked_view,
    entitlement_view,
    file_view,
    fund_view,
    guarantee_view,
    import_view,
    index_view,
    outcome_view,
    programme_view,
    request_view,
    site_view,
)

__all__ = [
    "FUNDING",
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
    "Checked",
    "Count",
    "Counted",
    "Entitlement",
    "Evidence",
    "File",
    "Flow",
    "Guarantee",
    "ImportRefused",
    "ImportReport",
    "Index",
    "JudgesItself",
    "Measure",
    "NeedsReason",
    "NotDecidable",
    "NotForYou",
    "NotYourDesk",
    "NothingToCall",
    "NothingToConvert",
    "Outcome",
    "Party",
    "Payment",
    "Programme",
    "Programmes",
    "Reason",
    "Report",
    "RowReport",
    "Standing",
    "Standings",
    "State",
    "Text",
    "Tranche",
    "TrancheState",
    "UnknownApplication",
    "UnknownBudget",
    "UnknownProgramme",
    "UnknownSite",
    "Verdict",
    "WrongState",
    "amount_text",
    "answer_from_text",
    "application_view",
    "applications_csv",
    "budget_view",
    "checked_view",
    "docs_page",
    "docs_rows",
    "entitlement_view",
    "file_view",
    "first_of",
    "fund_view",
    "guarantee_view",
    "import_view",
    "index_view",
    "load_catalogue",
    "mechanisms",
    "outcome_view",
    "plan_text",
    "programme_view",
    "quarter_end",
    "request_view",
    "site_view",
    "tick",
]
