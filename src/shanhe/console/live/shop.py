"""The store's pages over its module: listings as plain data, forms as what their kinds define."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec

from shanhe.agents.api import definition_of, labelled_file
from shanhe.clones.api import UnknownMandate
from shanhe.console import model as m
from shanhe.console.live.modules import Modules, Names, actor_of
from shanhe.console.live.shop_forms import FIELDS, content_of, form_of, terms_of
from shanhe.console.live.shop_views import BPS_PERCENT, WORDS, card_of, case_of, listing_of, move_of, version_of
from shanhe.console.model_credits import File
from shanhe.kernel.documents import MEDIA, Format, render, save_headers
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.store.api import (
    Kind,
    Listing,
    NewListing,
    Order,
    Store,
    UnknownListing,
    Version,
    Words,
    earnings_view,
    mark_of,
    period,
)
from shanhe.store.routes import rating_view

DEFINED = (Kind.AGENT, Kind.CLONE, Kind.ALLIANCE)
"""Kinds whose content has one form, which a file can be compared with."""


class LiveShop:
    """See `ports.Shop`."""

    def __init__(self, modules: Modules, names: Names) -> None:
        self._names = names
        self._store: Store = modules.store
        self._earnings = modules.earnings
        self._ranks = modules.ranks
        self._clones = modules.clones
        self._agents = modules.agents
        self._clock = modules.clock
        self._library = modules.library

    # -- the window ---------------------------------------------------------------------------------------------------

    async def answer_file(
        self, who: m.Who, name: str, text: str, label: str, form: str, *, language: str
    ) -> File:  # fmt: skip
        try:
            said = msgspec.json.decode(label or "{}", type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError):
            said = {}
        # a form's lines end in CR LF; the label is of the text as it was
        plain, agents = text.replace("\r\n", "\n"), self._agents
        key, today = agents.labels.public_key, agents.today()
        return File(*await labelled_file(key, name, plain, said, form, today, language=language))

    async def window(
        self, kind: str, find: str, category: str = "", order: str = "rank", *, first: int = 0, most: int
    ) -> tuple[Sequence[Mapping[str, Any]], int]:
        found = await self._store.leaf(
            kind or None, category or None, find or None, Order(order), first=first, most=most
        )
        return [card_of(card) for card in found.cards], found.count

    async def listing(self, name: str, who: m.Who | None) -> Mapping[str, Any]:
        ratings = await self._store.ratings(name)
        org = who.org_id if who is not None and who.has_org else None
        said = [rating_view(one) for one in ratings]
        honours = [{"contest": one.contest, "title": {"zh": one.title_zh, "en": one.title_en}, "place": one.place}
                   for one in await self._store.honours(name)]  # fmt: skip
        said = [one for one in said if one["text"] or one["struck"]]
        offer = await self._store.offer(name)
        content = offer.version.content
        model = content.get("model", "") if isinstance(content.get("model"), str) else ""
        coming = await self._store.coming(name)
        history = [
            {"n": one.n, "notes": one.notes if one.notes_public else "", "at": one.offered_at}
            for one in await self._store.history(name)
        ]
        return {
            **card_of(await self._store.card(name)),
            "ratings_said": said,
            "honours": honours,
            "own": org == offer.listing.owner,
            "voice": next((rating_view(one) for one in ratings if one.org_id == org), None),
            "model": model,
            "history": history,
            "looks_up": await self._looks_up(offer.listing, offer.version),
            "coming": None if coming is None else {**version_of(coming), "model": coming.content.get("model", "")},
        }

    async def _looks_up(self, listing: Listing, version: Version | None) -> Mapping[str, Any] | None:
        """What of the knowledge that a version looks things up in is otherwise than when it was reviewed."""
        names = () if version is None else version.content.get("knowledge") or ()
        if version is None or version.decided_at is None or not names:
            return None
        found = await self._library.shelves.changes(listing.owner, names, version.decided_at)
        last = found.changed[0][1] if found.changed else None
        return {"documents": found.documents, "changed": [{"name": name, "at": at} for name, at in found.changed],
                "last": last, "since": version.decided_at}  # fmt: skip

    async def ranks(self, month: str) -> Mapping[str, Any]:
        months = await self._ranks.months()
        chosen = next((one for one in months if f"{one:%Y-%m}" == month), months[0] if months else None)
        rows = [] if chosen is None else await self._ranks.of(chosen)
        called = await self._names.owners(row.owner for row in rows)
        listings, best = await self._store.listings([row.listing for row in rows]), dict[tuple[UUID, str], int]()
        for row in rows:
            best[row.owner, row.kind] = min(row.place, best.get((row.owner, row.kind), row.place))
        shown = []
        for row in rows:
            shown.append({
                **listing_of(listings[row.listing]), "place": row.place, "points": f"{row.score / BPS_PERCENT:.1f}",
                "payers": row.payers, "own_micro": row.own_micro, "due_micro": self._ranks.due_micro(row),
                "paid": row.application is not None,
                "second": best[row.owner, row.kind] < row.place,
                "maker": called[row.owner],
            })  # fmt: skip
        return {"month": None if chosen is None else f"{chosen:%Y-%m}", "months": [f"{one:%Y-%m}" for one in months],
                "rows": shown, "terms": self._ranks.terms()}  # fmt: skip

    async def rate(self, who: m.Who, name: str, stars: int, text: str) -> None:
        await self._store.rate(name, org_id=who.org_id, stars=stars, text=text.strip(), actor=actor_of(who).ref)

    async def reply(self, who: m.Who, rating: UUID, text: str) -> None:
        await self._store.reply(rating, owner=who.org_id, text=text, actor=actor_of(who).ref)

    # -- makers -------------------------------------------------------------------------------------------------------

    async def mine(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        return [
            {**listing_of(one), "version": versions[0].n if versions else 0,
             "version_state": versions[0].state if versions else "draft"}
            for one, versions in await self._store.mine(who.org_id)
        ]  # fmt: skip

    async def edit(self, who: m.Who, name: str) -> Mapping[str, Any]:
        for one, versions in await self._store.mine(who.org_id):
            if one.name == name:
                newest = versions[0] if versions else None
                form = form_of(one.kind, newest)
                waits = newest.words if newest is not None and newest.state == "draft" else None
                form |= msgspec.to_builtins(waits or one.words)
                if one.kind is Kind.CLONE and not form.get("mandate"):
                    form["mandate"] = await self._mandate(who, name)
                moves = (await self._store.case(name)).moves
                return {
                    **listing_of(one), "versions": [version_of(version) for version in versions],
                    "moves": [move_of(move) for move in moves],
                    "open": newest is None or newest.state != "submitted", "form": form,
                    "mark": mark_of(one, newest),
                }  # fmt: skip
        raise UnknownListing(name)

    async def _mandate(self, who: m.Who, name: str) -> str:
        """The consent that a clone of this name rests on; empty before it is given."""
        try:
            return str((await self._clones.standing(name, who.org_id)).id)
        except UnknownMandate:
            return ""

    async def open(self, who: m.Who, fields: Mapping[str, str], content: Mapping[str, Any] | None) -> str:
        kind = fields.get("kind", "")
        if kind not in list(Kind):
            raise Invalid("bad_kind", "Choose a kind.", message_zh="请选择类别。")
        if content is not None:
            if kind not in DEFINED:
                raise Invalid("no_file_here", "Only agents, clones and alliances begin with a file.",
                              message_zh="只有智能体、数字分身与联盟可从文件开始。")  # fmt: skip
            definition_of(content, kind)  # before anything is made
        new = NewListing(
            new_id(), Kind(kind), fields.get("slug", "").strip(), fields.get("title_zh", "").strip(),
            fields.get("title_en", "").strip(), fields.get("summary_zh", "").strip(),
            fields.get("summary_en", "").strip(), fields.get("category", "general"),
        )  # fmt: skip
        return (await self._store.open(new, owner=who.org_id, actor=actor_of(who).ref, content=content)).name

    async def version(self, who: m.Who, name: str, n: int) -> Mapping[str, Any]:
        return (await self._store.version(name, n, owner=who.org_id)).content

    async def save(self, who: m.Who, name: str, fields: Mapping[str, str]) -> None:
        content = content_of(name.partition("/")[0], fields, await self._kept(who, name))
        await self._store.draft(
            name, content, terms_of(fields), owner=who.org_id, actor=actor_of(who).ref,
            notes=fields.get("notes", "").strip(), base=fields.get("base"),
        )  # fmt: skip
        if fields.get("title_zh"):
            said = {field: fields.get(field, "").strip() for field in WORDS}
            words = Words(**said, category=fields.get("category", "general"))
            await self._store.describe(name, words, owner=who.org_id, actor=actor_of(who).ref)

    async def _kept(self, who: m.Who, name: str) -> Mapping[str, Any]:
        """What the newest version says beyond the form's fields: a page changes only what it shows."""
        newest, shown = await self._newest(who, name), FIELDS.get(name.partition("/")[0])
        if newest is None or shown is None:
            return {}
        return {key: value for key, value in newest.content.items() if key not in shown}

    async def _newest(self, who: m.Who, name: str) -> Version | None:
        for one, versions in await self._store.mine(who.org_id):
            if one.name == name:
                return versions[0] if versions else None
        raise UnknownListing(name)

    async def submit(self, who: m.Who, name: str) -> None:
        await self._store.submit(name, owner=who.org_id)

    async def recall(self, who: m.Who, name: str) -> None:
        await self._store.recall(name, owner=who.org_id)

    async def expose(self, who: m.Who, name: str, shown: bool) -> None:
        move = self._store.relist if shown else self._store.deprecate
        await move(name, owner=who.org_id, actor=actor_of(who).ref)

    async def withdraw(self, who: m.Who, name: str) -> None:
        await self._store.withdraw(name, owner=who.org_id, actor=actor_of(who).ref)

    async def income(self, who: m.Who, first: str, last: str) -> Mapping[str, Any]:
        begin, end = self._period(first, last)
        found = await self._earnings.of(who.org_id, begin, end)
        sums = {begin + timedelta(days=n): [0, 0] for n in range((end - begin).days + 1)}
        for row in found.days:
            sums[row.day][0] += row.earned_micro
            sums[row.day][1] += row.calls
        chart = [m.DaySpend(day, micro, calls) for day, (micro, calls) in sums.items()]
        return {**earnings_view(found), "chart": chart}

    async def income_file(self, who: m.Who, first: str, last: str, fmt: str, language: str) -> File:
        begin, end = self._period(first, last)
        made = await self._earnings.statement(who.org_id, begin, end, name=who.org_name, language=language)
        shape = Format(fmt)
        return File(await render(made, shape), MEDIA[shape], save_headers(f"{made.title}-{begin}-{end}", shape))

    def _period(self, first: str, last: str) -> tuple[date, date]:
        return period(self._clock, _day(first), _day(last))

    # -- reviewers ----------------------------------------------------------------------------------------------------

    async def queue(self, who: m.Who) -> Sequence[Mapping[str, Any]]:
        called = self._names.actors()
        return [await case_of(one, called) for one in await self._store.cases()]

    async def known(
        self, who: m.Who, find: str, *, first: int, most: int
    ) -> tuple[Sequence[Mapping[str, Any]], int]:  # fmt: skip
        found, count = await self._store.known(find, first=first, most=most)
        return [listing_of(one) for one in found], count

    async def case(self, who: m.Who, name: str) -> Mapping[str, Any]:
        case = await self._store.case(name)
        before = case.before or next((one for one in case.versions if one.decided_at is not None), None)
        looks_up = await self._looks_up(case.listing, before)
        return {**await case_of(case, self._names.actors()), "looks_up": looks_up}

    async def stand(self, who: m.Who, name: str, offered: bool, reason: str) -> None:
        move = self._store.restore if offered else self._store.remove
        await move(
            name, reason=reason.strip(), actor=actor_of(who).ref, actor_org=who.org_id if who.has_org else None
        )  # fmt: skip

    async def review(self, who: m.Who, name: str, n: int, approve: bool, note: str) -> None:
        await self._store.review(
            name,
            n,
            approve=approve,
            note=note.strip(),
            reviewer=actor_of(who).ref,
            reviewer_org=who.org_id if who.has_org else None,
        )


def _day(text: str) -> date | None:
    """A day out of a form; None where none is given."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Invalid("bad_date", "Write a day like 2026-11-26.", message_zh="日期格式如 2026-11-26。") from error
