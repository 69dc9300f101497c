"""Every way through a definition: where its nodes lead, what they need and what is there after them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from shanhe.kernel.errors import ShanheError
from shanhe.workflows.language import names_in, places_in
from shanhe.workflows.model import (
    FAILURE,
    INPUT,
    AnyNode,
    Approval,
    Ask,
    Attempt,
    Branch,
    Code,
    Definition,
    Flow,
    Http,
    Knowledge,
    Loop,
    Output,
    Parallel,
    Set,
    Tool,
)

Problem = tuple[str, str, str, str]
"""(node, code, zh, en)."""
ROUND: Final = "round"
"""The variable that counts a loop's rounds from 1."""
INSIDE: Final = frozenset({"body", "branches"})
"""Exits that lead into chains of their own."""
FIELD: Final = re.compile(r"^[A-Za-z0-9_]{1,64}$")
HAS: Final[Mapping[type, tuple[str, ...]]] = {
    Knowledge: ("text", "supported", "passages"), Http: ("status", "body"), Approval: ("verdict", "note"),
}  # fmt: skip
"""Fields of what a node of a kind saves."""
FAILURE_FIELDS: Final = ("code", "node", "zh", "en")


def exits(node: AnyNode) -> list[tuple[str, str]]:
    """Where a node's chain can go on; a loop's body and what is `INSIDE` of a parallel node are chains of their own."""
    found = [("next", node.next)]
    if isinstance(node, Branch):
        found.append(("then", node.then))
    elif isinstance(node, Parallel):
        found += [("branches", first) for first in node.branches]
    elif isinstance(node, Approval) and node.refused:
        found.append(("refused", node.refused))
    elif isinstance(node, Loop):
        found.append(("body", node.body))
    elif isinstance(node, Attempt) and node.failed:
        found.append(("failed", node.failed))
    return found


def texts(node: AnyNode) -> list[str]:
    """Texts in which `{{name}}` is filled in."""
    match node:
        case Ask():
            return [node.prompt, node.system, *node.given.values()]
        case Knowledge():
            return [node.question]
        case Approval():
            return [node.shows]
        case Http():
            return [node.url, node.body, *node.headers.values()]
        case Tool():
            return list(leaves(node.arguments))
        case Flow():
            return list(node.given.values())
        case Set() | Output():
            return list(node.values.values())
    return []


def leaves(value: Any) -> Iterator[str]:
    """The texts inside of a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from leaves(one)


def conditions(node: AnyNode) -> list[str]:
    if isinstance(node, Branch):
        return [node.when]
    return [node.until] if isinstance(node, Loop) and node.until else []


def written(node: AnyNode) -> list[str]:
    """Variables that are there after a node; a loop's item and round are its body's own."""
    match node:
        case Ask() | Knowledge() | Code() | Http() | Tool() | Flow():
            return [node.save]
        case Approval() | Loop():
            return [node.save] if node.save else []
        case Set():
            return list(node.values)
    return []


def passing(definition: Definition) -> frozenset[str]:
    """Variables of a round or of a failing way, which end with their branch."""
    return frozenset({ROUND, FAILURE, *(node.item for node in definition.nodes if isinstance(node, Loop))})


def wanted(node: AnyNode) -> set[str]:
    """Variables that must be there before a node; a loop's condition is looked at after its body."""
    found: set[str] = set()
    for text in texts(node):
        found |= places_in(text)
    if isinstance(node, Branch):
        found |= names_in(node.when)
    elif isinstance(node, Loop) and node.over:
        found.add(node.over)
    elif isinstance(node, Code):
        found |= set(node.inputs)
    return found


def known_at(definition: Definition) -> dict[str, list[str]]:
    """What may be named at each node, as it stands in `{{…}}`: variables that are there whichever way led to it, with
    the fields that they are known to have. A definition that has a problem says it of the nodes before that."""
    walk = Walk(definition)
    with contextlib.suppress(KeyError, ShanheError):
        walk.problems()
    fields: dict[str, tuple[str, ...]] = {INPUT: definition.inputs, FAILURE: FAILURE_FIELDS}
    by: dict[str, list[AnyNode]] = {}
    for node in definition.nodes:
        for one in written(node):
            by.setdefault(one, []).append(node)
    fields |= {name: _has(nodes[0]) for name, nodes in by.items() if len(nodes) == 1}
    return {
        name: sorted(f"{one}.{field}" if field else one for one in known for field in fields.get(one) or ("",))
        for name, known in walk.known.items()
    }  # fmt: skip


def _has(node: AnyNode) -> tuple[str, ...]:
    """Fields of what a node saves."""
    if isinstance(node, Ask) and node.schema is not None:
        properties = node.schema.get("properties")
        return tuple(name for name in properties if FIELD.fullmatch(name)) if isinstance(properties, dict) else ()
    return HAS.get(type(node), ())


