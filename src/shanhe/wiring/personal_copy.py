"""What each module has of a person, for that person's own copy: the one list of places where anything may lie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID

import msgspec

from shanhe.agents.api import Agents
from shanhe.approvals.api import glass_view
from shanhe.batches.api import Batch, File
from shanhe.board.api import Board, match_view, post_view
from shanhe.clones.api import Clones, Teaching
from shanhe.content.api import draft_view, profile_view
from shanhe.credits.api import Credits
from shanhe.exchange.api import Exchange, order_view, own_trade
from shanhe.facts.api import Facts, Use, fact_view
from shanhe.filings.api import Filings, complaint_view, event_view
from shanhe.gateway.api import Gateway
from shanhe.governance.api import Governance
from shanhe.identity.api import Identity
from shanhe.kernel.asking import Parameter
from shanhe.kernel.clock import Clock, add_months
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.kernel.paging import COPY_ROWS, drawn
from shanhe.kernel.vault import PersonErased
from shanhe.ledger.api import Ledger, LotHistory
from shanhe.mcp.api import ToolGateway
from shanhe.nomads.api import Nomads, venue_view
from shanhe.payments.api import Payouts
from shanhe.privacy.api import Drawer
from shanhe.programmes.api import Programmes, file_view
from shanhe.store.api import Contests, Store
from shanhe.webhooks.api import Webhooks, endpoint_view
from shanhe.wiring.break_glass import Emergency
from shanhe.wiring.content import Hub
from shanhe.wiring.knowledge import Library
from shanhe.wiring.research import Commons
from shanhe.wiring.studio import Workshop
from shanhe.wiring.workflows import Routines

ALL: Final = COPY_ROWS + 1
FILES_AT_ONCE: Final = 100
"""What is asked of a service that gives a list at once: one more than a copy holds shows that there are more."""
CHILD_PURPOSE: Final = "child_protection"
MONTHS_A_YEAR: Final = 12


class House(Protocol):
    """The modules that have anything of people, as `app.Services` carries them."""

    @property
    def db(self) -> Database: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def programmes(self) -> Programmes: ...
    @property
    def credits(self) -> Credits: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def payouts(self) -> Payouts: ...
    @property
    def exchange(self) -> Exchange: ...
    @property
    def governance(self) -> Governance: ...
    @property
    def nomads(self) -> Nomads: ...
    @property
    def store(self) -> Store: ...
    @property
    def contests(self) -> Contests: ...
    @property
    def tools(self) -> ToolGateway: ...
    @property
    def agents(self) -> Agents: ...
    @property
    def routines(self) -> Routines: ...
    @property
    def hub(self) -> Hub: ...
    @property
    def library(self) -> Library: ...
    @property
    def workshop(self) -> Workshop: ...
    @property
    def notifier(self) -> Notifier: ...
    @property
    def clones(self) -> Clones: ...
    @property
    def teaching(self) -> Teaching: ...
    @property
    def emergency(self) -> Emergency: ...
    @property
    def filings(self) -> Filings: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def commons(self) -> Commons: ...
    @property
    def board(self) -> Board: ...
    @property
    def gateway(self) -> Gateway: ...
    @property
    def webhooks(self) -> Webhooks: ...


class Guardians:
    """Who is too young to consent, and who consents for them (PIPL 31), as far as registers say."""

    def __init__(self, clock: Clock, facts: Facts, parameter: Parameter) -> None:
        self._clock = clock
        self._facts = facts
        self._parameter = parameter

    async def is_child(self, person: UUID) -> bool:
        """Whether a person is too young to consent, as far as a date of birth is on record."""
        today = self._clock.today()
        async with self._facts.reading(Use(CHILD_PURPOSE, "system")) as reader:
            born = await reader.value(person, "born_on")
        if not isinstance(born, str):
            return False
        years = int(self._parameter("child_years", today))
        return add_months(date.fromisoformat(born), years * MONTHS_A_YEAR) > today

    async def is_guardian(self, guardian: UUID, child: UUID) -> bool:
        """Whether a register names somebody as a child's guardian."""
        async with self._facts.reading(Use(CHILD_PURPOSE, f"person:{guardian}")) as reader:
            found = await reader.of(child, wanted=["guardian"], sound=True)
        return any(fact.key == str(guardian) and fact.value for fact in found)


