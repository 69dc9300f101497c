"""An alliance asks the right clones side by side, and pays them by their words in the final answer, in one posting."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from shanhe.agents.api import BadRequest, definition_of
from shanhe.kernel.labelling import check_text
from shanhe.store.api import ChecksFailed
from stage.faults import lost_mark
from stage.market import MODEL, Market, says

from .likeness import asked, clone

pytestmark = pytest.mark.asyncio(loop_scope="package")
UNION = {"model": MODEL, "instructions": "把几位老师的话合成一段。", "calling": "tools"}
NOTES, TREES = "作文先列提纲，再写开头。", "果树冬天要剪枝，春天要施肥。"


def told(text: str) -> Any:
    """What each clone says by its persona, and the synthesis of whatever it is shown."""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        system = request["messages"][0]["content"]
        if "合成" in system:
            return {"role": "assistant", "content": text}
        return {"role": "assistant", "content": NOTES if "作文" in system else TREES}

    return answer


async def school(market: Market, slug: str, *, answers_max: int = 2, fee_micro: int = 5_000, **more: Any) -> Any:
    """Two makers with a clone each, and an alliance that a third one offers."""
    one, two, third = [await market.party(f"{slug} {n}") for n in (1, 2, 3)]
    await clone(market, one, f"{slug}-pen", "张老师", instructions="教作文。", clone={"topics": ["作文", "写作"]})
    await clone(market, two, f"{slug}-farm", "老李", instructions="种果树。", clone={"topics": ["果树", "农技"]})
    members = [f"clone/{slug}-pen", f"clone/{slug}-farm"]
    content = {**UNION, "alliance": {"members": members, "answers_max": answers_max}, **more}
    await market.listed(third.org, f"alliance/{slug}", content, fee_micro=fee_micro)
    return one, two, third


class TestAlliance:
    async def test_pays_its_clones_by_their_words_in_one_posting(self, market: Market) -> None:
        one, two, third = await school(market, "both")
        payer = await market.party("asks both")
        final = "作文先列提纲，再写开头。果树冬天要剪枝，春天要施肥。祝顺利！"
        market.engine.default = told(final)
        before = await market.wallet(payer.org)
        try:
            answer = await asked(market, payer, "alliance/both", "作文和果树怎么弄？")
        finally:
            market.engine.default = says("Hello there")
        assert answer.status_code == 200, answer.text
        found, text = answer.json()["shanhe"], answer.json()["choices"][0]["message"]["content"]
        assert "作文先列提纲，再写开头。〔1〕果树冬天要剪枝，春天要施肥。〔2〕祝顺利！" in text
        assert "参与作答 Answered by：〔1〕张老师（clone/both-pen）" in text
        assert check_text(text, answer.json()["AIGC"], market.services.agents.labels.public_key).genuine
        parts = {one["clone"]: one for one in found["clones"]}
        assert parts["clone/both-pen"]["words"] == ["作文"]
        assert [part["state"] for part in parts.values()] == ["answered", "answered"]
        assert [step["kind"] for step in found["steps"]] == ["clone", "clone", "model"]
        assert found["paid_micro"] == before - await market.wallet(payer.org)

        # the last posting pays both, by T17's largest remainder over the tokens that were measured
        receipt = await market.services.gateway.receipt(UUID(found["steps"][-1]["receipt_id"]), payer.org)
        through: Any = receipt.evidence.through
        (markup,) = through.markups
        assert markup.carried_micro == sum(part["paid_micro"] for part in parts.values())
        tokens = [parts[f"clone/both-{word}"]["tokens"] for word in ("pen", "farm")]
        assert [maker.weight for maker in markup.makers] == tokens
        paid = [share.amount_micro for share in receipt.evidence.shares if share.role == "clone_owner"]
        assert [await market.income(party.org) for party in (one, two, third)] == [*paid, 0]
        due = 0.8 * (0.2 * (through.model_micro + markup.carried_micro) + 5_000)
        assert abs(sum(paid) - due) <= 1
        assert abs(paid[0] - due * tokens[0] / sum(tokens)) <= 1
        assert sum(share.amount_micro for share in receipt.evidence.shares) == receipt.amount_micro

        # the clones' own answers are runs of their own, in the trace of this one and in no list
        runs = [UUID(part["run_id"]) for part in parts.values()]
        for run in runs:
            record, steps = await market.services.agents.trace(run, payer.org)
            assert (record.parent, [step.kind for step in steps]) == (UUID(found["run_id"]), ["model"])
        listed = {run.id for run in await market.services.agents.runs(payer.org)}
        assert not listed & set(runs)

        # a refund takes everything back, once a second person agreed
        run, moves, approvals = UUID(found["run_id"]), market.services.moves, market.services.approvals
        requests = [await moves.ask_run_refund(run, "wrong", by="person:1") for _ in range(2)]
        assert requests[0].id == requests[1].id
        assert await market.wallet(payer.org) < before
        with lost_mark():
            await approvals.agree(requests[0].id, by="person:2")
        assert (await approvals.agree(requests[0].id, by="person:2")).state == "done"
        assert await market.wallet(payer.org) == before
        assert [await market.income(party.org) for party in (one, two)] == [0, 0]
        assert await market.services.agents.refund(run, actor="tests", reason="wrong") == []

    async def test_asks_only_whom_the_question_is_for(self, market: Market) -> None:
        one, two, _ = await school(market, "right")
        payer = await market.party("asks one")
        market.engine.default = told("never asked")
        seen = len(market.engine.requests)
        try:
            answer = await asked(market, payer, "alliance/right", "果树什么时候剪枝？")
        finally:
            market.engine.default = says("Hello there")
        found = answer.json()["shanhe"]
        assert [(part["clone"], part["state"]) for part in found["clones"]] == [
            ("clone/right-farm", "answered"), ("clone/right-pen", "not_asked"),
        ]  # fmt: skip
        assert len(market.engine.requests) == seen + 1
        assert answer.json()["choices"][0]["message"]["content"].startswith(TREES)
        assert await market.income(one.org) == 0
        assert await market.income(two.org) > 0

    async def test_leaves_out_whom_nobody_may_ask(self, market: Market) -> None:
        one, two, third = await school(market, "gone")
        payer = await market.party("asks the rest")
        (mandate,) = await market.services.clones.mandates(org_id=two.org)
        assert mandate.person_id is not None
        await market.services.clones.revoke(mandate.id, mandate.person_id)
        market.engine.default = told("never asked")
        try:
            answer = await asked(market, payer, "alliance/gone", "作文和果树怎么弄？")
        finally:
            market.engine.default = says("Hello there")
        states = {part["clone"]: part["state"] for part in answer.json()["shanhe"]["clones"]}
        assert states == {"clone/gone-pen": "answered", "clone/gone-farm": "left_out: unknown_agent"}
        lonely = await market.party("lonely")
        with pytest.raises(ChecksFailed, match="members"):
            content = {**UNION, "alliance": {"members": ["clone/gone-pen", "clone/gone-farm"]}}
            await market.listed(lonely.org, "alliance/lonely", content)
        assert third.org != one.org

    async def test_stays_within_its_budget(self, market: Market) -> None:
        await school(market, "frugal", budget_micro=100)
        payer = await market.party("asks cheaply")
        before = await market.wallet(payer.org)
        answer = await asked(market, payer, "alliance/frugal", "作文和果树怎么弄？")
        assert answer.status_code in (402, 502)
        assert before - await market.wallet(payer.org) <= 100

    async def test_waits_for_its_clones_together(self, market: Market) -> None:
        """Both are asked before either has answered."""
        await school(market, "parallel")
        payer = await market.party("asks at once")
        services, both, waiting = market.services, asyncio.Event(), [0]
        ask = services.gateway.ask

        async def slow(caller: Any, fields: Any, **more: Any) -> Any:
            if "合成" not in fields["messages"][0]["content"]:
                waiting[0] += 1
                if waiting[0] == 2:
                    both.set()
                await asyncio.wait_for(both.wait(), 10)
            return await ask(caller, fields, **more)

        services.gateway.ask = slow  # type: ignore[method-assign]
        market.engine.default = told(NOTES)
        try:
            answer = await asked(market, payer, "alliance/parallel", "作文和果树怎么弄？")
        finally:
            services.gateway.ask = ask  # type: ignore[method-assign]
            market.engine.default = says("Hello there")
        assert answer.status_code == 200, answer.text

    @pytest.mark.parametrize(
        "alliance",
        [None, {"members": ["clone/a1"]}, {"members": ["clone/a1", "clone/a1"]}, {"members": ["agent/a1", "clone/b1"]},
         {"members": ["clone/a1", "clone/b1"], "answers_max": 0}],
    )  # fmt: skip
    async def test_is_bounded(self, alliance: Any) -> None:
        with pytest.raises(BadRequest):
            definition_of({**UNION, "alliance": alliance}, "alliance")
