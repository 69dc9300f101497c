"""House rules that no linter knows: one door a module, no clock in SQL, no network addresses of package indexes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "shanhe"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
NONE_OF_THEM = {"kernel", "cli", "bench", "wiring", "backup", "restore"}
MODULES = {path.parent.name for path in SOURCE.glob("*/__init__.py")} - NONE_OF_THEM
DOORS = {"api", "errors", "routes"}
GAUGES = {"bench", "synthetic"}  # how a module is measured; for the bench and its command only
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-studio.lock")
CLOCKS = re.compile(r"\b(now\(\)|current_timestamp|current_date|clock_timestamp\(\)|statement_timestamp\(\))", re.I)
INDEX_HOSTS = re.compile(r"pypi\.org|pythonhosted|mirrors?\.[a-z]+\.|--index-url|--extra-index-url|--find-links", re.I)


IMPORT = re.compile(r"^[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import[ \t]+(\([^)]*\)|.*)|import[ \t]+([\w.]+))", re.M)
"""Read as text, which takes a fiftieth of parsing five hundred files; the linter keeps one import to a line."""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text(encoding="utf-8")
    for found in IMPORT.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found[3] or found[1].count(".") > 1:
            yield line, found[3] or found[1]
        else:  # a room may be taken from its module by name
            yield from ((line, f"{found[1]}.{name}") for name in re.findall(r"(\w+)(?: as \w+)?", found[2]))


class TestDoor:
    def test_of_a_module_is_the_only_way_in(self) -> None:
        found = []
        for path in SOURCE.rglob("*.py"):
            own = path.relative_to(SOURCE).parts[0]
            doors = DOORS | GAUGES if own in ("bench", "cli") else DOORS
            for line, name in imports(path):
                parts = name.split(".")
                if parts[0] != "shanhe" or len(parts) < 3 or parts[1] not in MODULES - {own}:
                    continue
                if parts[2] not in doors and not parts[2].endswith("_routes"):
                    found.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
        assert found == []


class TestArchitecture:
    def test_shows_every_module_and_says_what_it_promises(self) -> None:
        told = ARCHITECTURE.read_text(encoding="utf-8")
        picture, promises = told.split("## Layers")[1].split("## What each module promises")
        drawn = set(re.findall(r"[a-z]+", picture.split("```")[1]))
        promised = set(re.findall(r"^\| ([a-z]+) \|", promises, re.M))
        modules = MODULES - {"nursery"} | {"kernel"}  # a way to start processes
        assert (modules - drawn, modules - promised) == (set(), set())


class TestRoutes:
    def test_read_their_signatures_when_they_are_first_asked_for(self) -> None:
        """FastAPI's own router reads them all when a process starts: `kernel.routing` has the one to take."""
        taken = re.compile(r"^from fastapi import .*\bAPIRouter\b", re.M)
        found = [path.relative_to(ROOT) for path in SOURCE.rglob("*.py") if taken.search(path.read_text("utf-8"))]
        assert found == []


class TestSql:
    def test_is_given_the_time_and_never_reads_it(self) -> None:
        found = []
        for path in SOURCE.rglob("*.sql"):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                if CLOCKS.search(line.split("--")[0]):
                    found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
        assert found == []

    def test_in_python_is_given_the_time_too(self) -> None:
        found = []
        for path in SOURCE.rglob("*.py"):
            if path.name == "doctor.py":  # compares the two clocks, which is its job
                continue
            whole = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(whole)) if CLOCKS.search(whole) else ():
                text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
                if CLOCKS.search(text) and re.search(r"\b(SELECT|INSERT|UPDATE|DELETE)\b", text):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
        assert found == []


class TestLock:
    def test_names_no_place_where_packages_come_from(self) -> None:
        for name in (*LOCKS, "Makefile", "pyproject.toml"):
            lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
            assert [line for line in lines if INDEX_HOSTS.search(line)] == [], name

    def test_pins_every_package_with_a_hash(self) -> None:
        for name in LOCKS:
            text = (ROOT / name).read_text(encoding="utf-8")
            for entry in re.split(r"\n(?=\S)", text.strip()):
                assert re.match(r"[a-z0-9._-]+(\[[a-z,]+\])?==\S+", entry), entry
                assert "--hash=sha256:" in entry, entry

    def test_of_the_tests_agrees_with_the_one_that_runs(self) -> None:
        pinned = [set(re.findall(r"^([a-z0-9._-]+==\S+)", (ROOT / name).read_text(), re.M)) for name in LOCKS]
        assert all(pinned[0] <= other for other in pinned[1:])
