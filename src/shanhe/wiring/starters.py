"""Wiring of starters: which models, tools and bases are here, and the doors by which drafts are begun."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shanhe.compute.api import DataClassRefused, NoPrice
from shanhe.kernel.errors import ShanheError
from shanhe.retrieval.api import Asking, UnknownBase
from shanhe.starters.api import AGENT, Card, Starters, Usual
from shanhe.store.api import Kind, NewListing
from shanhe.wiring.content import chat_models
from shanhe.workflows.api import DraftChanged, shaped

if TYPE_CHECKING:
    from shanhe.compute.api import Compute
    from shanhe.kernel.clock import Clock
    from shanhe.settings import Settings
    from shanhe.wiring.knowledge import Library
    from shanhe.wiring.store import Bazaar
    from shanhe.wiring.workflows import Routines

PER_TOKENS: Final = 1_000_000
LOOKUP_TOKENS: Final = 40
"""Of an ordinary question, which a look-up has embedded."""
UNREAD: Final = "-"
"""A mark that no draft has: a copy is written where nothing stands yet, and nowhere else."""


class _City:
    """See `starters.service.City`."""

    def __init__(
        self, settings: Settings, clock: Clock, compute: Compute, bazaar: Bazaar, routines: Routines, library: Library
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._compute = compute
        self._bazaar = bazaar
        self._workflows = routines.workflows
        self._library = library

    def models(self, data_class: str) -> Sequence[str]:
        return [name for name in chat_models(self._settings, self._compute) if self._may_read(name, data_class)]

    def _may_read(self, model: str, data_class: str) -> bool:
        try:
            self._compute.route(model, data_class=data_class)
        except DataClassRefused:
            return False
        except ShanheError:  # too busy just now
            return True
        return True

    def price(self, model: str, usual: Usual) -> int | None:
        try:
            prices = self._compute.prices(model, self._clock.today())
            asked = usual.input * prices.input + usual.output * prices.output
            embeds = next((one.id for one in self._compute.models() if one.kind == "embedding"), None)
            if usual.lookups and embeds is not None:
                each = self._compute.prices(embeds, self._clock.today())
                asked += usual.lookups * LOOKUP_TOKENS * each.input
        except NoPrice:
            return None
        return -(-asked // PER_TOKENS)

    async def tools(self) -> Mapping[str, int]:
        return {name: fee for name, _, fee in await self._bazaar.tools.for_sale()}

    async def absent(self, kind: str, owner: UUID, names: Sequence[str]) -> Sequence[str]:
        if kind == AGENT:  # being let read a base is not being let publish it
            return await self._library.shelves.missing(owner, names)
        gone = []
        for name in names:
            try:
                await self._library.knowledge.readable([name], Asking(owner))
            except UnknownBase:
                gone.append(name)
        return gone

    async def begin(
        self, card: Card, content: Mapping[str, Any], *, copy_id: UUID, org_id: UUID, by: str, slug: str, title: str
    ) -> str:
        if card.kind == AGENT:
            said, told = card.title, card.summary
            new = NewListing(copy_id, Kind.AGENT, slug, said.zh, said.en, told.zh, told.en, card.category)
            return (await self._bazaar.store.open(new, owner=org_id, actor=by, content=content)).name
        shaped(content)  # before anything is made
        made = await self._workflows.create(slug, title, org_id=org_id, by=by, workflow_id=copy_id)
        if made.draft is None and made.published is None:
            with contextlib.suppress(DraftChanged):  # somebody has begun to write in it
                await self._workflows.save(org_id, slug, content, by=by, base=UNREAD)
        return made.slug


def open_starters(
    settings: Settings, clock: Clock, *, compute: Compute, bazaar: Bazaar, routines: Routines, library: Library
) -> Starters:  # fmt: skip
    """Connect them."""
    return Starters(_City(settings, clock, compute, bazaar, routines, library))
