"""The store's servers in the official registry's words: listings out as `server.json`, `server.json` in as a draft."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from shanhe.identity.api import Identity
from shanhe.kernel.clock import Clock
from shanhe.kernel.ids import new_id
from shanhe.mcp.api import Entry, Taken, ToolGateway, exported
from shanhe.rulebook.api import Rulebook
from shanhe.store.api import Kind, NewListing, Offer, Store, Terms

DEVELOPER_RULE = "P6"
MCP = "mcp"


class Shelf:
    """What the routes of the registry ask."""

    def __init__(
        self, store: Store, tools: ToolGateway, identity: Identity, rulebook: Rulebook, clock: Clock, url: str
    ) -> None:
        self._store = store
        self._tools = tools
        self._identity = identity
        self._rulebook = rulebook
        self._clock = clock
        self._url = url

    async def everything(self) -> list[dict[str, Any]]:
        """Every listed server."""
        offers = [offer async for offer in self._store.offers(MCP)]
        makers = await self._identity.orgs.names({offer.listing.owner for offer in offers})
        return [self._shown(offer, makers) for offer in offers]

    async def one(self, slug: str) -> dict[str, Any]:
        """One listed server; UnknownListing."""
        offer = await self._store.offer(f"{MCP}/{slug}")
        return self._shown(offer, await self._identity.orgs.names([offer.listing.owner]))

    def _shown(self, offer: Offer, makers: Mapping[UUID, str]) -> dict[str, Any]:
        listing, version = offer.listing, offer.version
        share = int(self._rulebook.parameter(DEVELOPER_RULE, "developer_share", self._clock.today()))
        maker = makers.get(listing.owner, "")
        entry = Entry(
            listing.slug, version.n, listing.title_en or listing.title_zh, listing.summary_en or listing.summary_zh,
            maker, tuple(version.content.get("tools", ())), version.terms.fee_micro, version.terms.markup_bps, share,
        )  # fmt: skip
        return exported(entry, self._url)

    async def take(self, found: Taken, owner: UUID, actor: str) -> dict[str, Any]:
        """A new listing with a draft; its tools are those that the document or the server itself names."""
        tools = list(found.tools) or await self._tools.tools_at(found.url)
        new = NewListing(new_id(), Kind.MCP, found.slug, found.title, found.title, found.summary, found.summary)
        listing = await self._store.open(new, owner=owner, actor=actor)
        lowest = int(self._rulebook.parameter(DEVELOPER_RULE, "lowest_markup", self._clock.today()))
        terms = Terms(max(found.markup_bps, lowest), found.fee_micro)
        version = await self._store.draft(
            listing.name, {"url": found.url, "tools": tools}, terms, owner=owner, actor=actor
        )
        return {"name": listing.name, "version": version.n, "tools": tools}
