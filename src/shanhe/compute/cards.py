"""Model cards: what this software can fetch and serve by itself, one YAML file a model."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

from yaml import YAMLError

from shanhe.compute.errors import UnknownModel
from shanhe.compute.model import Kind, ModelCard, Rates, Source
from shanhe.kernel import yaml

SOURCE_KINDS = ("modelscope", "huggingface", "pypi")


@functools.cache
def cards() -> tuple[ModelCard, ...]:
    """All packaged cards by id; ValueError names a file that can't be read."""
    folder = resources.files("shanhe.compute") / "cards"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return tuple(read_card(file.name, file.read_text(encoding="utf-8")) for file in files)


def card(model: str) -> ModelCard:
    """The card of a model; UnknownModel without one."""
    for one in cards():
        if one.id == model:
            return one
    raise UnknownModel(model)


def read_card(name: str, text: str) -> ModelCard:
    """Read one card strictly: unknown and missing keys are errors (ValueError)."""
    try:
        data: dict[str, Any] = yaml.read(text)
        sources = tuple(_source(item) for item in data.pop("sources"))
        return ModelCard(
            **{
                **data,
                "kind": Kind(data["kind"]),
                "features": frozenset(data["features"]),
                "cost": Rates.of(data["cost"]),
                "sources": sources,
                "needs": tuple(data.get("needs", ())),
            }
        )
    except (YAMLError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"model card {name} can't be read: {error}") from error


def _source(item: dict[str, Any]) -> Source:
    if item["kind"] not in SOURCE_KINDS:
        raise KeyError(f"source {item['kind']}")
    lists = {"packages": tuple(item.get("packages", ())), "members": tuple(item.get("members", ()))}
    if len(lists["packages"]) != len(lists["members"]):
        raise KeyError("packages and members differ in number")
    return Source(**{**item, **lists})
