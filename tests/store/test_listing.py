"""A maker offers, a reviewer decides, a user pays, rates and is refunded."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from shanhe.gateway.api import CallError
from shanhe.identity.api import Caller
from shanhe.kernel.ids import new_id
from shanhe.kernel.purse import Budget, Purse
from shanhe.ledger.api import Asset, Provenance
from shanhe.store import rank_store
from shanhe.store.api import (
    BadListing,
    ChecksFailed,
    Kind,
    ListingChanged,
    NameTaken,
    NewListing,
    NotAUser,
    OwnListing,
    Terms,
    UnknownListing,
    WrongState,
    mark_of,
)
from shanhe.store.model import Words
from shanhe.store.ranking import percentiles
from shanhe.store.ranks import Ranks
from shanhe.store.terms import check_terms
from stage.market import MODEL, Market, Party

from .ranked import After, UsedNow, month_of_its_own

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTENT = {"text": "Write a polite letter about {subject}."}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}


async def caller_of(market: Market, party: Party) -> Caller:
    return await market.services.identity.caller(party.token)


async def call(market: Market, payer: Party, name: str, purse: Purse | None = None, **more: Any) -> Any:
    """A paid call that comes through a listing."""
    caller = msgspec.structs.replace(await caller_of(market, payer), purse=purse)
    return await market.services.gateway.ask(caller, CHAT, through=[name], **more)


async def opened(market: Market, owner: UUID, slug: str) -> str:
    new = NewListing(new_id(), Kind.PROMPT, slug, "信函", "Letters", "写信")
    return (await market.services.store.open(new, owner=owner, actor="tests")).name


class TestListing:
    async def test_is_not_offered_before_it_is_approved(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("maker one")
        name = await opened(market, maker.org, "letters")
        with pytest.raises(UnknownListing):
            await store.offer(name)
        await store.draft(name, CONTENT, Terms(2_000), owner=maker.org, actor="tests")
        await store.submit(name, owner=maker.org)
        with pytest.raises(UnknownListing):
            await store.offer(name)
        with pytest.raises(CallError, match="not offered"):
            await call(market, maker, name)
        done = await store.review(name, 1, approve=True, note="fine", reviewer="tests", reviewer_org=None)
        assert done.state == "approved"
        assert (await store.offer(name)).version.content == CONTENT
        again = await store.review(name, 1, approve=True, note="fine", reviewer="tests", reviewer_org=None)
        assert again == done

    async def test_name_belongs_to_the_first(self, market: Market) -> None:
        one, two = await market.party("first"), await market.party("second")
        name = await opened(market, one.org, "only-one")
        with pytest.raises(NameTaken):
            await opened(market, two.org, "only-one")
        with pytest.raises(UnknownListing):  # another's listing looks like none
            await market.services.store.draft(name, CONTENT, Terms(2_000), owner=two.org, actor="tests")

    async def test_of_a_submitted_version_does_not_change(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("steady")
        name = await opened(market, maker.org, "steady")
        await store.draft(name, CONTENT, Terms(2_000), owner=maker.org, actor="tests")
        version = await store.submit(name, owner=maker.org)
        with pytest.raises(WrongState):
            await store.draft(name, {"text": "worse"}, Terms(9_000), owner=maker.org, actor="tests")
        with pytest.raises(asyncpg.RestrictViolationError):
            await market.services.db.execute("UPDATE store.version SET terms = '{}' WHERE id = $1", version.id)
        assert (await store.recall(name, owner=maker.org)).state == "draft"
        assert (await store.draft(name, {"text": "better"}, Terms(3_000), owner=maker.org, actor="tests")).n == 2

    async def test_that_was_taken_back_and_changed_is_not_approved_by_who_had_read_it_before(
        self, market: Market
    ) -> None:
        store, maker = market.services.store, await market.party("bait")
        name = await opened(market, maker.org, "bait")
        await store.draft(name, CONTENT, Terms(1_000), owner=maker.org, actor="tests")
        read = await store.submit(name, owner=maker.org)
        await store.recall(name, owner=maker.org)
        await store.draft(name, {"text": "switch"}, Terms(1_000), owner=maker.org, actor="tests")
        now = await store.submit(name, owner=maker.org)
        verdict: dict[str, Any] = {"approve": True, "note": "fine", "reviewer": "tests", "reviewer_org": None}
        with pytest.raises(WrongState, match="taken back"):
            await store.review(name, read.n, **verdict)
        with pytest.raises(UnknownListing):
            await store.review(name, now.n + 1, **verdict)
        assert (await store.review(name, now.n, **verdict)).content == {"text": "switch"}

    async def test_is_not_written_over_by_one_who_did_not_see_it(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("two hands")
        name = await opened(market, maker.org, "two-hands")

        async def mark() -> str:
            [(one, made)] = await store.mine(maker.org)
            return mark_of(one, next(iter(made), None))

        async def write(text: str, base: str | None) -> Any:
            return await store.draft(name, {"text": text}, Terms(1_000), owner=maker.org, actor="tests", base=base)

        seen = await mark()
        await write("hers", seen)
        with pytest.raises(ListingChanged):
            await write("his", seen)
        await write("hers", seen)  # the same again is no other
        now = await mark()
        await store.describe(name, Words("信函二", "Letters", "写信", "", "general"), owner=maker.org, actor="tests")
        with pytest.raises(ListingChanged):
            await write("his", now)
        assert (await write("his", await mark())).content == {"text": "his"}
        assert (await write("without a word", None)).content == {"text": "without a word"}

    async def test_begins_with_a_file_at_the_lowest_markup_and_sent_again_changes_nothing(self, market: Market) -> None:
        maker, number = await market.party("file maker"), new_id()
        body = {"id": str(number), "kind": "prompt", "slug": "from-a-file", "title_zh": "信函", "title_en": "Letters",
                "summary_zh": "写信", "content": CONTENT}  # fmt: skip
        assert (await maker.http.post("/api/store/listings", json=body)).json()["state"] == "draft"
        ((opened, (draft,)),) = await market.services.store.mine(maker.org)
        least = market.services.rulebook.parameter("P6", "lowest_markup", market.services.clock.today())
        assert (opened.id, draft.state, draft.content) == (number, "draft", CONTENT)
        assert draft.terms == Terms(int(least))
        name, mine = "prompt/from-a-file", {"text": "My own."}
        await market.services.store.draft(name, mine, Terms(3_000), owner=maker.org, actor="tests")
        assert (await maker.http.post("/api/store/listings", json=body)).status_code == 201
        ((_, (draft,)),) = await market.services.store.mine(maker.org)
        assert (draft.content, draft.terms) == (mine, Terms(3_000))
        assert (await market.services.store.version(name, 0, owner=maker.org)).content == mine
        for number, owner in ((2, maker.org), (1, new_id())):
            with pytest.raises(UnknownListing):
                await market.services.store.version(name, number, owner=owner)

    async def test_is_not_opened_with_more_than_a_version_holds(self, market: Market) -> None:
        maker = await market.party("large maker")
        new = NewListing(new_id(), Kind.PROMPT, "too-large", "信函", "Letters", "写信")
        with pytest.raises(BadListing, match="content"):
            await market.services.store.open(new, owner=maker.org, actor="tests", content={"text": "信" * 30_000})
        assert await market.services.store.mine(maker.org) == []

    @pytest.mark.parametrize(
        "terms",
        [
            Terms(99),  # P6: at least one percent
            Terms(1_000_001),
            Terms(2_000, -1),
            Terms(2_000, makers=((UUID(int=1), 999_999),)),  # T17: a whole
            Terms(2_000, makers=((UUID(int=1), 500_000), (UUID(int=1), 500_000))),
            Terms(2_000, holders=((UUID(int=1), 999),)),  # T16: 0.1 to 10 %
            Terms(2_000, holders=((UUID(int=1), 100_001),)),
        ],
    )
    async def test_asks_for_what_the_rules_allow(self, market: Market, terms: Terms) -> None:
        with pytest.raises(BadListing):
            check_terms(terms, market.services.rulebook, market.services.clock.today())

    async def test_without_a_summary_fails_its_checks(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("silent")
        new = NewListing(new_id(), Kind.PROMPT, "silent", "无简介", "Silent")
        await store.open(new, owner=maker.org, actor="tests")
        await store.draft("prompt/silent", CONTENT, Terms(2_000), owner=maker.org, actor="tests")
        with pytest.raises(ChecksFailed, match="summary"):
            await store.submit("prompt/silent", owner=maker.org)

    async def test_is_not_decided_by_its_maker(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("judge and party")
        name = await opened(market, maker.org, "own-judge")
        await store.draft(name, CONTENT, Terms(2_000), owner=maker.org, actor="tests")
        await store.submit(name, owner=maker.org)
        with pytest.raises(OwnListing):
            await store.review(name, 1, approve=True, note="mine", reviewer="x", reviewer_org=maker.org)

    async def test_is_decided_by_nobody_who_has_a_share_of_it(self, market: Market) -> None:
        store = market.services.store
        maker, partner, holder, other = [await market.party(name) for name in ("sharer", "partner", "royal", "other")]
        name = await opened(market, maker.org, "shared")
        terms = Terms(2_000, makers=((maker.org, 600_000), (partner.org, 400_000)), holders=((holder.org, 10_000),))
        await store.draft(name, CONTENT, terms, owner=maker.org, actor="tests")
        await store.submit(name, owner=maker.org)
        for party in (partner, holder):
            with pytest.raises(OwnListing):
                await store.review(name, 1, approve=True, note="ours", reviewer="x", reviewer_org=party.org)
        await store.review(name, 1, approve=True, note="fine", reviewer="x", reviewer_org=other.org)
        for party in (partner, holder):
            with pytest.raises(OwnListing):
                await store.judge(name, score_bps=10_000, note="ours", juror="x", juror_org=party.org)
            await call(market, party, name)
            with pytest.raises(NotAUser):
                await store.rate(name, org_id=party.org, stars=5, text="", actor="tests")


class TestCall:
    async def test_pays_its_maker_and_tells_why(self, market: Market) -> None:
        maker, payer, holder = [await market.party(name) for name in ("paid maker", "payer", "holder")]
        await market.listed(maker.org, "prompt/paid", CONTENT, holders=((holder.org, 10_000),), fee_micro=5)
        before = await market.wallet(payer.org)
        asked = await call(market, payer, "prompt/paid")
        spent = before - await market.wallet(payer.org)
        assert spent == asked.paid_micro > 0
        receipt = await market.services.gateway.receipt(asked.receipt_id, payer.org)
        shares = {share.role: share for share in receipt.evidence.shares}
        assert sum(share.amount_micro for share in receipt.evidence.shares) == spent
        model = receipt.evidence.through.model_micro  # type: ignore[union-attr]
        due = (model * 2_000 / 10_000 + 5) * 0.8
        assert abs(shares["maker"].amount_micro - due) <= 1
        assert await market.income(maker.org) == shares["maker"].amount_micro
        assert await market.income(holder.org) == shares["ip_holder"].amount_micro
        assert {"P6", "T16", "R0", "R1"} <= {rule.id.split("_")[0] for rule in receipt.rules}
        assert any(one["rule"].startswith("P6") for one in receipt.decisions)

    async def test_by_its_maker_costs_the_list_price(self, market: Market) -> None:
        maker, other = await market.party("self user"), await market.party("list payer")
        await market.listed(maker.org, "prompt/own-use", CONTENT, markup_bps=50_000)
        own = await call(market, maker, "prompt/own-use")
        plain = await market.services.gateway.ask(await caller_of(market, other), CHAT)
        assert own.paid_micro == plain.paid_micro
        assert await market.income(maker.org) == 0

    async def test_pays_a_bounded_part_of_the_markup_from_subsidy(self, market: Market) -> None:
        """R1: a fifth of the model cost, the rest from what was bought; who has nothing bought can't call."""
        maker, payer = await market.party("dear maker"), await market.party("subsidised", subsidy=10_000_000)
        await market.listed(maker.org, "prompt/dear", CONTENT, markup_bps=30_000)
        asked = await call(market, payer, "prompt/dear")
        posting = await market.services.ledger.posting(asked.receipt_id)
        lots = await market.services.ledger.lots_by_id([delta.lot for delta in posting.lots])
        burned = {p: -sum(d.amount for d in posting.burned if lots[d.lot].provenance is p) for p in Provenance}
        receipt = await market.services.gateway.receipt(asked.receipt_id, payer.org)
        model = receipt.evidence.through.model_micro  # type: ignore[union-attr]
        assert 0 <= model * 1.2 - burned[Provenance.SUBSIDY] <= 2  # rounded down, of a rounded cost
        assert burned[Provenance.SUBSIDY] + burned[Provenance.PURCHASED] == asked.paid_micro

    async def test_of_a_withdrawn_listing_is_refused_and_costs_nothing(self, market: Market) -> None:
        maker, payer = await market.party("leaver"), await market.party("late payer")
        await market.listed(maker.org, "prompt/leaving", CONTENT)
        await call(market, payer, "prompt/leaving")
        before = await market.wallet(payer.org)
        await market.services.store.withdraw("prompt/leaving", owner=maker.org, actor="tests")
        with pytest.raises(CallError, match="not offered"):
            await call(market, payer, "prompt/leaving")
        assert await market.wallet(payer.org) == before

    async def test_above_what_is_left_of_a_budget_is_refused(self, market: Market) -> None:
        maker, payer = await market.party("any maker"), await market.party("thrifty")
        await market.listed(maker.org, "prompt/costly", CONTENT)
        with pytest.raises(CallError, match="left of the budget"):
            await call(market, payer, "prompt/costly", purse=Budget(1))

    async def test_keeps_the_terms_that_stood_when_it_was_admitted(self, market: Market) -> None:
        maker, payer = await market.party("repricer"), await market.party("steady payer")
        await market.listed(maker.org, "prompt/repriced", CONTENT, markup_bps=1_000)
        first = await call(market, payer, "prompt/repriced")
        await market.reprice(maker.org, "prompt/repriced", CONTENT, Terms(20_000))
        second = await call(market, payer, "prompt/repriced")
        assert second.paid_micro > first.paid_micro
        old = (await market.services.gateway.receipt(first.receipt_id, payer.org)).evidence.through
        assert old is not None
        assert old.markups[0].rate_bps == 1_000


