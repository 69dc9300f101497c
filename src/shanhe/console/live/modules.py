"""What the desk needs of the composition root, and names for accounts."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from shanhe.agents.api import Agents, Published
from shanhe.alliances.api import Alliances
from shanhe.approvals.api import Approvals, BreakGlass, Request, Undoing
from shanhe.batches.api import Batches
from shanhe.board.api import Board
from shanhe.bulletin.api import Bulletin
from shanhe.clones.api import Clones, Teaching
from shanhe.compute.api import Compute
from shanhe.console.model import Bilingual, Who
from shanhe.content.api import Content
from shanhe.credits.api import Credits
from shanhe.datasets.api import Datasets
from shanhe.exchange.api import Exchange
from shanhe.facts.api import Facts, NewFact
from shanhe.filings.api import Filings
from shanhe.gateway.api import Gateway
from shanhe.governance.api import Governance
from shanhe.identity.api import Actor, Caller, Identity, Leaving, OrgKind, Unknown
from shanhe.incubator.api import Incubator
from shanhe.ip.api import Rights
from shanhe.kernel.clock import Clock
from shanhe.kernel.errors import Invalid, Unreadable
from shanhe.kernel.ids import id_in
from shanhe.kernel.labelling import Labels
from shanhe.kernel.notify import Notifier
from shanhe.ledger.api import CITY_OWNER, Account, Ledger
from shanhe.log.api import Log
from shanhe.mcp.api import ToolGateway
from shanhe.nomads.api import Nomads
from shanhe.oauth.api import OAuth
from shanhe.payments.api import BankDesk, Bills, Ending, Outlook, Payments, Payouts, Report
from shanhe.pool.api import Pool
from shanhe.privacy.api import Privacy
from shanhe.programmes.api import Programmes
from shanhe.reconcile.api import Reconciliation
from shanhe.retrieval.api import Evaluating, Knowledge, Search
from shanhe.rulebook.api import Amendments, Rulebook
from shanhe.science.api import Science
from shanhe.starters.api import Starters
from shanhe.store.api import Contests, Earnings, Ranks, Store
from shanhe.studio.api import Studio
from shanhe.trials.api import Trials
from shanhe.webhooks.api import Webhooks
from shanhe.workflows.api import Workflows

AUDITED = ("/city/ledger", "/city/exchange", "/city/reconcile", "/city/bank", "/city/second")
"""Pages of the city that auditors read and notices or requests lead to."""
NAMES_KEPT = 2_000
ACTOR_CHARS = 24


class Modules(Protocol):
    """The modules' apis, as `app.Services` carries them."""

    @property
    def agents(self) -> Agents: ...
    @property
    def tools(self) -> ToolGateway: ...
    @property
    def store(self) -> Store: ...
    @property
    def alliances(self) -> Alliances: ...
    @property
    def incubator(self) -> Incubator: ...
    @property
    def bulletin(self) -> Bulletin: ...
    @property
    def moves(self) -> Moves: ...
    @property
    def rulings(self) -> Rulings: ...
    @property
    def taking_in(self) -> TakingIn: ...
    @property
    def by_hand(self) -> ByHand: ...
    @property
    def withheld(self) -> Withheld: ...
    @property
    def oauth(self) -> OAuth: ...
    @property
    def contests(self) -> Contests: ...
    @property
    def earnings(self) -> Earnings: ...
    @property
    def ranks(self) -> Ranks: ...
    @property
    def clones(self) -> Clones: ...
    @property
    def teaching(self) -> Teaching: ...
    @property
    def board(self) -> Board: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def log(self) -> Log: ...
    @property
    def payments(self) -> Payments: ...
    @property
    def bank(self) -> BankDesk: ...
    @property
    def payouts(self) -> Payouts: ...
    @property
    def bills(self) -> Bills: ...
    @property
    def reconciliation(self) -> Reconciliation: ...
    @property
    def rulebook(self) -> Rulebook: ...
    @property
    def amendments(self) -> Amendments: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def leavings(self) -> Leaving: ...
    @property
    def compute(self) -> Compute: ...
    @property
    def credits(self) -> Credits: ...
    @property
    def exchange(self) -> Exchange: ...
    @property
    def gateway(self) -> Gateway: ...
    @property
    def programmes(self) -> Programmes: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def privacy(self) -> Privacy: ...
    @property
    def governance(self) -> Governance: ...
    @property
    def nomads(self) -> Nomads: ...
    @property
    def notifier(self) -> Notifier: ...
    @property
    def workshop(self) -> Workshop: ...
    @property
    def pool(self) -> Pool: ...
    @property
    def library(self) -> Library: ...
    @property
    def routines(self) -> Routines: ...
    @property
    def starters(self) -> Starters: ...
    @property
    def webhooks(self) -> Webhooks: ...
    @property
    def commons(self) -> Commons: ...
    @property
    def approvals(self) -> Approvals: ...
    @property
    def emergency(self) -> Emergency: ...
    @property
    def filings(self) -> Filings: ...
    @property
    def hub(self) -> Hub: ...


