"""A starter in a whole city: what it lacks and costs is said before; a copy is a draft of one's own, and runs."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
from tests.platform.test_commands import Call, call

from shanhe.kernel.ids import new_id
from shanhe.starters import service
from shanhe.starters.api import (
    Card,
    NoModelHere,
    NotAModelForIt,
    NotYourBase,
    Starters,
    UnknownStarter,
    Usual,
    starters,
)
from stage.market import COST, MODEL, Market, Party, says
from stage.namespaces import needs_namespaces
from stage.tools import Workshop

__all__ = ["call"]
HOME = "market-home"
MILLION = 1_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def home(market: Market) -> str:
    """A model on the city's own machines, which citizens' data may go to."""
    from shanhe.compute.api import NewEngine

    made = NewEngine(
        "home", f"http://127.0.0.1:{market.engine.port}/v1", {HOME: MODEL}, COST, "", local=True,
        data_classes=frozenset({"general", "citizen", "government"}), context_tokens=8_192, price_class="large",
    )  # fmt: skip
    await market.services.compute.add_engine(made, actor="tests")
    return HOME


async def copied(party: Party, name: str, **more: Any) -> dict[str, Any]:
    answer = await party.http.post(f"/api/starters/{name}/copies", json={"language": "zh", **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def shown(party: Party, name: str, language: str = "zh") -> dict[str, Any]:
    found: dict[str, Any] = (await party.http.get(f"/api/starters/{name}", params={"language": language})).json()
    return found


async def ended(party: Party, run_id: str, *, waits: bool = False) -> dict[str, Any]:
    """The run when it is over, or when it waits for a person."""
    for _ in range(1_200):
        run: dict[str, Any] = (await party.http.get(f"/api/workflows/runs/{run_id}")).json()
        if run["ended_at"] is not None or (waits and run["state"] == "paused"):
            return run
        await asyncio.sleep(0.05)
    raise AssertionError(f"the run did not end: {run}")


@pytest.mark.asyncio(loop_scope="module")
class TestGallery:
    async def test_says_what_an_ordinary_run_costs_by_todays_prices(self, market: Market) -> None:
        looking, today = await market.party("looks at starters"), market.services.clock.today()
        prices = market.services.compute.prices(HOME, today)
        found = {one["name"]: one for one in (await looking.http.get("/api/starters")).json()["data"]}
        assert set(found) == set(starters())
        usual = starters()["document-summary"].card.usual
        expected = -(-(usual.input * prices.input + usual.output * prices.output) // MILLION)
        assert found["document-summary"]["cost_micro"] == expected > 0
        assert (found["document-summary"]["models"], found["document-summary"]["most_micro"]) == ([HOME], MILLION)
        assert found["minutes"]["models"] == [MODEL, HOME]

    async def test_says_before_copying_which_tools_and_bases_are_not_here(
        self, market: Market, workshop: Workshop
    ) -> None:
        looking = await market.party("wants events")
        before = await shown(looking, "nomad-events")
        assert before["needs"]["tools"] == ["weather/forecast"]
        lacks = {"model": False, "knowledge": ["本月活动安排"], "tools": ["weather/forecast"]}
        assert before["missing"] == lacks
        assert (await copied(looking, "nomad-events"))["missing"] == lacks  # and after it, too
        base = await looking.http.post("/api/knowledge", json={"name": "本月活动安排", "model": ""})
        publisher = await market.party("publisher of weather")
        await market.listed(
            publisher.org, "mcp/weather", {"url": workshop.url, "tools": ["forecast"]}, fee_micro=7_000
        )  # fmt: skip
        after = await shown(looking, "nomad-events")
        assert after["missing"] == {"model": False, "knowledge": [], "tools": []}
        assert after["cost_micro"] == before["cost_micro"] + 7_000
        made = await copied(looking, "nomad-events", language="en", knowledge=[base.json()["id"]])
        assert made["missing"] == {"model": False, "knowledge": [], "tools": []}

    async def test_is_for_those_who_make_things(self, market: Market) -> None:
        from shanhe.identity.api import NewKey

        party = await market.party("only asks")
        key = NewKey("asks", permissions=frozenset({"chat"}))
        _, token = await market.services.identity.keys.create(party.org, key, by="tests")
        head = {"authorization": f"Bearer {token}"}
        assert (await party.http.get("/api/starters", headers=head)).status_code == 403
        assert (await party.http.post("/api/starters/minutes/copies", json={}, headers=head)).status_code == 403
        assert (await party.http.post("/api/starters/none/copies", json={})).status_code == 404


@pytest.mark.asyncio(loop_scope="module")
class TestAgent:
    async def test_is_a_draft_that_answers_its_owner_and_is_offered_to_nobody(self, market: Market) -> None:
        owner, other = await market.party("copies an agent"), await market.party("copies nothing")
        made = await copied(owner, "document-summary", slug="our-summary")
        assert (made["kind"], made["name"], made["model"]) == ("agent", "agent/our-summary", HOME)
        ((listing, (draft,)),) = await market.services.store.mine(owner.org)
        assert (listing.state, draft.state, draft.n) == ("draft", "draft", 1)
        assert await market.services.store.queue() == []
        assert (await other.http.get("/api/store/listings/agent/our-summary")).status_code == 404
        body = {"messages": [{"role": "user", "content": "关于汛期值班的通知……"}]}
        assert (await other.http.post("/api/agents/our-summary/try", json=body)).status_code == 404

        market.engine.replies = [says("一、要点：……")]
        before = await market.wallet(owner.org)
        told = {"inputs": {"reader": "分管领导"}}
        done = (await owner.http.post("/api/agents/our-summary/try", json=body | told)).json()
        assert done["text"] == "一、要点：……", done
        asked = market.engine.requests[-1]
        assert (asked["model"], "读者是分管领导" in asked["messages"][0]["content"]) == (MODEL, True)
        (step,) = done["steps"]
        receipt = await market.services.gateway.receipt(UUID(step["receipt_id"]), owner.org)
        assert receipt.amount_micro == done["paid_micro"] == before - await market.wallet(owner.org) > 0

    async def test_answers_from_a_base_called_as_it_says(self, market: Market) -> None:
        owner = await market.party("copies a guide")
        made = await copied(owner, "residents")
        slug = made["name"].partition("/")[2]
        body = {"messages": [{"role": "user", "content": "居住证需要哪些材料？"}]}
        refused = await owner.http.post(f"/api/agents/{slug}/try", json=body)
        assert refused.json()["error"]["code"] == "unknown_knowledge_base"  # it never answers without one
        base = (await owner.http.post("/api/knowledge", json={"name": "居民办事指南", "model": ""})).json()["id"]
        text = "# 居住证\n\n居住证需要身份证与租房合同两份材料。\n"
        await owner.http.post("/api/knowledge/documents", params={"base": base, "file": "居住证.md"},
                              content=text.encode())  # fmt: skip
        await market.indexed()
        await owner.http.patch(f"/api/knowledge/{base}", json={"support_bps": 100})
        market.engine.replies = [says("需要身份证与租房合同。")]
        done = (await owner.http.post(f"/api/agents/{slug}/try", json=body)).json()
        assert done["text"].startswith("需要身份证"), done
        assert "租房合同" in json.dumps(market.engine.requests[-1]["messages"], ensure_ascii=False)

    async def test_goes_out_as_a_file_and_in_again(self, market: Market) -> None:
        owner = await market.party("copies and imports")
        made = await copied(owner, "shop-service")
        content = (await market.services.store.version(made["name"], 0, owner=owner.org)).content
        assert content == {**starters()["shop-service"].definitions["zh"], "model": MODEL}
        checked = await owner.http.post("/api/agents/check", json={"definition": content})
        assert [one["name"] for one in checked.json()["data"] if not one["passed"]] == [], checked.text


@pytest.mark.asyncio(loop_scope="module")
class TestCopy:
    @pytest.mark.parametrize("name", ["minutes", "inspection"])
    async def test_stays_as_its_owner_has_it_whatever_becomes_of_the_starter(
        self, market: Market, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        owner, number, services = await market.party(f"keeps {name}"), new_id(), market.services

        async def drafts() -> list[Any]:
            if name == "minutes":
                return [versions[0].content for _, versions in await services.store.mine(owner.org)]
            made = await services.routines.workflows.mine(owner.org)
            return [(await services.routines.workflows.version(owner.org, one.slug, one.draft or 0)).definition
                    for one in made]  # fmt: skip

        made = await copied(owner, name, id=str(number))
        (draft,) = await drafts()
        assert await copied(owner, name, id=str(number)) == made
        was = starters()[name]
        changed = {language: {**one, "budget_micro": 5} for language, one in was.definitions.items()}
        monkeypatch.setattr(service, "starters", lambda: {name: msgspec.structs.replace(was, definitions=changed)})
        assert await copied(owner, name, id=str(number)) == made
        assert await drafts() == [draft]
        await copied(owner, name)
        assert sorted(one["budget_micro"] for one in await drafts()) == [5, MILLION]

    async def test_of_a_workflow_is_published_only_by_its_owner_and_never_written_over(self, market: Market) -> None:
        owner, number, flows = await market.party("changes a copy"), new_id(), market.services.routines.workflows
        made = await copied(owner, "weekly-report", id=str(number), slug="ours")
        one = await flows.one(owner.org, "ours")
        assert (made["name"], one.title, one.draft, one.published) == ("ours", "表格周报", 1, None)
        mine = {**starters()["weekly-report"].definitions["zh"], "steps_max": 9}
        await flows.save(owner.org, "ours", mine, by="tests")
        await flows.publish(owner.org, "ours")
        await copied(owner, "weekly-report", id=str(number), slug="ours")
        one = await flows.one(owner.org, "ours")
        assert (one.draft, one.published) == (None, 1)
        assert (await flows.version(owner.org, "ours", 1)).definition["steps_max"] == 9

    async def test_takes_a_model_and_bases_that_are_there_and_makes_nothing_else(self, market: Market) -> None:
        owner = await market.party("asks for too much")
        for wanted, code in (({"model": "gpt-9"}, "not_a_model_for_it"), ({"knowledge": ["没有"]}, "not_your_base")):
            refused = await owner.http.post("/api/starters/policy-brief/copies", json=wanted)
            assert (refused.status_code, refused.json()["error"]["code"]) == (422, code)
        assert await market.services.routines.workflows.mine(owner.org) == []


@pytest.mark.asyncio(loop_scope="module")
class TestWorkflow:
    async def test_waits_for_a_persons_word_and_its_steps_are_paid_once(self, market: Market) -> None:
        owner = await market.party("inspects")
        made = await copied(owner, "inspection")
        assessed = {"level": "较大", "problems": "灭火器过期", "measures": "更换灭火器"}
        market.engine.replies = [says(json.dumps(assessed)), says("整改通知：……")]
        before = await market.wallet(owner.org)
        given = {"place": "老街 3 号", "findings": "灭火器 2024 年到期"}
        started = await owner.http.post(
            f"/api/workflows/{made['name']}/runs", json={"ref": "1", "input": given, "draft": True}
        )
        run = await ended(owner, started.json()["id"], waits=True)
        assert run["state"] == "paused", run
        flows, person = market.services.routines.workflows, new_id()
        (waiting,) = await flows.inbox(owner.org, person, ["owner", "member"])
        assert waiting.shows == "老街 3 号（较大）\n\n整改通知：……"
        await flows.decide(waiting.id, org_id=owner.org, person=person, roles=["owner"], approve=True, note="同意")
        run = await ended(owner, started.json()["id"])
        assert run["result"] == {"level": "较大", "notice": "整改通知：……", "note": "同意"}, run
        steps = [one for one in run["step_list"] if one["receipt_id"]]
        receipts = [await market.services.gateway.receipt(UUID(one["receipt_id"]), owner.org) for one in steps]
        assert len(receipts) == 2
        paid = sum(one.amount_micro for one in receipts)
        assert run["paid_micro"] == paid == before - await market.wallet(owner.org) > 0

    @needs_namespaces
    async def test_counts_by_a_program_what_a_model_then_tells(self, market: Market) -> None:
        owner = await market.party("reports")
        made = await copied(owner, "weekly-report", language="en")
        market.engine.replies = [says("A calm week.")]

        async def run(ref: str, sheet: str) -> dict[str, Any]:
            body = {"ref": ref, "input": {"title": "Week 48", "sheet": sheet}, "draft": True}
            started = await owner.http.post(f"/api/workflows/{made['name']}/runs", json=body)
            return await ended(owner, started.json()["id"])

        done = await run("1", 'day,visitors\nMon,"1,200"\nTue,800\n')
        sums = "visitors: sum 2000, mean 1000.00, largest 1200, smallest 800"
        assert done["result"] == {"report": "A calm week.", "figures": sums}, done
        assert sums in json.dumps(market.engine.requests[-1]["messages"])
        unread = await run("2", "nothing")
        assert unread["result"]["report"].startswith("No report was written"), unread
        assert unread["paid_micro"] == 0


class Nowhere:
    """A city without a model of its own, that begins nothing."""

    def models(self, data_class: str) -> list[str]:
        return ["far"] if data_class == "general" else []

    def price(self, model: str, usual: Usual) -> int | None:
        return None

    async def tools(self) -> dict[str, int]:
        return {}

    async def absent(self, kind: str, owner: UUID, names: Any) -> list[str]:
        return [name for name in names if name != "ours"]

    async def begin(self, card: Card, content: Any, **more: Any) -> str:
        raise AssertionError("nothing may be begun")


class TestRefusal:
    @pytest.mark.parametrize(("name", "more", "error"), [
        ("residents", {}, NoModelHere), ("residents", {"model": "far"}, NoModelHere),
        ("minutes", {"model": "farther"}, NotAModelForIt), ("shop-service", {"knowledge": ["theirs"]}, NotYourBase),
        ("none", {}, UnknownStarter),
    ])  # fmt: skip
    async def test_comes_before_anything_is_made(self, name: str, more: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error):
            await Starters(Nowhere()).copy(name, "zh", copy_id=new_id(), org_id=new_id(), by="tests", **more)

    async def test_is_foretold_where_citizens_data_has_no_model_here(self) -> None:
        found = await Starters(Nowhere()).every("en")
        lacking = {one.starter.name for one in found if one.missing.model}
        assert lacking == {"residents", "form-check", "document-summary"}
        assert all(one.cost_micro is None for one in found)


class TestCommand:
    @pytest.mark.prove
    def test_lists_shows_and_copies(self, call: Call) -> None:
        owner, number = call("orgs", "create", "Qingshan Robotics")["id"], str(new_id())
        assert {one["missing"]["model"] for one in call("starters", "list", "--org", owner)} == {True}
        assert call("starters", "show", "inspection", "--language", "zh") == starters()["inspection"].definitions["zh"]
        call("engines", "add", "up", "--url", "http://127.0.0.1:9/v1", "--model", "small-model=m")
        found = {one["name"]: one for one in call("starters", "list", "--org", owner, "--language", "en")}
        assert (found["minutes"]["models"], found["residents"]["models"]) == (["small-model"], [])
        for _ in range(2):
            made = call(
                "starters", "copy", "minutes", "--org", owner, "--slug", "ours", "--language", "en", "--id", number
            )
            assert (made["name"], made["model"]) == ("agent/ours", "small-model")
        content = call("store", "content", "agent/ours", "--org", owner)
        assert content == {**starters()["minutes"].definitions["en"], "model": "small-model"}
        made = call("starters", "copy", "inspection", "--org", owner, "--slug", "ours")
        assert [one["slug"] for one in call("workflows", "list", "--org", owner)] == [made["name"]] == ["ours"]