class TestReferrer:
    async def test_earns_three_percent_of_what_was_paid_and_nothing_of_subsidy(self, market: Market) -> None:
        from shanhe.facts.api import NewFact, Standing

        services = market.services
        creator, payer = await market.party("creator"), await market.party("brought", subsidy=100)
        fact = NewFact(new_id(), payer.org, "referred_by", True, services.clock.today(), key=str(creator.org),
                       standing=Standing.CHECKED, source="register")  # fmt: skip
        await services.facts.publish(fact, actor="tests")
        answer = await payer.http.post("/v1/chat/completions", json=CHAT)  # a plain call, from outside
        assert answer.status_code == 200, answer.text
        receipt = await services.gateway.receipt(UUID(answer.headers["x-shanhe-receipt"]), payer.org)
        through = receipt.evidence.through
        assert through is not None
        assert through.paid_micro == receipt.amount_micro - 100 > 0
        assert abs(await market.income(creator.org) - through.paid_micro * 0.03) <= 1


class TestRating:
    async def test_is_for_those_who_paid(self, market: Market) -> None:
        store = market.services.store
        maker, payer, other = [await market.party(name) for name in ("rated", "rater", "idler")]
        await market.listed(maker.org, "prompt/rated", CONTENT)
        with pytest.raises(NotAUser):
            await store.rate("prompt/rated", org_id=other.org, stars=5, text="", actor="tests")
        await call(market, payer, "prompt/rated")
        await call(market, maker, "prompt/rated")
        with pytest.raises(NotAUser):  # R0: related parties count nowhere
            await store.rate("prompt/rated", org_id=maker.org, stars=5, text="", actor="tests")
        before = (await store.card("prompt/rated")).score
        for stars in (1, 5):  # one organisation, one voice: the later word counts
            await store.rate("prompt/rated", org_id=payer.org, stars=stars, text="好用", actor="tests")
        card = await store.card("prompt/rated")
        assert (card.ratings, card.stars_sum) == (1, 5)
        assert card.score > before
        with pytest.raises(BadListing):
            await store.rate("prompt/rated", org_id=payer.org, stars=6, text="", actor="tests")


