"""The command line in the reader's own language: English as it stands in the code, Chinese out of `zh.json` beside it.

The file is keyed by the English texts, so that a text that changes has no Chinese until somebody has looked at it
again; a test demands that none is missing and none is left over.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import msgspec


@cache
def chinese() -> dict[str, str]:
    """Chinese texts of the command line by their English ones."""
    file = resources.files("shanhe.cli") / "zh.json"
    return msgspec.json.decode(file.read_bytes(), type=dict[str, str])


def said(text: str, language: str) -> str:
    """The same in the language; as it is where nobody has translated it."""
    return chinese().get(text, text) if language == "zh" else text


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
