"""The city takes a listing out of the store with a reason and puts it back; whom it concerns is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from shanhe.gateway.api import CallError
from shanhe.kernel.ids import new_id
from shanhe.store import store as rows
from shanhe.store.alike import closeness, skeleton
from shanhe.store.api import (
    BadListing,
    Kind,
    ListingState,
    NewListing,
    Order,
    OwnListing,
    Terms,
    UnknownListing,
    Words,
    WrongState,
)
from shanhe.store.finding import share
from stage.market import MODEL, Market, Party

pytestmark = pytest.mark.asyncio(loop_scope="module")
CONTENT = {"text": "Write a polite letter about {subject}."}
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20}


async def call(market: Market, payer: Party, name: str) -> Any:
    caller = await market.services.identity.caller(payer.token)
    return await market.services.gateway.ask(caller, CHAT, through=[name])


async def told(market: Market, org: UUID) -> list[str]:
    """Kinds of what an organisation was told by the store, the newest first."""
    inbox = await market.services.notifier.inbox(uuid4(), [org], limit=50)
    return [one.kind for one in inbox if one.kind.startswith("store.")]


def words(**changed: str) -> Words:
    made = {
        "title_zh": "测试项",
        "title_en": "Test listing",
        "summary_zh": "用于测试",
        "summary_en": "",
        "category": "general",
    }
    return Words(**made | changed)


class TestRemoval:
    async def test_says_why_tells_maker_and_users_and_can_be_taken_back(self, market: Market) -> None:
        store, maker, payer = market.services.store, await market.party("imitator"), await market.party("misled")
        await market.listed(maker.org, "prompt/imitation", CONTENT)
        await call(market, payer, "prompt/imitation")
        clerk: dict[str, Any] = {"actor": "person:clerk", "actor_org": None}
        gone = await store.remove("prompt/imitation", reason="冒用他人名称", **clerk)
        assert gone.state is ListingState.REMOVED
        with pytest.raises(UnknownListing):
            await store.offer("prompt/imitation")
        with pytest.raises(CallError, match="not offered"):
            await call(market, payer, "prompt/imitation")
        assert (await told(market, maker.org))[0] == "store.moved"
        assert (await told(market, payer.org))[0] == "store.gone"
        assert (await store.remove("prompt/imitation", reason="again", **clerk)).state is ListingState.REMOVED
        await store.restore("prompt/imitation", reason="名称为其自有商标", **clerk)
        await call(market, payer, "prompt/imitation")
        assert (await told(market, payer.org))[0] == "store.back"
        moves = (await store.case("prompt/imitation")).moves
        assert [(one.becomes, one.reason, one.moved_by) for one in moves] == [
            ("listed", "名称为其自有商标", "person:clerk"), ("removed", "冒用他人名称", "person:clerk"),
            ("listed", "fine", "tests"),
        ]  # fmt: skip

    async def test_needs_a_reason_and_nobody_of_the_maker_and_stays_on_record(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("removed maker")
        await market.listed(maker.org, "prompt/own-removal", CONTENT)
        with pytest.raises(BadListing):
            await store.remove("prompt/own-removal", reason=" ", actor="person:clerk", actor_org=None)
        with pytest.raises(OwnListing):
            await store.remove("prompt/own-removal", reason="so", actor="person:clerk", actor_org=maker.org)
        await store.remove("prompt/own-removal", reason="so", actor="person:clerk", actor_org=None)
        for asked in (store.withdraw, store.relist, store.deprecate):
            with pytest.raises(WrongState):  # its maker can't make it look like a withdrawal
                await asked("prompt/own-removal", owner=maker.org, actor="tests")
        with pytest.raises(asyncpg.RestrictViolationError):
            await market.services.db.execute("UPDATE store.move SET moved_by = 'somebody else'")

    async def test_is_read_by_whoever_reviews_the_next_version(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("second try")
        await market.listed(maker.org, "prompt/second-try", CONTENT)
        await store.remove("prompt/second-try", reason="误导用户", actor="person:clerk", actor_org=None)
        await store.draft("prompt/second-try", {"text": "Better"}, Terms(3_000), owner=maker.org, actor="tests")
        await store.submit("prompt/second-try", owner=maker.org)
        waits = next(one for one in await store.cases() if one.listing.name == "prompt/second-try")
        assert waits.moves[0].reason == "误导用户"
        assert waits.version is not None
        assert waits.before is not None
        assert (waits.before.terms.markup_bps, waits.version.terms.markup_bps) == (2_000, 3_000)
        await store.review("prompt/second-try", 2, approve=True, note="已改正", reviewer="r", reviewer_org=None)
        assert (await store.offer("prompt/second-try")).version.n == 2

    async def test_over_http_is_for_reviewers_and_its_record_for_auditors(self, market: Market) -> None:
        maker = await market.party("web removed")
        reviewer = await market.party("web remover", permissions=frozenset({"store"}))
        auditor = await market.party("web auditor", permissions=frozenset({"audit"}))
        await market.listed(maker.org, "prompt/web-removed", CONTENT)
        path = "/api/store/listings/prompt/web-removed"
        assert (await maker.http.post(f"{path}/remove", json={"note": "x"})).status_code == 403
        assert (await auditor.http.post(f"{path}/remove", json={"note": "x"})).status_code == 403
        assert (await reviewer.http.post(f"{path}/remove", json={})).status_code == 422
        assert (await reviewer.http.post(f"{path}/remove", json={"note": "侵权"})).json()["state"] == "removed"
        found = (await auditor.http.get("/api/store/cases/prompt/web-removed")).json()
        assert found["moves"][0]["reason"] == "侵权"
        assert "prompt/web-removed" in [
            one["name"] for one in (await auditor.http.get("/api/store/cases?find=web-removed")).json()["data"]
        ]
        assert (await maker.http.get("/api/store/cases/prompt/web-removed")).status_code == 403
        assert (await reviewer.http.post(f"{path}/restore", json={"note": "已和解"})).json()["state"] == "listed"


class TestNotices:
    async def test_tell_reviewers_what_waits_and_the_maker_what_was_decided(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("hopeful")
        new = NewListing(new_id(), Kind.PROMPT, "hopeful", "信函", "Letters", "写信")
        await store.open(new, owner=maker.org, actor="tests")
        await store.draft("prompt/hopeful", CONTENT, Terms(2_000), owner=maker.org, actor="tests")
        await store.submit("prompt/hopeful", owner=maker.org)
        operators = await market.services.notifier.inbox(uuid4(), [], operator=True)
        assert any("prompt/hopeful" in one.body.zh for one in operators if one.kind == "store.submitted")
        await store.review("prompt/hopeful", 1, approve=False, note="请写明用途", reviewer="r", reviewer_org=None)
        assert await told(market, maker.org) == ["store.decided"]

    async def test_tell_users_that_the_price_rises_and_nothing_when_it_falls(self, market: Market) -> None:
        maker, payer = await market.party("raiser"), await market.party("loyal user")
        await market.listed(maker.org, "prompt/raised", CONTENT)
        await call(market, payer, "prompt/raised")
        await market.publish(maker.org, "prompt/raised", CONTENT, Terms(1_000))
        assert await told(market, payer.org) == []
        await market.publish(maker.org, "prompt/raised", CONTENT, Terms(1_000, 500_000))
        assert await told(market, payer.org) == ["store.dearer"]
        inbox = await market.services.notifier.inbox(uuid4(), [payer.org])
        assert "加价 10 %、每次 0.00 积分改为加价 10 %、每次 0.50 积分" in inbox[0].body.zh

    async def test_tell_users_that_a_maker_withdrew_it(self, market: Market) -> None:
        maker, payer = await market.party("quitter"), await market.party("left behind")
        await market.listed(maker.org, "prompt/quit", CONTENT)
        await call(market, payer, "prompt/quit")
        await market.services.store.withdraw("prompt/quit", owner=maker.org, actor="tests")
        assert await told(market, payer.org) == ["store.gone"]


class TestLeaving:
    async def test_takes_what_waits_back_from_the_queue(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("gone before the review")
        await market.listed(maker.org, "prompt/left-behind", CONTENT)
        await store.draft("prompt/left-behind", {"text": "Better"}, Terms(3_000), owner=maker.org, actor="tests")
        await store.submit("prompt/left-behind", owner=maker.org)
        assert await store.forget(maker.org, actor="tests") == 1
        assert "prompt/left-behind" not in [one.name for one, _ in await store.queue()]
        with pytest.raises(WrongState):
            await store.review("prompt/left-behind", 2, approve=True, note="fine", reviewer="tests", reviewer_org=None)
        assert (await store.listed("prompt/left-behind")).state is ListingState.WITHDRAWN
        assert await store.forget(maker.org, actor="tests") == 0


class TestWords:
    async def test_of_what_was_offered_wait_for_the_review_of_the_next_version(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("renamer")
        await market.listed(maker.org, "prompt/renamed", CONTENT)
        renamed = words(title_zh="市政府官方助手")
        await store.describe("prompt/renamed", renamed, owner=maker.org, actor="tests")
        assert (await store.offer("prompt/renamed")).listing.title_zh == "测试项"
        await store.submit("prompt/renamed", owner=maker.org)
        with pytest.raises(WrongState):  # not under the reviewer's eyes either
            await store.describe("prompt/renamed", words(title_zh="又一个"), owner=maker.org, actor="tests")
        case = await store.case("prompt/renamed")
        assert case.version is not None
        assert case.version.words == renamed
        with pytest.raises(asyncpg.RestrictViolationError):
            await market.services.db.execute(
                'UPDATE store.version SET words = \'{"title_zh": "x"}\' WHERE id = $1', case.version.id
            )
        await store.review("prompt/renamed", 2, approve=True, note="可以", reviewer="r", reviewer_org=None)
        offer = await store.offer("prompt/renamed")
        assert (offer.listing.title_zh, offer.version.content) == ("市政府官方助手", CONTENT)

    async def test_of_a_draft_change_at_once_and_going_back_asks_for_nothing(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("wavering")
        new = NewListing(new_id(), Kind.PROMPT, "wavering", "信函", "Letters", "写信")
        await store.open(new, owner=maker.org, actor="tests")
        await store.describe("prompt/wavering", words(title_zh="书信"), owner=maker.org, actor="tests")
        assert (await store.listed("prompt/wavering")).title_zh == "书信"
        await market.publish(maker.org, "prompt/wavering", CONTENT, Terms(2_000))
        for title in ("文书", "书信"):
            await store.describe("prompt/wavering", words(title_zh=title), owner=maker.org, actor="tests")
        assert (await store.draft_of("prompt/wavering", maker.org)).version.words is None


class TestAlike:
    async def test_names_are_shown_to_the_reviewer_with_their_maker(self, market: Market) -> None:
        store, first, second = market.services.store, await market.party("the first"), await market.party("the second")
        await market.listed(first.org, "prompt/tax-helper", CONTENT)
        new = NewListing(new_id(), Kind.PROMPT, "tax-he1per", "完全不同", "Something else", "写信")
        await store.open(new, owner=second.org, actor="tests")
        case = await store.case("prompt/tax-he1per")
        assert [one.name for one in case.alike] == ["prompt/tax-helper"]
        assert case.parties[first.org]

    @pytest.mark.parametrize(
        "title", ["\u3164\u3164", "公文\u3164助手", "公文\u200b助手", "\u202e手助文公", "\u2800", "公文\uffa0"]
    )
    async def test_is_never_made_of_signs_that_show_nothing(self, market: Market, title: str) -> None:
        maker = await market.party("blank maker")
        new = NewListing(new_id(), Kind.PROMPT, "blank", title, "Blank", "写信")
        with pytest.raises(BadListing):
            await market.services.store.open(new, owner=maker.org, actor="tests")
        assert skeleton("公文\u3164助手") == skeleton("公文助手")

    async def test_skeletons_leave_what_the_eye_passes_over(self) -> None:
        assert skeleton("Ｔax－Helper 1") == skeleton("tах helperl")  # the second with Cyrillic letters
        assert closeness(skeleton("合同翻译助手"), skeleton("合同翻译助手 Pro")) == 1.0
        assert closeness(skeleton("合同翻译助手"), skeleton("合同翻译小助手")) > 0.6
        assert closeness(skeleton("合同翻译助手"), skeleton("天气查询")) < 0.2


class TestFinding:
    async def test_takes_words_in_any_order_and_without_spaces(self) -> None:
        text = "contracts 合同翻译助手 Contract translator 把合同条款译成英文 青山机器人"
        for asked in ("翻译 合同", "翻译合同", "青山", "ＣＯＮＴＲＡＣＴ", "合同 英文"):
            assert share(asked, text) >= 0.5, asked
        for asked in ("天气", "天气查询", "weather"):
            assert share(asked, text) < 0.5, asked

    async def test_orders_the_window_as_asked_and_finds_by_the_makers_name(self, market: Market) -> None:
        store, maker = market.services.store, await market.party("柳林软件")
        for slug, markup in (("order-dear", 5_000), ("order-cheap", 200)):
            await market.listed(maker.org, f"data/{slug}", CONTENT, markup_bps=markup)
        found = await store.cards("data", None, "柳林软件", Order.CHEAP)
        assert [card.listing.slug for card in found] == ["order-cheap", "order-dear"]
        found = await store.cards("data", None, "柳林软件", Order.NEW)
        assert [card.listing.slug for card in found] == ["order-cheap", "order-dear"]
        assert await store.cards("data", "finance", "柳林软件") == []

    async def test_reads_of_a_page_what_it_says_and_of_the_rest_where_it_stands(
        self, market: Market, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store, maker, seen = market.services.store, await market.party("石桥数据"), list[int]()
        for slug, markup in (("leaf-dear", 5_000), ("leaf-cheap", 200), ("leaf-middle", 900)):
            await market.listed(maker.org, f"data/{slug}", CONTENT, markup_bps=markup)
        read = rows.listings

        async def counted(db: Any, ids: Sequence[UUID]) -> Any:
            seen.append(len(ids))
            return await read(db, ids)

        monkeypatch.setattr(rows, "listings", counted)
        monkeypatch.setattr(rows, "_version", lambda row: pytest.fail("the contents of a version were read"))
        leaf = await store.leaf("data", None, None, Order.CHEAP, first=1, most=1)
        assert (len(leaf.cards), sum(seen)) == (1, 1)
        assert leaf.count >= 3
        found = await store.leaf("data", None, "石桥数据", Order.CHEAP, first=1, most=1)
        assert ([one.listing.slug for one in found.cards], found.count) == (["leaf-middle"], 3)
        known, count = await store.known("leaf-", first=2, most=2)
        assert ([one.slug for one in known], count) == (["leaf-dear"], 3)