class Hub(Protocol):
    """The content hub and its labels."""

    @property
    def content(self) -> Content: ...
    @property
    def labels(self) -> Labels: ...


class Emergency(Protocol):
    """Break-glass, and undoing what its review found wrong."""

    @property
    def glass(self) -> BreakGlass: ...
    @property
    def undoing(self) -> Undoing: ...


class Commons(Protocol):
    """Registries of what was made."""

    @property
    def rights(self) -> Rights: ...
    @property
    def science(self) -> Science: ...


class Unfinished(Protocol):
    """Things of one kind that are open before a close."""

    @property
    def kind(self) -> str: ...
    @property
    def count(self) -> int: ...
    @property
    def since(self) -> date: ...
    @property
    def page(self) -> str: ...


class Moves(Protocol):
    """What operators ask for, as the composition root offers it."""

    async def ask_top_up(
        self, org_id: UUID, amount_micro: int, reason: str, *, method: str, client_ref: str, by: str
    ) -> Request: ...
    async def ask_budget(self, name: str, amount_micro: int, reason: str, *, posting_id: UUID, by: str) -> Request: ...
    async def ask_instalment(self, agreement: UUID, number: int, *, reference: str, by: str) -> Request: ...
    async def ask_write_off(self, difference: UUID, note: str, *, by: str) -> Request: ...
    async def ask_reversal(self, posting: UUID, reason: str, *, by: str) -> Request: ...
    async def ask_close(self, through: date, *, by: str) -> Request: ...
    async def unfinished(self, through: date) -> Sequence[Unfinished]: ...
    async def waiting(
        self, before: UUID | None = None, kind: str | None = None
    ) -> tuple[Sequence[tuple[Request, str]], UUID | None]: ...
    async def undone(self) -> Sequence[tuple[Request, str]]: ...
    async def decided(
        self, before: UUID | None = None, kind: str | None = None
    ) -> tuple[Sequence[tuple[Request, str]], UUID | None]: ...
    async def chosen(self, numbers: Sequence[UUID]) -> Sequence[tuple[Request, str]]: ...


class Rulings(Protocol):
    """What operators rule on; the request where a second person has to agree, None where it is done."""

    async def close(self, item_id: UUID, ending: Ending, *, by: str) -> Request | None: ...
    async def sign_balance(self, day: date, *, by: str) -> Request: ...
    async def grant(self, dispute_id: UUID, *, answer: str, by: str) -> Request | None: ...
    async def record(self, org_id: UUID, new: NewFact, *, by: str) -> Request: ...


class TakingIn(Protocol):
    """Statements that one operator uploads and another one agrees to."""

    async def ask(self, data: bytes, *, name: str, by: str) -> tuple[Request, Outlook] | Report: ...
    async def held(self) -> Sequence[Request]: ...
    async def look(self, file_hash: str) -> tuple[Request, Outlook]: ...


