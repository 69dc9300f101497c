"""The door of agents for other modules."""

from __future__ import annotations

from shanhe.agents.course import Way
from shanhe.agents.definitions import definition_of
from shanhe.agents.errors import BadInputs, BadRequest, NoAnswer, OutOfTime, ToolsLeaveTheCity, UnknownAgent, UnknownRun
from shanhe.agents.exports import labelled_file
from shanhe.agents.face import OpenAiFace, events
from shanhe.agents.guard import Guard
from shanhe.agents.model import (
    Alliance,
    Contribution,
    Cost,
    Definition,
    Depicted,
    Input,
    Likeness,
    Moderated,
    Outcome,
    Published,
    Run,
    RunState,
    Step,
    ToolAnswer,
    ToolSpec,
)
from shanhe.agents.service import FACE_TRY, Agents, Find, Shelves, Toolbox
from shanhe.agents.thumbs import Thumb, Thumbs, Told, rated

__all__ = [
    "FACE_TRY",
    "Agents",
    "Alliance",
    "BadInputs",
    "BadRequest",
    "Contribution",
    "Cost",
    "Definition",
    "Depicted",
    "Find",
    "Guard",
    "Input",
    "Likeness",
    "Moderated",
    "NoAnswer",
    "OpenAiFace",
    "OutOfTime",
    "Outcome",
    "Published",
    "Run",
    "RunState",
    "Shelves",
    "Step",
    "Thumb",
    "Thumbs",
    "Told",
    "ToolAnswer",
    "ToolSpec",
    "Toolbox",
    "ToolsLeaveTheCity",
    "UnknownAgent",
    "UnknownRun",
    "Way",
    "definition_of",
    "events",
    "labelled_file",
    "rated",
]
