"""Texts in Chinese and English, side by side in one file, so that neither language can be forgotten.

A catalogue is a folder of YAML files. A leaf is `中文 | English`; nesting gives the key: `home.title`. `{name}` marks a
value; both languages carry the same ones. `zh-CN` comes first everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from typing import Any, Final

from shanhe.kernel import yaml

LANGUAGES: Final = ("zh-CN", "en")
SEPARATOR: Final = " | "
_FIELD = re.compile(r"\{(\w+)\}")


class CatalogueError(ValueError):
    """A text that lacks a language, names other values in one of them, or appears twice."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One text in both languages."""

    zh: str
    en: str

    def text(self, language: str) -> str:
        return self.zh if language.startswith("zh") else self.en


@dataclass(frozen=True)
class Catalogue:
    """Every text by its dotted key."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Traversable) -> Catalogue:
        """Read every `*.yaml` of a folder; CatalogueError names the key that is not in order."""
        entries: dict[str, Entry] = {}
        for file in sorted(folder.iterdir(), key=lambda item: item.name):
            if file.name.endswith(".yaml"):
                for key, text in _leaves(yaml.read(file.read_text(encoding="utf-8")) or {}):
                    if key in entries:
                        raise CatalogueError(f"{file.name}: {key} is there twice")
                    entries[key] = _entry(f"{file.name}: {key}", text)
        return cls(entries)

    def text(self, key: str, language: str, values: Mapping[str, Any] | None = None) -> str:
        """The text of `key`; KeyError for a key that does not exist (a test finds these)."""
        found = self.entries[key].text(language)
        return found.format_map(dict(values)) if values else found

    def below(self, family: str) -> list[str]:
        """The words that a family names, in the order of its files."""
        start = f"{family}."
        return [key.removeprefix(start) for key in self.entries if key.startswith(start)]

    def get(self, key: str, language: str, default: str) -> str:
        """Like `text` for keys that come from data (a status, a kind) and may be newer than the catalogue."""
        entry = self.entries.get(key)
        return entry.text(language) if entry is not None else default


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value)


def _entry(place: str, text: str) -> Entry:
    parts = text.strip("\n").split(SEPARATOR)
    if len(parts) != len(LANGUAGES) or not all(part.strip() for part in parts):
        raise CatalogueError(f"{place} needs `中文{SEPARATOR}English`, found {text!r}")
    zh, en = parts[0].strip(), parts[1].lstrip()  # a space at the end, which takes quotes in YAML, is meant
    if sorted(_FIELD.findall(zh)) != sorted(_FIELD.findall(en)):
        raise CatalogueError(f"{place} names other values in each language")
    return Entry(zh, en)
