"""Whatever an operator can do in the console exists as a command and over HTTP too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import pytest
from typer.main import get_command

from shanhe.app import open_services
from shanhe.cli import app
from shanhe.settings import Settings
from shanhe.web import create_app

LIST: Final = Path(__file__).parent / "parity.txt"
CHANGES: Final = ("POST", "PUT", "PATCH", "DELETE")
REASONS: Final = ("own", "member", "browser", "wire", "look", "machine", "offline")
NONE: Final = "-"
OF_OPERATORS: Final = ("/city/", "/review/", "/governance/", "/nodes")
"""Pages on which the city is run, by how their addresses begin."""


@dataclass(frozen=True)
class Way:
    """One thing that can be done, and where: "-" where it can't."""

    http: str
    page: str
    command: str
    why: str = ""

    @property
    def places(self) -> tuple[str, str]:
        return self.http, self.command


def ways() -> list[Way]:
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return [Way(*line.split(" ; ")) for line in lines if not line.startswith("#")]


def commands(command: click.Command, path: tuple[str, ...] = ()) -> set[str]:
    below = getattr(command, "commands", {})
    return {word for name, one in below.items() for word in commands(one, (*path, name))} or {" ".join(path)}


@dataclass(frozen=True)
class Site:
    """What the running application offers: pages that change something, and everything over HTTP."""

    pages: frozenset[str]
    http: frozenset[str]


@pytest.fixture
async def site(dsn: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_services(Settings(data=tmp_path, database_url=dsn, with_model=False, demo=True), "cli") as services:
        pages, http = set(), set()
        for route in create_app(services)._site._app.routes:  # type: ignore[attr-defined]
            for method in getattr(route, "methods", None) or ():
                if not getattr(route.endpoint, "__module__", "").startswith("shanhe.console."):
                    http.add(f"{method} {route.path}")
                elif method in CHANGES:
                    pages.add(route.path)
        yield Site(frozenset(pages), frozenset(http))


def named(field: str) -> set[str]:
    return {getattr(way, field) for way in ways()} - {NONE}


class TestParity:
    async def test_list_names_every_change_over_http_and_none_that_is_gone(self, site: Site) -> None:
        """Whoever adds a route says in the list from where else the same is done."""
        changes = {one for one in site.http if one.startswith(CHANGES)}
        assert changes - named("http") == set()
        assert named("http") - site.http == set()

    async def test_list_names_every_change_on_a_page_and_none_that_is_gone(self, site: Site) -> None:
        assert site.pages - named("page") == set()
        assert named("page") - site.pages == set()

    def test_list_names_every_command_and_none_that_is_gone(self) -> None:
        there = commands(get_command(app))
        assert there - named("command") == set()
        assert named("command") - there == set()

    def test_what_an_operator_does_on_a_page_is_done_by_command_and_over_http(self) -> None:
        assert [way for way in ways() if way.page.startswith(OF_OPERATORS) and NONE in way.places] == []

    def test_of_anything_else_says_why_a_place_lacks_it(self) -> None:
        assert [way for way in ways() if NONE in way.places and way.why not in REASONS] == []
