"""The board's pages: plain data, and forms as what the board takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any, Final
from uuid import UUID

from shanhe.board.api import (
    READINESS_MAX,
    SECTORS,
    BadPost,
    Kind,
    Post,
    PostState,
    Words,
    fits_view,
    kind_of,
    match_view,
    post_views,
)
from shanhe.console import model as m
from shanhe.console.live.modules import Modules, actor_of
from shanhe.kernel.clock import add_months
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.money import format_credits, format_fen, parse_yuan

STANDS_MONTHS: Final = 3
"""What the form suggests."""
FITS_SHOWN: Final = 5
SECTORS_SHOWN: Final = [{"id": name, "zh": zh, "en": en} for name, (zh, en) in SECTORS.items()]


class LiveBoard:
    """See `ports.BoardDesk`."""

    def __init__(self, modules: Modules) -> None:
        self._board = modules.board
        self._clock = modules.clock

    def _terms(self) -> dict[str, Any]:
        terms = self._board.terms()
        return {**terms, "credits": format_credits(terms["reward_micro"]).rstrip("0").rstrip(".")}

    # -- posts --------------------------------------------------------------------------------------------------------

    async def all(self, kind: str, sector: str, find: str) -> Mapping[str, Any]:
        wanted = kind_of(kind) if kind else None
        chosen = sector if sector in SECTORS else None
        if find.strip():
            found = await self._board.finding.search(wanted, find, chosen)
        else:
            found = await self._board.posts.standing(wanted, chosen)
        return {"rows": await post_views(self._board.posts, found), "kind": kind, "sector": chosen or "", "find": find,
                "sectors": SECTORS_SHOWN, "terms": self._terms()}  # fmt: skip

    async def one(self, who: m.Who | None, post: UUID) -> Mapping[str, Any]:
        org_id = _org(who)
        found = await self._board.posts.get(post, org_id)
        own = found.org_id == org_id
        if own:
            await self._board.finding.learn(found)
        stands = found.stands(self._clock.today())
        fits = await self._fits(found, own=own) if stands else {"way": "words", "data": []}
        mine: list[Post] = []
        if who is not None and org_id is not None and who.may("apply") and not own:
            mine = [one for one in await self._board.posts.of(org_id)
                    if one.kind is found.kind.other and one.stands(self._clock.today())]  # fmt: skip
        partners = [{"id": one.id, "title": one.words.title, "match": await self._between(found, one)} for one in mine]
        return {
            "one": await self._shown(found, org_id), "own": own, "stands": stands, "fits": fits, "mine": partners,
            "id": new_id(), "other": found.kind.other, "terms": self._terms(),
            "paid_micro": await self._board.finding.paid_micro(found) if own else 0,
        }  # fmt: skip

    async def _fits(self, post: Post, *, own: bool) -> Mapping[str, Any]:
        found = await self._board.finding.of(post, FITS_SHOWN)
        names = await self._board.posts.names_of([fit.post for fit in found.found])
        shown = fits_view(found, names)
        for fit, row in zip(found.found, shown["data"], strict=True):
            row |= {"id": new_id(), "match": await self._between(post, fit.post) if own else None}
            heaviest = max((part["weight"] for part in row["words"]["matched"]), default=1.0) or 1.0
            for part in row["words"]["matched"]:
                part["share"] = max(1, round(100 * part["weight"] / heaviest))
        return shown

    async def _between(self, one: Post, other: Post) -> UUID | None:
        found = await self._board.meetings.between(one, other)
        return None if found is None else found.id

    async def _shown(self, post: Post, org_id: UUID | None = None) -> dict[str, Any]:
        return (await post_views(self._board.posts, [post], org_id))[0]

    async def blank(self, kind: str) -> Mapping[str, Any]:
        until = add_months(self._clock.today(), STANDS_MONTHS)
        fields = {"until": str(until), "shows_name": "1", "by_meaning": "1", "id": str(new_id())}
        return self._form(kind_of(kind), fields)

    async def filled(self, who: m.Who, post: UUID) -> Mapping[str, Any]:
        found = await self._board.posts.get(post, who.org_id)
        if found.org_id != who.org_id:
            raise Invalid("not_yours", "This post is somebody else's.", message_zh="这不是贵方的条目。")
        given = asdict(found.words)
        money = {name: "" if given[name] is None else format_fen(given[name]).replace(",", "")
                 for name in ("budget_from_fen", "budget_to_fen", "price_fen")}  # fmt: skip
        fields = {
            **{name: str(given[name]) for name in ("title", "text", "asks", "sector", "until", "readiness")},
            "budget_from": money["budget_from_fen"], "budget_to": money["budget_to_fen"], "price": money["price_fen"],
            "shows_name": "1" if given["shows_name"] else "", "by_meaning": "1" if given["by_meaning"] else "",
            "id": str(post),
        }  # fmt: skip
        return {**self._form(found.kind, fields), "post": post, "state": found.state}

    def _form(self, kind: Kind, fields: Mapping[str, str]) -> dict[str, Any]:
        return {"kind": kind, "fields": fields, "sectors": SECTORS_SHOWN, "levels": range(1, READINESS_MAX + 1),
                "post": None, "state": PostState.DRAFT, "terms": self._terms()}  # fmt: skip

    async def save(self, who: m.Who, post: UUID | None, fields: Mapping[str, str]) -> UUID:
        words, posts = _words(fields), self._board.posts
        if post is None:
            made = await posts.write(UUID(fields.get("id", "")), who.org_id, words, actor=actor_of(who).ref)
            if not fields.get("draft") and made.published_at is None:
                made = await posts.publish(made.id, who.org_id)
        else:
            made = await posts.change(post, who.org_id, words)
        await self._board.finding.learn(made)
        return made.id

    async def move(self, who: m.Who, post: UUID, step: str) -> None:
        posts = self._board.posts
        made = await (posts.publish if step == "publish" else posts.withdraw)(post, who.org_id)
        await self._board.finding.learn(made)

    async def remove(self, who: m.Who, post: UUID, why: str) -> None:
        await self._board.posts.remove(post, why, actor=actor_of(who).ref)

    # -- matches ------------------------------------------------------------------------------------------------------

    async def mine(self, who: m.Who) -> Mapping[str, Any]:
        posts = await post_views(self._board.posts, await self._board.posts.of(who.org_id), who.org_id)
        matches = [match_view(one) for one in await self._board.meetings.of(who.org_id)]
        return {"posts": posts, "matches": matches, "terms": self._terms()}

    async def meet(self, who: m.Who, post: UUID, fields: Mapping[str, str]) -> UUID:
        found = await self._board.posts.get(post)
        mine = UUID(fields.get("mine", ""))
        need, solution = (post, mine) if found.kind is Kind.NEED else (mine, post)
        view = await self._board.meetings.interest(
            UUID(fields.get("id", "")), who.org_id, need, solution, fields.get("note", ""), actor=actor_of(who).ref
        )  # fmt: skip
        return view.match.id

    async def match(self, who: m.Who, match: UUID) -> Mapping[str, Any]:
        shown = match_view(await self._board.meetings.get(match, who.org_id))
        live = shown["state"] in ("interest", "offer")
        return {"one": shown, "live": live, "terms": self._terms(),
                "to_accept": shown["state"] == "offer" and shown["offered_by"] != shown["mine"]}  # fmt: skip

    async def answer(self, who: m.Who, match: UUID, step: str, fields: Mapping[str, str]) -> None:
        meetings, actor = self._board.meetings, actor_of(who).ref
        if step == "offer":
            fee = fields.get("fee", "").strip()
            await meetings.offer(match, who.org_id, fields.get("text", ""), parse_yuan(fee) if fee else None,
                                 after=int(fields.get("after", "0")), actor=actor)  # fmt: skip
        elif step == "accept":
            await meetings.accept(match, who.org_id, round_=int(fields.get("round", "0")), actor=actor)
        else:
            await meetings.leave(match, who.org_id, fields.get("note", ""), actor=actor)


def _org(who: m.Who | None) -> UUID | None:
    return who.org_id if who is not None and who.has_org else None


def _words(fields: Mapping[str, str]) -> Words:
    kind = kind_of(fields.get("kind", ""))
    try:
        until = date.fromisoformat(fields.get("until", ""))
    except ValueError:
        raise BadPost("until", "choose a day", "请选择截止日") from None
    readiness = fields.get("readiness", "") or "0"
    need = kind is Kind.NEED
    return Words(
        kind, fields.get("title", ""), fields.get("text", ""), fields.get("sector", ""), until,
        bool(fields.get("shows_name")), bool(fields.get("by_meaning")), int(readiness) if readiness.isdigit() else -1,
        _fen("budget_from", fields) if need else None, _fen("budget_to", fields) if need else None,
        None if need else _fen("price", fields), "" if need else fields.get("asks", ""),
    )  # fmt: skip


def _fen(name: str, fields: Mapping[str, str]) -> int | None:
    text = fields.get(name, "").strip()
    if not text:
        return None
    try:
        return parse_yuan(text)
    except ValueError:
        raise BadPost(name, f"{text[:40]!r} is no amount", f"“{text[:40]}”不是金额") from None
