"""Bases outside the city (I11): each reports on its own budgets, from the same ledger as everybody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from shanhe.programmes import site_store
from shanhe.programmes.budgets import Budgets
from shanhe.programmes.cases import BudgetView
from shanhe.programmes.errors import UnknownSite
from shanhe.programmes.ground import Ground
from shanhe.programmes.model import Text


@dataclass(frozen=True, slots=True)
class Flow:
    """What went through one budget's account between two days, in minor units: as the ledger's statement has it."""

    budget: BudgetView
    opening: int
    funded: int
    set_aside: int
    given_back: int
    closing: int


@dataclass(frozen=True, slots=True)
class Report:
    """A base over a time: its budgets, and the companies it supported (applications, companies, by its budgets)."""

    site: str
    title: Text
    first: date
    last: date
    flows: tuple[Flow, ...]
    awards: int
    companies: int


class Sites:
    def __init__(self, ground: Ground, budgets: Budgets) -> None:
        self._ground = ground
        self._budgets = budgets

    async def report(self, name: str, first: date, last: date) -> Report:
        """UnknownSite when there is none."""
        if name not in self._ground.catalogue.sites:
            raise UnknownSite(name)
        return await self._report(name, first, last, await self._views())

    async def reports(self, first: date, last: date) -> list[Report]:
        """Every base."""
        views = await self._views()
        return [await self._report(name, first, last, views) for name in self._ground.catalogue.sites]

    async def _views(self) -> dict[str, BudgetView]:
        return {view.name: view for view in await self._budgets.list()}

    async def _report(self, name: str, first: date, last: date, views: Mapping[str, BudgetView]) -> Report:
        site = self._ground.catalogue.sites[name]
        flows = [await self._flow(views[budget], first, last) for budget in site.budgets]
        awards, companies = await site_store.awarded(self._ground.db, site.budgets, first, last)
        return Report(name, Text(zh=site.zh, en=site.en), first, last, tuple(flows), awards, companies)

    async def _flow(self, view: BudgetView, first: date, last: date) -> Flow:
        opening = (await self._ground.ledger.statement(view.account, first, last, limit=1)).opening
        sums = await self._ground.ledger.sums(view.account, first, last)
        moved = sum(sums.values())
        given, awarded = sums.get("budget", 0), sums.get("award", 0)
        return Flow(view, opening, given, -awarded, moved - given - awarded, opening + moved)
