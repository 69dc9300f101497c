"""Starters: what of them a city has, what an ordinary run costs today, and copies. A copy is a draft like any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

from shanhe.starters.errors import NoModelHere, NotAModelForIt, NotYourBase, UnknownStarter
from shanhe.starters.gallery import starters
from shanhe.starters.model import Card, Copied, Missing, Needs, Shown, Starter, Usual, filled, needs_of

SUFFIX_CHARS: Final = 6
"""Of a copy's id, after the starter's name, where nobody said another: names of agents are the whole city's."""


class City(Protocol):
    """What starters meet here; handed in by the composition root."""

    def models(self, data_class: str) -> Sequence[str]:
        """Chat models that may read data of this class; the city's default first."""
        ...

    def price(self, model: str, usual: Usual) -> int | None:
        """µ of an ordinary run at today's list prices; None without a price."""
        ...

    async def tools(self) -> Mapping[str, int]:
        """µ of a call by the name of each tool that is offered."""
        ...

    async def absent(self, kind: str, owner: UUID, names: Sequence[str]) -> Sequence[str]:
        """Bases that a draft of this owner can't look things up in."""
        ...

    async def begin(
        self, card: Card, content: Mapping[str, Any], *, copy_id: UUID, org_id: UUID, by: str, slug: str, title: str
    ) -> str:
        """The name of a new draft; for an id that is known, of what was begun with it, as it is by now."""
        ...


class Starters:
    """The gallery, as one organisation sees it."""

    def __init__(self, city: City) -> None:
        self._city = city

    def one(self, name: str) -> Starter:
        """A starter by its name; UnknownStarter."""
        found = starters().get(name)
        if found is None:
            raise UnknownStarter(name)
        return found

    async def every(self, language: str, org_id: UUID | None = None) -> list[Shown]:
        """All of them, with what is missing here; of bases only where an organisation asks."""
        tools = await self._city.tools()
        return [await self._shown(one, language, org_id, tools) for one in starters().values()]

    async def shown(self, name: str, language: str, org_id: UUID | None = None) -> Shown:
        """One of them; UnknownStarter."""
        return await self._shown(self.one(name), language, org_id, await self._city.tools())

    async def _shown(self, one: Starter, language: str, org_id: UUID | None, tools: Mapping[str, int]) -> Shown:
        content = one.definitions[language]
        needs = needs_of(one.card.kind, content)
        models = tuple(self._city.models(needs.data_class))
        missing = await self._missing(one.card.kind, needs, org_id, tools, models)
        calls = self._city.price(models[0], one.card.usual) if models else None
        cost = None if calls is None else calls + sum(tools.get(name, 0) for name in needs.tools)
        return Shown(one, needs, missing, models, cost, content["budget_micro"])

    async def _missing(
        self, kind: str, needs: Needs, org_id: UUID | None, tools: Mapping[str, int], models: Sequence[str]
    ) -> Missing:
        absent = () if org_id is None else await self._city.absent(kind, org_id, needs.knowledge)
        unknown = tuple(name for name in needs.tools if name not in tools)
        return Missing(not models, tuple(absent), unknown)

    async def copy(
        self, name: str, language: str, *, copy_id: UUID, org_id: UUID, by: str, slug: str = "", model: str = "",
        knowledge: Sequence[str] = (),
    ) -> Copied:  # fmt: skip
        """A draft of an organisation's own out of a starter; under a known id the one that was made, as it is by now.
        `model`: the city's default when not said; `knowledge`: bases in the place of those that it names.
        UnknownStarter, NoModelHere, NotAModelForIt, NotYourBase."""
        one = self.one(name)
        kind, content = one.card.kind, one.definitions[language]
        needs = needs_of(kind, content)
        models = self._city.models(needs.data_class)
        if not models:
            raise NoModelHere(needs.data_class)
        if model and model not in models:
            raise NotAModelForIt(model, models)
        if gone := await self._city.absent(kind, org_id, knowledge):
            raise NotYourBase(gone)
        chosen = model or models[0]
        made = filled(kind, content, chosen, knowledge)
        begun = await self._city.begin(
            one.card, made, copy_id=copy_id, org_id=org_id, by=by, slug=slug or f"{name}-{copy_id.hex[-SUFFIX_CHARS:]}",
            title=getattr(one.card.title, language),
        )  # fmt: skip
        missing = await self._missing(kind, needs_of(kind, made), org_id, await self._city.tools(), models)
        return Copied(kind, begun, chosen, missing)
