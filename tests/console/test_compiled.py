"""Templates are compiled once, and again when they change."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

from shanhe.console.compiled import NAME, Compiled


def environment(templates: Path, folder: Path) -> Environment:
    """As a process has it that has shown nothing yet."""
    return Environment(loader=FileSystemLoader(templates), autoescape=True, bytecode_cache=Compiled(folder))


class TestCompiled:
    @pytest.fixture(autouse=True)
    def templates(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setattr(sys, "dont_write_bytecode", False)
        (tmp_path / "page.html").write_text("{{ name }}, welcome", encoding="utf-8")
        return tmp_path

    def shown(self, templates: Path, folder: Path) -> str:
        return environment(templates, folder).get_template("page.html").render(name="Lin")

    def test_serves_the_next_process_without_compiling(self, templates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = templates / "cache"
        assert self.shown(templates, folder) == "Lin, welcome"
        assert len(list(folder.glob(NAME % "*"))) == 1
        monkeypatch.delattr(Environment, "compile")
        assert self.shown(templates, folder) == "Lin, welcome"

    def test_follows_a_template_that_changes(self, templates: Path) -> None:
        folder = templates / "cache"
        self.shown(templates, folder)
        (templates / "page.html").write_text("{{ name }}, goodbye", encoding="utf-8")
        assert self.shown(templates, folder) == "Lin, goodbye"

    def test_is_made_anew_where_it_is_damaged(self, templates: Path) -> None:
        folder = templates / "cache"
        self.shown(templates, folder)
        (kept,) = folder.glob(NAME % "*")
        whole = kept.read_bytes()
        for length in (0, 10, 40, len(whole) - 9):
            kept.write_bytes(whole[:length])
            assert self.shown(templates, folder) == "Lin, welcome"

    def test_may_find_no_place_to_write(self, templates: Path) -> None:
        nowhere = templates / "page.html" / "cache"  # a file is no folder
        assert self.shown(templates, nowhere) == "Lin, welcome"

    def test_writes_nothing_where_python_was_told_so(self, templates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        assert self.shown(templates, templates / "cache") == "Lin, welcome"
        assert not (templates / "cache").exists()
