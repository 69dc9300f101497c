"""Nouns of workflows: nodes, definitions, runs, steps, approvals, triggers. Frozen and pure."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

SLUG: Final = re.compile(r"^[a-z0-9][a-z0-9-]{1,39}$")
NAME: Final = re.compile(r"^[a-z][a-z0-9_]{0,31}$")
"""Of nodes and of variables."""
HOST: Final = re.compile(r"^[a-z0-9]([a-z0-9.-]{0,98}[a-z0-9])?$")
INPUT: Final = "input"
"""The variable that a run begins with."""
NODES_MAX: Final = 60
HOSTS_MAX: Final = 20
FIELDS_MAX: Final = 20
TEXT_MAX_CHARS: Final = 16_000
TITLE_MAX_CHARS: Final = 80
DEFINITION_MAX_BYTES: Final = 128 * 1024
STEPS_MAX: Final = 300
ROUNDS_MAX: Final = 100
BRANCHES_MAX: Final = 8
HOURS_MAX: Final = 720
TOKENS_MAX: Final = 8_192
BUDGET_MAX_MICRO: Final = 1_000_000_000
VARIABLES_MAX_BYTES: Final = 256 * 1024
COURSE_MAX_BYTES: Final = 1024 * 1024
"""Variables with what loops go over and gather, and the result so far."""
TRIES_MAX: Final = 5
DEPTH_MAX: Final = 3
"""Workflows inside of workflows."""
STEPS_IN_ALL_MAX: Final = 3_000
"""Steps of everything that one start sets going: a loop of a hundred rounds three deep would be a million."""
COSTS_MAX: Final = 5_000
"""Rows of what runs cost, the newest."""
BASES_MAX: Final = 8
BASE_MAX_CHARS: Final = 80
PASSAGES_MAX: Final = 20
FAILURE: Final = "failure"
"""The variable that says what went wrong, where a node leads on after it failed."""
HEADER: Final = re.compile(r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
SECRET: Final = re.compile(r"^[a-z][a-z0-9_]{0,39}$")
OURS: Final = frozenset({
    "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect",
    "idempotency-key",
})  # fmt: skip
"""Headers that a request sets itself."""
TOOL: Final = re.compile(r"^[a-z0-9][a-z0-9-]{1,62}/[A-Za-z0-9_.-]{1,64}$")
AGENTS: Final = ("agent/", "clone/", "alliance/")
"""What names of agents begin with."""
ROLES: Final = ("owner", "member")
DATA_CLASSES: Final = ("general", "citizen", "government")
CITY_CLASSES: Final = frozenset(DATA_CLASSES[1:])


class Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all nodes have. `next` empty: the chain ends here, and with it the round of a loop or the run."""

    id: str
    title: str = ""
    next: str = ""
    x: int = 0
    y: int = 0


