"""Calls are counted under the tags that their callers give them; names stay out of what can't be changed."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from tests.gateway.test_scenes import png, says, wav

from shanhe.gateway.errors import TagsOfOne
from shanhe.gateway.routes import grouping
from shanhe.kernel.errors import Invalid

from .conftest import OPENED_AT, TOKEN, Desk
from .engine import raw

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


class TestTagOfAnyCall:
    """A header, for calls whose body has no place for tags and clients that set headers alone."""

    async def test_is_named_by_a_header_too(self, desk: Desk) -> None:
        headers = {"x-shanhe-tags": "team=blue, %E8%AF%95%E7%82%B9"}
        body = {"model": "syn", "messages": [{"role": "user", "content": "Hi"}], "metadata": {"tags": ["a"]}}
        for _ in range(3):  # a head that was read before counts the same
            answer = await desk.http.post("/v1/chat/completions", json=body, headers=headers)
            assert answer.status_code == 200
        await desk.http.post("/v1/chat/completions", json=body | {"metadata": None})
        assert {name: calls for name, (calls, _) in (await sums(desk)).items()} == {
            "a": 3, "team=blue": 3, "试点": 3,
        }  # fmt: skip

    async def test_that_is_too_long_is_refused_with_its_name(self, desk: Desk) -> None:
        answer = await desk.http.post("/v1/messages", json={}, headers={"x-shanhe-tags": "x" * 65})
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        answer = await desk.http.post("/v1/chat/completions", json={}, headers={"x-shanhe-tags": "x" * 65})
        assert answer.json()["error"]["param"] == "x-shanhe-tags"

    async def test_counts_pictures_series_speech_and_sounds(self, desk: Desk) -> None:
        named = {"metadata": {"tags": ["scene"]}}
        asked: list[tuple[str, str, dict[str, Any], Any]] = [
            ("ocr", "/v1/ocr", {"image": png(10, 10)}, says({"lines": [], "text": ""})),
            ("forecast", "/v1/forecast", {"series": [[1.0]], "horizon": 1, "levels": []},
             says({"forecasts": [{"mean": [1.0]}]})),
            ("speech", "/v1/audio/speech", {"input": "Hi"}, raw(200, b"RIFF")),
        ]  # fmt: skip
        for kind, path, body, script in asked:
            desk.engines.kind, desk.engine.scripts = kind, [script]
            answer = await desk.http.post(path, json={"model": "syn", **body, **named})
            assert answer.status_code == 200, answer.text
        desk.engines.kind, desk.engine.decode = "transcription", lambda body: {}
        for field, value in (("metadata[tags][]", "scene"), ("metadata", '{"tags": "scene"}')):
            desk.engine.scripts = [says({"text": "a", "duration": 1.0})]
            answer = await desk.http.post(
                "/v1/audio/transcriptions", data={"model": "syn", field: value}, files={"file": ("a.wav", wav(1))}
            )
            assert answer.status_code == 200, answer.text
        assert (await sums(desk))["scene"][0] == 5
