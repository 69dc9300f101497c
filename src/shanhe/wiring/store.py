"""Store, agents, clones and tools put together: each is handed what it asks of the others, as functions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from shanhe import __version__
from shanhe.agents.api import Agents, OpenAiFace, Published, ToolAnswer, ToolSpec, definition_of
from shanhe.clones.api import Clones, Teaching
from shanhe.datasets.api import personal_data
from shanhe.kernel.asking import Akin, Named, Related
from shanhe.kernel.errors import NotFound, ShanheError
from shanhe.mcp.api import McpFace, Offered, ToolGateway, server_of, text_of
from shanhe.oauth.api import ACCESS_PREFIX, OAuth
from shanhe.sandbox.api import Sandbox
from shanhe.store.api import Check, Contests, Listing, Offer, Paid, Ranks, Store, Version
from shanhe.wiring.bulletin import open_bulletin
from shanhe.wiring.clones import Classroom, Consent, labels_of, provenance_of, removals
from shanhe.wiring.enquiries import city_tools

if TYPE_CHECKING:
    from shanhe.agents.api import Shelves
    from shanhe.bulletin.api import Bulletin
    from shanhe.compute.api import Compute
    from shanhe.gateway.api import Gateway
    from shanhe.identity.api import Caller, Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.kernel.notify import Notifier
    from shanhe.kernel.vault import Vault
    from shanhe.ledger.api import Ledger
    from shanhe.payments.api import Payouts
    from shanhe.programmes.api import Programmes
    from shanhe.retrieval.api import Base, Knowledge
    from shanhe.rulebook.api import Rulebook
    from shanhe.settings import Settings
    from shanhe.store.api import Checker, Readying
    from shanhe.wiring.filings import Conduct
    from shanhe.wiring.studio import Workshop

SEPARATOR = "/"
PRIZE = "contest_prize"
RANK_REWARD = "rank_reward"
ALLIANCE_RULE, CLONE_RULE = "T3", "T2"
HTTP_OK = 200
DOCUMENT_MAX_BYTES = 16 * 1024
Gate = Callable[[UUID, str, Mapping[str, Any]], Awaitable[Sequence[tuple[str, bool, str, str]]]]
"""(owner, name, content): what a version must stand before its review, as (name, passed, zh, en)."""


@dataclass
class Bazaar:
    """What makers offer, and what runs it."""

    store: Store
    agents: Agents
    tools: ToolGateway
    mcp: McpFace
    oauth: OAuth
    contests: Contests
    ranks: Ranks
    clones: Clones
    teaching: Teaching
    bulletin: Bulletin
    shelf: _Shelf

    def file(self, conduct: Conduct) -> None:
        """Ask the register of algorithms before anything is offered, and keep what guardrails do."""
        self.shelf.conduct, self.agents.moderated = conduct, conduct.moderated

    async def agents_on(self, base: Base) -> list[str]:
        """Agents and clones that look things up in a knowledge base: what is offered, and its owner's own drafts."""
        used = set[str]()
        for kind in ("agent", "clone"):
            async for one in self.store.offers(kind):
                if _looks_up(base, one.listing.owner, one.version.content):
                    used.add(one.listing.name)
        for listing, versions in await self.store.mine(base.org_id):
            if versions and _looks_up(base, base.org_id, versions[0].content):
                used.add(listing.name)
        return sorted(used)

    def guard(self, gate: Gate) -> None:
        """Let `gate` have the last word before a version of an agent goes to its review."""
        self.shelf.gate = gate


