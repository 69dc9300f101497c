"""Budgets: what they hold, have promised and paid, and how money gets into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

from shanhe.kernel.clock import city_date, midnight
from shanhe.kernel.money import AMOUNT_MAX
from shanhe.ledger.api import LotHistory, PostingView
from shanhe.programmes import award_store
from shanhe.programmes.booking import Books
from shanhe.programmes.cases import BudgetView
from shanhe.programmes.errors import ApplicationConflict, BadField, UnknownBudget
from shanhe.programmes.ground import Ground

REASON_MAX_CHARS: Final = 200
PAGE_ROWS: Final = 5_000
BUDGETS_AT_ONCE = 200
MOVES_SHOWN: Final = 20
Rows = list
GRANTS_MAX: Final = 500_000


@dataclass(frozen=True, slots=True)
class Grant:
    """What one posting moved from a budget to somebody, in the asset's minor unit; no `programme` where none is known
    (a clawback)."""

    budget: str
    programme: str
    recipient: UUID
    amount: int
    on: date


class Budgets:
    """Named accounts of the city that awards are paid from."""

    def __init__(self, ground: Ground, books: Books) -> None:
        self._ground = ground
        self._books = books

    async def list(self) -> list[BudgetView]:
        """Every budget of the catalogue, read from the ledger and from what awards have promised."""
        return await self._views([*self._ground.catalogue.budgets])

    async def _views(self, names: Sequence[str]) -> Rows[BudgetView]:
        db = self._ground.db
        committed, spent = await award_store.committed(db, names), await award_store.spent(db, names)
        found, held = [], await self._held()
        for name in names:
            account, budget = await self._books.budget(name), self._ground.catalogue.budgets[name]
            free = held[account.id] if account.id in held else (await self._ground.ledger.balance(account.id)).balance
            found.append(BudgetView(name, budget.asset, free, committed.get(name, 0), spent.get(name, 0), account.id))
        return found

    async def public(self) -> Rows[tuple[BudgetView, Sequence[PostingView], UUID]]:
        """Those whose account is for everybody to see, each with its newest postings and the account of what it has
        promised."""
        named, ledger = self._ground.catalogue.budgets, self._ground.ledger
        shown = await self._views([name for name, budget in named.items() if budget.public])
        return [
            (
                one, (await ledger.postings(account=one.account, limit=MOVES_SHOWN)).items,
                (await self._books.committed(one.name)).id,
            )
            for one in shown
        ]  # fmt: skip

    async def _held(self) -> dict[UUID, int]:
        """What the city's budgets hold, in one question; one beyond the page is asked for by itself."""
        rows = await self._ground.ledger.accounts(kind="budget", limit=BUDGETS_AT_ONCE)
        return {row.account.id: row.balance for row in rows}

    async def paid(self, since: date, until: date) -> Sequence[Grant]:
        """What reached whom from each budget on days in [since, until), read from the ledger's postings; what came back
        is negative. Bounded: GRANTS_MAX rows, the oldest first."""
        of = dict[UUID, str]()
        for name in self._ground.catalogue.budgets:
            of |= {(await self._books.budget(name)).id: name, (await self._books.committed(name)).id: name}
        history, found, after = LotHistory(self._ground.db), list[Grant](), None
        while len(found) < GRANTS_MAX:
            page = await history.paid(list(of), midnight(since), midnight(until), after=after, limit=PAGE_ROWS)
            known = await award_store.programmes_of(self._ground.db, list({row.origin for row in page}))
            found += [
                Grant(of[row.account], known.get(row.origin, ""), row.owner, row.amount, city_date(row.at))
                for row in page
            ]
            if len(page) < PAGE_ROWS:
                break
            after = page[-1]
        return found

    async def fund(self, name: str, amount: int, *, reason: str, actor: str, funding_id: UUID) -> BudgetView:
        """Put money into a budget, once for each `funding_id`; in the asset's minor unit."""
        self.check(name, amount, reason)
        row = await award_store.insert_funding(
            self._ground.db, funding_id, name, amount, reason.strip(), actor, self._ground.now()
        )
        if (row["budget"], row["amount"]) != (name, amount):
            raise ApplicationConflict(str(funding_id))
        await self._books.fund(name, amount, posting_id=funding_id, reason=row["reason"], actor=row["actor"])
        return next(view for view in await self.list() if view.name == name)

    def check(self, name: str, amount: int, reason: str) -> None:
        """UnknownBudget, or Invalid for an amount or a reason that is not in order."""
        if name not in self._ground.catalogue.budgets:
            raise UnknownBudget(name)
        if not 0 < amount <= AMOUNT_MAX:
            unit = self._ground.catalogue.budgets[name].asset
            raise BadField("/amount", ("金额", "The amount"), f"须为 1 至 {AMOUNT_MAX:,} 的整数（最小单位）",
                           f"must be a whole number from 1 to {AMOUNT_MAX:,} (smallest units)", code="bad_funding",
                           unit=unit, allowed={"minimum": 1, "maximum": AMOUNT_MAX})  # fmt: skip
        if not 1 <= len(reason.strip()) <= REASON_MAX_CHARS:
            raise BadField("/reason", ("事由", "The reason"), f"须为 1–{REASON_MAX_CHARS} 个字符",
                           f"must have 1 to {REASON_MAX_CHARS} characters", code="bad_funding",
                           allowed={"minLength": 1, "maxLength": REASON_MAX_CHARS})  # fmt: skip