def drawers_of(services: House) -> Mapping[str, Drawer]:
    """By the name that the copy uses. `orgs` is the organisation of one that the person is."""
    found = _Drawers(services)
    return {
        "facts": found.facts, "programmes": found.programmes, "credits": found.credits, "ledger": found.ledger,
        "payments": found.payments, "exchange": found.exchange, "keys": found.keys, "notices": found.notices,
        "governance": found.governance, "nomads": found.nomads, "store": found.store, "agents": found.agents,
        "workflows": found.workflows, "evaluations": found.evaluations, "content": found.content,
        "workshop": found.workshop, "estates": found.estates, "organisation": found.organisation,
        "clones": found.clones, "break_glass": found.break_glass, "works": found.works, "board": found.board,
        "filings": found.filings, "tags": found.tags, "thumbs": found.thumbs, "webhooks": found.webhooks,
    }  # fmt: skip


async def _rows(listed: Callable[..., Awaitable[Sequence[Any]]], org: UUID) -> list[dict[str, Any]]:
    """All rows of an organisation in a list that comes in pages."""
    return [asdict(one) for one in await drawn(partial(listed, org))]


class _Drawers:
    """Reads only; a list that may have more than `COPY_ROWS` gives one row more, see `whole`."""

    def __init__(self, services: House) -> None:
        self._s = services

    async def facts(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Everything ever said of the person, corrections included."""
        async with self._s.facts.reading(Use("own_access", f"person:{person}")) as reader:
            return [fact_view(fact) for fact in await reader.history(person, most=ALL)]

    async def programmes(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Applications with answers, evidence, decisions, payments and history."""
        found, programmes = [], self._s.programmes
        for org in orgs:
            asked = [one.id for one in await drawn(partial(programmes.applications, org_id=org))]
            for first in range(0, len(asked), FILES_AT_ONCE):
                for file in await programmes.files(asked[first : first + FILES_AT_ONCE]):
                    programme = programmes.programme(file.application.programme)
                    found.append(file_view(file, programme, programmes.catalogue))
        return found

    async def credits(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Purchases, refunds, invoices, disputes, alerts."""
        credits = self._s.credits
        return [
            {
                "purchases": await _rows(credits.purchases, org),
                "refunds": await _rows(credits.refunds.list, org),
                "invoices": await _rows(credits.invoices.list, org),
                "red_letters": await _rows(credits.refunds.red_letters.list, org),
                "disputes": await _rows(credits.disputes.list, org),
                "alerts": [asdict(one) for one in await credits.alerts.of(org)],
            }
            for org in orgs
        ]

    async def ledger(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Balances of the person's accounts."""
        found = []
        for org in orgs:
            for identifier in await LotHistory(self._s.db).accounts(org):
                account = await self._s.ledger.account(identifier)
                balance = await self._s.ledger.balance(identifier)
                found.append({"account": identifier, "asset": account.asset, "kind": account.kind,
                              "balance": balance.balance})  # fmt: skip
        return found

    async def payments(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Where the person is paid, and payouts."""
        found = []
        for org in orgs:
            payee = await self._s.payouts.payees.of(org)
            opened = None
            if payee is not None:
                try:
                    opened = asdict(await self._s.payouts.payees.open(payee.id))
                except PersonErased:
                    opened = None
            payouts = await drawn(partial(self._s.payouts.list, org_id=org))
            found.append({"payee": opened, "payouts": [asdict(one) for one in payouts]})
        return found

    async def exchange(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Orders, trades, disputes and withdrawals on the exchange."""
        exchange = self._s.exchange
        return [
            {
                "orders": [order_view(one) for one in await drawn(partial(exchange.orders, org))],
                "trades": [own_trade(one, org) for one in await drawn(partial(exchange.trades, org_id=org))],
                "withdrawals": [asdict(one) for one in await exchange.cash.withdrawals(org, limit=ALL)],
                "disputes": [asdict(one) for one in await exchange.disputes.list(org, limit=ALL)],
            }
            for org in orgs
        ]

    async def organisation(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """The organisation of one that the person is, and why its spending is frozen, if it is."""
        return [asdict(await self._s.identity.orgs.get(org)) for org in orgs]

    async def clones(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Clones of the person, and what the person said of others' answers."""
        return {
            "consents": [asdict(one) for one in await self._s.clones.mandates(person_id=person, limit=ALL)],
            "feedback": [asdict(one) for one in await self._s.teaching.said(person, ALL)],
        }

    async def works(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Rights that the person registered or holds, outputs of which they are an author, and what they reused."""
        rights, science = self._s.commons.rights, self._s.commons.science
        return {
            "rights": [asdict(one) for org in orgs for one in (await rights.mine(org, most=ALL)).rows],
            "outputs": [asdict(one) for org in orgs for one in (await science.mine(org, most=ALL)).rows],
            "reuses": [asdict(one) for org in orgs for one in await science.declared_by(org, most=ALL)],
        }

    async def board(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Needs and solutions that the person posted, and what was said in matches."""
        board = self._s.board
        return [
            {
                "posts": [post_view(one, "", own=True) for one in await board.posts.of(org, most=ALL)],
                "matches": [match_view(one) for one in await board.meetings.of(org, most=ALL)],
            }
            for org in orgs
        ]

    async def keys(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """API keys, without their tokens, which nobody has but their holder."""
        return [row for org in orgs for row in await _rows(self._s.identity.keys.list, org)]

    async def tags(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """What the person's calls were counted under."""
        return [name for org in orgs for name in await self._s.gateway.tags(org, most=ALL)]

    async def webhooks(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Where the person wants to be told what happens."""
        found = [one for org in orgs for one in await self._s.webhooks.of(org)]
        return [endpoint_view(one) | {"url": one.url} for one in found]

    async def governance(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """What the person said on proposals."""
        return await self._s.governance.deciding.said_by(person, most=ALL)

    async def nomads(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Days present, how and (as long as it is kept) where they were proved, decisions, cards, uses, readings; and
        venues that the person runs."""
        found = await self._s.nomads.own_copy(person, actor=f"person:{person}", most=ALL)
        return found | {"venues": [venue_view(venue) for venue in await self._s.nomads.venues.of_orgs(orgs, most=ALL)]}

    async def store(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """What the person offers, with every version, and what they said of others' offers."""
        return [
            {
                "listings": [
                    {"listing": asdict(listing), "versions": [asdict(one) for one in versions]}
                    for listing, versions in await self._s.store.mine(org, most=ALL)
                ],
                "ratings": [asdict(one) for one in await self._s.store.rated(org, most=ALL)],
                "replies": await self._s.store.replied(org, most=ALL),
                "entries": [
                    {**asdict(one), "said": await self._s.contests.said(one)}
                    for one in await self._s.contests.entered(org, most=ALL)
                ],
                "tool_secrets": await self._s.tools.secret_names(org),
            }
            for org in orgs
        ]

    async def workflows(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Workflows with every version, and runs with what they were given and returned."""
        flows = self._s.routines.workflows
        return [
            {
                "workflows": [
                    msgspec.to_builtins(one)
                    | {"versions": msgspec.to_builtins(await flows.versions(org, one.slug, most=ALL))}
                    for one in await flows.mine(org, most=ALL)
                ],
                "runs": msgspec.to_builtins(await drawn(partial(flows.runs, org))),
            }
            for org in orgs
        ]

    async def evaluations(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Evaluation sets of agents, and what they measured."""
        return [msgspec.to_builtins(await self._s.routines.trials.everything(org, most=ALL)) for org in orgs]

    async def content(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """What the person had written, on which forms, and their profiles of products."""
        hub, found = self._s.hub.content, []
        for org in orgs:
            drafts = await drawn(partial(hub.drafts, org))
            forms = {one.job: (await hub.job(org, one.job))[0].form for one in drafts}
            found.append({
                "profiles": [profile_view(one) for one in await hub.profiles(org)],
                "drafts": [draft_view(one) | {"form": forms[one.job]} for one in drafts],
            })  # fmt: skip
        return found

    async def agents(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Runs of agents that the person paid for; no text of theirs is kept."""
        return [row for org in orgs for row in await _rows(self._s.agents.runs, org)]

    async def thumbs(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """What the person thinks of agents' answers, with what they shared of them."""
        return [asdict(one) for one in await self._s.agents.thumbs.given(person, orgs, limit=ALL)]

    async def workshop(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Files, batches, data sets with their versions, jobs and models of the studio."""
        shop, found = self._s.workshop, []
        for org in orgs:
            sets = await shop.datasets.datasets(org, most=ALL)
            found.append({
                "files": msgspec.to_builtins(await drawn(partial(self._files, org))),
                "batches": msgspec.to_builtins(await drawn(partial(self._batches, org))),
                "datasets": [
                    {"dataset": msgspec.to_builtins(one),
                     "versions": msgspec.to_builtins(await shop.datasets.versions(one, most=ALL))} for one in sets
                ],
                "jobs": [
                    msgspec.to_builtins(one) | {"rubric": await shop.studio.rubric_of(one)}
                    for one in await shop.studio.jobs(org, ALL)
                ],
                "models": msgspec.to_builtins(await shop.studio.models(org, most=ALL)),
                "knowledge": await self._knowledge(org),
            })  # fmt: skip
        return found

    async def _files(self, org: UUID, before: UUID | None) -> Sequence[File]:
        return (await self._s.workshop.batches.files(org, after=before))[0]

    async def _batches(self, org: UUID, before: UUID | None) -> Sequence[Batch]:
        return (await self._s.workshop.batches.batches(org, after=before))[0]

    async def _knowledge(self, org: UUID) -> list[dict[str, Any]]:
        """The knowledge bases that the person keeps, with their documents; the files are downloaded there."""
        knowledge, found = self._s.library.knowledge, []
        for base in await knowledge.all_of(org):
            documents = [{"name": one.name, "made_at": one.made_at} for one in await knowledge.documents(base)]
            found.append({"name": base.name, "made_at": base.made_at, "documents": documents})
        return found

    async def estates(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """What was asked to be handed over of the person's."""
        return [asdict(one) for org in orgs for one in await self._s.credits.estates.list(org, limit=ALL)]

    async def filings(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """Complaints that the person made, and what guardrails did to what they asked."""
        now, filings = self._s.clock.now(), self._s.filings
        return [
            {"complaints": [complaint_view(one, now) for one in await filings.complaints.list(org_id=org, limit=ALL)],
             "moderation": [event_view(one) for one in await drawn(partial(filings.moderation.events, org_id=org))]}
            for org in orgs
        ]  # fmt: skip

    async def break_glass(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """What the person opened alone in an emergency, what they did under it, and how it was judged."""
        now = self._s.clock.now()
        found = await self._s.emergency.glass.list(person_id=person, limit=ALL)
        return [glass_view(one, now) for one in found]

    async def notices(self, person: UUID, orgs: Sequence[UUID]) -> Any:
        """What the city told the person."""
        found = await self._s.notifier.inbox(person, list(orgs), limit=ALL)
        return [asdict(notice) for notice in found]
