"""A maker answers what users say, once and publicly; words that a complaint is upheld about are gone for good."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shanhe.filings.api import Grievance, NewComplaint
from shanhe.filings.errors import NotYourComplaint
from shanhe.identity.api import NewPerson, Role
from shanhe.kernel.errors import Conflict, NotFound
from shanhe.kernel.ids import new_id
from shanhe.store.api import BadListing, Rating, UnknownListing
from stage.market import Market, Party

from .test_standing import call, told

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTENT = {"text": "Write a polite letter about {subject}."}


async def rated(market: Market, slug: str, text: str = "不好用") -> tuple[Party, Party, str, Rating]:
    """(maker, rater, name, rating) of a listing that somebody paid for and wrote about."""
    maker, rater = await market.party(f"maker of {slug}"), await market.party(f"rater of {slug}")
    name = f"prompt/{slug}"
    await market.listed(maker.org, name, CONTENT)
    await call(market, rater, name)
    await market.services.store.rate(name, org_id=rater.org, stars=2, text=text, actor="tests")
    return maker, rater, name, (await market.services.store.ratings(name))[0]


async def person(market: Market, org: UUID | None = None) -> UUID:
    made = await market.services.identity.people.create(NewPerson("某人", login=f"p{uuid4().hex[:8]}"), by="tests")
    if org is not None:
        await market.services.identity.orgs.set_member(org, made.id, Role.MEMBER, by="tests")
    return made.id


async def complain(market: Market, about: str, org: UUID) -> UUID:
    new = NewComplaint(new_id(), None, Grievance.OTHER, "辱骂他人", about)
    return (await market.services.filings.complaints.make(new, org_id=org, by="person:somebody")).id


async def upheld(market: Market, about: str, org: UUID) -> None:
    """Somebody reports it and a clerk upholds the report."""
    number, clerk = await complain(market, about, org), await person(market)
    await market.services.filings.complaints.decide(number, uphold=True, answer="属实", person_id=clerk)


class TestReply:
    async def test_is_one_a_rating_public_and_told_to_the_rater(self, market: Market) -> None:
        store, (maker, rater, name, rating) = market.services.store, await rated(market, "answered")
        assert (await told(market, maker.org))[0] == "store.rated"
        await store.reply(rating.id, owner=maker.org, text="已在第 2 版改进", actor="tests")
        assert (await told(market, rater.org))[0] == "store.replied"
        await store.reply(rating.id, owner=maker.org, text="已在第 3 版改进", actor="tests")
        shown = (await rater.http.get(f"/api/store/listings/{name}")).json()["ratings"]
        assert [(one["stars"], one["text"], one["reply"]) for one in shown] == [(2, "不好用", "已在第 3 版改进")]
        assert str(rater.org) not in str(shown)

    async def test_is_the_makers_alone_and_says_something(self, market: Market) -> None:
        store, (maker, rater, _, rating) = market.services.store, await rated(market, "others")
        for who in (rater.org, (await market.party("bystander")).org):
            with pytest.raises(UnknownListing):
                await store.reply(rating.id, owner=who, text="我来说", actor="tests")
        for text in ("", " \u200b\u202e ", "字" * 501):
            with pytest.raises(BadListing):
                await store.reply(rating.id, owner=maker.org, text=text, actor="tests")
        assert (await maker.http.put(f"/api/store/ratings/{new_id()}/reply", json={"text": "x"})).status_code == 404
        assert (await maker.http.put(f"/api/store/ratings/{rating.id}/reply", json={"text": "x"})).status_code == 200

    async def test_and_rating_lose_signs_that_nobody_sees(self, market: Market) -> None:
        store, (maker, _, name, rating) = market.services.store, await rated(market, "unseen", "很\u202e好\u200b用")
        await store.reply(rating.id, owner=maker.org, text="谢\u2066谢", actor="tests")
        assert [(one.text, one.reply) for one in await store.ratings(name)] == [("很好用", "谢谢")]


class TestReport:
    @pytest.mark.parametrize("kind", ["rating", "reply"])
    async def test_that_is_upheld_strikes_the_words_and_leaves_the_stars(self, market: Market, kind: str) -> None:
        store, (maker, rater, name, rating) = market.services.store, await rated(market, f"struck-{kind}")
        await store.reply(rating.id, owner=maker.org, text="你才不好用", actor="tests")
        author, other = (rater.org, maker.org) if kind == "rating" else (maker.org, rater.org)
        await upheld(market, f"{kind}/{rating.id}", other)
        left: Any = (await store.ratings(name))[0]
        assert (left.text, left.struck, left.stars) == (("", True, 2) if kind == "rating" else ("不好用", False, 2))
        assert (left.reply, left.reply_struck) == (("你才不好用", False) if kind == "rating" else ("", True))
        assert (await told(market, author))[0] == "store.struck"
        with pytest.raises(Conflict):  # what was struck can't be said again
            if kind == "rating":
                await store.rate(name, org_id=author, stars=1, text="再说一遍", actor="tests")
            else:
                await store.reply(rating.id, owner=author, text="再说一遍", actor="tests")
        with pytest.raises(asyncpg.RestrictViolationError):
            await market.services.db.execute(f"UPDATE store.{kind} SET struck_at = NULL")
        await store.rate(name, org_id=rater.org, stars=5, text="", actor="tests")  # a voice keeps its stars
        assert (await store.card(name)).stars_sum == 5

    async def test_is_not_decided_by_whose_words_they_are(self, market: Market) -> None:
        maker, rater, _, rating = await rated(market, "own-words")
        number = await complain(market, f"rating/{rating.id}", maker.org)
        insider = await person(market, rater.org)
        with pytest.raises(NotYourComplaint):
            await market.services.filings.complaints.decide(number, uphold=False, answer="无妨", person_id=insider)

    async def test_of_words_that_are_not_there_is_refused(self, market: Market) -> None:
        _, rater, _, rating = await rated(market, "no-words")
        for about in (f"reply/{rating.id}", f"rating/{new_id()}", "rating/nonsense"):
            with pytest.raises(NotFound):
                await complain(market, about, rater.org)
