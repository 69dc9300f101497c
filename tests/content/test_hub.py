"""The content hub in a whole city: drafts over HTTP, through the gateway, paid by the city or by oneself."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from shanhe.content.checking import findings
from shanhe.content.kinds import everything, form_of
from shanhe.content.service import KEEP
from shanhe.content.writing import rendered, understood
from shanhe.identity.api import NewOrganisation, OrgKind
from shanhe.kernel.labelling import check_text
from shanhe.rulebook.api import RuleAmendment
from stage.market import MODEL, Market, Party, Reply, says

pytestmark = pytest.mark.asyncio(loop_scope="module")
PRODUCT = {"product": "山泉热水器", "features": "省电 30%\n三年质保"}
TEXT = {
    "title": "一台省心的热水器", "paragraphs": ["冬天水凉得慢，山泉热水器省电 30%。"],
    "points": ["三年质保", "装好就用"], "close": "欢迎到店看看。",
}  # fmt: skip


def draft(**more: Any) -> Reply:
    return says(json.dumps(TEXT | more, ensure_ascii=False))


async def bureau(market: Market, micro: int = 1_000_000_000) -> UUID:
    """The city's organisation that pays free uses; one for the module."""
    name = "市经济和信息化局"
    known = [one for one in await market.services.identity.orgs.list(find=name) if one.name == name]
    if known:
        return known[0].id
    org = await market.services.identity.orgs.create(NewOrganisation(OrgKind.GOVERNMENT, name), by="tests")
    await market.services.credits.top_up(org.id, micro, "framework", "tests", method="cash_desk")
    await market.services.hub.content.set_city(org.id, by="tests")
    return org.id


async def ask(party: Party, drafts: int = 1, expect: int = 202, **more: Any) -> Any:
    body = {"kind": "product_text", "fields": PRODUCT, "drafts": drafts, **more}
    answer = await party.http.post("/api/content/jobs", json=body, headers={"accept-language": "zh-CN"})
    assert answer.status_code == expect, answer.text
    return answer.json()


async def ended(party: Party, job: str) -> list[dict[str, Any]]:
    for _ in range(1_200):
        found = (await party.http.get(f"/api/content/jobs/{job}")).json()
        if not found["open"]:
            return list(found["drafts"])
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def spend(market: Market, org: UUID, used: int) -> None:
    """As if so many free drafts had been written this month."""
    await market.services.db.execute(
        """INSERT INTO content.month (org_id, month, used) VALUES ($1, $2, $3)
           ON CONFLICT (org_id, month) DO UPDATE SET used = $3""",
        org, market.services.hub.content.month(), used,
    )  # fmt: skip


async def standing(party: Party) -> dict[str, Any]:
    found: dict[str, Any] = (await party.http.get("/api/content/standing")).json()
    return found