class Walk:
    """Goes every way through a definition once: circles, what is never reached, what is not known where it is used."""

    def __init__(self, definition: Definition) -> None:
        self._nodes: dict[str, AnyNode] = {node.id: node for node in definition.nodes}
        self._start = definition.start
        self._passing = passing(definition)
        self._owner: dict[str, str] = {}
        self._found: list[Problem] = []
        self.known: dict[str, set[str]] = {}
        """What is there at each node, whichever way led to it."""

    def problems(self, known: set[str] | None = None) -> list[Problem]:
        """`known`: what is there at the beginning; what a run is given when nothing is said."""
        self._chain(self._start, "", {INPUT} if known is None else known)
        for name in self._nodes:
            if name not in self._owner and not self._found:
                self._say(name, "unreachable", f"节点“{name}”永远不会执行", f"{name!r} is never reached")
        return self._found

    def _say(self, node: str, code: str, zh: str, en: str) -> None:
        if (node, code, zh, en) not in self._found:
            self._found.append((node, code, zh, en))

    def _chain(self, start: str, owner: str, known: set[str], meet: str = "") -> set[str]:
        """Everything from `start` on that belongs to `owner`, until it ends or comes to `meet`; what is known at each
        of its ends."""
        order = self._order(start, owner, meet)
        if order is None:
            return known
        before: dict[str, set[str]] = {start: set(known)}
        ends: list[set[str]] = []
        for name in order:
            node = self._nodes[name]
            here = self.known[name] = before[name]
            self._missing(name, wanted(node), here)
            after = here | set(written(node))
            if isinstance(node, Loop):
                after |= self._body(node, here)
            elif isinstance(node, Parallel):
                after |= self._branches(node, here)
            for edge, to in exits(node):
                if edge in INSIDE:
                    continue
                there = here | {FAILURE} if edge == "failed" else after
                if to in ("", meet):
                    ends.append(there)
                else:
                    before[to] = before[to] & there if to in before else set(there)
        return set.intersection(*ends) if ends else known

    def _body(self, node: Loop, known: set[str]) -> set[str]:
        inside = known | {ROUND} | ({node.item} if node.over else set())
        ends = self._chain(node.body, node.id, inside)
        if node.gather:
            self._missing(node.id, {node.gather}, ends)
        if not node.until:
            return set()
        self.known[node.id] = ends
        self._missing(node.id, names_in(node.until), ends)
        return ends - {ROUND}

    def _branches(self, node: Parallel, known: set[str]) -> set[str]:
        """What is known where the branches meet; none of them sees what another writes."""
        found, by = set[str](), dict[tuple[str, str], str]()
        for first in node.branches:
            owner = f"{node.id}/{first}"
            found |= self._chain(first, owner, known, node.next) - self._passing
            for kind, name in sorted(self._writes(owner)):
                if by.setdefault((kind, name), first) != first:
                    self._say(node.id, "written_twice", f"两条分支都写入“{name}”，汇合后无法确定取哪一个",
                              f"two branches write {name!r}: which one counts where they meet?")  # fmt: skip
        return found

    def _writes(self, owner: str) -> set[tuple[str, str]]:
        """Variables and results that the nodes of a branch write, those of chains inside of it with them."""
        found = set[tuple[str, str]]()
        for name, of in self._owner.items():
            if of == owner:
                node = self._nodes[name]
                found |= {("variable", one) for one in written(node)}
                if isinstance(node, Output):
                    found |= {("result", one) for one in node.values}
                if isinstance(node, Loop):
                    found |= self._writes(node.id)
                elif isinstance(node, Parallel):
                    found |= {one for first in node.branches for one in self._writes(f"{node.id}/{first}")}
        return found

    def _missing(self, name: str, asked: set[str], known: set[str]) -> None:
        for variable in sorted(asked - known):
            self._say(name, "unknown_variable", f"节点“{name}”用到了此处尚不一定存在的变量“{variable}”",
                      f"{name!r} uses {variable!r}, which need not be there")  # fmt: skip

    def _order(self, start: str, owner: str, meet: str) -> list[str] | None:
        """The chain's nodes, each after all that lead to it; None for a circle."""
        order: list[str] = []
        state: dict[str, int] = {}
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            name, left = stack.pop()
            if left:
                state[name] = 2
                order.append(name)
                continue
            if state.get(name):
                continue
            state[name] = 1
            if self._owner.setdefault(name, owner) != owner:
                self._shared(name, owner)
                return None
            stack.append((name, True))
            for edge, to in exits(self._nodes[name]):
                if edge in INSIDE or to in ("", meet):
                    continue
                if state.get(to) == 1:
                    self._say(name, "unbounded_loop", f"“{name}”回到“{to}”形成无上限的循环，请使用循环节点",
                              f"{name!r} leads back to {to!r}: a circle without a bound; use a loop")  # fmt: skip
                    return None
                stack.append((to, False))
        return order[::-1]

    def _shared(self, name: str, owner: str) -> None:
        if "/" in owner or "/" in self._owner[name]:
            self._say(name, "shared_branch", f"节点“{name}”不止在一条并行分支内；分支相会处请设为并行节点的“之后”",
                      f"{name!r} is in two branches; they meet at the parallel node's `next`")  # fmt: skip
        else:
            self._say(name, "shared_body", f"节点“{name}”同时在循环体内与循环体外",
                      f"{name!r} is both inside a loop and outside of it")  # fmt: skip
