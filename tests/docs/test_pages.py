"""The pages keep up with the program: links lead somewhere, endpoints and commands are described."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import yaml
from mkdocs.utils.yaml import yaml_load
from typer.main import get_command

from shanhe.cli import app
from shanhe.gateway import asgi

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)")

NAMED = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)#([^)\s]+)\)")
INTERNAL = {"bench furnish-mcp"}
"""Commands that other commands start."""


def commands(command: click.Command, path: tuple[str, ...] = ()) -> set[str]:
    """The full names of all commands."""
    below = getattr(command, "commands", {})
    return {word for name, one in below.items() for word in commands(one, (*path, name))} or {" ".join(path)}


def says(row: str, name: str) -> bool:
    *group, word = name.split(" ")
    head = " ".join(["`shanhe", *group, ""])
    return head in row and re.search(rf"(`|{head}){word}[` \[]", row) is not None


def settings_of_the_site() -> dict[str, Any]:
    with (ROOT / "mkdocs.yml").open(encoding="utf-8") as file:
        found: dict[str, Any] = yaml_load(file)
    return found


def places(page: Path, slug: Callable[[str, str], str]) -> set[str]:
    """What a link may name on a page: its headings, as the site calls them, and what says its own name."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+?)(?: \{#.*)?$", text, re.MULTILINE)
    own = re.findall(r"\{#([\w-]+)\}", text)
    return {slug(re.sub(r"\]\(.*?\)|[`*\[]", "", heading), "-") for heading in headings}.union(own)


class TestLinks:
    def test_lead_to_the_headings_that_they_name_in_chinese_too(self) -> None:
        extensions = settings_of_the_site()["markdown_extensions"]
        slug = next(one["toc"]["slugify"] for one in extensions if "toc" in one)
        known = {page.resolve(): places(page, slug) for page in PAGES}
        links = [
            ((page.parent / target).resolve() if target else page, heading)
            for page in PAGES
            for target, heading in NAMED.findall(page.read_text(encoding="utf-8"))
        ]
        assert len(links) > 50
        assert [(page, heading) for page, heading in links if heading not in known[page]] == []

    def test_lead_to_files(self) -> None:
        links = [(page, target) for page in PAGES for target in LINK.findall(page.read_text(encoding="utf-8"))]
        assert len(links) > len(PAGES)
        assert [(page, target) for page, target in links if not (page.parent / target).exists()] == []

    def test_of_the_site_cover_every_page(self) -> None:
        nav = settings_of_the_site()["nav"]
        named = set(re.findall(r"[\w/.-]+\.md", yaml.safe_dump(nav)))
        there = {str(page.relative_to(ROOT / "docs")) for page in PAGES if (ROOT / "docs") in page.parents}
        assert there == named


class TestCommands:
    def test_are_all_on_the_command_line_page(self) -> None:
        """A row names the first of its commands in full (`shanhe orgs list`) and others of the group by one word."""
        page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
        rows = [line for line in page.splitlines() if line.startswith("|")]
        names = commands(get_command(app)) - INTERNAL
        assert len(names) > 400
        assert sorted(name for name in names if not any(says(row, name) for row in rows)) == []


class TestEndpoints:
    def test_are_all_on_the_api_pages(self) -> None:
        paths = set(re.findall(r'"(/v1/[a-z/_]+[a-z])"', Path(asgi.__file__).read_text(encoding="utf-8")))
        assert len(paths) >= 7
        for name in ("api.md", "zh/api.md"):
            page = (ROOT / "docs" / name).read_text(encoding="utf-8")
            assert [path for path in paths if f"{path}`" not in page] == []


class TestFigures:
    def test_of_rules_are_what_there_is(self) -> None:
        there = len([*(ROOT / "src" / "shanhe" / "rulebook" / "rules").glob("*.yaml")])
        for name, said in (("README.md", rf"\b{there} dated rules"), ("README.zh-CN.md", rf"\b{there} 条带日期的规则")):
            assert re.search(said, (ROOT / name).read_text(encoding="utf-8")), name