class TestFreeDraft:
    async def test_is_paid_by_the_city_and_its_receipt_says_so(self, market: Market) -> None:
        city, party = await bureau(market), await market.party("free writer")
        before, citys = await market.wallet(party.org), await market.wallet(city)
        market.engine.replies = [draft()]
        (one,) = await ended(party, (await ask(party))["id"])
        assert (one["state"], one["payer"], one["title"]) == ("done", "city", TEXT["title"])
        assert "【卖点】\n1. 三年质保\n2. 装好就用" in one["text"]
        assert await market.wallet(party.org) == before
        assert citys - await market.wallet(city) == one["paid_micro"] > 0
        told = (await party.http.get(f"/api/content/drafts/{one['id']}/receipt")).json()
        assert (told["payer_name"], told["receipt"]["id"]) == ("市经济和信息化局", one["receipt_id"])
        assert told["receipt"]["amount_micro"] == one["paid_micro"]
        assert "B10" in json.dumps(told["decision"])
        posting = await market.services.ledger.posting(UUID(one["receipt_id"]))
        wallet = await market.services.ledger.ensure_account(city, "credit", "wallet")  # type: ignore[arg-type]
        assert {leg.debit for leg in posting.transfers} == {wallet.id}
        assert (await standing(party))["free_left"] == 99
        asked = market.engine.requests[-1]
        assert asked["response_format"]["json_schema"]["schema"]["required"] == [*TEXT]
        assert "省电 30%" in asked["messages"][-1]["content"]

    async def test_is_the_same_for_the_same_id(self, market: Market) -> None:
        await bureau(market)
        party, key = await market.party("same id"), str(uuid4())
        market.engine.replies = [draft(), draft()]
        first, again = await ask(party, 2, id=key), await ask(party, 2, id=key)
        assert [one["id"] for one in first["drafts"]] == [one["id"] for one in again["drafts"]]
        await ask(party, 1, 409, id=key)
        await ended(party, key)
        assert (await standing(party))["used"] == 2
        other = await market.party("another with the id")
        assert (await other.http.get(f"/api/content/jobs/{key}")).status_code == 404
        await ask(other, 2, 409, id=key)

    async def test_last_of_the_month_goes_to_one_of_two(self, market: Market) -> None:
        await bureau(market)
        party = await market.party("racer")
        await spend(market, party.org, 99)
        market.engine.replies = [draft()]
        body = {"kind": "product_text", "fields": PRODUCT}
        answers = await asyncio.gather(*(party.http.post("/api/content/jobs", json=body) for _ in range(2)))
        assert sorted(one.status_code for one in answers) == [202, 402]
        (refused,) = [one.json()["error"] for one in answers if one.status_code == 402]
        assert (refused["code"], refused["details"]) == ("content_free_used_up", {"free_left": 0, "asked": 1})
        assert (await standing(party))["used"] == 100
        (begun,) = [one.json()["id"] for one in answers if one.status_code == 202]
        await ended(party, begun)

    async def test_beyond_the_free_tier_is_paid_by_oneself_once_agreed(self, market: Market) -> None:
        city, party = await bureau(market), await market.party("beyond")
        await spend(market, party.org, 99)
        await ask(party, 2, 402)
        assert (await standing(party))["used"] == 99
        await party.http.put("/api/content/own", json={"own": "month"})
        market.engine.replies = [draft(), draft()]
        citys, mine = await market.wallet(city), await market.wallet(party.org)
        told = await market.services.hub.content.city()
        drafts = await ended(party, (await ask(party, 2))["id"])
        assert [one["payer"] for one in drafts] == ["city", "own"]
        assert citys - await market.wallet(city) == drafts[0]["paid_micro"]
        assert mine - await market.wallet(party.org) == drafts[1]["paid_micro"] > 0
        now = await market.services.hub.content.city()  # what a payer paid oneself is not the city's
        assert now["paid_micro"] - told["paid_micro"] == drafts[0]["paid_micro"]
        assert now["used"] - told["used"] == 1
        receipt = await market.services.gateway.receipt(UUID(drafts[1]["receipt_id"]), party.org)
        assert receipt.amount_micro == drafts[1]["paid_micro"]
        found = await standing(party)
        assert (found["used"], found["free_left"], found["own_now"]) == (100, 0, True)

    async def test_that_comes_to_nothing_gives_the_use_back_and_costs_nobody(self, market: Market) -> None:
        city, party = await bureau(market), await market.party("unlucky")
        citys, mine = await market.wallet(city), await market.wallet(party.org)
        market.engine.replies = [says('{"title": "半截'), says("{}")]
        (one,) = await ended(party, (await ask(party))["id"])
        assert (one["state"], one["error"], one["receipt_id"]) == ("failed", "content_unusable", None)
        assert "免费次数已退回" in one["why"]["zh"]
        assert (await standing(party))["used"] == 0
        assert (await market.wallet(city), await market.wallet(party.org)) == (citys, mine)

    async def test_says_when_the_citys_budget_is_empty_and_lets_own_credits_pay(self, market: Market) -> None:
        rich, party, content = await bureau(market), await market.party("late"), market.services.hub.content
        poor = await market.services.identity.orgs.create(NewOrganisation(OrgKind.GOVERNMENT, "空账局"), by="tests")
        await content.set_city(poor.id, by="tests")
        try:
            (one,) = await ended(party, (await ask(party))["id"])
            assert (one["state"], one["error"]) == ("failed", "content_city_budget_empty")
            assert "自有积分" in one["why"]["zh"]
            await party.http.put("/api/content/own", json={"own": "always"})
            market.engine.replies, mine = [draft()], await market.wallet(party.org)
            again = await party.http.post(f"/api/content/jobs/{one['job']}/again", json={})
            (two,) = await ended(party, again.json()["id"])
            assert (two["state"], two["payer"]) == ("done", "own")
            assert mine - await market.wallet(party.org) == two["paid_micro"] > 0
            assert (await standing(party))["used"] == 0
        finally:
            await content.set_city(rich, by="tests")

    async def test_counts_by_the_rule_as_it_is_on_the_day(self, market: Market) -> None:
        await bureau(market)
        party, rulebook = await market.party("amended"), market.services.rulebook
        await spend(market, party.org, 100)
        today = market.services.clock.today()
        row = {"from": str(today), "announced": str(today), "value": 105, "given": True}
        change = RuleAmendment(
            str(uuid4()), "B10_content_hub", {"parameters": {"other_free": [row]}}, "council", "more"
        )
        before = rulebook.amended([])
        assert (await standing(party))["free_left"] == 0
        rulebook.adopt(rulebook.amended([change]))
        try:
            found = await standing(party)
            assert (found["used"], found["free_left"]) == (100, 5)
        finally:
            rulebook.adopt(before)

    async def test_is_for_companies_and_more_of_them_above_designated_size(self, market: Market) -> None:
        from shanhe.facts.api import NewFact, Standing

        await bureau(market)
        party = await market.party("large")
        fact = NewFact(uuid4(), party.org, "designated_size", True, market.services.clock.today(),
                       standing=Standing.CHECKED, source="register")  # fmt: skip
        await market.services.facts.publish(fact, actor="tests")
        assert (await standing(party))["free_left"] == 1_000
        await spend(market, party.org, 150)
        market.engine.replies = [draft()]
        (one,) = await ended(party, (await ask(party))["id"])
        assert (one["payer"], (await standing(party))["free_left"]) == ("city", 849)
        office = await market.services.identity.orgs.create(NewOrganisation(OrgKind.INSTITUTION, "馆"), by="tests")
        assert (await market.services.hub.content.standing(office.id)).free_left == 0