class Attempt(Node, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may fail: tried up to `tries` times in all, then on to `failed` with the variable `failure`; empty ends the
    run."""

    tries: int = 1
    failed: str = ""


class Ask(Attempt, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="ask"):
    """Ask a model, or an agent as `agent/name`, which is told `given` first. With a `schema` (models only) the answer
    is read as JSON."""

    target: str
    prompt: str
    save: str
    system: str = ""
    tokens: int = 512
    temperature: float | None = None
    schema: dict[str, Any] | None = None
    given: dict[str, str] = {}


class Branch(Node, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="branch"):
    """Go to `then` if `when` holds, else to `next`."""

    when: str
    then: str


class Loop(Node, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="loop"):
    """Run the chain that begins with `body` for each of `over` (a list, called `item`), or until `until` holds, at most
    `most` times. `gather` names a variable of the body whose values are kept as the list `save`."""

    body: str
    most: int = 0
    over: str = ""
    until: str = ""
    item: str = "item"
    gather: str = ""
    save: str = ""


class Parallel(Node, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="parallel"):
    """Go on in several chains at once, each beginning with one of `branches`. A branch knows what was there before and
    what it writes itself; it ends where its chain ends or comes to `next`. There all of them are waited for, and what
    they wrote comes together."""

    branches: tuple[str, ...]


class Approval(Node, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="approval"):
    """Wait until somebody says yes (`next`) or no (`refused`; empty ends the run as refused). `who`: owner, member, or
    a person's id; `shows` is what they read. Nobody's word within `hours` ends the run."""

    who: str
    shows: str
    hours: int = 72
    refused: str = ""
    save: str = ""


class Code(Attempt, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="code"):
    """Run `main(**inputs)` of a piece of Python in the sandbox, with these variables and nothing else."""

    code: str
    save: str
    inputs: tuple[str, ...] = ()


class Knowledge(Attempt, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="knowledge"):
    """Look a question up in knowledge bases that the organisation may read. Saves `{"supported": …, "text": …,
    "passages": […]}`: `text` is what a model is shown, empty where the bases don't support an answer. What a run has
    read keeps its data class."""

    bases: tuple[str, ...]
    question: str
    save: str
    passages: int = 4


class Tool(Attempt, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="tool"):
    """Call a tool of the store, `server/tool`, at its fee. Saves what it said, read as JSON where it is that."""

    tool: str
    save: str
    arguments: dict[str, Any] = {}


class Flow(Attempt, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="workflow"):
    """Run another workflow of the organisation, as published, and wait for it. Saves its result."""

    workflow: str
    save: str
    given: dict[str, str] = {}


class Http(Attempt, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="http"):
    """Ask a public address on the definition's list of hosts. Saves `{"status": …, "body": …}`; where the node says
    what to do when it fails, a status of 400 and above is a failure. `secrets`: headers that are filled with secrets of
    the organisation, by name; no run keeps them."""

    url: str
    save: str
    method: Literal["GET", "POST"] = "GET"
    body: str = ""
    headers: dict[str, str] = {}
    secrets: dict[str, str] = {}


class Set(Node, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="set"):
    """Give variables values; a text that is one `{{name}}` takes the value as it is."""

    values: dict[str, str]


class Output(Node, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="output"):
    """What the run returns, by name."""

    values: dict[str, str]


AnyNode = Ask | Knowledge | Branch | Parallel | Loop | Approval | Code | Http | Tool | Flow | Set | Output
KINDS: Final = (
    "ask", "knowledge", "tool", "workflow", "branch", "parallel", "loop", "approval", "code", "http", "set", "output",
)  # fmt: skip


class Definition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A workflow as it is written down: where it begins, its nodes, what a run is given, and how far one may go."""

    start: str
    nodes: tuple[AnyNode, ...]
    inputs: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    steps_max: int = 60
    budget_micro: int = 1_000_000
    hours_max: int = 168

    def node(self, name: str) -> AnyNode:
        return next(one for one in self.nodes if one.id == name)


class Workflow(msgspec.Struct, frozen=True):
    id: UUID
    org_id: UUID
    slug: str
    title: str
    made_by: str
    made_at: datetime
    draft: int | None = None
    published: int | None = None


class Uses(msgspec.Struct, frozen=True):
    """What would miss a workflow: others that have it as a step, what starts it, and its open runs."""

    workflows: list[str]
    scheduled: bool
    hooks: int
    runs: int

    @property
    def any(self) -> bool:
        return bool(self.workflows or self.scheduled or self.hooks or self.runs)


class Version(msgspec.Struct, frozen=True):
    workflow: UUID
    n: int
    state: str
    definition: Any
    made_by: str
    made_at: datetime
    published_at: datetime | None = None


class Course(msgspec.Struct):
    """Where a run stands, or one of its branches: the node that comes next (none: it has ended), how often it failed,
    what was written, and the loops around it from the outside in. `data_class`: of what was read, which stays where
    that has to. `n`: the number of the step that is due, `first` that of its first try. `branches`: while it stands at
    a parallel node, those that it waits for.

    Of a run alone: `last`, the highest number that was given out, and `over`, how it ends once nothing is under way.
    """

    at: str
    variables: dict[str, Any] = {}
    frames: list[Frame] = []
    result: dict[str, Any] = {}
    tried: int = 0
    data_class: str = "general"
    n: int = 0
    first: int = 0
    branches: list[Course] = []
    last: int = 0
    over: Over | None = None


class Over(msgspec.Struct, frozen=True):
    """An end that is none: the run's state, and what happened."""

    state: str
    code: str
    zh: str
    en: str


class Frame(msgspec.Struct):
    """A loop's round: its node, which round it is (from 0), what it goes over, and what it gathered."""

    loop: str
    round: int
    items: list[Any] | None
    gathered: list[Any] = []


class Run(msgspec.Struct, frozen=True):
    """`course`, `result` and `why` are texts of the organisation, opened. `node`: the one that is tried alone.
    `parent`: the run that it is the step `parent_n` of, at `depth` below the one that somebody started."""

    id: UUID
    workflow: UUID
    version: int
    org_id: UUID
    key_id: UUID
    source: str
    state: str
    course: Any
    result: Any
    why: Any
    error: str
    steps: int
    budget_micro: int
    paid_micro: int
    made_at: datetime
    due_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    slug: str = ""
    node: str = ""
    parent: UUID | None = None
    parent_n: int | None = None
    depth: int = 0


class Cost(msgspec.Struct, frozen=True):
    """What runs of a workflow by one key cost on a day: the sum of their receipts."""

    day: date
    name: str
    key_id: UUID
    runs: int
    paid_micro: int


class Step(msgspec.Struct, frozen=True):
    """One step of a run, numbered in the order in which steps came due. `answer` is what a call said, kept until the
    step is booked. `branch`: the nodes that the branches begin with that it lies in, from the outside in. `agent_run`:
    of the agent that it asks."""

    run: UUID
    n: int
    node: str
    kind: str
    state: str
    receipt_id: UUID | None
    paid_micro: int
    tokens: int
    took_ms: int
    error: str
    begun_at: datetime
    answer: Any = None
    branch: str = ""
    agent_run: UUID | None = None


class Waiting(msgspec.Struct, frozen=True):
    """A run that waits for somebody's word."""

    id: UUID
    run: UUID
    n: int
    node: str
    org_id: UUID
    who: str
    shows: str
    asked_at: datetime
    expires_at: datetime
    verdict: str = ""
    note: str = ""
    decided_by: str = ""
    decided_at: datetime | None = None
    slug: str = ""


class Hook(msgspec.Struct, frozen=True):
    id: UUID
    workflow: UUID
    made_by: str
    made_at: datetime
    revoked_at: datetime | None = None


class Trigger(msgspec.Struct, frozen=True):
    """What starts a workflow's runs by itself: a `hook`, or its `schedule`, whose id is the workflow's."""

    kind: str
    id: UUID
    workflow: UUID
    slug: str
    made_by: str
    made_at: datetime


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Every so many minutes, or at a time of the city's day (`HH:MM`) on some days of the week (1 = Monday)."""

    every_minutes: int = 0
    at: str = ""
    days: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)
