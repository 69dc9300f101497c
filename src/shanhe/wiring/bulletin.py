"""Wiring of the weekly bulletin: what is new and open in programmes and contests, as items to tell of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from shanhe.bulletin.api import Bulletin, Item, Kind, Words
from shanhe.guide import SUBJECTS
from shanhe.kernel.money import format_fen
from shanhe.store.api import Phase

if TYPE_CHECKING:
    from shanhe.kernel.clock import Clock
    from shanhe.kernel.db import Database
    from shanhe.programmes.api import Programme, Programmes
    from shanhe.rulebook.api import Rulebook
    from shanhe.settings import Settings
    from shanhe.store.api import Contest, Contests

CLOSING_WITHIN: Final = timedelta(days=28)
SUBJECTS_EN: Final = {"person": "people", "company": "companies", "institution": "institutions",
                      "government": "departments"}  # fmt: skip


def open_bulletin(
    settings: Settings, db: Database, clock: Clock, *, rulebook: Rulebook, programmes: Programmes, contests: Contests
) -> Bulletin:  # fmt: skip
    """Connect it; nothing runs yet."""
    return Bulletin(
        db, clock, rulebook=rulebook, city=settings.city_name,
        sources=(_programmes(programmes), _contests(contests)),
    )  # fmt: skip


def _programmes(programmes: Programmes) -> Callable[[date, date], Awaitable[Sequence[Item]]]:
    async def found(since: date, until: date) -> Sequence[Item]:
        catalogue, items = programmes.catalogue, list[Item]()
        free = {budget.name: catalogue.budgets[budget.name].unlimited or budget.free > 0
                for budget in await programmes.budgets.list()}  # fmt: skip
        for one in catalogue.programmes.values():
            if not one.open_on(until):
                continue
            items.append(_item(one, Kind.OPEN, _open(one, free)))
            if one.opens > since:
                items.append(_item(one, Kind.OPENED, _opened(one), one.opens))
            if one.closes is not None and one.closes <= until + CLOSING_WITHIN:
                items.append(_item(one, Kind.CLOSING, _closing(one, one.closes), one.closes))
        return items

    return found


def _item(one: Programme, kind: Kind, says: Words, on: date | None = None) -> Item:
    return Item(kind=kind, ref=one.id, title=Words(one.title.zh, one.title.en), says=says,
                link=f"/programmes/{one.id}", on=on, for_=one.for_)  # fmt: skip


def _open(one: Programme, free: Mapping[str, bool]) -> Words:
    """What it gives, and whether it would have to wait for money today."""
    budgets = {name for grant in one.grants for name in grant.budgets(one.asks)}
    if all(free.get(name, True) for name in budgets):
        return Words(one.summary.zh, one.summary.en)
    return Words(f"{one.summary.zh}（预算暂时用完，申请将依次等待。）",
                 f"{one.summary.en} (The budget is used up at present; applications wait in turn.)")  # fmt: skip


def _opened(one: Programme) -> Words:
    whom = "、".join(SUBJECTS.get(subject, subject) for subject in one.for_)
    people = ", ".join(SUBJECTS_EN.get(subject, subject) for subject in one.for_)
    return Words(
        f"《{one.title.zh}》面向{whom}开放：{one.summary.zh}", f"{one.title.en}, for {people}: {one.summary.en}"
    )


def _closing(one: Programme, closes: date) -> Words:
    return Words(f"《{one.title.zh}》申请截止到 {closes}。", f"{one.title.en} takes applications until {closes}.")


def _contests(contests: Contests) -> Callable[[date, date], Awaitable[Sequence[Item]]]:
    async def found(_: date, until: date) -> Sequence[Item]:
        return [_contest(one) for one in await contests.contests() if one.phase(until) is Phase.ENTRIES]

    return found


def _contest(one: Contest) -> Item:
    pool = format_fen(one.pool_fen)
    says = Words(f"《{one.title_zh}》征集作品到 {one.entries_until}，奖金共 {pool} 元。",
                 f"{one.title_en} takes entries until {one.entries_until}; prizes of CNY {pool} in all.")  # fmt: skip
    return Item(kind=Kind.CONTEST, ref=str(one.id), title=Words(one.title_zh, one.title_en), says=says,
                link=f"/contests/{one.id}", on=one.entries_until)  # fmt: skip
