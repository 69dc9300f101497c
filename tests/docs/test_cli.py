"""The command line speaks the reader's language, and its pages are what it says."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from shanhe import __version__
from shanhe.cli import app
from shanhe.cli.language import chinese, headed
from shanhe.cli.pages import CITY, page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CHINESE = re.compile(r"[\u4e00-\u9fff%]|MB|CNY|SHA-256|^[✓→]?$")
"""What a head shows in Chinese; some are the same in every language."""


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHANHE_LANG", "en")


def heads_in(file: Path) -> Iterator[str]:
    """Heads of columns and rows that are written out in a file of commands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            words = node.args[0]
            if node.func.id == "rows" and isinstance(words, ast.Tuple):
                yield from (word.value for word in words.elts if isinstance(word, ast.Constant))
            elif node.func.id == "pairs" and isinstance(words, ast.Dict):
                yield from (str(word.value) for word in words.keys if isinstance(word, ast.Constant))


def helps(command: Any) -> Iterator[str]:
    """Every text that a help of this command or one below it shows."""
    yield command.help
    yield from (one.help for one in command.params if getattr(one, "help", None))
    for below in getattr(command, "commands", {}).values():
        yield from helps(below)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What a help says under an environment."""

    def ask(*arguments: str, **environment: str) -> str:
        for name, value in {"COLUMNS": "200", **environment}.items():
            monkeypatch.setenv(name, value)
        return CliRunner().invoke(app, [*arguments, "--help"]).output

    return ask


class TestPage:
    @pytest.mark.parametrize(("language", "name"), [("en", "cli.md"), ("zh", "zh/cli.md")])
    def test_is_what_the_commands_say_of_themselves(self, language: str, name: str) -> None:
        assert (DOCS / name).read_text(encoding="utf-8") == page(language), "run `python -m shanhe.cli.pages`"


class TestChinese:
    def test_is_there_for_every_text_and_for_no_other(self) -> None:
        """A text that was changed has no Chinese until somebody has written it anew in src/shanhe/cli/zh.json."""
        texts = {*helps(get_command(app)), CITY, "Show this message and exit."}
        assert sorted(texts - set(chinese().helps)) == []
        assert sorted(set(chinese().helps) - texts) == []

    def test_is_there_for_every_head_of_a_table(self) -> None:
        heads = {head for file in (ROOT / "src/shanhe/cli").glob("*.py") for head in heads_in(file)}
        assert len(heads) > 250
        assert sorted(head for head in heads if not CHINESE.search(headed(head, "zh"))) == []

    def test_takes_the_place_of_a_head_in_both_languages(self) -> None:
        assert headed("补贴（须复核）subsidy", "zh") == "补贴（须复核）"
        assert headed("金额 CNY", "zh") == "金额"
        assert headed("模式 mode", "en") == "模式 mode"

    def test_is_spoken_where_the_terminal_speaks_it(self, said: Callable[..., str]) -> None:
        assert "新建密钥并打印其令牌，只此一次。" in said("keys", "create", SHANHE_LANG="", LC_ALL="zh_CN.UTF-8")
        assert "显示本帮助并退出。" in said("keys", "create", SHANHE_LANG="zh", LC_ALL="C.UTF-8")
        assert "Make a key and print its token, once." in said("keys", "create", SHANHE_LANG="en", LC_ALL="zh_CN.UTF-8")

    def test_is_spoken_of_the_groups_too(self, said: Callable[..., str]) -> None:
        assert "复式账本。" in said(SHANHE_LANG="zh")
        assert "由各条划转重新计算余额" in said("ledger", SHANHE_LANG="zh")


class TestVersion:
    def test_is_said(self) -> None:
        said = CliRunner().invoke(app, ["--version"])
        assert (said.exit_code, said.output) == (0, f"shanhe {__version__}\n")