def open_bazaar(
    settings: Settings, db: Database, clock: Clock, vault: Vault, *, gateway: Gateway, ledger: Ledger,
    rulebook: Rulebook, compute: Compute, identity: Identity, programmes: Programmes, named: Named,
    related: Related, akin: Akin, notifier: Notifier, shelves: Shelves, workshop: Workshop, knowledge: Knowledge,
) -> Bazaar:  # fmt: skip
    """Make them and introduce them to each other."""
    labels = labels_of(settings, vault)
    gateway.label(labels.media)
    shelf = _Shelf(private=settings.private_tools)
    tools = ToolGateway(
        db, clock, vault, gateway=gateway, ledger=ledger, find=shelf.server, everything=shelf.servers,
        sandbox=Sandbox(), private=settings.private_tools, seals=identity.seals,
    )  # fmt: skip
    clones = Clones(db, clock, vault, identity=identity)
    consent = Consent(clones, compute, workshop.studio)
    agents = Agents(
        db, clock, gateway=gateway, compute=compute, tools=_Toolbox(tools), find=shelf.agent, shelves=shelves,
        ledger=ledger, personal=personal_data, labels=labels,
        provenance=provenance_of(settings, vault), seals=identity.seals, permit=consent.permit,
        least_bps=lambda: int(rulebook.parameter(ALLIANCE_RULE, "sentence_share", clock.today())),
    )  # fmt: skip

    store = shelf.store = Store(
        db, clock, gateway=gateway, ledger=ledger, rulebook=rulebook, names=identity.orgs.names, related=related,
        notifier=notifier, seals=identity.seals, checks=_checks(shelf, agents, consent, tools),
        readying=_readying(shelf, consent),
    )  # fmt: skip
    workshop.studio.licensed = clones.licensed
    clones.connect(removals(store, workshop.studio, knowledge, workshop.datasets))
    classroom = Classroom(agents, store, workshop.studio, workshop.datasets, agents.labels)
    teaching = consent.teaching = Teaching(
        clones, classroom, lambda facts: rulebook.evaluate(CLONE_RULE, facts, on=clock.today()).outputs
    )
    gateway.delegate(OpenAiFace(agents).delegate)
    oauth = OAuth(db, clock, identity, url=settings.url, fetch=_reader(tools), spent=gateway.usage_of_keys)

    contests = Contests(
        db, clock, store, rulebook, named=named, akin=akin, award=_awards(programmes, PRIZE, "contest"),
        seals=identity.seals,
    )  # fmt: skip
    ranks = Ranks(db, clock, store, rulebook, related=related, reward=_awards(programmes, RANK_REWARD, "round"))
    bulletin = open_bulletin(settings, db, clock, rulebook=rulebook, programmes=programmes, contests=contests)
    city = city_tools(clock, ledger, rulebook, programmes, store, bulletin)
    face = McpFace(
        tools, city, vault, db, _callers(oauth, identity), url=settings.url, name=settings.city_name,
        version=__version__,
    )  # fmt: skip
    return Bazaar(store, agents, tools, face, oauth, contests, ranks, clones, teaching, bulletin, shelf)


def _looks_up(base: Base, owner: UUID, content: Mapping[str, Any]) -> bool:
    """Whether a definition of this owner names the base: by its id, or by a name that means it to them."""
    names = content.get("knowledge") or ()
    return str(base.id) in names or (base.name in names and (owner == base.org_id or base.reach == "city"))


def _checks(shelf: _Shelf, agents: Agents, consent: Consent, tools: ToolGateway) -> Mapping[str, Checker]:
    """What a version of each kind must stand before its review."""

    async def agent(owner: UUID, content: Mapping[str, Any], name: str) -> list[Check]:
        kind = name.partition(SEPARATOR)[0]
        found = [Check(*one) for one in await agents.check(content, owner, kind)]
        if kind == "clone" and found[0].passed:
            found += await consent.checks(owner, content, name)
        found += await shelf.filed(name, content)
        if shelf.gate is not None and all(check.passed for check in found):
            found += [Check(*one) for one in await shelf.gate(owner, name, content)]
        return found

    async def model(owner: UUID, content: Mapping[str, Any], name: str) -> list[Check]:
        return await shelf.filed(name, content)

    async def server(owner: UUID, content: Mapping[str, Any], name: str) -> list[Check]:
        return [Check(*one) for one in await tools.check(owner, content)]

    return {"agent": agent, "clone": agent, "alliance": agent, "mcp": server, "model": model}


def _readying(shelf: _Shelf, consent: Consent) -> Mapping[str, Readying]:
    """What has to be done before a version of each kind is offered."""

    async def clone(listing: Listing, version: Version) -> None:
        await shelf.ready(listing, version)
        await consent.ready(listing, version)

    return {"clone": clone, "agent": shelf.ready, "alliance": shelf.ready, "model": shelf.ready}