class Withheld(Protocol):
    """Who ends what is withheld of a node; the request where a second person has to agree."""

    async def decide(self, name: str, *, give_back: bool, reason: str, by: str) -> Request | int: ...
    async def release(self, name: str, *, reason: str, by: str) -> Request | None: ...


class ByHand(Protocol):
    """What operators say of money that left by hand; the request where a second person has to agree."""

    async def confirm_payout(self, payout_id: UUID, *, by: str) -> Request | None: ...
    async def fail_payout(self, payout_id: UUID, *, reason: str, by: str) -> Request | None: ...
    async def pay_refund(self, refund_id: UUID, reference: str, *, by: str) -> Request | None: ...
    async def decide_withdrawal(
        self, withdrawal_id: UUID, reference: str, *, paid: bool, by: str
    ) -> Request | None: ...


class Routines(Protocol):
    """Workflows, and who works on their runs."""

    @property
    def workflows(self) -> Workflows: ...
    @property
    def trials(self) -> Trials: ...
    @property
    def draft(self) -> Callable[[str, UUID], Awaitable[Published]]: ...


class Changes(Protocol):
    """What bases say today and did not then."""

    @property
    def documents(self) -> int: ...
    @property
    def changed(self) -> Sequence[tuple[str, datetime]]: ...


class Shelves(Protocol):
    """Bases as agents use them."""

    async def changes(self, owner: UUID, names: Sequence[str], since: datetime) -> Changes: ...


class Library(Protocol):
    """Knowledge, and who pays for it."""

    @property
    def knowledge(self) -> Knowledge: ...
    @property
    def search(self) -> Search: ...
    @property
    def evaluating(self) -> Evaluating: ...
    @property
    def shelves(self) -> Shelves: ...

    async def caller_for(self, actor: Actor) -> Caller: ...


class Workshop(Protocol):
    """What works behind interactive calls."""

    @property
    def datasets(self) -> Datasets: ...
    @property
    def studio(self) -> Studio: ...
    @property
    def batches(self) -> Batches: ...


def actor_of(who: Who) -> Actor:
    """The actor that `LiveGate` found for this person."""
    found = who.actor
    if not isinstance(found, Actor):
        raise TypeError("this person did not come through the gate")
    return found


def opened_by(who: Who, page: str) -> str:
    """The page of the city where this person may open it; "" where it would refuse them."""
    return page if who.may("accounts") or not page.startswith("/city/") or page.startswith(AUDITED) else ""


async def hands(called: Callable[[str], Awaitable[str]], **by: str | None) -> list[tuple[str, str]]:
    """(what was done, the name of who did it) of everything that somebody is on record for."""
    return [(deed, await called(actor)) for deed, actor in by.items() if actor]


