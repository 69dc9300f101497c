"""The desk of the second person, over `Moves` and approvals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from shanhe.approvals.api import Request
from shanhe.console import model as m
from shanhe.console import model_city as mc
from shanhe.console.live.modules import Modules, Names, actor_of, opened_by
from shanhe.kernel.ids import id_in
from shanhe.kernel.money import format_credits, format_fen

SEARCH_PAGES_MAX = 10
"""Pages of the books that one search reads."""
ENOUGH_ROWS = 20
"""Rows after which a search stops; its next page goes on from there."""
AMOUNTS: Mapping[str, Callable[[int], str]] = {"credit": format_credits, "cny": format_fen, "voucher": format_fen}
ReadPage = Callable[[UUID | None, str | None], Awaitable[tuple[Sequence[tuple[Request, str]], UUID | None]]]


class LiveSecond:
    """See `ports.SecondDesk`."""

    def __init__(self, modules: Modules, names: Names) -> None:
        self._approvals = modules.approvals
        self._moves = modules.moves
        self._catalogue = modules.programmes.catalogue
        self._names = names
        self._clock = modules.clock

    async def waiting(self, who: m.Who, wanted: mc.Wanted) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
        return await self._search(who, self._moves.waiting, wanted, wanted.past)

    async def undone(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return await self._rows(who, await self._moves.undone())

    async def decided(self, who: m.Who, wanted: mc.Wanted) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
        return await self._search(who, self._moves.decided, wanted, wanted.before)

    async def chosen(self, who: m.Who, numbers: Sequence[UUID]) -> Sequence[Mapping[str, Any]]:
        return await self._rows(who, await self._moves.chosen(numbers))

    def kinds(self) -> Sequence[str]:
        return sorted(self._approvals.deeds)

    async def _search(
        self, who: m.Who, read: ReadPage, wanted: mc.Wanted, past: UUID | None
    ) -> tuple[Sequence[Mapping[str, Any]], UUID | None]:
        """A page of what fits, and where the next begins. What is sought may be sealed, so rows are read and compared
        here: no more than so many pages for one answer, which may be empty with more to follow."""
        rows: list[Mapping[str, Any]] = []
        for _ in range(SEARCH_PAGES_MAX):
            found, past = await read(past, wanted.kind or None)
            rows += [row for row in await self._rows(who, found) if fits(row, wanted.find)]
            if past is None or len(rows) >= ENOUGH_ROWS or not wanted.find:
                break
        return rows, past

    async def _rows(self, who: m.Who, found: Sequence[tuple[Request, str]]) -> Sequence[Mapping[str, Any]]:
        own, called = actor_of(who).ref, self._names.actors()
        await called.know(by for one, _ in found for by in (one.requested_by, one.decided_by or ""))
        owners = await self._names.owners(org for one, _ in found if (org := _org_of(one)) is not None)
        return [
            {
                "id": one.id, "kind": one.kind, "subject": self._subject(one, owners),
                "link": self._link(who, one), "why": why,
                "asked_at": one.requested_at, "asked_by": await called(one.requested_by),
                "expires_at": one.expires_at, "mine": one.requested_by == own,
                "may": who.may(self._approvals.right_of(one.kind)), "state": str(one.state),
                "decided_by": await called(one.decided_by or ""), "decided_at": one.decided_at, "said": one.reason,
                "glass": one.glass, "fault": (one.fault_zh, one.fault_en), "tries": one.tries, "next_at": one.next_at,
                "running": one.held_until is not None and one.held_until > self._clock.now(),
                "late": one.expires_at <= self._clock.now(), **self._amount(one),
            }
            for one, why in found
        ]  # fmt: skip

    def _subject(self, one: Request, owners: Mapping[UUID, str]) -> str | tuple[str, str]:
        given, org = one.payload, _org_of(one)
        if org is not None:
            return owners[org]
        if one.kind == "programmes.funding" and (budget := self._catalogue.budgets.get(str(given["budget"]))):
            return budget.zh, budget.en
        if one.kind == "ledger.opening":
            entries = len(given["books"]["entries"])
            return f"{entries} 个账户", f"{entries} accounts"
        if (about := given.get("posting") or given.get("item")) is not None:
            return f"…{str(about)[-8:]}"
        return f"…{one.subject[-8:]}" if id_in(one.subject) else one.subject

    def _link(self, who: m.Who, one: Request) -> str:
        """Where this person may look at it; "" for nowhere."""
        deed, org = self._approvals.deeds.get(one.kind), _org_of(one)
        page = deed.page.format(**one.payload) if deed is not None else ""
        page = page or (f"/city/accounts/{org}" if org is not None else "")
        return opened_by(who, page)

    def _amount(self, one: Request) -> Mapping[str, Any]:
        """How much of what, where the move says it; of other moves the page of its own says more."""
        given = one.payload
        if isinstance(micro := given.get("amount_micro"), int):
            return {"amount": micro, "asset": "credit"}
        if isinstance(fen := given.get("amount_fen"), int):
            return {"amount": fen, "asset": "cny"}
        if isinstance(amount := given.get("amount"), int):
            budget = self._catalogue.budgets.get(str(given.get("budget", "")))
            return {"amount": amount, "asset": str(budget.asset) if budget else "cny"}
        return {"amount": None, "asset": ""}

    def rights(self) -> Collection[str]:
        return self._approvals.rights()

    async def decide(self, who: m.Who, request_id: UUID, do: str, reason: str) -> None:
        by, rights = actor_of(who).ref, who.permissions
        if do == "approve":
            await self._approvals.agree(request_id, by=by, reason=reason, rights=rights)
        elif do == "withdraw":
            await self._approvals.withdraw(request_id, by=by)
        elif do == "again":
            await self._approvals.again(request_id, by=by, rights=rights)
        else:
            await self._approvals.reject(request_id, by=by, reason=reason, rights=rights)

    async def ask_close(self, who: m.Who, through: date) -> None:
        await self._moves.ask_close(through, by=actor_of(who).ref)

    async def ask_reversal(self, who: m.Who, posting: UUID, reason: str) -> None:
        await self._moves.ask_reversal(posting, reason, by=actor_of(who).ref)


def fits(row: Mapping[str, Any], find: str) -> bool:
    """Whether what a person reads in a row contains what they seek; amounts with or without their commas."""
    texts = [row["why"], row["asked_by"], row["decided_by"], row["said"], str(row["id"]), *row["fault"]]
    texts += [row["subject"]] if isinstance(row["subject"], str) else row["subject"]
    if row["amount"] is not None:
        texts.append(AMOUNTS.get(row["asset"], str)(row["amount"]))
    sought = find.casefold()
    return any(sought in text.casefold() or sought in text.replace(",", "") for text in texts)


def _org_of(one: Request) -> UUID | None:
    """Whom it is about."""
    return one.about or id_in(one.payload.get("org_id"))
