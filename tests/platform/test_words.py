"""What people read in Chinese is Chinese: states have words, and no message mixes the program's own names into it."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import shanhe
from shanhe.identity.errors import PermissionMissing
from shanhe.identity.model import ALL_PERMISSIONS
from shanhe.kernel import words
from shanhe.kernel.errors import ShanheError

SOURCE = Path(shanhe.__file__).parent
STATELY = re.compile(r"(State|Phase|Status)$")
SQL_STATES = re.compile(r"\bstate\b[^;\n]*?IN \(([^)]*)\)")
LATIN = re.compile(r"[a-z_]{3,}")
PUT = re.compile(r"\{(?:\w+\.)*(?:state|phase)\}")
QUOTED = re.compile(r'f"[^"]*"')
HAN = re.compile(r"[\u4e00-\u9fff]")
SAMPLES: dict[str, Any] = {
    "str": "甲", "int": 3, "float": 1.5, "bool": True, "date": date(2026, 11, 26), "UUID": UUID(int=1),
    "datetime": datetime(2026, 11, 26, tzinfo=UTC), "bytes": b"x",
}  # fmt: skip
"""A value for a parameter by the first name of its annotation; lists hold one."""
NAMES_A_STATE = {"state", "phase", "was", "wanted"}


def modules() -> Iterator[Any]:
    for file in sorted(SOURCE.glob("*/*.py")):
        if file.stem in ("errors", "model", "cases", "appeals") or file.stem.endswith(("_errors", "_model")):
            yield importlib.import_module(f"shanhe.{file.parent.name}.{file.stem}")


@pytest.fixture(scope="module")
def states() -> set[str]:
    """Every state of everything, in the program and in the database."""
    found = set[str]()
    for module in modules():
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, StrEnum) and STATELY.search(name):
                found |= {str(one) for one in kind}
    for file in SOURCE.glob("*/migrations/*.sql"):
        for listed in SQL_STATES.findall(file.read_text(encoding="utf-8")):
            found |= set(re.findall(r"'([a-z_]+)'", listed))
    return found


def errors() -> list[type[ShanheError]]:
    list(modules())
    found: list[type[ShanheError]] = []
    waiting: list[type[ShanheError]] = [ShanheError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        found.append(kind)
    return [one for one in found if one.__module__.startswith("shanhe.") and "__init__" in vars(one)]


def argument(kind: str, name: str, state: str) -> Any:
    if name in NAMES_A_STATE:
        return state
    first = re.match(r"\w+", kind.partition("|")[0].strip())
    word = first[0] if first else "str"
    if word in ("Sequence", "list", "tuple", "Iterable", "Collection", "set", "frozenset"):
        inner = re.search(r"\[(\w+)", kind)
        return [SAMPLES.get(inner[1] if inner else "str", "甲")]
    return SAMPLES.get(word, "甲")


def made(kind: type[ShanheError], state: str) -> ShanheError | None:
    """An error with something in each of its places; None where that takes more than plain values."""
    wanted = list(inspect.signature(kind.__init__).parameters.values())[1:]
    given = {
        one.name: argument(str(one.annotation), one.name, state)
        for one in wanted
        if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
        and (one.default is one.empty or one.name in NAMES_A_STATE)
    }
    try:
        return kind(**given)
    except (TypeError, AttributeError, ValueError, LookupError):
        return None


class TestPermission:
    def test_has_a_word_in_chinese(self) -> None:
        assert set(words.PERMISSIONS_ZH) == ALL_PERMISSIONS
        assert PermissionMissing("store").message_zh == "需要“商店管理”权限。"


class TestState:
    def test_has_a_word_in_chinese(self, states: set[str]) -> None:
        assert len(states) > 80
        missing = sorted(one for one in states if not HAN.search(words.zh(one)))
        assert missing == [], "say in shanhe/kernel/words.py what these states are called"

    def test_is_told_by_its_word_in_every_error(self, states: set[str]) -> None:
        mixed, tried = [], 0
        for kind in errors():
            taken = inspect.signature(kind.__init__).parameters
            names = {name for name in taken if name in NAMES_A_STATE and taken[name].annotation in ("str", "Word")}
            for state in sorted(states) if names else ():
                error = made(kind, state)
                assert error is not None, f"{kind.__name__} can't be tried"
                tried += 1
                if state in LATIN.findall(f"{error.message_zh} {error.hint_zh}"):
                    mixed.append(f"{kind.__module__}.{kind.__name__}: {error.message_zh}")
        assert tried > 1_500
        assert mixed == []

    def test_of_an_error_is_said_in_chinese(self) -> None:
        tried = [one for kind in errors() if (one := made(kind, "open")) is not None]
        assert [type(one).__name__ for one in tried if not HAN.search(one.message_zh)] == []

    def test_is_never_put_into_a_chinese_text_by_its_name(self) -> None:
        found = []
        for file in SOURCE.rglob("*.py"):
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                if PUT.search(line) and any(HAN.search(text) for text in QUOTED.findall(line) if PUT.search(text)):
                    found.append(f"{file.name}:{number}")
        assert found == [], "name the state through shanhe.kernel.words.zh"
