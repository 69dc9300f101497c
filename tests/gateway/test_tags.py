"""Calls are counted under the tags that their callers give them; names stay out of what can't be changed."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from shanhe.gateway.errors import TagsOfOne
from shanhe.gateway.routes import grouping
from shanhe.kernel.errors import Invalid

from .conftest import OPENED_AT, TOKEN, Desk

pytestmark = pytest.mark.asyncio(loop_scope="module")
DAY = OPENED_AT.date()


async def sums(desk: Desk, *group: str, **which: Any) -> dict[Any, tuple[int, int]]:
    rows = await desk.gateway.usage(desk.org, DAY, DAY, ("tag", *group), **which)
    return {row.tag: (row.calls, row.amount_micro) for row in rows}


class TestTag:
    async def test_sums_what_was_called_under_it(self, desk: Desk) -> None:
        both = await desk.chat(metadata={"tags": ["team=blue", "试点"], "user": "不保存"})
        await desk.chat(metadata={"tags": "team=blue"})
        await desk.chat()
        whole = (await desk.gateway.receipt(uuid.UUID(both.headers["x-shanhe-receipt"]), desk.org)).amount_micro
        assert await sums(desk) == {"team=blue": (2, 2 * whole), "试点": (1, whole)}
        assert await sums(desk, tag="试点") == {"试点": (1, whole)}
        (month,) = await desk.gateway.usage(desk.org, DAY, DAY, ("month",), tag="team=blue")
        assert (month.day, month.calls) == (DAY.replace(day=1), 2)
        (plain,) = await desk.gateway.usage(desk.org, DAY, DAY, ("week",))
        assert (plain.day is not None and plain.day.isoweekday(), plain.calls) == (1, 3)

    async def test_stands_on_receipts_by_a_hash_and_is_named_to_its_organisation_alone(self, desk: Desk) -> None:
        answer = await desk.chat(metadata={"tags": ["Frau Mustermann"]})
        receipt_id = uuid.UUID(answer.headers["x-shanhe-receipt"])
        posting = await desk.ledger.posting(receipt_id)
        assert posting.evidence is not None
        assert b"Mustermann" not in posting.evidence
        assert (await desk.gateway.receipt(receipt_id, desk.org)).tags == ("Frau Mustermann",)
        assert (await desk.gateway.receipt(receipt_id, None)).tags == ()
        with pytest.raises(TagsOfOne):
            await desk.gateway.usage(None, DAY, DAY, ("tag",))

    async def test_finds_its_calls(self, desk: Desk) -> None:
        await desk.chat(metadata={"tags": ["a", "b"]})
        await desk.chat(metadata={"tags": ["b"]})
        page = await desk.gateway.recent(desk.org, tag="a")
        assert [call.tags for call in page.calls] == [("a", "b")]
        assert (await desk.gateway.recent(desk.org, tag="never used")).calls == ()

    async def test_is_summed_again_from_the_ledger(self, desk: Desk) -> None:
        await desk.chat(metadata={"tags": ["a"]})
        before = await sums(desk)
        await desk.gateway.rebuild_usage(DAY)
        assert await sums(desk) == before != {}

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("/v1/responses", {"input": "Hi", "metadata": {"tags": "a, b"}}),
            ("/v1/messages", {"messages": [{"role": "user", "content": "Hi"}], "metadata": {"tags": ["a", "b"]}}),
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "metadata": {"tags": "b,a,"}}),
        ],
    )
    async def test_is_read_in_every_protocol(self, desk: Desk, path: str, body: dict[str, Any]) -> None:
        answer = await desk.http.post(path, json={"model": "syn", "max_tokens": 8, **body})
        assert answer.status_code == 200, answer.text
        assert set(await sums(desk)) == {"a", "b"}

    async def test_of_a_caller_counts_for_all_that_is_called_in_its_work(self, desk: Desk) -> None:
        desk.keys.known[TOKEN] = desk.caller(tags=("project=7",))
        await desk.chat()
        await desk.chat(metadata={"tags": ["a"]})
        assert {tag: calls for tag, (calls, _) in (await sums(desk)).items()} == {"project=7": 2, "a": 1}

    @pytest.mark.parametrize("tags", [["x" * 65], [str(n) for n in range(9)], ["a\nb"], {"a": 1}, [7]])
    async def test_that_can_not_be_kept_is_refused_before_anything_is_charged(self, desk: Desk, tags: Any) -> None:
        before = await desk.balance()
        answer = await desk.chat(metadata={"tags": tags})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"].startswith("metadata.tags")
        assert await desk.balance() == before

    @pytest.mark.parametrize("metadata", [None, {}, {"tags": None}, {"tags": []}, {"tags": ""}, {"user_id": "7"}])
    async def test_may_be_missing(self, desk: Desk, metadata: Any) -> None:
        assert (await desk.chat(metadata=metadata)).status_code == 200
        assert await sums(desk) == {}


async def test_usage_is_grouped_by_one_window() -> None:
    assert grouping("month,tag") == ("month", "tag")
    with pytest.raises(Invalid):
        grouping("day,month")