def _callers(oauth: OAuth, identity: Identity) -> Callable[[str, str], Awaitable[Caller | None]]:
    """Who calls with a token at an address: an app that may, or whoever's key it is."""

    async def known(token: str, at: str) -> Caller | None:
        if token.startswith(ACCESS_PREFIX):
            return await oauth.caller(token, at)
        return identity.caller_cached(token) or await identity.caller(token)

    return known


def paid_out(payouts: Payouts) -> Callable[[UUID], Awaitable[list[Paid]]]:
    """What a maker had paid out, as the store shows it."""

    async def found(org_id: UUID) -> list[Paid]:
        return [
            Paid(one.id, one.created_at, one.state, one.amount_micro, one.net_fen)
            for one in await payouts.list(org_id=org_id)
        ]

    return found


def _awards(programmes: Programmes, programme: str, asked: str) -> Callable[[UUID, UUID | str], Awaitable[UUID | None]]:
    """A place is paid like any other promise: by an application that the rule decides. `asked` names its round."""

    async def award(org_id: UUID, about: UUID | str) -> UUID | None:
        return (await programmes.applying.on_behalf(programme, org_id, asked, about, actor="store")).application

    return award


def _reader(tools: ToolGateway) -> Callable[[str], Awaitable[bytes]]:
    """What apps say of themselves is read like a publisher's server: from a public address, a bounded piece."""

    async def read(url: str) -> bytes:
        async with tools.links.exchange("the app", url, "GET", {"accept": "application/json"}, limit_s=5.0) as answer:
            if answer.status != HTTP_OK:
                raise NotFound("no_document", f"It answered {answer.status}.", message_zh=f"返回 {answer.status}。")
            return await answer.body(5.0, DOCUMENT_MAX_BYTES)

    return read


class _Shelf:
    """The store, as agents and tools look things up in it."""

    store: Store

    def __init__(self, *, private: bool) -> None:
        self._private = private
        self.gate: Gate | None = None
        self.conduct: Conduct | None = None

    async def filed(self, name: str, content: Mapping[str, Any]) -> list[Check]:
        """What the register of algorithms says of a draft."""
        return [] if self.conduct is None else [Check(*one) for one in await self.conduct.gate(name, content)]

    async def ready(self, listing: Listing, version: Version) -> None:
        if self.conduct is not None:
            await self.conduct.ready(listing, version)

    async def agent(self, name: str) -> Published | None:
        try:
            return published(await self.store.offer(name))
        except NotFound:
            return None

    async def server(self, slug: str) -> Offered | None:
        try:
            return self._offered(await self.store.offer(f"mcp/{slug}"))
        except NotFound:
            return None

    async def servers(self) -> Sequence[Offered]:
        return [self._offered(offer) async for offer in self.store.offers("mcp")]

    def _offered(self, offer: Offer) -> Offered:
        listing, version = offer.listing, offer.version
        server = server_of(version.content, private=self._private)
        return Offered(listing.slug, version.n, listing.owner, listing.title_zh, server, version.terms.fee_micro)


def published(offer: Offer) -> Published:
    """An offer of the store as an agent to run."""
    listing, version = offer.listing, offer.version
    return Published(
        listing.name, version.n, listing.owner, listing.title_zh, listing.title_en, listing.summary_zh,
        listing.summary_en, definition_of(version.content, listing.kind),
    )  # fmt: skip


class _Toolbox:
    """Tools as agents use them: `server/tool`."""

    def __init__(self, tools: ToolGateway) -> None:
        self._tools = tools

    async def specs(self, names: Sequence[str]) -> list[ToolSpec]:
        """Those that are offered; a server that can't be reached counts as not offered."""
        found: list[ToolSpec] = []
        for slug in dict.fromkeys(name.partition(SEPARATOR)[0] for name in names):
            try:
                server = (await self._tools.offered(slug)).server
                local = server.local or server.hosted is not None
                known = {f"{slug}{SEPARATOR}{tool.name}": tool for tool in await self._tools.tools(slug)}
            except ShanheError:
                continue
            found += [
                ToolSpec(name, tool.description, tool.schema, local)
                for name in names
                if (tool := known.get(name)) is not None
            ]
        return found

    async def call(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> ToolAnswer:
        slug, _, tool = name.partition(SEPARATOR)
        result, paid_micro, receipt = await self._tools.call(caller, slug, tool, arguments)
        return ToolAnswer(text_of(result), bool(result.get("isError")), paid_micro, receipt)
