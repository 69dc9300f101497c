"""Posts, fits and matches as plain data with words in both languages: for HTTP, CLI and pages alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shanhe.board.meetings import View
from shanhe.board.model import SECTORS, Fit, Fits, Kind, Post, Word
from shanhe.board.service import Posts


def post_view(post: Post, name: str, *, own: bool = False) -> dict[str, Any]:
    """A post; whose it is only as `name` says, to strangers."""
    words, sector = post.words, SECTORS[post.words.sector]
    view: dict[str, Any] = {
        "id": post.id, "kind": post.kind, "state": post.state, "title": words.title, "text": words.text,
        "sector": words.sector, "sector_title": {"zh": sector[0], "en": sector[1]}, "until": words.until,
        "name": name, "readiness": words.readiness, "published_at": post.published_at, "changed_at": post.changed_at,
        "revision": post.revision,
    }  # fmt: skip
    if post.kind is Kind.NEED:
        view |= {"budget_from_fen": words.budget_from_fen, "budget_to_fen": words.budget_to_fen}
    else:
        view |= {"price_fen": words.price_fen, "asks": words.asks}
    if own:
        view |= {"shows_name": words.shows_name, "by_meaning": words.by_meaning, "removed_why": post.removed_why}
    return view


async def post_views(posts: Posts, shown: Sequence[Post], org_id: UUID | None = None) -> list[dict[str, Any]]:
    """Posts as an organisation sees them, or a stranger."""
    names = await posts.names_of(shown, org_id)
    return [post_view(one, names[one.id], own=one.org_id == org_id) for one in shown]


def fit_view(fit: Fit, name: str) -> dict[str, Any]:
    """A fit with everything that speaks for and against it."""
    return {
        "post": post_view(fit.post, name), "score": fit.score,
        "words": {"rank": fit.word_rank, "score": fit.word_score,
                  "matched": [{"piece": piece, "weight": weight} for piece, weight in fit.words]},
        "meaning": {"rank": fit.meaning_rank, "cosine": fit.cosine},
        "reasons": [{"code": one.code, "good": one.good, "zh": one.zh, "en": one.en} for one in fit.reasons],
    }  # fmt: skip


def fits_view(fits: Fits, names: dict[UUID, str]) -> dict[str, Any]:
    return {"way": fits.way, "data": [fit_view(fit, names[fit.post.id]) for fit in fits.found]}


def word_view(word: Word) -> dict[str, Any]:
    return {"n": word.n, "side": word.side, "kind": word.kind, "text": word.text, "fee_fen": word.fee_fen,
            "at": word.at}  # fmt: skip


def match_view(view: View) -> dict[str, Any]:
    """A match as one side sees it: who said what, which offer stands, who accepted it, what became of the reward."""
    match, mine = view.match, view.mine
    return {
        "id": match.id, "state": match.state, "mine": mine, "partner": view.partner, "related": view.related,
        "need": {"id": view.need.id, "title": view.need.words.title},
        "solution": {"id": view.solution.id, "title": view.solution.words.title},
        "opened_by": match.opened_by, "round": match.round, "offered_by": match.offered_by,
        "my_accepted_at": match.accepted_at(mine), "their_accepted_at": match.accepted_at(mine.other),
        "words": [word_view(word) for word in view.words], "reward": _reward(view), "application": match.application,
        "opened_at": match.opened_at, "changed_at": match.changed_at,
    }  # fmt: skip


def _reward(view: View) -> dict[str, Any] | None:
    """What became of the reward; who gets it by side, for the other's id is nobody's business."""
    if view.reward is None:
        return None
    payments = [{**{name: value for name, value in one.items() if name != "to"}, "side": view.match.side(one["to"])}
                for one in view.reward["payments"]]  # fmt: skip
    return {**view.reward, "payments": payments}
