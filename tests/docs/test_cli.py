"""The command line speaks the reader's language, and its pages are what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from shanhe.cli import app
from shanhe.cli.language import chinese
from shanhe.cli.pages import CITY, page

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHANHE_LANG", "en")


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
        assert sorted(texts - set(chinese())) == []
        assert sorted(set(chinese()) - texts) == []

    def test_is_spoken_where_the_terminal_speaks_it(self, said: Callable[..., str]) -> None:
        assert "新建密钥并打印其令牌，只此一次。" in said("keys", "create", SHANHE_LANG="", LC_ALL="zh_CN.UTF-8")
        assert "显示本帮助并退出。" in said("keys", "create", SHANHE_LANG="zh", LC_ALL="C.UTF-8")
        assert "Make a key and print its token, once." in said("keys", "create", SHANHE_LANG="en", LC_ALL="zh_CN.UTF-8")

    def test_is_spoken_of_the_groups_too(self, said: Callable[..., str]) -> None:
        assert "复式账本。" in said(SHANHE_LANG="zh")
        assert "由各条划转重新计算余额" in said("ledger", SHANHE_LANG="zh")
