"""An operator names models further; a name that can't be given comes back with what was typed."""

from __future__ import annotations

import httpx
from tests.console.double_ground import TOKEN

from shanhe.compute.errors import BadAlias
from shanhe.console.ports import Desk


async def test_a_further_name_is_given_and_taken_back(member: httpx.AsyncClient, desk: Desk) -> None:
    for do, where in (("give", "alias_given"), ("drop", "alias_dropped")):
        sent = {"name": " gpt-4o-mini ", "model": "qwen", "do": do}
        answer = await member.post("/city/models/aliases", data=TOKEN | sent)
        assert answer.headers["location"] == f"/models?done={where}"
    assert desk.city.aliases == [("gpt-4o-mini", "qwen"), ("gpt-4o-mini", None)]  # type: ignore[attr-defined]


async def refused(*_: object) -> None:
    raise BadAlias("it is no name of a model", "不是模型名称的写法")


async def test_what_can_not_be_given_is_said_beside_what_was_typed(member: httpx.AsyncClient, desk: Desk) -> None:
    desk.city.alias = refused  # type: ignore[method-assign, assignment]
    answer = await member.post("/city/models/aliases", data=TOKEN | {"name": "a b", "model": "qwen", "do": "give"})
    assert answer.status_code == 422
    assert "不是模型名称的写法" in answer.text
    assert 'value="a b"' in answer.text


async def test_a_form_without_a_name_is_said_to_have_none(member: httpx.AsyncClient, desk: Desk) -> None:
    desk.city.alias = refused  # type: ignore[method-assign, assignment]
    answer = await member.post("/city/models/aliases", data=TOKEN | {"do": "give"})
    assert answer.status_code == 422
    assert "不是模型名称的写法" in answer.text
