"""What a city that was just started tells its first operator."""

from __future__ import annotations

import httpx

from shanhe.console.ports import Desk

COMMAND = "shanhe people create LOGIN --role admin"


async def test_the_sign_in_page_says_how_the_first_admin_is_made_only_while_there_is_none(
    visitor: httpx.AsyncClient, desk: Desk
) -> None:
    assert COMMAND not in (await visitor.get("/sign-in")).text
    desk.gate.is_unmanned = True  # type: ignore[attr-defined]
    assert COMMAND in (await visitor.get("/sign-in")).text


async def test_operators_land_on_what_the_city_lacks_each_with_where_to_do_it(member: httpx.AsyncClient) -> None:
    page = (await member.get("/city/accounts")).text
    assert "已完成 2 / 3" in page
    assert "shanhe people create LOGIN --role operator" in page
    assert 'href="/city/engines">前往办理' not in page, "a step that is done asks for nothing"


async def test_a_city_that_lacks_nothing_shows_no_list(member: httpx.AsyncClient, desk: Desk) -> None:
    desk.city.done |= {"second"}  # type: ignore[attr-defined]
    assert 'id="setup"' not in (await member.get("/city/accounts")).text


async def test_a_city_without_organisations_says_what_to_do_and_a_search_that_nothing_fits(
    member: httpx.AsyncClient, desk: Desk
) -> None:
    desk.city.empty = True  # type: ignore[attr-defined]
    assert "先新建一个" in (await member.get("/city/accounts")).text
    searched = (await member.get("/city/accounts?q=x")).text
    assert "没有符合条件的机构" in searched
    assert "先新建一个" not in searched
