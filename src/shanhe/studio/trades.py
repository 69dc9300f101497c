"""Templates of trades: a sample to begin with, and a recipe that suits its form."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import msgspec

from shanhe.kernel import yaml
from shanhe.kernel.errors import NotFound

FOLDER = "samples"


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`form`: of its rows; `recipe`: fields that differ from the defaults."""

    title: dict[str, str]
    form: str
    file: str
    recipe: dict[str, Any]


@functools.cache
def templates() -> dict[str, Template]:
    """All that come with this software, by id."""
    text = resources.files("shanhe.studio").joinpath(FOLDER, "templates.yaml").read_text(encoding="utf-8")
    return msgspec.convert(yaml.read(text), dict[str, Template])


def template(name: str) -> Template:
    """One by its id; NotFound."""
    found = templates().get(name)
    if found is None:
        raise NotFound("no_such_template", f"There is no template {name!r}.", message_zh=f"没有模板 {name!r}。")
    return found


def sample_of(one: Template) -> bytes:
    """The rows that a template begins with."""
    return resources.files("shanhe.studio").joinpath(FOLDER, one.file).read_bytes()
