"""docs/cli.md and docs/zh/cli.md: every command by its group, out of the very texts that `--help` shows.

`python -m shanhe.cli.pages` writes both; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Final

from typer.main import get_command

from shanhe.cli import GROUPS, app
from shanhe.cli.common import write_pages
from shanhe.cli.language import said
from shanhe.settings import take_on

SEE: Final = {
    "nodes": "pool", "node": "pool", "batches": "batches", "datasets": "datasets", "knowledge": "knowledge",
    "studio": "studio", "people": "accounts", "orgs": "accounts", "privacy": "privacy", "credits": "credits",
    "payouts": "payments", "reconcile": "payments", "bank": "payments", "exchange": "exchange", "log": "log",
    "rules": "rulebook", "approvals": "approvals", "break-glass": "break-glass", "algorithms": "filings",
    "programmes": "programmes", "bulletin": "bulletin", "alliances": "companies", "incubator": "companies",
    "contests": "store", "store": "store", "agents": "agents", "clones": "clones", "labels": "clones",
    "evaluations": "agents", "workflows": "workflows", "tools": "agents", "governance": "governance",
    "starters": "agents", "nomads": "nomads", "card": "nomads", "ip": "research", "science": "research",
    "board": "board",
    "content": "content", "bench": "bench", "vault": "production", "apps": "agents", "usage": "api",
    "webhooks": "webhooks",
}  # fmt: skip
"""The page that tells about a group, by the group's name."""
COMMON: Final = ("--help", "--json", "--data")
"""Options that the page's head tells of."""
CITY: Final = "The city"
INTERNAL: Final = {"furnish-mcp"}
"""Commands that other commands start."""


def page(language: str) -> str:
    """The page in a language. Texts are looked up by the English ones: SHANHE_LANG has to be `en` meanwhile."""
    text = (resources.files("shanhe.cli") / "page" / f"{language}.md").read_text(encoding="utf-8")
    return text.replace("{commands}\n", "\n".join(_tables(language)))


def _tables(language: str) -> Iterator[str]:
    top = get_command(app).commands  # type: ignore[attr-defined]
    yield _table(
        f"| {said(CITY, language)} | |", [(name, one) for name, one in top.items() if name not in GROUPS], language
    )
    for name in GROUPS:
        title = f"`shanhe {name}`"
        head = f"[{title}]({SEE[name]}.md)" if name in SEE else title
        yield _table(f"| {head} | {_cell(said(top[name].help, language))} |", list(_below(name, top[name])), language)


def _below(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from _below(f"{path} {name}", one)
        elif name not in INTERNAL:
            yield f"{path} {name}", one


def _table(head: str, commands: list[tuple[str, Any]], language: str) -> str:
    lines = [head, "|---|---|", *(f"| {_call(name, one)} | {_what(one, language)} |" for name, one in commands)]
    return "\n".join(lines) + "\n"


def _call(name: str, command: Any) -> str:
    words = [
        one.name.upper() if one.required else f"[{one.name.upper()}]"
        for one in command.params
        if one.param_type_name == "argument"
    ]
    needed = [f"{one.opts[0]} {one.name.upper()}" for one in _options(command) if one.required]
    return f"`{' '.join(['shanhe', name, *words, *needed])}`"


def _what(command: Any, language: str) -> str:
    options = [f"`{one.opts[0]}`" for one in _options(command) if not one.required]
    return " ".join([_cell(said(command.help, language)), ("、" if language == "zh" else ", ").join(options)]).strip()


def _options(command: Any) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "option" and one.opts[0] not in COMMON]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    take_on({"SHANHE_LANG": "en"}, instead=False)
    write_pages(Path("docs"), "cli.md", page)
