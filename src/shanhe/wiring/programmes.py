"""Wiring of what the city promises: programmes, nomads, alliances, the incubator, and the governance above them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from shanhe.alliances.api import Alliances
from shanhe.approvals.api import Deed
from shanhe.credentials.api import Credentials
from shanhe.governance.api import Dilution, Governance
from shanhe.incubator.api import Incubator
from shanhe.nomads.api import Nomads
from shanhe.programmes.api import Programmes
from shanhe.rulebook.api import AMENDMENT, SET_ASIDE, Amendments, Rulebook
from shanhe.wiring.certificates import Certificates
from shanhe.wiring.foresight import Foresight
from shanhe.wiring.governance import (
    Accepted,
    Counts,
    Deadlines,
    Trialled,
    budget_cards,
    members_of_lab,
    programme_cards,
)
from shanhe.wiring.measures import Measures, Tuned
from shanhe.wiring.value_index import Ranking

if TYPE_CHECKING:
    from shanhe.approvals.api import Approvals
    from shanhe.board.api import Board
    from shanhe.compute.api import Compute
    from shanhe.credits.api import Credits
    from shanhe.facts.api import Facts
    from shanhe.filings.api import Filings
    from shanhe.gateway.api import Gateway
    from shanhe.identity.api import Identity
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.kernel.notify import Notifier
    from shanhe.kernel.outbox import Outbox
    from shanhe.kernel.vault import Vault
    from shanhe.ledger.api import Ledger
    from shanhe.log.api import Log
    from shanhe.privacy.api import Privacy
    from shanhe.settings import Settings
    from shanhe.wiring.books import Books
    from shanhe.wiring.break_glass import Emergency
    from shanhe.wiring.relatives import Relatives
    from shanhe.wiring.store import Bazaar
    from shanhe.wiring.studio import Workshop

PRICE_RULE, LIST_PRICE = "P1", "list_price_fen"
CAPITAL_AWARD: Final = "incubator_subsidy"


@dataclass(frozen=True)
class Promises:
    """What people and companies apply for, belong to and vote on."""

    programmes: Programmes
    alliances: Alliances
    incubator: Incubator
    credentials: Credentials
    nomads: Nomads
    amendments: Amendments
    governance: Governance
    measures: Measures
    ranking: Ranking
    deadlines: Deadlines

    def watch(self, emergency: Emergency, filings: Filings) -> None:
        """Hear whose review of break-glass, and whose complaint, is due."""
        self.deadlines.glass, self.deadlines.filings = emergency.glass, filings

    def meet(self, bazaar: Bazaar, board: Board) -> None:
        """Hear from the store who published what, who won, and how they stood; from the board who came to terms."""
        self.measures.agreed, self.measures.are_related = board.meetings.agreed, board.meetings.are_related
        self.ranking.listings = bazaar.store.names_of
        self.measures.won, self.measures.stood = bazaar.contests.won, bazaar.ranks.stood


def open_promises(
    settings: Settings, db: Database, clock: Clock, vault: Vault, *, ledger: Ledger, rulebook: Rulebook, facts: Facts,
    identity: Identity, privacy: Privacy, notifier: Notifier, outbox: Outbox, log: Log, approvals: Approvals,
    gateway: Gateway, relatives: Relatives, books: Books, workshop: Workshop, credits: Credits, compute: Compute,
) -> Promises:  # fmt: skip
    """Connect them; nothing runs yet."""
    measures = Measures(clock, ledger, gateway, facts)
    list_price = partial(rulebook.parameter, PRICE_RULE, LIST_PRICE)
    tuned = Tuned(clock, workshop.studio.standing, gateway, related=relatives.related, price=list_price)
    ranking = Ranking(gateway, facts, identity, rulebook, relatives.related)
    programmes = Programmes(
        db, clock, vault, ledger=ledger, rulebook=rulebook, facts=facts, identity=identity, notifier=notifier,
        announce=outbox.emit, measures=measures.all() | tuned.all(), count=ranking.count, entry=log.record,
        approvals=approvals,
    )  # fmt: skip
    measures.subsidised = partial(programmes.since, CAPITAL_AWARD)
    books.standings = programmes.standings
    credits.codes.reserved = frozenset(programmes.catalogue.budgets)
    alliances = books.alliances = Alliances(
        db, clock, rulebook=rulebook, notifier=notifier, related=relatives.related, company=books.company,
        titles={"dataset": workshop.dataset_title, "model": workshop.model_title},
    )  # fmt: skip
    workshop.datasets.shared = alliances.datasets_for
    incubator = Incubator(
        db, clock, ledger=ledger, rulebook=rulebook, facts=facts, notifier=notifier,
        adviser=programmes.standings.benefits,
    )  # fmt: skip
    credentials = Credentials(db, clock, vault, url=settings.url)
    nomads = Nomads(
        db, clock, vault, ledger=ledger, rulebook=rulebook, facts=facts, identity=identity, credentials=credentials,
        notifier=notifier, announce=outbox.emit, record=log.record, akin=relatives.akin,
        url=settings.url, city=settings.city_name,
    )  # fmt: skip
    Certificates(clock, approvals, nomads.venues, relatives.akin)
    amendments = Amendments(db, clock, rulebook, approvals, entry=log.record)
    approvals.deeds[AMENDMENT] = Deed(amendments.carry_out, "/rules/{rule_id}", ready=amendments.ready)
    approvals.deeds[SET_ASIDE] = Deed(amendments.carry_out_aside, "/rules/{rule_id}")
    deadlines = Deadlines(clock, programmes, privacy, rulebook)
    dilution = Dilution(
        db, clock, rulebook, paid=programmes.budgets.paid, budgets=budget_cards(programmes.catalogue),
        programmes=programme_cards(programmes.catalogue),
    )  # fmt: skip
    governance = Governance(
        db, clock, vault, rulebook=rulebook, amendments=amendments, notifier=notifier, record=log.record,
        measures=Counts(facts, gateway).all(),
        work={"applications": deadlines.applications, "privacy": deadlines.requests,
              "break_glass": deadlines.openings, "complaints": deadlines.complaints},
        outcomes=Trialled(facts, gateway, identity).all(), treated=partial(members_of_lab, facts),
        follow={"infeasibility": Accepted(clock, facts, programmes, rulebook).infeasibility}, dilution=dilution,
        gather=Foresight(rulebook, programmes=programmes, nomads=nomads, credits=credits, gateway=gateway,
                         compute=compute).gather,
    )  # fmt: skip
    return Promises(programmes, alliances, incubator, credentials, nomads, amendments, governance, measures, ranking,
                    deadlines)  # fmt: skip
