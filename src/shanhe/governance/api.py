"""The door of governance."""

from __future__ import annotations

from shanhe.governance.dilution import BudgetCard, Dilution, ProgrammeCard, spread_of
from shanhe.governance.dilution_views import as_csv, report_view, trend_view
from shanhe.governance.errors import (
    AlreadySimulated,
    AlreadyVoted,
    BadProposal,
    BadSimulation,
    NotDecided,
    NotForYou,
    NothingToSimulate,
    NotSeated,
    ProposalConflict,
    SimulationConflict,
    TooManyCases,
    TooManySimulations,
    TooSoon,
    UnknownProposal,
    UnknownSimulation,
    UnknownThing,
    WrongState,
)
from shanhe.governance.jobs import simulate, tick
from shanhe.governance.model import Duty, File, NewProposal, Project, Proposal, Score, State, Vote, duties
from shanhe.governance.sampling import Outcome, Sample
from shanhe.governance.service import Governance
from shanhe.governance.simulating import Gather, Progress, Seen, Simulating, Simulation
from shanhe.governance.simulation_views import report_view as report_as_seen
from shanhe.governance.simulation_views import simulation_csv, simulation_view
from shanhe.governance.views import duty_view, file_view, project_view, proposal_view, sample_view, score_view
from shanhe.governance.watching import Measure

__all__ = [
    "AlreadySimulated",
    "AlreadyVoted",
    "BadProposal",
    "BadSimulation",
    "BudgetCard",
    "Dilution",
    "Duty",
    "File",
    "Gather",
    "Governance",
    "Measure",
    "NewProposal",
    "NotDecided",
    "NotForYou",
    "NotSeated",
    "NothingToSimulate",
    "Outcome",
    "ProgrammeCard",
    "Progress",
    "Project",
    "Proposal",
    "ProposalConflict",
    "Sample",
    "Score",
    "Seen",
    "Simulating",
    "Simulation",
    "SimulationConflict",
    "State",
    "TooManyCases",
    "TooManySimulations",
    "TooSoon",
    "UnknownProposal",
    "UnknownSimulation",
    "UnknownThing",
    "Vote",
    "WrongState",
    "as_csv",
    "duties",
    "duty_view",
    "file_view",
    "project_view",
    "proposal_view",
    "report_as_seen",
    "report_view",
    "sample_view",
    "score_view",
    "simulate",
    "simulation_csv",
    "simulation_view",
    "spread_of",
    "tick",
    "trend_view",
]