class TestDraft:
    async def test_is_searched_edited_checked_labelled_and_deleted(self, market: Market) -> None:
        await bureau(market)
        party = await market.party("editor")
        market.engine.replies = [
            draft(paragraphs=["全市第一的热水器，省电 45%。"], close="密钥 sk-proj-aaaaaaaaaaaaaaaaaaaaaaaa")
        ]
        (one,) = await ended(party, (await ask(party))["id"])
        found = {(item["kind"], item["text"]) for item in one["findings"]}
        assert {("word", "第一"), ("number", "45%"), ("removed", "〔密钥已移除〕")} <= found
        path = f"/api/content/drafts/{one['id']}"
        edited = (await party.http.put(path, json={"title": "新标题", "text": "省电 30% 的热水器。"})).json()
        assert (edited["edited"], edited["findings"]) == (True, [])
        listed = (await party.http.get("/api/content/drafts", params={"find": "新标题"})).json()["data"]
        assert [row["id"] for row in listed] == [one["id"]]
        assert (await party.http.get("/api/content/drafts", params={"find": "没有"})).json()["data"] == []
        stranger = await market.party("content stranger")
        assert (await stranger.http.get(path)).status_code == 404
        assert (await party.http.delete(path)).status_code == 204
        assert (await party.http.get(path)).status_code == 404
        assert (await party.http.get(f"/api/content/jobs/{one['job']}")).status_code == 404

    async def test_that_nobody_touched_for_long_is_forgotten_with_its_request(self, market: Market) -> None:
        await bureau(market)
        party, services = await market.party("forgetful"), market.services
        market.engine.replies = [draft(), draft(), draft()]
        kept, gone, edited = [(await ended(party, (await ask(party))["id"]))[0] for _ in range(3)]
        long_ago = services.clock.now() - KEEP - timedelta(seconds=1)
        await services.db.execute(
            "UPDATE content.draft SET ended_at = $1 WHERE id = ANY($2)",
            long_ago, [UUID(gone["id"]), UUID(edited["id"])],
        )  # fmt: skip
        await party.http.put(f"/api/content/drafts/{edited['id']}", json={"title": "新标题", "text": "正文。"})
        assert await services.hub.content.purge() == 1
        for one, status in ((kept, 200), (edited, 200), (gone, 404)):
            assert (await party.http.get(f"/api/content/drafts/{one['id']}")).status_code == status
            assert (await party.http.get(f"/api/content/jobs/{one['job']}")).status_code == status

    async def test_leaves_with_its_label_in_every_format(self, market: Market) -> None:
        await bureau(market)
        party, key = await market.party("exporter"), market.services.hub.labels.public_key
        market.engine.replies = [draft()]
        (one,) = await ended(party, (await ask(party))["id"])

        async def file(form: str) -> bytes:
            answer = await party.http.get(f"/api/content/drafts/{one['id']}/export", params={"format": form})
            assert answer.status_code == 200, answer.text
            return answer.content

        plain = (await file("txt")).decode()
        assert plain.startswith(TEXT["title"])
        assert "AI生成" in plain
        body = json.loads(await file("json"))
        assert check_text(body["text"], body["AIGC"], key).genuine
        head, whole = (await file("md")).decode().removeprefix("---\nAIGC: ").split("\n---\n\n", 1)
        assert check_text(whole, json.loads(head), key).genuine
        with zipfile.ZipFile(io.BytesIO(await file("docx"))) as packed:
            assert TEXT["title"] in packed.read("word/document.xml").decode()
            assert '"Label": "1"' in packed.read("docProps/custom.xml").decode()
        assert (await party.http.get(f"/api/content/drafts/{one['id']}/export?format=pdf")).status_code == 422

    async def test_needs_what_its_form_asks(self, market: Market) -> None:
        party = await market.party("bad forms")
        assert "请填写" in (await ask(party, 1, 422, fields={"product": "x"}))["error"]["message"]
        await ask(party, 1, 422, fields=PRODUCT | {"hobby": "x"})
        await ask(party, 1, 404, kind="poem")
        await ask(party, 4, 422)
        await ask(party, 1, 409, model="no-such-model")

    async def test_of_an_engine_without_a_grammar_is_its_words(self, market: Market) -> None:
        await bureau(market)
        party = await market.party("plain words")
        market.engine.replies = [says("这是一段直接写出来的产品介绍文字。")]
        (one,) = await ended(party, (await ask(party, model=MODEL))["id"])
        assert (one["title"], one["text"]) == ("山泉热水器", "这是一段直接写出来的产品介绍文字。")