class TestRanking:
    async def test_puts_the_used_before_the_unused_and_ignores_ones_own_use(self, market: Market) -> None:
        store = market.services.store
        maker, payer, sybil = [await market.party(name) for name in ("busy", "fan", "climber")]
        await market.listed(maker.org, "data/used", {"rows": 1})
        await market.listed(sybil.org, "data/pushed", {"rows": 1})
        await call(market, payer, "data/used")
        for _ in range(3):
            await call(market, sybil, "data/pushed")
        names = [card.listing.name for card in await store.cards("data")]
        assert names.index("data/used") < names.index("data/pushed")
        assert (await store.card("data/pushed")).calls == 0

    async def test_gives_equals_the_same(self) -> None:
        assert percentiles({"a": 0, "b": 5, "c": 5, "d": 9}) == {"a": 0, "b": 5_000, "c": 5_000, "d": 10_000}
        assert percentiles({"a": 3}) == {"a": 5_000}
        assert percentiles({}) == {}


class TestIncome:
    async def test_by_day_equals_the_postings_and_shows_what_a_refund_took(self, market: Market) -> None:
        services = market.services
        maker, payer = await market.party("earner"), await market.party("refunded")
        await market.listed(maker.org, "prompt/earning", CONTENT)
        made = [await call(market, payer, "prompt/earning") for _ in range(3)]
        before = await market.wallet(payer.org)
        await services.ledger.reverse(made[0].receipt_id, actor="tests", reason="refund")
        assert await market.wallet(payer.org) == before + made[0].paid_micro
        today = services.clock.today()
        days, until = [], asyncio.get_running_loop().time() + 30
        while len(days) < 2 and asyncio.get_running_loop().time() < until:
            days = await services.earnings.by_role(maker.org, today, today)  # once nothing older runs
            await asyncio.sleep(0.05)
        assert [(day.role, day.calls) for day in days] == [("reversal", 1), ("maker", 3)]
        account = await services.ledger.ensure_account(maker.org, Asset.CREDIT, "income")
        lines = [line.amount async for line in services.ledger.stream_statement(account.id, today, today)]
        assert sum(day.amount_micro for day in days) == sum(lines) == await market.income(maker.org)

    async def test_by_token_with_refunds_and_payouts_is_a_page_and_a_file(self, market: Market) -> None:
        services = market.services
        maker, payer = await market.party("token earner"), await market.party("token payer")
        await market.listed(maker.org, "prompt/by-token", CONTENT, fee_micro=1_000)
        made = [await call(market, payer, "prompt/by-token") for _ in range(3)]
        await services.ledger.reverse(made[0].receipt_id, actor="tests", reason="refund")
        shown = (await maker.http.get("/api/store/earnings")).json()
        (day,) = shown["days"]
        assert (day["resource"], day["calls"], day["tokens"]) == ("prompt/by-token", 3, 120)
        assert day["paid_micro"] == sum(one.paid_micro for one in made)
        assert day["per_thousand_micro"] == day["earned_micro"] * 1_000 // 120
        assert [one["amount_micro"] for one in shown["refunds"]] == [shown["refunded_micro"]]
        assert shown["earned_micro"] + shown["refunded_micro"] == shown["balance_micro"]
        assert shown["balance_micro"] == await market.income(maker.org)
        saved = await maker.http.get("/api/store/earnings/statement?format=csv")
        assert saved.headers["content-type"].startswith("text/csv")
        lines = saved.text.splitlines()
        assert sum("冲正" in line for line in lines) == 1
        assert sum("prompt/by-token" in line for line in lines) == 1
        for fmt, magic in (("xlsx", b"PK"), ("pdf", b"%PDF")):
            file = await maker.http.get(f"/api/store/earnings/statement?format={fmt}&language=en")
            assert file.content.startswith(magic)
        late = await maker.http.get("/api/store/earnings?first=2020-01-01&last=2026-01-01")
        assert (late.status_code, late.json()["error"]["code"]) == (422, "bad_listing")
        assert (await payer.http.get("/api/store/earnings")).json()["days"] == []

    async def test_is_the_same_when_the_day_is_rebuilt_from_the_ledger(self, market: Market) -> None:
        services = market.services
        maker, payer = await market.party("rebuilt"), await market.party("rebuilding")
        await market.listed(maker.org, "prompt/rebuilt", CONTENT, fee_micro=1_000)
        await call(market, payer, "prompt/rebuilt")
        today = services.clock.today()
        before = await services.earnings.by_role(maker.org, today, today)
        uses = await services.gateway.through(None, today, today)
        await services.gateway.rebuild_usage(today)
        assert await services.earnings.by_role(maker.org, today, today) == before
        assert await services.gateway.through(None, today, today) == uses


