"""Nouns of starters: what comes with the city, what it needs, what is missing here, and a copy. Frozen and pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

LANGUAGES: Final = ("zh", "en")
CHAT: Final = "chat"
"""The kind of model that a starter's file names in the place of one, since no city has the models of another."""
GENERAL: Final = "general"
AGENT, WORKFLOW = "agent", "workflow"
Content = Mapping[str, Any]


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something said in both languages."""

    zh: str
    en: str


class Usual(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How large an ordinary run is: tokens that its models read and write, all calls together, and look-ups."""

    input: int
    output: int
    lookups: int = 0


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What its file says of a starter beside its definitions."""

    kind: Literal["agent", "workflow"]
    category: str
    title: Words
    summary: Words
    usual: Usual


class Starter(msgspec.Struct, frozen=True):
    """`definitions`: by language, each as an export of an agent or a workflow writes it, but for the model."""

    name: str
    card: Card
    definitions: Mapping[str, Content]


class Needs(msgspec.Struct, frozen=True):
    """What a definition rests on. `data_class`: of what its model reads; `knowledge`, `tools`: by their names; `code`:
    the sandbox; `approval`: somebody's word."""

    data_class: str
    knowledge: tuple[str, ...]
    tools: tuple[str, ...]
    code: bool
    approval: bool


class Missing(msgspec.Struct, frozen=True):
    """What of it is not here. A copy is made without tools and bases all the same; without a model it is not."""

    model: bool
    knowledge: tuple[str, ...]
    tools: tuple[str, ...]

    @property
    def any(self) -> bool:
        return bool(self.model or self.knowledge or self.tools)


class Shown(msgspec.Struct, frozen=True):
    """A starter as somebody sees it before they copy it. `models`: those that may answer, the one it gets first;
    `cost_micro`: of an ordinary run by that one at today's prices, None without a price; `most_micro`: what a run
    never exceeds."""

    starter: Starter
    needs: Needs
    missing: Missing
    models: tuple[str, ...]
    cost_micro: int | None
    most_micro: int


class Copied(msgspec.Struct, frozen=True):
    """A draft that somebody begins with. `name`: of the listing (`agent/…`) or of the workflow."""

    kind: str
    name: str
    model: str
    missing: Missing


def needs_of(kind: str, content: Content) -> Needs:
    """What a definition rests on."""
    nodes = content.get("nodes", ())
    kinds = {node["kind"] for node in nodes}
    if kind == AGENT:
        knowledge, tools = content.get("knowledge", ()), content.get("tools", ())
    else:
        knowledge = [base for node in nodes if node["kind"] == "knowledge" for base in node["bases"]]
        tools = [node["tool"] for node in nodes if node["kind"] == "tool"]
    return Needs(
        content.get("data_class", GENERAL), tuple(dict.fromkeys(knowledge)), tuple(dict.fromkeys(tools)),
        "code" in kinds, "approval" in kinds,
    )  # fmt: skip


def filled(kind: str, content: Content, model: str, knowledge: Sequence[str]) -> dict[str, Any]:
    """A definition for a city: with its model, and with these bases, if any, in the place of those it names."""
    if kind == AGENT:
        bases = {"knowledge": list(knowledge)} if knowledge and content.get("knowledge") else {}
        return {**content, "model": model, **bases}
    nodes = []
    for node in content["nodes"]:
        own = {"target": model} if node.get("target") == CHAT else {}
        bases = {"bases": list(knowledge)} if knowledge and node["kind"] == "knowledge" else {}
        nodes.append({**node, **own, **bases})
    return {**content, "nodes": nodes}