class TestProfile:
    async def test_is_kept_changed_and_deleted(self, market: Market) -> None:
        party, key = await market.party("profiled"), uuid4()
        path = f"/api/content/profiles/{key}"
        for name in ("热水器", "新款热水器"):
            kept = await party.http.put(path, json={"name": name, "fields": PRODUCT | {"question": "?"}})
            assert (kept.status_code, kept.json()["fields"]) == (200, PRODUCT)
        listed = (await party.http.get("/api/content/profiles")).json()["data"]
        assert [one["name"] for one in listed] == ["新款热水器"]
        other = await market.party("not profiled")
        assert (await other.http.put(path, json={"name": "x"})).status_code == 409
        assert (await party.http.delete(path)).status_code == 204


class TestCity:
    async def test_is_a_government_body_and_sees_what_it_paid(self, market: Market) -> None:
        city, content = await bureau(market), market.services.hub.content
        party = await market.party("no government")
        with pytest.raises(Exception, match="no government body"):
            await content.set_city(party.org, by="tests")
        with pytest.raises(Exception, match="not offered"):
            await content.set_city(city, by="tests", model="none-such")
        await content.set_city(city, by="tests", model=MODEL)
        found = await content.city()
        assert (found["org_id"], found["used"] > 0, found["paid_micro"] > 0) == (city, True, True)
        assert (await party.http.get("/api/content/city")).status_code == 403


class TestCrash:
    async def test_after_the_charge_ends_with_the_text_that_was_paid(self, market: Market) -> None:
        """The process ends between the call's booking and the draft's: the next one finds the receipt."""
        from shanhe.content import store

        await bureau(market)
        party, hub = await market.party("crashed"), market.services.hub
        market.engine.replies = [draft()]
        (one,) = await ended(party, (await ask(party))["id"])
        await market.services.db.execute(
            """UPDATE content.draft SET state = 'writing', worker = 'dead', taken_at = $2, ended_at = NULL, text = '',
                      paid_micro = 0 WHERE id = $1""",
            UUID(one["id"]), datetime(2026, 1, 1, tzinfo=UTC),
        )  # fmt: skip
        asked = len(market.engine.requests)
        await store.put_back(market.services.db, "dead", market.services.clock.now())
        await hub.runner.drain()
        (same,) = await ended(party, one["job"])
        assert (same["state"], same["text"], same["paid_micro"]) == ("done", one["text"], one["paid_micro"])
        assert len(market.engine.requests) == asked


class TestAnswer:
    async def test_is_cleaned_of_names_and_numbers_that_the_form_adds_but_not_of_figures(self) -> None:
        said = {"title": "标题：停水", "paragraphs": ["1. 正文：明天停水，请储水。", "2.5 千瓦的水泵停用。"]}
        found = understood("notice", json.dumps(said))
        assert found == {"title": "停水", "paragraphs": ["明天停水，请储水。", "2.5 千瓦的水泵停用。"]}

    async def test_of_every_kind_has_an_example_that_is_one(self) -> None:
        for name, kind in everything().kinds.items():
            form = form_of(name, {"fields": kind.example.fields})
            parts = understood(name, json.dumps(kind.example.parts))
            assert parts == kind.example.parts
            text = rendered(name, form, parts)[1]
            assert [one.kind for one in findings(text, form.fields.values(), lambda _: [])] == [], (name, text)

    async def test_may_hold_figures_of_the_form_whatever_follows_them_there(self) -> None:
        given = ["0571-88886666", "省电 30 %", "别的"]
        assert findings("请电 0571-88886666，省电 30%。", given, lambda _: []) == []
