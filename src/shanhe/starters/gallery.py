"""The starters that come with this software: a folder each, with its card and its definition in either language."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any, Final

import msgspec

from shanhe.kernel import yaml
from shanhe.starters.model import LANGUAGES, Card, Starter

FOLDER: Final = "gallery"


@functools.cache
def starters() -> dict[str, Starter]:
    """All of them, by name."""
    found = {}
    for folder in sorted(resources.files("shanhe.starters").joinpath(FOLDER).iterdir(), key=lambda one: one.name):
        card = msgspec.convert(yaml.read(folder.joinpath("card.yaml").read_text(encoding="utf-8")), Card)
        definitions = {
            language: msgspec.json.decode(folder.joinpath(f"{language}.json").read_bytes(), type=dict[str, Any])
            for language in LANGUAGES
        }
        found[folder.name] = Starter(folder.name, card, definitions)
    return found
