"""What each module does when a person was erased, beyond what became noise with their key: it stops serving it.

Each is a subscriber of its own, so that one module's trouble keeps nothing from the others; all may be repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol
from uuid import UUID

from shanhe.agents.api import Agents
from shanhe.board.api import Board
from shanhe.clones.api import Clones
from shanhe.exchange.api import Exchange
from shanhe.identity.api import ERASED_TOPIC
from shanhe.kernel.outbox import Event, Outbox
from shanhe.log.api import Log, forget
from shanhe.nomads.api import Nomads
from shanhe.payments.api import BankDesk
from shanhe.privacy.api import Privacy
from shanhe.programmes.api import Programmes
from shanhe.store.api import Store
from shanhe.wiring.knowledge import Library
from shanhe.wiring.research import Commons
from shanhe.wiring.studio import Workshop

ACTOR: Final = "erasure"
OfOrg = Callable[[UUID], Awaitable[int]]


class House(Protocol):
    """The modules that have to do something, as `app.Services` carries them."""

    @property
    def log(self) -> Log: ...
    @property
    def bank(self) -> BankDesk: ...
    @property
    def exchange(self) -> Exchange: ...
    @property
    def nomads(self) -> Nomads: ...
    @property
    def programmes(self) -> Programmes: ...
    @property
    def store(self) -> Store: ...
    @property
    def workshop(self) -> Workshop: ...
    @property
    def library(self) -> Library: ...
    @property
    def agents(self) -> Agents: ...
    @property
    def clones(self) -> Clones: ...
    @property
    def commons(self) -> Commons: ...
    @property
    def board(self) -> Board: ...
    @property
    def privacy(self) -> Privacy: ...


def follow_erasures(outbox: Outbox, services: House) -> None:
    """Subscribe every module that keeps something of people."""

    async def payers(event: Event) -> None:
        if payer := event.payload.get("payer"):
            await services.bank.statements.forget(bytes.fromhex(payer))

    outbox.subscribe(ERASED_TOPIC, "log.forget", lambda event: forget(services.log, event.key, event.payload))
    outbox.subscribe(ERASED_TOPIC, "bank.payers", payers)

    async def likenesses(event: Event) -> None:
        await services.clones.forget(UUID(event.key))

    outbox.subscribe(ERASED_TOPIC, "clones.forget", likenesses)

    async def thumbs(event: Event) -> None:
        await services.agents.thumbs.forget(person=UUID(event.key))

    outbox.subscribe(ERASED_TOPIC, "agents.thumbs", thumbs)

    async def nomads(event: Event) -> None:
        await services.nomads.forget(UUID(event.key))

    outbox.subscribe(ERASED_TOPIC, "nomads.appeals", nomads)

    async def requests(event: Event) -> None:
        await services.privacy.forget(UUID(event.key))

    outbox.subscribe(ERASED_TOPIC, "privacy.requests", requests)
    shop = services.workshop
    for name, act in {
        "exchange.orders": lambda org: services.exchange.end_orders(org, actor=ACTOR),
        "store.withdraw": lambda org: services.store.forget(org, actor=ACTOR),
        "agents.thumbs_of_keys": lambda org: services.agents.thumbs.forget(org_id=org),
        "science.retract": services.commons.science.forget,
        "rights.withdraw": services.commons.rights.forget,
        "board.posts": services.board.posts.forget,
        "programmes.awards": services.programmes.awards.forget,
        "nomads.venues": services.nomads.venues.forget,
        "batches.files": shop.batches.forget_all,
        "datasets.rows": shop.datasets.forget_all,
        "studio.folders": shop.studio.forget,
        "knowledge.bases": services.library.knowledge.forget,
    }.items():
        outbox.subscribe(ERASED_TOPIC, name, _of_org(act))


def _of_org(act: OfOrg) -> Callable[[Event], Awaitable[None]]:
    async def handle(event: Event) -> None:
        if org := event.payload.get("org_id"):
            await act(UUID(org))

    return handle
