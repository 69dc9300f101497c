"""Modules of clients that take seconds to import: only the process that runs their tests pays for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Later:
    """A module that is imported when a class of it is first asked for; collecting tests asks for all the rest."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if not attribute[0].isupper():
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)