class Actors:
    """What actors of the books are called on one page: officers by their names, everybody else by the end of their
    number."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._known: dict[UUID, str] = {}

    async def know(self, actors: Iterable[str]) -> None:
        """Ask for all of a page at once; those that were not named are asked for one by one."""
        wanted = {person for actor in actors for part in actor.split(" + ") if (person := _person_in(part))}
        if unknown := wanted - self._known.keys():
            found = await self._identity.people.officers(list(unknown))
            self._known |= {person: found.get(person) or unnamed(person) for person in unknown}

    async def __call__(self, actor: str) -> str:
        await self.know([actor])
        return " + ".join(self._called(part) for part in actor.split(" + "))

    def _called(self, actor: str) -> str:
        kind, colon, number = actor.partition(":")
        if kind != "person" or not colon:
            return f"{kind} …{number[-8:]}" if len(number) > ACTOR_CHARS else actor
        person = _person_in(actor)
        return self._known[person] if person is not None else f"…{number[-8:]}"


def _person_in(actor: str) -> UUID | None:
    kind, _, number = actor.partition(":")
    return id_in(number) if kind == "person" else None


class Names:
    """Who an account belongs to, in words; a bounded cache, since names of organisations hardly change."""

    def __init__(self, identity: Identity, ledger: Ledger, budgets: Mapping[str, Bilingual] | None = None) -> None:
        self._identity = identity
        self._ledger = ledger
        self._budgets = budgets or {}
        self._owners: OrderedDict[UUID, str] = OrderedDict()

    async def owner(self, owner: UUID) -> str:
        """The name of an account's owner; the city for its own."""
        if owner == CITY_OWNER:
            return self._identity.options.city_name
        known = self._owners.get(owner)
        if known is not None:
            return known
        try:
            found = await self._identity.orgs.get(owner)
        except Unknown:
            return unnamed(owner)
        if found.kind is OrgKind.PERSON:  # a person's name may be erased any moment
            return found.name or unnamed(owner)
        name = self._owners[owner] = found.name
        if len(self._owners) > NAMES_KEPT:
            self._owners.popitem(last=False)
        return name

    async def owners(self, owners: Iterable[UUID]) -> Mapping[UUID, str]:
        """The same of everything on a page: two questions, however many they are."""
        wanted = set(owners)
        found = {owner: self._owners[owner] for owner in wanted if owner in self._owners}
        asked = await self._identity.orgs.names(wanted - found.keys())
        found |= {owner: name for owner, name in asked.items() if name}  # of whom was erased nothing is left
        nobody = {owner: unnamed(owner) for owner in wanted}
        return nobody | {CITY_OWNER: self._identity.options.city_name} | found

    async def labels(self, accounts: Iterable[UUID]) -> Mapping[UUID, str]:
        """`label` of everything on a page."""
        known = [await self._ledger.account(account) for account in dict.fromkeys(accounts)]
        owners = await self.owners(one.owner for one in known)
        return {one.id: self._label(one, owners[one.owner]) for one in known}

    async def organisation(self, text: str) -> UUID:
        """The organisation that a clerk means: by its number or by its whole name."""
        wanted = text.strip()
        try:
            return (await self._identity.orgs.get(UUID(wanted))).id
        except ValueError:
            found = [org.id for org in await self._identity.orgs.list(find=wanted or "?") if org.name == wanted]
        if len(found) != 1:
            raise Invalid(
                "which_organisation",
                "No organisation, or more than one, has exactly this name.",
                message_zh="没有或不止一个机构使用该全称。",
                hint="Write its whole name, or copy its number from its page.",
                hint_zh="请填写机构全称，或从机构页面复制机构编号。",
            )  # fmt: skip
        return found[0]

    def actors(self) -> Actors:
        """Who stands behind an actor of the books, for one page. Names of people are never kept longer."""
        return Actors(self._identity)

    async def account(self, account_id: UUID) -> tuple[str, str, str]:
        """(owner, kind, asset) of an account."""
        account = await self._ledger.account(account_id)
        return await self.owner(account.owner), account.kind, str(account.asset)

    async def label(self, account_id: UUID) -> str:
        """`owner · kind · name` on one line; a budget is called what its programme calls it."""
        account = await self._ledger.account(account_id)
        return self._label(account, await self.owner(account.owner))

    def _label(self, account: Account, owner: str) -> str:
        budget = self._budgets.get(account.name)
        name = " · ".join(budget[::-1]) if budget else account.name
        return " · ".join(part for part in (owner, account.kind, name) if part)


def unnamed(number: UUID) -> str:
    """What is called nothing, by the end of its number."""
    return f"…{str(number)[-8:]}"


def receipt_id(text: str) -> UUID:
    """A receipt's id as a form has it; `Unreadable` says where it is found."""
    try:
        return UUID(text.strip())
    except ValueError:
        raise Unreadable(
            "请粘贴完整的凭据编号，在凭据页的标题下方。",
            "Paste the whole id of the receipt; it stands below its title",
        ) from None
