"""A board over real programmes, ledger and identity, with a funded science budget; and the whole city for its faces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from shanhe.app import Services, open_services
from shanhe.approvals.api import Approvals
from shanhe.board.api import Board, Kind, Match, Post, Words
from shanhe.facts.api import Facts, RelationTerms
from shanhe.identity.api import Identity, NewOrganisation, NewPerson, Options, OrgKind
from shanhe.identity.api import Role as PersonRole
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.kernel.notify import Notifier
from shanhe.kernel.outbox import Outbox
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Asset, Ledger
from shanhe.programmes.api import Counted, Programmes, load_catalogue
from shanhe.rulebook.api import Rulebook
from shanhe.settings import Settings
from shanhe.web import create_app
from shanhe.wiring.board import open_board
from shanhe.wiring.measures import Measures
from shanhe.wiring.relatives import Relatives
from stage.browsing import signed_in, visitor

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
UNTIL = date(2026, 6, 30)
RULEBOOK = Rulebook.load()
CATALOGUE = load_catalogue(RULEBOOK)
CREDIT = 1_000_000
NEED = Words(
    Kind.NEED, "茶叶杀青温度在线控制", "杀青滚筒温度靠经验，焦边和红梗多，希望在线测温并自动调火，减少损耗。", "food",
    UNTIL, readiness=6, budget_from_fen=5_000_000, budget_to_fen=12_000_000,
)  # fmt: skip
SOLUTION = Words(
    Kind.SOLUTION, "滚筒杀青红外测温与火候控制", "红外阵列测滚筒叶温，模型控制燃烧机，杀青均匀，焦边率降到百分之一。",
    "food", UNTIL, readiness=8, price_fen=8_000_000, asks="需提供两周试机时间",
)  # fmt: skip
TERMS = "两周试机，验收后付款，参数归双方共有。"


class Measured(dict[str, Any]):
    """The board's measures; no other is asked for."""

    def __contains__(self, name: object) -> bool:
        return True


class Town:
    """Everything that matches and their reward stand on; no gateway, for words alone match."""

    def __init__(self, db: Database, clock: FixedClock, vault: Vault, ledger: Ledger) -> None:
        self.db, self.clock, self.ledger = db, clock, ledger
        self.identity = Identity(db, clock, vault, Options())
        facts = Facts(db, clock, vault, lambda _: RelationTerms(ownership_bps=2500, referral_months=24))
        self.notifier, measures = Notifier(db, clock), Measures(clock, ledger, None, facts)  # type: ignore[arg-type]
        self.programmes = Programmes(
            db, clock, vault, ledger=ledger, rulebook=RULEBOOK, facts=facts, identity=self.identity,
            notifier=self.notifier, announce=Outbox(db, clock).emit, measures=Measured(measures.all()),
            catalogue=CATALOGUE, approvals=Approvals(db, clock), count=self._count,
        )  # fmt: skip
        self.board: Board = open_board(
            db, clock, gateway=SimpleNamespace(embed=None), compute=SimpleNamespace(models=list),  # type: ignore[arg-type]
            identity=self.identity, notifier=self.notifier, programmes=self.programmes, rulebook=RULEBOOK,
            related=Relatives(self.identity, facts, clock).related,
        )  # fmt: skip
        measures.agreed, measures.are_related = self.board.meetings.agreed, self.board.meetings.are_related

    async def _count(self, first: date, last: date) -> Mapping[UUID, Counted]:
        return {}

    async def company(self, name: str = "云雾茶厂") -> UUID:
        return await company(self.identity, name)

    async def researcher(self, name: str = "林晓") -> UUID:
        """A person's organisation of one."""
        made = await self.identity.people.create(NewPerson(name, login=f"u{uuid4().hex[:12]}"), by="test")
        return (await self.identity.orgs.create_personal(made.id, by="test")).id

    async def posted(self, org: UUID, words: Words) -> Post:
        return await posted(self.board, org, words)

    async def meet(self, need: Post, solution: Post, *, by: Kind = Kind.NEED) -> UUID:
        """An offer of one side on the table."""
        org = need.org_id if by is Kind.NEED else solution.org_id
        view = await self.board.meetings.interest(uuid4(), org, need.id, solution.id, "愿意谈一谈", actor="test")
        await self.board.meetings.offer(view.match.id, org, TERMS, 8_000_000, after=0, actor="test")
        return view.match.id

    async def agreed(self, need_org: UUID, solution_org: UUID) -> Match:
        """A match that both accepted, of new posts."""
        need, solution = await self.posted(need_org, NEED), await self.posted(solution_org, SOLUTION)
        match = await self.meet(need, solution)
        return (await self.board.meetings.accept(match, solution_org, round_=1, actor="test")).match

    async def fund(self) -> None:
        await fund(self.programmes)

    async def balance(self, org: UUID) -> int:
        return await balance(self.ledger, org)

    async def later(self, **parts: float) -> None:
        self.clock.advance(**parts)
        await self.board.tick()


async def company(identity: Identity, name: str) -> UUID:
    new = NewOrganisation(OrgKind.COMPANY, name, registration=uuid4().hex[:18], locally_registered=True)
    return (await identity.orgs.create(new, by="test")).id


async def posted(board: Board, org: UUID, words: Words) -> Post:
    made = await board.posts.write(new_id(), org, words, actor="test")
    return await board.posts.publish(made.id, org)


async def fund(programmes: Programmes) -> None:
    await programmes.budgets.fund("science_credit", 10**11, reason="yearly", actor="test", funding_id=new_id())


async def balance(ledger: Ledger, org: UUID) -> int:
    account = await ledger.ensure_account(org, Asset.CREDIT, "wallet")
    return (await ledger.balance(account.id)).balance


@pytest.fixture
async def town(database: Database, tmp_path: Path) -> AsyncIterator[Town]:
    clock = FixedClock(NOON)
    ledger = Ledger(database, clock, worker="test", workers=1)
    yield Town(database, clock, Vault(tmp_path / "keys"), ledger)
    await ledger.stop()


@dataclass
class City:
    """The whole city in one process."""

    services: Services
    clock: FixedClock
    site: Any

    async def browser(self, org: UUID | None) -> httpx.AsyncClient:
        """Somebody who acts for an organisation; None: a stranger."""
        if org is None:
            return visitor(self.site)
        identity = self.services.identity
        person = await identity.people.create(NewPerson("经办人", login=f"u{uuid4().hex[:12]}"), by="test")
        await identity.orgs.set_member(org, person.id, PersonRole.OWNER, by="test")
        return await signed_in(identity, self.site, person.id, org)


@pytest.fixture
async def city(dsn: str, tmp_path: Path) -> AsyncIterator[City]:
    clock = FixedClock(NOON)
    settings = Settings(data=tmp_path, database_url=dsn, with_model=False, demo=True)
    async with open_services(settings, "cli", clock) as services:
        yield City(services, clock, create_app(services))
