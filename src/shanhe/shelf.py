"""The store's servers in the official registry's words: listings out as `server.json`, `server.json` in as a draft."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from shanhe.kernel.ids import new_id
from shanhe.mcp.api import Entry, Taken, exported
from shanhe.store.api import Kind, NewListing, Offer, Terms

if TYPE_CHECKING:
    from shanhe.app import Services

DEVELOPER_RULE = "P6"
MCP = "mcp"


class Shelf:
    """What the routes of the registry ask."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def everything(self) -> list[dict[str, Any]]:
        """Every listed server."""
        return [await self._shown(offer) for offer in await self._services.store.offers(MCP)]

    async def one(self, slug: str) -> dict[str, Any]:
        """One listed server; UnknownListing."""
        return await self._shown(await self._services.store.offer(f"{MCP}/{slug}"))

    async def _shown(self, offer: Offer) -> dict[str, Any]:
        services, listing, version = self._services, offer.listing, offer.version
        share = int(services.rulebook.parameter(DEVELOPER_RULE, "developer_share", services.clock.today()))
        maker = (await services.identity.orgs.get(listing.owner)).name
        entry = Entry(
            listing.slug, version.n, listing.title_en or listing.title_zh, listing.summary_en or listing.summary_zh,
            maker, tuple(version.content.get("tools", ())), version.terms.fee_micro, version.terms.markup_bps, share,
        )  # fmt: skip
        return exported(entry, services.settings.url)

    async def take(self, found: Taken, owner: UUID, actor: str) -> dict[str, Any]:
        """A new listing with a draft; its tools are those that the document or the server itself names."""
        services = self._services
        tools = list(found.tools) or await services.tools.tools_at(found.url)
        new = NewListing(new_id(), Kind.MCP, found.slug, found.title, found.title, found.summary, found.summary)
        listing = await services.store.open(new, owner=owner, actor=actor)
        lowest = int(services.rulebook.parameter(DEVELOPER_RULE, "lowest_markup", services.clock.today()))
        terms = Terms(max(found.markup_bps, lowest), found.fee_micro)
        version = await services.store.draft(
            listing.name, {"url": found.url, "tools": tools}, terms, owner=owner, actor=actor
        )
        return {"name": listing.name, "version": version.n, "tools": tools}