class TestMonth:
    async def test_is_ranked_once_and_its_first_are_rewarded(
        self, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        services, month = market.services, await month_of_its_own(market)
        maker, payer = await market.party("ranked"), await market.party("ranking")
        for slug in ("month-first", "month-second", "month-unused"):
            await market.listed(maker.org, f"model/{slug}", CONTENT, fee_micro=20_000_000)
        for _ in range(2):
            await call(market, payer, "model/month-first")
        await call(market, payer, "model/month-second")
        for n in range(4):  # with the first payer as many as a reward takes
            await call(market, await market.party(f"ranking {n}"), "model/month-first")
        await services.gateway.through(None, services.clock.today(), services.clock.today())
        await services.programmes.budgets.fund("rank_credit", 10**12, reason="t", actor="t", funding_id=new_id())
        monkeypatch.setattr(services.ranks, "_clock", After(services.clock, month))
        monkeypatch.setattr(services.ranks, "_shop", UsedNow(services.store))
        before = await market.wallet(maker.org)
        await services.ranks.tick()
        places = [one for one in await services.ranks.of(month) if one.kind == "model"]
        assert [one.place for one in places] == [1, 2]
        assert [one.application is not None for one in places] == [True, False]  # once a party, month and kind
        due = services.ranks.due_micro(places[0])  # of what the five paid of their own, once the rule asks for it
        assert await market.wallet(maker.org) - before == due > 0
        await call(market, payer, "model/month-unused")
        assert await services.ranks.tick() == 0  # a month stays as it was fixed
        assert await market.wallet(maker.org) - before == due
        shown = (await maker.http.get(f"/api/store/ranks/{month}")).json()["data"]
        assert [one["place"] for one in shown if one["kind"] == "model"] == [1, 2]
        assert [one["payers"] for one in shown if one["kind"] == "model"] == [5, 1]
        with pytest.raises(asyncpg.RestrictViolationError):
            await services.db.execute("UPDATE store.rank SET score = 1")

    async def test_rewards_what_enough_pay_for_though_something_of_the_same_maker_stands_higher(
        self, market: Market
    ) -> None:
        services, month, asked = market.services, await month_of_its_own(market), []
        maker = await market.party("ranked twice")
        first, second = [await market.listed(maker.org, f"model/twice-{n}", CONTENT) for n in range(2)]
        places = [
            ("model", 1, first.id, maker.org, 9_000, 4, 10**9), ("model", 2, second.id, maker.org, 8_000, 5, 10**9)
        ]  # fmt: skip
        await rank_store.fix(services.db, month, places, services.clock.now())

        async def reward(owner: UUID, round_: str) -> UUID:
            asked.append((owner, round_))
            return new_id()

        kept = services.ranks
        ranks = Ranks(services.db, services.clock, kept._shop, kept._rulebook, related=kept._related, reward=reward)
        await ranks.tick()
        assert asked.count((maker.org, f"{month:%Y-%m}/model")) == 1
        assert [one.application is not None for one in await ranks.of(month)] == [False, True]
        assert await ranks.stood(maker.org, f"{month:%Y-%m}/model") == (2, 8_000, 5, 10**9)

    async def test_has_places_for_every_kind_that_is_offered(self, market: Market) -> None:
        maker = await market.party("ranked kinds")
        listing = await market.listed(maker.org, "model/kinds", CONTENT)
        month = await month_of_its_own(market)
        places = [(kind, 1, listing.id, maker.org, 5_000, 1, 0) for kind in Kind]
        await rank_store.fix(market.services.db, month, places, market.services.clock.now())
        assert {one.kind for one in await market.services.ranks.of(month)} == set(Kind)


class TestRoutes:
    async def test_take_a_listing_from_draft_to_rating(self, market: Market) -> None:
        maker, payer = await market.party("web maker"), await market.party("web payer")
        reviewer = await market.party("web reviewer", permissions=frozenset({"store"}))
        words = {"title_zh": "公文助手", "title_en": "Letters", "summary_zh": "写公文", "category": "government"}
        body = {"kind": "prompt", "slug": "web-letters", **words}
        assert (await maker.http.post("/api/store/listings", json=body)).status_code == 201
        path = "/api/store/listings/prompt/web-letters"
        draft = await maker.http.put(f"{path}/draft", json={"content": CONTENT, "markup_bps": 2_000})
        assert draft.json()["n"] == 1
        assert (await maker.http.post(f"{path}/submit")).json()["state"] == "submitted"
        assert (await maker.http.get("/api/store/queue")).status_code == 403
        queue = (await reviewer.http.get("/api/store/queue")).json()["data"]
        assert "prompt/web-letters" in [one["name"] for one in queue]
        done = await reviewer.http.post(f"{path}/versions/1/review", json={"approve": True, "note": "可以上架"})
        assert done.json()["state"] == "approved"
        assert (await payer.http.put(f"{path}/rating", json={"stars": 5})).status_code == 403
        await call(market, payer, "prompt/web-letters")
        assert (await payer.http.put(f"{path}/rating", json={"stars": 5, "text": "好"})).json()["ratings"] == 1
        shown = (await payer.http.get(path)).json()
        assert shown["maker"] == "web maker"
        assert [one["stars"] for one in shown["ratings"]] == [5]
        assert "web-letters" in (await payer.http.get("/api/store/listings?kind=prompt&find=letters")).text
        income = (await maker.http.get("/api/store/income")).json()
        assert income["total_micro"] == await market.income(maker.org) > 0
