"""One node of a definition by itself, for whoever is still writing it: the same definition language, the same run.

What is tried is the node with its texts and conditions as they stand, on variables that somebody gives, and then an
output of what it did; a loop keeps its body. So a trial has steps, receipts and bounds like every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from shanhe.workflows.checking import problems_from
from shanhe.workflows.model import AnyNode, Approval, Attempt, Branch, Definition, Loop, Output, Parallel
from shanhe.workflows.ways import ROUND, Problem, exits, wanted, written

SAID: Final = "~said"
"""Of the output that follows; no node of a definition can be called so."""
OTHERWISE: Final = "~otherwise"


def alone(definition: Definition, name: str) -> Definition:
    """The definition that tries one node; KeyError when there is none of that name, or it is an
    approval or a parallel node."""
    by_name = {node.id: node for node in definition.nodes}
    node = by_name[name]
    if isinstance(node, Approval | Parallel):
        raise KeyError(name)
    if isinstance(node, Attempt):
        node = msgspec.structs.replace(node, failed="")
    nodes: list[AnyNode] = []
    if isinstance(node, Branch):
        changed: AnyNode = msgspec.structs.replace(node, then=SAID, next=OTHERWISE)
        nodes += [Output(id=SAID, values={"next": node.then}), Output(id=OTHERWISE, values={"next": node.next})]
    elif saved := ([] if isinstance(node, Output) else written(node)):
        changed = msgspec.structs.replace(node, next=SAID)
        nodes.append(Output(id=SAID, values={variable: f"{{{{{variable}}}}}" for variable in saved}))
    else:
        changed = msgspec.structs.replace(node, next="")
    inside = [by_name[one] for one in body(node, by_name)]
    return msgspec.structs.replace(definition, start=name, nodes=(changed, *inside, *nodes), inputs=())


def wants(definition: Definition, name: str) -> list[str]:
    """Variables that the node needs before it; see `alone`."""
    tried = alone(definition, name)
    own = {variable for node in tried.nodes for variable in written(node)} | {ROUND}
    own |= {node.item for node in tried.nodes if isinstance(node, Loop) and node.over}
    first, *inside = (node for node in tried.nodes if not node.id.startswith("~"))
    return sorted(wanted(first) | {variable for node in inside for variable in wanted(node)} - own)


def problems_alone(definition: Definition, name: str, known: set[str]) -> list[Problem]:
    """Every reason why the node can't be tried on variables of these names."""
    return problems_from(alone(definition, name), known)


def body(node: AnyNode, by_name: dict[str, AnyNode]) -> Iterator[str]:
    """Every node inside of a loop, each once."""
    waiting, seen = ([node.body] if isinstance(node, Loop) else []), {node.id, ""}
    while waiting:
        name = waiting.pop()
        if name in seen or name not in by_name:
            continue
        seen.add(name)
        yield name
        waiting += [to for _, to in exits(by_name[name])]
