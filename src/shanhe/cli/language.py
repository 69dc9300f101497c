"""The command line in the reader's own language: English as it stands in the code, Chinese out of `zh.json` beside it.

The file is keyed by the English texts, so that a text that changes has no Chinese until somebody has looked at it
again; a test demands that none is missing and none is left over.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Any, Final

import msgspec

BOTH: Final = re.compile(r"(.*[\u4e00-\u9fff）])\s*[A-Za-z][A-Za-z µ]*$")


class Chinese(msgspec.Struct):
    """Chinese texts of the command line by their English ones."""

    helps: dict[str, str]
    heads: dict[str, str]


@cache
def chinese() -> Chinese:
    """What `zh.json` holds."""
    file = resources.files("shanhe.cli") / "zh.json"
    return msgspec.json.decode(file.read_bytes(), type=Chinese)


def said(text: str, language: str) -> str:
    """A help in the language; as it is where nobody has translated it."""
    return chinese().helps.get(text, text) if language == "zh" else text


def headed(text: str, language: str) -> str:
    """The head of a column or row in the language; one in both (`模式 mode`) is cut to the reader's own in Chinese."""
    if language != "zh":
        return text
    both = BOTH.match(text)
    return both[1] if both else chinese().heads.get(text, text)


def speak(command: Any, language: str) -> Any:
    """The command with its own help, its options' and that of the commands below it in the language."""
    if language != "en":
        if command.help:
            command.help = said(command.help, language)
        for parameter in command.params:
            if getattr(parameter, "help", None):
                parameter.help = said(parameter.help, language)
        for below in getattr(command, "commands", {}).values():
            speak(below, language)
        plain = command.get_help_option

        def get_help_option(context: Any) -> Any:
            option = plain(context)
            option.help = said(option.help, language)
            return option

        command.get_help_option = get_help_option
    return command


def name_panels() -> None:
    """Name the frames around a help in Chinese."""
    from typer import rich_utils

    rich_utils.ARGUMENTS_PANEL_TITLE = "参数"
    rich_utils.OPTIONS_PANEL_TITLE = "选项"
    rich_utils.COMMANDS_PANEL_TITLE = "命令"
    rich_utils.ERRORS_PANEL_TITLE = "用法有误"
    rich_utils.REQUIRED_LONG_STRING = "[必填]"
    rich_utils.DEFAULT_STRING = "[默认：{}]"
