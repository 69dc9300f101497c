"""The door of governance."""

from __future__ import annotations

from shanhe.governance.dilution import BudgetCard, Dilution, ProgrammeCard, spread_of
from shanhe.governance.dilution_views import as_csv, report_view, trend_view
from shanhe.governance.errors import (
    AlreadyVoted,
    BadProposal,
    NotDecided,
    NotForYou,
    NotSeated,
    ProposalConflict,
    TooSoon,
    UnknownProposal,
    UnknownThing,
    WrongState,
)
from shanhe.governance.jobs import tick
from shanhe.governance.model import Duty, File, NewProposal, Project, Proposal, Score, State, Vote, duties
from shanhe.governance.sampling import Outcome, Sample
from shanhe.governance.service import Governance
from shanhe.governance.views import duty_view, file_view, project_view, proposal_view, sample_view, score_view
from shanhe.governance.watching import Measure

__all__ = [
    "AlreadyVoted",
    "BadProposal",
    "BudgetCard",
    "Dilution",
    "Duty",
    "File",
    "Governance",
    "Measure",
    "NewProposal",
    "NotDecided",
    "NotForYou",
    "NotSeated",
    "Outcome",
    "ProgrammeCard",
    "Project",
    "Proposal",
    "ProposalConflict",
    "Sample",
    "Score",
    "State",
    "TooSoon",
    "UnknownProposal",
    "UnknownThing",
    "Vote",
    "WrongState",
    "as_csv",
    "duties",
    "duty_view",
    "file_view",
    "project_view",
    "proposal_view",
    "report_view",
    "sample_view",
    "score_view",
    "spread_of",
    "tick",
    "trend_view",
]
